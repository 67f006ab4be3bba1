// Records on their way to disk: order, digests, bounds, and one writer for many sessions.
#include "gate/activity.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <latch>
#include <mutex>
#include <sstream>
#include <thread>

#include "base/encoding.h"
#include "crypto/digest.h"
#include "gate/test_world.h"

namespace daypass::gate::test {
namespace {

struct Disk {
  Disk() : log(clock, base::Level::error, base::log_to_nowhere()) {}
  [[nodiscard]] ActivityWriter::SegmentPtr open(int n) const { return ActivityWriter::open(file(n)); }
  [[nodiscard]] ActivityWriter::File file(int n) const {
    return {core::GrantId{core::TenantId("default"), "gr_test"}, core::ConnectionId("cx_" + std::to_string(n))};
  }
  [[nodiscard]] std::string text(int n) const {
    std::ifstream in(folder / ("activity/" + file(n).path()));
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
  }
  MovedClock clock;
  base::Log log;
  Folder folder;
};

std::string closed(ActivityWriter& writer, const ActivityWriter::SegmentPtr& segment) {
  auto digest = std::make_shared<std::promise<std::string>>();
  auto told = digest->get_future();
  writer.close(segment, [digest](std::string d) { digest->set_value(std::move(d)); });
  return told.get();
}

// Twice as many as may be open at once, their lines interleaved.
TEST(Activity, ManyFilesEachInOrder) {
  const Disk disk;
  ActivityWriter writer(disk.folder / "activity", disk.log);
  constexpr int kFiles = 300, kLines = 20;
  std::vector<ActivityWriter::SegmentPtr> segments;
  for (int f = 0; f < kFiles; ++f) segments.push_back(disk.open(f));
  std::vector<std::string> wanted(kFiles);
  for (int line = 0; line < kLines; ++line)
    for (int f = 0; f < kFiles; ++f) {
      std::string text = std::to_string(f) + "/" + std::to_string(line) + "\n";
      wanted[static_cast<std::size_t>(f)] += text;
      ASSERT_TRUE(writer.write(segments[static_cast<std::size_t>(f)], text));
    }
  for (int f = 0; f < kFiles; ++f) {
    const std::string& text = wanted[static_cast<std::size_t>(f)];
    EXPECT_EQ(closed(writer, segments[static_cast<std::size_t>(f)]), base::hex_encode(crypto::sha256(text)));
    EXPECT_EQ(disk.text(f), text);
  }
}

TEST(Activity, WhatIsQueuedIsWrittenAtTheEnd) {
  const Disk disk;
  ActivityWriter writer(disk.folder / "activity", disk.log);
  const auto segment = disk.open(1), silent = disk.open(2);
  std::string line = "a line\n";
  ASSERT_TRUE(writer.write(segment, line));
  writer.write_last(segment, "the last\n");
  EXPECT_EQ(closed(writer, silent), "");
  writer.stop();
  EXPECT_EQ(disk.text(1), "a line\nthe last\n");
  line = "too late\n";
  EXPECT_FALSE(writer.write(segment, line));
  EXPECT_EQ(line, "too late\n");
  EXPECT_EQ(closed(writer, segment), "");
}

// The first line needs nobody to push it: it is on disk soon, though nothing follows.
TEST(Activity, ALineAloneIsWritten) {
  const Disk disk;
  ActivityWriter writer(disk.folder / "activity", disk.log);
  std::string line = "alone\n";
  const auto segment = disk.open(1);
  ASSERT_TRUE(writer.write(segment, line));
  EXPECT_TRUE(eventually([&] { return disk.text(1) == "alone\n"; }));
}

// An erased person's statements that waited for room must not come back when there is some.
TEST(Activity, WhatWaitedOfAForgottenGrantIsNotWritten) {
  const Disk disk;
  std::atomic<bool> full{true};
  ActivityWriter writer(disk.folder / "activity", disk.log, [&full] { return full.load(); });
  const auto of_the_forgotten = disk.open(1);
  const auto of_another =
      ActivityWriter::open({core::GrantId{core::TenantId("default"), "gr_other"}, core::ConnectionId("cx_2")});
  std::string line = "SELECT 'who they are'\n", other = "SELECT 1\n";
  ASSERT_TRUE(writer.write(of_the_forgotten, line));
  ASSERT_TRUE(writer.write(of_another, other));
  EXPECT_TRUE(eventually([&] { return writer.broken(); }));
  ASSERT_TRUE(writer.forget(disk.file(1).grant).ok());
  full = false;
  EXPECT_EQ(closed(writer, of_the_forgotten), "");
  EXPECT_NE(closed(writer, of_another), "");
  EXPECT_FALSE(std::filesystem::exists(disk.folder / "activity/default/gr_test"));
  EXPECT_TRUE(std::filesystem::exists(disk.folder / "activity/default/gr_other/cx_2.jsonl"));
}

// A tenant's end is told once by its deletion and once by its last grant; an erasure may be under way as well.
TEST(Activity, WhatSeveralForgetAtOnceIsRemovedOnce) {
  const MovedClock clock;
  std::mutex mutex;
  std::string errors;
  const base::Log log(clock, base::Level::error, [&](std::string_view line) {
    const std::lock_guard lock(mutex);
    errors += line;
  });
  const Folder folder;
  ActivityWriter writer(folder / "activity", log);
  const core::TenantId tenant("ten-ended");
  std::vector<core::GrantId> grants;
  for (int g = 0; g < 20; ++g) {
    grants.push_back({tenant, "gr_" + std::to_string(g)});
    const std::string of = folder / ("activity/" + tenant.str() + "/" + grants.back().id);
    std::filesystem::create_directories(of);
    for (int f = 0; f < 100; ++f) std::ofstream(of + "/cx_" + std::to_string(f) + ".jsonl") << "a line\n";
  }
  std::latch all(4);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 3; ++t)
      threads.emplace_back([&] {
        all.arrive_and_wait();
        writer.forget(tenant);
      });
    threads.emplace_back([&] {
      all.arrive_and_wait();
      for (const auto& grant : grants) EXPECT_TRUE(writer.forget(grant).ok());
    });
  }
  EXPECT_EQ(errors, "");
  EXPECT_FALSE(std::filesystem::exists(folder / ("activity/" + tenant.str())));
}

// A disk that takes nothing: bounded by lines and by bytes, refused beyond, and all of it there once it can be written.
TEST(Activity, BoundedWhileTheDiskIsBroken) {
  const Disk disk;
  std::ofstream(disk.folder / "activity") << "no folder";
  ActivityWriter writer(disk.folder / "activity", disk.log);
  const auto segment = disk.open(1);
  const std::string filler(4 << 20U, 'x');
  std::size_t taken = 0;
  for (; taken < 64; ++taken) {
    std::string line = filler;
    if (!writer.write(segment, line)) {
      EXPECT_EQ(line.size(), filler.size());
      break;
    }
  }
  EXPECT_LE(taken, ActivityWriter::most_bytes / filler.size());
  EXPECT_TRUE(eventually([&] { return taken == 0 || writer.broken(); }));
  std::filesystem::remove(disk.folder / "activity");
  ASSERT_EQ(::mkdir((disk.folder / "activity").c_str(), 0700), 0);
  EXPECT_NE(closed(writer, segment), "");
  EXPECT_EQ(disk.text(1).size(), taken * filler.size());
  EXPECT_FALSE(writer.broken());
  std::string line = "again\n";
  EXPECT_TRUE(writer.write(disk.open(2), line));
}

}  // namespace
}  // namespace daypass::gate::test
