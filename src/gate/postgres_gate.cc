#include "gate/postgres_gate.h"

#include "base/encoding.h"
#include "config/config.h"
#include "crypto/x509.h"
#include "gate/impl.h"
#include "wire/postgres/build.h"

namespace daypass::gate {

using base::MonoTime;

PostgresGate::Impl::Impl(net::IoThreads& t, const base::Clock& c, base::Entropy& e, const base::Log& l, PostgresGateOptions o)
    : threads(t), clock(c), entropy(e), log(l), options(std::move(o)), activity(options.activity_folder, l), mock_secret(base::random_token(e, 32)) {
  if (auto hash = crypto::server_end_point(options.tls.leaf_pem()); hash.ok()) end_point = std::move(*hash);
}

PostgresGate::PostgresGate(net::IoThreads& threads, const base::Clock& clock, base::Entropy& entropy, const base::Log& log, PostgresGateOptions options)
    : impl_(std::make_shared<Impl>(threads, clock, entropy, log, std::move(options))) {}

PostgresGate::~PostgresGate() {
  if (impl_->listener) impl_->listener->stop();
}

void PostgresGate::attach(engine::Access& access) { impl_->access = &access; }

void PostgresGate::start(std::unique_ptr<net::Listener> listener) {
  impl_->listener = std::move(listener);
  impl_->listener->start([impl = impl_.get()](net::StreamPtr stream) { impl->accept(std::move(stream)); });
}

std::uint16_t PostgresGate::port() const noexcept { return impl_->listener ? impl_->listener->port() : 0; }

std::size_t PostgresGate::connections() const noexcept {
  const std::lock_guard lock(impl_->mutex);
  return impl_->open;
}

void PostgresGate::drain(base::Millis patience) {
  impl_->draining = true;
  if (impl_->listener) impl_->listener->stop();
  const auto wait_empty = [this](base::Millis most) {
    std::unique_lock lock(impl_->mutex);
    impl_->emptied.wait_for(lock, most, [this] { return impl_->open == 0; });
  };
  wait_empty(patience);
  std::vector<std::shared_ptr<Session>> left;
  {
    const std::lock_guard lock(impl_->mutex);
    for (const auto& [grant, sessions] : impl_->by_grant)
      for (const auto& weak : sessions)
        if (auto session = weak.lock()) left.push_back(std::move(session));
  }
  for (auto& session : left) {
    auto& io = session->context();
    net::post_to(io, [session] { session->cut("the Daypass server is stopping; connect again in a moment"); });
  }
  left.clear();
  wait_empty(std::chrono::seconds(2));
}

void PostgresGate::cut(const engine::GrantId& grant, core::EndReason, const std::string& sentence) {
  std::vector<std::shared_ptr<Session>> sessions;
  {
    const std::lock_guard lock(impl_->mutex);
    const MonoTime now = impl_->clock.mono();
    // A grant never comes back. Its tombstone waits for connections that were let in just before and are on their way.
    impl_->tombstones.insert_or_assign(grant, std::pair(sentence, now));
    if (impl_->tombstones.size() > 4096)
      std::erase_if(impl_->tombstones, [&](const auto& item) { return now - item.second.second > std::chrono::minutes(2); });
    if (const auto it = impl_->by_grant.find(grant); it != impl_->by_grant.end())
      for (const auto& weak : it->second)
        if (auto session = weak.lock()) sessions.push_back(std::move(session));
  }
  for (auto& session : sessions) {
    auto& io = session->context();
    net::post_to(io, [session = std::move(session), sentence] { session->cut(sentence); });
  }
}

void PostgresGate::update(const engine::GrantId& grant, const engine::Lease& lease) {
  std::vector<std::shared_ptr<Session>> sessions;
  {
    const std::lock_guard lock(impl_->mutex);
    if (const auto it = impl_->by_grant.find(grant); it != impl_->by_grant.end())
      for (const auto& weak : it->second)
        if (auto session = weak.lock()) sessions.push_back(std::move(session));
  }
  for (auto& session : sessions) {
    auto& io = session->context();
    net::post_to(io, [session = std::move(session), lease] { session->update(lease); });
  }
}

void PostgresGate::Impl::accept(net::StreamPtr stream) {
  const std::string address = stream->peer_ip();
  {
    const std::lock_guard lock(mutex);
    auto& mine = per_address[address];
    if (draining || open >= options.max_connections || mine >= options.max_per_address) {
      if (mine == 0) per_address.erase(address);
      // Whoever speaks in clear reads why; a TLS client just sees the end.
      std::string text;
      pg::append_error_response(text, {.severity = "FATAL", .sqlstate = draining ? "57P03" : "53300", .message = draining ? "the Daypass server is stopping" : "too many connections to the Daypass gate"});
      (void)stream->try_write(text);
      stream->close();
      return;
    }
    ++open;
    ++mine;
  }
  auto& io = stream->context();
  auto session = std::make_shared<Session>(*this, std::move(stream));
  net::spawn(io, Session::live(std::move(session)), [this](std::exception_ptr thrown) {
    if (!thrown) return;
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& e) {
      log.error("a gate session threw", {{"what", e.what()}});
    }
  });
}

void PostgresGate::Impl::gone(const std::string& address) {
  const std::lock_guard lock(mutex);
  if (--open == 0) emptied.notify_all();
  if (const auto it = per_address.find(address); it != per_address.end() && --it->second == 0) per_address.erase(it);
}

bool PostgresGate::Impl::enrol(const engine::GrantId& grant, const std::shared_ptr<Session>& session, std::string& sentence) {
  const std::lock_guard lock(mutex);
  if (const auto it = tombstones.find(grant); it != tombstones.end()) {
    sentence = it->second.first;
    return false;
  }
  by_grant[grant].push_back(session);
  return true;
}

void PostgresGate::Impl::leave(const engine::GrantId& grant, const Session* session) {
  const std::lock_guard lock(mutex);
  const auto it = by_grant.find(grant);
  if (it == by_grant.end()) return;
  std::erase_if(it->second, [&](const std::weak_ptr<Session>& weak) {
    const auto alive = weak.lock();
    return alive == nullptr || alive.get() == session;
  });
  if (it->second.empty()) by_grant.erase(it);
}

std::pair<std::uint32_t, std::string> PostgresGate::Impl::make_cancel_key(const std::shared_ptr<Session>& session) {
  const std::lock_guard lock(mutex);
  for (;;) {
    std::uint8_t raw[8];
    entropy.fill(raw);
    const std::uint32_t pid = ((std::uint32_t{raw[0]} & 0x7fU) << 24U) | (std::uint32_t{raw[1]} << 16U) | (std::uint32_t{raw[2]} << 8U) | raw[3];
    if (pid == 0 || cancel_keys.contains(pid)) continue;
    std::string key(reinterpret_cast<const char*>(raw + 4), 4);
    cancel_keys.emplace(pid, CancelEntry{key, session});
    return {pid, std::move(key)};
  }
}

void PostgresGate::Impl::forget_cancel_key(std::uint32_t pid) {
  const std::lock_guard lock(mutex);
  cancel_keys.erase(pid);
}

std::shared_ptr<Session> PostgresGate::Impl::find_cancel(const std::string& address, const pg::CancelRequest& request) {
  const std::lock_guard lock(mutex);
  // A key has 32 bits: guessing must be slow. 20 tries a second from one address.
  const MonoTime now = clock.mono();
  if (cancel_rate.size() > 4096) cancel_rate.clear();
  auto& [since, tries] = cancel_rate[address];
  if (now - since > std::chrono::seconds(1)) {
    since = now;
    tries = 0;
  }
  if (++tries > 20) return nullptr;
  const auto it = cancel_keys.find(request.pid);
  if (it == cancel_keys.end() || !base::equal_constant_time(it->second.key, request.key)) return nullptr;
  return it->second.session.lock();
}

base::Result<net::TlsClientContext> PostgresGate::Impl::client_tls(const target::Upstream& upstream) {
  const std::string key = upstream.ca_file + "\n" + upstream.client_cert_file + "\n" + upstream.client_key_file;
  const std::lock_guard lock(tls_mutex);
  const MonoTime now = clock.mono();
  // Files are read again every minute, so that a renewed certificate needs no restart.
  if (const auto it = tls_contexts.find(key); it != tls_contexts.end() && now - it->second.first < std::chrono::minutes(1)) return it->second.second;
  net::TlsClientOptions tls;
  tls.ca_file = upstream.ca_file;
  tls.alpn = {"postgresql"};
  if (!upstream.client_cert_file.empty()) {
    DP_TRY(tls.certificate_pem, config::read_file(upstream.client_cert_file));
    DP_TRY(std::string pem, config::read_file(upstream.client_key_file));
    tls.key_pem = base::Secret::take(std::move(pem));
  }
  DP_TRY(auto context, net::TlsClientContext::make(tls));
  tls_contexts.insert_or_assign(key, std::pair(now, context));
  return context;
}

}  // namespace daypass::gate
