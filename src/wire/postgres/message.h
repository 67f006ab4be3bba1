// Framers: find messages in a byte stream by (type, length), say what each is, copy nothing that needn't be copied.
// Owns the rule which message types and lengths exist in each direction and phase.
// Protocol: PostgreSQL documentation, "Message Formats"; limits: PQ_SMALL/LARGE_MESSAGE_LIMIT of the server.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace daypass::wire::postgres {

inline constexpr std::uint32_t kTextMax = 4096;             ///< bytes of statement text that are captured
inline constexpr std::uint32_t kMessageNameMax = 255;       ///< of a statement or portal (the server uses 63 of them)
inline constexpr std::uint32_t kPasswordMessageMax = 8192;  ///< body of 'p'
inline constexpr std::uint32_t kLoginMessageMax = 65'536;   ///< body of any message of the server before it is ready

/// login: until the first ReadyForQuery; only 'p' comes from the client, and bodies are surfaced whole (bounded).
/// ready: after it; bodies stream.
enum class Phase : std::uint8_t { login, ready };

/// A surfaced message.
struct Message {
  char type = 0;
  std::uint32_t length = 0;      ///< of the body (length word minus 4)
  std::string_view head;         ///< first bytes of the body; valid until the next call of next() or until `in` goes
  std::uint64_t copy_bytes = 0;  ///< bytes of CopyData bodies this framer has seen up to here, since it was made
  [[nodiscard]] bool whole() const noexcept { return head.size() == length; }
};

/// What one call found.
struct Step {
  enum class Kind : std::uint8_t {
    more,     ///< `bytes` were taken, nothing to decide; fewer than in.size() only when `one` was asked
    message,  ///< `message` was found; `bytes` end behind its head
    fault,    ///< the stream is broken: forward nothing from in[bytes] on, end the session with Framer::fault()
  };
  Kind kind = Kind::more;
  std::size_t bytes = 0;  ///< how much of `in` was taken: all of it may be forwarded (ready phase)
  Message message;
};

/// Rule for one type byte.
struct TypeRule {
  bool known = false;
  bool surfaced = false;
  std::uint32_t min = 0;  ///< of the body
  std::uint32_t max = 0;
  std::uint32_t head = 0;  ///< how much of the body is shown: min(length, head) bytes, never less
};
using TypeTable = std::array<TypeRule, 256>;

/// Incremental, for one direction of one connection. No allocation unless a head is split between two inputs, and that
/// memory is given back as soon as the head was shown. Takes all of `in` (also part of a header), so the caller
/// forwards the buffer it read and keeps nothing; a message that turns out broken was never forwarded to its end.
///
/// A message whose head is split is surfaced with its last head byte: always before its last byte is taken, so a
/// record made on `message` is made before the peer can act on it.
class Framer {
 public:
  Framer(const TypeTable& login, const TypeTable& ready, Phase phase) : tables_{&login, &ready}, phase_(phase) {}
  Framer(const Framer&) = delete;
  Framer& operator=(const Framer&) = delete;
  ~Framer();

  /// Looks at the next bytes. Runs over messages that aren't surfaced (DataRow, CopyData, …) in one call.
  /// `one`: end with the current message, or with one message when standing between two.
  [[nodiscard]] Step next(std::string_view in, bool one = false);

  /// Requires at_boundary().
  void enter(Phase phase);
  [[nodiscard]] Phase phase() const noexcept { return phase_; }
  /// True between messages: only there may a message of our own be put into the stream.
  [[nodiscard]] bool at_boundary() const noexcept { return have_ == 0 && left_ == 0 && wanted_ == 0; }
  /// CopyData body bytes so far.
  [[nodiscard]] std::uint64_t copy_bytes() const noexcept { return copy_bytes_; }
  /// Why next() returned fault: "message.type" (unknown in this direction and phase), "message.length".
  [[nodiscard]] base::Error fault() const;

 private:
  enum class Broken : std::uint8_t { no, type, length };
  Step fail(Broken why, unsigned char type, std::uint32_t length, std::size_t bytes) noexcept;
  Step surface(std::uint32_t length, std::string_view head, std::size_t bytes) noexcept;
  bool collect_header(std::string_view in, std::size_t& at) noexcept;
  void forget_held() noexcept;

  std::array<const TypeTable*, 2> tables_;
  std::uint64_t copy_bytes_ = 0;
  std::string held_;          // the part of a split head that has come
  std::uint32_t wanted_ = 0;  // bytes of the head that have not
  std::uint32_t length_ = 0;  // of the body whose head is split
  std::uint32_t left_ = 0;    // body bytes still to stream
  std::uint32_t broken_length_ = 0;
  Phase phase_;
  Broken broken_ = Broken::no;
  bool shown_ = false;     // held_ was surfaced: it goes with the next call
  std::uint8_t have_ = 0;  // bytes in header_
  unsigned char type_ = 0;
  unsigned char broken_type_ = 0;
  std::array<unsigned char, 5> header_{};
};

/// Client -> server. login: 'p' (whole, at most 8 KiB). ready: surfaced are Q, P, B, E, C, D, F, S, X, H, c, f; 'd'
/// streams. 'p' is unknown in the ready phase.
class ClientFramer : public Framer {
 public:
  explicit ClientFramer(Phase phase);
};

/// Server -> client. login: R, S, K, Z, E, N, v, each whole. ready: surfaced are Z, C, I, s, E, N, S, A, 1, 2, 3, n, T,
/// G, H, W, V; D, d, t, c stream. R, K and v are unknown in the ready phase: a server's own key never reaches a client.
class ServerFramer : public Framer {
 public:
  explicit ServerFramer(Phase phase);
};

}  // namespace daypass::wire::postgres
