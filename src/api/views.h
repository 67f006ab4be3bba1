// How core values look in the API's JSON. Times are RFC 3339 UTC, durations are texts like "1h30m".
#pragma once

#include "core/decision.h"
#include "core/grant.h"
#include "engine/engine.h"

namespace daypass::api {

base::json::Value view(const engine::Revalidated& answer);
/// The texts of a folder, by name, as a request's body holds them. Error: "body.files". (admin.cc)
base::Result<std::map<std::string, std::string>> files_of(const base::json::Value& body);

base::json::Value view(const engine::LoginSession& session);
base::json::Value view(const core::Grant& grant, base::WallTime now);
base::json::Value view(const core::RoleDecision& decision, const core::RoleSpec* spec);
base::json::Value view(const core::Offers& offers);
base::json::Value view(const target::Finding& finding);
base::json::Value view(const engine::Simulated& s);
base::json::Value view(const engine::Applied& applied);
base::json::Value view(const engine::Trial& trial);
base::json::Value view(const std::vector<engine::DomainInfo>& domains);

}  // namespace daypass::api
