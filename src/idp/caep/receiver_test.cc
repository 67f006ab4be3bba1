// The receiver over a scripted transmitter: configuration and keys, who may push, polls, and what becomes of each
// error.
#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "base/json.h"
#include "idp/caep/caep.h"
#include "idp/caep/poll.h"
#include "idp/caep/transmitter.h"
#include "idp/test_support.h"

namespace daypass::idp::caep {
namespace {

using base::Code;
using base::Error;
using base::Result;
using base::Secret;
using base::json::Array;
using base::json::Object;
using base::json::Value;
using crypto::Alg;
using crypto::SigningKey;

class Receivers : public ::testing::Test {
 protected:
  idp::testing::HandClock clock;
  std::vector<std::string> logged;
  base::Log log{clock, base::Level::debug, [this](std::string_view line) { logged.emplace_back(line); }};
  SigningKey key = SigningKey::generate(Alg::es256);
  std::vector<Value> published{key.public_jwk()};
  std::function<Result<Reply>(const Request&)> intercept;
  std::map<std::string, int> asked;
  std::string polled_with, poll_authorization, poll_language;
  std::string poll_answer = R"({"sets":{}})";
  std::map<std::string, std::string> secrets{
      {"file:/s/push", "push-token"}, {"file:/s/old", "Basic b2xkOnRva2Vu"}, {"file:/s/poll", "poll-token"}};
  core::IdpSpec spec = [] {
    core::IdpSpec s;
    s.name = "corp";
    s.issuer = "https://id.example";
    s.subject_from = "sub";
    s.signals.emplace();
    s.signals->transmitter = "https://tr.example/t1/";
    s.signals->audience = "us";
    s.signals->push_tokens = {"file:/s/push", "file:/s/old"};
    s.signals->poll_url = "https://tr.example/poll";
    s.signals->poll_token = {"file:/s/poll"};
    return s;
  }();
  std::unique_ptr<SignalDriver> driver = make_signal_driver(
      clock, log, [this](const Request& request) { return answer(request); },
      [this](const core::TenantId&, const core::SecretRef& ref) -> Result<Secret> {
        const auto it = secrets.find(ref.ref);
        if (it == secrets.end()) return Error{Code::invalid, "secret.file", "/s: no such file"};
        return Secret(it->second);
      });

  Result<Reply> answer(const Request& request) {
    ++asked[request.url];
    if (intercept) return intercept(request);
    if (request.url == "https://tr.example/.well-known/ssf-configuration/t1")
      return Reply{200, "application/json",
                   base::json::dump(Object{{"issuer", "https://tr.example/t1/"},
                                           {"jwks_uri", "https://tr.example/jwks"},
                                           {"critical_subject_members", Array{"device"}}})};
    if (request.url == "https://tr.example/jwks" || request.url == "https://keys.example/jwks")
      return Reply{200, "application/json",
                   base::json::dump(Object{{"keys", Array(published.begin(), published.end())}})};
    if (request.url == "https://tr.example/poll") {
      polled_with = request.body.reveal();
      poll_authorization = request.authorization.reveal();
      poll_language = request.content_language;
      return Reply{200, "application/json", poll_answer};
    }
    return Reply{404, "", ""};
  }
  std::shared_ptr<SignalReceiver> receiver() { return driver->make(core::TenantId("t"), spec).value(); }
  [[nodiscard]] Object claims() const {
    const std::int64_t now = std::chrono::floor<base::Seconds>(clock.wall()).time_since_epoch().count();
    return {{"iss", "https://tr.example/t1/"},
            {"aud", "us"},
            {"iat", now},
            {"jti", "j1"},
            {"sub_id", Object{{"format", "iss_sub"}, {"iss", "https://id.example"}, {"sub", "alice"}}},
            {"events", Object{{"https://schemas.openid.net/secevent/caep/event-type/session-revoked", Object{}}}}};
  }
  [[nodiscard]] std::string token(const Object& what) const { return key.sign(base::json::dump(what), "secevent+jwt"); }
  static constexpr base::Millis budget = std::chrono::seconds(10);
};

TEST_F(Receivers, VerifyWithTheKeysThatTheTransmitterPublishes) {
  const auto r = receiver();
  auto event = r->verify(token(claims()), budget);
  ASSERT_TRUE(event.ok()) << event.error().check << event.error().message;
  EXPECT_EQ(event->over->subject, "alice");
  ASSERT_TRUE(r->verify(token(claims()), budget).ok());
  EXPECT_EQ(asked["https://tr.example/.well-known/ssf-configuration/t1"], 1);
  EXPECT_EQ(asked["https://tr.example/jwks"], 1);
  // A new key is looked for.
  clock.advance(std::chrono::seconds(11));
  key = SigningKey::generate(Alg::es256);
  published = {key.public_jwk()};
  EXPECT_TRUE(r->verify(token(claims()), budget).ok());
  EXPECT_EQ(asked["https://tr.example/jwks"], 2);
  // The configuration says what must not be passed over.
  Object narrow = claims();
  narrow.set("sub_id", Object{{"format", "complex"},
                              {"user", *narrow.find("sub_id")},
                              {"device", Object{{"format", "opaque"}, {"id", "d"}}}});
  EXPECT_EQ(r->verify(token(narrow), budget).error().check, "set.subject_critical");
  EXPECT_EQ(r->verify(std::string(70'000, 'a'), budget).error().check, "jws.too_large");
}

TEST_F(Receivers, AskAgainWhereAKeyChangedUnderItsName) {
  const auto r = receiver();
  ASSERT_TRUE(r->verify(token(claims()), budget).ok());
  clock.advance(std::chrono::seconds(11));
  SigningKey changed = SigningKey::generate(Alg::es256);
  changed = SigningKey::from_pem(changed.to_pem(), Alg::es256, key.kid()).value();
  key = changed;
  published = {key.public_jwk()};
  EXPECT_TRUE(r->verify(token(claims()), budget).ok());
}

TEST_F(Receivers, KnowWhatIsToBeToldAgain) {
  const auto r = receiver();
  for (const Code code : {Code::timeout, Code::unavailable}) {
    intercept = [&](const Request&) -> Result<Reply> { return Error{code, "net.x", "no"}; };
    EXPECT_EQ(r->verify(token(claims()), budget).error().code, code);
    clock.advance(std::chrono::seconds(2));
  }
  intercept = [](const Request&) -> Result<Reply> { return Reply{200, "text/html", "<html>"}; };
  EXPECT_EQ(r->verify(token(claims()), budget).error().check, "transmitter.syntax");
  clock.advance(std::chrono::seconds(2));
  intercept = nullptr;
  published = {};
  const auto none = r->verify(token(claims()), budget);
  EXPECT_EQ(none.error().check, "jwks.no_keys");
  EXPECT_EQ(none.error().code, Code::unavailable);
}

TEST_F(Receivers, TakeKeysFromWhereTheTenantSays) {
  spec.signals->jwks_url = "https://keys.example/jwks";
  const auto r = receiver();
  EXPECT_TRUE(r->verify(token(claims()), budget).ok());
  EXPECT_EQ(asked.size(), 1U);
  EXPECT_TRUE(r->probe(budget).ok());
}

TEST_F(Receivers, SubjectsMayHaveAnIssuerOfTheirOwn) {
  spec.signals->subject_issuer = "https://people.example";
  const auto r = receiver();
  EXPECT_EQ(r->verify(token(claims()), budget).error().check, "set.subject_iss");
  Object theirs = claims();
  theirs.set("sub_id", Object{{"format", "iss_sub"}, {"iss", "https://people.example"}, {"sub", "alice"}});
  EXPECT_TRUE(r->verify(token(theirs), budget).ok());
}

TEST_F(Receivers, LetThoseInWhoKnowATokenAndNobodyElse) {
  const auto r = receiver();
  for (const char* good : {"push-token", "Bearer push-token", "Basic b2xkOnRva2Vu"})
    EXPECT_TRUE(r->admit(Secret(std::string_view(good))).ok()) << good;
  for (const char* bad : {"", "Bearer", "Bearer ", "Bearer push-toke", "Bearer push-token2", "bearer push-token",
                          "Bearer Basic b2xkOnRva2Vu", "b2xkOnRva2Vu", "Bearer poll-token"}) {
    const auto admitted = r->admit(Secret(std::string_view(bad)));
    ASSERT_FALSE(admitted.ok()) << bad;
    EXPECT_EQ(admitted.error().check, "signals.authorization");
  }
  EXPECT_FALSE(r->admit(Secret(std::string(10'000, 'a'))).ok());
  // A secret that is not there lets nobody in, and the other still does.
  secrets.erase("file:/s/push");
  EXPECT_FALSE(r->admit(Secret(std::string_view("push-token"))).ok());
  EXPECT_TRUE(r->admit(Secret(std::string_view("Basic b2xkOnRva2Vu"))).ok());
  spec.signals->push_tokens.clear();
  EXPECT_FALSE(receiver()->admit(Secret()).ok());
  for (const auto& line : logged) EXPECT_EQ(line.find("b2xk"), std::string::npos);
}

TEST_F(Receivers, PollAndTellWhatBecameOfTheLast) {
  const auto r = receiver();
  EXPECT_EQ(r->polls_every(), base::Millis(10'000));
  poll_answer = R"({"sets":{"a":"tok-a","b":"tok-b"},"moreAvailable":true})";
  auto polled = r->poll({}, budget);
  ASSERT_TRUE(polled.ok()) << polled.error().message;
  EXPECT_EQ(polled->tokens, (std::vector<std::pair<std::string, std::string>>{{"a", "tok-a"}, {"b", "tok-b"}}));
  EXPECT_TRUE(polled->more);
  EXPECT_EQ(polled_with, R"({"maxEvents":16,"returnImmediately":true})");
  EXPECT_EQ(poll_authorization, "Bearer poll-token");
  EXPECT_EQ(poll_language, "en");
  secrets["file:/s/poll"] = "Basic cG9sbA==";
  ASSERT_TRUE(r->poll({{"a"}, {{"b", Error{Code::invalid, "set.aud", "not for us"}}}}, budget).ok());
  EXPECT_EQ(polled_with,
            R"({"maxEvents":16,"returnImmediately":true,"ack":["a"],"setErrs":{"b":{"err":"invalid_audience",)"
            R"("description":"not for us"}}})");
  EXPECT_EQ(poll_authorization, "Basic cG9sbA==");
  intercept = [](const Request&) -> Result<Reply> { return Reply{401, "", ""}; };
  EXPECT_EQ(r->poll({}, budget).error().check, "poll.status");
  spec.signals->poll_url.clear();
  EXPECT_EQ(receiver()->polls_every(), std::nullopt);
}

TEST(Polls, AreBounded) {
  for (const char* bad : {"", "[]", "{}", R"({"sets":[]})", R"({"sets":{"a":1}})", R"({"sets":{"":"t"}})",
                          R"({"sets":{},"moreAvailable":"yes"})", R"({"sets":{"a":"1","a":"2"}})"}) {
    const auto read = parse_poll(bad);
    ASSERT_FALSE(read.ok()) << bad;
    EXPECT_TRUE(read.error().check.starts_with("poll.")) << read.error().check;
    EXPECT_EQ(read.error().code, Code::unavailable);
  }
  EXPECT_FALSE(parse_poll(R"({"sets":{")" + std::string(256, 'j') + R"(":"t"}})").ok());
  Object many;
  for (int i = 0; i < 40; ++i) many.set("j" + std::to_string(i), "t");
  const auto read = parse_poll(base::json::dump(Object{{"sets", many}}));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->tokens.size(), max_events);
  EXPECT_TRUE(read->more);
}

TEST(Configurations, LieBetweenHostAndPath) {
  EXPECT_EQ(configuration_url("https://tr.example"), "https://tr.example/.well-known/ssf-configuration");
  EXPECT_EQ(configuration_url("https://tr.example/"), "https://tr.example/.well-known/ssf-configuration");
  EXPECT_EQ(configuration_url("https://tr.example:8443/a/b"),
            "https://tr.example:8443/.well-known/ssf-configuration/a/b");
  EXPECT_EQ(configuration_url("https://tr.example/a/"), "https://tr.example/.well-known/ssf-configuration/a");
}

TEST(Configurations, AreTheTransmittersOwn) {
  const auto check = [](const Object& document) {
    const auto read = parse_configuration(base::json::dump(document), "https://tr.example");
    return read.ok() ? "ok" : read.error().check;
  };
  EXPECT_EQ(check({{"issuer", "https://tr.example"}, {"jwks_uri", "https://tr.example/k"}}), "ok");
  EXPECT_EQ(check({{"issuer", "https://tr.example/"}, {"jwks_uri", "https://tr.example/k"}}), "transmitter.issuer");
  EXPECT_EQ(check({{"jwks_uri", "https://tr.example/k"}}), "transmitter.issuer");
  EXPECT_EQ(check({{"issuer", "https://tr.example"}}), "transmitter.jwks_uri");
  EXPECT_EQ(check({{"issuer", "https://tr.example"}, {"jwks_uri", "http://tr.example/k"}}), "transmitter.jwks_uri");
  EXPECT_EQ(check({{"issuer", "https://tr.example"}, {"jwks_uri", "http://127.0.0.1/k"}}), "transmitter.jwks_uri");
  EXPECT_EQ(check({{"issuer", "https://tr.example"},
                   {"jwks_uri", "https://tr.example/k"},
                   {"critical_subject_members", "user"}}),
            "transmitter.shape");
  EXPECT_EQ(parse_configuration("[]", "https://tr.example").error().check, "transmitter.syntax");
  EXPECT_EQ(parse_configuration(std::string(70'000, ' '), "https://tr.example").error().check, "transmitter.syntax");
}

TEST_F(Receivers, AreMadeOfWholeSettings) {
  const auto check = [this](const std::function<void(core::SignalsSpec&)>& change) {
    core::IdpSpec changed = spec;
    change(*changed.signals);
    const auto made = driver->make(core::TenantId("t"), changed);
    return made.ok() ? "ok" : made.error().check;
  };
  EXPECT_EQ(check([](auto&) {}), "ok");
  EXPECT_EQ(check([](auto& s) { s.transmitter = "http://tr.example"; }), "signals.transmitter");
  EXPECT_EQ(check([](auto& s) { s.jwks_url = "ftp://tr.example"; }), "signals.jwks_url");
  EXPECT_EQ(check([](auto& s) { s.poll_url = "http://tr.example/poll"; }), "signals.poll_url");
  EXPECT_EQ(check([](auto& s) { s.audience.clear(); }), "signals.audience");
  EXPECT_EQ(check([](auto& s) { s.poll_url.clear(), s.push_tokens.clear(); }), "signals.delivery");
}

TEST(SetErrors, HaveTheNamesOfTheStandard) {
  const auto name = [](const char* check) { return set_error_name({Code::invalid, check, ""}); };
  EXPECT_EQ(name("set.iss"), "invalid_issuer");
  EXPECT_EQ(name("set.aud"), "invalid_audience");
  EXPECT_EQ(name("jws.signature"), "invalid_key");
  EXPECT_EQ(name("jws.kid_unknown"), "invalid_key");
  EXPECT_EQ(name("set.subject_iss"), "access_denied");
  EXPECT_EQ(name("signals.authorization"), "authentication_failed");
  EXPECT_EQ(name("set.subject_format"), "invalid_request");
}

}  // namespace
}  // namespace daypass::idp::caep
