// The relying party against a provider in memory that signs real tokens: what an honest login gives, and what each
// broken promise of the provider, the browser or the network is called.
#include <gtest/gtest.h>

#include <barrier>
#include <future>

#include "idp/oidc/metadata.h"
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
using core::ClientAuth;
using crypto::Alg;
using crypto::SigningKey;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::form_fields;
using testing::HandClock;
using testing::ScriptedOp;

constexpr Millis budget = seconds(20);

struct World {
  HandClock clock;
  base::SeededEntropy entropy{42};
  std::vector<std::string> logged;
  base::Log log{clock, base::Level::debug, [this](std::string_view line) { logged.emplace_back(line); }};
  ScriptedOp op{clock, "https://id.example", "client-1", "s&cret"};
  core::IdpSpec spec;
  std::unique_ptr<Driver> driver;
  std::shared_ptr<IdentityProvider> provider;

  World() {
    spec.name = "corp";
    spec.issuer = op.issuer;
    spec.client_id = op.client_id;
    spec.client_secret.ref = "env:SECRET";
    spec.scopes = {"profile", "groups", "openid", "profile"};
    spec.groups_from = "groups";
    driver = make_oidc_driver(clock, entropy, log, op.fetch(),
                              [this](const core::TenantId&, const core::SecretRef& ref) -> Result<base::Secret> {
                                if (ref.ref != "env:SECRET")
                                  return Error{Code::invalid, "secret.missing", "no such secret"};
                                return base::Secret(op.client_secret);
                              });
    make();
  }
  void make() {
    auto made = driver->make(core::TenantId("default"), spec);
    ASSERT_TRUE(made.ok()) << made.error().message;
    provider = std::move(made).value();
  }
  [[nodiscard]] LoginStart start(bool force = false) const {
    return {"https://dp.example/t/default/idp/corp/callback", force};
  }
  Begun begin(bool force = false) { return provider->begin(start(force), budget).value(); }
  Result<Finished> login(bool force = false) {
    const Begun begun = begin(force);
    return provider->finish(op.authorize(begun.authorization_url), begun.pending, budget);
  }
  std::string check() {
    const auto result = login();
    return result.ok() ? "" : result.error().check;
  }
};

TEST(Provider, AnHonestLoginGivesAnIdentity) {
  World w;
  const auto result = w.login();
  ASSERT_TRUE(result.ok()) << result.error().check << ": " << result.error().message;
  const core::Identity& who = result->identity;
  EXPECT_EQ(who.principal(), "corp/alice");
  EXPECT_EQ(who.tenant.str(), "default");
  EXPECT_EQ(who.display, "Alice Example");
  EXPECT_EQ(who.groups, (std::set<std::string>{"data", "staff"}));
  EXPECT_EQ(who.auth_time, base::WallTime(seconds(1'800'000'000 - 5)));
  EXPECT_EQ(result->claims.string_or("iss"), "https://id.example");
}

TEST(Provider, TheAuthorizationRequestIsComplete) {
  World w;
  w.op.edit_discovery = [](Object& d) { d.set("authorization_endpoint", "https://id.example/authorize?tenant=a"); };
  const Begun begun = w.begin(true);
  EXPECT_TRUE(begun.authorization_url.starts_with("https://id.example/authorize?tenant=a&response_type=code&"));
  const auto fields = form_fields(begun.authorization_url.substr(begun.authorization_url.find('?') + 1));
  EXPECT_EQ(fields.at("client_id"), "client-1");
  EXPECT_EQ(fields.at("redirect_uri"), "https://dp.example/t/default/idp/corp/callback");
  EXPECT_EQ(fields.at("scope"), "openid profile groups");
  EXPECT_EQ(fields.at("prompt"), "login");
  EXPECT_EQ(fields.at("code_challenge_method"), "S256");
  EXPECT_EQ(fields.at("code_challenge"), crypto::pkce_s256(begun.pending.string_or("verifier")));
  EXPECT_EQ(fields.at("state"), begun.state);
  EXPECT_EQ(fields.at("nonce"), begun.pending.string_or("nonce"));
  for (const char* name : {"state", "nonce", "verifier"})
    EXPECT_EQ(base::base64url_decode(begun.pending.string_or(name)).value().size(), 32U) << name;
  const Begun other = w.begin();
  EXPECT_NE(other.state, begun.state);
  EXPECT_NE(other.pending.string_or("nonce"), begun.pending.string_or("nonce"));
  EXPECT_NE(other.pending.string_or("verifier"), begun.pending.string_or("verifier"));
  EXPECT_EQ(other.authorization_url.find("prompt="), std::string::npos);
  EXPECT_EQ(begun.authorization_url.find(begun.pending.string_or("verifier")), std::string::npos);
}

TEST(Provider, TheRedirectUriMustBeHttps) {
  World w;
  EXPECT_EQ(w.provider->begin({"http://dp.example/cb", false}, budget).error().check, "oidc.redirect_uri");
  EXPECT_EQ(w.provider->begin({"", false}, budget).error().check, "oidc.redirect_uri");
  EXPECT_TRUE(w.provider->begin({"http://127.0.0.1:8080/cb", false}, budget).ok());
}

TEST(Provider, EveryWayToProveTheClient) {
  for (const ClientAuth method : {ClientAuth::basic, ClientAuth::post, ClientAuth::private_key_jwt, ClientAuth::none}) {
    World w;
    w.spec.client_auth = method;
    if (method == ClientAuth::none) {
      w.spec.client_secret.ref.clear();
      w.op.client_secret.clear();
    }
    if (method == ClientAuth::private_key_jwt) w.op.client_secret = SigningKey::generate(Alg::es256).to_pem().reveal();
    w.make();
    EXPECT_EQ(w.check(), "") << static_cast<int>(method);
  }
}

TEST(Provider, ATokenThatBreaksItsPromiseIsNamed) {
  const std::int64_t now = 1'800'000'000;
  const std::vector<std::tuple<std::string, Value, std::string>> cases = {
      {"nonce", "another", "id_token.nonce"},
      {"aud", "client-2", "id_token.aud"},
      {"aud", Array{"client-1", "client-2"}, "id_token.azp"},
      {"iss", "https://evil.example", "id_token.iss"},
      {"exp", now - 31, "id_token.exp"},
      {"iat", now + 31, "id_token.iat"},
      {"at_hash", "AAAAAAAAAAAAAAAAAAAAAA", "id_token.at_hash"},
      {"sub", "", "id_token.sub"},
      {"acr", 5, "id_token.acr"},
      {"groups", 5, "mapping.type"},
      {"_claim_names", Object{{"groups", "src1"}}, "mapping.overage"},
  };
  for (const auto& [name, value, check] : cases) {
    World w;
    w.op.edit_claims = [&](Object& claims) { claims.set(name, value); };
    EXPECT_EQ(w.check(), check) << name << " = " << base::json::dump(value);
  }
  for (const auto& [name, check] : std::vector<std::pair<std::string, std::string>>{{"nonce", "id_token.nonce_missing"},
                                                                                    {"exp", "id_token.exp_missing"},
                                                                                    {"aud", "id_token.aud"},
                                                                                    {"iss", "id_token.iss"},
                                                                                    {"sub", "id_token.sub"}}) {
    World w;
    w.op.edit_claims = [&](Object& claims) { claims.erase(name); };
    EXPECT_EQ(w.check(), check) << name;
  }
}

TEST(Provider, ATokenOfAnotherAlgorithmOrKeyIsRefused) {
  World w;
  w.op.edit_token = [](const std::string& token) {
    const std::size_t first = token.find('.');
    return base::base64url_encode(R"({"alg":"none"})") + token.substr(first, token.rfind('.') - first) + ".";
  };
  EXPECT_EQ(w.check(), "jws.alg_not_allowed");
  w.op.edit_token = [](const std::string& token) {
    const std::size_t first = token.find('.');
    return base::base64url_encode(R"({"alg":"HS256"})") + token.substr(first);
  };
  EXPECT_EQ(w.check(), "jws.alg_not_allowed");
  w.op.edit_token = nullptr;
  w.op.key = SigningKey::generate(Alg::es256);  // not published
  EXPECT_EQ(w.check(), "jws.kid_unknown");
}

TEST(Provider, TheAlgorithmThatIsRegisteredIsTheOnlyOne) {
  World w;  // its provider signs with ES256
  w.spec.id_token_alg = "ES256";
  w.make();
  EXPECT_EQ(w.check(), "");
  w.op.key = SigningKey::generate(Alg::rs256);
  w.op.published.push_back(w.op.key.public_jwk());
  w.clock.advance(seconds(10));
  EXPECT_EQ(w.check(), "id_token.alg");
  w.spec.id_token_alg.clear();
  w.make();
  EXPECT_EQ(w.check(), "");
}

TEST(Provider, TheAnswerIsCheckedInOrder) {
  World w;
  const Begun begun = w.begin();
  const auto check = [&](Callback callback, const Value& pending) {
    const int exchanges = w.op.count("token");
    const auto result = w.provider->finish(callback, pending, budget);
    EXPECT_EQ(w.op.count("token"), exchanges) << "no code is sent anywhere before the answer is checked";
    return result.ok() ? std::string() : result.error().check;
  };
  using Query = std::vector<std::pair<std::string, std::string>>;
  const std::string iss = w.op.issuer;
  const auto& s = begun.state;
  const auto& p = begun.pending;
  EXPECT_EQ(check({Query{{"code", "c"}, {"state", "wrong"}, {"iss", "https://evil.example"}}}, p), "oidc.iss");
  EXPECT_EQ(check({Query{{"error", "access_denied"}, {"state", s}, {"iss", iss + "/"}}}, p), "oidc.iss");
  EXPECT_EQ(check({Query{{"code", "c"}, {"iss", iss}}}, p), "oidc.state_missing");
  EXPECT_EQ(check({Query{{"code", "c"}, {"state", s + "x"}, {"iss", iss}}}, p), "oidc.state");
  EXPECT_EQ(check({Query{{"code", "c"}, {"state", ""}, {"iss", iss}}}, p), "oidc.state");
  EXPECT_EQ(check({Query{{"code", "c"}, {"state", s}}}, p), "oidc.iss_missing");
  EXPECT_EQ(check({Query{{"error", "access_denied"}, {"state", s}}}, p), "oidc.iss_missing");
  EXPECT_EQ(check({Query{{"error", "access_denied"}, {"state", s}, {"iss", iss}}}, p), "oidc.idp_error");
  EXPECT_EQ(check({Query{{"error", "access_denied"}, {"code", "c"}, {"state", s}, {"iss", iss}}}, p), "oidc.idp_error");
  EXPECT_EQ(check({Query{{"state", s}, {"iss", iss}}}, p), "oidc.code");
  EXPECT_EQ(check({Query{{"code", ""}, {"state", s}, {"iss", iss}}}, p), "oidc.code");
  EXPECT_EQ(check({Query{{"code", "a\nb"}, {"state", s}, {"iss", iss}}}, p), "oidc.code");
  EXPECT_EQ(check({Query{{"code", std::string(9000, 'c')}, {"state", s}, {"iss", iss}}}, p), "oidc.code");
  for (const char* name : {"code", "state", "iss", "error", "session_state"}) {
    Query twice{{"code", "c"}, {"state", s}, {"iss", iss}};
    twice.emplace_back(name, name == std::string("state") ? s : "c");
    twice.emplace_back(name, name == std::string("state") ? s : "c");
    EXPECT_EQ(check({twice}, p), "oidc.duplicate_parameter") << name;
  }
  Query large{{"code", "c"}, {"state", s}, {"iss", iss}, {"x", std::string(17'000, 'x')}};
  EXPECT_EQ(check({large}, p), "oidc.too_large");
  Query many;
  for (int i = 0; i < 65; ++i) many.emplace_back("x" + std::to_string(i), "");
  EXPECT_EQ(check({many}, p), "oidc.too_large");
}

TEST(Provider, WithoutThePromiseIssMayBeMissing) {
  World w;
  w.op.iss_parameter = false;
  EXPECT_EQ(w.check(), "");
  const Begun begun = w.begin();
  Callback callback = w.op.authorize(begun.authorization_url);
  callback.query.emplace_back("iss", "https://evil.example");
  EXPECT_EQ(w.provider->finish(callback, begun.pending, budget).error().check, "oidc.iss");
}

TEST(Provider, ErrorsOfTheProviderAreShownBoundedAndPlain) {
  World w;
  const auto error = [&](const std::string& code, const std::string& description) {
    const Begun begun = w.begin();
    return w.provider
        ->finish({{{"error", code}, {"error_description", description}, {"state", begun.state}, {"iss", w.op.issuer}}},
                 begun.pending, budget)
        .error();
  };
  EXPECT_EQ(error("access_denied", "").code, Code::denied);
  EXPECT_EQ(error("login_required", "").code, Code::unauthenticated);
  EXPECT_EQ(error("server_error", "").code, Code::unavailable);
  const Error shown = error("x<b>\x1b", "tell \u202e\n" + std::string(1000, 'y'));
  EXPECT_EQ(shown.code, Code::invalid);
  EXPECT_EQ(shown.message, "the identity provider refused: xb (tell " + std::string(195, 'y') + ")");
}

TEST(Provider, APendingLoginFitsOneProviderAndItsSettings) {
  World w;
  const Begun begun = w.begin();
  const Callback callback = w.op.authorize(begun.authorization_url);
  const auto check = [&](const std::string& name, const Value& value) {
    Value pending = begun.pending;
    pending.as_object()->set(name, value);
    return w.provider->finish(callback, pending, budget).error().check;
  };
  EXPECT_EQ(check("idp", "other"), "oidc.pending");
  EXPECT_EQ(check("issuer", "https://other.example"), "oidc.pending");
  EXPECT_EQ(check("client_id", "client-2"), "oidc.pending");
  EXPECT_EQ(check("v", 2), "oidc.pending");
  EXPECT_EQ(check("nonce", ""), "oidc.pending");
  EXPECT_EQ(check("verifier", 7), "oidc.pending");
  EXPECT_EQ(w.provider->finish(callback, Value(), budget).error().check, "oidc.pending");
  EXPECT_EQ(w.op.count("token"), 0);
  EXPECT_TRUE(w.provider->finish(callback, begun.pending, budget).ok()) << "and the honest one still works";
}

TEST(Provider, ACodeWorksOnceAndOnlyWithItsOwnVerifier) {
  World w;
  const Begun begun = w.begin();
  const Callback callback = w.op.authorize(begun.authorization_url);
  EXPECT_TRUE(w.provider->finish(callback, begun.pending, budget).ok());
  const auto again = w.provider->finish(callback, begun.pending, budget);
  EXPECT_EQ(again.error().check, "token_endpoint.refused");
  EXPECT_EQ(again.error().code, Code::unauthenticated);

  // An attacker's code under the victim's state: the verifier is not the one that the code was bound to.
  const Begun victim = w.begin();
  const Begun attacker = w.begin();
  Callback injected = w.op.authorize(attacker.authorization_url);
  injected.query[1].second = victim.state;
  EXPECT_EQ(w.provider->finish(injected, victim.pending, budget).error().check, "token_endpoint.refused");
}

TEST(Provider, AForcedLoginMustBeFresh) {
  World w;
  w.op.edit_claims = [](Object& claims) { claims.set("auth_time", 1'800'000'000 - 3600); };
  EXPECT_EQ(w.check(), "") << "a login that is not forced may use a session of the provider";
  EXPECT_EQ(w.login(true).error().check, "id_token.auth_time");
  w.op.edit_claims = [](Object& claims) { claims.erase("auth_time"); };
  EXPECT_EQ(w.login(true)->identity.auth_time, base::WallTime{}) << "unknown is never fresh";
}

TEST(Provider, ASecretThatCannotBeReadStopsBeforeTheNetwork) {
  World w;
  w.spec.client_secret.ref = "env:OTHER";
  w.make();
  EXPECT_EQ(w.check(), "secret.missing");
  EXPECT_EQ(w.op.count("token"), 0);
  EXPECT_EQ(w.provider->probe(budget).error().check, "secret.missing");
}

TEST(Provider, SignsOutAtTheEndSessionEndpoint) {
  const std::string base = "https://dp.example/t/default/idp/corp";
  World w;
  EXPECT_TRUE(w.login()->logout.is_null()) << "the provider has none";
  EXPECT_EQ(w.provider->begin_logout(Object{{"v", 1}, {"issuer", w.op.issuer}}, base, budget).error().check,
            "idp.no_logout");
  w.op.edit_discovery = [](Object& d) { d.set("end_session_endpoint", "https://id.example/end?tenant=a"); };
  w.clock.advance(hours(2));
  const auto begin = [&](const Object& claims) {
    w.op.edit_claims = [claims](Object& c) {
      for (const auto& [name, value] : claims) c.set(name, value);
    };
    const auto finished = w.login();
    EXPECT_TRUE(finished.ok()) << finished.error().check;
    return w.provider->begin_logout(finished->logout, base, budget).value();
  };
  const LogoutBegun plain = begin({});
  EXPECT_TRUE(plain.url.starts_with("https://id.example/end?tenant=a&client_id=client-1&")) << plain.url;
  const auto fields = form_fields(plain.url.substr(plain.url.find('?') + 1));
  EXPECT_EQ(fields.at("post_logout_redirect_uri"), base + "/logout");
  EXPECT_EQ(fields.at("state"), plain.key);
  EXPECT_EQ(base::base64url_decode(plain.key).value().size(), 32U);
  EXPECT_FALSE(fields.contains("logout_hint"));
  EXPECT_FALSE(fields.contains("id_token_hint"));
  const auto hint = [&](const Object& claims) {
    const LogoutBegun begun = begin(claims);
    return form_fields(begun.url).at("logout_hint");
  };
  EXPECT_EQ(hint({{"sid", "s-1"}}), "s-1");
  EXPECT_EQ(hint({{"sid", "s-1"}, {"login_hint", "O.x"}}), "O.x") << "what Entra ID asks for";

  const auto answer = [&](std::vector<std::pair<std::string, std::string>> query, bool posted = false) {
    return w.provider->logout_answer(LogoutMessage{std::move(query), "", posted, base}, budget);
  };
  EXPECT_EQ(answer({{"state", "x"}, {"other", "y"}})->key, "x");
  EXPECT_EQ(answer({{"state", "x"}})->outcome, LogoutOutcome::unsaid);
  EXPECT_EQ(answer({{"state", "x"}, {"state", "x"}}).error().check, "oidc.duplicate_parameter");
  EXPECT_EQ(answer({{"state", ""}}).error().check, "oidc.state_missing");
  EXPECT_EQ(answer({{"SAMLResponse", "x"}}, true).error().check, "oidc.state_missing");
  const base::json::Value other = Object{{"v", 1}, {"issuer", "https://other.example"}, {"hint", ""}};
  EXPECT_EQ(w.provider->begin_logout(other, base, budget).error().check, "idp.no_logout");
}

TEST(Provider, UserinfoFillsInBeneathTheToken) {
  World w;
  w.spec.userinfo = true;
  w.spec.attributes = {{"team", "team", core::AttributeType::string, true, ""}};
  w.make();
  w.op.userinfo = {{"sub", "alice"}, {"team", "red"}, {"groups", Array{"admin"}}, {"acr", "mfa"}};
  const auto who = w.login();
  ASSERT_TRUE(who.ok()) << who.error().message;
  EXPECT_EQ(std::get<std::string>(who->identity.attributes.at("team")), "red");
  EXPECT_EQ(who->identity.groups, (std::set<std::string>{"data", "staff"}));
  EXPECT_EQ(who->identity.acr, "");
  w.op.userinfo.set("sub", "mallory");
  EXPECT_EQ(w.check(), "userinfo.sub");
  w.op.intercept = [](const Request& r) -> std::optional<Result<Reply>> {
    if (!r.url.ends_with("/userinfo")) return std::nullopt;
    return Error{Code::timeout, "http.timeout", "too slow"};
  };
  EXPECT_EQ(w.check(), "userinfo.fetch");
}

TEST(Provider, OverageIsFetchedFromTheTenantsOwnAddress) {
  World w;
  w.spec.overage = core::Overage::fetch;
  w.spec.overage_url = "https://graph.example/v1.0/me/getMemberObjects";
  w.make();
  w.op.claims = {{"sub", "alice"},
                 {"_claim_names", Object{{"groups", "src1"}}},
                 {"_claim_sources", Object{{"src1", Object{{"endpoint", "https://evil.example/take-the-token"}}}}}};
  const auto who = w.login();
  ASSERT_TRUE(who.ok()) << who.error().message;
  EXPECT_EQ(who->identity.groups, (std::set<std::string>{"g-1", "g-2"}));
  const Request asked = w.op.last("graph");
  EXPECT_EQ(asked.url, w.spec.overage_url);
  EXPECT_EQ(asked.method, "POST");
  EXPECT_EQ(asked.body.reveal(), R"({"securityEnabledOnly":true})");
  EXPECT_TRUE(asked.authorization.equals("Bearer an-access-token"));

  w.op.graph = {{"value", Array{"g-1"}}, {"@odata.nextLink", "https://graph.example/next"}};
  EXPECT_EQ(w.check(), "overage.paged");
  w.spec.overage_url = "https://graph.example/groups";
  w.op.graph = {{"value", Array{"g-3"}}};
  w.make();
  EXPECT_EQ(w.login()->identity.groups, std::set<std::string>{"g-3"});
  EXPECT_EQ(w.op.last("graph").method, "GET");

  w.spec.overage = core::Overage::refuse;
  w.spec.overage_url.clear();
  w.make();
  const int asked_before = w.op.count("graph");
  EXPECT_EQ(w.check(), "mapping.overage");
  EXPECT_EQ(w.op.count("graph"), asked_before);
}

TEST(Provider, GroupsThatFitAreNotFetched) {
  World w;
  w.spec.overage = core::Overage::fetch;
  w.spec.overage_url = "https://graph.example/v1.0/me/getMemberObjects";
  w.make();
  EXPECT_EQ(w.login()->identity.groups, (std::set<std::string>{"data", "staff"}));
  EXPECT_EQ(w.op.count("graph"), 0);
}

TEST(Provider, KeysRotate) {
  World w;
  EXPECT_EQ(w.check(), "");
  w.op.rotate(false);
  w.clock.advance(seconds(10));
  EXPECT_EQ(w.check(), "");
  EXPECT_EQ(w.op.count("jwks"), 2);
  w.op.rotate(true);
  EXPECT_EQ(w.check(), "jws.kid_unknown") << "again within ten seconds: no fetch";
  EXPECT_EQ(w.op.count("jwks"), 2);
  w.clock.advance(seconds(10));
  EXPECT_EQ(w.check(), "");
  EXPECT_EQ(w.op.count("jwks"), 3);
}

TEST(Provider, AKeyThatChangesUnderItsNameIsFetchedAgain) {
  World w;
  const auto named = [&](const SigningKey& key) {
    return SigningKey::from_pem(key.to_pem(), Alg::es256, "k1").value();
  };
  w.op.key = named(SigningKey::generate(Alg::es256));
  w.op.published = {w.op.key.public_jwk()};
  EXPECT_EQ(w.check(), "");
  w.op.key = named(SigningKey::generate(Alg::es256));
  w.op.published = {w.op.key.public_jwk()};
  EXPECT_EQ(w.check(), "jws.signature");
  w.clock.advance(seconds(10));
  EXPECT_EQ(w.check(), "");
}

TEST(Provider, AFloodOfUnknownKidsIsFetchedOnceInTenSeconds) {
  World w;
  EXPECT_EQ(w.check(), "");
  const SigningKey honest = w.op.key;
  w.clock.advance(seconds(10));
  // Steps that never leave less than the two seconds for which a caller would wait for its turn.
  for (int i = 0; i < 24; ++i) {
    w.op.key = SigningKey::generate(Alg::es256);
    EXPECT_EQ(w.check(), "jws.kid_unknown");
    w.clock.advance(Millis(2500));
  }
  EXPECT_LE(w.op.count("jwks"), 1 + 6);
  EXPECT_GE(w.op.count("jwks"), 1 + 5);
  w.op.key = honest;
  EXPECT_EQ(w.check(), "");
}

TEST(Provider, OneUnknownKidIsNotLookedForAgainAtOnce) {
  World w;
  EXPECT_EQ(w.check(), "");
  w.op.key = SigningKey::generate(Alg::es256);
  w.clock.advance(seconds(10));
  EXPECT_EQ(w.check(), "jws.kid_unknown");
  EXPECT_EQ(w.op.count("jwks"), 2);
  w.clock.advance(seconds(20));
  EXPECT_EQ(w.check(), "jws.kid_unknown");
  EXPECT_EQ(w.op.count("jwks"), 2);
  w.clock.advance(seconds(10));
  w.op.published.push_back(w.op.key.public_jwk());
  EXPECT_EQ(w.check(), "");
  EXPECT_EQ(w.op.count("jwks"), 3);
}

TEST(Provider, LastGoodMetadataServesWhileTheProviderIsAway) {
  World w;
  EXPECT_EQ(w.check(), "");
  w.op.intercept = [](const Request& r) -> std::optional<Result<Reply>> {
    if (r.url.ends_with("/token")) return std::nullopt;
    return Reply{503, "text/html", "down"};
  };
  w.clock.advance(hours(2));
  EXPECT_EQ(w.check(), "");
  EXPECT_EQ(w.provider->probe(budget).error().check, "discovery.status");
  w.clock.advance(hours(23));
  EXPECT_EQ(w.provider->begin(w.start(), budget).error().check, "discovery.status");
  w.op.intercept = nullptr;
  w.clock.advance(seconds(10));
  EXPECT_EQ(w.check(), "");
  EXPECT_TRUE(w.provider->probe(budget).ok());
  EXPECT_FALSE(w.logged.empty());
}

TEST(Provider, ASlowProviderIsATimeout) {
  const auto slow = [](const std::string& end) {
    return [end](const Request& r) -> std::optional<Result<Reply>> {
      if (!r.url.ends_with(end)) return std::nullopt;
      return Error{Code::timeout, "http.timeout", "no answer in " + std::to_string(r.timeout.count()) + " ms"};
    };
  };
  World w;
  w.op.intercept = slow("openid-configuration");
  auto failed = w.provider->begin(w.start(), budget);
  EXPECT_EQ(failed.error().check, "discovery.fetch");
  EXPECT_EQ(failed.error().code, Code::timeout);
  EXPECT_NE(failed.error().message.find("in 10000 ms"), std::string::npos) << failed.error().message;
  w.clock.advance(seconds(1));
  failed = w.provider->begin(w.start(), Millis(1500));
  EXPECT_NE(failed.error().message.find("in 1500 ms"), std::string::npos) << failed.error().message;
  w.clock.advance(seconds(1));
  EXPECT_EQ(w.provider->begin(w.start(), Millis(0)).error().code, Code::timeout);

  w.op.intercept = slow("/jwks");
  EXPECT_EQ(w.check(), "jwks.fetch");
  w.clock.advance(seconds(1));
  w.op.intercept = slow("/token");
  EXPECT_EQ(w.check(), "token_endpoint.fetch");
}

TEST(Provider, WhatMayNotBeAskedOrDoesNotEndIsToldFromNoAnswer) {
  World w;
  std::string why;
  w.op.intercept = [&](const Request& r) -> std::optional<Result<Reply>> {
    if (!r.url.ends_with("/token")) return std::nullopt;
    return Error{Code::denied, why, "connecting to id.example is not allowed", "of the client"};
  };
  for (const std::string name : {"too_large", "egress"}) {
    why = "http." + name;
    const auto failed = w.login();
    ASSERT_FALSE(failed.ok());
    EXPECT_EQ(failed.error().check, "token_endpoint." + name);
    EXPECT_EQ(failed.error().hint.find("allowed_hosts") != std::string::npos, name == "egress") << failed.error().hint;
  }
  why = "http.tls";
  EXPECT_EQ(w.check(), "token_endpoint.fetch");
}

TEST(Provider, EveryRefusalSaysWhatToDo) {
  World w;
  const auto hint = [&] {
    const auto result = w.login();
    return result.ok() ? std::string() : result.error().hint;
  };
  w.op.edit_claims = [](Object& claims) { claims.set("sub", ""); };
  EXPECT_NE(hint().find("whoever runs the provider"), std::string::npos);
  w.op.edit_claims = [](Object& claims) { claims.set("nonce", "another"); };
  EXPECT_NE(hint().find("sign in again"), std::string::npos) << "the check's own words";
  w.op.edit_claims = nullptr;
  w.op.edit_token = [](const std::string& token) { return token.substr(0, token.size() - 4) + "AAAA"; };
  EXPECT_NE(hint().find("the key that it signs with"), std::string::npos);

  World other;
  other.op.edit_discovery = [](Object& document) { document.erase("jwks_uri"); };
  EXPECT_NE(other.provider->begin(other.start(), budget).error().hint.find("check issuer"), std::string::npos);
  const LogoutMessage message{.fields = {{"token", "x"}}, .raw_query = {}, .posted = true, .base = {}};
  EXPECT_FALSE(w.provider->signed_out(message, budget).error().hint.empty());
}

TEST(Provider, HugeAndBrokenDocumentsAreRefused) {
  World w;
  const auto answer = [](const std::string& end, const std::string& body) {
    return [=](const Request& r) -> std::optional<Result<Reply>> {
      if (!r.url.ends_with(end)) return std::nullopt;
      return Reply{200, "application/json", body};
    };
  };
  const std::string huge(10'000'000, ' ');
  w.op.intercept = answer("openid-configuration", huge);
  EXPECT_EQ(w.provider->begin(w.start(), budget).error().check, "discovery.too_large");
  w.clock.advance(seconds(1));
  w.op.intercept = answer("openid-configuration", "<html>");
  EXPECT_EQ(w.provider->begin(w.start(), budget).error().check, "discovery.syntax");
  w.clock.advance(seconds(1));
  for (const auto& [body, check] : std::vector<std::pair<std::string, std::string>>{
           {huge, "jwks.too_large"}, {"[]", "jwks.shape"}, {"{", "jwks.syntax"}, {R"({"keys":[]})", "jwks.no_keys"}}) {
    w.op.intercept = answer("/jwks", body);
    EXPECT_EQ(w.check(), check);
    w.clock.advance(seconds(1));
  }
  w.op.intercept = answer("/token", huge);
  EXPECT_EQ(w.check(), "token_endpoint.too_large");
}

TEST(Metadata, OnlyAnIssuerOnLoopbackReachesLoopback) {
  core::IdpSpec spec;
  for (const auto& [issuer, loopback, http] : {std::tuple{"https://id.example", false, false},
                                               {"https://localhost:8443", true, false},
                                               {"https://127.0.0.1:8443/realm", true, false},
                                               {"http://localhost:8080", true, true},
                                               {"http://id.example", false, false},
                                               {"https://localhost.example", false, false},
                                               {"", false, false}}) {
    spec.issuer = issuer;
    EXPECT_EQ(Reach::of(spec, spec.issuer).loopback, loopback) << issuer;
    EXPECT_EQ(Reach::of(spec, spec.issuer).loopback_http, http) << issuer;
  }
}

TEST(Provider, EveryRequestCarriesTheProvidersReach) {
  World w;
  w.spec.ca_file = "/etc/ssl/corp.pem";
  w.spec.allowed_hosts = {"id.example"};
  w.spec.userinfo = true;
  w.make();
  EXPECT_EQ(w.check(), "");
  for (const char* endpoint : {"discovery", "jwks", "token", "userinfo"}) {
    const Request request = w.op.last(endpoint);
    EXPECT_EQ(request.ca_file, "/etc/ssl/corp.pem") << endpoint;
    EXPECT_EQ(request.allowed_hosts, std::vector<std::string>{"id.example"}) << endpoint;
    EXPECT_FALSE(request.loopback || request.loopback_http) << endpoint;
    EXPECT_LE(request.max_bytes, std::size_t{1} << 20U) << endpoint;
    EXPECT_GT(request.timeout, Millis(0)) << endpoint;
    EXPECT_LE(request.timeout, seconds(15)) << endpoint;
  }
}

TEST(Provider, AnswerOfAnotherProviderIsRefused) {
  // Mix-up (RFC 9207): the honest provider's answer arrives where the attacker's was begun, and the other way round.
  World honest;
  World evil;
  evil.op.issuer = evil.spec.issuer = "https://evil.example";
  evil.spec.name = "evil";
  evil.make();
  const Begun at_evil = evil.begin();
  Callback callback = honest.op.authorize(honest.begin().authorization_url);
  callback.query[1].second = at_evil.state;
  EXPECT_EQ(evil.provider->finish(callback, at_evil.pending, budget).error().check, "oidc.iss");
  EXPECT_EQ(evil.op.count("token"), 0) << "the honest provider's code is not given to the other";
  EXPECT_EQ(honest.provider->finish(callback, at_evil.pending, budget).error().check, "oidc.pending");
}

TEST(Provider, MetadataIsSharedPerTenantAndIssuer) {
  World w;
  EXPECT_EQ(w.check(), "");
  w.make();
  EXPECT_EQ(w.check(), "");
  EXPECT_EQ(w.op.count("discovery"), 1) << "a reload keeps what is known";
  EXPECT_EQ(w.op.count("jwks"), 1);
  const auto other = w.driver->make(core::TenantId("other"), w.spec).value();
  EXPECT_TRUE(other->begin(w.start(), budget).ok());
  EXPECT_EQ(w.op.count("discovery"), 2) << "nothing crosses tenants";
}

TEST(Provider, ManyLoginsAtOnce) {
  World w;
  constexpr int threads = 4;
  std::barrier together(threads);
  std::vector<std::future<int>> runs;
  for (int t = 0; t < threads; ++t)
    runs.push_back(std::async(std::launch::async, [&] {
      together.arrive_and_wait();
      int ok = 0;
      for (int i = 0; i < 8; ++i) ok += w.login().ok() ? 1 : 0;
      return ok;
    }));
  for (auto& run : runs) EXPECT_EQ(run.get(), 8);
  EXPECT_EQ(w.op.count("discovery"), 1);
  EXPECT_EQ(w.op.count("jwks"), 1);
}

TEST(Driver, ValidatesSettings) {
  World w;
  const auto check = [&](const std::function<void(core::IdpSpec&)>& change) {
    core::IdpSpec spec = w.spec;
    change(spec);
    const auto status = w.driver->validate(spec);
    const auto made = w.driver->make(core::TenantId("default"), spec);
    EXPECT_EQ(status.ok(), made.ok());
    return status.ok() ? std::string() : status.error().check;
  };
  using S = core::IdpSpec;
  EXPECT_EQ(check([](S&) {}), "");
  EXPECT_EQ(check([](S& s) { s.protocol = "saml"; }), "idp.protocol");
  EXPECT_EQ(check([](S& s) { s.issuer = "http://id.example"; }), "idp.issuer");
  EXPECT_EQ(check([](S& s) { s.issuer = "https://login.microsoftonline.com/common/v2.0"; }), "idp.issuer_template");
  EXPECT_EQ(check([](S& s) { s.client_id = ""; }), "idp.client_id");
  EXPECT_EQ(check([](S& s) { s.client_id = "a\nb"; }), "idp.client_id");
  EXPECT_EQ(check([](S& s) { s.client_secret.ref = ""; }), "idp.client_secret");
  EXPECT_EQ(check([](S& s) { s.client_auth = ClientAuth::none; }), "idp.client_secret");
  EXPECT_EQ(check([](S& s) { s.scopes = {"a b"}; }), "idp.scopes");
  EXPECT_EQ(check([](S& s) { s.scopes = {""}; }), "idp.scopes");
  EXPECT_EQ(check([](S& s) { s.scopes.assign(33, "a"); }), "idp.scopes");
  EXPECT_EQ(check([](S& s) { s.id_token_alg = "none"; }), "idp.id_token_alg");
  EXPECT_EQ(check([](S& s) { s.id_token_alg = "ES256"; }), "");
  EXPECT_EQ(check([](S& s) { s.session_max = Millis(0); }), "idp.session_max");
  EXPECT_EQ(check([](S& s) { s.subject_from = "email"; }), "mapping.subject_from");
  EXPECT_EQ(check([](S& s) { s.overage = core::Overage::fetch; }), "idp.overage_url");
  const auto fetching = [](S& s) {
    s.overage = core::Overage::fetch;
    s.overage_url = "https://graph.example/x";
  };
  EXPECT_EQ(check(fetching), "");
  EXPECT_EQ(check([&](S& s) {
              fetching(s);
              s.overage_url = "http://graph.example/x";
            }),
            "idp.overage_url");
  EXPECT_EQ(check([&](S& s) {
              fetching(s);
              s.groups_from = "/a/b";
            }),
            "idp.overage_url");
  EXPECT_EQ(check([&](S& s) {
              fetching(s);
              s.overage = core::Overage::refuse;
            }),
            "idp.overage_url");
  EXPECT_EQ(w.driver->protocol(), "oidc");
}

TEST(Provider, SecretsStayOutOfTheLog) {
  World w;
  w.op.intercept = [](const Request& r) -> std::optional<Result<Reply>> {
    if (r.url.ends_with("/jwks")) return Reply{500, "", "secret-body"};
    return std::nullopt;
  };
  const Begun begun = w.begin();
  (void)w.provider->finish(w.op.authorize(begun.authorization_url), begun.pending, budget);
  ASSERT_FALSE(w.logged.empty());
  for (const auto& line : w.logged)
    for (const std::string& secret :
         {begun.state, begun.pending.string_or("nonce"), begun.pending.string_or("verifier"), std::string("s&cret"),
          std::string("an-access-token"), std::string("secret-body")})
      EXPECT_EQ(line.find(secret), std::string::npos) << line;
}

}  // namespace
}  // namespace daypass::idp::oidc
