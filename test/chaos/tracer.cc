#include "chaos/tracer.h"

#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>

namespace daypass::chaos {

namespace {

struct Named {
  std::uint64_t number;
  const char* name;
};
#define DAYPASS_CALL(name) {SYS_##name, #name}
constexpr Named names[] = {
    DAYPASS_CALL(read),       DAYPASS_CALL(write),      DAYPASS_CALL(pread64),       DAYPASS_CALL(pwrite64),
    DAYPASS_CALL(readv),      DAYPASS_CALL(writev),     DAYPASS_CALL(openat),        DAYPASS_CALL(close),
    DAYPASS_CALL(fstat),      DAYPASS_CALL(newfstatat), DAYPASS_CALL(lseek),         DAYPASS_CALL(fcntl),
    DAYPASS_CALL(flock),      DAYPASS_CALL(fsync),      DAYPASS_CALL(fdatasync),     DAYPASS_CALL(ftruncate),
    DAYPASS_CALL(fallocate),  DAYPASS_CALL(unlinkat),   DAYPASS_CALL(renameat),      DAYPASS_CALL(mkdirat),
    DAYPASS_CALL(fchmod),     DAYPASS_CALL(fchown),     DAYPASS_CALL(socket),        DAYPASS_CALL(connect),
    DAYPASS_CALL(sendto),     DAYPASS_CALL(recvfrom),   DAYPASS_CALL(sendmsg),       DAYPASS_CALL(recvmsg),
    DAYPASS_CALL(shutdown),   DAYPASS_CALL(getsockopt), DAYPASS_CALL(setsockopt),    DAYPASS_CALL(getsockname),
    DAYPASS_CALL(ppoll),      DAYPASS_CALL(epoll_ctl),  DAYPASS_CALL(epoll_pwait),   DAYPASS_CALL(mmap),
    DAYPASS_CALL(munmap),     DAYPASS_CALL(mprotect),   DAYPASS_CALL(brk),           DAYPASS_CALL(madvise),
    DAYPASS_CALL(mremap),     DAYPASS_CALL(getpid),     DAYPASS_CALL(gettid),        DAYPASS_CALL(getuid),
    DAYPASS_CALL(geteuid),    DAYPASS_CALL(getrandom),  DAYPASS_CALL(clock_gettime), DAYPASS_CALL(clock_nanosleep),
    DAYPASS_CALL(prctl),      DAYPASS_CALL(clone3),     DAYPASS_CALL(rt_sigaction),  DAYPASS_CALL(rt_sigprocmask),
    DAYPASS_CALL(getdents64), DAYPASS_CALL(eventfd2),   DAYPASS_CALL(bind),          DAYPASS_CALL(listen),
    DAYPASS_CALL(accept4),    DAYPASS_CALL(uname),      DAYPASS_CALL(sched_yield),   DAYPASS_CALL(getcwd),
    DAYPASS_CALL(readlinkat), DAYPASS_CALL(faccessat),  DAYPASS_CALL(umask),         DAYPASS_CALL(exit),
    DAYPASS_CALL(futex),
#ifdef SYS_poll  // of the older architectures
    DAYPASS_CALL(poll),       DAYPASS_CALL(open),       DAYPASS_CALL(stat),          DAYPASS_CALL(lstat),
    DAYPASS_CALL(unlink),     DAYPASS_CALL(access),     DAYPASS_CALL(readlink),      DAYPASS_CALL(rename),
    DAYPASS_CALL(mkdir),      DAYPASS_CALL(epoll_wait), DAYPASS_CALL(chmod),         DAYPASS_CALL(rmdir),
#endif
};
#undef DAYPASS_CALL

bool only_waits(std::uint64_t call) {
  return call == SYS_futex || call == SYS_restart_syscall;
}

bool opens(std::uint64_t call) {
#ifdef SYS_open
  if (call == SYS_open) return true;
#endif
  return call == SYS_openat;
}

/// A string of the traced process, at most 4 KiB.
std::string text_at(pid_t pid, std::uint64_t address) {
  std::string out(4096, '\0');
  std::size_t got = 0;
  // Page by page: what follows the string need not be there.
  while (got < out.size()) {
    const std::size_t n = std::min<std::size_t>(out.size() - got, 4096 - (address + got) % 4096);
    iovec mine{out.data() + got, n};
    iovec theirs{reinterpret_cast<void*>(address + got), n};
    if (process_vm_readv(pid, &mine, 1, &theirs, 1, 0) != static_cast<ssize_t>(n)) break;
    got += n;
    if (std::memchr(out.data(), '\0', got) != nullptr) break;
  }
  return out.substr(0, std::min(got, out.find('\0')));
}

/// The last part of the file's name, "daypass.db-wal"; "socket"; empty when the call is about no file.
std::string file_of(pid_t pid, std::uint64_t call, std::uint64_t first_argument) {
  static const std::set<std::string> about = {"read",   "write",     "pread64",   "pwrite64",  "readv",    "writev",
                                              "close",  "fstat",     "lseek",     "fcntl",     "flock",    "fsync",
                                              "sendto", "fdatasync", "ftruncate", "fallocate", "recvfrom", "fchmod"};
  if (!about.contains(syscall_name(call))) return {};
  char target[512];
  const std::string link = "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(first_argument);
  const ssize_t n = readlink(link.c_str(), target, sizeof target);
  if (n <= 0) return {};
  std::string path(target, static_cast<std::size_t>(n));
  if (path.starts_with("socket:")) return "socket";
  return path.substr(path.rfind('/') + 1);
}

std::string told_of(const Point& p) {
  std::string out = std::to_string(p.number) + " " + p.thread + " " + p.call;
  out += " " + (p.file.empty() ? "-" : p.file);
  out += " " + (p.verb.empty() ? "-" : p.verb);
  return out;
}

}  // namespace

std::string syscall_name(std::uint64_t number) {
  for (const Named& one : names)
    if (one.number == number) return one.name;
  return "call-" + std::to_string(number);
}

Tracer::Tracer(std::vector<std::string> command, std::function<void(const std::string&)> told)
    : command_(std::move(command)), told_(std::move(told)), verbs_(command_.front()) {}

bool Tracer::start(const Plan* from_the_start) {
  pid_ = fork();
  if (pid_ == 0) {
    std::vector<char*> arguments;
    for (auto& word : command_) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    raise(SIGSTOP);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  int status = 0;
  if (pid_ < 0 || waitpid(pid_, &status, WUNTRACED) != pid_ || !WIFSTOPPED(status)) return false;
  // Whatever becomes of the tracer, no traced server is left over.
  const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
  if (ptrace(PTRACE_SEIZE, pid_, 0, options) != 0) {
    const int why = errno;
    kill(pid_, SIGKILL);
    waitpid(pid_, &status, 0);
    errno = why;
    return false;
  }
  Thread& first = threads_[pid_];
  if (from_the_start != nullptr) {
    plan_ = *from_the_start;
    armed_ = true;
    marked_ = plan_.opening.empty();
    first.stepped = true;
    // The stop that the process is in already is a new one to its tracer, from which it goes on stepped.
    ptrace(PTRACE_INTERRUPT, pid_, 0, 0);
  }
  kill(pid_, SIGCONT);
  told_("ready " + std::to_string(pid_));
  return true;
}

std::string Tracer::name_of(pid_t tid) const {
  std::ifstream file("/proc/" + std::to_string(pid_) + "/task/" + std::to_string(tid) + "/comm");
  std::string name;
  std::getline(file, name);
  return name;
}

bool Tracer::chosen(pid_t tid) const {
  return plan_.threads.contains(name_of(tid)) || (tid == pid_ && plan_.threads.contains("main"));
}

void Tracer::arm(Plan plan) {
  plan_ = std::move(plan);
  count_ = 0;
  armed_ = true;
  arming_ = true;
  marked_ = plan_.opening.empty();
  for (auto& [tid, thread] : threads_) {
    thread.counted = false;
    if (thread.stepped || !chosen(tid)) continue;
    thread.wanted = true;
    ptrace(PTRACE_INTERRUPT, tid, 0, 0);
  }
  tell_if_armed();
}

void Tracer::tell_if_armed() {
  if (!arming_) return;
  for (const auto& [tid, thread] : threads_)
    if (thread.wanted) return;
  arming_ = false;
  told_("armed");
}

void Tracer::disarm() {
  armed_ = false;
  told_("count " + std::to_string(count_));
}

void Tracer::signal(int number) const {
  if (pid_ > 0) kill(pid_, number);
}

void Tracer::resume(pid_t tid, const Thread& thread, int with_signal) const {
  ptrace(thread.stepped ? PTRACE_SYSCALL : PTRACE_CONT, tid, 0, with_signal);
}

bool Tracer::serve() {
  for (;;) {
    int status = 0;
    const pid_t tid = waitpid(-1, &status, WNOHANG | __WALL);
    if (tid == 0) return true;
    if (tid < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    if (!WIFSTOPPED(status)) {
      threads_.erase(tid);
      if (tid == pid_) {
        told_("exit " + std::to_string(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)));
        return false;
      }
      tell_if_armed();
      continue;
    }
    stopped(tid, status);
  }
}

void Tracer::stopped(pid_t tid, int status) {
  const int number = WSTOPSIG(status), event = status >> 16;
  Thread& thread = threads_[tid];  // a clone may be seen here before its parent tells of it
  if (killed_) return;
  if (number == (SIGTRAP | 0x80)) return at_call(tid, thread);
  if (event == PTRACE_EVENT_STOP) {
    if (thread.wanted) {
      thread.wanted = false;
      thread.stepped = true;
      tell_if_armed();
    }
    // Stopped as a process is by SIGSTOP: it stays so until SIGCONT.
    if (number == SIGSTOP || number == SIGTSTP) {
      ptrace(PTRACE_LISTEN, tid, 0, 0);
      return;
    }
    return resume(tid, thread);
  }
  resume(tid, thread, event == 0 ? number : 0);
}

void Tracer::at_call(pid_t tid, Thread& thread) {
  if (!armed_) thread.stepped = false;
  __ptrace_syscall_info info{};
  if (!armed_ || ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, &info) <= 0) return resume(tid, thread);
  if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
    thread.counted = false;
    if (!marked_ && opens(info.entry.nr)) {
      const std::uint64_t path = info.entry.args[info.entry.nr == SYS_openat ? 1 : 0];
      marked_ = text_at(pid_, path).ends_with(plan_.opening);
    }
    if (marked_ && !only_waits(info.entry.nr)) {
      thread.counted = true;
      const bool due = ++count_ == plan_.number;
      thread.point.number = count_;
      if (due || plan_.number == 0)
        thread.point = {count_, name_of(tid), syscall_name(info.entry.nr),
                        file_of(pid_, info.entry.nr, info.entry.args[0]), verbs_.at(pid_, info.stack_pointer)};
      if (due && !plan_.after) return die(thread.point, "before");
      if (plan_.number == 0) told_("at " + told_of(thread.point));
    }
  } else if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
    if (thread.counted && plan_.after && thread.point.number == plan_.number) return die(thread.point, "after");
    thread.counted = false;
  }
  resume(tid, thread);
}

void Tracer::die(const Point& point, const char* when) {
  killed_ = true;
  // It has not made the call yet, and will not; or it has, and will not see what came of it.
  kill(pid_, SIGKILL);
  told_(std::string("killed ") + when + " " + told_of(point));
}

}  // namespace daypass::chaos
