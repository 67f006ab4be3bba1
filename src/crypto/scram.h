// SCRAM-SHA-256 and -PLUS (RFC 5802, RFC 7677) as PostgreSQL speaks it: bytes in, bytes out, no socket.
// Owns the messages and their checks; messages longer than 2 KiB, authorization identities and `m=` are refused.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/entropy.h"
#include "base/result.h"
#include "base/secret.h"

namespace daypass::crypto {

/// What a server keeps instead of a password. Text form is PostgreSQL's: SCRAM-SHA-256$<iter>:<salt>$<stored>:<server>.
struct ScramVerifier {
  int iterations = 0;
  std::string salt;        ///< raw bytes
  std::string stored_key;  ///< 32 raw bytes
  std::string server_key;  ///< 32 raw bytes
  [[nodiscard]] std::string to_text() const;
  /// Errors: "scram.verifier". Iterations 1 … 1,000,000.
  static base::Result<ScramVerifier> parse(std::string_view text);
  bool operator==(const ScramVerifier&) const = default;
};

/// Makes a verifier with a fresh 16-byte salt and 1 … 1,000,000 iterations. `password` is taken as bytes: ours are
/// ASCII, so SASLprep changes nothing.
ScramVerifier make_verifier(const base::Secret& password, int iterations, base::Entropy& entropy);

/// A verifier for a name that does not exist: salt derived from `server_secret` and `user`, so that the same name
/// always meets the same salt and nobody learns which names are real (RFC 5802 section 9). No password fits it.
ScramVerifier mock_verifier(std::string_view server_secret, std::string_view user, int iterations);

/// Server side of one exchange. Call first(), then final(), once each; a call out of turn, or after a failure, is
/// "scram.syntax". A mock costs the same work as a real verifier and fails with the same words.
class ScramServer {
 public:
  /// `channel_binding` is the tls-server-end-point hash (RFC 5929) of our certificate, empty without TLS.
  /// `plus` is whether the client chose SCRAM-SHA-256-PLUS; `plus_offered` whether we advertised it, to
  /// see a downgrade.
  ScramServer(ScramVerifier verifier, bool mock, std::string channel_binding, bool plus, bool plus_offered,
              base::Entropy& entropy);
  /// client-first-message in, server-first-message out. Errors: "scram.syntax", "scram.channel_binding".
  base::Result<std::string> first(std::string_view client_first);
  /// client-final-message in, server-final-message out. Errors: "scram.syntax", "scram.nonce", "scram.channel_binding",
  /// "scram.proof" (wrong password, or the name is a mock).
  base::Result<std::string> final(std::string_view client_final);

 private:
  enum class State { waits_first, waits_final, done };
  State state_ = State::waits_first;
  ScramVerifier verifier_;
  bool mock_;
  std::string binding_;
  bool plus_;
  bool plus_offered_;
  std::string nonce_;
  std::string gs2_header_;
  std::string auth_prefix_;  // client-first-bare "," server-first
  base::Entropy& entropy_;
};

/// Client side of one exchange: first(), then final(server_first), then verify(server_final).
class ScramClient {
 public:
  /// Without TLS give an empty `channel_binding`; `plus` chooses SCRAM-SHA-256-PLUS and needs one. With TLS and without
  /// `plus` the client says that it was not offered: a server that did offer then refuses (downgrade detection).
  ScramClient(const base::Secret& password, std::string channel_binding, bool plus, base::Entropy& entropy);
  std::string first();
  /// Errors: "scram.syntax", "scram.nonce", "scram.iterations" (0, or above 100,000: a hostile server burns our CPU).
  base::Result<std::string> final(std::string_view server_first);
  /// Error: "scram.server_signature": the server does not know the password's verifier.
  base::Status verify(std::string_view server_final);

 private:
  base::Secret password_;
  std::string binding_;
  bool plus_;
  base::Entropy& entropy_;
  std::string nonce_;
  std::string gs2_header_;
  std::string first_bare_;
  std::string server_signature_;
};

}  // namespace daypass::crypto
