// Our decisions against the official engine's on random policy sets, entities and requests. DAYPASS_ORACLE_REQUESTS:
// how many requests, default 2,000; DAYPASS_ORACLE_SEED: the first case's seed (eight requests each), the next have the
// following numbers; default from the system's entropy.
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <random>

#include "cedar/case_generator.h"
#include "cedar/cedar.h"
#include "cedar/compile_compare.h"
#include "cedar/oracle_test_support.h"
#include "cedar/policy_json.h"

namespace daypass::cedar {
namespace {

namespace json = base::json;
using namespace testing;

struct Tally {
  std::size_t sets = 0, good_sets = 0, policies = 0, links = 0, requests = 0, taken = 0, allowed = 0, with_reason = 0,
              with_errors = 0, policy_errors = 0, round_trips = 0, differences = 0;

  void differ(std::uint64_t seed, const std::string& what, const std::string& text) {
    if (++differences <= 8) ADD_FAILURE() << "seed " << seed << ": " << what << "\n" << text;
  }
};

std::string listed(std::vector<std::string> ids) {
  std::ranges::sort(ids);
  std::string out;
  for (const auto& id : ids) out += quote(id) + " ";
  return out;
}

std::string listed(const json::Value* ids) {
  std::vector<std::string> out;
  for (const auto& id : *ids->as_array()) out.push_back(*id.as_string());
  return listed(std::move(out));
}

// What differs is told in one text: decision, reasons, the policies that erred.
std::string verdict(const Answer& answer) {
  std::vector<std::string> erred;
  for (const auto& error : answer.errors) erred.push_back(error.policy);
  return std::string(to_string(answer.decision)) + " for " + listed(answer.reasons) + "erring " + listed(erred);
}

std::string verdict(const json::Value& answer) {
  return answer.string_or("decision") + " for " + listed(answer.find("reason")) + "erring " +
         listed(answer.find("errors"));
}

json::Value question_of(const GeneratedCase& one) {
  json::Array templates(one.templates.begin(), one.templates.end());
  json::Array links;
  for (const auto& link : one.links) {
    json::Object out{{"of", static_cast<std::int64_t>(link.of)}, {"id", link.id}};
    if (link.principal) out.insert("principal", link.principal->to_json());
    if (link.resource) out.insert("resource", link.resource->to_json());
    links.push_back(std::move(out));
  }
  return json::Object{{"text", one.text()},
                      {"templates", std::move(templates)},
                      {"links", std::move(links)},
                      {"entities", one.entities},
                      {"requests", one.requests}};
}

base::Status link_all(const GeneratedCase& one, const std::vector<std::string>& templates, PolicySet& set) {
  for (const auto& link : one.links) {
    SlotValues slots;
    if (link.principal) slots.emplace("?principal", *link.principal);
    if (link.resource) slots.emplace("?resource", *link.resource);
    DP_CHECK(set.link(templates[link.of], link.id, slots));
  }
  return {};
}

base::Result<PolicySet> policies_of(const GeneratedCase& one) {
  PolicySet set;
  DP_TRY(set, PolicySet::parse(one.text(), "p"));
  ParseOptions options;
  options.templates = true;
  std::vector<std::string> ids;
  for (const auto& text : one.templates) {
    DP_CHECK(set.add(text, "t", options));
    ids.push_back(set.templates().back().id());
  }
  DP_CHECK(link_all(one, ids, set));
  return set;
}

/// What decides in the same way as `policies`: their JSON read again, and their canonical text.
std::vector<std::pair<std::string, base::Result<PolicySet>>> twins(const GeneratedCase& one,
                                                                   const PolicySet& policies) {
  std::vector<std::pair<std::string, base::Result<PolicySet>>> out;
  ParseOptions options;
  options.templates = true;
  const auto ours = policies_to_json(policies);
  out.emplace_back("our JSON", ours.ok() ? policies_from_json(*ours, "j", options) : ours.error());
  std::string text;
  for (const Policy& policy : policies.policies())
    if (policy.template_id() == nullptr) text += policy_to_text(policy) + "\n";
  GeneratedCase again = one;
  again.policies = {text};
  for (std::size_t i = 0; i < again.templates.size(); ++i) again.templates[i] = policy_to_text(policies.templates()[i]);
  out.emplace_back("canonical text", policies_of(again));
  return out;
}

void compare_twins(std::uint64_t seed, const GeneratedCase& one, const PolicySet& policies, const Entities& entities,
                   Tally& tally) {
  ++tally.round_trips;
  for (auto& [name, twin] : twins(one, policies)) {
    if (!twin.ok()) {
      tally.differ(seed, name + " not read: " + twin.error().message, json::dump(question_of(one)));
      continue;
    }
    for (const auto& asked : one.requests) {
      const auto request = Request::from_json(asked);
      if (!request.ok()) continue;
      const std::string was = verdict(authorize(policies, entities, *request));
      const std::string is = verdict(authorize(*twin, entities, *request));
      if (was != is) tally.differ(seed, name + ": " + is + " instead of " + was, json::dump(question_of(one)));
    }
  }
}

void run(std::uint64_t seed, Oracle& oracle, Tally& tally) {
  const GeneratedCase one = CaseGenerator(seed).next();
  const json::Value question = question_of(one);
  const json::Value theirs = oracle.ask(question);
  ++tally.sets;
  if (theirs.find("policies") == nullptr) return tally.differ(seed, "no answer: " + json::dump(theirs), one.text());
  const bool refused = !theirs.find("policies")->is_null();
  const auto policies = policies_of(one);
  if (policies.ok() == refused)
    return tally.differ(
        seed, refused ? "taken, official: " + theirs.string_or("policies") : "refused: " + policies.error().message,
        json::dump(question));
  if (!policies.ok()) return;
  ++tally.good_sets;
  tally.policies += one.policies.size();
  tally.links += one.links.size();
  const auto entities = Entities::from_json(one.entities);
  if (seed % 4 == 0 && entities.ok()) compare_twins(seed, one, *policies, *entities, tally);
  const auto compiled = CompiledPolicies::compile(*policies);
  const auto& answers = *theirs.find("answers")->as_array();
  for (std::size_t i = 0; i < one.requests.size(); ++i) {
    ++tally.requests;
    const auto request = Request::from_json(one.requests[i]);
    const bool ok = entities.ok() && request.ok();
    if (const json::Value* failed = answers[i].find("failed")) {
      if (ok) tally.differ(seed, "taken, official: " + json::dump(*failed), json::dump(question));
      continue;
    }
    if (!ok) {
      tally.differ(seed, "refused: " + (entities.ok() ? request.error().message : entities.error().message),
                   json::dump(question));
      continue;
    }
    ++tally.taken;
    const Answer ours = authorize(*policies, *entities, *request);
    if (auto what = disagreement(*compiled, ours, *entities, *request); !what.empty())
      tally.differ(seed, "the compiled evaluator disagrees: " + what, json::dump(question));
    tally.allowed += ours.decision == Decision::allow ? 1U : 0U;
    tally.with_reason += ours.reasons.empty() ? 0U : 1U;
    tally.with_errors += ours.errors.empty() ? 0U : 1U;
    tally.policy_errors += ours.errors.size();
    if (verdict(ours) != verdict(answers[i]))
      tally.differ(seed, "ours " + verdict(ours) + ", official " + verdict(answers[i]),
                   json::dump(one.requests[i]) + "\n" + json::dump(question));
  }
}

TEST(CedarOracle, RandomDecisions) {
  Oracle oracle;
  if (!oracle.running())
    GTEST_SKIP() << "@cedar-policy/cedar-wasm is not below DAYPASS_CEDAR_ORACLE: random decisions not compared";
  const std::size_t requests = std::stoul(setting("DAYPASS_ORACLE_REQUESTS", "2000"));
  const std::uint64_t first = std::stoull(setting("DAYPASS_ORACLE_SEED", std::to_string(std::random_device()())));
  Tally tally;
  for (std::uint64_t seed = first; tally.requests < requests && tally.differences < 50; ++seed)
    run(seed, oracle, tally);
  std::cout << "seeds from " << first << ": " << tally.sets << " policy sets, " << tally.good_sets
            << " of them good with " << tally.policies << " policies and " << tally.links << " links; "
            << tally.requests << " requests, " << tally.taken << " of them taken: " << tally.allowed << " allowed, "
            << tally.with_reason << " with a reason, " << tally.with_errors << " with errors of " << tally.policy_errors
            << " policies; " << tally.round_trips << " sets read again from JSON and text; " << tally.differences
            << " differences\n";
  EXPECT_EQ(tally.differences, 0U);
  EXPECT_GT(tally.allowed, tally.taken / 10);
  EXPECT_GT(tally.with_errors, tally.taken / 10);
}

}  // namespace
}  // namespace daypass::cedar
