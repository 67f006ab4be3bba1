// Any bytes as entities JSON, as a request's and as a record's: what is read must survive being written, and hold up
// under decisions; a store in two layers must be the one in one.
// parses: cedar/value_json.cc cedar/entities.cc
#include <algorithm>
#include <cstddef>
#include <memory>
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

// The first half under the second answers as all of them together.
void check_layers(const Entities& whole) {
  const std::size_t half = whole.size() / 2;
  const auto at = whole.all().begin() + static_cast<std::ptrdiff_t>(half);
  const auto below = std::make_shared<const Entities>(Entities::build({whole.all().begin(), at}).value());
  const auto layered = Entities::build_over(below, {at, whole.all().end()});
  require(layered.ok() && layered->size() == whole.size());
  for (const Entity& one : whole.all()) {
    const Entity* other = layered->find(one.uid);
    require(other != nullptr && other->attrs == one.attrs && other->tags == one.tags);
    for (const Entity& up : whole.all()) require(layered->is_in(one.uid, up.uid) == whole.is_in(one.uid, up.uid));
  }
  const auto again = layered->with({});
  require(again.ok() && again->size() == whole.size() && again->below() == nullptr);
  const EntityUid& first = whole.all().front().uid;
  const EntityUid& last = whole.all().back().uid;
  const Request asked{first, {"Action", "view"}, last, {}};
  require(authorize(policies(), *layered, asked).decision == authorize(policies(), whole, asked).decision);
  // Another entity of the same name is refused, whichever layer it lies in.
  Entity twin = whole.all().front();
  twin.tags.insert_or_assign("twin", Value::string(twin.tags.contains("twin") ? "other" : ""));
  if (twin.tags == whole.all().front().tags) return;
  const auto twice = Entities::build_over(std::make_shared<const Entities>(whole), {twin});
  require(!twice.ok() && twice.error().check == "cedar.entity_duplicate");
}

// Straight from the text, or from what the text was parsed to: one record.
void check_record(std::string_view text, const daypass::base::json::Value& document,
                  const daypass::base::json::Limits& limits) {
  const auto record = record_from_json(document);
  const auto from_text = record_from_json_text(text, limits);
  require(record.ok() == from_text.ok());
  if (!record.ok()) {
    require(!record.error().check.empty() && !from_text.error().check.empty());
    return;
  }
  require(*record == *from_text);
  const auto written = record_to_json(*record);
  const auto again = record_from_json(written);
  require(again.ok() ? *again == *record : unspeakable(written));
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
  if (entities->size() <= 64) check_layers(*entities);
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
  const json::Limits limits{.depth = 600};
  const auto document = json::parse(text, limits);
  if (!document.ok()) {
    require(!record_from_json_text(text, limits).ok());
    return 0;
  }
  check_entities(*document);
  check_record(text, *document, limits);
  if (const auto asked = Request::from_json(*document); asked.ok()) {
    const auto written = asked->to_json();
    const auto again = Request::from_json(written);
    require(again.ok() || unspeakable(written));
    if (again.ok()) require(again->context == asked->context && again->principal == asked->principal);
    (void)authorize(policies(), world(), *asked);
  }
  return 0;
}
