// For this room's tests: drivers that accept everything and do nothing, and a tenant from texts.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "engine/world.h"

namespace daypass::engine::test {

class NoTarget final : public target::Target {
 public:
  [[nodiscard]] target::Caps caps() const override { return {}; }
  base::Result<std::string> provision(const target::Provision&, base::Millis) override { return std::string("{}"); }
  base::Status revoke(const target::Account&, const std::vector<core::RoleSpec>&, std::string_view,
                      base::Millis) override {
    return {};
  }
  base::Result<core::Presence> verify(const target::Account&, std::string_view, base::Millis) override {
    return core::Presence::absent;
  }
  base::Result<std::vector<target::Owned>> list_owned(base::Millis) override { return std::vector<target::Owned>(); }
  base::Result<std::vector<target::Stranger>> list_strangers(base::Millis) override {
    return std::vector<target::Stranger>();
  }
  base::Result<std::vector<target::Holdings>> holdings(const std::vector<core::RoleSpec>& roles,
                                                       base::Millis) override {
    return std::vector<target::Holdings>(roles.size());
  }
  base::Result<std::vector<target::Finding>> check(const std::vector<core::RoleSpec>&, base::Millis) override {
    return std::vector<target::Finding>();
  }
  base::Result<std::string> server_identity(base::Millis) override { return std::string("x"); }
  [[nodiscard]] target::Upstream upstream(const std::string&, base::Secret) const override { return {}; }
};

class NoTargetDriver final : public target::Driver {
 public:
  int made = 0;
  [[nodiscard]] std::string kind() const override { return "pg"; }
  [[nodiscard]] base::Status validate(const core::TargetSpec&, const std::vector<core::RoleSpec>&) const override {
    return {};
  }
  base::Result<std::shared_ptr<target::Target>> make(const core::TenantId&, const core::TargetSpec&) override {
    ++made;
    return std::shared_ptr<target::Target>(std::make_shared<NoTarget>());
  }
};

class NoIdp final : public idp::IdentityProvider {
 public:
  base::Result<idp::Begun> begin(const idp::LoginStart&, idp::Millis) override { return idp::Begun{}; }
  base::Result<idp::Finished> finish(const idp::Callback&, const base::json::Value&, idp::Millis) override {
    return idp::Finished{};
  }
  base::Status probe(idp::Millis) override { return {}; }
};

class NoIdpDriver final : public idp::Driver {
 public:
  [[nodiscard]] std::string protocol() const override { return "oidc"; }
  [[nodiscard]] base::Status validate(const core::IdpSpec&) const override { return {}; }
  base::Result<std::shared_ptr<idp::IdentityProvider>> make(const core::TenantId&, const core::IdpSpec&) override {
    return std::shared_ptr<idp::IdentityProvider>(std::make_shared<NoIdp>());
  }
};

inline Catalog catalog() {
  Catalog c;
  c.idps.emplace("oidc", std::make_shared<NoIdpDriver>());
  c.targets.emplace("pg", std::make_shared<NoTargetDriver>());
  return c;
}

/// Two identity providers that map `level`, two targets; pg/orders: reader, writer (20 min cap), schema (elevated);
/// pg/stock: reader.
inline core::TenantSpec spec(const std::string& policies) {
  core::TenantSpec s;
  s.tenant = core::TenantId("default");
  s.version = 4;
  for (const char* name : {"corp", "partner"}) {
    core::IdpSpec idp;
    idp.name = name;
    idp.attributes.push_back({"level", "level", core::AttributeType::integer, false, ""});
    s.idps.push_back(idp);
  }
  for (const char* name : {"pg/orders", "pg/stock"}) {
    core::TargetSpec target;
    target.id = core::TargetId(name);
    target.attributes = {{"env", std::string(target.id.str() == "pg/orders" ? "prod" : "test")}};
    target.limits = {std::chrono::minutes(30), std::chrono::minutes(10), 3};
    s.targets.push_back(target);
  }
  const auto role = [&](const char* name) -> core::RoleSpec& {
    core::RoleSpec r;
    r.id = core::RoleId(name);
    r.attributes = {{"team", std::string("sales")}};
    s.roles.push_back(r);
    return s.roles.back();
  };
  role("pg/orders/reader");
  role("pg/orders/writer").duration_cap = std::chrono::minutes(20);
  role("pg/orders/schema").elevated = true;
  role("pg/stock/reader");
  s.policies.push_back({"policies/p.cedar", policies});
  return s;
}

inline std::shared_ptr<const Tenant> tenant(const std::string& policies) {
  const Compiled compiled = compile(spec(policies), catalog());
  for (const auto& problem : compiled.problems) ADD_FAILURE() << problem.render();
  return compiled.tenant;
}

inline core::Identity person(const std::string& idp, const std::string& subject, std::set<std::string> groups) {
  core::Identity who;
  who.tenant = core::TenantId("default");
  who.idp = idp;
  who.subject = subject;
  who.groups = std::move(groups);
  return who;
}

}  // namespace daypass::engine::test
