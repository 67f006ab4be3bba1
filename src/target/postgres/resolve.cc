#include "target/postgres/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <cstring>
#include <memory>
#include <mutex>

namespace daypass::target::postgres {
namespace {

using base::Code;
using base::Error;

/// A question to the resolver that may outlive the call which asked it.
struct Question {
  explicit Question(std::string name) : host(std::move(name)) {
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    request.ar_name = host.c_str();
    request.ar_request = &hints;
  }
  ~Question() {
    if (request.ar_result != nullptr) freeaddrinfo(request.ar_result);
  }
  Question(const Question&) = delete;
  Question& operator=(const Question&) = delete;
  std::string host;
  addrinfo hints{};
  gaicb request{};
};

// glibc can't take a question back that its thread is working on: such a question must stay alive until it is answered.
// At most this many, so that a resolver which never answers costs a bounded amount.
constexpr std::size_t most_abandoned = 32;
struct Abandoned {
  std::mutex mutex;
  std::vector<std::unique_ptr<Question>> questions;
};
Abandoned& abandoned() {
  static auto* forever = new Abandoned;  // never destroyed: the resolver's threads may still write into it at exit
  return *forever;
}

bool too_many_abandoned() {
  auto& all = abandoned();
  const std::lock_guard lock(all.mutex);
  std::erase_if(all.questions, [](const auto& q) { return gai_error(&q->request) != EAI_INPROGRESS; });
  return all.questions.size() >= most_abandoned;
}

void abandon(std::unique_ptr<Question> question) {
  if (gai_cancel(&question->request) == EAI_CANCELED || gai_error(&question->request) != EAI_INPROGRESS) return;
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

}  // namespace

base::Result<std::vector<std::string>> resolve(const std::string& host, const Deadline& deadline) {
  if (is_numeric(host)) return std::vector<std::string>{host};
  if (too_many_abandoned())
    return Error{Code::unavailable, "pg.resolve", "the name resolver does not answer", "check /etc/resolv.conf"};
  auto question = std::make_unique<Question>(host);
  gaicb* list[1] = {&question->request};
  if (getaddrinfo_a(GAI_NOWAIT, list, 1, nullptr) != 0)
    return Error{Code::unavailable, "pg.resolve", "the name resolver could not be started"};
  const gaicb* waiting[1] = {&question->request};
  int state = EAI_INPROGRESS;
  while ((state = gai_error(&question->request)) == EAI_INPROGRESS && !deadline.passed()) {
    const auto left = deadline.left();
    const timespec limit{left.count() / 1000, (left.count() % 1000) * 1'000'000};
    gai_suspend(waiting, 1, &limit);
  }
  if (state == EAI_INPROGRESS) {
    abandon(std::move(question));
    return Error{Code::timeout, "pg.resolve", "the address of " + host + " did not come in time"};
  }
  if (state == 0) {
    auto found = addresses_of(question->request.ar_result);
    if (!found.empty()) return found;
  }
  return Error{Code::unavailable, "pg.resolve", "there is no address for " + host, "check the target's host"};
}

bool is_loopback_address(const std::string& address) noexcept {
  in_addr v4{};
  if (inet_pton(AF_INET, address.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24U) == 127U;
  in6_addr v6{};
  return inet_pton(AF_INET6, address.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6) != 0;
}

}  // namespace daypass::target::postgres
