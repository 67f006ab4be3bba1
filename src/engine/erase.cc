// Erasing a person: what the log, the decisions and the closed grants of a tenant say of them goes; that something
// happened, and the log's root, stay (store/audit_leaf.h). For somebody who has gone: nothing is ended here.
#include <algorithm>

#include "base/encoding.h"
#include "base/utf8.h"
#include "config/checks.h"
#include "engine/scim_book.h"
#include "engine/turn.h"
#include "store/audit_leaf.h"

namespace daypass::engine {

namespace {

constexpr std::size_t page = 500, erased_at_once = 100, max_person = 2048;
/// Each waits a quarter of a second for whoever still reads the store.
constexpr int scrubs = 40;

/// One erasure, from the question to the answer.
struct Erasure {
  core::TenantId tenant;
  std::string person, actor, id;
  Done<PersonErased> done;
  /// What is still to go.
  std::vector<std::uint64_t> records;
  std::vector<GrantId> grants;
  std::vector<std::string> decisions;
  bool begun = false;  ///< it is in the log
  PersonErased out;
};
using Shared = std::shared_ptr<Erasure>;

Error still_here(std::string check, std::string why, std::string hint) {
  return {Code::conflict, std::move(check), std::move(why), std::move(hint)};
}

std::string idp_of(std::string_view person) {
  return std::string(person.substr(0, person.find('/')));
}
std::string subject_of(std::string_view person) {
  return std::string(person.substr(person.find('/') + 1));
}

/// Only who has nothing any more is erased: what is going on is the log's to tell.
Status refuse_who_is_here(Engine::Impl& impl, Turn& turn, const Erasure& e) {
  std::size_t logins = 0;
  {
    const std::shared_lock lock(impl.shared);
    for (const auto& [id, s] : impl.sessions)
      logins += s.who.tenant == e.tenant && s.who.principal() == e.person && s.ends_at > turn.now ? 1U : 0U;
  }
  if (logins > 0)
    return still_here("person.signed_in", e.person + " is signed in (" + std::to_string(logins) + " logins)",
                      "daypass sessions ls, daypass sessions end");
  store::Selector theirs = of_tenant(e.tenant);
  theirs.principal = e.person;
  DP_TRY(const auto grants, turn.open_grants(theirs));
  if (!grants.empty())
    return still_here("person.has_access", e.person + " has " + std::to_string(grants.size()) + " grants that are open",
                      "daypass grants ls --all; one that ended is closed once its account is proven gone");
  const ScimBook book(impl.p.vault, turn.tx, e.tenant, idp_of(e.person), turn.now);
  DP_TRY(const auto known, book.person(subject_of(e.person)));
  if (known && known->state != ScimPerson::State::deleted)
    return still_here("person.provisioned", "the identity provider keeps " + e.person + " here (SCIM)",
                      "delete them there first; what is told here of them ends then");
  return {};
}

/// Blocks: on a worker. Lets go of each snapshot soon.
Status look_for_records(Engine::Impl& impl, Erasure& e) {
  std::uint64_t at = 0, size = 0;
  do {
    DP_TRY(const auto reader, impl.p.store.snapshot());
    DP_TRY(const auto head, reader->audit_head(e.tenant));
    size = head.first;
    for (int pages = 0; pages < 32 && at < size; ++pages) {
      if (impl.stopping) return Error{Code::unavailable, "engine.stopping", "the server is stopping"};
      DP_TRY(const auto records, reader->audit(e.tenant, at, page));
      if (records.empty()) break;
      for (const auto& record : records) {
        DP_TRY(const core::AuditEvent event, core::audit_from_canonical(record));
        if (!core::said_of(event, e.person).empty())
          e.records.push_back(event.seq);
        else if (core::names(event, e.person))
          ++e.out.kept;
      }
      at += records.size();
    }
  } while (at < size);
  return {};
}

Status look_for_the_rest(Engine::Impl& impl, Erasure& e) {
  DP_TRY(const auto reader, impl.p.store.snapshot());
  store::Selector theirs = of_tenant(e.tenant);
  theirs.principal = e.person;
  theirs.include_closed = true;
  DP_TRY(const auto grants, reader->grants(theirs));
  for (const auto& grant : grants)
    if (grant.state == core::GrantState::closed) e.grants.push_back(grant.id);
  for (std::string after;;) {
    DP_TRY(const auto documents, reader->list(e.tenant, doc_decision, "", after, page, impl.now()));
    if (documents.empty()) return {};
    after = documents.back().key;
    for (const auto& d : documents) {
      // One that can't be opened says nothing to anybody.
      const auto body = impl.p.vault.open(e.tenant, d.body, "decision " + e.tenant.str() + "/" + d.key);
      if (!body.ok()) continue;
      DP_TRY(const json::Value value, json::parse(body->reveal()));
      const auto facts = facts_from_json(value);
      if (facts.ok() && facts->who.principal() == e.person) e.decisions.push_back(d.key);
    }
  }
}

Status erase_record(Turn& turn, const Erasure& e, std::uint64_t seq) {
  DP_TRY(const auto records, turn.tx.audit(e.tenant, seq, 1));
  if (records.empty()) return {};
  DP_TRY(core::AuditEvent event, core::audit_from_canonical(records.front()));
  store::erase_covered(event, core::said_of(event, e.person));
  return turn.tx.rewrite_audit(e.tenant, seq, core::canonical(event));
}

}  // namespace

/// The steps of an erasure; private to the file.
struct Engine::Impl::Erasing {
  Impl& impl;

  void refuse(const Shared& e, const Error& why) const {
    // From any thread: who is at work is the engine thread's to know.
    Event event;
    event.again = true;
    event.run = [this_ = *this, e, why](Turn& turn) -> Status {
      turn.after.emplace_back([this_, e, why] {
        this_.impl.erasing.erase(e->tenant);
        if (e->done) std::exchange(e->done, nullptr)(why);
      });
      return {};
    };
    impl.post(std::move(event));
  }

  void on_worker(const Shared& e, std::function<void()> work) const {
    impl.p.workers.run(Workers::Pool::audit, e->tenant, std::move(work),
                       [this_ = *this, e](const Error& why) { this_.refuse(e, why); });
  }

  void look(const Shared& e) const {
    for (const auto& step : {look_for_records, look_for_the_rest})
      if (const Status looked = step(impl, *e); !looked.ok()) return refuse(e, looked.error());
    if (e->records.size() + e->grants.size() + e->decisions.size() + e->out.kept == 0)
      return refuse(e, Error{Code::not_found, "person.unknown", "nothing is kept of " + e->person,
                             "daypass audit tail shows who acted, as the log names them"});
    post_some(e);
  }

  void post_some(const Shared& e) const {
    Event event;
    event.failed = [this_ = *this, e](const Error& why) { this_.refuse(e, why); };
    event.run = [this_ = *this, e](Turn& turn) { return this_.some(turn, e); };
    impl.post(std::move(event));
  }

  /// A little at a time: others wait for the engine's thread.
  Status some(Turn& turn, const Shared& e) const {
    if (!impl.serves(e->tenant)) return Error{Code::not_found, "tenant.unknown", "there is no such tenant"};
    if (!e->begun) {
      // They may have come back meanwhile.
      DP_CHECK(refuse_who_is_here(impl, turn, *e));
      turn.actor = e->actor;
      // Before anything goes. Who it is stands nowhere.
      DP_CHECK(turn.audit(e->tenant, "person.erasing", e->id, "ok", {}));
    }
    std::size_t left = erased_at_once;
    const auto take = [&left](const auto& from) {
      const std::size_t n = std::min(left, from.size());
      left -= n;
      return n;
    };
    const std::size_t records = take(e->records), grants = take(e->grants), decisions = take(e->decisions);
    for (std::size_t i = 0; i < records; ++i) DP_CHECK(erase_record(turn, *e, e->records[i]));
    for (std::size_t i = 0; i < grants; ++i) DP_CHECK(turn.tx.remove_closed(e->grants[i]));
    for (std::size_t i = 0; i < decisions; ++i) DP_CHECK(turn.tx.remove(e->tenant, doc_decision, e->decisions[i]));
    turn.after.emplace_back([this_ = *this, e, records, grants, decisions] {
      const auto first = [](auto& from, std::size_t n) {
        from.erase(from.begin(), from.begin() + static_cast<std::ptrdiff_t>(n));
      };
      std::vector<GrantId> gone(e->grants.begin(), e->grants.begin() + static_cast<std::ptrdiff_t>(grants));
      first(e->records, records);
      first(e->grants, grants);
      first(e->decisions, decisions);
      e->begun = true;
      e->out.records += records;
      e->out.grants += grants;
      e->out.decisions += decisions;
      this_.on_worker(e, [this_, e, gone = std::move(gone)] {
        // What their connections did lies beside the store.
        for (const auto& grant : gone) this_.impl.p.sessions.forget(grant);
        if (e->records.empty() && e->grants.empty() && e->decisions.empty())
          this_.scrub(e);
        else
          this_.post_some(e);
      });
    });
    return {};
  }

  void scrub(const Shared& e) const {
    for (int i = 0; i < scrubs && !e->out.scrubbed && !impl.stopping; ++i) e->out.scrubbed = impl.p.store.scrub().ok();
    Event event;
    event.failed = [this_ = *this, e](const Error& why) { this_.refuse(e, why); };
    event.run = [this_ = *this, e](Turn& turn) -> Status {
      turn.actor = e->actor;
      const PersonErased& out = e->out;
      DP_CHECK(turn.audit(e->tenant, "person.erased", e->id, "ok",
                          {{"records", static_cast<std::uint64_t>(out.records)},
                           {"grants", static_cast<std::uint64_t>(out.grants)},
                           {"decisions", static_cast<std::uint64_t>(out.decisions)},
                           {"kept", static_cast<std::uint64_t>(out.kept)},
                           {"scrubbed", out.scrubbed}}));
      turn.after.emplace_back([this_, e] {
        this_.impl.erasing.erase(e->tenant);
        if (e->done) std::exchange(e->done, nullptr)(e->out);
      });
      return {};
    };
    impl.post(std::move(event));
  }
};

void Engine::erase_person(core::TenantId tenant, std::string person, std::string actor, Done<PersonErased> done) {
  if (!core::is_person(person) || person.size() > max_person || !base::is_utf8(person) || config::has_control(person))
    return done(Error{Code::invalid, "person.name", "a person is named provider/subject, as in the log (\"corp/8f3a\")",
                      "daypass audit tail shows who acted"});
  auto e = std::make_shared<Erasure>();
  e->tenant = std::move(tenant);
  e->person = std::move(person);
  e->actor = std::move(actor);
  e->id = "er_" + base::random_token(impl_->p.entropy, 16);
  e->out.id = e->id;
  e->done = std::move(done);
  Impl::Event event;
  event.failed = [e](const Error& why) {
    if (e->done) std::exchange(e->done, nullptr)(why);
  };
  event.run = [impl = impl_.get(), e](Turn& turn) -> Status {
    if (!impl->serves(e->tenant)) return Error{Code::not_found, "tenant.unknown", "there is no such tenant"};
    if (impl->erasing.contains(e->tenant))
      return Error{Code::conflict, "person.busy", "somebody else of this tenant is being erased", "try again later"};
    if (auto no_room = impl->refuse_short()) return *std::move(no_room);
    DP_CHECK(refuse_who_is_here(*impl, turn, *e));
    turn.after.emplace_back([impl, e] {
      impl->erasing.insert(e->tenant);
      const Impl::Erasing erasing{*impl};
      erasing.on_worker(e, [erasing, e] { erasing.look(e); });
    });
    return {};
  };
  impl_->post(std::move(event));
}

}  // namespace daypass::engine
