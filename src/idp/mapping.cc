#include "idp/mapping.h"

#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "idp/printable.h"

namespace daypass::idp {

using base::Code;
using base::Error;
using base::Result;
using base::json::Array;
using base::json::Object;
using base::json::Value;
using core::AttributeType;

namespace {

constexpr std::size_t max_from_bytes = 256;
constexpr std::size_t max_from_steps = 16;
constexpr std::size_t max_subject_bytes = 255;
constexpr std::size_t max_display_bytes = 256;
constexpr std::int64_t pattern_memory = std::int64_t{256} * 1024;

/// Where a value lies: steps from the top of the claims; the first names the claim.
using Path = std::vector<std::string>;

struct Pattern {
  std::shared_ptr<const RE2> re;  // null: every value fits, as it is
  bool captures = false;

  /// What the pattern makes of `text`; nullopt when it does not match as a whole.
  [[nodiscard]] std::optional<std::string> apply(const std::string& text) const {
    if (!re) return text;
    std::array<re2::StringPiece, 2> found;
    if (!re->Match(text, 0, text.size(), RE2::ANCHOR_BOTH, found.data(), captures ? 2 : 1)) return std::nullopt;
    if (!captures) return text;
    // A capture that took no part, as in "x(y)?" on "x", names nothing.
    if (found[1].data() == nullptr) return std::nullopt;
    return std::string(found[1].data(), found[1].size());
  }
};

struct Rule {
  std::string attribute;  // for messages; "groups" for the groups
  Path path;
  AttributeType type = AttributeType::string;
  bool required = false;
  bool groups = false;
  Pattern pattern;
};

std::string_view spelled(AttributeType type) {
  switch (type) {
    case AttributeType::string:
      return "a string";
    case AttributeType::integer:
      return "an integer";
    case AttributeType::boolean:
      return "true or false";
    case AttributeType::string_set:
      return "a list of strings";
  }
  return "a value";
}

std::string shown(const Path& path) {
  if (path.size() == 1) return base::json::quote(printable(path.front(), 64));
  std::string out;
  for (const auto& step : path) out += "/" + printable(step, 64);
  return base::json::quote(out);
}

Result<Path> parse_path(const std::string& from, const std::string& what) {
  if (from.empty() || from.size() > max_from_bytes)
    return Error{Code::invalid, "mapping.from",
                 "the claim that " + what + " comes from is empty or longer than 256 bytes",
                 "name a claim (groups) or give a JSON Pointer (/realm_access/roles)"};
  if (from.front() != '/') return Path{from};
  Path path;
  for (std::size_t at = 0; at < from.size();) {
    const std::size_t end = std::min(from.find('/', at + 1), from.size());
    std::string step;
    for (std::size_t i = at + 1; i < end; ++i) {
      if (from[i] != '~') {
        step += from[i];
        continue;
      }
      // RFC 6901 section 4: "~0" is "~" and "~1" is "/"; any other use of "~" is an error.
      if (i + 1 == end || (from[i + 1] != '0' && from[i + 1] != '1'))
        return Error{Code::invalid, "mapping.from",
                     "the JSON Pointer of " + what + " has a \"~\" that is neither ~0 nor ~1"};
      step += from[++i] == '0' ? '~' : '/';
    }
    path.push_back(std::move(step));
    at = end;
  }
  if (path.size() > max_from_steps)
    return Error{Code::invalid, "mapping.from", "the JSON Pointer of " + what + " has more than 16 steps"};
  return path;
}

Result<Pattern> compile_pattern(const std::string& text, const std::string& what) {
  if (text.empty()) return Pattern{};
  if (text.size() > max_pattern_bytes)
    return Error{Code::invalid, "mapping.pattern_syntax", "the pattern of " + what + " is longer than 256 bytes"};
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(pattern_memory);
  auto re = std::make_shared<const RE2>(text, options);
  if (!re->ok())
    return Error{Code::invalid, "mapping.pattern_syntax",
                 "the pattern of " + what + " is no RE2 expression: " + printable(re->error(), 128),
                 "RE2's syntax has no look-around and no back-references"};
  if (re->NumberOfCapturingGroups() > 1)
    return Error{Code::invalid, "mapping.pattern_syntax", "the pattern of " + what + " has more than one capture",
                 "write (?:…) for the groups that are not the value"};
  const bool captures = re->NumberOfCapturingGroups() == 1;
  return Pattern{std::move(re), captures};
}

bool attribute_name(std::string_view name) {
  const auto head = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (name.empty() || name.size() > 64 || !head(name.front())) return false;
  return std::ranges::all_of(name, [&](char c) { return head(c) || (c >= '0' && c <= '9'); });
}

/// What policies see of a principal without any mapping. A mapped twin could pass for the verified fact.
bool own_attribute(std::string_view name) {
  constexpr std::array<std::string_view, 10> names = {"groups", "idp",        "subject",   "display", "kind",
                                                      "tenant", "acting_for", "auth_time", "acr",     "amr"};
  return std::ranges::find(names, name) != names.end();
}

/// Claims that name a person today and somebody else tomorrow; as a key they hand over accounts (CVE-2023-3128).
bool mutable_name(std::string_view claim) {
  constexpr std::array<std::string_view, 18> names = {
      "email", "mail", "preferred_username", "upn", "unique_name", "name", "nickname", "given_name", "family_name",
      "phone_number", "login",
      // The same in SAML's attributes: mail, eduPersonPrincipalName, uid, and what AD FS and Entra ID call them.
      "urn:oid:0.9.2342.19200300.100.1.3", "urn:oid:1.3.6.1.4.1.5923.1.1.1.6", "eduPersonPrincipalName",
      "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
      "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn",
      "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name",
      "http://schemas.microsoft.com/identity/claims/displayname"};
  return std::ranges::find(names, claim) != names.end();
}

bool subject_shape(std::string_view subject) {
  return !subject.empty() && subject.size() <= max_subject_bytes &&
         std::ranges::all_of(subject, [](char c) { return c >= 0x20 && c < 0x7f; });
}

// ---- looking a claim up

enum class Where { missing, here, clash, elsewhere };

struct Found {
  Where where = Where::missing;
  const Value* value = nullptr;
  std::string note;  // for a clash: what stood in the way
};

/// A reference instead of a value: a distributed claim's endpoint, or a link (OpenID Connect Core 5.6.2).
bool is_link(const Value& value) {
  const Object* object = value.as_object();
  if (object == nullptr) return false;
  return std::ranges::any_of(*object, [](const auto& member) {
    const std::string& key = member.key;
    return key == "endpoint" || key == "JWT" || key == "access_token" || key == "href" || key == "link" ||
           key == "url" || key.starts_with("@odata.") || key.starts_with("$ref");
  });
}

/// Does the provider name `claim` as one whose value lies elsewhere? A malformed list of such names may hold any name.
bool named_elsewhere(const Value& claims, std::string_view claim) {
  const Value* names = claims.find("_claim_names");
  return names != nullptr && (names->as_object() == nullptr || names->find(claim) != nullptr);
}

bool source_marker(const Value& claims, std::string_view prefix) {
  const Object* object = claims.as_object();
  return object != nullptr && std::ranges::any_of(*object, [&](const auto& m) { return m.key.starts_with(prefix); });
}

/// Whether the value of the top-level claim `name` is held elsewhere. Entra ID says so in four ways: `_claim_names`,
/// `hasgroups`, a `groups:src1` member, and `groups` naming a source; other providers put a link in the claim's place.
bool overage(const Value& claims, const std::string& name) {
  if (named_elsewhere(claims, name) || source_marker(claims, name + ":src")) return true;
  const Value* value = claims.find(name);
  if (value == nullptr) return false;
  if (is_link(*value)) return true;
  const std::string* text = value->as_string();
  const Value* sources = claims.find("_claim_sources");
  return text != nullptr && sources != nullptr && sources->find(*text) != nullptr;
}

/// Groups may be emitted under another name ("roles"); the marker still says groups. It counts unless they are there.
bool groups_marker(const Value& claims) {
  if (named_elsewhere(claims, "groups") || source_marker(claims, "groups:")) return true;
  if (source_marker(claims, "http://schemas.microsoft.com/claims/groups.link")) return true;
  const Value* has = claims.find("hasgroups");
  return has != nullptr && !(has->as_bool() != nullptr && !*has->as_bool());
}

/// Walks the path, whatever the token says about values held elsewhere.
Found walk(const Value& claims, const Path& path) {
  const Value* at = &claims;
  Path walked;
  for (const auto& step : path) {
    if (const Array* array = at->as_array()) {
      if (step.empty() || step.size() > 6 || !std::ranges::all_of(step, [](char c) { return c >= '0' && c <= '9'; }) ||
          (step.size() > 1 && step.front() == '0'))
        return {Where::clash, nullptr,
                shown(walked) + " is a list, where an object with " + base::json::quote(printable(step, 64)) +
                    " was expected"};
      const std::size_t index = std::stoul(step);
      if (index >= array->size()) return {};
      at = &(*array)[index];
    } else if (at->as_object() != nullptr) {
      at = at->find(step);
      if (at == nullptr) return {};
    } else {
      return {Where::clash, nullptr,
              shown(walked) + " is " + std::string(at->type_name()) + ", where an object was expected"};
    }
    walked.push_back(step);
  }
  return {Where::here, at, {}};
}

Found look_up(const Value& claims, const Path& path, bool groups) {
  if (overage(claims, path.front())) return {Where::elsewhere, nullptr, {}};
  Found found = walk(claims, path);
  const bool here = found.where == Where::here;
  if (here ? is_link(*found.value) : groups && groups_marker(claims)) return {Where::elsewhere, nullptr, {}};
  return found;
}

// ---- errors of one person's claims: the person is known and refused

Error type_error(const Rule& rule, const std::string& found) {
  return Error{Code::denied, "mapping.type",
               "attribute " + rule.attribute + ": the claim " + shown(rule.path) + " must be " +
                   std::string(spelled(rule.type)) + ", and is " + found,
               "change what the identity provider sends, or the attribute's type"};
}

Error required_error(const Rule& rule, const Value& claims, const std::string& why) {
  std::string there;
  if (const Object* object = claims.as_object())
    for (const auto& [key, value] : *object) {
      if (there.size() > 300) {
        there += ", …";
        break;
      }
      there += (there.empty() ? "" : ", ") + printable(key, 48);
    }
  return Error{Code::denied, "mapping.required",
               "attribute " + rule.attribute + " is required, and the claim " + shown(rule.path) + " " + why,
               "claims that came: " + there};
}

Error overage_error(const Rule& rule) {
  return Error{Code::denied, "mapping.overage",
               "attribute " + rule.attribute + ": the identity provider does not send the claim " + shown(rule.path) +
                   " but a reference to it, because the person has too many",
               rule.groups
                   ? "let the provider send only the groups assigned to this application, or set overage = \"fetch\" "
                     "with an overage_url of your own"
                   : "let the provider put the claim itself into the ID token"};
}

struct Budget {
  std::size_t left = max_mapped_bytes;
  bool take(std::size_t n) {
    if (n > left) return false;
    left -= n;
    return true;
  }
};

Error too_large_error() {
  return Error{Code::denied, "mapping.too_large", "the mapped attributes are larger than 256 KiB in all",
               "map fewer claims, or keep what policies need with a pattern"};
}

Result<std::set<std::string>> map_set(const Rule& rule, const Value& claims, const Value& value, Budget& budget) {
  std::set<std::string> out;
  const auto add = [&](const std::string& text) -> base::Status {
    if (text.size() > max_string_bytes)
      return Error{Code::denied, "mapping.too_long",
                   "attribute " + rule.attribute + ": an entry is longer than 4096 bytes"};
    std::optional<std::string> kept = rule.pattern.apply(text);
    if (!kept) return {};
    if (rule.groups && kept->empty()) return type_error(rule, "a list that holds an empty name");
    if (!budget.take(kept->size())) return too_large_error();
    out.insert(*std::move(kept));
    if (out.size() > max_set_entries)
      return Error{Code::denied, "mapping.too_many", "attribute " + rule.attribute + " has more than 1000 entries",
                   "keep those that policies name with a pattern"};
    return {};
  };
  if (const std::string* single = value.as_string()) {
    DP_CHECK(add(*single));
  } else if (const Array* array = value.as_array()) {
    if (array->size() > max_list_entries)
      return Error{Code::denied, "mapping.too_many",
                   "attribute " + rule.attribute + ": a list of more than 16384 entries"};
    for (const auto& entry : *array) {
      const std::string* text = entry.as_string();
      if (text == nullptr) return type_error(rule, "a list that holds " + std::string(entry.type_name()));
      DP_CHECK(add(*text));
    }
  } else {
    return type_error(rule, std::string(value.type_name()));
  }
  if (out.empty() && rule.required)
    return required_error(rule, claims, rule.pattern.re ? "holds nothing that fits the pattern" : "is an empty list");
  return out;
}

Result<std::optional<core::AttributeValue>> map_one(const Rule& rule, const Value& claims, Budget& budget) {
  using Maybe = std::optional<core::AttributeValue>;
  const Found found = look_up(claims, rule.path, rule.groups);
  switch (found.where) {
    case Where::elsewhere:
      return overage_error(rule);
    case Where::clash:
      return type_error(rule, "not there: " + found.note);
    case Where::missing:
      if (rule.required) return required_error(rule, claims, "is missing");
      return Maybe{};
    case Where::here:
      break;
  }
  const Value& value = *found.value;
  switch (rule.type) {
    case AttributeType::string: {
      const std::string* text = value.as_string();
      if (text == nullptr) break;
      if (text->size() > max_string_bytes)
        return Error{Code::denied, "mapping.too_long", "attribute " + rule.attribute + " is longer than 4096 bytes"};
      std::optional<std::string> kept = rule.pattern.apply(*text);
      if (!kept && rule.required)
        return Error{Code::denied, "mapping.pattern",
                     "attribute " + rule.attribute + " is required, and the claim " + shown(rule.path) +
                         " does not fit its pattern"};
      if (!kept) return Maybe{};
      if (!budget.take(kept->size())) return too_large_error();
      return Maybe{core::AttributeValue(*std::move(kept))};
    }
    case AttributeType::integer:
      if (const auto* number = value.as_int()) return Maybe{core::AttributeValue(*number)};
      break;
    case AttributeType::boolean:
      if (const bool* truth = value.as_bool()) return Maybe{core::AttributeValue(*truth)};
      break;
    case AttributeType::string_set: {
      DP_TRY(auto set, map_set(rule, claims, value, budget));
      return Maybe{core::AttributeValue(std::move(set))};
    }
  }
  return type_error(rule, std::string(value.type_name()));
}

}  // namespace

struct Mapping::Impl {
  std::vector<Rule> rules;
  std::optional<Rule> groups;
  Path subject;
  std::optional<Path> display;
};

Result<Mapping> Mapping::compile(const core::IdpSpec& spec) {
  auto impl = std::make_shared<Impl>();
  if (spec.attributes.size() > max_attributes)
    return Error{Code::invalid, "mapping.too_many_attributes", "more than 64 attributes are mapped"};
  for (const auto& rule : spec.attributes) {
    const std::string what = "attribute " + base::json::quote(printable(rule.attribute, 64));
    if (!attribute_name(rule.attribute))
      return Error{Code::invalid, "mapping.attribute_name", what + " has no name that policies can spell",
                   "use letters, digits and _, at most 64, not beginning with a digit"};
    if (own_attribute(rule.attribute))
      return Error{Code::invalid, "mapping.attribute_name", what + " is made by Daypass itself, not by a mapping",
                   "name the attribute otherwise; groups come from groups_from"};
    if (std::ranges::any_of(impl->rules, [&](const Rule& r) { return r.attribute == rule.attribute; }))
      return Error{Code::invalid, "mapping.duplicate", what + " is mapped twice"};
    if (!rule.pattern.empty() && rule.type != AttributeType::string && rule.type != AttributeType::string_set)
      return Error{Code::invalid, "mapping.pattern_type", what + " has a pattern, which only strings can fit"};
    DP_TRY(auto path, parse_path(rule.from, what));
    DP_TRY(auto pattern, compile_pattern(rule.pattern, what));
    impl->rules.push_back({rule.attribute, std::move(path), rule.type, rule.required, false, std::move(pattern)});
  }
  if (!spec.groups_from.empty()) {
    DP_TRY(auto path, parse_path(spec.groups_from, "the groups"));
    DP_TRY(auto pattern, compile_pattern(spec.groups_pattern, "the groups"));
    impl->groups =
        Rule{"groups", std::move(path), AttributeType::string_set, spec.groups_required, true, std::move(pattern)};
  } else if (!spec.groups_pattern.empty() || spec.groups_required) {
    return Error{Code::invalid, "mapping.from", "groups_pattern and groups_required mean nothing without groups_from"};
  }
  DP_TRY(impl->subject, parse_path(spec.subject_from.empty() ? "sub" : spec.subject_from, "the subject"));
  if (mutable_name(impl->subject.back()))
    return Error{Code::invalid, "mapping.subject_from",
                 "the claim " + shown(impl->subject) + " can change or pass to another person, so it is no subject",
                 "use sub, or /oid for Entra ID; show the rest with display_from"};
  if (!spec.display_from.empty()) {
    DP_TRY(auto path, parse_path(spec.display_from, "the display name"));
    impl->display = std::move(path);
  }
  return Mapping(std::move(impl));
}

Result<Mapped> Mapping::map(const Value& claims) const {
  if (claims.as_object() == nullptr)
    return Error{Code::denied, "mapping.type", "the claims are " + std::string(claims.type_name()) + ", not an object"};
  Mapped out;
  const Found subject = walk(claims, impl_->subject);
  const std::string* text = subject.where == Where::here ? subject.value->as_string() : nullptr;
  if (text == nullptr || !subject_shape(*text))
    return Error{Code::denied, "mapping.subject",
                 "the claim " + shown(impl_->subject) + ", which names the person, is missing or no plain string",
                 "let the provider send it (Entra ID: scope profile for oid), or change subject_from"};
  out.subject = *text;

  Budget budget;
  for (const Rule& rule : impl_->rules) {
    DP_TRY(auto value, map_one(rule, claims, budget));
    if (value) out.attributes.emplace(rule.attribute, *std::move(value));
  }
  if (impl_->groups) {
    DP_TRY(auto value, map_one(*impl_->groups, claims, budget));
    if (value) out.groups = std::get<std::set<std::string>>(std::move(*value));
  }

  // A display name decides nothing, so a strange one is no reason to refuse anybody.
  const auto show = [&](const Path& path) {
    const Found found = walk(claims, path);
    const std::string* name = found.where == Where::here ? found.value->as_string() : nullptr;
    if (out.display.empty() && name != nullptr) out.display = printable(*name, max_display_bytes);
  };
  if (impl_->display) show(*impl_->display);
  show({"name"});
  show({"email"});
  if (out.display.empty()) out.display = out.subject;
  return out;
}

bool Mapping::groups_overage(const Value& claims) const {
  return impl_->groups && look_up(claims, impl_->groups->path, true).where == Where::elsewhere;
}

std::string Mapping::groups_claim() const {
  return impl_->groups && impl_->groups->path.size() == 1 ? impl_->groups->path.front() : std::string();
}

std::string Mapping::subject_claim() const {
  return impl_->subject.front();
}

Result<Mapped> map_claims(const core::IdpSpec& spec, const Value& claims) {
  DP_TRY(auto mapping, Mapping::compile(spec));
  return mapping.map(claims);
}

Value with_fetched_groups(Value claims, std::string_view groups_claim, std::vector<std::string> groups) {
  Object* object = claims.as_object();
  if (object == nullptr) return claims;
  Array list;
  for (auto& group : groups) list.emplace_back(std::move(group));
  // Every marker goes that would still say "elsewhere"; references to other claims stay.
  std::vector<std::string> markers = {"hasgroups"};
  for (const auto& [key, value] : *object)
    if (key.starts_with("groups:") || key.starts_with(std::string(groups_claim) + ":src") ||
        key.starts_with("http://schemas.microsoft.com/claims/groups.link"))
      markers.push_back(key);
  for (const auto& key : markers) object->erase(key);
  if (Value* names = object->find("_claim_names"); names != nullptr && names->as_object() != nullptr) {
    names->as_object()->erase(groups_claim);
    names->as_object()->erase("groups");
  }
  object->set(std::string(groups_claim), std::move(list));
  return claims;
}

}  // namespace daypass::idp
