// The book against a plain list of the same grants: whatever was put, changed and erased, it finds and counts the same.
#include "engine/book.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace daypass::engine {
namespace {

using core::Grant;
using core::GrantId;
using core::GrantState;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAreArray;

Grant make(const std::string& tenant, int number, const std::string& session, const std::string& target) {
  Grant g;
  g.id = {core::TenantId(tenant), "gr_" + std::to_string(number)};
  g.session = core::SessionId(session);
  g.target = core::TargetId(target);
  g.principal = "corp/" + session;
  return g;
}

TEST(Book, FindsWhatWasPutAndForgetsWhatWasErased) {
  Book book;
  Grant g = make("a", 1, "ls_1", "pg/x");
  EXPECT_EQ(book.find(g.id), nullptr);
  EXPECT_FALSE(book.erase(g.id));
  book.put(g);
  ASSERT_NE(book.find(g.id), nullptr);
  g.state = GrantState::active;
  g.connections = 3;
  book.put(g);
  EXPECT_EQ(*book.find(g.id), g);
  EXPECT_EQ(book.active(), 1U);
  EXPECT_EQ(book.connections(), 3);
  book.touch(g.id, base::WallTime(base::Millis(7)));
  EXPECT_EQ(book.find(g.id)->last_active, base::WallTime(base::Millis(7)));
  EXPECT_TRUE(book.erase(g.id));
  EXPECT_FALSE(book.has(core::TenantId("a")));
  EXPECT_THAT(book.of({}), IsEmpty());
  EXPECT_EQ(book.active() + book.size(), 0U);
  EXPECT_EQ(book.connections(), 0);
}

TEST(Book, NeverMixesTenants) {
  Book book;
  book.put(make("a", 1, "ls_1", "pg/x"));
  book.put(make("b", 1, "ls_1", "pg/x"));  // the same names, by chance
  store::Selector whose;
  whose.session = core::SessionId("ls_1");
  whose.tenant = core::TenantId("b");
  EXPECT_THAT(book.of(whose), ElementsAre(GrantId{core::TenantId("b"), "gr_1"}));
  whose.session.reset();
  EXPECT_THAT(book.of(whose), ElementsAre(GrantId{core::TenantId("b"), "gr_1"}));
  EXPECT_TRUE(book.has(core::TenantId("a")));
  EXPECT_FALSE(book.has(core::TenantId("")));
  EXPECT_FALSE(book.has(core::TenantId("aa")));
}

TEST(Book, TellsHowManyAreOverdue) {
  Book book;
  for (int i = 0; i < 5; ++i) {
    Grant g = make("a", i, "ls_1", "pg/x");
    g.state = GrantState::revoking;
    g.revoking_since = base::WallTime(base::Seconds(i));
    book.put(g);
  }
  EXPECT_EQ(book.revoking(), 5U);
  EXPECT_EQ(book.revoking_since_before(base::WallTime(base::Seconds(2))), 2U);
  book.erase({core::TenantId("a"), "gr_0"});
  EXPECT_EQ(book.revoking_since_before(base::WallTime(base::Seconds(2))), 1U);
}

bool matches(const store::Selector& s, const Grant& g) {
  return (!s.tenant || *s.tenant == g.id.tenant) && (!s.session || *s.session == g.session) &&
         (!s.target || *s.target == g.target) && (!s.principal || *s.principal == g.principal);
}

TEST(Book, IsALinearListThatIsFast) {
  std::mt19937 random(4711);
  const auto upto = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  const auto name = [&](const char* prefix, int n) { return prefix + std::to_string(upto(n)); };
  Book book;
  std::map<GrantId, Grant> plain;
  for (int round = 0; round < 20'000; ++round) {
    const int number = upto(60);
    // Who owns it and where it is never changes.
    Grant g = make("t" + std::to_string(number % 3), number, "ls_" + std::to_string(number % 7),
                   "pg/" + std::to_string(number % 4));
    if (upto(3) == 0) {
      EXPECT_EQ(book.erase(g.id), plain.erase(g.id) == 1);
    } else {
      g.state = static_cast<GrantState>(upto(3));
      g.connections = upto(4);
      if (g.state == GrantState::revoking) g.revoking_since = base::WallTime(base::Seconds(upto(9)));
      book.put(g);
      plain.insert_or_assign(g.id, g);
    }
    store::Selector s;
    if (upto(2) == 0) s.tenant = core::TenantId(name("t", 4));
    if (upto(2) == 0) s.session = core::SessionId(name("ls_", 8));
    if (upto(2) == 0) s.target = core::TargetId(name("pg/", 5));
    std::vector<GrantId> wanted;
    std::size_t active = 0, revoking = 0;
    std::int64_t connections = 0;
    for (const auto& [id, one] : plain) {
      if (matches(s, one)) wanted.push_back(id);
      active += one.state == GrantState::active ? 1U : 0U;
      revoking += one.state == GrantState::revoking ? 1U : 0U;
      connections += one.connections;
    }
    ASSERT_THAT(book.of(s), UnorderedElementsAreArray(wanted)) << round;
    ASSERT_EQ(book.size(), plain.size());
    ASSERT_EQ(book.active(), active);
    ASSERT_EQ(book.revoking(), revoking);
    ASSERT_EQ(book.connections(), connections);
  }
}

}  // namespace
}  // namespace daypass::engine
