// What a provider says of somebody who is signed in: believed, refused, or not to be had.
#include "idp/oidc/renew.h"

#include <gtest/gtest.h>

#include <tuple>

#include "idp/oidc/oidc.h"
#include "idp/oidc/scripted_op.h"

namespace daypass::idp::oidc {
namespace {

using base::Code;
using base::Error;
using base::Millis;
using base::Result;
using base::json::Array;
using base::json::Object;
using base::json::Value;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::form_fields;
using testing::HandClock;
using testing::ScriptedOp;

constexpr Millis budget = seconds(20);

/// Alice, signed in at a provider that gave a refresh token.
struct SignedIn {
  HandClock clock;
  base::SeededEntropy entropy{42};
  std::string logged;
  base::Log log{clock, base::Level::debug, [this](std::string_view line) { logged += line; }};
  ScriptedOp op{clock, "https://id.example", "client-1", "s&cret"};
  core::IdpSpec spec;
  std::unique_ptr<Driver> driver;
  std::shared_ptr<IdentityProvider> provider;
  core::Identity alice;
  base::Secret refresh;

  explicit SignedIn(const std::function<void(SignedIn&)>& prepare = {}) {
    spec.name = "corp";
    spec.issuer = op.issuer;
    spec.client_id = op.client_id;
    spec.client_secret.ref = "env:SECRET";
    spec.scopes = {"profile", "offline_access"};
    spec.groups_from = "groups";
    op.claims.set("sid", "s-1");
    op.claims.set("acr", "urn:mfa");
    if (prepare) prepare(*this);
    driver = make_oidc_driver(clock, entropy, log, op.fetch(),
                              [this](const core::TenantId&, const core::SecretRef&) -> Result<base::Secret> {
                                return base::Secret(op.client_secret);
                              });
    make();
    const Begun begun = provider->begin({"https://dp.example/t/default/idp/corp/callback", false}, budget).value();
    auto finished = provider->finish(op.authorize(begun.authorization_url), begun.pending, budget);
    if (!finished.ok()) throw std::runtime_error(finished.error().check + ": " + finished.error().message);
    alice = finished->identity;
    refresh = std::move(finished->refresh);
    clock.advance(minutes(5));
  }
  void make() { provider = driver->make(core::TenantId("default"), spec).value(); }
  /// Asks, and keeps what it is told to keep.
  Result<std::optional<core::Identity>> renew() {
    Renewed renewed = provider->renew(refresh, budget);
    if (!renewed.refresh.empty()) refresh = std::move(renewed.refresh);
    return std::move(renewed.who);
  }
  std::string check() {
    const auto who = renew();
    return who.ok() ? "" : who.error().check;
  }
};

TEST(Renew, WithoutARefreshTokenThereIsNothingToAskWith) {
  SignedIn w([](SignedIn& s) { s.spec.scopes = {"profile"}; });
  EXPECT_TRUE(w.refresh.empty());
  for (const Value& none : {Value(nullptr), Value("")}) {
    SignedIn other([&](SignedIn& s) { s.op.edit_token_reply = [none](Object& r) { r.set("refresh_token", none); }; });
    EXPECT_TRUE(other.refresh.empty());
  }
}

TEST(Renew, TheSamePersonIsTheSameIdentity) {
  SignedIn w;
  ASSERT_FALSE(w.refresh.empty());
  for (int i = 0; i < 3; ++i) {
    const auto who = w.renew();
    ASSERT_TRUE(who.ok()) << who.error().check << ": " << who.error().message;
    ASSERT_TRUE(who->has_value());
    EXPECT_EQ(**who, w.alice);
    w.clock.advance(minutes(5));
  }
  const auto fields = form_fields(w.op.last("token").body.reveal());
  EXPECT_EQ(fields.at("grant_type"), "refresh_token");
  EXPECT_FALSE(fields.contains("scope")) << "all that was granted";
  EXPECT_FALSE(w.op.last("token").authorization.empty());
}

TEST(Renew, WhatHasChangedIsNew) {
  SignedIn w;
  w.op.claims.set("groups", Array{"staff"});
  w.op.claims.set("name", "Alice Other");
  const auto who = w.renew();
  ASSERT_TRUE(who.ok() && who->has_value());
  EXPECT_EQ((*who)->groups, std::set<std::string>{"staff"});
  EXPECT_EQ((*who)->display, "Alice Other");
  EXPECT_EQ((*who)->auth_time, w.alice.auth_time);
}

TEST(Renew, EveryWayToProveTheClient) {
  using core::ClientAuth;
  for (const ClientAuth method : {ClientAuth::basic, ClientAuth::post, ClientAuth::private_key_jwt, ClientAuth::none}) {
    SignedIn w([&](SignedIn& s) {
      s.spec.client_auth = method;
      if (method == ClientAuth::none) s.spec.client_secret.ref.clear(), s.op.client_secret.clear();
      if (method == ClientAuth::private_key_jwt)
        s.op.client_secret = crypto::SigningKey::generate(crypto::Alg::es256).to_pem().reveal();
    });
    EXPECT_EQ(w.check(), "") << static_cast<int>(method);
  }
}

TEST(Renew, OnlyInvalidGrantIsTheEnd) {
  const std::vector<std::tuple<int, std::string, std::string>> table = {
      {400, R"({"error":"invalid_grant"})", "idp.over"},
      {401, R"({"error":"invalid_grant"})", "idp.over"},
      {403, R"({"error":"invalid_grant","error_description":"Unknown or invalid refresh token."})", "idp.over"},
      {500, R"({"error":"invalid_grant"})", "token_endpoint.refused"},
      {302, R"({"error":"invalid_grant"})", "token_endpoint.refused"},
      {400, R"({"error":"invalid_client"})", "token_endpoint.refused"},
      {400, R"({"error":"interaction_required"})", "token_endpoint.refused"},
      {400, R"({"error":"INVALID_GRANT"})", "token_endpoint.refused"},
      {400, R"({"error":["invalid_grant"]})", "token_endpoint.status"},
      {400, R"({"error_description":"invalid_grant"})", "token_endpoint.status"},
      {400, "invalid_grant", "token_endpoint.status"},
      {200, R"({"error":"invalid_grant"})", "token_endpoint.shape"},
      {503, "", "token_endpoint.status"},
  };
  for (const auto& [status, body, check] : table) {
    SignedIn w;
    w.op.intercept = [&, s = status, b = body](const Request& r) -> std::optional<Result<Reply>> {
      if (!r.url.ends_with("/token")) return {};
      return Reply{s, "application/json", b};
    };
    const auto who = w.renew();
    ASSERT_FALSE(who.ok()) << status << body;
    EXPECT_EQ(who.error().check, check) << status << body;
    EXPECT_EQ(who.error().code == Code::ended, check == "idp.over") << status << body;
  }
  SignedIn w;
  w.op.intercept = [](const Request& r) -> std::optional<Result<Reply>> {
    if (!r.url.ends_with("/token")) return {};
    return Error{Code::timeout, "net.timeout", "no answer"};
  };
  EXPECT_EQ(w.check(), "token_endpoint.fetch");
  w.op.intercept = {};
  EXPECT_EQ(w.check(), "") << "and then it answers";
  w.op.end_sign_ins();
  EXPECT_EQ(w.check(), "idp.over");
}

TEST(Renew, AnIdTokenThatBreaksItsPromiseIsNotBelieved) {
  const std::int64_t then = 1'800'000'000;
  const std::vector<std::tuple<std::string, Value, std::string>> cases = {
      {"sub", "mallory", "id_token.sub"},
      {"iss", "https://other.example", "id_token.iss"},
      {"aud", "client-2", "id_token.aud"},
      {"aud", Array{"client-1", "client-2"}, "id_token.azp"},
      {"nonce", "another", "id_token.nonce"},
      {"auth_time", then + 200, "id_token.auth_time"},
      {"sid", "s-2", "id_token.sid"},
      {"iat", then - 1, "id_token.iat"},
      {"iat", then - 60, "id_token.iat"},
      {"exp", then, "id_token.exp"},
      {"at_hash", "AAAAAAAAAAAAAAAAAAAAAA", "id_token.at_hash"},
  };
  for (const auto& [claim, value, check] : cases) {
    SignedIn w;
    w.op.edit_claims = [&, c = claim, v = value](Object& all) { all.set(c, v); };
    const auto who = w.renew();
    ASSERT_FALSE(who.ok()) << claim;
    EXPECT_EQ(who.error().check, check) << claim;
    EXPECT_NE(who.error().code, Code::ended) << "nothing is known: " << claim;
    // The token that came with it is kept all the same: the one before it is used up.
    w.op.edit_claims = {};
    EXPECT_EQ(w.check(), "") << claim;
  }
  SignedIn forged;
  const crypto::SigningKey key = crypto::SigningKey::generate(crypto::Alg::es256);
  std::swap(forged.op.key, const_cast<crypto::SigningKey&>(key));
  EXPECT_FALSE(forged.check().empty());
}

TEST(Renew, AnOldTokenSaidAgainIsNotAnAnswer) {
  SignedIn w;
  const std::int64_t then = w.op.now();
  w.op.edit_claims = [&](Object& all) {
    all.set("iat", then);
    all.set("exp", then + 7200);
  };
  EXPECT_EQ(w.check(), "");
  w.clock.advance(minutes(4));
  EXPECT_EQ(w.check(), "") << "clocks differ";
  w.clock.advance(minutes(2));
  EXPECT_EQ(w.check(), "id_token.iat");
}

TEST(Renew, WhatTheLaterTokenIsSilentAboutStays) {
  SignedIn w;
  for (int i = 0; i < 2; ++i) {
    w.op.edit_claims = [](Object& all) {
      for (const char* name : {"acr", "sid", "auth_time"}) all.erase(name);
    };
    const auto who = w.renew();
    ASSERT_TRUE(who.ok() && who->has_value());
    EXPECT_EQ(**who, w.alice);
  }
  // A time of sign-in that the sign-in did not tell is not believed later.
  SignedIn other([](SignedIn& s) { s.op.edit_claims = [](Object& all) { all.erase("auth_time"); }; });
  other.op.edit_claims = {};
  const auto who = other.renew();
  ASSERT_TRUE(who.ok() && who->has_value());
  EXPECT_EQ((*who)->auth_time, base::WallTime{});
}

TEST(Renew, ANonceThatComesAgainIsThatOfTheSignIn) {
  SignedIn w;
  std::string nonce;
  {
    const auto kept = read_sign_in(w.spec, w.refresh);
    nonce = kept.value().claims.string_or("nonce");
  }
  ASSERT_FALSE(nonce.empty());
  EXPECT_EQ(w.check(), "") << "most send none";
  w.op.edit_claims = [&](Object& all) { all.set("nonce", nonce); };
  EXPECT_EQ(w.check(), "");
  w.op.edit_claims = [&](Object& all) { all.set("nonce", nonce + "x"); };
  EXPECT_EQ(w.check(), "id_token.nonce");
}

TEST(Renew, WithoutAnIdTokenNothingNewIsKnown) {
  SignedIn w;
  w.op.id_token_on_refresh = false;
  w.op.claims.set("groups", Array{});
  const auto who = w.renew();
  ASSERT_TRUE(who.ok()) << who.error().check;
  EXPECT_FALSE(who->has_value());
  EXPECT_EQ(w.check(), "") << "the next token serves";
}

TEST(Renew, WithoutAnIdTokenUserinfoSpeaksForWhatItSaid) {
  const auto world = [] {
    return SignedIn([](SignedIn& s) {
      s.spec.userinfo = true;
      s.spec.attributes = {{"level", "level", core::AttributeType::integer, false, ""},
                           {"team", "team", core::AttributeType::string, false, ""}};
      s.op.claims.erase("groups");
      s.op.claims.set("level", 7);
      s.op.userinfo.set("groups", Array{"data", "staff"});
      s.op.userinfo.set("team", "blue");
      s.op.id_token_on_refresh = false;
    });
  };
  auto w = world();
  EXPECT_EQ(w.alice.groups, (std::set<std::string>{"data", "staff"}));
  w.op.userinfo.set("groups", Array{"staff"});
  w.op.userinfo.erase("team");
  for (int i = 0; i < 2; ++i) {
    const auto who = w.renew();
    ASSERT_TRUE(who.ok() && who->has_value()) << who.error().check;
    EXPECT_EQ((*who)->groups, std::set<std::string>{"staff"});
    EXPECT_EQ((*who)->attributes.at("level"), core::AttributeValue(std::int64_t{7}))
        << "the sign-in's ID token said it";
    EXPECT_FALSE((*who)->attributes.contains("team"));
    EXPECT_EQ((*who)->auth_time, w.alice.auth_time);
  }
  // What both said is userinfo's from then on: the newer word.
  SignedIn both([](SignedIn& s) {
    s.spec.userinfo = true;
    s.op.userinfo.set("groups", Array{"data"});
    s.op.id_token_on_refresh = false;
  });
  EXPECT_EQ(both.alice.groups, (std::set<std::string>{"data", "staff"})) << "at the sign-in the token's counts";
  both.op.userinfo.erase("groups");
  const auto none = both.renew();
  ASSERT_TRUE(none.ok() && none->has_value());
  EXPECT_TRUE((*none)->groups.empty());
  w.op.userinfo.set("sub", "mallory");
  EXPECT_EQ(w.check(), "userinfo.sub");
  w.op.userinfo.set("sub", "alice");
  EXPECT_EQ(w.check(), "");
}

TEST(Renew, UserinfoThatDoesNotAnswerCostsNoToken) {
  SignedIn w([](SignedIn& s) { s.spec.userinfo = true; });
  w.op.intercept = [](const Request& r) -> std::optional<Result<Reply>> {
    if (!r.url.ends_with("/userinfo")) return {};
    return Reply{502, "text/html", ""};
  };
  EXPECT_EQ(w.check(), "userinfo.status");
  w.op.intercept = {};
  EXPECT_EQ(w.check(), "");
}

TEST(Renew, WhoWouldNotBeLetInIsNotKept) {
  SignedIn w([](SignedIn& s) {
    s.spec.groups_required = true;
    s.spec.groups_pattern = "da(.+)";
  });
  w.op.claims.set("groups", Array{"staff"});
  const auto who = w.renew();
  ASSERT_FALSE(who.ok());
  EXPECT_EQ(who.error().code, Code::ended);
  EXPECT_EQ(who.error().check, "mapping.required");
}

TEST(Renew, AProviderThatDoesNotRotateKeepsItsToken) {
  SignedIn w([](SignedIn& s) { s.op.rotates = false; });
  for (int i = 0; i < 3; ++i) EXPECT_EQ(w.check(), "");
  const auto first = read_sign_in(w.spec, w.refresh);
  EXPECT_EQ(first.value().refresh_token.reveal(), "refresh-2");
}

TEST(Renew, ATokenGoesToNobodyElse) {
  SignedIn w;
  w.spec.client_id = "client-2";
  w.make();
  const int before = w.op.count("token");
  EXPECT_EQ(w.check(), "oidc.refresh");
  w.spec.client_id = "client-1";
  w.spec.issuer = "https://other.example";
  w.make();
  EXPECT_EQ(w.check(), "oidc.refresh");
  EXPECT_EQ(w.op.count("token"), before);
  EXPECT_EQ(w.provider->renew(base::Secret(std::string_view("{}")), budget).who.error().check, "oidc.refresh");
  EXPECT_EQ(w.provider->renew(base::Secret(), budget).who.error().check, "oidc.refresh");
}

TEST(Renew, NoTokenIsInALogOrAnError) {
  SignedIn w;
  w.op.edit_token_reply = [](Object& r) { r.set("refresh_token", "refresh token with spaces"); };
  const auto who = w.renew();
  ASSERT_FALSE(who.ok());
  EXPECT_EQ(who.error().check, "token_endpoint.refresh_token");
  EXPECT_EQ((who.error().message + who.error().hint + w.logged).find("refresh-"), std::string::npos);
  EXPECT_EQ((who.error().message + who.error().hint + w.logged).find("with spaces"), std::string::npos);
}

TEST(Renew, TheAuthorizationRequestAsksForIt) {
  const auto asked = [](SignedIn& w, bool force) {
    w.make();
    const Begun begun = w.provider->begin({"https://dp.example/cb", force}, budget).value();
    return form_fields(begun.authorization_url.substr(begun.authorization_url.find('?') + 1));
  };
  SignedIn w;
  EXPECT_EQ(asked(w, false).at("scope"), "openid profile offline_access");
  EXPECT_FALSE(asked(w, false).contains("prompt"));
  w.spec.consent = true;
  EXPECT_EQ(asked(w, false).at("prompt"), "consent");
  EXPECT_EQ(asked(w, true).at("prompt"), "login consent");
  // Google has a parameter instead of the scope.
  w.op.issuer = w.spec.issuer = "https://accounts.google.com";
  const auto google = asked(w, false);
  EXPECT_EQ(google.at("scope"), "openid profile");
  EXPECT_EQ(google.at("access_type"), "offline");
  w.spec.scopes = {"profile"};
  EXPECT_FALSE(asked(w, false).contains("access_type"));
}

}  // namespace
}  // namespace daypass::idp::oidc
