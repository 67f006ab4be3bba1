// [[forward]]: who gets the tenant's audit records as they are written.
#include <charconv>

#include "config/tenant_keys.h"

namespace daypass::config {
namespace {

using F = core::ForwardSpec;

// What is sent in the clear stays on this machine, where a relay may stand that speaks TLS.
void url(Reader& r, const Node& node, F& out) {
  const std::string* text = r.string(node);
  if (text == nullptr) return;
  const bool tls = text->starts_with("tls://"), tcp = text->starts_with("tcp://");
  if (!tls && !tcp) {
    if (const auto bad = check::fetch_url(*text))
      r.complain(node,
                 "must be an https URL, tls://host:port or, on this machine, tcp://host:port, not " + shown(*text),
                 bad->hint);
    else
      out.url = *text;
    return;
  }
  const std::string_view rest = std::string_view(*text).substr(6);
  const std::size_t colon = rest.rfind(':');
  std::string_view host = rest.substr(0, colon);
  const std::string_view port = colon == std::string_view::npos ? std::string_view() : rest.substr(colon + 1);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  unsigned number = 0;
  const auto [stop, failed] = std::from_chars(port.data(), port.data() + port.size(), number);
  const bool good_port = failed == std::errc() && stop == port.data() + port.size() && number >= 1 && number <= 65535;
  const bool good_host = bracketed ? is_ipv6(host) : is_dns_name(host) || (is_ip(host) && !is_ipv6(host));
  if (!good_host || !good_port)
    r.complain(node, "must be like tls://logs.example:6514, not " + shown(*text), {});
  else if (tcp && !is_loopback(host))
    r.complain(node, "would send audit records over the network in clear",
               "write tls://, or send to a relay on this machine: tcp://127.0.0.1:601");
  else
    out.url = *text;
}

constexpr auto formats = std::to_array<Word<core::ForwardFormat>>(
    {{"jsonl", core::ForwardFormat::jsonl}, {"ocsf", core::ForwardFormat::ocsf}});

void from(Reader& r, const Node& node, F& out) {
  const std::string* text = r.string(node);
  if (text == nullptr) return;
  constexpr auto known = std::to_array<std::string_view>({"first", "now"});
  out.from_now = *text == "now";
  if (*text != "first" && *text != "now") r.complain(node, "can't be " + shown(*text), did_you_mean(*text, known));
}

constexpr auto keys = std::to_array<Key<F>>({
    {"name", "string", required, "\"siem\"", text<&F::name, check::idp_name>,
     "1 to 31 of a-z, 0-9 and -. How far the receiver is goes by it: it stays when the rest changes."},
    {"url", "URL", required, "\"https://siem.example/hook\"", url,
     "Where the records go. `https://…`: a webhook. `tls://host:port`: syslog over TLS. `tcp://host:port`: syslog in "
     "the clear, to a relay on this machine alone."},
    {"format",
     "word",
     {"\"jsonl\""},
     "\"ocsf\"",
     choice<&F::format, formats>,
     "What each record looks like, as `daypass audit export` writes it: `jsonl` or `ocsf`."},
    {"secrets",
     "secrets",
     {"[]"},
     "[\"tenant:siem-signing\"]",
     strings<&F::secrets, check::secret_ref, 2>,
     "What a webhook's bodies are signed with, at least 24 bytes; each signs, so that one can be changed for another. "
     "Required for a webhook."},
    {"authorization", "secret", none, "\"tenant:siem-token\"", secret<&F::authorization>,
     "What a webhook's Authorization header says: a bearer token, or, with a space in it, the whole header."},
    {"ca_file", "path", none, "\"/etc/daypass/siem-ca.pem\"", text<&F::ca_file, check::absolute_path>,
     "PEM file of the authorities that the receiver's certificate may come from, in place of the system's."},
    {"allowed_hosts",
     "strings",
     {"[]"},
     "[\"siem.corp.internal\"]",
     strings<&F::allowed_hosts, check::egress_host, 4>,
     "Hosts of this receiver that may have a private address. Others must be on the internet."},
    {"from",
     "word",
     {"\"first\""},
     "\"now\"",
     from,
     "With which record it begins: the log's `first`, or the one behind the moment in which it is applied, `now`."},
});

}  // namespace

std::span<const Word<core::ForwardFormat>> forward_formats() noexcept {
  return formats;
}

std::span<const Key<core::ForwardSpec>> forward_keys() noexcept {
  return keys;
}

core::ForwardSpec read_forward(Reader& r, const Node& table) {
  core::ForwardSpec out;
  r.where = "[[forward]]";
  if (const Entry* name = table.find("name"); name != nullptr && name->value.kind == Node::Kind::string)
    r.where += " " + shown(name->value.text);
  const auto seen = read_table(r, table, forward_keys(), out);
  if (out.url.empty()) return out;
  const auto at = [&](std::string_view key) {
    const Entry* entry = table.find(key);
    return entry == nullptr ? table.place : entry->value.place;
  };
  if (out.is_syslog()) {
    for (const std::string_view key : {"secrets", "authorization"})
      if (seen.contains(key))
        r.problem(at(key), r.where + " is syslog, which has no " + shown(key), "remove it, or send to a webhook");
    if (seen.contains("ca_file") && out.url.starts_with("tcp:"))
      r.problem(at("ca_file"), r.where + " has a ca_file, and no TLS to use it for", {});
  } else if (out.secrets.empty() && (!seen.contains("secrets") || table.find("secrets")->value.items.empty())) {
    r.problem(at("secrets"), r.where + " has no \"secrets\": what it gets could not be told from a forgery",
              "add, for example, secrets = [\"tenant:siem-signing\"]");
  }
  return out;
}

}  // namespace daypass::config
