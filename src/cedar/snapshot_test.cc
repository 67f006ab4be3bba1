// Swapping what many threads read.
#include "cedar/snapshot.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "cedar/cedar.h"

namespace daypass::cedar {
namespace {

std::shared_ptr<const CompiledPolicies> named(int version) {
  const std::string text = "@id(\"v" + std::to_string(version) + "\") permit(principal, action, resource);";
  return CompiledPolicies::compile(PolicySet::parse(text, "t.cedar", {.ids_from_annotation = true}).value());
}

TEST(CedarSnapshot, AReaderSeesWhatWasPublishedLast) {
  Published<CompiledPolicies> live(named(1));
  Published<CompiledPolicies>::Reader reader(live);
  const CompiledPolicies& first = reader.current();
  live.publish(named(2));
  EXPECT_EQ(first.policies().policies()[0].id(), "v1");  // still whole
  EXPECT_EQ(reader.current().policies().policies()[0].id(), "v2");
  EXPECT_EQ(&reader.current(), &reader.current());
  EXPECT_EQ(Published<CompiledPolicies>::Reader(live).current().policies().policies()[0].id(), "v2");
}

TEST(CedarSnapshot, ReadersNeverGoBack) {
  constexpr int last = 50;
  Published<CompiledPolicies> live(named(0));
  const Request request{{"User", "a"}, {"Action", "view"}, {"Doc", "d"}, {}};
  const auto read = [&] {
    Published<CompiledPolicies>::Reader reader(live);
    for (int seen = 0; seen < last;) {
      const Answer answer = authorize(reader.current(), {}, request);
      ASSERT_EQ(answer.reasons.size(), 1U);
      const int version = std::stoi(answer.reasons[0].substr(1));
      ASSERT_GE(version, seen);
      seen = version;
    }
  };
  std::thread one(read), two(read);
  for (int version = 1; version <= last; ++version) live.publish(named(version));
  one.join();
  two.join();
}

}  // namespace
}  // namespace daypass::cedar
