#include "net/http_server.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/encoding.h"
#include "net/http_parser.h"

namespace daypass::net {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kReadSize = 8192;
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
constexpr base::Millis kResetTime{1000};  // for connections to notice that they were reset

struct Connection {
  Connection(io_context& i, StreamPtr s, std::optional<TlsServerContext> t)
      : io(i), stream(std::move(s)), tls(std::move(t)) {}
  /// What to interrupt or abort; own thread.
  [[nodiscard]] Stream* live() const noexcept { return handshaking != nullptr ? handshaking : stream.get(); }

  io_context& io;
  StreamPtr stream;
  Stream* handshaking = nullptr;  // the plain stream while accept_tls owns it
  std::optional<TlsServerContext> tls;
  bool idle = true;  // between requests: may be cut without anybody missing an answer
  std::string in;    // received, not yet consumed
};

bool clean_header(const std::pair<std::string, std::string>& header) {
  const auto bad_name = [](char c) { return c <= 0x20 || c == 0x7f || c == ':'; };
  const auto bad_value = [](char c) { return c == '\r' || c == '\n' || c == '\0'; };
  return !header.first.empty() && std::ranges::none_of(header.first, bad_name) &&
         std::ranges::none_of(header.second, bad_value);
}

bool clean(const HttpResponse& response) {
  const std::pair<std::string, std::string> type("content-type", response.content_type);
  return response.status >= 200 && response.status <= 599 && clean_header(type) &&
         std::ranges::all_of(response.headers, clean_header);
}

void add_header(std::string& head, std::string_view name, std::string_view value) {
  head.append(name).append(": ").append(value).append("\r\n");
}

/// Status line and headers. `length`: of the body, when it isn't streamed.
std::string head_of(const HttpResponse& response, const std::string& date, const std::string& request_id,
                    std::optional<std::size_t> length, bool keep_alive) {
  std::string head;
  head.reserve(512);
  head.append("HTTP/1.1 ").append(std::to_string(response.status)).append(" ");
  head.append(reason_of(response.status)).append("\r\n");
  add_header(head, "date", date);
  if (!request_id.empty()) add_header(head, "x-request-id", request_id);
  if (!response.content_type.empty()) add_header(head, "content-type", response.content_type);
  for (const auto& [name, value] : response.headers) add_header(head, name, value);
  const auto unless_set = [&](std::string_view name, std::string_view value) {
    if (find(response.headers, name) == nullptr) add_header(head, name, value);
  };
  unless_set("cache-control", "no-store");
  unless_set("x-content-type-options", "nosniff");
  unless_set("referrer-policy", "no-referrer");
  unless_set("content-security-policy",
             "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'");
  if (!length) {
    add_header(head, "transfer-encoding", "chunked");
  } else if (response.status != 204 && response.status != 304) {
    add_header(head, "content-length", std::to_string(*length));
  }
  if (!keep_alive) add_header(head, "connection", "close");
  head.append("\r\n");
  return head;
}

/// Sends both parts; one system call when they fit.
awaitable<Status> write_both(Stream& stream, std::string_view first, std::string_view second) {
  const Attempt direct = stream.try_write(first, second);
  std::size_t sent = direct.ok() ? direct.count : 0;
  const std::size_t of_first = std::min(sent, first.size());
  first.remove_prefix(of_first);
  sent -= of_first;
  second.remove_prefix(sent);
  const Status head = co_await stream.write_all(first);
  if (!head) co_return head;
  const Status body = co_await stream.write_all(second);
  co_return body;
}

}  // namespace

struct HttpServer::Impl : std::enable_shared_from_this<Impl> {
  Impl(HttpHandler h, HttpLimits l, const base::Log& lg, const base::Clock& c, base::Entropy& entropy)
      : handler(std::move(h)), limits(l), log(lg), clock(c), id_prefix(base::random_base32(entropy, 8)) {}

  const HttpHandler handler;
  const HttpLimits limits;
  const base::Log& log;
  const base::Clock& clock;
  const std::string id_prefix;
  std::atomic<std::uint64_t> requests = 0;
  std::atomic<bool> draining = false;

  mutable std::mutex mutex;  // guards what follows
  std::condition_variable changed;
  std::unordered_map<Connection*, std::weak_ptr<Connection>> connections;
  std::vector<std::unique_ptr<Listener>> listeners;

  /// Forgets a connection when its coroutine ends, however it ends.
  struct Registration {
    Registration(std::shared_ptr<Impl> s, Connection* c) : server(std::move(s)), connection(c) {}
    ~Registration() {
      const std::lock_guard lock(server->mutex);
      server->connections.erase(connection);
      server->changed.notify_all();
    }
    Registration(const Registration&) = delete;
    Registration& operator=(const Registration&) = delete;
    std::shared_ptr<Impl> server;
    Connection* connection;
  };

  class ChunkWriter;

  void admit(StreamPtr stream, const std::optional<TlsServerContext>& tls);
  void listen(std::unique_ptr<Listener> listener, std::optional<TlsServerContext> tls);
  void each_connection(void (*act)(Connection&));
  std::string next_id() { return id_prefix + "-" + std::to_string(++requests); }
  std::string date() const { return http_date(clock.wall()); }

  static awaitable<void> run(std::shared_ptr<Impl> self, std::shared_ptr<Connection> connection);
  awaitable<bool> serve_one(Connection& connection, Deadline& deadline, bool first);
  awaitable<Result<HttpRequest>> receive(Connection& connection, Deadline& deadline, bool first, bool& keep_alive);
  awaitable<bool> fill(Connection& connection);
  awaitable<void> refuse(Connection& connection, Deadline& deadline, HttpRefusal refusal);
  awaitable<HttpResponse> answer(HttpRequest request);
  awaitable<bool> respond(Connection& connection, Deadline& deadline, HttpResponse response, std::string request_id,
                          bool head_only, bool keep_alive);
  awaitable<bool> respond_stream(Connection& connection, Deadline& deadline, const HttpResponse& response,
                                 std::string head);
};

class HttpServer::Impl::ChunkWriter final : public HttpBodyWriter {
 public:
  ChunkWriter(const Impl& server, Stream& stream, Deadline& deadline)
      : server_(server), stream_(stream), deadline_(deadline) {}

  awaitable<Status> write(std::string_view piece) override {
    if (piece.empty()) co_return Status();  // an empty chunk would end the body
    constexpr std::string_view kHex = "0123456789abcdef";
    std::string frame;
    for (std::size_t size = piece.size(); size > 0; size >>= 4U) frame.insert(frame.begin(), kHex[size & 15U]);
    frame.append("\r\n").append(piece).append("\r\n");
    deadline_.set(server_.limits.write_time);
    const Status status = co_await stream_.write_all(frame);
    deadline_.clear();
    if (!status) gone_ = true;
    co_return status;
  }
  [[nodiscard]] bool wanted() const noexcept override { return !gone_ && !server_.draining; }

 private:
  const Impl& server_;
  Stream& stream_;
  Deadline& deadline_;
  bool gone_ = false;
};

void HttpServer::Impl::admit(StreamPtr stream, const std::optional<TlsServerContext>& tls) {
  io_context& io = stream->context();
  auto connection = std::make_shared<Connection>(io, std::move(stream), tls);
  bool full = false;
  {
    const std::lock_guard lock(mutex);
    if (draining) return;
    full = connections.size() >= limits.connections;
    if (!full) connections.emplace(connection.get(), connection);
  }
  if (full) {
    if (tls) return;
    const Error error(Code::exhausted, "http.connections", "the server has too many connections", "try again later");
    HttpResponse response = HttpResponse::problem(503, error, "");
    const std::string head = head_of(response, date(), "", response.body.size(), false);
    (void)connection->stream->try_write(head, response.body);
    (void)connection->stream->shutdown();
    return;
  }
  spawn(io, run(shared_from_this(), connection), [self = shared_from_this()](std::exception_ptr failure) {
    if (!failure) return;
    try {
      std::rethrow_exception(failure);
    } catch (const std::exception& e) {
      self->log.error("http connection failed", {{"why", e.what()}});
    } catch (...) {
      self->log.error("http connection failed");
    }
  });
}

void HttpServer::Impl::listen(std::unique_ptr<Listener> listener, std::optional<TlsServerContext> tls) {
  Listener* const raw = listener.get();
  {
    const std::lock_guard lock(mutex);
    if (draining) return;
    listeners.push_back(std::move(listener));
  }
  // Weak: the listener belongs to this server.
  raw->start([weak = weak_from_this(), context = std::move(tls)](StreamPtr stream) {
    if (const auto self = weak.lock()) self->admit(std::move(stream), context);
  });
}

void HttpServer::Impl::each_connection(void (*act)(Connection&)) {
  const std::lock_guard lock(mutex);
  for (const auto& [raw, weak] : connections) {
    const auto connection = weak.lock();
    if (!connection) continue;
    // Weak, so that it doesn't matter whether the thread still runs.
    post_to(connection->io, [watched = weak, act] {
      if (const auto live = watched.lock()) act(*live);
    });
  }
}

awaitable<void> HttpServer::Impl::run(std::shared_ptr<Impl> self, std::shared_ptr<Connection> connection) {
  const Registration registration(self, connection.get());
  if (connection->tls) {
    connection->handshaking = connection->stream.get();
    Result<StreamPtr> secure =
        co_await accept_tls(std::move(connection->stream), *connection->tls, self->limits.tls_time);
    connection->handshaking = nullptr;
    if (!secure) {
      self->log.debug("tls handshake failed", {{"check", secure.error().check}, {"why", secure.error().message}});
      co_return;
    }
    connection->stream = std::move(secure).value();
  }
  Deadline deadline(*connection->stream);
  bool go_on = true;
  for (bool first = true; go_on; first = false) go_on = co_await self->serve_one(*connection, deadline, first);
  (void)connection->stream->shutdown();
  connection->stream->close();
}

awaitable<bool> HttpServer::Impl::fill(Connection& connection) {
  const std::size_t before = connection.in.size();
  connection.in.resize(before + kReadSize);
  const Result<std::size_t> count = co_await connection.stream->read_some({connection.in.data() + before, kReadSize});
  connection.in.resize(before + (count ? *count : 0));
  co_return count.ok() && *count > 0;
}

/// Reads one request. After an Error the connection is to be closed; the client was told why, if there was a why.
awaitable<Result<HttpRequest>> HttpServer::Impl::receive(Connection& connection, Deadline& deadline, bool first,
                                                         bool& keep_alive) {
  const Error closed(Code::unavailable, "net.closed", "the client left");
  if (first || connection.in.empty()) deadline.set(first ? limits.header_time : limits.idle_time);
  if (connection.in.empty()) {
    std::string().swap(connection.in);  // an idle connection keeps no buffer
    connection.idle = true;
    if (draining) co_return closed;
    const bool more = co_await fill(connection);
    connection.idle = false;
    if (!more) co_return closed;
  }
  if (!first) deadline.set(limits.header_time);
  RequestParser parser(limits);
  std::optional<HttpRefusal> refusal;
  bool continued = false;
  bool in_body = false;
  for (;;) {
    std::size_t taken = 1;
    while (taken > 0 && !connection.in.empty() && !parser.done() && !refusal) {
      taken = parser.feed(connection.in, refusal);
      connection.in.erase(0, taken);
    }
    if (refusal) break;
    if (parser.done()) {
      keep_alive = parser.keep_alive();
      co_return parser.take();
    }
    if (parser.header_done() && !in_body) {
      in_body = true;
      deadline.set(limits.body_time);
    }
    if (in_body && parser.expects_continue() && !continued && connection.in.empty()) {
      continued = true;
      const Status sent = co_await connection.stream->write_all(kContinue);
      if (!sent) co_return closed;
    }
    const bool more = co_await fill(connection);
    if (more) continue;
    if (!deadline.expired()) co_return closed;
    refusal = HttpRefusal(408, Error(Code::timeout, "http.slow_request", "the request took too long to arrive"));
    break;
  }
  const Error error = refusal->error;
  co_await refuse(connection, deadline, *std::move(refusal));
  co_return error;
}

awaitable<void> HttpServer::Impl::refuse(Connection& connection, Deadline& deadline, HttpRefusal refusal) {
  const std::string id = next_id();
  log.debug("http request refused", {{"request_id", id}, {"status", refusal.status}, {"check", refusal.error.check}});
  const HttpResponse response = HttpResponse::problem(refusal.status, refusal.error, id);
  const std::string head = head_of(response, date(), id, response.body.size(), false);
  // Small and the first thing on its way: it fits, and nothing here may wait for a hostile client.
  (void)connection.stream->try_write(head, response.body);
  (void)connection.stream->shutdown();
  // A close with unread bytes resets the connection, and the client would never see the answer: swallow some.
  deadline.set(limits.linger_time);
  std::array<char, kReadSize> waste;  // NOLINT(cppcoreguidelines-pro-type-member-init): never looked at
  for (int i = 0; i < 256; ++i) {
    const Result<std::size_t> count = co_await connection.stream->read_some(waste);
    if (!count || *count == 0) break;
  }
}

awaitable<HttpResponse> HttpServer::Impl::answer(HttpRequest request) {
  const std::string id = request.request_id;
  std::string why;
  try {
    HttpResponse response = co_await handler(std::move(request));
    if (clean(response)) co_return response;
    why = "the response has a malformed status or header";
  } catch (const std::exception& e) {
    why = e.what();
  } catch (...) {
    why = "an exception that is no std::exception";
  }
  log.error("http handler failed", {{"request_id", id}, {"why", why}});
  const Error error(Code::internal, "http.internal", "the server failed to handle the request",
                    "look for request_id " + id + " in the server's log");
  co_return HttpResponse::problem(error, id);
}

awaitable<bool> HttpServer::Impl::respond_stream(Connection& connection, Deadline& deadline,
                                                 const HttpResponse& response, std::string head) {
  const Status begun = co_await connection.stream->write_all(head);
  deadline.clear();
  if (!begun) co_return false;
  ChunkWriter writer(*this, *connection.stream, deadline);
  bool complete = false;
  try {
    co_await response.stream(writer);
    complete = true;
  } catch (const std::exception& e) {
    log.error("http stream failed", {{"why", e.what()}});
  }
  if (complete) {
    deadline.set(limits.write_time);
    const Status ended = co_await connection.stream->write_all("0\r\n\r\n");
    if (ended) co_return false;
  }
  connection.stream->abort();  // a body that was cut must not look complete
  co_return false;
}

awaitable<bool> HttpServer::Impl::respond(Connection& connection, Deadline& deadline, HttpResponse response,
                                          std::string request_id, bool head_only, bool keep_alive) {
  const bool streamed = static_cast<bool>(response.stream);
  if (streamed || draining) keep_alive = false;
  const std::optional<std::size_t> length = streamed ? std::nullopt : std::optional(response.body.size());
  const std::string head = head_of(response, date(), request_id, length, keep_alive);
  deadline.set(limits.write_time);
  if (streamed && !head_only) {
    const bool go_on = co_await respond_stream(connection, deadline, response, head);
    co_return go_on;
  }
  const bool bodyless = head_only || response.status == 204 || response.status == 304;
  const std::string_view body = bodyless ? std::string_view() : std::string_view(response.body);
  const Status sent = co_await write_both(*connection.stream, head, body);
  deadline.clear();
  co_return sent.ok() && keep_alive;
}

awaitable<bool> HttpServer::Impl::serve_one(Connection& connection, Deadline& deadline, bool first) {
  bool keep_alive = false;
  Result<HttpRequest> received = co_await receive(connection, deadline, first, keep_alive);
  if (!received) co_return false;
  deadline.clear();
  HttpRequest request = std::move(received).value();
  const Stream& stream = *connection.stream;
  request.peer = stream.peer();
  request.peer_ip = stream.peer_ip();
  request.peer_uid = stream.peer_uid();
  request.over_tls = stream.tls_info() != nullptr;
  request.request_id = next_id();
  std::string id = request.request_id;
  const std::string method = request.method;
  const std::string path = request.path;
  HttpResponse response = co_await answer(std::move(request));
  // Never the query: it may hold codes and states.
  log.debug("http", {{"request_id", id}, {"method", method}, {"path", path}, {"status", response.status}});
  const bool go_on =
      co_await respond(connection, deadline, std::move(response), std::move(id), method == "HEAD", keep_alive);
  co_return go_on;
}

HttpServer::HttpServer(HttpHandler handler, HttpLimits limits, const base::Log& log, const base::Clock& clock,
                       base::Entropy& entropy)
    : impl_(std::make_shared<Impl>(std::move(handler), limits, log, clock, entropy)) {}

HttpServer::~HttpServer() {
  drain(base::Millis(0));
}

void HttpServer::serve(std::unique_ptr<Listener> listener) {
  impl_->listen(std::move(listener), std::nullopt);
}

void HttpServer::serve_tls(std::unique_ptr<Listener> listener, TlsServerContext context) {
  impl_->listen(std::move(listener), std::move(context));
}

bool HttpServer::drain(base::Millis most) {
  std::vector<std::unique_ptr<Listener>> listeners;
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->draining = true;
    listeners.swap(impl_->listeners);
  }
  listeners.clear();
  impl_->each_connection([](Connection& connection) {
    if (connection.idle && connection.live() != nullptr) connection.live()->interrupt();
  });
  const auto none_left = [this] { return impl_->connections.empty(); };
  {
    std::unique_lock lock(impl_->mutex);
    if (impl_->changed.wait_for(lock, most, none_left)) return true;
  }
  impl_->each_connection([](Connection& connection) {
    if (connection.live() != nullptr) connection.live()->abort();
  });
  std::unique_lock lock(impl_->mutex);
  impl_->changed.wait_for(lock, kResetTime, none_left);
  return false;
}

std::size_t HttpServer::connections() const noexcept {
  const std::lock_guard lock(impl_->mutex);
  return impl_->connections.size();
}

std::uint64_t HttpServer::requests() const noexcept {
  return impl_->requests;
}

}  // namespace daypass::net
