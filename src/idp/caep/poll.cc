#include "idp/caep/poll.h"

#include "base/json.h"
#include "idp/printable.h"

namespace daypass::idp::caep {

using base::Code;
using base::Error;
using base::Result;
using base::json::Array;
using base::json::Object;
using base::json::Value;

namespace {

constexpr std::size_t max_jti = 255;

Error bad(std::string check, std::string message) {
  return Error{Code::unavailable, "poll." + std::move(check), "answer to a poll: " + std::move(message)};
}

}  // namespace

std::string poll_request(const Acknowledged& before) {
  Object body{{"maxEvents", static_cast<std::int64_t>(max_events)}, {"returnImmediately", true}};
  if (!before.taken.empty()) body.set("ack", Array(before.taken.begin(), before.taken.end()));
  Object errors;
  for (const auto& [jti, error] : before.refused)
    errors.insert(jti, Object{{"err", set_error_name(error)}, {"description", printable(error.message, 500)}});
  if (!errors.empty()) body.set("setErrs", std::move(errors));
  return base::json::dump(body);
}

Result<Polled> parse_poll(std::string_view text) {
  const auto parsed = base::json::parse(text, {.bytes = max_poll_bytes, .depth = 4, .nodes = 2'000, .members = 1'000});
  if (!parsed.ok()) return bad("syntax", parsed.error().message);
  if (parsed->as_object() == nullptr) return bad("syntax", "it is no object");
  Polled out;
  if (const Value* more = parsed->find("moreAvailable")) {
    if (more->as_bool() == nullptr) return bad("shape", "moreAvailable is neither true nor false");
    out.more = *more->as_bool();
  }
  const Value* sets = parsed->find("sets");
  if (sets == nullptr || sets->as_object() == nullptr) return bad("shape", "sets is missing or no object");
  for (const auto& [jti, token] : *sets->as_object()) {
    if (token.as_string() == nullptr) return bad("shape", "sets holds more than tokens");
    if (jti.empty() || jti.size() > max_jti) return bad("shape", "a jti is empty or longer than 255 bytes");
    if (out.tokens.size() == max_events) {
      out.more = true;
      break;
    }
    out.tokens.emplace_back(jti, *token.as_string());
  }
  return out;
}

}  // namespace daypass::idp::caep
