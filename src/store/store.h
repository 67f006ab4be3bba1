// Port: where everything durable lives. One transaction holds a state change, its intent and its audit record.
// Every call is reached through a tenant; the engine thread alone writes; readers use snapshots.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/audit.h"
#include "core/grant.h"
#include "tlog/tree.h"

namespace daypass::store {

/// A versioned document: the home of every record kind that needs no method of its own (tenant specs, login sessions,
/// credentials, tokens, pending logins, decision records, …).
struct Document {
  core::TenantId tenant;
  std::string kind;
  std::string key;                           ///< not empty; any bytes
  std::uint64_t version = 0;                 ///< 0: not stored yet
  std::string body;                          ///< JSON text, or sealed bytes
  std::optional<base::WallTime> expires_at;  ///< may be swept after; an expired document is not returned
  bool operator==(const Document&) const = default;
};

/// Which grants: every field that is set must match.
struct Selector {
  std::optional<core::TenantId> tenant;
  std::optional<core::SessionId> session;
  std::optional<std::string> principal;
  std::optional<core::TargetId> target;
  bool include_closed = false;
  std::size_t limit = 1'000'000;
};

/// A grant that is not closed, in short: whose it is, where, and when somebody must look at it.
struct Outline {
  core::GrantId id;
  core::SessionId session;
  core::TargetId target;
  core::Wake wake;
  bool operator==(const Outline&) const = default;
};
/// An order of outlines; what is equal in it comes by tenant, target and id, as `place` alone has it.
enum class By { place, end /* wake.at */, idleness /* wake.idle */ };

/// Reads. Both a transaction and a snapshot answer them.
class Reader {
 public:
  virtual ~Reader() = default;
  virtual base::Result<std::optional<core::Grant>> load_grant(const core::GrantId& id) = 0;
  /// In order of opening, newest first; those of one instant by tenant and id.
  virtual base::Result<std::vector<core::Grant>> grants(const Selector& selector) = 0;
  /// Grants that match and are not closed, in short: behind `after` (null: from the first), at most selector.limit.
  /// Their bodies are not read, so one that is damaged does not hide the others.
  virtual base::Result<std::vector<Outline>> outline(const Selector& selector, By order, const Outline* after) = 0;
  /// How many match and are not closed; the limit means nothing.
  virtual base::Result<std::size_t> count(const Selector& selector) = 0;
  virtual base::Result<std::optional<Document>> get(const core::TenantId& tenant, std::string_view kind,
                                                    std::string_view key, base::WallTime now) = 0;
  /// Documents of a kind whose key begins with `prefix`, after `after` (empty: from the first), in the keys' byte
  /// order. Page on with the last key; an empty answer is the end.
  virtual base::Result<std::vector<Document>> list(const core::TenantId& tenant, std::string_view kind,
                                                   std::string_view prefix, std::string_view after, std::size_t limit,
                                                   base::WallTime now) = 0;
  /// Audit records from `from`, in order, in their canonical spelling; what is hashed of each says audit_leaf.h. A
  /// record that is not what was appended, but for what was erased of it, is never handed out. Errors, both naming the
  /// record: "audit.leaf" (its bytes changed), "audit.gap" (it is missing).
  virtual base::Result<std::vector<std::string>> audit(const core::TenantId& tenant, std::uint64_t from,
                                                       std::size_t limit) = 0;
  /// The leaf hashes of records from `from`, in order, as they were appended: what a tile holds. Whether the records
  /// still give them says audit(); whether they are the log, the head's root. Errors: "audit.gap",
  /// "audit.leaf" (what is stored is no hash).
  virtual base::Result<std::vector<tlog::Hash>> leaf_hashes(const core::TenantId& tenant, std::uint64_t from,
                                                            std::size_t limit) = 0;
  /// Size and RFC 6962 root (32 raw bytes) of the tenant's log; of a log without records, the root of nothing.
  virtual base::Result<std::pair<std::uint64_t, std::string>> audit_head(const core::TenantId& tenant) = 0;
  /// Open intents of all tenants (for recovery), by not_before.
  virtual base::Result<std::vector<core::Intent>> open_intents() = 0;
};

/// Reads within a transaction see its own writes. What a call changes in its argument (version, seq) stays changed when
/// the transaction is rolled back: load again before another try. A failure of the store itself ("store.full",
/// "store.io", …) ends the transaction: every later call gives the same error.
class Tx : public Reader {
 public:
  /// Inserts when `grant.version` is 0, else replaces the version it names; bumps grant.version. Errors:
  /// "store.conflict". A text in it that is not UTF-8 is stored with U+FFFD in place of what is not.
  virtual base::Status save_grant(core::Grant& grant) = 0;
  /// Takes the place of the grant's open intent of the same or a lower seq. Errors: "store.conflict" (one with a higher
  /// seq is open), "store.no_grant" (save the grant first).
  virtual base::Status open_intent(const core::Intent& intent) = 0;
  /// Nothing happens when that intent is not open (settled before, or another took its place).
  virtual base::Status settle_intent(const core::GrantId& grant, std::uint32_t seq) = 0;
  /// Gives event.seq and appends entry_of() it (audit_leaf.h) to the tenant's Merkle log. Error: "audit.record" (it
  /// could not be read back, e.g. not UTF-8, or is too large).
  virtual base::Status append_audit(core::AuditEvent& event) = 0;
  /// Puts another spelling of a record in its place, one of the same leaf: some of what it covers is erased. Errors:
  /// "audit.leaf" (it would be another record, or there is none), "audit.record".
  virtual base::Status rewrite_audit(const core::TenantId& tenant, std::uint64_t seq, std::string_view record) = 0;
  /// Deletes a grant that is closed. False: there is no such grant, or it is not closed.
  virtual base::Result<bool> remove_closed(const core::GrantId& grant) = 0;
  /// `expected`: the version that must be there (0: none may be), nullopt: whatever is. Bumps document.version. An
  /// expired document counts as there until it is swept or removed. Errors: "store.conflict", "store.key" (it is
  /// empty).
  virtual base::Status put(Document& document, std::optional<std::uint64_t> expected) = 0;
  /// False when it was not there.
  virtual base::Result<bool> remove(const core::TenantId& tenant, std::string_view kind, std::string_view key) = 0;
  /// True the first time `key` is used before `until` has passed; false on every later try, and when it has passed.
  virtual base::Result<bool> use_once(const core::TenantId& tenant, std::string_view key, base::WallTime until,
                                      base::WallTime now) = 0;
  /// Deletes at most `most` rows of what the tenant has: documents, used keys, closed grants; its audit log stays. How
  /// many went; 0: there are no more. Error: "store.live_grants" (one of its grants is not closed; nothing was done).
  virtual base::Result<std::size_t> erase_tenant(const core::TenantId& tenant, std::size_t most) = 0;
  /// Runs `fn` under a savepoint: when it fails or throws, what it did is undone and its error returned; the rest
  /// stays.
  virtual base::Status nested(const std::function<base::Status()>& fn) = 0;
};

/// How it stands with the place where the store lies.
struct Condition {
  /// Room is running out: nothing that gives access may be begun, so that what takes it away finds room.
  bool low = false;
  /// The room that was kept for this is in use: nothing but what ends access should be written.
  bool reserve_used = false;
  /// A file was removed, replaced or cut short under the running process: it writes nothing more, until it is started
  /// again.
  bool lost = false;
  std::string why;             ///< of the worst of them; empty: all is well
  std::uint64_t free = 0;      ///< bytes that the file system still gives
  std::uint64_t reserved = 0;  ///< bytes kept for the end of access
  bool operator==(const Condition&) const = default;
};

class Store {
 public:
  virtual ~Store() = default;
  /// As it was looked at last. Any thread; never waits for the writer or a disk.
  [[nodiscard]] virtual Condition condition() const { return {}; }
  /// Runs `fn` in one serializable, durable transaction; commits when it returns ok, rolls back when it fails or throws
  /// (and lets the exception on). `fn` may run twice: it must not keep anything but through its captures that it resets
  /// first. Never called from within `fn`. Errors: fn's own, "store.full" (disk), "store.io", "store.busy",
  /// "store.corrupt", "store.lost" (another owner took over). After any of them nothing is changed and the next call
  /// may succeed.
  virtual base::Status transact(const std::function<base::Status(Tx&)>& fn) = 0;
  /// The store as it is now, read-only and unchanging, for one thread at a time; from any thread. Let go of it soon:
  /// what it can see can't be reclaimed.
  virtual base::Result<std::unique_ptr<Reader>> snapshot() = 0;
  /// Deletes expired documents and used-up keys; at most `most` rows, in a transaction of its own.
  virtual base::Status sweep(base::WallTime now, std::size_t most) = 0;
  /// Once it is done, no file of the store holds what was deleted or replaced before. From any thread but the writer's.
  /// Errors: those of transact; "store.busy" while a snapshot still sees it: try again.
  virtual base::Status scrub() { return {}; }
};

}  // namespace daypass::store
