// Entities and requests under a schema: JSON read with its types, and what does not conform refused.
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "cedar/authorize.h"
#include "cedar/entities.h"
#include "cedar/schema.h"

namespace daypass::cedar {

/// Reads entities JSON as Entities::from_json does, but where the schema says what a value is, `__entity` and `__extn`
/// may be left out: {"type", "id"} and "10.0.0.1" will do. Every entity must conform. The actions are those of the
/// schema; where the JSON has them too, they must be the same. Errors: those of Entities::from_json and check_entity.
base::Result<Entities> entities_from_json(const base::json::Value& json, const Schema& schema);

/// Errors: "cedar.entity_type" (not declared), "cedar.entity_attribute" (not declared, missing or of another type),
/// "cedar.entity_tag", "cedar.entity_parent" (its type may not be one), "cedar.enum_id" (not among an enumerated type's
/// ids, here or in a value), "cedar.entity_action" (an action that is not declared, or has attributes or tags).
base::Status check_entity(const Entity& entity, const Schema& schema);

/// Reads a request as Request::from_json does, its context with the types that the schema gives it, and checks it.
/// Errors: those of Request::from_json and check_request.
base::Result<Request> request_from_json(const base::json::Value& json, const Schema& schema);

/// Errors: "cedar.request_principal", "cedar.request_action", "cedar.request_resource" (not declared, or not for this
/// action), "cedar.request_context" (of another type), "cedar.enum_id".
base::Status check_request(const Request& request, const Schema& schema);

}  // namespace daypass::cedar
