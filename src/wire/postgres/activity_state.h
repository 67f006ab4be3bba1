// The tracker's inside: what waits for an answer, and what has been answered and waits to be popped.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "wire/postgres/activity.h"
#include "wire/postgres/statement_memory.h"

namespace daypass::wire::postgres {

/// A queue that owns no memory while empty: most sessions are idle most of the time.
template <class T>
class Fifo {
 public:
  [[nodiscard]] bool empty() const noexcept { return head_ == items_.size(); }
  [[nodiscard]] std::size_t size() const noexcept { return items_.size() - head_; }
  [[nodiscard]] T& operator[](std::size_t i) noexcept { return items_[head_ + i]; }
  [[nodiscard]] const T& operator[](std::size_t i) const noexcept { return items_[head_ + i]; }
  [[nodiscard]] T& front() noexcept { return items_[head_]; }
  [[nodiscard]] T& back() noexcept { return items_.back(); }
  void push(T value) {
    if (head_ > 0 && items_.size() == items_.capacity()) {
      items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(head_));
      head_ = 0;
    }
    items_.push_back(std::move(value));
  }
  T pop() {
    T value = std::move(items_[head_++]);
    if (empty()) {
      items_.clear();
      head_ = 0;
      if (items_.capacity() > kKeep) std::vector<T>().swap(items_);
    }
    return value;
  }
  void erase(std::size_t i) { items_.erase(items_.begin() + static_cast<std::ptrdiff_t>(head_ + i)); }
  [[nodiscard]] std::size_t memory() const noexcept { return items_.capacity() * sizeof(T); }

 private:
  static constexpr std::size_t kKeep = 4;
  std::vector<T> items_;
  std::size_t head_ = 0;
};

/// A client message without an answer.
struct Pending {
  enum class Op : std::uint8_t { query, parse, bind, describe, close, execute, call, sync, copy_end };
  Op op = Op::query;
  char what = 0;          ///< of describe and close: 'S' or 'P'
  bool maybe = false;     ///< a Sync that the server may have passed over, as it came while COPY was reading
  bool answered = false;  ///< its record exists; it waits for ReadyForQuery
  bool copy_in = false;
  bool copy_out = false;
  bool in_transaction = false;
  std::uint32_t number = 0;  ///< row limit of execute, object id of call
  std::uint64_t message = 0;
  std::uint64_t copy_in_base = 0;
  std::uint64_t copy_out_base = 0;
  base::MonoTime sent{};
  std::string name;  ///< of the statement
  std::string portal;
  std::shared_ptr<const StatementText> text;

  [[nodiscard]] bool extended() const noexcept { return op >= Op::parse && op <= Op::execute; }
  /// ReadyForQuery answers it.
  [[nodiscard]] bool boundary() const noexcept { return op == Op::query || op == Op::call || op == Op::sync; }
  [[nodiscard]] bool runs() const noexcept { return op == Op::query || op == Op::execute || op == Op::call; }
};

struct TrackerState {
  explicit TrackerState(ActivityLimits l) : limits(l), memory(l.statements, l.statement_bytes, l.portals) {}

  using Op = Pending::Op;
  static constexpr unsigned bit(Op op) noexcept { return 1U << static_cast<unsigned>(op); }

  // activity.cc: the client's side.
  base::Status client(const Message& message, base::MonoTime now);
  base::Status make_pending(const Message& message, Pending& entry);
  void push(Pending entry);
  void push_sync(Pending entry);
  void copy_ended(Pending entry);
  [[nodiscard]] std::size_t room_taken() noexcept;
  [[nodiscard]] bool crowded() noexcept { return room_taken() >= limits.records; }

  // activity_server.cc: the server's side.
  void server(const Message& message, std::uint64_t copy_in_total, base::MonoTime now);
  bool advance(unsigned accepted, base::MonoTime now);
  void abandon(Pending entry, base::MonoTime now);
  Pending pop_pending();
  void strip_markers();
  void settle_parse(Pending entry, base::MonoTime now, bool confirmed);
  void settle_bind(Pending entry, base::MonoTime now, bool confirmed);
  void settle_close(const Pending& entry);
  void settle_execute(const Message& message, std::uint64_t copy_in_total, base::MonoTime now);
  void settle_call(base::MonoTime now);
  void copy_begins(const Message& message);
  void copy_done_behind_head();
  void on_error(const Message& message, std::uint64_t copy_in_total, base::MonoTime now);
  void fail_query(Pending& entry, Record record);
  void fail_batch(Record record);
  void on_ready(const Message& message, base::MonoTime now);
  void close(base::MonoTime now);

  // Records.
  [[nodiscard]] Record begin_record(const Pending& entry, Record::Kind kind, base::MonoTime now) const;
  void count_copy(Record& record, Pending& entry, std::uint64_t copy_in_total, std::uint64_t copy_out_total);
  void attach_portal(Record& record, const std::string& name);
  void attach_statement(Record& record, const std::string& name);
  void emit(Record record);
  void report(StatementMemory::Displaced displaced);
  void report(const Prepared& statement);
  void report(const Portal& portal);

  // The parts of the simple Query at the head of the queue.
  void open_query(const Pending& entry);
  void query_part(const Pending& entry, Record record);
  void flush_part(std::size_t next_begin);
  void close_query(const Pending& entry, base::MonoTime now);
  void cut_query(const Pending& entry, base::MonoTime now);
  [[nodiscard]] std::size_t part_begin() const noexcept;

  ActivityLimits limits;
  StatementMemory memory;
  Fifo<Pending> pending;
  Fifo<Record> finished;
  std::size_t pending_bytes = 0;
  std::size_t finished_bytes = 0;
  std::uint64_t messages = 0;
  std::uint64_t copy_out_total = 0;  ///< as of the last surfaced server message
  base::MonoTime last_answer{};
  TransactionState transaction = TransactionState::idle;
  bool unflushed = false;
  bool skipping = false;            ///< a batch failed and its Sync has not come: the server reads over everything
  bool copy_reading = false;        ///< the server reads CopyData: it passes over Sync and Flush
  std::unique_ptr<Record> failure;  ///< of the batch, kept until ReadyForQuery to count what is skipped

  std::vector<std::size_t> part_starts;  ///< of the head's text; empty: no query is open
  std::shared_ptr<const StatementText> part_text;
  std::unique_ptr<Record> part;  ///< the last part answered; its text ends where the next begins
  std::size_t part_from = 0;
  std::uint32_t parts = 0;
};

}  // namespace daypass::wire::postgres
