// Sign-in: Daypass is a relying party towards identity providers and the authorization server for its own CLI
// (authorization code with PKCE on a loopback redirect, RFC 8252; device authorization, RFC 8628).
#include <algorithm>

#include "api/api.h"
#include "api/pages.h"
#include "base/encoding.h"
#include "net/ask.h"

namespace daypass::api {

using base::Code;
using base::Error;
namespace json = base::json;

namespace {

constexpr std::string_view client_id = "daypass-cli";

/// `__Host-` binds the cookie to this very host, but browsers take it over TLS alone.
std::string browser_cookie(const std::string& public_url) {
  return public_url.starts_with("https://") ? "__Host-daypass-login" : "daypass-login";
}

/// What ties the page that asks whether to sign in to the browser that it was shown in.
std::string confirm_cookie(const std::string& public_url) {
  return public_url.starts_with("https://") ? "__Host-daypass-confirm" : "daypass-confirm";
}

HttpResponse device_signed_in(const std::string& display) {
  return page(200, "Signed in",
              "<p>Signed in as <b>" + net::html_escape(display) +
                  "</b>. You can close this window; the waiting device goes on by itself.</p>");
}

/// RFC 8252 section 7.3: loopback literals, any port, our one path.
bool is_loopback_redirect(std::string_view uri) {
  for (const std::string_view prefix : {"http://127.0.0.1:", "http://[::1]:"}) {
    if (!uri.starts_with(prefix)) continue;
    uri.remove_prefix(prefix.size());
    const std::size_t slash = uri.find('/');
    if (slash == std::string_view::npos || slash == 0 || slash > 5 || uri.substr(slash) != "/callback") return false;
    return std::all_of(uri.begin(), uri.begin() + static_cast<std::ptrdiff_t>(slash),
                       [](char c) { return c >= '0' && c <= '9'; });
  }
  return false;
}

bool is_token_text(std::string_view s, std::size_t least, std::size_t most) {
  return s.size() >= least && s.size() <= most && std::all_of(s.begin(), s.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
                  c == '.' || c == '~';
         });
}

}  // namespace

HttpResponse oauth_error(const Error& error, std::string_view request_id) {
  std::string name = "invalid_grant";
  if (error.check == "device.pending")
    name = "authorization_pending";
  else if (error.check == "device.slow_down")
    name = "slow_down";
  else if (error.check == "device.expired")
    name = "expired_token";
  else if (error.code == Code::invalid)
    name = "invalid_request";
  else if (error.code != Code::unauthenticated && error.code != Code::denied)
    name = "server_error";
  return HttpResponse::json(name == "server_error" ? net::status_of(error.code) : 400,
                            json::Object{{"error", name},
                                         {"error_description", error.message},
                                         {"check", error.check},
                                         {"hint", error.hint},
                                         {"request_id", request_id}});
}

HttpResponse Api::failed_page(const Error& error, const HttpRequest& request, std::string_view title) const {
  // Where the server keeps things is no stranger's business.
  if (error.check.starts_with("secret.")) {
    log_.error("a secret can't be read",
               {{"check", error.check}, {"why", error.message}, {"request_id", request.request_id}});
    return failed_page(
        {Code::unavailable, "idp.settings", "the server's settings for this identity provider are not complete",
         "the administrator finds the reason in the server's log"},
        request, title);
  }
  log_.info(title == sign_out_failed ? "a sign-out is refused" : "a sign-in is refused",
            {{"check", error.check}, {"why", error.message}, {"request_id", request.request_id}});
  return page(net::status_of(error.code), title, failure_body(error, request.request_id));
}

std::string Api::browser_of(const HttpRequest& request) const {
  std::string browser = request.cookie(browser_cookie(options_.public_url)).value_or("");
  if (!is_token_text(browser, 43, 43)) browser = base::random_token(entropy_, 32);
  return browser;
}

HttpResponse Api::to_provider(const engine::LoginBegun& begun, const std::string& browser) const {
  auto response = begun.form.empty()
                      ? HttpResponse::redirect(begun.url)
                      : posting_page("Sign in", "Your organisation's sign-in page comes next.", begun.url, begun.form);
  net::Cookie cookie(browser_cookie(options_.public_url), browser);
  cookie.secure = options_.public_url.starts_with("https://");
  cookie.max_age = base::Seconds(3600);
  response.add_cookie(cookie);
  return response;
}

awaitable<HttpResponse> Api::start_login(const Call& call, std::string idp, json::Value then) {
  const std::string browser = browser_of(call.request);
  engine::BeginLogin begin{call.tenant,     idp,  tenant_url(call.tenant) + "/idp/" + idp + "/callback", browser,
                           std::move(then), false};
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<engine::LoginBegun>)> start =
      [this, begin = std::move(begin)](engine::Done<engine::LoginBegun> done) mutable {
        engine_.begin_login(std::move(begin), std::move(done));
      };
  const auto begun = co_await net::ask<engine::LoginBegun>(*io, std::move(start));
  if (!begun.ok()) co_return failed_page(begun.error(), call.request);
  co_return to_provider(*begun, browser);
}

awaitable<HttpResponse> Api::authorize(Call call) {
  const HttpRequest& r = call.request;
  const auto value = [&](std::string_view name) -> std::string {
    const auto found = r.query_one(name);
    return found.ok() && *found ? **found : std::string();
  };
  for (const char* name : {"response_type", "client_id", "redirect_uri", "code_challenge", "code_challenge_method",
                           "state", "idp", "hint"})
    if (const auto found = r.query_one(name); !found.ok()) co_return failed_page(found.error(), r);
  const std::string redirect = value("redirect_uri");
  const auto bad = [&](std::string check, std::string why) {
    return failed_page(Error{Code::invalid, std::move(check), std::move(why), "start again with daypass login"}, r);
  };
  if (value("client_id") != client_id)
    co_return bad("authorize.client_id", "only the Daypass command line signs in here");
  if (!is_loopback_redirect(redirect))
    co_return bad("authorize.redirect_uri", "the redirect URI is not http://127.0.0.1:<port>/callback");
  if (value("response_type") != "code") co_return bad("authorize.response_type", "response_type must be code");
  if (value("code_challenge_method") != "S256" || !is_token_text(value("code_challenge"), 43, 43))
    co_return bad("authorize.code_challenge", "a PKCE challenge with method S256 is required");
  if (!is_token_text(value("state"), 16, 128))
    co_return bad("authorize.state", "a state of 16 to 128 characters is required");

  const auto tenant = engine_.tenant(call.tenant);
  if (tenant == nullptr || tenant->idps.empty())
    co_return failed_page(Error{Code::unavailable, "tenant.no_idp", "no identity provider is configured yet",
                                "the operator runs: daypass apply DIR"},
                          r);
  std::string idp = value("idp");
  if (idp.empty() && tenant->idps.size() == 1) idp = tenant->idps.begin()->first;
  if (idp.empty())
    co_return page(200, "Where do you sign in?",
                   chooser_body(*tenant, r, engine_.suggested_idp(call.tenant, value("hint"))));
  const json::Object then{
      {"kind", "code"}, {"redirect_uri", redirect}, {"state", value("state")}, {"challenge", value("code_challenge")}};
  co_return co_await start_login(call, idp, then);
}

awaitable<HttpResponse> Api::callback(Call call) {
  idp::Callback answer{call.request.query, false};
  co_return co_await finish_login(call, std::move(answer));
}

awaitable<HttpResponse> Api::posted_callback(Call call) {
  const auto form = call.request.form();
  if (!form.ok()) co_return failed_page(form.error(), call.request);
  // A form that another site's page posts comes without our cookie (SameSite=Lax). Posted again by a page of ours it
  // has it, and the cookie is what tells the browser that began the sign-in from every other.
  constexpr std::string_view again = "daypass_again";
  idp::Callback answer{*form, true};
  const bool second = net::find(*form, again) != nullptr;
  if (!second && !call.request.cookie(browser_cookie(options_.public_url))) {
    answer.query.emplace_back(again, "1");
    co_return posting_page("Signing in", "One moment.",
                           tenant_url(call.tenant) + "/idp/" + call.args.at(0) + "/callback", answer.query);
  }
  std::erase_if(answer.query, [&](const auto& field) { return field.first == again; });
  co_return co_await finish_login(call, std::move(answer));
}

awaitable<HttpResponse> Api::idp_metadata(Call call) {
  auto* io = co_await net::current_io();
  const std::string base = tenant_url(call.tenant) + "/idp/" + call.args.at(0);
  std::move_only_function<void(engine::Done<std::string>)> start = [this, tenant = call.tenant, idp = call.args.at(0),
                                                                    base](engine::Done<std::string> done) mutable {
    engine_.describe_to_idp(tenant, idp, base, std::move(done));
  };
  const auto xml = co_await net::ask<std::string>(*io, std::move(start));
  if (!xml.ok()) co_return HttpResponse::problem(xml.error(), call.request.request_id);
  HttpResponse response;
  response.status = 200;
  response.set_header("content-type", "application/samlmetadata+xml");
  response.body = *xml;
  co_return response;
}

awaitable<HttpResponse> Api::finish_login(const Call& call, idp::Callback answer) {
  engine::FinishLogin finish{
      call.tenant,          call.args.at(0),
      std::move(answer),    call.request.cookie(browser_cookie(options_.public_url)).value_or(""),
      call.request.peer_ip, tenant_url(call.tenant) + "/idp/" + call.args.at(0) + "/callback"};
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<engine::LoginFinished>)> start =
      [this, finish = std::move(finish)](engine::Done<engine::LoginFinished> done) mutable {
        engine_.finish_login(std::move(finish), std::move(done));
      };
  const auto finished = co_await net::ask<engine::LoginFinished>(*io, std::move(start), std::chrono::seconds(40));
  if (!finished.ok()) co_return failed_page(finished.error(), call.request);
  if (finished->test)
    co_return page(200, "The test has ended",
                   "<p>Nobody was signed in. Go back to the terminal: what came of it is shown there.</p>");
  if (!finished->redirect.empty()) co_return HttpResponse::redirect(finished->redirect);
  if (finished->confirm.empty()) co_return device_signed_in(finished->display);
  const std::string idp = call.args.at(0);
  auto response = page(200, "Sign in to Daypass?",
                       confirm_body(*finished, display_of(call.tenant, idp), call.tenant.str(),
                                    tenant_url(call.tenant) + "/idp/" + idp + "/confirm"));
  response.set_header("referrer-policy", "same-origin");  // as on the device's page
  net::Cookie cookie(confirm_cookie(options_.public_url), finished->confirm);
  cookie.secure = options_.public_url.starts_with("https://");
  cookie.strict = true;
  cookie.max_age = base::Seconds(300);
  response.add_cookie(cookie);
  co_return response;
}

awaitable<HttpResponse> Api::confirm(Call call) {
  // Only the page that we have shown says yes; browsers name the origin of every form that is posted.
  if (call.request.header("origin").value_or("") != options_.public_url)
    co_return failed_page(Error{Code::denied, "login.origin", "the form came from another site"}, call.request);
  const auto form = call.request.form();
  if (!form.ok()) co_return failed_page(form.error(), call.request);
  const std::string* code = net::find(*form, "user_code");
  if (code == nullptr)
    co_return failed_page(Error{Code::invalid, "device.user_code", "the code is missing"}, call.request);
  engine::ConfirmLogin confirm{call.tenant, call.args.at(0),
                               call.request.cookie(confirm_cookie(options_.public_url)).value_or(""), *code,
                               call.request.peer_ip};
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<engine::LoginFinished>)> start =
      [this, confirm = std::move(confirm)](engine::Done<engine::LoginFinished> done) mutable {
        engine_.confirm_login(std::move(confirm), std::move(done));
      };
  const auto finished = co_await net::ask<engine::LoginFinished>(*io, std::move(start));
  auto response = finished.ok() ? device_signed_in(finished->display) : failed_page(finished.error(), call.request);
  net::Cookie used(confirm_cookie(options_.public_url), "");
  used.secure = options_.public_url.starts_with("https://");
  used.strict = true;
  used.max_age = base::Seconds(0);
  response.add_cookie(used);
  co_return response;
}

awaitable<HttpResponse> Api::device_page(Call call) {
  const auto typed = call.request.query_one("user_code");
  const auto tenant = engine_.tenant(call.tenant);
  auto response = page(200, "Sign in a device", device_body(tenant.get(), typed.ok() && *typed ? **typed : ""));
  // Under no-referrer browsers post the form with "Origin: null", which is what a hostile frame sends, too.
  response.set_header("referrer-policy", "same-origin");
  co_return response;
}

awaitable<HttpResponse> Api::device_submit(Call call) {
  // A page elsewhere must not submit a code for the person who happens to visit it.
  const auto origin = call.request.header("origin");
  if (origin && *origin != options_.public_url)
    co_return failed_page(Error{Code::denied, "device.origin", "the form came from another site"}, call.request);
  const auto form = call.request.form();
  if (!form.ok()) co_return failed_page(form.error(), call.request);
  const std::string* code = net::find(*form, "user_code");
  const std::string* idp = net::find(*form, "idp");
  if (code == nullptr || code->empty())
    co_return failed_page(Error{Code::invalid, "device.user_code", "no code was typed"}, call.request);
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<bool>)> start = [this, tenant = call.tenant,
                                                             typed = *code](engine::Done<bool> done) mutable {
    engine_.find_device(tenant, typed, std::move(done));
  };
  const auto found = co_await net::ask<bool>(*io, std::move(start));
  if (!found.ok()) co_return failed_page(found.error(), call.request);
  std::string tidy;
  for (const char c : *code) {
    if (c == '-' || c == ' ') continue;
    tidy += static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    if (tidy.size() == 4) tidy += '-';
  }
  const auto tenant = engine_.tenant(call.tenant);
  std::string provider = idp == nullptr ? "" : *idp;
  if (provider.empty() && tenant != nullptr && !tenant->idps.empty()) provider = tenant->idps.begin()->first;
  const json::Object then{{"kind", "device"}, {"user_code", tidy}};
  co_return co_await start_login(call, provider, then);
}

awaitable<HttpResponse> Api::device_authorization(Call call) {
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<engine::DeviceStarted>)> start =
      [this, tenant = call.tenant](engine::Done<engine::DeviceStarted> done) mutable {
        engine_.start_device(tenant, std::move(done));
      };
  const auto started = co_await net::ask<engine::DeviceStarted>(*io, std::move(start));
  if (!started.ok()) co_return oauth_error(started.error(), call.request.request_id);
  const std::string uri = tenant_url(call.tenant) + "/device";
  co_return HttpResponse::json(200,
                               json::Object{{"device_code", started->device_code},
                                            {"user_code", started->user_code},
                                            {"verification_uri", uri},
                                            {"verification_uri_complete", uri + "?user_code=" + started->user_code},
                                            {"expires_in", std::int64_t{started->expires_in.count()}},
                                            {"interval", std::int64_t{started->interval.count()}}});
}

awaitable<HttpResponse> Api::token(Call call) {
  const auto form = call.request.form();
  if (!form.ok()) co_return oauth_error(form.error(), call.request.request_id);
  const auto value = [&](std::string_view name) {
    const std::string* v = net::find(*form, name);
    return v == nullptr ? std::string() : *v;
  };
  std::move_only_function<void(engine::Done<engine::Token>)> start;
  const std::string grant_type = value("grant_type");
  if (value("client_id") != client_id)
    co_return oauth_error({Code::invalid, "token.client_id", "client_id must be daypass-cli"}, call.request.request_id);
  if (grant_type == "authorization_code") {
    start = [this, tenant = call.tenant, code = value("code"), verifier = value("code_verifier"),
             uri = value("redirect_uri")](engine::Done<engine::Token> done) mutable {
      engine_.redeem_code(tenant, code, verifier, uri, std::move(done));
    };
  } else if (grant_type == "urn:ietf:params:oauth:grant-type:device_code") {
    start = [this, tenant = call.tenant, code = value("device_code")](engine::Done<engine::Token> done) mutable {
      engine_.poll_device(tenant, code, std::move(done));
    };
  } else {
    co_return HttpResponse::json(400, json::Object{{"error", "unsupported_grant_type"},
                                                   {"error_description", "authorization_code and device_code are"}});
  }
  auto* io = co_await net::current_io();
  auto issued = co_await net::ask<engine::Token>(*io, std::move(start));
  if (!issued.ok()) co_return oauth_error(issued.error(), call.request.request_id);
  const auto left = std::chrono::duration_cast<base::Seconds>(issued->session.ends_at - clock_.wall());
  co_return HttpResponse::json(200, json::Object{{"access_token", issued->token.reveal()},
                                                 {"token_type", "Bearer"},
                                                 {"expires_in", std::int64_t{left.count()}},
                                                 {"session", issued->session.id.str()},
                                                 {"principal", issued->session.who.principal()},
                                                 {"display", issued->session.who.display},
                                                 {"ends_at", base::to_rfc3339(issued->session.ends_at)}});
}

awaitable<HttpResponse> Api::metadata(Call call) {
  const std::string base = tenant_url(call.tenant);
  co_return HttpResponse::json(
      200, json::Object{{"issuer", base},
                        {"authorization_endpoint", base + "/oauth/authorize"},
                        {"token_endpoint", base + "/oauth/token"},
                        {"device_authorization_endpoint", base + "/oauth/device_authorization"},
                        {"response_types_supported", json::Array{"code"}},
                        {"grant_types_supported",
                         json::Array{"authorization_code", "urn:ietf:params:oauth:grant-type:device_code"}},
                        {"code_challenge_methods_supported", json::Array{"S256"}},
                        {"token_endpoint_auth_methods_supported", json::Array{"none"}}});
}

}  // namespace daypass::api
