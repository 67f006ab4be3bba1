// Calls of the extension functions. All arguments are there before their number and types are looked at.
#include "cedar/evaluate.h"
#include "cedar/extension.h"

namespace daypass::cedar {

using base::Code;
using base::Error;
using base::Result;

namespace {

Error type_error(std::string_view expected, const Value& got) {
  return {Code::invalid, "cedar.type",
          "type error: expected " + std::string(expected) + ", got " + std::string(got.type_name())};
}

Error overflow(const FunctionInfo& function) {
  return {Code::invalid, "cedar.overflow", "`" + std::string(function.name) + "` overflows"};
}

Result<Value> construct(Function function, const Value& argument) {
  const std::string* text = argument.as_string();
  if (text == nullptr) return type_error("string", argument);
  switch (function) {
    case Function::ip:
      return Value::ipaddr(*text);
    case Function::decimal:
      return Value::decimal(*text);
    case Function::datetime:
      return Value::datetime_text(*text);
    default:
      return Value::duration_text(*text);
  }
}

Result<Value> compare_decimals(Function function, const Value& left, const Value& right) {
  const std::int64_t* a = left.as_decimal();
  const std::int64_t* b = right.as_decimal();
  if (a == nullptr) return type_error("decimal", left);
  if (b == nullptr) return type_error("decimal", right);
  switch (function) {
    case Function::decimal_less:
      return Value::boolean(*a < *b);
    case Function::decimal_less_equal:
      return Value::boolean(*a <= *b);
    case Function::decimal_greater:
      return Value::boolean(*a > *b);
    default:
      return Value::boolean(*a >= *b);
  }
}

Result<Value> ask_address(Function function, std::span<const Value> arguments) {
  const IpAddr* address = arguments[0].as_ipaddr();
  if (address == nullptr) return type_error("ipaddr", arguments[0]);
  switch (function) {
    case Function::is_ipv4:
      return Value::boolean(!address->v6);
    case Function::is_ipv6:
      return Value::boolean(address->v6);
    case Function::is_loopback:
      return Value::boolean(extension::is_loopback(*address));
    case Function::is_multicast:
      return Value::boolean(extension::is_multicast(*address));
    default:
      break;
  }
  const IpAddr* range = arguments[1].as_ipaddr();
  if (range == nullptr) return type_error("ipaddr", arguments[1]);
  return Value::boolean(extension::is_in_range(*address, *range));
}

Result<Value> ask_datetime(const FunctionInfo& function, std::span<const Value> arguments) {
  const std::int64_t* at = arguments[0].as_datetime();
  if (at == nullptr) return type_error("datetime", arguments[0]);
  std::int64_t number = 0;
  switch (function.function) {
    case Function::to_date: {
      const auto midnight = extension::to_date(*at);
      if (!midnight) return overflow(function);
      return Value::datetime(*midnight);
    }
    case Function::to_time:
      return Value::duration(std::chrono::milliseconds(extension::to_time(*at)));
    case Function::offset: {
      const std::int64_t* by = arguments[1].as_duration();
      if (by == nullptr) return type_error("duration", arguments[1]);
      if (__builtin_add_overflow(*at, *by, &number)) return overflow(function);
      return Value::datetime(number);
    }
    default: {
      const std::int64_t* since = arguments[1].as_datetime();
      if (since == nullptr) return type_error("datetime", arguments[1]);
      if (__builtin_sub_overflow(*at, *since, &number)) return overflow(function);
      return Value::duration(std::chrono::milliseconds(number));
    }
  }
}

// Whole units, rounded towards zero.
Result<Value> ask_duration(Function function, const Value& argument) {
  const std::int64_t* millis = argument.as_duration();
  if (millis == nullptr) return type_error("duration", argument);
  switch (function) {
    case Function::to_milliseconds:
      return Value::long_(*millis);
    case Function::to_seconds:
      return Value::long_(*millis / 1000);
    case Function::to_minutes:
      return Value::long_(*millis / 60'000);
    case Function::to_hours:
      return Value::long_(*millis / 3'600'000);
    default:
      return Value::long_(*millis / 86'400'000);
  }
}

}  // namespace

bool is_extension(Function function) noexcept {
  switch (function) {
    case Function::contains:
    case Function::contains_all:
    case Function::contains_any:
    case Function::is_empty:
    case Function::get_tag:
    case Function::has_tag:
      return false;
    default:
      return true;
  }
}

Result<Value> call_extension(Function function, std::span<const Value> arguments) {
  const FunctionInfo& about = info(function);
  if (arguments.size() != about.arity)
    return Error{Code::invalid, "cedar.arity",
                 "`" + std::string(about.name) + "` takes " + std::to_string(about.arity) +
                     " arguments, the receiver " + "included, not " + std::to_string(arguments.size())};
  switch (function) {
    case Function::ip:
    case Function::decimal:
    case Function::datetime:
    case Function::duration:
      return construct(function, arguments[0]);
    case Function::decimal_less:
    case Function::decimal_less_equal:
    case Function::decimal_greater:
    case Function::decimal_greater_equal:
      return compare_decimals(function, arguments[0], arguments[1]);
    case Function::is_ipv4:
    case Function::is_ipv6:
    case Function::is_loopback:
    case Function::is_multicast:
    case Function::is_in_range:
      return ask_address(function, arguments);
    case Function::offset:
    case Function::duration_since:
    case Function::to_date:
    case Function::to_time:
      return ask_datetime(about, arguments);
    case Function::to_milliseconds:
    case Function::to_seconds:
    case Function::to_minutes:
    case Function::to_hours:
    case Function::to_days:
      return ask_duration(function, arguments[0]);
    default:
      break;
  }
  return Error{Code::internal, "cedar.type", "`" + std::string(about.name) + "` is no extension function"};
}

}  // namespace daypass::cedar
