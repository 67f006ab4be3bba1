// Any bytes as policy text. What parses is decided and explained in a small fixed world, and must mean the same when
// its own text is parsed again; what does not parse must say why.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cedar/cedar.h"

namespace {

using namespace daypass::cedar;

const Entities& world() {
  static const Entities entities = [] {
    Entity user{{"User", "a"}, {}, {{"Group", "g"}}, {{"t", Value::long_(1)}}};
    user.attrs = {{"n", Value::long_(1)},
                  {"s", Value::string("xyz")},
                  {"b", Value::boolean(true)},
                  {"e", Value::entity("User", "a")},
                  {"r", Value::record({{"x", Value::record({{"y", Value::long_(INT64_MIN)}})}})},
                  {"set", Value::set({Value::long_(1), Value::string("a")})},
                  {"ip", Value::ipaddr("10.0.0.1/8").value()},
                  {"d", Value::decimal("1.5").value()},
                  {"dt", Value::datetime(INT64_MIN)},
                  {"du", Value::duration(std::chrono::milliseconds(INT64_MAX))}};
    Entity group{{"Group", "g"}, {}, {{"Group", "top"}}, {}};
    return Entities::build({std::move(user), std::move(group)}).value();
  }();
  return entities;
}

const Request& request() {
  static const Request fixed{{"User", "a"},
                             {"Action", "view"},
                             {"Doc", "d"},
                             {{"n", Value::long_(INT64_MAX)}, {"a", Value::entity("User", "a")}}};
  return fixed;
}

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto uid = parse_entity_uid(text); uid.ok()) require(parse_entity_uid(uid->to_string()).value() == *uid);

  std::vector<Diagnostic> diagnostics;
  const auto set = PolicySet::parse(text, "fuzz.cedar", {}, &diagnostics);
  require(set.ok() == diagnostics.empty());
  for (const Diagnostic& diagnostic : diagnostics) {
    require(!diagnostic.check.empty() && !diagnostic.message.empty() && diagnostic.line > 0 && diagnostic.column > 0);
    require(!render(diagnostic, text).empty());
  }
  if (!set.ok()) return 0;

  const Answer answer = authorize(*set, world(), request());
  std::size_t satisfied = 0;
  std::size_t erred = 0;
  for (const Policy& policy : set->policies()) {
    const Explanation why = explain(policy, world(), request());
    satisfied += why.satisfied ? 1U : 0U;
    erred += why.erred ? 1U : 0U;
    const auto alone = PolicySet::parse(policy.text(), "again.cedar");
    require(alone.ok() && alone->size() == 1);
    const Answer again = authorize(*alone, world(), request());
    require((again.satisfied_permits.size() + again.satisfied_forbids.size() == 1) == why.satisfied);
    require((again.errors.size() == 1) == why.erred);
    const ExprTree& tree = policy.exprs();
    for (ExprId e = 0; e < tree.size(); ++e) {
      if (tree.op(e) != Op::literal) continue;
      // A literal prints as text that reads back as the same literal; extension values are calls, not literals.
      const auto printed =
          PolicySet::parse("permit(principal,action,resource) when { " + tree.value(e).to_string() + " };", "p");
      require(printed.ok());
      const Policy& once = printed->policies().front();
      require(once.exprs().value(once.conditions().front().body) == tree.value(e));
    }
  }
  require(satisfied == answer.satisfied_permits.size() + answer.satisfied_forbids.size());
  require(erred == answer.errors.size());
  return 0;
}
