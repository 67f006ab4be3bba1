#include "net/dns.h"

#include <arpa/nameser.h>
#include <netdb.h>
#include <resolv.h>

#include <array>
#include <optional>

namespace daypass::net {

using base::Code;
using base::Error;
using base::Result;

namespace {

Error broken() {
  return {Code::unavailable, "dns.answer", "the name server's answer can't be read"};
}

/// A message, from front to back; nothing is read behind its end.
class Cursor {
 public:
  explicit Cursor(std::string_view message) : message_(message) {}
  std::optional<unsigned> number(std::size_t bytes) {
    if (message_.size() - at_ < bytes) return std::nullopt;
    unsigned value = 0;
    for (; bytes > 0; --bytes) value = value << 8U | static_cast<unsigned char>(message_[at_++]);
    return value;
  }
  std::optional<std::string_view> take(std::size_t bytes) {
    if (message_.size() - at_ < bytes) return std::nullopt;
    at_ += bytes;
    return message_.substr(at_ - bytes, bytes);
  }
  /// Labels up to the root or to a pointer, which is not followed: whose record it is was decided by the resolver.
  bool skip_name() {
    for (;;) {
      const auto length = number(1);
      if (!length) return false;
      if (*length == 0) return true;
      if ((*length & 0xC0U) == 0xC0U) return number(1).has_value();
      if ((*length & 0xC0U) != 0 || !take(*length)) return false;
    }
  }

 private:
  std::string_view message_;
  std::size_t at_ = 0;
};

/// RFC 1035 section 3.3.14: one or more strings of a byte of length each.
std::optional<std::string> text_of(std::string_view data) {
  std::string out;
  while (!data.empty()) {
    const std::size_t length = static_cast<unsigned char>(data[0]);
    if (data.size() - 1 < length) return std::nullopt;
    out += data.substr(1, length);
    data.remove_prefix(1 + length);
  }
  return out;
}

}  // namespace

Result<std::vector<std::string>> parse_txt_answer(std::string_view message) {
  if (message.size() > max_dns_answer) return broken();
  Cursor at(message);
  std::array<unsigned, 6> header{};
  for (auto& field : header) {
    const auto value = at.number(2);
    if (!value) return broken();
    field = *value;
  }
  // A whole answer without an error: QR set, TC and RCODE clear.
  if ((header[1] & 0x8000U) == 0 || (header[1] & 0x0200U) != 0 || (header[1] & 0xFU) != 0) return broken();
  for (unsigned i = 0; i < header[2]; ++i)
    if (!at.skip_name() || !at.take(4)) return broken();
  std::vector<std::string> out;
  for (unsigned i = 0; i < header[3]; ++i) {
    if (!at.skip_name()) return broken();
    const auto type = at.number(2), internet = at.number(2), ttl = at.number(4), length = at.number(2);
    if (!type || !internet || !ttl || !length) return broken();
    const auto data = at.take(*length);
    if (!data) return broken();
    if (*type != ns_t_txt || *internet != ns_c_in) continue;
    auto text = text_of(*data);
    if (!text || out.size() == max_txt_records) return broken();
    out.push_back(std::move(*text));
  }
  return out;
}

Result<std::vector<std::string>> txt_records(const std::string& name) {
  struct __res_state state{};
  if (::res_ninit(&state) != 0)
    return Error{Code::unavailable, "dns.unreachable", "the system's resolver can't be used", "see /etc/resolv.conf"};
  state.retrans = 2;
  state.retry = 2;
  std::array<unsigned char, max_dns_answer> buffer{};
  const int length = ::res_nquery(&state, name.c_str(), ns_c_in, ns_t_txt, buffer.data(), buffer.size());
  const int why = state.res_h_errno;
  ::res_nclose(&state);
  if (length < 0) {
    if (why == HOST_NOT_FOUND || why == NO_DATA)
      return Error{Code::not_found, "dns.none", "there is no TXT record at " + name};
    return Error{Code::unavailable, "dns.unreachable", "no name server answered for " + name, "see /etc/resolv.conf"};
  }
  if (static_cast<std::size_t>(length) > buffer.size()) return broken();
  DP_TRY(auto texts,
         parse_txt_answer({reinterpret_cast<const char*>(buffer.data()), static_cast<std::size_t>(length)}));
  if (texts.empty()) return Error{Code::not_found, "dns.none", "there is no TXT record at " + name};
  return texts;
}

}  // namespace daypass::net
