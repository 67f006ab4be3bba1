#include "wire/postgres/parse.h"

#include <algorithm>

#include "wire/postgres/message.h"

namespace daypass::wire::postgres {

namespace {

base::Error bad(const char* check, const char* message) {
  return {base::Code::invalid, check, message, "use a client or server that speaks PostgreSQL's protocol 3"};
}

base::Error bad_name() {
  return bad("message.name", "the name of a statement or portal doesn't end within 255 bytes");
}

bool take_name(std::string_view& rest, std::string_view& out) {
  return take_cstring(rest, out) && out.size() <= kMessageNameMax;
}

bool is_sqlstate(std::string_view s) {
  return s.size() == 5 &&
         std::all_of(s.begin(), s.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'); });
}

}  // namespace

bool take_cstring(std::string_view& rest, std::string_view& out) noexcept {
  const std::size_t end = rest.find('\0');
  if (end == std::string_view::npos) return false;
  out = rest.substr(0, end);
  rest.remove_prefix(end + 1);
  return true;
}

bool take_u16(std::string_view& rest, std::uint16_t& out) noexcept {
  if (rest.size() < 2) return false;
  const auto byte = [&](std::size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(rest[i])); };
  out = static_cast<std::uint16_t>((byte(0) << 8U) | byte(1));
  rest.remove_prefix(2);
  return true;
}

bool take_u32(std::string_view& rest, std::uint32_t& out) noexcept {
  std::uint16_t high = 0;
  std::uint16_t low = 0;
  if (rest.size() < 4 || !take_u16(rest, high) || !take_u16(rest, low)) return false;
  out = (std::uint32_t{high} << 16U) | low;
  return true;
}

base::Result<SaslInitialResponse> parse_sasl_initial_response(std::string_view body) {
  SaslInitialResponse out;
  std::uint32_t length = 0;
  if (!take_cstring(body, out.mechanism) || out.mechanism.empty() || out.mechanism.size() > 64) {
    return bad("sasl.initial", "the first SASL message names no mechanism");
  }
  if (!take_u32(body, length) || length != body.size() || length == 0) {
    return bad("sasl.initial", "the first SASL message has no response of the length it says");
  }
  out.response = body;
  if (body.find('\0') != std::string_view::npos) return bad("sasl.initial", "the SASL response holds a NUL");
  return out;
}

base::Result<std::string_view> parse_sasl_response(std::string_view body) {
  if (body.empty() || body.size() > kPasswordMessageMax || body.find('\0') != std::string_view::npos) {
    return bad("sasl.response", "the SASL response is empty, too long or holds a NUL");
  }
  return body;
}

base::Result<Parse> parse_parse(std::string_view head, bool whole) {
  Parse out;
  if (!take_name(head, out.statement)) return bad_name();
  const std::size_t end = head.find('\0');
  if (end == std::string_view::npos) {
    if (whole) return bad("message.body", "the text of a Parse message doesn't end");
    out.truncated = true;
  }
  out.text = head.substr(0, end);
  if (out.text.size() > kTextMax) {
    out.text = out.text.substr(0, kTextMax);
    out.truncated = true;
  }
  return out;
}

base::Result<Bind> parse_bind(std::string_view head) {
  Bind out;
  if (!take_name(head, out.portal) || !take_name(head, out.statement)) return bad_name();
  return out;
}

base::Result<Execute> parse_execute(std::string_view body) {
  Execute out;
  if (!take_name(body, out.portal)) return bad_name();
  if (!take_u32(body, out.max_rows) || !body.empty())
    return bad("message.body", "an Execute message has a foreign body");
  // The server reads a signed number and takes what isn't positive as "all".
  if (out.max_rows > 0x7fffffffU) out.max_rows = 0;
  return out;
}

base::Result<Named> parse_named(std::string_view body) {
  Named out;
  if (body.empty() || (body[0] != 'S' && body[0] != 'P')) {
    return bad("message.body", "a Close or Describe message names neither a statement nor a portal");
  }
  out.what = body[0];
  body.remove_prefix(1);
  if (!take_name(body, out.name)) return bad_name();
  if (!body.empty()) return bad("message.body", "a Close or Describe message has a foreign body");
  return out;
}

base::Result<Authentication> parse_authentication(std::string_view body) {
  Authentication out;
  if (!take_u32(body, out.code)) return bad("authentication.body", "the server's authentication request is too short");
  switch (out.code) {
    case 0:
    case 3:
      if (!body.empty()) return bad("authentication.body", "the server's authentication message is too long");
      break;
    case 5:
      if (body.size() != 4) return bad("authentication.body", "the server's MD5 salt is not 4 bytes");
      break;
    case 10: {
      std::string_view mechanism;
      for (;;) {
        if (!take_cstring(body, mechanism))
          return bad("authentication.body", "the list of SASL mechanisms doesn't end");
        if (mechanism.empty()) break;
        if (out.mechanisms.size() == 16)
          return bad("authentication.body", "the server offers too many SASL mechanisms");
        out.mechanisms.push_back(mechanism);
      }
      if (out.mechanisms.empty() || !body.empty()) {
        return bad("authentication.body", "the server's list of SASL mechanisms is empty or has a tail");
      }
      break;
    }
    case 11:
    case 12:
      if (body.empty() || body.find('\0') != std::string_view::npos) {
        return bad("authentication.body", "the server's SASL data is empty or holds a NUL");
      }
      out.data = body;
      break;
    default:
      out.kind = Authentication::Kind::other;
      return out;
  }
  out.kind = static_cast<Authentication::Kind>(out.code);
  return out;
}

base::Result<BackendKey> parse_backend_key(std::string_view body) {
  BackendKey out;
  if (!take_u32(body, out.pid) || body.size() < 4 || body.size() > 256) {
    return bad("message.body", "the server's cancel key is not 4 to 256 bytes");
  }
  out.key = std::string(body);
  return out;
}

base::Result<ParameterStatus> parse_parameter_status(std::string_view body) {
  ParameterStatus out;
  if (!take_cstring(body, out.name) || out.name.empty() || !take_cstring(body, out.value) || !body.empty()) {
    return bad("message.body", "a ParameterStatus message is not a name and a value");
  }
  return out;
}

base::Result<TransactionState> parse_ready_for_query(std::string_view body) {
  if (body.size() != 1 || (body[0] != 'I' && body[0] != 'T' && body[0] != 'E')) {
    return bad("message.body", "a ReadyForQuery message holds no transaction state");
  }
  return static_cast<TransactionState>(body[0]);
}

ServerNotice parse_notice(std::string_view body) noexcept {
  ServerNotice out;
  bool untranslated = false;
  while (!body.empty() && body[0] != '\0') {
    const char field = body[0];
    body.remove_prefix(1);
    const std::size_t end = body.find('\0');
    const std::string_view value = body.substr(0, end);
    body.remove_prefix(end == std::string_view::npos ? body.size() : end + 1);
    switch (field) {
      case 'S':
        if (!untranslated) out.severity = value;
        break;
      case 'V':
        out.severity = value;
        untranslated = true;
        break;
      case 'C':
        if (is_sqlstate(value)) out.sqlstate = value;
        break;
      case 'M':
        out.message = value;
        break;
      case 'D':
        out.detail = value;
        break;
      case 'H':
        out.hint = value;
        break;
      default:
        break;
    }
  }
  return out;
}

base::Result<NegotiateProtocolVersion> parse_negotiate_protocol_version(std::string_view body) {
  NegotiateProtocolVersion out;
  std::uint32_t count = 0;
  if (!take_u32(body, out.newest) || !take_u32(body, count) || count > body.size()) {
    return bad("message.body", "a NegotiateProtocolVersion message is too short");
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    std::string_view name;
    if (!take_cstring(body, name)) return bad("message.body", "a NegotiateProtocolVersion message lacks names");
    out.unknown_options.push_back(name);
  }
  if (!body.empty()) return bad("message.body", "a NegotiateProtocolVersion message has a tail");
  return out;
}

}  // namespace daypass::wire::postgres
