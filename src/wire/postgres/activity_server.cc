// The tracker's answers: what the server says settles what the client asked, in order.
#include <algorithm>

#include "wire/postgres/activity_state.h"
#include "wire/postgres/capture.h"
#include "wire/postgres/sql_lexer.h"
#include "wire/postgres/tag.h"

namespace daypass::wire::postgres {

void TrackerState::server(const Message& message, std::uint64_t copy_in_total, base::MonoTime now) {
  copy_out_total = message.copy_bytes;
  switch (message.type) {
    case '1':
      if (advance(bit(Op::parse), now)) settle_parse(pop_pending(), now, true);
      return;
    case '2':
      if (advance(bit(Op::bind), now)) settle_bind(pop_pending(), now, true);
      return;
    case '3':
      if (advance(bit(Op::close), now)) settle_close(pop_pending());
      return;
    case 'T':  // a Query's rows are described too, without being asked
      if (advance(bit(Op::describe) | bit(Op::query), now) && pending.front().op == Op::describe) pop_pending();
      return;
    case 'n':
      if (advance(bit(Op::describe), now)) pop_pending();
      return;
    case 'G':
    case 'H':
    case 'W':
      if (advance(bit(Op::query) | bit(Op::execute), now)) copy_begins(message);
      return;
    case 'C':
    case 'I':
    case 's':
      settle_execute(message, copy_in_total, now);
      break;
    case 'V':
      settle_call(now);
      break;
    case 'E':
      on_error(message, copy_in_total, now);
      break;
    case 'Z':
      on_ready(message, now);
      break;
    default:
      return;  // N, A, S: not an answer to anything
  }
  // Only what runs moves it: the answers to Parse and Bind often come in one packet with that to their Execute.
  last_answer = now;
}

// Makes a message that `accepted` allows the head of the queue. What stands before it was passed over by the server (a
// Sync during COPY), or the two sides are out of step: then its record says that nothing is known. False: nothing waits
// for such an answer, and the queue stays.
bool TrackerState::advance(unsigned accepted, base::MonoTime now) {
  std::size_t i = 0;
  while (i < pending.size() && (bit(pending[i].op) & accepted) == 0) ++i;
  if (i == pending.size()) return false;
  for (; i > 0; --i) abandon(pop_pending(), now);
  return true;
}

void TrackerState::abandon(Pending entry, base::MonoTime now) {
  switch (entry.op) {
    case Op::query:
      cut_query(entry, now);
      break;
    case Op::parse:
      settle_parse(std::move(entry), now, false);
      break;
    case Op::bind:
      settle_bind(std::move(entry), now, false);
      break;
    case Op::execute: {
      Record record = begin_record(entry, Record::Kind::execute, now);
      attach_portal(record, entry.portal);
      emit(std::move(record));
      break;
    }
    case Op::call:
      if (!entry.answered) emit(begin_record(entry, Record::Kind::call, now));
      break;
    default:
      break;
  }
}

Pending TrackerState::pop_pending() {
  Pending entry = pending.pop();
  if (entry.text) pending_bytes -= entry.text->sql.size();
  return entry;
}

void TrackerState::strip_markers() {
  while (!pending.empty() && pending.front().op == Op::copy_end) pop_pending();
}

void TrackerState::settle_parse(Pending entry, base::MonoTime now, bool confirmed) {
  StatementMemory::Displaced displaced;
  auto statement = std::make_shared<Prepared>();
  statement->name = std::move(entry.name);
  statement->text = std::move(entry.text);
  statement->origin = {.message = entry.message,
                       .started = std::max(entry.sent, last_answer),
                       .finished = now,
                       .in_transaction = entry.in_transaction,
                       .confirmed = confirmed};
  memory.prepare(statement, displaced);
  // Unreported ones take room until ReadyForQuery: a long batch of them is reported as it goes.
  if (memory.unreported() > limits.records / 8) {
    memory.reported(*statement);
    displaced.statements.push_back(statement);
  }
  report(std::move(displaced));
}

void TrackerState::settle_bind(Pending entry, base::MonoTime now, bool confirmed) {
  StatementMemory::Displaced displaced;
  Portal portal;
  portal.name = std::move(entry.portal);
  portal.statement = std::move(entry.name);
  portal.prepared = memory.find(portal.statement);
  portal.origin = {.message = entry.message,
                   .started = std::max(entry.sent, last_answer),
                   .finished = now,
                   .in_transaction = entry.in_transaction,
                   .confirmed = confirmed};
  const bool crowd = memory.unreported() > limits.records / 8;
  portal.reported = crowd;
  if (crowd) displaced.portals.push_back(portal);
  if (!memory.bind(portal, displaced) && !crowd) displaced.portals.push_back(std::move(portal));
  report(std::move(displaced));
}

void TrackerState::settle_close(const Pending& entry) {
  StatementMemory::Displaced displaced;
  if (entry.what == 'S') {
    memory.forget(entry.name, displaced);
  } else {
    memory.forget_portal(entry.portal, displaced);
  }
  report(std::move(displaced));
}

void TrackerState::settle_execute(const Message& message, std::uint64_t copy_in_total, base::MonoTime now) {
  const unsigned accepted = message.type == 's' ? bit(Op::execute) : bit(Op::query) | bit(Op::execute);
  if (!advance(accepted, now)) return;
  Pending& head = pending.front();
  if (head.answered) return;
  const bool query = head.op == Op::query;
  Record record = begin_record(head, query ? Record::Kind::query : Record::Kind::execute, now);
  record.outcome = Record::Outcome::ok;
  if (message.type == 'C') {
    const CommandTag tag = parse_command_tag(message.head);
    record.command = std::string(tag.command);
    record.rows = tag.rows;
  } else if (message.type == 's') {
    record.outcome = Record::Outcome::suspended;
    record.rows = head.number;
  }
  if (head.copy_in) copy_done_behind_head();
  count_copy(record, head, copy_in_total, message.copy_bytes);
  const bool renames = record.command.starts_with("DEALLOCATE") || record.command == "DISCARD ALL";
  if (query) {
    query_part(head, std::move(record));
  } else {
    attach_portal(record, head.portal);
    pop_pending();
    emit(std::move(record));
  }
  if (renames) {
    StatementMemory::Displaced displaced;
    memory.forget_statements(displaced);
    report(std::move(displaced));
  }
}

void TrackerState::settle_call(base::MonoTime now) {
  if (!advance(bit(Op::call), now) || pending.front().answered) return;
  Record record = begin_record(pending.front(), Record::Kind::call, now);
  record.outcome = Record::Outcome::ok;
  pending.front().answered = true;
  emit(std::move(record));
}

void TrackerState::copy_begins(const Message& message) {
  Pending& head = pending.front();
  if (message.type != 'G') {
    head.copy_out = true;
    head.copy_out_base = message.copy_bytes;
  }
  if (message.type == 'H') return;
  head.copy_in = true;
  copy_reading = true;
  // Syncs that are on their way already (libpq sends one with every Execute) will be passed over, up to the end of the
  // data if that was sent too. Whether they were can't be told should the COPY fail meanwhile.
  for (std::size_t i = 1; i < pending.size(); ++i) {
    if (pending[i].op == Op::copy_end) copy_reading = false;
    if (pending[i].op != Op::sync) break;
    pending[i].maybe = true;
  }
}

// The COPY at the head ended well, so the server has read CopyDone, and passed over each Sync before it.
void TrackerState::copy_done_behind_head() {
  copy_reading = false;
  std::size_t end = 1;
  while (end < pending.size() && pending[end].op == Op::sync && pending[end].maybe) ++end;
  if (end == pending.size() || pending[end].op != Op::copy_end) return;
  for (; end >= 1; --end) pending.erase(end);
}

void TrackerState::on_error(const Message& message, std::uint64_t copy_in_total, base::MonoTime now) {
  strip_markers();
  while (pending.size() > 1 && pending.front().op == Op::sync && pending.front().maybe) {
    pop_pending();
    strip_markers();
  }
  if (pending.empty() || pending.front().answered) return;  // about the session, not about a message
  Pending& head = pending.front();
  Record record = begin_record(head, Record::Kind::query, now);
  record.outcome = Record::Outcome::failed;
  record.sqlstate = std::string(parse_notice(message.head).sqlstate);
  count_copy(record, head, copy_in_total, message.copy_bytes);
  copy_reading = false;
  switch (head.op) {
    case Op::query:
      fail_query(head, std::move(record));
      break;
    case Op::call:
    case Op::sync:
      head.answered = true;
      record.kind = head.op == Op::call ? Record::Kind::call : Record::Kind::sync;
      emit(std::move(record));
      break;
    default:
      fail_batch(std::move(record));
      break;
  }
}

// The server stops at the first statement that fails, so the record takes all text from there on.
void TrackerState::fail_query(Pending& entry, Record record) {
  open_query(entry);
  const std::size_t from = part_begin();
  flush_part(from);
  record.kind = Record::Kind::query;
  record.part = parts;
  record.skipped =
      static_cast<std::uint32_t>(part_starts.size() - std::min<std::size_t>(parts + 1, part_starts.size()));
  record.text = slice_text(part_text, from, part_text->sql.size());
  entry.answered = true;
  emit(std::move(record));
}

// The server reads over everything up to the next Sync.
void TrackerState::fail_batch(Record record) {
  Pending head = pop_pending();
  switch (head.op) {
    case Op::parse:
      record.kind = Record::Kind::prepare;
      record.statement = head.name;
      record.text = head.text;
      break;
    case Op::bind:
      record.kind = Record::Kind::bind;
      record.portal = head.portal;
      attach_statement(record, head.name);
      break;
    case Op::execute:
      record.kind = Record::Kind::execute;
      attach_portal(record, head.portal);
      break;
    default:
      record.kind = Record::Kind::describe;
      if (head.what == 'S') {
        attach_statement(record, head.name);
      } else {
        attach_portal(record, head.portal);
      }
      break;
  }
  while (!pending.empty() && pending.front().op != Op::sync) {
    if (pop_pending().runs()) ++record.skipped;
  }
  skipping = pending.empty();
  if (failure) emit(std::move(*failure));
  failure = std::make_unique<Record>(std::move(record));
}

void TrackerState::on_ready(const Message& message, base::MonoTime now) {
  const auto state = parse_ready_for_query(message.head);
  if (!state.ok()) return;
  std::size_t end = 0;
  while (end < pending.size() && !pending[end].boundary()) ++end;
  if (end < pending.size()) {
    for (; end > 0; --end) abandon(pop_pending(), now);
    Pending entry = pop_pending();
    const bool maybe_not_its_own = entry.op == Op::sync && entry.maybe;
    if (entry.op == Op::query) {
      close_query(entry, now);
    } else {
      abandon(std::move(entry), now);
    }
    strip_markers();
    // If that Sync had been passed over during COPY, this ReadyForQuery belongs to the next one.
    if (maybe_not_its_own && !pending.empty() && pending.front().op == Op::sync) pending.front().maybe = true;
  }
  transaction = *state;
  skipping = false;
  copy_reading = false;
  if (failure) {
    emit(std::move(*failure));
    failure.reset();
  }
  report(memory.take_unreported());
  if (transaction == TransactionState::idle) {
    StatementMemory::Displaced displaced;
    memory.forget_portals(displaced);
    report(std::move(displaced));
  }
}

void TrackerState::close(base::MonoTime now) {
  if (failure) {
    emit(std::move(*failure));
    failure.reset();
  }
  while (!pending.empty()) abandon(pop_pending(), now);
  report(memory.take_unreported());
}

}  // namespace daypass::wire::postgres
