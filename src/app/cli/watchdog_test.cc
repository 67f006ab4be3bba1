// What systemd hears of an engine that is idle, busy, without a store, or stuck: a real engine on a thread of its own,
// over a real store behind a door, and a socket in systemd's place.
#include "app/cli/watchdog.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <future>
#include <mutex>
#include <thread>

#include "engine/engine.h"
#include "store/sqlite/sqlite_store.h"

namespace daypass::app::cli {
namespace {

using base::Result;
using base::Status;

class Door final : public store::Store {
 public:
  explicit Door(store::Store& behind) : behind_(behind) {}

  Status transact(const std::function<Status(store::Tx&)>& fn) override {
    std::unique_lock lock(mutex_);
    if (full_) return base::Error{base::Code::unavailable, "store.full", "the disk is full"};
    waiting_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
    waiting_ = false;
    lock.unlock();
    return behind_.transact(fn);
  }
  Result<std::unique_ptr<store::Reader>> snapshot() override { return behind_.snapshot(); }
  Status sweep(base::WallTime now, std::size_t most) override { return behind_.sweep(now, most); }

  void set(bool open, bool full) {
    const std::lock_guard lock(mutex_);
    open_ = open;
    full_ = full;
    changed_.notify_all();
  }
  /// Until somebody stands before the door and it does not open.
  void await_stuck() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return waiting_ && !open_; });
  }

 private:
  store::Store& behind_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = true, full_ = false, waiting_ = false;
};

class NoSessions final : public engine::Sessions {
 public:
  void cut(std::vector<engine::Cut>) override {}
  void update(const engine::GrantId&, const engine::Lease&) override {}
  void forget(const core::TenantId&) override {}
  base::Status forget(const engine::GrantId&) override { return {}; }
};
class NoWorkers final : public engine::Workers {
 public:
  void dispatch(engine::Job) override {}
  void run(Pool, const core::TenantId&, std::move_only_function<void()>,
           std::move_only_function<void(base::Error)> refused) override {
    refused(base::Error{base::Code::exhausted, "engine.busy", "nobody is at work here"});
  }
};

class Heartbeat : public ::testing::Test {
 protected:
  Heartbeat() {
    std::string pattern = std::filesystem::temp_directory_path() / "watchdog.XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    const std::string path = folder_ + "/notify";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    systemd_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    EXPECT_EQ(::bind(systemd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    io_.env = {{"NOTIFY_SOCKET", path}, {"WATCHDOG_USEC", "30000000"}};
    behind_ = std::move(store::sqlite::SqliteStore::open(folder_ + "/store.db")).value();
    door_.emplace(*behind_);
    engine_ = std::make_unique<engine::Engine>(engine::Engine::Ports{.store = *door_,
                                                                     .clock = clock_,
                                                                     .entropy = entropy_,
                                                                     .log = log_,
                                                                     .sessions = sessions_,
                                                                     .workers = workers_,
                                                                     .vault = vault_,
                                                                     .catalog = {},
                                                                     .secrets_folder = folder_,
                                                                     .instance = "test01",
                                                                     .turn_wait = std::chrono::milliseconds(1)});
    EXPECT_TRUE(engine_->recover().ok());
    watchdog_.emplace(io_);
    thread_ = std::thread([this] { engine_->run(); });
  }
  ~Heartbeat() override {
    door_->set(true, false);
    engine_->stop();
    thread_.join();
    engine_.reset();
    ::close(systemd_);
    std::filesystem::remove_all(folder_);
  }
  /// One look, and whether systemd hears that the server is alive.
  bool alive() {
    watchdog_->look(rounds());
    char said[64];
    const ssize_t n = ::recv(systemd_, said, sizeof said, 0);
    if (n < 0) return false;
    EXPECT_EQ(std::string(said, static_cast<std::size_t>(n)), "WATCHDOG=1");
    return true;
  }
  std::uint64_t rounds() { return engine_->metrics().rounds; }
  void await_rounds() {
    for (const std::uint64_t before = rounds(); rounds() == before;) std::this_thread::yield();
  }
  /// The engine is asked something that takes a transaction.
  std::future<std::string> ask() {
    auto promise = std::make_shared<std::promise<std::string>>();
    engine_->audit_head(core::TenantId("default"),
                        [promise](const auto& r) { promise->set_value(r.ok() ? "ok" : r.error().check); });
    return promise->get_future();
  }

  std::string folder_;
  int systemd_ = -1;
  Io io_;
  base::SystemClock clock_;
  base::SeededEntropy entropy_{7};
  base::Log log_{clock_, base::Level::error, base::log_to_nowhere()};
  std::unique_ptr<store::sqlite::SqliteStore> behind_;
  std::optional<Door> door_;
  NoSessions sessions_;
  NoWorkers workers_;
  crypto::Sealer sealer_ = std::move(crypto::Sealer::make(base::Secret(std::string(32, 'k')), entropy_)).value();
  engine::Vault vault_{sealer_, entropy_};
  std::unique_ptr<engine::Engine> engine_;
  std::optional<Watchdog> watchdog_;
  std::thread thread_;
};

TEST_F(Heartbeat, AnIdleEngineIsAlive) {
  for (int i = 0; i < 3; ++i) {
    await_rounds();
    EXPECT_TRUE(alive());
  }
}

TEST_F(Heartbeat, ABusyEngineIsAlive) {
  for (int i = 0; i < 3; ++i) {
    // The round that takes the first may have begun before the last look; what is asked after its answer needs another.
    for (int round = 0; round < 2; ++round) {
      std::vector<std::future<std::string>> answers(200);
      for (auto& answer : answers) answer = ask();
      for (auto& answer : answers) EXPECT_EQ(answer.get(), "ok");
    }
    EXPECT_TRUE(alive());
  }
}

TEST_F(Heartbeat, AnEngineWhoseStoreIsFullIsAlive) {
  door_->set(true, true);
  for (int i = 0; i < 3; ++i) {
    for (int round = 0; round < 2; ++round) EXPECT_EQ(ask().get(), "store.full");
    EXPECT_TRUE(alive());
  }
}

TEST_F(Heartbeat, AStuckEngineIsNot) {
  door_->set(false, false);
  auto answer = ask();
  door_->await_stuck();
  (void)alive();  // of what it did before
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(alive());
  door_->set(true, false);
  EXPECT_EQ(answer.get(), "ok");
  await_rounds();
  EXPECT_TRUE(alive());
}

TEST(Watchdog, LooksThreeTimesInWhatSystemdWaits) {
  const auto every = [](const std::string& usec) {
    Io io;
    io.env = {{"WATCHDOG_USEC", usec}};
    return Watchdog(io).every();
  };
  EXPECT_EQ(every("30000000"), std::chrono::seconds(10));
  EXPECT_EQ(every("6000000"), std::chrono::seconds(2));
  for (const char* other : {"", "x", "0", "-1", "3000000000", "99999999999999999999", "30 s"})
    EXPECT_EQ(every(other), std::chrono::seconds(10)) << other;
  EXPECT_EQ(every("5"), base::Millis(1));
}

}  // namespace
}  // namespace daypass::app::cli
