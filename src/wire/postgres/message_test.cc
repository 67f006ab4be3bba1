#include "wire/postgres/message.h"

#include <gtest/gtest.h>

#include <random>

#include "wire/postgres/test_bytes.h"

namespace daypass::wire::postgres {
namespace {

using namespace std::string_literals;
using namespace bytes;

// What a framer said about a stream, however the stream was cut.
struct Seen {
  char type;
  std::uint32_t length;
  std::string head;
  std::uint64_t copy_bytes;
  std::size_t end;  ///< stream offset behind the head
  bool operator==(const Seen&) const = default;
};

struct Heard {
  std::vector<Seen> messages;
  std::size_t taken = 0;
  std::string fault;
  bool boundary = true;
  bool operator==(const Heard&) const = default;
};

template <class F>
bool feed(F& framer, std::string_view in, Heard& heard) {
  while (!in.empty()) {
    const Step step = framer.next(in);
    heard.taken += step.bytes;
    in.remove_prefix(step.bytes);
    if (step.kind == Step::Kind::fault) {
      heard.fault = framer.fault().check;
      return false;
    }
    if (step.kind == Step::Kind::message) {
      const Message& m = step.message;
      heard.messages.push_back({m.type, m.length, std::string(m.head), m.copy_bytes, heard.taken});
    }
  }
  heard.boundary = framer.at_boundary();
  return true;
}

template <class F>
Heard hear(Phase phase, std::string_view stream, std::vector<std::size_t> cuts = {}) {
  F framer(phase);
  Heard heard;
  std::size_t from = 0;
  cuts.push_back(stream.size());
  for (const std::size_t cut : cuts) {
    if (!feed(framer, stream.substr(from, cut - from), heard)) break;
    from = cut;
  }
  return heard;
}

std::string types(const Heard& heard) {
  std::string out;
  for (const Seen& m : heard.messages) out.push_back(m.type);
  return out;
}

std::string client_stream() {
  return query("select 1") + parse("s1", "select $1") + bind_portal("", "s1") + describe('P', "") + execute("", 10) +
         sync() + copy_data("0123456789") + copy_data("") + copy_done() + copy_fail("no") + call(7) + flush() +
         close('S', "s1") + query(std::string(kTextMax + 100, 'x')) + copy_data("abc") + terminate();
}

std::string server_stream() {
  return row_description() + data_row("a") + data_row(std::string(300, 'b')) + complete("SELECT 2") + ready() +
         parsed() + bound() + closed() + no_data() + empty_query() + suspended() + notice() +
         message('A', u32(1) + z("c") + z("p")) + message('S', z("TimeZone") + z("UTC")) +
         message('t', u16(1) + u32(23)) + copy_in_response() + copy_out_response() + copy_data("xyz") +
         message('c', "") + function_response() + error("42601") + ready('E');
}

TEST(ClientFramer, SurfacesWhatIsDecidedOrRecorded) {
  const Heard heard = hear<ClientFramer>(Phase::ready, client_stream());
  EXPECT_EQ(heard.fault, "");
  EXPECT_EQ(types(heard), "QPBDEScfFHCQX");
  EXPECT_EQ(heard.taken, client_stream().size());
  EXPECT_TRUE(heard.boundary);
  EXPECT_EQ(heard.messages[0].head, z("select 1"));
  EXPECT_EQ(heard.messages[6].copy_bytes, 10U);
  EXPECT_EQ(heard.messages[8].head, u32(7));
  EXPECT_EQ(heard.messages[11].head, std::string(kTextMax + 1, 'x'));
  EXPECT_EQ(heard.messages[11].length, kTextMax + 101U);
  EXPECT_EQ(heard.messages[12].copy_bytes, 13U);
}

TEST(ServerFramer, SurfacesAnswersAndStreamsRows) {
  const Heard heard = hear<ServerFramer>(Phase::ready, server_stream());
  EXPECT_EQ(heard.fault, "");
  EXPECT_EQ(types(heard), "TCZ123nIsNASGHVEZ");
  EXPECT_EQ(heard.messages[1].head, z("SELECT 2"));
  EXPECT_EQ(heard.messages.back().head, "E");
  EXPECT_EQ(heard.messages.back().copy_bytes, 3U);
}

TEST(Framer, EverySplitSaysTheSame) {
  const auto check = [](auto framer_of, const std::string& stream) {
    using F = typename decltype(framer_of)::type;
    const Heard whole = hear<F>(Phase::ready, stream);
    ASSERT_EQ(whole.fault, "");
    for (std::size_t cut = 1; cut < stream.size(); ++cut) {
      ASSERT_EQ(hear<F>(Phase::ready, stream, {cut}), whole) << "cut at " << cut;
    }
    std::vector<std::size_t> every;
    for (std::size_t i = 1; i < stream.size(); ++i) every.push_back(i);
    ASSERT_EQ(hear<F>(Phase::ready, stream, every), whole);
    std::mt19937 random(7);
    for (int round = 0; round < 300; ++round) {
      std::vector<std::size_t> cuts;
      for (std::size_t at = 0;;) {
        at += 1 + random() % 700;
        if (at >= stream.size()) break;
        cuts.push_back(at);
      }
      ASSERT_EQ(hear<F>(Phase::ready, stream, cuts), whole) << "round " << round;
    }
  };
  check(std::type_identity<ClientFramer>{}, client_stream());
  check(std::type_identity<ServerFramer>{}, server_stream());
}

// A record made on a message must exist before the peer can act on it.
TEST(Framer, SurfacesBeforeTheLastByteIsTaken) {
  const std::string stream = query(std::string(3 * kTextMax, 'x'));
  ClientFramer framer(Phase::ready);
  Step step = framer.next(stream);
  EXPECT_EQ(step.kind, Step::Kind::message);
  EXPECT_LT(step.bytes, stream.size());
  EXPECT_FALSE(framer.at_boundary());
  step = framer.next(std::string_view(stream).substr(step.bytes));
  EXPECT_EQ(step.kind, Step::Kind::more);
  EXPECT_TRUE(framer.at_boundary());
}

TEST(Framer, HeadIsAViewIntoTheInputUnlessItIsSplit) {
  const std::string stream = query("select 1");
  ClientFramer framer(Phase::ready);
  const Step step = framer.next(stream);
  EXPECT_EQ(static_cast<const void*>(step.message.head.data()), stream.data() + 5);
}

TEST(Framer, OneTakesNoMoreThanOneMessage) {
  const std::string stream = copy_data("abc") + copy_data("de") + sync();
  ClientFramer framer(Phase::ready);
  Step step = framer.next(stream, true);
  EXPECT_EQ(step.bytes, 8U);
  EXPECT_EQ(step.kind, Step::Kind::more);
  step = framer.next(std::string_view(stream).substr(8, 6), true);  // all but the last byte
  EXPECT_EQ(step.bytes, 6U);
  step = framer.next(std::string_view(stream).substr(14), true);
  EXPECT_EQ(step.bytes, 1U);
  EXPECT_TRUE(framer.at_boundary());
  EXPECT_EQ(framer.copy_bytes(), 5U);
  step = framer.next(std::string_view(stream).substr(15), true);
  EXPECT_EQ(step.kind, Step::Kind::message);
}

TEST(Framer, CountsCopyBytesAsTheyPass) {
  const std::string stream = copy_data(std::string(1000, 'x'));
  ClientFramer framer(Phase::ready);
  EXPECT_EQ(framer.next(std::string_view(stream).substr(0, 505)).bytes, 505U);
  EXPECT_EQ(framer.copy_bytes(), 500U);
}

struct Broken {
  const char* what;
  std::string stream;
  const char* check;
};

std::string header(char type, std::uint32_t word) {
  return std::string(1, type) + u32(word);
}

TEST(ClientFramer, ProtocolErrors) {
  const std::vector<Broken> cases = {
      {"unknown type", "?", "message.type"},
      {"zero byte", "\0"s, "message.type"},
      {"http", "GET / HTTP/1.1", "message.type"},
      {"password after login", header('p', 9), "message.type"},
      {"a server's message", header('Z', 5), "message.type"},
      {"a server's row", header('T', 6), "message.type"},
      {"length 0", header('Q', 0), "message.length"},
      {"length 3", header('Q', 3), "message.length"},
      {"query without text", header('Q', 4), "message.length"},
      {"query of 1 GB", header('Q', 0x40000000), "message.length"},
      {"query of 4 GB", header('Q', 0xffffffff), "message.length"},
      {"negative", header('d', 0x80000000), "message.length"},
      {"copy data of 1 GB", header('d', 0x40000000), "message.length"},
      {"short parse", header('P', 7), "message.length"},
      {"short bind", header('B', 11), "message.length"},
      {"short call", header('F', 13), "message.length"},
      {"sync with body", header('S', 5), "message.length"},
      {"flush with body", header('H', 5), "message.length"},
      {"terminate with body", header('X', 5), "message.length"},
      {"copy done with body", header('c', 5), "message.length"},
      {"long describe", header('D', 300), "message.length"},
      {"long close", header('C', 300), "message.length"},
      {"long execute", header('E', 300), "message.length"},
      {"short execute", header('E', 8), "message.length"},
      {"long copy fail", header('f', 10'001), "message.length"},
  };
  for (const Broken& c : cases) {
    const std::string before = sync() + query("select 1");
    const std::string stream = before + c.stream + std::string(20, 'S');
    const Heard heard = hear<ClientFramer>(Phase::ready, stream);
    EXPECT_EQ(heard.fault, c.check) << c.what;
    EXPECT_EQ(types(heard), "SQ") << c.what;
    EXPECT_EQ(heard.taken, before.size()) << c.what;
    for (std::size_t cut = 1; cut < stream.size(); ++cut) {
      EXPECT_EQ(hear<ClientFramer>(Phase::ready, stream, {cut}).fault, c.check) << c.what << " cut at " << cut;
    }
  }
}

TEST(ServerFramer, ProtocolErrors) {
  const std::vector<Broken> cases = {
      {"key after login", header('K', 12), "message.type"},
      {"authentication after login", header('R', 8), "message.type"},
      {"negotiation after login", header('v', 12), "message.type"},
      {"unknown", header('Q', 12), "message.type"},
      {"short ready", header('Z', 4), "message.length"},
      {"long ready", header('Z', 6), "message.length"},
      {"long tag", header('C', 261), "message.length"},
      {"row of 2 GB", header('D', 0x80000000), "message.length"},
      {"row over 1 GB", header('D', 0x40000004), "message.length"},
      {"bound with body", header('2', 5), "message.length"},
      {"error without body", header('E', 4), "message.length"},
      {"length 1", header('N', 1), "message.length"},
  };
  for (const Broken& c : cases) {
    const Heard heard = hear<ServerFramer>(Phase::ready, ready() + c.stream + std::string(20, 'Z'));
    EXPECT_EQ(heard.fault, c.check) << c.what;
    EXPECT_EQ(types(heard), "Z") << c.what;
  }
}

TEST(Framer, AFaultIsForGood) {
  ClientFramer framer(Phase::ready);
  EXPECT_EQ(framer.next("?").kind, Step::Kind::fault);
  const Step step = framer.next(sync());
  EXPECT_EQ(step.kind, Step::Kind::fault);
  EXPECT_EQ(step.bytes, 0U);
}

TEST(ClientFramer, LoginPhaseTakesPasswordMessagesOnly) {
  EXPECT_EQ(types(hear<ClientFramer>(Phase::login, message('p', "abc"))), "p");
  EXPECT_EQ(hear<ClientFramer>(Phase::login, query("select 1")).fault, "message.type");
  EXPECT_EQ(hear<ClientFramer>(Phase::login, terminate()).fault, "message.type");
  EXPECT_EQ(hear<ClientFramer>(Phase::login, message('p', "")).fault, "message.length");
  const std::string most(kPasswordMessageMax, 'x');
  const Heard heard = hear<ClientFramer>(Phase::login, message('p', most), {1, 5, 100, 5000});
  ASSERT_EQ(types(heard), "p");
  EXPECT_EQ(heard.messages[0].head, most);
  EXPECT_EQ(hear<ClientFramer>(Phase::login, message('p', most + "x")).fault, "message.length");
}

TEST(ServerFramer, LoginPhaseShowsBodiesWhole) {
  const std::string long_error = message('E', "M" + z(std::string(20'000, 'x')) + '\0');
  const std::string stream = message('R', u32(0)) + message('S', z("a") + z("b")) + message('K', u32(1) + "key!") +
                             notice() + long_error + ready();
  const Heard heard = hear<ServerFramer>(Phase::login, stream, {7, 300, 9000});
  EXPECT_EQ(heard.fault, "");
  EXPECT_EQ(types(heard), "RSKNEZ");
  for (const Seen& m : heard.messages) EXPECT_EQ(m.head.size(), m.length);
  EXPECT_EQ(hear<ServerFramer>(Phase::login, header('S', 65'541)).fault, "message.length");
  EXPECT_EQ(hear<ServerFramer>(Phase::login, data_row("x")).fault, "message.type");
}

TEST(Framer, EntersTheNextPhaseAtABoundary) {
  ServerFramer framer(Phase::login);
  const std::string stream = ready() + data_row("x");
  const Step step = framer.next(stream);
  ASSERT_EQ(step.kind, Step::Kind::message);
  framer.enter(Phase::ready);
  EXPECT_EQ(framer.next(std::string_view(stream).substr(step.bytes)).kind, Step::Kind::more);
  EXPECT_EQ(framer.phase(), Phase::ready);
}

}  // namespace
}  // namespace daypass::wire::postgres
