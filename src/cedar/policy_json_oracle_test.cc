// Policy JSON, templates and links against the official engine: what is written for every policy of the corpus and for
// random ones, what is read, and what both decide with it. Settings as in validate_oracle_test.cc.
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <set>

#include "cedar/cedar.h"
#include "cedar/oracle_test_support.h"
#include "cedar/policy_generator_test_support.h"
#include "cedar/validate_generator.h"

namespace daypass::cedar {
namespace {

namespace json = base::json;
using namespace testing;

constexpr ParseOptions with_templates{.templates = true};

// Equal but for the order of members; JavaScript rounds integers that a double can't hold.
bool alike(const json::Value& ours, const json::Value& theirs) {
  const auto number = [](const json::Value& value) {
    if (const auto* i = value.as_int()) return std::optional(static_cast<double>(*i));
    return value.as_double() == nullptr ? std::nullopt : std::optional(*value.as_double());
  };
  if (const auto a = number(ours)) {
    const auto b = number(theirs);
    constexpr double exact = 9007199254740992.0;
    return b && (*a == *b) && (ours == theirs || *a >= exact || *a <= -exact);
  }
  if (const auto* a = ours.as_array()) {
    const auto* b = theirs.as_array();
    return b != nullptr && std::ranges::equal(*a, *b, alike);
  }
  if (const auto* a = ours.as_object()) {
    const auto* b = theirs.as_object();
    if (b == nullptr || a->size() != b->size()) return false;
    return std::ranges::all_of(*a, [&](const auto& member) {
      const json::Value* other = b->find(member.key);
      return other != nullptr && alike(member.value, *other);
    });
  }
  return ours == theirs;
}

struct Tally {
  std::size_t policies = 0, damaged = 0, taken = 0, sets = 0, refused_sets = 0, answers = 0, erring = 0,
              differences = 0;
  void differ(const std::string& where, const std::string& what) {
    if (++differences <= 12) ADD_FAILURE() << where << ": " << what;
  }
};

void compare_written(const std::string& where, const PolicySet& set, Oracle& oracle, Tally& tally) {
  json::Array texts;
  std::vector<const Policy*> policies;
  for (const auto& list : {set.policies(), set.templates()})
    for (const Policy& policy : list) {
      texts.emplace_back(policy.text());
      policies.push_back(&policy);
    }
  if (texts.empty()) return;
  const json::Value answer = oracle.ask(json::Object{{"texts", std::move(texts)}});
  const json::Value* all = answer.find("jsons");
  if (all == nullptr) return tally.differ(where, "no answer: " + json::dump(answer));
  for (std::size_t i = 0; i < policies.size(); ++i) {
    ++tally.policies;
    const auto ours = policy_to_json(*policies[i]);
    const json::Value& theirs = (*all->as_array())[i];
    if (!ours.ok() || !alike(*ours, theirs))
      tally.differ(where, std::string(policies[i]->text()) + "\n  official " + json::dump(theirs) + "\n  ours     " +
                              (ours.ok() ? json::dump(*ours) : ours.error().message));
  }
}

TEST(CedarPolicyJsonOracle, EveryPolicyOfTheCorpus) {
  const Corpus& corpus = unpacked_corpus();
  Oracle oracle;
  if (corpus.absent()) GTEST_SKIP() << "cedar.tar.gz is not below DAYPASS_CORPUS: 1,982 policy files not compared";
  if (!oracle.running())
    GTEST_SKIP() << "@cedar-policy/cedar-wasm is not below DAYPASS_CEDAR_ORACLE: 1,982 policy files not compared";
  Tally tally;
  std::size_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(corpus.folder() / "cedar")) {
    if (entry.path().extension() != ".cedar") continue;
    const auto set = PolicySet::parse(slurp(entry.path()), entry.path().filename().string(), with_templates);
    if (!set.ok()) continue;
    ++files;
    compare_written(entry.path().filename().string(), *set, oracle, tally);
  }
  std::cout << files << " files, " << tally.policies << " policies, " << tally.differences << " differences\n";
  EXPECT_GE(files, 1968U);
  EXPECT_EQ(tally.differences, 0U);
}

// One value of the document exchanged, dropped, doubled under another name or set beside a new member.
class Damage {
 public:
  Damage(PolicyGenerator& generator, json::Value& root) : generator_(generator) { collect(root); }
  void apply() {
    json::Value& at = *all_[generator_.below(all_.size())];
    if (json::Object* object = at.as_object(); object != nullptr && !object->empty() && generator_.chance(60)) {
      const std::string key = (object->begin() + static_cast<std::ptrdiff_t>(generator_.below(object->size())))->key;
      json::Value moved = *object->find(key);
      if (generator_.chance(70)) object->erase(key);
      if (generator_.chance(70))
        object->set(
            generator_.pick({"left",     "right",  "arg",    "attr", "entity", "entities", "slot", "op",     "Value",
                             "Var",      "Set",    "Record", "&&",   "!",      "neg",      "ip",   "isIpv4", "contains",
                             "__entity", "__extn", "fn",     "args", "in",     "x",        "type"}),
            std::move(moved));
      return;
    }
    static const char* const values[] = {"null",
                                         "1",
                                         "1.5",
                                         "\"a\"",
                                         "[]",
                                         "{}",
                                         "true",
                                         "\"?principal\"",
                                         R"({"Value":true})",
                                         R"({"type":"User","id":"a"})",
                                         R"({"__entity":{"type":"User","id":"a"}})",
                                         "\"Wildcard\"",
                                         "\"is\"",
                                         R"({"Literal":"a*"})",
                                         R"({"__extn":{"fn":"ip","arg":"1"}})",
                                         "[\"a\",\"b c\"]",
                                         R"({"__expr":"x"})",
                                         R"({"Slot":"?principal"})",
                                         R"({"Var":"context"})"};
    at = json::parse(values[generator_.below(std::size(values))]).value();
  }

 private:
  void collect(json::Value& value) {
    all_.push_back(&value);
    if (json::Array* array = value.as_array())
      for (json::Value& one : *array) collect(one);
    if (const json::Object* object = value.as_object())
      for (const auto& [key, inner] : *object) collect(*value.as_object()->find(key));
  }
  PolicyGenerator& generator_;
  std::vector<json::Value*> all_;
};

// What we refuse on purpose although the official engine reads it: policies that could never be evaluated, and an
// entity written as an array, which no document of the format mentions.
bool refused_on_purpose(const std::vector<Diagnostic>& found, const json::Value& document) {
  const std::string& message = found.front().message;
  const json::Value* at = document.pointer(message.substr(0, message.find(": ")));
  return found.front().check == "cedar.unknown_function" || found.front().check == "cedar.arity" ||
         (found.front().check == "cedar.entity_uid" && at != nullptr && at->as_array() != nullptr);
}

void compare_damaged(const std::string& where, PolicyGenerator& generator, const json::Value& good, Oracle& oracle,
                     Tally& tally) {
  json::Array all;
  for (int i = 0; i < 4; ++i) {
    json::Value one = good;
    Damage(generator, one).apply();
    all.push_back(std::move(one));
  }
  const json::Value answer = oracle.ask(json::Object{{"jsons", all}});
  const json::Value* verdicts = answer.find("refused");
  if (verdicts == nullptr) return;  // what is no object is refused before the engine sees it
  for (std::size_t i = 0; i < all.size(); ++i) {
    ++tally.damaged;
    std::vector<Diagnostic> found;
    const auto ours = policies_from_json(all[i], "d", with_templates, &found);
    const json::Value& theirs = (*verdicts->as_array())[i];
    tally.taken += ours.ok() ? 1U : 0U;
    if (ours.ok() == theirs.is_null() || (!ours.ok() && refused_on_purpose(found, all[i]))) continue;
    tally.differ(where, json::dump(all[i]) + "\n  official " + json::dump(theirs) + ", ours " +
                            (ours.ok() ? "takes it" : ours.error().message));
  }
}

json::Value our_answers(const PolicySet& set, const Entities& entities, const json::Value& requests, Tally& tally) {
  json::Array out;
  for (const json::Value& one : *requests.as_array()) {
    const auto request = Request::from_json(one);
    if (!request.ok()) return json::Object{{"request", request.error().message}};
    const Answer answer = authorize(set, entities, *request);
    ++tally.answers;
    tally.erring += answer.errors.empty() ? 0U : 1U;
    std::vector<std::string> reasons = answer.reasons;
    std::vector<std::string> errors;
    for (const PolicyError& error : answer.errors) errors.push_back(error.policy);
    std::ranges::sort(reasons);
    std::ranges::sort(errors);
    out.push_back(json::Object{{"decision", to_string(answer.decision)},
                               {"reason", json::Array(reasons.begin(), reasons.end())},
                               {"errors", json::Array(errors.begin(), errors.end())}});
  }
  return json::Object{{"answers", std::move(out)}};
}

// A set of policies, templates and links, read by both from its JSON.
void compare_decisions(const std::string& where, PolicyGenerator& generator, PolicySet set, Oracle& oracle,
                       Tally& tally) {
  for (std::size_t i = 0; i < set.templates().size(); ++i)
    for (std::size_t n = generator.below(3); n > 0; --n) {
      SlotValues slots;
      const Policy& one = set.templates()[i];
      for (const auto& [slot, test] : {std::pair("?principal", &one.principal()), {"?resource", &one.resource()}})
        if (test->slot) slots.emplace(slot, EntityUid::from_json(json::parse(generator.uid_json()).value()).value());
      // Ids may clash; then this link is left out.
      (void)set.link(one.id(), generator.odd() + std::to_string(generator.below(100)), slots);
    }
  const auto written = policies_to_json(set);
  if (!written.ok()) return tally.differ(where, written.error().message);
  const json::Value entities = json::parse(generator.entities(), corpus_limits).value();
  json::Array requests;
  for (int i = 0; i < 4; ++i) requests.push_back(json::parse(generator.request(), corpus_limits).value());
  const json::Value theirs =
      oracle.ask(json::Object{{"set", *written}, {"entities", entities}, {"requests", requests}});
  ++tally.sets;
  const auto read = policies_from_json(*written, "r", with_templates);
  const auto store = Entities::from_json(entities);
  if (!read.ok() || !store.ok() || theirs.find("answers") == nullptr)
    return tally.differ(where, (read.ok() ? "" : read.error().message) + json::dump(theirs) + json::dump(*written));
  const json::Value ours = our_answers(*read, *store, requests, tally);
  const json::Value direct = our_answers(set, *store, requests, tally);
  if (ours != theirs || direct != theirs)
    tally.differ(where, json::dump(*written) + json::dump(entities) + json::dump(requests) + "\n  official " +
                            json::dump(theirs) + "\n  ours     " + json::dump(ours) + "\n  direct   " +
                            json::dump(direct));
  // Canonical text and laid out text decide the same.
  std::string text;
  for (const Policy& policy : set.policies()) text += policy_to_text(policy) + "\n";
  const auto formatted = format_policies(text, "f");
  const auto again = PolicySet::parse(formatted.ok() ? *formatted : "formatted", "f");
  if (!again.ok() || again->size() != set.size()) return tally.differ(where, "canonical text is not read:\n" + text);
  for (std::size_t i = 0; i < set.size(); ++i)
    if (!alike(*policy_to_json(again->policies()[i]), *policy_to_json(set.policies()[i])))
      tally.differ(where, "canonical text is another policy: " + std::string(set.policies()[i].text()));
}

// Which kinds of problems each policy, template and link has.
std::string kinds_of(const std::vector<ValidationProblem>& problems) {
  std::map<std::string, std::set<std::string>> kinds;
  for (const ValidationProblem& one : problems) kinds[one.policy].insert(one.diagnostic.check.substr(6));
  std::string out;
  for (const auto& [policy, all] : kinds)
    for (const auto& kind : all) out += policy + " " + kind + "\n";
  return out;
}
std::string kinds_of(const json::Value* by_policy) {
  std::map<std::string, std::set<std::string>> kinds;
  if (by_policy != nullptr && by_policy->as_object() != nullptr)
    for (const auto& [policy, all] : *by_policy->as_object())
      for (const auto& kind : *all.as_array()) kinds[policy].insert(*kind.as_string());
  std::string out;
  for (const auto& [policy, all] : kinds)
    for (const auto& kind : all) out += policy + " " + kind + "\n";
  return out;
}

// The policies with slots for some of the entities in their heads, and links that put entities back.
json::Value with_slots(const PolicySet& set, Generator& generator) {
  json::Object templates;
  json::Array links;
  for (const Policy& policy : set.policies()) {
    json::Value one = policy_to_json(policy).value();
    json::Object values;
    for (const std::string head : {"principal", "resource"}) {
      json::Object* test = one.find(head)->find("in") != nullptr && one.find(head)->find("in")->as_object() != nullptr
                               ? one.as_object()->find(head)->as_object()->find("in")->as_object()
                               : one.as_object()->find(head)->as_object();
      const json::Value* entity = test->find("entity");
      if (entity == nullptr) continue;
      json::Value kept = *entity;
      if (generator.chance(15)) kept = json::Object{{"type", "Nothing"}, {"id", "x"}};
      if (generator.chance(10)) kept = json::Object{{"type", "Action"}, {"id", "x"}};
      test->erase("entity");
      test->set("slot", "?" + head);
      values.set("?" + head, std::move(kept));
    }
    if (values.empty()) continue;
    templates.set("t" + policy.id(), std::move(one));
    links.push_back(
        json::Object{{"templateId", "t" + policy.id()}, {"newId", "l" + policy.id()}, {"values", std::move(values)}});
  }
  return json::Object{
      {"staticPolicies", json::Object{}}, {"templates", std::move(templates)}, {"templateLinks", std::move(links)}};
}

TEST(CedarPolicyJsonOracle, ValidationOfTemplatesAndLinks) {
  Oracle oracle;
  if (!oracle.running())
    GTEST_SKIP() << "@cedar-policy/cedar-wasm is not below DAYPASS_CEDAR_ORACLE: random templates not validated";
  const std::size_t cases = oracle_cases(300);
  const std::uint64_t seed = oracle_seed();
  std::size_t templates = 0;
  std::size_t faulty_links = 0;
  Tally tally;
  for (std::size_t i = 0; i < cases; ++i) {
    const std::string where = "seed " + std::to_string(seed + i);
    Generator generator(seed + i);
    const std::string schema_text = generator.schema();
    const auto schema = Schema::parse(schema_text, "s");
    const auto set = PolicySet::parse(generator.policies(), "p");
    if (!schema.ok() || !set.ok()) continue;
    const json::Value document = with_slots(*set, generator);
    const auto read = policies_from_json(document, "d", with_templates);
    const json::Value theirs = oracle.ask(json::Object{{"validate", document}, {"schema", schema_text}});
    if (!read.ok() || theirs.find("errors") == nullptr) {
      tally.differ(where, json::dump(document) + json::dump(theirs) + (read.ok() ? "" : read.error().message));
      continue;
    }
    templates += read->templates().size();
    const ValidationResult ours = validate(*read, *schema);
    const std::string errors = kinds_of(ours.errors);
    faulty_links += errors.find("lpolicy") != std::string::npos ? 1U : 0U;
    if (errors != kinds_of(theirs.find("errors")) || kinds_of(ours.warnings) != kinds_of(theirs.find("warnings")))
      tally.differ(where, schema_text + json::dump(document) + "\n  official " + json::dump(theirs) + "\n  ours\n" +
                              errors + kinds_of(ours.warnings));
  }
  std::cout << "seeds from " << seed << ": " << templates << " templates with a link each, in " << faulty_links
            << " sets with faulty links; " << tally.differences << " differences\n";
  EXPECT_EQ(tally.differences, 0U);
  EXPECT_GT(templates, 0U);
}

TEST(CedarPolicyJsonOracle, RandomPoliciesTemplatesAndLinks) {
  Oracle oracle;
  if (!oracle.running())
    GTEST_SKIP() << "@cedar-policy/cedar-wasm is not below DAYPASS_CEDAR_ORACLE: random policies not compared";
  const std::size_t cases = oracle_cases(300);
  const std::uint64_t seed = oracle_seed();
  Tally tally;
  for (std::size_t i = 0; i < cases; ++i) {
    PolicyGenerator generator(seed + i);
    const std::string where = "seed " + std::to_string(seed + i);
    std::string text;
    for (std::size_t n = 1 + generator.below(5); n > 0; --n) text += generator.policy(generator.chance(30)) + "\n";
    const auto set = PolicySet::parse(text, "g", with_templates);
    if (!set.ok()) {
      tally.differ(where, set.error().message + "\n" + text);
      continue;
    }
    compare_written(where, *set, oracle, tally);
    const Policy& first = set->policies().empty() ? set->templates()[0] : set->policies()[0];
    compare_damaged(where, generator, *policy_to_json(first), oracle, tally);
    compare_decisions(where, generator, *set, oracle, tally);
  }
  std::cout << "seeds from " << seed << ": " << tally.policies << " policies written, " << tally.damaged
            << " damaged ones read, " << tally.taken << " of them taken; " << tally.sets << " sets, " << tally.answers
            << " answers, " << tally.erring << " of them with errors; " << tally.differences << " differences\n";
  EXPECT_EQ(tally.differences, 0U);
}

}  // namespace
}  // namespace daypass::cedar
