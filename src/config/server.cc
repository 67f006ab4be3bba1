#include <algorithm>
#include <array>
#include <charconv>
#include <map>

#include "config/server_keys.h"

namespace daypass::config {
namespace {

constexpr std::array<Word<std::string_view>, 4> log_levels{
    {{"debug", "debug"}, {"info", "info"}, {"warn", "warn"}, {"error", "error"}}};

template <Listen ServerConfig::* Member>
void listen(Reader& r, const Node& node, ServerConfig& out) {
  const std::string* s = r.string(node);
  if (s == nullptr) return;
  auto parsed = parse_listen(*s);
  if (parsed.ok())
    out.*Member = std::move(*parsed);
  else
    r.complain(node, "must be an address and a port, not " + shown(*s), parsed.error().hint);
}

using S = ServerConfig;
constexpr auto keys = std::to_array<Key<ServerConfig>>({
    {"server.data_dir",
     "path",
     {"\"/var/lib/daypass\""},
     "\"/var/lib/daypass\"",
     text<&S::data_dir, check::path>,
     "Folder of the store, the keys and the operator's socket. Only the server's user may read it."},
    {"server.witness", "path", none, "\"/var/lib/daypass-witness/witness.json\"", text<&S::witness, check::path>,
     "File that remembers how long each tenant's audit log was; by it a store that was restored from a backup is "
     "noticed. Keep it where such a restore does not reach. Without it: `witness.json` in `data_dir`."},
    {"server.public_url", "URL", required, "\"https://daypass.example\"", text<&S::public_url, check::public_url>,
     "Where browsers and identity providers find Daypass: scheme, host and port, no path and no slash at the end. "
     "https, unless the host is loopback."},
    {"server.threads",
     "integer",
     {"0"},
     "2",
     integer<&S::threads, 0, 256>,
     "I/O threads, 0 to 256. 0 is one per core."},
    {"api.listen",
     "address",
     {"\"127.0.0.1:8420\""},
     "\"127.0.0.1:8420\"",
     listen<&S::api>,
     "Where login pages and the API listen. Any address but loopback needs `cert` and `key`."},
    {"api.cert", "path", none, "\"/etc/daypass/api.pem\"", text<&S::api_cert, check::path>,
     "PEM file of the certificate chain. Comes with `key`."},
    {"api.key", "path", none, "\"/etc/daypass/api.key\"", text<&S::api_key, check::path>,
     "PEM file of the certificate's private key."},
    {"gate.postgres.listen",
     "address",
     {"\"127.0.0.1:6432\""},
     "\"0.0.0.0:6432\"",
     listen<&S::gate_postgres>,
     "Where the PostgreSQL gateway listens. It always speaks TLS."},
    {"gate.postgres.cert", "path", none, "\"/etc/daypass/gate.pem\"", text<&S::gate_cert, check::path>,
     "PEM file of the gateway's certificate chain. Without it a self-signed one is made in `data_dir`."},
    {"gate.postgres.key", "path", none, "\"/etc/daypass/gate.key\"", text<&S::gate_key, check::path>,
     "PEM file of the certificate's private key."},
    {"gate.postgres.public_host", "host", none, "\"db.daypass.example\"",
     text<&S::gate_public_host, check::public_host>,
     "The host that clients are told to connect to. Without it: the listen address, or the host of `public_url` where "
     "that is 0.0.0.0 or ::."},
    {"log.level",
     "word",
     {"\"info\""},
     "\"warn\"",
     choice<&S::log_level, log_levels>,
     "The least that is logged: `debug`, `info`, `warn` or `error`."},
    {"store.reserve_mib",
     "integer",
     {"64"},
     "256",
     integer<&S::store_reserve_mib, 0, 65'536>,
     "MiB of the disk that are kept beside the store, 0 to 65536. When the disk is full they are given up, so that "
     "what ends access is still written down. 0: nothing is kept."},
    {"store.min_free_mib",
     "integer",
     {"128"},
     "1024",
     integer<&S::store_min_free_mib, 0, 1'048'576>,
     "With fewer MiB left on the store's file system than this nothing new is given, 0 to 1048576; 0: only when "
     "it is full."},
    {"limits.max_connections",
     "integer",
     {"2000"},
     "500",
     integer<&S::max_connections, 1, 1'000'000>,
     "Connections at once, 1 to 1000000, over all listeners. More are refused."},
    {"limits.max_connections_per_address",
     "integer",
     {"200"},
     "50",
     integer<&S::max_connections_per_address, 1, 1'000'000>,
     "Connections at once from one client address; at most `max_connections`."},
});

using Origins = std::map<std::string_view, std::pair<std::string, Place>>;  // key → file and place

class ServerParser {
 public:
  ServerParser(std::string file, Sink& sink) : file_(std::move(file)), sink_(sink) {}

  /// False when the text is no TOML: then nothing can be said about what is missing in it.
  bool read_file(std::string_view toml, ServerConfig& out) {
    auto parsed = parse_toml(toml, file_);
    if (!parsed.ok()) {
      sink_.add_all(std::move(parsed.problems));
      return false;
    }
    Reader r(file_, sink_);
    section(r, parsed.value, "", out);
    return true;
  }

  void read_env(const std::map<std::string, std::string>& env, ServerConfig& out) {
    Reader r("environment", sink_);
    for (const auto& [name, value] : env) {
      if (!name.starts_with("DAYPASS") || name.find("__") == std::string::npos) continue;
      const auto* key = find([&](const auto& k) { return env_name(k.name) == name; });
      if (key == nullptr) {
        unknown_variable(r, name);
        continue;
      }
      r.subject = name;
      read(r, *key, variable(*key, value), out);
    }
  }

  // What no key can say by itself. Problems point to the key that would have to change.
  void judge(ServerConfig& c, bool public_host_is_ours) {
    if (c.public_url.empty() && !origins_.contains("server.public_url"))
      sink_.add({file_, 0, 0, "there is no \"public_url\" in [server]",
                 "add, for example, public_url = \"https://daypass.example\""});
    pair("api.cert", c.api_cert, "api.key", c.api_key);
    pair("gate.postgres.cert", c.gate_cert, "gate.postgres.key", c.gate_key);
    if (!is_loopback(c.api.host) && !given("api.cert", c.api_cert) && !given("api.key", c.api_key))
      at("api.listen",
         "the API may not listen on " + c.api.str() + " without TLS: login tokens would cross the network in clear",
         "give \"cert\" and \"key\" in [api], or listen on 127.0.0.1 behind a proxy on this machine that speaks TLS");
    if (c.api.port != 0 && c.api == c.gate_postgres)
      at("gate.postgres.listen", "the API listens on " + c.api.str() + " already", "choose another port");
    if (c.max_connections_per_address > c.max_connections)
      at("limits.max_connections_per_address",
         "max_connections_per_address (" + std::to_string(c.max_connections_per_address) +
             ") is more than max_connections (" + std::to_string(c.max_connections) + ")",
         {});
    if (public_host_is_ours && !origins_.contains("gate.postgres.public_host")) c.gate_public_host = public_host(c);
  }

  static std::string public_host(const ServerConfig& c) {
    if (!is_wildcard(c.gate_postgres.host)) return c.gate_postgres.host;
    const auto url = split_url(c.public_url);
    return url ? std::string(url->host) : std::string();
  }

 private:
  template <class Match>
  static const Key<ServerConfig>* find(Match match) {
    const auto it = std::find_if(keys.begin(), keys.end(), match);
    return it == keys.end() ? nullptr : &*it;
  }

  void read(Reader& r, const Key<ServerConfig>& key, const Node& node, ServerConfig& out) {
    r.key = key.name;
    origins_[key.name] = {r.file(), node.place};
    key.read(r, node, out);
  }

  // Tables nest as the keys' dots do; what is neither key nor table on the way to one is unknown.
  void section(Reader& r, const Node& table, const std::string& path, ServerConfig& out) {
    std::vector<std::string_view> here;
    for (const auto& key : keys) {
      if (!key.name.starts_with(path)) continue;
      const std::string_view rest = key.name.substr(path.size());
      const std::string_view name = rest.substr(0, rest.find('.'));
      if (std::find(here.begin(), here.end(), name) == here.end()) here.push_back(name);
    }
    for (const auto& entry : table.entries) {
      const std::string full = path + entry.key;
      r.subject = shown(entry.key);
      const bool dotted = entry.key.find('.') != std::string::npos;  // it was quoted: one name, not a path
      if (const auto* key = dotted ? nullptr : find([&](const auto& k) { return k.name == full; })) {
        read(r, *key, entry.value, out);
      } else if (!dotted && find([&](const auto& k) { return k.name.starts_with(full + "."); }) != nullptr) {
        if (r.table(entry.value)) section(r, entry.value, full + ".", out);
      } else {
        const std::string in = path.empty() ? "" : " in [" + path.substr(0, path.size() - 1) + "]";
        r.problem(entry.place, "unknown key " + shown(entry.key) + in, did_you_mean(entry.key, here));
      }
    }
  }

  static Node variable(const Key<ServerConfig>& key, const std::string& value) {
    Node node;
    node.kind = Node::Kind::string;
    node.text = value;
    if (key.type != "integer") return node;
    std::int64_t number = 0;
    const char* end = value.data() + value.size();
    const auto [stop, error] = std::from_chars(value.data(), end, number);
    if (error == std::errc() && stop == end && !value.empty()) {
      node.kind = Node::Kind::integer;
      node.integer = number;
    }
    return node;
  }

  static void unknown_variable(Reader& r, const std::string& name) {
    std::vector<std::string> known;
    for (const auto& key : keys) known.push_back(env_name(key.name));
    const std::vector<std::string_view> views(known.begin(), known.end());
    r.problem({}, shown(name) + " names no key", did_you_mean(name, views));
  }

  void pair(std::string_view cert, const std::string& cert_value, std::string_view key, const std::string& key_value) {
    if (given(cert, cert_value) == given(key, key_value)) return;
    const auto [there, missing] = given(cert, cert_value) ? std::pair(cert, key) : std::pair(key, cert);
    at(there, std::string(there) + " is set without " + std::string(missing),
       "a certificate and its key come together");
  }

  // Set, be it to something that has been complained about already.
  [[nodiscard]] bool given(std::string_view key, const std::string& value) const {
    return !value.empty() || origins_.contains(key);
  }

  void at(std::string_view key, std::string message, std::string hint) {
    const auto it = origins_.find(key);
    if (it == origins_.end())
      sink_.add({file_, 0, 0, std::move(message), std::move(hint)});
    else
      sink_.add(
          {it->second.first, it->second.second.line, it->second.second.column, std::move(message), std::move(hint)});
  }

  std::string file_;
  Sink& sink_;
  Origins origins_;
};

}  // namespace

std::span<const Key<ServerConfig>> server_keys() noexcept {
  return {keys.data(), keys.size()};
}

std::string env_name(std::string_view key) {
  std::string out = "DAYPASS_";
  for (const char c : key) {
    if (c == '.')
      out += "__";
    else
      out += c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  }
  return out;
}

std::string Listen::str() const {
  return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + std::to_string(port);
}

base::Result<Listen> parse_listen(std::string_view text) {
  const base::Error bad{base::Code::invalid, "config.listen", shown(text) + " is not an address and a port",
                        "write it like 127.0.0.1:8420, [::1]:8420 or 0.0.0.0:8420"};
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || text.size() > 64) return bad;
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (!is_ip(host) || is_ipv6(host) != bracketed) return bad;
  unsigned number = 65536;
  const auto [stop, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  const bool one_spelling = port == "0" || !port.starts_with('0');
  if (error != std::errc() || stop != port.data() + port.size() || number > 65535 || !one_spelling) return bad;
  return Listen{std::string(host), static_cast<std::uint16_t>(number)};
}

Parsed<ServerConfig> parse_server(std::string_view text, std::string file,
                                  const std::map<std::string, std::string>& env) {
  Parsed<ServerConfig> out;
  Sink sink;
  ServerParser parser(std::move(file), sink);
  const bool readable = parser.read_file(text, out.value);
  parser.read_env(env, out.value);
  if (readable) parser.judge(out.value, true);
  out.problems = sink.take();
  return out;
}

std::vector<Problem> apply_env(ServerConfig& config, const std::map<std::string, std::string>& env) {
  Sink sink;
  ServerParser parser("environment", sink);
  ServerConfig changed = config;
  const bool derived = config.gate_public_host == ServerParser::public_host(config);
  parser.read_env(env, changed);
  parser.judge(changed, derived);
  if (sink.count() == 0) config = std::move(changed);
  return sink.take();
}

}  // namespace daypass::config
