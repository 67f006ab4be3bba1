#include "engine/flip.h"

#include <algorithm>
#include <functional>
#include <set>

#include "engine/question.h"

namespace daypass::engine {
namespace {

using cedar::Op;
using cedar::Value;
using core::AttributeType;
using core::AttributeValue;

constexpr std::size_t max_questions = 4'000, max_policy_looks = 3'000'000, max_candidates = 400, max_constants = 64;

// Everything a decision depends on that may be imagined otherwise.
struct World {
  core::Identity who;
  core::AccessRequest request;
  base::WallTime at;
  core::RoleSpec role;
  core::TargetSpec target;
};

struct Candidate {
  std::string slot;  // two changes of one fact are none
  Change change;
  std::function<void(World&)> apply;
};

// What the policies compare with, and which facts they look at.
struct Vocabulary {
  std::set<std::string> strings, addresses, groups, paths;
  std::set<std::int64_t> longs, durations, instants;

  void add(const Value& value) {
    if (const auto* s = value.as_string()) strings.insert(*s);
    if (const auto* n = value.as_long()) longs.insert(*n);
    if (const auto* uid = value.as_entity(); uid != nullptr && uid->type == "Group") groups.insert(uid->id);
    if (const auto* set = value.as_set())
      for (const auto& item : *set) add(item);
  }
  void add(const AttributeValue& value) {
    if (const auto* s = std::get_if<std::string>(&value)) strings.insert(*s);
    if (const auto* n = std::get_if<std::int64_t>(&value)) longs.insert(*n);
    if (const auto* set = std::get_if<std::set<std::string>>(&value)) strings.insert(set->begin(), set->end());
  }
};

// "principal.level", "resource.target.env"; empty for what is no path.
std::string path_of(const cedar::ExprTree& tree, cedar::ExprId e) {
  switch (tree.op(e)) {
    case Op::principal:
      return "principal";
    case Op::resource:
      return "resource";
    case Op::context:
      return "context";
    case Op::get_attr: {
      const std::string base = path_of(tree, tree.kids(e).front());
      return base.empty() ? "" : base + "." + tree.names(e).front();
    }
    default:
      return "";
  }
}

void read_call(const cedar::ExprTree& tree, cedar::ExprId e, Vocabulary& out) {
  const auto kids = tree.kids(e);
  if (kids.empty() || tree.op(kids.front()) != Op::literal) return;
  const std::string* text = tree.value(kids.front()).as_string();
  if (text == nullptr) return;
  switch (tree.function(e)) {
    case cedar::Function::ip:
      out.addresses.insert(text->substr(0, text->find('/')));
      break;
    case cedar::Function::duration:
      if (const auto d = Value::duration_text(*text); d.ok()) out.durations.insert(*d->as_duration());
      break;
    case cedar::Function::datetime:
      if (const auto t = Value::datetime_text(*text); t.ok()) out.instants.insert(*t->as_datetime());
      break;
    default:
      break;
  }
}

void read_tree(const cedar::ExprTree& tree, Vocabulary& out) {
  for (cedar::ExprId e = 0; e < tree.size(); ++e) {
    switch (tree.op(e)) {
      case Op::literal:
        out.add(tree.value(e));
        break;
      case Op::negate:
        if (const auto kid = tree.kids(e).front(); tree.op(kid) == Op::literal)
          if (const auto* n = tree.value(kid).as_long()) out.longs.insert(-*n);
        break;
      case Op::like: {
        std::string text;
        for (const auto& segment : tree.pattern(e).segments) text += segment;
        out.strings.insert(std::move(text));
        break;
      }
      case Op::get_attr:
        out.paths.insert(path_of(tree, e));
        break;
      case Op::has:
        if (std::string path = path_of(tree, tree.kids(e).front()); !path.empty())
          for (const auto& name : tree.names(e)) out.paths.insert(path += "." + name);
        break;
      case Op::call:
        read_call(tree, e, out);
        break;
      default:
        break;
    }
  }
}

std::string shown(const AttributeValue& value) {
  if (const auto* s = std::get_if<std::string>(&value)) return cedar::quote(*s);
  if (const auto* n = std::get_if<std::int64_t>(&value)) return std::to_string(*n);
  if (const auto* b = std::get_if<bool>(&value)) return *b ? "true" : "false";
  std::string out;
  for (const auto& s : std::get<std::set<std::string>>(value)) out += (out.empty() ? "" : ", ") + cedar::quote(s);
  return "[" + out + "]";
}

class Search {
 public:
  Search(const Tenant& tenant, World world) : tenant_(tenant), world_(std::move(world)) {
    for (const auto& policy : tenant.policies.policies()) read_policy(policy);
    for (const auto* attributes : {&world_.who.attributes, &world_.role.attributes, &world_.target.attributes})
      for (const auto& [name, value] : *attributes) words_.add(value);
    policies_ = std::max<std::size_t>(1, tenant.policies.size());
    before_ = verdict(world_);
  }

  std::vector<Change> run() {
    from_context();
    from_groups();
    from_attributes();
    for (const auto& one : candidates_)
      if (turns({&one})) return {one.change};
    for (std::size_t i = 0; i < candidates_.size(); ++i)
      for (std::size_t j = i + 1; j < candidates_.size(); ++j) {
        if (spent()) return {};
        if (candidates_[i].slot == candidates_[j].slot) continue;
        if (turns({&candidates_[i], &candidates_[j]})) return {candidates_[i].change, candidates_[j].change};
      }
    return {};
  }

 private:
  void read_policy(const cedar::Policy& policy) {
    // A policy about other roles has nothing to say here.
    const cedar::Entity role = role_entity(world_.role);
    const auto& scope = policy.resource();
    using Kind = cedar::ScopeTest::Kind;
    const bool about = std::ranges::any_of(scope.entities, [&](const cedar::EntityUid& uid) {
      return uid == role.uid || (scope.kind != Kind::equal && uid == role.parents.front());
    });
    if (!scope.entities.empty() && !about) return;
    for (const auto& uid : policy.principal().entities) words_.add(Value::entity(uid));
    read_tree(policy.exprs(), words_);
  }

  bool verdict(const World& w) {
    ++questions_;
    // The few that nearly every policy looks at; what turns is asked again before all.
    auto few = cedar::Entities::build({user_entity(w.who), target_entity(w.target), role_entity(w.role)});
    DP_ASSERT(few.ok());  // three ids, no cycle
    const cedar::Request ask{{"User", w.who.principal()},
                             {"Action", "assume"},
                             {"Role", w.role.id.str()},
                             context_of(w.who, w.request, w.at)};
    // An allow has seen every forbid, so what it says of those that erred is complete.
    const auto decided = cedar::decide(*tenant_.compiled, *few, ask, scratch_, cedar::Thoroughness::verdict);
    return decided.decision == cedar::Decision::allow && !decided.forbid_erred;
  }

  [[nodiscard]] bool spent() const { return questions_ >= max_questions || questions_ * policies_ >= max_policy_looks; }

  bool turns(std::initializer_list<const Candidate*> changes) {
    if (spent()) return false;
    World w = world_;
    for (const Candidate* one : changes) one->apply(w);
    if (verdict(w) == before_) return false;
    const Question asked(tenant_, w.who, w.request, w.at, resources_of(tenant_.spec, &w.role, &w.target));
    const Question is(tenant_, world_.who, world_.request, world_.at);
    const auto allowed = [&](const Question& q) {
      return allows(cedar::authorize(*tenant_.compiled, q.entities, q.ask(world_.role.id)));
    };
    return allowed(asked) != allowed(is);
  }

  void add(std::string fact, std::string now, std::string would_be, std::function<void(World&)> apply) {
    if (now == would_be || candidates_.size() == max_candidates) return;
    candidates_.push_back({fact, {fact, std::move(now), std::move(would_be)}, std::move(apply)});
  }
  [[nodiscard]] bool asks(const std::string& path) const { return words_.paths.contains(path); }

  void from_context() {
    const World& w = world_;
    const auto context = context_of(w.who, w.request, w.at);
    const bool mfa = *context.at("mfa").as_bool();
    if (asks("context.mfa"))
      add("context.mfa", mfa ? "true" : "false", mfa ? "false" : "true", [mfa](World& x) {
        if (mfa)
          x.who.amr.clear();
        else
          x.who.amr.emplace_back("mfa");
      });
    if (asks("context.auth_time"))
      add("context.auth_time", base::to_rfc3339(w.who.auth_time), base::to_rfc3339(w.at),
          [](World& x) { x.who.auth_time = x.at; });
    if (asks("context.reason")) {
      const auto reason = [&](const std::string& text) {
        add("context.reason", cedar::quote(w.request.reason), cedar::quote(text),
            [text](World& x) { x.request.reason = text; });
      };
      reason(w.request.reason.empty() ? "some reason" : "");
      for (const auto& text : few(words_.strings)) reason(text);
    }
    if (asks("context.requested_duration"))
      for (const auto ms : few(words_.durations))
        for (const std::int64_t d : {ms, ms - 1'000, ms + 1'000})
          if (d > 0 && d < std::int64_t{1} << 45U)
            add("context.requested_duration",
                base::to_string(w.request.wanted_duration.value_or(core::DefaultLimits{}.duration)),
                base::to_string(core::Millis(d)), [d](World& x) { x.request.wanted_duration = core::Millis(d); });
    if (asks("context.client_ip"))
      for (const auto& address : few(words_.addresses))
        add("context.client_ip", w.request.client_address.empty() ? "missing" : w.request.client_address, address,
            [address](World& x) { x.request.client_address = address; });
    if (asks("context.acr"))
      for (const auto& text : few(words_.strings))
        add("context.acr", cedar::quote(w.who.acr), cedar::quote(text), [text](World& x) { x.who.acr = text; });
    if (asks("context.amr"))
      for (const auto& text : few(words_.strings))
        add("context.amr", "without " + cedar::quote(text), "with " + cedar::quote(text),
            [text](World& x) { x.who.amr.push_back(text); });
    if (asks("context.time") || asks("context.weekday")) from_time();
  }

  // Another hour of the day, another day of the week, and what zones make of both.
  void from_time() {
    constexpr std::int64_t day = 86'400'000;
    const std::int64_t now = world_.at.time_since_epoch().count();
    const std::int64_t midnight = now - ((now % day) + day) % day;
    std::set<std::int64_t> hours{now - midnight};
    const auto durations = few(words_.durations);
    for (const auto d : durations)
      for (const std::int64_t zone : durations)
        for (const std::int64_t h : {d, d - zone, d + zone, d - 60'000, d + 60'000})
          if (h >= 0 && h < day) hours.insert(h);
    std::set<std::int64_t> instants;
    for (int shift = 0; shift < 7; ++shift)
      for (const auto h : hours) instants.insert(midnight + shift * day + h);
    for (const auto t : few(words_.instants))
      for (const std::int64_t step : {std::int64_t{-1'000}, std::int64_t{0}, std::int64_t{1'000}})
        instants.insert(t + step);
    // What is to come, soonest first; what has passed, latest first.
    std::vector<std::int64_t> order(instants.begin(), instants.end());
    std::ranges::stable_sort(order, {}, [now](std::int64_t t) { return t >= now ? t - now : (now - t) * 64; });
    constexpr std::int64_t far = 253'402'300'799'000;  // the end of 9999
    std::size_t most = max_candidates / 2;
    for (const auto t : order)
      if (t != now && t >= 0 && t <= far && most-- > 0)
        add("context.time", base::to_rfc3339(world_.at), base::to_rfc3339(base::WallTime(core::Millis(t))),
            [t](World& x) { x.at = base::WallTime(core::Millis(t)); });
  }

  template <class T>
  static std::vector<T> few(const std::set<T>& all) {
    return {all.begin(), std::next(all.begin(), static_cast<std::ptrdiff_t>(std::min(all.size(), max_constants)))};
  }

  void from_groups() {
    std::set<std::string> names;
    for (const auto& group : words_.groups)
      if (group.starts_with(world_.who.idp + "/")) names.insert(group.substr(world_.who.idp.size() + 1));
    if (asks("principal.groups")) names.insert(words_.strings.begin(), words_.strings.end());
    for (const auto& name : few(names)) {
      const bool in = world_.who.groups.contains(name);
      add("principal in Group::" + cedar::quote(world_.who.idp + "/" + name), in ? "true" : "false",
          in ? "false" : "true", [name, in](World& x) {
            if (in)
              x.who.groups.erase(name);
            else
              x.who.groups.insert(name);
          });
    }
  }

  void from_attributes() {
    if (const auto* idp = tenant_.spec.idp(world_.who.idp))
      for (const auto& rule : idp->attributes)
        if (asks("principal." + rule.attribute))
          attribute("principal.", rule.attribute, rule.type, !rule.required,
                    [](World& x) -> auto& { return x.who.attributes; });
    for (const auto& [name, value] : world_.role.attributes)
      if (asks("resource." + name))
        attribute("resource.", name, static_cast<AttributeType>(value.index()), false,
                  [](World& x) -> auto& { return x.role.attributes; });
    for (const auto& [name, value] : world_.target.attributes)
      if (asks("resource.target." + name))
        attribute("resource.target.", name, static_cast<AttributeType>(value.index()), false,
                  [](World& x) -> auto& { return x.target.attributes; });
  }

  using Of = core::Attributes& (*)(World&);
  void attribute(const std::string& owner, const std::string& name, AttributeType type, bool optional, Of of) {
    const core::Attributes& mine = of(world_);
    auto found = mine.find(name);
    // Mapped by an earlier mapping, with another type: as if it were not there.
    if (found != mine.end() && found->second.index() != static_cast<std::size_t>(type)) found = mine.end();
    const std::string now = found == mine.end() ? "missing" : shown(found->second);
    const auto would_be = [&](AttributeValue value) {
      add(owner + name, now, shown(value), [of, name, value](World& x) { of(x).insert_or_assign(name, value); });
    };
    if (type == AttributeType::string)
      for (const auto& s : few(words_.strings)) would_be(s);
    if (type == AttributeType::boolean) would_be(true), would_be(false);
    if (type == AttributeType::integer)
      for (const auto n : few(words_.longs))
        for (const std::int64_t step : {0, 1, -1})
          if (std::int64_t m = 0; !__builtin_add_overflow(n, step, &m)) would_be(m);
    if (type == AttributeType::string_set)
      for (const auto& s : few(words_.strings)) {
        auto set = found == mine.end() ? std::set<std::string>() : std::get<std::set<std::string>>(found->second);
        if (!set.erase(s)) set.insert(s);
        would_be(std::move(set));
      }
    if (optional && found != mine.end()) add(owner + name, now, "missing", [of, name](World& x) { of(x).erase(name); });
  }

  const Tenant& tenant_;
  cedar::Scratch scratch_;
  World world_;
  Vocabulary words_;
  std::vector<Candidate> candidates_;
  std::size_t questions_ = 0, policies_ = 1;
  bool before_ = false;
};

}  // namespace

std::vector<Change> smallest_flip(const Tenant& tenant, const core::Identity& who, const core::AccessRequest& request,
                                  const core::RoleId& role, base::WallTime now) {
  const core::RoleSpec* spec = tenant.spec.role(role);
  DP_ASSERT(spec != nullptr);
  const core::TargetSpec* target = tenant.spec.target(core::target_of(role));
  core::TargetSpec none;
  none.id = core::target_of(role);
  return Search(tenant, {who, request, now, *spec, target == nullptr ? none : *target}).run();
}

}  // namespace daypass::engine
