#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "config/config.h"

namespace daypass::config {
namespace {

namespace json = base::json;
using testing::HasSubstr;

// Random specs: every member takes many values, the empty ones included.
class Maker {
 public:
  explicit Maker(std::uint64_t seed) : random_(seed) {}

  core::TenantSpec tenant() {
    core::TenantSpec out;
    out.tenant = core::TenantId("t" + std::to_string(pick(100)));
    out.version = static_cast<std::int64_t>(random_() >> 1U);
    fill(out.idps, [&] { return idp(); });
    fill(out.targets, [&] { return target(); });
    fill(out.roles, [&] { return role(); });
    fill(out.policies, [&] { return core::PolicyFile{text(), text()}; });
    return out;
  }

 private:
  std::uint64_t pick(std::uint64_t below) { return random_() % below; }
  bool coin() { return pick(2) == 1; }
  std::string text() {
    const char* pieces[] = {"", "a", "\"", "\\", "\n", "ü", "🎟", "\x7f", "/", "groups", "\t", "x y"};
    std::string out;
    for (std::uint64_t n = pick(6); n > 0; --n) out += pieces[pick(std::size(pieces))];
    return out;
  }
  base::Millis duration() { return base::Millis(static_cast<std::int64_t>(pick(1'000'000'000))); }
  template <class T, class Make>
  void fill(std::vector<T>& out, Make make) {
    for (std::uint64_t n = pick(4); n > 0; --n) out.push_back(make());
  }
  core::Attributes attributes() {
    core::Attributes out;
    for (std::uint64_t n = pick(4); n > 0; --n) {
      core::AttributeValue value;
      switch (pick(4)) {
        case 0:
          value = text();
          break;
        case 1:
          value = static_cast<std::int64_t>(random_());
          break;
        case 2:
          value = coin();
          break;
        default:
          value = std::set<std::string>{text(), text()};
          break;
      }
      out.insert_or_assign("a" + std::to_string(pick(9)), value);
    }
    return out;
  }
  json::Object settings() {
    json::Object out;
    for (std::uint64_t n = pick(4); n > 0; --n) {
      if (coin())
        out.set("k" + std::to_string(pick(9)), text());
      else
        out.set("k" + std::to_string(pick(9)), static_cast<std::int64_t>(random_()));
    }
    return out;
  }
  core::IdpSpec idp() {
    core::IdpSpec out;
    for (std::string* s :
         {&out.name, &out.display, &out.protocol, &out.issuer, &out.client_id, &out.client_secret.ref, &out.groups_from,
          &out.groups_pattern, &out.overage_url, &out.ca_file, &out.subject_from, &out.display_from, &out.id_token_alg})
      *s = text();
    out.client_auth = static_cast<core::ClientAuth>(pick(4));
    out.overage = static_cast<core::Overage>(pick(2));
    out.groups_required = coin();
    out.userinfo = coin();
    out.session_max = duration();
    out.revalidate = duration();
    out.consent = coin();
    fill(out.scopes, [&] { return text(); });
    fill(out.domains, [&] { return text(); });
    fill(out.allowed_hosts, [&] { return text(); });
    if (coin()) {
      core::SignalsSpec& signals = out.signals.emplace();
      for (std::string* s : {&signals.transmitter, &signals.audience, &signals.poll_url, &signals.poll_token.ref,
                             &signals.jwks_url, &signals.subject_issuer})
        *s = text();
      fill(signals.push_tokens, [&] { return text(); });
      signals.poll_every = duration();
      signals.opaque_is_person = coin();
    }
    fill(out.scim.tokens, [&] { return text(); });
    out.scim.groups = coin();
    if (coin()) out.scim.subject_from = text();
    fill(out.attributes,
         [&] { return core::MappingRule{text(), text(), static_cast<core::AttributeType>(pick(4)), coin(), text()}; });
    return out;
  }
  core::TargetSpec target() {
    return {core::TargetId("pg/t" + std::to_string(pick(99))),
            settings(),
            attributes(),
            {duration(), duration(), static_cast<int>(pick(1000))}};
  }
  core::RoleSpec role() {
    core::RoleSpec out;
    out.id = core::RoleId("pg/t/r" + std::to_string(pick(99)));
    out.settings = settings();
    out.attributes = attributes();
    out.elevated = coin();
    if (coin()) out.duration_cap = duration();
    out.description = text();
    return out;
  }
  std::mt19937_64 random_;
};

TEST(TenantJson, BringsEverythingBack) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    const core::TenantSpec spec = Maker(seed).tenant();
    const std::string text = json::dump(to_json(spec));
    const auto parsed = json::parse(text, spec_limits);
    ASSERT_TRUE(parsed.ok()) << "seed " << seed << ": " << parsed.error().message;
    const auto back = tenant_from_json(*parsed);
    ASSERT_TRUE(back.ok()) << "seed " << seed << ": " << back.error().message;
    ASSERT_EQ(*back, spec) << "seed " << seed;
    ASSERT_EQ(json::dump(to_json(*back)), text) << "seed " << seed;
  }
}

// Every object and every member of `value`, in turn, through `visit(mutable root, mutable object, key)`.
template <class Visit>
void each_member(json::Value& root, json::Value& at, Visit visit, const std::string& path = "") {
  if (auto* array = at.as_array()) {
    for (auto& item : *array) each_member(root, item, visit, path + "/*");
  } else if (auto* object = at.as_object()) {
    const bool free = path.ends_with("/settings") || path.ends_with("/attributes");  // names of their own
    std::vector<std::string> keys;
    for (const auto& [key, value] : *object) keys.push_back(key);
    for (const auto& key : keys) {
      if (!free) visit(*object, key, path + "/" + key);
      each_member(root, *object->find(key), visit, path + "/" + key);
    }
  }
}

json::Value full() {
  core::TenantSpec spec;
  spec.tenant = core::TenantId("t");
  spec.idps.emplace_back().attributes.push_back({"a", "b", core::AttributeType::integer, true, "c"});
  spec.idps[0].scopes = {"s"};
  spec.idps[0].allowed_hosts = {"h"};
  spec.idps[0].signals.emplace().push_tokens = {"env:T"};
  spec.targets.push_back({core::TargetId("pg/t"), {{"host", "h"}}, {{"a", true}}, {}});
  spec.roles.emplace_back().id = core::RoleId("pg/t/r");
  spec.policies.push_back({"f", "t"});
  return to_json(spec);
}

TEST(TenantJson, EveryMemberMustBeThereWithItsType) {
  json::Value root = full();
  ASSERT_TRUE(tenant_from_json(root).ok());
  std::size_t tried = 0;
  each_member(root, root, [&](json::Object& object, const std::string& key, const std::string& path) {
    const json::Value kept = *object.find(key);
    const json::Object before = object;
    for (const json::Value& wrong :
         {json::Value(1.5), json::Value(json::Array{json::Value(nullptr)}), json::Value(std::int64_t{-1})}) {
      *object.find(key) = wrong;
      const auto refused = tenant_from_json(root);
      ASSERT_FALSE(refused.ok()) << path;
      EXPECT_EQ(refused.error().check, "tenant.shape");
      ++tried;
    }
    object.erase(key);
    // What stores of an earlier version do not have.
    const bool later = key == "id_token_signed_response_alg" || key == "revalidate_ms" || key == "consent" ||
                       path == "/idps/*/signals";
    EXPECT_EQ(tenant_from_json(root).ok(), later) << path << " missing";
    object = before;
    object.set("surplus", 1);
    EXPECT_FALSE(tenant_from_json(root).ok()) << path << " beside a surplus member";
    object = before;
    ASSERT_EQ(*object.find(key), kept);
  });
  EXPECT_GT(tried, 120U);
  EXPECT_TRUE(tenant_from_json(root).ok());
}

TEST(TenantJson, OtherVersionsAreNotGuessedAt) {
  json::Value root = full();
  *root.as_object()->find("v") = 2;
  const auto refused = tenant_from_json(root);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("/v is not 1"));
}

TEST(TenantJson, SaysWhereItIsDamaged) {
  json::Value root = full();
  json::Value& rule =
      (*(*root.as_object()->find("idps")->as_array())[0].as_object()->find("attributes")->as_array())[0];
  *rule.as_object()->find("type") = "int";
  EXPECT_THAT(tenant_from_json(root).error().message, HasSubstr("/idps/0/attributes/0/type is no known word"));
  for (const json::Value& other : {json::Value(), json::Value("x"), json::Value(json::Array{})})
    EXPECT_FALSE(tenant_from_json(other).ok());
}

}  // namespace
}  // namespace daypass::config
