#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/config.h"

namespace daypass::config {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

using Files = std::map<std::string, std::string>;
const core::TenantId tenant("default");

const std::string idp = R"(
[[idp]]
name = "corp"
issuer = "https://sso.example.com"
client_id = "daypass"
client_secret = "env:SECRET"
)";
const std::string target = R"(
[[target]]
name = "pg/orders"
host = "db"
database = "orders"
admin_user = "daypass"
admin_password = "env:PASSWORD"
)";
const std::string bare_target = target.substr(0, target.find("admin_password"));
const std::string role = R"(
[[role]]
name = "pg/orders/reader"
group = "orders_read"
)";

std::vector<std::string> rendered(const std::vector<Problem>& problems) {
  std::vector<std::string> out;
  for (const auto& p : problems) out.push_back(p.render());
  return out;
}
Parsed<core::TenantSpec> parse(const std::string& text) {
  return parse_tenant(tenant, Files{{"tenant.toml", text}});
}
std::vector<std::string> problems_of(const std::string& text) {
  return rendered(parse(text).problems);
}
/// The one idp of `idp` with `more` lines in it.
core::IdpSpec idp_with(const std::string& more) {
  const auto parsed = parse(idp + more);
  EXPECT_THAT(rendered(parsed.problems), IsEmpty()) << more;
  return parsed.value.idps.empty() ? core::IdpSpec{} : parsed.value.idps.front();
}

TEST(Tenant, ReadsAMinimalOne) {
  const auto parsed = parse(idp + target + role);
  ASSERT_THAT(rendered(parsed.problems), IsEmpty());
  const core::TenantSpec& spec = parsed.value;
  EXPECT_EQ(spec.tenant, tenant);
  EXPECT_EQ(spec.version, 0);
  ASSERT_EQ(spec.idps.size(), 1U);
  const core::IdpSpec& i = spec.idps[0];
  EXPECT_EQ(i.display, "corp");
  EXPECT_EQ(i.protocol, "oidc");
  EXPECT_EQ(i.client_auth, core::ClientAuth::basic);
  EXPECT_EQ(i.client_secret.ref, "env:SECRET");
  EXPECT_THAT(i.scopes, ElementsAre("profile", "email"));
  EXPECT_EQ(i.groups_from, "");
  EXPECT_EQ(i.subject_from, "sub");
  EXPECT_EQ(i.session_max, std::chrono::hours(12));
  EXPECT_EQ(i.revalidate, std::chrono::minutes(5));
  EXPECT_FALSE(i.consent);
  ASSERT_EQ(spec.targets.size(), 1U);
  EXPECT_EQ(spec.targets[0].id.str(), "pg/orders");
  EXPECT_EQ(spec.targets[0].limits, core::DefaultLimits{});
  EXPECT_EQ(base::json::dump(spec.targets[0].settings),
            R"({"host":"db","database":"orders","admin_user":"daypass","admin_password":"env:PASSWORD"})");
  ASSERT_EQ(spec.roles.size(), 1U);
  EXPECT_EQ(base::json::dump(spec.roles[0].settings), R"({"group":"orders_read"})");
  EXPECT_FALSE(spec.roles[0].duration_cap);
}

TEST(Tenant, ReadsEveryIdpKey) {
  const auto parsed = parse(R"toml(
[[idp]]
name = "corp"
display = "Corp"
preset = "entra"
protocol = "oidc"
issuer = "https://sso.example.com/x"
client_id = "id"
client_auth = "private_key_jwt"
client_secret = "file:/k.pem"
scopes = ["openid", "a", "b"]
id_token_signed_response_alg = "ES256"
groups = { from = "roles", pattern = "d-(.+)", required = true }
overage = "fetch"
overage_url = "https://graph.example/groups"
userinfo = true
ca_file = "/ca.pem"
subject = "/oid"
display_from = "nick"
allowed_hosts = ["sso.corp", "10.0.0.1"]
session_max = "90m"
revalidate = "2m"
consent = true
[idp.attributes]
dept = "department"
level = { from = "/org/level", type = "long", required = true }
teams = { from = "teams", type = "set", pattern = "t-(.*)" }
contractor = { from = "contractor", type = "bool" }
)toml");
  ASSERT_THAT(rendered(parsed.problems), IsEmpty());
  core::IdpSpec expected;
  expected.name = "corp";
  expected.display = "Corp";
  expected.issuer = "https://sso.example.com/x";
  expected.client_id = "id";
  expected.client_auth = core::ClientAuth::private_key_jwt;
  expected.client_secret.ref = "file:/k.pem";
  expected.scopes = {"a", "b"};
  expected.id_token_alg = "ES256";
  expected.groups_from = "roles";
  expected.groups_pattern = "d-(.+)";
  expected.groups_required = true;
  expected.overage = core::Overage::fetch;
  expected.overage_url = "https://graph.example/groups";
  expected.userinfo = true;
  expected.ca_file = "/ca.pem";
  expected.subject_from = "/oid";
  expected.display_from = "nick";
  expected.allowed_hosts = {"sso.corp", "10.0.0.1"};
  expected.session_max = std::chrono::minutes(90);
  expected.revalidate = std::chrono::minutes(2);
  expected.consent = true;
  expected.attributes = {{"dept", "department", core::AttributeType::string, false, ""},
                         {"level", "/org/level", core::AttributeType::integer, true, ""},
                         {"teams", "teams", core::AttributeType::string_set, false, "t-(.*)"},
                         {"contractor", "contractor", core::AttributeType::boolean, false, ""}};
  EXPECT_EQ(parsed.value.idps.at(0), expected);
}

TEST(Tenant, ReadsEveryTargetAndRoleKey) {
  const auto parsed = parse(R"(
[[target]]
admin_key = "/k"
admin_cert = "/c"
name = "pg/orders"
port = 5433
host = "/var/run/postgresql"
database = "Orders DB"
maintenance_database = "postgres"
admin_user = "daypass"
admin_password = "file:/p"
ca_file = "/ca"
tls = "loopback"
gate_cert = "/gc"
gate_key = "/gk"
[target.attributes]
env = "prod"
tier = 3
pci = true
owners = ["b", "a", "b"]
[target.limits]
duration = "30m"
idle = "5m"
connections = 2
[[role]]
name = "pg/orders/maker"
description = "Make tables"
elevated = true
duration_cap = "10m"
group = "g"
creates = "made"
attributes = { team = "data" }
)");
  ASSERT_THAT(rendered(parsed.problems), IsEmpty());
  const core::TargetSpec& t = parsed.value.targets.at(0);
  // In the order of the reference, not of the file: moving lines is no change.
  EXPECT_EQ(base::json::dump(t.settings),
            R"({"host":"/var/run/postgresql","port":5433,"database":"Orders DB","maintenance_database":"postgres",)"
            R"("admin_user":"daypass","admin_password":"file:/p","admin_cert":"/c","admin_key":"/k","ca_file":"/ca",)"
            R"("tls":"loopback","gate_cert":"/gc","gate_key":"/gk"})");
  const core::Attributes attributes{{"env", std::string("prod")},
                                    {"tier", std::int64_t{3}},
                                    {"pci", true},
                                    {"owners", std::set<std::string>{"a", "b"}}};
  EXPECT_EQ(t.attributes, attributes);
  EXPECT_EQ(t.limits, (core::DefaultLimits{std::chrono::minutes(30), std::chrono::minutes(5), 2}));
  const core::RoleSpec& r = parsed.value.roles.at(0);
  EXPECT_EQ(base::json::dump(r.settings), R"({"group":"g","creates":"made"})");
  EXPECT_TRUE(r.elevated);
  EXPECT_EQ(r.duration_cap, std::chrono::minutes(10));
  EXPECT_EQ(r.description, "Make tables");
  EXPECT_EQ(r.attributes, (core::Attributes{{"team", std::string("data")}}));
}

TEST(Tenant, ReportsEverythingOfAllFilesInOneRun) {
  const auto parsed = parse_tenant(
      tenant, Files{{"a.toml", "[[idp]]\nname = \"corp\"\nisuer = \"https://sso.example.com\"\nclient_secret = 5\n"},
                    {"b.toml",
                     "[[target]]\nname = \"pg/orders\"\nhost = \"db\"\ndatabase = \"d\"\nadmin_user = "
                     "\"u\"\nadmin_password = \"env:P\"\nportt = 1\n"
                     "[[rolle]]\n"},
                    {"c.toml", "x = [\n"},
                    {"d.toml", idp + role}});
  EXPECT_THAT(
      rendered(parsed.problems),
      ElementsAre("a.toml:1: [[idp]] \"corp\" has no \"client_id\", add, for example, client_id = \"daypass\"",
                  "a.toml:1: [[idp]] \"corp\" has no \"issuer\", copy it from the provider's "
                  "/.well-known/openid-configuration",
                  "a.toml:3: unknown key \"isuer\" in [[idp]] \"corp\", did you mean \"issuer\"?",
                  "a.toml:4: \"client_secret\" must be a string, not an integer",
                  "b.toml:7: unknown key \"portt\" in [[target]] \"pg/orders\", did you mean \"port\"?",
                  "b.toml:8: unknown key \"rolle\", did you mean \"role\"?", HasSubstr("c.toml:1: not valid TOML"),
                  "d.toml:3: there is a second idp \"corp\", the first is at a.toml:2"));
}

TEST(Tenant, NamesAreUniqueOverAllFiles) {
  const auto parsed = parse_tenant(tenant, Files{{"a.toml", idp + target + role}, {"b.toml", idp + target + role}});
  EXPECT_THAT(rendered(parsed.problems),
              ElementsAre("b.toml:3: there is a second idp \"corp\", the first is at a.toml:3",
                          "b.toml:9: there is a second target \"pg/orders\", the first is at a.toml:9",
                          "b.toml:16: there is a second role \"pg/orders/reader\", the first is at a.toml:16"));
}

TEST(Tenant, ARoleNeedsItsTarget) {
  EXPECT_THAT(
      problems_of(target + "[[role]]\nname = \"pg/order/reader\"\ngroup = \"g\"\n"),
      ElementsAre("tenant.toml:9: role \"pg/order/reader\" is on the target \"pg/order\", which does not exist, "
                  "did you mean \"pg/orders\"?"));
  // In another file is fine, before or after.
  EXPECT_TRUE(parse_tenant(tenant, Files{{"a.toml", role}, {"b.toml", target}}).ok());
  // What a broken target was called can't be known.
  EXPECT_THAT(
      problems_of(
          "[[target]]\nname = 1\nhost = \"h\"\ndatabase = \"d\"\nadmin_user = \"u\"\nadmin_password = \"env:P\"\n" +
          role),
      ElementsAre(HasSubstr("\"name\" must be a string")));
}

TEST(Tenant, BadNames) {
  for (const char* bad : {"pg", "pg/Orders", "pg/", "pg/a/b", "/orders", "p g/a"})
    EXPECT_EQ(problems_of("[[target]]\nname = \"" + std::string(bad) +
                          "\"\nhost = \"h\"\ndatabase = \"d\"\nadmin_user = \"u\"\nadmin_password = \"env:P\"\n")
                  .size(),
              1U)
        << bad;
  for (const char* bad : {"pg/orders", "pg/orders/", "pg/orders/A"})
    EXPECT_EQ(problems_of(target + "[[role]]\nname = \"" + std::string(bad) + "\"\ngroup = \"g\"\n").size(), 1U) << bad;
  for (const char* bad : {"", "Corp", "a/b", "-a", "a b", "a.b", "abcdefghijklmnopqrstuvwxyz0123456"})
    EXPECT_EQ(problems_of("[[idp]]\nname = \"" + std::string(bad) +
                          "\"\nissuer = \"https://a.example\"\nclient_id = \"x\"\nclient_auth = \"none\"\n")
                  .size(),
              1U)
        << bad;
}

TEST(Tenant, AnUnknownKindIsOneProblem) {
  EXPECT_THAT(problems_of("[[target]]\nname = \"mysql/orders\"\nhost = \"h\"\nsocket = \"s\"\n[[role]]\nname = "
                          "\"mysql/orders/reader\"\ngrants = \"all\"\n"),
              ElementsAre("tenant.toml:2: there is no kind of target \"mysql\", only this is known: pg",
                          "tenant.toml:6: there is no kind of target \"mysql\", only this is known: pg"));
}

TEST(Tenant, OneBracketIsNotTwo) {
  EXPECT_THAT(problems_of("[idp]\nname = \"x\"\n"),
              ElementsAre("tenant.toml:1: \"idp\" must be a list of tables, write [[idp]], with two brackets"));
  EXPECT_THAT(problems_of("idp = [1]\n"), ElementsAre(HasSubstr("one entry is an integer")));
}

TEST(Secrets, AreReferencesAndNeverShown) {
  for (const char* literal : {"hunter2", "", "FILE:/x", "http://hunter2", "env:hunter2!", "file:hunter2", "env:"}) {
    const auto parsed =
        parse("[[idp]]\nname = \"corp\"\nissuer = \"https://a.example\"\nclient_id = \"x\"\nclient_secret = \"" +
              std::string(literal) + "\"\n");
    ASSERT_EQ(parsed.problems.size(), 1U) << literal;
    EXPECT_EQ(parsed.problems[0].line, 5U);
    EXPECT_THAT(parsed.problems[0].render(), Not(HasSubstr("hunter2"))) << literal;
    EXPECT_THAT(parsed.problems[0].hint, HasSubstr(literal[0] == 'e' ? "env:" : "file:/etc/daypass/secret")) << literal;
  }
  EXPECT_THAT(problems_of(bare_target + "admin_password = \"hunter2\"\n"),
              ElementsAre(HasSubstr("\"admin_password\" must say where the secret is, not what it is")));
  // A secret that is not even quoted must not come back in the parser's words.
  for (const char* line :
       {"admin_password = hunter2\n",           "admin_password = \"hunter2\n",         "admin_password \"hunter2\"\n",
        "admin_password = \"env:X\" hunter2\n", "admin_password = 1hunter2\n",          "admin_password = 0xhunter2\n",
        "admin_password = truehunter2\n",       "admin_password = 2026-01-01hunter2\n", "admin_password = infhunter2\n",
        "admin_password = \"\\hunter2\"\n",     "admin_password = -hunter2\n",          "admin_password = [hunter2]\n",
        "admin_password = 'hunter2\n",          "admin_password = 1_hunter2\n",         "admin_password = 1.2hunter2\n",
        "admin_password = \"\"\"hunter2\n",     "admin_password = {hunter2}\n",         "admin_password: hunter2\n",
        "admin_password = thunter2\n",          "admin_password = .hunter2\n"}) {
    const auto parsed = parse(bare_target + line);
    ASSERT_FALSE(parsed.ok());
    for (const auto& p : parsed.problems) EXPECT_THAT(p.render(), Not(HasSubstr("hunter2"))) << line;
  }
}

TEST(Secrets, OfDigitsAreNotShownEither) {
  for (const char* digits : {"8412345678901234567890", "0xdeadbeef12345678deadbeef", "-8412345678901234567890",
                             "0o7777777777777777777777777", "841234567890123456.7e99999",
                             "8412345678901234567890123456789012345678901234567890123456789012345678901234567890"}) {
    const auto parsed = parse(bare_target + "admin_password = " + digits + "\n");
    ASSERT_EQ(parsed.problems.size(), 1U) << digits;
    for (const char* part : {"12345", "beef", "7777"})
      EXPECT_THAT(parsed.problems[0].render(), Not(HasSubstr(part))) << digits;
  }
}

TEST(Idp, WhoHasASecret) {
  const std::string start = "[[idp]]\nname = \"corp\"\nissuer = \"https://a.example\"\nclient_id = \"x\"\n";
  EXPECT_THAT(problems_of(start), ElementsAre(HasSubstr("has no \"client_secret\"")));
  EXPECT_THAT(problems_of(start + "client_auth = \"none\"\n"), IsEmpty());
  EXPECT_THAT(problems_of(start + "client_auth = \"none\"\nclient_secret = \"env:X\"\n"),
              ElementsAre(HasSubstr("never uses")));
}

TEST(Idp, Saml) {
  const std::string start =
      "[[idp]]\nname = \"corp\"\nprotocol = \"saml\"\nissuer = \"urn:corp:idp\"\nmetadata = \"file:/etc/corp.xml\"\n";
  EXPECT_THAT(problems_of(start), IsEmpty());
  EXPECT_THAT(problems_of(idp + "protocol = \"ldap\"\n"),
              ElementsAre(HasSubstr("can't be \"ldap\", known are: oidc, saml")));
  // Each has its own keys.
  EXPECT_THAT(problems_of(idp + "metadata = \"file:/x\"\n"), ElementsAre(HasSubstr("which only SAML has")));
  EXPECT_THAT(problems_of(start + "client_id = \"x\"\nuserinfo = true\n"),
              ElementsAre(HasSubstr("which only OpenID Connect has"), HasSubstr("which only OpenID Connect has")));
  EXPECT_THAT(problems_of("[[idp]]\nname = \"corp\"\nprotocol = \"saml\"\nissuer = \"urn:corp:idp\"\n"),
              ElementsAre(HasSubstr("has no \"metadata\"")));
  const auto from = [](const std::string& more) {
    return problems_of("[[idp]]\nname = \"corp\"\nprotocol = \"saml\"\nissuer = \"urn:corp:idp\"\n" + more);
  };
  const std::string url = "metadata = \"https://idp.example/metadata\"\n";
  EXPECT_THAT(from(url), ElementsAre(HasSubstr("nothing vouches for it")));
  EXPECT_THAT(from(url + "metadata_signer = \"file:/etc/signer.crt\"\n"), IsEmpty());
  EXPECT_THAT(from(url + "metadata_sha256 = [\"ab\"]\n"), ElementsAre(HasSubstr("64 digits")));
  EXPECT_THAT(from("metadata = \"idp.xml\"\n"), ElementsAre(HasSubstr("https URL or file:/path")));
  EXPECT_THAT(from(url + "metadata_signer = \"/etc/x\"\n"), ElementsAre(HasSubstr("must name a file")));
  EXPECT_THAT(problems_of(start + "name_id_format = \"email\"\n"), ElementsAre(HasSubstr("persistent")));
  EXPECT_THAT(problems_of(start + "idp_initiated = \"yes\"\n"), ElementsAre(HasSubstr("true or false")));
  EXPECT_THAT(problems_of(idp + "idp_initiated = true\n"), ElementsAre(HasSubstr("which only SAML has")));
  EXPECT_THAT(problems_of(start + "sp_keys = [\"-----BEGIN\"]\n"),
              ElementsAre(HasSubstr("must say where the secret is")));

  EXPECT_THAT(problems_of(start + "sp_keys = [\"tenant:saml-2026\"]\n"), IsEmpty());
  EXPECT_THAT(problems_of(start + "sp_keys = [\"tenant:Saml/x\"]\n"),
              ElementsAre(HasSubstr("a secret of this tenant")));
  EXPECT_THAT(from("metadata = \"tenant:corp-metadata\"\n"), IsEmpty());
  EXPECT_THAT(from("metadata = \"tenant:\"\n"), ElementsAre(HasSubstr("a secret of this tenant")));

  std::string colons;
  for (int i = 0; i < 32; ++i) colons += i == 0 ? "AB" : ":AB";
  const auto parsed =
      parse_tenant(tenant, {{"t.toml", start + "metadata_sha256 = [\"" + colons + "\"]\npreset = \"entra\"\n"}});
  EXPECT_THAT(rendered(parsed.problems), IsEmpty());
  const core::IdpSpec& spec = parsed.value.idps.at(0);
  ASSERT_EQ(spec.saml.metadata_sha256.size(), 1U);
  EXPECT_EQ(spec.saml.metadata_sha256[0].size(), 64U);
  EXPECT_THAT(spec.saml.metadata_sha256[0], HasSubstr("abab"));
  EXPECT_EQ(spec.subject_from, "http://schemas.microsoft.com/identity/claims/objectidentifier");
  EXPECT_EQ(spec.saml.name_id_format, "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent");
  EXPECT_TRUE(spec.scopes.empty());
  EXPECT_FALSE(spec.saml.idp_initiated);
  EXPECT_TRUE(parse_tenant(tenant, {{"t.toml", start + "idp_initiated = true\n"}}).value.idps.at(0).saml.idp_initiated);
}

TEST(Idp, Signals) {
  const std::string start = "[idp.signals]\ntransmitter = \"https://tr.example/t\"\naudience = \"daypass\"\n";
  const std::string push = "push_tokens = [\"env:PUSH\"]\n";
  const std::string poll = "poll_url = \"https://tr.example/poll\"\npoll_token = \"file:/etc/poll\"\n";
  EXPECT_EQ(idp_with("").signals, std::nullopt);
  const core::IdpSpec spec = idp_with(start + push + poll + "poll_every = \"5s\"\nopaque = \"subject\"\n" +
                                      "subject_issuer = \"https://corp.example\"\n");
  ASSERT_TRUE(spec.signals);
  EXPECT_EQ(spec.signals->transmitter, "https://tr.example/t");
  EXPECT_THAT(spec.signals->push_tokens, ElementsAre("env:PUSH"));
  EXPECT_EQ(spec.signals->poll_every, base::Millis(5000));
  EXPECT_TRUE(spec.signals->opaque_is_person);
  EXPECT_EQ(idp_with(start + push).signals->poll_every, base::Millis(10'000));
  EXPECT_FALSE(idp_with(start + push + "opaque = \"session\"\n").signals->opaque_is_person);

  // Each by its line: `idp` ends with its sixth.
  const auto with = [&](const std::string& more) { return problems_of(idp + start + more); };
  EXPECT_THAT(with(""), ElementsAre(HasSubstr("tenant.toml:7: [idp.signals] of [[idp]] \"corp\" has neither "
                                              "\"push_tokens\" nor \"poll_url\"")));
  EXPECT_THAT(with("push_tokens = []\n"), ElementsAre(HasSubstr("tenant.toml:10: ")));
  EXPECT_THAT(with("poll_url = \"https://tr.example/poll\"\n"), ElementsAre(HasSubstr("has a poll_url but no")));
  EXPECT_THAT(with(push + "poll_token = \"env:X\"\npoll_every = \"5s\"\n"),
              ElementsAre(HasSubstr("tenant.toml:11: [idp.signals] of [[idp]] \"corp\" has a poll_token but no"),
                          HasSubstr("tenant.toml:12: [idp.signals] of [[idp]] \"corp\" has a poll_every but no")));
  EXPECT_THAT(with(push + "push_token = \"env:X\"\n"), ElementsAre(HasSubstr("did you mean \"push_tokens\"?")));
  EXPECT_THAT(with("push_tokens = [\"my-token\"]\n"),
              ElementsAre(AllOf(HasSubstr("must say where the secret is"), Not(HasSubstr("my-token")))));
  EXPECT_THAT(with(push + "opaque = \"email\"\n"), ElementsAre(HasSubstr("can't be \"email\"")));
  EXPECT_THAT(with(push + poll + "poll_every = \"0s\"\n"), ElementsAre(HasSubstr("poll_every")));
  EXPECT_THAT(with(push + "jwks_url = \"http://tr.example/k\"\n"), ElementsAre(HasSubstr("https://")));
  EXPECT_THAT(problems_of(idp + "[idp.signals]\n" + push),
              ElementsAre(HasSubstr("has no \"transmitter\""), HasSubstr("has no \"audience\"")));
  EXPECT_THAT(problems_of(idp + "signals = \"https://tr.example\"\n"), ElementsAre(HasSubstr("must be a table")));
  const auto from = [&](const std::string& transmitter, const std::string& audience = "daypass") {
    return problems_of(idp + "[idp.signals]\ntransmitter = \"" + transmitter + "\"\naudience = \"" + audience + "\"\n" +
                       push);
  };
  for (const char* good : {"https://tr.example", "https://tr.example/", "https://localhost:8443/a"})
    EXPECT_THAT(from(good), IsEmpty()) << good;
  EXPECT_THAT(from("http://tr.example"), ElementsAre(HasSubstr("must begin with https://")));
  EXPECT_THAT(from("tr.example"), ElementsAre(HasSubstr("ssf-configuration")));
  EXPECT_THAT(from("https://tr.example?a=b"), ElementsAre(HasSubstr("query or fragment")));
  EXPECT_THAT(from("https://tr.example/.well-known/ssf-configuration"), ElementsAre(HasSubstr("not the issuer")));
  EXPECT_THAT(from("https://tr.example", ""), ElementsAre(HasSubstr("audience")));
  EXPECT_THAT(from("https://tr.example", "two words"), ElementsAre(HasSubstr("without spaces")));
}

TEST(Idp, Scim) {
  const std::string start = idp + "[idp.scim]\n", token = "tokens = [\"file:/etc/corp.scim\"]\n";
  const auto parsed = parse_tenant(tenant, {{"t.toml", start + token + "subject = \"userName\"\ngroups = true\n"}});
  EXPECT_THAT(rendered(parsed.problems), IsEmpty());
  EXPECT_EQ(parsed.value.idps.at(0).scim,
            (core::ScimSpec{.tokens = {"file:/etc/corp.scim"}, .subject_from = "userName", .groups = true}));
  EXPECT_EQ(parse_tenant(tenant, {{"t.toml", start + token}}).value.idps.at(0).scim.subject_from, "externalId");

  EXPECT_THAT(problems_of(start), ElementsAre(HasSubstr("[idp.scim] of [[idp]] \"corp\" has no \"tokens\"")));
  EXPECT_THAT(problems_of(start + "tokens = []\n"), ElementsAre(HasSubstr("is empty, make a token with")));
  EXPECT_THAT(problems_of(start + "tokens = [\"s3cret-in-the-file\"]\n"),
              ElementsAre(AllOf(HasSubstr("must say where the secret is"), Not(HasSubstr("s3cret")))));
  EXPECT_THAT(problems_of(start + "token = \"file:/x\"\n"),
              Contains(HasSubstr("unknown key \"token\" in [idp.scim] of [[idp]] \"corp\", did you mean \"tokens\"?")));
  EXPECT_THAT(problems_of(start + token + "subject = \"emails[type eq 1]\"\n"),
              ElementsAre(HasSubstr("is no name of a SCIM attribute")));
  EXPECT_THAT(problems_of(start + token + "groups = \"x\"\n"), ElementsAre(HasSubstr("true or false")));
  EXPECT_THAT(problems_of(idp + "scim = \"file:/x\"\n"), ElementsAre(HasSubstr("\"scim\" must be")));
  EXPECT_THAT(problems_of(idp + "groups = \"groups\"\n[idp.scim]\ngroups = true\n" + token),
              ElementsAre(HasSubstr("takes groups from a claim and from SCIM")));
  // A preset's claim gives way.
  const auto okta =
      parse_tenant(tenant, {{"t.toml", idp + "preset = \"keycloak\"\n[idp.scim]\ngroups = true\n" + token}});
  EXPECT_THAT(rendered(okta.problems), IsEmpty());
  EXPECT_EQ(okta.value.idps.at(0).groups_from + okta.value.idps.at(0).groups_pattern, "");
}

TEST(Idp, Issuer) {
  const auto with = [](const std::string& issuer) {
    return problems_of("[[idp]]\nname = \"corp\"\nissuer = \"" + issuer +
                       "\"\nclient_id = \"x\"\nclient_auth = \"none\"\n");
  };
  for (const char* good : {"https://a.example", "https://a.example/", "https://a.example:8443/realms/x",
                           "http://127.0.0.1:1234", "http://localhost/x"})
    EXPECT_THAT(with(good), IsEmpty()) << good;
  EXPECT_THAT(with("http://a.example"), ElementsAre(HasSubstr("must begin with https://")));
  EXPECT_THAT(with("https://a.example/.well-known/openid-configuration"), ElementsAre(HasSubstr("not the issuer")));
  for (const char* bad :
       {"", "a.example", "https://a.example?x", "https://a.example#x", "https://u:p@a.example", "https://a b"})
    EXPECT_EQ(with(bad).size(), 1U) << bad;
  EXPECT_THAT(with("https://login.microsoftonline.com/common/v2.0"), ElementsAre(HasSubstr("every Entra tenant")));
  EXPECT_THAT(with("https://login.microsoftonline.com/organizations"), ElementsAre(HasSubstr("every Entra tenant")));
}

TEST(Idp, PresetsFillWhatTheFileLeavesOut) {
  EXPECT_THAT(idp_with("preset = \"okta\"\n").scopes, ElementsAre("profile", "email", "groups"));
  EXPECT_EQ(idp_with("preset = \"okta\"\n").groups_from, "groups");
  EXPECT_EQ(idp_with("preset = \"entra\"\n").subject_from, "oid");
  EXPECT_EQ(idp_with("preset = \"keycloak\"\n").groups_pattern, "/?(.+)");
  EXPECT_THAT(idp_with("preset = \"adfs\"\n").scopes, ElementsAre("profile", "email", "allatclaims"));
  EXPECT_EQ(idp_with("preset = \"adfs\"\n").groups_from, "group");
  EXPECT_EQ(idp_with("preset = \"generic\"\n"), idp_with(""));
  const auto google =
      parse("[[idp]]\nname = \"g\"\nclient_id = \"x\"\nclient_secret = \"env:X\"\npreset = \"google\"\n");
  ASSERT_THAT(rendered(google.problems), IsEmpty());
  EXPECT_EQ(google.value.idps[0].issuer, "https://accounts.google.com");
  EXPECT_THAT(problems_of(idp + "preset = \"okat\"\n"), ElementsAre(HasSubstr("did you mean \"okta\"?")));
  EXPECT_THAT(problems_of(idp + "preset = 1\n"), ElementsAre(HasSubstr("must be a string")));
}

TEST(Idp, TheFileOverridesThePreset) {
  // The preset is the last key here: its place must not matter.
  const auto mine = idp_with("groups = \"roles\"\nscopes = []\nsubject = \"sub\"\npreset = \"keycloak\"\n");
  EXPECT_EQ(mine.groups_from, "roles");
  EXPECT_EQ(mine.groups_pattern, "");
  EXPECT_THAT(mine.scopes, IsEmpty());
  EXPECT_EQ(idp_with("groups = \"\"\npreset = \"okta\"\n").groups_from, "");
  EXPECT_EQ(idp_with("groups = { from = \"g\" }\npreset = \"keycloak\"\n").groups_pattern, "");
}

TEST(Idp, Overage) {
  EXPECT_THAT(problems_of(idp + "groups = \"g\"\noverage = \"fetch\"\n"),
              ElementsAre(HasSubstr("has no \"overage_url\"")));
  EXPECT_THAT(problems_of(idp + "overage_url = \"https://a.example\"\n"), ElementsAre(HasSubstr("never asked")));
  EXPECT_THAT(problems_of(idp + "overage = \"fetch\"\noverage_url = \"https://a.example\"\n"),
              ElementsAre(HasSubstr("no single claim")));
  EXPECT_THAT(problems_of(idp + "groups = \"g\"\noverage = \"fetch\"\noverage_url = \"http://a.example\"\n"),
              ElementsAre(HasSubstr("must begin with https://")));
}

TEST(Idp, BadValues) {
  const std::pair<const char*, const char*> table[] = {
      {"scopes = [\"a b\"]", "single scopes"},
      {"scopes = \"profile\"", "an array of strings, not a string"},
      {"scopes = [1]", "must be a string, not an integer"},
      {"groups = true", "a claim's name or a table"},
      {"groups = { pattern = \"x\" }", "\"groups\" of [[idp]] \"corp\" has no \"from\""},
      {"groups = { from = \"g\", requierd = true }", "did you mean \"required\"?"},
      {"groups = \"/a~2\"", "JSON Pointer"},
      {"subject = \"\"", "is empty"},
      {"session_max = 12", "with its unit, not an integer"},
      {"session_max = \"12\"", "must be a duration"},
      {"session_max = \"30s\"", "must be from 1m to 30d"},
      {"session_max = \"31d\"", "must be from 1m to 30d"},
      {"revalidate = \"59s\"", "must be from 1m to 1h"},
      {"revalidate = \"61m\"", "must be from 1m to 1h"},
      {"revalidate = \"0s\"", "must be from 1m to 1h"},
      {"consent = 1", "not an integer"},
      {"allowed_hosts = [\"https://a\"]", "host names"},
      {"allowed_hosts = [\"A.example\"]", "host names"},
      {"ca_file = \"ca.pem\"", "absolute path"},
      {"userinfo = \"yes\"", "true or false, not a string"},
      {"overage = \"ignore\"", "known are: refuse, fetch"},
      {"client_auth = \"basci\"", "did you mean \"basic\"?"},
      {"id_token_signed_response_alg = \"ES265\"", "did you mean \"ES256\"?"},
      {"id_token_signed_response_alg = \"none\"", "known are: RS256, PS256, ES256, ES384, EdDSA"},
      {"display = \"a\\nb\"", "control character"},
      {"attributes = 1", "must be a table"},
      {"[idp.attributes]\ngroups = \"g\"", "Daypass itself says"},
      {"[idp.attributes]\nsubject = \"g\"", "Daypass itself says"},
      {"[idp.attributes]\nin = \"g\"", "a word of the policy language"},
      {"[idp.attributes]\na__cedarb = \"g\"", "a word of the policy language"},
      {"[idp.attributes]\n\"a-b\" = \"g\"", "could not name it"},
      {"[idp.attributes]\n1a = \"g\"", "could not name it"},
      {"[idp.attributes]\n\"\" = \"g\"", "could not name it"},
      {"[idp.attributes]\na = { type = \"long\" }", "attribute \"a\" of [[idp]] \"corp\" has no \"from\""},
      {"[idp.attributes]\na = { from = \"a\", type = \"integer\" }", "known are: string, long, bool, set"},
      {"[idp.attributes]\na = { from = \"a\", type = \"long\", pattern = \"x\" }", "only strings and sets"},
      {"[idp.attributes]\na = 5", "a claim's name or a table"},
      {"[idp.attributes]\na = \"\"", "is empty"},
  };
  for (const auto& [line, message] : table)
    EXPECT_THAT(problems_of(idp + line + "\n"), ElementsAre(HasSubstr(message))) << line;
  EXPECT_THAT(
      problems_of(idp + "[idp.attributes]\na = { from = \"a\", pattern = \"" + std::string(257, 'x') + "\" }\n"),
      ElementsAre(HasSubstr("more than 256")));
}

TEST(Target, BadValues) {
  const std::pair<const char*, const char*> table[] = {
      {"port = \"5432\"", "must be an integer"},
      {"port = 0", "from 1 to 65535"},
      {"tls = \"off\"", "known are: verify, loopback"},
      {"host2 = \"x\"", "did you mean \"host\"?"},
      {"tls = \"loopback\"", "\"db\" is not this machine"},
      {"tls = false", "must be a string"},
      {"admin_cert = \"/c\"", "has \"admin_cert\" without \"admin_key\""},
      {"gate_key = \"/c\"", "has \"gate_key\" without \"gate_cert\""},
      {"gate_cert = \"c\"\ngate_key = \"/c\"", "absolute path"},
      {"maintenance_database = \"\"", "is empty"},
      {"[target.attributes]\nkind = \"x\"", "Daypass itself says"},
      {"[target.attributes]\na = 1.5", "not a number with a fraction"},
      {"[target.attributes]\na = { b = 1 }", "not a table"},
      {"[target.attributes]\na = [1]", "must be a string, not an integer"},
      {"[target.limits]\nduration = \"0s\"", "must be from 1s"},
      {"[target.limits]\nconnections = 0", "from 1 to 1000"},
      {"[target.limits]\ndurations = \"1h\"", "unknown key \"durations\" in \"limits\" of [[target]] \"pg/orders\""},
      {"limits = 5", "must be a table"},
  };
  for (const auto& [line, message] : table)
    EXPECT_THAT(problems_of(target + line + "\n"), ElementsAre(HasSubstr(message))) << line;
  EXPECT_THAT(problems_of(bare_target), ElementsAre(HasSubstr("neither \"admin_password\" nor \"admin_cert\"")));
  EXPECT_THAT(problems_of(bare_target + "admin_cert = \"/c\"\nadmin_key = \"/k\"\n"), IsEmpty());
  const std::string socket = "[[target]]\nname = \"pg/x\"\nhost = \"/run/pg\"\ndatabase = \"d\"\nadmin_user = \"u\"\n";
  EXPECT_THAT(problems_of(socket),
              ElementsAre("tenant.toml:3: [[target]] \"pg/x\" is reached over a unix socket, which has "
                          "no TLS, write tls = \"loopback\""));
  EXPECT_THAT(problems_of(socket + "tls = \"loopback\"\n"), IsEmpty());
  for (const char* taken : {"public", "none", "pg_read_all_data"})
    EXPECT_THAT(problems_of(target + "[[role]]\nname = \"pg/orders/x\"\ngroup = \"" + taken + "\"\n"),
                ElementsAre(HasSubstr("keeps that name for itself")))
        << taken;
  EXPECT_THAT(problems_of("[[target]]\nname = \"pg/x\"\n"),
              ElementsAre(HasSubstr("no \"host\""), HasSubstr("no \"database\""), HasSubstr("no \"admin_user\"")));
  EXPECT_THAT(problems_of("[[target]]\nname = \"pg/x\"\nhost = \"h:5432\"\ndatabase = \"d\"\nadmin_user = "
                          "\"u\"\nadmin_password = \"env:P\"\n"),
              ElementsAre(HasSubstr("the port has a key of its own")));
}

TEST(Role, BadValues) {
  const std::pair<const char*, const char*> table[] = {
      {"creates = true", "must be a string"},
      {"elevated = 1", "true or false"},
      {"duration_cap = \"0s\"", "must be from 1s"},
      {"groups = \"x\"", "did you mean \"group\"?"},
      {"[role.attributes]\ntarget = \"x\"", "Daypass itself says"},
      {"[role.attributes]\nelevated = true", "Daypass itself says"},
  };
  for (const auto& [line, message] : table)
    EXPECT_THAT(problems_of(target + role + line + "\n"), ElementsAre(HasSubstr(message))) << line;
  EXPECT_THAT(problems_of(target + "[[role]]\nname = \"pg/orders/x\"\n"), ElementsAre(HasSubstr("has no \"group\"")));
}

TEST(TenantFolder, CollectsPoliciesInFileNameOrder) {
  const auto parsed =
      parse_tenant(tenant, Files{{"tenant.toml", ""}, {"policies/b.cedar", "B"}, {"policies/a.cedar", "A"}});
  ASSERT_THAT(rendered(parsed.problems), IsEmpty());
  EXPECT_THAT(parsed.value.policies,
              ElementsAre(core::PolicyFile{"policies/a.cedar", "A"}, core::PolicyFile{"policies/b.cedar", "B"}));
}

TEST(TenantFolder, PassesOverNothingThatLooksLikePolicy) {
  for (const char* misplaced :
       {"read.cedar", "policies/read.ceder", "policies/a/b.cedar", "policy/a.cedar", "sub/tenant.toml",
        "policies/tenant.toml", "policies/a.CEDAR", "b.TOML", "policies/a.cedar~", "policies/a/", "idps/a.cedar",
        "idps/b.TOML", "idps/deep/a.toml", "idps/deep/"})
    EXPECT_THAT(rendered(parse_tenant(tenant, Files{{"tenant.toml", ""}, {misplaced, "x"}}).problems),
                ElementsAre(HasSubstr(std::string(misplaced) + ": the file is not read")))
        << misplaced;
  for (const char* other : {"README.md", "policies/README.md", ".tenant.toml.swp", "policies/.a.cedar", ".git/x.toml",
                            "ca.pem", "idps/README.md", "idps/corp.pem", "idps/.corp.toml.swp"})
    EXPECT_TRUE(parse_tenant(tenant, Files{{"tenant.toml", ""}, {other, "x"}}).ok()) << other;
  EXPECT_FALSE(parse_tenant(tenant, Files{{"tenant.toml", ""}, {"policies/a\n.cedar", "x"}}).ok());
  EXPECT_FALSE(parse_tenant(tenant, Files{{"tenant.toml", ""}, {"policies/\xff.cedar", "x"}}).ok());
}

TEST(TenantFolder, IdentityProvidersMayHaveAFileEach) {
  const auto parsed = parse_tenant(tenant, Files{{"idps/corp.toml", idp}, {"tenant.toml", target + role}});
  ASSERT_THAT(rendered(parsed.problems), IsEmpty());
  EXPECT_EQ(parsed.value.idps.at(0).name, "corp");
  EXPECT_THAT(rendered(parse_tenant(tenant, Files{{"idps/a.toml", idp + "isuer = 1\n"}}).problems),
              ElementsAre(HasSubstr("idps/a.toml:")));
}

TEST(Tenant, DomainsAreAnOrganisationsOwn) {
  EXPECT_THAT(idp_with("domains = [\"example.com\", \"mail.example.org\"]\n").domains,
              ElementsAre("example.com", "mail.example.org"));
  const std::vector<std::pair<const char*, const char*>> table{
      {"gmail.com", "can't list \"gmail.com\", where anybody may have an address, list domains that your organisation"},
      {"outlook.com", "where anybody may have an address"},
      {"corp.onmicrosoft.com", "where anybody may have an address"},
      {"Example.com", "must list domains, not \"Example.com\", lower case, without @, like example.com"},
      {"dana@example.com", "must list domains"},
      {"example", "must list domains"},
      {"10.0.0.1", "must list domains"},
      {"*.example.com", "must list domains"},
      {"example.com.", "must list domains"},
      {"", "must list domains"}};
  for (const auto& [domain, message] : table)
    EXPECT_THAT(problems_of(idp + "domains = [\"" + domain + "\"]\n"), ElementsAre(HasSubstr(message))) << domain;
  const std::string other =
      "[[idp]]\nname = \"b\"\nissuer = \"https://b.example\"\nclient_id = \"x\"\nclient_auth = \"none\"\n";
  EXPECT_THAT(rendered(parse_tenant(tenant, Files{{"a.toml", other + "domains = [\"example.com\"]\n"},
                                                  {"b.toml",
                                                   "[[idp]]\nname = \"c\"\nissuer = \"https://c.example\"\nclient_id "
                                                   "= \"x\"\nclient_auth = \"none\"\ndomains = "
                                                   "[\"example.org\",\n\"example.com\"]\n"}})
                           .problems),
              ElementsAre("b.toml:7: there is a second domain \"example.com\", the first is at a.toml:6"));
}

TEST(TenantFolder, NeedsATable) {
  EXPECT_THAT(rendered(parse_tenant(tenant, {}).problems), ElementsAre(HasSubstr("there is no *.toml file")));
  EXPECT_THAT(rendered(parse_tenant(tenant, Files{{"policies/a.cedar", ""}}).problems),
              ElementsAre(HasSubstr("there is no *.toml file")));
}

TEST(TenantFolder, IsBounded) {
  Files many{{"tenant.toml", ""}};
  for (std::size_t i = 1; i < max_files; ++i) many["f" + std::to_string(i) + ".toml"] = "";
  EXPECT_TRUE(parse_tenant(tenant, many).ok());
  many["one-more.toml"] = "";
  EXPECT_THAT(rendered(parse_tenant(tenant, many).problems), ElementsAre(HasSubstr("201 files, more than 200")));
  EXPECT_THAT(rendered(parse_tenant(tenant, Files{{"tenant.toml", ""},
                                                  {"policies/a.cedar", std::string(max_file_bytes + 1, ' ')}})
                           .problems),
              ElementsAre(HasSubstr("bytes, more than")));
  Files large{{"tenant.toml", ""}};
  for (int i = 0; i < 17; ++i) large["policies/" + std::to_string(i) + ".cedar"] = std::string(max_file_bytes, ' ');
  EXPECT_THAT(rendered(parse_tenant(tenant, large).problems), ElementsAre(HasSubstr("the folder has")));
  EXPECT_FALSE(parse_tenant(tenant, Files{{"tenant.toml", ""}, {"policies/a.cedar", "\xff"}}).ok());
}

TEST(TenantFolder, TellsOfProblemsUpToALimit) {
  std::string text;
  for (std::size_t i = 0; i < max_problems + 10; ++i) text += "k" + std::to_string(i) + " = 1\n";
  const auto parsed = parse(text);
  ASSERT_EQ(parsed.problems.size(), max_problems + 1);
  EXPECT_EQ(parsed.problems.back().message, "10 more problems are not shown");
}

TEST(TenantFolder, CountsItsTables) {
  std::string text;
  for (int i = 0; i < 33; ++i)
    text += "[[idp]]\nname = \"i" + std::to_string(i) +
            "\"\nissuer = \"https://a.example\"\nclient_id = \"x\"\nclient_auth = \"none\"\n";
  EXPECT_THAT(problems_of(text), ElementsAre(HasSubstr("more than 32 [[idp]]")));
  std::string attributes = target + "[target.attributes]\n";
  for (int i = 0; i < 65; ++i) attributes += "a" + std::to_string(i) + " = 1\n";
  EXPECT_THAT(problems_of(attributes), ElementsAre(HasSubstr("more than 64 entries")));
}

std::vector<std::string> forward_problems(const std::string& keys) {
  return problems_of("[[forward]]\nname = \"siem\"\n" + keys);
}
core::ForwardSpec forward_of(const std::string& keys) {
  const auto parsed = parse_tenant(core::TenantId("t"), {{"tenant.toml", "[[forward]]\nname = \"siem\"\n" + keys}});
  EXPECT_TRUE(parsed.ok()) << keys;
  return parsed.value.forwards.empty() ? core::ForwardSpec{} : parsed.value.forwards.front();
}

TEST(Forward, IsAWebhookOrSyslog) {
  const auto hook = forward_of(
      "url = \"https://siem.corp.internal/hook?x=1\"\nformat = \"ocsf\"\nsecrets = [\"tenant:a\", \"file:/b\"]\n"
      "authorization = \"env:TOKEN\"\nca_file = \"/ca.pem\"\nallowed_hosts = [\"siem.corp.internal\"]\nfrom = "
      "\"now\"\n");
  EXPECT_EQ(hook, (core::ForwardSpec{.name = "siem",
                                     .url = "https://siem.corp.internal/hook?x=1",
                                     .format = core::ForwardFormat::ocsf,
                                     .secrets = {"tenant:a", "file:/b"},
                                     .authorization = {"env:TOKEN"},
                                     .ca_file = "/ca.pem",
                                     .allowed_hosts = {"siem.corp.internal"},
                                     .from_now = true}));
  EXPECT_FALSE(hook.is_syslog() || hook.at_loopback());
  EXPECT_EQ(hook.host(), "siem.corp.internal");
  const auto log = forward_of("url = \"tls://[::1]:6514\"\n");
  EXPECT_TRUE(log.is_syslog() && log.at_loopback());
  EXPECT_EQ(log.host(), "::1");
  EXPECT_FALSE(log.from_now);
  EXPECT_TRUE(forward_of("url = \"tcp://127.0.0.1:601\"\n").at_loopback());
  for (const char* elsewhere : {"tls://127.0.0.1.example:1", "tls://1270.0.0.1x:1", "tls://logs.example:6514"})
    EXPECT_FALSE(forward_of("url = \"" + std::string(elsewhere) + "\"\n").at_loopback()) << elsewhere;
}

TEST(Forward, SaysWhatIsWrong) {
  EXPECT_THAT(forward_problems("url = \"https://siem.example/\"\n"), ElementsAre(HasSubstr("has no \"secrets\"")));
  EXPECT_THAT(forward_problems("url = \"https://siem.example/\"\nsecrets = []\n"),
              ElementsAre(HasSubstr("has no \"secrets\"")));
  EXPECT_THAT(forward_problems("url = \"https://siem.example/\"\nsecrets = [\"hunter2\"]\n"),
              ElementsAre(testing::AllOf(HasSubstr("must say where the secret is"), Not(HasSubstr("hunter2")))));
  EXPECT_THAT(forward_problems("url = \"tcp://logs.example:601\"\n"), ElementsAre(HasSubstr("in clear")));
  EXPECT_THAT(forward_problems("url = \"tcp://10.0.0.1:601\"\n"), ElementsAre(HasSubstr("in clear")));
  EXPECT_THAT(forward_problems("url = \"tls://logs.example:6514\"\nsecrets = [\"env:A\"]\n"),
              ElementsAre(HasSubstr("is syslog, which has no \"secrets\"")));
  EXPECT_THAT(forward_problems("url = \"tcp://127.0.0.1:601\"\nca_file = \"/ca.pem\"\n"),
              ElementsAre(HasSubstr("no TLS to use it for")));
  EXPECT_THAT(forward_problems("url = \"tls://logs.example:6514\"\nfrom = \"yesterday\"\n"),
              ElementsAre(HasSubstr("can't be \"yesterday\"")));
  EXPECT_THAT(forward_problems("url = \"tls://logs.example:6514\"\nformat = \"cef\"\n"),
              ElementsAre(HasSubstr("can't be \"cef\"")));
  for (const char* url :
       {"udp://logs.example:514", "tls://logs.example", "tls://logs.example:0", "tls://logs.example:70000",
        "tls://:6514", "tls://u@logs.example:6514", "tls://logs.example:6514/x", "http://siem.example/",
        "https://u:p@siem.example/", "tls://2001:db8::1:6514"})
    EXPECT_THAT(forward_problems("url = \"" + std::string(url) + "\"\nsecrets = [\"env:A\"]\n"), testing::SizeIs(1))
        << url;
  EXPECT_THAT(problems_of("[[forward]]\nname = \"a\"\nurl = \"tls://l.example:1\"\n[[forward]]\nname = \"a\"\nurl = "
                          "\"tls://l.example:2\"\n"),
              ElementsAre(HasSubstr("a second forward \"a\"")));
  std::string many;
  for (int i = 0; i < 9; ++i)
    many += "[[forward]]\nname = \"f" + std::to_string(i) + "\"\nurl = \"tls://l.example:1\"\n";
  EXPECT_THAT(problems_of(many), ElementsAre(HasSubstr("more than 8 [[forward]]")));
}

TEST(Forward, IsKeptAsItIs) {
  core::TenantSpec spec;
  spec.tenant = core::TenantId("t");
  EXPECT_EQ(base::json::dump(to_json(spec)).find("forwards"), std::string::npos) << "as older stores have it";
  spec.forwards = {forward_of("url = \"https://siem.example/\"\nsecrets = [\"env:A\"]\nformat = \"ocsf\"\n"),
                   forward_of("url = \"tls://logs.example:6514\"\nfrom = \"now\"\n")};
  EXPECT_EQ(*tenant_from_json(to_json(spec)), spec);
}

TEST(Problem, RendersOnOneLine) {
  EXPECT_EQ((Problem{"tenant.toml", 14, 3, "unknown key \"isuer\"", "did you mean \"issuer\"?"}).render(),
            "tenant.toml:14: unknown key \"isuer\", did you mean \"issuer\"?");
  EXPECT_EQ((Problem{"f", 0, 0, "m", ""}).render(), "f: m");
  EXPECT_EQ((Problem{"", 0, 0, "m", ""}).render(), "m");
  EXPECT_EQ((Problem{"f.cedar", 2, 3, "m", "h", "  x y\n    ^"}).render(), "f.cedar:2:3: m\n  x y\n    ^\n  hint: h");
  EXPECT_THAT(problems_of("\"a\\nb\\u001b[31m\" = 1\n"),
              ElementsAre("tenant.toml:1: unknown key \"a\\nb\\u001b[31m\", known are: idp, target, role, forward"));
}

}  // namespace
}  // namespace daypass::config
