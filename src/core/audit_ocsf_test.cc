#include "core/audit_ocsf.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace daypass::core {
namespace {

namespace json = base::json;

AuditEvent event(std::string action, std::string outcome = "ok", json::Object facts = {}) {
  AuditEvent out;
  out.seq = 12;
  out.at = base::WallTime(base::Millis(1'800'000'000'123));
  out.tenant = TenantId("north");
  out.actor = "corp/ann";
  out.action = std::move(action);
  out.object = "gr_a";
  out.outcome = std::move(outcome);
  out.facts = std::move(facts);
  return out;
}

TEST(Ocsf, AGrantIsAPrivilegeThatIsAssignedAndRevoked) {
  const AuditEvent opened =
      event("grant.opened", "ok",
            {{"principal", "corp/bob"}, {"target", "pg/orders"}, {"roles", json::Array{"pg/orders/reader"}}});
  const json::Value out = to_ocsf(opened, "1.2.3");
  EXPECT_EQ(out.int_or("class_uid", 0), 3005);
  EXPECT_EQ(out.int_or("category_uid", 0), 3);
  EXPECT_EQ(out.int_or("activity_id", 0), 1);
  EXPECT_EQ(out.int_or("type_uid", 0), 300501);
  EXPECT_EQ(out.int_or("time", 0), 1'800'000'000'123);
  EXPECT_EQ(out.int_or("status_id", 0), 1);
  EXPECT_EQ(*out.pointer("/user/uid")->as_string(), "corp/bob");
  EXPECT_EQ(*out.pointer("/actor/user/uid")->as_string(), "corp/ann");
  EXPECT_EQ(*out.pointer("/privileges/0")->as_string(), "pg/orders/reader");
  EXPECT_EQ(*out.pointer("/resources/0/uid")->as_string(), "pg/orders");
  EXPECT_EQ(*out.pointer("/metadata/uid")->as_string(), "north/12");
  EXPECT_EQ(*out.pointer("/metadata/product/version")->as_string(), "1.2.3");
  EXPECT_EQ(*out.pointer("/metadata/version")->as_string(), "1.3.0");
  // What was hashed travels with it.
  EXPECT_EQ(*audit_from_canonical(out.string_or("raw_data")), opened);
  EXPECT_EQ(json::Value(to_ocsf(event("grant.closed"), "")).int_or("type_uid", 0), 300502);
}

TEST(Ocsf, ARefusedSignInNamesItsCheck) {
  AuditEvent failed = event("login.failed", "failed", {{"check", "id_token.exp"}, {"why", "it has expired"}});
  failed.actor = "daypass";
  const json::Value out = to_ocsf(failed, "");
  EXPECT_EQ(out.int_or("type_uid", 0), 300201);
  EXPECT_EQ(out.int_or("status_id", 0), 2);
  EXPECT_EQ(out.int_or("severity_id", 0), 3);
  EXPECT_EQ(out.string_or("status_code"), "id_token.exp");
  EXPECT_EQ(out.string_or("status_detail"), "it has expired");
  EXPECT_EQ(*out.pointer("/user/name")->as_string(), "unknown");
  EXPECT_EQ(*out.pointer("/actor/app_name")->as_string(), "daypass");
}

TEST(Ocsf, WhatHasNoClassIsABaseEvent) {
  const json::Value out = to_ocsf(event("weather.changed"), "");
  EXPECT_EQ(out.int_or("class_uid", -1), 0);
  EXPECT_EQ(out.int_or("type_uid", -1), 99);
  EXPECT_EQ(out.string_or("activity_name"), "weather.changed");
}

TEST(Ocsf, EveryEventHasWhatItsClassRequires) {
  for (const std::string_view action : ocsf_actions()) {
    std::string name(action);
    if (name.ends_with('*')) name.replace(name.size() - 1, 1, "logout");
    const json::Value out = to_ocsf(event(name), "");
    for (const char* key : {"metadata", "time", "category_uid", "class_uid", "activity_id", "type_uid", "severity_id"})
      EXPECT_NE(out.find(key), nullptr) << name << ": " << key;
    const std::int64_t c = out.int_or("class_uid", -1);
    EXPECT_EQ(out.int_or("type_uid", -1), c * 100 + out.int_or("activity_id", -1)) << name;
    if (c == 3001 || c == 3002 || c == 3005) EXPECT_NE(out.find("user"), nullptr) << name;
    if (c == 3002) EXPECT_NE(out.find("service"), nullptr) << name;
    if (c == 3004) EXPECT_NE(out.find("entity"), nullptr) << name;
    if (c == 3006) EXPECT_NE(out.find("group"), nullptr) << name;
  }
}

TEST(Ocsf, DocsNameEveryAction) {
  std::ifstream in("docs/audit.md");
  std::stringstream text;
  text << in.rdbuf();
  for (const std::string_view action : ocsf_actions())
    EXPECT_NE(text.str().find("`" + std::string(action) + "`"), std::string::npos) << action;
}

}  // namespace
}  // namespace daypass::core
