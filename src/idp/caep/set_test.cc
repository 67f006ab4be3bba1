// Security event tokens: each promise of RFC 8417, SSF 1.0 and CAEP 1.0 by itself, and what comes of an honest one.
#include "idp/caep/set.h"

#include <gtest/gtest.h>

namespace daypass::idp::caep {
namespace {

using base::json::Array;
using base::json::Object;
using base::json::Value;
using crypto::Alg;
using crypto::SigningKey;

constexpr std::string_view caep = "https://schemas.openid.net/secevent/caep/event-type/";
constexpr std::string_view ssf = "https://schemas.openid.net/secevent/ssf/event-type/";

class Sets : public ::testing::Test {
 protected:
  const SigningKey key = SigningKey::generate(Alg::es256);
  const crypto::KeySet keys =
      crypto::KeySet::parse(base::json::dump(Object{{"keys", Array{key.public_jwk()}}})).value();
  static constexpr std::int64_t now = 1'800'000'000;
  Expect expect{.transmitter = "https://tr.example",
                .audience = "https://daypass.example/events",
                .subject_issuer = "https://id.example",
                .critical = {},
                .now = base::WallTime(base::Seconds(now))};

  static Value person(const std::string& sub = "alice") {
    return Object{{"format", "iss_sub"}, {"iss", "https://id.example"}, {"sub", sub}};
  }
  static Value opaque(const std::string& id) { return Object{{"format", "opaque"}, {"id", id}}; }
  static Object event_of(std::string_view type, const Object& event) { return {{std::string(type), event}}; }
  static Object revoked(const Object& event = {{"event_timestamp", now - 60}}) {
    return event_of(std::string(caep) + "session-revoked", event);
  }
  static Object changed(const std::string& how) {
    return event_of(std::string(caep) + "credential-change", {{"credential_type", "password"}, {"change_type", how}});
  }
  static Object honest() {
    return {{"iss", "https://tr.example"},
            {"aud", "https://daypass.example/events"},
            {"iat", now - 5},
            {"jti", "j1"},
            {"sub_id", person()},
            {"events", revoked()}};
  }
  base::Result<SecurityEvent> verify(const Object& claims, std::string_view typ = "secevent+jwt") const {
    return verify_set(key.sign(base::json::dump(claims), typ), keys, expect);
  }
  std::string check(const Object& claims) const {
    const auto read = verify(claims);
    return read.ok() ? "ok" : read.error().check;
  }
  std::string with(const std::string& name, const Value& value) const {
    Object claims = honest();
    claims.set(name, value);
    return check(claims);
  }
  std::string without(std::string_view name) const {
    Object claims = honest();
    claims.erase(name);
    return check(claims);
  }
  /// Whom it ends: "subject|session", or the check that failed.
  std::string ends(const Value& sub_id, const Object& events = revoked()) const {
    Object claims = honest();
    claims.set("sub_id", sub_id);
    claims.set("events", events);
    const auto read = verify(claims);
    if (!read.ok()) return read.error().check;
    if (!read->over) return "nobody";
    return read->over->subject + "|" + (read->over->idp_sessions.empty() ? "" : read->over->idp_sessions.front());
  }
};

TEST_F(Sets, EndTheSessionsOfAPerson) {
  const auto read = verify(honest());
  ASSERT_TRUE(read.ok()) << read.error().check << ": " << read.error().message;
  EXPECT_EQ(read->jti, "j1");
  EXPECT_EQ(read->name, "session_revoked");
  ASSERT_TRUE(read->over);
  EXPECT_EQ(read->over->subject, "alice");
  EXPECT_TRUE(read->over->idp_sessions.empty());
  // It was some time in that second.
  EXPECT_EQ(read->over->at, base::WallTime(base::Seconds(now - 60)) + base::Millis(999));
  EXPECT_TRUE(read->over->told_late);
  ASSERT_EQ(read->over->once.size(), 1U);
  // Remembered for as long as it would be taken.
  EXPECT_GE(read->over->once.front().until, base::WallTime(base::Seconds(now - 5)) + max_age + leeway);
}

TEST_F(Sets, AreTypedAndSignedByTheTransmitter) {
  EXPECT_TRUE(verify(honest(), "secevent+jwt").ok());
  EXPECT_TRUE(verify(honest(), "application/SECEVENT+jwt").ok());
  for (const char* typ : {"", "JWT", "logout+jwt", "at+jwt"})
    EXPECT_EQ(verify(honest(), typ).error().check, "set.typ") << typ;
  const SigningKey other = SigningKey::generate(Alg::es256);
  EXPECT_EQ(verify_set(other.sign(base::json::dump(honest()), "secevent+jwt"), keys, expect).error().check,
            "jws.kid_unknown");
  EXPECT_EQ(verify_set(key.sign("[]", "secevent+jwt"), keys, expect).error().check, "set.syntax");
  EXPECT_EQ(verify_set(key.sign(R"({"iss":1,"iss":2})", "secevent+jwt"), keys, expect).error().check, "set.syntax");
  const std::string deep = R"({"a":)" + std::string(20, '[') + std::string(20, ']') + "}";
  EXPECT_EQ(verify_set(key.sign(deep, "secevent+jwt"), keys, expect).error().check, "set.syntax");
}

TEST_F(Sets, AreRefusedByName) {
  EXPECT_EQ(with("iss", "https://evil.example"), "set.iss");
  EXPECT_EQ(with("iss", "https://tr.example/"), "set.iss");
  EXPECT_EQ(with("iss", Array{"https://tr.example"}), "set.iss");
  EXPECT_EQ(without("iss"), "set.iss");
  EXPECT_EQ(with("aud", "https://other.example"), "set.aud");
  EXPECT_EQ(with("aud", Array{}), "set.aud");
  EXPECT_EQ(with("aud", Array{"https://other.example", 7}), "set.aud");
  EXPECT_EQ(without("aud"), "set.aud");
  EXPECT_EQ(with("aud", Array{"https://other.example", "https://daypass.example/events"}), "ok");
  Array many(17, Value("https://daypass.example/events"));
  EXPECT_EQ(with("aud", many), "set.aud");
  EXPECT_EQ(with("exp", now + 60), "set.exp");
  EXPECT_EQ(with("sub", "alice"), "set.sub");
  EXPECT_EQ(with("sub", Value()), "set.sub");
  EXPECT_EQ(without("iat"), "set.iat_missing");
  EXPECT_EQ(with("iat", "now"), "set.iat_missing");
  EXPECT_EQ(with("iat", now + 31), "set.iat");
  EXPECT_EQ(with("iat", now + 30), "ok");
  EXPECT_EQ(with("iat", now - 7 * 24 * 3600), "ok");
  EXPECT_EQ(with("iat", now - 7 * 24 * 3600 - 31), "set.iat");
  EXPECT_EQ(without("jti"), "set.jti");
  EXPECT_EQ(with("jti", ""), "set.jti");
  EXPECT_EQ(with("jti", 7), "set.jti");
  EXPECT_EQ(with("jti", std::string(256, 'j')), "set.jti");
  EXPECT_EQ(with("jti", "a\nb"), "set.jti");
  EXPECT_EQ(without("events"), "set.events");
  EXPECT_EQ(with("events", Object{}), "set.events");
  EXPECT_EQ(with("events", Array{"https://schemas.openid.net/secevent/caep/event-type/session-revoked"}), "set.events");
  EXPECT_EQ(with("events", event_of(std::string(caep) + "session-revoked", {{"event_timestamp", "late"}})),
            "set.event");
  EXPECT_EQ(with("events", event_of(std::string(caep) + "session-revoked", {{"event_timestamp", -1}})), "set.event");
  EXPECT_EQ(with("events", Object{{std::string(caep) + "session-revoked", true}}), "set.event");
  EXPECT_EQ(without("sub_id"), "set.subject");
}

TEST_F(Sets, TellOneEvent) {
  Object both = revoked();
  both.set(std::string(caep) + "credential-change", Object{{"credential_type", "pin"}, {"change_type", "update"}});
  EXPECT_EQ(with("events", both), "set.events");
  // SSF section 4.2.1: another name of the same event.
  Object named_twice = revoked();
  named_twice.set("https://tr.example/events/session-revoked", Object{});
  EXPECT_EQ(with("events", named_twice), "ok");
  Object nine;
  for (int i = 0; i < 9; ++i) nine.set("https://tr.example/" + std::to_string(i), Object{});
  EXPECT_EQ(with("events", nine), "set.events");
}

TEST_F(Sets, OfOtherEventsEndNothing) {
  for (const auto& [type, event, name] : std::initializer_list<std::tuple<std::string, Object, std::string>>{
           {std::string(ssf) + "verification", {{"state", "s"}}, "verification"},
           {std::string(ssf) + "stream-updated", {{"status", "paused"}}, "stream_updated: paused"},
           {std::string(caep) + "assurance-level-change", {{"current_level", "x"}}, "unknown"},
           {"https://schemas.openid.net/secevent/risc/event-type/account-disabled", {}, "unknown"}}) {
    Object claims = honest();
    claims.set("events", event_of(type, event));
    claims.set("sub_id", opaque("stream-1"));
    const auto read = verify(claims);
    ASSERT_TRUE(read.ok()) << type << read.error().check;
    EXPECT_EQ(read->name, name);
    EXPECT_FALSE(read->over) << type;
    // Such a token must be right all the same.
    claims.set("aud", "https://other.example");
    EXPECT_EQ(check(claims), "set.aud");
  }
}

TEST_F(Sets, OfCredentialsEndSessionsUnlessOneIsAdded) {
  for (const char* how : {"update", "revoke", "delete"}) EXPECT_EQ(ends(person(), changed(how)), "alice|") << how;
  EXPECT_EQ(ends(person(), changed("create")), "nobody");
  EXPECT_EQ(ends(person(), changed("forgot")), "set.event");
  EXPECT_EQ(ends(person(), event_of(std::string(caep) + "credential-change", {{"change_type", "update"}})),
            "set.event");
  // Whichever session it was changed in, the credential is the person's.
  EXPECT_EQ(ends(Object{{"format", "complex"}, {"user", person()}, {"session", opaque("s1")}}, changed("update")),
            "alice|");
  EXPECT_EQ(ends(opaque("s1"), changed("update")), "|s1");
}

TEST_F(Sets, NameAPersonASessionOrBoth) {
  EXPECT_EQ(ends(person("bob")), "bob|");
  EXPECT_EQ(ends(opaque("s1")), "|s1");
  expect.opaque_is_person = true;
  EXPECT_EQ(ends(opaque("bob")), "bob|");
  expect.opaque_is_person = false;
  const Object both{{"format", "complex"}, {"user", person()}, {"session", opaque("s1")}, {"tenant", opaque("t")}};
  EXPECT_EQ(ends(both), "alice|s1");
  EXPECT_EQ(ends(Object{{"format", "complex"}, {"session", opaque("s1")}}), "|s1");
  EXPECT_EQ(ends(Object{{"format", "complex"}, {"user", opaque("bob")}}), "bob|");
  // What it narrows down by and we can't tell apart: more ends, not less.
  EXPECT_EQ(ends(Object{{"format", "complex"}, {"user", person()}, {"device", opaque("d")}}), "alice|");
  EXPECT_EQ(ends(Object{{"format", "complex"}, {"tenant", opaque("t")}}), "set.subject");
  EXPECT_EQ(ends(Object{{"format", "complex"}, {"user", person()}, {"session", person()}}), "set.subject");
  EXPECT_EQ(ends(Object{{"format", "complex"}, {"user", Object{{"format", "complex"}, {"user", person()}}}}),
            "set.subject_format");
  expect.critical = {"user", "tenant", "session"};
  EXPECT_EQ(ends(both), "alice|s1");
  expect.critical = {"device"};
  EXPECT_EQ(ends(both), "alice|s1");
  EXPECT_EQ(ends(Object{{"format", "complex"}, {"user", person()}, {"device", opaque("d")}}), "set.subject_critical");
}

TEST_F(Sets, ArePeopleOfThisProviderAndNoAddresses) {
  EXPECT_EQ(ends(Object{{"format", "iss_sub"}, {"iss", "https://tr.example"}, {"sub", "alice"}}), "set.subject_iss");
  EXPECT_EQ(ends(Object{{"format", "iss_sub"}, {"iss", "https://id.example"}}), "set.subject");
  EXPECT_EQ(ends(Object{{"format", "iss_sub"}, {"sub", "alice"}}), "set.subject");
  EXPECT_EQ(ends(Object{{"format", "iss_sub"}, {"iss", "https://id.example"}, {"sub", "a\nb"}}), "set.subject");
  const Object mail{{"format", "email"}, {"email", "alice@example.com"}};
  for (const Object& id : {mail, Object{{"format", "phone_number"}, {"phone_number", "+12065550100"}},
                           Object{{"format", "account"}, {"uri", "acct:alice@example.com"}},
                           Object{{"format", "aliases"}, {"identifiers", Array{person()}}},
                           Object{{"format", "jwt_id"}, {"iss", "https://id.example"}, {"jti", "j"}},
                           Object{{"format", "did"}, {"url", "did:example:1"}}, Object{{"format", 7}}, Object{}})
    EXPECT_EQ(ends(id), "set.subject_format");
  EXPECT_EQ(ends(Object{{"format", "complex"}, {"user", mail}, {"session", opaque("s1")}}), "set.subject_format");
  EXPECT_EQ(ends("alice"), "set.subject");
  Object claims = honest();
  claims.set("sub_id", mail);
  EXPECT_NE(verify(claims).error().message.find("changes hands"), std::string::npos);
}

TEST_F(Sets, WherePeopleAreKnownOtherwiseOnlySessionsCount) {
  expect.people_by_sub = false;
  EXPECT_EQ(ends(person()), "set.subject");
  EXPECT_EQ(ends(Object{{"format", "complex"}, {"user", person()}, {"session", opaque("s1")}}), "|s1");
  EXPECT_EQ(ends(Object{{"format", "complex"}, {"user", opaque("oid")}}), "set.subject");
  expect.opaque_is_person = true;
  EXPECT_EQ(ends(opaque("oid")), "oid|");
}

TEST_F(Sets, OfTheDraftsHaveTheirSubjectInTheEvent) {
  Object claims = honest();
  claims.erase("sub_id");
  claims.set("events", revoked({{"subject", Object{{"user", person()}, {"session", opaque("s1")}}}}));
  auto read = verify(claims);
  ASSERT_TRUE(read.ok()) << read.error().check;
  EXPECT_EQ(read->over->subject, "alice");
  EXPECT_EQ(read->over->idp_sessions, std::vector<std::string>{"s1"});
  // Where there are both, the final one counts.
  claims.set("sub_id", person("bob"));
  read = verify(claims);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->over->subject, "bob");
}

TEST_F(Sets, HappenedWhenTheySayAndNeverLaterThanNow) {
  const auto at = [&](const Object& event) {
    Object claims = honest();
    claims.set("events", revoked(event));
    return verify(claims).value().over->at - base::WallTime(base::Seconds(now));
  };
  EXPECT_EQ(at({}), base::Millis(-5000 + 999));
  EXPECT_EQ(at({{"event_timestamp", now - 60}}), base::Millis(-60'000 + 999));
  EXPECT_EQ(at({{"event_timestamp", static_cast<double>(now) - 59.25}}), base::Millis(-60'000 + 999));
  EXPECT_EQ(at({{"event_timestamp", 0}}), base::Millis(-now * 1000 + 999));
  EXPECT_EQ(at({{"event_timestamp", now}}), base::Millis(0));
  EXPECT_EQ(at({{"event_timestamp", now + 3600}}), base::Millis(0));
  EXPECT_EQ(at({{"event_timestamp", now * 1000}}), base::Millis(0));  // milliseconds, as some send
  EXPECT_EQ(at({{"event_timestamp", 1e300}}), base::Millis(0));
}

}  // namespace
}  // namespace daypass::idp::caep
