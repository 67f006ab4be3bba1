#include "cedar/value.h"

#include <algorithm>

#include "base/encoding.h"
#include "cedar/extension.h"

namespace daypass::cedar {

using base::Code;
using base::Error;
using base::Result;

namespace {

void append_utf8_escape(std::string& out, char32_t c) {
  constexpr std::string_view digits = "0123456789abcdef";
  out += "\\u{";
  bool begun = false;
  for (int shift = 20; shift >= 0; shift -= 4) {
    const unsigned digit = (static_cast<unsigned>(c) >> static_cast<unsigned>(shift)) & 15U;
    begun = begun || digit != 0 || shift == 0;
    if (begun) out += digits[digit];
  }
  out += '}';
}

std::strong_ordering order(std::string_view a, std::string_view b) noexcept {
  return a.compare(b) <=> 0;
}

std::strong_ordering order(const std::vector<Value>& a, const std::vector<Value>& b) noexcept {
  return std::lexicographical_compare_three_way(a.begin(), a.end(), b.begin(), b.end());
}

std::strong_ordering order(const Record& a, const Record& b) noexcept {
  return std::lexicographical_compare_three_way(a.begin(), a.end(), b.begin(), b.end(),
                                                [](const auto& x, const auto& y) {
                                                  const auto by_key = order(x.first, y.first);
                                                  return by_key != 0 ? by_key : x.second <=> y.second;
                                                });
}

void write(std::string& out, const Value& value) {
  const auto call = [&](std::string_view function, std::string_view argument) {
    out += function;
    out += '(';
    out += quote(argument);
    out += ')';
  };
  switch (value.kind()) {
    case Value::Kind::boolean:
      out += *value.as_bool() ? "true" : "false";
      return;
    case Value::Kind::integer:
      out += std::to_string(*value.as_long());
      return;
    case Value::Kind::string:
      out += quote(*value.as_string());
      return;
    case Value::Kind::entity:
      out += value.as_entity()->to_string();
      return;
    case Value::Kind::decimal:
      call("decimal", extension::write_decimal(*value.as_decimal()));
      return;
    case Value::Kind::ipaddr:
      call("ip", extension::write_ip(*value.as_ipaddr()));
      return;
    case Value::Kind::duration:
      call("duration", extension::write_duration(*value.as_duration()));
      return;
    case Value::Kind::datetime:
      if (const auto text = extension::write_datetime(*value.as_datetime())) {
        call("datetime", *text);
        return;
      }
      call("datetime", "1970-01-01");
      out += ".offset(";
      call("duration", extension::write_duration(*value.as_datetime()));
      out += ')';
      return;
    case Value::Kind::set: {
      out += '[';
      for (bool first = true; const Value& element : *value.as_set()) {
        if (!std::exchange(first, false)) out += ", ";
        write(out, element);
      }
      out += ']';
      return;
    }
    case Value::Kind::record: {
      out += '{';
      for (bool first = true; const auto& [key, member] : *value.as_record()) {
        if (!std::exchange(first, false)) out += ", ";
        out += quote(key);
        out += ": ";
        write(out, member);
      }
      out += '}';
      return;
    }
  }
}

template <class T, class Inner>
const T* shared(const Inner& inner) noexcept {
  const auto* pointer = std::get_if<std::shared_ptr<const T>>(&inner);
  return pointer == nullptr ? nullptr : pointer->get();
}

}  // namespace

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\0':
        out += "\\0";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
          append_utf8_escape(out, static_cast<unsigned char>(c));
        else
          out += c;
    }
  }
  return out + '"';
}

std::string EntityUid::to_string() const {
  return type + "::" + quote(id);
}

Value Value::boolean(bool value) noexcept {
  return Value(Inner(value));
}
Value Value::long_(std::int64_t value) noexcept {
  return Value(Inner(Scalar{Kind::integer, value}));
}
Value Value::string(std::string text) {
  return Value(Inner(std::make_shared<const std::string>(std::move(text))));
}
Value Value::entity(EntityUid uid) {
  return Value(Inner(std::make_shared<const EntityUid>(std::move(uid))));
}
Value Value::entity(std::string type, std::string id) {
  return entity(EntityUid{std::move(type), std::move(id)});
}
Value Value::set(std::vector<Value> elements) {
  std::sort(elements.begin(), elements.end());
  elements.erase(std::unique(elements.begin(), elements.end()), elements.end());
  return Value(Inner(std::make_shared<const std::vector<Value>>(std::move(elements))));
}
Value Value::record(Record members) {
  return Value(Inner(std::make_shared<const Record>(std::move(members))));
}
Value Value::datetime(std::int64_t unix_millis) noexcept {
  return Value(Inner(Scalar{Kind::datetime, unix_millis}));
}
Value Value::datetime(std::chrono::sys_time<std::chrono::milliseconds> t) noexcept {
  return datetime(t.time_since_epoch().count());
}
Value Value::duration(std::chrono::milliseconds d) noexcept {
  return Value(Inner(Scalar{Kind::duration, d.count()}));
}
Value Value::decimal_scaled(std::int64_t n) noexcept {
  return Value(Inner(Scalar{Kind::decimal, n}));
}
Value Value::ipaddr(const IpAddr& address) {
  return Value(Inner(std::make_shared<const IpAddr>(address)));
}

Result<Value> Value::ipaddr(std::string_view text) {
  std::string why;
  if (const auto address = extension::read_ip(text, why)) return ipaddr(*address);
  return Error{Code::invalid, "cedar.ip", "malformed IP address " + quote(text.substr(0, 64)) + ": " + why};
}
Result<Value> Value::decimal(std::string_view text) {
  std::string why;
  if (const auto n = extension::read_decimal(text, why)) return decimal_scaled(*n);
  return Error{Code::invalid, "cedar.decimal", "malformed decimal " + quote(text.substr(0, 64)) + ": " + why};
}
Result<Value> Value::datetime_text(std::string_view text) {
  std::string why;
  if (const auto ms = extension::read_datetime(text, why)) return datetime(*ms);
  return Error{Code::invalid, "cedar.datetime", "malformed datetime " + quote(text.substr(0, 64)) + ": " + why};
}
Result<Value> Value::duration_text(std::string_view text) {
  std::string why;
  if (const auto ms = extension::read_duration(text, why)) return duration(std::chrono::milliseconds(*ms));
  return Error{Code::invalid, "cedar.duration", "malformed duration " + quote(text.substr(0, 64)) + ": " + why};
}

Value::Kind Value::kind() const noexcept {
  switch (inner_.index()) {
    case 0:
      return Kind::boolean;
    case 1:
      return std::get_if<Scalar>(&inner_)->kind;
    case 2:
      return Kind::string;
    case 3:
      return Kind::entity;
    case 4:
      return Kind::set;
    case 5:
      return Kind::record;
    default:
      return Kind::ipaddr;
  }
}

std::string_view Value::type_name() const noexcept {
  constexpr std::string_view names[] = {"bool",   "long",    "string", "entity",   "set",
                                        "record", "decimal", "ipaddr", "datetime", "duration"};
  return names[static_cast<std::size_t>(kind())];
}

const std::int64_t* Value::scalar(Kind kind) const noexcept {
  const Scalar* s = std::get_if<Scalar>(&inner_);
  return s != nullptr && s->kind == kind ? &s->number : nullptr;
}
const bool* Value::as_bool() const noexcept {
  return std::get_if<bool>(&inner_);
}
const std::int64_t* Value::as_long() const noexcept {
  return scalar(Kind::integer);
}
const std::string* Value::as_string() const noexcept {
  return shared<std::string>(inner_);
}
const EntityUid* Value::as_entity() const noexcept {
  return shared<EntityUid>(inner_);
}
const std::vector<Value>* Value::as_set() const noexcept {
  return shared<std::vector<Value>>(inner_);
}
const Record* Value::as_record() const noexcept {
  return shared<Record>(inner_);
}
const IpAddr* Value::as_ipaddr() const noexcept {
  return shared<IpAddr>(inner_);
}
const std::int64_t* Value::as_decimal() const noexcept {
  return scalar(Kind::decimal);
}
const std::int64_t* Value::as_datetime() const noexcept {
  return scalar(Kind::datetime);
}
const std::int64_t* Value::as_duration() const noexcept {
  return scalar(Kind::duration);
}

bool Value::contains(const Value& element) const noexcept {
  const auto* elements = as_set();
  return elements != nullptr && std::binary_search(elements->begin(), elements->end(), element);
}

std::strong_ordering Value::operator<=>(const Value& other) const noexcept {
  const Kind mine = kind();
  if (const auto by_kind = mine <=> other.kind(); by_kind != 0) return by_kind;
  switch (mine) {
    case Kind::boolean:
      return *as_bool() <=> *other.as_bool();
    case Kind::string:
      return order(*as_string(), *other.as_string());
    case Kind::entity:
      return *as_entity() <=> *other.as_entity();
    case Kind::set:
      return as_set() == other.as_set() ? std::strong_ordering::equal : order(*as_set(), *other.as_set());
    case Kind::record:
      return as_record() == other.as_record() ? std::strong_ordering::equal : order(*as_record(), *other.as_record());
    case Kind::ipaddr:
      return *as_ipaddr() <=> *other.as_ipaddr();
    default:
      return std::get_if<Scalar>(&inner_)->number <=> std::get_if<Scalar>(&other.inner_)->number;
  }
}

bool Value::operator==(const Value& other) const noexcept {
  return (*this <=> other) == 0;
}

std::string Value::to_string() const {
  std::string out;
  write(out, *this);
  return out;
}

}  // namespace daypass::cedar
