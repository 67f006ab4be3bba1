// What the engine asks of others (Sessions, Workers), and what the gate may ask of the engine (Access).
// Declared here so that the arrow stays downward: gate/ implements Sessions and calls Access, and knows no engine
// beyond.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "core/grant.h"
#include "crypto/scram.h"
#include "target/target.h"

namespace daypass::engine {

using base::Result;
using base::Status;
using core::GrantId;

/// An answer that comes later, exactly once, from the engine's thread or a pool's: it must not block.
template <class T>
using Done = std::move_only_function<void(Result<T>)>;

/// The TXT records at a name in DNS, as base::Error "dns.none" and others tell why there are none. Blocks: from a
/// worker.
using TxtLookup = std::function<Result<std::vector<std::string>>(const std::string& name)>;

/// How long a live connection may go on, on the boot clock: the latest, over `windows`, of the earlier of `ends_at` and
/// last client message + `idle`. Kept by each gate session, so that a stuck engine ends nothing late.
struct Lease {
  struct Window {
    base::MonoTime ends_at;
    base::Millis idle;
    bool operator==(const Window&) const = default;
  };
  std::vector<Window> windows;
  base::WallTime ends_at_wall{};  ///< the absolute end, for messages to people
  [[nodiscard]] base::MonoTime deadline(base::MonoTime last_active) const noexcept;
  bool operator==(const Lease&) const = default;
};

/// Shared by all connections of one grant: the last client message any of them saw (boot clock, nanoseconds).
struct GrantMeter {
  std::atomic<std::int64_t> last_active_ns{0};
};

/// What a gate needs to answer a client's authentication.
struct Verifier {
  core::TenantId tenant;
  core::CredentialId credential;
  core::TargetId target;
  crypto::ScramVerifier scram;
};

/// A client let in: where to connect on its behalf, and for how long.
struct Admission {
  GrantId grant;
  core::ConnectionId connection;
  target::Upstream upstream;
  Lease lease;
  std::shared_ptr<GrantMeter> meter;
};

/// A table that statements of a connection named. `schema` empty: named without one.
struct NamedObject {
  std::string schema, name;
  bool read = false, written = false;
};

struct ConnectionStats {
  std::string why;  ///< "client", "upstream", "cut", "error:<check>"
  std::uint64_t bytes_in = 0, bytes_out = 0;
  std::uint64_t statements = 0;
  std::string segment;         ///< file of the activity segment, relative to the data folder; empty: none
  std::string segment_digest;  ///< its SHA-256, hex: goes into the audit log
  std::vector<NamedObject> named;
  bool named_all = true;  ///< false: there were more, or statements that could not be read to their end
};

/// Asked by the gate. Safe from any thread.
class Access {
 public:
  virtual ~Access() = default;
  /// The verifier of a user name; nullopt when there is none or its login has ended. Never blocks.
  virtual std::optional<Verifier> lookup(std::string_view user) = 0;
  /// Opens or joins a grant for an authenticated credential, decided anew. `database`: what the client asked for.
  /// Refusals: Code::denied (policy, with what to ask for), ::unauthenticated (login ended), ::exhausted (connections),
  /// ::unavailable (target, clock, store).
  virtual void admit(const core::CredentialId& credential, std::string peer, Done<Admission> done) = 0;
  virtual void closed(const GrantId& grant, const core::ConnectionId& connection, ConnectionStats stats) = 0;
  /// Client messages were seen, the last at `at`. At most every few seconds per grant.
  virtual void active(const GrantId& grant, base::MonoTime at) = 0;
};

/// A grant that has ended; `sentence` is shown to its clients.
struct Cut {
  GrantId grant;
  core::EndReason reason;
  std::string sentence;
};

/// Implemented by the gate; called by the engine's thread. Posts to the io threads, and waits for nobody but those that
/// tell many clients of a cut, which takes milliseconds: whoever goes on to write it down would take the processor from
/// them.
class Sessions {
 public:
  virtual ~Sessions() = default;
  /// Cuts every live connection of these grants and refuses those half open. What ends together comes together: the
  /// clients of all are told before anything else is done about one.
  virtual void cut(std::vector<Cut> grants) = 0;
  virtual void update(const GrantId& grant, const Lease& lease) = 0;
  /// Removes what is kept of the tenant's connections, all of which are over. Blocks on the disk: from a worker.
  virtual void forget(const core::TenantId& tenant) = 0;
  /// The same of one grant. Error: "activity.files" (something of it is still there).
  virtual base::Status forget(const GrantId& grant) = 0;
};

/// One piece of work for a worker: an intent and what it needs to be carried out.
struct Job {
  core::Intent intent;
  target::Account account;
  std::vector<core::RoleSpec> roles;
  base::WallTime valid_until{};
  int connections = 0;
  std::string handle;
  core::TargetId target_id;
  std::shared_ptr<target::Target> target;  ///< null: the target is gone from the configuration
};

/// Carries jobs out, each exactly once, and reports through Engine::finished. Never blocks the caller.
class Workers {
 public:
  virtual ~Workers() = default;
  virtual void dispatch(Job job) = 0;
  /// Blocking work that is no intent (identity providers, checks, listing): `pool` chooses the threads, and of them a
  /// tenant gets no more than its share.
  enum class Pool { idp, provision, revoke, signal, poll, audit, forward };
  /// Error::exhausted through `refused` when the pool's queue, or the tenant's part of it, is full.
  virtual void run(Pool pool, const core::TenantId& tenant, std::move_only_function<void()> work,
                   std::move_only_function<void(base::Error)> refused) = 0;
};

}  // namespace daypass::engine
