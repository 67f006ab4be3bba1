// Secrets that a tenant keeps here: sealed under its data key, named by "tenant:NAME" in its settings, never shown
// again. Whoever administers a tenant over the network has no other place for them: files are the operator's.
#include <algorithm>

#include "base/encoding.h"
#include "config/checks.h"
#include "crypto/x509.h"
#include "engine/references.h"
#include "engine/turn.h"

namespace daypass::engine {
namespace {

constexpr std::size_t max_secrets = 500, max_value = std::size_t{64} * 1024;
constexpr auto key_lasts = std::chrono::hours(24 * 3650);

std::string purpose(const core::TenantId& tenant, const std::string& name) {
  return "secret " + tenant.str() + "/" + name;
}

Result<SecretInfo> info_of(const store::Document& document) {
  DP_TRY(const json::Value body, json::parse(document.body));
  SecretInfo out;
  out.name = document.key;
  DP_TRY(out.set_at, base::parse_rfc3339(body.string_or("set_at")));
  out.set_by = body.string_or("set_by");
  out.certificate_pem = body.string_or("certificate");
  return out;
}

Status check_name(const std::string& name) {
  if (config::check::secret_ref("tenant:" + name))
    return Error{Code::invalid, "secret.name",
                 "a secret's name is 1 to 31 of a-z, 0-9 and -, beginning with a letter or digit"};
  return {};
}

Error unknown(const std::string& name) {
  return {Code::not_found, "secret.unknown", "there is no secret \"" + name.substr(0, 40) + "\" here",
          "daypass secrets ls shows what there is"};
}

Status keep(Engine::Impl& impl, Turn& turn, const core::TenantId& tenant, const SecretInfo& info,
            const base::Secret& value) {
  if (!impl.serves(tenant)) return Error{Code::not_found, "tenant.unknown", "there is no such tenant"};
  if (auto no_room = impl.refuse_short()) return *std::move(no_room);
  DP_TRY(const auto known, turn.tx.get(tenant, doc_secret, info.name, turn.now));
  if (!known) {
    DP_TRY(const auto all, turn.tx.list(tenant, doc_secret, "", "", max_secrets, turn.now));
    if (all.size() >= max_secrets)
      return Error{Code::exhausted, "secret.count", "the tenant keeps 500 secrets already", "daypass secrets rm"};
  }
  DP_TRY(const std::string sealed, impl.p.vault.seal(tenant, value, purpose(tenant, info.name)));
  turn.actor = info.set_by;
  DP_CHECK(turn.put_document(tenant, doc_secret, info.name,
                             json::dump(json::Object{{"v", 1},
                                                     {"set_at", base::to_rfc3339(info.set_at)},
                                                     {"set_by", info.set_by},
                                                     {"certificate", info.certificate_pem},
                                                     {"sealed", base::base64_encode(sealed)}}),
                             {}));
  return turn.audit(tenant, known ? "secret.replaced" : "secret.set", info.name, "ok",
                    {{"kind", info.certificate_pem.empty() ? "secret" : "key"}});
}

template <class Spec>
bool names(const Spec& spec, const std::string& reference) {
  bool found = false;
  each_reference(spec, [&](const std::string& text) { found = found || text == reference; });
  return found;
}

/// Which of the tenant's settings name it; empty: none.
std::string user_of(const core::TenantSpec& spec, const std::string& name) {
  const std::string reference = "tenant:" + name;
  for (const auto& idp : spec.idps)
    if (names(idp, reference)) return "idp " + idp.name;
  for (const auto& target : spec.targets)
    if (names(target, reference)) return "target " + target.id.str();
  for (const auto& forward : spec.forwards)
    if (names(forward, reference)) return "forward " + forward.name;
  return {};
}

}  // namespace

Result<base::Secret> open_secret(store::Store& store, const Vault& vault, const core::TenantId& tenant,
                                 const std::string& name, WallTime now) {
  DP_TRY(const auto reader, store.snapshot());
  DP_TRY(const auto document, reader->get(tenant, doc_secret, name, now));
  if (!document) return unknown(name);
  DP_TRY(const json::Value body, json::parse(document->body));
  const auto sealed = base::base64_decode(body.string_or("sealed"));
  if (!sealed) return Error{Code::internal, "secret.shape", "the record of secret " + name + " is damaged"};
  return vault.open(tenant, *sealed, purpose(tenant, name));
}

namespace {

template <class Spec>
Status look_for_secrets(Turn& turn, const core::TenantId& tenant, const std::string& what, const Spec& spec,
                        std::vector<config::Problem>& problems) {
  Status read;
  each_reference(spec, [&](const std::string& text) {
    if (!read.ok() || !text.starts_with("tenant:")) return;
    const std::string name = text.substr(7);
    const auto known = turn.tx.get(tenant, doc_secret, name, turn.now);
    if (!known.ok())
      read = known.error();
    else if (!*known)
      problems.push_back({"tenant.toml", 0, 0, what + ": there is no secret " + text,
                          "daypass secrets set " + name + ", or for a key pair: daypass secrets make-key " + name});
  });
  return read;
}

}  // namespace

// Asked again in the transaction that stores the settings: one that was removed meanwhile would keep the tenant from
// being loaded, and who is not loaded revokes nothing.
Status refuse_unknown_secrets(Turn& turn, const core::TenantSpec& spec, std::vector<config::Problem>& problems) {
  for (const auto& idp : spec.idps) DP_CHECK(look_for_secrets(turn, spec.tenant, "idp " + idp.name, idp, problems));
  for (const auto& target : spec.targets)
    DP_CHECK(look_for_secrets(turn, spec.tenant, "target " + target.id.str(), target, problems));
  for (const auto& forward : spec.forwards)
    DP_CHECK(look_for_secrets(turn, spec.tenant, "forward " + forward.name, forward, problems));
  return {};
}

void Engine::secrets(core::TenantId tenant, Done<std::vector<SecretInfo>> done) {
  impl_->call<std::vector<SecretInfo>>(std::move(done), [tenant](Turn& turn) -> Result<std::vector<SecretInfo>> {
    DP_TRY(const auto documents, turn.tx.list(tenant, doc_secret, "", "", max_secrets, turn.now));
    std::vector<SecretInfo> out;
    for (const auto& document : documents) {
      DP_TRY(SecretInfo info, info_of(document));
      out.push_back(std::move(info));
    }
    return out;
  });
}

void Engine::set_secret(core::TenantId tenant, std::string name, base::Secret value, std::string actor,
                        Done<SecretInfo> done) {
  Impl& impl = *impl_;
  if (auto good = check_name(name); !good.ok()) return done(std::move(good).error());
  if (value.empty() || value.reveal().size() > max_value)
    return done(Error{Code::invalid, "secret.value", "a secret has 1 byte to 64 KiB"});
  auto kept = std::make_shared<const base::Secret>(std::move(value));
  impl.call<SecretInfo>(std::move(done), [&impl, tenant, name, kept, actor](Turn& turn) -> Result<SecretInfo> {
    const SecretInfo info{.name = name, .set_at = turn.now, .set_by = actor, .certificate_pem = {}};
    DP_CHECK(keep(impl, turn, tenant, info, *kept));
    return info;
  });
}

void Engine::make_key(core::TenantId tenant, std::string name, std::string actor, Done<SecretInfo> done) {
  Impl& impl = *impl_;
  if (auto good = check_name(name); !good.ok()) return done(std::move(good).error());
  auto answer = std::make_shared<Done<SecretInfo>>(std::move(done));
  // A moment's work of a whole core.
  impl.p.workers.run(
      Workers::Pool::provision, tenant,
      [&impl, tenant, name, actor, answer] {
        const WallTime now = impl.now();
        auto made = crypto::self_signed_rsa("daypass " + tenant.str() + " " + name, now - std::chrono::hours(1),
                                            now + key_lasts);
        auto pem = std::make_shared<const base::Secret>(made.certificate_pem + std::string(made.key_pem.reveal()));
        impl.call<SecretInfo>(
            [answer](Result<SecretInfo> r) { (*answer)(std::move(r)); },
            [&impl, tenant, name, actor, pem, certificate = made.certificate_pem](Turn& turn) -> Result<SecretInfo> {
              // Whoever has the old one's certificate would be left with a key that is gone.
              DP_TRY(const auto known, turn.tx.get(tenant, doc_secret, name, turn.now));
              if (known)
                return Error{Code::conflict, "secret.exists", "there is a secret \"" + name + "\" already",
                             "make the new key under another name, name both, then drop the old one"};
              const SecretInfo info{.name = name, .set_at = turn.now, .set_by = actor, .certificate_pem = certificate};
              DP_CHECK(keep(impl, turn, tenant, info, *pem));
              return info;
            });
      },
      [answer](Error e) { (*answer)(std::move(e)); });
}

void Engine::remove_secret(core::TenantId tenant, std::string name, std::string actor, Done<void> done) {
  Impl& impl = *impl_;
  impl.call<void>(std::move(done), [&impl, tenant, name, actor](Turn& turn) -> Status {
    if (const auto world = impl.tenant(tenant); world != nullptr)
      if (const std::string user = user_of(world->spec, name); !user.empty())
        return Error{Code::conflict, "secret.in_use", user + " names it", "apply settings that don't, then remove it"};
    DP_TRY(const bool gone, turn.tx.remove(tenant, doc_secret, name));
    if (!gone) return unknown(name);
    turn.actor = actor;
    return turn.audit(tenant, "secret.removed", name, "ok", {});
  });
}

}  // namespace daypass::engine
