// Part of the store suite: grants and intents. Included by store_suite.h.
#pragma once

#include <algorithm>

#include "conformance/store_suite.h"

namespace daypass::store::conformance {

TEST_P(StoreSuite, AGrantComesBackWhole) {
  core::Grant grant = make_grant(north, 7);
  grant.roles = {core::RoleId("pg/orders/reader"), core::RoleId("pg/orders/writer")};
  grant.offers.push_back({"policy1", std::chrono::minutes(5), std::chrono::seconds(30), 1});
  grant.principal = "corp/M\xc3\xbcller\x01";
  grant.decision_record = "dr_1";
  grant.policy_version = 12;
  grant.state = core::GrantState::revoking;
  grant.end_reason = core::EndReason::idle;
  grant.end_note = "a \"note\"\n";
  grant.connections = 2;
  grant.handle = R"({"oid":4711})";
  grant.sealed_secret = std::string("\x00\xff\xfe sealed \x80", 12);
  grant.intent_seq = 3;
  grant.open = core::IntentKind::verify;
  grant.attempt = 5;
  grant.revoking_since = at(99) + base::Millis(7);
  save(grant);
  EXPECT_EQ(grant.version, 1U);
  EXPECT_EQ(must(look()->load_grant(grant.id)), grant);
  reopen();
  EXPECT_EQ(must(look()->load_grant(grant.id)), grant);
}

TEST_P(StoreSuite, AGrantIsReplacedOnlyAtTheVersionThatWasRead) {
  core::Grant grant = make_grant(north, 1);
  EXPECT_EQ(must(look()->load_grant(grant.id)), std::nullopt);
  save(grant);
  core::Grant stale = grant;
  grant.state = core::GrantState::active;
  save(grant);
  EXPECT_EQ(grant.version, 2U);

  stale.state = core::GrantState::closed;
  EXPECT_EQ(check_of(store().transact([&](Tx& tx) { return tx.save_grant(stale); })), "store.conflict");
  EXPECT_EQ(stale.version, 1U) << "a refused save counts nothing";
  core::Grant again = make_grant(north, 1);
  EXPECT_EQ(check_of(store().transact([&](Tx& tx) { return tx.save_grant(again); })), "store.conflict");
  core::Grant unknown = make_grant(north, 2);
  unknown.version = 1;
  EXPECT_EQ(check_of(store().transact([&](Tx& tx) { return tx.save_grant(unknown); })), "store.conflict");
  core::Grant ahead = grant;
  ahead.version = 3;
  EXPECT_EQ(check_of(store().transact([&](Tx& tx) { return tx.save_grant(ahead); })), "store.conflict");
  EXPECT_EQ(must(look()->load_grant(grant.id)), grant);
}

/// What a target says may be in any encoding, and may be cut within a character: it must not keep a grant from being
/// stored.
TEST_P(StoreSuite, AGrantWithForeignBytesIsStoredAndReadBack) {
  core::Grant grant = make_grant(north, 1);
  grant.end_note = "gone\xff \xc3";
  save(grant);
  grant.end_note = "gone\xef\xbf\xbd \xef\xbf\xbd";
  EXPECT_EQ(must(look()->load_grant(grant.id)), grant);
}

TEST_P(StoreSuite, EqualGrantIdsOfTwoTenantsAreTwoGrants) {
  core::Grant a = make_grant(north, 1);
  core::Grant b = make_grant(south, 1);
  a.principal = "corp/a";
  b.principal = "corp/b";
  save(a);
  save(b);
  a.state = core::GrantState::closed;
  save(a);
  EXPECT_EQ(must(look()->load_grant(a.id)), a);
  EXPECT_EQ(must(look()->load_grant(b.id)), b);
  commit([&](Tx& tx) -> base::Status {
    DP_CHECK(tx.open_intent(make_intent(a.id, 1)));
    DP_CHECK(tx.open_intent(make_intent(b.id, 1)));
    return tx.settle_intent(a.id, 1);
  });
  EXPECT_THAT(must(look()->open_intents()), testing::ElementsAre(make_intent(b.id, 1)));
}

/// Tenants, sessions, principals, targets and states in every combination; several opened at one instant.
inline std::vector<core::Grant> many_grants() {
  std::vector<core::Grant> out;
  for (std::uint64_t i = 0; i < 64; ++i) {
    core::Grant g = make_grant((i & 1U) != 0 ? north : south, i * 7919 % 64);
    g.session = core::SessionId((i & 2U) != 0 ? "ls_a" : "ls_b");
    g.principal = (i & 4U) != 0 ? "corp/a" : "corp/b";
    g.target = core::TargetId((i & 8U) != 0 ? "pg/orders" : "pg/stock");
    g.state = (i & 16U) != 0 ? core::GrantState::closed : core::GrantState::active;
    g.opened_at = at(static_cast<std::int64_t>(i * 31 % 64 / 4));
    out.push_back(std::move(g));
  }
  return out;
}

inline bool matches(const Selector& s, const core::Grant& g) {
  return (!s.tenant || *s.tenant == g.id.tenant) && (!s.session || *s.session == g.session) &&
         (!s.principal || *s.principal == g.principal) && (!s.target || *s.target == g.target) &&
         (s.include_closed || g.state != core::GrantState::closed);
}

inline std::vector<core::GrantId> ids_of(const std::vector<core::Grant>& grants) {
  std::vector<core::GrantId> out;
  for (const auto& g : grants) out.push_back(g.id);
  return out;
}

TEST_P(StoreSuite, EverySelectorFindsWhatMatchesNewestFirst) {
  std::vector<core::Grant> all = many_grants();
  commit([&](Tx& tx) -> base::Status {
    for (core::Grant& g : all) DP_CHECK(tx.save_grant(g));
    return {};
  });
  std::ranges::sort(all, [](const core::Grant& a, const core::Grant& b) {
    return std::tuple(b.opened_at, a.id.tenant, a.id.id) < std::tuple(a.opened_at, b.id.tenant, b.id.id);
  });
  const auto reader = look();
  for (unsigned bits = 0; bits < 32; ++bits) {
    Selector s;
    if ((bits & 1U) != 0) s.tenant = north;
    if ((bits & 2U) != 0) s.session = core::SessionId("ls_a");
    if ((bits & 4U) != 0) s.principal = "corp/a";
    if ((bits & 8U) != 0) s.target = core::TargetId("pg/orders");
    s.include_closed = (bits & 16U) != 0;
    std::vector<core::Grant> wanted;
    std::ranges::copy_if(all, std::back_inserter(wanted), [&](const core::Grant& g) { return matches(s, g); });
    ASSERT_FALSE(wanted.empty());
    EXPECT_EQ(must(reader->grants(s)), wanted) << bits;
    s.limit = 3;
    wanted.resize(std::min<std::size_t>(3, wanted.size()));
    EXPECT_EQ(ids_of(must(reader->grants(s))), ids_of(wanted)) << bits;
  }
  Selector none;
  none.principal = "corp/nobody";
  EXPECT_THAT(must(reader->grants(none)), testing::IsEmpty());
  none = {};
  none.limit = 0;
  EXPECT_THAT(must(reader->grants(none)), testing::IsEmpty());
}

inline std::tuple<std::int64_t, core::TenantId, core::TargetId, std::string> key_of(By order, const Outline& o) {
  const std::int64_t first = order == By::end        ? o.wake.at.time_since_epoch().count()
                             : order == By::idleness ? o.wake.idle.count()
                                                     : 0;
  return {first, o.id.tenant, o.target, o.id.id};
}

/// Every selector in every order, page by page: what is open comes once, in order, with the law's own word on when to
/// wake it; what is closed never.
TEST_P(StoreSuite, OutlinesComeInOrderAndInPages) {
  std::vector<core::Grant> all = many_grants();
  for (std::size_t i = 0; i < all.size(); ++i) {
    core::Grant& g = all[i];
    g.ends_at = g.opened_at + base::Seconds(static_cast<std::int64_t>(i * 13 % 7));
    g.offers.front().idle = base::Seconds(static_cast<std::int64_t>(i * 5 % 3));
    if (i % 5 == 0) g.connections = 1;
    if (i % 7 == 0) g.open = core::IntentKind::extend;
    if (i % 11 == 0 && g.state == core::GrantState::active) g.state = core::GrantState::revoking;
  }
  commit([&](Tx& tx) -> base::Status {
    for (core::Grant& g : all) DP_CHECK(tx.save_grant(g));
    return {};
  });
  reopen();
  const auto reader = look();
  for (const By order : {By::place, By::end, By::idleness})
    for (unsigned bits = 0; bits < 16; ++bits) {
      Selector s;
      if ((bits & 1U) != 0) s.tenant = north;
      if ((bits & 2U) != 0) s.session = core::SessionId("ls_a");
      if ((bits & 4U) != 0) s.principal = "corp/a";
      if ((bits & 8U) != 0) s.target = core::TargetId("pg/orders");
      std::vector<Outline> wanted;
      for (const auto& g : all)
        if (matches(s, g)) wanted.push_back({g.id, g.session, g.target, core::wake_of(g)});
      std::ranges::sort(wanted, {}, [&](const Outline& o) { return key_of(order, o); });
      ASSERT_FALSE(wanted.empty());
      EXPECT_EQ(must(reader->count(s)), wanted.size()) << bits;
      for (const std::size_t limit : {1U, 3U, 1000U}) {
        s.limit = limit;
        std::vector<Outline> got;
        for (;;) {
          const auto page = must(reader->outline(s, order, got.empty() ? nullptr : &got.back()));
          ASSERT_LE(page.size(), limit);
          if (page.empty()) break;
          got.insert(got.end(), page.begin(), page.end());
          ASSERT_LE(got.size(), wanted.size()) << "a page came twice";
        }
        EXPECT_EQ(got, wanted) << bits << ", order " << static_cast<int>(order) << ", pages of " << limit;
      }
    }
}

TEST_P(StoreSuite, AnOutlineFollowsItsGrant) {
  core::Grant grant = make_grant(north, 1);
  grant.state = core::GrantState::provisioning;
  grant.open = core::IntentKind::provision;
  const auto now = [&](Reader& reader) { return must(reader.outline({}, By::end, nullptr)); };
  save(grant);
  ASSERT_EQ(now(*look()).size(), 1U);
  EXPECT_EQ(now(*look()).front().wake, core::Wake{});
  grant.state = core::GrantState::active;
  grant.open.reset();
  save(grant);
  EXPECT_EQ(now(*look()).front().wake, (core::Wake{grant.ends_at, std::chrono::minutes(10), true}));
  // Within a transaction as it will be, and as it was when that fails.
  [[maybe_unused]] const auto undone = store().transact([&](Tx& tx) -> base::Status {
    core::Grant closed = grant;
    closed.state = core::GrantState::closed;
    DP_CHECK(tx.save_grant(closed));
    EXPECT_THAT(now(tx), testing::IsEmpty());
    EXPECT_EQ(must(tx.count({})), 0U);
    return base::Error{base::Code::invalid, "test.undo", "as it was"};
  });
  EXPECT_EQ(must(look()->count({})), 1U);
  grant.target = core::TargetId("pg/elsewhere");  // no engine does that; the store keeps its word all the same
  save(grant);
  EXPECT_EQ(now(*look()).front().target, grant.target);
}

TEST_P(StoreSuite, AClosedGrantLeavesTheLiving) {
  core::Grant grant = make_grant(north, 1);
  save(grant);
  Selector living;
  living.tenant = north;
  EXPECT_EQ(must(look()->grants(living)).size(), 1U);
  grant.state = core::GrantState::closed;
  save(grant);
  EXPECT_THAT(must(look()->grants(living)), testing::IsEmpty());
  living.include_closed = true;
  EXPECT_EQ(must(look()->grants(living)).size(), 1U);
}

TEST_P(StoreSuite, AnIntentIsOpenUntilSettled) {
  core::Grant grant = make_grant(north, 1);
  save(grant);
  core::Intent intent = make_intent(grant.id, 4, 10);
  intent.kind = core::IntentKind::provision;
  intent.attempt = 2;
  intent.sealed_secret = std::string("\x00\x80 sealed", 9);
  commit([&](Tx& tx) { return tx.open_intent(intent); });
  reopen();
  EXPECT_THAT(must(look()->open_intents()), testing::ElementsAre(intent));
  commit([&](Tx& tx) { return tx.settle_intent(grant.id, 3); });
  EXPECT_THAT(must(look()->open_intents()), testing::ElementsAre(intent)) << "another number settles nothing";
  commit([&](Tx& tx) { return tx.settle_intent(grant.id, 4); });
  EXPECT_THAT(must(look()->open_intents()), testing::IsEmpty());
  commit([&](Tx& tx) { return tx.settle_intent(grant.id, 4); });  // late and twice is no error
}

TEST_P(StoreSuite, ANewerIntentTakesThePlaceOfAnOlderOne) {
  core::Grant grant = make_grant(north, 1);
  save(grant);
  for (const core::IntentKind kind :
       {core::IntentKind::provision, core::IntentKind::extend, core::IntentKind::revoke, core::IntentKind::verify}) {
    core::Intent intent = make_intent(grant.id, 1 + static_cast<std::uint32_t>(kind));
    intent.kind = kind;
    commit([&](Tx& tx) { return tx.open_intent(intent); });
    EXPECT_THAT(must(look()->open_intents()), testing::ElementsAre(intent));
  }
  core::Intent retry = make_intent(grant.id, 4, 30);
  retry.attempt = 1;
  commit([&](Tx& tx) { return tx.open_intent(retry); });
  EXPECT_THAT(must(look()->open_intents()), testing::ElementsAre(retry));
  EXPECT_EQ(check_of(store().transact([&](Tx& tx) { return tx.open_intent(make_intent(grant.id, 3)); })),
            "store.conflict");
  EXPECT_THAT(must(look()->open_intents()), testing::ElementsAre(retry));
}

TEST_P(StoreSuite, AnIntentNeedsItsGrant) {
  EXPECT_EQ(check_of(store().transact([&](Tx& tx) { return tx.open_intent(make_intent(grant_id(north, 1), 1)); })),
            "store.no_grant");
  core::Grant grant = make_grant(south, 1);
  save(grant);
  EXPECT_EQ(check_of(store().transact([&](Tx& tx) { return tx.open_intent(make_intent(grant_id(north, 1), 1)); })),
            "store.no_grant");
  EXPECT_THAT(must(look()->open_intents()), testing::IsEmpty());
}

TEST_P(StoreSuite, OpenIntentsComeByTheirTime) {
  std::vector<core::Intent> wanted;
  commit([&](Tx& tx) -> base::Status {
    for (std::uint64_t i = 0; i < 20; ++i) {
      core::Grant g = make_grant(i % 2 == 0 ? north : south, i);
      DP_CHECK(tx.save_grant(g));
      wanted.push_back(make_intent(g.id, 1, static_cast<std::int64_t>(i * 7 % 20)));
      DP_CHECK(tx.open_intent(wanted.back()));
    }
    return {};
  });
  std::ranges::sort(wanted, {}, &core::Intent::not_before);
  EXPECT_EQ(must(look()->open_intents()), wanted);
}

}  // namespace daypass::store::conformance
