#include "core/audit.h"

#include <algorithm>
#include <vector>

#include "base/encoding.h"

namespace daypass::core {

using base::Code;
using base::Error;
namespace json = base::json;

namespace {

constexpr std::size_t salt_size = 16, digest_size = 32, max_covers = 64;
/// Facts that are a person's, wherever a record has one.
constexpr std::string_view personal[] = {"address", "groups", "note", "peer", "principal"};

/// Whether `c` could go on a name: "corp/8f3a" is not named by "corp/8f3ab".
bool goes_on(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-_@/+|:=~%#").find(c) != std::string_view::npos || static_cast<unsigned char>(c) >= 0x80;
}
/// The same of what follows a name: a full stop may end a sentence.
bool goes_on(std::string_view behind) {
  return !behind.empty() && (goes_on(behind[0]) || (behind[0] == '.' && behind.size() > 1 && goes_on(behind[1])));
}
/// Whom a record is about: the one that it names, else the one who acted.
std::string person_of(const AuditEvent& event) {
  std::string named = json::Value(event.facts).string_or("principal");
  if (!named.empty()) return named;
  return is_person(event.actor) ? event.actor : std::string();
}

/// The covers in their two members: "salts" of values that are there, "sealed" for those that are not.
void add_covers(json::Object& out, const AuditEvent& event) {
  json::Object salts, sealed;
  for (const auto& [name, cover] : event.covers) {
    if (cover.digest.empty())
      salts.set(name, base::base64_encode(cover.salt));
    else
      sealed.set(name, base::hex_encode(cover.digest));
  }
  if (!salts.empty()) out.set("salts", std::move(salts));
  if (!sealed.empty()) out.set("sealed", std::move(sealed));
}

/// False: malformed.
bool read_covers(const json::Value& record, std::string_view member, AuditEvent& event) {
  const json::Value* covers = record.find(member);
  if (covers == nullptr) return true;
  if (covers->as_object() == nullptr) return false;
  for (const auto& [name, value] : *covers->as_object()) {
    if (value.as_string() == nullptr || event.covers.size() == max_covers) return false;
    const bool salt = member == "salts";
    const auto bytes = salt ? base::base64_decode(*value.as_string()) : base::hex_decode(*value.as_string());
    if (!bytes || bytes->size() != (salt ? salt_size : digest_size)) return false;
    if (name != covered_actor && (!name.starts_with(covered_fact) || name.size() == covered_fact.size())) return false;
    // What has a salt must be there, what has a digest must not.
    const bool there = name == covered_actor ? !event.actor.empty() : event.facts.find(fact_of(name)) != nullptr;
    if (there != salt) return false;
    if (!event.covers.emplace(name, salt ? Cover{*bytes, {}} : Cover{{}, *bytes}).second) return false;
  }
  return true;
}

}  // namespace

std::string fact_of(std::string_view cover) {
  return std::string(cover.substr(covered_fact.size()));
}

json::Object ordered_facts(const AuditEvent& event) {
  json::Object facts;
  for (const auto& [name, value] : event.facts)
    if (!event.covers.contains(std::string(covered_fact) + name)) facts.insert_new(name, value);
  for (const auto& [name, cover] : event.covers)
    if (name != covered_actor && cover.digest.empty())
      if (const json::Value* value = event.facts.find(fact_of(name))) facts.insert_new(fact_of(name), *value);
  return facts;
}

std::string canonical(const AuditEvent& event) {
  json::Object out{{"v", event.covers.empty() ? 1 : 2},
                   {"seq", event.seq},
                   {"at", base::to_rfc3339(event.at)},
                   {"tenant", event.tenant.str()},
                   {"actor", event.actor},
                   {"action", event.action},
                   {"object", event.object},
                   {"outcome", event.outcome},
                   {"facts", ordered_facts(event)}};
  add_covers(out, event);
  return json::dump(out);
}

base::Result<AuditEvent> audit_from_canonical(std::string_view bytes) {
  const auto damaged = [](const std::string& why) {
    return Error{Code::internal, "audit.record", "an audit record is damaged: " + why};
  };
  const auto parsed = json::parse(bytes);
  if (!parsed.ok()) return damaged(parsed.error().message);
  AuditEvent event;
  const std::int64_t version = parsed->int_or("v", 0), seq = parsed->int_or("seq", -1);
  if ((version != 1 && version != 2) || seq < 0) return damaged("version or seq");
  event.seq = static_cast<std::uint64_t>(seq);
  const auto at = base::parse_rfc3339(parsed->string_or("at"));
  if (!at.ok()) return damaged("time");
  event.at = *at;
  event.tenant = TenantId(parsed->string_or("tenant"));
  event.actor = parsed->string_or("actor");
  event.action = parsed->string_or("action");
  event.object = parsed->string_or("object");
  event.outcome = parsed->string_or("outcome");
  const json::Value* facts = parsed->find("facts");
  if (facts == nullptr || facts->as_object() == nullptr) return damaged("facts");
  event.facts = *facts->as_object();
  if (version == 2 && (!read_covers(*parsed, "salts", event) || !read_covers(*parsed, "sealed", event)))
    return damaged("what it covers");
  // One record, one spelling: anything else was not written by canonical().
  if (canonical(event) != bytes) return damaged("not in canonical form");
  return event;
}

bool is_person(std::string_view actor) {
  return actor.find('/') != std::string_view::npos;
}

std::vector<std::string> said_of_persons(const AuditEvent& event) {
  std::vector<std::string> out;
  if (is_person(event.actor)) out.emplace_back(covered_actor);
  if (person_of(event).empty()) return out;
  const bool judged = event.action.starts_with("access.") || event.action.starts_with("login.");
  for (const auto& [name, value] : event.facts) {
    const bool says = value.as_string() == nullptr || !value.as_string()->empty();
    if (says && (std::ranges::find(personal, name) != std::end(personal) || (judged && name == "why")))
      out.push_back(std::string(covered_fact) + name);
  }
  return out;
}

std::vector<std::string> said_of(const AuditEvent& event, std::string_view principal) {
  std::vector<std::string> out;
  const json::Value facts(event.facts);
  const bool about = person_of(event) == principal;
  for (const auto& [name, cover] : event.covers) {
    if (!cover.digest.empty()) continue;
    // Who ended a grant is named in its note.
    const bool named = name == "facts.note" && names_in(facts.string_or("note"), principal);
    if (name == covered_actor ? event.actor == principal : about || named) out.push_back(name);
  }
  return out;
}

bool names_in(std::string_view text, std::string_view principal) {
  for (std::size_t at = text.find(principal); at != std::string_view::npos; at = text.find(principal, at + 1)) {
    if ((at == 0 || !goes_on(text[at - 1])) && !goes_on(text.substr(at + principal.size()))) return true;
  }
  return false;
}

bool names(const AuditEvent& event, std::string_view principal) {
  const json::Value facts(event.facts);
  return event.actor == principal || facts.string_or("principal") == principal ||
         names_in(facts.string_or("note"), principal);
}

}  // namespace daypass::core
