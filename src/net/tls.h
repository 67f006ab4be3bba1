// TLS for Streams: contexts and handshakes. tls.cc is the only file that sees OpenSSL's SSL headers.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "net/stream.h"

namespace daypass::net {

/// A listener's certificate, key and rules: TLS 1.2 or newer, AEAD suites with forward secrecy, no tickets, no session
/// cache, no early data, no renegotiation, no compression. A handle: copies share it; safe from any thread.
class TlsServerContext {
 public:
  /// `certificate_pem`: leaf first, then intermediates. `alpn`: what may be selected, best first ("postgresql",
  /// "http/1.1"). A client that offers ALPN without any of them is refused; one that offers none is served.
  /// Errors: "tls.certificate_pem", "tls.key_pem", "tls.key_mismatch", "tls.alpn".
  static base::Result<TlsServerContext> make(std::string_view certificate_pem, const base::Secret& key_pem,
                                             std::vector<std::string> alpn);
  /// For new handshakes from now on; on an error the old pair stays. Same errors as make.
  base::Status replace(std::string_view certificate_pem, const base::Secret& key_pem);
  /// PEM of the leaf in use, e.g. for crypto::server_end_point (channel binding, RFC 5929).
  [[nodiscard]] std::string leaf_pem() const;

  struct Slot;
  [[nodiscard]] const std::shared_ptr<Slot>& slot() const noexcept { return slot_; }

 private:
  explicit TlsServerContext(std::shared_ptr<Slot> slot) : slot_(std::move(slot)) {}
  std::shared_ptr<Slot> slot_;
};

/// What a client of TLS may set. The certificate chain and the name are always verified: there is no switch for that.
struct TlsClientOptions {
  TlsClientOptions() = default;
  std::string ca_pem;           ///< trust these instead of the system's roots
  std::string ca_file;          ///< same, from a PEM file; give at most one of both
  std::string certificate_pem;  ///< client certificate, leaf first; empty: none
  base::Secret key_pem;         ///< its key
  std::vector<std::string> alpn;
};

/// A handle like TlsServerContext.
class TlsClientContext {
 public:
  /// Errors: "tls.ca", "tls.certificate_pem", "tls.key_pem", "tls.key_mismatch", "tls.alpn".
  static base::Result<TlsClientContext> make(const TlsClientOptions& options);

  struct Slot;
  [[nodiscard]] const std::shared_ptr<Slot>& slot() const noexcept { return slot_; }

 private:
  explicit TlsClientContext(std::shared_ptr<Slot> slot) : slot_(std::move(slot)) {}
  std::shared_ptr<Slot> slot_;
};

/// Server handshake on a connection whose first unread byte is the ClientHello (direct TLS; peek() may have looked).
/// Takes the stream; on an error it is closed. Errors: "net.timeout", "tls.handshake", "tls.alpn_mismatch",
/// "tls.transport" (not a plain stream), and those of Stream.
awaitable<base::Result<StreamPtr>> accept_tls(StreamPtr stream, TlsServerContext context, base::Millis timeout);

/// Server handshake after a request in plain text (PostgreSQL's SSLRequest): refuses when the peer has sent anything
/// behind the request (CVE-2021-23214), sends `reply` in plain text ("S"), then shakes hands. `buffered`: what the
/// caller has read beyond the request; must be empty. Errors: "tls.stuffed_plaintext" and those of accept_tls.
awaitable<base::Result<StreamPtr>> upgrade_tls(StreamPtr stream, TlsServerContext context, std::string_view reply,
                                               std::string_view buffered, base::Millis timeout);

/// Client handshake. `host`: DNS name (sent as SNI) or IP address that the certificate must carry as a subject
/// alternative name. `buffered`: what the caller has read beyond the server's consent (CVE-2021-23222); must be empty.
/// Errors: "tls.certificate" (chain), "tls.hostname", "tls.stuffed_plaintext" and those of accept_tls.
awaitable<base::Result<StreamPtr>> connect_tls(StreamPtr stream, TlsClientContext context, std::string host,
                                               std::string_view buffered, base::Millis timeout);

}  // namespace daypass::net
