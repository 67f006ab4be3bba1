// Schemas: which entity types, attributes and actions exist, from Cedar schema text or its JSON form.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "cedar/policy.h"
#include "cedar/schema_type.h"
#include "cedar/value.h"

namespace daypass::cedar {

struct SchemaOptions {
  std::size_t max_bytes = std::size_t{4} << 20U;  ///< of the text
  std::size_t max_names = 10'000;     ///< entity types, common types and actions, each; attributes of one record
  std::size_t max_diagnostics = 100;  ///< reporting stops there
};

/// An entity type as resolved.
struct EntityTypeInfo {
  std::string name;  ///< with its namespace
  TypeId attributes = 0;
  std::optional<TypeId> tags;            ///< nullopt: entities of this type have no tags
  bool enumerated = false;               ///< then `choices` are all ids there are
  std::vector<std::string> choices;      ///< sorted
  std::vector<std::uint32_t> ancestors;  ///< types an entity of this one may be in, by index, sorted; not itself unless
                                         ///< the schema says so
};

/// An action as resolved.
struct ActionInfo {
  EntityUid uid;
  std::vector<std::uint32_t> parents;    ///< by index, as declared
  std::vector<std::uint32_t> ancestors;  ///< by index, sorted, without itself
  std::vector<std::string> principals;   ///< entity types; none: applies to nothing
  std::vector<std::string> resources;
  TypeId context = 0;
};

/// Immutable, cheap to copy, safe to read from any thread.
class Schema {
 public:
  /// Declares nothing.
  Schema();
  /// Reads Cedar schema text. All errors are found in one run and, when `diagnostics` is given, appended to it; the
  /// Error returned carries the first one's check and place. Errors: "cedar.too_large", "cedar.utf8", "cedar.syntax",
  /// "cedar.too_deep", "cedar.too_many", "cedar.reserved", "cedar.schema_duplicate", "cedar.schema_shadows",
  /// "cedar.schema_unknown_type", "cedar.schema_unknown_action", "cedar.schema_cycle", "cedar.schema_not_record",
  /// "cedar.schema_applies_to", and others of Diagnostic::check.
  static base::Result<Schema> parse(std::string_view text, std::string file, const SchemaOptions& options = {},
                                    std::vector<Diagnostic>* diagnostics = nullptr);
  /// Reads the JSON form. Errors as parse(), and "cedar.schema_json" and those of base::json::parse.
  static base::Result<Schema> parse_json(std::string_view text, std::string file, const SchemaOptions& options = {},
                                         std::vector<Diagnostic>* diagnostics = nullptr);

  /// The JSON form: names as written, not resolved.
  [[nodiscard]] base::json::Value to_json() const;
  /// Schema text that means the same. Error: "cedar.schema_unwritable" (JSON says some things that the text can't).
  [[nodiscard]] base::Result<std::string> to_text() const;
  /// What is allowed but may surprise: a type that hides another of the same name.
  [[nodiscard]] std::span<const Diagnostic> warnings() const noexcept;

  [[nodiscard]] std::span<const EntityTypeInfo> entity_types() const noexcept;
  [[nodiscard]] std::span<const ActionInfo> actions() const noexcept;
  /// nullptr when there is none of that name. Action types are no entity types in this sense.
  [[nodiscard]] const EntityTypeInfo* entity_type(std::string_view name) const noexcept;
  [[nodiscard]] const ActionInfo* action(const EntityUid& uid) const noexcept;
  /// Whether an entity of the one type may be in one of the other: the same type, or an ancestor of it.
  [[nodiscard]] bool may_be_in(std::string_view descendant, std::string_view ancestor) const noexcept;
  /// Whether the one action is the other or, by the schema, in it.
  [[nodiscard]] bool action_in(const ActionInfo& descendant, const ActionInfo& ancestor) const noexcept;
  [[nodiscard]] const TypeTable& types() const noexcept;

  struct Data;

 private:
  explicit Schema(std::shared_ptr<const Data> data) : data_(std::move(data)) {}
  std::shared_ptr<const Data> data_;
};

/// True for `Action` and `…::Action`.
bool is_action_type(std::string_view type) noexcept;

}  // namespace daypass::cedar
