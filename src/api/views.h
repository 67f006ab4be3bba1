// How core values look in the API's JSON. Times are RFC 3339 UTC, durations are texts like "1h30m".
#pragma once

#include "core/decision.h"
#include "core/grant.h"
#include "engine/engine.h"

namespace daypass::api {

base::json::Value view(const engine::Revalidated& answer);
base::json::Value view(const engine::LoginSession& session);
base::json::Value view(const core::Grant& grant, base::WallTime now);
base::json::Value view(const core::RoleDecision& decision, const core::RoleSpec* spec);
base::json::Value view(const core::Offers& offers);
base::json::Value view(const target::Finding& finding);
base::json::Value view(const engine::Simulated& s);
base::json::Value view(const engine::Applied& applied);

}  // namespace daypass::api
