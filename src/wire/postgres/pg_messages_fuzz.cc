// Both framers and the tracker, fed in random pieces from both sides: framing doesn't depend on the pieces, nothing
// grows without bound, every statement that was sent ends in a record, and no message sticks.
// parses: wire/postgres/message.cc wire/postgres/parse.cc wire/postgres/relay.cc
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "wire/postgres/relay.h"
#include "wire/postgres/test_bytes.h"

using namespace daypass;
using namespace daypass::wire::postgres;

namespace {

constexpr std::string_view kSecret = "hunter2";

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  [[nodiscard]] bool empty() const { return size_ == 0; }
  std::uint8_t byte() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }
  std::string take(std::size_t n) {
    n = n < size_ ? n : size_;
    std::string out(reinterpret_cast<const char*>(data_), n);
    data_ += n;
    size_ -= n;
    return out;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
};

// Bytes that are often a message: the fuzzer would take long to find lengths by itself.
std::string some_client_bytes(Input& in) {
  const std::uint8_t kind = in.byte();
  const std::string name = in.take(kind >> 6U);
  switch (kind & 0x1fU) {
    case 0:
      return in.take(in.byte());
    case 1:
      return bytes::query(in.take(in.byte()));
    case 2:
      return bytes::parse(name, in.take(in.byte()));
    case 3:
      return bytes::bind_portal(name, in.take(in.byte() & 3U));
    case 4:
      return bytes::execute(name, in.byte() & 3U);
    case 5:
      return bytes::sync();
    case 6:
      return bytes::describe((kind & 0x20U) != 0 ? 'S' : 'P', name);
    case 7:
      return bytes::close((kind & 0x20U) != 0 ? 'S' : 'P', name);
    case 8:
      return bytes::copy_data(in.take(in.byte()));
    case 9:
      return bytes::copy_done();
    case 10:
      return bytes::copy_fail("x");
    case 11:
      return bytes::call(in.byte());
    case 12:
      return bytes::flush();
    case 13:
      return bytes::query("alter role a password '" + std::string(kSecret) + in.take(in.byte()));
    case 14:
      return bytes::query("a;b;" + in.take(in.byte()) + ";c");
    case 15:
      return bytes::message(static_cast<char>(in.byte()), in.take(in.byte()));
    default:
      return bytes::parse(name, "select 1") + bytes::bind_portal("", name) + bytes::execute("") + bytes::sync();
  }
}

std::string some_server_bytes(Input& in) {
  const std::uint8_t kind = in.byte();
  switch (kind & 0x1fU) {
    case 0:
      return in.take(in.byte());
    case 1:
      return bytes::complete(in.take(in.byte() & 0x3fU));
    case 2:
      return bytes::ready();
    case 3:
      return bytes::ready('T');
    case 4:
      return bytes::ready('E');
    case 5:
      return bytes::error("42601");
    case 6:
      return bytes::parsed();
    case 7:
      return bytes::bound();
    case 8:
      return bytes::closed();
    case 9:
      return bytes::no_data();
    case 10:
      return bytes::row_description();
    case 11:
      return bytes::data_row(in.take(in.byte()));
    case 12:
      return bytes::suspended();
    case 13:
      return bytes::empty_query();
    case 14:
      return bytes::copy_in_response();
    case 15:
      return bytes::copy_out_response() + bytes::copy_data(in.take(in.byte()));
    case 16:
      return bytes::function_response();
    case 17:
      return bytes::notice();
    case 18:
      return bytes::error("57P01", "FATAL");
    case 19:
      return bytes::message(static_cast<char>(in.byte()), in.take(in.byte()));
    case 20:
      return bytes::complete("DEALLOCATE ALL");
    default:
      return bytes::parsed() + bytes::bound() + bytes::complete("SELECT 1") + bytes::ready();
  }
}

struct Run {
  explicit Run(ActivityLimits l) : limits(l), tap(l) {}

  void pop_all() {
    while (auto record = tap.records().pop()) {
      ++records;
      DP_ASSERT(record->sqlstate.empty() || record->outcome == Record::Outcome::failed);
      DP_ASSERT(record->finished >= record->started);
      DP_ASSERT(!record->text || record->text->sql.size() <= 4 * kTextMax);
      DP_ASSERT(!seeded || !record->text || record->text->sql.find(kSecret) == std::string::npos);
    }
  }

  // False when the session is over.
  bool client(std::string_view in, std::size_t piece) {
    held.append(in);
    while (!held.empty()) {
      const auto passed = tap.client(std::string_view(held).substr(0, piece), now);
      held.erase(0, passed.bytes);
      if (passed.stop == Tap::Stop::fault || passed.stop == Tap::Stop::terminate) return false;
      if (passed.stop == Tap::Stop::full) {
        if (tap.take_flush()) DP_ASSERT(!tap.take_flush());  // said once
        if (!tap.records().full()) continue;
        pop_all();
        if (tap.records().full()) break;  // the server must answer first
      }
    }
    return true;
  }

  bool server(std::string_view in, std::size_t piece) {
    for (std::size_t at = 0; at < in.size(); at += piece) {
      const std::string_view part = in.substr(at, piece);
      const auto passed = tap.server(part, now);
      if (passed.stop == Tap::Stop::fault) return false;
      DP_ASSERT(passed.bytes == part.size());
    }
    return true;
  }

  ActivityLimits limits;
  Tap tap;
  std::string held;  // what the gate would keep in its buffer
  base::MonoTime now{};
  std::uint64_t records = 0;
  bool seeded = true;  // the secret comes from us alone
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  ActivityLimits limits;
  limits.records = 1 + in.byte() % 32U;
  limits.statements = in.byte() % 4U;
  limits.portals = in.byte() % 4U;
  limits.statement_bytes = 2000;
  Run run(limits);
  run.seeded = std::string_view(reinterpret_cast<const char*>(data), size).find(kSecret) == std::string_view::npos;
  while (!in.empty()) {
    const std::uint8_t turn = in.byte();
    run.now += base::Millis(1);
    const std::size_t piece = 1 + (turn >> 2U);
    const bool alive =
        (turn & 1U) != 0 ? run.client(some_client_bytes(in), piece) : run.server(some_server_bytes(in), piece);
    if ((turn & 2U) != 0) run.pop_all();
    // Room: one message more than the limit at most, plus what a Query cut in parts may leave.
    DP_ASSERT(run.tap.records().in_flight() <= limits.records + 2);
    DP_ASSERT(run.tap.records().memory() <= 600'000);
    if (!alive) break;
  }
  run.tap.records().close(run.now);
  run.pop_all();
  DP_ASSERT(run.tap.records().in_flight() == 0);
  return 0;
}
