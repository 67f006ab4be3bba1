// Long for one file, because no other may see OpenSSL's SSL headers: rules (contexts), the BIO under them, the stream.
#include "net/tls.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>
#include <mutex>

#include "net/socket_stream.h"

namespace daypass::net {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};
using CtxPtr = std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, Freed<SSL_free>>;
using BioPtr = std::unique_ptr<BIO, Freed<BIO_free>>;
using X509Ptr = std::unique_ptr<X509, Freed<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;

/// One side's rules, fixed after it is built; a handshake keeps the one that it began with.
struct Rules {
  CtxPtr ctx;
  std::string alpn;  // wire form: length-prefixed names
  std::string leaf_pem;
};

// OpenSSL would ask for a passphrase on the terminal.
int no_passphrase(char*, int, int, void*) {
  return 0;
}

BioPtr memory_bio(std::string_view text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(std::min<std::size_t>(text.size(), 1 << 20))));
}

Error tls_error(std::string check, std::string message, std::string hint = {}) {
  ERR_clear_error();
  return Error(Code::invalid, std::move(check), std::move(message), std::move(hint));
}

/// True when the PEM text ended, false when it broke.
bool at_pem_end() {
  const unsigned long last = ERR_peek_last_error();
  const bool end = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  return end;
}

Result<std::string> alpn_wire(const std::vector<std::string>& names) {
  std::string wire;
  for (const std::string& name : names) {
    if (name.empty() || name.size() > 255) return tls_error("tls.alpn", "an ALPN name has 1 to 255 bytes");
    wire.push_back(static_cast<char>(name.size()));
    wire += name;
  }
  return wire;
}

/// Rules for both sides. TLS 1.3 suites are all fine; of TLS 1.2 only AEAD with ephemeral keys.
Result<CtxPtr> base_context(const SSL_METHOD* method) {
  CtxPtr ctx(SSL_CTX_new(method));
  if (!ctx) return tls_error("tls.context", "OpenSSL refused to make a TLS context");
  SSL_CTX_set_min_proto_version(ctx.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(
      ctx.get(), SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_clear_options(ctx.get(), SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_LEGACY_SERVER_CONNECT);
  // Read-ahead: a record costs one recv instead of two. Buffers go back to the heap while a connection is idle.
  SSL_CTX_set_read_ahead(ctx.get(), 1);
  SSL_CTX_set_mode(ctx.get(),
                   SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // Without it a read returns when a buffer held nothing but messages without data, and so can be counted: see
  // read_ssl.
  SSL_CTX_clear_mode(ctx.get(), SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_security_level(ctx.get(), 2);
  SSL_CTX_set_session_cache_mode(ctx.get(), SSL_SESS_CACHE_OFF);
  const char* const suites =
      "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
      "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
  if (SSL_CTX_set_cipher_list(ctx.get(), suites) != 1 || SSL_CTX_set1_groups_list(ctx.get(), "X25519:P-256:P-384") != 1)
    return tls_error("tls.context", "OpenSSL lacks the TLS suites that Daypass uses");
  return ctx;
}

Status use_identity(SSL_CTX* ctx, std::string_view certificate_pem, const base::Secret& key_pem) {
  const BioPtr certificates = memory_bio(certificate_pem);
  const X509Ptr leaf(PEM_read_bio_X509(certificates.get(), nullptr, no_passphrase, nullptr));
  if (!leaf) return tls_error("tls.certificate_pem", "the certificate is not PEM text", "expected BEGIN CERTIFICATE");
  if (SSL_CTX_use_certificate(ctx, leaf.get()) != 1)
    return tls_error("tls.certificate_pem", "the certificate is not usable", "use P-256, Ed25519 or RSA of 2048 bits");
  while (X509* raw = PEM_read_bio_X509(certificates.get(), nullptr, no_passphrase, nullptr)) {
    const X509Ptr intermediate(raw);
    if (SSL_CTX_add1_chain_cert(ctx, intermediate.get()) != 1)
      return tls_error("tls.certificate_pem", "an intermediate certificate is not usable");
  }
  if (!at_pem_end()) return tls_error("tls.certificate_pem", "the certificate file holds broken PEM text");
  const BioPtr key_text = memory_bio(key_pem.reveal());
  const KeyPtr key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, no_passphrase, nullptr));
  if (!key)
    return tls_error("tls.key_pem", "the private key is not PEM text, or has a passphrase", "give the key unencrypted");
  if (EVP_PKEY_eq(X509_get0_pubkey(leaf.get()), key.get()) != 1)
    return tls_error("tls.key_mismatch", "the private key does not belong to the certificate");
  if (SSL_CTX_use_PrivateKey(ctx, key.get()) != 1 || SSL_CTX_check_private_key(ctx) != 1)
    return tls_error("tls.key_pem", "the private key is not usable");
  return {};
}

std::string pem_of(X509* certificate) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(out.get(), certificate);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

int select_alpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                unsigned int offered_size, void* argument) {
  const auto& alpn = static_cast<const Rules*>(argument)->alpn;
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, reinterpret_cast<const unsigned char*>(alpn.data()),
                            static_cast<unsigned int>(alpn.size()), offered, offered_size) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;  // RFC 7301 section 3.2
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

Result<std::shared_ptr<const Rules>> server_rules(std::string_view certificate_pem, const base::Secret& key_pem,
                                                  const std::string& alpn) {
  auto rules = std::make_shared<Rules>();
  DP_TRY(rules->ctx, base_context(TLS_server_method()));
  rules->alpn = alpn;
  SSL_CTX* const ctx = rules->ctx.get();
  SSL_CTX_set_num_tickets(ctx, 0);
  SSL_CTX_set_max_early_data(ctx, 0);
  SSL_CTX_set_recv_max_early_data(ctx, 0);
  DP_CHECK(use_identity(ctx, certificate_pem, key_pem));
  rules->leaf_pem = pem_of(SSL_CTX_get0_certificate(ctx));
  if (!alpn.empty()) SSL_CTX_set_alpn_select_cb(ctx, select_alpn, rules.get());
  return std::shared_ptr<const Rules>(std::move(rules));
}

Status trust(SSL_CTX* ctx, const TlsClientOptions& options) {
  const std::string hint = "give a PEM file with at least one certificate";
  if (!options.ca_pem.empty() && !options.ca_file.empty())
    return tls_error("tls.ca", "trust is given twice, as text and as a file", "give one of both");
  if (options.ca_pem.empty() && options.ca_file.empty()) {
    if (SSL_CTX_set_default_verify_paths(ctx) != 1) return tls_error("tls.ca", "the system has no usable root store");
    return {};
  }
  if (!options.ca_file.empty()) {
    if (SSL_CTX_load_verify_file(ctx, options.ca_file.c_str()) != 1)
      return tls_error("tls.ca", "can't read certificates to trust from " + options.ca_file, hint);
  } else {
    const BioPtr text = memory_bio(options.ca_pem);
    int count = 0;
    while (X509* raw = PEM_read_bio_X509(text.get(), nullptr, no_passphrase, nullptr)) {
      const X509Ptr certificate(raw);
      if (X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), certificate.get()) != 1)
        return tls_error("tls.ca", "a certificate to trust is not usable", hint);
      ++count;
    }
    if (!at_pem_end() || count == 0) return tls_error("tls.ca", "the certificates to trust are not PEM text", hint);
  }
  // What was named is the anchor, be it a root, an intermediate or the server's own certificate.
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN);
  return {};
}

/// What the custom BIO below reads from and writes to.
struct Wire {
  SocketStream* socket = nullptr;
  std::string_view staged;  // ciphertext that an awaited read has brought
  bool may_recv = true;     // false: only `staged`, so that a read that would find nothing costs no system call
  bool starved = false;     // the last read found nothing
  bool eof = false;
  int errno_value = 0;
};

int wire_read(BIO* bio, char* out, int size) {
  BIO_clear_retry_flags(bio);
  auto& wire = *static_cast<Wire*>(BIO_get_data(bio));
  if (size <= 0) return 0;
  if (!wire.staged.empty()) {
    const std::size_t count = wire.staged.copy(out, static_cast<std::size_t>(size));
    wire.staged.remove_prefix(count);
    return static_cast<int>(count);
  }
  if (wire.eof) return 0;
  if (!wire.may_recv) {
    wire.starved = true;
    BIO_set_retry_read(bio);
    return -1;
  }
  const Attempt got = wire.socket->try_read({out, static_cast<std::size_t>(size)});
  switch (got.kind) {
    case Attempt::Kind::bytes:
      return static_cast<int>(got.count);
    case Attempt::Kind::would_block:
      wire.starved = true;
      BIO_set_retry_read(bio);
      return -1;
    case Attempt::Kind::eof:
      wire.eof = true;
      return 0;
    case Attempt::Kind::error:
      wire.errno_value = got.errno_value;
      return -1;
  }
  return -1;
}

int wire_write(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  auto& wire = *static_cast<Wire*>(BIO_get_data(bio));
  if (size <= 0) return 0;
  const Attempt sent = wire.socket->try_write({data, static_cast<std::size_t>(size)});
  if (sent.ok()) return static_cast<int>(sent.count);
  if (sent.blocked()) BIO_set_retry_write(bio);
  wire.errno_value = sent.errno_value;
  return -1;
}

long wire_control(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_FLUSH) return 1;
  if (command == BIO_CTRL_EOF) return static_cast<Wire*>(BIO_get_data(bio))->eof ? 1 : 0;
  return 0;
}

const BIO_METHOD* wire_method() {
  // Made once and kept: OpenSSL wants the method to outlive every BIO.
  static const auto method = [] {
    std::unique_ptr<BIO_METHOD, Freed<BIO_meth_free>> made(
        BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "daypass wire"));
    BIO_meth_set_read(made.get(), wire_read);
    BIO_meth_set_write(made.get(), wire_write);
    BIO_meth_set_ctrl(made.get(), wire_control);
    return made;
  }();
  return method.get();
}

class TlsStream final : public Stream {
 public:
  TlsStream(std::unique_ptr<SocketStream> socket, std::shared_ptr<const Rules> rules)
      : socket_(std::move(socket)), rules_(std::move(rules)), ssl_(SSL_new(rules_->ctx.get())) {
    DP_ASSERT(ssl_ != nullptr);
    wire_.socket = socket_.get();
    BIO* const bio = BIO_new(wire_method());
    DP_ASSERT(bio != nullptr);
    BIO_set_data(bio, &wire_);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_.get(), bio, bio);
  }

  SSL* ssl() noexcept { return ssl_.get(); }
  awaitable<Status> handshake(base::Millis timeout);

  awaitable<Result<std::size_t>> read_some(std::span<char> buffer) override;
  [[nodiscard]] bool reads_after_waiting() const noexcept override { return true; }
  awaitable<Result<std::size_t>> peek(std::span<char>) override {
    co_return Error(Code::internal, "net.peek", "a TLS stream can't be peeked at");
  }
  awaitable<Status> write_all(std::string_view data) override;
  Attempt try_read(std::span<char> buffer) noexcept override;
  Attempt try_write(std::string_view data) noexcept override;
  Attempt try_write(std::string_view first, std::string_view second) noexcept override;
  [[nodiscard]] bool write_blocked() const noexcept override { return !sealed_.empty(); }
  awaitable<Status> wait_readable() override;
  awaitable<Status> wait_writable() override { return socket_->wait_writable(); }
  Status shutdown() noexcept override;
  void interrupt() noexcept override { socket_->interrupt(); }
  void close() noexcept override { socket_->close(); }
  void abort() noexcept override { socket_->abort(); }
  [[nodiscard]] bool is_open() const noexcept override { return socket_->is_open(); }
  [[nodiscard]] const std::string& peer() const noexcept override { return socket_->peer(); }
  [[nodiscard]] const std::string& peer_ip() const noexcept override { return socket_->peer_ip(); }
  [[nodiscard]] std::optional<std::uint32_t> peer_uid() const noexcept override { return socket_->peer_uid(); }
  [[nodiscard]] int native_fd() const noexcept override { return socket_->native_fd(); }
  [[nodiscard]] const TlsInfo* tls_info() const noexcept override { return &info_; }
  [[nodiscard]] std::string peer_certificate_pem() const override;
  [[nodiscard]] io_context& context() const noexcept override { return socket_->context(); }

 private:
  enum class Need { none, readable, writable };
  using Read = int (*)(SSL*, void*, int);
  // Ciphertext that an idle connection waits for: a small query fits; larger records are read on by recv. Kept small
  // because it sits in the frame of every waiting connection.
  static constexpr std::size_t kStage = 512;
  static constexpr std::size_t kRecord = 16384;  // plain text in one TLS record at most (RFC 8446 section 5.1)

  /// SSL_read or SSL_peek, until data, an error, or no ciphertext is left.
  int read_ssl(Read call, void* out, std::size_t size) noexcept;
  /// Keeps ciphertext that OpenSSL has left in a buffer that is about to go.
  void keep_staged();
  /// Judges a call that returned <= 0. On Kind::would_block `need_` says what for.
  Attempt judge(int result) noexcept;
  Error failure(const Attempt& attempt) const;
  Error handshake_error() const;
  void learn_info();

  std::unique_ptr<SocketStream> socket_;
  std::shared_ptr<const Rules> rules_;  // before ssl_: OpenSSL's callbacks look into it
  Wire wire_;
  SslPtr ssl_;
  Need need_ = Need::none;
  std::string carry_;       // what wire_.staged views between two reads
  std::string sealed_;      // plain text of a record that was begun and has not left completely
  std::size_t credit_ = 0;  // bytes that left in such a record and that the caller has yet to offer again
  bool broken_ = false;     // after a fatal error OpenSSL forbids further calls
  unsigned long reason_ = 0;
  TlsInfo info_;
};

std::string TlsStream::peer_certificate_pem() const {
  X509* const certificate = SSL_get0_peer_certificate(ssl_.get());
  const std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()), &BIO_free);
  if (certificate == nullptr || !out || PEM_write_bio_X509(out.get(), certificate) != 1) return {};
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return size > 0 ? std::string(text, static_cast<std::size_t>(size)) : std::string();
}

int TlsStream::read_ssl(Read call, void* out, std::size_t size) noexcept {
  // Tickets and key updates carry no data; a peer that sends buffers full of them only wants to keep a thread busy.
  // (OpenSSL returns once its buffer is used up, so a turn is at most 16 KiB of such messages.)
  constexpr int kMostSilentTurns = 8;
  const int want = static_cast<int>(std::min<std::size_t>(size, 1 << 30));
  for (int i = 0; i < kMostSilentTurns; ++i) {
    ERR_clear_error();
    wire_.starved = false;
    const int count = call(ssl_.get(), out, want);
    if (count > 0 || SSL_get_error(ssl_.get(), count) != SSL_ERROR_WANT_READ || wire_.starved) return count;
  }
  broken_ = true;
  return 0;
}

void TlsStream::keep_staged() {
  if (wire_.staged.empty()) {
    if (!carry_.empty()) std::string().swap(carry_);
    return;
  }
  std::string rest(wire_.staged);  // may lie in carry_ itself
  carry_ = std::move(rest);
  wire_.staged = carry_;
}

Attempt TlsStream::judge(int result) noexcept {
  if (broken_) return {};
  const int kind = SSL_get_error(ssl_.get(), result);
  need_ = Need::none;
  if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) {
    need_ = kind == SSL_ERROR_WANT_READ ? Need::readable : Need::writable;
    return {Attempt::Kind::would_block, 0, 0};
  }
  if (kind == SSL_ERROR_ZERO_RETURN) return {Attempt::Kind::eof, 0, 0};
  broken_ = true;
  reason_ = ERR_peek_last_error();
  ERR_clear_error();
  return {Attempt::Kind::error, 0, wire_.errno_value};
}

Error TlsStream::failure(const Attempt& attempt) const {
  if (!socket_->usable()) return closed_error();
  if (attempt.errno_value != 0) return stream_error(attempt.errno_value);
  if (wire_.eof) return Error(Code::unavailable, "net.truncated", "the peer ended the connection without close_notify");
  return Error(Code::unavailable, "tls.record", "the peer broke the TLS protocol");
}

awaitable<Result<std::size_t>> TlsStream::read_some(std::span<char> buffer) {
  std::array<char, kStage> stage;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by the read
  wire_.may_recv = false;
  bool try_ssl = SSL_has_pending(ssl_.get()) == 1 || !wire_.staged.empty();
  for (;;) {
    if (!socket_->usable()) co_return closed_error();
    if (broken_) co_return failure({});
    if (try_ssl) {
      const int count = read_ssl(SSL_read, buffer.data(), buffer.size());
      keep_staged();
      if (count > 0) co_return static_cast<std::size_t>(count);
      const Attempt attempt = judge(count);
      if (attempt.kind == Attempt::Kind::eof) co_return std::size_t{0};
      if (!attempt.blocked()) co_return failure(attempt);
      if (need_ == Need::writable) {
        const Status writable = co_await socket_->wait_writable();
        if (!writable) co_return writable.error();
        continue;
      }
    }
    const Result<std::size_t> count = co_await socket_->read_some(stage);
    if (!count) co_return count.error();
    wire_.eof = *count == 0;
    wire_.staged = std::string_view(stage.data(), *count);
    wire_.may_recv = *count == stage.size();
    try_ssl = true;
  }
}

Attempt TlsStream::try_read(std::span<char> buffer) noexcept {
  if (broken_ || !socket_->is_open()) return {};
  wire_.may_recv = true;
  const int count = read_ssl(SSL_read, buffer.data(), buffer.size());
  if (count > 0) return {Attempt::Kind::bytes, static_cast<std::size_t>(count), 0};
  return judge(count);
}

Attempt TlsStream::try_write(std::string_view data) noexcept {
  if (broken_ || !socket_->is_open()) return {};
  std::size_t done = std::min(credit_, data.size());
  credit_ -= done;
  while (done < data.size()) {
    ERR_clear_error();
    wire_.may_recv = true;
    const std::string_view rest = data.substr(done);
    // OpenSSL wants the begun record offered again whole, though the caller may offer it in other pieces by now.
    const std::string_view piece = sealed_.empty() ? rest.substr(0, kRecord) : std::string_view(sealed_);
    const int count = SSL_write(ssl_.get(), piece.data(), static_cast<int>(piece.size()));
    if (count > 0) {
      const auto sent = static_cast<std::size_t>(count);
      if (!sealed_.empty()) std::string().swap(sealed_);
      done += std::min(sent, rest.size());
      credit_ = sent - std::min(sent, rest.size());
      continue;
    }
    const Attempt attempt = judge(count);
    if (!attempt.blocked()) return {Attempt::Kind::error, 0, attempt.errno_value};
    if (sealed_.empty()) sealed_ = piece;
    if (done == 0) return attempt;
    break;
  }
  return {Attempt::Kind::bytes, done, 0};
}

Attempt TlsStream::try_write(std::string_view first, std::string_view second) noexcept {
  if (second.empty()) return try_write(first);
  if (first.size() + second.size() <= kRecord) {
    // One record instead of two. Per thread, not per connection; OpenSSL accepts that a retry comes from elsewhere.
    thread_local std::array<char, kRecord> joined;
    first.copy(joined.data(), first.size());
    second.copy(joined.data() + first.size(), second.size());
    return try_write(std::string_view(joined.data(), first.size() + second.size()));
  }
  const Attempt head = try_write(first);
  if (!head.ok() || head.count < first.size()) return head;
  const Attempt tail = try_write(second);
  if (tail.kind == Attempt::Kind::error) return tail;  // the connection is dead: what was sent doesn't matter any more
  return {Attempt::Kind::bytes, head.count + tail.count, 0};
}

awaitable<Status> TlsStream::write_all(std::string_view data) {
  while (!data.empty()) {
    if (!socket_->usable()) co_return closed_error();
    const Attempt attempt = try_write(data);
    if (attempt.kind == Attempt::Kind::error || attempt.kind == Attempt::Kind::eof) co_return failure(attempt);
    data.remove_prefix(attempt.count);
    if (data.empty()) break;
    const Status ready =
        need_ == Need::readable ? co_await socket_->wait_readable() : co_await socket_->wait_writable();
    if (!ready) co_return ready.error();
  }
  co_return Status();
}

awaitable<Status> TlsStream::wait_readable() {
  if (!socket_->usable()) co_return closed_error();
  if (broken_) co_return failure({});
  wire_.may_recv = true;
  char byte = 0;
  const int count = read_ssl(SSL_peek, &byte, 1);
  if (count > 0) co_return Status();
  const Attempt attempt = judge(count);
  if (attempt.kind == Attempt::Kind::eof) co_return Status();
  if (!attempt.blocked()) co_return failure(attempt);
  const Status ready = need_ == Need::writable ? co_await socket_->wait_writable() : co_await socket_->wait_readable();
  co_return ready;
}

Status TlsStream::shutdown() noexcept {
  if (!socket_->is_open()) return closed_error();
  if (!broken_ && sealed_.empty()) {
    ERR_clear_error();
    if (SSL_shutdown(ssl_.get()) < 0) ERR_clear_error();  // best effort: FIN follows anyhow
  }
  return socket_->shutdown();
}

void TlsStream::learn_info() {
  if (const char* name = SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name)) {
    for (const char* at = name; *at != '\0'; ++at)
      info_.sni.push_back(*at >= 'A' && *at <= 'Z' ? static_cast<char>(*at - 'A' + 'a') : *at);
  }
  const unsigned char* alpn = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &alpn, &size);
  if (size > 0) info_.alpn.assign(reinterpret_cast<const char*>(alpn), size);
  info_.version = SSL_get_version(ssl_.get());
  info_.cipher = SSL_get_cipher_name(ssl_.get());
}

Error TlsStream::handshake_error() const {
  if (!socket_->usable()) return closed_error();
  const long verdict = SSL_get_verify_result(ssl_.get());
  if (verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH)
    return Error(Code::unavailable, "tls.hostname", "the server's certificate is for another name",
                 "connect by a name that the certificate lists");
  if (verdict != X509_V_OK)
    return Error(Code::unavailable, "tls.certificate",
                 std::string("the peer's certificate is not trusted: ") + X509_verify_cert_error_string(verdict),
                 "give the certificate of its authority as the one to trust");
  const int reason = ERR_GET_LIB(reason_) == ERR_LIB_SSL ? ERR_GET_REASON(reason_) : 0;
  if (reason == SSL_R_NO_APPLICATION_PROTOCOL || reason == SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL)
    return Error(Code::unavailable, "tls.alpn_mismatch", "client and server share no application protocol (ALPN)");
  if (wire_.errno_value != 0) return stream_error(wire_.errno_value);
  std::string why = "the peer closed the connection";
  if (!wire_.eof)
    why = reason_ != 0 && ERR_reason_error_string(reason_) != nullptr ? ERR_reason_error_string(reason_)
                                                                      : "unknown reason";
  return Error(Code::unavailable, "tls.handshake", "the TLS handshake failed: " + why);
}

awaitable<Status> TlsStream::handshake(base::Millis timeout) {
  const Deadline deadline(*socket_, timeout);
  Status waited;
  for (;;) {
    if (!waited.ok()) {
      if (deadline.expired()) co_return Error(Code::timeout, "net.timeout", "the TLS handshake took too long");
      co_return waited.error();
    }
    ERR_clear_error();
    wire_.may_recv = true;
    const int result = SSL_do_handshake(ssl_.get());
    if (result == 1) break;
    const Attempt attempt = judge(result);
    if (!attempt.blocked()) co_return handshake_error();
    waited = need_ == Need::writable ? co_await socket_->wait_writable() : co_await socket_->wait_readable();
  }
  learn_info();
  co_return Status();
}

/// The plain socket under `stream`, or nullptr when there is none; then `stream` keeps it.
std::unique_ptr<SocketStream> socket_under(StreamPtr& stream) {
  auto* socket = dynamic_cast<SocketStream*>(stream.get());
  if (socket == nullptr) return nullptr;
  (void)stream.release();
  return std::unique_ptr<SocketStream>(socket);
}

Error transport_error() {
  return Error(Code::internal, "tls.transport", "TLS runs on a plain socket only");
}

Error stuffed_error() {
  return Error(Code::denied, "tls.stuffed_plaintext", "plain text arrived where only TLS may follow",
               "somebody may be injecting bytes into the connection");
}

bool bytes_waiting(int fd) {
  int count = 0;
  return ::ioctl(fd, FIONREAD, &count) != 0 || count > 0;
}

}  // namespace

struct TlsServerContext::Slot {
  std::mutex mutex;
  std::shared_ptr<const Rules> rules;
  std::string alpn;

  std::shared_ptr<const Rules> get() {
    const std::lock_guard lock(mutex);
    return rules;
  }
};

struct TlsClientContext::Slot {
  std::shared_ptr<const Rules> rules;
};

Result<TlsServerContext> TlsServerContext::make(std::string_view certificate_pem, const base::Secret& key_pem,
                                                std::vector<std::string> alpn) {
  auto slot = std::make_shared<Slot>();
  DP_TRY(slot->alpn, alpn_wire(alpn));
  DP_TRY(slot->rules, server_rules(certificate_pem, key_pem, slot->alpn));
  return TlsServerContext(std::move(slot));
}

Status TlsServerContext::replace(std::string_view certificate_pem, const base::Secret& key_pem) {
  DP_TRY(std::shared_ptr<const Rules> fresh, server_rules(certificate_pem, key_pem, slot_->alpn));
  const std::lock_guard lock(slot_->mutex);
  slot_->rules.swap(fresh);
  return {};
}

std::string TlsServerContext::leaf_pem() const {
  return slot_->get()->leaf_pem;
}

Result<TlsClientContext> TlsClientContext::make(const TlsClientOptions& options) {
  auto rules = std::make_shared<Rules>();
  DP_TRY(rules->ctx, base_context(TLS_client_method()));
  DP_TRY(rules->alpn, alpn_wire(options.alpn));
  SSL_CTX* const ctx = rules->ctx.get();
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, nullptr);
  DP_CHECK(trust(ctx, options));
  if (!options.certificate_pem.empty()) DP_CHECK(use_identity(ctx, options.certificate_pem, options.key_pem));
  if (!rules->alpn.empty() && SSL_CTX_set_alpn_protos(ctx, reinterpret_cast<const unsigned char*>(rules->alpn.data()),
                                                      static_cast<unsigned int>(rules->alpn.size())) != 0)
    return tls_error("tls.alpn", "the ALPN names are not usable");
  auto slot = std::make_shared<Slot>();
  slot->rules = std::move(rules);
  return TlsClientContext(std::move(slot));
}

awaitable<Result<StreamPtr>> accept_tls(StreamPtr stream, TlsServerContext context, base::Millis timeout) {
  std::unique_ptr<SocketStream> socket = socket_under(stream);
  if (!socket) co_return transport_error();
  auto tls = std::make_unique<TlsStream>(std::move(socket), context.slot()->get());
  SSL_set_accept_state(tls->ssl());
  const Status shaken = co_await tls->handshake(timeout);
  if (!shaken) co_return shaken.error();
  co_return StreamPtr(std::move(tls));
}

awaitable<Result<StreamPtr>> upgrade_tls(StreamPtr stream, TlsServerContext context, std::string_view reply,
                                         std::string_view buffered, base::Millis timeout) {
  // Checked before the reply: an honest client waits for it, so whatever is here now was sent as plain text.
  if (!buffered.empty() || bytes_waiting(stream->native_fd())) co_return stuffed_error();
  // A few bytes on a fresh connection always fit into the socket's buffer.
  const Attempt sent = stream->try_write(reply);
  if (sent.kind == Attempt::Kind::error) co_return stream_error(sent.errno_value);
  if (sent.count != reply.size()) co_return Error(Code::unavailable, "net.reset", "the client reads nothing");
  co_return co_await accept_tls(std::move(stream), std::move(context), timeout);
}

awaitable<Result<StreamPtr>> connect_tls(StreamPtr stream, TlsClientContext context, std::string host,
                                         std::string_view buffered, base::Millis timeout) {
  if (!buffered.empty()) co_return stuffed_error();
  std::unique_ptr<SocketStream> socket = socket_under(stream);
  if (!socket) co_return transport_error();
  auto tls = std::make_unique<TlsStream>(std::move(socket), context.slot()->rules);
  SSL_set_connect_state(tls->ssl());
  X509_VERIFY_PARAM* const param = SSL_get0_param(tls->ssl());
  std::array<unsigned char, 16> ignored{};
  const bool is_ip = ::inet_pton(AF_INET, host.c_str(), ignored.data()) == 1 ||
                     ::inet_pton(AF_INET6, host.c_str(), ignored.data()) == 1;
  // RFC 9525: subject alternative names only, a wildcard stands for a whole label.
  X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  bool named = false;
  if (is_ip) {
    named = X509_VERIFY_PARAM_set1_ip_asc(param, host.c_str()) == 1;
  } else {
    // An empty name would switch the check off; a NUL or a leading dot would change its meaning.
    named = !host.empty() && host.front() != '.' && host.find('\0') == std::string::npos &&
            X509_VERIFY_PARAM_set1_host(param, host.c_str(), host.size()) == 1 &&
            SSL_set_tlsext_host_name(tls->ssl(), host.c_str()) == 1;
  }
  if (!named) {
    ERR_clear_error();
    co_return Error(Code::invalid, "tls.hostname", "the name to verify the server by is empty or malformed");
  }
  const Status shaken = co_await tls->handshake(timeout);
  if (!shaken) co_return shaken.error();
  co_return StreamPtr(std::move(tls));
}

}  // namespace daypass::net
