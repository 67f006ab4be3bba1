#include "chaos/twin_store.h"

#include "store/audit_verify.h"

namespace daypass::chaos {

using base::Result;
using base::Status;
using base::WallTime;
using sim::Crash;

namespace {

/// Does everything on the real transaction and keeps what changed something.
class RecordingTx final : public store::Tx {
 public:
  RecordingTx(store::Tx& real, Deeds& deeds, Kinds& kinds, std::function<void(const char*)> verb)
      : real_(real), deeds_(deeds), kinds_(kinds), verb_(std::move(verb)) {}

  Result<std::optional<core::Grant>> load_grant(const core::GrantId& id) override {
    verb_("load_grant");
    return real_.load_grant(id);
  }
  Result<std::vector<core::Grant>> grants(const store::Selector& selector) override {
    verb_("grants");
    return real_.grants(selector);
  }
  Result<std::vector<store::Outline>> outline(const store::Selector& selector, store::By order,
                                              const store::Outline* after) override {
    verb_("outline");
    return real_.outline(selector, order, after);
  }
  Result<std::size_t> count(const store::Selector& selector) override {
    verb_("count");
    return real_.count(selector);
  }
  Result<std::optional<store::Document>> get(const core::TenantId& tenant, std::string_view kind, std::string_view key,
                                             WallTime now) override {
    verb_("get");
    return real_.get(tenant, kind, key, now);
  }
  Result<std::vector<store::Document>> list(const core::TenantId& tenant, std::string_view kind,
                                            std::string_view prefix, std::string_view after, std::size_t limit,
                                            WallTime now) override {
    verb_("list");
    return real_.list(tenant, kind, prefix, after, limit, now);
  }
  Result<std::vector<std::string>> audit(const core::TenantId& tenant, std::uint64_t from, std::size_t limit) override {
    verb_("audit");
    return real_.audit(tenant, from, limit);
  }
  Result<std::vector<tlog::Hash>> leaf_hashes(const core::TenantId& tenant, std::uint64_t from,
                                              std::size_t limit) override {
    verb_("leaf_hashes");
    return real_.leaf_hashes(tenant, from, limit);
  }
  Result<std::pair<std::uint64_t, std::string>> audit_head(const core::TenantId& tenant) override {
    verb_("audit_head");
    return real_.audit_head(tenant);
  }
  Result<std::vector<core::Intent>> open_intents() override {
    verb_("open_intents");
    return real_.open_intents();
  }

  Status save_grant(core::Grant& grant) override {
    verb_("save_grant");
    const core::Grant before = grant;
    DP_CHECK(real_.save_grant(grant));
    deeds_.emplace_back([before](store::Tx& tx) {
      core::Grant again = before;
      return tx.save_grant(again);
    });
    return {};
  }
  Status open_intent(const core::Intent& intent) override {
    verb_("open_intent");
    DP_CHECK(real_.open_intent(intent));
    deeds_.emplace_back([intent](store::Tx& tx) { return tx.open_intent(intent); });
    return {};
  }
  Status settle_intent(const core::GrantId& grant, std::uint32_t seq) override {
    verb_("settle_intent");
    DP_CHECK(real_.settle_intent(grant, seq));
    deeds_.emplace_back([grant, seq](store::Tx& tx) { return tx.settle_intent(grant, seq); });
    return {};
  }
  Status append_audit(core::AuditEvent& event) override {
    verb_("append_audit");
    const core::AuditEvent before = event;
    DP_CHECK(real_.append_audit(event));
    deeds_.emplace_back([before](store::Tx& tx) {
      core::AuditEvent again = before;
      return tx.append_audit(again);
    });
    return {};
  }
  Status rewrite_audit(const core::TenantId& tenant, std::uint64_t seq, std::string_view record) override {
    verb_("rewrite_audit");
    DP_CHECK(real_.rewrite_audit(tenant, seq, record));
    deeds_.emplace_back(
        [tenant, seq, record = std::string(record)](store::Tx& tx) { return tx.rewrite_audit(tenant, seq, record); });
    return {};
  }
  Result<bool> remove_closed(const core::GrantId& grant) override {
    verb_("remove_closed");
    DP_TRY(const bool gone, real_.remove_closed(grant));
    deeds_.emplace_back([grant](store::Tx& tx) -> Status {
      DP_TRY([[maybe_unused]] const bool again, tx.remove_closed(grant));
      return {};
    });
    return gone;
  }
  Status put(store::Document& document, std::optional<std::uint64_t> expected) override {
    verb_("put");
    const store::Document before = document;
    kinds_.emplace(document.tenant, document.kind);
    DP_CHECK(real_.put(document, expected));
    deeds_.emplace_back([before, expected](store::Tx& tx) {
      store::Document again = before;
      return tx.put(again, expected);
    });
    return {};
  }
  Result<bool> remove(const core::TenantId& tenant, std::string_view kind, std::string_view key) override {
    verb_("remove");
    DP_TRY(const bool removed, real_.remove(tenant, kind, key));
    if (removed)
      deeds_.emplace_back([tenant, kind = std::string(kind), key = std::string(key)](store::Tx& tx) -> Status {
        DP_TRY([[maybe_unused]] const bool again, tx.remove(tenant, kind, key));
        return {};
      });
    return removed;
  }
  Result<bool> use_once(const core::TenantId& tenant, std::string_view key, WallTime until, WallTime now) override {
    verb_("use_once");
    DP_TRY(const bool first, real_.use_once(tenant, key, until, now));
    if (first)
      deeds_.emplace_back([tenant, key = std::string(key), until, now](store::Tx& tx) -> Status {
        DP_TRY([[maybe_unused]] const bool again, tx.use_once(tenant, key, until, now));
        return {};
      });
    return first;
  }
  Result<std::size_t> erase_tenant(const core::TenantId& tenant, std::size_t most) override {
    verb_("erase_tenant");
    DP_TRY(const std::size_t gone, real_.erase_tenant(tenant, most));
    deeds_.emplace_back([tenant, most](store::Tx& tx) -> Status {
      DP_TRY([[maybe_unused]] const std::size_t again, tx.erase_tenant(tenant, most));
      return {};
    });
    return gone;
  }
  Status nested(const std::function<Status()>& fn) override {
    verb_("nested");
    const std::size_t mark = deeds_.size();
    const Status done = real_.nested(fn);
    if (!done.ok()) deeds_.resize(mark);
    return done;
  }

 private:
  store::Tx& real_;
  Deeds& deeds_;
  Kinds& kinds_;
  std::function<void(const char*)> verb_;
};

/// As the checks read them: in one order, whatever the store's is.
std::map<core::GrantId, core::Grant> grants_of(store::Reader& reader, std::string& wrong) {
  std::map<core::GrantId, core::Grant> out;
  auto all = reader.grants({.tenant = {}, .session = {}, .principal = {}, .target = {}, .include_closed = true});
  if (!all.ok()) wrong = "grants can't be read: " + all.error().message;
  if (all.ok())
    for (auto& one : *all) out.emplace(one.id, std::move(one));
  return out;
}

std::map<core::GrantId, core::Intent> intents_of(store::Reader& reader, std::string& wrong) {
  std::map<core::GrantId, core::Intent> out;
  auto all = reader.open_intents();
  if (!all.ok()) wrong = "intents can't be read: " + all.error().message;
  if (all.ok())
    for (auto& one : *all) out.emplace(one.grant, std::move(one));
  return out;
}

template <class Map>
std::string first_difference(const std::string& what, const Map& there, const Map& wanted) {
  for (const auto& [id, one] : wanted) {
    const auto it = there.find(id);
    if (it == there.end()) return what + " of " + id.id + " is gone";
    if (!(it->second == one)) return what + " of " + id.id + " is another one";
  }
  for (const auto& [id, one] : there)
    if (!wanted.contains(id)) return what + " of " + id.id + " came from nowhere";
  return {};
}

constexpr auto everything = std::size_t{1'000'000};

base::Error unwritten(const std::string& check) {
  return {check == "store.full" ? base::Code::exhausted : base::Code::internal, check, "the store can't be written"};
}

}  // namespace

TwinStore::TwinStore(sim::World& world, std::string path, std::uint64_t seed)
    : disk(seed), world_(world), path_(std::move(path)), dice_(seed ^ 0x5eedULL), hooks_(world.store.hooks) {
  // The verbs and the failures of the one in memory are this one's now; it only keeps the books.
  world.store.hooks.at_verb = [](const char*) {};
  world.store.hooks.commit_fault = [] { return std::string(); };
  world.store.hooks.begin_fault = [](bool) { return std::string(); };
  // The model does it over when it is done: nothing of an event is under way any more.
  world.store.hooks.end_saved = [](const core::GrantId&) {};
  world.durable = this;
}

TwinStore::~TwinStore() {
  world_.end();
  world_.durable = nullptr;
}

void TwinStore::alive() const {
  if (disk.dead()) throw Crash{};
}

void TwinStore::verb(const char* name) {
  try {
    hooks_.at_verb(name);
  } catch (const Crash&) {
    // Dead is dead: what unwinds from here on rolls nothing back.
    disk.cut();
    throw;
  }
}

void TwinStore::do_over(const Deeds& deeds) {
  const Status done = world_.store.transact([&](store::Tx& tx) -> Status {
    for (const auto& deed : deeds) DP_CHECK(deed(tx));
    return {};
  });
  if (!done.ok())
    world_.oracle.red("acknowledged",
                      "the same transaction fails in memory: " + done.error().check + ": " + done.error().message);
}

void TwinStore::tempt() {
  // One in three at a sync, which is where a commit is decided.
  const bool of_syncs = dice_.chance(330);
  const auto changes = static_cast<std::uint64_t>(dice_.between(1, of_syncs ? 25 : 400));
  disk.fail_in(world_.is_calm() || dice_.chance(250) ? 0 : changes, of_syncs);
}

Status TwinStore::transact(const std::function<Status(store::Tx&)>& fn) {
  alive();
  if (world_.is_calm()) disk.fail_in(0);
  if (quiet_until_ && world_.now() >= *quiet_until_) {
    quiet_until_.reset();
    tempt();
  }
  Deeds deeds;
  if (const std::string check = hooks_.begin_fault(true); !check.empty()) return unwritten(check);
  verb("begin");
  const Status done = real_->transact([&](store::Tx& tx) -> Status {
    deeds.clear();
    RecordingTx recording(tx, deeds, kinds_, [this](const char* name) { verb(name); });
    const Status status = fn(recording);
    if (!status.ok()) return status;
    if (const std::string check = hooks_.commit_fault(); !check.empty() && (!deeds.empty() || check != "store.full"))
      return unwritten(check);
    verb("commit");
    // From here on it is the disk's to say whether this happened, should the power go.
    if (answers_early)
      do_over(deeds);
    else
      unsettled_ = deeds;
    return {};
  });
  if (done.ok()) {
    // The store has said so: it is there, even if the power went in the same moment.
    unsettled_.clear();
    if (!answers_early) do_over(deeds);
    ++commits;
  }
  alive();
  if (!done.ok()) {
    // It failed and lives: nothing was done.
    unsettled_.clear();
    return done;
  }
  verb("committed");
  // As the server's thread does every few seconds.
  if (dice_.chance(60)) {
    (void)real_->checkpoint();
    alive();
  }
  return done;
}

Result<std::unique_ptr<store::Reader>> TwinStore::snapshot() {
  alive();
  if (const std::string check = hooks_.begin_fault(false); !check.empty()) return unwritten(check);
  auto reader = real_->snapshot();
  alive();
  return reader;
}

Status TwinStore::sweep(WallTime now, std::size_t most) {
  alive();
  if (const std::string check = hooks_.begin_fault(true); !check.empty()) return unwritten(check);
  verb("sweep");
  cut_sweep_.emplace(now, most);
  const Status done = real_->sweep(now, most);
  if (done.ok()) (void)world_.store.sweep(now, most);
  alive();
  cut_sweep_.reset();
  return done;
}

void TwinStore::make() {
  // The power goes while the store is made, a few times over. Each attempt finds what the one before it left.
  for (auto n = dice_.between(0, 3); n > 0; --n) {
    disk.fail_in(static_cast<std::uint64_t>(dice_.between(1, 60)));
    const auto opened = store::sqlite::SqliteStore::open(path_);
    if (opened.ok()) break;
    if (!disk.dead()) break;  // told of below
    disk.restore();
  }
  disk.fail_in(0);
  if (disk.dead()) disk.restore();
}

store::Store& TwinStore::open() {
  alive();
  if (first_)
    make();
  else
    tempt();
  auto opened = store::sqlite::SqliteStore::open(path_);
  alive();
  if (!opened.ok()) {
    world_.oracle.red("acknowledged",
                      "the store does not open: " + opened.error().check + ": " + opened.error().message);
    throw Crash{};
  }
  real_ = std::move(*opened);
  if (!std::exchange(first_, false)) compare();
  // The story wants a tenant before anything goes wrong.
  else
    quiet_until_ = world_.now() + std::chrono::seconds(2);
  alive();
  return *this;
}

void TwinStore::cut() {
  disk.cut();
}

void TwinStore::lose() {
  real_.reset();
  disk.restore();
}

std::string TwinStore::difference_of_logs(store::Reader& real, store::Reader& wanted) const {
  for (const auto& tenant : world_.store.logged()) {
    const auto there = real.audit(tenant, 0, everything), should = wanted.audit(tenant, 0, everything);
    if (!there.ok()) return "the audit log can't be read: " + there.error().message;
    if (there->size() != should->size())
      return "the audit log has " + std::to_string(there->size()) + " records instead of " +
             std::to_string(should->size());
    if (*there != *should) return "a record of the audit log is another one";
    if (const auto report = store::verify_audit(real, tenant); !report.ok())
      return "the audit log does not verify: " + report.error().message;
    if (*real.audit_head(tenant) != *wanted.audit_head(tenant)) return "the audit log has another head";
  }
  return {};
}

std::string TwinStore::difference() {
  auto snapshot = real_->snapshot();
  if (!snapshot.ok()) return "no snapshot: " + snapshot.error().message;
  store::Reader& real = **snapshot;
  const auto books = world_.store.snapshot();
  store::Reader& wanted = **books;
  std::string wrong;
  const auto grants = grants_of(real, wrong);
  const auto intents = intents_of(real, wrong);
  if (!wrong.empty()) return wrong;
  if (wrong = first_difference("the grant", grants, grants_of(wanted, wrong)); !wrong.empty()) return wrong;
  if (wrong = first_difference("the intent", intents, intents_of(wanted, wrong)); !wrong.empty()) return wrong;
  std::map<Kinds::key_type, std::size_t> kinds;
  for (const auto& seen : kinds_) kinds[seen] = 0;
  // At the beginning of time nothing has expired.
  const WallTime always{};
  for (const auto& [key, document] : world_.store.documents()) {
    const auto& [tenant, kind, name] = key;
    ++kinds[{tenant, kind}];
    const auto found = real.get(tenant, kind, name, always);
    if (!found.ok()) return "a document of kind " + kind + " can't be read: " + found.error().message;
    if (!*found) return "a document of kind " + kind + " is gone";
    if (!(**found == document)) return "a document of kind " + kind + " is another one";
  }
  for (const auto& [which, n] : kinds) {
    const auto all = real.list(which.first, which.second, "", "", everything, always);
    if (!all.ok() || all->size() != n) return "documents of kind " + which.second + " came from nowhere";
  }
  return difference_of_logs(real, wanted);
}

void TwinStore::compare() {
  ++reopened;
  std::string wrong = difference();
  if (disk.dead()) return;
  if (cut_sweep_ && !wrong.empty()) {
    (void)world_.store.sweep(cut_sweep_->first, cut_sweep_->second);
    wrong = difference();
    if (disk.dead()) return;
  }
  cut_sweep_.reset();
  if (!unsettled_.empty()) {
    // Nobody was told whether it happened; it must have happened whole, or not at all.
    if (wrong.empty()) {
      ++forgotten;
    } else {
      do_over(unsettled_);
      wrong = difference();
      if (disk.dead()) return;
      ++unheard;
    }
    unsettled_.clear();
  }
  if (!wrong.empty()) world_.oracle.red("acknowledged", wrong);
  // A key that was used up must stay so.
  const Status unused = real_->transact([&](store::Tx& tx) -> Status {
    for (const auto& [key, until] : world_.store.used()) {
      DP_TRY(const bool first, tx.use_once(key.first, key.second, until, until - base::Millis(1)));
      if (first) world_.oracle.red("acknowledged", "a key that was used up can be used again");
    }
    return base::Error{base::Code::denied, "test.undone", "only to see"};
  });
  (void)unused;
}

}  // namespace daypass::chaos
