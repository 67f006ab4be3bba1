// What is kept of people and groups that a provider tells us of (SCIM 2.0): one table of attributes, from which
// requests are read, filters and paths are judged, and /Schemas is answered. What nobody here would use is not kept.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/json.h"

namespace daypass::idp::scim {

namespace json = base::json;

enum class Kind : std::uint8_t { user, group };
enum class Type : std::uint8_t { string, boolean, reference, complex };

/// RFC 7643 section 2.2, as far as it is needed.
struct Attribute {
  std::string_view name;
  Type type = Type::string;
  std::string_view description;
  std::span<const Attribute> sub = {};  ///< of a complex one
  bool many = false;                    ///< multi-valued
  bool required = false;
  bool case_exact = false;
  bool unique = false;
};

struct Schema {
  std::string_view urn;
  std::string_view name;
  std::string_view description;
  Kind kind;
  bool extension = false;
  std::span<const Attribute> attributes;
};

inline constexpr std::string_view user_urn = "urn:ietf:params:scim:schemas:core:2.0:User",
                                  group_urn = "urn:ietf:params:scim:schemas:core:2.0:Group",
                                  enterprise_urn = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

std::span<const Schema> schemas() noexcept;
const Schema& core_schema(Kind kind) noexcept;
/// Names of attributes are compared without regard to case (RFC 7643 section 2.1). Null: there is none.
const Attribute* find(std::span<const Attribute> among, std::string_view name) noexcept;
/// Attributes of the standard that providers send and that are not kept: what is said of them is heard and forgotten.
bool not_kept(Kind kind, std::string_view name) noexcept;
/// ASCII letters only: SCIM's names are ASCII, and a person's name is only compared with itself.
bool same_word(std::string_view a, std::string_view b) noexcept;
std::string folded(std::string_view text);

/// The answers to /Schemas, /ResourceTypes and /ServiceProviderConfig; `base` is the URL before them. `id` not empty:
/// the one of that name, null when there is none.
json::Value schemas_document(std::string_view base, std::string_view id);
json::Value resource_types_document(std::string_view base, std::string_view id);
json::Value provider_document(std::string_view base);

}  // namespace daypass::idp::scim
