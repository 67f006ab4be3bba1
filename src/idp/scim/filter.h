// Filters and attribute paths (RFC 7644 sections 3.4.2.2 and 3.5.2): a small strict language, bounded, without anything
// that nobody here would ask: no comparison of order, no metadata.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "idp/scim/schema.h"

namespace daypass::idp::scim {

class Filter;

/// `userName`, `name.familyName`, `emails[type eq "work"].value`, `urn:…:User:department`: what of a resource is meant.
struct Path {
  const Schema* schema = nullptr;        ///< null: something that is not kept
  const Attribute* attribute = nullptr;  ///< null: `id`, where `is_id`; else the whole extension
  std::shared_ptr<const Filter> where;   ///< which of several values
  const Attribute* sub = nullptr;
  bool is_id = false;
  [[nodiscard]] bool kept() const noexcept { return schema != nullptr; }
};

/// Errors: "scim.path" (not a path, or an attribute that does not exist: a slip must not be taken for done),
/// "scim.filter" (what is in its brackets), "scim.mutability" (id, meta, groups and schemas are not the client's).
base::Result<Path> parse_path(Kind kind, std::string_view text);

/// A path to one text of a user that could be the provider's subject: `externalId`, `userName`, `urn:…:employeeNumber`.
/// Error: "scim.subject".
base::Result<Path> parse_subject_path(std::string_view text);

/// Values at a path, or null: an attribute's own value, a list as a whole, a part.
const json::Value* at(const json::Object& resource, const Path& path) noexcept;

class Filter {
 public:
  enum class Op : std::uint8_t { all, any, none, eq, ne, co, sw, ew, pr };

  /// `id`, every attribute that is kept, and for a group its members. Error: "scim.filter".
  static base::Result<Filter> parse(Kind kind, std::string_view text);

  /// `resource` is canonical (resource.h), with its `id`, and with its members where mentions("members").
  [[nodiscard]] bool matches(const json::Object& resource) const;
  /// One value of a multi-valued complex attribute; for filters in brackets.
  [[nodiscard]] bool matches_value(const json::Object& value) const;

  /// The text that the attribute (core schema, or "id") must equal for anything to match; nullopt when that is not so
  /// simple.
  [[nodiscard]] std::optional<std::string> must_equal(std::string_view attribute) const;
  [[nodiscard]] bool mentions(std::string_view attribute) const;
  /// `type eq "work" and primary eq true` as a value that it matches; nullopt when it is anything else.
  [[nodiscard]] std::optional<json::Object> as_value() const;

 private:
  friend class Parser;
  Op op_ = Op::pr;
  std::vector<Filter> inner_;  ///< of all, any, none
  Path path_;
  json::Value literal_;
};

}  // namespace daypass::idp::scim
