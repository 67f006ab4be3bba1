// The grant lifecycle: a pure function. No clock, socket, thread or file inside; a simulator runs it a million times.
//
//   provisioning ─► active ─► revoking ─► closed
//        └── failed / unknown ──►┘   ▲ └─ retry for ever, alarm when overdue
//
// A refused request never becomes a grant (it is an audit record); `awaiting` joins when approvals exist.
// Every end is one transition to `revoking` with a reason; only a verify that reports absent leads to `closed`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/decision.h"
#include "core/intent.h"

namespace daypass::core {

enum class GrantState { provisioning, active, revoking, closed };
std::string_view to_string(GrantState state) noexcept;
std::optional<GrantState> grant_state_from(std::string_view text) noexcept;

enum class EndReason { none, expired, idle, logout, login_expired, signal, policy, admin, user, provision_failed };
std::string_view to_string(EndReason reason) noexcept;
std::optional<EndReason> end_reason_from(std::string_view text) noexcept;

/// What a target said about an account, read over another connection than the one that changed it.
enum class Presence { absent, present, unknown };

/// Where a grant's records stand in its tenant's audit log; nullopt: not yet, or before places were kept.
struct LogPlaces {
  std::optional<std::uint64_t> opened, ended, closed;
  bool operator==(const LogPlaces&) const = default;
};

struct Grant {
  GrantId id;
  std::uint64_t version = 0;  ///< counts saves; compared by the store
  SessionId session;          ///< the login session that owns it
  std::string principal;      ///< "<idp>/<subject>"
  TargetId target;
  std::vector<RoleId> roles;  ///< not empty, sorted
  Offers offers;              ///< not empty
  std::string decision_record;
  std::int64_t policy_version = 0;

  GrantState state = GrantState::provisioning;
  EndReason end_reason = EndReason::none;
  std::string end_note;  ///< who or what ended it: an actor, a policy id, an error's check
  WallTime opened_at{};
  WallTime ends_at{};      ///< absolute; grows only by `ExtendGranted`
  WallTime last_active{};  ///< kept in memory between saves; a restart counts as activity
  int connections = 0;     ///< at the gate, now

  std::string account;             ///< the name on the target, derived from the id
  std::string handle;              ///< the driver's own note (JSON text); empty until provisioned
  std::string sealed_secret;       ///< of the account
  std::uint32_t intent_seq = 0;    ///< last intent's number
  std::optional<IntentKind> open;  ///< the kind of intent `intent_seq` while it is open
  std::uint32_t attempt = 0;       ///< of the open intent
  std::optional<WallTime> revoking_since;
  LogPlaces log;  ///< filled in by who appends the records
  bool operator==(const Grant&) const = default;
};

/// What happens to a grant. Each carries all that the step needs.
namespace event {
struct Provisioned {
  std::uint32_t seq;
  std::string handle;
};
/// Any failure, timeouts included: what the target holds now is unknown, so the way out is the way through `revoking`.
struct ProvisionFailed {
  std::uint32_t seq;
  std::string check;
};
struct ExtendGranted {
  Offers offers;
  WallTime ends_at;
  std::string decision_record;
  std::int64_t policy_version;
};
struct Extended {
  std::uint32_t seq;
};
struct ExtendFailed {
  std::uint32_t seq;
  std::string check;
};
struct ConnectionOpened {
  ConnectionId connection;
  std::string peer;
};
struct ConnectionClosed {
  ConnectionId connection;
  std::string why;
};
/// The gate saw client messages, the last one at `at`.
struct Activity {
  WallTime at;
};
/// Decided again: by a new policy on the recorded facts, or on what is known of the person now. Offers may only shrink,
/// and so may the end. Empty offers end it.
struct Redecided {
  Offers offers;
  std::string note;
  std::int64_t policy_version;
  std::string decision_record = {};      ///< where the facts are other ones than before; empty: they are not
  WallTime not_after = WallTime::max();  ///< the login session's end
};
struct End {
  EndReason reason;
  std::string note;
};
struct RevokeTried {
  std::uint32_t seq;
  bool ok;
  std::string check;
};
struct Verified {
  std::uint32_t seq;
  Presence presence;
  std::string check;
};
/// Time passed: is a deadline reached?
struct Tick {};
/// After a restart: connections are gone, open intents go on. That the process started counts as activity.
struct Recovered {
  WallTime started_at;
};
}  // namespace event
using GrantEvent =
    std::variant<event::Provisioned, event::ProvisionFailed, event::ExtendGranted, event::Extended, event::ExtendFailed,
                 event::ConnectionOpened, event::ConnectionClosed, event::Activity, event::Redecided, event::End,
                 event::RevokeTried, event::Verified, event::Tick, event::Recovered>;

/// What the engine must do about it. Everything but `Cut` happens only after the transaction holds the new state.
namespace effect {
/// Write down and hand to a worker. `not_before` is the backoff.
struct OpenIntent {
  Intent intent;
};
struct SettleIntent {
  std::uint32_t seq;
};
/// At once, before any fsync: refuse new connections and close the live ones.
struct Cut {
  EndReason reason;
  std::string note;
};
/// Tell live connections their new deadlines.
struct UpdateLease {};
struct Record {
  std::string action;
  std::string outcome;
  base::json::Object facts;
};
}  // namespace effect
using Effect = std::variant<effect::OpenIntent, effect::SettleIntent, effect::Cut, effect::UpdateLease, effect::Record>;

struct Step {
  Grant grant;
  std::vector<Effect> effects;
  bool save = false;  ///< false: nothing durable changed (activity, a tick before the deadline, a stale result)
};

/// Opens a grant: `provisioning`, with its intent. `decision` must allow; `wanted` is cut to the offers' longest and to
/// `not_after` (the login session's end).
Step open_grant(GrantId id, SessionId session, const Identity& who, TargetId target, const Decision& decision,
                std::optional<Millis> wanted, WallTime not_after, std::string account, std::string sealed_secret,
                WallTime now);

/// The law. Total: an event that does not fit the state (late, twice, stale) changes nothing.
Step step(const Grant& grant, const GrantEvent& event, WallTime now);

/// When `Tick` should come next; nullopt when no deadline runs (revoking waits for its intent, closed for nothing).
std::optional<WallTime> next_tick(const Grant& grant);

/// What must be known of a grant that lies in the store and is in nobody's memory. From when a process starts, which
/// counts as activity, such a grant is due at `at` or `idle` after the start, whichever comes first, or later.
struct Wake {
  WallTime at{};         ///< its end; the beginning of time: there is something to do, look at it at once
  Millis idle{};         ///< the shortest that any of its offers allows
  bool settled = false;  ///< active, and no intent is open
  bool operator==(const Wake&) const = default;
};
Wake wake_of(const Grant& grant);

/// True while a client may open one more connection under the grant.
bool admits(const Grant& grant, WallTime now);

/// The account's name on a target: "dp_" + instance + "_" + the grant id's 26 characters. At most 63 bytes
/// (PostgreSQL).
std::string account_name(std::string_view instance, const GrantId& id);

/// Delay before attempt `n` (0 = first): 0, 0.5 s, 1 s, 2 s … capped at 60 s. Never gives up.
Millis backoff(std::uint32_t attempt);

/// A revocation is overdue when it has not been proven for this long.
constexpr Millis overdue_after = std::chrono::seconds(30);

base::json::Value to_json(const Grant& grant);
base::Result<Grant> grant_from_json(const base::json::Value& value);

}  // namespace daypass::core
