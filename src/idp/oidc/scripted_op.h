// For tests alone: an OpenID provider in memory behind a Fetch. It signs real tokens, checks PKCE, client and code as a
// provider must, and can be told to break each promise, one at a time. Never part of a library or of the binary.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/encoding.h"
#include "base/json.h"
#include "base/log.h"
#include "base/time.h"
#include "crypto/jose.h"
#include "idp/fetch.h"
#include "idp/idp.h"
#include "idp/test_support.h"
#include "idp/url.h"

namespace daypass::idp::oidc::testing {

using base::json::Array;
using base::json::Object;
using base::json::Value;

using idp::testing::form_decode;
using idp::testing::form_fields;
using idp::testing::HandClock;

class ScriptedOp {
 public:
  ScriptedOp(const base::Clock& clock, std::string issuer, std::string client_id, std::string client_secret)
      : issuer(std::move(issuer)),
        client_id(std::move(client_id)),
        client_secret(std::move(client_secret)),
        key(crypto::SigningKey::generate(crypto::Alg::es256)),
        clock_(clock) {
    published = {key.public_jwk()};
  }

  // What it is told to be. Set before it is used, or between two uses.
  std::string issuer, client_id, client_secret;
  crypto::SigningKey key;                              ///< signs the next token
  std::vector<Value> published;                        ///< keys in its JWKS
  bool iss_parameter = true;                           ///< promises iss, and sends it
  std::function<void(Object&)> edit_claims;            ///< of the next tokens, before they are signed
  std::function<std::string(std::string)> edit_token;  ///< after they are signed
  std::function<void(Object&)> edit_discovery;
  std::function<void(Object&)> edit_token_reply;
  std::function<std::optional<base::Result<Reply>>(const Request&)> intercept;  ///< answers in its place
  Object userinfo{{"sub", "alice"}};
  Object claims{{"sub", "alice"}, {"name", "Alice Example"}, {"groups", Array{"data", "staff"}}};
  Object graph{{"value", Array{"g-1", "g-2"}}};
  std::string access_token = "an-access-token";
  bool rotates = true;              ///< a refresh token serves once, and a second use ends them all
  bool id_token_on_refresh = true;  ///< else only an access token comes

  [[nodiscard]] Fetch fetch() {
    return [this](const Request& request) { return answer(request); };
  }
  /// How often an endpoint was asked: "discovery", "jwks", "token", "userinfo", "graph".
  [[nodiscard]] int count(const std::string& endpoint) {
    const std::lock_guard lock(mutex_);
    return counts_[endpoint];
  }
  [[nodiscard]] Request last(const std::string& endpoint) {
    const std::lock_guard lock(mutex_);
    return copy(last_.at(endpoint));
  }

  /// The person signs in: what the browser brings back.
  [[nodiscard]] Callback authorize(const std::string& authorization_url) {
    const auto fields = form_fields(authorization_url.substr(authorization_url.find('?') + 1));
    const std::lock_guard lock(mutex_);
    const std::string code = "code-" + std::to_string(++issued_);
    codes_[code] = fields;
    Callback callback;
    callback.query = {{"code", code}, {"state", fields.at("state")}};
    if (iss_parameter) callback.query.emplace_back("iss", issuer);
    return callback;
  }

  [[nodiscard]] std::string discovery_document() const {
    Object document{{"issuer", issuer},
                    {"authorization_endpoint", issuer + "/authorize"},
                    {"token_endpoint", issuer + "/token"},
                    {"jwks_uri", issuer + "/jwks"},
                    {"userinfo_endpoint", issuer + "/userinfo"},
                    {"response_types_supported", Array{"code"}},
                    {"subject_types_supported", Array{"public"}},
                    {"id_token_signing_alg_values_supported", Array{"ES256", "RS256"}},
                    {"code_challenge_methods_supported", Array{"S256"}},
                    {"token_endpoint_auth_methods_supported",
                     Array{"client_secret_basic", "client_secret_post", "private_key_jwt"}}};
    if (iss_parameter) document.set("authorization_response_iss_parameter_supported", true);
    if (edit_discovery) edit_discovery(document);
    return base::json::dump(document);
  }
  [[nodiscard]] std::string jwks() const {
    return base::json::dump(Object{{"keys", Array(published.begin(), published.end())}});
  }
  /// A key with a name of its own becomes the one that signs; with `keep_old`, the old ones stay published.
  void rotate(bool keep_old, bool publish = true) {
    key = crypto::SigningKey::generate(crypto::Alg::es256);
    if (!keep_old) published.clear();
    if (publish) published.push_back(key.public_jwk());
  }
  /// Somebody there ends every sign-in.
  void end_sign_ins() {
    const std::lock_guard lock(mutex_);
    refresh_tokens_.clear();
  }
  [[nodiscard]] std::int64_t now() const {
    return std::chrono::floor<base::Seconds>(clock_.wall()).time_since_epoch().count();
  }
  /// `nonce` empty: none, as for a refresh token.
  [[nodiscard]] std::string id_token(const std::string& nonce, std::int64_t auth_time) const {
    Object all{{"iss", issuer},      {"aud", client_id},       {"iat", now()},
               {"exp", now() + 300}, {"auth_time", auth_time}, {"at_hash", crypto::half_hash(key.alg(), access_token)}};
    if (!nonce.empty()) all.set("nonce", nonce);
    for (const auto& [name, value] : claims) all.set(name, value);
    if (edit_claims) edit_claims(all);
    const std::string token = key.sign(base::json::dump(all));
    return edit_token ? edit_token(token) : token;
  }

 private:
  static Request copy(const Request& from) {
    Request to;
    to.method = from.method;
    to.url = from.url;
    to.content_type = from.content_type;
    to.body = from.body.clone();
    to.authorization = from.authorization.clone();
    to.timeout = from.timeout;
    to.max_bytes = from.max_bytes;
    to.ca_file = from.ca_file;
    to.allowed_hosts = from.allowed_hosts;
    to.loopback = from.loopback;
    to.loopback_http = from.loopback_http;
    return to;
  }
  static Reply json(int status, const Object& body) { return {status, "application/json", base::json::dump(body)}; }

  [[nodiscard]] std::string endpoint_of(const std::string& url) const {
    if (url.ends_with("/.well-known/openid-configuration")) return "discovery";
    if (url.ends_with("/jwks")) return "jwks";
    if (url.ends_with("/token")) return "token";
    if (url.ends_with("/userinfo")) return "userinfo";
    return "graph";
  }

  base::Result<Reply> answer(const Request& request) {
    const std::string endpoint = endpoint_of(request.url);
    {
      const std::lock_guard lock(mutex_);
      ++counts_[endpoint];
      last_.insert_or_assign(endpoint, copy(request));
    }
    if (intercept)
      if (auto instead = intercept(request)) return std::move(*instead);
    if (endpoint == "discovery") return Reply{200, "application/json", discovery_document()};
    if (endpoint == "jwks") return Reply{200, "application/jwk-set+json", jwks()};
    if (endpoint == "token") return token(request);
    if (!request.authorization.equals("Bearer " + access_token)) return json(401, {{"error", "invalid_token"}});
    return json(200, endpoint == "userinfo" ? userinfo : graph);
  }

  [[nodiscard]] bool client_ok(const Request& request, const std::map<std::string, std::string>& form) const {
    const std::string basic = "Basic " + base::base64_encode(form_encode(client_id) + ":" + form_encode(client_secret));
    if (!request.authorization.empty()) return request.authorization.equals(basic) && !form.contains("client_id");
    const auto id = form.find("client_id");
    if (id == form.end() || id->second != client_id) return false;
    if (client_secret.empty() || form.contains("client_assertion")) return true;
    const auto secret = form.find("client_secret");
    return secret != form.end() && secret->second == client_secret;
  }

  base::Result<Reply> token(const Request& request) {
    const auto form = form_fields(request.body.reveal());
    if (!client_ok(request, form)) return json(401, {{"error", "invalid_client"}});
    if (form.at("grant_type") == "refresh_token") return refreshed(form.at("refresh_token"));
    std::map<std::string, std::string> asked;
    {
      const std::lock_guard lock(mutex_);
      const auto at = codes_.find(form.at("code"));
      if (at == codes_.end()) return json(400, {{"error", "invalid_grant"}, {"error_description", "unknown code"}});
      asked = std::move(at->second);
      codes_.erase(at);  // RFC 6749 section 4.1.2: once
    }
    if (crypto::pkce_s256(form.at("code_verifier")) != asked.at("code_challenge") ||
        asked.at("code_challenge_method") != "S256" || form.at("redirect_uri") != asked.at("redirect_uri"))
      return json(400, {{"error", "invalid_grant"}});
    const std::int64_t auth_time = now() - 5;
    Object reply{
        {"access_token", access_token}, {"token_type", "Bearer"}, {"id_token", id_token(asked.at("nonce"), auth_time)}};
    if ((" " + asked.at("scope") + " ").find(" offline_access ") != std::string::npos)
      reply.set("refresh_token", new_refresh_token(auth_time));
    if (edit_token_reply) edit_token_reply(reply);
    return json(200, reply);
  }

  std::string new_refresh_token(std::int64_t auth_time) {
    const std::lock_guard lock(mutex_);
    std::string token = "refresh-" + std::to_string(++issued_);
    refresh_tokens_[token] = auth_time;
    return token;
  }

  base::Result<Reply> refreshed(const std::string& token) {
    std::int64_t auth_time = 0;
    {
      const std::lock_guard lock(mutex_);
      const auto at = refresh_tokens_.find(token);
      if (at == refresh_tokens_.end()) {
        refresh_tokens_.clear();  // whoever uses one twice may be a thief
        return json(400, {{"error", "invalid_grant"}, {"error_description", "refresh token already used"}});
      }
      auth_time = at->second;
      if (rotates) refresh_tokens_.erase(at);
    }
    Object reply{{"access_token", access_token}, {"token_type", "Bearer"}};
    if (id_token_on_refresh) reply.set("id_token", id_token("", auth_time));
    if (rotates) reply.set("refresh_token", new_refresh_token(auth_time));
    if (edit_token_reply) edit_token_reply(reply);
    return json(200, reply);
  }

  const base::Clock& clock_;
  std::mutex mutex_;
  int issued_ = 0;
  std::map<std::string, std::map<std::string, std::string>> codes_;
  std::map<std::string, std::int64_t> refresh_tokens_;  // when the person signed in
  std::map<std::string, int> counts_;
  std::map<std::string, Request> last_;
};

}  // namespace daypass::idp::oidc::testing
