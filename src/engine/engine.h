// The engine: use cases over ports. One thread decides and writes; everybody else posts to it or reads its snapshots.
//
//   login.cc    sign-in, tokens, sessions          access.cc     credentials, admit, connections (the gate's side)
//   login_unasked.cc    sign-ins that began at the provider     provider_logout.cc  logout, here and at the provider
//   revalidate.cc  asks after those who are signed in
//   signals.cc  security events, pushed and polled
//   renew.cc    what is known of a person now takes the place of what was known at the sign-in
//   grants.cc   extend, end, list                  reload.cc     apply a tenant's folder, decide live grants again
//   tenants.cc  made and deleted at runtime       secrets.cc    what a tenant keeps here     reach.cc  what it may name
//   scim.cc     people and groups that a provider tells us of
//   recover.cc  after a restart                    reconcile.cc  compare targets with the store
//   dormant.cc  grants that only the store has
//   restore.cc  a store that was set back
//   freeze.cc   stop everything, of one tenant or of all
//   orphans.cc  accounts that nobody answers for
//   usage.cc    what was given and never used
//   simulate.cc replay recorded decisions under another folder
//   trial.cc    sign in at an identity provider that is not applied yet
//   domains.cc  domains that are proven to be a tenant's
//   audit.cc    checkpoints of the audit log, proofs, receipts
//   erase.cc    a person who has gone is erased from what is kept
//   forward.cc  its records on their way to receivers
//   turn.h      one batch: one transaction, a savepoint per event, effects after the commit; cuts before it
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/entropy.h"
#include "base/log.h"
#include "base/time.h"
#include "core/audit.h"
#include "core/grant.h"
#include "engine/audit_proof.h"
#include "engine/decide.h"
#include "engine/ports.h"
#include "engine/scim.h"
#include "engine/simulate.h"
#include "engine/vault.h"
#include "engine/world.h"
#include "store/store.h"

namespace daypass::engine {

/// Of a login whose provider gave a refresh token: what came of asking after it.
struct Revalidation {
  base::Millis every{};
  base::WallTime checked_at{};                ///< when the provider last said that they may go on
  std::optional<base::WallTime> stale_since;  ///< since when it can't be asked
  std::string why;                            ///< of that
};

/// A sign-in as it lives in memory and in the store.
struct LoginSession {
  core::SessionId id;
  core::Identity who;
  base::WallTime started_at{};
  base::WallTime ends_at{};
  std::string client;  ///< "cli", "device"
  std::optional<Revalidation> revalidation;
  [[nodiscard]] bool is_stale() const { return revalidation && revalidation->stale_since; }
};

struct BeginLogin {
  core::TenantId tenant;
  std::string idp;
  std::string redirect_uri;  ///< the identity provider's, ours
  std::string browser;       ///< value of the cookie that binds the flow to this browser
  base::json::Value
      then;  ///< {"kind":"code","redirect_uri":…,"state":…,"challenge":…} or {"kind":"device","user_code":…}
  bool force = false;
};
struct FinishLogin {
  core::TenantId tenant;
  std::string idp;
  idp::Callback callback;
  std::string browser;
  std::string client_address;
  std::string redirect_uri = {};  ///< that it came to, ours
};
/// What a person says to a sign-in that began at the provider.
struct ConfirmLogin {
  core::TenantId tenant;
  std::string idp;
  std::string handle;     ///< value of the cookie that LoginFinished::confirm became
  std::string user_code;  ///< of the device that is to be signed in, as it was typed
  std::string client_address;
};
/// Where the browser goes to sign in: it visits the URL, or posts the form there.
struct LoginBegun {
  std::string url;
  std::vector<std::pair<std::string, std::string>> form;
};
/// Where the browser goes next: back to the CLI with a code, or to the page that says the device is signed in.
struct LoginFinished {
  std::string redirect;  ///< empty for device sign-ins
  std::string display;
  std::string principal = {};
  std::string confirm = {};  ///< not empty: nobody is signed in yet, confirm_login() with this does it
  bool test = false;         ///< of an identity provider: nobody is signed in, and whoever began it is told
};
/// A login that was ended by its owner.
struct LoggedOut {
  int grants_ended = 0;
  std::string idp;
  std::string handle;  ///< for begin_provider_logout(); empty: the provider offers no sign-out
};
/// What a provider said of a sign-out that was begun here.
struct ProviderLogout {
  idp::LogoutOutcome outcome = idp::LogoutOutcome::unsaid;
  std::string why;
};
/// A test of an identity provider: one sign-in, of which nothing is kept.
struct BeginTrial {
  core::TenantId tenant;
  std::string idp;
  std::optional<std::map<std::string, std::string>> files;  ///< of a folder; nullopt: the tenant as it is applied
  std::string redirect_uri;                                 ///< the identity provider's, ours
  std::string owner;                                        ///< who alone may look: a session's id, or "operator"
  std::string actor;
};
struct Trial {
  enum class State : std::uint8_t { waiting, passed, failed };
  std::string id, key;  ///< to look at it; for the browser
  State state = State::waiting;
  base::WallTime ends_at{};               ///< until when the browser may come
  std::vector<config::Problem> problems;  ///< not empty: nothing was begun
  std::vector<std::string> warnings;
  std::optional<base::Error> error;  ///< of a failed one: the first check that failed
  base::json::Value claims;          ///< verified; null when it did not get so far
  core::Identity who;                ///< what they are mapped to
  base::WallTime session_ends_at{};
  std::vector<core::RoleDecision> roles;  ///< that it would give
  bool administers = false;
};
/// A domain that an identity provider lists, and whether it is proven to be the tenant's.
struct DomainInfo {
  std::string domain, idp;
  std::string name, value;                    ///< of the TXT record that proves it
  std::optional<base::WallTime> proven_at;    ///< last; nullopt: it suggests nothing
  std::optional<base::WallTime> holds_until;  ///< when it is not found again until then
  std::optional<base::WallTime> looked_at;
  std::string why;  ///< what was wrong when it was looked for last; empty: nothing
};
/// A browser that comes for a test.
struct TrialEntry {
  std::string actor;  ///< who is told what the provider says
  LoginBegun begun;
};
/// What became of a login session when its person was replaced by what is known of them now.
struct Renewal {
  bool changed = false;
  std::size_t grants_ended = 0;
};
/// What the provider said when it was asked after somebody who is signed in.
struct Revalidated {
  enum class State : std::uint8_t { unchanged, changed, ended } state = State::unchanged;
  std::size_t grants_ended = 0;
  std::string why;  ///< it has ended
};
/// What became of a provider's logout, and where a browser that brought it goes on.
struct SignalTaken {
  int sessions_ended = 0;
  std::string answer_url;
  std::vector<std::pair<std::string, std::string>> answer_form;
};
struct DeviceStarted {
  std::string device_code, user_code;
  base::Seconds expires_in{}, interval{};
};
struct Token {
  base::Secret token;
  LoginSession session;
};

/// A credential fresh from the press: shown once.
struct CredentialIssued {
  core::CredentialId user;
  base::Secret password;
  core::TargetId target;
  std::vector<core::RoleId> roles;
  std::string database;  ///< what to put into the connection string
  base::WallTime login_ends_at{};
  core::Offers offers;
};
struct WantCredential {
  core::TargetId target;
  std::vector<core::RoleId> roles;  ///< empty: all permitted that are not elevated
  std::optional<base::Millis> wanted;
  std::string reason;
  std::string client_address;
};

struct TenantInfo {
  core::TenantId id;
  std::string display;
  base::WallTime created_at{};
  bool deleting = false;
  std::size_t grants = 0;                       ///< not closed; known in the answer to a deletion only
  std::vector<std::string> private_hosts = {};  ///< of a private network, that its administrators may name; lower case
};
/// What the operator changes of a tenant; what is not set stays.
struct TenantChange {
  std::optional<std::string> display;
  std::optional<std::vector<std::string>> private_hosts;
};

/// A secret that the tenant keeps here, without what it is.
struct SecretInfo {
  std::string name;
  base::WallTime set_at{};
  std::string set_by;
  std::string certificate_pem;  ///< of a key pair that was made here; empty: a text
};

struct Applied {
  std::vector<config::Problem> problems;  ///< not empty: nothing was changed
  std::vector<std::string> plan;
  std::vector<std::string> warnings;  ///< e.g. a target that could not be reached to be checked
  std::int64_t version = 0;
  std::size_t grants_ended = 0;
};

/// Access that is stopped: nothing is given, and what there was has ended.
struct Freeze {
  base::WallTime at{};
  std::string by, why;       ///< actor; what whoever is cut off or refused is told
  bool by_operator = false;  ///< lifted by the operator alone
};
struct Frozen {
  Freeze freeze;
  std::size_t grants_ended = 0;
};

/// How long each tenant's log was: kept where a restore of the store does not reach, so that one is noticed.
struct Witness {
  std::string instance;  ///< of another one it says nothing
  base::WallTime at{};
  std::map<core::TenantId, std::uint64_t> log_sizes;  ///< records; of logs that have any
};
/// A store that was set back, and what differs between it and the world.
struct Restore {
  struct Log {
    core::TenantId tenant;
    std::uint64_t records = 0, seen = 0;  ///< in the store; as the witness saw it
  };
  struct Difference {
    enum class Kind : std::uint8_t {
      unknown_account,  ///< on the target, and the store never heard of it: made since the backup
      closed_grant,     ///< on the target, though the store closed its grant
      later_end,        ///< the target lets it in longer than the store knows: extended since
      account_gone,     ///< the store counts on it: ended since
    } kind;
    std::string account, grant;
    std::optional<base::WallTime> store_end, target_end;
  };
  struct Target {
    std::string unreachable;  ///< why it could not be looked at; empty: it was
    std::vector<Difference> differences;
  };
  base::WallTime since{};
  std::string why;
  std::vector<Log> logs;
  std::map<std::pair<core::TenantId, core::TargetId>, Target> targets;  ///< looked at so far
};
struct Confirmed {
  std::size_t logins_ended = 0;
};

/// What is on targets and should not be, or is none of ours, as far as they could be looked at.
struct Orphans {
  struct Account {
    enum class Kind : std::uint8_t {
      unknown,     ///< ours, and the store never heard of its grant
      closed,      ///< ours, and its grant is closed
      misfit,      ///< our mark on another name: somebody copied it; never touched
      other_mark,  ///< another installation's; never touched
    } kind;
    std::string name, tenant, grant, instance;  ///< as its mark says
    std::optional<base::WallTime> valid_until;
    bool removed = false;
    std::string left;  ///< why it was to be removed and is still there
    [[nodiscard]] bool is_orphan() const { return kind == Kind::unknown || kind == Kind::closed; }
  };
  struct Target {
    core::TenantId tenant;
    core::TargetId target;    ///< empty: none of the tenant's could be
    std::string unreachable;  ///< why it could not be looked at; empty: it was
    std::vector<Account> accounts;
  };
  std::vector<Target> targets;
};

/// What went of a person who was erased.
struct PersonErased {
  std::string id;  ///< "er_…", as the log has it
  std::size_t records = 0, grants = 0, decisions = 0;
  std::size_t notes = 0;  ///< other people's grants that named them, and secrets that they set
  std::size_t kept = 0;   ///< records that name them in what can't be erased: of before there were covers
  bool scrubbed = false;  ///< no file of the store holds it any more; false: it goes with the log's next turn
};

/// What a tenant's policies give and nobody used. Days are UTC's; whose use it was is nowhere in it.
struct UnusedRights {
  using Day = std::optional<std::chrono::sys_days>;
  struct Policy {
    std::string id, file;
    std::uint32_t line = 0;
    std::string to;           ///< its principal, as written; empty: everybody
    bool conditions = false;  ///< it gives it under conditions, which were not looked at
    bool this_alone = false;  ///< its resource is this role and nothing else
  };
  struct Object {
    target::Object object;
    Day read, written;  ///< last
    bool unused = false;
  };
  struct Role {
    enum class State : std::uint8_t {
      used,
      partly,    ///< some of what it gives was not used
      unused,    ///< it was given, and nothing of what it gives was used
      unwanted,  ///< it was not given to anybody
      early,     ///< not used, and not observed for long enough to say more
      unclear,   ///< it was given, and what of it was used can't be said
    } state;
    core::RoleId role;
    std::chrono::sys_days since;  ///< observed
    std::uint64_t grants = 0, connections = 0;
    Day given, connected, used;  ///< last
    std::vector<Object> objects;
    bool objects_all = true;  ///< false: it gives more than are listed
    std::string unreachable;  ///< why what it gives is not known; empty: it is
    Day unread;               ///< the last day with statements that could not be read to their end, or too many names
    std::vector<Policy> policies;
    std::string hint;
  };
  int days = 0;
  base::WallTime at{};
  std::vector<Role> roles;
};

/// A checkpoint of a tenant's audit log.
struct AuditHead {
  std::string checkpoint;  ///< the signed note
  std::string key;         ///< verifier key, whose name is the log's origin
  std::string origin;
  std::uint64_t size = 0;
  std::string root;  ///< 32 bytes
  base::WallTime at{};
};
/// That the log of an older checkpoint is the beginning of the last one's.
struct AuditConsistency {
  std::uint64_t from = 0;
  std::vector<tlog::Hash> path;
  AuditHead head;
};

/// A receiver of a tenant's audit records, and how far it is.
struct ForwardStatus {
  std::string name, kind, host, format;        ///< "siem", "webhook" or "syslog", its host alone, "jsonl" or "ocsf"
  std::uint64_t next = 0, size = 0;            ///< the first record that it lacks; of the log
  std::optional<base::WallTime> sent_at;       ///< something, in this process
  std::optional<base::WallTime> behind_since;  ///< about when the first record that it lacks was written
  unsigned failures = 0;                       ///< in a row
  std::string check, why;                      ///< of the last one
  std::optional<base::WallTime> next_try;      ///< after a failure
};

/// Counters and gauges for /metrics; read from any thread.
struct Metrics {
  std::atomic<std::int64_t> grants_active{0}, grants_in_memory{0}, grants_revoking{0}, revocations_overdue{0},
      connections{0}, sessions{0};
  std::atomic<std::uint64_t> orphans_detected{0}, logins_ok{0}, logins_failed{0}, grants_opened{0}, denials{0};
  std::atomic<std::uint64_t> revalidations_ok{0}, revalidations_over{0}, revalidations_failed{0};
  std::atomic<std::int64_t> sessions_stale{0};
  std::atomic<std::uint64_t> revocations{0}, revocation_us_sum{0}, audit_appends{0}, audit_us_sum{0}, turns{0};
  std::atomic<std::uint64_t> scim_changes{0}, scim_users_ended{0};
  std::atomic<std::uint64_t> checkpoints{0}, checkpoint_failures{0};
  std::atomic<std::uint64_t> forwarded{0}, forward_failures{0};
  /// Receivers that could not be given anything the last time; the most records that one lacks; since when
  /// (milliseconds since 1970), 0: none lacks any.
  std::atomic<std::int64_t> forwards_failing{0}, forward_lag{0}, forward_behind_since{0};
  std::atomic<std::uint64_t> rounds{0};  ///< turns, also those in which nothing was to do: the engine's heartbeat
  /// Upper bounds 10 ms, 50 ms, 100 ms, 500 ms, 1 s, 5 s, 30 s, +Inf of daypass_revocation_latency_seconds.
  std::atomic<std::uint64_t> revocation_buckets[8]{};
};

struct Health {
  bool ready = false;
  std::string why;  ///< the first thing that is not as it should be
  bool store_ok = true, clock_ok = true;
  store::Condition store;
};

/// The actor of whoever sits at the operator's socket. No principal is called so: theirs have a slash.
inline constexpr std::string_view operator_actor = "operator";

class Engine final : public Access {
 public:
  struct Ports {
    store::Store& store;
    const base::Clock& clock;
    base::Entropy& entropy;
    const base::Log& log;
    Sessions& sessions;
    Workers& workers;
    Vault& vault;
    Catalog catalog;
    /// Below it, in a folder of its name, are the files that a tenant's own administrators may refer to.
    std::string secrets_folder;
    std::string instance;  ///< 6 characters of [a-z0-9], this installation's mark on targets
    base::Millis turn_wait = std::chrono::milliseconds(500);
    int scram_rounds = 4096;           ///< of credentials; RFC 7677 asks for 4096 at least, a simulator for one
    TxtLookup txt = {};                ///< none: no domain is ever proven
    std::optional<Witness> seen = {};  ///< as the last process left it
    std::function<void(const Witness&)> witness = {};  ///< keeps one; blocks on a disk, from a worker
    bool restored = false;                             ///< the operator says that the store is a backup
    /// After a start: how long before they are due grants are read from the store, and how many at a time.
    base::Millis look_ahead = std::chrono::seconds(10);
    std::size_t page = 500;
    /// A checkpoint of a tenant's log when nothing was added for so long, and at the latest twelve times as long after
    /// the first record that none covers. Zero: on demand only.
    base::Millis checkpoint_after = std::chrono::seconds(5);
  };
  explicit Engine(Ports ports);
  ~Engine() override;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Loads tenants, sessions, credentials. Grants are read in the turns that follow: those with open intents and those
  /// that are due first, the others when they are asked for. Before any other call. A store that was set back stays in
  /// quarantine instead: see restored().
  Status recover();
  /// Processes what is queued and what is due; waits up to `wait` for the first event. Returns when something comes
  /// next. The thread calls it in a loop; tests and the simulator call it by hand with wait 0.
  base::MonoTime turn(std::chrono::nanoseconds wait);
  /// Runs turns until stop(). stop() refuses new work, cuts nothing, and returns when the last turn is done.
  void run();
  void stop();

  // -- sign-in (login.cc) ------------------------------------------------------------------------------------------
  void begin_login(BeginLogin what, Done<LoginBegun> done);
  void finish_login(FinishLogin what, Done<LoginFinished> done);
  /// One use. Errors: "login.confirm", "device.user_code", and those of finish_login().
  void confirm_login(ConfirmLogin what, Done<LoginFinished> done);
  /// What a provider says to our logout URL: verified, recorded together with the end of every session that it names,
  /// and only then answered. Sign-ins under way that are not later than it don't finish. Errors: "idp.unknown", the
  /// check that failed, "signal.replayed".
  void logout_signal(core::TenantId tenant, std::string idp, idp::LogoutMessage message, Done<SignalTaken> done);
  /// A security event token that a transmitter pushed (signals.cc): who it is by its Authorization header, then
  /// verified, recorded together with what it ends, and only then answered. Told again it is taken again, and does
  /// nothing. Errors: "signals.authorization" (a provider that is not there, too), those of idp::SignalReceiver.
  void push_event(core::TenantId tenant, std::string idp, base::Secret authorization, std::string token,
                  Done<SignalTaken> done);
  /// A request to the SCIM server of a provider (scim.cc): verified, recorded together with the end of every session of
  /// whom it deactivates, and only then answered. Error, the same whatever is not there: "scim.token".
  void scim(ScimRequest request, Done<ScimAnswer> done);
  /// Our metadata for the provider of this name (SAML); `base` is <public>/t/<tenant>/idp/<name>. Any thread; reads
  /// files. Error: "idp.unknown", "idp.no_metadata".
  void describe_to_idp(core::TenantId tenant, std::string idp, std::string base, Done<std::string> xml);
  /// One use; PKCE verifier and redirect URI must fit. Errors: "token.code", "token.pkce", "token.redirect_uri".
  void redeem_code(core::TenantId tenant, std::string code, std::string pkce_verifier, std::string redirect_uri,
                   Done<Token> done);
  /// Begins a test (trial.cc); what the provider answers comes to finish_login. Who may refer to what is as for
  /// apply(). Errors: "idp.unknown", "idp_test.too_many".
  void begin_trial(BeginTrial what, Done<Trial> done);
  /// Where the browser goes that has the test's key; `browser` is its cookie, nullopt only asks who began it. Any
  /// thread; never blocks. Errors: "idp_test.unknown", "login.browser".
  Result<TrialEntry> enter_trial(const core::TenantId& tenant, const std::string& idp, std::string_view key,
                                 const std::optional<std::string>& browser);
  /// How a test stands, for whoever began it. Any thread; never blocks. Error: "idp_test.unknown".
  Result<Trial> trial(const core::TenantId& tenant, const std::string& idp, const std::string& id,
                      const std::string& owner);
  void start_device(core::TenantId tenant, Done<DeviceStarted> done);
  /// Whether a user code waits for somebody to sign in. Error: "device.user_code".
  void find_device(core::TenantId tenant, std::string user_code, Done<bool> done);
  /// Errors: "device.pending", "device.slow_down", "device.expired".
  void poll_device(core::TenantId tenant, std::string device_code, Done<Token> done);
  /// The session of an API token; error "token.unknown" (login needed). Any thread; never blocks.
  Result<LoginSession> authenticate(const core::TenantId& tenant, std::string_view token);
  /// Ends the login session and with it every grant. Where the reason is EndReason::logout, the answer may lead on to
  /// the provider.
  void logout(core::TenantId tenant, core::SessionId session, core::EndReason reason, std::string actor,
              Done<LoggedOut> done);
  /// Sends the browser to the provider, to sign out there; the handle is used up. `tenant_url`: <public>/t/<tenant>.
  /// Errors: "logout.handle", "idp.unknown", and those of begin_logout().
  void begin_provider_logout(core::TenantId tenant, std::string handle, std::string tenant_url, Done<LoginBegun> done);
  /// What came back to our logout URL from there. Errors: "idp.unknown", the check that failed, "logout.state" (nobody
  /// asked for it, or it was told already).
  void finish_provider_logout(core::TenantId tenant, std::string idp, idp::LogoutMessage message,
                              Done<ProviderLogout> done);
  std::vector<LoginSession> login_sessions(const core::TenantId& tenant);  ///< any thread
  /// What a verifier says now of the person of a login session; see Impl::renew_session. Errors: "session.unknown",
  /// "login.subject".
  void renew(core::TenantId tenant, core::SessionId session, core::Identity who, std::string actor, Done<Renewal> done);

  /// Asks the login's provider now. Errors: "session.unknown", "session.no_refresh", "login.stale" (it could not be
  /// asked).
  void revalidate(core::TenantId tenant, core::SessionId session, Done<Revalidated> done);

  // -- what one may have (any thread; never blocks) ----------------------------------------------------------------
  Result<std::vector<core::RoleDecision>> list_roles(const LoginSession& session, core::AccessRequest request);
  /// `principal` "idp/subject" must have a live login session; empty: the caller's own.
  Result<base::json::Value> explain_role(const LoginSession* caller, const core::TenantId& tenant,
                                         const std::string& principal, const core::RoleId& role, bool full,
                                         std::optional<base::WallTime> at);
  bool administers(const LoginSession& session, const std::string& client_address);

  // -- credentials and connections (access.cc) ---------------------------------------------------------------------
  void issue_credential(LoginSession session, WantCredential want, Done<CredentialIssued> done);
  std::optional<Verifier> lookup(std::string_view user) override;
  void admit(const core::CredentialId& credential, std::string peer, Done<Admission> done) override;
  void closed(const GrantId& grant, const core::ConnectionId& connection, ConnectionStats stats) override;
  void active(const GrantId& grant, base::MonoTime at) override;

  // -- grants (grants.cc) ------------------------------------------------------------------------------------------
  void list_grants(store::Selector selector, Done<std::vector<core::Grant>> done);
  void extend_grant(LoginSession session, GrantId grant, base::Millis by, std::string client_address,
                    Done<core::Grant> done);
  /// `owner` set: only a grant of that session (else it is "not found").
  void end_grant(GrantId grant, std::optional<core::SessionId> owner, core::EndReason reason, std::string actor,
                 Done<core::Grant> done);
  /// Calls back when the grant is closed (proven gone), or with Code::timeout after `budget`.
  void wait_closed(GrantId grant, base::Millis budget, Done<core::Grant> done);

  // -- after a restore (restore.cc) ----------------------------------------------------------------------------------
  /// Set while the store is in quarantine: every other call but reading logs is refused with "store.quarantine", no
  /// account is touched, and targets are looked at every minute. Any thread.
  std::optional<Restore> restored() const;
  /// Ends every login, and with it every grant that the store believes in; then all goes on as after a restart. An
  /// account that the store never heard of is left until its own end. Error: "restore.none".
  void confirm_restore(std::string actor, Done<Confirmed> done);

  // -- accounts that nobody answers for (orphans.cc) ----------------------------------------------------------------
  /// Looks at every target, of one tenant or of all; with `fix` takes away what is an orphan, each recorded before, and
  /// looked for afterwards over another connection. Works in quarantine, but for `fix`. Errors: "tenant.unknown",
  /// "store.quarantine".
  void orphans(std::optional<core::TenantId> tenant, bool fix, std::string actor, Done<Orphans> done);

  // -- persons (erase.cc) --------------------------------------------------------------------------------------------
  /// Erases what is kept of somebody who has gone: what audit records say of them (the log's root stays), their closed
  /// grants with the activity of their connections, the records of their decisions. `person`: their principal. Said
  /// again, it goes on. Errors: "person.name", "person.signed_in", "person.has_access", "person.provisioned",
  /// "person.froze" (a freeze of theirs holds), "person.unscrubbed" (nothing is left, but files may hold it still),
  /// "activity.files", "person.unknown" (nothing is kept of them), "person.busy", "tenant.unknown", those of the store.
  void erase_person(core::TenantId tenant, std::string person, std::string actor, Done<PersonErased> done);

  // -- what was given and never used (usage.cc) ---------------------------------------------------------------------
  /// By roles, in their order. Asks the targets what each role gives. Errors: "tenant.unknown", "report.days" (not 1 to
  /// 3650).
  void unused_rights(core::TenantId tenant, int days, Done<UnusedRights> done);

  // -- freezing (freeze.cc); no tenant is all of them ---------------------------------------------------------------
  /// Ends every grant and gives nothing until it is thawed; logins go on, so that somebody can look. Holds at once: the
  /// answer "freeze.unrecorded" says that the store does not take it yet. Said again, the first time counts and the
  /// last reason. Errors: "freeze.reason", "tenant.unknown".
  void freeze(std::optional<core::TenantId> tenant, std::string why, std::string actor, Done<Frozen> done);
  /// Errors: "freeze.none", "freeze.operator" (only the operator lifts the operator's).
  void thaw(std::optional<core::TenantId> tenant, std::string actor, Done<void> done);
  std::optional<Freeze> frozen(const core::TenantId& tenant) const;  ///< any thread; that of all tenants first
  std::optional<Freeze> frozen() const;                              ///< any thread; of all tenants
  std::size_t tenants_frozen() const;                                ///< any thread; by themselves

  // -- tenants (tenants.cc) ----------------------------------------------------------------------------------------
  /// Errors: "tenant.exists", "tenant.used_before" (a name is never given twice).
  void create_tenant(core::TenantId id, std::string display, std::string actor, Done<TenantInfo> done);
  /// What is applied already stays as it is. Errors: "tenant.unknown", "tenant.display", "tenant.private_host".
  void change_tenant(core::TenantId id, TenantChange change, std::string actor, Done<TenantInfo> done);
  /// Ends every login and grant of the tenant at once, and when each is proven gone erases all it had but its audit
  /// log. Error: "tenant.unknown". Said again: how far it is.
  void delete_tenant(core::TenantId id, std::string actor, Done<TenantInfo> done);
  std::vector<TenantInfo> tenants();            ///< any thread; by name, those being deleted among them
  bool serves(const core::TenantId& id) const;  ///< any thread; false while it is being deleted

  // -- secrets of a tenant (secrets.cc) ----------------------------------------------------------------------------
  void secrets(core::TenantId tenant, Done<std::vector<SecretInfo>> done);
  /// Takes the place of one of that name. Errors: "secret.name", "secret.value", "secret.count".
  void set_secret(core::TenantId tenant, std::string name, base::Secret value, std::string actor,
                  Done<SecretInfo> done);
  /// An RSA key pair with its certificate, for SAML and for private_key_jwt. Errors: "secret.name", "secret.exists",
  /// "secret.count".
  void make_key(core::TenantId tenant, std::string name, std::string actor, Done<SecretInfo> done);
  /// Errors: "secret.unknown", "secret.in_use".
  void remove_secret(core::TenantId tenant, std::string name, std::string actor, Done<void> done);

  // -- tenant (reload.cc) ------------------------------------------------------------------------------------------
  /// Who is not the operator may name files of the server only below the tenant's own folder, and hosts of a private
  /// network only where the operator lets the tenant, or both as they are named already (reach.cc).
  void apply(core::TenantId tenant, std::map<std::string, std::string> files, std::string actor, bool dry_run,
             Done<Applied> done);
  /// What the recorded decisions would become under a folder, before it is applied (simulate.cc).
  /// Who may refer to what is as for apply().
  void simulate(core::TenantId tenant, std::map<std::string, std::string> files, std::string actor,
                Done<Simulated> done);
  /// Any thread; compiled from the store at first use. Null: there is none, or nothing was applied yet.
  std::shared_ptr<const Tenant> tenant(const core::TenantId& id);
  /// The provider that a proven domain leads to; `typed` is an address, of which only the domain is looked at, or a
  /// domain. Any thread; never blocks.
  std::optional<std::string> suggested_idp(const core::TenantId& tenant, std::string_view typed);
  std::vector<DomainInfo> domains(const core::TenantId& tenant);  ///< any thread
  /// Looks for the proofs in DNS now (domains.cc), and says how they stand.
  void check_domains(core::TenantId tenant, Done<std::vector<DomainInfo>> done);
  void check_target(core::TenantId tenant, core::TargetId target, Done<std::vector<target::Finding>> done);
  void probe_idp(core::TenantId tenant, std::string idp, Done<std::string> done);

  // -- audit and health --------------------------------------------------------------------------------------------
  void audit(core::TenantId tenant, std::uint64_t from, std::size_t limit, Done<std::vector<std::string>> done);
  void audit_head(core::TenantId tenant, Done<std::pair<std::uint64_t, std::string>> done);
  /// The last checkpoint. Errors: "tenant.unknown", "audit.no_checkpoint".
  void audit_checkpoint(core::TenantId tenant, Done<AuditHead> done);
  /// Covers every record that is committed when this is called; a new one only where the last does not. Errors:
  /// "tenant.unknown", those of store::advance_audit.
  void checkpoint_audit(core::TenantId tenant, Done<AuditHead> done);
  /// Against the last checkpoint, or one that is made when that does not cover them. Errors: "audit.unknown_record",
  /// "audit.tampered" (what is stored does not lead to the root that was signed).
  void prove_audit(core::TenantId tenant, std::vector<std::uint64_t> indexes, Done<AuditProof> done);
  /// Of the last checkpoint with the log's first `from` records. Errors: "audit.unknown_record" (there are not that
  /// many), "audit.no_checkpoint", "audit.tampered".
  void audit_consistency(core::TenantId tenant, std::uint64_t from, Done<AuditConsistency> done);
  /// Who gets the tenant's records, and how far each is.
  void forwards(core::TenantId tenant, Done<std::vector<ForwardStatus>> done);
  /// Has a receiver that failed tried now. Error: "forward.unknown".
  void retry_forward(core::TenantId tenant, std::string name, Done<ForwardStatus> done);
  /// Of a closed grant. `principal` set: only of this person (else it is "not found"). Errors: "grant.unknown",
  /// "receipt.not_closed", "receipt.too_old" (from before places were kept).
  void grant_receipt(GrantId grant, std::optional<std::string> principal, Done<RevocationReceipt> done);
  const Metrics& metrics() const noexcept;
  Health health();  ///< any thread

  /// A worker's result. Any thread.
  void finished(const core::Intent& intent, core::GrantEvent event);

  struct Impl;  // turn.h: the state, shared by the use-case files

 private:
  std::unique_ptr<Impl> impl_;
};

/// Carries one intent out on its target and says what came of it. Blocks up to `budget`. Used by every Workers.
core::GrantEvent carry_out(const Job& job, const Vault& vault, base::Millis budget);

/// What "tenant:NAME" stands for. From any thread. Errors: "secret.unknown", "secret.shape", "seal.*", the store's.
base::Result<base::Secret> open_secret(store::Store& store, const Vault& vault, const core::TenantId& tenant,
                                       const std::string& name, base::WallTime now);

}  // namespace daypass::engine
