// Any bytes, in any pieces: no crash, bounded memory, and the same outcome however they are cut.
// parses: net/http_parser.cc
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "net/http_parser.h"

namespace {

using daypass::net::HttpLimits;
using daypass::net::HttpRefusal;
using daypass::net::HttpRequest;
using daypass::net::RequestParser;

struct Outcome {
  bool done = false;
  bool refused = false;
  bool keep_alive = false;
  bool expects_continue = false;
  std::string path;
  std::string body;
  std::size_t consumed = 0;
};

// Every refusal has one of the server's statuses, a check of this room and a message.
void check_refusal(const HttpRefusal& refusal) {
  constexpr std::array statuses{400, 413, 417, 431, 501, 505};
  if (std::ranges::find(statuses, refusal.status) == statuses.end()) std::abort();
  if (!refusal.error.check.starts_with("http.") || refusal.error.message.empty()) std::abort();
}

Outcome parse(std::string_view text, std::size_t piece, const HttpLimits& limits) {
  Outcome out;
  RequestParser parser(limits);
  std::optional<HttpRefusal> refusal;
  std::string buffer;
  for (std::size_t at = 0; at < text.size() && !refusal && !parser.done(); at += piece) {
    buffer += text.substr(at, piece);
    std::size_t taken = 1;
    while (taken > 0 && !buffer.empty() && !parser.done() && !refusal) {
      taken = parser.feed(buffer, refusal);
      buffer.erase(0, taken);
      out.consumed += taken;
    }
  }
  out.done = parser.done() && !refusal;
  out.refused = refusal.has_value();
  if (refusal) check_refusal(*refusal);
  if (parser.done() && !parser.header_done()) std::abort();
  if (out.done) {
    out.keep_alive = parser.keep_alive();
    out.expects_continue = parser.expects_continue();
    HttpRequest request = parser.take();
    if (request.body.size() > limits.body_bytes || request.headers.size() > limits.header_count) std::abort();
    (void)request.cookie("s");
    (void)request.bearer();
    (void)request.form();
    out.path = request.path;
    out.body = request.body;
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  HttpLimits limits;
  limits.header_bytes = 512;
  limits.header_count = 16;
  limits.body_bytes = 256;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Outcome whole = parse(text, text.size(), limits);
  const Outcome cut = parse(text, 1 + data[0] % 64U, limits);
  // Cut input may be refused earlier (nobody waits for what is wrong already), never accepted differently.
  if (whole.done != cut.done) std::abort();
  if (whole.done && (whole.path != cut.path || whole.body != cut.body || whole.consumed != cut.consumed ||
                     whole.keep_alive != cut.keep_alive || whole.expects_continue != cut.expects_continue))
    std::abort();
  return 0;
}
