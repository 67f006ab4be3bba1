// The pure part: what is kept of a role's use, and what a report makes of it.
#include <algorithm>

#include "engine/usage.h"

namespace daypass::engine {

namespace json = base::json;
using base::Code;
using base::Error;
using Day = RoleUse::Day;
using State = UnusedRights::Role::State;

namespace {

void later(std::optional<Day>& mine, const std::optional<Day>& other) {
  if (other && (!mine || *mine < *other)) mine = other;
}

json::Value number(const std::optional<Day>& day) {
  return day ? json::Value(std::int64_t{day->time_since_epoch().count()}) : json::Value();
}
std::optional<Day> day_of(const json::Value* value) {
  // A thousand years on either side of 1970 will do.
  const std::int64_t* n = value == nullptr ? nullptr : value->as_int();
  if (n == nullptr || *n < -365'000 || *n > 365'000) return std::nullopt;
  return Day(std::chrono::days(*n));
}

std::optional<Day> last_of(const RoleUse::Last& last) {
  std::optional<Day> out = last.read;
  later(out, last.written);
  return out;
}

std::string principal_of(const cedar::ScopeTest& test) {
  using Kind = cedar::ScopeTest::Kind;
  const std::string entity = test.entities.empty() ? "" : test.entities.front().to_string();
  switch (test.kind) {
    case Kind::any:
      return "";
    case Kind::equal:
      return entity;
    case Kind::in:
      return "whoever is in " + entity;
    case Kind::is:
      return "every " + test.type;
    case Kind::is_in:
      return "every " + test.type + " in " + entity;
  }
  return "";
}

bool concerns_assuming(const cedar::ScopeTest& action) {
  return action.kind == cedar::ScopeTest::Kind::any ||
         std::ranges::find(action.entities, cedar::EntityUid{"Action", "assume"}) != action.entities.end();
}

bool concerns(const Tenant& tenant, const cedar::ScopeTest& resource, const cedar::EntityUid& role) {
  using Kind = cedar::ScopeTest::Kind;
  const bool in = !resource.entities.empty() &&
                  (resource.entities.front() == role || tenant.resources->is_in(role, resource.entities.front()));
  switch (resource.kind) {
    case Kind::any:
      return true;
    case Kind::equal:
      return !resource.entities.empty() && resource.entities.front() == role;
    case Kind::in:
      return in;
    case Kind::is:
      return resource.type == role.type;
    case Kind::is_in:
      return resource.type == role.type && in;
  }
  return true;
}

std::string named(const std::vector<UnusedRights::Policy>& policies, bool this_alone) {
  constexpr std::size_t most = 3;
  std::string out;
  std::size_t n = 0;
  for (const auto& p : policies) {
    if (p.this_alone != this_alone) continue;
    if (++n <= most) out += (out.empty() ? "" : ", ") + p.id + " (" + p.file + ":" + std::to_string(p.line) + ")";
  }
  if (n > most) out += " and " + std::to_string(n - most) + " more";
  return out;
}

std::string hint_for(const UnusedRights::Role& role) {
  const std::string own = named(role.policies, true), wide = named(role.policies, false);
  switch (role.state) {
    case State::used:
    case State::early:
      return "";
    case State::unclear:
      return "the activity records of its connections say what was done with it";
    case State::partly:
      return "its group gives more than was used: take it from the group, or make a role of what was used and name "
             "that in " +
             (own.empty() ? wide.empty() ? std::string("a policy") : wide : own);
    case State::unused:
    case State::unwanted:
      break;
  }
  if (role.policies.empty()) return "no policy gives it: take it out of the tenant's roles";
  std::string out = own.empty() ? "" : "take out " + own;
  if (!wide.empty()) out += (out.empty() ? "narrow " : ", and narrow ") + wide + ", which give more than this role";
  return out;
}

}  // namespace

void RoleUse::note_given(Day today) {
  if (since == Day{}) since = today;
  ++grants;
  later(given, today);
}

void RoleUse::note_connection(const ConnectionStats& stats, Day today) {
  if (since == Day{}) since = today;
  ++connections;
  later(connected, today);
  if (!stats.named_all) later(unread, today);
  for (const auto& one : stats.named) {
    Last last;
    if (one.read) last.read = today;
    if (one.written) last.written = today;
    keep({one.schema, one.name}, last, today);
  }
}

void RoleUse::keep(const std::pair<std::string, std::string>& key, const Last& last, Day today) {
  auto it = named.find(key);
  if (it == named.end()) {
    if (named.size() >= most_named) {
      const auto oldest = std::ranges::min_element(
          named, {}, [](const auto& entry) { return last_of(entry.second).value_or(Day::min()); });
      if (today - last_of(oldest->second).value_or(Day{}) > longest_report)
        named.erase(oldest);
      else
        return later(unread, today);
    }
    it = named.emplace(key, Last{}).first;
  }
  later(it->second.read, last.read);
  later(it->second.written, last.written);
}

void RoleUse::add(const RoleUse& newer) {
  if (since == Day{} || (newer.since != Day{} && newer.since < since)) since = newer.since;
  grants += newer.grants;
  connections += newer.connections;
  later(given, newer.given);
  later(connected, newer.connected);
  later(unread, newer.unread);
  for (const auto& [key, last] : newer.named) keep(key, last, last_of(last).value_or(newer.since));
}

std::string RoleUse::text() const {
  json::Array tables;
  for (const auto& [key, last] : named)
    tables.push_back(json::Array{key.first, key.second, number(last.read), number(last.written)});
  json::Object out{{"v", 1},
                   {"since", number(since)},
                   {"grants", grants},
                   {"connections", connections},
                   {"named", std::move(tables)}};
  if (given) out.set("given", number(given));
  if (connected) out.set("connected", number(connected));
  if (unread) out.set("unread", number(unread));
  return json::dump(json::Value(std::move(out)));
}

Result<RoleUse> RoleUse::parse(std::string_view text) {
  const auto body = json::parse(text);
  const auto since = body.ok() ? day_of(body->find("since")) : std::nullopt;
  if (!since) return Error{Code::internal, "usage.shape", "what is kept of a role's use can't be read"};
  RoleUse out;
  out.since = *since;
  out.grants = static_cast<std::uint64_t>(std::max<std::int64_t>(body->int_or("grants", 0), 0));
  out.connections = static_cast<std::uint64_t>(std::max<std::int64_t>(body->int_or("connections", 0), 0));
  out.given = day_of(body->find("given"));
  out.connected = day_of(body->find("connected"));
  out.unread = day_of(body->find("unread"));
  const json::Value* tables = body->find("named");
  if (tables == nullptr || tables->as_array() == nullptr) return out;
  for (const auto& table : *tables->as_array()) {
    const json::Array* row = table.as_array();
    if (row == nullptr || row->size() != 4 || (*row)[0].as_string() == nullptr || (*row)[1].as_string() == nullptr)
      continue;
    out.named.insert_or_assign({*(*row)[0].as_string(), *(*row)[1].as_string()},
                               Last{day_of(&(*row)[2]), day_of(&(*row)[3])});
  }
  return out;
}

std::vector<UnusedRights::Policy> giving_policies(const Tenant& tenant, const core::RoleId& role) {
  const cedar::EntityUid uid{"Role", role.str()};
  std::vector<UnusedRights::Policy> out;
  for (const auto& policy : tenant.policies.policies()) {
    if (policy.effect() != cedar::Effect::permit || !concerns_assuming(policy.action()) ||
        !concerns(tenant, policy.resource(), uid))
      continue;
    const auto& resource = policy.resource();
    const bool alone = (resource.kind == cedar::ScopeTest::Kind::equal || resource.kind == cedar::ScopeTest::Kind::in ||
                        resource.kind == cedar::ScopeTest::Kind::is_in) &&
                       resource.entities.size() == 1 && resource.entities.front() == uid;
    out.push_back({policy.id(), policy.file(), policy.line(), principal_of(policy.principal()),
                   !policy.conditions().empty(), alone});
  }
  return out;
}

UnusedRights::Role judge_use(const Tenant& tenant, const core::RoleId& id, const RoleUse& use,
                             const Result<target::Holdings>& gives, int days, base::WallTime now) {
  const Day today = std::chrono::floor<std::chrono::days>(now);
  const Day cutoff = today - std::chrono::days(days);
  const auto fresh = [&](const std::optional<Day>& day) { return day && *day > cutoff; };
  UnusedRights::Role out{.state = State::used,
                         .role = id,
                         .since = use.since,
                         .grants = use.grants,
                         .connections = use.connections,
                         .given = use.given,
                         .connected = use.connected,
                         .used = {},
                         .objects = {},
                         .unreachable = {},
                         .unread = use.unread,
                         .policies = giving_policies(tenant, id),
                         .hint = {}};
  std::size_t used = 0;
  if (gives.ok()) {
    out.objects_all = gives->all;
    for (const auto& object : gives->objects) {
      UnusedRights::Object one{object, {}, {}, true};
      // What was named without a schema may have been any of that name.
      for (const auto& schema : {object.schema, std::string()})
        if (const auto it = use.named.find({schema, object.name}); it != use.named.end()) {
          later(one.read, it->second.read);
          later(one.written, it->second.written);
        }
      // A right to write that is only read through is not the reading's: what the role does not give is not its use.
      if (!object.readable) one.read.reset();
      if (!object.writable) one.written.reset();
      one.unused = !fresh(one.read) && !fresh(one.written);
      used += one.unused ? 0U : 1U;
      later(out.used, one.read);
      later(out.used, one.written);
      out.objects.push_back(std::move(one));
    }
  } else {
    out.unreachable = gives.error().message;
  }
  const bool given = fresh(use.given) || fresh(use.connected), observed = use.since <= cutoff;
  if (out.objects.empty()) {
    // It gives no tables, or nobody can say which: who connected may have used it.
    out.used = use.connected;
    out.state = fresh(use.connected) && gives.ok() ? State::used
                : given                            ? State::unclear
                : observed                         ? State::unwanted
                                                   : State::early;
  } else if (used < out.objects.size()) {
    if (used == 0 && given && fresh(use.unread))
      out.state = State::unclear;
    else if (!observed)
      out.state = State::early;
    else
      out.state = used > 0 ? State::partly : given ? State::unused : State::unwanted;
  } else if (!out.objects_all) {
    // Of those that are not listed nobody can say it.
    out.state = State::unclear;
  }
  out.hint = hint_for(out);
  return out;
}

}  // namespace daypass::engine
