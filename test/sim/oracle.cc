#include "sim/oracle.h"

#include <algorithm>

#include "sim/world.h"
#include "store/audit_verify.h"

namespace daypass::sim {

using base::Millis;
using base::MonoTime;
using core::EndReason;
using core::GrantState;

namespace {
MonoTime plus(MonoTime t, Millis d) {
  return t + std::chrono::duration_cast<std::chrono::nanoseconds>(d);
}
constexpr Millis grace = std::chrono::milliseconds(1500);
const core::TenantId tenant("default");
}  // namespace

void Oracle::red(const std::string& checker, const std::string& what) {
  if (failed()) return;
  checker_ = checker;
  what_ = what;
  world_.say("RED " + checker + ": " + what);
}

// ------------------------------------------------------------------------------------------------------------- people

void Oracle::signed_in(const core::SessionId& session, const std::string& person, const std::string& token,
                       const std::string& sign_in) {
  Session& s = sessions_[session];
  s.person = person;
  s.token = token;
  s.sign_in = sign_in;
  s.began = world_.now();
}

void Oracle::has_credential(const core::CredentialId& credential, const core::SessionId& session,
                            const std::string& person) {
  credentials_.insert_or_assign(credential, std::pair(session, person));
}

core::CredentialId Oracle::somebody_elses(const core::CredentialId& mine) const {
  const auto it = credentials_.find(mine);
  for (const auto& [id, owner] : credentials_)
    if (it != credentials_.end() && owner.second != it->second.second) return id;
  return mine;
}

void Oracle::wants_policy(int variant) {
  in_force_.insert(variant);
  for (auto& [id, life] : lives_) life.variants.insert(variant);
}

void Oracle::wants_change(const std::string& person) {
  for (auto& [id, s] : sessions_)
    if (s.person == person) s.changes = true;
}

void Oracle::end_refused(const core::GrantId& grant, const std::string& check) {
  if (!check.starts_with("store.")) return;
  for (const auto& [id, c] : world_.gate.connections())
    if (c.grant == grant && !lives_[grant].was_cut)
      red("cut first", id + " goes on under " + grant.id + ", as its end could not be written down");
}

void Oracle::logout_refused(const core::SessionId& session, const std::string& check) {
  if (!check.starts_with("store.")) return;
  for (const auto& [id, life] : lives_)
    if (life.known && life.grant.session == session) end_refused(id, check);
  const std::string& token = sessions_[session].token;
  if (!token.empty() && world_.engine()->authenticate(tenant, token).ok())
    red("cut first", "the token of " + session.str() + " is accepted, as its end could not be written down");
}

MonoTime Oracle::now() const {
  return world_.now();
}

void Oracle::policy_applied(int variant) {
  in_force_ = {variant};
}

void Oracle::message(const core::GrantId& grant) {
  lives_[grant].touched = world_.now();
}

// -------------------------------------------------------------------------------------------------------------- parts

void Oracle::moved(Life& life, Move move) {
  const Faults met = move == Move::open ? (recent_world_ | recent_target_) : (life.of_world | life.of_target);
  for (std::size_t f = 0; f < fault_count; ++f)
    if (met.test(f)) ++table_[static_cast<std::size_t>(move)][f];
  if (!met.any()) ++table_[static_cast<std::size_t>(move)][0];
  // What befell the world or the server counts for the move it came before; a fault of the grant's own calls for all
  // that follows under it.
  life.of_world.reset();
  if (move == Move::open) recent_world_.reset(), recent_target_.reset();
}

void Oracle::grant_saved(const core::Grant& g, const Commit& commit, std::map<std::string, int>& expected) {
  Life& life = lives_[g.id];
  const core::Grant before = life.grant;
  const bool first = !life.known;
  const auto at_of = [&](std::string_view action) {
    for (const auto& record : commit.audit)
      if (record.action == action && record.object == g.id.id) return record.at;
    return base::WallTime{};
  };
  const auto bound_by = [&](std::string_view action) { return plus(world_.turn_began(), g.ends_at - at_of(action)); };
  life.grant = g;
  life.known = true;
  life.changed = world_.now();
  if (first) {
    life.opened = world_.turn_began();
    life.touched = life.opened;
    life.bound = bound_by("grant.opened");
    ++expected["grant.opened " + g.id.id];
    life.variants = in_force_;
    moved(life, Move::open);
    if (g.state != GrantState::provisioning) red("law", g.id.id + " began as " + std::string(core::to_string(g.state)));
    const auto owner = sessions_.find(g.session);
    if (owner == sessions_.end() || g.principal != "demo/" + owner->second.person)
      red("crossing", g.id.id + " belongs to a session of somebody else");
    if (owner != sessions_.end() && owner->second.ended)
      red("after the end", g.id.id + " opened under a login that had ended");
    if (owner != sessions_.end() && !owner->second.sign_in.empty() && !owner->second.clock_fault &&
        plus(confirmed_[owner->second.sign_in], 2 * PolicyText::revalidate + grace) < world_.turn_began())
      red("asked after", g.id.id + " opened under a login that its provider was not asked after for too long");
    if (g.ends_at - g.opened_at > PolicyText::longest)
      red("deadline", g.id.id + " may last longer than any policy permits");
    return;
  }
  if (g.session != before.session || g.principal != before.principal || g.target != before.target ||
      g.roles != before.roles)
    red("crossing", g.id.id + " changed its owner, target or roles");
  if (before.state == GrantState::closed) {
    // Late news of a connection is still news, and who ended it may be erased; nothing else may change.
    core::Grant same = before;
    same.connections = g.connections;
    if (g.end_note.empty()) same.end_note.clear();
    same.version = g.version;
    if (!(same == g)) red("law", g.id.id + " changed after it was closed");
    return;
  }
  if (g.ends_at > before.ends_at) {
    ++expected["grant.extended " + g.id.id];
    life.bound = bound_by("grant.extended");
    if (plus(life.opened, PolicyText::longest + std::chrono::seconds(1)) < life.bound && !life.clock_fault)
      red("deadline", g.id.id + " was extended past the cap");
    moved(life, Move::extend);
  } else if (g.ends_at < before.ends_at || g.offers != before.offers || g.policy_version != before.policy_version ||
             g.decision_record != before.decision_record) {
    ++expected["grant.redecided " + g.id.id];
    life.bound = std::min(life.bound, bound_by("grant.redecided"));
    moved(life, Move::shrink);
  }
  if (g.connections > before.connections)
    life.touched = world_.now(), expected["connection.opened " + g.id.id] += g.connections - before.connections;
  if (g.state == before.state) {
    if (g.state == GrantState::revoking && g.attempt > before.attempt) {
      ++expected["grant.revoke_retry " + g.id.id];
      moved(life, Move::retry);
    }
    if (before.open == core::IntentKind::extend && g.open == core::IntentKind::extend && before.attempt == 0 &&
        g.attempt == 1)
      ++expected["grant.extend_retry " + g.id.id];
    return;
  }
  if (g.state == GrantState::active && before.state == GrantState::provisioning) {
    ++expected["grant.active " + g.id.id];
    life.touched = world_.now();
    moved(life, Move::activate);
  } else if (g.state == GrantState::revoking && before.state != GrantState::closed) {
    ++expected["grant.ended " + g.id.id];
    life.ended = world_.now();
    judge_end(life, g);
    moved(life, before.state == GrantState::provisioning ? Move::fail : Move::end);
  } else if (g.state == GrantState::closed && before.state == GrantState::revoking) {
    ++expected["grant.closed " + g.id.id];
    const ModelAccount* account = world_.servers.at(g.target.str()).find(g.account);
    if (account != nullptr && !life.made_after_end) red("closed means absent", g.account + " is there");
    moved(life, Move::close);
  } else {
    red("law", g.id.id + " went from " + std::string(core::to_string(before.state)) + " to " +
                   std::string(core::to_string(g.state)));
  }
}

// The latest instant, on the boot clock, at which the grant may still be used if nothing more happens.
MonoTime Oracle::due(const Life& life) const {
  MonoTime latest{};
  for (const auto& offer : life.grant.offers) {
    if (life.grant.connections > offer.connections) continue;
    latest =
        std::max(latest, std::min({plus(life.opened, offer.duration), plus(life.touched, offer.idle), life.bound}));
  }
  return latest;
}

void Oracle::judge_end(Life& life, const core::Grant& g) {
  const auto early = [&](const std::string& why) {
    red("never early",
        g.id.id + " ended (" + std::string(core::to_string(g.end_reason)) + ", " + g.end_note + "): " + why);
  };
  const Session& owner = sessions_[g.session];
  switch (g.end_reason) {
    case EndReason::expired:
    case EndReason::idle:
      if (!life.clock_fault && plus(world_.now(), std::chrono::seconds(1)) < due(life)) early("its time was not up");
      break;
    case EndReason::logout:
      if (!owner.logout_wanted) early("nobody logged out");
      break;
    case EndReason::login_expired:
      // A login from before the clock leapt ends early, and takes along a grant that was opened after.
      if (!life.clock_fault && !owner.clock_fault && !owner.logout_wanted &&
          plus(world_.now(), std::chrono::seconds(1)) <
              plus(owner.began, PolicyText::session_max - std::chrono::seconds(5)))
        early("the login had not ended");
      break;
    case EndReason::policy: {
      const bool taken = std::any_of(life.variants.begin(), life.variants.end(), [&](int v) {
        return std::any_of(g.roles.begin(), g.roles.end(),
                           [&](const auto& r) { return !PolicyText::permits(v, owner.person, r.str()); });
      });
      if (!taken && !owner.changes) early("every policy permits it");
      break;
    }
    case EndReason::admin:
    case EndReason::user:
      if (!life.end_wanted && !freezing_) early("nobody asked for it");
      break;
    case EndReason::provision_failed:
      if (!life.provision_failed) early("its account could be made");
      break;
    case EndReason::signal: {
      const auto told = sessions_.find(g.session);
      if (told != sessions_.end() && told->second.logout_wanted) break;
      if (told != sessions_.end() && !told->second.sign_in.empty() &&
          world_.provider.sign_ins.at(told->second.sign_in).over)
        break;
      const ModelAccount* account = world_.servers.at(g.target.str()).find(g.account);
      if (account != nullptr && !life.blurred) early("its account is there");
      break;
    }
    case EndReason::none:
      early("for no reason");
      break;
  }
}

void Oracle::committed(const Commit& commit) {
  std::map<std::string, int> expected;
  for (const auto& saved : commit.grants) grant_saved(saved.grant, commit, expected);
  std::map<std::string, int> found;
  for (const auto& record : commit.audit) {
    if (record.action.starts_with("grant.") || record.action == "connection.opened")
      ++found[record.action + " " + record.object];
    if (record.action == "login.ended") sessions_[core::SessionId(record.object)].ended = true;
    if (record.action == "login.renewed") {
      auto& out = sessions_[core::SessionId(record.object)].out;
      const auto* groups = record.facts.find("groups");
      if (groups != nullptr && groups->as_array()->empty())
        out = world_.now();
      else if (groups != nullptr)
        out.reset();
    }
    if (record.tenant != tenant && !others_.contains(record.tenant))
      red("crossing", "a record in the log of " + record.tenant.str());
    // Time as the engine tells it must not go back, and must not stand still while the boot clock runs.
    if (last_record_) {
      const auto told = record.at - last_record_->first;
      const auto ran = std::chrono::duration_cast<Millis>(world_.turn_began() - last_record_->second);
      if (told < Millis(0)) red("time", "a record is older than the one before it");
      if (told + ran / 1000 + Millis(5) < ran)
        red("time", "durations run slower than the boot clock: " + std::to_string(told.count()) + " ms in " +
                        std::to_string(ran.count()) + " ms");
    }
    last_record_.emplace(record.at, world_.turn_began());
  }
  for (const auto& [what, n] : expected)
    if (found[what] != n)
      red("one record per change", what + ": " + std::to_string(found[what]) + " instead of " + std::to_string(n));
  for (const auto& [what, n] : found)
    if (n != 0 && !expected.contains(what) && !what.starts_with("connection."))
      red("one record per change", what + " without a change");
}

void Oracle::dispatched(const core::Intent& intent) {
  // An unrecorded revocation (number 0) takes away while the store is stuck; it gives nothing.
  if (intent.seq == 0 && intent.kind == core::IntentKind::revoke) return;
  if (!world_.store.promised(intent.grant, intent.seq))
    red("intent first", std::string(core::to_string(intent.kind)) + " #" + std::to_string(intent.seq) + " of " +
                            intent.grant.id + " is not durable");
}

void Oracle::touching(const core::Intent& intent) {
  dispatched(intent);
}

void Oracle::made(const ModelAccount& account) {
  if (account.grant.tenant != tenant || account.mark.empty()) return;
  const auto it = lives_.find(account.grant);
  if (it == lives_.end() || !it->second.known || !world_.store.grants().contains(account.grant))
    return red("intent first", account.name + " was made for a grant that is not durable");
  if (it->second.ended) it->second.made_after_end = true;
}

void Oracle::cut(const core::GrantId& grant) {
  Life& life = lives_[grant];
  const bool used =
      std::ranges::any_of(world_.gate.connections(), [&](const auto& item) { return item.second.grant == grant; });
  if (end_saved_ && used && !life.was_cut)
    red("cut first", grant.id + " was cut behind the record of the end of " + end_saved_->id + ", by the same event");
  if (!life.was_cut) life.was_cut = world_.now();
}

std::uint64_t Oracle::asked(const core::CredentialId& credential) {
  tickets_[next_ticket_] = {credential, world_.now(), world_.life(), false};
  return next_ticket_++;
}

void Oracle::answered(std::uint64_t ticket) {
  Ticket& t = tickets_[ticket];
  if (t.answered) red("answered once", "a client was answered twice");
  t.answered = true;
}

void Oracle::admitted(const core::CredentialId& credential, const engine::Admission& a) {
  const auto owner = credentials_.find(credential);
  const core::Grant* grant = world_.store.grant(a.grant);
  if (grant == nullptr) return red("intent first", "let in under a grant that is not durable");
  if (owner == credentials_.end() || grant->session != owner->second.first ||
      grant->principal != "demo/" + owner->second.second)
    return red("crossing", credential.str() + " was let in under the grant of " + grant->principal);
  if (a.upstream.user != grant->account || a.grant.tenant != tenant)
    red("crossing", "let in with another grant's account");
  if (grant->state != GrantState::active)
    red("after the end", "let in under " + a.grant.id + ", which is " + std::string(core::to_string(grant->state)));
  const Life& life = lives_[a.grant];
  const bool ever = std::any_of(life.variants.begin(), life.variants.end(), [&](int v) {
    return std::all_of(grant->roles.begin(), grant->roles.end(),
                       [&](const auto& r) { return PolicyText::permits(v, owner->second.second, r.str()); });
  });
  if (!ever || sessions_[owner->second.first].out) red("policy", credential.str() + " was let in without a permit");
  if (sessions_[owner->second.first].ended) red("after the end", "let in under a login that had ended");
  if (life.was_cut) red("after the end", "let in under " + a.grant.id + ", which was cut");
}

void Oracle::opened(const ModelConnection& c) {
  const Life& life = lives_[c.grant];
  // An admission that was on its way when the end came is cut right behind, in the same order.
  if (life.ended && plus(*life.ended, grace) < world_.now())
    red("after the end", c.id.str() + " opened under " + c.grant.id + " after its end");
  if (frozen_at_ && plus(*frozen_at_, grace) < world_.now())
    red("frozen", c.id.str() + " opened while access is frozen");
}

void Oracle::process_died() {
  for (auto& [id, life] : lives_) {
    life.was_cut.reset();
  }
  for (auto& [id, ticket] : tickets_) ticket.answered = true;
  last_record_.reset();
  end_saved_.reset();
}

void Oracle::process_started() {
  // What a store of files turns out to hold of the last life was told of just now (test/chaos).
  last_record_.reset();
  const Millis off = world_.wall_offset();
  if (off > std::chrono::seconds(1)) started_ahead_ = true;
  for (auto& [id, life] : lives_) {
    life.touched = world_.now();
    // A start believes the wall clock, up to what was written down: the boot clock says nothing about the time before.
    if (off != Millis(0) || clock_ever_) life.clock_fault = true;
  }
  for (auto& [id, s] : sessions_)
    if (clock_ever_) s.clock_fault = true;
}

// ------------------------------------------------------------------------------------------------------------- faults

void Oracle::world_fault(Fault fault) {
  const auto bit = static_cast<std::size_t>(fault);
  recent_world_.set(bit);
  for (auto& [id, life] : lives_) {
    if (!life.known || life.grant.state == GrantState::closed) continue;
    life.of_world.set(bit);
    if (fault == Fault::clock_forward || fault == Fault::clock_back) life.clock_fault = true;
  }
  if (fault != Fault::clock_forward && fault != Fault::clock_back) return;
  clock_ever_ = true;
  for (auto& [id, s] : sessions_) s.clock_fault = true;
}

void Oracle::target_fault(Fault fault, const char* call, const core::GrantId& grant) {
  const auto bit = static_cast<std::size_t>(fault);
  recent_target_.set(bit);
  if (grant.id.empty()) {
    for (auto& [id, life] : lives_)
      if (life.known && life.grant.state != GrantState::closed) life.of_target.set(bit);
    return;
  }
  Life& life = lives_[grant];
  life.of_target.set(bit);
  // Trouble on a server meets whatever else is under way there.
  for (auto& [id, other] : lives_)
    if (other.known && other.grant.state != GrantState::closed && other.grant.target == life.grant.target)
      other.of_world.set(bit);
  const std::string_view what = call;
  if (what == "provision" && fault != Fault::lie && fault != Fault::twice) life.provision_failed = true;
  // From here on what the target holds is not what it was last told.
  if (fault == Fault::late || fault == Fault::twice || fault == Fault::half || fault == Fault::lie) life.blurred = true;
}

void Oracle::suspended(Millis how_long) {
  for (auto& [id, ticket] : tickets_) ticket.at = plus(ticket.at, how_long);
  // One world, one thread: while a commit takes its time the gate does not do either what it was told before. Its own
  // deadlines are not put off.
  for (auto& [id, life] : lives_) {
    if (life.ended) life.ended = plus(*life.ended, how_long);
    if (life.was_cut) life.was_cut = plus(*life.was_cut, how_long);
  }
  for (auto& [id, s] : sessions_)
    if (s.out) s.out = plus(*s.out, how_long);
  for (auto& [sign_in, at] : confirmed_) at = plus(at, how_long);
}

// ------------------------------------------------------------------------------------------------------------- checks

void Oracle::check_connections() {
  for (const auto& [id, c] : world_.gate.connections()) {
    Life& life = lives_[c.grant];
    if (life.ended && plus(*life.ended, grace) < world_.now())
      red("after the end", id + " lives on under " + c.grant.id + ", which ended");
    if (life.was_cut && plus(*life.was_cut, grace) < world_.now())
      red("after the end", id + " lives on under " + c.grant.id + ", which was cut");
    if (frozen_at_ && plus(*frozen_at_, grace) < world_.now()) red("frozen", id + " lives on while access is frozen");
    if (life.clock_fault && plus(c.opened, PolicyText::longest + PolicyText::longest) < world_.now())
      red("deadline", id + " lives longer than any policy permits");
  }
}

void Oracle::check_deadlines() {
  for (const auto& [id, c] : world_.gate.connections()) {
    const Life& life = lives_[c.grant];
    // The gate ends on the boot clock; a wall clock that lies can only make it earlier.
    if (!life.clock_fault && plus(life.changed, grace) < world_.now() && plus(due(life), grace) < world_.now())
      red("deadline", id + " lives on past the end of " + c.grant.id);
  }
}

void Oracle::check_people() {
  for (const auto& [id, life] : lives_) {
    const auto owner = sessions_.find(life.grant.session);
    if (!life.known || life.ended || owner == sessions_.end() || !owner->second.out) continue;
    if (plus(*owner->second.out, grace) < world_.now())
      red("policy", id.id + " lives on, though its person has lost what it was given for");
  }
}

void Oracle::check_accounts() {
  for (const auto& [name, server] : world_.servers)
    for (const auto& [account_name, account] : server.accounts) {
      if (account.mark != server.instance || account.grant.tenant != tenant) continue;
      const auto it = lives_.find(account.grant);
      if (it == lives_.end()) continue;  // planted: an orphan that nobody here made
      const Life& life = it->second;
      if (life.grant.state == GrantState::active && !life.grant.open && !life.blurred &&
          account.valid_until > life.grant.ends_at)
        red("deadline", account_name + " is valid on the target beyond the end of its grant");
    }
}

void Oracle::at_rest() {
  if (failed()) return;
  check_connections();
  check_deadlines();
  check_people();
  check_accounts();
  for (const auto& [id, ticket] : tickets_)
    if (!ticket.answered && ticket.life == world_.life() && plus(ticket.at, std::chrono::seconds(120)) < world_.now())
      red("answered once", "a client waits for an answer for two minutes");
  std::erase_if(tickets_, [](const auto& item) { return item.second.answered; });
  if (world_.engine() != nullptr)
    for (const auto& [id, s] : sessions_)
      if (s.ended && !s.token.empty() && world_.engine()->authenticate(tenant, s.token).ok())
        red("after the end", "the token of a login that ended is accepted");
  for (const auto& [name, server] : world_.servers) {
    if (!server.accounts.contains("dp_simold_" + std::string(26, 'f')) || !server.accounts.contains("app_owner"))
      red("touches only its own", "an account of somebody else is gone from " + name);
    if (!clock_ever_ && !fixing_orphans_ && world_.true_wall() < world_.orphan_until() &&
        !server.accounts.contains("dp_sim001_" + std::string(26, 'o')))
      red("touches only its own", "an unknown account was removed before its own end");
  }
}

void Oracle::none_outlives_its_provider() {
  for (const auto& [id, s] : sessions_)
    if (!s.ended && !s.sign_in.empty() && world_.provider.sign_ins.at(s.sign_in).over)
      red("asked after", id.str() + " goes on, though its provider has ended it");
}

void Oracle::at_the_end() {
  if (failed()) return;
  at_rest();
  for (const auto& [id, grant] : world_.store.grants())
    if (grant.state != GrantState::closed)
      red("eventually", id.id + " is still " + std::string(core::to_string(grant.state)));
  if (world_.store.open_intents() != 0) red("eventually", "intents are still open");
  for (const auto& [name, server] : world_.servers)
    for (const auto& [account_name, account] : server.accounts)
      if (account.mark == server.instance && account.grant.tenant == tenant)
        red("eventually", "account " + account_name + " is left on " + name);
  if (!world_.gate.connections().empty()) red("eventually", "a connection is left");
  for (const auto& [id, ticket] : tickets_)
    if (!ticket.answered && ticket.life == world_.life()) red("answered once", "a client was never answered");
  const auto reader = world_.store.snapshot();
  if (const auto report = store::verify_audit(**reader, tenant); !report.ok())
    red("audit log", report.error().check + ": " + report.error().message);
}

std::vector<core::GrantId> Oracle::live_grants() const {
  std::vector<core::GrantId> out;
  for (const auto& [id, life] : lives_)
    if (life.known && (life.grant.state == GrantState::provisioning || life.grant.state == GrantState::active))
      out.push_back(id);
  return out;
}

}  // namespace daypass::sim
