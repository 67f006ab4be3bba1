// Turns the traffic of one session into statement records. A replay of the server's own message loop: it keeps the
// client's messages in a queue and lets the server's answers settle them in order, so a record says what was run and
// how it went. Never blocks, never drops a record, never keeps bind values; when it has no room it says full() and the
// caller stops reading the client.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "wire/postgres/message.h"
#include "wire/postgres/parse.h"

namespace daypass::wire::postgres {

/// Captured text: valid UTF-8 (foreign bytes become '?'), passwords redacted, at most kTextMax bytes.
struct StatementText {
  std::string sql;
  bool truncated = false;
  bool redacted = false;
};

struct Record {
  enum class Kind : std::uint8_t {
    query,     ///< one statement of a simple Query
    execute,   ///< one Execute of the extended protocol
    prepare,   ///< a Parse that failed, or whose statement was not run before the next ReadyForQuery
    bind,      ///< a Bind that failed, or whose portal was not run (planning alone may run immutable functions)
    describe,  ///< a Describe or Close that failed
    call,      ///< FunctionCall (`function_oid`)
    sync,      ///< the commit at Sync failed, after its statements had reported success
  };
  enum class Outcome : std::uint8_t {
    ok,
    failed,     ///< `sqlstate`
    suspended,  ///< Execute reached its row limit; the portal may go on
    unknown,    ///< the session was cut before an answer, or the server's answers did not tell
  };
  Kind kind = Kind::query;
  Outcome outcome = Outcome::unknown;
  std::string sqlstate;                       ///< 5 characters when failed (empty if the server sent none), else empty
  std::shared_ptr<const StatementText> text;  ///< null: not known (statement prepared in SQL, or forgotten for room)
  std::string statement;                      ///< name of the prepared statement, "" the unnamed one or none
  std::string portal;
  std::string command;                ///< of the tag, e.g. "SELECT"
  std::optional<std::uint64_t> rows;  ///< of the tag; of a suspended Execute its limit
  std::uint64_t message = 0;          ///< ordinal of the client message (1, 2, …); parts of one Query share it
  std::uint32_t part = 0;             ///< which statement of a Query, from 0
  std::uint32_t statements = 1;       ///< more than 1: the tail of a very long Query in one record, rows added up
  std::uint32_t skipped = 0;          ///< Executes, Queries and calls that the server skipped because this failed
  std::uint64_t copy_in_bytes = 0;
  std::uint64_t copy_out_bytes = 0;
  std::uint32_t function_oid = 0;
  bool in_transaction = false;  ///< as of the last ReadyForQuery before it began
  base::MonoTime started{};
  base::MonoTime finished{};
};

std::string_view to_string(Record::Kind kind) noexcept;
std::string_view to_string(Record::Outcome outcome) noexcept;

struct ActivityLimits {
  std::size_t records = 128;              ///< messages unanswered + records not yet popped
  std::size_t record_bytes = 256 * 1024;  ///< text held by both
  std::size_t statements = 256;           ///< prepared statements whose text is remembered (least recently used goes)
  std::size_t statement_bytes = 128 * 1024;
  std::size_t portals = 32;  ///< beyond this the text of a new portal is unknown
};

struct TrackerState;  // activity_state.h

/// One thread. Feed it every surfaced message of both framers, the client's before they are forwarded.
class ActivityTracker {
 public:
  explicit ActivityTracker(ActivityLimits limits = {});
  ~ActivityTracker();
  ActivityTracker(const ActivityTracker&) = delete;
  ActivityTracker& operator=(const ActivityTracker&) = delete;

  /// A surfaced client message. The caller lets no Q, P, B, E, F, C, D or S begin while full(): that is the bound.
  /// Errors: "message.name", "message.body": end the session, the server would refuse it too.
  base::Status client(const Message& message, base::MonoTime now);
  /// A surfaced server message. `copy_in_bytes`: ClientFramer::copy_bytes() at this moment.
  void server(const Message& message, std::uint64_t copy_in_bytes, base::MonoTime now);
  /// The session ends: all that is unanswered becomes records with Outcome::unknown. Pop until empty afterwards.
  void close(base::MonoTime now);

  [[nodiscard]] bool full() const noexcept;
  /// True when messages of an extended batch are unanswered and neither Sync nor Flush followed them: the server may
  /// then sit on its answers, and a full() tracker would wait for ever without a Flush upstream.
  [[nodiscard]] bool needs_flush() const noexcept;
  /// A Flush was sent.
  void flushed() noexcept;
  /// The next finished record, in the order the server finished them.
  std::optional<Record> pop();

  [[nodiscard]] TransactionState transaction() const noexcept;
  /// Client messages without an answer yet. 0: the server is idle.
  [[nodiscard]] std::size_t in_flight() const noexcept;
  /// Bytes held on the heap by texts and queues, roughly.
  [[nodiscard]] std::size_t memory() const noexcept;

 private:
  std::unique_ptr<TrackerState> state_;
};

}  // namespace daypass::wire::postgres
