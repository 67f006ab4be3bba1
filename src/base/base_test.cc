#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "base/json.h"
#include "base/log.h"
#include "base/queue.h"
#include "base/secret.h"
#include "base/time.h"

namespace daypass::base {
namespace {

using testing::HasSubstr;

TEST(Duration, ReadsWhatItWrites) {
  for (const char* text : {"1h30m", "90s", "10m", "2d", "500ms", "1d1h1m1s1ms"})
    ASSERT_TRUE(parse_duration(text).ok()) << text;
  EXPECT_EQ(to_string(*parse_duration("90s")), "1m30s");
  EXPECT_EQ(to_string(Millis(0)), "0s");
}

TEST(Duration, RefusesWhatIsNotOne) {
  for (const char* text : {"", "1", "h", "-1h", "1m1h", "1h1h", "1.5h", "1h ", " 1h", "99999999999999h", "3651d", "1w"})
    EXPECT_EQ(parse_duration(text).ok(), false) << text;
}

TEST(Rfc3339, RoundTripsAndReadsOffsets) {
  EXPECT_EQ(to_rfc3339(*parse_rfc3339("2026-11-24T15:31:41Z")), "2026-11-24T15:31:41Z");
  EXPECT_EQ(to_rfc3339(*parse_rfc3339("2026-11-24T16:31:41.120+01:00")), "2026-11-24T15:31:41.120Z");
  for (const char* text : {"2026-02-30T00:00:00Z", "2026-11-24", "2026-11-24T24:00:00Z", "2026-11-24T15:31:41",
                           "2026-11-24T15:31:60Z", "2026-11-24T15:31:41Zx", "2026-11-24T15:31:41.Z"})
    EXPECT_FALSE(parse_rfc3339(text).ok()) << text;
}

TEST(Base64url, OneSpellingForEachValue) {
  for (const std::string bytes : {"", "f", "fo", "foo", "foob", "\xff\xfe"})
    EXPECT_EQ(base64url_decode(base64url_encode(bytes)), bytes);
  EXPECT_EQ(base64url_decode("Zg"), "f");
  EXPECT_FALSE(base64url_decode("Zh"));    // spare bits set
  EXPECT_FALSE(base64url_decode("Zg=="));  // padding
  EXPECT_FALSE(base64url_decode("Z"));
  EXPECT_FALSE(base64url_decode("Zm9v\n"));
  EXPECT_FALSE(base64url_decode("+/"));
  EXPECT_EQ(base64_decode("Zg=="), "f");
  EXPECT_FALSE(base64_decode("Zg"));
  EXPECT_FALSE(base64_decode("Zg="));
  EXPECT_FALSE(base64_decode("===="));
}

TEST(Utf8, RefusesOverlongSurrogateAndTruncated) {
  EXPECT_TRUE(is_utf8("gr\xc3\xbc\xc3\x9f \xf0\x9f\x8e\x9f"));
  for (const std::string bad : {"\xc0\xaf", "\xed\xa0\x80", "\xe2\x82", "\xf4\x90\x80\x80", "\x80", "\xff"})
    EXPECT_FALSE(is_utf8(bad));
}

TEST(Json, KeepsIntegersExactAndMembersInOrder) {
  const auto v = json::parse(R"({"b":9007199254740993,"a":[true,null,"\u00fc",1.5]})");
  ASSERT_TRUE(v.ok());
  EXPECT_EQ(*v->find("b")->as_int(), 9007199254740993);
  EXPECT_EQ(json::dump(*v), "{\"b\":9007199254740993,\"a\":[true,null,\"\xc3\xbc\",1.5]}");
}

// Unicode 15, section 3.9, "U+FFFD substitution of maximal subparts": table 3-8 and its neighbours are the cases here.
TEST(Json, QuoteWritesUtf8WhateverItGets) {
  const std::string r = "\xEF\xBF\xBD";
  const struct {
    std::string_view in;
    std::string out;
  } cases[] = {
      {"plain \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80", "plain \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"},
      {"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", r + r + r + r + r + r + r + r + "A"},
      {"\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", r + r + r + r + r + r + r + r + "A"},
      {"\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", r + r + r + r + r + "A" + r + r + "B"},
      {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", r + r + r + r + "A"},
      {"end \xE2\x82", "end " + r},
      {"\xC3\"", r + "\\\""},
      {"\xF0\x9F\x98\n", r + "\\n"},
  };
  for (const auto& c : cases) {
    const std::string quoted = json::quote(c.in);
    EXPECT_EQ(quoted, '"' + c.out + '"');
    EXPECT_TRUE(json::parse(quoted).ok()) << quoted;
  }
}
TEST(Json, RefusesDuplicateKeys) {
  EXPECT_EQ(json::parse(R"({"a":1,"a":2})").error().check, "json.duplicate_key");
  EXPECT_EQ(json::parse(R"({"a":1,"\u0061":2})").error().check, "json.duplicate_key");
  EXPECT_TRUE(json::parse(R"({"a":1,"b":{"a":2}})").ok());
}

TEST(Json, BoundsDepthCountAndSize) {
  EXPECT_EQ(json::parse(std::string(40, '[') + std::string(40, ']')).error().check, "json.too_deep");
  EXPECT_EQ(json::parse("[1,2,3,4]", {.nodes = 3}).error().check, "json.too_many");
  EXPECT_EQ(json::parse(R"({"a":1,"b":2})", {.members = 1}).error().check, "json.too_many");
  EXPECT_EQ(json::parse("[1,2,3,4]", {.bytes = 4}).error().check, "json.too_large");
  for (const char* bad : {"", "{", "[1,]", "nul", "1 2", "{\"a\":1}x", "'a'", "\"\xff\"", "01", "NaN"})
    EXPECT_EQ(json::parse(bad).error().check, "json.syntax") << bad;
}

TEST(Json, PointerFollowsRfc6901) {
  const auto v = json::parse(R"({"a/b":{"~":[10,20]},"":1})");
  EXPECT_EQ(*v->pointer("/a~1b/~0/1")->as_int(), 20);
  EXPECT_EQ(*v->pointer("/")->as_int(), 1);
  EXPECT_EQ(v->pointer(""), &*v);
  for (const char* nowhere : {"/a~1b/~0/2", "/a~1b/~0/01", "a", "/a~2b", "/x"}) EXPECT_EQ(v->pointer(nowhere), nullptr);
}

TEST(Secret, ComparesWholeAndMovesOnly) {
  Secret a("hunter2");
  EXPECT_TRUE(a.equals("hunter2"));
  EXPECT_FALSE(a.equals("hunter3"));
  EXPECT_FALSE(a.equals("hunter22"));
  const Secret b = std::move(a);
  EXPECT_EQ(b.reveal(), "hunter2");
  static_assert(!std::is_copy_constructible_v<Secret>);
  std::string plain = "swordfish";
  const Secret c = Secret::take(std::move(plain));
  EXPECT_EQ(c.size(), 9U);
}

TEST(Log, OneJsonObjectPerLine) {
  std::string out;
  const SystemClock clock;
  const Log log(clock, Level::info, [&](std::string_view line) { out += line; });
  log.debug("unseen");
  log.info("two\nlines", {{"n", 1}});
  EXPECT_THAT(out, HasSubstr(R"("msg":"two\nlines","n":1})"));
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 1);
}

TEST(Queue, FullAndClosedAreSaid) {
  BoundedQueue<int> q(1);
  int v = 1;
  EXPECT_TRUE(q.try_push(v));
  EXPECT_FALSE(q.try_push(v));
  EXPECT_TRUE(q.push_always(2));
  q.close();
  EXPECT_FALSE(q.push_always(3));
  EXPECT_EQ(q.pop(), 1);
  EXPECT_EQ(q.pop(), 2);
  EXPECT_EQ(q.pop(), std::nullopt);
}

TEST(Nearest, FindsSlipsAndNothingElse) {
  const std::vector<std::string> known{"issuer", "client_id"};
  EXPECT_EQ(nearest("isuer", known), "issuer");
  EXPECT_EQ(nearest("frobnicate", known), "");
  EXPECT_EQ(nearest("idel", std::vector<std::string>{"id", "idle"}), "idle");
}

}  // namespace
}  // namespace daypass::base
