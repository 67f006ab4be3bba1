// daypass-syskill [--kill THREADS N before|after [OPENING]] PROGRAM ARGUMENTS…
// Runs a program and kills it at a system call. Commands come as lines on descriptor 3, what happens is told on 4:
//   arm THREADS N before|after    the mark: from now on count the calls of these threads (comma between their names),
//   and
//                                 kill the process at call N; N = 0 only counts, and tells of each
//   disarm                        count no more; tells "count N"
// SIGTERM and SIGINT are handed on. When descriptor 3 ends, or this program does, the other one is killed.
// Exit code 77: tracing is not permitted here.
#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "chaos/tracer.h"

namespace {

using daypass::chaos::Plan;
using daypass::chaos::Tracer;

void tell(const std::string& line) {
  const std::string whole = line + "\n";
  std::size_t sent = 0;
  while (sent < whole.size()) {
    const ssize_t n = write(4, whole.data() + sent, whole.size() - sent);
    if (n <= 0) return;
    sent += static_cast<std::size_t>(n);
  }
}

Plan plan_from(const std::string& threads, const std::string& number, const std::string& when) {
  Plan plan;
  std::istringstream names(threads);
  for (std::string name; std::getline(names, name, ',');) plan.threads.insert(name);
  plan.number = std::strtoull(number.c_str(), nullptr, 10);
  plan.after = when == "after";
  return plan;
}

int usage() {
  std::fputs("usage: daypass-syskill [--kill THREADS N before|after [OPENING]] PROGRAM ARGUMENTS…\n", stderr);
  return 2;
}

void obey(Tracer& tracer, const std::string& line) {
  std::istringstream words(line);
  std::string verb, threads, number, when;
  words >> verb >> threads >> number >> when;
  if (verb == "arm") tracer.arm(plan_from(threads, number, when));
  if (verb == "disarm") tracer.disarm();
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  Plan from_the_start;
  bool planned = false;
  if (!words.empty() && words[0] == "--kill") {
    if (words.size() < 6) return usage();
    from_the_start = plan_from(words[1], words[2], words[3]);
    from_the_start.opening = words[4];
    planned = true;
    words.erase(words.begin(), words.begin() + 5);
  }
  if (words.empty() || words[0].empty() || words[0][0] == '-') return usage();
  // The program gets neither.
  for (const int fd : {3, 4}) fcntl(fd, F_SETFD, FD_CLOEXEC);
  std::signal(SIGPIPE, SIG_IGN);

  Tracer tracer(words, tell);
  if (!tracer.start(planned ? &from_the_start : nullptr)) {
    tell(std::string("refused ") + std::strerror(errno));
    return 77;
  }
  sigset_t wanted;
  sigemptyset(&wanted);
  for (const int number : {SIGCHLD, SIGTERM, SIGINT}) sigaddset(&wanted, number);
  sigprocmask(SIG_BLOCK, &wanted, nullptr);
  const int signals = signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC);
  std::string pending;
  bool listening = true;
  while (tracer.serve()) {
    pollfd waiting[] = {{signals, POLLIN, 0}, {listening ? 3 : -1, POLLIN, 0}};
    poll(waiting, 2, -1);
    signalfd_siginfo info{};
    while (read(signals, &info, sizeof info) == static_cast<ssize_t>(sizeof info))
      if (info.ssi_signo != SIGCHLD) tracer.signal(static_cast<int>(info.ssi_signo));
    if ((waiting[1].revents & (POLLIN | POLLHUP)) == 0) continue;
    char buffer[4096];
    const ssize_t n = read(3, buffer, sizeof buffer);
    if (n <= 0) {
      listening = false;
      tracer.signal(SIGKILL);
      continue;
    }
    pending.append(buffer, static_cast<std::size_t>(n));
    for (std::size_t end; (end = pending.find('\n')) != std::string::npos; pending.erase(0, end + 1))
      obey(tracer, pending.substr(0, end));
  }
  return 0;
}
