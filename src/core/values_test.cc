// Names, identities, records: the values that travel through the store and back.
#include <gtest/gtest.h>

#include "core/audit.h"
#include "core/identity.h"
#include "core/ids.h"
#include "core/spec.h"

namespace daypass::core {
namespace {

TEST(Ids, HaveTheirShape) {
  base::SeededEntropy entropy(1);
  EXPECT_EQ(new_session_id(entropy).str().size(), 29U);
  EXPECT_TRUE(new_session_id(entropy).str().starts_with("ls_"));
  EXPECT_TRUE(new_credential_id(entropy).str().starts_with("dp-"));
  EXPECT_TRUE(new_connection_id(entropy).str().starts_with("cx_"));
  const TenantId tenant("default");
  const GrantId id = new_grant_id(tenant, entropy);
  const auto back = parse_grant(tenant, id.id);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(*back, id);
  EXPECT_EQ(id.str(), "default/" + id.id);
  EXPECT_NE(new_grant_id(tenant, entropy), id);
}

TEST(Ids, RefuseWhatIsNone) {
  for (const char* good : {"default", "a", "0", "acme-eu-1"}) EXPECT_TRUE(parse_tenant(good).ok()) << good;
  for (const char* bad : {"", "-a", "A", "a_b", "a/b", "..", "a b", "_system", "abcdefghijklmnopqrstuvwxyz012345"}) {
    ASSERT_FALSE(parse_tenant(bad).ok()) << bad;
    EXPECT_EQ(parse_tenant(bad).error().check, "id.tenant");
  }
  for (const char* good : {"pg/orders", "pg/o_1", "ssh/a-b"}) EXPECT_TRUE(parse_target(good).ok()) << good;
  for (const char* bad : {"pg", "/orders", "pg/", "pg/a/b", "PG/x", "pg/..", "p_g/x", "pg/a b"})
    EXPECT_FALSE(parse_target(bad).ok()) << bad;
  for (const char* good : {"pg/orders/reader", "pg/orders/r_1"}) EXPECT_TRUE(parse_role(good).ok()) << good;
  for (const char* bad : {"pg/orders", "pg/orders/", "pg//reader", "pg/a/b/c", "pg/orders/R"})
    EXPECT_FALSE(parse_role(bad).ok()) << bad;
  for (const char* bad : {"", "gr_", "gr_1", "GR_aaaaaaaaaaaaaaaaaaaaaaaaaa", "gr_aaaaaaaaaaaaaaaaaaaaaaaaa1",
                          "gr_aaaaaaaaaaaaaaaaaaaaaaaaaaa", "../../etc/passwd"}) {
    ASSERT_FALSE(parse_grant(TenantId("default"), bad).ok()) << bad;
    EXPECT_EQ(parse_grant(TenantId("default"), bad).error().code, base::Code::not_found);
  }
}

TEST(Ids, KnowTheirParts) {
  EXPECT_EQ(target_of(RoleId("pg/orders/reader")), TargetId("pg/orders"));
  EXPECT_EQ(kind_of(TargetId("pg/orders")), "pg");
}

Identity somebody() {
  Identity who;
  who.tenant = TenantId("default");
  who.idp = "corp";
  who.subject = "8f3a";
  who.kind = PrincipalKind::agent;
  who.acting_for = "corp/boss";
  who.display = "Ånn";
  who.attributes = {{"department", std::string("sales")},
                    {"level", std::int64_t{-7}},
                    {"admin", false},
                    {"projects", std::set<std::string>{"a", "b"}}};
  who.groups = {"data", "support"};
  who.auth_time = base::WallTime(base::Millis(1'790'000'000'123));
  who.acr = "urn:mfa";
  who.amr = {"pwd", "otp"};
  who.idp_sessions = {"sid-1", "sid-2"};
  who.not_after = base::WallTime(base::Millis(1'790'000'999'000));
  return who;
}

TEST(Identity, ReadsBack) {
  const auto back = identity_from_json(to_json(somebody()));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(*back, somebody());
  EXPECT_EQ(back->principal(), "corp/8f3a");
  Identity plain;
  plain.tenant = TenantId("default");
  plain.idp = "corp";
  plain.subject = "x";
  EXPECT_EQ(*identity_from_json(to_json(plain)), plain);
}

TEST(Identity, RefusesWhatIsDamaged) {
  for (const char* member : {"tenant", "idp", "subject", "kind", "attributes", "groups", "auth_time", "amr"}) {
    base::json::Value v = to_json(somebody());
    v.as_object()->erase(member);
    ASSERT_FALSE(identity_from_json(v).ok()) << member;
  }
  base::json::Value v = to_json(somebody());
  v.as_object()->set("attributes", base::json::Object{{"x", base::json::Array{1}}});
  EXPECT_FALSE(identity_from_json(v).ok());
  v.as_object()->set("attributes", base::json::Object{{"x", nullptr}});
  EXPECT_FALSE(identity_from_json(v).ok());
  v = to_json(somebody());
  v.as_object()->set("kind", 3);
  EXPECT_FALSE(identity_from_json(v).ok());
}

AuditEvent record() {
  return {7,
          base::WallTime(base::Millis(1'790'000'000'123)),
          TenantId("default"),
          "corp/8f3a",
          "grant.opened",
          "gr_x",
          "ok",
          {{"target", "pg/orders"}, {"n", 3}}};
}

TEST(Audit, HasOneSpelling) {
  const std::string bytes = canonical(record());
  const auto back = audit_from_canonical(bytes);
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(*back, record());
  EXPECT_EQ(canonical(*back), bytes);
}

TEST(Audit, RefusesEverySpellingButItsOwn) {
  const std::string bytes = canonical(record());
  EXPECT_FALSE(audit_from_canonical(" " + bytes).ok());
  EXPECT_FALSE(audit_from_canonical(bytes + "\n").ok());
  EXPECT_FALSE(audit_from_canonical("{}").ok());
  EXPECT_FALSE(audit_from_canonical("").ok());
  // Any single changed byte is either no record, or another record.
  for (std::size_t i = 0; i < bytes.size(); ++i)
    for (const char c : {'x', '"', ' ', '9', '\x80'}) {
      std::string other = bytes;
      if (other[i] == c) continue;
      other[i] = c;
      const auto read = audit_from_canonical(other);
      if (read.ok()) EXPECT_FALSE(*read == record()) << i;
    }
}

AuditEvent about_somebody() {
  AuditEvent event = record();
  event.facts = {{"target", "pg/orders"}, {"groups", base::json::Array{"a", "b"}}, {"principal", "corp/8f3a"}};
  event.covers = {{"actor", {std::string(16, 'a'), {}}},
                  {"facts.groups", {std::string(16, 'b'), {}}},
                  {"facts.principal", {std::string(16, 'c'), {}}}};
  return event;
}

TEST(Audit, WhatIsCoveredHasOneSpellingToo) {
  const std::string bytes = canonical(about_somebody());
  EXPECT_EQ(bytes.substr(0, 7), R"({"v":2,)");
  const auto back = audit_from_canonical(bytes);
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(*back, about_somebody());
  AuditEvent erased = about_somebody();
  erased.actor.clear();
  erased.covers.at("actor") = {{}, std::string(32, 'd')};
  const auto again = audit_from_canonical(canonical(erased));
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(*again, erased);
  // A digest beside the value that it stands for, a salt without one, a cover of nothing, of odd sizes.
  AuditEvent both = about_somebody();
  both.covers.at("actor") = {{}, std::string(32, 'd')};
  EXPECT_FALSE(audit_from_canonical(canonical(both)).ok());
  AuditEvent neither = about_somebody();
  neither.facts.erase("groups");
  EXPECT_FALSE(audit_from_canonical(canonical(neither)).ok());
  for (const char* name : {"object", "facts.", "", "fact"}) {
    AuditEvent odd = about_somebody();
    odd.covers.emplace(name, Cover{{}, std::string(32, 'd')});
    EXPECT_FALSE(audit_from_canonical(canonical(odd)).ok()) << name;
  }
  for (const std::size_t size : {0U, 15U, 17U}) {
    AuditEvent odd = about_somebody();
    odd.covers.at("actor").salt.resize(size, 'x');
    EXPECT_FALSE(audit_from_canonical(canonical(odd)).ok()) << size;
  }
  // No version but its own.
  std::string other = bytes;
  other.replace(5, 1, "1");
  EXPECT_FALSE(audit_from_canonical(other).ok());
  other = canonical(record());
  other.replace(5, 1, "2");
  EXPECT_FALSE(audit_from_canonical(other).ok());
}

TEST(Audit, KnowsWhatIsSaidOfPersons) {
  using Names = std::vector<std::string>;
  AuditEvent event = about_somebody();
  event.covers.clear();
  EXPECT_EQ(said_of_persons(event), (Names{"actor", "facts.groups", "facts.principal"}));
  event.actor = "daypass";
  EXPECT_EQ(said_of_persons(event), (Names{"facts.groups", "facts.principal"}));
  event.facts = {{"address", "10.0.0.7"}, {"note", "x"}};
  EXPECT_EQ(said_of_persons(event), Names{}) << "nobody knows whose";
  event.actor = "corp/8f3a";
  event.facts = {{"address", "10.0.0.7"}, {"note", ""}, {"why", "x"}};
  EXPECT_EQ(said_of_persons(event), (Names{"actor", "facts.address"}));
  event.action = "access.denied";
  EXPECT_EQ(said_of_persons(event), (Names{"actor", "facts.address", "facts.why"}));
}

TEST(Audit, KnowsWhatIsSaidOfOne) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(said_of(about_somebody(), "corp/8f3a"), (Names{"actor", "facts.groups", "facts.principal"}));
  AuditEvent event = about_somebody();
  event.actor = "corp/admin";
  EXPECT_EQ(said_of(event, "corp/8f3a"), (Names{"facts.groups", "facts.principal"}));
  EXPECT_EQ(said_of(event, "corp/admin"), (Names{"actor"}));
  event.facts.set("note", "by corp/admin.");
  event.covers.emplace("facts.note", Cover{std::string(16, 'd'), {}});
  EXPECT_EQ(said_of(event, "corp/admin"), (Names{"actor", "facts.note"})) << "named in passing";
  for (const char* longer : {"corp/admin.x", "corp/admin+ci@x", "corp/admin|1", "corp/admin:2", "corp/administrator"}) {
    AuditEvent neighbour = event;
    neighbour.actor = "corp/8f3a";
    neighbour.facts.set("note", longer);
    EXPECT_EQ(said_of(neighbour, "corp/admin"), Names{}) << longer;
  }
  for (const char* other : {"corp/adm", "corp/admin2", "orp/admin", "corp"}) EXPECT_EQ(said_of(event, other), Names{});
  event.covers.at("facts.groups") = {{}, std::string(32, 'd')};
  event.facts.erase("groups");
  EXPECT_EQ(said_of(event, "corp/8f3a"), (Names{"facts.note", "facts.principal"})) << "what is gone is gone";
}

TEST(Spec, FindsByName) {
  TenantSpec spec;
  spec.idps.emplace_back().name = "corp";
  spec.targets.emplace_back().id = TargetId("pg/orders");
  spec.roles.emplace_back().id = RoleId("pg/orders/reader");
  EXPECT_NE(spec.idp("corp"), nullptr);
  EXPECT_EQ(spec.idp("cor"), nullptr);
  EXPECT_NE(spec.target(TargetId("pg/orders")), nullptr);
  EXPECT_EQ(spec.target(TargetId("pg/order")), nullptr);
  EXPECT_NE(spec.role(RoleId("pg/orders/reader")), nullptr);
  EXPECT_EQ(spec.role(RoleId("pg/orders")), nullptr);
}

}  // namespace
}  // namespace daypass::core
