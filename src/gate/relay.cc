// Both directions, the lease, and the cut. The hot path: one small buffer per direction in the coroutine's frame, one
// large one per thread that nobody holds across a wait, writes tried inline, and no copy unless a peer is slow.
#include <sys/socket.h>

#include <algorithm>

#include "base/json.h"
#include "gate/impl.h"
#include "wire/postgres/build.h"

namespace daypass::gate {

using base::MonoTime;
using base::Status;
namespace json = base::json;
using std::chrono::duration_cast;

namespace {

constexpr std::size_t small = 2048;
constexpr std::size_t large = std::size_t{128} * 1024;

/// Per io thread; used only between two waits.
std::span<char> large_buffer() {
  thread_local std::unique_ptr<char[]> buffer;
  if (buffer == nullptr) buffer = std::make_unique<char[]>(large);
  return {buffer.get(), large};
}

std::string line_of(const pg::Record& r, base::WallTime now, MonoTime mono) {
  const auto ago = [&](MonoTime t) { return now - duration_cast<base::Millis>(mono - t); };
  json::Object o{{"at", base::to_rfc3339(ago(r.started))},
                 {"us", std::int64_t{duration_cast<std::chrono::microseconds>(r.finished - r.started).count()}},
                 {"kind", pg::to_string(r.kind)},
                 {"outcome", pg::to_string(r.outcome)},
                 {"message", r.message},
                 {"part", std::int64_t{r.part}},
                 {"in_transaction", r.in_transaction}};
  if (r.text != nullptr) {
    o.set("sql", r.text->sql);
    if (r.text->truncated) o.set("truncated", true);
    if (r.text->redacted) o.set("redacted", true);
  }
  if (!r.sqlstate.empty()) o.set("sqlstate", r.sqlstate);
  if (!r.statement.empty()) o.set("statement", r.statement);
  if (!r.portal.empty()) o.set("portal", r.portal);
  if (!r.command.empty()) o.set("command", r.command);
  if (r.rows) o.set("rows", *r.rows);
  if (r.statements > 1) o.set("statements", std::int64_t{r.statements});
  if (r.skipped > 0) o.set("skipped", std::int64_t{r.skipped});
  if (r.copy_in_bytes > 0) o.set("copy_in_bytes", r.copy_in_bytes);
  if (r.copy_out_bytes > 0) o.set("copy_out_bytes", r.copy_out_bytes);
  if (r.function_oid != 0) o.set("function", std::int64_t{r.function_oid});
  return json::dump(json::Value(std::move(o))) + "\n";
}

}  // namespace

awaitable<void> Session::relay() {
  tap_ = std::make_unique<pg::Tap>();
  reported_ = gate_.clock.mono();
  loops_done_.emplace(io_);
  const auto self = shared_from_this();
  const auto done = [self](std::exception_ptr thrown) {
    if (thrown) {
      self->gate_.log.error("a relay loop threw", {{"grant", self->grant_ ? self->grant_->id : ""}});
      self->end("error:exception");
    }
    if (--self->loops_ == 0) self->loops_done_->set();
  };
  const auto start = [&](awaitable<void> loop) {
    ++loops_;
    try {
      net::spawn(io_, std::move(loop), done);
    } catch (const std::exception&) {
      // No memory for it. Those that run are waited for before anything of theirs goes.
      --loops_;
      end("error:exception");
    }
  };
  start(client_to_server());
  start(server_to_client());
  start(watch_lease());
  while (loops_ > 0) (void)co_await loops_done_->wait(std::chrono::hours(24));
}

// True when every finished record has found room on its way to disk.
bool Session::flush_records() {
  auto& records = tap_->records();
  if (!gate_.activity.enabled()) {
    while (records.pop()) ++statements_;
    return true;
  }
  for (;;) {
    if (!held_line_.empty()) {
      if (!gate_.activity.write({*grant_, connection_}, held_line_)) return false;
      held_line_.clear();
    }
    auto record = records.pop();
    if (!record) return true;
    ++statements_;
    held_line_ = line_of(*record, gate_.clock.wall(), gate_.clock.mono());
  }
}

// The writer and, when the tracker is full, the server's answers make room; meanwhile the client is not read.
awaitable<void> Session::wait_for_room(bool full) {
  while (!over_ && !(flush_records() && !(full && tap_->records().full()))) {
    room_.emplace(io_);
    (void)co_await room_->wait(std::chrono::milliseconds(50));
    room_.reset();
  }
}

awaitable<void> Session::client_to_server() {
  char buffer[small];
  std::string kept = std::move(login_input_);  // what had to be copied because we wait while it is not used up
  std::string_view in = kept;
  while (!over_) {
    std::string_view more;
    if (in.empty()) {
      const auto got = co_await client_->read_some(buffer);
      if (over_) co_return;
      if (!got.ok() || *got == 0) {
        end("client");
        co_return;
      }
      in = std::string_view(buffer, *got);
      // A full buffer means bulk: take what is there in one large bite. It is used up before the next wait, or copied.
      if (*got == small) {
        const auto span = large_buffer();
        const net::Attempt bite = client_->try_read(span);
        if (bite.ok()) more = std::string_view(span.data(), bite.count);
      }
    }
    bytes_in_ += in.size() + more.size();
    const MonoTime now = gate_.clock.mono();
    // Before the meter: what comes too late must not renew what has run out.
    if (lapsed(now)) co_return;
    meter_->last_active_ns.store(now.time_since_epoch().count(), std::memory_order_relaxed);
    if (now - reported_ > std::chrono::seconds(5)) {
      reported_ = now;
      gate_.access->active(*grant_, now);
    }
    while (!in.empty() || !more.empty()) {
      if (in.empty()) std::swap(in, more);
      const pg::Tap::Passed passed = tap_->client(in, now);
      const std::string_view forward = in.substr(0, passed.bytes);
      in.remove_prefix(passed.bytes);
      const net::Attempt sent = upstream_->try_write(forward);
      if (!sent.ok() && !sent.blocked()) {
        end("upstream");
        co_return;
      }
      std::string_view rest = forward.substr(sent.ok() ? sent.count : 0);
      std::string slow;
      if (!rest.empty() || passed.stop == pg::Tap::Stop::full) {
        // Before any wait: the large buffer belongs to whoever runs next on this thread.
        slow.assign(rest);
        if (passed.stop == pg::Tap::Stop::full && tap_->take_flush()) pg::append_flush(slow);
        rest = slow;
        std::string all(in);
        all += more;
        kept = std::move(all);
        in = kept;
        more = {};
      }
      if (!rest.empty()) {
        writing_upstream_ = true;
        const Status written = co_await upstream_->write_all(rest);
        writing_upstream_ = false;
        if (over_) co_return;
        if (!written.ok()) {
          end("upstream");
          co_return;
        }
      }
      switch (passed.stop) {
        case pg::Tap::Stop::none: break;
        case pg::Tap::Stop::terminate: end("client"); co_return;
        case pg::Tap::Stop::fault:
          say_goodbye("08P01", tap_->fault().message);
          end("error:" + tap_->fault().check);
          co_return;
        case pg::Tap::Stop::full:
          co_await wait_for_room(true);
          if (over_) co_return;
          break;
      }
    }
    if (!kept.empty()) std::string().swap(kept);
    // The disk is behind: fail closed, read no further statement until it has caught up.
    if (!flush_records()) co_await wait_for_room(false);
  }
}

awaitable<void> Session::server_to_client() {
  char buffer[small];
  while (!over_) {
    std::string_view first = early_, second;
    if (first.empty()) {
      const auto got = co_await upstream_->read_some(buffer);
      if (over_) co_return;
      if (!got.ok() || *got == 0) {
        if (tap_->server_fatal().empty()) say_goodbye("08006", "the database server closed the connection");
        end("upstream");
        co_return;
      }
      first = std::string_view(buffer, *got);
      if (*got == small) {
        const auto span = large_buffer();
        const net::Attempt bite = upstream_->try_read(span);
        if (bite.ok()) second = std::string_view(span.data(), bite.count);
      }
    }
    const MonoTime now = gate_.clock.mono();
    pg::Tap::Passed passed = tap_->server(first, now);
    std::size_t good = passed.bytes;
    if (passed.stop != pg::Tap::Stop::fault && !second.empty()) {
      passed = tap_->server(second, now);
      good += passed.bytes;
    }
    const std::string_view a = first.substr(0, std::min(good, first.size()));
    const std::string_view b = good > first.size() ? second.substr(0, good - first.size()) : std::string_view();
    bytes_out_ += good;
    const net::Attempt sent = client_->try_write(a, b);
    if (!sent.ok() && !sent.blocked()) {
      end("client");
      co_return;
    }
    const std::size_t done = sent.ok() ? sent.count : 0;
    if (done < good) {
      std::string rest(done < a.size() ? a.substr(done) : std::string_view());
      rest += done > a.size() ? b.substr(done - a.size()) : b;
      const Status written = co_await send(rest);
      if (over_) co_return;
      if (!written.ok()) {
        end("client");
        co_return;
      }
    }
    if (!early_.empty()) std::string().swap(early_);
    if (passed.stop == pg::Tap::Stop::fault) {
      end("error:" + tap_->fault().check);
      co_return;
    }
    (void)flush_records();
    if (room_) room_->set();
  }
}

// True when the lease has run out, by this session's own clock; then it has been cut.
bool Session::lapsed(MonoTime now) {
  const MonoTime active{std::chrono::nanoseconds(meter_->last_active_ns.load(std::memory_order_relaxed))};
  if (now < lease_.deadline(active)) return false;
  const bool idle = lease_.deadline(now) > now;
  cut("grant " + grant_->id + " ended: " + (idle ? "idle for too long" : "its time is up"));
  return true;
}

awaitable<void> Session::watch_lease() {
  while (!over_) {
    const MonoTime now = gate_.clock.mono();
    if (lapsed(now)) co_return;
    const MonoTime active{std::chrono::nanoseconds(meter_->last_active_ns.load(std::memory_order_relaxed))};
    wake_.reset();
    // Rounded up, or the last wait would spin for less than a millisecond. Never long: timers stand still while the
    // machine sleeps, and the lease does not.
    const auto left = std::chrono::ceil<base::Millis>(lease_.deadline(active) - now);
    (void)co_await wake_.wait(std::clamp<base::Millis>(left, base::Millis(1), std::chrono::minutes(1)));
  }
}

void Session::update(const engine::Lease& lease) {
  lease_ = lease;
  wake_.set();
}

void Session::cut(const std::string& sentence) {
  if (over_) return;
  sentence_ = sentence;
  say_goodbye("57P01", sentence);
  end("cut");
}

// One try, never a wait: a client that does not read learns it from the closed socket.
void Session::say_goodbye(const std::string& sqlstate, const std::string& sentence) {
  if (client_ == nullptr || !client_->is_open()) return;
  const bool boundary = !writing_client_ && (tap_ == nullptr || tap_->client_side_at_boundary());
  if (!boundary || client_->write_blocked()) return;
  std::string text;
  pg::append_error_response(text, {.severity = "FATAL", .sqlstate = sqlstate, .message = sentence});
  (void)client_->try_write(text);
}

// Any state, also with the client's stream in a handshake, or the upstream's not there yet. Whatever waits wakes up.
void Session::end(std::string why) {
  if (over_) return;
  over_ = true;
  why_ = std::move(why);
  // The client first: that is the promise. What the kernel holds of our farewell still goes out.
  if (client_) {
    (void)client_->shutdown();
    // Bytes left unread would turn the close into a reset, which takes the farewell from a client that is still sending.
    const auto span = large_buffer();
    for (int i = 0; i < 8 && client_->is_open() && client_->try_read(span).ok(); ++i) {}
    client_->close();
  }
  if (handshake_fd_ >= 0) ::shutdown(handshake_fd_, SHUT_RDWR);
  if (upstream_) {
    // A server that is idle leaves without a line in its log.
    if (tap_ && tap_->server_side_at_boundary() && !writing_upstream_ && !upstream_->write_blocked()) {
      std::string bye;
      pg::append_terminate(bye);
      (void)upstream_->try_write(bye);
    }
    upstream_->close();
  }
  if (reached_) reached_->set();
  wake_.set();
  if (room_) room_->set();
}

bool Session::ended() const noexcept { return over_; }

// Exactly once, when no coroutine of the session runs any more.
void Session::finish() {
  end(why_.empty() ? "client" : why_);
  if (cancel_pid_ != 0) gate_.forget_cancel_key(cancel_pid_);
  client_.reset();
  upstream_.reset();
  if (grant_) give_back();
  left_ = true;
  gate_.gone(this, address_, logging_in_);
}

void Session::give_back() {
  gate_.leave(*grant_, this);
  const ActivityWriter::File file{*grant_, connection_};
  if (tap_) {
    tap_->records().close(gate_.clock.mono());
    // The end of a session may find the queue full; what is left is written by closing it, and nothing is dropped.
    std::string lines = std::move(held_line_);
    while (auto record = tap_->records().pop()) {
      ++statements_;
      lines += line_of(*record, gate_.clock.wall(), gate_.clock.mono());
    }
    if (!lines.empty()) gate_.activity.write_last(file, std::move(lines));
  }
  engine::ConnectionStats stats;
  stats.why = why_;
  stats.bytes_in = bytes_in_;
  stats.bytes_out = bytes_out_;
  stats.statements = statements_;
  if (statements_ != 0 && gate_.activity.enabled()) stats.segment = "activity/" + file.path();
  gate_.activity.close(file, [access = gate_.access, grant = *grant_, connection = connection_,
                              stats](std::string digest) mutable {
    if (digest.empty()) stats.segment.clear();
    stats.segment_digest = std::move(digest);
    access->closed(grant, connection, std::move(stats));
  });
}

}  // namespace daypass::gate
