#include "app/demo/process.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "app/secrets.h"

namespace daypass::app::demo {
namespace {

using base::Code;
using base::Error;

constexpr std::size_t capture_limit = std::size_t{1} << 20U;

/// Forks and execs. `out` and `err` become the child's 1 and 2. Everything that allocates happens before the fork.
base::Result<pid_t> launch(const Command& command, int out, int err) {
  auto env = environment();
  for (const auto& [name, value] : command.env) env.insert_or_assign(name, value);
  std::vector<std::string> pairs;
  for (const auto& [name, value] : env) pairs.push_back(name + "=" + value);
  std::vector<char*> envp, argv;
  for (auto& pair : pairs) envp.push_back(pair.data());
  envp.push_back(nullptr);
  std::vector<std::string> args = command.args;
  for (auto& arg : args) argv.push_back(arg.data());
  argv.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0)
    return Error{Code::internal, "process.start", command.args.at(0) + " can't be started: " + std::strerror(errno)};
  if (pid != 0) return pid;
  // The child. Dies with its parent, has no terminal input, and is nobody's process group member but its own.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  ::setpgid(0, 0);
  const int null = ::open("/dev/null", O_RDONLY);
  ::dup2(null, 0);
  ::dup2(out, 1);
  ::dup2(err, 2);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (!command.directory.empty() && ::chdir(command.directory.c_str()) != 0) ::_exit(127);
  if (command.as_user) {
    if (::setgroups(0, nullptr) != 0 || ::setgid(command.as_user->second) != 0 || ::setuid(command.as_user->first) != 0)
      ::_exit(127);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // changing the user clears it
  }
  ::execve(argv[0], argv.data(), envp.data());
  ::_exit(127);
}

int code_of(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

base::Result<Outcome> run(const Command& command, const base::Clock& clock) {
  int out[2], err[2];
  if (::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0)
    return Error{Code::internal, "process.start", "no descriptors left"};
  auto started = launch(command, out[1], err[1]);
  ::close(out[1]);
  ::close(err[1]);
  if (!started.ok()) return std::move(started).error();
  const pid_t pid = *started;
  Outcome result;
  const base::MonoTime until = clock.mono() + std::chrono::duration_cast<std::chrono::nanoseconds>(command.deadline);
  pollfd fds[2] = {{out[0], POLLIN, 0}, {err[0], POLLIN, 0}};
  int open = 2;
  bool stopped = false;
  while (open > 0) {
    const auto left = std::chrono::duration_cast<base::Millis>(until - clock.mono());
    if (left <= base::Millis(0) && !result.timed_out) {
      result.timed_out = true;
      ::kill(-pid, SIGKILL);
    }
    if (command.stop != nullptr && *command.stop && !stopped) {
      stopped = true;
      ::kill(-pid, SIGKILL);
    }
    const int wait = result.timed_out ? 1000 : static_cast<int>(left.count()) + 1;
    if (::poll(fds, 2, command.stop == nullptr ? wait : std::min(wait, 200)) < 0 && errno != EINTR) break;
    for (int i = 0; i < 2; ++i) {
      if (fds[i].fd < 0 || fds[i].revents == 0) continue;
      char buffer[4096];
      const ssize_t n = ::read(fds[i].fd, buffer, sizeof buffer);
      if (n > 0) {
        std::string& into = i == 0 ? result.out : result.err;
        if (into.size() < capture_limit) into.append(buffer, static_cast<std::size_t>(n));
        if (i == 1 && command.on_stderr) command.on_stderr(result.err);
      } else if (n == 0 || errno != EINTR) {
        ::close(fds[i].fd);
        fds[i].fd = -1;
        --open;
      }
    }
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (stopped) return Error{Code::ended, "process.stopped", "interrupted"};
  result.exit_code = code_of(status);
  return result;
}

base::Result<Child> Child::start(const Command& command, const std::string& log_file) {
  const int fd = ::open(log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return Error{Code::internal, "process.start", log_file + ": " + std::strerror(errno)};
  auto pid = launch(command, fd, fd);
  ::close(fd);
  if (!pid.ok()) return std::move(pid).error();
  return Child(*pid);
}

bool Child::alive() const {
  if (pid_ < 0) return false;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) == 0) return true;
  pid_ = -1;
  return false;
}

Child::~Child() {
  if (!alive()) return;
  ::kill(pid_, SIGINT);
  // PostgreSQL's fast shutdown takes a moment; a demo that can't end is worse than an unclean one.
  for (int i = 0; i < 50 && alive(); ++i) ::poll(nullptr, 0, 100);
  if (!alive()) return;
  ::kill(-pid_, SIGKILL);
  int status = 0;
  ::waitpid(pid_, &status, 0);
}

}  // namespace daypass::app::demo
