// TXT answers of name servers, whole and broken.
#include "net/dns.h"

#include <gmock/gmock.h>

namespace daypass::net {
namespace {

using testing::ElementsAre;
using namespace std::string_literals;

std::string number(unsigned value) {
  return {static_cast<char>(value >> 8U), static_cast<char>(value & 0xFFU)};
}
std::string header(unsigned flags, unsigned questions, unsigned answers) {
  return "\x12\x34"s + number(flags) + number(questions) + number(answers) + "\0\0\0\0"s;
}
const std::string question =
    "\x12_daypass-challenge\x07"
    "example\x03"
    "com\0"s +
    "\0\x10\0\x01"s;
std::string record(const std::string& data, unsigned type = 16, unsigned kind = 1) {
  return "\xC0\x0C"s + number(type) + number(kind) + "\0\0\0\x3C"s + number(static_cast<unsigned>(data.size())) + data;
}
std::string text(const std::string& t) {
  return std::string(1, static_cast<char>(t.size())) + t;
}
std::string check(const std::string& message) {
  const auto parsed = parse_txt_answer(message);
  return parsed.ok() ? "ok" : parsed.error().check;
}

TEST(Dns, ReadsEveryText) {
  const auto texts = parse_txt_answer(header(0x8180, 1, 4) + question +
                                      record("\x03"
                                             "foo\0"s,
                                             5) +
                                      record(text("v=spf1 -all")) + record(text("daypass-") + text("domain=x")) +
                                      record(text("chaos"), 16, 3));
  ASSERT_TRUE(texts.ok()) << texts.error().check;
  EXPECT_THAT(*texts, ElementsAre("v=spf1 -all", "daypass-domain=x"));
  EXPECT_EQ(parse_txt_answer(header(0x8180, 1, 0) + question)->size(), 0U);
}

TEST(Dns, AnythingElseIsNoAnswer) {
  const std::string good = header(0x8180, 1, 1) + question + record(text("x"));
  ASSERT_EQ(check(good), "ok");
  for (std::size_t cut = 0; cut < good.size(); ++cut) EXPECT_EQ(check(good.substr(0, cut)), "dns.answer") << cut;
  EXPECT_EQ(check(header(0x0180, 1, 1) + question + record(text("x"))), "dns.answer") << "a question";
  EXPECT_EQ(check(header(0x8380, 1, 1) + question + record(text("x"))), "dns.answer") << "cut short";
  EXPECT_EQ(check(header(0x8183, 1, 1) + question + record(text("x"))), "dns.answer") << "no such name";
  EXPECT_EQ(check(header(0x8180, 1, 1) + question +
                  record("\x05"
                         "abc"s)),
            "dns.answer")
      << "longer than its record";
  EXPECT_EQ(check(header(0x8180, 1, 1) + "\x80x\0"s + "\0\x10\0\x01"s + record(text("x"))), "dns.answer");
  EXPECT_EQ(check(header(0x8180, 0xFFFF, 0xFFFF)), "dns.answer");
  std::string many = header(0x8180, 0, 65);
  for (int i = 0; i < 65; ++i) many += record(text("x"));
  EXPECT_EQ(check(many), "dns.answer");
  EXPECT_EQ(check(good + std::string(max_dns_answer, 'x')), "dns.answer");
}

}  // namespace
}  // namespace daypass::net
