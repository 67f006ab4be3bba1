#include "support/tcp_cutter.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>

namespace daypass::test {
namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  out.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return out;
}

bool forward(int to, const std::string& bytes) {
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t n = send(to, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return false;
    sent += static_cast<std::size_t>(n);
  }
  return true;
}

bool receive(int from, std::string& out) {
  char buffer[65536];
  const ssize_t n = recv(from, buffer, sizeof buffer, 0);
  if (n <= 0) return false;
  out.assign(buffer, static_cast<std::size_t>(n));
  return true;
}

bool readable(int fd) {
  pollfd one{fd, POLLIN, 0};
  return poll(&one, 1, 0) > 0;
}

}  // namespace

TcpCutter::TcpCutter(std::uint16_t server_port) : server_port_(server_port) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener_, 64) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::runtime_error("can't listen");
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

TcpCutter::~TcpCutter() {
  stop_ = true;
  acceptor_.join();
  for (auto& thread : threads_) thread.join();
  close(listener_);
}

void TcpCutter::arm(Hurt how, std::string text) {
  const std::lock_guard lock(mutex_);
  how_ = how;
  text_ = std::move(text);
  fired_ = released_ = settled_ = false;
}

TcpCutter::Hurt TcpCutter::judge(const std::string& chunk) {
  const std::lock_guard lock(mutex_);
  if (how_ == Hurt::none || chunk.find(text_) == std::string::npos) return Hurt::none;
  const Hurt how = how_;
  how_ = Hurt::none;
  fired_ = true;
  return how;
}

void TcpCutter::accept_all() {
  while (!stop_) {
    pollfd one{listener_, POLLIN, 0};
    if (poll(&one, 1, 20) <= 0) continue;
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client >= 0) threads_.emplace_back([this, client] { serve(client); });
  }
}

void TcpCutter::serve(int client) {
  const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = loopback(server_port_);
  bool open = connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  bool deaf = false;  // the server's answers go nowhere
  std::string held;
  while (open && !stop_) {
    pollfd both[2] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
    if (poll(both, 2, 10) < 0) break;
    if (!held.empty() && released_) {
      // The client is long gone; the server hears its last words all the same.
      (void)forward(server, held);
      held.clear();
      deaf = true;
      settled_ = true;
    }
    std::string chunk;
    if (both[1].revents != 0) {
      open = receive(server, chunk);
      if (open && !deaf) open = forward(client, chunk);
    }
    if (open && held.empty() && !deaf && both[0].revents != 0 && readable(client)) {
      if (!receive(client, chunk)) break;
      const Hurt how = judge(chunk);
      if (how == Hurt::lose_request) break;
      if (how == Hurt::hold_request) {
        held = chunk;
        continue;
      }
      open = forward(server, chunk);
      if (how == Hurt::hold_answer) deaf = true;
      if (how == Hurt::lose_answer) {
        // Until the answer is there, so that the server has surely done it.
        pollfd answer{server, POLLIN, 0};
        poll(&answer, 1, 5000);
        break;
      }
    }
  }
  close(client);
  close(server);
  if (!held.empty()) settled_ = true;
}

}  // namespace daypass::test
