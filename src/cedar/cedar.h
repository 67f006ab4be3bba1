// The Cedar policy language (4.5, as of engine 4.10): values, entities, policies (text and JSON), decisions and
// why they fell so, schemas and the validator.
// Owns nothing itself: this is the whole library behind one include.
#pragma once

#include "cedar/authorize.h"        // IWYU pragma: export
#include "cedar/compile.h"          // IWYU pragma: export
#include "cedar/entities.h"         // IWYU pragma: export
#include "cedar/format.h"           // IWYU pragma: export
#include "cedar/policy.h"           // IWYU pragma: export
#include "cedar/policy_json.h"      // IWYU pragma: export
#include "cedar/schema.h"           // IWYU pragma: export
#include "cedar/schema_entities.h"  // IWYU pragma: export
#include "cedar/snapshot.h"         // IWYU pragma: export
#include "cedar/validate.h"         // IWYU pragma: export
#include "cedar/value.h"            // IWYU pragma: export
