#include "target/postgres/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace daypass::target::postgres {
namespace {

using base::Code;
using base::Error;

// getaddrinfo() can't be taken back, so each question has a thread of its own that may outlive who asked. At most this
// many at once, so that a resolver which never answers costs a bounded amount.
constexpr int most_open = 32;
std::atomic<int> open_questions = 0;

struct Question {
  explicit Question(std::string name) : host(std::move(name)) { ++open_questions; }
  ~Question() { --open_questions; }
  Question(const Question&) = delete;
  Question& operator=(const Question&) = delete;

  const std::string host;
  std::mutex mutex;
  std::condition_variable answered;
  bool done = false;
  std::vector<std::string> found;
};

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

// By value: the question lives as long as its thread.
void answer(std::shared_ptr<Question> question) {  // NOLINT(performance-unnecessary-value-param)
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* first = nullptr;
  std::vector<std::string> found;
  if (getaddrinfo(question->host.c_str(), nullptr, &hints, &first) == 0) {
    found = addresses_of(first);
    freeaddrinfo(first);
  }
  const std::lock_guard lock(question->mutex);
  question->found = std::move(found);
  question->done = true;
  question->answered.notify_all();
}

}  // namespace

base::Result<std::vector<std::string>> resolve(const std::string& host, const Deadline& deadline) {
  if (is_numeric(host)) return std::vector<std::string>{host};
  if (open_questions >= most_open)
    return Error{Code::unavailable, "pg.resolve", "the name resolver does not answer", "check /etc/resolv.conf"};
  const auto question = std::make_shared<Question>(host);
  try {
    std::thread(answer, question).detach();
  } catch (const std::system_error&) {
    return Error{Code::unavailable, "pg.resolve", "the name resolver could not be started"};
  }
  std::unique_lock lock(question->mutex);
  while (!question->done && !deadline.passed()) question->answered.wait_for(lock, deadline.left());
  if (!question->done) return Error{Code::timeout, "pg.resolve", "the address of " + host + " did not come in time"};
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
