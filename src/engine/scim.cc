// SCIM 2.0 (RFC 7643, 7644): a provider tells us of its people and groups. Nobody needs to be told of to sign in; who
// is deactivated is out at once and does not come in again.
#include <algorithm>
#include <set>

#include "base/encoding.h"
#include "engine/scim_book.h"
#include "engine/turn.h"
#include "idp/mapping.h"
#include "idp/scim/limits.h"
#include "idp/scim/message.h"
#include "idp/scim/patch.h"
#include "idp/scim/query.h"

namespace daypass::engine {

namespace scim = idp::scim;
using scim::Kind;

namespace {

constexpr std::int64_t max_people = 200'000;  ///< of one provider, those deleted among them
constexpr std::int64_t max_groups = 20'000;
constexpr std::size_t max_members = 50'000;         ///< of one group
constexpr std::size_t max_members_at_once = 5'000;  ///< who join or leave by one request
constexpr std::size_t members_shown = 50'000;       ///< in one answer
constexpr std::size_t scanned_at_once = 500;

Error none(Kind kind, const std::string& id) {
  return {Code::not_found, "scim.not_found",
          std::string("there is no ") + (kind == Kind::user ? "user " : "group ") + json::quote(id.substr(0, 64))};
}
Error taken(const std::string& what) {
  return {Code::conflict, "scim.uniqueness", "another " + what + " already",
          "change or delete that one first; the provider finds it by a filter"};
}
Error full(const std::string& what) {
  return {Code::denied, "scim.full", "there are too many " + what, "assign fewer to Daypass at the provider"};
}

/// What is needed to answer for one provider.
struct Desk {
  Engine::Impl& impl;
  ScimRequest request;
  core::IdpSpec spec;
};
using Desks = std::shared_ptr<const Desk>;

/// Every token is compared, so that the time says nothing of which.
Status check_token(const Desk& desk) {
  bool fits = false;
  for (const auto& reference : desk.spec.scim.tokens) {
    const auto token = scim_token(desk.impl.p.catalog, desk.request.tenant, reference);
    if (token.ok())
      fits = token->equals(desk.request.token.reveal()) || fits;
    else
      desk.impl.p.log.error("a SCIM token can't be used", {{"tenant", desk.request.tenant.str()},
                                                           {"idp", desk.spec.name},
                                                           {"check", token.error().check},
                                                           {"why", token.error().message}});
  }
  if (fits) return {};
  desk.impl.p.log.warn("a SCIM request without a right token is refused",
                       {{"tenant", desk.request.tenant.str()}, {"idp", desk.spec.name}});
  return no_scim_token();
}

// ------------------------------------------------------------------------------------------------------------- reading

/// The record with what filters may ask of it beside its attributes.
Result<json::Object> for_filter(const ScimBook& book, const ScimRecord& record, const scim::Filter& filter) {
  json::Object out = record.resource;
  out.set("id", record.meta.id);
  if (record.kind == Kind::group && filter.mentions("members")) {
    DP_TRY(const auto members, book.members_of(record.meta.id));
    json::Array list;
    for (const auto& id : members) list.push_back(json::Object{{"value", id}, {"type", "User"}});
    if (!list.empty()) out.set("members", std::move(list));
  }
  return out;
}

Result<json::Object> shown(const ScimBook& book, const ScimRecord& record, const std::string& base,
                           const scim::Projection& projection) {
  std::vector<std::string> members;
  const bool with = record.kind == Kind::group && projection.shows("members");
  if (with) {
    DP_TRY(members, book.members_of(record.meta.id));
  }
  return scim::view(record.kind, record.resource, record.meta, with ? &members : nullptr, base, projection);
}

/// The only one that can match, where the filter names it; nullopt where all must be looked at.
Result<std::optional<std::vector<ScimRecord>>> named(const ScimBook& book, Kind kind, const scim::Filter& filter) {
  std::optional<std::string> id = filter.must_equal("id");
  const std::pair<std::string_view, std::string_view> indexes[] = {
      {kind == Kind::user ? "userName" : "displayName", kind == Kind::user ? "user_name" : "group_name"},
      {"externalId", kind == Kind::user ? "user_external" : "group_external"}};
  for (const auto& [attribute, which] : indexes) {
    if (id) break;
    const auto value = filter.must_equal(attribute);
    if (!value) continue;
    DP_TRY(id, book.find(which, attribute == "externalId" ? *value : scim::folded(*value)));
  }
  if (!id) return std::optional<std::vector<ScimRecord>>();
  std::vector<ScimRecord> out;
  if (!id->empty()) {
    DP_TRY(auto record, book.load(kind, *id));
    if (record) out.push_back(std::move(*record));
  }
  return std::optional(std::move(out));
}

Result<ScimAnswer> list(const Desk& desk, const ScimBook& book, Kind kind, const scim::Query& query) {
  json::Array resources;
  std::size_t total = 0, members = 0;
  const auto take = [&](const ScimRecord& record) -> Status {
    ++total;
    // A page is shorter than was asked for before it holds too many members.
    if (total < query.start || resources.size() >= query.count || members > members_shown) return {};
    if (query.projection.shows("members")) members += record.size;
    DP_TRY(json::Object view, shown(book, record, desk.request.base, query.projection));
    resources.emplace_back(std::move(view));
    return {};
  };
  std::optional<std::vector<ScimRecord>> candidates;
  if (query.filter) {
    DP_TRY(candidates, named(book, kind, *query.filter));
  }
  if (candidates) {
    for (const auto& record : *candidates) {
      DP_TRY(const json::Object whole, for_filter(book, record, *query.filter));
      if (query.filter->matches(whole)) DP_CHECK(take(record));
    }
  } else {
    for (std::string after;;) {
      DP_TRY(const auto documents, book.page(kind, after, scanned_at_once));
      for (const auto& document : documents) {
        const bool outside = total + 1 < query.start || resources.size() >= query.count;
        if (!query.filter && outside) {
          ++total;
          continue;
        }
        DP_TRY(const ScimRecord record, book.open(kind, document));
        if (query.filter) {
          DP_TRY(const json::Object whole, for_filter(book, record, *query.filter));
          if (!query.filter->matches(whole)) continue;
        }
        DP_CHECK(take(record));
      }
      if (documents.size() < scanned_at_once) break;
      after = documents.back().key;
      if (!query.filter && resources.size() >= query.count) {
        // How many there are is known; they need not be looked at.
        DP_TRY(const ScimCount count, book.count());
        total = static_cast<std::size_t>(kind == Kind::user ? count.users : count.groups);
        break;
      }
    }
  }
  return ScimAnswer{scim::list_response(std::move(resources), total, query.start), false, {}};
}

Result<ScimAnswer> read(const Desk& desk) {
  const ScimRequest& r = desk.request;
  const auto document = [&](json::Value value) -> Result<ScimAnswer> {
    if (value.is_null())
      return Error{Code::not_found, "scim.not_found", "there is no " + json::quote(r.id.substr(0, 100))};
    return ScimAnswer{std::move(value), false, {}};
  };
  switch (r.what) {
    case ScimRequest::What::provider:
      return document(scim::provider_document(r.base));
    case ScimRequest::What::schemas:
      return document(scim::schemas_document(r.base, r.id));
    case ScimRequest::What::resource_types:
      return document(scim::resource_types_document(r.base, r.id));
    case ScimRequest::What::users:
    case ScimRequest::What::groups:
      break;
  }
  const Kind kind = r.what == ScimRequest::What::users ? Kind::user : Kind::group;
  DP_TRY(const scim::Query query, scim::Query::parse(kind, r.query));
  DP_TRY(const auto reader, desk.impl.p.store.snapshot());
  const ScimBook book(desk.impl.p.vault, *reader, r.tenant, r.idp, desk.impl.now());
  if (r.id.empty()) return list(desk, book, kind, query);
  DP_TRY(const auto record, book.load(kind, r.id));
  if (!record) return none(kind, r.id);
  DP_TRY(json::Object view, shown(book, *record, r.base, query.projection));
  return ScimAnswer{std::move(view), false, {}};
}

// ------------------------------------------------------------------------------------------------------------- writing

/// One change, in one turn: all of it or nothing.
class Clerk {
 public:
  Clerk(const Desk& desk, Turn& turn, scim::Projection projection)
      : desk_(desk),
        impl_(desk.impl),
        turn_(turn),
        tenant_(desk.request.tenant),
        projection_(std::move(projection)),
        book_(desk.impl.p.vault, turn.tx, desk.request.tenant, desk.request.idp, turn.now) {}

  Result<ScimAnswer> create_user(json::Object resource) {
    if (resource.find("active") == nullptr) resource.set("active", true);
    return save_user(std::nullopt, scim::ordered(Kind::user, resource));
  }
  Result<ScimAnswer> replace_user(const std::string& id, json::Object resource) {
    DP_TRY(auto before, existing(Kind::user, id));
    // What a PUT does not say is gone, but silence activates nobody.
    if (resource.find("active") == nullptr) resource.set("active", before.active());
    return save_user(std::move(before), scim::ordered(Kind::user, resource));
  }
  Result<ScimAnswer> patch_user(const std::string& id, const scim::Patch& patch) {
    DP_TRY(auto before, existing(Kind::user, id));
    DP_TRY(json::Object after, scim::apply(Kind::user, before.resource, patch));
    return save_user(std::move(before), std::move(after));
  }
  Result<ScimAnswer> delete_user(const std::string& id) {
    DP_TRY(const auto before, existing(Kind::user, id));
    DP_CHECK(name("user_name", scim::folded(scim::text_of(before.resource, "userName")), {}, id, ""));
    DP_CHECK(name("user_external", scim::text_of(before.resource, "externalId"), {}, id, ""));
    int ended = 0;
    DP_CHECK(leave(before, ended));
    DP_TRY(const auto groups, book_.groups_of(id));
    for (const auto& group : groups) {
      DP_TRY(auto record, existing(Kind::group, group));
      --record.size;
      DP_CHECK(store(record));
      DP_CHECK(membership(group, id, false));
    }
    DP_CHECK(remove(doc_scim_user, book_.key(id)));
    DP_CHECK(counted([](ScimCount& c) { --c.users, ++c.gone; }));
    DP_CHECK(audit("scim.user_deleted", id, {{"sessions_ended", ended}}));
    impl_.metrics.scim_users_ended.fetch_add(1, std::memory_order_relaxed);
    return ScimAnswer{};
  }

  Result<ScimAnswer> create_group(json::Object resource, const std::vector<std::string>& members) {
    return save_group(std::nullopt, std::move(resource), all_of(members), true);
  }
  Result<ScimAnswer> replace_group(const std::string& id, json::Object resource,
                                   const std::vector<std::string>& members) {
    DP_TRY(auto before, existing(Kind::group, id));
    return save_group(std::move(before), std::move(resource), all_of(members), true);
  }
  Result<ScimAnswer> patch_group(const std::string& id, const scim::Patch& patch) {
    DP_TRY(auto before, existing(Kind::group, id));
    DP_TRY(json::Object after, scim::apply(Kind::group, before.resource, patch));
    return save_group(std::move(before), std::move(after), patch.members, false);
  }
  Result<ScimAnswer> delete_group(const std::string& id) {
    DP_TRY(const auto before, existing(Kind::group, id));
    DP_CHECK(name("group_name", scim::folded(scim::text_of(before.resource, "displayName")), {}, id, ""));
    DP_CHECK(name("group_external", scim::text_of(before.resource, "externalId"), {}, id, ""));
    DP_TRY(const auto members, book_.members_of(id));
    for (const auto& user : members) DP_CHECK(membership(id, user, false));
    DP_CHECK(remove(doc_scim_group, book_.key(id)));
    DP_CHECK(counted([](ScimCount& c) { --c.groups; }));
    DP_CHECK(audit("scim.group_deleted", id, group_facts(before, 0, members.size())));
    DP_CHECK(groups_changed({members.begin(), members.end()}));
    return ScimAnswer{};
  }

 private:
  Result<ScimRecord> existing(Kind kind, const std::string& id) {
    DP_TRY(auto record, book_.load(kind, id));
    if (!record) return none(kind, id);
    return std::move(*record);
  }
  Status audit(std::string action, const std::string& id, json::Object facts) {
    json::Object all{{"idp", book_.idp()}};
    for (const auto& [key, value] : facts) all.set(key, value);
    impl_.metrics.scim_changes.fetch_add(1, std::memory_order_relaxed);
    return turn_.audit(tenant_, std::move(action), id, "ok", std::move(all));
  }
  Status remove(std::string_view kind, const std::string& key) {
    DP_TRY([[maybe_unused]] const bool there, turn_.tx.remove(tenant_, kind, key));
    return {};
  }
  Status store(const ScimRecord& record) {
    DP_TRY(std::string sealed, book_.seal(record));
    return turn_.put_document(tenant_, doc_of(record.kind), book_.key(record.meta.id), std::move(sealed), {});
  }
  Status counted(const std::function<void(ScimCount&)>& change) {
    DP_TRY(ScimCount count, book_.count());
    change(count);
    return turn_.put_document(
        tenant_, doc_scim_count, book_.idp(),
        json::dump(json::Object{{"users", count.users}, {"groups", count.groups}, {"gone", count.gone}}), {});
  }
  /// Ids sort in the order in which they are given: pages stay as they are while others are added.
  std::string fresh_id(std::string_view mark) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string time;
    for (auto ms = static_cast<std::uint64_t>(turn_.now.time_since_epoch().count()); time.size() < 12; ms >>= 4U)
      time.insert(time.begin(), digits[ms & 15U]);
    return std::string(mark) + time + base::random_base32(impl_.p.entropy, 16);
  }
  /// A name that one resource has at most; `what` says so when another has it.
  Status name(std::string_view which, const std::string& before, const std::string& after, const std::string& id,
              const std::string& what) {
    if (before == after) return {};
    if (!after.empty()) {
      DP_TRY(const std::string at, book_.index_key(which, after));
      DP_TRY(const auto known, turn_.tx.get(tenant_, doc_scim_index, at, turn_.now));
      if (known && known->body != id) return taken(what);
      DP_CHECK(turn_.put_document(tenant_, doc_scim_index, at, id, {}));
    }
    if (before.empty()) return {};
    DP_TRY(const std::string old, book_.index_key(which, before));
    return remove(doc_scim_index, old);
  }
  ScimAnswer answer(const ScimRecord& record, const std::vector<std::string>* members, bool created) {
    ScimAnswer out;
    out.body = scim::view(record.kind, record.resource, record.meta, members, desk_.request.base, projection_);
    out.created = created;
    out.location = scim::location(record.kind, record.meta.id, desk_.request.base);
    return out;
  }

  // -- users ---------------------------------------------------------------------------------------------------------

  /// What sign-ins of this user will say. Without it a deactivation would end nothing.
  Status read_subject(ScimRecord& user) {
    const std::string& from = desk_.spec.scim.subject_from;
    DP_TRY(const scim::Path path, scim::parse_subject_path(from));
    const json::Value* value = scim::at(user.resource, path);
    user.subject = value == nullptr || value->as_string() == nullptr ? "" : *value->as_string();
    user.folded = !(path.sub != nullptr ? path.sub : path.attribute)->case_exact;
    const bool good = !user.subject.empty() && user.subject.size() <= 255 &&
                      std::ranges::all_of(user.subject, [](char c) { return c >= 0x20 && c < 0x7f; });
    if (!good)
      return Error{Code::invalid, "scim.value",
                   from + (user.subject.empty() ? " is missing" : " is not 1 to 255 printable ASCII characters") +
                       ": it must be what sign-ins of this person have as their subject",
                   "map it in the provider's attribute mapping; [idp.scim] subject says which attribute it is"};
    return {};
  }
  Status set_person(const std::string& at, ScimPerson::State state, const std::string& id) {
    constexpr std::string_view words[] = {"active", "inactive", "deleted"};
    return turn_.put_document(tenant_, doc_scim_person, at,
                              json::dump(json::Object{{"id", id}, {"state", words[static_cast<std::size_t>(state)]}}),
                              {});
  }
  [[nodiscard]] bool is_of(const ScimRecord& user, const core::Identity& who) const {
    return who.tenant == tenant_ && who.idp == book_.idp() &&
           (user.folded ? scim::same_word(who.subject, user.subject) : who.subject == user.subject);
  }
  /// Like a logout that the provider told: every login session of the person at it ends, and what hangs on them.
  Status sign_out(const ScimRecord& user, int& ended) {
    DP_TRY(const int n, impl_.end_sessions(turn_, tenant_, core::EndReason::signal, book_.idp(),
                                           [&](const core::Identity& who) { return is_of(user, who); }));
    ended += n;
    return {};
  }
  /// The subject has no user any more, and stays out.
  Status leave(const ScimRecord& user, int& ended) {
    DP_TRY(const std::string at, book_.person_key(user.subject, user.folded));
    DP_CHECK(set_person(at, ScimPerson::State::deleted, ""));
    return sign_out(user, ended);
  }

  Result<ScimAnswer> save_user(std::optional<ScimRecord> before, json::Object resource) {
    ScimRecord user;
    user.kind = Kind::user;
    user.resource = std::move(resource);
    user.meta = before ? before->meta : scim::Meta{fresh_id("su_"), turn_.now, turn_.now};
    DP_CHECK(read_subject(user));
    const bool same_subject = before && before->subject == user.subject && before->folded == user.folded;
    // Said again is not done again.
    if (same_subject && before->resource == user.resource) return answer(user, nullptr, false);
    user.meta.modified = turn_.now;
    const json::Object nothing;
    const json::Object& old = before ? before->resource : nothing;
    const std::string& id = user.meta.id;
    DP_CHECK(name("user_name", scim::folded(scim::text_of(old, "userName")),
                  scim::folded(scim::text_of(user.resource, "userName")), id, "user has this userName"));
    DP_CHECK(name("user_external", scim::text_of(old, "externalId"), scim::text_of(user.resource, "externalId"), id,
                  "user has this externalId"));
    int ended = 0;
    bool back = false;
    DP_TRY(const std::string at, book_.person_key(user.subject, user.folded));
    if (!same_subject) {
      DP_TRY(const auto known, book_.person_at(at));
      if (known && known->state != ScimPerson::State::deleted && known->id != id)
        return taken("user has this " + desk_.spec.scim.subject_from + ", the subject of sign-ins,");
      back = known && known->state == ScimPerson::State::deleted;
      if (before) DP_CHECK(change_subject(*before, user, ended));
    }
    const bool left_one = before && before->subject != user.subject;
    if (!before || back || left_one) DP_CHECK(make_room(!before, back, left_one));
    DP_CHECK(set_person(at, user.active() ? ScimPerson::State::active : ScimPerson::State::inactive, id));
    if (!user.active() && (!same_subject || before->active())) DP_CHECK(sign_out(user, ended));
    DP_CHECK(store(user));
    std::string action = "scim.user_updated";
    if (!before)
      action = "scim.user_created";
    else if (before->active() != user.active())
      action = user.active() ? "scim.user_activated" : "scim.user_deactivated";
    DP_CHECK(audit(action, id, {{"active", user.active()}, {"sessions_ended", ended}}));
    if (!user.active()) impl_.metrics.scim_users_ended.fetch_add(1, std::memory_order_relaxed);
    return answer(user, nullptr, !before);
  }
  /// The same person under another rule of the configuration keeps what is known; another subject leaves the old one.
  Status change_subject(const ScimRecord& before, const ScimRecord& after, int& ended) {
    if (before.subject != after.subject) return leave(before, ended);
    DP_TRY(const std::string old, book_.person_key(before.subject, before.folded));
    return remove(doc_scim_person, old);
  }
  Status make_room(bool is_new, bool back, bool left_one) {
    DP_TRY(const ScimCount count, book_.count());
    if (is_new && count.users + count.gone >= max_people) return full("users");
    return counted([&](ScimCount& c) { c.users += is_new ? 1 : 0, c.gone += (left_one ? 1 : 0) - (back ? 1 : 0); });
  }

  // -- groups --------------------------------------------------------------------------------------------------------

  static scim::MembersChange all_of(const std::vector<std::string>& members) {
    scim::MembersChange out;
    out.cleared = true;
    for (const auto& id : members) out.said.emplace(id, true);
    return out;
  }
  static json::Object group_facts(const ScimRecord& group, std::size_t joined, std::size_t left) {
    return {{"group", scim::text_of(group.resource, "displayName")},
            {"members_joined", static_cast<std::int64_t>(joined)},
            {"members_left", static_cast<std::int64_t>(left)}};
  }
  Status membership(const std::string& group, const std::string& user, bool joins) {
    if (!joins) {
      DP_CHECK(remove(doc_scim_member, book_.member_key(group, user)));
      return remove(doc_scim_member, book_.membership_key(user, group));
    }
    DP_CHECK(turn_.put_document(tenant_, doc_scim_member, book_.member_key(group, user), "1", {}));
    return turn_.put_document(tenant_, doc_scim_member, book_.membership_key(user, group), "1", {});
  }
  /// Who really joins and leaves.
  Status sort_out(const std::string& group, const scim::MembersChange& change, std::vector<std::string>& joined,
                  std::vector<std::string>& left) {
    if (change.cleared) {
      DP_TRY(const auto all, book_.members_of(group));
      const std::set<std::string> had(all.begin(), all.end());
      for (const auto& id : had)
        if (const auto said = change.said.find(id); said == change.said.end() || !said->second) left.push_back(id);
      for (const auto& [id, in] : change.said)
        if (in && !had.contains(id)) joined.push_back(id);
    } else {
      for (const auto& [id, in] : change.said) {
        DP_TRY(const bool had, book_.is_member(group, id));
        if (had != in) (in ? joined : left).push_back(id);
      }
    }
    if (joined.size() + left.size() > max_members_at_once)
      return Error{Code::invalid, "scim.too_many",
                   "more than " + std::to_string(max_members_at_once) + " members join or leave by one request",
                   "send them in several"};
    for (const auto& id : joined) {
      DP_TRY(const bool known, book_.exists(Kind::user, id));
      if (!known)
        return Error{Code::invalid, "scim.value", "members names " + json::quote(id) + ", and there is no such user",
                     "assign the person to Daypass at the provider, too"};
    }
    return {};
  }

  Result<ScimAnswer> save_group(std::optional<ScimRecord> before, json::Object resource,
                                const scim::MembersChange& change, bool whole) {
    ScimRecord group;
    group.kind = Kind::group;
    group.resource = std::move(resource);
    group.meta = before ? before->meta : scim::Meta{fresh_id("sg_"), turn_.now, turn_.now};
    group.size = before ? before->size : 0;
    const std::string& id = group.meta.id;
    std::vector<std::string> joined, left, shown;
    DP_CHECK(sort_out(id, change, joined, left));
    if (whole)
      for (const auto& [member, in] : change.said) shown.push_back(member);
    const auto said = [&](bool created) -> ScimAnswer {
      // RFC 7644 section 3.5.2: a PATCH may go without the resource, and a large group is long.
      return whole ? answer(group, &shown, created) : ScimAnswer{};
    };
    if (before && before->resource == group.resource && joined.empty() && left.empty()) return said(false);
    group.meta.modified = turn_.now;
    group.size = group.size + joined.size() - left.size();
    if (group.size > max_members) return full("members in this group");
    const json::Object nothing;
    const json::Object& old = before ? before->resource : nothing;
    // Two groups of one name would be one to policies: who may make a group would be in any.
    const std::string old_name = scim::text_of(old, "displayName");
    const std::string new_name = scim::text_of(group.resource, "displayName");
    DP_CHECK(name("group_name", scim::folded(old_name), scim::folded(new_name), id, "group has this displayName"));
    DP_CHECK(name("group_external", scim::text_of(old, "externalId"), scim::text_of(group.resource, "externalId"), id,
                  "group has this externalId"));
    for (const auto& user : joined) DP_CHECK(membership(id, user, true));
    for (const auto& user : left) DP_CHECK(membership(id, user, false));
    if (!before) {
      DP_TRY(const ScimCount count, book_.count());
      if (count.groups >= max_groups) return full("groups");
      DP_CHECK(counted([](ScimCount& c) { ++c.groups; }));
    }
    DP_CHECK(store(group));
    DP_CHECK(audit(before ? "scim.group_updated" : "scim.group_created", id,
                   group_facts(group, joined.size(), left.size())));
    std::set<std::string> concerned(joined.begin(), joined.end());
    concerned.insert(left.begin(), left.end());
    if (before && old_name != new_name) {
      DP_TRY(const auto members, book_.members_of(id));
      concerned.insert(members.begin(), members.end());
    }
    DP_CHECK(groups_changed(concerned));
    return said(!before);
  }

  /// Who of these is signed in gets the groups of now, and what hung on a lost one ends.
  Status groups_changed(const std::set<std::string>& users) {
    if (!desk_.spec.scim.groups || users.empty()) return {};
    std::vector<LoginSession> signed_in;
    {
      const std::shared_lock lock(impl_.shared);
      for (const auto& [id, s] : impl_.sessions)
        if (s.who.tenant == tenant_ && s.who.idp == book_.idp()) signed_in.push_back(s);
    }
    // A few people among many who are signed in, or the other way round.
    std::vector<ScimRecord> named;
    if (users.size() <= 8)
      for (const auto& id : users) {
        DP_TRY(auto user, book_.load(Kind::user, id));
        if (user) named.push_back(std::move(*user));
      }
    const auto concerned = [&](const core::Identity& who) -> Result<bool> {
      if (users.size() <= 8) return std::ranges::any_of(named, [&](const auto& user) { return is_of(user, who); });
      DP_TRY(const auto person, book_.person(who.subject));
      return person && users.contains(person->id);
    };
    for (auto& s : signed_in) {
      DP_TRY(const bool yes, concerned(s.who));
      if (!yes) continue;
      const auto renewed = impl_.renew_session(turn_, s.id, s.who);
      // Whose groups can't be told any more has none to go on with. One that ended meanwhile is no concern.
      if (!renewed.ok() && renewed.error().check != "session.unknown")
        DP_CHECK(impl_.end_session(turn_, tenant_, s.id, core::EndReason::signal, book_.idp(), nullptr));
    }
    return {};
  }

  const Desk& desk_;
  Engine::Impl& impl_;
  Turn& turn_;
  core::TenantId tenant_;
  scim::Projection projection_;
  ScimBook book_;
};

/// What is to be done in the turn, read and judged before it.
using Work = std::move_only_function<Result<ScimAnswer>(Clerk&)>;

Result<Work> prepare(const ScimRequest& r) {
  const Kind kind = r.what == ScimRequest::What::users ? Kind::user : Kind::group;
  if (r.method == "DELETE")
    return Work([kind, id = r.id](Clerk& c) { return kind == Kind::user ? c.delete_user(id) : c.delete_group(id); });
  DP_TRY(const json::Value body, json::parse(r.body, scim::body_limits));
  if (r.method == "PATCH") {
    DP_TRY(scim::Patch patch, scim::parse_patch(kind, body, max_members_at_once));
    return Work([kind, id = r.id, patch = std::move(patch)](Clerk& c) {
      return kind == Kind::user ? c.patch_user(id, patch) : c.patch_group(id, patch);
    });
  }
  DP_TRY(json::Object resource, scim::read_resource(kind, body));
  if (kind == Kind::user)
    return Work([id = r.id, resource = std::move(resource)](Clerk& c) {
      return id.empty() ? c.create_user(resource) : c.replace_user(id, resource);
    });
  const json::Value* given = nullptr;
  for (const auto& [key, value] : *body.as_object())
    if (scim::same_word(key, "members")) given = &value;
  DP_TRY(std::vector<std::string> members, scim::read_members(given, max_members));
  return Work([id = r.id, resource = std::move(resource), members = std::move(members)](Clerk& c) {
    return id.empty() ? c.create_group(resource, members) : c.replace_group(id, resource, members);
  });
}

void write(const Desks& desk, const std::shared_ptr<Done<ScimAnswer>>& answer) {
  auto work = prepare(desk->request);
  if (!work.ok()) return (*answer)(std::move(work).error());
  auto query = scim::Query::parse(Kind::user, desk->request.query);
  if (!query.ok()) return (*answer)(std::move(query).error());
  desk->impl.call<ScimAnswer>(
      [answer](Result<ScimAnswer> r) { (*answer)(std::move(r)); },
      [desk, work = std::move(*work), projection = query->projection](Turn& turn) mutable -> Result<ScimAnswer> {
        const ScimRequest& r = desk->request;
        turn.actor = r.idp;
        if (!desk->impl.serves(r.tenant)) return no_scim_token();
        Clerk clerk(*desk, turn, std::move(projection));
        return work(clerk);
      });
}

}  // namespace

void Engine::scim(ScimRequest request, Done<ScimAnswer> done) {
  Impl& impl = *impl_;
  const auto world = impl.serves(request.tenant) ? impl.tenant(request.tenant) : nullptr;
  const core::IdpSpec* spec = world == nullptr ? nullptr : world->spec.idp(request.idp);
  if (spec == nullptr || spec->scim.tokens.empty() || request.token.empty()) return done(no_scim_token());
  auto answer = std::make_shared<Done<ScimAnswer>>(std::move(done));
  const core::TenantId tenant = request.tenant;
  // Who takes away has threads that who looks does not hold up.
  const bool reads = request.method == "GET";
  const auto desk = std::make_shared<const Desk>(Desk{impl, std::move(request), *spec});
  impl.p.workers.run(
      reads ? Workers::Pool::idp : Workers::Pool::signal, tenant,
      [desk, answer, reads] {
        if (Status allowed = check_token(*desk); !allowed.ok()) return (*answer)(std::move(allowed).error());
        if (reads)
          (*answer)(read(*desk));
        else
          write(desk, answer);
      },
      [answer](Error e) { (*answer)(std::move(e)); });
}

Error no_scim_token() {
  return {Code::unauthenticated, "scim.token", "the bearer token is missing or not one of this identity provider's",
          "set [idp.scim] tokens in the provider's file, and the same token at the provider"};
}

Result<base::Secret> scim_token(const Catalog& catalog, const core::TenantId& tenant, const std::string& reference) {
  constexpr std::size_t least = 24;
  if (!catalog.secrets) return Error{Code::internal, "scim.token_unreadable", "secrets can't be read here"};
  DP_TRY(base::Secret token, catalog.secrets(tenant, core::SecretRef{reference}));
  if (token.size() < least)
    return Error{Code::invalid, "scim.token_short",
                 "the SCIM token in " + reference + " has less than " + std::to_string(least) + " characters",
                 "make one with: openssl rand -base64 32"};
  return token;
}

Status Engine::Impl::consult_directory(Turn& turn, core::Identity& who) {
  const ScimBook book(p.vault, turn.tx, who.tenant, who.idp, turn.now);
  DP_TRY(const auto person, book.person(who.subject));
  if (person && person->state != ScimPerson::State::active)
    return Error{Code::denied, "login.deactivated",
                 "the directory of " + who.idp + " has deactivated or deleted this account",
                 "ask its administrator to activate the account, or to assign it to Daypass again"};
  const auto world = tenant(who.tenant);
  const core::IdpSpec* spec = world == nullptr ? nullptr : world->spec.idp(who.idp);
  if (spec == nullptr || !spec->scim.groups) return {};
  who.groups.clear();
  if (!person) return {};
  DP_TRY(const auto groups, book.groups_of(person->id));
  if (groups.size() > idp::max_set_entries)
    return Error{Code::denied, "mapping.too_many",
                 "the directory of " + who.idp + " has this account in more than " +
                     std::to_string(idp::max_set_entries) + " groups",
                 "push only the groups to Daypass that policies name"};
  for (const auto& id : groups) {
    DP_TRY(const auto group, book.load(Kind::group, id));
    if (group) who.groups.insert(scim::text_of(group->resource, "displayName"));
  }
  return {};
}

}  // namespace daypass::engine
