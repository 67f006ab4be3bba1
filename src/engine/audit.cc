// Checkpoints of tenants' audit logs: made by a worker that reads back what is stored, signed with a key of the
// tenant's own, kept with the tiles that make proofs cheap. The engine's thread only stores the outcome.
#include "base/encoding.h"
#include "crypto/ed25519.h"
#include "engine/turn.h"
#include "store/audit_leaf.h"
#include "store/audit_log.h"

namespace daypass::engine {

/// What a worker hands to the engine's thread to be kept.
struct NewCheckpoint {
  AuditHead head;
  store::AuditAdvance advance;
  std::uint64_t after = 0;  ///< version of the document that it takes the place of
};

namespace {

constexpr std::string_view current = "current";
constexpr int late = 12;  ///< times the rest that is waited for
constexpr base::Millis again_after = std::chrono::seconds(60);

std::string purpose(const core::TenantId& tenant) {
  return "audit key " + tenant.str();
}

Error unknown_tenant() {
  return {Code::not_found, "tenant.unknown", "there is no such tenant"};
}
Error no_checkpoint() {
  return {Code::not_found, "audit.no_checkpoint", "the audit log has no checkpoint yet", "daypass audit checkpoint"};
}
Error tampered(std::string why) {
  return {Code::internal, "audit.tampered", std::move(why),
          "keep a copy of the store as it is, and compare with the last checkpoint that was kept elsewhere"};
}
Error unknown_record() {
  return {Code::not_found, "audit.unknown_record", "the audit log does not reach that far",
          "daypass audit tail shows the last ones"};
}

struct Key {
  tlog::NoteKey verifier;
  std::string sealed;
};
Result<std::optional<Key>> load_key(store::Reader& reader, const core::TenantId& tenant, WallTime now) {
  DP_TRY(const auto document, reader.get(tenant, store::doc_audit_key, current, now));
  if (!document) return std::optional<Key>();
  DP_TRY(const json::Value body, json::parse(document->body));
  Key out;
  DP_TRY(out.verifier, tlog::NoteKey::parse(body.string_or("key")));
  const auto sealed = base::base64_decode(body.string_or("sealed"));
  if (!sealed) return Error{Code::internal, "audit.key_shape", "the record of the audit log's key is damaged"};
  out.sealed = *sealed;
  return std::optional(std::move(out));
}

/// The last checkpoint, with what is needed to go on from it.
struct Mark {
  AuditHead head;
  tlog::Frontier frontier;
  std::uint64_t version = 0;  ///< of its document; 0: there is none, and the head is that of nothing
};

std::string mark_body(const AuditHead& head, const tlog::Frontier& frontier) {
  return json::dump(json::Object{{"v", 1},
                                 {"at", base::to_rfc3339(head.at)},
                                 {"checkpoint", head.checkpoint},
                                 {"frontier", base::base64_encode(frontier.serialise())}});
}

/// Believes nothing that the key has not signed: what would be continued is what was signed.
Result<Mark> load_mark(store::Reader& reader, const core::TenantId& tenant, const tlog::NoteKey& key, WallTime now) {
  DP_TRY(const auto document, reader.get(tenant, store::doc_audit_checkpoint, current, now));
  Mark out;
  if (!document) return out;
  DP_TRY(const json::Value body, json::parse(document->body));
  const auto frontier = base::base64_decode(body.string_or("frontier"));
  if (!frontier) return tampered("the last checkpoint of the audit log is damaged");
  DP_TRY(out.frontier, tlog::Frontier::parse(*frontier));
  DP_TRY(out.head.at, base::parse_rfc3339(body.string_or("at")));
  out.head.checkpoint = body.string_or("checkpoint");
  out.version = document->version;
  const auto signed_head = tlog::open_checkpoint(out.head.checkpoint, key, crypto::ed25519_verify);
  if (!signed_head.ok())
    return tampered("the last checkpoint of the audit log does not verify: " + signed_head.error().message);
  if (signed_head->size != out.frontier.size() || signed_head->root != out.frontier.root())
    return tampered("the last checkpoint of the audit log is not what was kept with it");
  out.head.key = key.text();
  out.head.origin = signed_head->origin;
  out.head.size = signed_head->size;
  out.head.root = signed_head->root;
  return out;
}

/// The log of a tenant as a worker looks at it.
struct Look {
  std::unique_ptr<store::Reader> reader;
  Mark mark;
};
Result<Look> look(store::Store& store, const core::TenantId& tenant, WallTime now) {
  Look out;
  DP_TRY(out.reader, store.snapshot());
  DP_TRY(const auto key, load_key(*out.reader, tenant, now));
  if (!key) return no_checkpoint();
  DP_TRY(out.mark, load_mark(*out.reader, tenant, key->verifier, now));
  if (out.mark.version == 0) return no_checkpoint();
  return out;
}

Result<AuditProof> prove(Look& at, const core::TenantId& tenant, const std::vector<std::uint64_t>& indexes) {
  const AuditHead& head = at.mark.head;
  AuditProof out{{}, head.checkpoint, head.key};
  tlog::TiledTree tree(head.size, store::audit_tiles(*at.reader, tenant));
  for (const std::uint64_t index : indexes) {
    DP_TRY(auto path, tree.inclusion_proof(index));
    DP_TRY(auto records, at.reader->audit(tenant, index, 1));
    if (records.empty()) return tampered("record " + std::to_string(index) + " of the audit log is missing");
    // A proof that does not hold is never handed out: it says that the store is not what was signed.
    DP_TRY(const std::string leaf, store::leaf_of(records[0]));
    if (const auto holds = tlog::verify_inclusion(tlog::leaf_hash(leaf), index, head.size, path, head.root);
        !holds.ok())
      return tampered("record " + std::to_string(index) + " of the audit log is not what the last checkpoint covers");
    out.records.push_back({index, std::move(records[0]), std::move(path)});
  }
  return out;
}

Result<AuditConsistency> prove_consistency(Look& at, const core::TenantId& tenant, std::uint64_t from) {
  const AuditHead& head = at.mark.head;
  if (from > head.size) return unknown_record();
  AuditConsistency out{from, {}, head};
  const auto tiles = store::audit_tiles(*at.reader, tenant);
  tlog::TiledTree older(from, tiles), newer(head.size, tiles);
  DP_TRY(out.path, newer.consistency_proof(from));
  DP_TRY(const auto root, older.root());
  if (!tlog::verify_consistency(from, root, head.size, head.root, out.path).ok())
    return tampered("the audit log does not lead to the root of its last checkpoint");
  return out;
}

/// First there must be a key; then a worker's turn comes.
Engine::Impl::Event checkpoint_event(Engine::Impl& impl, const core::TenantId& tenant) {
  Engine::Impl::Event event;
  event.failed = [&impl, tenant](const Error& e) { impl.end_checkpoint(tenant, e); };
  event.run = [&impl, tenant](Turn& turn) -> Status {
    DP_CHECK(impl.audit_key(turn, tenant));
    turn.after.emplace_back([&impl, tenant] {
      impl.p.workers.run(
          Workers::Pool::audit, tenant, [&impl, tenant] { impl.make_checkpoint(tenant); },
          [&impl, tenant](const Error& e) { impl.end_checkpoint(tenant, e); });
    });
    return {};
  };
  return event;
}

}  // namespace

// ------------------------------------------------------------------------------------------------- the engine's thread

void Engine::Impl::audit_grew(const core::TenantId& tenant, WallTime at) {
  if (p.checkpoint_after == base::Millis(0)) return;
  Sealing& s = sealing[tenant];
  s.last = at;
  if (s.timed) return;
  s.timed = true;
  s.first = at;
  timers.emplace(
      at + p.checkpoint_after,
      Timer{.kind = Timer::Kind::checkpoint, .grant = {}, .tenant = tenant, .session = {}, .done = {}, .retry = {}});
}

void Engine::Impl::checkpoint_due(const core::TenantId& tenant, WallTime now_) {
  Sealing& s = sealing[tenant];
  const WallTime due = std::min(s.last + p.checkpoint_after, s.first + late * p.checkpoint_after);
  if (due > now_) {
    timers.emplace(
        due,
        Timer{.kind = Timer::Kind::checkpoint, .grant = {}, .tenant = tenant, .session = {}, .done = {}, .retry = {}});
    return;
  }
  s.timed = false;
  if (s.running) {
    s.next.emplace_back([](const Result<AuditHead>&) {});
    return;
  }
  s.running = true;
  // Not posted: a timer fires while the inbox is being emptied, and nobody else may wake us.
  held.push_back(checkpoint_event(*this, tenant));
}

void Engine::Impl::want_checkpoint(core::TenantId tenant, Done<AuditHead> done) {
  Sealing& s = sealing[tenant];
  if (s.running) {
    s.next.push_back(std::move(done));
    return;
  }
  s.running = true;
  s.waiting.push_back(std::move(done));
  begin_checkpoint(tenant);
}

void Engine::Impl::begin_checkpoint(const core::TenantId& tenant) {
  post(checkpoint_event(*this, tenant));
}

Result<bool> Engine::Impl::audit_uncovered(store::Reader& reader, const core::TenantId& tenant, WallTime now_) {
  DP_TRY(const auto head, reader.audit_head(tenant));
  DP_TRY(const auto document, reader.get(tenant, store::doc_audit_checkpoint, current, now_));
  if (!document) return head.first != 0;
  DP_TRY(const json::Value body, json::parse(document->body));
  const auto bytes = base::base64_decode(body.string_or("frontier"));
  const auto frontier = tlog::Frontier::parse(bytes.value_or(""));
  // One that can't be read is the worker's to complain of.
  return !frontier.ok() || frontier->size() != head.first;
}

Status Engine::Impl::audit_key(Turn& turn, const core::TenantId& tenant) {
  // Of one that is being deleted nothing new is kept.
  if (!serves(tenant)) return unknown_tenant();
  DP_TRY(const auto known, load_key(turn.tx, tenant, turn.now));
  if (known) return {};
  std::string bytes(crypto::ed25519_key_size, '\0');
  p.entropy.fill({reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()});
  const base::Secret seed = base::Secret::take(std::move(bytes));
  const tlog::NoteKey key{"daypass/" + p.instance + "/" + tenant.str(), crypto::ed25519_public_key(seed)};
  DP_TRY(const std::string sealed, p.vault.seal(tenant, seed, purpose(tenant)));
  DP_CHECK(turn.put_document(
      tenant, store::doc_audit_key, std::string(current),
      json::dump(json::Object{{"v", 1}, {"key", key.text()}, {"sealed", base::base64_encode(sealed)}}), {}, 0));
  // The log names its own key, so that a later one can't pass for it unseen.
  return turn.audit(tenant, "audit.key_made", key.name, "ok", {{"key", key.text()}});
}

void Engine::Impl::keep_checkpoint(const core::TenantId& tenant, NewCheckpoint made) {
  auto kept = std::make_shared<NewCheckpoint>(std::move(made));
  Event event;
  event.failed = [this, tenant](const Error& e) { end_checkpoint(tenant, e); };
  event.run = [this, tenant, kept](Turn& turn) -> Status {
    if (!serves(tenant)) return unknown_tenant();
    DP_CHECK(store::keep_tiles(turn.tx, tenant, kept->advance.grown));
    DP_CHECK(turn.put_document(tenant, store::doc_audit_checkpoint, std::string(current),
                               mark_body(kept->head, kept->advance.frontier), {}, kept->after));
    turn.after.emplace_back([this, tenant, kept] {
      metrics.checkpoints.fetch_add(1, std::memory_order_relaxed);
      end_checkpoint(tenant, kept->head);
    });
    return {};
  };
  post(std::move(event));
}

void Engine::Impl::end_checkpoint(const core::TenantId& tenant, const Result<AuditHead>& outcome) {
  // From any thread: what waits is the engine thread's.
  Event event;
  event.run = [this, tenant, outcome](Turn& turn) -> Status {
    turn.after.emplace_back([this, tenant, outcome] {
      Sealing& s = sealing[tenant];
      if (!outcome.ok() && serves(tenant)) {
        metrics.checkpoint_failures.fetch_add(1, std::memory_order_relaxed);
        p.log.error("the audit log could not be signed",
                    {{"tenant", tenant.str()}, {"check", outcome.error().check}, {"why", outcome.error().message}});
        if (!s.timed && p.checkpoint_after != base::Millis(0)) {
          s.timed = true;
          s.first = s.last = now() + again_after - p.checkpoint_after;
          timers.emplace(now() + again_after, Timer{.kind = Timer::Kind::checkpoint,
                                                    .grant = {},
                                                    .tenant = tenant,
                                                    .session = {},
                                                    .done = {},
                                                    .retry = {}});
        }
      }
      auto waiting = std::exchange(s.waiting, std::exchange(s.next, {}));
      s.running = !s.waiting.empty();
      if (s.running)
        begin_checkpoint(tenant);
      else if (!s.timed)
        sealing.erase(tenant);
      for (auto& done : waiting) done(outcome);
    });
    return {};
  };
  event.again = true;
  post(std::move(event));
}

// ------------------------------------------------------------------------------------------------------------- workers

namespace {

/// The next checkpoint, or nothing where the last one covers the log.
Result<std::variant<AuditHead, NewCheckpoint>> next_checkpoint(const Engine::Ports& p, const core::TenantId& tenant,
                                                               WallTime now, const std::function<bool()>& stop) {
  std::optional<Key> key;
  Mark mark;
  {
    DP_TRY(const auto reader, p.store.snapshot());
    DP_TRY(key, load_key(*reader, tenant, now));
    if (!key) return no_checkpoint();
    DP_TRY(mark, load_mark(*reader, tenant, key->verifier, now));
  }
  NewCheckpoint out;
  out.after = mark.version;
  DP_TRY(out.advance, store::advance_audit(p.store, tenant, mark.frontier, stop));
  if (mark.version != 0 && out.advance.frontier.size() == mark.head.size)
    return std::variant<AuditHead, NewCheckpoint>(std::move(mark.head));
  const tlog::Checkpoint head{key->verifier.name, out.advance.frontier.size(), out.advance.frontier.root()};
  DP_TRY(const base::Secret seed, p.vault.open(tenant, key->sealed, purpose(tenant)));
  out.head = {tlog::sign_note(tlog::checkpoint_text(head), key->verifier,
                              [&](std::string_view text) { return crypto::ed25519_sign(seed, text); }),
              key->verifier.text(),
              head.origin,
              head.size,
              head.root,
              now};
  // A signature that went wrong (a bit in memory, another key than is published) must not leave.
  const auto again = tlog::open_checkpoint(out.head.checkpoint, key->verifier, crypto::ed25519_verify);
  if (!again.ok() || *again != head) return tampered("a checkpoint of the audit log does not verify once signed");
  return std::variant<AuditHead, NewCheckpoint>(std::move(out));
}

}  // namespace

void Engine::Impl::make_checkpoint(const core::TenantId& tenant) {
  auto made = next_checkpoint(p, tenant, now(), [this] { return stopping.load(); });
  if (!made.ok()) return end_checkpoint(tenant, std::move(made).error());
  if (auto* head = std::get_if<AuditHead>(&*made)) return end_checkpoint(tenant, *head);
  keep_checkpoint(tenant, std::get<NewCheckpoint>(std::move(*made)));
}

namespace {

/// Runs `work` over the last checkpoint on a worker. Where `covers` says that another is needed, that is made first.
template <class T>
void over_checkpoint(Engine::Impl& impl, const core::TenantId& tenant, bool may_make,
                     std::function<Result<std::optional<T>>(Look&)> work, std::shared_ptr<Done<T>> answer) {
  const auto refused = [answer](Error e) { (*answer)(std::move(e)); };
  impl.p.workers.run(
      Workers::Pool::audit, tenant,
      [&impl, tenant, may_make, work = std::move(work), answer, refused] {
        auto outcome = [&]() -> Result<std::optional<T>> {
          auto at = look(impl.p.store, tenant, impl.now());
          if (!at.ok()) {
            if (may_make && at.error().check == "audit.no_checkpoint") return std::optional<T>();
            return std::move(at).error();
          }
          return work(*at);
        }();
        if (!outcome.ok()) return refused(std::move(outcome).error());
        if (*outcome) return (*answer)(std::move(**outcome));
        if (!may_make) return refused(no_checkpoint());
        Engine::Impl::Event event;
        event.failed = refused;
        event.run = [&impl, tenant, work, answer, refused](Turn& turn) -> Status {
          turn.after.emplace_back([&impl, tenant, work, answer, refused] {
            impl.want_checkpoint(tenant, [&impl, tenant, work, answer, refused](Result<AuditHead> made) {
              if (!made.ok()) return refused(std::move(made).error());
              over_checkpoint<T>(impl, tenant, false, work, answer);
            });
          });
          return {};
        };
        impl.post(std::move(event));
      },
      refused);
}

template <class T>
std::shared_ptr<Done<T>> shared(Done<T> done) {
  return std::make_shared<Done<T>>(std::move(done));
}

/// nullopt: the checkpoint does not cover them all.
Result<std::optional<AuditProof>> prove_covered(Look& at, const core::TenantId& tenant,
                                                const std::vector<std::uint64_t>& indexes) {
  for (const std::uint64_t index : indexes) {
    if (index < at.mark.head.size) continue;
    DP_TRY(const auto head, at.reader->audit_head(tenant));
    if (index >= head.first) return unknown_record();
    return std::optional<AuditProof>();
  }
  DP_TRY(AuditProof proof, prove(at, tenant, indexes));
  return std::optional(std::move(proof));
}

Result<std::optional<RevocationReceipt>> make_receipt(Look& at, const GrantId& id,
                                                      const std::optional<std::string>& principal) {
  DP_TRY(const auto grant, at.reader->load_grant(id));
  // Somebody else's is the same answer as none.
  if (!grant || (principal && grant->principal != *principal))
    return Error{Code::not_found, "grant.unknown", "there is no grant " + id.id, "daypass grants ls shows yours"};
  if (grant->state != core::GrantState::closed)
    return Error{
        Code::conflict, "receipt.not_closed",
        "the grant is " + std::string(core::to_string(grant->state)) + "; there is a receipt once it is proven gone",
        "daypass grants end " + id.id};
  const core::LogPlaces& log = grant->log;
  if (!log.opened || !log.ended || !log.closed)
    return Error{Code::conflict, "receipt.too_old",
                 "the grant is from before receipts: its places in the log are not known",
                 "daypass audit export has its records"};
  DP_TRY(auto proof, prove_covered(at, id.tenant, {*log.opened, *log.ended, *log.closed}));
  if (!proof) return std::optional<RevocationReceipt>();
  DP_TRY(RevocationReceipt receipt, receipt_of(std::move(*proof)));
  if (receipt.grant != id.id || receipt.tenant != id.tenant)
    return tampered("the records of the grant " + id.id + " are of another one");
  return std::optional(std::move(receipt));
}

}  // namespace

// -------------------------------------------------------------------------------------------------------------- Engine

void Engine::checkpoint_audit(core::TenantId tenant, Done<AuditHead> done) {
  Impl& impl = *impl_;
  auto answer = shared(std::move(done));
  Impl::Event event;
  event.failed = [answer](const Error& e) { (*answer)(e); };
  event.run = [&impl, tenant, answer](Turn& turn) -> Status {
    if (!impl.serves(tenant)) return unknown_tenant();
    turn.after.emplace_back([&impl, tenant, answer] {
      impl.want_checkpoint(tenant, [answer](Result<AuditHead> head) { (*answer)(std::move(head)); });
    });
    return {};
  };
  impl.post(std::move(event));
}

void Engine::audit_checkpoint(core::TenantId tenant, Done<AuditHead> done) {
  over_checkpoint<AuditHead>(
      *impl_, tenant, false, [](Look& at) -> Result<std::optional<AuditHead>> { return std::optional(at.mark.head); },
      shared(std::move(done)));
}

void Engine::prove_audit(core::TenantId tenant, std::vector<std::uint64_t> indexes, Done<AuditProof> done) {
  over_checkpoint<AuditProof>(
      *impl_, tenant, true,
      [tenant, indexes = std::move(indexes)](Look& at) { return prove_covered(at, tenant, indexes); },
      shared(std::move(done)));
}

void Engine::audit_consistency(core::TenantId tenant, std::uint64_t from, Done<AuditConsistency> done) {
  over_checkpoint<AuditConsistency>(
      *impl_, tenant, false,
      [tenant, from](Look& at) -> Result<std::optional<AuditConsistency>> {
        DP_TRY(AuditConsistency proof, prove_consistency(at, tenant, from));
        return std::optional(std::move(proof));
      },
      shared(std::move(done)));
}

void Engine::grant_receipt(GrantId grant, std::optional<std::string> principal, Done<RevocationReceipt> done) {
  const core::TenantId tenant = grant.tenant;
  over_checkpoint<RevocationReceipt>(
      *impl_, tenant, true, [grant, principal](Look& at) { return make_receipt(at, grant, principal); },
      shared(std::move(done)));
}

}  // namespace daypass::engine
