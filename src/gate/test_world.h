// For the tests of this room: a gate between libpq and a real PostgreSQL, and an engine that does as it is told.
#pragma once

#include <gtest/gtest.h>
#include <libpq-fe.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/entropy.h"
#include "base/log.h"
#include "gate/postgres_gate.h"
#include "net/io.h"
#include "test/support/pg_server.h"

namespace daypass::gate::test {

inline constexpr auto kPatience = std::chrono::seconds(60);

/// The system's clock, moved on by hand.
class MovedClock final : public base::Clock {
 public:
  [[nodiscard]] base::WallTime wall() const override;
  [[nodiscard]] base::MonoTime mono() const override;
  void advance(base::Millis by) { offset_ += by.count(); }

 private:
  base::SystemClock real_;
  std::atomic<std::int64_t> offset_{0};
};

/// A thread that is waited for at the end.
class Thread {
 public:
  template <class Work>
  explicit Thread(Work work) : thread_(std::move(work)) {}
  ~Thread() { join(); }
  Thread(Thread&&) = default;
  Thread& operator=(Thread&&) = delete;
  void join() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::thread thread_;
};

/// Waits for a state that has no event, polling.
bool eventually(const std::function<bool()>& condition);

/// One grant of one credential, "dp-alice" with password "open sesame", on the shared server.
class FakeAccess final : public engine::Access {
 public:
  FakeAccess(const base::Clock& clock, base::Entropy& entropy);
  std::optional<engine::Verifier> lookup(std::string_view user) override;
  void admit(const core::CredentialId& credential, std::string peer, engine::Done<engine::Admission> done) override;
  void closed(const engine::GrantId& g, const core::ConnectionId& connection, engine::ConnectionStats stats) override;
  void active(const engine::GrantId&, base::MonoTime) override { ++active_reports; }

  /// The next answers of admit are kept until release().
  void hold();
  /// Answers what is held. Returns how many.
  std::size_t release();
  [[nodiscard]] bool wait_held(std::size_t count);
  [[nodiscard]] bool wait_admitted(std::size_t count);
  /// The end of the `count`th connection, from 1.
  [[nodiscard]] std::optional<engine::ConnectionStats> wait_closed(std::size_t count);
  [[nodiscard]] std::size_t admitted();
  [[nodiscard]] std::size_t open();
  void lease_for(base::Millis total, base::Millis idle);
  [[nodiscard]] engine::Lease lease(base::Millis total, base::Millis idle) const;

  const engine::GrantId grant;
  std::optional<base::Error> refusal;
  std::function<target::Upstream()> upstream;
  std::atomic<int> active_reports{0};

 private:
  base::Result<engine::Admission> answer();

  const base::Clock& clock_;
  crypto::ScramVerifier verifier_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool holding_ = false;
  std::vector<engine::Done<engine::Admission>> held_;
  std::set<std::string> open_;
  std::vector<engine::ConnectionStats> closed_;
  std::size_t admitted_ = 0;
  engine::Lease lease_;
  std::shared_ptr<engine::GrantMeter> meter_ = std::make_shared<engine::GrantMeter>();
};

/// What a client was told at the end.
struct Told {
  std::string sqlstate, message, hint;
};

/// libpq, with the last ERROR or FATAL at hand wherever it came.
class Client {
 public:
  explicit Client(const std::string& conninfo);
  ~Client() { close(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  [[nodiscard]] bool good() const { return PQstatus(conn_) == CONNECTION_OK; }
  [[nodiscard]] std::string message() const { return PQerrorMessage(conn_); }
  /// First field of the first row; "!" and the SQLSTATE for an error.
  std::string run(const std::string& sql);
  void send(const std::string& sql) { ASSERT_EQ(PQsendQuery(conn_, sql.c_str()), 1) << message(); }
  /// Reads until the connection has ended; what the last FATAL said.
  Told await_end();
  /// Reads one result of what was sent.
  void note(const PGresult* result);
  [[nodiscard]] const std::vector<Told>& notices() const { return notices_; }
  [[nodiscard]] PGconn* raw() const { return conn_; }
  void close();

 private:
  PGconn* conn_;
  Told last_;
  std::vector<Told> notices_;
};

/// A socket that says what it likes.
class Raw {
 public:
  explicit Raw(std::uint16_t port);
  ~Raw();
  Raw(const Raw&) = delete;
  Raw& operator=(const Raw&) = delete;
  void send(std::string_view bytes) const;
  /// `count` bytes, fewer at the end of the stream.
  [[nodiscard]] std::string receive(std::size_t count) const;
  /// All until the end of the stream.
  [[nodiscard]] std::string receive_all() const { return receive(std::string::npos); }

 private:
  int fd_;
};

/// A listening socket: silent (accepts in the kernel, says nothing), or deaf (queue full: connects stay pending).
class Hole {
 public:
  explicit Hole(bool deaf);
  ~Hole();
  Hole(const Hole&) = delete;
  Hole& operator=(const Hole&) = delete;
  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  std::vector<int> fds_;
  std::uint16_t port_ = 0;
};

class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// What the server's log says, beside standard error.
class Logged {
 public:
  [[nodiscard]] base::Log::Sink sink();
  [[nodiscard]] bool wait_for(std::string_view text);

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string text_;
};

struct Wishes {
  Wishes() = default;
  std::function<void(PostgresGateOptions&)> options;
};

/// All of it. At the end nothing may be left: each admission given back once, no connection, no coroutine.
class World {
 public:
  explicit World(const Wishes& wishes = {});
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  [[nodiscard]] std::string conninfo(const std::string& more = "sslmode=disable") const;
  void cut(const std::string& sentence = "grant gr_test ended: an admin said so") {
    gate->cut({{access.grant, core::EndReason::admin, sentence}});
  }
  /// Drains and takes down; the destructor does too.
  void stop();

  daypass::test::PgServer& pg;
  MovedClock clock;
  base::SystemEntropy entropy;
  Logged logged;
  base::Log log;
  Folder folder;
  std::string ca_file;
  net::TlsServerContext tls;
  net::IoThreads threads;
  FakeAccess access;
  std::unique_ptr<PostgresGate> gate;
};

}  // namespace daypass::gate::test
