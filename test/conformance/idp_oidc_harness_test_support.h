// A relying party of OpenID Connect, and a provider in memory that signs real tokens.
#pragma once

#include "conformance/idp_suite.h"
#include "idp/oidc/oidc.h"
#include "idp/oidc/scripted_op.h"

namespace daypass::idp::conformance {

class OidcHarness final : public Harness {
  using Array = base::json::Array;
  using Object = base::json::Object;
  using Alg = crypto::Alg;
  using SigningKey = crypto::SigningKey;

 public:
  OidcHarness() {
    core::IdpSpec spec;
    spec.name = "corp";
    spec.issuer = op_.issuer;
    spec.client_id = op_.client_id;
    spec.client_secret.ref = "env:SECRET";
    spec.groups_from = "groups";
    driver_ = oidc::make_oidc_driver(clock_, entropy_, log_, op_.fetch(),
                                     [this](const core::TenantId&, const core::SecretRef&) {
                                       return base::Result<base::Secret>(base::Secret(op_.client_secret));
                                     });
    provider_ = driver_->make(core::TenantId("default"), spec).value();
  }

  IdentityProvider& provider() override { return *provider_; }
  [[nodiscard]] LoginStart start() const override { return {"https://dp.example/t/default/idp/corp/callback", false}; }
  Callback sign_in(const std::string& url) override { return op_.authorize(url); }
  [[nodiscard]] std::string subject() const override { return "alice"; }

  std::vector<Attack> attacks() override {
    const auto claim = [this](const std::string& name, const base::json::Value& value) {
      return [this, name, value] { op_.edit_claims = [name, value](Object& claims) { claims.set(name, value); }; };
    };
    const auto header = [this](const std::string& text, bool keep_signature) {
      return [this, text, keep_signature] {
        op_.edit_token = [text, keep_signature](const std::string& token) {
          const std::size_t first = token.find('.');
          const std::size_t last = token.rfind('.') + 1;
          return base::base64url_encode(text) + token.substr(first, keep_signature ? std::string::npos : last - first);
        };
      };
    };
    return {
        {"wrong nonce", claim("nonce", "of-another-login"), {}, "id_token.nonce"},
        {"wrong aud", claim("aud", "another-client"), {}, "id_token.aud"},
        {"further aud", claim("aud", Array{"client-1", "another"}), {}, "id_token.azp"},
        {"wrong iss", claim("iss", "https://evil.example"), {}, "id_token.iss"},
        {"expired", claim("exp", 1'799'999'000), {}, "id_token.exp"},
        {"from the future", claim("iat", 1'800'001'000), {}, "id_token.iat"},
        {"another access token", claim("at_hash", "77QmUPtjPfzWtF2AnpK9RQ"), {}, "id_token.at_hash"},
        {"too many groups", claim("_claim_names", Object{{"groups", "src1"}}), {}, "mapping.overage"},
        {"no signature", header(R"({"alg":"none"})", false), {}, "jws.alg_not_allowed"},
        {"HMAC under the public key", header(R"({"alg":"HS256"})", true), {}, "jws.alg_not_allowed"},
        {"a key of its own in the header", header(R"({"alg":"ES256","jwk":{}})", true), {}, "jws.header_key"},
        {"another key", [this] { op_.key = SigningKey::generate(Alg::es256); }, {}, "jws.kid_unknown"},
        {"issuer of the metadata",
         [this] { op_.edit_discovery = [](Object& d) { d.set("issuer", "https://evil.example"); }; },
         {},
         "discovery.issuer"},
        {"no PKCE",
         [this] { op_.edit_discovery = [](Object& d) { d.set("code_challenge_methods_supported", Array{"plain"}); }; },
         {},
         "discovery.pkce"},
        {"no id token",
         [this] { op_.edit_token_reply = [](Object& r) { r.erase("id_token"); }; },
         {},
         "token_endpoint.id_token_missing"},
        {"iss parameter missing", {}, [](Callback& c, Begun&) { c.query.pop_back(); }, "oidc.iss_missing"},
        {"mix-up", {}, [](Callback& c, Begun&) { c.query.back().second = "https://evil.example"; }, "oidc.iss"},
        {"state of another login", {}, [](Callback& c, Begun&) { c.query[1].second += "x"; }, "oidc.state"},
        {"state missing", {}, [](Callback& c, Begun&) { c.query.erase(c.query.begin() + 1); }, "oidc.state_missing"},
        {"code twice", {}, [](Callback& c, Begun&) { c.query.emplace_back("code", "x"); }, "oidc.duplicate_parameter"},
        {"code of another login",
         {},
         [this](Callback& c, Begun&) {
           const Begun other = provider_->begin(start(), budget).value();
           c.query[0].second = op_.authorize(other.authorization_url).query[0].second;
         },
         "token_endpoint.refused"},
        {"verifier of another login",
         {},
         [](Callback&, Begun& b) { b.pending.as_object()->set("verifier", std::string(43, 'a')); },
         "token_endpoint.refused"},
        {"nonce of another login in our record",
         {},
         [](Callback&, Begun& b) { b.pending.as_object()->set("nonce", "n"); },
         "id_token.nonce"},
        {"record of another provider",
         {},
         [](Callback&, Begun& b) { b.pending.as_object()->set("idp", "other"); },
         "oidc.pending"},
        {"refused by the provider",
         {},
         [this](Callback& c, Begun& b) {
           c.query = {{"error", "access_denied"}, {"state", b.state}, {"iss", op_.issuer}};
         },
         "oidc.idp_error"},
    };
  }

  void lose_metadata(bool timeout) override { lose(timeout, false); }
  void lose_everything(bool timeout) override { lose(timeout, true); }
  void restore() override { op_.intercept = nullptr; }
  void new_key(bool published) override { op_.rotate(true, published); }
  void pass(base::Millis time) override { clock_.advance(time); }
  [[nodiscard]] int key_fetches() override { return op_.count("jwks"); }
  [[nodiscard]] std::vector<std::string> secrets() const override {
    return {op_.access_token, op_.client_secret, "code-1", "eyJ"};
  }

 private:
  void lose(bool timeout, bool everything) {
    op_.intercept = [=](const Request& r) -> std::optional<base::Result<Reply>> {
      if (!everything && r.url.ends_with("/token")) return std::nullopt;
      if (timeout) return base::Error{base::Code::timeout, "http.timeout", "no answer in time"};
      return base::Error{base::Code::unavailable, "http.connect", "connection refused"};
    };
  }

  oidc::testing::HandClock clock_;
  base::SeededEntropy entropy_{11};
  base::Log log_{clock_, base::Level::error, base::log_to_nowhere()};
  oidc::testing::ScriptedOp op_{clock_, "https://id.example", "client-1", "client-secret-text"};
  std::unique_ptr<idp::Driver> driver_;
  std::shared_ptr<IdentityProvider> provider_;
};

}  // namespace daypass::idp::conformance
