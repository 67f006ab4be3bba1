// Egress: which addresses Daypass may connect to when an outsider's document names the host.
#pragma once

#include <string>
#include <string_view>
#include <vector>

struct sockaddr;

namespace daypass::net {

enum class AddressClass {
  global,     ///< an ordinary address of the internet
  loopback,   ///< 127.0.0.0/8, ::1
  site,       ///< private use: RFC 1918, RFC 6598, RFC 4193
  forbidden,  ///< never: link-local and cloud metadata, multicast, unspecified, reserved, tunnels that embed an address
};

/// By the IANA special-purpose registries (RFC 6890). IPv4-mapped (::ffff:0:0/96) and NAT64 (64:ff9b::/96) addresses
/// are judged by the IPv4 address inside; other families are forbidden.
AddressClass classify(const sockaddr* address, std::size_t size) noexcept;
/// Same for a literal ("10.0.0.1", "::ffff:7f00:1"); forbidden when it is none.
AddressClass classify(std::string_view literal) noexcept;

/// What a fetch may reach. The default: https to global addresses only.
struct EgressPolicy {
  EgressPolicy() = default;
  bool allow_loopback = false;             ///< https to loopback addresses
  bool allow_loopback_http = false;        ///< http and https to loopback addresses, http to no other
  std::vector<std::string> private_hosts;  ///< host names (lower case) that may resolve to site addresses
};

/// The verdict on one address that `host` (lower case) has led to.
bool may_connect(const EgressPolicy& policy, AddressClass address, std::string_view host, bool https);

}  // namespace daypass::net
