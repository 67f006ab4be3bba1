// DNS as far as it proves who owns a domain: TXT records, through the resolver of the system.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace daypass::net {

inline constexpr std::size_t max_dns_answer = std::size_t{16} * 1024, max_txt_records = 64;

/// The texts at `name`, asked of the servers in /etc/resolv.conf. Blocks, some ten seconds where no server answers.
/// Errors: "dns.none" (there is no such name, or no text at it), "dns.unreachable", "dns.answer".
base::Result<std::vector<std::string>> txt_records(const std::string& name);

/// The TXT records in the answer section of a message (RFC 1035 section 4): the strings of each, put together.
/// Error: "dns.answer".
base::Result<std::vector<std::string>> parse_txt_answer(std::string_view message);

}  // namespace daypass::net
