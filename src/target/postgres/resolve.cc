#include "target/postgres/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace daypass::target::postgres {
namespace {

using base::Code;
using base::Error;

/// One question to the resolver, and the thread that asks it.
struct Question {
  explicit Question(std::string name) : host(std::move(name)) {}
  const std::string host;
  std::mutex mutex;  // guards what follows
  std::condition_variable answered;
  bool done = false;
  std::vector<std::string> found;
  std::thread thread;
};

// getaddrinfo() can't be taken back, so each question has a thread of its own, and one that nobody waits for any longer
// is kept until it is answered. At most this many, so that a resolver which never answers costs a bounded amount.
constexpr std::size_t most_abandoned = 32;
struct Abandoned {
  std::mutex mutex;
  std::vector<std::unique_ptr<Question>> questions;
};
Abandoned& abandoned() {
  static auto* forever = new Abandoned;  // never destroyed: the threads may still write into it at exit
  return *forever;
}

bool is_done(Question& question) {
  const std::lock_guard lock(question.mutex);
  return question.done;
}

void abandon(std::unique_ptr<Question> question) {
  auto& all = abandoned();
  const std::lock_guard lock(all.mutex);
  all.questions.push_back(std::move(question));
}

bool is_numeric(const std::string& host) {
  in6_addr any{};
  return inet_pton(AF_INET, host.c_str(), &any) == 1 || inet_pton(AF_INET6, host.c_str(), &any) == 1;
}

std::vector<std::string> addresses_of(const addrinfo* first) {
  std::vector<std::string> out;
  for (const addrinfo* a = first; a != nullptr && out.size() < 8; a = a->ai_next) {
    char text[NI_MAXHOST];
    if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0)
      out.emplace_back(text);
  }
  return out;
}

void answer(Question& question) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* first = nullptr;
  std::vector<std::string> found;
  if (getaddrinfo(question.host.c_str(), nullptr, &hints, &first) == 0) {
    found = addresses_of(first);
    freeaddrinfo(first);
  }
  const std::lock_guard lock(question.mutex);
  question.found = std::move(found);
  question.done = true;
  question.answered.notify_all();
}

}  // namespace

std::size_t abandoned_lookups() {
  auto& all = abandoned();
  const std::lock_guard lock(all.mutex);
  std::erase_if(all.questions, [](const auto& question) {
    if (!is_done(*question)) return false;
    question->thread.join();
    return true;
  });
  return all.questions.size();
}

base::Result<std::vector<std::string>> resolve(const std::string& host, const Deadline& deadline) {
  if (is_numeric(host)) return std::vector<std::string>{host};
  if (abandoned_lookups() >= most_abandoned)
    return Error{Code::unavailable, "pg.resolve", "the name resolver does not answer", "check /etc/resolv.conf"};
  auto question = std::make_unique<Question>(host);
  try {
    question->thread = std::thread(answer, std::ref(*question));
  } catch (const std::system_error&) {
    return Error{Code::unavailable, "pg.resolve", "the name resolver could not be started"};
  }
  {
    std::unique_lock lock(question->mutex);
    while (!question->done && !deadline.passed()) question->answered.wait_for(lock, deadline.left());
  }
  if (!is_done(*question)) {
    abandon(std::move(question));
    return Error{Code::timeout, "pg.resolve", "the address of " + host + " did not come in time"};
  }
  question->thread.join();
  if (question->found.empty())
    return Error{Code::unavailable, "pg.resolve", "there is no address for " + host, "check the target's host"};
  return std::move(question->found);
}

bool is_loopback_address(const std::string& address) noexcept {
  in_addr v4{};
  if (inet_pton(AF_INET, address.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24U) == 127U;
  in6_addr v6{};
  return inet_pton(AF_INET6, address.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6) != 0;
}

}  // namespace daypass::target::postgres
