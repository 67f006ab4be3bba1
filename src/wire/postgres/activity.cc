#include "wire/postgres/activity.h"

#include "wire/postgres/activity_state.h"
#include "wire/postgres/capture.h"

namespace daypass::wire::postgres {

std::string_view to_string(Record::Kind kind) noexcept {
  switch (kind) {
    case Record::Kind::query:
      return "query";
    case Record::Kind::execute:
      return "execute";
    case Record::Kind::prepare:
      return "prepare";
    case Record::Kind::bind:
      return "bind";
    case Record::Kind::describe:
      return "describe";
    case Record::Kind::call:
      return "call";
    case Record::Kind::sync:
      return "sync";
  }
  return "query";
}

std::string_view to_string(Record::Outcome outcome) noexcept {
  switch (outcome) {
    case Record::Outcome::ok:
      return "ok";
    case Record::Outcome::failed:
      return "failed";
    case Record::Outcome::suspended:
      return "suspended";
    case Record::Outcome::unknown:
      return "unknown";
  }
  return "unknown";
}

ActivityTracker::ActivityTracker(ActivityLimits limits) : state_(std::make_unique<TrackerState>(limits)) {}
ActivityTracker::~ActivityTracker() = default;

base::Status ActivityTracker::client(const Message& message, base::MonoTime now) {
  return state_->client(message, now);
}
void ActivityTracker::server(const Message& message, std::uint64_t copy_in_bytes, base::MonoTime now) {
  state_->server(message, copy_in_bytes, now);
}
void ActivityTracker::close(base::MonoTime now) {
  state_->close(now);
}

bool ActivityTracker::full() const noexcept {
  return state_->crowded() || state_->pending_bytes + state_->finished_bytes >= state_->limits.record_bytes;
}
bool ActivityTracker::needs_flush() const noexcept {
  return state_->unflushed && !state_->pending.empty();
}
void ActivityTracker::flushed() noexcept {
  state_->unflushed = false;
}
TransactionState ActivityTracker::transaction() const noexcept {
  return state_->transaction;
}
std::size_t ActivityTracker::in_flight() const noexcept {
  std::size_t count = 0;
  for (std::size_t i = 0; i < state_->pending.size(); ++i) {
    const Pending& entry = state_->pending[i];
    // A Sync that the server may have passed over is no sign of work.
    if (!entry.maybe && entry.op != Pending::Op::copy_end) ++count;
  }
  return count;
}

std::size_t ActivityTracker::memory() const noexcept {
  const TrackerState& s = *state_;
  return sizeof(TrackerState) + s.pending_bytes + s.finished_bytes + s.memory.bytes() + s.pending.memory() +
         s.finished.memory();
}

std::optional<Record> ActivityTracker::pop() {
  TrackerState& s = *state_;
  if (s.finished.empty()) return std::nullopt;
  Record record = s.finished.pop();
  if (record.text) s.finished_bytes -= record.text->sql.size();
  return record;
}

std::size_t TrackerState::room_taken() noexcept {
  return pending.size() + finished.size() + memory.unreported() + (failure ? 1U : 0U);
}

base::Status TrackerState::client(const Message& message, base::MonoTime now) {
  if (message.type == 'H') {
    unflushed = false;
    return {};
  }
  if (message.type == 'X') return {};
  Pending entry;
  DP_CHECK(make_pending(message, entry));
  entry.message = ++messages;
  entry.sent = now;
  entry.in_transaction = transaction != TransactionState::idle;
  entry.copy_in_base = message.copy_bytes;
  entry.copy_out_base = copy_out_total;
  if (entry.op == Op::copy_end) {
    copy_ended(std::move(entry));
  } else if (entry.op == Op::sync) {
    push_sync(std::move(entry));
  } else if (skipping) {
    // The server reads it and does nothing; the record of the failure says how many there were.
    if (entry.runs() && failure) ++failure->skipped;
  } else {
    unflushed = entry.extended();
    push(std::move(entry));
  }
  return {};
}

base::Status TrackerState::make_pending(const Message& message, Pending& entry) {
  switch (message.type) {
    case 'Q':
      entry.op = Op::query;
      entry.text = capture_text(message.head, !message.whole());
      return {};
    case 'P': {
      DP_TRY(const Parse parse, parse_parse(message.head, message.whole()));
      entry.op = Op::parse;
      entry.name = std::string(parse.statement);
      entry.text = capture_text(parse.text, parse.truncated);
      return {};
    }
    case 'B': {
      DP_TRY(const Bind bind, parse_bind(message.head));
      entry.op = Op::bind;
      entry.name = std::string(bind.statement);
      entry.portal = std::string(bind.portal);
      return {};
    }
    case 'E': {
      DP_TRY(const Execute execute, parse_execute(message.head));
      entry.op = Op::execute;
      entry.portal = std::string(execute.portal);
      entry.number = execute.max_rows;
      return {};
    }
    case 'C':
    case 'D': {
      DP_TRY(const Named named, parse_named(message.head));
      entry.op = message.type == 'C' ? Op::close : Op::describe;
      entry.what = named.what;
      (named.what == 'S' ? entry.name : entry.portal) = std::string(named.name);
      return {};
    }
    case 'F': {
      std::string_view body = message.head;
      entry.op = Op::call;
      if (!take_u32(body, entry.number))
        return base::Error(base::Code::invalid, "message.body", "a function call names none");
      return {};
    }
    case 'S':
      entry.op = Op::sync;
      return {};
    default:  // c, f
      entry.op = Op::copy_end;
      return {};
  }
}

void TrackerState::push(Pending entry) {
  if (entry.text) pending_bytes += entry.text->sql.size();
  pending.push(std::move(entry));
}

void TrackerState::push_sync(Pending entry) {
  skipping = false;
  unflushed = false;
  entry.maybe = copy_reading;
  // One is enough to remember that there may have been some; a client can't grow the queue with what the server
  // ignores.
  if (copy_reading && !pending.empty() && pending.back().op == Op::sync && pending.back().maybe) return;
  push(std::move(entry));
}

void TrackerState::copy_ended(Pending entry) {
  copy_reading = false;
  // Without a message in flight the server ignores it; twice in a row means no more than once.
  if (pending.empty() || pending.back().op == Op::copy_end) return;
  push(std::move(entry));
}

}  // namespace daypass::wire::postgres
