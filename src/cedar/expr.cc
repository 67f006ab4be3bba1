#include "cedar/expr.h"

#include <string.h>  // memmem is not in <cstring>

#include <algorithm>
#include <unordered_map>

namespace daypass::cedar {
namespace {

constexpr FunctionInfo all_functions[] = {
    {Function::contains, "contains", true, 2},
    {Function::contains_all, "containsAll", true, 2},
    {Function::contains_any, "containsAny", true, 2},
    {Function::is_empty, "isEmpty", true, 1},
    {Function::get_tag, "getTag", true, 2},
    {Function::has_tag, "hasTag", true, 2},
    {Function::decimal, "decimal", false, 1},
    {Function::decimal_less, "lessThan", true, 2},
    {Function::decimal_less_equal, "lessThanOrEqual", true, 2},
    {Function::decimal_greater, "greaterThan", true, 2},
    {Function::decimal_greater_equal, "greaterThanOrEqual", true, 2},
    {Function::ip, "ip", false, 1},
    {Function::is_ipv4, "isIpv4", true, 1},
    {Function::is_ipv6, "isIpv6", true, 1},
    {Function::is_loopback, "isLoopback", true, 1},
    {Function::is_multicast, "isMulticast", true, 1},
    {Function::is_in_range, "isInRange", true, 2},
    {Function::datetime, "datetime", false, 1},
    {Function::offset, "offset", true, 2},
    {Function::duration_since, "durationSince", true, 2},
    {Function::to_date, "toDate", true, 1},
    {Function::to_time, "toTime", true, 1},
    {Function::duration, "duration", false, 1},
    {Function::to_milliseconds, "toMilliseconds", true, 1},
    {Function::to_seconds, "toSeconds", true, 1},
    {Function::to_minutes, "toMinutes", true, 1},
    {Function::to_hours, "toHours", true, 1},
    {Function::to_days, "toDays", true, 1},
};

// info() indexes by the enumerator.
consteval bool in_enum_order() {
  for (std::size_t i = 0; i < std::size(all_functions); ++i)
    if (static_cast<std::size_t>(all_functions[i].function) != i) return false;
  return true;
}
static_assert(in_enum_order());

}  // namespace

std::span<const FunctionInfo> functions() noexcept {
  return all_functions;
}

const FunctionInfo* find_function(std::string_view name) noexcept {
  const auto* found = std::find_if(std::begin(all_functions), std::end(all_functions),
                                   [&](const FunctionInfo& f) { return f.name == name; });
  return found == std::end(all_functions) ? nullptr : found;
}

const FunctionInfo& info(Function function) noexcept {
  return all_functions[static_cast<std::size_t>(function)];
}

bool Pattern::matches(std::string_view text) const noexcept {
  const std::string& head = segments.front();
  if (segments.size() == 1) return text == head;
  const std::string& tail = segments.back();
  if (text.size() < head.size() + tail.size() || !text.starts_with(head) || !text.ends_with(tail)) return false;
  text = text.substr(head.size(), text.size() - head.size() - tail.size());
  // Between wildcards the leftmost place is always a right one. memmem, because std::search is quadratic.
  for (std::size_t i = 1; i + 1 < segments.size(); ++i) {
    const std::string& segment = segments[i];
    if (segment.empty()) continue;
    if (text.empty()) return false;
    const void* at = memmem(text.data(), text.size(), segment.data(), segment.size());
    if (at == nullptr) return false;
    text.remove_prefix(static_cast<std::size_t>(static_cast<const char*>(at) - text.data()) + segment.size());
  }
  return true;
}

std::optional<ExprId> ExprTree::add(Op op, Span span, std::span<const ExprId> kids) {
  Node node;
  node.op = op;
  node.span = span;
  node.first_kid = static_cast<std::uint32_t>(kids_.size());
  node.kid_count = static_cast<std::uint32_t>(kids.size());
  for (const ExprId kid : kids) node.height = std::max(node.height, static_cast<std::uint16_t>(nodes_[kid].height + 1));
  if (node.height > max_nesting) return std::nullopt;
  kids_.insert(kids_.end(), kids.begin(), kids.end());
  nodes_.push_back(node);
  return static_cast<ExprId>(nodes_.size() - 1);
}

std::optional<ExprId> ExprTree::add_named(Op op, Span span, std::span<const ExprId> kids,
                                          std::vector<std::string> names) {
  const auto e = add(op, span, kids);
  if (!e) return e;
  nodes_[*e].extra = static_cast<std::uint32_t>(names_.size());
  nodes_[*e].name_count = static_cast<std::uint32_t>(names.size());
  names_.insert(names_.end(), std::make_move_iterator(names.begin()), std::make_move_iterator(names.end()));
  return e;
}

std::optional<ExprId> ExprTree::add_call(Function function, Span span, std::span<const ExprId> kids) {
  const auto e = add(Op::call, span, kids);
  if (e) nodes_[*e].extra = static_cast<std::uint32_t>(function);
  return e;
}

std::optional<ExprId> ExprTree::add_like(Span span, ExprId text, Pattern pattern) {
  const auto e = add(Op::like, span, std::span(&text, 1));
  if (!e) return e;
  nodes_[*e].extra = static_cast<std::uint32_t>(patterns_.size());
  patterns_.push_back(std::move(pattern));
  return e;
}

void ExprTree::clear() noexcept {
  nodes_.clear();
  kids_.clear();
  values_.clear();
  patterns_.clear();
  names_.clear();
}

ExprTree ExprTree::take() {
  const auto moved = [](auto& from, auto& to) {
    to.reserve(from.size());
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
    from.clear();
  };
  ExprTree out;
  moved(nodes_, out.nodes_);
  moved(kids_, out.kids_);
  moved(values_, out.values_);
  moved(patterns_, out.patterns_);
  moved(names_, out.names_);
  return out;
}

ExprId ExprTree::add_literal(Span span, Value value) {
  const ExprId e = *add(Op::literal, span, {});
  nodes_[e].extra = static_cast<std::uint32_t>(values_.size());
  values_.push_back(std::move(value));
  return e;
}

}  // namespace daypass::cedar
