// Stream: one connection as bytes, whatever carries it (TCP, unix socket, TLS). Owns its descriptor.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/time.h"
#include "net/io.h"

namespace daypass::net {

/// What a call that never waits came to.
struct Attempt {
  enum class Kind : std::uint8_t {
    bytes,        ///< `count` bytes moved (0 only when nothing was offered)
    would_block,  ///< nothing moved; wait_readable() or wait_writable() says when to try again
    eof,          ///< reading: the peer has ended its direction
    error,        ///< the connection is broken or closed; `errno_value` when the system said why, else 0
  };
  Kind kind = Kind::error;
  std::size_t count = 0;
  int errno_value = 0;

  [[nodiscard]] bool ok() const noexcept { return kind == Kind::bytes; }
  [[nodiscard]] bool blocked() const noexcept { return kind == Kind::would_block; }
};

/// What the handshake agreed on.
struct TlsInfo {
  std::string sni;      ///< server name the client asked for, lower case; empty when none
  std::string alpn;     ///< empty when none was negotiated
  std::string version;  ///< "TLSv1.2" or "TLSv1.3"
  std::string cipher;
};

/// A byte stream bound to one io thread. Every call, the destructor included, belongs to the thread of context(); other
/// threads post_to() it. At most one reader and one writer at a time; reading while a write is blocked works (TLS too).
/// The owner keeps the Stream alive until awaited calls have returned.
///
/// Awaited calls return an Error, never throw: "net.closed" (closed, interrupted or cancelled on this side),
/// "net.reset" (the peer or the network broke the connection), "net.truncated" (TLS ended without close_notify),
/// "tls.record".
class Stream {
 public:
  virtual ~Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  /// Waits for at least one byte, fills up to `buffer` (not empty). 0 means the end of the stream.
  virtual awaitable<base::Result<std::size_t>> read_some(std::span<char> buffer) = 0;
  /// True when read_some touches `buffer` only after its last wait (TLS): readers that wait on one thread may share
  /// one.
  [[nodiscard]] virtual bool reads_after_waiting() const noexcept { return false; }
  /// Like read_some, but leaves the bytes for the next read (MSG_PEEK); plain streams only, else Error "net.peek".
  virtual awaitable<base::Result<std::size_t>> peek(std::span<char> buffer) = 0;
  /// Sends all of `data`; the view must stay valid until it returns. An empty view is fine.
  virtual awaitable<base::Status> write_all(std::string_view data) = 0;

  /// Never wait. For the hot path: try first, await only what is left. `buffer` is not empty.
  virtual Attempt try_read(std::span<char> buffer) noexcept = 0;
  /// May take a part. Bytes that were refused must be offered again first, in whatever pieces (write_all(rest) does):
  /// under TLS they may already be sealed in a half-sent record. Plain streams don't care.
  virtual Attempt try_write(std::string_view data) noexcept = 0;
  /// Both parts as if they were one, in one sendmsg where the transport can.
  virtual Attempt try_write(std::string_view first, std::string_view second) noexcept = 0;
  /// True when a TLS record is half-sent: other bytes than the refused ones would be garbled, so a killer closes
  /// without a farewell. Always false on plain streams.
  [[nodiscard]] virtual bool write_blocked() const noexcept = 0;

  /// Returns when try_read / try_write may get on; may wake early.
  virtual awaitable<base::Status> wait_readable() = 0;
  virtual awaitable<base::Status> wait_writable() = 0;

  /// Ends this side's direction: FIN, under TLS close_notify before it. Doesn't wait for the peer, never blocks.
  virtual base::Status shutdown() noexcept = 0;
  /// Pending and later awaited calls fail with "net.closed"; try_* still work, for a farewell. No way back.
  virtual void interrupt() noexcept = 0;
  /// Interrupts and closes the descriptor; what the kernel holds is still sent. Idempotent.
  virtual void close() noexcept = 0;
  /// Like close(), but unsent bytes are dropped and the peer gets a reset.
  virtual void abort() noexcept = 0;
  [[nodiscard]] virtual bool is_open() const noexcept = 0;

  /// "192.0.2.7:5432", "[2001:db8::1]:5432" or "unix"; IPv4-mapped addresses as IPv4.
  [[nodiscard]] virtual const std::string& peer() const noexcept = 0;
  /// The address alone, without port and brackets; empty for unix sockets.
  [[nodiscard]] virtual const std::string& peer_ip() const noexcept = 0;
  /// Who connected, as the kernel recorded it (SO_PEERCRED); unix sockets only.
  [[nodiscard]] virtual std::optional<std::uint32_t> peer_uid() const noexcept = 0;
  /// -1 when closed. For getsockopt and the like; never read, write or close it.
  [[nodiscard]] virtual int native_fd() const noexcept = 0;
  /// nullptr on plain streams.
  [[nodiscard]] virtual const TlsInfo* tls_info() const noexcept = 0;
  /// The certificate that the peer showed; empty on plain streams and when it showed none. Made anew by each call.
  [[nodiscard]] virtual std::string peer_certificate_pem() const { return {}; }
  [[nodiscard]] virtual io_context& context() const noexcept = 0;

 protected:
  Stream() = default;
};

using StreamPtr = std::unique_ptr<Stream>;

/// Fills `buffer` completely, or fails: "net.eof" when the stream ends first.
awaitable<base::Status> read_exact(Stream& stream, std::span<char> buffer);

/// Two unix streams that are connected to each other, both on `io`: a real descriptor pair for tests and in-process
/// use.
base::Result<std::pair<StreamPtr, StreamPtr>> stream_pair(io_context& io);

/// Interrupts a stream when time is up. Lives on the stream's thread; destroy it before the stream.
/// Moving the time forward costs nothing but a clock reading: the timer is armed again only when it fires too early.
class Deadline {
 public:
  /// No time set.
  explicit Deadline(Stream& stream);
  Deadline(Stream& stream, base::Millis timeout);
  ~Deadline();
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  /// From now on; replaces what was set.
  void set(base::Millis timeout);
  void clear() noexcept;
  /// True once it has interrupted the stream.
  [[nodiscard]] bool expired() const noexcept;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace daypass::net
