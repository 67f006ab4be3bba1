// Decides by the reference evaluator and by the compiled one, and fails the test where they differ in anything.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "cedar/compile_compare.h"

namespace daypass::cedar::testing {

class BothEvaluators {
 public:
  explicit BothEvaluators(PolicySet policies) : compiled_(CompiledPolicies::compile(std::move(policies))) {}

  /// The reference's answer.
  [[nodiscard]] Answer authorize(const Entities& entities, const Request& request) const {
    Answer answer = cedar::authorize(compiled_->policies(), entities, request);
    const std::string difference = disagreement(*compiled_, answer, entities, request);
    EXPECT_EQ(difference, "");
    return answer;
  }

 private:
  std::shared_ptr<const CompiledPolicies> compiled_;
};

}  // namespace daypass::cedar::testing
