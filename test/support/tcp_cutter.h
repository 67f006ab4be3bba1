// Sits between a client and a server and hurts one message: so that an outcome becomes unknown at a chosen point.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace daypass::test {

class TcpCutter {
 public:
  enum class Hurt {
    none,
    lose_request,  ///< cuts both ways before the message reaches the server
    lose_answer,   ///< the server gets the message; the client sees the end of the stream instead of the answer
    hold_request,  ///< nothing goes to the server until release(), then the message arrives after all
    hold_answer,   ///< the server gets the message; its answer never comes
  };
  explicit TcpCutter(std::uint16_t server_port);
  ~TcpCutter();
  TcpCutter(const TcpCutter&) = delete;
  TcpCutter& operator=(const TcpCutter&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  /// The next chunk from a client that has `text` in it is hurt, once.
  void arm(Hurt how, std::string text);
  /// True once the armed message has come by.
  [[nodiscard]] bool fired() const noexcept { return fired_; }
  /// Delivers what hold_request held back, to whatever the server is by then.
  void release() { released_ = true; }
  /// True once a message that was held back has been delivered, or can't be any more because the server hung up.
  [[nodiscard]] bool settled() const noexcept { return settled_; }

 private:
  void accept_all();
  void serve(int client);
  Hurt judge(const std::string& chunk);

  std::uint16_t server_port_;
  std::uint16_t port_ = 0;
  int listener_ = -1;
  std::atomic<bool> stop_ = false, fired_ = false, released_ = false, settled_ = false;
  std::mutex mutex_;
  Hurt how_ = Hurt::none;
  std::string text_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace daypass::test
