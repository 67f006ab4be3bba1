// A name server's answer is a stranger's bytes: whatever they are, what comes of them is bounded.
// parses: net/dns.cc
#include <cstdint>
#include <cstdlib>

#include "net/dns.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto texts = daypass::net::parse_txt_answer({reinterpret_cast<const char*>(data), size});
  if (!texts.ok()) return 0;
  if (texts->size() > daypass::net::max_txt_records) std::abort();
  std::size_t bytes = 0;
  for (const auto& text : *texts) bytes += text.size();
  if (bytes > size) std::abort();
  return 0;
}
