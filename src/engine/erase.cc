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
/// The store's log is emptied when nobody reads it: so often it is tried, and so long is waited in between.
constexpr int scrubs = 40;
constexpr base::Millis scrub_again{500};

/// One erasure, from the question to the answer.
struct Erasure {
  core::TenantId tenant;
  std::string person, actor, id;
  Done<PersonErased> done;
  /// What is still to go.
  std::vector<std::uint64_t> records;
  std::vector<GrantId> grants;
  std::vector<std::string> decisions;
  std::vector<GrantId> noted;  ///< of others, whose note names them
  int scrubbed = 0;            ///< how often it was tried
  bool idle = false;           ///< nothing was there to be erased
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
  {
    const std::shared_lock lock(impl.shared);
    const auto freeze = impl.freezes.find(e.tenant);
    if (freeze != impl.freezes.end() && freeze->second.by == e.person)
      return still_here("person.froze", "a freeze of " + e.person + " holds", "daypass thaw first");
  }
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
        if (const auto said = core::said_of(event, e.person); !said.empty()) {
          e.records.push_back(event.seq);
          if (event.action == "grant.ended" && std::ranges::find(said, "facts.note") != said.end() &&
              json::Value(event.facts).string_or("principal") != e.person)
            e.noted.push_back({e.tenant, event.object});
        } else if (core::names(event, e.person)) {
          ++e.out.kept;
        }
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

/// True: it said something of them.
Result<bool> erase_record(Turn& turn, const Erasure& e, std::uint64_t seq) {
  DP_TRY(const auto records, turn.tx.audit(e.tenant, seq, 1));
  if (records.empty()) return false;
  DP_TRY(core::AuditEvent event, core::audit_from_canonical(records.front()));
  const auto said = core::said_of(event, e.person);
  if (said.empty()) return false;
  store::erase_covered(event, said);
  DP_CHECK(turn.tx.rewrite_audit(e.tenant, seq, core::canonical(event)));
  return true;
}

/// Who ended somebody else's grant stands in that, too, as long as it is kept.
Result<bool> erase_note(Turn& turn, const Erasure& e, const GrantId& id) {
  DP_TRY(auto grant, turn.tx.load_grant(id));
  if (!grant || grant->state != core::GrantState::closed || !core::names_in(grant->end_note, e.person)) return false;
  grant->end_note.clear();
  DP_CHECK(turn.tx.save_grant(*grant));
  return true;
}

/// Who set a secret stands beside it.
Result<std::size_t> erase_setters(Turn& turn, const Erasure& e) {
  std::size_t out = 0;
  DP_TRY(const auto secrets, turn.tx.list(e.tenant, doc_secret, "", "", page, turn.now));
  for (const auto& secret : secrets) {
    DP_TRY(json::Value body, json::parse(secret.body));
    if (body.string_or("set_by") != e.person) continue;
    body.as_object()->set("set_by", "");
    DP_CHECK(turn.put_document(e.tenant, doc_secret, secret.key, json::dump(body), secret.expires_at, secret.version));
    ++out;
  }
  return out;
}

template <class T>
std::vector<T> first_of(std::vector<T>& from, std::size_t n) {
  const auto end = from.begin() + static_cast<std::ptrdiff_t>(std::min(n, from.size()));
  std::vector<T> out(std::make_move_iterator(from.begin()), std::make_move_iterator(end));
  from.erase(from.begin(), end);
  return out;
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
      turn.after.emplace_back([this_, e, why] { this_.over(e, why); });
      return {};
    };
    impl.post(std::move(event));
  }
  void over(const Shared& e, Result<PersonErased> outcome) const {
    impl.erasing.erase(e->tenant);
    if (e->done) std::exchange(e->done, nullptr)(std::move(outcome));
  }

  void on_worker(const Shared& e, std::function<void()> work) const {
    impl.p.workers.run(Workers::Pool::audit, e->tenant, std::move(work),
                       [this_ = *this, e](const Error& why) { this_.refuse(e, why); });
  }
  void on_engine(const Shared& e, std::move_only_function<Status(Turn&)> run) const {
    Event event;
    event.failed = [this_ = *this, e](const Error& why) { this_.refuse(e, why); };
    event.run = std::move(run);
    impl.post(std::move(event));
  }

  /// On a worker.
  void look(const Shared& e) const {
    for (const auto& step : {look_for_records, look_for_the_rest})
      if (const Status looked = step(impl, *e); !looked.ok()) return refuse(e, looked.error());
    e->idle = e->records.size() + e->grants.size() + e->decisions.size() + e->out.kept == 0;
    if (e->idle)
      scrub(e);
    else
      on_engine(e, [this_ = *this, e](Turn& turn) { return this_.begin(turn, e); });
  }

  Status begin(Turn& turn, const Shared& e) const {
    // They may have come back meanwhile.
    DP_CHECK(refuse_who_is_here(impl, turn, *e));
    DP_TRY(e->out.notes, erase_setters(turn, *e));
    turn.after.emplace_back([this_ = *this, e] { this_.on_worker(e, [this_, e] { this_.next(e); }); });
    return {};
  }

  /// On a worker: a little at a time, as others wait for the engine's thread. What lies beside the store goes first:
  /// the row of a grant is what says that there may be something of it.
  void next(const Shared& e) const {
    if (e->records.empty() && e->grants.empty() && e->decisions.empty() && e->noted.empty()) return scrub(e);
    auto some = std::make_shared<Erasure>();
    some->tenant = e->tenant;
    some->person = e->person;
    some->records = first_of(e->records, erased_at_once);
    some->grants = first_of(e->grants, erased_at_once);
    some->decisions = first_of(e->decisions, erased_at_once);
    some->noted = first_of(e->noted, erased_at_once);
    for (const auto& grant : some->grants)
      if (const Status gone = impl.p.sessions.forget(grant); !gone.ok()) return refuse(e, gone.error());
    on_engine(e, [this_ = *this, e, some](Turn& turn) { return this_.erase(turn, e, *some); });
  }

  Status erase(Turn& turn, const Shared& e, const Erasure& some) const {
    if (!impl.serves(e->tenant)) return Error{Code::not_found, "tenant.unknown", "there is no such tenant"};
    PersonErased gone;
    const auto count = [](std::size_t& what, bool one) { what += one ? 1U : 0U; };
    for (const auto& id : some.noted) {
      DP_TRY(const bool one, erase_note(turn, some, id));
      count(gone.notes, one);
    }
    for (const std::uint64_t seq : some.records) {
      DP_TRY(const bool one, erase_record(turn, some, seq));
      count(gone.records, one);
    }
    for (const auto& grant : some.grants) {
      DP_TRY(const bool one, turn.tx.remove_closed(grant));
      count(gone.grants, one);
    }
    for (const auto& decision : some.decisions) {
      DP_TRY(const bool one, turn.tx.remove(e->tenant, doc_decision, decision));
      count(gone.decisions, one);
    }
    turn.actor = e->actor;
    // In the transaction that does it: the log accounts for each record that was changed. Who it is stands nowhere.
    DP_CHECK(turn.audit(e->tenant, "person.erasing", e->id, "ok",
                        {{"records", static_cast<std::uint64_t>(gone.records)},
                         {"grants", static_cast<std::uint64_t>(gone.grants)},
                         {"decisions", static_cast<std::uint64_t>(gone.decisions)}}));
    turn.after.emplace_back([this_ = *this, e, gone] {
      e->out.records += gone.records;
      e->out.grants += gone.grants;
      e->out.decisions += gone.decisions;
      e->out.notes += gone.notes;
      this_.on_worker(e, [this_, e] { this_.next(e); });
    });
    return {};
  }

  /// On a worker.
  void scrub(const Shared& e) const {
    e->out.scrubbed = impl.p.store.scrub().ok();
    if (e->out.scrubbed || ++e->scrubbed == scrubs)
      return on_engine(e, [this_ = *this, e](Turn& turn) { return this_.end(turn, e); });
    // Somebody reads it.
    auto again = std::make_shared<Event>();
    again->run = [this_ = *this, e](Turn& turn) -> Status {
      turn.after.emplace_back([this_, e] { this_.on_worker(e, [this_, e] { this_.scrub(e); }); });
      return {};
    };
    again->failed = [this_ = *this, e](const Error& why) { this_.refuse(e, why); };
    on_engine(e, [this_ = *this, again](Turn& turn) -> Status {
      turn.after.emplace_back([this_, again] {
        this_.impl.timers.emplace(
            this_.impl.now() + scrub_again,
            Timer{.kind = Timer::Kind::retry, .grant = {}, .tenant = {}, .session = {}, .done = {}, .retry = again});
      });
      return {};
    });
  }

  Status end(Turn& turn, const Shared& e) const {
    const PersonErased& out = e->out;
    if (e->idle) {
      const Error nothing{Code::not_found, "person.unknown", "nothing is kept of " + e->person,
                          "daypass audit tail shows who acted, as the log names them"};
      const Error unscrubbed{Code::unavailable, "person.unscrubbed",
                             "nothing is kept of " + e->person + ", but the store's files may hold what was erased",
                             "they are read all the time; try again later"};
      turn.after.emplace_back([this_ = *this, e, why = out.scrubbed ? nothing : unscrubbed] { this_.over(e, why); });
      return {};
    }
    if (!impl.serves(e->tenant)) return Error{Code::not_found, "tenant.unknown", "there is no such tenant"};
    turn.actor = e->actor;
    DP_CHECK(turn.audit(e->tenant, "person.erased", e->id, "ok",
                        {{"records", static_cast<std::uint64_t>(out.records)},
                         {"grants", static_cast<std::uint64_t>(out.grants)},
                         {"decisions", static_cast<std::uint64_t>(out.decisions)},
                         {"notes", static_cast<std::uint64_t>(out.notes)},
                         {"kept", static_cast<std::uint64_t>(out.kept)},
                         {"scrubbed", out.scrubbed}}));
    turn.after.emplace_back([this_ = *this, e] { this_.over(e, e->out); });
    return {};
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
      return Error{Code::conflict, "person.busy", "somebody of this tenant is being erased", "try again later"};
    if (auto no_room = impl->refuse_short()) return *std::move(no_room);
    DP_CHECK(refuse_who_is_here(*impl, turn, *e));
    turn.last = true;  // the next one of this tenant must find this one
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
