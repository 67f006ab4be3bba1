// Both directions, the lease, and the cut. The hot path: one small buffer per direction in the coroutine's frame, one
// large one per thread that nobody holds across a wait, writes tried inline, and no copy unless a peer is slow.
#include <netinet/in.h>
#include <netinet/tcp.h>
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

// Two of them wait with each idle session; what doesn't fit costs one more recv, into the large one.
constexpr std::size_t small = 512;
constexpr std::size_t large = std::size_t{128} * 1024;

/// Per io thread; used only between two waits.
std::span<char> large_buffer() {
  thread_local std::unique_ptr<char[]> buffer;
  if (buffer == nullptr) buffer = std::make_unique<char[]>(large);
  return {buffer.get(), large};
}

/// What a direction reads into first.
class Inbox {
 public:
  explicit Inbox(const net::Stream& stream) {
    if (!stream.reads_after_waiting()) own_ = std::make_unique_for_overwrite<char[]>(small);
  }
  [[nodiscard]] std::span<char> buffer() const { return own_ ? std::span(own_.get(), small) : large_buffer(); }
  /// A full buffer means bulk: takes what is there in one large bite.
  [[nodiscard]] std::string_view more(net::Stream& stream, std::size_t got) const {
    if (!own_ || got < small) return {};
    const auto span = large_buffer();
    const net::Attempt bite = stream.try_read(span);
    return bite.ok() ? std::string_view(span.data(), bite.count) : std::string_view();
  }

 private:
  std::unique_ptr<char[]> own_;
};

/// As base::to_rfc3339, with the second's text kept: printing a date costs more than the rest of a record.
std::string timestamp(base::WallTime t) {
  struct Second {
    std::chrono::sys_seconds at{std::chrono::seconds(-1)};
    std::string text;
  };
  thread_local Second known;
  const auto second = std::chrono::floor<std::chrono::seconds>(t);
  if (known.at != second) known = {second, base::to_rfc3339(second)};
  const auto ms = duration_cast<std::chrono::milliseconds>(t - second).count();
  if (ms == 0) return known.text;
  std::string out(known.text, 0, known.text.size() - 1);
  out += '.';
  for (const auto part : {ms / 100, ms / 10 % 10, ms % 10}) out += static_cast<char>('0' + part);
  return out += 'Z';
}

// Written by hand: a tree of values per statement is a dozen allocations on the path of bytes.
std::string line_of(const pg::Record& r, base::WallTime now, MonoTime mono) {
  std::string out;
  out.reserve(256 + (r.text == nullptr ? 0 : r.text->sql.size()));
  const auto raw = [&](std::string_view key, std::string_view value) {
    out += out.empty() ? "{\"" : ",\"";
    out += key;
    out += "\":";
    out += value;
  };
  const auto text = [&](std::string_view key, std::string_view value) { raw(key, json::quote(value)); };
  const auto number = [&](std::string_view key, auto value) { raw(key, std::to_string(value)); };
  const auto flag = [&](std::string_view key, bool value) { raw(key, value ? "true" : "false"); };
  text("at", timestamp(now - duration_cast<base::Millis>(mono - r.started)));
  number("us", duration_cast<std::chrono::microseconds>(r.finished - r.started).count());
  text("kind", pg::to_string(r.kind));
  text("outcome", pg::to_string(r.outcome));
  number("message", r.message);
  number("part", r.part);
  flag("in_transaction", r.in_transaction);
  if (r.text != nullptr) {
    text("sql", r.text->sql);
    if (r.text->truncated) flag("truncated", true);
    if (r.text->redacted) flag("redacted", true);
  }
  if (!r.sqlstate.empty()) text("sqlstate", r.sqlstate);
  if (!r.statement.empty()) text("statement", r.statement);
  if (!r.portal.empty()) text("portal", r.portal);
  if (!r.command.empty()) text("command", r.command);
  if (r.rows) number("rows", *r.rows);
  if (r.statements > 1) number("statements", r.statements);
  if (r.skipped > 0) number("skipped", r.skipped);
  if (r.copy_in_bytes > 0) number("copy_in_bytes", r.copy_in_bytes);
  if (r.copy_out_bytes > 0) number("copy_out_bytes", r.copy_out_bytes);
  if (r.function_oid != 0) number("function", r.function_oid);
  out += "}\n";
  return out;
}

}  // namespace

awaitable<void> Session::relay() {
  tap_ = std::make_unique<pg::Tap>();
  reported_ = gate_.clock.mono();
  lease_alarm_.emplace(io_, [this] { watch_lease(); });
  watch_lease();
  const auto self = shared_from_this();
  ++loops_;
  try {
    net::spawn(io_, client_to_server(), [self](std::exception_ptr thrown) {
      if (thrown) self->threw("client");
      if (--self->loops_ == 0 && self->loops_done_) self->loops_done_->set();
    });
  } catch (const std::exception&) {
    --loops_;
    end("error:exception");
  }
  // The other direction needs no coroutine of its own.
  try {
    co_await server_to_client();
  } catch (const std::exception&) {
    threw("server");
  }
  lease_alarm_.reset();
  loops_done_.emplace(io_);
  while (loops_ > 0) (void)co_await loops_done_->wait(std::chrono::hours(24));
}

// A bug or no memory.
void Session::threw(const std::string& where) {
  gate_.log.error(
      "a relay loop threw",
      {{"tenant", grant_ ? grant_->tenant.str() : ""}, {"grant", grant_ ? grant_->id : ""}, {"side", where}});
  end("error:exception");
}

// What the record's statement says, when it made use of rights.
ActivityWriter::TextPtr Session::used_text(const pg::Record& record) {
  if (!pg::exercises_rights(record)) return {};
  // Prepared in SQL, or forgotten for room: its PREPARE was seen, but nothing says that it was this one.
  if (record.text == nullptr) unread_ = true;
  return record.text;
}

// True when every finished record has found room on its way to disk, and the disk takes what it is given.
bool Session::flush_records() {
  auto& records = tap_->records();
  if (!gate_.activity.enabled()) {
    while (records.pop()) ++statements_;
    return true;
  }
  for (;;) {
    if (!held_line_.empty()) {
      if (segment_ == nullptr) segment_ = ActivityWriter::open({*grant_, connection_});
      if (!gate_.activity.write(segment_, held_line_, held_text_)) return false;
      held_line_.clear();
      held_text_.reset();
    }
    auto record = records.pop();
    if (!record) return !gate_.activity.broken();
    ++statements_;
    held_line_ = line_of(*record, gate_.clock.wall(), gate_.clock.mono());
    held_text_ = used_text(*record);
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
  const Inbox inbox(*client_);
  std::string kept = std::move(login_input_);  // what had to be copied because we wait while it is not used up
  if (kept.empty()) std::string().swap(kept);
  std::string_view in = kept;
  while (!over_) {
    std::string_view more;
    if (in.empty()) {
      const auto buffer = inbox.buffer();
      const auto got = co_await client_->read_some(buffer);
      if (over_) co_return;
      if (!got.ok() || *got == 0) {
        end("client");
        co_return;
      }
      in = std::string_view(buffer.data(), *got);
      more = inbox.more(*client_, *got);  // used up before the next wait, or copied
    }
    // The disk is behind, or takes nothing: fail closed, let no statement pass until it has caught up.
    if (!flush_records()) {
      std::string all(in);
      all += more;
      kept = std::move(all);
      in = kept;
      more = {};
      co_await wait_for_room(false);
      if (over_) co_return;
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
        case pg::Tap::Stop::none:
          break;
        case pg::Tap::Stop::terminate:
          end("client");
          co_return;
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
  }
}

awaitable<void> Session::server_to_client() {
  const Inbox inbox(*upstream_);
  while (!over_) {
    std::string_view first = early_, second;
    if (first.empty()) {
      const auto buffer = inbox.buffer();
      const auto got = co_await upstream_->read_some(buffer);
      if (over_) co_return;
      if (!got.ok() || *got == 0) {
        if (tap_->server_fatal().empty()) say_goodbye("08006", "the database server closed the connection");
        end("upstream");
        co_return;
      }
      first = std::string_view(buffer.data(), *got);
      second = inbox.more(*upstream_, *got);
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
    const net::Attempt sent = b.empty() ? client_->try_write(a) : client_->try_write(a, b);
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

void Session::watch_lease() try {
  const MonoTime now = gate_.clock.mono();
  if (over_ || lapsed(now)) return;
  const MonoTime active{std::chrono::nanoseconds(meter_->last_active_ns.load(std::memory_order_relaxed))};
  // Rounded up, or the last wait would spin for less than a millisecond. Never long: timers stand still while the
  // machine sleeps, and the lease does not.
  const auto left = std::chrono::ceil<base::Millis>(lease_.deadline(active) - now);
  lease_alarm_->set(std::clamp<base::Millis>(left, base::Millis(1), std::chrono::minutes(1)));
} catch (const std::exception&) {
  threw("lease");
}

void Session::update(const engine::Lease& lease) {
  lease_ = lease;
  if (lease_alarm_) watch_lease();
}

void Session::cut(const std::string& sentence) {
  begin_cut(sentence);
  end("cut");
}

// What the client notices, and no more: there may be hundreds to tell.
void Session::begin_cut(const std::string& sentence) {
  if (over_) return;
  sentence_ = sentence;
  // The farewell and the end of the stream in one segment: half the work for us, and for a client that is told.
  const int on = 1;
  if (client_) ::setsockopt(client_->native_fd(), IPPROTO_TCP, TCP_CORK, &on, sizeof on);
  say_goodbye("57P01", sentence);
  stop_client("cut");
  // Half a message is on its way to the server: the other half must not follow.
  if (writing_upstream_) end("cut");
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

// No more from the client, nor to it. What the kernel holds of our farewell still goes out.
void Session::stop_client(std::string why) {
  over_ = true;
  why_ = std::move(why);
  if (client_) (void)client_->shutdown();
  if (handshake_fd_ >= 0) ::shutdown(handshake_fd_, SHUT_RDWR);
}

// Any state, also with the client's stream in a handshake, or the upstream's not there yet. Whatever waits wakes up.
void Session::end(std::string why) {
  // The client first: that is the promise.
  if (!over_) stop_client(std::move(why));
  if (std::exchange(ended_, true)) return;
  if (client_) {
    // Bytes left unread would turn the close into a reset, and that may take the farewell from a client still sending.
    const auto span = large_buffer();
    for (int i = 0; i < 8 && client_->is_open() && client_->try_read(span).ok(); ++i) {
    }
    client_->close();
  }
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
  if (room_) room_->set();
}

bool Session::ended() const noexcept {
  return over_;
}

// Exactly once, when no coroutine of the session runs any more.
void Session::finish() {
  end(why_.empty() ? "client" : why_);
  if (cancel_pid_ != 0) gate_.forget_cancel_key(cancel_pid_);
  client_.reset();
  upstream_.reset();
  if (grant_) give_back();
  left_ = true;
  gate_.gone(this, address_, logging_in_, spare_);
}

void Session::give_back() {
  gate_.leave(*grant_, this);
  if (tap_) {
    tap_->records().close(gate_.clock.mono());
    // The end of a session may find the queue full; what is left is written by closing it, and nothing is dropped.
    std::string lines = std::move(held_line_);
    std::vector<ActivityWriter::TextPtr> used;
    if (held_text_) used.push_back(std::move(held_text_));
    while (auto record = tap_->records().pop()) {
      ++statements_;
      lines += line_of(*record, gate_.clock.wall(), gate_.clock.mono());
      if (auto text = used_text(*record)) used.push_back(std::move(text));
    }
    if (!lines.empty()) {
      if (segment_ == nullptr) segment_ = ActivityWriter::open({*grant_, connection_});
      gate_.activity.write_last(segment_, std::move(lines), std::move(used));
    }
  }
  engine::ConnectionStats stats;
  stats.why = why_;
  stats.bytes_in = bytes_in_;
  stats.bytes_out = bytes_out_;
  stats.statements = statements_;
  stats.named_all = !unread_ && (segment_ != nullptr || statements_ == 0);
  // Who ran no statement has no file to wait for.
  if (segment_ == nullptr) return gate_.access->closed(*grant_, connection_, std::move(stats));
  const std::string path = "activity/" + ActivityWriter::File{*grant_, connection_}.path();
  gate_.activity.close(segment_, [access = gate_.access, grant = *grant_, connection = connection_, stats, path,
                                  segment = segment_](std::string digest) mutable {
    const pg::Relations& named = ActivityWriter::named(segment);
    stats.named_all = stats.named_all && named.whole();
    for (const auto& [relation, use] : named.named())
      stats.named.push_back({relation.schema, relation.name, use.read, use.written});
    if (!digest.empty()) stats.segment = path;
    stats.segment_digest = std::move(digest);
    access->closed(grant, connection, std::move(stats));
  });
}

}  // namespace daypass::gate
