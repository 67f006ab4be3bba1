#include "cedar/corpus.h"

#include <algorithm>
#include <filesystem>

#include "cedar/authorize.h"
#include "cedar/compile.h"
#include "cedar/compile_compare.h"
#include "cedar/format.h"
#include "cedar/policy_json.h"
#include "cedar/schema.h"
#include "cedar/schema_entities.h"
#include "cedar/validate.h"

namespace daypass::cedar {
namespace {

namespace json = base::json;
namespace fs = std::filesystem;

std::vector<std::string> sorted(std::vector<std::string> ids) {
  std::sort(ids.begin(), ids.end());
  return ids;
}

std::vector<std::string> ids_of(const json::Value* list) {
  std::vector<std::string> ids;
  if (list != nullptr && list->as_array() != nullptr)
    for (const auto& id : *list->as_array()) ids.push_back(id.as_string() == nullptr ? "?" : *id.as_string());
  return sorted(std::move(ids));
}

std::string joined(const std::vector<std::string>& ids) {
  std::string out;
  for (const auto& id : ids) out += (out.empty() ? "" : ",") + id;
  return "[" + out + "]";
}

bool has_real_condition(const PolicySet& policies) {
  for (const Policy& policy : policies.policies())
    for (const Condition& condition : policy.conditions())
      if (policy.exprs().op(condition.body) != Op::literal) return true;
  return false;
}

std::string said(const Answer& answer) {
  std::vector<std::string> erred;
  for (const PolicyError& error : answer.errors) erred.push_back(error.policy);
  return std::string(to_string(answer.decision)) + " " + joined(sorted(answer.reasons)) + " errors " +
         joined(sorted(std::move(erred)));
}

// Equal but for the order of members.
bool same(const json::Value& a, const json::Value& b) {
  if (const auto* object = a.as_object()) {
    const auto* other = b.as_object();
    return other != nullptr && object->size() == other->size() &&
           std::all_of(object->begin(), object->end(), [&](const json::Member& member) {
             const json::Value* found = other->find(member.key);
             return found != nullptr && same(member.value, *found);
           });
  }
  if (const auto* array = a.as_array()) {
    const auto* other = b.as_array();
    return other != nullptr && std::ranges::equal(*array, *other, same);
  }
  return a == b;
}

class Run {
 public:
  Run(fs::path path, json::Value file, const ReadFile& read)
      : path_(std::move(path)), file_(std::move(file)), read_(read) {}

  CorpusCase all() {
    auto schema_text = named("schema"), policy_text = named("policies"), entity_text = named("entities");
    if (!schema_text || !policy_text || !entity_text) return std::move(out_);
    auto schema = Schema::parse(*schema_text, file_.string_or("schema"));
    if (!schema.ok()) return missed("the schema is not read: " + schema.error().message);
    auto policies = PolicySet::parse(*policy_text, file_.string_or("policies"));
    if (!policies.ok()) return missed("the policies are not read: " + policies.error().message);
    auto entity_json = json::parse(*entity_text, corpus_limits);
    if (!entity_json.ok()) return missed("the entities are not JSON: " + entity_json.error().message);
    out_.real_condition = has_real_condition(*policies);
    const auto conforming = entities_from_json(*entity_json, *schema);
    verdict_ = beside(".validation.json");
    check_validation(*policies, *schema, conforming);
    if (const auto expected = beside(".cedarschema.json"); !expected.is_null()) check_json(*schema, expected);
    check_entities(conforming);
    check_requests(*schema);
    out_.by_schema = conforming.ok();
    const auto entities = conforming.ok() ? conforming : Entities::from_json(*entity_json);
    if (!entities.ok()) return missed("the entities are not read: " + entities.error().message);
    check_round_trip(*entities);
    write_forms(*policy_text, *policies);
    decide(*policies, *entities);
    return std::move(out_);
  }

 private:
  void miss(std::string what) { out_.mismatches.push_back(std::move(what)); }
  CorpusCase missed(std::string what) {
    miss(std::move(what));
    return std::move(out_);
  }

  std::optional<std::string> named(std::string_view key) {
    const std::string name = file_.string_or(key);
    const fs::path folder = path_.parent_path();
    std::optional<std::string> text;
    for (fs::path at = folder; !name.empty() && !text; at = at.parent_path()) {
      text = read_((at / name).string());
      if (at == at.parent_path()) break;
    }
    if (!text && !name.empty()) text = read_((folder / fs::path(name).filename()).string());
    if (!text)
      miss(name.empty() ? "the case names no " + std::string(key)
                        : "its " + std::string(key) + " " + name + " is in no folder above it");
    return text;
  }

  // What the official engine made of the same case, where the corpus has it; null elsewhere.
  json::Value beside(const std::string& ending) {
    const std::string name = path_.stem().string() + ending;
    auto text = read_((path_.parent_path() / name).string());
    beside_ = text.has_value();
    for (fs::path at = path_.parent_path(); !text; at = at.parent_path()) {
      text = read_((at / "go-results" / name).string());
      if (at == at.parent_path()) break;
    }
    if (!text) return {};
    auto parsed = json::parse(*text, corpus_limits);
    if (!parsed.ok()) miss(name + " is not JSON: " + parsed.error().message);
    return parsed.ok() ? std::move(*parsed) : json::Value();
  }

  // A case is valid when its policies are and its entities conform.
  void check_validation(const PolicySet& policies, const Schema& schema, const base::Result<Entities>& conforming) {
    validator_only_ = beside_;
    const json::Value* should = file_.find("shouldValidate");
    if (should == nullptr || should->as_bool() == nullptr) return miss("the case has no shouldValidate");
    out_.valid = *should->as_bool();
    const ValidationResult result = validate(policies, schema);
    if ((result.ok() && conforming.ok()) != out_.valid)
      miss(!out_.valid    ? "should not validate, and does"
           : !result.ok() ? "should validate: " + result.errors.front().diagnostic.message
                          : "its entities should conform: " + conforming.error().message);
    const json::Value* per_policy = verdict_.pointer("/policyValidation/perPolicy");
    if (per_policy == nullptr || per_policy->as_object() == nullptr) return;
    for (const auto& [id, one] : *per_policy->as_object()) {
      const bool good = std::ranges::none_of(result.errors, [&](const ValidationProblem& p) { return p.policy == id; });
      if (good != one.bool_or("strict", false)) miss(id + " should " + (good ? "not " : "") + "validate");
    }
  }

  void check_json(const Schema& schema, const json::Value& expected) {
    out_.json_schema = true;
    if (!same(schema.to_json(), expected)) miss("JSON schema: " + json::dump(schema.to_json()));
    auto again = Schema::parse_json(json::dump(expected), "json");
    if (!again.ok()) return miss("JSON schema not read: " + again.error().message);
    if (!same(again->to_json(), expected)) miss("JSON schema changed by reading");
    auto text = again->to_text();
    // The text has no spelling for some; those must say so.
    if (!text.ok() && text.error().check != "cedar.schema_unwritable") miss(text.error().message);
    if (!text.ok()) return;
    auto from_text = Schema::parse(*text, "text");
    if (!from_text.ok()) return miss("written schema text not read: " + from_text.error().message);
    if (from_text->entity_types().size() != schema.entity_types().size() ||
        from_text->actions().size() != schema.actions().size())
      miss("written schema text means something else");
  }

  void check_entities(const base::Result<Entities>& read) {
    const json::Value* per_entity = verdict_.pointer("/entityValidation/perEntity");
    if (per_entity == nullptr || per_entity->as_object() == nullptr) return;
    ++out_.entity_files;
    bool good = true;
    for (const auto& [uid, one] : *per_entity->as_object()) good = good && one.find("errors") == nullptr;
    if (read.ok() != good)
      miss(good ? "its entities should conform: " + read.error().message : "its entities should not conform");
    out_.refused += good ? 0U : 1U;
  }

  void check_requests(const Schema& schema) {
    const json::Value* verdicts = verdict_.find("requestValidation");
    const json::Array& requests = *file_.find("requests")->as_array();
    if (verdicts == nullptr || verdicts->as_array() == nullptr) return;
    if (verdicts->as_array()->size() != requests.size()) return miss("there are not as many requests as verdicts");
    for (std::size_t i = 0; i < requests.size(); ++i) {
      ++out_.checked_requests;
      const auto read = request_from_json(requests[i], schema);
      const bool good = (*verdicts->as_array())[i].bool_or("strict", false);
      if (read.ok() != good)
        miss("request " + std::to_string(i) +
             (good ? " should conform: " + read.error().message : " should not conform"));
      out_.refused += good ? 0U : 1U;
    }
  }

  void check_round_trip(const Entities& entities) {
    auto again = Entities::from_json(entities.to_json());
    if (!again.ok() || again->size() != entities.size() ||
        !std::ranges::all_of(entities.all(), [&](const Entity& e) { return again->find(e.uid)->attrs == e.attrs; }))
      miss("entities do not survive JSON");
  }

  // The same policies gone through policy JSON, and laid out by the formatter.
  void write_forms(const std::string& text, const PolicySet& policies) {
    const auto written = policies_to_json(policies);
    auto read = written.ok() ? policies_from_json(*written, "json") : written.error();
    if (!read.ok()) return miss("policy JSON: " + read.error().message);
    const auto laid_out = format_policies(text, "text");
    auto again = laid_out.ok() ? PolicySet::parse(*laid_out, "laid out") : laid_out.error();
    if (!again.ok()) return miss("formatted policies: " + again.error().message);
    forms_ = {{"as JSON", std::move(*read)}, {"laid out", std::move(*again)}};
  }

  void decide(const PolicySet& policies, const Entities& entities) {
    const json::Array& requests = *file_.find("requests")->as_array();
    const auto compiled = CompiledPolicies::compile(policies);
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const std::string name = "request " + std::to_string(i) + ": ";
      const auto request = Request::from_json(requests[i]);
      if (!request.ok()) {
        miss(name + "not read: " + request.error().message);
        continue;
      }
      compare(name, *compiled, entities, *request, requests[i]);
    }
  }

  void compare(const std::string& name, const CompiledPolicies& compiled, const Entities& entities,
               const Request& request, const json::Value& expected) {
    const PolicySet& policies = compiled.policies();
    const Answer answer = authorize(policies, entities, request);
    if (auto what = testing::disagreement(compiled, answer, entities, request); !what.empty())
      miss(name + "the compiled evaluator disagrees: " + std::move(what));
    for (const auto& [form, other] : forms_)
      if (said(authorize(other, entities, request)) != said(answer)) miss(name + "decided otherwise " + form);
    const auto reason = ids_of(expected.find("reason")), errors = ids_of(expected.find("errors"));
    const std::string decision = expected.string_or("decision");
    if (validator_only_ && !out_.valid && decision == "allow" && reason.empty() && errors.empty()) {
      ++out_.placeholders;
    } else {
      ++out_.requests;
      out_.with_reasons += answer.reasons.empty() ? 0U : 1U;
      out_.with_errors += answer.errors.empty() ? 0U : 1U;
      const std::string want = decision + " " + joined(reason) + " errors " + joined(errors);
      if (want != said(answer)) miss(name + "expected " + want + ", got " + said(answer));
    }
    // explain() walks every policy on its own.
    for (const Policy& policy : policies.policies()) {
      const Explanation why = explain(policy, entities, request);
      const auto& satisfied = policy.effect() == Effect::permit ? answer.satisfied_permits : answer.satisfied_forbids;
      const bool failed = std::ranges::any_of(answer.errors, [&](const auto& e) { return e.policy == policy.id(); });
      if (why.satisfied != (std::ranges::find(satisfied, policy.id()) != satisfied.end()) || why.erred != failed)
        miss(name + "explain disagrees about " + policy.id());
    }
  }

  fs::path path_;
  json::Value file_;
  const ReadFile& read_;
  json::Value verdict_;
  std::vector<std::pair<std::string, PolicySet>> forms_;
  bool beside_ = false, validator_only_ = false;
  CorpusCase out_;
};

}  // namespace

std::optional<CorpusCase> run_corpus_case(const std::string& path, const ReadFile& read) {
  const auto text = read(path);
  // What only damage keeps from being a case is one that failed.
  if (!text || text->find("\"requests\"") == std::string::npos) return std::nullopt;
  auto parsed = json::parse(*text, corpus_limits);
  if (!parsed.ok()) {
    CorpusCase damaged;
    damaged.mismatches.push_back("it is not JSON: " + parsed.error().message);
    return damaged;
  }
  const json::Value* requests = parsed->find("requests");
  if (requests == nullptr) return std::nullopt;
  if (requests->as_array() == nullptr) {
    CorpusCase damaged;
    damaged.mismatches.emplace_back("its requests are no list");
    return damaged;
  }
  return Run(path, std::move(*parsed), read).all();
}

}  // namespace daypass::cedar
