// A schema as written, in either of its two formats: names unresolved, each part with its place. Internal to the room.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "cedar/expr.h"
#include "cedar/policy.h"
#include "cedar/schema.h"

namespace daypass::cedar {

using RawAnnotations = std::map<std::string, std::string>;

struct RawAttribute;

struct RawType {
  enum class Kind : std::uint8_t {
    boolean,
    long_,
    string,
    extension,         ///< name
    entity,            ///< name
    entity_or_common,  ///< name
    common,            ///< name
    set,               ///< element
    record,            ///< attributes
  };
  Kind kind = Kind::record;
  std::string name;
  std::vector<RawAttribute> attributes;
  std::vector<RawType> element;  ///< one, for a set
  Span span;

  [[nodiscard]] bool is_empty_record() const noexcept;
};

struct RawAttribute {
  std::string name;
  bool required = true;
  RawType type;
  RawAnnotations annotations;
  Span span;
};

inline bool RawType::is_empty_record() const noexcept {
  return kind == Kind::record && attributes.empty();
}

struct RawName {
  std::string name;
  Span span;
};

struct RawEntity {
  std::string name;
  std::vector<RawName> parents;
  RawType shape;
  std::optional<RawType> tags;
  bool enumerated = false;
  std::vector<std::string> choices;
  RawAnnotations annotations;
  Span span;
};

struct RawActionName {
  std::optional<std::string> type;
  std::string id;
  Span span;
};

struct RawAppliesTo {
  std::vector<RawName> principals;
  std::vector<RawName> resources;
  RawType context;
};

struct RawAction {
  std::string id;
  std::optional<std::vector<RawActionName>> parents;
  std::optional<RawAppliesTo> applies_to;
  RawAnnotations annotations;
  Span span;
};

struct RawCommon {
  std::string name;
  RawType type;
  RawAnnotations annotations;
  Span span;
};

struct RawNamespace {
  std::string name;  ///< "" for what stands outside all namespaces
  std::vector<RawCommon> commons;
  std::vector<RawEntity> entities;
  std::vector<RawAction> actions;
  RawAnnotations annotations;
  Span span;
};

struct RawSchema {
  std::vector<RawNamespace> namespaces;  ///< names unique
};

/// Where problems of one source go. Reporting stops at the limit.
class SchemaProblems {
 public:
  SchemaProblems(std::shared_ptr<const Source> source, std::size_t most, std::vector<Diagnostic>& out)
      : source_(std::move(source)), most_(most), out_(out) {}

  void report(Span span, std::string check, std::string message, std::string hint = {});
  [[nodiscard]] bool full() const noexcept { return out_.size() >= most_; }
  [[nodiscard]] bool empty() const noexcept { return out_.empty(); }
  /// How often report() was called.
  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] const Source& source() const noexcept { return *source_; }

 private:
  std::shared_ptr<const Source> source_;
  std::size_t most_;
  std::size_t count_ = 0;
  std::vector<Diagnostic>& out_;
};

/// Names that no common type may have, in either format.
bool is_schema_keyword(std::string_view name) noexcept;

// Readers: what is wrong is reported; the result then is what could be read.
RawSchema read_schema_text(SchemaProblems& problems);
RawSchema read_schema_json(SchemaProblems& problems, const SchemaOptions& options);

base::json::Value write_schema_json(const RawSchema& schema);
/// Error: "cedar.schema_unwritable" when the text format has no spelling for it.
base::Result<std::string> write_schema_text(const RawSchema& schema);

}  // namespace daypass::cedar
