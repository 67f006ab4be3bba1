// Messages of our own. Each function appends one whole message to `out`, so that several leave in one write.
// Strings that the protocol ends with NUL are cut at a NUL of their own: content can't break the framing.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "wire/postgres/parse.h"

namespace daypass::wire::postgres {

// To the client.

/// What ErrorResponse and NoticeResponse say. Both 'S' and 'V' carry `severity` ("FATAL", "ERROR", "WARNING",
/// "NOTICE").
struct Report {
  std::string_view severity = "FATAL";
  std::string_view sqlstate;  ///< 5 characters (asserted)
  std::string_view message;
  std::string_view detail = {};  ///< left out when empty
  std::string_view hint = {};    ///< left out when empty
};
void append_error_response(std::string& out, const Report& report);
void append_notice_response(std::string& out, const Report& report);

void append_authentication_ok(std::string& out);
void append_authentication_sasl(std::string& out, std::initializer_list<std::string_view> mechanisms);
void append_authentication_sasl_continue(std::string& out, std::string_view data);
void append_authentication_sasl_final(std::string& out, std::string_view data);
void append_parameter_status(std::string& out, std::string_view name, std::string_view value);
/// `key`: 4 bytes under protocol 3.0.
void append_backend_key_data(std::string& out, std::uint32_t pid, std::string_view key);
void append_ready_for_query(std::string& out, TransactionState state);
/// Says that we speak 3.0 and know none of `unknown_options` (StartupMessage::protocol_options).
void append_negotiate_protocol_version(std::string& out, std::span<const std::string> unknown_options);

// To the server.

void append_sasl_initial_response(std::string& out, std::string_view mechanism, std::string_view response);
void append_sasl_response(std::string& out, std::string_view response);
void append_cancel_request(std::string& out, std::uint32_t pid, std::string_view key);
void append_ssl_request(std::string& out);
void append_terminate(std::string& out);
/// Makes a server send what it holds back; changes nothing else (see Tap in relay.h for when).
void append_flush(std::string& out);

}  // namespace daypass::wire::postgres
