#include "app/demo/idp.h"

#include "base/encoding.h"

namespace daypass::app::demo {

namespace json = base::json;
using net::HttpResponse;

const std::vector<Account>& DemoIdp::accounts() {
  static const std::vector<Account> list{{"dana", "Dana (data department)", "data", "data"},
                                         {"sam", "Sam (support)", "support", "support"}};
  return list;
}

DemoIdp::DemoIdp(net::IoThreads& threads, const base::Clock& clock, base::Entropy& entropy, const base::Log& log)
    : threads_(threads),
      clock_(clock),
      entropy_(entropy),
      log_(log),
      key_(crypto::SigningKey::generate(crypto::Alg::es256)),
      client_secret_(base::random_token(entropy, 32)) {}

base::Status DemoIdp::start() {
  DP_TRY(auto listener, net::Listener::listen_tcp(threads_, log_, "127.0.0.1", 0));
  issuer_ = "http://127.0.0.1:" + std::to_string(listener->port());
  http_ = std::make_unique<net::HttpServer>([this](net::HttpRequest r) { return serve(std::move(r)); },
                                            net::HttpLimits(), log_, clock_, entropy_);
  http_->serve(std::move(listener));
  return {};
}

void DemoIdp::stop() {
  http_.reset();
}

net::awaitable<HttpResponse> DemoIdp::serve(net::HttpRequest r) {
  if (r.path == "/.well-known/openid-configuration") co_return discovery();
  if (r.path == "/jwks") co_return HttpResponse::json(200, json::Object{{"keys", json::Array{key_.public_jwk()}}});
  if (r.path == "/authorize") co_return authorize(r);
  if (r.path == "/token" && r.method == "POST") co_return token(r);
  co_return HttpResponse::text(404, "not here\n");
}

HttpResponse DemoIdp::discovery() const {
  return HttpResponse::json(200,
                            json::Object{{"issuer", issuer_},
                                         {"authorization_endpoint", issuer_ + "/authorize"},
                                         {"token_endpoint", issuer_ + "/token"},
                                         {"jwks_uri", issuer_ + "/jwks"},
                                         {"response_types_supported", json::Array{"code"}},
                                         {"subject_types_supported", json::Array{"public"}},
                                         {"id_token_signing_alg_values_supported", json::Array{"ES256"}},
                                         {"code_challenge_methods_supported", json::Array{"S256"}},
                                         {"token_endpoint_auth_methods_supported", json::Array{"client_secret_basic"}},
                                         {"authorization_response_iss_parameter_supported", true}});
}

HttpResponse DemoIdp::authorize(const net::HttpRequest& r) {
  const auto value = [&](std::string_view name) {
    const std::string* v = net::find(r.query, name);
    return v == nullptr ? std::string() : *v;
  };
  const std::string redirect = value("redirect_uri");
  // The demo's relying party is the demo's server: it lives on this host and calls back to its own callback path.
  const bool ours = redirect.starts_with("http://127.0.0.1:") && redirect.ends_with("/callback");
  if (value("client_id") != client_id() || !ours || value("response_type") != "code" ||
      value("code_challenge_method") != "S256" || value("nonce").empty())
    return HttpResponse::text(400, "this demo signs in to the Daypass demo only\n");
  const std::string chosen = value("account");
  for (const auto& account : accounts()) {
    if (account.id != chosen) continue;
    const std::string code = base::random_token(entropy_, 24);
    {
      const std::lock_guard lock(mutex_);
      codes_.insert_or_assign(code, Code{chosen, redirect, value("code_challenge"), value("nonce"),
                                         clock_.wall() + std::chrono::seconds(60)});
    }
    return HttpResponse::redirect(
        redirect + "?" + net::encode_query({{"code", code}, {"state", value("state")}, {"iss", issuer_}}), 302);
  }
  std::string body =
      "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Demo sign-in</title><h1>Demo identity "
      "provider</h1><p>Who are you today?</p><ul>";
  for (const auto& account : accounts()) {
    net::Pairs query = r.query;
    query.emplace_back("account", account.id);
    body += "<li><a href=\"?" + net::html_escape(net::encode_query(query)) + "\">" + net::html_escape(account.name) +
            "</a></li>";
  }
  return HttpResponse::html(200, body + "</ul></html>\n");
}

HttpResponse DemoIdp::token(const net::HttpRequest& r) {
  const auto refuse = [](const char* why) { return HttpResponse::json(400, json::Object{{"error", why}}); };
  const std::string expected = "Basic " + base::base64_encode(client_id() + ":" + client_secret_);
  if (!base::equal_constant_time(r.header("authorization").value_or(""), expected)) return refuse("invalid_client");
  const auto form = r.form();
  if (!form.ok()) return refuse("invalid_request");
  const std::string* code = net::find(*form, "code");
  const std::string* verifier = net::find(*form, "code_verifier");
  const std::string* redirect = net::find(*form, "redirect_uri");
  if (code == nullptr || verifier == nullptr || redirect == nullptr) return refuse("invalid_request");
  Code given;
  {
    const std::lock_guard lock(mutex_);
    const auto it = codes_.find(*code);
    if (it == codes_.end()) return refuse("invalid_grant");
    given = it->second;
    codes_.erase(it);
  }
  const base::WallTime now = clock_.wall();
  if (given.until < now || given.redirect_uri != *redirect || crypto::pkce_s256(*verifier) != given.challenge)
    return refuse("invalid_grant");
  const std::string access = base::random_token(entropy_, 24);
  const auto seconds = std::chrono::duration_cast<base::Seconds>(now.time_since_epoch()).count();
  for (const auto& account : accounts()) {
    if (account.id != given.account) continue;
    const json::Object claims{{"iss", issuer_},
                              {"sub", account.id},
                              {"aud", client_id()},
                              {"exp", std::int64_t{seconds + 300}},
                              {"iat", std::int64_t{seconds}},
                              {"auth_time", std::int64_t{seconds}},
                              {"nonce", given.nonce},
                              {"at_hash", crypto::half_hash(crypto::Alg::es256, access)},
                              {"amr", json::Array{"pwd"}},
                              {"name", account.name},
                              {"groups", json::Array{account.group}},
                              {"department", account.department}};
    return HttpResponse::json(200, json::Object{{"access_token", access},
                                                {"token_type", "Bearer"},
                                                {"expires_in", 300},
                                                {"id_token", key_.sign(json::dump(claims))}});
  }
  return refuse("invalid_grant");
}

}  // namespace daypass::app::demo
