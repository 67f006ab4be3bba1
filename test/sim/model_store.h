// A store in memory that keeps the port's promises and can break at every verb: what is committed survives a crash,
// what is not is gone. Owns the durable half of the simulated world and tells the checkers about each commit.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "store/store.h"
#include "tlog/tree.h"

namespace daypass::sim {

/// Thrown where the process dies. Nothing in the product catches it; the world does.
struct Crash {};

/// One `save_grant` of a committed transaction, in order.
struct SavedGrant {
  core::Grant grant;
};

/// What one commit made durable.
struct Commit {
  std::vector<SavedGrant> grants;
  std::vector<core::Intent> opened;
  std::vector<core::AuditEvent> audit;
};

class ModelStore final : public store::Store {
 public:
  struct Hooks {
    /// Asked at each verb and on both sides of the commit; throws Crash where the process dies.
    std::function<void(const char* verb)> at_verb = [](const char*) {};
    /// Asked once per transaction before it commits: empty, or the check of the failure ("store.full", "store.io").
    std::function<std::string()> commit_fault = [] { return std::string(); };
    /// Asked before a transaction, a sweep (`writes`) or a snapshot begins: empty, or the check of its failure.
    std::function<std::string(bool writes)> begin_fault = [](bool) { return std::string(); };
    std::function<void(const Commit&)> committed = [](const Commit&) {};
    /// A grant's end is saved, in a transaction under way; what was saved since the last call is one event's.
    std::function<void(const core::GrantId&)> end_saved = [](const core::GrantId&) {};
    std::function<void()> event_over = [] {};
  };
  /// Guards taken away, for the mutants.
  struct Broken {
    bool commits_late = false;     ///< answers "committed" before anything is durable
    bool forgets_audit = false;    ///< drops each third record
    bool rewrites_audit = false;   ///< changes the bytes of a record after it was hashed
    bool keeps_sessions = false;   ///< says that a login session was removed, and keeps it
    bool forgets_freezes = false;  ///< says that a freeze was recorded, and keeps none
    bool revives = false;          ///< hands grants that are being revoked out as active
    bool hides = false;            ///< leaves each third grant out of what it lists
  };

  Hooks hooks;
  Broken broken;
  store::Condition room;          ///< what condition() says
  std::optional<int> saves_left;  ///< of grants; then the disk is full in the middle of a transaction

  base::Status transact(const std::function<base::Status(store::Tx&)>& fn) override;
  base::Result<std::unique_ptr<store::Reader>> snapshot() override;
  base::Status sweep(base::WallTime now, std::size_t most) override;
  [[nodiscard]] store::Condition condition() const override { return room; }

  /// The process died: what was answered but not durable is lost.
  void lose_unsynced();
  /// What a late store makes durable at last.
  void sync();

  /// As somebody does who can write the store's file: changes the records of a log, and its head so that they fit.
  void rewrite(const core::TenantId& tenant, const std::function<void(std::vector<std::string>& records)>& how);
  /// The same with a document; it must be there.
  void rewrite(const core::TenantId& tenant, const std::string& kind, const std::string& key,
               const std::function<void(std::string& body)>& how);

  [[nodiscard]] const core::Grant* grant(const core::GrantId& id) const;
  /// Every grant that was ever committed.
  [[nodiscard]] const std::map<core::GrantId, core::Grant>& grants() const { return durable_.grants; }
  [[nodiscard]] std::size_t open_intents() const { return durable_.intents.size(); }
  using DocumentKey = std::tuple<core::TenantId, std::string, std::string>;  ///< tenant, kind, key
  /// All there is, for who compares another store with this one.
  [[nodiscard]] const std::map<DocumentKey, store::Document>& documents() const { return durable_.documents; }
  [[nodiscard]] const std::map<std::pair<core::TenantId, std::string>, base::WallTime>& used() const {
    return durable_.used;
  }
  [[nodiscard]] std::vector<core::TenantId> logged() const;
  /// Whether this intent was ever durable.
  [[nodiscard]] bool promised(const core::GrantId& grant, std::uint32_t seq) const {
    return durable_.promised.contains({grant, seq});
  }

 private:
  friend class ModelTx;
  struct Log {
    std::vector<std::string> records;
    tlog::Frontier frontier;
  };
  struct State {
    std::map<core::GrantId, core::Grant> grants;
    std::map<core::GrantId, core::Intent> intents;
    std::set<std::pair<core::GrantId, std::uint32_t>> promised;
    std::map<DocumentKey, store::Document> documents;
    std::map<std::pair<core::TenantId, std::string>, base::WallTime> used;
    std::map<core::TenantId, Log> logs;
  };
  struct Undo;

  State durable_;       ///< survives the process
  State live_;          ///< what the process sees; the same as durable_ unless `commits_late`
  bool split_ = false;  ///< live_ is in use
  State& current() { return split_ ? live_ : durable_; }
  unsigned appended_ = 0;
};

}  // namespace daypass::sim
