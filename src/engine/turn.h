// The inside of the engine: its state, and Turn, the handle a use case gets while its event runs.
// Private to the room.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <unordered_map>
#include <unordered_set>

#include "base/queue.h"
#include "engine/book.h"
#include "engine/domains.h"
#include "engine/engine.h"
#include "engine/timekeeper.h"
#include "engine/trial.h"
#include "engine/usage.h"

namespace daypass::engine {

using base::Code;
using base::Error;
using base::MonoTime;
using base::WallTime;
using core::Grant;
namespace json = base::json;

/// One event's view of the world. What it stages becomes true when its savepoint is kept and the batch commits.
struct Turn {
  Engine::Impl& impl;
  store::Tx& tx;
  WallTime now;
  std::string actor = "daypass";
  const std::map<GrantId, Grant>& batch;  ///< what earlier events of the batch staged
  std::map<GrantId, Grant> staged;        ///< what this event stages
  std::vector<std::pair<Grant, std::vector<core::Effect>>> saved;
  std::vector<std::move_only_function<void()>> after;  ///< run after the commit, in order
  bool keep = false;                                   ///< the answer is an error, but what was written stays
  bool last = false;                                   ///< what comes behind must see what this changed: next batch
  bool unkept = false;                                 ///< the store takes nothing: it runs for what it takes away

  /// The newest state of a grant: staged, else in the book, else from the store, and in the book from here on unless it
  /// is closed. Error: not_found.
  Result<Grant> grant(const GrantId& id);
  /// Those that are not closed and match, as this event finds them: what lies in the store is taken into the book, and
  /// what earlier events of the batch opened is among them. `limit` and `include_closed` mean nothing.
  Result<std::vector<GrantId>> open_grants(const store::Selector& whose);
  /// Steps and saves. Cuts happen here, before any fsync.
  Status apply(const GrantId& id, const core::GrantEvent& event);
  /// The same for several grants, no two of them the same: all that end are cut before the first is written down.
  using Happening = std::pair<GrantId, core::GrantEvent>;
  Status apply(const std::vector<Happening>& events);
  Status end(const std::vector<GrantId>& ids, core::EndReason reason, const std::string& note);
  // The halves of it. What is foreseen and cut is staged: its end is owed if it can't be kept.
  Result<core::Step> foresee(const GrantId& id, const core::GrantEvent& event);
  void cut(const std::vector<core::Step>& steps);
  Status keep_step(core::Step step);
  Status audit(const core::TenantId& tenant, std::string action, std::string object, std::string outcome,
               json::Object facts = {});
  /// The same; where the record stands.
  Result<std::uint64_t> record(const core::TenantId& tenant, std::string action, std::string object,
                               std::string outcome, json::Object facts);
  Status put_document(const core::TenantId& tenant, std::string_view kind, std::string key, std::string body,
                      std::optional<WallTime> expires_at, std::optional<std::uint64_t> expected = std::nullopt);
};

/// A credential as it lives in memory (its verifier too) and in the store.
struct Credential {
  core::TenantId tenant;
  core::CredentialId id;
  core::SessionId session;
  core::TargetId target;
  std::vector<core::RoleId> roles;
  std::optional<base::Millis> wanted;
  std::string reason;
  crypto::ScramVerifier verifier;
};

/// Somebody waiting at the gate for a grant to become active.
struct Waiter {
  core::CredentialId credential;
  std::string peer;
  std::shared_ptr<Done<Admission>> done;
};

struct NewCheckpoint;  // audit.cc

struct Engine::Impl {
  explicit Impl(Ports ports) : p(std::move(ports)), inbox(65536) {}

  Ports p;
  Timekeeper time;
  Metrics metrics;

  // One queued event. `grant_event` is data and runs again after a failed commit; `run` is a use case and does not,
  // unless `again` says that it may.
  struct Event {
    std::move_only_function<Status(Turn&)> run;
    std::move_only_function<void(const Error&)> failed;
    std::optional<std::pair<GrantId, core::GrantEvent>> grant_event;
    std::string actor = "daypass";
    std::optional<GrantId> freed;  ///< whose worker has come back, until its hand is free
    bool again = false;            ///< `run` bears repetition: tried until it is committed
    bool in_quarantine = false;    ///< runs even then
    bool report = false;           ///< what a worker says of a job
  };
  base::BoundedQueue<Event> inbox;

  // -- the engine thread's own ---------------------------------------------------------------------------------------
  /// Grants that are not closed: every one that something has happened to in this process or is about to. The others
  /// are dormant: only the store has them (dormant.cc).
  Book grant_book;
  struct Erasing;                    ///< erase.cc
  std::set<core::TenantId> erasing;  ///< those of whose persons one is being erased
  struct Dormant {
    WallTime started_at{};  ///< this process; counts as activity of what it finds
    std::size_t count = 0;
    std::unordered_set<core::SessionId> sessions;       ///< logins that may have some
    std::optional<store::Outline> by_end, by_idleness;  ///< how far they were taken in as due
    /// Of those that were taken in: what must be recorded of the end of the last process, before anything else is.
    std::unordered_map<GrantId, std::vector<core::Effect>> lost;
  } dormant;
  std::unordered_map<GrantId, std::shared_ptr<GrantMeter>> meters;
  std::unordered_map<GrantId, std::vector<Waiter>> waiters;
  std::unordered_map<GrantId, std::vector<std::shared_ptr<Done<Grant>>>> closing;  ///< wait_closed
  struct Timer {
    enum class Kind {
      grant_tick,
      intent,
      session_end,
      revalidate,
      closing_timeout,
      reconcile,
      sweep,
      domains,
      restore,
      witness,
      load,
      checkpoint,
      forward,
      retry
    } kind;
    GrantId grant;
    std::uint32_t seq = 0;
    core::TenantId tenant;
    core::SessionId session;
    std::shared_ptr<Done<Grant>> done;
    std::shared_ptr<Event> retry;
    std::string name = {};
  };
  std::multimap<WallTime, Timer> timers;
  std::unordered_map<GrantId, WallTime> tick_at;  ///< earliest tick already in `timers`
  // A worker call in flight per grant, and the job that waits for it: two hands never work on one account at once.
  std::unordered_map<GrantId, std::optional<Job>> in_flight;
  std::unordered_map<GrantId, Job> pending_jobs;          ///< by backoff: not dispatched yet
  std::unordered_map<GrantId, std::string> last_failure;  ///< message of the last failed provision, for its waiters
  std::unordered_set<std::string> reconciling;            ///< tenant/target whose listing is under way
  std::deque<Event> held;     ///< came behind a reload, or too many to one batch: for the next
  std::deque<Event> reports;  ///< of workers that have come back; at most one for each job in flight
  // Ends that the store did not take: cut already, told to the target, and first in every batch until they are
  // recorded.
  struct OwedEnd {
    core::EndReason reason;
    std::string note, actor;
    WallTime tried{};  ///< when the target was told last
  };
  std::map<GrantId, OwedEnd> owed_ends;
  struct OwedLogout {
    LoginSession session;
    core::EndReason reason;
    std::string actor;
  };
  std::map<core::SessionId, OwedLogout> owed_logouts;
  std::set<core::SessionId> logged_out;  ///< by this batch
  std::deque<Event> owed_events;         ///< `again`, and not committed yet: first in the next batch
  // Asking after logins (revalidate.cc): those of one provider in the order in which they are due.
  using ProviderKey = std::pair<core::TenantId, std::string>;
  struct Asking {
    std::deque<core::SessionId> due;
    unsigned in_flight = 0;
    unsigned failures = 0;  ///< of the provider, in a row
    WallTime not_before{}, wakes_at{};
  };
  std::map<ProviderKey, Asking> asking;
  struct Renewing {
    WallTime due{}, asked_at{};
    bool waiting = false;  ///< in `Asking::due`
    bool asked = false;    ///< a worker has its token: nobody else may use it
    unsigned failures = 0;
    std::vector<Done<Revalidated>> askers;
  };
  std::unordered_map<core::SessionId, Renewing> renewing;
  WallTime high_water_saved{}, gauges_at{};
  /// A tenant's log on its way to the next checkpoint (audit.cc).
  struct Sealing {
    WallTime first{}, last{};              ///< records that no checkpoint covers yet
    bool timed = false;                    ///< a timer runs
    bool running = false;                  ///< a worker is at it
    std::vector<Done<AuditHead>> waiting;  ///< for the one under way
    std::vector<Done<AuditHead>> next;     ///< came while it was: may have seen records that it did not
  };
  std::map<core::TenantId, Sealing> sealing;
  /// A receiver of a tenant's audit records (forward.cc).
  struct Forwarding {
    std::uint64_t next = 0;  ///< the first record that it does not have; durable, but for the last step
    std::uint64_t size = 0;  ///< of the log
    bool running = false;    ///< a worker is at it
    bool timed = false;      ///< a timer runs
    unsigned failures = 0;   ///< in a row
    WallTime not_before{};
    WallTime behind_since{};  ///< when the first record that it lacks was written, or a little before; zero: it has all
    std::optional<WallTime> sent_at;
    std::string check, why;  ///< of the last failure
  };
  std::map<core::TenantId, std::map<std::string, Forwarding>> forwards;
  /// A transmitter that is polled: by tenant and provider, while somebody of it is signed in or signs in.
  using PollKey = std::pair<core::TenantId, std::string>;
  struct Poller {
    idp::Acknowledged told;  ///< at the next poll
    std::weak_ptr<idp::SignalReceiver> told_to;
    int failures = 0;         ///< in a row
    WallTime wanted_until{};  ///< for sign-ins under way
    core::SessionId witness;  ///< a login that it is polled for
  };
  std::map<PollKey, Poller> pollers;

  // -- shared: written by the engine thread, read by any
  // ---------------------------------------------------------------
  mutable std::shared_mutex shared;
  struct TenantEntry {
    TenantInfo info;
    std::shared_ptr<const Tenant> world;  ///< null: not needed yet
    bool empty = false;                   ///< nothing was applied yet, as far as the store was asked
  };
  mutable std::map<core::TenantId, TenantEntry> registry;
  std::unordered_map<core::SessionId, LoginSession> sessions;
  std::unordered_map<std::string, core::SessionId> tokens;  ///< sha256 (hex) → session
  std::unordered_map<core::CredentialId, std::shared_ptr<const Credential>> credentials;
  std::map<core::TenantId, Freeze> freezes;  ///< under system_tenant: of all
  std::string mock_secret;                   ///< for verifiers of unknown names
  std::atomic<bool> store_ok{true}, clock_ok{true}, recovered{false}, stopping{false};
  std::atomic<std::int64_t> last_now_ms{0};
  Trials trials;
  Domains domains;
  mutable std::mutex restore_mutex;
  std::optional<Restore> restore;
  std::atomic<bool> quarantined{false};
  bool witness_due = false;
  MonoTime last_mono{};  ///< of the same reading; the engine thread's own

  // engine.cc
  MonoTime turn(std::chrono::nanoseconds wait);
  void post(Event event);
  void post_grant(GrantId id, core::GrantEvent event, std::string actor = "daypass");
  /// Runs `fn` in a turn and answers `done` after the commit, or with what went wrong.
  template <class T>
  void call(Done<T> done, std::move_only_function<Result<T>(Turn&)> fn, bool in_quarantine = false);
  void pay_owed(std::vector<Event>& events);
  /// Runs the events in one transaction; those that stay behind a reload are moved to `held`.
  struct Batch {
    std::map<GrantId, Grant> staged;
    std::map<GrantId, std::string> actors;  ///< who ended what
    std::vector<std::pair<Grant, std::vector<core::Effect>>> saved;
    std::vector<std::move_only_function<void()>> after;
    std::size_t ran = 0;       ///< of its events, from the first
    std::size_t put_back = 0;  ///< of its reports, to the front of the others
    bool unkept = false;       ///< no transaction carries it (run_unkept)
  };
  Status run_batch(std::vector<Event>& events, store::Tx& tx, WallTime now, Batch& batch);
  void run_unkept(std::vector<Event>& events, WallTime now, Batch& batch);
  Status run_event(Event& event, Turn& turn, std::optional<core::Step> foreseen);
  /// Steps of the events from one place in a batch to another, taken before the first of them is written down.
  struct Ahead {
    std::vector<std::size_t> places;  ///< of the events that the steps belong to
    std::vector<core::Step> steps;
    std::size_t next = 0, to = 0;
  };
  /// Of events that can end one grant each and touch no other; what ends is cut.
  Ahead cut_ahead(const std::vector<Event>& events, std::size_t from, store::Tx& tx, WallTime now, const Batch& batch);
  void commit_failed(std::vector<Event>& events, const Error& why, const Batch& batch);
  void committed(Batch& batch, WallTime now);
  void after_save(const Grant& grant, const std::vector<core::Effect>& effects, WallTime now);
  void closed_for_good(const Grant& grant, WallTime now);
  void free_hand(const GrantId& id);
  void schedule_tick(const Grant& grant);
  void schedule_intent(const Grant& grant, const core::Intent& intent, WallTime now);
  void dispatch(Job job);
  Job job_for(const Grant& grant, const core::Intent& intent);
  void fire_timers(WallTime now, std::vector<Event>& events);
  Lease lease_of(const Grant& grant) const;
  MonoTime to_mono(WallTime t) const;
  void refresh_gauges();

  // any thread
  /// Loads it at first use.
  std::shared_ptr<const Tenant> tenant(const core::TenantId& id) const;
  bool serves(const core::TenantId& id) const;
  std::optional<LoginSession> session(const core::SessionId& id) const;
  std::shared_ptr<const Credential> credential(const core::CredentialId& id) const;
  WallTime now() const { return WallTime(base::Millis(last_now_ms.load())); }

  // recover.cc
  /// Sessions, credentials, grants and open intents of the store become live.
  Status take_up(WallTime now);
  // restore.cc
  [[nodiscard]] Error quarantine_error() const;
  /// Sets `restore` when the store was set back, or waits to be confirmed.
  Status look_for_a_restore(store::Tx& tx, WallTime now);
  void quarantine();
  void look_at_targets(WallTime now);
  Status note_differences(Turn& turn, const core::TenantId& tenant, const core::TargetId& target,
                          const Result<std::vector<target::Owned>>& listed);
  /// Has the sizes of all logs kept outside the store.
  void bear_witness();
  /// Why nothing is begun that gives access, now that the store is short of room or lost (engine.cc); nullopt: it may.
  std::optional<Error> refuse_short(bool of_reserve_only = false) const;
  // freeze.cc
  std::optional<Freeze> frozen(const core::TenantId& id) const;  ///< any thread
  /// Why nothing is given; nullopt: access is not frozen.
  std::optional<Error> refuse_frozen(const core::TenantId& id) const;
  Status load_freezes(store::Tx& tx, WallTime now);
  Result<Frozen> freeze(Turn& turn, const std::optional<core::TenantId>& where, Freeze wanted);
  Status record_freeze(Turn& turn, const std::optional<core::TenantId>& where, const std::string& action,
                       const json::Object& facts);
  // access.cc
  Status admit(Turn& turn, const core::CredentialId& credential, const std::string& peer,
               std::shared_ptr<Done<Admission>> done);
  void wake_waiters(const Grant& grant);
  // renew.cc
  /// Puts what a verifier says of the person now in the place of what it said at the sign-in, and decides every live
  /// grant of the login again. Nothing happens when nothing has changed. Errors: "session.unknown", "login.subject"
  /// (`who` is another person, or of another provider or tenant), those of consult_directory().
  Result<Renewal> renew_session(Turn& turn, const core::SessionId& session, core::Identity who);
  /// The same on a session in the hand, which is not stored yet.
  Result<Renewal> replace_person(Turn& turn, LoginSession& session, core::Identity who);
  /// Stores it, and after the commit it is what everybody sees.
  Status keep_session(Turn& turn, const LoginSession& session);
  // revalidate.cc
  /// Keeps what the provider can be asked with, sealed, as long as the session lasts.
  Status keep_refresh(Turn& turn, const LoginSession& session, const base::Secret& refresh);
  base::Millis revalidate_every(const core::Identity& who) const;
  /// Has it asked after when it is due. Engine thread.
  void watch_validity(const LoginSession& session, bool restart = false);
  /// Why nothing new may be given to a login; nullopt: something may.
  std::optional<Error> stale(Turn& turn, const LoginSession& session);
  void ask_at(const LoginSession& session, WallTime due);
  void revalidation_due(const core::SessionId& session, WallTime due);
  void ask_next(const ProviderKey& provider);
  void ask(const ProviderKey& provider, const core::SessionId& session);
  idp::Renewed ask_provider(const core::TenantId& tenant, const core::SessionId& session,
                            idp::IdentityProvider* driver) const;
  Status revalidated(Turn& turn, const ProviderKey& provider, const core::SessionId& session,
                     const idp::Renewed& answer);
  void answered_for(const ProviderKey& provider, const core::SessionId& session, std::optional<Error> unknown,
                    const Revalidated& outcome = {});
  // login.cc
  /// Ends it when its time is up. Engine thread.
  void watch_end(const LoginSession& session);
  struct SessionEnded {
    int grants = 0;
    std::string provider_logout;  ///< what signing out at the provider needs, sealed; empty: it offers none
  };
  /// Of every login session that is one of `whose`; how many.
  Result<int> end_sessions(Turn& turn, const core::TenantId& tenant, core::EndReason reason, const std::string& actor,
                           const std::function<bool(const LoginSession&)>& whose);
  /// These, and no two of them the same; `ended` may be null.
  Status end_sessions(Turn& turn, const core::TenantId& tenant, const std::vector<core::SessionId>& ids,
                      core::EndReason reason, const std::string& actor, SessionEnded* ended);
  Status end_session(Turn& turn, const core::TenantId& tenant, const core::SessionId& session, core::EndReason reason,
                     const std::string& actor, SessionEnded* ended);
  /// What is stored of a login that has ended, and its record.
  Status erase_session(Turn& turn, const LoginSession& session, core::EndReason reason, SessionEnded* ended);
  Result<Token> issue_token(Turn& turn, const LoginSession& session);
  // signals.cc
  struct Round;
  /// Has the provider's transmitter polled, where there is one to poll: until `until`, and while somebody is signed in.
  void want_polls(const core::TenantId& tenant, const std::string& idp, WallTime until);
  void want_polls_of_sessions(const std::optional<core::TenantId>& tenant);
  bool may_poll(const PollKey& key) const;
  bool poll_wanted(const PollKey& key, Poller& poller) const;
  void poll_at(const PollKey& key, WallTime at);
  void poll(const PollKey& key);
  void ask(const std::shared_ptr<Round>& round);
  void record(const std::shared_ptr<Round>& round, idp::SecurityEvent event);
  void close(const std::shared_ptr<Round>& round);
  void settle(Round& round);
  // scim.cc
  /// Whether the provider's directory lets this person in, and in which groups they are by its word, where that counts.
  /// Error: "login.deactivated", "mapping.too_many".
  Status consult_directory(Turn& turn, core::Identity& who);
  // trial.cc
  void finish_trial(Trials::Handle entry, FinishLogin what, Done<LoginFinished> done);
  // domains.cc
  [[nodiscard]] std::string domain_challenge(const core::TenantId& tenant, const std::string& domain) const;
  void look_for_proofs(core::TenantId tenant, std::vector<std::string> domains, Done<void> done);
  Status take_proofs(Turn& turn, const core::TenantId& tenant, const std::map<std::string, Domains::Attempt>& found);
  /// Those that the tenant does not list any more, all of them where it lists none; free for others.
  Status release_domains(Turn& turn, const core::TenantId& tenant, const core::TenantSpec* keep);
  Status load_domains(store::Tx& tx, WallTime now);
  void look_for_due_proofs(WallTime now);
  // reload.cc
  /// A folder as `actor` may have it; `tenant` is null when there are problems.
  Compiled compile_folder(const core::TenantId& tenant, const std::map<std::string, std::string>& files,
                          const std::string& actor, const std::shared_ptr<const Tenant>& before) const;
  /// Keeps the facts of a refusal, sealed, for Engine::simulate: one record for each person and set of roles.
  Status keep_refusal(Turn& turn, const core::Identity& who, const core::AccessRequest& request);
  Status redecide_all(Turn& turn, const std::shared_ptr<const Tenant>& tenant, std::size_t* ended);
  /// Decides live grants again, each in the context of its opening: on the facts of its record, with `who` (not null)
  /// in the place of the person there. They may go on until `not_after`. Adds to `ended` those that may not go on at
  /// all.
  Status redecide(Turn& turn, const Tenant& world, const std::vector<GrantId>& ids, const core::Identity* who,
                  WallTime not_after, std::size_t* ended);
  Result<core::event::Redecided> judge(Turn& turn, const Tenant& world, const Grant& grant, const core::Identity* who,
                                       WallTime not_after);
  /// Grants that give access, or will: those that this very batch opened among them.
  Result<std::vector<GrantId>> giving(Turn& turn, const store::Selector& whose) const;
  // tenants.cc
  Status load_registry(store::Tx& tx, WallTime now);
  /// Null, with `nothing`: nothing was applied yet.
  std::shared_ptr<const Tenant> load(const core::TenantId& id, bool* nothing = nullptr) const;
  std::vector<core::TenantId> deleting_tenants() const;
  /// One step of erasing: posts itself again until there is nothing left.
  Event purge_event(core::TenantId id, bool forgotten = false);
  // reach.cc
  /// What somebody who is not the operator may name: complains of the server's files and of private hosts, and holds
  /// targets to the internet.
  void confine(const core::TenantSpec& before, core::TenantSpec& after, std::vector<config::Problem>& problems) const;
  // dormant.cc
  /// Into the book, as a grant is after a restart.
  const Grant& take_in(Grant stored);
  Status take_in(Turn& turn, const GrantId& id);
  Status take_in(Turn& turn, store::Selector whose);
  /// A page of those that are due soon; true: there may be more.
  Result<bool> take_in_due(Turn& turn, store::By order, std::optional<store::Outline>& last);
  Event load_event();
  void load_at(WallTime at);
  // audit.cc
  /// Has a checkpoint made when the log has been at rest for a while, and once a minute at least. Engine thread.
  void audit_grew(const core::TenantId& tenant, WallTime at);
  void checkpoint_due(const core::TenantId& tenant, WallTime now);
  void begin_checkpoint(const core::TenantId& tenant);
  void want_checkpoint(core::TenantId tenant, Done<AuditHead> done);
  void end_checkpoint(const core::TenantId& tenant, const Result<AuditHead>& outcome);
  Status audit_key(Turn& turn, const core::TenantId& tenant);
  /// Whether the log has records that the last checkpoint does not cover.
  static Result<bool> audit_uncovered(store::Reader& reader, const core::TenantId& tenant, WallTime now);
  void make_checkpoint(const core::TenantId& tenant);
  void keep_checkpoint(const core::TenantId& tenant, NewCheckpoint made);
  // forward.cc
  Status load_forwards(store::Tx& tx, const core::TenantId& tenant, WallTime now);
  /// Begins with those that `spec` has anew, and forgets those that it has no more.
  Status keep_forwards(Turn& turn, const core::TenantSpec& spec);
  /// The tenant's log has this many records.
  void forward_grew(const core::TenantId& tenant, std::uint64_t size, WallTime at);
  void forward_at(const core::TenantId& tenant, const std::string& name, Forwarding& f, WallTime at);
  void forward_due(const core::TenantId& tenant, const std::string& name);
  struct Forwarded;
  void send_page(const core::TenantId& tenant, const std::string& name, std::uint64_t from);
  void forwarded(const core::TenantId& tenant, const std::string& name, const Result<Forwarded>& outcome);
  void forward_gauges();
  // reconcile.cc
  void reconcile(const core::TenantId& tenant, const std::shared_ptr<const Tenant>& world);
  /// Some of those that nobody uses, in turn: loaded for this alone.
  void reconcile_idle(std::size_t most);
  core::TenantId reconciled_last;
  /// What is wrong on a target, or with those who have grants there.
  struct Differences {
    std::vector<target::Owned> extra;     ///< accounts of no grant that was open before the listing began
    std::vector<target::Owned> homeless;  ///< those of a tenant that is here no more
    std::vector<GrantId> missing;         ///< grants whose account was there before that, and is not listed
    std::vector<GrantId> orphaned;        ///< grants of no login
  };
  /// Worker: the store first, as what changes meanwhile is for the listing to show, then the target.
  void look_at(const core::TenantId& tenant, const core::TargetId& target, const std::shared_ptr<target::Target>& on,
               Done<Differences> done);
  void compare(const core::TenantId& tenant, const core::TargetId& target, const std::shared_ptr<target::Target>& on,
               const Differences& found);
  void remove_extra(const core::TargetId& target, const std::shared_ptr<target::Target>& on,
                    const target::Owned& account);
  std::set<core::TenantId> tenants_with_grants() const;
  // orphans.cc
  class OrphanHunt;
  bool known_tenant(const core::TenantId& id) const;  ///< any thread; one that is being deleted is
  /// Takes these accounts away, looks for them over another connection, records which are gone in the log of `log`, and
  /// says of each. What is about to go was recorded before. Engine thread.
  void take_away(const core::TenantId& log, const core::TargetId& target, const std::shared_ptr<target::Target>& on,
                 std::vector<target::Leaving> accounts, std::string actor, Done<std::vector<Status>> done);
  // usage.cc
  UsageBook usage;  ///< of this minute: what the store does not have yet
  void note_given(const core::TenantId& tenant, const std::vector<core::RoleId>& roles);
  void note_used(const Grant& grant, const ConnectionStats& stats);
  /// Writes down what was noted; once a minute, and at the end.
  Event usage_event();
  /// From when on each role is observed; what is kept of roles that are no more goes.
  Status observe_roles(Turn& turn, const core::TenantSpec& spec);
};

template <class T>
void Engine::Impl::call(Done<T> done, std::move_only_function<Result<T>(Turn&)> fn, bool in_quarantine) {
  auto answer_to = std::make_shared<Done<T>>(std::move(done));
  Event event;
  event.in_quarantine = in_quarantine;
  event.failed = [answer_to](const Error& e) { (*answer_to)(e); };
  event.run = [answer_to, fn = std::move(fn)](Turn& turn) mutable -> Status {
    auto answer = std::make_shared<Result<T>>(fn(turn));
    if (!answer->ok() && !turn.keep) return answer->error();
    turn.after.emplace_back([answer_to, answer] { (*answer_to)(std::move(*answer)); });
    return {};
  };
  post(std::move(event));
}

template <>
inline void Engine::Impl::call<void>(Done<void> done, std::move_only_function<Result<void>(Turn&)> fn,
                                     bool in_quarantine) {
  auto answer_to = std::make_shared<Done<void>>(std::move(done));
  Event event;
  event.in_quarantine = in_quarantine;
  event.failed = [answer_to](const Error& e) { (*answer_to)(e); };
  event.run = [answer_to, fn = std::move(fn)](Turn& turn) mutable -> Status {
    Status answer = fn(turn);
    if (!answer.ok() && !turn.keep) return answer;
    turn.after.emplace_back([answer_to, answer]() mutable { (*answer_to)(std::move(answer)); });
    return {};
  };
  post(std::move(event));
}

/// All that a login session, a tenant, or everybody has.
inline store::Selector of_session(const core::TenantId& tenant, const core::SessionId& session) {
  store::Selector out;
  out.tenant = tenant;
  out.session = session;
  return out;
}
inline store::Selector of_tenant(const std::optional<core::TenantId>& tenant) {
  store::Selector out;
  out.tenant = tenant;
  return out;
}

/// Complains of secrets of the tenant's own that are not there (secrets.cc).
Status refuse_unknown_secrets(Turn& turn, const core::TenantSpec& spec, std::vector<config::Problem>& problems);
/// Ends what a provider's signal ends and leaves its tombstone (login.cc). `name` goes into the audit log. Errors:
/// "tenant.unknown", "signal.replayed": told twice is told once.
Result<SignalTaken> take_signal(Engine::Impl& impl, Turn& turn, const core::TenantId& tenant, const std::string& idp,
                                const idp::SignedOut& signal, const std::string& name);

/// As which a secret is kept and looked for: its SHA-256 in hexadecimal.
std::string hash_key(std::string_view secret);

/// A login session as it is stored, and read back. Error: "session.shape".
std::string session_body(const LoginSession& session);
Result<LoginSession> session_from(const store::Document& document);

/// Reads a stored credential. Errors: those of JSON and of its parts.
Result<std::shared_ptr<const Credential>> credential_from(const store::Document& document);

/// "expired" → the sentence a cut client reads.
std::string sentence_of(const Grant& grant, core::EndReason reason, const std::string& note);

inline constexpr std::string_view doc_session = "session", doc_token = "token", doc_credential = "credential",
                                  doc_pending = "pending", doc_code = "code", doc_device = "device",
                                  doc_user_code = "user_code", doc_decision = "decision", doc_spec = "spec",
                                  doc_clock = "clock", doc_tenant = "tenant", doc_tombstone = "tombstone",
                                  doc_server = "server", doc_unasked = "unasked",
                                  doc_provider_logout = "provider_logout", doc_logout_handle = "logout_handle",
                                  doc_logout = "logout", doc_secret = "secret", doc_refresh = "refresh",
                                  doc_domain = "domain", doc_freeze = "freeze", doc_restore = "restore",
                                  doc_usage = "usage", doc_forward = "forward";
/// Documents that belong to no tenant live under this name, which parse_tenant refuses.
inline const core::TenantId system_tenant{"_system"};

}  // namespace daypass::engine
