// Expressions as a tree in one arena: nodes are indexes, so that copying, walking and destroying never recurse on
// input.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cedar/value.h"

namespace daypass::cedar {

/// Byte offsets into the source text.
struct Span {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  bool operator==(const Span&) const = default;
};

enum class Op : std::uint8_t {
  literal,  // a value
  // Request variables.
  principal,
  action,
  resource,
  context,
  if_then_else,  // 3 kids
  // 2 or more kids, left to right.
  and_,
  or_,
  add,
  sub,
  mul,
  // 1 kid.
  not_,
  negate,
  // 2 kids.
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  in,
  has,       // 1 kid, path of one or more names
  like,      // 1 kid, pattern
  is,        // 1 kid, type name
  is_in,     // 2 kids, type name
  get_attr,  // 1 kid, name
  call,      // arguments, function
  set,       // elements
  record,    // members, as many names
};

/// Functions and methods. A method's receiver is its first argument.
enum class Function : std::uint8_t {
  contains,
  contains_all,
  contains_any,
  is_empty,
  get_tag,
  has_tag,
  decimal,
  decimal_less,
  decimal_less_equal,
  decimal_greater,
  decimal_greater_equal,
  ip,
  is_ipv4,
  is_ipv6,
  is_loopback,
  is_multicast,
  is_in_range,
  datetime,
  offset,
  duration_since,
  to_date,
  to_time,
  duration,
  to_milliseconds,
  to_seconds,
  to_minutes,
  to_hours,
  to_days,
};

struct FunctionInfo {
  Function function;
  std::string_view name;
  bool method;         ///< called as `receiver.name(…)`
  std::uint8_t arity;  ///< arguments, the receiver included
};
/// Every function of the language.
std::span<const FunctionInfo> functions() noexcept;
/// nullptr when there is none.
const FunctionInfo* find_function(std::string_view name) noexcept;
const FunctionInfo& info(Function function) noexcept;

/// A `like` pattern: literal segments with a wildcard between each two, so `a*b` is {"a", "b"} and `*` is {"", ""}.
/// Bytes will do: UTF-8 has no character that ends inside another.
struct Pattern {
  std::vector<std::string> segments = {""};
  /// Linear in the length of text and pattern.
  [[nodiscard]] bool matches(std::string_view text) const noexcept;
  bool operator==(const Pattern&) const = default;
};

using ExprId = std::uint32_t;

/// Immutable once parsed. A kid's id is always smaller than its parent's.
class ExprTree {
 public:
  [[nodiscard]] Op op(ExprId e) const noexcept { return nodes_[e].op; }
  [[nodiscard]] Span span(ExprId e) const noexcept { return nodes_[e].span; }
  /// 1 for a leaf; at most max_nesting.
  [[nodiscard]] std::uint16_t height(ExprId e) const noexcept { return nodes_[e].height; }
  [[nodiscard]] std::span<const ExprId> kids(ExprId e) const noexcept {
    return std::span(kids_).subspan(nodes_[e].first_kid, nodes_[e].kid_count);
  }
  [[nodiscard]] const Value& value(ExprId e) const noexcept { return values_[nodes_[e].extra]; }
  [[nodiscard]] Function function(ExprId e) const noexcept { return static_cast<Function>(nodes_[e].extra); }
  [[nodiscard]] const Pattern& pattern(ExprId e) const noexcept { return patterns_[nodes_[e].extra]; }
  /// get_attr, is, is_in: one name; has: the path; record: the keys.
  [[nodiscard]] std::span<const std::string> names(ExprId e) const noexcept {
    return std::span(names_).subspan(nodes_[e].extra, nodes_[e].name_count);
  }
  [[nodiscard]] std::size_t size() const noexcept { return nodes_.size(); }

  /// Builders: nullopt when the new node would be higher than max_nesting.
  std::optional<ExprId> add(Op op, Span span, std::span<const ExprId> kids);
  std::optional<ExprId> add_named(Op op, Span span, std::span<const ExprId> kids, std::vector<std::string> names);
  std::optional<ExprId> add_call(Function function, Span span, std::span<const ExprId> kids);
  std::optional<ExprId> add_like(Span span, ExprId text, Pattern pattern);
  ExprId add_literal(Span span, Value value);
  /// Moves what was built out, in no more memory than it needs; this is empty then and keeps its own for the next.
  [[nodiscard]] ExprTree take();
  void clear() noexcept;
  /// `( … )` around it belongs to its text.
  void widen(ExprId e, Span span) noexcept { nodes_[e].span = span; }

 private:
  struct Node {
    Op op = Op::literal;
    std::uint16_t height = 1;
    std::uint32_t kid_count = 0;
    std::uint32_t name_count = 0;
    std::uint32_t first_kid = 0;
    std::uint32_t extra = 0;  // value, pattern or first name, or the function
    Span span;
  };
  std::vector<Node> nodes_;
  std::vector<ExprId> kids_;
  std::vector<Value> values_;
  std::vector<Pattern> patterns_;
  std::vector<std::string> names_;
};

}  // namespace daypass::cedar
