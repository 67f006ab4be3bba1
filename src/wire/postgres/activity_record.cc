// The tracker's records: made from what was asked and what was answered.
#include <algorithm>

#include "wire/postgres/activity_state.h"
#include "wire/postgres/capture.h"
#include "wire/postgres/sql_lexer.h"

namespace daypass::wire::postgres {

Record TrackerState::begin_record(const Pending& entry, Record::Kind kind, base::MonoTime now) const {
  Record record;
  record.kind = kind;
  record.message = entry.message;
  record.in_transaction = entry.in_transaction;
  // In a pipeline a message waits for those before it: its own time begins with their answer.
  record.started = std::max(entry.sent, last_answer);
  record.finished = now;
  if (entry.op == Op::call) record.function_oid = entry.number;
  return record;
}

void TrackerState::count_copy(Record& record, Pending& entry, std::uint64_t copy_in_total, std::uint64_t copy_out) {
  // The data may have been sent before COPY asked for it, so it is counted from where the statement was sent.
  if (entry.copy_in) {
    record.copy_in_bytes = copy_in_total - std::min(copy_in_total, entry.copy_in_base);
    entry.copy_in_base = copy_in_total;
  }
  entry.copy_in = false;
  if (entry.copy_out) record.copy_out_bytes = copy_out - std::min(copy_out, entry.copy_out_base);
  entry.copy_out = false;
}

void TrackerState::attach_statement(Record& record, const std::string& name) {
  record.statement = name;
  if (const auto prepared = memory.find(name)) {
    record.text = prepared->text;
    memory.reported(*prepared);
  }
}

void TrackerState::attach_portal(Record& record, const std::string& name) {
  record.portal = name;
  Portal* portal = memory.find_portal(name);
  if (portal == nullptr) return;
  memory.reported(*portal);
  record.statement = portal->statement;
  if (!portal->prepared) return;
  record.text = portal->prepared->text;
  memory.reported(*portal->prepared);
}

void TrackerState::emit(Record record) {
  if (record.text) finished_bytes += record.text->sql.size();
  finished.push(std::move(record));
}

void TrackerState::report(StatementMemory::Displaced displaced) {
  if (displaced.statements.empty() && displaced.portals.empty()) return;
  const auto by_message = [](const auto& a, const auto& b) { return a.message < b.message; };
  std::sort(displaced.statements.begin(), displaced.statements.end(),
            [&](const auto& a, const auto& b) { return by_message(a->origin, b->origin); });
  std::sort(displaced.portals.begin(), displaced.portals.end(),
            [&](const auto& a, const auto& b) { return by_message(a.origin, b.origin); });
  for (const auto& statement : displaced.statements) report(*statement);
  for (const Portal& portal : displaced.portals) report(portal);
}

namespace {

Record from_origin(const Origin& origin, Record::Kind kind) {
  Record record;
  record.kind = kind;
  record.outcome = origin.confirmed ? Record::Outcome::ok : Record::Outcome::unknown;
  record.message = origin.message;
  record.in_transaction = origin.in_transaction;
  record.started = origin.started;
  record.finished = origin.finished;
  return record;
}

}  // namespace

void TrackerState::report(const Prepared& statement) {
  Record record = from_origin(statement.origin, Record::Kind::prepare);
  record.statement = statement.name;
  record.text = statement.text;
  emit(std::move(record));
}

void TrackerState::report(const Portal& portal) {
  Record record = from_origin(portal.origin, Record::Kind::bind);
  record.portal = portal.name;
  record.statement = portal.statement;
  if (portal.prepared) record.text = portal.prepared->text;
  emit(std::move(record));
}

void TrackerState::open_query(const Pending& entry) {
  if (!part_starts.empty()) return;
  part_text = entry.text;
  part_starts = {0};
  // Most queries have no semicolon, or one at the end.
  const std::string& sql = part_text->sql;
  const std::size_t semicolon = sql.find(';');
  if (semicolon != std::string::npos && sql.find_first_not_of("; \t\r\n", semicolon) != std::string::npos) {
    part_starts = split_statements(sql);
  }
  parts = 0;
  part_from = 0;
  // A simple Query destroys the unnamed statement and the unnamed portal.
  StatementMemory::Displaced displaced;
  memory.forget("", displaced);
  memory.forget_portal("", displaced);
  report(std::move(displaced));
}

std::size_t TrackerState::part_begin() const noexcept {
  return part_starts[std::min<std::size_t>(parts, part_starts.size() - 1)];
}

void TrackerState::query_part(const Pending& entry, Record record) {
  open_query(entry);
  const std::size_t from = part_begin();
  if (part && crowded()) {
    // No room for one more: this part joins the last, so nothing is lost but the line between them.
    ++part->statements;
    if (record.rows) part->rows = part->rows.value_or(0) + *record.rows;
    part->copy_in_bytes += record.copy_in_bytes;
    part->copy_out_bytes += record.copy_out_bytes;
    part->command = std::move(record.command);
    part->finished = record.finished;
  } else {
    flush_part(from);
    record.part = parts;
    part = std::make_unique<Record>(std::move(record));
    part_from = from;
  }
  ++parts;
}

// Emits the part that was answered last; its text reaches to `next_begin`, or to the end when that is not behind it.
void TrackerState::flush_part(std::size_t next_begin) {
  if (!part) return;
  const std::size_t end = next_begin > part_from ? next_begin : part_text->sql.size();
  part->text = slice_text(part_text, part_from, end);
  emit(std::move(*part));
  part.reset();
}

// ReadyForQuery came. Text that no answer took (the lexer may see statements where the server sees none) goes with the
// last.
void TrackerState::close_query(const Pending& entry, base::MonoTime now) {
  if (part_starts.empty()) {
    cut_query(entry, now);
    return;
  }
  flush_part(part_text->sql.size());
  part_starts.clear();
  part_text.reset();
}

// No ReadyForQuery will come: what was answered keeps its own text, the rest has an unknown end.
void TrackerState::cut_query(const Pending& entry, base::MonoTime now) {
  open_query(entry);
  const std::size_t from = part_begin();
  flush_part(from);
  if (!entry.answered && (parts == 0 || parts < part_starts.size())) {
    Record record = begin_record(entry, Record::Kind::query, now);
    record.part = parts;
    record.text = slice_text(part_text, from, part_text->sql.size());
    emit(std::move(record));
  }
  part_starts.clear();
  part_text.reset();
}

}  // namespace daypass::wire::postgres
