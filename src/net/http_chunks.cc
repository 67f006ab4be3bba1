#include "net/http_chunks.h"

#include <algorithm>

namespace daypass::net {

namespace {

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Visible ASCII, space, tab or obs-text: neither a bare CR nor a bare LF, which some programs take for a line's end.
bool is_text(char c) noexcept {
  return (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) || c == '\t';
}

}  // namespace

ChunkDecoder::Verdict ChunkDecoder::feed(std::string_view bytes, std::string& body, std::size_t& taken) {
  taken = 0;
  while (taken < bytes.size()) {
    if (state_ == State::data) {
      const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size() - taken));
      body.append(bytes.substr(taken, count));
      taken += count;
      left_ -= count;
      if (left_ == 0) state_ = State::data_cr;
      continue;
    }
    const Verdict verdict = step(bytes[taken++], body.size());
    if (verdict != Verdict::more) return verdict;
  }
  return Verdict::more;
}

ChunkDecoder::Verdict ChunkDecoder::end_of_size(std::size_t body_size) {
  if (left_ > most_body_ - std::min(most_body_, body_size)) return Verdict::body_too_large;
  overhead_ = 0;
  digits_ = 0;
  state_ = left_ > 0 ? State::data : State::line;
  return Verdict::more;
}

ChunkDecoder::Verdict ChunkDecoder::step(char c, std::size_t body_size) {
  const auto expect = [&](char wanted, State next) {
    if (c != wanted) return Verdict::malformed;
    state_ = next;
    return Verdict::more;
  };
  switch (state_) {
    case State::size: {
      const int digit = hex_digit(c);
      if (digit < 0) {
        if (digits_ == 0 || (c != ';' && c != '\r')) return Verdict::malformed;
        state_ = c == ';' ? State::extension : State::size_lf;
        return Verdict::more;
      }
      // 15 digits can't overflow; more are nobody's honest size.
      if (++digits_ > 15) return Verdict::malformed;
      left_ = left_ * 16 + static_cast<unsigned>(digit);
      return Verdict::more;
    }
    case State::extension:
      if (++overhead_ > most_overhead_) return Verdict::overhead_too_large;
      if (c == '\r') state_ = State::size_lf;
      return c == '\r' || is_text(c) ? Verdict::more : Verdict::malformed;
    case State::size_lf:
      return c == '\n' ? end_of_size(body_size) : Verdict::malformed;
    case State::data_cr:
      return expect('\r', State::data_lf);
    case State::data_lf:
      return expect('\n', State::size);
    case State::line:
      if (c == '\r') return expect('\r', State::end_lf);
      state_ = State::line_text;
      [[fallthrough]];
    case State::line_text:
      if (++overhead_ > most_overhead_) return Verdict::overhead_too_large;
      if (c == '\r') state_ = State::line_lf;
      return c == '\r' || is_text(c) ? Verdict::more : Verdict::malformed;
    case State::line_lf:
      return expect('\n', State::line);
    case State::end_lf:
      if (c != '\n') return Verdict::malformed;
      state_ = State::done;
      return Verdict::done;
    case State::data:
    case State::done:
      break;
  }
  return Verdict::malformed;
}

}  // namespace daypass::net
