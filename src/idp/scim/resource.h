// People and groups as a client sends them, made canonical: known attributes only, spelled and ordered as in the table,
// of the right type, nothing empty. And the way back: as they are answered.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "idp/scim/filter.h"

namespace daypass::idp::scim {

/// What is read here, and what the canonical form holds: attributes of the core schema at the top, those of an
/// extension below its URN; no id, no members. Read-only, unknown and forgotten attributes are left out (RFC 7644
/// section 3.3). Errors: "scim.syntax" (no object, another schema, a name twice), "scim.value" (type, size, or what is
/// required).
base::Result<json::Object> read_resource(Kind kind, const json::Value& body);

/// One value of an attribute, canonical; null: it says that there is none. Error: "scim.value".
base::Result<json::Value> read_value(const Attribute& attribute, const json::Value& value);

/// The ids in `members`, in a body or in an operation; each once. Errors: "scim.value", "scim.too_many" (more than
/// `most`).
base::Result<std::vector<std::string>> read_members(const json::Value* members, std::size_t most);

/// What must hold of every resource, however it came to be. Error: "scim.value".
base::Status judge(Kind kind, const json::Object& resource);

/// The attributes in the table's order: two resources that say the same are equal.
json::Object ordered(Kind kind, const json::Object& resource);

/// Members of an object without the pointers of its container; empty text when it is not there.
std::string text_of(const json::Object& resource, std::string_view attribute);

struct Meta {
  std::string id;
  base::WallTime created{}, modified{};
};

/// `attributes` or `excludedAttributes` (RFC 7644 section 3.9), by whole attributes.
struct Projection {
  std::set<std::string> only, without;  ///< in lower case
  [[nodiscard]] bool shows(std::string_view attribute) const;
  /// Error: "scim.value".
  static base::Result<Projection> parse(const std::optional<std::string>& attributes,
                                        const std::optional<std::string>& excluded);
};

/// `base` is the URL before /Users; `members` are ids, null when they are not shown.
json::Object view(Kind kind, const json::Object& resource, const Meta& meta, const std::vector<std::string>* members,
                  const std::string& base, const Projection& projection);
std::string location(Kind kind, std::string_view id, const std::string& base);

}  // namespace daypass::idp::scim
