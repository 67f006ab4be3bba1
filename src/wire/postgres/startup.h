// The first packets of a connection, before anything is believed: what a client may ask, and what goes on upstream.
// Owns the rule which start-up parameters pass the gate. Protocol: PostgreSQL documentation, "Message Flow: Start-up"
// and "Message Formats" (StartupMessage, SSLRequest, GSSENCRequest, CancelRequest, NegotiateProtocolVersion).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace daypass::wire::postgres {

inline constexpr std::size_t kStartupMin = 8;       ///< length word and code
inline constexpr std::size_t kStartupMax = 10'000;  ///< PostgreSQL's MAX_STARTUP_PACKET_LENGTH
inline constexpr std::size_t kCancelKeyMax = 256;   ///< protocol 3.2; 3.0 keys are 4 bytes
inline constexpr std::size_t kStartupSettingsMax = 64;
inline constexpr std::size_t kNameMax = 63;  ///< NAMEDATALEN - 1: longer names are refused, never cut

struct SslRequest {
  bool operator==(const SslRequest&) const = default;
};
struct GssEncRequest {
  bool operator==(const GssEncRequest&) const = default;
};
/// The first byte was 0x16: a TLS ClientHello without SSLRequest (PostgreSQL 17). Not one byte was taken.
struct DirectTls {
  bool operator==(const DirectTls&) const = default;
};
struct CancelRequest {
  std::uint32_t pid = 0;
  std::string key;  ///< 1 … 256 raw bytes; compare in constant time
  bool operator==(const CancelRequest&) const = default;
};
struct Setting {
  std::string name;
  std::string value;
  bool operator==(const Setting&) const = default;
};
struct StartupMessage {
  std::uint16_t minor = 0;              ///< of protocol 3
  std::string user;                     ///< 1 … 63 bytes, UTF-8 without control characters
  std::optional<std::string> database;  ///< as sent; absent means "the same as user" to PostgreSQL
  /// What goes on upstream: first the settings that stood in `options`, then the other parameters, in order sent
  /// (PostgreSQL applies them in this order and the last one wins). Every name has passed the rule below.
  std::vector<Setting> settings;
  std::vector<std::string> protocol_options;  ///< names of the `_pq_.` parameters: all unknown here, none goes upstream
  /// True when NegotiateProtocolVersion must be sent (append_negotiate_protocol_version in build.h).
  [[nodiscard]] bool needs_negotiation() const noexcept { return minor > 0 || !protocol_options.empty(); }
  bool operator==(const StartupMessage&) const = default;
};
using FirstPacket = std::variant<SslRequest, GssEncRequest, DirectTls, CancelRequest, StartupMessage>;

/// Parses one whole packet, length word included.
///
/// The rule for parameters: `user` and `database` are taken out; `replication` is refused whatever its value and case
/// (PostgreSQL takes booleans in every abbreviation, and "database"); `_pq_.*` is only reported. `options` is taken
/// apart by PostgreSQL's own rule (white space separates, backslash escapes) and may hold only `-c name=value`,
/// `-cname=value` and `--name=value`; it never goes upstream as text: each becomes a parameter of its own, so our
/// reading of it and the server's can't differ, and names of packet fields are refused in it. Any other setting passes
/// when its name is of [A-Za-z0-9_.$] and not one of: role, session_authorization, replication, is_superuser
/// (identity), or those that only connection start can set (local_preload_libraries, session_preload_libraries,
/// ignore_system_indexes, post_auth_delay, pre_auth_delay, jit_debugging_support, jit_profiling_support,
/// log_connections, log_disconnections). All that is left a session could SET as well after login, within what the
/// server lets its role do. A name twice (in any case) is refused.
///
/// Errors: "startup.length", "startup.protocol" (not 3.x; SQLSTATE 0A000), "startup.layout" (missing terminator),
/// "startup.user", "startup.database", "startup.parameter" (syntax, or too many), "startup.duplicate",
/// "startup.replication", "startup.options", "startup.forbidden", "startup.cancel".
base::Result<FirstPacket> parse_first_packet(std::string_view packet);

/// Assembles first packets from a byte stream; holds at most kStartupMax bytes, and none before the length is checked.
class StartupReader {
 public:
  enum class Channel { plain, tls };
  explicit StartupReader(Channel channel) : channel_(channel) {}

  struct Read {
    std::size_t bytes = 0;              ///< taken from `in`
    std::optional<FirstPacket> packet;  ///< empty: more bytes are needed
  };
  /// Call again with what follows until a packet comes; after SSLRequest or GSSENCRequest was answered with 'N', call
  /// on for the next packet. After TLS begins make a new reader with Channel::tls. Errors: those of parse_first_packet,
  /// and "startup.buffered" (bytes came behind SSLRequest or GSSENCRequest before they were answered: CVE-2021-23214),
  /// "startup.repeated" (the same request twice, or inside TLS).
  base::Result<Read> next(std::string_view in);

 private:
  base::Status admit(const FirstPacket& packet, std::size_t left_over);

  Channel channel_;
  bool ssl_asked_ = false;
  bool gss_asked_ = false;
  std::string held_;
};

/// The SQLSTATE that PostgreSQL would give for an Error of this header: "08P01", "0A000", "28000" or "42501".
std::string_view startup_sqlstate(const base::Error& error) noexcept;

/// StartupMessage (3.0) for the server: our user, the target's database, the client's settings, then `forced` ones,
/// which replace settings of the same name. Requires 1 … 63 bytes without NUL for user and database (asserted).
std::string build_startup(const StartupMessage& client, std::string_view user, std::string_view database,
                          std::span<const Setting> forced = {});

}  // namespace daypass::wire::postgres
