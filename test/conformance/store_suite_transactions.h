// Part of the store suite: transactions, savepoints, snapshots, threads. Included by store_suite.h.
#pragma once

#include <atomic>
#include <thread>

#include "conformance/store_suite.h"

namespace daypass::store::conformance {

inline base::Error on_purpose() {
  return {base::Code::denied, "test.on_purpose", "failed on purpose"};
}

/// One of everything that a transaction can write.
inline base::Status write_everything(Tx& tx) {
  core::Grant grant = make_grant(north, 1);
  DP_CHECK(tx.save_grant(grant));
  DP_CHECK(tx.open_intent(make_intent(grant.id, 1)));
  Document document = make_document(north, "token", "k");
  DP_CHECK(tx.put(document, 0));
  core::AuditEvent event = make_event(north);
  DP_CHECK(tx.append_audit(event));
  DP_TRY(const bool first, tx.use_once(north, "once", at(10), at(0)));
  if (!first) return base::Error{base::Code::conflict, "test.used", "the key was used before"};
  return {};
}

/// How many of write_everything's are there (the used key can't be seen from outside).
inline std::size_t written(Reader& reader) {
  return must(reader.grants({})).size() + must(reader.open_intents()).size() +
         must(reader.list(north, "token", "", "", 9, at(0))).size() + must(reader.audit_head(north)).first;
}

TEST_P(StoreSuite, AllOfATransactionOrNothing) {
  const auto failed = store().transact([](Tx& tx) -> base::Status {
    DP_CHECK(write_everything(tx));
    EXPECT_EQ(written(tx), 4U) << "a transaction sees its own writes";
    return on_purpose();
  });
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error(), on_purpose());
  EXPECT_EQ(written(*look()), 0U);
  commit(write_everything);
  EXPECT_EQ(written(*look()), 4U);
}

TEST_P(StoreSuite, AnExceptionUndoesAndGoesOn) {
  EXPECT_THROW(static_cast<void>(store().transact([](Tx& tx) -> base::Status {
                 DP_CHECK(write_everything(tx));
                 throw std::out_of_range("on purpose");
               })),
               std::out_of_range);
  EXPECT_EQ(written(*look()), 0U);
  commit(write_everything);
  reopen();
  EXPECT_EQ(written(*look()), 4U);
}

TEST_P(StoreSuite, AConflictThatIsHandledCostsNothingElse) {
  put(make_document(north, "token", "taken"));
  commit([&](Tx& tx) -> base::Status {
    Document document = make_document(north, "token", "taken");
    EXPECT_EQ(check_of(tx.put(document, 0)), "store.conflict");
    core::Grant unknown = make_grant(north, 1);
    unknown.version = 4;
    EXPECT_EQ(check_of(tx.save_grant(unknown)), "store.conflict");
    core::Grant grant = make_grant(north, 2);
    DP_CHECK(tx.save_grant(grant));
    core::Grant again = make_grant(north, 2);
    EXPECT_EQ(check_of(tx.save_grant(again)), "store.conflict");
    EXPECT_EQ(check_of(tx.open_intent(make_intent(grant_id(north, 9), 1))), "store.no_grant");
    document.key = "free";
    return tx.put(document, 0);
  });
  EXPECT_EQ(body(north, "token", "free"), "{}");
  EXPECT_EQ(must(look()->grants({})).size(), 1U);
}

TEST_P(StoreSuite, ANestedFailureUndoesOnlyItself) {
  commit([&](Tx& tx) -> base::Status {
    Document before = make_document(north, "token", "before");
    DP_CHECK(tx.put(before, 0));
    const auto undone = tx.nested([&]() -> base::Status {
      DP_CHECK(write_everything(tx));
      return on_purpose();
    });
    EXPECT_FALSE(undone.ok());
    EXPECT_EQ(undone.error(), on_purpose());
    EXPECT_EQ(written(tx), 1U);
    DP_CHECK(tx.nested([&] { return write_everything(tx); }));
    Document after = make_document(north, "token", "after");
    return tx.put(after, 0);
  });
  EXPECT_EQ(written(*look()), 6U);
  EXPECT_EQ(body(north, "token", "before"), "{}");
  EXPECT_EQ(body(north, "token", "after"), "{}");
}

TEST_P(StoreSuite, NestedInNested) {
  const auto put_key = [](Tx& tx, std::string key) {
    Document document = make_document(north, "k", std::move(key));
    return tx.put(document, 0);
  };
  commit([&](Tx& tx) -> base::Status {
    // The outer one stays although the inner one fails …
    DP_CHECK(tx.nested([&]() -> base::Status {
      DP_CHECK(put_key(tx, "outer 1"));
      EXPECT_FALSE(tx.nested([&]() -> base::Status {
                       DP_CHECK(put_key(tx, "inner 1"));
                       return on_purpose();
                     }).ok());
      return put_key(tx, "outer 1b");
    }));
    // … and takes the inner one with it when it fails itself.
    EXPECT_FALSE(tx.nested([&]() -> base::Status {
                     DP_CHECK(put_key(tx, "outer 2"));
                     DP_CHECK(tx.nested([&] { return put_key(tx, "inner 2"); }));
                     return on_purpose();
                   }).ok());
    return {};
  });
  EXPECT_THAT(keys_of(must(look()->list(north, "k", "", "", 9, at(0)))), testing::ElementsAre("outer 1", "outer 1b"));
}

TEST_P(StoreSuite, AnExceptionInNestedUndoesIt) {
  commit([&](Tx& tx) -> base::Status {
    EXPECT_THROW(static_cast<void>(tx.nested([&]() -> base::Status {
                   DP_CHECK(write_everything(tx));
                   throw std::out_of_range("on purpose");
                 })),
                 std::out_of_range);
    EXPECT_EQ(written(tx), 0U);
    Document document = make_document(north, "token", "after");
    return tx.put(document, 0);
  });
  EXPECT_EQ(written(*look()), 1U);
}

TEST_P(StoreSuite, NestedKeepsTheLogInOneLine) {
  commit([&](Tx& tx) -> base::Status {
    for (int i = 0; i < 6; ++i) {
      const auto status = tx.nested([&]() -> base::Status {
        core::AuditEvent event = make_event(north, "event " + std::to_string(i));
        DP_CHECK(tx.append_audit(event));
        EXPECT_EQ(event.seq, static_cast<std::uint64_t>((i + 1) / 2));
        if (i % 2 == 1) return on_purpose();
        return {};
      });
      EXPECT_EQ(status.ok(), i % 2 == 0);
    }
    return {};
  });
  const auto log = must(look()->audit(north, 0, 9));
  ASSERT_EQ(log.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_EQ(must(core::audit_from_canonical(log[i])).action, "event " + std::to_string(2 * i));
}

TEST_P(StoreSuite, ASnapshotStaysAsItWas) {
  put(make_document(north, "token", "k", "old"));
  const auto early = look();
  put(make_document(north, "token", "k", "new"));
  put(make_document(north, "token", "k2", "new"));
  core::Grant grant = make_grant(north, 1);
  save(grant);
  append(make_event(north));
  EXPECT_EQ(must(early->get(north, "token", "k", at(0)))->body, "old");
  EXPECT_EQ(must(early->list(north, "token", "", "", 9, at(0))).size(), 1U);
  EXPECT_EQ(must(early->load_grant(grant.id)), std::nullopt);
  EXPECT_EQ(must(early->audit_head(north)).first, 0U);
  const auto late = look();
  EXPECT_EQ(must(late->get(north, "token", "k", at(0)))->body, "new");
  EXPECT_EQ(must(late->load_grant(grant.id)), grant);
}

TEST_P(StoreSuite, ASnapshotNeverSeesAnOpenTransaction) {
  if (!threads()) GTEST_SKIP() << "this driver has no concurrent readers";
  EXPECT_FALSE(store()
                   .transact([&](Tx& tx) -> base::Status {
                     DP_CHECK(write_everything(tx));
                     std::size_t seen = 99;
                     std::thread([&] { seen = written(*look()); }).join();
                     EXPECT_EQ(seen, 0U);
                     return on_purpose();
                   })
                   .ok());
}

/// Readers on two threads while a writer moves an amount between two documents: the sum never changes.
TEST_P(StoreSuite, ReadersSeeWholeTransactionsWhileAWriterRuns) {
  if (!threads()) GTEST_SKIP() << "this driver has no concurrent readers";
  put(make_document(north, "account", "a", "100"));
  put(make_document(north, "account", "b", "0"));
  std::atomic<bool> done = false;
  std::atomic<int> wrong = 0;
  std::atomic<int> reads = 0;
  const auto read = [&] {
    while (!done || reads < 50) {
      const auto reader = store().snapshot();
      if (!reader.ok()) {
        ++wrong;
        break;
      }
      const auto a = (*reader)->get(north, "account", "a", at(0));
      const auto b = (*reader)->get(north, "account", "b", at(0));
      const auto listed = (*reader)->list(north, "account", "", "", 9, at(0));
      if (!a.ok() || !b.ok() || !*a || !*b || std::stoi((*a)->body) + std::stoi((*b)->body) != 100 || !listed.ok() ||
          *listed != std::vector{**a, **b})
        ++wrong;
      ++reads;
    }
  };
  std::thread first(read);
  std::thread second(read);
  for (int i = 1; i <= 100; ++i)
    commit([&](Tx& tx) -> base::Status {
      Document a = make_document(north, "account", "a", std::to_string(100 - i));
      Document b = make_document(north, "account", "b", std::to_string(i));
      DP_CHECK(tx.put(a, static_cast<std::uint64_t>(i)));
      return tx.put(b, static_cast<std::uint64_t>(i));
    });
  done = true;
  first.join();
  second.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GE(reads, 50);
}

TEST_P(StoreSuite, EverythingIsThereAfterReopening) {
  commit(write_everything);
  for (int round = 0; round < 3; ++round) {
    reopen();
    EXPECT_EQ(written(*look()), 4U);
    EXPECT_EQ(check_of(store().transact(write_everything)), "store.conflict");
  }
  bool first = true;
  commit([&](Tx& tx) -> base::Status {
    DP_TRY(first, tx.use_once(north, "once", at(10), at(0)));
    return {};
  });
  EXPECT_FALSE(first);
}

}  // namespace daypass::store::conformance
