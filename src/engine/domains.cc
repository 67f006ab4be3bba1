#include "engine/domains.h"

#include <algorithm>

#include "base/encoding.h"
#include "crypto/digest.h"
#include "engine/turn.h"

namespace daypass::engine {
namespace {

constexpr std::size_t longest_address = 320;

/// Of "<tenant>\n<time>".
Domains::Proof proof_of(const store::Document& document) {
  const std::size_t end = std::min(document.body.find('\n'), document.body.size());
  Domains::Proof out{core::TenantId(document.body.substr(0, end)), {}};
  if (end < document.body.size())
    if (const auto at = base::parse_rfc3339(document.body.substr(end + 1)); at.ok()) out.at = *at;
  return out;
}

std::vector<std::string> listed_by(const core::TenantSpec& spec) {
  std::vector<std::string> out;
  for (const auto& idp : spec.idps) out.insert(out.end(), idp.domains.begin(), idp.domains.end());
  return out;
}

}  // namespace

std::optional<Domains::Proof> Domains::proof(const std::string& domain, base::WallTime now) const {
  const std::lock_guard lock(mutex_);
  const auto it = proofs_.find(domain);
  if (it == proofs_.end() || now - it->second.at > holds) return std::nullopt;
  return it->second;
}

std::optional<Domains::Attempt> Domains::attempt(const Key& key) const {
  const std::lock_guard lock(mutex_);
  const auto it = attempts_.find(key);
  return it == attempts_.end() ? std::nullopt : std::optional(it->second);
}

void Domains::prove(const std::string& domain, Proof proof) {
  const std::lock_guard lock(mutex_);
  proofs_.insert_or_assign(domain, std::move(proof));
}

void Domains::note(const Key& key, Attempt attempt) {
  const std::lock_guard lock(mutex_);
  attempts_.insert_or_assign(key, std::move(attempt));
}

void Domains::release(const core::TenantId& tenant, const std::string& domain) {
  const std::lock_guard lock(mutex_);
  attempts_.erase({tenant, domain});
  const auto it = proofs_.find(domain);
  if (it != proofs_.end() && it->second.owner == tenant) proofs_.erase(it);
}

std::vector<std::string> Domains::of(const core::TenantId& tenant) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  for (const auto& [domain, proof] : proofs_)
    if (proof.owner == tenant) out.push_back(domain);
  return out;
}

std::map<core::TenantId, std::vector<std::string>> Domains::due(const std::set<Key>& listed, base::WallTime now) const {
  const std::lock_guard lock(mutex_);
  std::set<Key> all = listed;
  for (const auto& [domain, proof] : proofs_) all.emplace(proof.owner, domain);
  std::map<core::TenantId, std::vector<std::string>> out;
  for (const auto& key : all) {
    const auto proof = proofs_.find(key.second);
    const bool proven = proof != proofs_.end() && proof->second.owner == key.first;
    if (proven && now - proof->second.at < again_after) continue;
    const auto attempt = attempts_.find(key);
    if (attempt != attempts_.end() && now - attempt->second.at < (proven ? retry_proven : retry_unproven)) continue;
    auto& domains = out[key.first];
    if (domains.size() < at_once) domains.push_back(key.second);
  }
  return out;
}

std::string typed_domain(std::string_view typed) {
  while (!typed.empty() && typed.front() == ' ') typed.remove_prefix(1);
  while (!typed.empty() && (typed.back() == ' ' || typed.back() == '.')) typed.remove_suffix(1);
  if (typed.size() > longest_address) return {};
  if (const std::size_t at = typed.rfind('@'); at != std::string_view::npos) typed.remove_prefix(at + 1);
  std::string out(typed);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string Engine::Impl::domain_challenge(const core::TenantId& tenant, const std::string& domain) const {
  const base::Secret key = p.vault.master().derive("proofs of domains");
  return "daypass-domain=" + base::base64url_encode(crypto::hmac_sha256(key.reveal(), tenant.str() + '\n' + domain));
}

std::optional<std::string> Engine::suggested_idp(const core::TenantId& tenant_id, std::string_view typed) {
  const auto world = impl_->tenant(tenant_id);
  const std::string domain = typed_domain(typed);
  const auto proof = impl_->domains.proof(domain, impl_->now());
  if (world == nullptr || !proof || proof->owner != tenant_id) return std::nullopt;
  for (const auto& idp : world->spec.idps)
    if (std::ranges::find(idp.domains, domain) != idp.domains.end()) return idp.name;
  return std::nullopt;
}

std::vector<DomainInfo> Engine::domains(const core::TenantId& tenant_id) {
  std::vector<DomainInfo> out;
  const auto world = impl_->tenant(tenant_id);
  if (world == nullptr) return out;
  for (const auto& idp : world->spec.idps)
    for (const auto& domain : idp.domains) {
      DomainInfo info{
          domain, idp.name, "_daypass-challenge." + domain, impl_->domain_challenge(tenant_id, domain), {}, {}, {}, {}};
      if (const auto proof = impl_->domains.proof(domain, impl_->now()); proof && proof->owner == tenant_id) {
        info.proven_at = proof->at;
        info.holds_until = proof->at + Domains::holds;
      }
      if (const auto attempt = impl_->domains.attempt({tenant_id, domain})) {
        info.looked_at = attempt->at;
        info.why = attempt->why;
      }
      out.push_back(std::move(info));
    }
  return out;
}

void Engine::check_domains(core::TenantId tenant_id, Done<std::vector<DomainInfo>> done) {
  Impl& impl = *impl_;
  const auto world = impl.tenant(tenant_id);
  std::vector<std::string> domains = world == nullptr ? std::vector<std::string>() : listed_by(world->spec);
  // Whoever asks and asks learns nothing newer; what was looked for a moment ago is not asked for again.
  std::erase_if(domains, [&](const std::string& domain) {
    const auto attempt = impl.domains.attempt({tenant_id, domain});
    return attempt && impl.p.clock.mono() - attempt->mono < std::chrono::seconds(10);
  });
  if (domains.size() > Domains::at_once) domains.resize(Domains::at_once);
  auto answer = std::make_shared<Done<std::vector<DomainInfo>>>(std::move(done));
  impl.look_for_proofs(tenant_id, std::move(domains), [this, tenant_id, answer](Status looked) {
    if (looked.ok())
      (*answer)(this->domains(tenant_id));
    else
      (*answer)(looked.error());
  });
}

void Engine::Impl::look_for_proofs(core::TenantId tenant_id, std::vector<std::string> wanted, Done<void> done) {
  auto answer = std::make_shared<Done<void>>(std::move(done));
  if (wanted.empty() || !p.txt) return (*answer)({});
  p.workers.run(
      Workers::Pool::idp, tenant_id,
      [this, tenant_id, wanted = std::move(wanted), answer] {
        std::map<std::string, Domains::Attempt> found;
        const auto until = p.clock.mono() + std::chrono::seconds(30);
        for (const auto& domain : wanted) {
          if (p.clock.mono() >= until) break;
          Domains::Attempt attempt{now(), "", "", p.clock.mono()};
          const auto texts = p.txt("_daypass-challenge." + domain);
          if (!texts.ok()) {
            attempt.check = texts.error().check;
            attempt.why = texts.error().message;
          } else if (std::ranges::find(*texts, domain_challenge(tenant_id, domain)) == texts->end()) {
            attempt.check = "domain.value";
            attempt.why = "the TXT record holds another value";
          }
          found.emplace(domain, std::move(attempt));
        }
        call<void>([answer](Result<void> r) { (*answer)(std::move(r)); },
                   [this, tenant_id, found](Turn& turn) { return take_proofs(turn, tenant_id, found); });
      },
      [answer](Error e) { (*answer)(std::move(e)); });
}

Status Engine::Impl::take_proofs(Turn& turn, const core::TenantId& tenant_id,
                                 const std::map<std::string, Domains::Attempt>& found) {
  if (!serves(tenant_id)) return Error{Code::not_found, "tenant.unknown", "there is no such tenant"};
  for (const auto& [domain, attempt] : found) {
    const Domains::Key key{tenant_id, domain};
    DP_TRY(const auto document, turn.tx.get(system_tenant, doc_domain, domain, turn.now));
    std::optional<Domains::Proof> known;
    if (document) known = proof_of(*document);
    const bool mine = known && known->owner == tenant_id;
    if (attempt.check.empty() && known && !mine && turn.now - known->at <= Domains::holds) {
      turn.after.emplace_back([this, key, attempt] {
        domains.note(key, {attempt.at, "domain.taken", "it is another tenant's already; one domain leads to one tenant",
                           attempt.mono});
      });
      continue;
    }
    if (attempt.check.empty()) {
      const Domains::Proof proof{tenant_id, attempt.at};
      DP_CHECK(turn.put_document(system_tenant, doc_domain, domain,
                                 tenant_id.str() + "\n" + base::to_rfc3339(attempt.at), {}));
      if (!mine || turn.now - known->at > Domains::holds)
        DP_CHECK(turn.audit(tenant_id, "domain.proven", domain, "ok", {}));
      turn.after.emplace_back([this, key, proof, attempt] {
        domains.prove(key.second, proof);
        domains.note(key, attempt);
      });
      continue;
    }
    if (mine && turn.now - known->at > Domains::holds) {
      DP_TRY([[maybe_unused]] const bool gone, turn.tx.remove(system_tenant, doc_domain, domain));
      DP_CHECK(turn.audit(tenant_id, "domain.lapsed", domain, "ok", {{"check", attempt.check}}));
      turn.after.emplace_back([this, key] { domains.release(key.first, key.second); });
    }
    turn.after.emplace_back([this, key, attempt] { domains.note(key, attempt); });
  }
  return {};
}

Status Engine::Impl::release_domains(Turn& turn, const core::TenantId& tenant_id, const core::TenantSpec* keep) {
  const std::vector<std::string> listed = keep == nullptr ? std::vector<std::string>() : listed_by(*keep);
  for (const auto& domain : domains.of(tenant_id)) {
    if (std::ranges::find(listed, domain) != listed.end()) continue;
    DP_TRY([[maybe_unused]] const bool gone, turn.tx.remove(system_tenant, doc_domain, domain));
    turn.after.emplace_back([this, tenant_id, domain] { domains.release(tenant_id, domain); });
  }
  return {};
}

Status Engine::Impl::load_domains(store::Tx& tx, WallTime now_) {
  for (std::string after;;) {
    DP_TRY(const auto page, tx.list(system_tenant, doc_domain, "", after, 500, now_));
    for (const auto& document : page) domains.prove(document.key, proof_of(document));
    if (page.size() < 500) return {};
    after = page.back().key;
  }
}

void Engine::Impl::look_for_due_proofs(WallTime now_) {
  if (!p.txt) return;
  std::set<Domains::Key> listed;
  {
    const std::shared_lock lock(shared);
    for (const auto& [id, entry] : registry)
      if (entry.world != nullptr)
        for (const auto& domain : listed_by(entry.world->spec)) listed.emplace(id, domain);
  }
  for (auto& [tenant_id, due] : domains.due(listed, now_))
    look_for_proofs(tenant_id, std::move(due), [](const Status&) {});
}

}  // namespace daypass::engine
