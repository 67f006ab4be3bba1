// [idp.signals]: whose security events are taken, and how they come.
#include "config/tenant_keys.h"

namespace daypass::config {
namespace {

using S = core::SignalsSpec;

void opaque(Reader& r, const Node& node, S& out) {
  const std::string* s = r.string(node);
  if (s == nullptr) return;
  out.opaque_is_person = *s == "subject";
  constexpr auto known = std::to_array<std::string_view>({"session", "subject"});
  if (*s != "session" && *s != "subject") r.complain(node, "can't be " + shown(*s), did_you_mean(*s, known));
}

constexpr auto keys = std::to_array<Key<S>>({
    {"transmitter", "URL", required, "\"https://corp.okta.example\"", text<&S::transmitter, check::transmitter>,
     "The issuer of the events, exactly as in their `iss`. Its `/.well-known/ssf-configuration` says where its keys "
     "are. https, unless the host is loopback."},
    {"audience", "string", required, "\"https://daypass.example/t/default/idp/corp/events\"",
     text<&S::audience, check::audience>,
     "What the transmitter calls us: it must be in the `aud` of every event. The stream's configuration shows it."},
    {"push_tokens",
     "secrets",
     {"[]"},
     "[\"file:/etc/daypass/corp-push\"]",
     strings<&S::push_tokens, check::secret_ref, 4>,
     "What the transmitter sends in its Authorization header when it pushes, at most 4: a bearer token, or the whole "
     "header. To change it, add the new one, change the stream, drop the old one. Without it: nothing is pushed."},
    {"poll_url", "URL", none, "\"https://corp.okta.example/ssf/poll\"", text<&S::poll_url, check::fetch_url>,
     "Where events are polled. Without it: nothing is polled."},
    {"poll_token", "secret", none, "\"file:/etc/daypass/corp-poll\"", secret<&S::poll_token>,
     "What we send there in the Authorization header: a bearer token, or, with a space in it, the whole header. "
     "Required with `poll_url`."},
    {"poll_every",
     "duration",
     {"\"10s\""},
     "\"5s\"",
     duration<&S::poll_every, second_ms, 5 * minute_ms>,
     "How often it is polled while somebody of this provider is signed in or signs in, 1s to 5m."},
    {"jwks_url", "URL", none, "\"https://corp.okta.example/oauth2/v1/keys\"", text<&S::jwks_url, check::fetch_url>,
     "Where the transmitter's keys are, when it has no `/.well-known/ssf-configuration`."},
    {"subject_issuer", "URI", none, "\"https://corp.okta.example\"", text<&S::subject_issuer, check::entity_id>,
     "The `iss` of the people in its events. Without it: the provider's issuer."},
    {"opaque",
     "word",
     {"\"session\""},
     "\"subject\"",
     opaque,
     "What a subject of the format `opaque` names: a `session` (OpenID Connect's `sid`, SAML's SessionIndex) or a "
     "person's `subject`."},
});

void judge(Reader& r, const Node& table, const std::set<std::string_view>& seen) {
  const auto at = [&](std::string_view key) {
    const Entry* entry = table.find(key);
    return entry == nullptr ? table.place : entry->value.place;
  };
  const Entry* push = table.find("push_tokens");
  const bool pushed = push != nullptr && (push->value.kind != Node::Kind::array || !push->value.items.empty());
  if (!pushed && !seen.contains("poll_url"))
    r.problem(at("push_tokens"), r.where + " has neither \"push_tokens\" nor \"poll_url\"",
              "say how the events come: pushed by the transmitter, or polled by us");
  if (seen.contains("poll_url") && !seen.contains("poll_token"))
    r.problem(at("poll_url"), r.where + " has a poll_url but no \"poll_token\"",
              "add, for example, poll_token = \"file:/etc/daypass/corp-poll\"");
  for (const std::string_view key : {"poll_token", "poll_every"})
    if (seen.contains(key) && !seen.contains("poll_url"))
      r.problem(at(key), r.where + " has a " + std::string(key) + " but no \"poll_url\"", "say where to ask");
}

}  // namespace

std::span<const Key<core::SignalsSpec>> signal_keys() noexcept {
  return keys;
}

void read_signals(Reader& r, const Node& node, core::IdpSpec& out) {
  if (!r.table(node)) return;
  const std::string outer = std::exchange(r.where, "[idp.signals] of " + r.where);
  judge(r, node, read_table(r, node, signal_keys(), out.signals.emplace()));
  r.where = outer;
}

}  // namespace daypass::config
