#include "gate/postgres_gate.h"

#include <algorithm>
#include <semaphore>

#include "base/encoding.h"
#include "config/config.h"
#include "crypto/x509.h"
#include "gate/impl.h"
#include "wire/postgres/build.h"

namespace daypass::gate {

using base::MonoTime;

namespace {

// Longer than any answer of Access is waited for: whoever was let in before the word came has enrolled by then.
constexpr auto word_life = std::chrono::minutes(2);

void close_with(net::Stream& stream, std::string_view sqlstate, std::string_view message) {
  // Whoever speaks in clear reads why; a TLS client just sees the end.
  std::string text;
  pg::append_error_response(text, {.severity = "FATAL", .sqlstate = sqlstate, .message = message});
  (void)stream.try_write(text);
  stream.close();
}

/// One cut of many sessions, of one grant or of many, shared by the threads that they live on.
struct CutOfMany {
  struct One {
    std::shared_ptr<Session> session;
    const std::string* sentence;
  };
  struct Group {
    explicit Group(net::io_context& c) : io(c), all_told(c) {}
    net::io_context& io;
    net::Event all_told;
    std::vector<One> members;
  };
  void add(std::vector<std::shared_ptr<Session>> sessions, const std::string& sentence) {
    for (auto& session : sessions) {
      const auto same = [&](const Group& group) { return &group.io == &session->context(); };
      auto group = std::ranges::find_if(groups, same);
      if (group == groups.end()) {
        groups.emplace_back(session->context());
        group = std::prev(groups.end());
      }
      group->members.push_back({std::move(session), &sentence});
    }
  }
  std::vector<engine::Cut> grants;  ///< has the sentences
  std::deque<Group> groups;
  std::atomic<std::size_t> telling{0};
  std::binary_semaphore told{0};
};

// So many servers are left in one go, for the thread has other clients too.
constexpr std::size_t at_once = 64;
// So long whoever has many cut lets the io threads tell them, and takes no processor from them.
constexpr auto tell_time = std::chrono::milliseconds(30);

// All clients are told before the first server is left: a server without its client has a process to end, and a hundred
// of those take the processor from the clients that have not been told. A thread that is late is not waited for long.
awaitable<void> cut_group(std::shared_ptr<CutOfMany> many, CutOfMany::Group& mine) {
  for (const auto& [session, sentence] : mine.members) session->begin_cut(*sentence);
  if (many->telling.fetch_sub(1) == 1) {
    for (auto& group : many->groups) group.all_told.set();
    many->told.release();
  }
  (void)co_await mine.all_told.wait(std::chrono::milliseconds(50));
  for (std::size_t i = 0; i < mine.members.size(); ++i) {
    if (i != 0 && i % at_once == 0) co_await net::sleep_for(mine.io, std::chrono::milliseconds(0));
    mine.members[i].session->cut(*mine.members[i].sentence);
  }
  mine.members.clear();
}

void cut_all(const std::shared_ptr<CutOfMany>& many) {
  many->telling = many->groups.size();
  for (auto& group : many->groups) net::spawn(group.io, cut_group(many, group));
}

}  // namespace

PostgresGate::Impl::Impl(net::IoThreads& t, const base::Clock& c, base::Entropy& e, const base::Log& l,
                         PostgresGateOptions o)
    : threads(t),
      clock(c),
      entropy(e),
      log(l),
      options(std::move(o)),
      activity(options.activity_folder, l, options.activity_held),
      mock_secret(base::random_token(e, 32)) {
  if (options.max_logging_in == 0) options.max_logging_in = std::max<std::size_t>(options.max_connections / 2, 1);
}

PostgresGate::PostgresGate(net::IoThreads& threads, const base::Clock& clock, base::Entropy& entropy,
                           const base::Log& log, PostgresGateOptions options)
    : impl_(std::make_shared<Impl>(threads, clock, entropy, log, std::move(options))) {}

PostgresGate::~PostgresGate() {
  if (impl_->listener) impl_->listener->stop();
  impl_->activity.stop();
}

void PostgresGate::attach(engine::Access& access) {
  impl_->access = &access;
}

void PostgresGate::start(std::unique_ptr<net::Listener> listener) {
  impl_->listener = std::move(listener);
  // Weak: the listener belongs to what it calls, and its loop may outlive both.
  impl_->listener->start([weak = std::weak_ptr(impl_)](net::StreamPtr stream) {
    if (const auto impl = weak.lock()) impl->accept(std::move(stream));
  });
}

std::uint16_t PostgresGate::port() const noexcept {
  return impl_->listener ? impl_->listener->port() : 0;
}

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
  const std::string why = "the Daypass server is stopping; connect again in a moment";
  const auto many = std::make_shared<CutOfMany>();
  many->grants.push_back({{}, core::EndReason::none, why});
  std::vector<std::shared_ptr<Session>> left;
  {
    const std::lock_guard lock(impl_->mutex);
    left.reserve(impl_->sessions.size());
    for (const auto& [key, weak] : impl_->sessions) left.push_back(weak.lock());
  }
  std::erase(left, nullptr);
  many->add(std::move(left), many->grants.front().sentence);
  cut_all(many);
  wait_empty(std::chrono::seconds(2));
  impl_->activity.stop();
}

void PostgresGate::cut(std::vector<engine::Cut> grants) {
  const auto many = std::make_shared<CutOfMany>();
  many->grants = std::move(grants);
  {
    const std::lock_guard lock(impl_->mutex);
    for (const auto& [grant, reason, sentence] : many->grants) {
      impl_->word(grant).cut = sentence;
      many->add(impl_->members(grant), sentence);
    }
  }
  const bool takes_time =
      std::ranges::any_of(many->groups, [](const auto& group) { return group.members.size() > at_once; });
  cut_all(many);
  if (takes_time) (void)many->told.try_acquire_for(tell_time);
}

void PostgresGate::forget(const core::TenantId& tenant) {
  impl_->activity.forget(tenant);
}

base::Status PostgresGate::forget(const engine::GrantId& grant) {
  return impl_->activity.forget(grant);
}

void PostgresGate::update(const engine::GrantId& grant, const engine::Lease& lease) {
  std::vector<std::shared_ptr<Session>> sessions;
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->word(grant).lease = lease;
    sessions = impl_->members(grant);
  }
  for (auto& session : sessions) {
    auto& io = session->context();
    net::post_to(io, [session = std::move(session), lease] { session->update(lease); });
  }
}

void PostgresGate::Impl::accept(net::StreamPtr stream) {
  const std::string address = stream->peer_ip();
  auto& io = stream->context();
  std::shared_ptr<Session> session;
  {
    const std::lock_guard lock(mutex);
    const auto known = per_address.find(address);
    const Guests mine = known == per_address.end() ? Guests() : known->second;
    if (draining) return close_with(*stream, "57P03", "the Daypass server is stopping");
    const bool full = open - spare >= options.max_connections || logging_in >= options.max_logging_in ||
                      mine.regular >= options.max_per_address;
    if (full && (spare >= options.max_spare || mine.spare >= options.max_spare_per_address))
      return close_with(*stream, "53300", "too many connections to the Daypass gate");
    session = std::make_shared<Session>(shared_from_this(), std::move(stream), full);
    sessions.emplace(session.get(), session);
    Guests& guests = per_address[address];
    ++(full ? guests.spare : guests.regular);
    ++open;
    ++(full ? spare : logging_in);
  }
  net::spawn(io, Session::live(std::move(session)), [self = shared_from_this()](std::exception_ptr thrown) {
    if (thrown) self->log.error("a gate session threw while it ended");
  });
}

void PostgresGate::Impl::logged_in() {
  const std::lock_guard lock(mutex);
  --logging_in;
}

void PostgresGate::Impl::gone(const Session* session, const std::string& address, bool was_logging_in, bool was_spare) {
  const std::lock_guard lock(mutex);
  sessions.erase(session);
  if (was_spare)
    --spare;
  else if (was_logging_in)
    --logging_in;
  if (const auto it = per_address.find(address); it != per_address.end()) {
    --(was_spare ? it->second.spare : it->second.regular);
    if (it->second.regular + it->second.spare == 0) per_address.erase(it);
  }
  if (--open == 0) emptied.notify_all();
}

PostgresGate::Impl::Word& PostgresGate::Impl::word(const engine::GrantId& grant) {
  const MonoTime now = clock.mono();
  while (!word_order.empty() && now - word_order.front().first > word_life) {
    // Said again since? Then a later place in the order is its own.
    const auto it = words.find(word_order.front().second);
    if (it != words.end() && it->second.at == word_order.front().first) words.erase(it);
    word_order.pop_front();
  }
  Word& word = words[grant];
  word.at = now;
  word_order.emplace_back(now, grant);
  return word;
}

std::vector<std::shared_ptr<Session>> PostgresGate::Impl::members(const engine::GrantId& grant) const {
  std::vector<std::shared_ptr<Session>> found;
  const auto it = by_grant.find(grant);
  if (it == by_grant.end()) return found;
  found.reserve(it->second.size());
  for (const Session* session : it->second)
    if (const auto alive = sessions.find(session); alive != sessions.end()) found.push_back(alive->second.lock());
  std::erase(found, nullptr);
  return found;
}

bool PostgresGate::Impl::enrol(const engine::GrantId& grant, const Session* session, std::string& sentence,
                               engine::Lease& lease) {
  const std::lock_guard lock(mutex);
  if (const auto it = words.find(grant); it != words.end()) {
    if (it->second.cut) {
      sentence = *it->second.cut;
      return false;
    }
    if (it->second.lease) lease = *it->second.lease;
  }
  by_grant[grant].push_back(session);
  return true;
}

void PostgresGate::Impl::leave(const engine::GrantId& grant, const Session* session) {
  const std::lock_guard lock(mutex);
  const auto it = by_grant.find(grant);
  if (it == by_grant.end()) return;
  std::erase(it->second, session);
  if (it->second.empty()) by_grant.erase(it);
}

std::pair<std::uint32_t, std::string> PostgresGate::Impl::make_cancel_key(const std::shared_ptr<Session>& session) {
  const std::lock_guard lock(mutex);
  for (;;) {
    std::uint8_t raw[8];
    entropy.fill(raw);
    const std::uint32_t pid = ((std::uint32_t{raw[0]} & 0x7fU) << 24U) | (std::uint32_t{raw[1]} << 16U) |
                              (std::uint32_t{raw[2]} << 8U) | raw[3];
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

std::string PostgresGate::Impl::end_point() {
  // A reload may have replaced the certificate: what binds a client is the one that it is shown.
  std::string pem = options.tls.leaf_pem();
  const std::lock_guard lock(tls_mutex);
  if (pem != end_point_of.first) {
    auto hash = crypto::server_end_point(pem);
    end_point_of = {std::move(pem), hash.ok() ? std::move(*hash) : std::string()};
  }
  return end_point_of.second;
}

base::Result<net::TlsClientContext> PostgresGate::Impl::client_tls(const target::Upstream& upstream) {
  const std::string key = upstream.ca_file + "\n" + upstream.client_cert_file + "\n" + upstream.client_key_file;
  const std::lock_guard lock(tls_mutex);
  const MonoTime now = clock.mono();
  // Files are read again every minute, so that a renewed certificate needs no restart.
  const auto it = tls_contexts.find(key);
  if (it != tls_contexts.end() && now - it->second.first < std::chrono::minutes(1)) return it->second.second;
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
