#include "core/grant.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"

namespace daypass::core {
namespace {

using base::Code;
using base::Error;
namespace json = base::json;

// Builds the result of one step: the changed copy of the grant and what must be done about it.
struct Draft {
  Step out;
  WallTime now;

  Draft(const Grant& grant, WallTime t) : out{grant, {}, false}, now(t) {}
  Grant& grant() { return out.grant; }

  void record(std::string action, std::string outcome, json::Object facts = {}) {
    out.effects.emplace_back(effect::Record{std::move(action), std::move(outcome), std::move(facts)});
    out.save = true;
  }
  void settle() {
    if (!grant().open) return;
    out.effects.emplace_back(effect::SettleIntent{grant().intent_seq});
    grant().open.reset();
    out.save = true;
  }
  // A newer intent takes the place of an open one: what the older would have reported is stale from here on.
  void open(IntentKind kind, std::uint32_t attempt, Millis delay) {
    settle();
    Grant& g = grant();
    ++g.intent_seq;
    g.open = kind;
    g.attempt = attempt;
    Intent intent{g.id, g.intent_seq, kind, attempt, now + delay, {}};
    if (kind == IntentKind::provision || kind == IntentKind::extend) intent.sealed_secret = g.sealed_secret;
    out.effects.emplace_back(effect::OpenIntent{std::move(intent)});
    out.save = true;
  }
  // The one way out of the house.
  void end(EndReason reason, std::string note) {
    Grant& g = grant();
    g.state = GrantState::revoking;
    g.end_reason = reason;
    g.end_note = note;
    g.revoking_since = now;
    out.effects.emplace_back(effect::Cut{reason, note});
    record("grant.ended", "ok", {{"reason", to_string(reason)}, {"note", std::move(note)}});
    open(IntentKind::revoke, 0, Millis(0));
  }
  [[nodiscard]] bool awaits(std::uint32_t seq, IntentKind kind) const {
    return out.grant.open == kind && out.grant.intent_seq == seq;
  }
};

bool live(const Grant& g) {
  return g.state == GrantState::provisioning || g.state == GrantState::active;
}

void on(Draft& d, const event::Provisioned& e) {
  // A late success after the end began is stale: the revocation that follows meets the account.
  if (d.grant().state != GrantState::provisioning || !d.awaits(e.seq, IntentKind::provision)) return;
  d.settle();
  d.grant().state = GrantState::active;
  d.grant().handle = e.handle;
  d.grant().last_active = d.now;
  d.record("grant.active", "ok", {{"account", d.grant().account}, {"ends_at", base::to_rfc3339(d.grant().ends_at)}});
}

void on(Draft& d, const event::ProvisionFailed& e) {
  if (d.grant().state != GrantState::provisioning || !d.awaits(e.seq, IntentKind::provision)) return;
  d.end(EndReason::provision_failed, e.check);
}

void on(Draft& d, const event::ExtendGranted& e) {
  Grant& g = d.grant();
  if (g.state != GrantState::active || e.offers.empty()) return;
  // Only forward, and never past what the fresh decision covers.
  const WallTime end = std::min(e.ends_at, g.opened_at + longest(e.offers));
  if (end <= g.ends_at) return;
  g.offers = e.offers;
  g.ends_at = end;
  g.decision_record = e.decision_record;
  g.policy_version = e.policy_version;
  d.record("grant.extended", "ok", {{"ends_at", base::to_rfc3339(end)}});
  d.out.effects.emplace_back(effect::UpdateLease{});
  d.open(IntentKind::extend, 0, Millis(0));
}

void on(Draft& d, const event::Extended& e) {
  if (d.awaits(e.seq, IntentKind::extend)) d.settle();
}

void on(Draft& d, const event::ExtendFailed& e) {
  if (!d.awaits(e.seq, IntentKind::extend)) return;
  const std::uint32_t attempt = d.grant().attempt + 1;
  // Said once: until it goes through, the target believes in another end than Daypass, which holds to its own.
  if (attempt == 1) d.record("grant.extend_retry", "failed", {{"check", e.check}});
  d.open(IntentKind::extend, attempt, backoff(attempt));
}

void on(Draft& d, const event::ConnectionOpened& e) {
  // The gate may open only after this is recorded; a grant that began to end meanwhile says no by not counting it.
  if (d.grant().state != GrantState::active) return;
  ++d.grant().connections;
  d.grant().last_active = std::max(d.grant().last_active, d.now);
  d.record("connection.opened", "ok", {{"connection", e.connection.str()}, {"peer", e.peer}});
  // Fewer offers may cover one connection more, so the others' deadlines can move.
  d.out.effects.emplace_back(effect::UpdateLease{});
}

void on(Draft& d, const event::ConnectionClosed& e) {
  if (d.grant().connections == 0) return;
  --d.grant().connections;
  d.record("connection.closed", "ok", {{"connection", e.connection.str()}, {"why", e.why}});
  if (live(d.grant())) d.out.effects.emplace_back(effect::UpdateLease{});
}

void on(Draft& d, const event::Activity& e) {
  // Never into the future: a gate's clock must not lengthen anything.
  d.grant().last_active = std::max(d.grant().last_active, std::min(e.at, d.now));
}

void on(Draft& d, const event::Redecided& e) {
  Grant& g = d.grant();
  if (!live(g)) return;
  if (e.offers.empty()) {
    d.end(EndReason::policy, e.note);
    return;
  }
  const WallTime end = std::min({g.ends_at, g.opened_at + longest(e.offers), e.not_after});
  const bool other_facts = !e.decision_record.empty() && e.decision_record != g.decision_record;
  if (e.offers == g.offers && end == g.ends_at && e.policy_version == g.policy_version && !other_facts) return;
  const bool shrank = end < g.ends_at;
  g.offers = e.offers;
  g.ends_at = end;
  g.policy_version = e.policy_version;
  if (other_facts) g.decision_record = e.decision_record;
  d.record("grant.redecided", "ok",
           {{"ends_at", base::to_rfc3339(end)}, {"note", e.note}, {"decision", g.decision_record}});
  d.out.effects.emplace_back(effect::UpdateLease{});
  // The target learns of an earlier end too. A provision under way carries the later one: it is asked for again.
  if (shrank) d.open(g.state == GrantState::active ? IntentKind::extend : IntentKind::provision, 0, Millis(0));
}

void on(Draft& d, const event::End& e) {
  if (live(d.grant())) d.end(e.reason, e.note);
}

void on(Draft& d, const event::RevokeTried& e) {
  if (d.grant().state != GrantState::revoking || !d.awaits(e.seq, IntentKind::revoke)) return;
  // "Done" is a claim; what counts is what another connection sees. A failure says nothing either: look, then try
  // again.
  if (e.ok) {
    d.open(IntentKind::verify, d.grant().attempt, Millis(0));
    return;
  }
  const std::uint32_t attempt = d.grant().attempt + 1;
  d.record("grant.revoke_retry", "failed", {{"attempt", std::int64_t{attempt}}, {"check", e.check}});
  d.open(IntentKind::revoke, attempt, backoff(attempt));
}

void on(Draft& d, const event::Verified& e) {
  if (d.grant().state != GrantState::revoking || !d.awaits(e.seq, IntentKind::verify)) return;
  if (e.presence == Presence::absent) {
    d.settle();
    d.grant().state = GrantState::closed;
    d.grant().sealed_secret.clear();
    d.record("grant.closed", "ok", {{"account", d.grant().account}, {"verified", "absent"}});
    return;
  }
  const std::uint32_t attempt = d.grant().attempt + 1;
  d.record(
      "grant.revoke_retry", "failed",
      {{"attempt", std::int64_t{attempt}}, {"check", e.presence == Presence::present ? "still_present" : e.check}});
  d.open(IntentKind::revoke, attempt, backoff(attempt));
}

void on(Draft& d, const event::Tick&) {
  const Grant& g = d.grant();
  if (!live(g)) return;
  const auto due = deadline(g.offers, g.opened_at, g.ends_at, g.last_active, g.connections);
  if (due && d.now < *due) return;
  const bool idle = due && ends_by_idleness(g.offers, g.opened_at, g.ends_at, g.last_active, g.connections);
  d.end(idle ? EndReason::idle : EndReason::expired, {});
}

void on(Draft& d, const event::Recovered& e) {
  Grant& g = d.grant();
  if (g.state == GrantState::closed) return;
  if (g.connections != 0) {
    g.connections = 0;
    d.record("connection.lost", "ok", {{"why", "restart"}});
  }
  // Taken up late or told twice it is still the start that counts, and never the future.
  g.last_active = std::max(g.last_active, std::min(e.started_at, d.now));
}

}  // namespace

std::string_view to_string(IntentKind kind) noexcept {
  constexpr std::array<std::string_view, 4> names{"provision", "extend", "revoke", "verify"};
  return names[static_cast<std::size_t>(kind)];
}

constexpr std::array<std::string_view, 4> state_names{"provisioning", "active", "revoking", "closed"};
constexpr std::array<std::string_view, 10> reason_names{"none",   "expired", "idle",  "logout", "login_expired",
                                                        "signal", "policy",  "admin", "user",   "provision_failed"};

std::string_view to_string(GrantState state) noexcept {
  return state_names[static_cast<std::size_t>(state)];
}
std::string_view to_string(EndReason reason) noexcept {
  return reason_names[static_cast<std::size_t>(reason)];
}

namespace {
template <class Enum, std::size_t N>
std::optional<Enum> from_name(const std::array<std::string_view, N>& names, std::string_view text) noexcept {
  for (std::size_t i = 0; i < N; ++i)
    if (names[i] == text) return static_cast<Enum>(i);
  return std::nullopt;
}
}  // namespace

std::optional<GrantState> grant_state_from(std::string_view text) noexcept {
  return from_name<GrantState>(state_names, text);
}
std::optional<EndReason> end_reason_from(std::string_view text) noexcept {
  return from_name<EndReason>(reason_names, text);
}

Step open_grant(GrantId id, SessionId session, const Identity& who, TargetId target, const Decision& decision,
                std::optional<Millis> wanted, WallTime not_after, std::string account, std::string sealed_secret,
                WallTime now) {
  DP_ASSERT(decision.verdict == Verdict::allow && !decision.roles.empty() && !decision.offers.empty());
  DP_ASSERT(who.tenant == id.tenant);
  Grant g;
  g.id = std::move(id);
  g.session = std::move(session);
  g.principal = who.principal();
  g.target = std::move(target);
  for (const auto& role : decision.roles) g.roles.push_back(role.role);
  std::sort(g.roles.begin(), g.roles.end());
  g.offers = decision.offers;
  g.decision_record = decision.record;
  g.policy_version = decision.policy_version;
  g.opened_at = now;
  Millis duration = longest(g.offers);
  if (wanted) duration = std::min(duration, *wanted);
  g.ends_at = std::min(now + duration, not_after);
  g.last_active = now;
  g.account = std::move(account);
  g.sealed_secret = std::move(sealed_secret);
  Draft d(g, now);
  json::Array roles;
  for (const auto& role : g.roles) roles.emplace_back(role.str());
  d.record("grant.opened", "ok",
           {{"target", g.target.str()},
            {"roles", std::move(roles)},
            {"session", g.session.str()},
            {"ends_at", base::to_rfc3339(g.ends_at)},
            {"decision", g.decision_record},
            {"policy_version", g.policy_version}});
  d.open(IntentKind::provision, 0, Millis(0));
  return std::move(d.out);
}

Step step(const Grant& grant, const GrantEvent& event, WallTime now) {
  Draft d(grant, now);
  std::visit([&](const auto& e) { on(d, e); }, event);
  return std::move(d.out);
}

std::optional<WallTime> next_tick(const Grant& g) {
  if (!live(g)) return std::nullopt;
  const auto due = deadline(g.offers, g.opened_at, g.ends_at, g.last_active, g.connections);
  return due ? *due : WallTime{};
}

Wake wake_of(const Grant& g) {
  Wake out;
  out.settled = g.state == GrantState::active && !g.open;
  // What a dead process left behind: an account in the making or half gone, and connections that are over.
  if (!out.settled || g.connections != 0 || g.offers.empty()) return out;
  out.idle = Millis::max();
  for (const auto& offer : g.offers) {
    out.at = std::max(out.at, std::min(g.opened_at + offer.duration, g.ends_at));
    out.idle = std::min(out.idle, offer.idle);
  }
  return out;
}

bool admits(const Grant& g, WallTime now) {
  if (g.state != GrantState::active) return false;
  const auto due = deadline(g.offers, g.opened_at, g.ends_at, std::max(g.last_active, now), g.connections + 1);
  return due && now < *due;
}

std::string account_name(std::string_view instance, const GrantId& id) {
  return "dp_" + std::string(instance) + "_" + id.id.substr(3);
}

Millis backoff(std::uint32_t attempt) {
  if (attempt == 0) return Millis(0);
  constexpr Millis cap = std::chrono::seconds(60);
  return attempt > 8 ? cap : std::min(cap, Millis(250) * (1U << attempt));
}

namespace {
constexpr std::pair<const char*, std::optional<std::uint64_t> LogPlaces::*> places[] = {
    {"log_opened", &LogPlaces::opened}, {"log_ended", &LogPlaces::ended}, {"log_closed", &LogPlaces::closed}};
}  // namespace

json::Value to_json(const Grant& g) {
  json::Array roles;
  for (const auto& role : g.roles) roles.emplace_back(role.str());
  json::Object out{{"v", 1},
                   {"tenant", g.id.tenant.str()},
                   {"id", g.id.id},
                   {"version", g.version},
                   {"session", g.session.str()},
                   {"principal", g.principal},
                   {"target", g.target.str()},
                   {"roles", std::move(roles)},
                   {"offers", to_json(g.offers)},
                   {"decision_record", g.decision_record},
                   {"policy_version", g.policy_version},
                   {"state", to_string(g.state)},
                   {"end_reason", to_string(g.end_reason)},
                   {"end_note", g.end_note},
                   {"opened_at", base::to_rfc3339(g.opened_at)},
                   {"ends_at", base::to_rfc3339(g.ends_at)},
                   {"last_active", base::to_rfc3339(g.last_active)},
                   {"connections", g.connections},
                   {"account", g.account},
                   {"handle", g.handle},
                   {"sealed_secret", base::base64url_encode(g.sealed_secret)},
                   {"intent_seq", std::int64_t{g.intent_seq}},
                   {"attempt", std::int64_t{g.attempt}}};
  if (g.open) out.set("open", static_cast<int>(*g.open));
  if (g.revoking_since) out.set("revoking_since", base::to_rfc3339(*g.revoking_since));
  for (const auto& [name, place] : places) {
    if (g.log.*place) out.set(name, *(g.log.*place));
  }
  return out;
}

base::Result<Grant> grant_from_json(const json::Value& v) {
  const auto damaged = [](std::string_view what) {
    return Error{Code::internal, "grant.shape", "a stored grant is damaged: " + std::string(what)};
  };
  if (v.int_or("v", 0) != 1) return damaged("version of the format");
  Grant g;
  DP_TRY(const TenantId tenant, parse_tenant(v.string_or("tenant")));
  DP_TRY(g.id, parse_grant(tenant, v.string_or("id")));
  g.version = static_cast<std::uint64_t>(v.int_or("version", 0));
  g.session = SessionId(v.string_or("session"));
  g.principal = v.string_or("principal");
  DP_TRY(g.target, parse_target(v.string_or("target")));
  const json::Value* roles = v.find("roles");
  if (roles == nullptr || roles->as_array() == nullptr) return damaged("roles");
  for (const auto& role : *roles->as_array()) {
    if (role.as_string() == nullptr) return damaged("roles");
    DP_TRY(RoleId id, parse_role(*role.as_string()));
    g.roles.push_back(std::move(id));
  }
  const json::Value* offers = v.find("offers");
  if (offers == nullptr) return damaged("offers");
  DP_TRY(g.offers, offers_from_json(*offers));
  g.decision_record = v.string_or("decision_record");
  g.policy_version = v.int_or("policy_version", 0);
  const auto state = grant_state_from(v.string_or("state"));
  const auto reason = end_reason_from(v.string_or("end_reason"));
  if (!state || !reason) return damaged("state");
  g.state = *state;
  g.end_reason = *reason;
  g.end_note = v.string_or("end_note");
  DP_TRY(g.opened_at, base::parse_rfc3339(v.string_or("opened_at")));
  DP_TRY(g.ends_at, base::parse_rfc3339(v.string_or("ends_at")));
  DP_TRY(g.last_active, base::parse_rfc3339(v.string_or("last_active")));
  g.connections = static_cast<int>(v.int_or("connections", 0));
  g.account = v.string_or("account");
  g.handle = v.string_or("handle");
  const auto secret = base::base64url_decode(v.string_or("sealed_secret"));
  if (!secret) return damaged("secret");
  g.sealed_secret = *secret;
  g.intent_seq = static_cast<std::uint32_t>(v.int_or("intent_seq", 0));
  g.attempt = static_cast<std::uint32_t>(v.int_or("attempt", 0));
  const std::int64_t open = v.int_or("open", -1);
  if (open > 3) return damaged("open intent");
  if (open >= 0) g.open = static_cast<IntentKind>(open);
  if (v.find("revoking_since") != nullptr) {
    DP_TRY(g.revoking_since, base::parse_rfc3339(v.string_or("revoking_since")));
  }
  for (const auto& [name, place] : places)
    if (const std::int64_t at = v.int_or(name, -1); at >= 0) g.log.*place = static_cast<std::uint64_t>(at);
  return g;
}

}  // namespace daypass::core
