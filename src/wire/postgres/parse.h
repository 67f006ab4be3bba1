// Bodies of the messages that are looked into: strict, bounded, views into the caller's bytes.
// Protocol: PostgreSQL documentation, "Message Formats" and "SASL Authentication".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace daypass::wire::postgres {

/// Takes a NUL-terminated string off the front of `rest`. False when there is no NUL.
[[nodiscard]] bool take_cstring(std::string_view& rest, std::string_view& out) noexcept;
/// Takes a big-endian integer off the front. False when too short.
[[nodiscard]] bool take_u16(std::string_view& rest, std::uint16_t& out) noexcept;
[[nodiscard]] bool take_u32(std::string_view& rest, std::uint32_t& out) noexcept;

// From the client.

struct SaslInitialResponse {
  std::string_view mechanism;  ///< 1 … 64 bytes
  std::string_view response;   ///< the client-first-message
};
/// Body of the first 'p'. Errors: "sasl.initial" (syntax; an absent response, length -1, too: SCRAM always has one).
base::Result<SaslInitialResponse> parse_sasl_initial_response(std::string_view body);
/// Body of a later 'p': the bytes as they are, 1 … 8192, without NUL. Errors: "sasl.response".
base::Result<std::string_view> parse_sasl_response(std::string_view body);

struct Parse {
  std::string_view statement;
  std::string_view text;  ///< up to the captured end
  bool truncated = false;
};
struct Bind {
  std::string_view portal;
  std::string_view statement;
};
struct Execute {
  std::string_view portal;
  std::uint32_t max_rows = 0;  ///< 0: all
};
/// Of Close and Describe.
struct Named {
  char what = 'S';  ///< 'S' statement, 'P' portal
  std::string_view name;
};
/// All from a message's head (`whole`: the head is the whole body). Errors: "message.name" (no end within 255 bytes),
/// "message.body".
base::Result<Parse> parse_parse(std::string_view head, bool whole);
base::Result<Bind> parse_bind(std::string_view head);
base::Result<Execute> parse_execute(std::string_view body);
base::Result<Named> parse_named(std::string_view body);

// From the server.

struct Authentication {
  enum class Kind : std::uint32_t {
    ok = 0,
    cleartext = 3,
    md5 = 5,
    sasl = 10,
    sasl_continue = 11,
    sasl_final = 12,
    other = 99
  };
  Kind kind = Kind::other;
  std::uint32_t code = 0;                    ///< as sent
  std::vector<std::string_view> mechanisms;  ///< of sasl; at most 16
  std::string_view data;                     ///< of sasl_continue and sasl_final
};
/// Body of 'R'. Errors: "authentication.body".
base::Result<Authentication> parse_authentication(std::string_view body);

struct BackendKey {
  std::uint32_t pid = 0;
  std::string key;  ///< 4 bytes (protocol 3.0) … 256
};
/// Body of 'K'. Errors: "message.body".
base::Result<BackendKey> parse_backend_key(std::string_view body);

struct ParameterStatus {
  std::string_view name;
  std::string_view value;
};
/// Body of 'S'. Errors: "message.body".
base::Result<ParameterStatus> parse_parameter_status(std::string_view body);

enum class TransactionState : char { idle = 'I', open = 'T', failed = 'E' };
/// Body of 'Z'. Errors: "message.body".
base::Result<TransactionState> parse_ready_for_query(std::string_view body);

/// Fields of ErrorResponse and NoticeResponse; absent ones are empty.
struct ServerNotice {
  std::string_view severity;  ///< 'V' when there (never translated), else 'S'
  std::string_view sqlstate;  ///< 5 characters [0-9A-Z], or empty when there is no valid one
  std::string_view message;
  std::string_view detail;
  std::string_view hint;
  [[nodiscard]] bool fatal() const noexcept { return severity == "FATAL" || severity == "PANIC"; }
};
/// Reads as far as the (possibly cut) body goes; never fails: what can't be read stays empty.
ServerNotice parse_notice(std::string_view body) noexcept;

struct NegotiateProtocolVersion {
  std::uint32_t newest = 0;  ///< 0x00030000 for 3.0 (some servers send only the minor)
  std::vector<std::string_view> unknown_options;
};
/// Body of 'v'. Errors: "message.body".
base::Result<NegotiateProtocolVersion> parse_negotiate_protocol_version(std::string_view body);

}  // namespace daypass::wire::postgres
