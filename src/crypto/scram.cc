#include "crypto/scram.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "base/assert.h"
#include "base/encoding.h"
#include "crypto/digest.h"
#include "crypto/scram_math.h"

namespace daypass::crypto {
namespace {

using base::Code;
using base::Error;
using base::Result;
using base::Secret;

constexpr std::size_t max_message = 2048;
constexpr std::size_t max_attributes = 16;
constexpr std::size_t max_salt = 256;
constexpr std::size_t nonce_bytes = 18;  // as PostgreSQL has it: 24 characters, no padding
constexpr int max_verifier_iterations = 1'000'000;
constexpr int max_client_iterations = 100'000;

Error syntax(std::string message) {
  return {Code::invalid, "scram.syntax", "SCRAM: " + std::move(message)};
}
Error binding_error(std::string message, std::string hint = {}) {
  return {Code::unauthenticated, "scram.channel_binding", "SCRAM: " + std::move(message), std::move(hint)};
}

struct Attribute {
  char name;
  std::string_view value;
};

/// `a=value,b=value`: names are letters, values hold no comma, no control character and are UTF-8 (RFC 5802 section 7).
Result<std::vector<Attribute>> attributes(std::string_view text) {
  std::vector<Attribute> out;
  for (;;) {
    const std::size_t end = std::min(text.find(','), text.size());
    const std::string_view part = text.substr(0, end);
    if (part.size() < 2 || part[1] != '=' ||
        !((part[0] >= 'a' && part[0] <= 'z') || (part[0] >= 'A' && part[0] <= 'Z')))
      return syntax("malformed attribute");
    const std::string_view value = part.substr(2);
    if (!base::is_utf8(value) ||
        std::ranges::any_of(value, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }))
      return syntax("attribute value is not printable text");
    // RFC 5802 section 5.1: m announces an extension that must be understood, and none is.
    if (part[0] == 'm') return syntax("mandatory extension is not supported");
    if (out.size() == max_attributes) return syntax("too many attributes");
    out.push_back({part[0], value});
    if (end == text.size()) return out;
    text.remove_prefix(end + 1);
  }
}

/// Requires the attributes `names` in this order at the front and none of the names in use again behind them.
base::Status require(const std::vector<Attribute>& found, std::string_view names) {
  for (std::size_t i = 0; i < found.size(); ++i) {
    const bool expected = i < names.size();
    if (expected ? found[i].name != names[i]
                 : std::string_view("nrcsipve").find(found[i].name) != std::string_view::npos)
      return syntax("attribute " + std::string(1, found[i].name) + " is out of place");
  }
  if (found.size() < names.size()) return syntax("attribute " + std::string(1, names[found.size()]) + " is missing");
  return {};
}

/// printable in RFC 5802 section 7: every ASCII character but space, comma and controls.
bool is_nonce(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f && c != ','; });
}

/// Digits only, no sign, no leading zero; nullopt also when above `max`.
std::optional<int> positive(std::string_view text, int max) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || text.front() == '0' || text.front() == '-' || error != std::errc() ||
      end != text.data() + text.size() || value > max)
    return std::nullopt;
  return value;
}

std::string fresh_nonce(base::Entropy& entropy) {
  std::string raw(nonce_bytes, '\0');
  entropy.fill({reinterpret_cast<std::uint8_t*>(raw.data()), raw.size()});
  return base::base64_encode(raw);
}

constexpr std::string_view verifier_prefix = "SCRAM-SHA-256$";
constexpr std::string_view plus_flag = "p=tls-server-end-point";

}  // namespace

std::string ScramVerifier::to_text() const {
  return std::string(verifier_prefix) + std::to_string(iterations) + ":" + base::base64_encode(salt) + "$" +
         base::base64_encode(stored_key) + ":" + base::base64_encode(server_key);
}

Result<ScramVerifier> ScramVerifier::parse(std::string_view text) {
  const Error bad{Code::invalid, "scram.verifier",
                  "not a verifier of the form SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>"};
  if (text.size() > max_message || !text.starts_with(verifier_prefix)) return bad;
  text.remove_prefix(verifier_prefix.size());
  const std::size_t colon = text.find(':');
  const std::size_t dollar = text.find('$');
  const std::size_t last = text.rfind(':');
  if (dollar == std::string_view::npos || colon >= dollar || last < dollar) return bad;
  const auto iterations = positive(text.substr(0, colon), max_verifier_iterations);
  const auto salt = base::base64_decode(text.substr(colon + 1, dollar - colon - 1));
  const auto stored = base::base64_decode(text.substr(dollar + 1, last - dollar - 1));
  const auto server = base::base64_decode(text.substr(last + 1));
  if (!iterations || !salt || salt->empty() || salt->size() > max_salt || !stored || stored->size() != 32 || !server ||
      server->size() != 32)
    return bad;
  return ScramVerifier{*iterations, *salt, *stored, *server};
}

ScramVerifier make_verifier(const Secret& password, int iterations, base::Entropy& entropy) {
  DP_ASSERT(iterations >= 1 && iterations <= max_verifier_iterations);
  std::string salt(16, '\0');
  entropy.fill({reinterpret_cast<std::uint8_t*>(salt.data()), salt.size()});
  scram::Keys keys = scram::derive_keys(password, salt, iterations);
  return {iterations, std::move(salt), std::move(keys.stored_key), std::move(keys.server_key)};
}

ScramVerifier mock_verifier(std::string_view server_secret, std::string_view user, int iterations) {
  const auto derive = [&](std::string_view part) {
    return hmac_sha256(server_secret, "daypass scram mock " + std::string(part) + '\0' + std::string(user));
  };
  return {iterations, derive("salt").substr(0, 16), derive("stored key"), derive("server key")};
}

ScramServer::ScramServer(ScramVerifier verifier, bool mock, std::string channel_binding, bool plus, bool plus_offered,
                         base::Entropy& entropy)
    : verifier_(std::move(verifier)),
      mock_(mock),
      binding_(std::move(channel_binding)),
      plus_(plus),
      plus_offered_(plus_offered),
      entropy_(entropy) {
  DP_ASSERT(verifier_.iterations >= 1 && verifier_.stored_key.size() == 32 && verifier_.server_key.size() == 32);
}

Result<std::string> ScramServer::first(std::string_view client_first) {
  if (state_ != State::waits_first) return syntax("message out of turn");
  state_ = State::done;  // until all below went well
  if (client_first.size() > max_message) return syntax("message is longer than 2048 bytes");
  const std::size_t flag_end = client_first.find(',');
  const std::size_t header_end = flag_end == std::string_view::npos ? flag_end : client_first.find(',', flag_end + 1);
  if (header_end == std::string_view::npos) return syntax("malformed GS2 header");
  const std::string_view flag = client_first.substr(0, flag_end);
  if (flag != "n" && flag != "y" && !flag.starts_with("p=")) return syntax("malformed GS2 header");
  if (header_end != flag_end + 1) return syntax("an authorization identity is not supported");

  if (flag.starts_with("p=")) {
    if (flag != plus_flag) return binding_error("channel binding type is not tls-server-end-point");
    if (!plus_) return binding_error("channel binding was sent without choosing SCRAM-SHA-256-PLUS");
    if (binding_.empty()) return binding_error("this connection has nothing to bind to", "connect with TLS");
  } else if (plus_) {
    return binding_error("SCRAM-SHA-256-PLUS was chosen without sending channel binding");
  } else if (flag == "y" && plus_offered_ && !binding_.empty()) {
    // RFC 5802 section 6: the client could bind but was told that we could not. Somebody in between took the offer
    // away.
    return binding_error("client believes that this server does not support channel binding, but it offered it",
                         "something between client and server changes the connection");
  }

  const std::string_view bare = client_first.substr(header_end + 1);
  DP_TRY(const auto found, attributes(bare));
  // n is whatever the client likes: PostgreSQL's user name comes in the startup message, and libpq leaves n empty.
  DP_CHECK(require(found, "nr"));
  if (!is_nonce(found[1].value)) return syntax("nonce is not printable");

  gs2_header_ = client_first.substr(0, header_end + 1);
  nonce_ = std::string(found[1].value) + fresh_nonce(entropy_);
  const std::string reply =
      "r=" + nonce_ + ",s=" + base::base64_encode(verifier_.salt) + ",i=" + std::to_string(verifier_.iterations);
  auth_prefix_ = std::string(bare) + "," + reply;
  state_ = State::waits_final;
  return reply;
}

Result<std::string> ScramServer::final(std::string_view client_final) {
  if (state_ != State::waits_final) return syntax("message out of turn");
  state_ = State::done;
  if (client_final.size() > max_message) return syntax("message is longer than 2048 bytes");
  DP_TRY(const auto found, attributes(client_final));
  if (found.size() < 3 || found.back().name != 'p') return syntax("proof is missing");
  DP_CHECK(require({found.begin(), found.end() - 1}, "cr"));
  const auto proof = base::base64_decode(found.back().value);
  if (!proof || proof->size() != 32) return syntax("proof is not 32 bytes in base64");
  if (!base::base64_decode(found[0].value)) return syntax("channel binding is not base64");
  if (found[1].value != nonce_)
    return Error{Code::unauthenticated, "scram.nonce", "SCRAM: nonce is not the one of this exchange"};
  if (found[0].value != base::base64_encode(gs2_header_ + (plus_ ? binding_ : "")))
    return binding_error("channel binding does not fit this connection",
                         "the client sees another certificate: something between client and server ends TLS");

  // Everything is computed before anything is decided, so that a wrong password, a mock and a right one take the same
  // time.
  const std::string_view without_proof = client_final.substr(0, client_final.rfind(','));
  const std::string auth_message = auth_prefix_ + "," + std::string(without_proof);
  const bool fits = scram::proof_fits(*proof, verifier_.stored_key, auth_message);
  const std::string signature = scram::server_signature(verifier_.server_key, auth_message);
  if (!fits || mock_) return Error{Code::unauthenticated, "scram.proof", "wrong user name or password"};
  return "v=" + base::base64_encode(signature);
}

ScramClient::ScramClient(const Secret& password, std::string channel_binding, bool plus, base::Entropy& entropy)
    : password_(password.clone()), binding_(std::move(channel_binding)), plus_(plus), entropy_(entropy) {
  DP_ASSERT(!plus_ || !binding_.empty());
}

std::string ScramClient::first() {
  DP_ASSERT(nonce_.empty());
  // RFC 5802 section 6: y says "I could bind, you did not offer it", which an honest server that did offer refuses.
  gs2_header_ = plus_ ? std::string(plus_flag) + ",," : binding_.empty() ? "n,," : "y,,";
  nonce_ = fresh_nonce(entropy_);
  first_bare_ = "n=,r=" + nonce_;
  return gs2_header_ + first_bare_;
}

Result<std::string> ScramClient::final(std::string_view server_first) {
  if (nonce_.empty() || !server_signature_.empty()) return syntax("message out of turn");
  if (server_first.size() > max_message) return syntax("message is longer than 2048 bytes");
  DP_TRY(const auto found, attributes(server_first));
  DP_CHECK(require(found, "rsi"));
  const std::string_view nonce = found[0].value;
  if (!is_nonce(nonce)) return syntax("nonce is not printable");
  if (!nonce.starts_with(nonce_) || nonce.size() == nonce_.size())
    return Error{Code::unauthenticated, "scram.nonce", "SCRAM: the server's nonce does not continue ours"};
  const auto salt = base::base64_decode(found[1].value);
  if (!salt || salt->empty() || salt->size() > max_salt) return syntax("salt is not base64 of 1 to 256 bytes");
  const auto iterations = positive(found[2].value, max_client_iterations);
  if (!iterations)
    return Error{Code::invalid, "scram.iterations",
                 "SCRAM: the server asks for an iteration count that is not between 1 and 100000",
                 "store the password again with a lower scram_iterations"};

  const scram::Keys keys = scram::derive_keys(password_, *salt, *iterations);
  const std::string without_proof =
      "c=" + base::base64_encode(gs2_header_ + (plus_ ? binding_ : "")) + ",r=" + std::string(nonce);
  const std::string auth_message = first_bare_ + "," + std::string(server_first) + "," + without_proof;
  server_signature_ = scram::server_signature(keys.server_key, auth_message);
  return without_proof + ",p=" + base::base64_encode(scram::client_proof(keys, auth_message));
}

base::Status ScramClient::verify(std::string_view server_final) {
  const Error bad{Code::unauthenticated, "scram.server_signature",
                  "SCRAM: the server did not prove that it knows the password's verifier",
                  "this may not be the server that the password belongs to"};
  if (server_signature_.empty() || server_final.size() > max_message) return bad;
  const auto found = attributes(server_final);
  if (!found.ok() || !require(*found, "v").ok()) return bad;
  const auto signature = base::base64_decode((*found)[0].value);
  if (!signature || !base::equal_constant_time(*signature, server_signature_)) return bad;
  return {};
}

}  // namespace daypass::crypto
