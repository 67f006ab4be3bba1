#include "wire/postgres/capture.h"

#include <algorithm>

#include "base/encoding.h"
#include "wire/postgres/redact.h"

namespace daypass::wire::postgres {

namespace {

bool is_continuation(char c) noexcept {
  return (static_cast<unsigned char>(c) & 0xc0U) == 0x80U;
}

// Length of the well-formed sequence at `at`, 0 when there is none (RFC 3629).
std::size_t sequence(std::string_view s, std::size_t at) noexcept {
  const auto lead = static_cast<unsigned char>(s[at]);
  const std::size_t n = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  return n != 0 && at + n <= s.size() && base::is_utf8(s.substr(at, n)) ? n : 0;
}

// Cuts an incomplete character off the end.
std::string_view whole_characters(std::string_view s) noexcept {
  std::size_t tail = 0;
  while (tail < 3 && tail < s.size() && is_continuation(s[s.size() - 1 - tail])) ++tail;
  if (tail >= s.size()) return s;
  const std::size_t at = s.size() - 1 - tail;
  const auto lead = static_cast<unsigned char>(s[at]);
  const std::size_t wanted = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
  return wanted > tail + 1 ? s.substr(0, at) : s;
}

// A client encoding other than UTF-8 leaves bytes that no log can hold. Each becomes one '?', so lengths stay.
void replace_foreign(std::string& text) {
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t n = sequence(text, i);
    if (n == 0) text[i] = '?';
    i += std::max<std::size_t>(n, 1);
  }
}

bool is_space(char c) noexcept {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

}  // namespace

std::shared_ptr<const StatementText> capture_text(std::string_view raw, bool truncated) {
  if (const std::size_t end = raw.find('\0'); end != std::string_view::npos) {
    raw = raw.substr(0, end);
    truncated = false;
  }
  if (raw.size() > kTextMax) {
    raw = raw.substr(0, kTextMax);
    truncated = true;
  }
  if (truncated) raw = whole_characters(raw);
  auto text = std::make_shared<StatementText>();
  text->truncated = truncated;
  text->sql.assign(raw);
  if (!base::is_utf8(raw)) replace_foreign(text->sql);
  if (may_hold_secret(text->sql)) {
    Redacted clean = redact(text->sql);
    text->sql = std::move(clean.text);
    text->redacted = clean.changed;
  }
  return text;
}

std::shared_ptr<const StatementText> slice_text(const std::shared_ptr<const StatementText>& text, std::size_t begin,
                                                std::size_t end) {
  const std::string& sql = text->sql;
  if (begin == 0 && end >= sql.size()) return text;
  const bool reaches_end = end >= sql.size();
  end = std::min(end, sql.size());
  while (begin < end && is_space(sql[begin])) ++begin;
  while (end > begin && is_space(sql[end - 1])) --end;
  auto slice = std::make_shared<StatementText>();
  slice->sql = sql.substr(begin, end - begin);
  slice->truncated = text->truncated && reaches_end;
  slice->redacted = text->redacted;
  return slice;
}

}  // namespace daypass::wire::postgres
