#include "sim/model_gate.h"

#include "sim/world.h"

namespace daypass::sim {

using base::MonoTime;

// One io thread: what is posted arrives in order.
void ModelGate::post(std::move_only_function<void()> what) {
  const MonoTime at =
      std::max(last_post_, world_.now() + std::chrono::duration_cast<std::chrono::nanoseconds>(world_.delay(0, 40)));
  last_post_ = at;
  world_.in_process(std::chrono::duration_cast<base::Millis>(at - world_.now()), std::move(what));
}

void ModelGate::cut(std::vector<engine::Cut> grants) {
  world_.at_verb("cut");
  if (world_.settings.mutant == Mutant::cut_needs_store && world_.unbegun()) return;
  cuts.push_back(grants.size());
  std::set<core::GrantId> over;
  for (const auto& [grant, reason, sentence] : grants) {
    world_.say("gate: cut " + grant.id + " (" + std::string(core::to_string(reason)) + ")");
    world_.oracle.cut(grant);
    over.insert(grant);
  }
  if (world_.settings.mutant == Mutant::gate_ignores_cut) return;
  post([this, over = std::move(over)] {
    std::vector<std::string> mine;
    for (const auto& [id, c] : connections_)
      if (over.contains(c.grant)) mine.push_back(id);
    for (const auto& id : mine) close(id, "cut");
  });
}

void ModelGate::update(const core::GrantId& grant, const engine::Lease& lease) {
  world_.at_verb("update");
  post([this, grant, lease] {
    for (auto& [id, c] : connections_)
      if (c.grant == grant) c.lease = lease;
  });
}

void ModelGate::connect(const core::CredentialId& asked) {
  if (world_.engine() == nullptr) return;
  core::CredentialId credential = asked;
  if (world_.settings.mutant == Mutant::wrong_door) credential = world_.oracle.somebody_elses(asked);
  const auto verifier = world_.engine()->lookup(credential.str());
  if (!verifier) {
    ++refused;
    ++refusals["lookup"];
    world_.say("gate: " + credential.str() + " is unknown");
    if (world_.settings.mutant == Mutant::gate_reopens)
      if (const auto old = remembered_.find(credential); old != remembered_.end()) {
        engine::Admission again{old->second.grant,
                                core::ConnectionId(old->second.id.str() + "x"),
                                {},
                                old->second.lease,
                                old->second.meter};
        again.upstream.user = old->second.account;
        let_in(asked, old->second.server, std::move(again));
      }
    return;
  }
  const std::uint64_t ticket = world_.oracle.asked(asked);
  world_.engine()->admit(
      credential, "10.0.0.7:40000",
      [this, asked, ticket, server = verifier->target.str()](base::Result<engine::Admission> answer) {
        world_.oracle.answered(ticket);
        if (!answer.ok()) {
          ++refused;
          ++refusals[answer.error().check];
          world_.say("gate: " + asked.str() + " refused: " + answer.error().check + ": " + answer.error().message);
          return;
        }
        ++admitted;
        world_.oracle.admitted(asked, *answer);
        auto held = std::make_shared<engine::Admission>(std::move(*answer));
        post([this, asked, server, held] { let_in(asked, server, std::move(*held)); });
      });
}

void ModelGate::let_in(const core::CredentialId& credential, const std::string& server, engine::Admission admission) {
  ModelConnection c{admission.connection,
                    admission.grant,
                    credential,
                    server,
                    admission.upstream.user,
                    std::move(admission.lease),
                    std::move(admission.meter),
                    world_.now(),
                    false};
  const std::string id = c.id.str();
  world_.say("gate: " + id + " half open under " + c.grant.id);
  world_.oracle.opened(c);
  remembered_.insert_or_assign(credential, c);
  connections_.insert_or_assign(id, std::move(c));
  // The log-in upstream takes a while, and a cut may come first.
  world_.in_process(world_.delay(1, 60), [this, id] {
    const auto it = connections_.find(id);
    if (it == connections_.end()) return;
    if (!world_.servers.at(it->second.server).log_in(it->second.account, id)) return close(id, "upstream");
    it->second.logged_in = true;
    world_.say("gate: " + id + " open");
  });
}

bool ModelGate::message(const std::string& connection) {
  const auto it = connections_.find(connection);
  if (it == connections_.end()) return false;
  it->second.meter->last_active_ns = world_.now().time_since_epoch().count();
  world_.oracle.message(it->second.grant);
  if (world_.engine() != nullptr && world_.dice.chance(700)) {
    const core::GrantId grant = it->second.grant;
    world_.in_process(world_.delay(0, 2000), [this, grant, at = world_.now()] { world_.engine()->active(grant, at); });
  }
  return true;
}

bool ModelGate::hang_up(const std::string& connection) {
  if (!connections_.contains(connection)) return false;
  close(connection, "client");
  return true;
}

void ModelGate::close(const std::string& connection, std::string why) {
  const auto it = connections_.find(connection);
  if (it == connections_.end()) return;
  // The caller's name may be the one that is taken out.
  const auto gone = connections_.extract(it);
  const ModelConnection& c = gone.mapped();
  world_.servers.at(c.server).log_out(c.account, gone.key());
  world_.say("gate: " + gone.key() + " closed: " + why);
  world_.in_process(world_.dice.chance(50) ? world_.delay(0, 5000) : world_.delay(0, 100),
                    [this, grant = c.grant, id = c.id, why] {
                      engine::ConnectionStats stats;
                      stats.why = why;
                      stats.statements = why == "client" ? 3 : 0;
                      if (stats.statements > 0) stats.named = names;
                      world_.engine()->closed(grant, id, stats);
                    });
}

void ModelGate::enforce() {
  if (world_.settings.mutant == Mutant::gate_ignores_lease || world_.settings.mutant == Mutant::gate_dawdles) return;
  std::vector<std::string> over;
  for (const auto& [id, c] : connections_)
    if (c.lease.deadline(MonoTime(std::chrono::nanoseconds(c.meter->last_active_ns.load()))) <= world_.now())
      over.push_back(id);
  for (const auto& id : over) close(id, "lease");
}

MonoTime ModelGate::next_deadline() const {
  MonoTime next = MonoTime::max();
  if (world_.settings.mutant == Mutant::gate_ignores_lease) return next;
  for (const auto& [id, c] : connections_)
    next = std::min(next, c.lease.deadline(MonoTime(std::chrono::nanoseconds(c.meter->last_active_ns.load()))));
  return next;
}

void ModelGate::die() {
  for (const auto& [id, c] : connections_) world_.servers.at(c.server).log_out(c.account, id);
  connections_.clear();
  remembered_.clear();
  last_post_ = MonoTime{};
}

}  // namespace daypass::sim
