#include "app/demo/demo.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <future>
#include <thread>

#include "app/demo/stage.h"

namespace daypass::app::demo {
namespace {

namespace json = base::json;

void instructions(const Stage& stage) {
  const bool found_by_itself = stage.server->api_port() == 8420;
  const std::string server = found_by_itself ? "" : " --server " + stage.server->public_url();
  std::printf(
      "\nDaypass is up, on loopback, with an identity provider, a PostgreSQL and a store of its own.\n\n"
      "In another terminal:\n\n"
      "    build/release/daypass login%s        # sign in as Dana (data) or Sam (support)\n"
      "    build/release/daypass ls                     # what you may have now, and why\n"
      "    build/release/daypass connect pg/orders      # psql, as a role made for this session\n"
      "    build/release/daypass grants ls              # what is running, until when\n"
      "    build/release/daypass logout                 # everything ends\n\n"
      "As the operator:\n\n"
      "    build/release/daypass audit tail --socket %s\n"
      "    build/release/daypass apply %s/tenant --socket %s\n\n"
      "Ctrl-C ends the demo and throws everything away. What happens, as it happens:\n\n",
      server.c_str(), stage.server->socket_path().c_str(), stage.folder.c_str(), stage.server->socket_path().c_str());
  std::fflush(stdout);
}

/// New audit records since `from`; advances it.
std::vector<std::string> news(Stage& stage, std::uint64_t& from) {
  auto promise = std::make_shared<std::promise<base::Result<std::vector<std::string>>>>();
  auto future = promise->get_future();
  stage.server->engine().audit(
      core::TenantId("default"), from, 100,
      [promise](base::Result<std::vector<std::string>> r) { promise->set_value(std::move(r)); });
  auto records = future.get();
  if (!records.ok()) return {};
  from += records->size();
  return std::move(*records);
}

}  // namespace

void watch(Stage& stage, const std::atomic<bool>& stop) {
  std::uint64_t from = 0;
  while (!stop) {
    for (const auto& record : news(stage, from)) {
      const auto event = core::audit_from_canonical(record);
      if (!event.ok()) continue;
      std::string facts;
      for (const char* key : {"principal", "target", "account", "roles", "reason", "why"})
        if (const json::Value* v = event->facts.find(key))
          facts += std::string("  ") + key + "=" + (v->as_string() != nullptr ? *v->as_string() : json::dump(*v));
      std::printf("%s  %-18s %s%s\n",
                  base::to_rfc3339(std::chrono::floor<base::Seconds>(event->at)).substr(11, 8).c_str(),
                  event->action.c_str(), event->actor.c_str(), facts.c_str());
      std::fflush(stdout);
    }
    ::poll(nullptr, 0, 300);
  }
}

int run_demo(const DemoOptions& options) {
  const base::SystemClock clock;
  base::SystemEntropy entropy;
  const bool live = !options.story && ::isatty(STDIN_FILENO) != 0 && ::isatty(STDOUT_FILENO) != 0;

  // Signals come through a descriptor: blocked before any thread starts, so that every thread inherits that.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int s : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, s);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);

  std::printf("Setting the stage: an identity provider, a PostgreSQL, a store and a gateway, all on loopback …\n");
  std::fflush(stdout);
  std::unique_ptr<Stage> stage;
  // The server's log goes to a file in the folder; before the folder is there, nowhere.
  const int log_fd = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  const base::Log log(clock, base::Level::info, base::log_to_fd(log_fd));
  auto set = Stage::set(clock, entropy, log, live, options.keep);
  if (!set.ok()) {
    std::fprintf(stderr, "The demo can't start: %s\n%s\n", set.error().message.c_str(), set.error().hint.c_str());
    return 1;
  }
  stage = std::move(*set);
  const int signal_fd = ::signalfd(-1, &signals, SFD_CLOEXEC);
  int code = 0;
  if (live) {
    instructions(*stage);
    std::atomic<bool> stop{false};
    std::thread watcher([&] { watch(*stage, stop); });
    pollfd wait{signal_fd, POLLIN, 0};
    while (::poll(&wait, 1, -1) < 0) {
    }
    std::printf("\nEnding: cutting sessions, stopping the servers, throwing everything away …\n");
    stop = true;
    watcher.join();
  } else {
    // Ctrl-C in the middle of the story kills the step that runs; cleaning up is the same as ever.
    std::atomic<bool> done{false};
    std::thread interrupter([&] {
      pollfd wait{signal_fd, POLLIN, 0};
      while (!done)
        if (::poll(&wait, 1, 200) > 0) {
          stage->interrupted = true;
          return;
        }
    });
    code = play(*stage, clock) ? 0 : stage->interrupted ? 130 : 1;
    done = true;
    interrupter.join();
  }
  if (options.keep) std::printf("Kept: %s\n", stage->folder.c_str());
  stage.reset();
  ::close(signal_fd);
  ::close(log_fd);
  return code;
}

}  // namespace daypass::app::demo
