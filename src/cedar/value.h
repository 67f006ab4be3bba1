// Cedar values: what attributes, tags, context and expressions hold. Immutable, compared and ordered as Cedar does.
#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace daypass::cedar {

/// Values nest at most this deep when they come from JSON, and expressions when they come from text.
inline constexpr std::size_t max_nesting = 256;

/// The name of one entity: a type path ("Role", "Acme::User") and an id, which is any string.
struct EntityUid {
  std::string type;
  std::string id;

  auto operator<=>(const EntityUid&) const = default;
  bool operator==(const EntityUid&) const = default;
  /// `Type::"id"`, the id escaped as a Cedar string.
  [[nodiscard]] std::string to_string() const;
  /// `{"type": …, "id": …}`
  [[nodiscard]] base::json::Value to_json() const;
  /// Takes `{"type","id"}` and `{"__entity": {"type","id"}}`. Error: "cedar.entity_uid".
  static base::Result<EntityUid> from_json(const base::json::Value& json);
};

/// Reads `Type::"id"` (white space and comments around tokens as in policies). Error: "cedar.entity_uid".
base::Result<EntityUid> parse_entity_uid(std::string_view text);
/// True for `Ident(::Ident)*` without white space, reserved words or `__cedar`.
bool is_type_name(std::string_view text) noexcept;
/// `text` as a Cedar string literal with its quotes.
std::string quote(std::string_view text);

/// An IP address or range. The address keeps its host bits: 10.0.0.1/24 and 10.0.0.0/24 are different values.
struct IpAddr {
  bool v6 = false;
  std::uint8_t prefix = 32;                 ///< 0…32 or 0…128
  std::array<std::uint8_t, 16> bytes = {};  ///< network order; v4 uses the first four

  auto operator<=>(const IpAddr&) const = default;
};

class Value;
/// Attributes, tags, context: names are any string.
using Record = std::map<std::string, Value, std::less<>>;

/// One immutable value. Copies share their contents; safe to read from any thread.
class Value {
 public:
  enum class Kind : std::uint8_t { boolean, integer, string, entity, set, record, decimal, ipaddr, datetime, duration };

  /// `false`.
  Value() noexcept = default;
  static Value boolean(bool value) noexcept;
  static Value long_(std::int64_t value) noexcept;
  /// `text` must be UTF-8.
  static Value string(std::string text);
  static Value entity(EntityUid uid);
  static Value entity(std::string type, std::string id);
  /// Equal elements collapse to one; the order of `elements` does not matter.
  static Value set(std::vector<Value> elements);
  static Value record(Record members);
  /// Milliseconds since 1970, negative before.
  static Value datetime(std::int64_t unix_millis) noexcept;
  static Value datetime(std::chrono::sys_time<std::chrono::milliseconds> t) noexcept;
  static Value duration(std::chrono::milliseconds d) noexcept;
  /// In units of 1/10000.
  static Value decimal_scaled(std::int64_t ten_thousandths) noexcept;
  static Value ipaddr(const IpAddr& address);
  /// The language's own constructors. Errors: "cedar.ip", "cedar.decimal", "cedar.datetime", "cedar.duration".
  static base::Result<Value> ipaddr(std::string_view text);
  static base::Result<Value> decimal(std::string_view text);
  static base::Result<Value> datetime_text(std::string_view text);
  static base::Result<Value> duration_text(std::string_view text);

  [[nodiscard]] Kind kind() const noexcept;
  /// "bool", "long", "string", "entity", "set", "record", "decimal", "ipaddr", "datetime", "duration"
  [[nodiscard]] std::string_view type_name() const noexcept;
  /// nullptr when the value is of another kind.
  [[nodiscard]] const bool* as_bool() const noexcept;
  [[nodiscard]] const std::int64_t* as_long() const noexcept;
  [[nodiscard]] const std::string* as_string() const noexcept;
  [[nodiscard]] const EntityUid* as_entity() const noexcept;
  /// Sorted, without duplicates.
  [[nodiscard]] const std::vector<Value>* as_set() const noexcept;
  [[nodiscard]] const Record* as_record() const noexcept;
  [[nodiscard]] const IpAddr* as_ipaddr() const noexcept;
  [[nodiscard]] const std::int64_t* as_decimal() const noexcept;   ///< 1/10000
  [[nodiscard]] const std::int64_t* as_datetime() const noexcept;  ///< ms since 1970
  [[nodiscard]] const std::int64_t* as_duration() const noexcept;  ///< ms
  /// False when this is no set or does not hold `element`.
  [[nodiscard]] bool contains(const Value& element) const noexcept;

  /// Cedar's `==`: never fails; values of different kinds are unequal.
  bool operator==(const Value& other) const noexcept;
  /// A total order over all values, for containers. Not Cedar's `<`.
  std::strong_ordering operator<=>(const Value& other) const noexcept;

  /// Cedar syntax: `User::"alice"`, `[1, 2]`, `ip("10.0.0.0/8")`.
  [[nodiscard]] std::string to_string() const;
  /// Cedar's entity JSON: entities as `{"__entity": …}`, extension values as `{"__extn": {"fn","arg"}}`. A record that
  /// itself looks like one of those has no spelling; it comes out as `{"__expr": …}`, which from_json refuses.
  [[nodiscard]] base::json::Value to_json() const;
  /// Reads what to_json writes, and every other escape the entity JSON format allows (`args`, method names as `fn`).
  /// null, fractions and integers outside int64 are refused. Errors: "cedar.json_value", "cedar.too_deep", and those
  /// of the constructors.
  static base::Result<Value> from_json(const base::json::Value& json);

 private:
  struct Scalar {
    Kind kind;
    std::int64_t number;
    bool operator==(const Scalar&) const = default;
  };
  using Inner = std::variant<bool, Scalar, std::shared_ptr<const std::string>, std::shared_ptr<const EntityUid>,
                             std::shared_ptr<const std::vector<Value>>, std::shared_ptr<const Record>,
                             std::shared_ptr<const IpAddr>>;
  explicit Value(Inner inner) noexcept : inner_(std::move(inner)) {}
  [[nodiscard]] const std::int64_t* scalar(Kind kind) const noexcept;
  friend struct Slot;  // the compiled evaluator's view of a value

  Inner inner_;
};

/// A JSON object as a record, e.g. the context of a request. Errors as Value::from_json.
base::Result<Record> record_from_json(const base::json::Value& json);
/// The same from JSON text, without a tree in between. Errors also as base::json::parse, and "json.not_object".
base::Result<Record> record_from_json_text(std::string_view text, const base::json::Limits& limits = {});
base::json::Value record_to_json(const Record& record);

}  // namespace daypass::cedar

template <>
struct std::hash<daypass::cedar::EntityUid> {
  std::size_t operator()(const daypass::cedar::EntityUid& uid) const noexcept {
    const std::size_t type = std::hash<std::string>()(uid.type);
    return type * 31U + std::hash<std::string>()(uid.id);
  }
};
