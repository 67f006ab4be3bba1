// Values: the text of the extension types, equality and order, and the JSON format both ways.
#include <limits>

#include "cedar/extension.h"
#include "cedar/test_support.h"

namespace daypass::cedar {
namespace {

using testing::json_of;
constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();

TEST(CedarDecimal, Text) {
  const std::pair<std::string_view, std::int64_t> good[] = {
      {"1.0", 10'000},
      {"0.0001", 1},
      {"-0.5", -5'000},
      {"-1.50", -15'000},
      {"01.0", 10'000},
      {"-0.0", 0},
      {"12.34", 123'400},
      {"922337203685477.5807", most},
      {"-922337203685477.5808", least},
      {"00000000000000000000000000000000000000000000000000001.0", 10'000}};
  for (const auto& [text, value] : good) EXPECT_EQ(Value::decimal(text).value(), Value::decimal_scaled(value)) << text;
  for (const std::string_view bad : {"",
                                     "1",
                                     "1.",
                                     ".1",
                                     "+1.0",
                                     "1.00000",
                                     "1.0 ",
                                     " 1.0",
                                     "--1.0",
                                     "1.-0",
                                     "1.0.0",
                                     "-",
                                     "-.",
                                     "1,0",
                                     "1.0a",
                                     "\u0661.0",
                                     "922337203685477.5808",
                                     "-922337203685477.5809",
                                     "1000000000000000000000.0",
                                     "99999999999999999999999999999999999999999.0"})
    EXPECT_EQ(Value::decimal(bad).error().check, "cedar.decimal") << bad;
  for (const std::int64_t n :
       {std::int64_t{0}, std::int64_t{1}, std::int64_t{-1}, std::int64_t{-5'000}, std::int64_t{120'000}, least, most})
    EXPECT_EQ(Value::decimal(extension::write_decimal(n)).value(), Value::decimal_scaled(n)) << n;
  EXPECT_EQ(extension::write_decimal(-5'000), "-0.5");
  EXPECT_EQ(extension::write_decimal(120'000), "12.0");
}

TEST(CedarIp, Text) {
  for (const std::string_view good :
       {"1.2.3.4", "0.0.0.0", "255.255.255.255", "10.0.0.1/24", "10.0.0.0/0", "1.1.1.1/32", "::", "::1", "1::", "::/0",
        "::/128", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "0001::", "ABCD::ef",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"})
    EXPECT_TRUE(Value::ipaddr(good).ok()) << good;
  for (const std::string_view bad : {"",
                                     "1",
                                     "1.2.3",
                                     "1.2.3.4.5",
                                     "1.2.3.256",
                                     "01.2.3.4",
                                     "1.2.3.04",
                                     "1.2.3.4/",
                                     "1.2.3.4/33",
                                     "1.2.3.4/01",
                                     "1.2.3.4/00",
                                     "1.2.3.4/+1",
                                     "1.2.3.4/1/1",
                                     "1.2.3.4 ",
                                     " 1.2.3.4",
                                     "1.2.3.",
                                     ".1.2.3",
                                     "1..2.3",
                                     "/8",
                                     "::ffff:1.2.3.4",
                                     ":",
                                     ":::",
                                     "1::2::3",
                                     ":1:2:3:4:5:6:7",
                                     "1:2:3:4:5:6:7:",
                                     "1:2:3:4:5:6:7",
                                     "1:2:3:4:5:6:7:8:9",
                                     "1:2:3:4:5:6:7::8",
                                     "1:2:3:4::5:6:7:8",
                                     "00001::",
                                     "g::",
                                     "::/129",
                                     "::/-1",
                                     "fe80::1%eth0",
                                     "[::1]",
                                     "0000:0000:0000:0000:0000:0000:0000:0001/0128",
                                     "zz"})
    EXPECT_EQ(Value::ipaddr(bad).error().check, "cedar.ip") << bad;
  EXPECT_NE(Value::ipaddr("10.0.0.1/24").value(), Value::ipaddr("10.0.0.0/24").value());
  EXPECT_EQ(Value::ipaddr("10.0.0.1/32").value(), Value::ipaddr("10.0.0.1").value());
  EXPECT_EQ(Value::ipaddr("::1/128").value(), Value::ipaddr("0:0:0:0:0:0:0:1").value());
  EXPECT_NE(Value::ipaddr("0.0.0.1/32").value(), Value::ipaddr("::1").value());
  const std::pair<std::string_view, std::string_view> written[] = {{"10.0.0.1/24", "10.0.0.1/24"},
                                                                   {"10.0.0.1/32", "10.0.0.1"},
                                                                   {"0:0:0:0:0:0:0:0", "::"},
                                                                   {"1:0:0:2:0:0:0:3", "1:0:0:2::3"},
                                                                   {"1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"},
                                                                   {"1:0:0:0:0:0:0:0/9", "1::/9"},
                                                                   {"0:0:1:2:3:4:5:6", "::1:2:3:4:5:6"},
                                                                   {"1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"}};
  for (const auto& [text, out] : written) {
    EXPECT_EQ(extension::write_ip(*Value::ipaddr(text).value().as_ipaddr()), out);
    EXPECT_EQ(Value::ipaddr(out).value(), Value::ipaddr(text).value());
  }
}

TEST(CedarDatetime, Text) {
  const std::pair<std::string_view, std::int64_t> good[] = {{"1970-01-01", 0},
                                                            {"1969-12-31", -86'400'000},
                                                            {"2024-02-29", 1'709'164'800'000},
                                                            {"0000-01-01", -62'167'219'200'000},
                                                            {"9999-12-31T23:59:59.999Z", 253'402'300'799'999},
                                                            {"1970-01-01T00:00:01.001Z", 1'001},
                                                            {"1970-01-01T01:00:00+0100", 0},
                                                            {"1970-01-01T00:00:00-0130", 5'400'000},
                                                            {"1970-01-01T00:00:00.500-0000", 500},
                                                            {"1970-01-01T23:59:00+2359", 0}};
  for (const auto& [text, value] : good) EXPECT_EQ(Value::datetime_text(text).value(), Value::datetime(value)) << text;
  for (const std::string_view bad : {"",
                                     "2024",
                                     "2024-1-1",
                                     "2024-13-01",
                                     "2024-00-01",
                                     "2024-01-00",
                                     "2024-02-30",
                                     "2023-02-29",
                                     "1900-02-29",
                                     "-2024-01-01",
                                     "2024-01-01T",
                                     "2024-01-01T00:00:00",
                                     "2024-01-01 00:00:00Z",
                                     "2024-01-01t00:00:00z",
                                     "2024-01-01T24:00:00Z",
                                     "2024-01-01T23:60:00Z",
                                     "2024-01-01T23:59:60Z",
                                     "2024-01-01T00:00:00.1Z",
                                     "2024-01-01T00:00:00.1010Z",
                                     "2024-01-01T00:00:00.Z",
                                     "2024-01-01T00:00:00+2400",
                                     "2024-01-01T00:00:00+2360",
                                     "2024-01-01T00:00:00+0060",
                                     "2024-01-01T00:00:00+01:00",
                                     "2024-01-01T00:00:00+01",
                                     "2024-01-01Z",
                                     "2024-01-01T00:00:00Z ",
                                     "2024-01-01T00:00:00Z+0100",
                                     "2024-01-01T00:00Z",
                                     "20240101",
                                     "12024-01-01"})
    EXPECT_EQ(Value::datetime_text(bad).error().check, "cedar.datetime") << bad;
  for (const std::int64_t ms : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1}, std::int64_t{-62'167'219'200'000},
                                std::int64_t{253'402'300'799'999}, std::int64_t{1'709'164'800'123}}) {
    const auto text = extension::write_datetime(ms);
    ASSERT_TRUE(text.has_value()) << ms;
    EXPECT_EQ(Value::datetime_text(*text).value(), Value::datetime(ms)) << *text;
  }
  for (const std::int64_t far : {std::int64_t{-62'167'219'200'001}, std::int64_t{253'402'300'800'000}, least, most})
    EXPECT_FALSE(extension::write_datetime(far).has_value()) << far;
}

TEST(CedarDuration, Text) {
  const std::pair<std::string_view, std::int64_t> good[] = {
      {"1d2h3m4s5ms", 93'784'005},
      {"1ms", 1},
      {"1m", 60'000},
      {"1m1ms", 60'001},
      {"1s1ms", 1'001},
      {"-1d", -86'400'000},
      {"-0ms", 0},
      {"90m", 5'400'000},
      {"9223372036854775807ms", most},
      {"-9223372036854775808ms", least},
      {"106751991167d7h12m55s807ms", most},
      {"-106751991167d7h12m55s808ms", least},
      {"00000000000000000000000000000000000000000000000001d", 86'400'000}};
  for (const auto& [text, value] : good)
    EXPECT_EQ(Value::duration_text(text).value(), Value::duration(std::chrono::milliseconds(value))) << text;
  for (const std::string_view bad : {"",
                                     "-",
                                     "1",
                                     "d",
                                     "1h1d",
                                     "1d1d",
                                     "1ms1s",
                                     "+1d",
                                     "1d ",
                                     " 1d",
                                     "1d-1h",
                                     "--1d",
                                     "1.5h",
                                     "1D",
                                     "1y",
                                     "1dd",
                                     "1sms",
                                     "9223372036854775808ms",
                                     "-9223372036854775809ms",
                                     "106751991168d",
                                     "99999999999999999999d",
                                     "99999999999999999999999999999999999999999999999999999999ms"})
    EXPECT_EQ(Value::duration_text(bad).error().check, "cedar.duration") << bad;
}

TEST(CedarValue, SetsForgetOrderAndRepeats) {
  const Value one = Value::set({Value::long_(2), Value::long_(1), Value::long_(2)});
  EXPECT_EQ(one.as_set()->size(), 2U);
  EXPECT_EQ(one, Value::set({Value::long_(1), Value::long_(2)}));
  EXPECT_TRUE(one.contains(Value::long_(1)));
  EXPECT_FALSE(one.contains(Value::string("1")));
  EXPECT_FALSE(Value::long_(1).contains(Value::long_(1)));
}

TEST(CedarValue, KindsAreNeverEqual) {
  const Value all[] = {Value(),
                       Value::long_(0),
                       Value::string(""),
                       Value::entity("T", ""),
                       Value::set({}),
                       Value::record({}),
                       Value::decimal_scaled(0),
                       Value::ipaddr("::").value(),
                       Value::datetime(std::int64_t{0}),
                       Value::duration(std::chrono::milliseconds(0))};
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < std::size(all); ++i) {
    EXPECT_EQ(static_cast<std::size_t>(all[i].kind()), i);
    names.insert(all[i].type_name());
    for (std::size_t j = 0; j < std::size(all); ++j) {
      EXPECT_EQ(all[i] == all[j], i == j);
      EXPECT_EQ(all[i] < all[j], i < j);
    }
  }
  EXPECT_EQ(names.size(), std::size(all));
}

TEST(CedarValue, JsonBothWays) {
  Record inner;
  inner.emplace("", Value::string("é\0\n"));
  inner.emplace("type", Value::string("User"));
  const Value all[] = {Value::boolean(true),
                       Value::long_(least),
                       Value::long_(most),
                       Value::string("x"),
                       Value::entity("A::B", "\"\n"),
                       Value::set({Value::long_(1), Value::boolean(false)}),
                       Value::record(inner),
                       Value::decimal_scaled(-1),
                       Value::ipaddr("10.0.0.1/8").value(),
                       Value::ipaddr("::1").value(),
                       Value::datetime(std::int64_t{1}),
                       Value::datetime(most),
                       Value::datetime(least),
                       Value::duration(std::chrono::milliseconds(least)),
                       Value::record({{"__entity", Value::entity("T", "a")}}),
                       Value::record({{"__extn", Value::long_(1)}})};
  for (const Value& value : all) {
    const auto text = base::json::dump(value.to_json());
    const auto back = Value::from_json(json_of(text));
    ASSERT_TRUE(back.ok()) << text << " " << back.error().message;
    EXPECT_EQ(*back, value) << text;
  }
}

TEST(CedarValue, ToStringIsCedar) {
  EXPECT_EQ(Value::set({Value::long_(1), Value::entity("U", "a\"")}).to_string(), "[1, U::\"a\\\"\"]");
  EXPECT_EQ(Value::record({{"a b", Value::decimal("1.5").value()}}).to_string(), "{\"a b\": decimal(\"1.5\")}");
  EXPECT_EQ(Value::datetime(most).to_string(), "datetime(\"1970-01-01\").offset(duration(\"9223372036854775807ms\"))");
  EXPECT_EQ(quote(std::string_view("\0\x1f\x7f", 3)), "\"\\0\\u{1f}\\u{7f}\"");
}

// A record that reads like an escape must not turn into an entity when a decision record is read back.
TEST(CedarValue, RecordsThatLookLikeEscapesAreRefusedOnTheWayBack) {
  const Record entity{{"type", Value::string("User")}, {"id", Value::string("root")}};
  const Record call{{"fn", Value::string("ip")}, {"arg", Value::string("1.1.1.1")}};
  for (const Record& record : {Record{{"__entity", Value::record(entity)}}, Record{{"__extn", Value::record(call)}},
                               Record{{"__expr", Value::string("x")}}}) {
    EXPECT_FALSE(Value::from_json(Value::record(record).to_json()).ok());
    EXPECT_FALSE(record_from_json(record_to_json(record)).ok());
    EXPECT_FALSE(Value::from_json(Value::set({Value::record(record)}).to_json()).ok());
  }
}

TEST(CedarValue, Escapes) {
  const auto value = [](std::string_view text) { return Value::from_json(json_of(text)); };
  const auto text = [&](std::string_view from) {
    const auto v = value(from);
    return v.ok() ? v->to_string() : "error: " + v.error().check;
  };
  // As the official engine reads them: extra keys inside an escape are ignored, beside one they make it a record.
  EXPECT_EQ(text(R"({"__entity": {"type": "U", "id": "a", "x": 1}})"), "U::\"a\"");
  EXPECT_EQ(text(R"({"__entity": {"type": "U", "id": "a"}, "y": 1})"),
            "{\"__entity\": {\"id\": \"a\", \"type\": \"U\"}, \"y\": 1}");
  EXPECT_EQ(text(R"({"__entity": {"type": "U"}})"), "{\"__entity\": {\"type\": \"U\"}}");
  EXPECT_EQ(text(R"({"__entity": "U::\"a\""})"), "{\"__entity\": \"U::\\\"a\\\"\"}");
  EXPECT_EQ(text(R"({"type": "U", "id": "a"})"), "{\"id\": \"a\", \"type\": \"U\"}");
  EXPECT_EQ(text(R"({"__extn": {"fn": "ip", "args": ["1.1.1.1"]}})"), "ip(\"1.1.1.1\")");
  EXPECT_EQ(text(R"({"__extn": {"fn": "ip", "arg": "1.1.1.1", "args": ["1.1.1.2"], "z": 1}})"), "ip(\"1.1.1.1\")");
  EXPECT_EQ(text(R"({"__extn": {"fn": "isIpv4", "arg": {"__extn": {"fn": "ip", "arg": "1.1.1.1"}}}})"), "true");
  EXPECT_EQ(text(R"({"__extn": {"fn": "offset", "args": [{"__extn": {"fn": "datetime", "arg": "2024-01-01"}},
                                                          {"__extn": {"fn": "duration", "arg": "1d"}}]}})"),
            "datetime(\"2024-01-02T00:00:00Z\")");
  EXPECT_EQ(text(R"({"__extn": {"fn": "ip"}})"), "{\"__extn\": {\"fn\": \"ip\"}}");
  EXPECT_EQ(text(R"({"__extn": {"fn": "ip", "args": "1.1.1.1"}})"),
            "{\"__extn\": {\"args\": \"1.1.1.1\", \"fn\": \"ip\"}}");
  EXPECT_EQ(text(R"({"__expr": "a", "b": 1})"), "{\"__expr\": \"a\", \"b\": 1}");
  for (const auto bad : {R"(null)", R"(1.5)", R"(1e3)", R"(9223372036854775808)", R"([null])", R"({"a": null})",
                         R"({"__entity": null})", R"({"__expr": "a"})", R"({"__extn": {"fn": "foo", "arg": 1}})",
                         R"({"__extn": {"fn": "contains", "args": [[1], 1]}})",
                         R"({"__extn": {"fn": "i p", "arg": 1}})", R"({"__extn": {"fn": "unknown", "arg": "x"}})"})
    EXPECT_EQ(text(bad), "error: cedar.json_value") << bad;
  EXPECT_EQ(text(R"({"__extn": {"fn": "ip", "arg": "zz"}})"), "error: cedar.ip");
  EXPECT_EQ(text(R"({"__extn": {"fn": "ip", "args": []}})"), "error: cedar.arity");
  EXPECT_EQ(text(R"({"__extn": {"fn": "ip", "arg": 1}})"), "error: cedar.type");
  for (const auto type : {"U U", " U", "if", "A::__cedar", "", "A:: B"})
    EXPECT_EQ(text("{\"__entity\": {\"type\": \"" + std::string(type) + "\", \"id\": \"a\"}}"),
              "error: cedar.entity_uid")
        << type;
}

TEST(CedarValue, JsonDepthIsBounded) {
  const auto nested = [](std::size_t n) { return std::string(n, '[') + std::string(n, ']'); };
  EXPECT_TRUE(Value::from_json(json_of(nested(max_nesting))).ok());
  EXPECT_EQ(Value::from_json(json_of(nested(max_nesting + 1))).error().check, "cedar.too_deep");
}

TEST(CedarPattern, IsLinear) {
  Pattern pattern;
  pattern.segments = {""};
  const std::string some(20'000, 'a');
  for (int i = 0; i < 50; ++i) pattern.segments.push_back(some.substr(0, 200) + "b");
  pattern.segments.emplace_back("");
  std::string text;
  for (int i = 0; i < 200; ++i) text += some;
  EXPECT_FALSE(pattern.matches(text));  // 4 MB; a backtracking matcher would not come back
  Pattern overlap;
  overlap.segments = {"ab", "ba"};
  EXPECT_FALSE(overlap.matches("aba"));
  EXPECT_TRUE(overlap.matches("abba"));
}

// Beside type and id an `__entity` counts where a name may be escaped, and only if it names something itself.
TEST(CedarValueJson, AnEscapeBesideTypeAndId) {
  const auto uid = [](std::string_view text) {
    const auto read = EntityUid::from_json(json_of(text));
    return read.ok() ? read->to_string() : read.error().check;
  };
  EXPECT_EQ(uid(R"({"type":"A","id":"b","__entity":{"type":"C","id":"d"}})"), "C::\"d\"");
  EXPECT_EQ(uid(R"({"type":"A b","id":"b","__entity":{"type":"C","id":"d"}})"), "C::\"d\"");
  EXPECT_EQ(uid(R"({"type":"A","id":"b","__entity":"x"})"), "A::\"b\"");
  EXPECT_EQ(uid(R"({"type":"A","id":"b","__entity":{"type":"C","id":1}})"), "A::\"b\"");
  EXPECT_EQ(uid(R"({"type":"A","id":"b","__entity":{"type":"C d","id":"d"}})"), "cedar.entity_uid");
  const auto value =
      Value::from_json(json_of(R"({"__entity":{"type":"A","id":"b","__entity":{"type":"C","id":"d"}}})"));
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(*value, Value::entity("A", "b"));
}

// A context read from text is the one read from a tree, and so is the refusal.
TEST(CedarValueJson, TextAndTreeGiveTheSameRecord) {
  for (const std::string_view text : {R"({})",
                                      R"({"mfa":true,"reason":"ticket 42","n":-7})",
                                      R"({"a":{"b":[1,2,{"__entity":{"type":"User","id":"x"}}]},"c":[]})",
                                      R"({"ip":{"__extn":{"fn":"ip","arg":"10.0.0.1"}}})",
                                      R"({"__entity":{"type":"User","id":"x"}})",
                                      R"({"__entity":{"type":"User","id":"x"},"b":1})",
                                      R"({"b":1,"__entity":{"type":"User","id":"x"}})",
                                      R"({"__entity":1,"__extn":{"fn":"ip","arg":"::1"}})",
                                      R"({"__entity":1})",
                                      R"({"__extn":{"fn":"ip","arg":"10.0.0.1"}})",
                                      R"({"__extn":{"fn":"ip","arg":"10.0.0"}})",
                                      R"({"__expr":"1 + 1"})",
                                      R"({"__expr":1})",
                                      R"({"a":null})",
                                      R"({"a":1.5})",
                                      R"({"a":1,"a":1})",
                                      R"({"__a":1,"__a":1})",
                                      R"({"a":{"b":1,"b":2}})",
                                      R"({"a":[{"__extn":{"fn":"nope","arg":"x"}}]})",
                                      R"([1])",
                                      R"("x")",
                                      R"({"a":1} x)",
                                      R"({"a":1)",
                                      R"({"a":"\ud800"})"}) {
    const auto both = [&]() -> base::Result<Record> {
      DP_TRY(const auto tree, base::json::parse(text));
      return record_from_json(tree);
    }();
    const auto direct = record_from_json_text(text);
    ASSERT_EQ(direct.ok(), both.ok()) << text;
    if (both.ok()) EXPECT_EQ(*direct, *both) << text;
    // Two words for one thing: the tree is no record, the text is no object.
    if (!both.ok() && direct.error().check != "json.not_object")
      EXPECT_EQ(direct.error().check, both.error().check) << text;
  }
}

TEST(CedarValueJson, TextIsBoundedLikeATree) {
  std::string deep = R"({"a":)" + std::string(300, '[') + std::string(300, ']') + "}";
  EXPECT_EQ(record_from_json_text(deep).error().check, "json.too_deep");
  base::json::Limits limits;
  limits.depth = 400;
  EXPECT_EQ(record_from_json_text(deep, limits).error().check, "cedar.too_deep");
  limits.members = 1;
  EXPECT_EQ(record_from_json_text(R"({"a":1,"b":2})", limits).error().check, "json.too_many");
  limits.bytes = 5;
  EXPECT_EQ(record_from_json_text(R"({"a":1})", limits).error().check, "json.too_large");
}

}  // namespace
}  // namespace daypass::cedar
