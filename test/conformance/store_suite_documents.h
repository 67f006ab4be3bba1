// Part of the store suite: documents, used keys, sweeping. Included by store_suite.h.
#pragma once

#include "conformance/store_suite.h"

namespace daypass::store::conformance {

using testing::ElementsAre;
using testing::IsEmpty;

TEST_P(StoreSuite, ADocumentCountsItsVersions) {
  Document document = make_document(north, "spec", "current", "one");
  commit([&](Tx& tx) { return tx.put(document, 0); });
  EXPECT_EQ(document.version, 1U);
  EXPECT_EQ(must(look()->get(north, "spec", "current", at(0))), document);
  document.body = "two";
  commit([&](Tx& tx) { return tx.put(document, 1); });
  EXPECT_EQ(document.version, 2U);
  document.body = "three";
  commit([&](Tx& tx) { return tx.put(document, std::nullopt); });
  EXPECT_EQ(document.version, 3U);
  reopen();
  EXPECT_EQ(must(look()->get(north, "spec", "current", at(0))), document);
}

TEST_P(StoreSuite, ADocumentIsReplacedOnlyAtTheVersionExpected) {
  put(make_document(north, "spec", "current", "one"));
  Document other = make_document(north, "spec", "current", "other");
  for (const std::uint64_t expected : {0U, 2U, 7U}) {
    EXPECT_EQ(check_of(store().transact([&](Tx& tx) { return tx.put(other, expected); })), "store.conflict")
        << expected;
    EXPECT_EQ(other.version, 0U);
  }
  Document missing = make_document(north, "spec", "missing");
  EXPECT_EQ(check_of(store().transact([&](Tx& tx) { return tx.put(missing, 1); })), "store.conflict");
  EXPECT_EQ(body(north, "spec", "current"), "one");
  EXPECT_EQ(body(north, "spec", "missing"), std::nullopt);
}

TEST_P(StoreSuite, ADocumentNeedsAKey) {
  Document document = make_document(north, "spec", "");
  EXPECT_EQ(check_of(store().transact([&](Tx& tx) { return tx.put(document, std::nullopt); })), "store.key");
}

TEST_P(StoreSuite, KeysAndBodiesAreAnyBytes) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  const std::vector<std::string> odd{
      std::string("a\0b", 3), std::string("a\0", 2), "a", "\xff", "\xff\xff", "'; --", "%", all};
  for (const std::string& key : odd) put(make_document(north, "odd", key, key + all));
  put(make_document(north, "odd", "empty", ""));
  put(make_document(north, "odd", "large", std::string(3 << 20U, '\xab')));
  reopen();
  for (const std::string& key : odd) EXPECT_EQ(body(north, "odd", key), key + all);
  EXPECT_EQ(body(north, "odd", "empty"), "");
  EXPECT_EQ(body(north, "odd", "large"), std::string(3 << 20U, '\xab'));
  EXPECT_EQ(must(look()->list(north, "odd", "", "", 100, at(0))).size(), odd.size() + 2);
}

TEST_P(StoreSuite, EqualKeysOfTwoTenantsOrKindsAreTwoDocuments) {
  put(make_document(north, "token", "k", "north's"));
  put(make_document(south, "token", "k", "south's"));
  put(make_document(north, "session", "k", "a session"));
  EXPECT_EQ(body(north, "token", "k"), "north's");
  EXPECT_EQ(body(south, "token", "k"), "south's");
  EXPECT_EQ(body(south, "session", "k"), std::nullopt);
  const auto listed = must(look()->list(north, "token", "", "", 100, at(0)));
  ASSERT_EQ(listed.size(), 1U);
  EXPECT_EQ(listed[0].tenant, north);
  EXPECT_EQ(listed[0].kind, "token");
  EXPECT_EQ(listed[0].body, "north's");
  commit([&](Tx& tx) -> base::Status {
    DP_TRY(const bool removed, tx.remove(north, "token", "k"));
    EXPECT_TRUE(removed);
    return {};
  });
  EXPECT_EQ(body(north, "token", "k"), std::nullopt);
  EXPECT_EQ(body(south, "token", "k"), "south's");
  EXPECT_EQ(body(north, "session", "k"), "a session");
}

TEST_P(StoreSuite, RemoveSaysWhetherItWasThere) {
  put(make_document(north, "token", "k"));
  std::vector<bool> removed;
  commit([&](Tx& tx) -> base::Status {
    removed.clear();
    for (const char* key : {"k", "k", "other"}) {
      DP_TRY(const bool was_there, tx.remove(north, "token", key));
      removed.push_back(was_there);
    }
    return {};
  });
  EXPECT_THAT(removed, ElementsAre(true, false, false));
  Document again = make_document(north, "token", "k");
  commit([&](Tx& tx) { return tx.put(again, 0); });
}

TEST_P(StoreSuite, ListPagesInByteOrderWithinThePrefix) {
  for (const std::string key :
       {"a", "a/1", "a/10", "a/2", "a/\xc3\xbc", "a0", "b", "B", "a/\xff", "a/\xff\xff", "\xff", "\xff\x01"})
    put(make_document(north, "k", key));
  const auto reader = look();
  const auto list = [&](std::string_view prefix, std::string_view after, std::size_t limit) {
    return keys_of(must(reader->list(north, "k", prefix, after, limit, at(0))));
  };
  EXPECT_THAT(list("", "", 100), ElementsAre("B", "a", "a/1", "a/10", "a/2", "a/\xc3\xbc", "a/\xff", "a/\xff\xff", "a0",
                                             "b", "\xff", "\xff\x01"));
  EXPECT_THAT(list("a/", "", 100), ElementsAre("a/1", "a/10", "a/2", "a/\xc3\xbc", "a/\xff", "a/\xff\xff"));
  EXPECT_THAT(list("a/", "", 2), ElementsAre("a/1", "a/10"));
  EXPECT_THAT(list("a/", "a/10", 2), ElementsAre("a/2", "a/\xc3\xbc"));
  EXPECT_THAT(list("a/", "a/\xff\xff", 2), IsEmpty());
  EXPECT_THAT(list("a/", "B", 1), ElementsAre("a/1")) << "after a key before the prefix";
  EXPECT_THAT(list("a/", "z", 100), IsEmpty()) << "after a key behind the prefix";
  EXPECT_THAT(list("a/1", "a/1", 100), ElementsAre("a/10"));
  EXPECT_THAT(list("\xff", "", 100), ElementsAre("\xff", "\xff\x01"));
  EXPECT_THAT(list("a/\xff", "", 100), ElementsAre("a/\xff", "a/\xff\xff"));
  EXPECT_THAT(list("nothing", "", 100), IsEmpty());
  EXPECT_THAT(list("", "", 0), IsEmpty());

  std::vector<std::string> paged;
  for (std::string after;;) {
    const auto page = list("", after, 5);
    if (page.empty()) break;
    paged.insert(paged.end(), page.begin(), page.end());
    after = page.back();
  }
  EXPECT_EQ(paged, list("", "", 100));
}

TEST_P(StoreSuite, AnExpiredDocumentIsNotReturned) {
  Document document = make_document(north, "login", "k", "pending");
  document.expires_at = at(10);
  put(document);
  put(make_document(north, "login", "stays"));
  const auto before = must(look()->get(north, "login", "k", at(10) - base::Millis(1)));
  ASSERT_TRUE(before);
  EXPECT_EQ(before->expires_at, at(10));
  EXPECT_EQ(body(north, "login", "k", at(10)), std::nullopt);
  EXPECT_EQ(body(north, "login", "k", at(11)), std::nullopt);
  EXPECT_THAT(keys_of(must(look()->list(north, "login", "", "", 9, at(9)))), ElementsAre("k", "stays"));
  EXPECT_THAT(keys_of(must(look()->list(north, "login", "", "", 1, at(10)))), ElementsAre("stays"));
  Document fresh = make_document(north, "login", "k", "fresh");
  EXPECT_EQ(check_of(store().transact([&](Tx& tx) { return tx.put(fresh, 0); })), "store.conflict") << "not swept yet";
  put(fresh);
  EXPECT_EQ(body(north, "login", "k", at(11)), "fresh") << "replaced by one that does not expire";
}

TEST_P(StoreSuite, SweepDeletesWhatExpiredAndNothingElse) {
  for (int i = 0; i < 10; ++i) {
    Document document = make_document(i % 2 == 0 ? north : south, "login", "k" + std::to_string(i));
    document.expires_at = at(i);
    put(document);
  }
  put(make_document(north, "login", "stays"));
  const auto left = [&] {
    return must(look()->list(north, "login", "", "", 99, at(-1))).size() +
           must(look()->list(south, "login", "", "", 99, at(-1))).size();
  };
  must(store().sweep(at(5), 2));
  EXPECT_EQ(left(), 9U);
  must(store().sweep(at(5), 100));
  EXPECT_EQ(left(), 5U);
  EXPECT_EQ(body(north, "login", "k6", at(5)), "{}");
  EXPECT_EQ(body(north, "login", "k4", at(-1)), std::nullopt);
  must(store().sweep(at(100), 0));
  EXPECT_EQ(left(), 5U);
  must(store().sweep(at(100), 100));
  EXPECT_EQ(left(), 1U);
}

TEST_P(StoreSuite, AKeyIsUsedOnce) {
  std::vector<bool> fresh;
  const auto use = [&](const core::TenantId& tenant, std::string key, base::WallTime until, base::WallTime now) {
    commit([&](Tx& tx) -> base::Status {
      DP_TRY(const bool first, tx.use_once(tenant, key, until, now));
      fresh.push_back(first);
      return {};
    });
  };
  use(north, "jti", at(10), at(0));
  use(north, "jti", at(10), at(0));
  use(north, "jti", at(99), at(9));  // a later end is no excuse
  use(south, "jti", at(10), at(0));  // another tenant's key is another key
  use(north, std::string("jti\0", 4), at(10), at(0));
  EXPECT_THAT(fresh, ElementsAre(true, false, false, true, true));
  fresh.clear();
  reopen();
  use(north, "jti", at(10), at(1));
  use(north, "jti", at(20), at(10));  // the first use has passed: the key is free again
  use(north, "jti", at(20), at(11));
  use(north, "late", at(5), at(5));  // what it guards is over already
  use(north, "late", at(5), at(6));
  EXPECT_THAT(fresh, ElementsAre(false, true, false, false, false));
}

TEST_P(StoreSuite, AKeyUsedInATransactionThatFailedIsFree) {
  const auto use = [&](bool fail) {
    bool first = false;
    const auto status = store().transact([&](Tx& tx) -> base::Status {
      DP_TRY(first, tx.use_once(north, "jti", at(10), at(0)));
      if (fail) return base::Error{base::Code::denied, "test.failed", "on purpose"};
      return {};
    });
    EXPECT_EQ(status.ok(), !fail);
    return first;
  };
  EXPECT_TRUE(use(true));
  EXPECT_TRUE(use(false));
  EXPECT_FALSE(use(false));
}

TEST_P(StoreSuite, SweepForgetsOnlyKeysThatHavePassed) {
  const auto use = [&](std::string key, base::WallTime until, base::WallTime now) {
    bool first = false;
    commit([&](Tx& tx) -> base::Status {
      DP_TRY(first, tx.use_once(north, key, until, now));
      return {};
    });
    return first;
  };
  EXPECT_TRUE(use("short", at(5), at(0)));
  EXPECT_TRUE(use("long", at(50), at(0)));
  must(store().sweep(at(5), 100));
  EXPECT_FALSE(use("long", at(50), at(4)));
  EXPECT_TRUE(use("short", at(5), at(4))) << "swept at its end";
}

TEST_P(StoreSuite, ATenantIsErasedWithAllItHasButItsLog) {
  for (int i = 0; i < 5; ++i) {
    put(make_document(north, "spec", "k" + std::to_string(i), "n"));
    put(make_document(south, "spec", "k" + std::to_string(i), "s"));
  }
  core::Grant open = make_grant(north, 1);
  commit([&](Tx& tx) -> base::Status {
    DP_CHECK(tx.save_grant(open));
    DP_TRY([[maybe_unused]] const bool a, tx.use_once(north, "once", at(1000), at(0)));
    DP_TRY([[maybe_unused]] const bool b, tx.use_once(south, "once", at(1000), at(0)));
    core::AuditEvent event = make_event(north, "tenant.deleting");
    return tx.append_audit(event);
  });
  const auto erase = [&](std::size_t most) {
    std::size_t gone = 0;
    const auto status = store().transact([&](Tx& tx) -> base::Status {
      DP_TRY(gone, tx.erase_tenant(north, most));
      return {};
    });
    return status.ok() ? std::to_string(gone) : status.error().check;
  };
  EXPECT_EQ(erase(100), "store.live_grants");
  EXPECT_EQ(body(north, "spec", "k0"), "n");
  open.state = core::GrantState::closed;
  commit([&](Tx& tx) { return tx.save_grant(open); });
  EXPECT_EQ(erase(4), "4");
  EXPECT_EQ(erase(100), "3");
  EXPECT_EQ(erase(100), "0");
  reopen();
  EXPECT_THAT(must(look()->list(north, "spec", "", "", 100, at(0))), IsEmpty());
  EXPECT_EQ(must(look()->load_grant(open.id)), std::nullopt);
  EXPECT_EQ(must(look()->list(south, "spec", "", "", 100, at(0))).size(), 5U);
  EXPECT_EQ(must(look()->audit(north, 0, 10)).size(), 1U);
  // What is forgotten may be used again; the other tenant's is remembered.
  bool north_again = false;
  bool south_again = true;
  commit([&](Tx& tx) -> base::Status {
    DP_TRY(north_again, tx.use_once(north, "once", at(1000), at(0)));
    DP_TRY(south_again, tx.use_once(south, "once", at(1000), at(0)));
    return {};
  });
  EXPECT_TRUE(north_again);
  EXPECT_FALSE(south_again);
}

}  // namespace daypass::store::conformance
