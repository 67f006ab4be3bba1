#include "idp/scim/filter.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "idp/scim/limits.h"

namespace daypass::idp::scim {

using base::Code;
using base::Error;
using base::Result;

namespace {

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '$';
}

Error bad_filter(const std::string& why) {
  return {Code::invalid, "scim.filter", "the filter " + why,
          "supported are eq, ne, co, sw, ew, pr, and, or, not, ( ) and attribute[…], on attributes of /Schemas"};
}
Error bad_path(const std::string& why) {
  return {Code::invalid, "scim.path", "the path " + why, "/Schemas lists the attributes that are kept"};
}

std::string quoted(std::string_view text) {
  return json::quote(text.substr(0, 60));
}

/// Names in front of everything that only we write.
bool server_owns(std::string_view name) {
  return same_word(name, "id") || same_word(name, "meta") || same_word(name, "schemas") || same_word(name, "groups");
}

/// One step of a name: "urn:…:User:" before it, the attribute, and what follows it.
struct Named {
  const Schema* schema = nullptr;
  bool foreign = false;  ///< of a schema that is not known here
  std::string_view rest;
};

Named split_urn(Kind kind, std::string_view text) {
  if (text.size() < 4 || !same_word(text.substr(0, 4), "urn:")) return {&core_schema(kind), false, text};
  for (const auto& schema : schemas()) {
    const std::string_view urn = schema.urn;
    if (schema.kind != kind || text.size() < urn.size() || !same_word(text.substr(0, urn.size()), urn)) continue;
    if (text.size() == urn.size()) return {&schema, false, {}};
    if (text[urn.size()] == ':') return {&schema, false, text.substr(urn.size() + 1)};
  }
  return {nullptr, true, text};
}

}  // namespace

/// Recursive descent over one text; depth and terms are counted, so that work is bounded by the limits alone.
class Parser {
 public:
  Parser(Kind kind, std::string_view text) : kind_(kind), text_(text) {}

  Result<Filter> filter(const Attribute* within) {
    within_ = within;
    DP_TRY(Filter out, any_of());
    return out;
  }
  /// attribute, then [ … ], then .part.
  Result<Path> path(bool in_filter) {
    std::size_t end = at_;
    while (end < text_.size() && (is_name_char(text_[end]) || text_[end] == ':' || text_[end] == '.')) ++end;
    const std::string_view whole = text_.substr(at_, end - at_);
    if (whole.empty()) return bad_path("has no name at " + quoted(text_.substr(at_)));
    at_ = end;
    Path out;
    std::string_view name = whole, part;
    if (within_ != nullptr) {
      out.schema = &core_schema(kind_);
      out.attribute = within_;
      out.sub = find(within_->sub, whole);
      if (out.sub == nullptr)
        return bad_path("names " + quoted(whole) + ", which " + std::string(within_->name) + " has not");
      return out;
    }
    const Named named = split_urn(kind_, whole);
    if (named.foreign) {
      if (in_filter) return bad_path("names " + quoted(whole) + ", which is not kept");
      // Of a schema that nobody here knows: heard and forgotten, brackets and all.
      at_ = text_.size();
      return Path{};
    }
    out.schema = named.schema;
    name = named.rest;
    if (name.empty()) {
      if (in_filter || !named.schema->extension) return bad_path("names a schema where an attribute belongs");
      return out;
    }
    if (const std::size_t dot = name.find('.'); dot != std::string_view::npos) {
      part = name.substr(dot + 1);
      name = name.substr(0, dot);
    }
    if (server_owns(name) && !out.schema->extension) {
      out.is_id = same_word(name, "id") && part.empty();
      if (in_filter && out.is_id) return out;
      if (in_filter) return bad_path("names " + quoted(name) + ", which can't be searched");
      return Error{Code::invalid, "scim.mutability", quoted(name) + " is not the client's to change"};
    }
    out.attribute = find(out.schema->attributes, name);
    if (out.attribute == nullptr) {
      if (in_filter || !not_kept(kind_, name)) return bad_path("names " + quoted(whole) + ", which does not exist");
      at_ = text_.size();
      return Path{};
    }
    if (peek() == '[') {
      if (!out.attribute->many || !part.empty()) return bad_path("has brackets behind " + quoted(whole));
      ++at_;
      if (++depth_ > max_filter_depth) return bad_filter("is nested too deeply");
      const Attribute* const outer = std::exchange(within_, out.attribute);
      auto inside = any_of();
      within_ = outer;
      --depth_;
      if (!inside.ok()) return std::move(inside).error();
      skip();
      if (peek() != ']') return bad_path("has no ] behind its brackets");
      ++at_;
      out.where = std::make_shared<const Filter>(std::move(*inside));
      if (peek() == '.') {
        const std::size_t from = ++at_;
        while (at_ < text_.size() && is_name_char(text_[at_])) ++at_;
        part = text_.substr(from, at_ - from);
        if (part.empty()) return bad_path("ends with a dot");
      }
    }
    if (!part.empty()) {
      out.sub = find(out.attribute->sub, part);
      if (out.sub == nullptr)
        return bad_path("names " + quoted(part) + ", which " + std::string(out.attribute->name) + " has not");
    }
    return out;
  }
  [[nodiscard]] bool at_end() {
    skip();
    return at_ == text_.size();
  }
  [[nodiscard]] std::string rest() const { return quoted(text_.substr(at_)); }

 private:
  void skip() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  [[nodiscard]] char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  /// A word of the language: letters, and no name goes on behind it.
  bool take_word(std::string_view word) {
    if (text_.size() - at_ < word.size() || !same_word(text_.substr(at_, word.size()), word)) return false;
    const std::size_t end = at_ + word.size();
    if (end < text_.size() && (is_name_char(text_[end]) || text_[end] == '.' || text_[end] == ':')) return false;
    at_ = end;
    return true;
  }

  Result<Filter> any_of() { return several(Filter::Op::any, "or"); }
  Result<Filter> all_of() { return several(Filter::Op::all, "and"); }
  Result<Filter> several(Filter::Op op, std::string_view word) {
    Filter out;
    out.op_ = op;
    do {
      auto one = op == Filter::Op::any ? all_of() : single();
      if (!one.ok()) return one;
      out.inner_.push_back(std::move(*one));
      skip();
    } while (take_word(word));
    if (out.inner_.size() == 1) {
      Filter only = std::move(out.inner_.front());
      return only;
    }
    return out;
  }
  Result<Filter> single() {
    skip();
    if (++terms_ > max_filter_terms) return bad_filter("has more than " + std::to_string(max_filter_terms) + " terms");
    const std::size_t before = at_;
    const bool negated = take_word("not");
    if (negated) skip();
    if (peek() == '(') {
      ++at_;
      if (++depth_ > max_filter_depth) return bad_filter("is nested too deeply");
      auto inside = any_of();
      --depth_;
      if (!inside.ok()) return inside;
      skip();
      if (peek() != ')') return bad_filter("has no ) for a (");
      ++at_;
      if (!negated) return inside;
      Filter out;
      out.op_ = Filter::Op::none;
      out.inner_.push_back(std::move(*inside));
      return out;
    }
    if (negated) at_ = before;  // an attribute of that name: there is none, and so it will be told
    return comparison();
  }
  Result<Filter> comparison() {
    Filter out;
    {
      auto found = path(true);
      // Inside a filter everything is the filter's fault.
      if (!found.ok()) return bad_filter(found.error().message.substr(found.error().message.find(' ', 4) + 1));
      out.path_ = std::move(*found);
    }
    skip();
    if (out.path_.where != nullptr && out.path_.sub == nullptr &&
        (at_ == text_.size() || peek() == ')' || peek() == ']' || ahead("and") || ahead("or"))) {
      out.op_ = Filter::Op::pr;  // attribute[filter] alone
      return out;
    }
    constexpr std::pair<std::string_view, Filter::Op> words[] = {{"eq", Filter::Op::eq}, {"ne", Filter::Op::ne},
                                                                 {"co", Filter::Op::co}, {"sw", Filter::Op::sw},
                                                                 {"ew", Filter::Op::ew}, {"pr", Filter::Op::pr}};
    const auto* const word = std::ranges::find_if(words, [&](const auto& w) { return take_word(w.first); });
    if (word == std::end(words)) return bad_filter("has no known operator at " + rest());
    out.op_ = word->second;
    if (out.op_ == Filter::Op::pr) return out;
    skip();
    DP_TRY(out.literal_, literal());
    DP_CHECK(judge(out));
    return out;
  }
  bool ahead(std::string_view word) {
    const std::size_t before = at_;
    const bool there = take_word(word);
    at_ = before;
    return there;
  }
  Result<json::Value> literal() {
    if (peek() == '"') {
      std::size_t end = at_ + 1;
      while (end < text_.size() && text_[end] != '"') end += text_[end] == '\\' ? 2 : 1;
      if (end >= text_.size()) return bad_filter("has a text without an end");
      auto text = json::parse(text_.substr(at_, end + 1 - at_));
      if (!text.ok()) return bad_filter("has a text that is no JSON string");
      at_ = end + 1;
      return text;
    }
    if (take_word("true")) return json::Value(true);
    if (take_word("false")) return json::Value(false);
    if (take_word("null")) return json::Value();
    return bad_filter("has no \"text\", true, false or null at " + rest());
  }
  /// Whether the comparison makes sense for its attribute.
  static base::Status judge(Filter& f) {
    const Attribute* compared = f.path_.sub != nullptr ? f.path_.sub : f.path_.attribute;
    // A complex attribute stands for its `value` (RFC 7643 section 2.4).
    if (compared != nullptr && compared->type == Type::complex) {
      f.path_.sub = find(compared->sub, "value");
      if (f.path_.sub == nullptr) return bad_filter("compares " + std::string(compared->name) + ", which has parts");
      compared = f.path_.sub;
    }
    const bool equality = f.op_ == Filter::Op::eq || f.op_ == Filter::Op::ne;
    if (f.literal_.is_null())
      return equality ? base::Status() : bad_filter("compares with null by more than eq and ne");
    if (compared != nullptr && compared->type == Type::boolean) {
      // Entra ID writes "True".
      if (const auto* s = f.literal_.as_string(); s != nullptr && (same_word(*s, "true") || same_word(*s, "false")))
        f.literal_ = same_word(*s, "true");
      if (f.literal_.as_bool() == nullptr || !equality)
        return bad_filter("compares " + std::string(compared->name) + ", which is true or false");
      return {};
    }
    return f.literal_.as_string() != nullptr ? base::Status() : bad_filter("compares a text with something else");
  }

  Kind kind_;
  std::string_view text_;
  std::size_t at_ = 0, depth_ = 0, terms_ = 0;
  const Attribute* within_ = nullptr;
};

Result<Path> parse_path(Kind kind, std::string_view text) {
  if (text.size() > max_filter_bytes) return bad_path("has more than " + std::to_string(max_filter_bytes) + " bytes");
  if (!base::is_utf8(text)) return bad_path("is not UTF-8");
  Parser parser(kind, text);
  DP_TRY(Path out, parser.path(false));
  if (!parser.at_end()) return bad_path("goes on with " + parser.rest());
  return out;
}

Result<Path> parse_subject_path(std::string_view text) {
  const auto path = parse_path(Kind::user, text);
  const bool good = path.ok() && path->kept() && path->attribute != nullptr && !path->attribute->many &&
                    (path->sub != nullptr ? path->sub : path->attribute)->type == Type::string;
  if (!good)
    return Error{
        Code::invalid, "scim.subject",
        "\"" + std::string(text.substr(0, 100)) + "\" is no attribute of a SCIM user that could name a person",
        "write externalId, userName or urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber"};
  return path;
}

const json::Value* at(const json::Object& resource, const Path& path) noexcept {
  if (path.is_id) return resource.find("id");
  if (!path.kept()) return nullptr;
  const json::Object* from = &resource;
  if (path.schema->extension) {
    const json::Value* extension = resource.find(path.schema->urn);
    if (extension == nullptr || path.attribute == nullptr) return extension;
    from = extension->as_object();
    if (from == nullptr) return nullptr;
  }
  const json::Value* value = from->find(path.attribute->name);
  if (value == nullptr || path.sub == nullptr || path.attribute->many) return value;
  return value->find(path.sub->name);
}

Result<Filter> Filter::parse(Kind kind, std::string_view text) {
  if (text.size() > max_filter_bytes) return bad_filter("has more than " + std::to_string(max_filter_bytes) + " bytes");
  if (!base::is_utf8(text)) return bad_filter("is not UTF-8");
  Parser parser(kind, text);
  DP_TRY(Filter out, parser.filter(nullptr));
  if (!parser.at_end()) return bad_filter("goes on with " + parser.rest());
  return out;
}

namespace {

bool compares(Filter::Op op, const Attribute* attribute, const json::Value& value, const json::Value& literal) {
  if (const auto* wanted = literal.as_bool()) return value.as_bool() != nullptr && *value.as_bool() == *wanted;
  const std::string* text = value.as_string();
  const std::string* wanted = literal.as_string();
  if (text == nullptr || wanted == nullptr) return false;
  const bool exact = attribute == nullptr || attribute->case_exact;
  const std::string a = exact ? *text : folded(*text), b = exact ? *wanted : folded(*wanted);
  switch (op) {
    case Filter::Op::eq:
    case Filter::Op::ne:  // turned round by who asks
      return a == b;
    case Filter::Op::co:
      return a.contains(b);
    case Filter::Op::sw:
      return a.starts_with(b);
    case Filter::Op::ew:
      return a.ends_with(b);
    default:
      return false;
  }
}

bool present(const json::Value* value) {
  if (value == nullptr || value->is_null()) return false;
  if (const auto* list = value->as_array()) return !list->empty();
  return true;
}

}  // namespace

bool Filter::matches(const json::Object& resource) const {
  const auto matched = [&](const Filter& f) { return f.matches(resource); };
  if (op_ == Op::all) return std::ranges::all_of(inner_, matched);
  if (op_ == Op::any) return std::ranges::any_of(inner_, matched);
  if (op_ == Op::none) return std::ranges::none_of(inner_, matched);
  const json::Value* value = at(resource, path_);
  const Attribute* compared = path_.sub != nullptr ? path_.sub : path_.attribute;
  const auto one = [&](const json::Value& element) -> bool {
    if (path_.where != nullptr && (element.as_object() == nullptr || !path_.where->matches_value(*element.as_object())))
      return false;
    const json::Value* part = path_.sub == nullptr || !path_.attribute->many ? &element : element.find(path_.sub->name);
    if (op_ == Op::pr || literal_.is_null()) return present(part);
    return part != nullptr && compares(op_, compared, *part, literal_);
  };
  bool any = false;
  if (const json::Array* list = value == nullptr ? nullptr : value->as_array())
    any = std::ranges::any_of(*list, one);
  else if (value != nullptr)
    any = one(*value);
  // `eq null` says that there is none; `ne "x"` that none is x.
  if (op_ == Op::pr) return any;
  const bool equal = literal_.is_null() ? !any : any;
  return op_ == Op::ne ? !equal : equal;
}

bool Filter::matches_value(const json::Object& value) const {
  const auto matched = [&](const Filter& f) { return f.matches_value(value); };
  if (op_ == Op::all) return std::ranges::all_of(inner_, matched);
  if (op_ == Op::any) return std::ranges::any_of(inner_, matched);
  if (op_ == Op::none) return std::ranges::none_of(inner_, matched);
  const json::Value* part = path_.sub == nullptr ? nullptr : value.find(path_.sub->name);
  if (op_ == Op::pr) return present(part);
  const bool equal = literal_.is_null() ? !present(part) : part != nullptr && compares(op_, path_.sub, *part, literal_);
  return op_ == Op::ne ? !equal : equal;
}

std::optional<std::string> Filter::must_equal(std::string_view attribute) const {
  if (op_ == Op::all) {
    for (const auto& f : inner_)
      if (auto found = f.must_equal(attribute)) return found;
    return std::nullopt;
  }
  const bool named = path_.is_id ? attribute == "id"
                                 : path_.attribute != nullptr && !path_.schema->extension && path_.sub == nullptr &&
                                       path_.attribute->name == attribute;
  if (op_ != Op::eq || !named || literal_.as_string() == nullptr) return std::nullopt;
  return *literal_.as_string();
}

bool Filter::mentions(std::string_view attribute) const {
  if (path_.attribute != nullptr && path_.attribute->name == attribute) return true;
  return std::ranges::any_of(inner_, [&](const Filter& f) { return f.mentions(attribute); });
}

std::optional<json::Object> Filter::as_value() const {
  json::Object out;
  if (op_ == Op::all) {
    for (const auto& f : inner_) {
      const auto part = f.as_value();
      if (!part) return std::nullopt;
      for (const auto& [name, value] : *part)
        if (!out.insert(name, value)) return std::nullopt;
    }
    return out;
  }
  if (op_ != Op::eq || path_.sub == nullptr || literal_.is_null()) return std::nullopt;
  out.set(std::string(path_.sub->name), literal_);
  return out;
}

}  // namespace daypass::idp::scim
