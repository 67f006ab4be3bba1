// What differs between two answers to one request. For tests, the fuzzer and the corpus.
#pragma once

#include <string>
#include <vector>

#include "cedar/compile.h"

namespace daypass::cedar::testing {

inline std::string written(const Answer& answer) {
  std::string out(to_string(answer.decision));
  const auto list = [&](std::string_view name, const std::vector<std::string>& ids) {
    out += "; ";
    out += name;
    for (const auto& id : ids) out += " " + quote(id);
  };
  list("reasons", answer.reasons);
  list("permits", answer.satisfied_permits);
  list("forbids", answer.satisfied_forbids);
  list("erred forbids", answer.erred_forbids);
  for (const PolicyError& error : answer.errors)
    out += "; error in " + quote(error.policy) + " at " + std::to_string(error.line) + ":" +
           std::to_string(error.column) + ": " + error.message;
  return out;
}

/// "" when the compiled evaluator says in every field what `reference` says, and the short way agrees with the verdict.
inline std::string disagreement(const CompiledPolicies& compiled, const Answer& reference, const Entities& entities,
                                const Request& request) {
  const std::string want = written(reference);
  const std::string got = written(authorize(compiled, entities, request));
  if (want != got) return "reference: " + want + "\ncompiled:  " + got;
  Scratch scratch;
  const Decided brief = decide(compiled, entities, request, scratch, Thoroughness::verdict);
  if (brief.decision != reference.decision) return "the verdict by itself differs from " + want;
  if (brief.forbid_erred && reference.erred_forbids.empty()) return "the verdict by itself tells of an erring forbid";
  return "";
}

}  // namespace daypass::cedar::testing
