#include "wire/postgres/relay.h"

namespace daypass::wire::postgres {

namespace {

// Messages that end in a record, or in the queue of those that wait for an answer.
bool needs_room(char type) noexcept {
  switch (type) {
    case 'Q':
    case 'P':
    case 'B':
    case 'E':
    case 'F':
    case 'C':
    case 'D':
    case 'S':
      return true;
    default:
      return false;
  }
}

}  // namespace

Tap::Passed Tap::client(std::string_view in, base::MonoTime now) {
  Passed passed;
  while (passed.bytes < in.size()) {
    const bool full = tracker_.full();
    if (full && client_.at_boundary() && needs_room(in[passed.bytes])) {
      passed.stop = Stop::full;
      return passed;
    }
    const Step step = client_.next(in.substr(passed.bytes), full);
    if (step.kind == Step::Kind::message) {
      if (auto status = tracker_.client(step.message, now); !status.ok()) {
        fault_ = std::move(status).error();
        passed.stop = Stop::fault;
        return passed;  // without this step's bytes
      }
    }
    passed.bytes += step.bytes;
    if (step.kind == Step::Kind::fault) {
      fault_ = client_.fault();
      passed.stop = Stop::fault;
      return passed;
    }
    if (step.kind == Step::Kind::message && step.message.type == 'X') {
      passed.stop = Stop::terminate;
      return passed;
    }
  }
  return passed;
}

Tap::Passed Tap::server(std::string_view in, base::MonoTime now) {
  Passed passed;
  while (passed.bytes < in.size()) {
    const Step step = server_.next(in.substr(passed.bytes));
    passed.bytes += step.bytes;
    if (step.kind == Step::Kind::fault) {
      fault_ = server_.fault();
      passed.stop = Stop::fault;
      return passed;
    }
    if (step.kind != Step::Kind::message) continue;
    if (step.message.type == 'E') {
      const ServerNotice notice = parse_notice(step.message.head);
      if (notice.fatal()) server_fatal_ = std::string(notice.sqlstate);
    }
    tracker_.server(step.message, client_.copy_bytes(), now);
  }
  return passed;
}

bool Tap::take_flush() noexcept {
  if (!client_.at_boundary() || !tracker_.needs_flush()) return false;
  tracker_.flushed();
  return true;
}

base::Error Tap::fault() const {
  if (fault_) return *fault_;
  return {base::Code::internal, "message.none", "nothing is wrong with this stream"};
}

}  // namespace daypass::wire::postgres
