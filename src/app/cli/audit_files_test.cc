// Tampering with a log, found without a server: by a checkpoint that was kept elsewhere, and by nothing else.
#include "app/cli/audit_files.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>

#include "base/encoding.h"
#include "core/audit.h"
#include "crypto/ed25519.h"
#include "engine/audit_test_support.h"
#include "store/audit_leaf.h"
#include "tlog/tiles.h"

namespace daypass::app::cli {
namespace {

using engine::test::Signer;

namespace fs = std::filesystem;

constexpr std::size_t many = 10'000;

using Records = std::vector<std::string>;

std::string record(std::uint64_t seq, std::string_view action = "grant.opened") {
  core::AuditEvent event;
  event.seq = seq;
  event.at = base::WallTime(base::Seconds(1'800'000'000 + static_cast<std::int64_t>(seq)));
  event.tenant = core::TenantId("north");
  event.actor = "corp/ann";
  event.action = action;
  event.object = "gr_" + std::to_string(seq * 7919);
  event.outcome = "ok";
  event.facts = {{"target", "pg/orders"}, {"attempt", static_cast<std::int64_t>(seq % 5)}};
  // Each third says something of a person, and of each ninth that is erased.
  if (seq % 3 == 0) {
    event.facts.set("principal", "corp/bob");
    event.covers = {{"actor", {std::string(16, static_cast<char>('a' + seq % 7)), {}}},
                    {"facts.principal", {std::string(16, static_cast<char>('k' + seq % 5)), {}}}};
    if (seq % 9 == 0) store::erase_covered(event, {"facts.principal"});
  }
  return core::canonical(event);
}

const Records& whole() {
  static const Records all = [] {
    Records out;
    for (std::size_t i = 0; i < many; ++i) out.push_back(record(i));
    return out;
  }();
  return all;
}

tlog::Hash hash_of(const std::string& text) {
  return tlog::leaf_hash(*store::leaf_of(text));
}

tlog::Hash root_of(const Records& records, std::size_t size) {
  tlog::Frontier frontier;
  for (std::size_t i = 0; i < size; ++i) frontier.append(hash_of(records[i]));
  return frontier.root();
}

const KnownHead& kept() {
  static const KnownHead head{{"daypass/abc123/north", many, root_of(whole(), many)}, "kept"};
  return head;
}

NextRecord reading(const Records& records) {
  return [&records, i = std::size_t{0}]() mutable -> base::Result<std::optional<std::string>> {
    if (i == records.size()) return std::optional<std::string>();
    return std::optional(records[i++]);
  };
}

std::string verdict(const Records& records, std::vector<KnownHead> heads = {kept()}) {
  const auto found = verify_records(reading(records), std::move(heads));
  return found.ok() ? "ok" : found.error().check;
}

std::string flipped(std::string text, std::size_t at, unsigned bit) {
  text[at] = static_cast<char>(static_cast<unsigned char>(text[at]) ^ 1U << bit);
  return text;
}

TEST(Tampering, NothingIsFoundInAWholeLog) {
  const auto found = verify_records(reading(whole()), {kept()});
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ(found->records, many);
  EXPECT_EQ(found->covered, many);
  EXPECT_EQ(found->root, kept().head.root);
}

TEST(Tampering, AFlippedBitOfAnyRecordIsFound) {
  std::mt19937_64 dice(20261129);
  Records records = whole();
  for (std::size_t i = 0; i < many; i += 499) {
    const std::string before = records[i];
    records[i] = flipped(before, dice() % before.size(), static_cast<unsigned>(dice() % 8));
    ASSERT_NE(verdict(records), "ok") << "record " << i << ": " << records[i];
    records[i] = before;
  }
  EXPECT_EQ(verdict(records), "ok");
}

TEST(Tampering, EachPartOfARecordIsCovered) {
  Records records = whole();
  const std::string before = records[many - 3];
  for (std::size_t at = 0; at < before.size(); at += 11) {
    records[many - 3] = flipped(before, at, at % 7);
    ASSERT_NE(verdict(records), "ok") << records[many - 3];
  }
}

/// A record whose leaf has another hash gives another root; one that has none is refused. DAYPASS_EVERY_BYTE=1: of all
/// records, else of each 31st.
TEST(Tampering, EveryByteOfEveryRecordIsCovered) {
  const std::size_t step = std::getenv("DAYPASS_EVERY_BYTE") != nullptr ? 1 : 31;
  std::size_t flips = 0;
  for (std::size_t i = 0; i < many; i += step) {
    const std::string& before = whole()[i];
    const tlog::Hash hash = hash_of(before);
    for (std::size_t at = 0; at < before.size(); ++at, ++flips) {
      const auto leaf = store::leaf_of(flipped(before, at, (at + i) % 8));
      ASSERT_TRUE(!leaf.ok() || tlog::leaf_hash(*leaf) != hash) << "byte " << at << " of " << before;
    }
  }
  RecordProperty("flips", std::to_string(flips));
  if (step == 1) std::cout << flips << " flips\n";
}

TEST(Tampering, EachBitOfASmallLogIsCovered) {
  Records records(whole().begin(), whole().begin() + 9);
  const KnownHead head{{"daypass/abc123/north", 9, root_of(records, 9)}, "kept"};
  for (auto& text : records)
    for (std::size_t bit = 0; bit < 8 * text.size(); ++bit) {
      const std::string before = text;
      text = flipped(before, bit / 8, bit % 8);
      ASSERT_NE(verdict(records, {head}), "ok") << text;
      text = before;
    }
}

TEST(Tampering, ADroppedRecordIsFoundWhetherOrNotTheRestIsNumberedAnew) {
  for (std::size_t i = 0; i < many; i += 1501) {
    Records records = whole();
    records.erase(records.begin() + static_cast<std::ptrdiff_t>(i));
    ASSERT_NE(verdict(records), "ok") << i;
    for (std::size_t j = i; j < records.size(); ++j) {
      core::AuditEvent event = *core::audit_from_canonical(records[j]);
      event.seq = j;
      records[j] = core::canonical(event);
    }
    ASSERT_EQ(verdict(records), "audit.rollback") << i;
    records.push_back(record(many - 1, "grant.closed"));
    ASSERT_EQ(verdict(records), "audit.fork") << i;
  }
}

TEST(Tampering, MovedAddedAndDoubledRecordsAreFound) {
  for (std::size_t i = 0; i + 1 < many; i += 733) {
    Records records = whole();
    std::swap(records[i], records[i + 1]);
    ASSERT_EQ(verdict(records), "audit.gap") << i;
    records = whole();
    records.insert(records.begin() + static_cast<std::ptrdiff_t>(i), record(i, "nothing.happened"));
    ASSERT_EQ(verdict(records), "audit.gap") << i;
    records = whole();
    records[i] = record(i, "nothing.happened");
    ASSERT_EQ(verdict(records), "audit.fork") << i;
  }
}

TEST(Tampering, ALogThatWasRolledBackIsFound) {
  for (const std::size_t left : {std::size_t{0}, std::size_t{1}, std::size_t{4096}, many - 1}) {
    const Records records(whole().begin(), whole().begin() + static_cast<std::ptrdiff_t>(left));
    EXPECT_EQ(verdict(records), "audit.rollback") << left;
    // Rolled back, then written on.
    Records other = records;
    while (other.size() < many + 5) other.push_back(record(other.size(), "grant.closed"));
    EXPECT_EQ(verdict(other), "audit.fork") << left;
  }
}

TEST(Tampering, AForkIsFoundByTheHeadsOfBothBranches) {
  Records other = whole();
  for (std::size_t i = 7'000; i < many; ++i) other[i] = record(i, "grant.closed");
  const KnownHead fork{{"daypass/abc123/north", many, root_of(other, many)}, "the other one"};
  const KnownHead before{{"daypass/abc123/north", 7'000, root_of(other, 7'000)}, "before"};
  const KnownHead later{{"daypass/abc123/north", 8'000, root_of(other, 8'000)}, "later"};
  EXPECT_EQ(verdict(whole(), {kept(), before}), "ok");
  EXPECT_EQ(verdict(other, {before, later, fork}), "ok");
  EXPECT_EQ(verdict(other), "audit.fork");
  EXPECT_EQ(verdict(whole(), {kept(), fork}), "audit.fork");
  EXPECT_EQ(verdict(other, {kept(), fork}), "audit.fork");
  EXPECT_EQ(verdict(whole(), {kept(), later}), "audit.fork");
}

TEST(Tampering, WhatNobodySignedIsSaid) {
  Records records = whole();
  records.push_back(record(many));
  const auto found = verify_records(reading(records), {kept()});
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->records, many + 1);
  EXPECT_EQ(found->covered, many);
  // Without a head every log that hangs together is good, and that is said, too.
  Records other = whole();
  other[3] = record(3, "nothing.happened");
  const auto alone = verify_records(reading(other), {});
  ASSERT_TRUE(alone.ok());
  EXPECT_EQ(alone->covered, 0U);
}

TEST(Tampering, AnotherTenantsRecordAndAnotherLogsHeadAreFound) {
  Records records = whole();
  core::AuditEvent event = *core::audit_from_canonical(records[5'000]);
  event.tenant = core::TenantId("south");
  records[5'000] = core::canonical(event);
  EXPECT_EQ(verdict(records), "audit.leaf");
  const KnownHead other{{"daypass/abc123/south", many, kept().head.root}, "south"};
  EXPECT_EQ(verdict(whole(), {kept(), other}), "audit.fork");
}

// --------------------------------------------------------------------------------------------------------------- files

class AuditFiles : public testing::Test {
 protected:
  AuditFiles() : folder(fs::temp_directory_path() / ("daypass-audit-" + std::to_string(::getpid()))) {
    fs::remove_all(folder);
    fs::create_directories(folder);
  }
  ~AuditFiles() override { fs::remove_all(folder); }
  std::string write(const std::string& name, std::string_view text) const {
    std::ofstream(folder / name, std::ios::binary) << text;
    return (folder / name).string();
  }
  static std::string lines(const Records& records) {
    std::string out;
    for (const auto& r : records) out += r + "\n";
    return out;
  }
  static std::string verdict_of_file(const std::string& path, const KnownHead& head) {
    const auto log = open_log(path);
    if (!log.ok()) return log.error().check;
    const auto found = verify_records(*log, {head});
    return found.ok() ? "ok" : found.error().check;
  }
  fs::path folder;
  const Signer signer{"daypass/abc123/north"};
};

TEST_F(AuditFiles, AnExportVerifiesAndAFlippedByteOfItDoesNot) {
  const Records records(whole().begin(), whole().begin() + 40);
  const std::string text = lines(records);
  const auto head = read_checkpoint(write("head", signer.head(40, root_of(records, 40))), signer.key);
  ASSERT_TRUE(head.ok()) << head.error().message;
  EXPECT_EQ(verdict_of_file(write("log", text), *head), "ok");
  EXPECT_EQ(verdict_of_file(write("log", text.substr(0, text.size() - 1)), *head), "ok");
  for (std::size_t at = 0; at < text.size(); at += 3)
    ASSERT_NE(verdict_of_file(write("log", flipped(text, at, at % 8)), *head), "ok") << at;
  EXPECT_NE(verdict_of_file(write("log", text + "\n"), *head), "ok");
  EXPECT_NE(verdict_of_file(write("log", ""), *head), "ok");
  EXPECT_EQ(verdict_of_file(write("log", std::string(70'000, 'x')), *head), "audit.file");
  EXPECT_EQ(verdict_of_file((folder / "none").string(), *head), "audit.file");
}

TEST_F(AuditFiles, EachChangedByteOfACheckpointIsRefused) {
  const std::string note = signer.head(many, kept().head.root);
  for (std::size_t at = 0; at < note.size(); ++at)
    ASSERT_FALSE(read_checkpoint(write("head", flipped(note, at, at % 8)), signer.key).ok()) << at;
  const Signer other("daypass/abc123/north", 'x');
  EXPECT_EQ(read_checkpoint(write("head", note), other.key).error().check, "note.unsigned");
  EXPECT_EQ(read_checkpoint(write("head", std::string(tlog::max_note + 1, 'x')), signer.key).error().check,
            "audit.file");
  EXPECT_EQ(read_checkpoint((folder / "none").string(), signer.key).error().check, "audit.file");
}

TEST_F(AuditFiles, AKeyIsATextOrAFile) {
  EXPECT_EQ(*read_note_key(signer.key.text()), signer.key);
  EXPECT_EQ(*read_note_key(write("key", signer.key.text() + "\n")), signer.key);
  EXPECT_EQ(read_note_key(write("key", "nonsense")).error().check, "note.key");
  EXPECT_EQ(read_note_key("nonsense").error().check, "note.key");
}

TEST_F(AuditFiles, TilesHoldTheLogAndGiveItBack) {
  for (const std::size_t size : {0U, 1U, 255U, 256U, 257U, 1000U}) {
    const Records records(whole().begin(), whole().begin() + static_cast<std::ptrdiff_t>(size));
    const std::string out = (folder / ("tiles" + std::to_string(size))).string();
    const std::string note = signer.head(size, root_of(records, size));
    fs::create_directories(out + "/tile/entries");
    // The server may have more by now: only what the checkpoint covers is written.
    ASSERT_TRUE(write_tiles(out, reading(whole()), note, size).ok()) << size;
    const auto head = read_checkpoint(out + "/checkpoint", signer.key);
    ASSERT_TRUE(head.ok());
    EXPECT_EQ(verdict_of_file(out, *head), "ok") << size;
    // The hash tiles are those of the same tree.
    tlog::TiledTree tree(size, [&](const tlog::Tile& tile) -> base::Result<std::string> {
      std::ifstream in(out + "/" + tlog::tile_path(tile), std::ios::binary);
      return std::string(std::istreambuf_iterator<char>(in), {});
    });
    EXPECT_EQ(*tree.root(), head->head.root) << size;
  }
  const std::string out = (folder / "tiles1000").string();
  const auto head = read_checkpoint(out + "/checkpoint", signer.key);
  EXPECT_TRUE(fs::exists(out + "/tile/0/003.p/232"));
  EXPECT_TRUE(fs::exists(out + "/tile/1/000.p/3"));
  EXPECT_TRUE(fs::exists(out + "/tile/entries/002"));
  fs::remove(out + "/tile/entries/003.p/232");
  EXPECT_EQ(verdict_of_file(out, *head), "audit.rollback");
  fs::remove(out + "/tile/entries/001");
  EXPECT_EQ(verdict_of_file(out, *head), "audit.rollback");
  EXPECT_EQ(write_tiles((folder / "short").string(), reading(whole()), "", many + 1).error().check, "audit.gap");
  EXPECT_EQ(open_log(folder.string()).error().check, "audit.file");
}

// --------------------------------------------------------------------------------------------------------- third party

/// Exit code of the verifier that tools/tlog-check/install builds from Go's golang.org/x/mod.
int third_party(const std::string& key, const std::string& where, const std::string& older = {}) {
  const std::string command = "build/tlog-check/tlog-check '" + key + "' '" + where + "' " +
                              (older.empty() ? "" : "'" + older + "'") + " >/dev/null 2>&1";
  const int status = std::system(command.c_str());  // NOLINT: a test's own words
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(AuditFiles, ThirdPartyVerifierFindsTheSame) {
  if (!fs::exists("build/tlog-check/tlog-check")) GTEST_SKIP() << "tools/tlog-check/install builds the verifier";
  const std::string good_note = signer.head(many, kept().head.root);
  int n = 0;
  // As whoever tampers would export it: with tiles that fit their records, under a note.
  const auto exported = [&](const Records& records, const std::string& note, std::uint64_t size) {
    const std::string out = (folder / ("export" + std::to_string(n++))).string();
    EXPECT_TRUE(write_tiles(out, reading(records), note, size).ok());
    return out;
  };
  const auto signed_by_us = [&](const Records& records) {
    return signer.head(records.size(), root_of(records, records.size()));
  };
  const std::string key = signer.key.text(), old = write("old", good_note);
  const std::string early = write("early", signer.head(777, root_of(whole(), 777)));
  const std::string good = exported(whole(), good_note, many);
  ASSERT_EQ(third_party(key, good), 0);
  EXPECT_EQ(third_party(key, good, early), 0);
  for (const std::size_t size : {1U, 255U, 256U, 257U})
    EXPECT_EQ(third_party(key, exported(whole(), signer.head(size, root_of(whole(), size)), size)), 0) << size;

  Records records = whole();
  records[4321] = record(4321, "nothing.happened");
  EXPECT_EQ(third_party(key, exported(records, good_note, many)), 1) << "rewritten";
  EXPECT_EQ(third_party(key, exported(records, signed_by_us(records), many), old), 1) << "rewritten and signed: a fork";
  EXPECT_EQ(third_party(key, exported(records, signed_by_us(records), many)), 0) << "without an older head, a good log";
  records = whole();
  std::swap(records[10], records[11]);
  EXPECT_EQ(third_party(key, exported(records, good_note, many)), 1) << "moved";
  records = whole();
  records.erase(records.begin() + 9'000);
  EXPECT_EQ(third_party(key, exported(records, signed_by_us(records), many - 1), old), 1) << "dropped";
  records.resize(5'000);
  EXPECT_EQ(third_party(key, exported(records, signed_by_us(records), 5'000), old), 1) << "rolled back";

  const auto spoil = [&](const std::string& name) {
    const std::string file = good + "/" + name;
    std::string bytes;
    {
      std::ifstream in(file, std::ios::binary);
      bytes.assign(std::istreambuf_iterator<char>(in), {});
    }
    ASSERT_FALSE(bytes.empty()) << name;
    for (const std::size_t at : {std::size_t{0}, bytes.size() / 2, bytes.size() - 1}) {
      std::ofstream(file, std::ios::binary) << flipped(bytes, at, 3);
      EXPECT_EQ(third_party(key, good), 1) << name << " " << at;
    }
    std::ofstream(file, std::ios::binary) << bytes;
  };
  for (const char* name :
       {"checkpoint", "tile/entries/000", "tile/entries/039.p/16", "tile/0/017", "tile/0/039.p/16", "tile/1/000.p/39"})
    spoil(name);
  EXPECT_EQ(third_party(key, good), 0);
  EXPECT_EQ(third_party(Signer("daypass/abc123/north", 'x').key.text(), good), 1);
}

}  // namespace
}  // namespace daypass::app::cli
