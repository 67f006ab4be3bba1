// The demo's identity provider: a real OpenID provider with signed tokens, two accounts, and no password. Loopback
// only.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/entropy.h"
#include "base/log.h"
#include "base/time.h"
#include "crypto/jose.h"
#include "net/http_server.h"

namespace daypass::app::demo {

struct Account {
  std::string id, name, group, department;
};

class DemoIdp {
 public:
  DemoIdp(net::IoThreads& threads, const base::Clock& clock, base::Entropy& entropy, const base::Log& log);
  /// Listens on a free loopback port.
  base::Status start();
  [[nodiscard]] const std::string& issuer() const noexcept { return issuer_; }
  [[nodiscard]] const std::string& client_secret() const noexcept { return client_secret_; }
  [[nodiscard]] static std::string client_id() { return "daypass-demo"; }
  [[nodiscard]] static const std::vector<Account>& accounts();
  void stop();

 private:
  struct Code {
    std::string account, redirect_uri, challenge, nonce;
    base::WallTime until;
  };
  net::awaitable<net::HttpResponse> serve(net::HttpRequest request);
  net::HttpResponse discovery() const;
  net::HttpResponse authorize(const net::HttpRequest& request);
  net::HttpResponse token(const net::HttpRequest& request);

  net::IoThreads& threads_;
  const base::Clock& clock_;
  base::Entropy& entropy_;
  const base::Log& log_;
  crypto::SigningKey key_;
  std::string issuer_, client_secret_;
  std::unique_ptr<net::HttpServer> http_;
  std::mutex mutex_;
  std::map<std::string, Code> codes_;
};

}  // namespace daypass::app::demo
