// JSON as a plain value: exact integers, ordered members, duplicate keys refused, every size bounded before work is
// done.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace daypass::base::json {

class Value;
using Array = std::vector<Value>;
struct Member;
using Members = std::vector<Member>;

/// An object: members in document order, keys unique.
class Object {
 public:
  // Out of line: Member is complete only below.
  Object() noexcept;
  Object(const Object&);
  Object(Object&&) noexcept;
  Object& operator=(const Object&);
  Object& operator=(Object&&) noexcept;
  ~Object();
  Object(std::initializer_list<Member> members);
  [[nodiscard]] const Value* find(std::string_view key) const noexcept;
  [[nodiscard]] Value* find(std::string_view key) noexcept;
  /// Sets or replaces.
  void set(std::string key, Value value);
  /// Adds a member; false (and nothing done) when the key is there already.
  bool insert(std::string key, Value value);
  /// Adds a member whose key the caller knows to be new.
  void insert_new(std::string key, Value value);
  void erase(std::string_view key);
  [[nodiscard]] std::size_t size() const noexcept;
  [[nodiscard]] bool empty() const noexcept;
  [[nodiscard]] Members::const_iterator begin() const noexcept;
  [[nodiscard]] Members::const_iterator end() const noexcept;
  bool operator==(const Object& other) const noexcept;

 private:
  Members members_;
};

/// null, bool, integer (exact, int64), double, string (UTF-8), array or object.
/// An integer literal outside int64 and every literal with a fraction or exponent is a double.
class Value {
 public:
  Value() = default;
  Value(std::nullptr_t) {}                   // NOLINT(google-explicit-constructor)
  Value(bool b) : inner_(b) {}               // NOLINT(google-explicit-constructor)
  Value(std::int64_t i) : inner_(i) {}       // NOLINT(google-explicit-constructor)
  Value(int i) : inner_(std::int64_t{i}) {}  // NOLINT(google-explicit-constructor)
  Value(std::uint64_t i) : inner_(static_cast<std::int64_t>(i)) { DP_ASSERT(i <= INT64_MAX); }  // NOLINT
  Value(double d) : inner_(d) {}                         // NOLINT(google-explicit-constructor)
  Value(std::string s) : inner_(std::move(s)) {}         // NOLINT(google-explicit-constructor)
  Value(std::string_view s) : inner_(std::string(s)) {}  // NOLINT(google-explicit-constructor)
  Value(const char* s) : inner_(std::string(s)) {}       // NOLINT(google-explicit-constructor)
  Value(Array a) : inner_(std::move(a)) {}               // NOLINT(google-explicit-constructor)
  Value(Object o) : inner_(std::move(o)) {}              // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool is_null() const noexcept { return std::holds_alternative<std::monostate>(inner_); }
  [[nodiscard]] const bool* as_bool() const noexcept { return std::get_if<bool>(&inner_); }
  [[nodiscard]] const std::int64_t* as_int() const noexcept { return std::get_if<std::int64_t>(&inner_); }
  [[nodiscard]] const double* as_double() const noexcept { return std::get_if<double>(&inner_); }
  [[nodiscard]] const std::string* as_string() const noexcept { return std::get_if<std::string>(&inner_); }
  [[nodiscard]] const Array* as_array() const noexcept { return std::get_if<Array>(&inner_); }
  [[nodiscard]] const Object* as_object() const noexcept { return std::get_if<Object>(&inner_); }
  [[nodiscard]] Array* as_array() noexcept { return std::get_if<Array>(&inner_); }
  [[nodiscard]] Object* as_object() noexcept { return std::get_if<Object>(&inner_); }

  /// Member of an object, or nullptr when this is no object or has no such member.
  [[nodiscard]] const Value* find(std::string_view key) const noexcept;
  /// The string/int/bool member `key`, or `fallback` when it is missing or of another type.
  [[nodiscard]] std::string string_or(std::string_view key, std::string_view fallback = {}) const;
  [[nodiscard]] std::int64_t int_or(std::string_view key, std::int64_t fallback) const;
  [[nodiscard]] bool bool_or(std::string_view key, bool fallback) const;
  /// RFC 6901 JSON Pointer ("" is the whole value); nullptr when it leads nowhere or is malformed.
  [[nodiscard]] const Value* pointer(std::string_view path) const noexcept;
  /// "null", "bool", "integer", "number", "string", "array", "object".
  [[nodiscard]] std::string_view type_name() const noexcept;

  bool operator==(const Value& other) const noexcept { return inner_ == other.inner_; }

 private:
  std::variant<std::monostate, bool, std::int64_t, double, std::string, Array, Object> inner_;
};

/// One name and its value; decomposes as `const auto& [key, value]`.
struct Member {
  std::string key;
  Value value;
  bool operator==(const Member&) const = default;
};

struct Limits {
  std::size_t bytes = std::size_t{1} << 20U;  ///< input size
  std::size_t depth = 32;                     ///< nesting of arrays and objects
  std::size_t nodes = 100'000;                ///< values in all
  std::size_t members = 1024;                 ///< members of one object (keys are compared pairwise)
};

/// Parses one JSON text (RFC 8259; valid UTF-8; nothing but white space around it).
/// Errors: "json.too_large", "json.too_deep", "json.too_many", "json.duplicate_key", "json.syntax" (with the byte
/// offset).
Result<Value> parse(std::string_view text, const Limits& limits = {});

/// Parses one JSON object and hands its members over in document order, each once it is whole: for a caller that builds
/// something else from them. The first error of `take` ends the work and is returned; keys are the caller's to compare.
/// Errors: as parse, and "json.not_object".
Result<void> parse_members(std::string_view text, const Limits& limits,
                           const std::function<Result<void>(std::string key, Value value)>& take);

/// Compact JSON, members in their order; `pretty` indents by two spaces and ends with a newline.
std::string dump(const Value& value);
std::string dump_pretty(const Value& value);
/// `text` as a JSON string with its quotes; each maximal sequence that is not UTF-8 becomes U+FFFD.
std::string quote(std::string_view text);

}  // namespace daypass::base::json
