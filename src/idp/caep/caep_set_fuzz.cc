// Hostile events, configurations and answers to polls. The first byte chooses the expectations and the header; the rest
// is one text, read as each of the three.
// parses: idp/caep/set.cc idp/caep/poll.cc idp/caep/transmitter.cc
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "base/json.h"
#include "idp/caep/poll.h"
#include "idp/caep/set.h"
#include "idp/caep/transmitter.h"

namespace caep = daypass::idp::caep;
namespace json = daypass::base::json;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::uint8_t choice = data[0];
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  caep::Expect expect;
  expect.transmitter = "https://tr.example";
  expect.audience = "us";
  expect.subject_issuer = "https://id.example";
  expect.people_by_sub = (choice & 1U) == 0;
  expect.opaque_is_person = (choice & 2U) != 0;
  if ((choice & 4U) != 0) expect.critical = {"device", "user"};
  expect.now = daypass::base::WallTime(daypass::base::Seconds(1'800'000'000));
  const json::Value header = json::Object{{"typ", (choice & 8U) != 0 ? "JWT" : "secevent+jwt"}};

  if (const auto event = caep::read_set(header, text, expect); event.ok()) {
    DP_ASSERT((choice & 8U) == 0);
    DP_ASSERT(!event->jti.empty() && event->jti.size() <= 255 && !event->name.empty());
    if (event->over) {
      const auto& over = *event->over;
      DP_ASSERT(!over.subject.empty() || !over.idp_sessions.empty());
      DP_ASSERT(over.subject.size() <= 255 && over.subject.find('\n') == std::string::npos);
      DP_ASSERT(over.idp_sessions.size() <= 1 && over.at <= expect.now && over.once.size() == 1);
      // Taken again no longer than it is remembered.
      DP_ASSERT(over.once.front().until > expect.now);
    }
  } else {
    DP_ASSERT(event.error().check.starts_with("set."));
  }
  if (const auto polled = caep::parse_poll(text); polled.ok()) {
    DP_ASSERT(polled->tokens.size() <= caep::max_events);
    daypass::idp::Acknowledged before;
    for (const auto& [jti, token] : polled->tokens)
      before.refused.emplace_back(jti, daypass::base::Error{daypass::base::Code::invalid, "set.aud", token});
    DP_ASSERT(json::parse(caep::poll_request(before), {.bytes = std::size_t{1} << 24U}).ok());
  }
  if (const auto configuration = caep::parse_configuration(text, "https://tr.example"); configuration.ok())
    DP_ASSERT(configuration->jwks_uri.starts_with("https://") || configuration->jwks_uri.starts_with("HTTPS://"));
  return 0;
}
