// Decisions: mapped attributes, entities and context go to Cedar; offers, denials and reasons come out. Pure.
#pragma once

#include "core/decision.h"
#include "engine/world.h"

namespace daypass::engine {

/// Decides `request` for `who` under the tenant's policies. An evaluation error in a forbid denies.
core::Decision decide(const Tenant& tenant, const core::Identity& who, const core::AccessRequest& request,
                      base::WallTime now);

/// The decision on every role of the tenant, elevated ones included: what `daypass ls` shows.
std::vector<core::RoleDecision> decide_all(const Tenant& tenant, const core::Identity& who,
                                           const core::AccessRequest& request, base::WallTime now);

/// Whether `who` may administer the tenant: Action::"administer" on Tenant::"<tenant>".
bool may_administer(const Tenant& tenant, const core::Identity& who, const core::AccessRequest& request,
                    base::WallTime now);

/// Why or why not: every policy whose scope could concern the role, with the conditions that held and failed.
/// With `full` false (somebody who is no administrator) only ids and outcomes and what to ask for, not the policies'
/// text; with it also the smallest change of facts that turns the verdict (flip.h), where one was found.
base::json::Value explain(const Tenant& tenant, const core::Identity& who, const core::AccessRequest& request,
                          const core::RoleId& role, base::WallTime now, bool full);

/// The facts a decision saw, enough to decide again: identity, request and time. And back.
base::json::Value facts_of(const core::Identity& who, const core::AccessRequest& request, base::WallTime at);
struct Facts {
  core::Identity who;
  core::AccessRequest request;
  base::WallTime at{};
};
base::Result<Facts> facts_from_json(const base::json::Value& value);

}  // namespace daypass::engine
