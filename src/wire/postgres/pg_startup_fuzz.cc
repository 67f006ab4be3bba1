// The first packets: whatever comes, the reader and the parser agree, nothing forbidden passes, and what goes upstream
// is what was read.
// parses: wire/postgres/startup.cc
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "wire/postgres/startup.h"

using namespace daypass::wire::postgres;

namespace {

bool forbidden(std::string_view name) {
  std::string lower(name);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  for (const std::string_view word : {"role", "session_authorization", "replication", "is_superuser", "user",
                                      "database", "options", "ignore_system_indexes", "local_preload_libraries"}) {
    if (lower == word) return true;
  }
  return lower.starts_with("_pq_.");
}

void check_startup(const StartupMessage& message) {
  DP_ASSERT(!message.user.empty() && message.user.size() <= kNameMax);
  for (const Setting& s : message.settings) DP_ASSERT(!forbidden(s.name));
  const auto again = parse_first_packet(build_startup(message, "eph", "db"));
  DP_ASSERT(again.ok());
  const auto& upstream = std::get<StartupMessage>(*again);
  DP_ASSERT(upstream.user == "eph" && upstream.database == "db" && upstream.settings == message.settings);
  DP_ASSERT(!upstream.needs_negotiation());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const auto channel = (data[0] & 1U) != 0 ? StartupReader::Channel::tls : StartupReader::Channel::plain;
  const std::size_t step = 1 + data[1];
  const std::string_view in(reinterpret_cast<const char*>(data + 2), size - 2);

  const auto direct = parse_first_packet(in);
  if (direct.ok()) {
    if (const auto* message = std::get_if<StartupMessage>(&*direct)) check_startup(*message);
  } else {
    DP_ASSERT(direct.error().check.starts_with("startup."));
    DP_ASSERT(startup_sqlstate(direct.error()).size() == 5);
  }

  StartupReader reader(channel);
  for (std::size_t at = 0; at < in.size();) {
    const auto read = reader.next(in.substr(at, step));
    if (!read.ok()) {
      // Cut at the end of a packet, the reader must see what the parser sees.
      DP_ASSERT(!direct.ok() || read.error().check == "startup.repeated" || read.error().check == "startup.buffered");
      return 0;
    }
    at += read->bytes;
    if (!read->packet) {
      DP_ASSERT(read->bytes > 0);
      continue;
    }
    if (const auto* message = std::get_if<StartupMessage>(&*read->packet)) {
      check_startup(*message);
      return 0;
    }
    if (std::holds_alternative<DirectTls>(*read->packet) || std::holds_alternative<CancelRequest>(*read->packet))
      return 0;
  }
  return 0;
}
