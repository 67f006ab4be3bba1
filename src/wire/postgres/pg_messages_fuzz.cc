// Both framers and the tracker, fed in random pieces from both sides: framing doesn't depend on the pieces, nothing
// grows without bound, every statement that was sent ends in a record, and no message sticks. The input is also read as
// a login, from either side, and as each of its bodies: what a parser shows lies within what it was given.
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
    case 16:  // more than is captured
      return bytes::parse(name, std::string(kTextMax, 'a') + in.take(in.byte()));
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

bool within(std::string_view part, std::string_view whole) {
  return part.empty() || (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

template <class T>
void refused_as(const base::Result<T>& read, std::string_view check) {
  if (!read.ok()) DP_ASSERT(read.error().check == check && !read.error().message.empty());
}

// The bodies of a login, each by its parser: what is taken is all of the body, spelled again.
void read_login_body(char type, std::string_view body) {
  switch (type) {
    case 'p': {
      const auto initial = parse_sasl_initial_response(body);
      refused_as(initial, "sasl.initial");
      if (initial.ok()) {
        const auto length = static_cast<std::uint32_t>(initial->response.size());
        DP_ASSERT(bytes::z(initial->mechanism) + bytes::u32(length) + std::string(initial->response) == body);
      }
      const auto later = parse_sasl_response(body);
      refused_as(later, "sasl.response");
      if (later.ok()) DP_ASSERT(*later == body && body.find('\0') == std::string_view::npos);
      break;
    }
    case 'R': {
      const auto read = parse_authentication(body);
      refused_as(read, "authentication.body");
      if (!read.ok()) break;
      std::string again = bytes::u32(read->code);
      for (const auto mechanism : read->mechanisms) again += bytes::z(mechanism);
      if (read->kind == Authentication::Kind::sasl) again += '\0';
      again += read->data;
      if (read->kind != Authentication::Kind::md5 && read->kind != Authentication::Kind::other)
        DP_ASSERT(again == body);
      break;
    }
    case 'K': {
      const auto read = parse_backend_key(body);
      refused_as(read, "message.body");
      if (read.ok()) DP_ASSERT(bytes::u32(read->pid) + read->key == body);
      break;
    }
    case 'S': {
      const auto read = parse_parameter_status(body);
      refused_as(read, "message.body");
      if (read.ok()) DP_ASSERT(bytes::z(read->name) + bytes::z(read->value) == body);
      break;
    }
    case 'Z': {
      const auto read = parse_ready_for_query(body);
      refused_as(read, "message.body");
      if (read.ok()) DP_ASSERT(std::string(1, static_cast<char>(*read)) == body);
      break;
    }
    case 'v': {
      const auto read = parse_negotiate_protocol_version(body);
      refused_as(read, "message.body");
      if (!read.ok()) break;
      std::string again =
          bytes::u32(read->newest) + bytes::u32(static_cast<std::uint32_t>(read->unknown_options.size()));
      for (const auto name : read->unknown_options) again += bytes::z(name);
      DP_ASSERT(again == body);
      break;
    }
    default: {
      const ServerNotice notice = parse_notice(body);
      for (const auto part : {notice.severity, notice.sqlstate, notice.message, notice.detail, notice.hint})
        DP_ASSERT(within(part, body));
      DP_ASSERT(notice.sqlstate.empty() || notice.sqlstate.size() == 5);
    }
  }
}

// What a framer finds in a login, and in what follows it, when it comes in pieces of this size.
template <class F>
std::string frames(std::string_view stream, std::size_t piece) {
  F framer(Phase::login);
  std::string found;
  bool ended = false;
  for (std::size_t at = 0; at < stream.size();) {
    const Step step = framer.next(stream.substr(at, piece), true);
    if (step.kind == Step::Kind::fault) {
      const base::Error fault = framer.fault();
      DP_ASSERT(fault.check == "message.type" || fault.check == "message.length");
      DP_ASSERT(framer.next(stream, true).kind == Step::Kind::fault);
      return found + fault.message;
    }
    DP_ASSERT(step.bytes > 0);
    at += step.bytes;
    if (step.kind != Step::Kind::message) continue;
    if (framer.phase() == Phase::login) {
      DP_ASSERT(step.message.whole());
      read_login_body(step.message.type, step.message.head);
      ended = step.message.type == 'Z';
    }
    found += step.message.type + bytes::u32(step.message.length) + std::string(step.message.head);
    if (ended && framer.at_boundary() && framer.phase() == Phase::login) framer.enter(Phase::ready);
  }
  return found;
}

// The heads of a session, each by its parser.
void read_head(std::string_view head) {
  if (const auto read = parse_parse(head, true); read.ok()) {
    DP_ASSERT(read->statement.size() <= kMessageNameMax && read->text.size() <= kTextMax);
    const auto cut = parse_parse(head, false);
    DP_ASSERT(cut.ok() && cut->statement == read->statement && cut->text == read->text);
  } else if (const auto cut = parse_parse(head, false); cut.ok()) {
    DP_ASSERT(cut->truncated && within(cut->text, head));
  }
  if (const auto read = parse_bind(head); read.ok())
    DP_ASSERT(head.starts_with(bytes::z(read->portal) + bytes::z(read->statement)));
  if (const auto read = parse_execute(head); read.ok()) DP_ASSERT(read->portal.size() + 5 == head.size());
  if (const auto read = parse_named(head); read.ok())
    DP_ASSERT(std::string(1, read->what) + bytes::z(read->name) == head);
}

void read_login(std::string_view stream) {
  const std::size_t piece = 1 + stream.size() % 7;
  DP_ASSERT(frames<ClientFramer>(stream, stream.size()) == frames<ClientFramer>(stream, piece));
  DP_ASSERT(frames<ServerFramer>(stream, stream.size()) == frames<ServerFramer>(stream, piece));
  for (const char type : {'p', 'R', 'K', 'S', 'Z', 'E', 'v'}) read_login_body(type, stream);
  read_head(stream);
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
      faulty = passed.stop == Tap::Stop::fault;
      if (faulty || passed.stop == Tap::Stop::terminate) return false;
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
      faulty = passed.stop == Tap::Stop::fault;
      if (faulty) return false;
      DP_ASSERT(passed.bytes == part.size());
    }
    return true;
  }

  ActivityLimits limits;
  Tap tap;
  std::string held;  // what the gate would keep in its buffer
  base::MonoTime now{};
  std::uint64_t records = 0;
  bool faulty = false;
  bool seeded = true;  // the secret comes from us alone
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  read_login({reinterpret_cast<const char*>(data), size});
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
  const std::string check = run.tap.fault().check;
  DP_ASSERT(run.faulty ? check.starts_with("message.") && check != "message.none" : check == "message.none");
  run.tap.records().close(run.now);
  run.pop_all();
  DP_ASSERT(run.tap.records().in_flight() == 0);
  return 0;
}
