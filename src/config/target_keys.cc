#include <algorithm>
#include <limits>

#include "config/tenant_keys.h"

namespace daypass::config {
namespace {

using T = core::TargetSpec;
using R = core::RoleSpec;
using L = core::DefaultLimits;
namespace json = base::json;

// Keys of the drivers go into `settings` under their own names, as they are.
template <Check C, class Spec>
void setting_text(Reader& r, const Node& node, Spec& out) {
  if (const auto* s = r.string(node, C)) out.settings.set(r.key, *s);
}
template <std::int64_t Least, std::int64_t Most, class Spec>
void setting_integer(Reader& r, const Node& node, Spec& out) {
  if (const auto i = r.integer(node, Least, Most)) out.settings.set(r.key, *i);
}
template <class Spec>
void setting_boolean(Reader& r, const Node& node, Spec& out) {
  if (node.kind == Node::Kind::boolean)
    out.settings.set(r.key, node.boolean);
  else
    r.wrong_type(node, "true or false");
}
template <const auto& Words, class Spec>
void setting_word(Reader& r, const Node& node, Spec& out) {
  const std::string* s = r.string(node);
  if (s == nullptr) return;
  if (std::find(Words.begin(), Words.end(), *s) != Words.end())
    out.settings.set(r.key, *s);
  else
    r.complain(node, "can't be " + shown(*s), did_you_mean(*s, Words));
}

std::optional<core::AttributeValue> attribute_value(Reader& r, const Node& node) {
  switch (node.kind) {
    case Node::Kind::string:
      if (const auto* s = r.string(node)) return *s;
      return std::nullopt;
    case Node::Kind::integer:
      return node.integer;
    case Node::Kind::boolean:
      return node.boolean;
    case Node::Kind::array: {
      auto list = r.strings(node, check::any, 1000);
      if (!list) return std::nullopt;
      return std::set<std::string>(list->begin(), list->end());
    }
    default:
      r.wrong_type(node, "a string, an integer, a boolean or an array of strings");
      return std::nullopt;
  }
}

void attributes(Reader& r, const Node& node, std::span<const std::string_view> own, core::Attributes& out) {
  if (!r.table(node)) return;
  if (node.entries.size() > max_attributes) {
    r.complain(node, "has more than " + std::to_string(max_attributes) + " entries");
    return;
  }
  for (const auto& [name, place, value] : node.entries) {
    r.subject = shown(name);
    if (auto bad = attribute_name(name, own)) {
      r.problem(place, r.subject + " " + bad->predicate, bad->hint);
      continue;
    }
    if (auto v = attribute_value(r, value)) out.emplace(name, std::move(*v));
  }
}

void target_attributes(Reader& r, const Node& node, T& out) {
  attributes(r, node, own_target_attributes(), out.attributes);
}
void role_attributes(Reader& r, const Node& node, R& out) {
  attributes(r, node, own_role_attributes(), out.attributes);
}

void target_limits(Reader& r, const Node& node, T& out) {
  if (!r.table(node)) return;
  const std::string outer = std::exchange(r.where, "\"limits\" of " + r.where);
  read_table(r, node, limit_keys(), out.limits);
  r.where = outer;
}

template <auto Parse, class Spec>
void id(Reader& r, const Node& node, Spec& out) {
  const std::string* s = r.string(node);
  if (s == nullptr) return;
  auto parsed = Parse(*s);
  if (parsed.ok())
    out.id = std::move(*parsed);
  else
    r.problem(node.place, parsed.error().message, parsed.error().hint);
}

constexpr auto target_table = std::to_array<Key<T>>({
    {"name", "name", required, "\"pg/orders\"", id<core::parse_target, T>,
     "`<kind>/<name>`: one database. The kind says which of the keys below apply; there is `pg`, PostgreSQL. "
     "The name: 1 to 40 of a-z, 0-9, - and _."},
    {"attributes", "table", none, "{ env = \"prod\" }", target_attributes,
     "What policies see as `resource.target.<name>`, see `[target.attributes]`."},
    {"limits", "table", none, "{ duration = \"30m\" }", target_limits,
     "Limits where a policy's annotations are silent, see `[target.limits]`."},
});

constexpr auto limits_table = std::to_array<Key<L>>({
    {"duration",
     "duration",
     {"\"1h\""},
     "\"30m\"",
     duration<&L::duration, second_ms, 30 * day_ms>,
     "How long a grant lasts, 1s to 30d."},
    {"idle",
     "duration",
     {"\"15m\""},
     "\"10m\"",
     duration<&L::idle, second_ms, 30 * day_ms>,
     "How long it may be unused before it ends."},
    {"connections", "integer", {"4"}, "2", integer<&L::connections, 1, 1000>, "Connections at once, 1 to 1000."},
});

constexpr auto role_table = std::to_array<Key<R>>({
    {"name", "name", required, "\"pg/orders/reader\"", id<core::parse_role, R>,
     "`<kind>/<name>/<role>`: a role on the target of that name. Policies call it `Role::\"pg/orders/reader\"`."},
    {"description", "string", none, "\"Read all tables\"", text<&R::description, check::description>,
     "For people who look at `daypass ls`; at most 500 bytes."},
    {"elevated",
     "boolean",
     {"false"},
     "true",
     boolean<&R::elevated>,
     "Given only when asked for by name, never with the others."},
    {"duration_cap", "duration", none, "\"15m\"", duration<&R::duration_cap, second_ms, 30 * day_ms>,
     "No grant of this role lasts longer, whatever a policy offers."},
    {"attributes", "table", none, "{ team = \"data\" }", role_attributes,
     "What policies see as `resource.<name>`, see `[role.attributes]`."},
});

constexpr auto broker_words = std::to_array<std::string_view>({"login", "functions"});
constexpr auto tls_words = std::to_array<std::string_view>({"verify", "loopback"});

constexpr auto pg_target = std::to_array<Key<T>>({
    {"host", "host", required, "\"db.internal\"", setting_text<check::postgres_host, T>,
     "The server: a host name, an IP address or the folder of its unix socket."},
    {"port", "integer", {"5432"}, "5433", setting_integer<1, 65535, T>, "The server's port."},
    {"database", "name", required, "\"orders\"", setting_text<check::postgres_name, T>,
     "The database that the roles of this target lead to."},
    {"maintenance_database", "name", none, "\"postgres\"", setting_text<check::postgres_name, T>,
     "The database that the admin login works in. Without it: `database`."},
    {"admin_user", "name", required, "\"daypass\"", setting_text<check::postgres_role, T>,
     "The role Daypass logs in as. It needs CREATEROLE and pg_signal_backend, or `broker = \"functions\"`; `daypass "
     "target "
     "check` names what is missing."},
    {"broker",
     "word",
     {"\"login\""},
     "\"functions\"",
     setting_word<broker_words, T>,
     "`login`: the admin login makes accounts by its own rights. `functions`: it has none, and calls functions that a "
     "DBA "
     "installs with `daypass target installer`."},
    {"admin_password", "secret", none, "\"file:/etc/daypass/orders.password\"", setting_text<check::secret_ref, T>,
     "Where its password is. May be left out where `admin_cert` or the socket is enough."},
    {"admin_cert", "path", none, "\"/etc/daypass/admin.pem\"", setting_text<check::absolute_path, T>,
     "PEM client certificate of the admin login. Comes with `admin_key`."},
    {"admin_key", "path", none, "\"/etc/daypass/admin.key\"", setting_text<check::absolute_path, T>,
     "PEM private key of `admin_cert`."},
    {"ca_file", "path", none, "\"/etc/daypass/db-ca.pem\"", setting_text<check::absolute_path, T>,
     "PEM file of the certificate authority that the server's certificate must come from. Without it: the system's."},
    {"tls",
     "word",
     {"\"verify\""},
     "\"verify\"",
     setting_word<tls_words, T>,
     "`verify`: TLS, with certificate and name checked. `loopback`: none, only for a loopback address or a unix "
     "socket."},
    {"gate_cert", "path", none, "\"/etc/daypass/gate-client.pem\"", setting_text<check::absolute_path, T>,
     "PEM client certificate that the gateway shows the server, so that `pg_hba.conf` can insist on the gateway. "
     "Comes with `gate_key`."},
    {"gate_key", "path", none, "\"/etc/daypass/gate-client.key\"", setting_text<check::absolute_path, T>,
     "PEM private key of `gate_cert`."},
    {"public_only",
     "boolean",
     {"false"},
     "true",
     setting_boolean<T>,
     "Connect only if the host is an address of the internet: none of a private network, whatever its name leads to. "
     "Always so for what a tenant's administrators apply, unless the operator lets them name the host."},
});

constexpr auto pg_role = std::to_array<Key<R>>({
    {"group", "name", required, "\"orders_read\"", setting_text<check::postgres_role, R>,
     "The PostgreSQL role whose member the account becomes: NOLOGIN, and with no more rights than this role is to "
     "give."},
    {"creates", "name", none, "\"orders_made\"", setting_text<check::postgres_role, R>,
     "A NOLOGIN role, member of nothing, that inherits the tables a session made. Without it they are dropped when the "
     "grant ends."},
});

void judge_pg(Reader& r, const Node& table, const T& out) {
  const auto pair = [&](std::string_view cert, std::string_view key) {
    const Entry* c = table.find(cert);
    const Entry* k = table.find(key);
    if ((c == nullptr) == (k == nullptr)) return;
    const Entry* there = c == nullptr ? k : c;
    r.problem(there->place, r.where + " has " + shown(there->key) + " without " + shown(c == nullptr ? cert : key),
              "a certificate and its key come together");
  };
  pair("admin_cert", "admin_key");
  pair("gate_cert", "gate_key");
  const json::Value settings(out.settings);
  const std::string host = settings.string_or("host");
  if (host.empty()) return;
  const bool socket = host.starts_with('/');
  const Entry* tls = table.find("tls");
  const bool verify = settings.string_or("tls", "verify") == "verify";
  if (!verify && !socket && !is_loopback(host))
    r.problem(tls->value.place, r.where + " goes without TLS, but " + shown(host) + " is not this machine",
              "write tls = \"verify\", and name the server's authority in ca_file");
  if (verify && socket)
    r.problem(tls == nullptr ? table.find("host")->value.place : tls->value.place,
              r.where + " is reached over a unix socket, which has no TLS", "write tls = \"loopback\"");
  if (!socket && table.find("admin_password") == nullptr && table.find("admin_cert") == nullptr)
    r.problem(table.place, r.where + " has neither \"admin_password\" nor \"admin_cert\"",
              "add, for example, admin_password = \"file:/etc/daypass/orders.password\"");
}

constexpr auto all_kinds = std::to_array<KindKeys>({{"pg", pg_target, pg_role, judge_pg}});

const KindKeys* kind_keys(std::string_view kind) {
  for (const auto& k : all_kinds)
    if (k.kind == kind) return &k;
  return nullptr;
}

// The keys of a table whose kind stands in its own "name". A kind that nobody knows is reported by the caller, once.
template <class Spec>
std::vector<Key<Spec>> keys_for(const Node& table, std::span<const Key<Spec>> common, const KindKeys*& kind,
                                std::string& unknown) {
  std::vector<Key<Spec>> out(common.begin(), common.end());
  kind = kind_keys("pg");
  if (const Entry* name = table.find("name"); name != nullptr && name->value.kind == Node::Kind::string) {
    const std::string& text = name->value.text;
    if (const std::string found = text.substr(0, text.find('/')); core::parse_target(found + "/x").ok()) {
      kind = kind_keys(found);
      if (kind == nullptr) unknown = found;
    }
  }
  if (kind == nullptr) return out;
  const auto more = [&] {
    if constexpr (std::is_same_v<Spec, T>)
      return kind->target;
    else
      return kind->role;
  }();
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

template <class Spec>
Spec read_kinded(Reader& r, const Node& table, std::string where, std::span<const Key<Spec>> common) {
  Spec out;
  const KindKeys* kind = nullptr;
  std::string unknown;
  const auto keys = keys_for(table, common, kind, unknown);
  r.where = std::move(where);
  const Entry* name = table.find("name");
  if (name != nullptr && name->value.kind == Node::Kind::string) r.where += " " + shown(name->value.text);
  if (kind == nullptr) {
    // Without the kind its keys can't be told from slips, so only the kind is reported.
    std::vector<std::string_view> known;
    for (const auto& k : all_kinds) known.push_back(k.kind);
    r.problem(name->value.place, "there is no kind of target " + shown(unknown), did_you_mean(unknown, known));
    return out;
  }
  read_table<Spec>(r, table, keys, out);
  if constexpr (std::is_same_v<Spec, T>) kind->judge(r, table, out);
  // In the order of the table, so that lines changing places in a file are no change.
  json::Object ordered;
  for (const auto& key : keys)
    if (json::Value* v = out.settings.find(key.name)) ordered.set(std::string(key.name), std::move(*v));
  out.settings = std::move(ordered);
  return out;
}

}  // namespace

std::span<const std::string_view> own_target_attributes() noexcept {
  static constexpr auto names = std::to_array<std::string_view>({"name", "kind"});
  return names;
}
std::span<const std::string_view> own_role_attributes() noexcept {
  static constexpr auto names = std::to_array<std::string_view>({"name", "kind", "target", "elevated"});
  return names;
}

std::span<const KindKeys> kinds() noexcept {
  return all_kinds;
}
std::span<const Key<core::TargetSpec>> target_keys() noexcept {
  return target_table;
}
std::span<const Key<core::DefaultLimits>> limit_keys() noexcept {
  return limits_table;
}
std::span<const Key<core::RoleSpec>> role_keys() noexcept {
  return role_table;
}

core::TargetSpec read_target(Reader& r, const Node& table) {
  return read_kinded<T>(r, table, "[[target]]", target_table);
}
core::RoleSpec read_role(Reader& r, const Node& table) {
  return read_kinded<R>(r, table, "[[role]]", role_table);
}

}  // namespace daypass::config
