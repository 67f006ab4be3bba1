// A name server's answer is a stranger's bytes: whatever they are, what comes of them is bounded. And whatever the
// system's resolver says, in the first byte, ends in these texts or in one of three refusals.
// parses: net/dns.cc
#include <netdb.h>
#include <resolv.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "net/dns.h"

using namespace daypass;

namespace {

// What the resolver below does.
enum class Does : std::uint8_t { not_start, fail, answer_more_than_fits, answer };
struct {
  Does does = Does::answer;
  int why = 0;
  std::string_view answer;
  int open = 0;
} resolver;

}  // namespace

// The linker takes these for those of the C library: no packet leaves.
extern "C" int res_ninit(res_state state) noexcept {
  *state = {};
  if (resolver.does == Does::not_start) return -1;
  ++resolver.open;
  return 0;
}
extern "C" void res_nclose(res_state) noexcept {
  --resolver.open;
}
extern "C" int res_nquery(res_state state, const char*, int, int, unsigned char* out, int room) noexcept {
  if (resolver.does == Does::fail) {
    state->res_h_errno = resolver.why;
    return -1;
  }
  // As the C library: as much as fits, and how much there is.
  std::copy_n(resolver.answer.begin(), std::min(resolver.answer.size(), static_cast<std::size_t>(room)), out);
  return resolver.does == Does::answer_more_than_fits ? room + 1 : static_cast<int>(resolver.answer.size());
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view message(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto texts = net::parse_txt_answer(message);
  if (texts.ok()) {
    if (texts->size() > net::max_txt_records) std::abort();
    std::size_t bytes = 0;
    for (const auto& text : *texts) bytes += text.size();
    if (bytes > message.size()) std::abort();
  } else if (texts.error().check != "dns.answer") {
    std::abort();
  }

  resolver.does = static_cast<Does>(data[0] % 4U);
  resolver.why = data[0] / 4 % 5;  // HOST_NOT_FOUND, TRY_AGAIN, NO_RECOVERY, NO_DATA, or none of them
  resolver.answer = message;
  const auto told = net::txt_records("_daypass-challenge.example.com");
  if (resolver.open != 0) std::abort();
  if (told.ok()) {
    if (resolver.does != Does::answer || told->empty() || !texts.ok() || *told != *texts) std::abort();
    return 0;
  }
  const std::string& check = told.error().check;
  switch (resolver.does) {
    case Does::not_start:
      if (check != "dns.unreachable") std::abort();
      break;
    case Does::fail:
      if (check != (resolver.why == HOST_NOT_FOUND || resolver.why == NO_DATA ? "dns.none" : "dns.unreachable"))
        std::abort();
      break;
    case Does::answer_more_than_fits:
      if (check != "dns.answer") std::abort();
      break;
    case Does::answer:
      if (check != (texts.ok() ? "dns.none" : "dns.answer")) std::abort();
      break;
  }
  return 0;
}
