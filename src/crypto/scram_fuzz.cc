// The first byte says which end is spoken to, and how it is set up; the rest is one message, or two with a line feed
// between.
// parses: crypto/scram.cc
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "base/entropy.h"
#include "crypto/scram.h"

using namespace daypass::crypto;  // NOLINT: the fuzzer is this room's
using daypass::base::Secret;
using daypass::base::SeededEntropy;

namespace {

void server(std::string_view input, unsigned setup) {
  SeededEntropy entropy(1);
  static const ScramVerifier verifier = [] {
    SeededEntropy salt(2);
    return make_verifier(Secret("a password that the fuzzer does not have"), 1, salt);
  }();
  const std::string binding = (setup & 1U) != 0 ? std::string(32, 'h') : "";
  ScramServer end(verifier, (setup & 2U) != 0, binding, (setup & 4U) != 0, (setup & 8U) != 0, entropy);
  const std::string_view first = input.substr(0, input.find('\n'));
  std::string_view second = input.substr(std::min(input.size(), first.size() + 1));
  const auto reply = end.first(first);
  if (!reply.ok()) return;
  DP_ASSERT(reply->starts_with("r=") && reply->size() < 4096);
  // The nonce is ours to choose: an @ in the input stands for it, so that the fuzzer gets past it.
  std::string message(second);
  if (const std::size_t at = message.find('@'); at != std::string::npos)
    message.replace(at, 1, reply->substr(2, reply->find(',') - 2));
  DP_ASSERT(!end.final(message).ok());
  DP_ASSERT(!end.final(message).ok() && !end.first(first).ok());
}

void client(std::string_view input, unsigned setup) {
  // A legal iteration count costs what it says; four digits are enough to get everywhere.
  if (const std::size_t i = input.find("i="); i != std::string_view::npos && input.size() > i + 6) return;
  SeededEntropy entropy(1);
  ScramClient end(Secret("pw"), (setup & 1U) != 0 ? std::string(32, 'h') : "", (setup & 1U) != 0 && (setup & 4U) != 0,
                  entropy);
  const std::string hello = end.first();
  std::string message(input.substr(0, input.find('\n')));
  if (const std::size_t at = message.find('@'); at != std::string::npos)
    message.replace(at, 1, hello.substr(hello.find("r=") + 2));
  const auto reply = end.final(message);
  if (reply.ok()) DP_ASSERT(reply->starts_with("c=") && reply->find(",p=") != std::string::npos);
  DP_ASSERT(!end.verify(input.substr(std::min(input.size(), input.find('\n')))).ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const unsigned setup = data[0];
  switch ((setup >> 4U) & 3U) {
    case 0:
      server(input, setup);
      break;
    case 1:
      client(input, setup);
      break;
    default:
      if (const auto verifier = ScramVerifier::parse(input); verifier.ok()) DP_ASSERT(verifier->to_text() == input);
  }
  return 0;
}
