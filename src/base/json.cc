#include "base/json.h"

#include <boost/json/basic_parser_impl.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "base/utf8.h"

namespace daypass::base::json {

Object::Object() noexcept = default;
Object::Object(const Object&) = default;
Object::Object(Object&&) noexcept = default;
Object& Object::operator=(const Object&) = default;
Object& Object::operator=(Object&&) noexcept = default;
Object::~Object() = default;
Object::Object(std::initializer_list<Member> members) {
  for (const auto& [key, value] : members) set(key, value);
}
std::size_t Object::size() const noexcept {
  return members_.size();
}
bool Object::empty() const noexcept {
  return members_.empty();
}
Members::const_iterator Object::begin() const noexcept {
  return members_.begin();
}
Members::const_iterator Object::end() const noexcept {
  return members_.end();
}
const Value* Object::find(std::string_view key) const noexcept {
  for (const auto& [k, v] : members_)
    if (k == key) return &v;
  return nullptr;
}
Value* Object::find(std::string_view key) noexcept {
  for (auto& [k, v] : members_)
    if (k == key) return &v;
  return nullptr;
}
void Object::set(std::string key, Value value) {
  if (Value* old = find(key))
    *old = std::move(value);
  else
    members_.push_back({std::move(key), std::move(value)});
}
bool Object::insert(std::string key, Value value) {
  if (find(key) != nullptr) return false;
  insert_new(std::move(key), std::move(value));
  return true;
}
void Object::insert_new(std::string key, Value value) {
  members_.push_back({std::move(key), std::move(value)});
}
void Object::erase(std::string_view key) {
  std::erase_if(members_, [&](const Member& m) { return m.key == key; });
}
bool Object::operator==(const Object& other) const noexcept {
  return members_ == other.members_;
}

const Value* Value::find(std::string_view key) const noexcept {
  const Object* object = as_object();
  return object == nullptr ? nullptr : object->find(key);
}
std::string Value::string_or(std::string_view key, std::string_view fallback) const {
  const Value* v = find(key);
  const std::string* s = v == nullptr ? nullptr : v->as_string();
  return s == nullptr ? std::string(fallback) : *s;
}
std::int64_t Value::int_or(std::string_view key, std::int64_t fallback) const {
  const Value* v = find(key);
  const std::int64_t* i = v == nullptr ? nullptr : v->as_int();
  return i == nullptr ? fallback : *i;
}
bool Value::bool_or(std::string_view key, bool fallback) const {
  const Value* v = find(key);
  const bool* b = v == nullptr ? nullptr : v->as_bool();
  return b == nullptr ? fallback : *b;
}
const Value* Value::pointer(std::string_view path) const noexcept {
  const Value* at = this;
  while (!path.empty()) {
    if (path.front() != '/') return nullptr;
    path.remove_prefix(1);
    const std::size_t end = std::min(path.find('/'), path.size());
    std::string token;
    for (std::size_t i = 0; i < end; ++i) {
      if (path[i] != '~') {
        token += path[i];
        continue;
      }
      if (i + 1 == end || (path[i + 1] != '0' && path[i + 1] != '1')) return nullptr;
      token += path[++i] == '0' ? '~' : '/';
    }
    path.remove_prefix(end);
    if (const Array* array = at->as_array()) {
      std::size_t index = 0;
      const auto [stop, error] = std::from_chars(token.data(), token.data() + token.size(), index);
      if (error != std::errc() || stop != token.data() + token.size() || index >= array->size()) return nullptr;
      if (token.size() > 1 && token.front() == '0') return nullptr;
      at = &(*array)[index];
    } else {
      at = at->find(token);
      if (at == nullptr) return nullptr;
    }
  }
  return at;
}
std::string_view Value::type_name() const noexcept {
  constexpr std::string_view names[] = {"null", "bool", "integer", "number", "string", "array", "object"};
  return names[inner_.index()];
}

namespace {

namespace bj = boost::json;

// Events of Boost.JSON's parser become our values. Work stops at the first broken limit.
struct Builder {
  // Boost's own size limits are off: ours are checked here, and name themselves.
  static constexpr std::size_t max_object_size = SIZE_MAX;
  static constexpr std::size_t max_array_size = SIZE_MAX;
  static constexpr std::size_t max_key_size = SIZE_MAX;
  static constexpr std::size_t max_string_size = SIZE_MAX;

  struct Level {
    Value container;
    std::string key;
  };

  using Take = std::function<Result<void>(std::string, Value)>;

  /// With `take`, the outermost value must be an object, and its members go there.
  explicit Builder(const Limits& limits, const Take* take = nullptr)
      : nodes_left(limits.nodes), members_max(limits.members), taker(take) {
    levels.reserve(4);
  }

  std::size_t nodes_left;
  std::size_t members_max;
  const Take* taker;
  std::size_t taken = 0;
  std::optional<Error> refused;
  std::vector<Level> levels;
  std::string text;
  Value root;
  std::string failed;  // the check's name
  std::string detail;

  bool fail(std::string check, std::string why, bj::error_code& ec) {
    failed = std::move(check);
    detail = std::move(why);
    ec = bj::make_error_code(bj::error::exception);
    return false;
  }
  bool add(Value value, bj::error_code& ec) {
    if (nodes_left == 0) return fail("json.too_many", "too many values", ec);
    --nodes_left;
    if (levels.empty()) {
      root = std::move(value);
      if (taker != nullptr && root.as_object() == nullptr)
        return fail("json.not_object", "expected an object, not a value of type " + std::string(root.type_name()), ec);
      return true;
    }
    Level& level = levels.back();
    if (taker != nullptr && levels.size() == 1 && level.container.as_object() != nullptr)
      return hand_over(std::exchange(level.key, {}), std::move(value), ec);
    if (Array* array = level.container.as_array()) {
      array->push_back(std::move(value));
      return true;
    }
    Object& object = *level.container.as_object();
    if (object.size() == members_max) return fail("json.too_many", "too many members in one object", ec);
    // Two parsers that pick different ones of two equal keys see two documents; so there must be one.
    if (object.find(level.key) != nullptr)
      return fail("json.duplicate_key", "duplicate key " + quote(level.key.substr(0, 64)), ec);
    object.insert_new(std::move(level.key), std::move(value));
    level.key.clear();
    return true;
  }
  bool hand_over(std::string key, Value value, bj::error_code& ec) {
    if (taken++ == members_max) return fail("json.too_many", "too many members in one object", ec);
    auto done = (*taker)(std::move(key), std::move(value));
    if (done.ok()) return true;
    refused = std::move(done).error();
    ec = bj::make_error_code(bj::error::exception);
    return false;
  }
  bool close(bj::error_code& ec) {
    Value done = std::move(levels.back().container);
    levels.pop_back();
    return add(std::move(done), ec);
  }

  bool on_document_begin(bj::error_code&) { return true; }
  bool on_document_end(bj::error_code&) { return true; }
  bool on_array_begin(bj::error_code&) {
    levels.push_back({Value(Array{}), {}});
    return true;
  }
  bool on_array_end(std::size_t, bj::error_code& ec) { return close(ec); }
  bool on_object_begin(bj::error_code&) {
    levels.push_back({Value(Object{}), {}});
    return true;
  }
  bool on_object_end(std::size_t, bj::error_code& ec) { return close(ec); }
  bool on_string_part(bj::string_view s, std::size_t, bj::error_code&) {
    text.append(s.data(), s.size());
    return true;
  }
  bool on_string(bj::string_view s, std::size_t, bj::error_code& ec) {
    text.append(s.data(), s.size());
    return add(Value(std::exchange(text, {})), ec);
  }
  bool on_key_part(bj::string_view s, std::size_t, bj::error_code&) {
    text.append(s.data(), s.size());
    return true;
  }
  bool on_key(bj::string_view s, std::size_t, bj::error_code&) {
    text.append(s.data(), s.size());
    levels.back().key = std::exchange(text, {});
    return true;
  }
  bool on_number_part(bj::string_view, bj::error_code&) { return true; }
  bool on_int64(std::int64_t i, bj::string_view, bj::error_code& ec) { return add(Value(i), ec); }
  bool on_uint64(std::uint64_t u, bj::string_view, bj::error_code& ec) {
    return add(Value(static_cast<double>(u)), ec);
  }
  bool on_double(double d, bj::string_view, bj::error_code& ec) { return add(Value(d), ec); }
  bool on_bool(bool b, bj::error_code& ec) { return add(Value(b), ec); }
  bool on_null(bj::error_code& ec) { return add(Value(), ec); }
  bool on_comment_part(bj::string_view, bj::error_code&) { return true; }
  bool on_comment(bj::string_view, bj::error_code&) { return true; }
};

Result<Value> parse_into(std::string_view text, const Limits& limits, const Builder::Take* take) {
  if (text.size() > limits.bytes)
    return Error{
        Code::invalid, "json.too_large",
        "JSON of " + std::to_string(text.size()) + " bytes; at most " + std::to_string(limits.bytes) + " are read"};
  bj::parse_options options;
  options.max_depth = limits.depth;
  bj::basic_parser<Builder> parser(options, limits, take);
  bj::error_code ec;
  const std::size_t consumed = parser.write_some(false, text.data(), text.size(), ec);
  Builder& built = parser.handler();
  if (!ec && consumed < text.size()) ec = bj::make_error_code(bj::error::extra_data);
  if (!ec && !parser.done()) ec = bj::make_error_code(bj::error::incomplete);
  if (!ec) return std::move(built.root);
  if (built.refused) return std::move(*built.refused);
  if (!built.failed.empty()) return Error{Code::invalid, built.failed, "JSON: " + built.detail};
  if (ec == bj::make_error_code(bj::error::too_deep))
    return Error{Code::invalid, "json.too_deep", "JSON nested deeper than " + std::to_string(limits.depth)};
  return Error{Code::invalid, "json.syntax", "not JSON: " + ec.message() + " near byte " + std::to_string(consumed)};
}

void write(std::string& out, const Value& value, int indent) {
  const bool pretty = indent >= 0;
  const auto line = [&](int depth) {
    if (pretty) {
      out += '\n';
      out.append(static_cast<std::size_t>(depth) * 2, ' ');
    }
  };
  const int inner = pretty ? indent + 1 : -1;
  if (value.is_null()) {
    out += "null";
  } else if (const bool* b = value.as_bool()) {
    out += *b ? "true" : "false";
  } else if (const auto* i = value.as_int()) {
    out += std::to_string(*i);
  } else if (const double* d = value.as_double()) {
    // JSON has no spelling for these; null is what everybody's parser takes.
    if (!std::isfinite(*d)) {
      out += "null";
      return;
    }
    char buffer[40];
    const auto [end, ec] = std::to_chars(buffer, buffer + sizeof buffer, *d);
    out.append(buffer, end);
  } else if (const auto* s = value.as_string()) {
    out += quote(*s);
  } else if (const auto* array = value.as_array()) {
    out += '[';
    bool first = true;
    for (const auto& item : *array) {
      if (!std::exchange(first, false)) out += ',';
      line(inner);
      write(out, item, inner);
    }
    if (!array->empty()) line(indent);
    out += ']';
  } else if (const auto* object = value.as_object()) {
    out += '{';
    bool first = true;
    for (const auto& [key, member] : *object) {
      if (!std::exchange(first, false)) out += ',';
      line(inner);
      out += quote(key);
      out += pretty ? ": " : ":";
      write(out, member, inner);
    }
    if (!object->empty()) line(indent);
    out += '}';
  }
}

}  // namespace

Result<Value> parse(std::string_view text, const Limits& limits) {
  return parse_into(text, limits, nullptr);
}

Result<void> parse_members(std::string_view text, const Limits& limits, const Builder::Take& take) {
  DP_CHECK(parse_into(text, limits, &take));
  return {};
}

std::string dump(const Value& value) {
  std::string out;
  write(out, value, -1);
  return out;
}
std::string dump_pretty(const Value& value) {
  std::string out;
  write(out, value, 0);
  return out + "\n";
}
std::string quote(std::string_view text) {
  std::string out = "\"";
  out.reserve(text.size() + 2);
  while (!text.empty()) {
    const char c = text.front();
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80) {
      // What a client sent may be anything; what we write is JSON, and that is UTF-8 (RFC 8259 section 8.1).
      const Utf8Step step = utf8_step(text);
      out += step.good ? text.substr(0, step.bytes) : std::string_view("\xEF\xBF\xBD");
      text.remove_prefix(step.bytes);
      continue;
    }
    text.remove_prefix(1);
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
      default:
        if (byte >= 0x20 && byte != 0x7f) {
          out += c;
        } else {
          constexpr std::string_view digits = "0123456789abcdef";
          out += "\\u00";
          out += digits[byte >> 4U];
          out += digits[byte & 15U];
        }
    }
  }
  return out + '"';
}

}  // namespace daypass::base::json
