#include "idp/caep/set.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/encoding.h"
#include "crypto/digest.h"
#include "idp/printable.h"

namespace daypass::idp::caep {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using base::WallTime;
using base::json::Array;
using base::json::Value;

namespace {

constexpr std::string_view session_revoked = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
constexpr std::string_view credential_change = "https://schemas.openid.net/secevent/caep/event-type/credential-change";
constexpr std::string_view verification = "https://schemas.openid.net/secevent/ssf/event-type/verification";
constexpr std::string_view stream_updated = "https://schemas.openid.net/secevent/ssf/event-type/stream-updated";
constexpr std::size_t max_name = 255;
constexpr std::size_t max_audiences = 16;
constexpr std::size_t max_events = 8;
constexpr std::int64_t latest = 253'402'300'799;  // the last second of the year 9999

Error failed(std::string check, std::string message, std::string hint = {}) {
  return Error{Code::invalid, "set." + std::move(check), "security event token: " + std::move(message),
               std::move(hint)};
}

std::string quoted(std::string_view text) {
  return base::json::quote(printable(text, 200));
}

/// RFC 8417 section 2.3, which SSF makes mandatory: no other token of the same issuer is one.
bool is_set(const Value& header) {
  std::string typ = header.string_or("typ");
  std::ranges::transform(typ, typ.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return typ == "secevent+jwt" || typ == "application/secevent+jwt";
}

/// Short text without control characters: it becomes part of keys and lines.
const std::string* name_in(const Value& object, std::string_view member) {
  const Value* value = object.find(member);
  const std::string* text = value == nullptr ? nullptr : value->as_string();
  const bool good = text != nullptr && !text->empty() && text->size() <= max_name &&
                    std::ranges::none_of(*text, [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; });
  return good ? text : nullptr;
}

Status check_iss_and_aud(const Value& claims, const Expect& expect) {
  const Value* iss = claims.find("iss");
  const std::string* issuer = iss == nullptr ? nullptr : iss->as_string();
  if (issuer == nullptr || *issuer != expect.transmitter)
    return failed("iss", "iss is " + (issuer == nullptr ? std::string("no string") : quoted(*issuer)) + ", expected " +
                             quoted(expect.transmitter));
  const Value* aud = claims.find("aud");
  const auto ours = [&](const Value& one) { return one.as_string() != nullptr && *one.as_string() == expect.audience; };
  const Array* many = aud == nullptr ? nullptr : aud->as_array();
  if (aud == nullptr ||
      !(many == nullptr ? ours(*aud) : many->size() <= max_audiences && std::ranges::any_of(*many, ours)))
    return failed("aud", "aud does not name " + quoted(expect.audience),
                  "the stream's audience at the transmitter must be signals.audience");
  return {};
}

Result<WallTime> issued_at(const Value& claims, WallTime now) {
  const Value* value = claims.find("iat");
  const std::int64_t* iat = value == nullptr ? nullptr : value->as_int();
  if (iat == nullptr || *iat < 0 || *iat > latest) return failed("iat_missing", "iat is missing or no time");
  const WallTime at{base::Seconds(*iat)};
  if (at > now + leeway) return failed("iat", "it was issued in the future", "compare the clocks");
  if (at < now - max_age - leeway) return failed("iat", "it was issued more than a week ago");
  return at;
}

/// Of a subject identifier (RFC 9493) that says who somebody is: the subject that we know them by, empty when that is
/// made of something else.
Result<std::string> person(const Value& id, const Expect& expect) {
  const std::string format = id.string_or("format");
  if (format == "iss_sub") {
    const std::string* iss = name_in(id, "iss");
    const std::string* sub = name_in(id, "sub");
    if (iss == nullptr || sub == nullptr) return failed("subject", "an iss_sub subject needs iss and sub");
    if (*iss != expect.subject_issuer)
      return failed("subject_iss",
                    "the subject is somebody of " + quoted(*iss) + ", not of " + quoted(expect.subject_issuer),
                    "where the transmitter calls the provider otherwise, set signals.subject_issuer");
    return expect.people_by_sub ? *sub : std::string();
  }
  if (format == "opaque") {
    const std::string* name = name_in(id, "id");
    if (name == nullptr) return failed("subject", "an opaque subject needs an id");
    return expect.people_by_sub || expect.opaque_is_person ? *name : std::string();
  }
  constexpr std::array<std::string_view, 3> mutable_names{"email", "phone_number", "account"};
  if (std::ranges::find(mutable_names, format) != mutable_names.end())
    return failed("subject_format",
                  "the subject is named by " + quoted(format) + ", and nobody is known by a name that changes hands",
                  "let the transmitter send iss_sub subjects");
  return failed("subject_format", "the subject's format is " + quoted(format) + ", expected iss_sub, opaque or complex",
                "let the transmitter send iss_sub subjects");
}

Result<std::string> session(const Value& id) {
  const std::string* name = name_in(id, "id");
  if (id.string_or("format") != "opaque" || name == nullptr)
    return failed("subject", "a session is named by an opaque id");
  return *name;
}

struct Subject {
  std::string person, session;
};

Result<Subject> complex_subject(const Value& id, const Expect& expect) {
  Subject out;
  // The stream is one tenant's, by its address, its keys and its audience: a tenant member adds nothing.
  constexpr std::array<std::string_view, 4> understood{"format", "user", "session", "tenant"};
  for (const auto& [member, value] : *id.as_object()) {
    const bool known = std::ranges::find(understood, member) != understood.end();
    // SSF section 3.6. Others are passed over: that ends more, never less.
    if (!known && std::ranges::find(expect.critical, member) != expect.critical.end())
      return failed("subject_critical", "the subject's " + quoted(member) + " can't be told apart here");
  }
  if (const Value* user = id.find("user")) {
    DP_TRY(out.person, person(*user, expect));
  }
  if (const Value* of = id.find("session")) {
    DP_TRY(out.session, session(*of));
  }
  if (id.find("user") == nullptr && out.session.empty())
    return failed("subject", "a complex subject needs a user or a session");
  return out;
}

Result<Subject> read_subject(const Value& claims, const Value& event, const Expect& expect) {
  // SSF 1.0 demands sub_id; what was built to its drafts has the subject inside the event.
  const Value* id = claims.find("sub_id");
  if (id == nullptr) id = event.find("subject");
  if (id == nullptr || id->as_object() == nullptr) return failed("subject", "sub_id is missing or no object");
  const std::string format = id->string_or("format");
  const bool parts = id->find("user") != nullptr || id->find("session") != nullptr;
  if (format == "complex" || (id->find("format") == nullptr && parts)) return complex_subject(*id, expect);
  Subject out;
  if (format == "opaque" && !expect.opaque_is_person) {
    DP_TRY(out.session, session(*id));
  } else {
    DP_TRY(out.person, person(*id, expect));
  }
  return out;
}

/// When it happened: the event's own time where it has one, never later than now.
Result<WallTime> happened_at(const Value& event, WallTime issued, WallTime now) {
  // Whole seconds: it was some time in that one.
  constexpr base::Millis second{999};
  const Value* at = event.find("event_timestamp");
  if (at == nullptr) return std::min(issued + second, now);
  double number = -1;
  if (const auto* whole = at->as_int()) number = static_cast<double>(*whole);
  if (const auto* real = at->as_double()) number = *real;
  if (!std::isfinite(number) || number < 0) return failed("event", "event_timestamp is no time");
  if (number > static_cast<double>(latest)) return now;
  return std::min(WallTime(base::Seconds(static_cast<std::int64_t>(number))) + second, now);
}

/// CAEP 1.0 section 3.3. What a sign-in rested on is no more what it was: sessions end. A new credential beside the
/// others takes nothing from them.
Result<bool> ends_sessions(const Value& event) {
  constexpr std::array<std::string_view, 4> known{"create", "revoke", "update", "delete"};
  const std::string change = event.string_or("change_type");
  if (std::ranges::find(known, change) == known.end())
    return failed("event", "change_type is " + quoted(change) + ", expected create, revoke, update or delete");
  if (name_in(event, "credential_type") == nullptr) return failed("event", "credential_type is missing");
  return change != "create";
}

struct Told {
  std::string_view type;
  const Value* event = nullptr;
};

/// SSF section 4.2.1: one event; several types only where they are names of the same one.
Result<Told> read_events(const Value& claims) {
  const Value* events = claims.find("events");
  const auto* all = events == nullptr ? nullptr : events->as_object();
  if (all == nullptr || all->empty() || all->size() > max_events) return failed("events", "it tells no event");
  Told told;
  for (const std::string_view type : {session_revoked, credential_change, verification, stream_updated}) {
    const Value* event = all->find(type);
    if (event == nullptr) continue;
    if (told.event != nullptr) return failed("events", "it tells two events at once");
    if (event->as_object() == nullptr) return failed("event", "the event is no object");
    told = {type, event};
  }
  return told;
}

}  // namespace

Result<SecurityEvent> read_set(const Value& header, std::string_view payload, const Expect& expect) {
  if (!is_set(header)) return failed("typ", "its type is not secevent+jwt", "this is another kind of token");
  const auto parsed =
      base::json::parse(payload, {.bytes = crypto::max_jws_bytes, .depth = 8, .nodes = 2'000, .members = 128});
  if (!parsed.ok() || parsed->as_object() == nullptr) return failed("syntax", "its payload is no JSON object");
  const Value& claims = *parsed;
  DP_CHECK(check_iss_and_aud(claims, expect));
  for (const char* foreign : {"exp", "sub"})
    if (claims.find(foreign) != nullptr)
      return failed(foreign, std::string("it has a ") + foreign + ", as only other tokens have");
  DP_TRY(const WallTime issued, issued_at(claims, expect.now));
  SecurityEvent out;
  const std::string* jti = name_in(claims, "jti");
  if (jti == nullptr) return failed("jti", "jti is missing or no short text");
  out.jti = *jti;
  DP_TRY(const Told told, read_events(claims));
  if (told.event == nullptr) {
    out.name = "unknown";
    return out;
  }
  if (told.type == verification || told.type == stream_updated) {
    const std::string status = told.event->string_or("status");
    out.name = told.type == verification ? "verification" : "stream_updated: " + printable(status, 40);
    return out;
  }
  const bool credential = told.type == credential_change;
  out.name = credential ? "credential_change" : "session_revoked";
  if (credential) {
    DP_TRY(const bool ends, ends_sessions(*told.event));
    if (!ends) {
      out.name += ": create";
      return out;
    }
  }
  DP_TRY(Subject subject, read_subject(claims, *told.event, expect));
  if (subject.person.empty() && subject.session.empty())
    return failed("subject", "people of this provider are not known by sub, and it names no session",
                  "let the transmitter name the session, or map the subject from sub");
  // A credential is the person's, in whichever session it was changed.
  if (credential && !subject.person.empty()) subject.session.clear();
  SignedOut over;
  over.subject = std::move(subject.person);
  if (!subject.session.empty()) over.idp_sessions.push_back(std::move(subject.session));
  DP_TRY(over.at, happened_at(*told.event, issued, expect.now));
  over.told_late = true;
  over.once.push_back({"set " + base::hex_encode(crypto::sha256(out.jti)), issued + max_age + 2 * leeway});
  out.over = std::move(over);
  return out;
}

Result<SecurityEvent> verify_set(std::string_view token, const crypto::KeySet& keys, const Expect& expect) {
  DP_TRY(const auto jws, crypto::verify_jws(token, keys));
  return read_set(jws.header, jws.payload, expect);
}

}  // namespace daypass::idp::caep
