#include "wire/postgres/message.h"

#include <algorithm>
#include <cstring>

#include "base/secret.h"

namespace daypass::wire::postgres {

namespace {

// The server refuses a length word above MaxAllocSize (1 GB - 1) and builds messages of at most that plus the word.
constexpr std::uint32_t kClientBodyMax = 0x3fffffff - 4;
constexpr std::uint32_t kServerBodyMax = 0x3fffffff;
constexpr std::uint32_t kSmallBodyMax = 10'000 - 4;  // PQ_SMALL_MESSAGE_LIMIT
constexpr std::uint32_t kTagBodyMax = 256;           // the server's own buffer is 64
constexpr std::uint32_t kNameBodyMax = kMessageNameMax + 1;

constexpr void set(TypeTable& table, char type, TypeRule rule) {
  rule.known = true;
  table[static_cast<unsigned char>(type)] = rule;
}
constexpr TypeRule shown(std::uint32_t min, std::uint32_t max, std::uint32_t head) {
  return {.known = true, .surfaced = true, .min = min, .max = max, .head = head};
}
constexpr TypeRule whole(std::uint32_t min, std::uint32_t max) {
  return shown(min, max, max);
}
constexpr TypeRule streamed(std::uint32_t min, std::uint32_t max) {
  return {.known = true, .surfaced = false, .min = min, .max = max, .head = 0};
}

constexpr TypeTable client_login() {
  TypeTable t{};
  set(t, 'p', whole(1, kPasswordMessageMax));
  return t;
}

constexpr TypeTable client_ready() {
  TypeTable t{};
  set(t, 'Q', shown(1, kClientBodyMax, kTextMax + 1));
  set(t, 'P', shown(4, kClientBodyMax, kNameBodyMax + kTextMax + 1));  // name, text, count of types
  set(t, 'B', shown(8, kClientBodyMax, 2 * kNameBodyMax));             // two names, three counts
  set(t, 'E', whole(5, kNameBodyMax + 4));
  set(t, 'C', whole(2, kNameBodyMax + 1));
  set(t, 'D', whole(2, kNameBodyMax + 1));
  set(t, 'F', shown(10, kClientBodyMax, 4));
  for (const char type : {'S', 'H', 'X', 'c'}) set(t, type, whole(0, 0));
  set(t, 'f', shown(1, kSmallBodyMax, 0));
  set(t, 'd', streamed(0, kClientBodyMax));
  return t;
}

constexpr TypeTable server_login() {
  TypeTable t{};
  set(t, 'R', whole(4, kLoginMessageMax));
  set(t, 'S', whole(2, kLoginMessageMax));
  set(t, 'K', whole(8, 4 + 256));
  set(t, 'Z', whole(1, 1));
  set(t, 'E', whole(1, kLoginMessageMax));
  set(t, 'N', whole(1, kLoginMessageMax));
  set(t, 'v', whole(8, kLoginMessageMax));
  return t;
}

constexpr TypeTable server_ready() {
  TypeTable t{};
  set(t, 'Z', whole(1, 1));
  set(t, 'C', whole(1, kTagBodyMax));
  set(t, 'E', shown(1, kServerBodyMax, 1024));
  for (const char type : {'N', 'A'}) set(t, type, shown(1, kServerBodyMax, 0));
  set(t, 'S', shown(2, 1U << 20U, 512));
  for (const char type : {'I', 's', '1', '2', '3', 'n'}) set(t, type, whole(0, 0));
  set(t, 'T', shown(2, kServerBodyMax, 0));
  for (const char type : {'G', 'H', 'W'}) set(t, type, shown(3, 3 + 2 * 65'535, 0));
  set(t, 'V', shown(4, kServerBodyMax, 0));
  set(t, 'D', streamed(2, kServerBodyMax));
  set(t, 'd', streamed(0, kServerBodyMax));
  set(t, 't', streamed(2, 2 + 4 * 65'535));
  set(t, 'c', streamed(0, 0));
  return t;
}

constexpr TypeTable kClientLogin = client_login();
constexpr TypeTable kClientReady = client_ready();
constexpr TypeTable kServerLogin = server_login();
constexpr TypeTable kServerReady = server_ready();

std::uint32_t be32(const unsigned char* p) noexcept {
  return (std::uint32_t{p[0]} << 24U) | (std::uint32_t{p[1]} << 16U) | (std::uint32_t{p[2]} << 8U) | p[3];
}

}  // namespace

ClientFramer::ClientFramer(Phase phase) : Framer(kClientLogin, kClientReady, phase) {}
ServerFramer::ServerFramer(Phase phase) : Framer(kServerLogin, kServerReady, phase) {}

Framer::~Framer() {
  forget_held();
}

void Framer::forget_held() noexcept {
  // What a login phase held may be a proof or a password.
  if (phase_ == Phase::login) base::wipe(held_.data(), held_.size());
  held_ = std::string();
  shown_ = false;
}

void Framer::enter(Phase phase) {
  DP_ASSERT(at_boundary() && broken_ == Broken::no);
  forget_held();
  phase_ = phase;
}

base::Error Framer::fault() const {
  std::string type;
  if (broken_type_ >= 0x20 && broken_type_ < 0x7f) {
    type = std::string("'") + static_cast<char>(broken_type_) + "'";
  } else {
    type = "byte " + std::to_string(broken_type_);
  }
  if (broken_ == Broken::type) {
    return {base::Code::invalid, "message.type", "message type " + type + " has no place here",
            "use a client that speaks PostgreSQL's protocol 3"};
  }
  return {base::Code::invalid, "message.length",
          "message of type " + type + " says an impossible length, " + std::to_string(broken_length_),
          "use a client that speaks PostgreSQL's protocol 3"};
}

Step Framer::fail(Broken why, unsigned char type, std::uint32_t length, std::size_t bytes) noexcept {
  broken_ = why;
  broken_type_ = type;
  broken_length_ = length;
  return {.kind = Step::Kind::fault, .bytes = bytes, .message = {}};
}

Step Framer::surface(std::uint32_t length, std::string_view head, std::size_t bytes) noexcept {
  left_ = length - static_cast<std::uint32_t>(head.size());
  return {.kind = Step::Kind::message,
          .bytes = bytes,
          .message = {.type = static_cast<char>(type_), .length = length, .head = head, .copy_bytes = copy_bytes_}};
}

// Takes what `in` has of the header from `at` on. True when it is complete.
bool Framer::collect_header(std::string_view in, std::size_t& at) noexcept {
  const std::size_t n = std::min<std::size_t>(header_.size() - have_, in.size() - at);
  std::memcpy(header_.data() + have_, in.data() + at, n);
  have_ = static_cast<std::uint8_t>(have_ + n);
  at += n;
  return have_ == header_.size();
}

Step Framer::next(std::string_view in, bool one) {
  if (shown_) forget_held();
  if (broken_ != Broken::no) return {.kind = Step::Kind::fault, .bytes = 0, .message = {}};
  const TypeTable& table = *tables_[static_cast<std::size_t>(phase_)];
  std::size_t at = 0;
  if (wanted_ > 0) {
    const std::size_t n = std::min<std::size_t>(wanted_, in.size());
    held_.append(in.data(), n);
    wanted_ -= static_cast<std::uint32_t>(n);
    if (wanted_ > 0) return {.kind = Step::Kind::more, .bytes = n, .message = {}};
    shown_ = true;
    return surface(length_, held_, n);
  }
  bool begun = false;  // a message in this call
  for (;;) {
    if (left_ > 0) {
      const std::size_t n = std::min<std::size_t>(left_, in.size() - at);
      at += n;
      left_ -= static_cast<std::uint32_t>(n);
      if (type_ == 'd') copy_bytes_ += n;
      if (left_ > 0) return {.kind = Step::Kind::more, .bytes = at, .message = {}};
      begun = true;
    }
    if (at == in.size() || (one && begun)) return {.kind = Step::Kind::more, .bytes = at, .message = {}};

    const std::size_t start = at;
    const unsigned char* header = header_.data();
    const bool direct = have_ == 0 && in.size() - at >= header_.size();
    if (direct) {
      header = reinterpret_cast<const unsigned char*>(in.data()) + at;
      at += header_.size();
    }
    const bool complete = direct || collect_header(in, at);
    const TypeRule& rule = table[header[0]];
    if (!rule.known) return fail(Broken::type, header[0], 0, start);
    if (!complete) return {.kind = Step::Kind::more, .bytes = at, .message = {}};
    have_ = 0;
    const std::uint32_t word = be32(header + 1);
    if (word < 4 || word - 4 < rule.min || word - 4 > rule.max) return fail(Broken::length, header[0], word, start);
    type_ = header[0];
    begun = true;
    const std::uint32_t length = word - 4;
    if (!rule.surfaced) {
      left_ = length;
      continue;
    }
    const std::uint32_t head = std::min(length, rule.head);
    if (in.size() - at >= head) return surface(length, in.substr(at, head), at + head);
    held_.assign(in.substr(at));
    length_ = length;
    wanted_ = head - static_cast<std::uint32_t>(held_.size());
    return {.kind = Step::Kind::more, .bytes = in.size(), .message = {}};
  }
}

}  // namespace daypass::wire::postgres
