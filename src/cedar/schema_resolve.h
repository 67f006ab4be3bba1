// What a schema holds once its names are resolved. Internal to the room.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "cedar/schema.h"
#include "cedar/schema_raw.h"

namespace daypass::cedar {

struct Schema::Data {
  RawSchema raw;
  TypeTable types;
  std::vector<EntityTypeInfo> entities;  // sorted by name
  std::vector<ActionInfo> actions;       // in the order of the text
  std::unordered_map<std::string, std::uint32_t> entity_index;
  std::unordered_map<EntityUid, std::uint32_t> action_index;
  std::vector<Diagnostic> warnings;
};

/// Resolves data.raw into the rest of `data`. What is wrong is reported, and then the result is of no use.
void resolve_schema(Schema::Data& data, SchemaProblems& problems, SchemaProblems& warnings,
                    const SchemaOptions& options);

}  // namespace daypass::cedar
