// The reference in docs/ and the files in examples/ say what the parsers do. Runs in the source folder.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "config/config.h"

namespace daypass::config {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::IsEmpty;

const core::TenantId tenant("default");

std::string content(const std::string& path) {
  auto text = read_file(path);
  EXPECT_TRUE(text.ok()) << text.error().message << "; run the test in the source folder";
  return text.ok() ? *text : "";
}
std::vector<std::string> rendered(const std::vector<Problem>& problems) {
  std::vector<std::string> out;
  for (const auto& p : problems) out.push_back(p.render());
  return out;
}

TEST(Reference, HoldsTheTablesOfTheParsers) {
  const std::string doc = content("docs/reference/config.md");
  for (const auto& [section, table] : reference_tables())
    EXPECT_TRUE(doc.find("\n" + table) != std::string::npos)
        << "docs/reference/config.md lacks the table of " << section << " as it is now:\n"
        << table;
}

TEST(Reference, NamesEveryKeyOnce) {
  std::set<std::pair<std::string, std::string>> seen;
  for (const auto& key : reference()) {
    EXPECT_TRUE(seen.emplace(key.section, key.key).second) << key.section << " " << key.key;
    EXPECT_FALSE(key.meaning.empty()) << key.key;
    EXPECT_FALSE(key.example.empty()) << key.key;
    EXPECT_FALSE(key.required && !key.fallback.empty()) << key.key;
  }
  EXPECT_GT(seen.size(), 60U);
}

// Each example of a server key parses, and so does each default.
TEST(Reference, ServerExamplesAndDefaultsParse) {
  for (const auto& key : reference()) {
    if (key.env.empty()) continue;
    for (const std::string& value : {key.example, key.fallback}) {
      if (value.empty()) continue;
      std::string text = (key.section == "[server]" ? "" : key.section + "\n") + key.key + " = " + value + "\n";
      if (key.key == "cert") text += "key = \"k\"\n";
      if (key.key == "key") text += "cert = \"c\"\n";
      if (key.key == "max_connections") text += "max_connections_per_address = 1\n";
      const std::string url = key.key == "public_url" ? "" : "public_url = \"https://daypass.example\"\n";
      EXPECT_THAT(rendered(parse_server("[server]\n" + url + text, "f").problems), IsEmpty()) << text;
    }
    if (!key.fallback.empty()) {
      // Writing the default changes nothing.
      const std::string base = "[server]\npublic_url = \"https://daypass.example\"\n";
      const std::string section = key.section == "[server]" ? "" : key.section + "\n";
      EXPECT_EQ(parse_server(base + section + key.key + " = " + key.fallback + "\n", "f").value,
                parse_server(base, "f").value)
          << key.key;
    }
  }
}

// All examples of a tenant's keys together make a tenant.
TEST(Reference, TenantExamplesParse) {
  std::string text;
  std::string section;
  for (const auto& key : reference()) {
    if (!key.env.empty() || key.section == "groups" || key.section == "[idp.attributes]" ||
        key.section == "[idp.signals]" || key.section == "[idp.scim]" || key.section == "[target.limits]" ||
        key.meaning.starts_with("SAML"))
      continue;
    const std::string table = key.section.substr(0, key.section.find(' '));
    if (table != section) text += (section = table) + "\n";
    text += key.key + " = " + key.example + "\n";
  }
  const auto swap = [&](const std::string& from, const std::string& to) {
    ASSERT_NE(text.find(from), std::string::npos) << from << " in\n" << text;
    text.replace(text.find(from), from.size(), to);
  };
  // The two examples that exclude each other.
  swap("overage = \"refuse\"", "overage = \"fetch\"");
  EXPECT_THAT(rendered(parse_tenant(tenant, {{"tenant.toml", text}}).problems), IsEmpty()) << text;

  std::string groups = "{ ", limits = "{ ", rule = "{ ", signals = "{ ";
  for (const auto& key : reference()) {
    std::string* table = key.section == "groups"             ? &groups
                         : key.section == "[idp.attributes]" ? &rule
                         : key.section == "[idp.signals]"    ? &signals
                         : key.section == "[target.limits]"  ? &limits
                                                             : nullptr;
    if (table != nullptr) *table += (table->size() > 2 ? ", " : "") + key.key + " = " + key.example;
  }
  swap("groups = \"groups\"", "groups = " + groups + " }");
  swap("overage = \"fetch\"", "overage = \"refuse\"");
  swap("overage_url = ", "# ");
  swap("{ department = \"department\" }", "{ department = " + rule + " } }");
  swap("{ duration = \"30m\" }", limits + " }");
  const std::size_t example = text.find("signals = {");
  ASSERT_NE(example, std::string::npos);
  swap(text.substr(example, text.find('\n', example) - example), "signals = " + signals + " }");
  EXPECT_THAT(rendered(parse_tenant(tenant, {{"tenant.toml", text}}).problems), IsEmpty()) << text;
}

// Groups come from a claim or from SCIM, so that these examples are alone.
TEST(Reference, ScimExamplesParse) {
  std::string text =
      "[[idp]]\nname = \"corp\"\nissuer = \"https://corp.example\"\nclient_id = \"d\"\nclient_auth = "
      "\"none\"\n[idp.scim]\n";
  std::size_t keys = 0;
  for (const auto& key : reference()) {
    if (key.section != "[idp.scim]") continue;
    ++keys;
    text += key.key + " = " + key.example + "\n";
  }
  EXPECT_EQ(keys, 3U);
  EXPECT_THAT(rendered(parse_tenant(tenant, {{"tenant.toml", text}}).problems), IsEmpty()) << text;
}

// And those of a SAML provider make one.
TEST(Reference, SamlExamplesParse) {
  std::string text = "[[idp]]\nname = \"corp\"\nprotocol = \"saml\"\nissuer = \"urn:corp:idp\"\n";
  std::size_t keys = 0;
  for (const auto& key : reference()) {
    if (!key.meaning.starts_with("SAML")) continue;
    ++keys;
    text += key.key + " = " + key.example + "\n";
  }
  EXPECT_EQ(keys, 7U);
  EXPECT_THAT(rendered(parse_tenant(tenant, {{"tenant.toml", text}}).problems), IsEmpty()) << text;
}

TEST(Examples, ServerParses) {
  EXPECT_THAT(rendered(parse_server(content("examples/daypass.toml"), "examples/daypass.toml").problems), IsEmpty());
}

TEST(Examples, TenantParses) {
  const auto files = read_folder("examples/tenant");
  ASSERT_TRUE(files.ok()) << files.error().message;
  const auto parsed = parse_tenant(tenant, *files);
  EXPECT_THAT(rendered(parsed.problems), IsEmpty());
  EXPECT_EQ(parsed.value.idps.size(), 1U);
  EXPECT_EQ(parsed.value.targets.size(), 1U);
  EXPECT_EQ(parsed.value.roles.size(), 3U);
  EXPECT_EQ(parsed.value.policies.size(), 3U);
}

TEST(Examples, EachPresetHasOne) {
  std::map<std::string, std::string> all{{"tenant.toml", content("examples/tenant/tenant.toml")}};
  for (const char* name : {"okta", "entra", "google", "keycloak", "adfs", "generic"}) {
    const std::string file = std::string("examples/idps/") + name + ".toml";
    const std::string text = content(file);
    const auto parsed = parse_tenant(tenant, {{"idp.toml", text}});
    EXPECT_THAT(rendered(parsed.problems), IsEmpty()) << file;
    ASSERT_EQ(parsed.value.idps.size(), 1U) << file;
    EXPECT_TRUE(std::string(name) == "generic" ||
                text.find("preset = \"" + std::string(name) + "\"") != std::string::npos)
        << file;
    EXPECT_THAT(text, HasSubstr("/t/default/idp/" + parsed.value.idps[0].name + "/callback")) << file;
  }
}

class Folder : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = fs::temp_directory_path() / "daypass-config-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
  }
  void TearDown() override { fs::remove_all(path_); }
  void write(const std::string& name, const std::string& text) {
    fs::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name) << text;
  }
  fs::path path_;
};

TEST_F(Folder, IsReadAsItsParserWants) {
  write("tenant.toml", "a");
  write("more.toml", "b");
  write("README.md", "c");
  write("ca.pem", "d");
  write(".hidden.toml", "e");
  write("stray.cedar", "f");
  write("policies/p.cedar", "g");
  write("policies/typo.ceder", "h");
  write("policies/deep/q.cedar", "i");
  write("idps/corp.toml", "j");
  write("idps/corp.pem", "k");
  write("idps/deep/other.toml", "l");
  const auto files = read_folder(path_);
  ASSERT_TRUE(files.ok()) << files.error().message;
  const std::map<std::string, std::string> expected{
      {"tenant.toml", "a"},         {"more.toml", "b"},     {"stray.cedar", "f"},    {"policies/p.cedar", "g"},
      {"policies/typo.ceder", "h"}, {"policies/deep/", ""}, {"idps/corp.toml", "j"}, {"idps/deep/", ""}};
  EXPECT_EQ(*files, expected);
}

TEST_F(Folder, NeedsNoPolicies) {
  write("tenant.toml", "a");
  const auto files = read_folder(path_);
  ASSERT_TRUE(files.ok());
  EXPECT_EQ(files->size(), 1U);
}

TEST_F(Folder, FollowsLinksToFiles) {
  write("..data/tenant.toml", "a");
  fs::create_symlink(path_ / "..data" / "tenant.toml", path_ / "tenant.toml");
  const auto files = read_folder(path_);
  ASSERT_TRUE(files.ok());
  EXPECT_EQ(files->at("tenant.toml"), "a");
}

TEST_F(Folder, RefusesWhatItCannotRead) {
  EXPECT_EQ(read_folder(path_ / "none").error().check, "config.folder");
  EXPECT_EQ(read_file(path_ / "none").error().check, "config.file");
  EXPECT_EQ(read_file(path_).error().check, "config.file");
  fs::create_symlink(path_ / "nowhere", path_ / "a.toml");
  EXPECT_EQ(read_folder(path_).error().check, "config.file");
  fs::remove(path_ / "a.toml");
  // A FIFO without a writer must not hang the reader.
  ASSERT_EQ(::mkfifo((path_ / "b.toml").c_str(), 0600), 0);
  EXPECT_EQ(read_folder(path_).error().check, "config.file");
}

TEST_F(Folder, IsBounded) {
  write("a.toml", std::string(max_file_bytes, '#'));
  EXPECT_TRUE(read_file(path_ / "a.toml").ok());
  write("b.toml", std::string(max_file_bytes + 1, '#'));
  EXPECT_EQ(read_folder(path_).error().check, "config.too_large");
  fs::remove(path_ / "b.toml");
  for (std::size_t i = 0; i < max_files; ++i) write("f" + std::to_string(i) + ".toml", "");
  EXPECT_EQ(read_folder(path_).error().check, "config.too_many");
}

}  // namespace
}  // namespace daypass::config
