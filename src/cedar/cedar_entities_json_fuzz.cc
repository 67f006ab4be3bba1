// Any bytes as entities JSON, and as a request's: what is read must survive being written, and hold up under decisions.
// parses: cedar/value_json.cc cedar/entities.cc
#include <algorithm>
#include <cstddef>
#include <string_view>

#include "cedar/fuzz_world.h"

namespace {

using namespace daypass::cedar;
using namespace daypass::cedar::fuzzing;

// A record that looks like an escape has no spelling; it is written as one that every reader refuses.
bool unspeakable(const daypass::base::json::Value& json) {
  return daypass::base::json::dump(json).find("\"__expr\"") != std::string::npos;
}

const PolicySet& policies() {
  static const PolicySet set =
      PolicySet::parse(
          "permit(principal in Group::\"g\",action,resource) when { principal.n < resource.n || principal has a.b.c && "
          "principal.a.b.c == resource };"
          "forbid(principal,action,resource) unless { principal.hasTag(\"t\") && principal.getTag(\"t\") == [1] };",
          "p")
          .value();
  return set;
}

void check_entities(const daypass::base::json::Value& document) {
  const auto entities = Entities::from_json(document);
  if (!entities.ok()) {
    require(!entities.error().check.empty() && !entities.error().message.empty());
    return;
  }
  const auto written = entities->to_json();
  const auto again = Entities::from_json(written);
  require(again.ok() || unspeakable(written));
  for (const Entity& one : entities->all()) {
    const Entity* other = again.ok() ? again->find(one.uid) : nullptr;
    if (again.ok()) require(other != nullptr && other->attrs == one.attrs && other->tags == one.tags);
    require(entities->is_in(one.uid, one.uid));
    for (const EntityUid& parent : one.parents) {
      require(entities->is_in(one.uid, parent) && !entities->is_in(parent, one.uid));
      if (again.ok()) require(again->is_in(one.uid, parent));
    }
  }
  if (entities->size() == 0) return;
  const EntityUid& first = entities->all().front().uid;
  const EntityUid& last = entities->all().back().uid;
  const Answer answer = authorize(policies(), *entities, {first, {"Action", "view"}, last, {}});
  if (!again.ok()) return;
  const Answer same = authorize(policies(), *again, {first, {"Action", "view"}, last, {}});
  require(answer.decision == same.decision && answer.reasons == same.reasons &&
          answer.errors.size() == same.errors.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace json = daypass::base::json;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto document = json::parse(text, {.depth = 600});
  if (!document.ok()) return 0;
  check_entities(*document);
  if (const auto asked = Request::from_json(*document); asked.ok()) {
    const auto written = asked->to_json();
    const auto again = Request::from_json(written);
    require(again.ok() || unspeakable(written));
    if (again.ok()) require(again->context == asked->context && again->principal == asked->principal);
    (void)authorize(policies(), world(), *asked);
  }
  return 0;
}
