// For the tests of this room: a process that is not one, and a scripted Daypass server on loopback.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>

#include "app/cli/cli.h"
#include "app/cli/client.h"
#include "net/http_server.h"

namespace daypass::app::cli::testing_support {

namespace json = base::json;
namespace fs = std::filesystem;
using net::HttpRequest;
using net::HttpResponse;

class TestClock final : public base::Clock {
 public:
  [[nodiscard]] base::WallTime wall() const override { return now; }
  /// Each reading may take time: who waits with a limit comes to its end without waiting.
  [[nodiscard]] base::MonoTime mono() const override { return boot += step; }
  base::WallTime now = base::parse_rfc3339("2026-03-01T12:00:00Z").value();
  base::Millis step{0};
  mutable base::MonoTime boot{};
};

/// Answers by "METHOD /path"; anything else is a 404 problem. Requests are kept.
class ScriptedServer {
 public:
  using Answer = std::function<HttpResponse(const HttpRequest&)>;
  ScriptedServer();
  ~ScriptedServer();
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  void on(const std::string& what, Answer answer);
  void on(const std::string& what, const std::string& body, int status = 200);
  /// Every request gets this instead; nullptr ends it.
  void always(Answer answer);
  [[nodiscard]] std::size_t count(const std::string& what) const;
  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

  TestClock clock;

 private:
  HttpResponse answer(const HttpRequest& request);
  static net::awaitable<HttpResponse> serve(ScriptedServer* self, HttpRequest request);

  mutable std::mutex mutex_;
  std::map<std::string, Answer> answers_;
  Answer always_;
  std::vector<std::string> seen_;
  base::SeededEntropy entropy_{7};
  base::Log log_{clock, base::Level::error, base::log_to_nowhere()};
  net::IoThreads threads_{1};
  net::HttpServer server_;
  std::uint16_t port_ = 0;
};

/// A user at a keyboard: a home folder, an environment, and what came out.
class User : public testing::Test {
 protected:
  User();
  ~User() override;
  int run(std::vector<std::string> args);
  /// The one document on stdout; fails the test when there is another number of them.
  json::Value document();
  void log_in(base::Seconds left = std::chrono::hours(1), const std::string& token = "token-of-a-test");
  std::string write(const std::string& name, const std::string& text,
                    fs::perms mode = fs::perms::owner_read | fs::perms::owner_write);
  static std::string read(const std::string& path);
  static unsigned mode(const std::string& path);
  /// Answers as a real server's, for one reader role and one elevated writer role.
  void usual_answers(const std::string& session = "ls_1");

  ScriptedServer server;
  base::SeededEntropy entropy{42};
  std::string home;
  Io io;
  std::string out, err;
  std::vector<base::Millis> pauses;
  int credentials = 0;
};

}  // namespace daypass::app::cli::testing_support
