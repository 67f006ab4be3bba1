#include "net/egress.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>

namespace daypass::net {

namespace {

struct Range4 {
  std::uint32_t base;
  unsigned bits;
  AddressClass kind;
};

constexpr std::uint32_t ip4(std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
  return (a << 24U) | (b << 16U) | (c << 8U) | d;
}

// The first range that holds the address decides, so the exceptions come first.
constexpr std::array<Range4, 18> kRanges4{{
    {ip4(100, 100, 100, 200), 32, AddressClass::forbidden},  // a cloud's metadata service inside RFC 6598 space
    {ip4(168, 63, 129, 16), 32, AddressClass::forbidden},    // a cloud's host agent on a global-looking address
    {ip4(127, 0, 0, 0), 8, AddressClass::loopback},
    {ip4(10, 0, 0, 0), 8, AddressClass::site},
    {ip4(172, 16, 0, 0), 12, AddressClass::site},
    {ip4(192, 168, 0, 0), 16, AddressClass::site},
    {ip4(100, 64, 0, 0), 10, AddressClass::site},
    {ip4(0, 0, 0, 0), 8, AddressClass::forbidden},
    {ip4(169, 254, 0, 0), 16, AddressClass::forbidden},  // link-local: metadata services live here
    {ip4(192, 0, 0, 0), 24, AddressClass::forbidden},
    {ip4(192, 0, 2, 0), 24, AddressClass::forbidden},
    {ip4(192, 31, 196, 0), 24, AddressClass::forbidden},
    {ip4(192, 52, 193, 0), 24, AddressClass::forbidden},
    {ip4(192, 88, 99, 0), 24, AddressClass::forbidden},
    {ip4(198, 18, 0, 0), 15, AddressClass::forbidden},
    {ip4(198, 51, 100, 0), 24, AddressClass::forbidden},
    {ip4(203, 0, 113, 0), 24, AddressClass::forbidden},
    {ip4(224, 0, 0, 0), 3, AddressClass::forbidden},  // multicast, reserved, broadcast
}};

AddressClass classify4(std::uint32_t address) noexcept {
  for (const Range4& range : kRanges4) {
    const std::uint32_t mask = ~std::uint32_t{0} << (32 - range.bits);
    if ((address & mask) == range.base) return range.kind;
  }
  return AddressClass::global;
}

using Bytes6 = std::span<const std::uint8_t, 16>;

std::uint32_t embedded4(Bytes6 a) noexcept {
  return ip4(a[12], a[13], a[14], a[15]);
}

bool begins(Bytes6 address, std::initializer_list<std::uint8_t> prefix) noexcept {
  return std::equal(prefix.begin(), prefix.end(), address.begin());
}

AddressClass classify6(Bytes6 a) noexcept {
  if (begins(a, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}) && a[15] == 1) return AddressClass::loopback;
  if (begins(a, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff})) return classify4(embedded4(a));
  if (begins(a, {0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0})) return classify4(embedded4(a));  // RFC 6052
  if (begins(a, {0xfd, 0, 0x0e, 0xc2})) return AddressClass::forbidden;  // a cloud's metadata inside RFC 4193 space
  if ((a[0] & 0xfeU) == 0xfc) return AddressClass::site;
  if ((a[0] & 0xe0U) != 0x20) return AddressClass::forbidden;  // only 2000::/3 is global unicast (RFC 4291)
  if (begins(a, {0x20, 0x01}) && a[2] < 2) return AddressClass::forbidden;     // 2001::/23: Teredo, ORCHID, …
  if (begins(a, {0x20, 0x01, 0x0d, 0xb8})) return AddressClass::forbidden;     // documentation
  if (begins(a, {0x20, 0x02})) return AddressClass::forbidden;                 // 6to4 embeds an IPv4 address
  if (begins(a, {0x3f, 0xff}) && a[2] < 0x10) return AddressClass::forbidden;  // documentation (RFC 9637)
  return AddressClass::global;
}

}  // namespace

AddressClass classify(const sockaddr* address, std::size_t size) noexcept {
  if (address == nullptr || size < sizeof(sa_family_t)) return AddressClass::forbidden;
  if (address->sa_family == AF_INET && size >= sizeof(sockaddr_in)) {
    sockaddr_in v4{};
    std::memcpy(&v4, address, sizeof v4);
    return classify4(ntohl(v4.sin_addr.s_addr));
  }
  if (address->sa_family == AF_INET6 && size >= sizeof(sockaddr_in6)) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, address, sizeof v6);
    return classify6(Bytes6(v6.sin6_addr.s6_addr));
  }
  return AddressClass::forbidden;
}

AddressClass classify(std::string_view literal) noexcept {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (literal.size() >= text.size()) return AddressClass::forbidden;
  literal.copy(text.data(), literal.size());
  in_addr v4{};
  if (::inet_pton(AF_INET, text.data(), &v4) == 1) return classify4(ntohl(v4.s_addr));
  in6_addr v6{};
  if (::inet_pton(AF_INET6, text.data(), &v6) == 1) return classify6(Bytes6(v6.s6_addr));
  return AddressClass::forbidden;
}

bool may_connect(const EgressPolicy& policy, AddressClass address, std::string_view host, bool https) {
  switch (address) {
    case AddressClass::global:
      return https;
    case AddressClass::loopback:
      return policy.allow_loopback_http || (https && policy.allow_loopback);
    case AddressClass::site:
      return https && std::ranges::find(policy.private_hosts, host) != policy.private_hosts.end();
    case AddressClass::forbidden:
      return false;
  }
  return false;
}

}  // namespace daypass::net
