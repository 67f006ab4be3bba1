// The control plane over HTTP: sign-in pages, the OAuth server for our own CLI, REST, health and metrics.
// One table (routes.cc) names every operation; routing, access checks and the OpenAPI document all come from it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "engine/engine.h"
#include "net/http.h"

namespace daypass::api {

using net::awaitable;
using net::HttpRequest;
using net::HttpResponse;

/// Where clients find a gate; part of every credential that is issued.
struct GateAddress {
  std::string kind;  ///< "pg"
  std::string host;
  std::uint16_t port = 0;
  std::string ca_pem;  ///< trust anchor of the gate's certificate
};

struct Options {
  std::string public_url;          ///< "https://daypass.example", no trailing slash
  std::uint32_t operator_uid = 0;  ///< the unix user whose socket peers are the operator
  std::vector<GateAddress> gates;
};

/// Who calls: nobody, a signed-in user, or the operator over the unix socket.
struct Caller {
  std::optional<engine::LoginSession> session;
  bool is_operator = false;
  bool administers = false;  ///< the operator, or allowed Action::"administer"
  [[nodiscard]] std::string actor() const {
    return is_operator ? "operator" : session ? session->who.principal() : "nobody";
  }
};

/// What a handler gets.
struct Call {
  const HttpRequest& request;
  core::TenantId tenant;
  std::vector<std::string> args;  ///< the path's variables, in order
  Caller caller;
};

/// `scim`: a token of the identity provider's, which the engine compares.
enum class Need { nothing, login, administer, operate, scim };

/// RFC 6749 section 5.2: the OAuth error that a client library understands, with ours beside it. (oauth.cc)
HttpResponse oauth_error(const base::Error& error, std::string_view request_id);
inline constexpr std::string_view sign_in_failed = "Sign-in failed", sign_out_failed = "Sign-out failed";

class Api;
struct Route {
  std::string method;  ///< "GET"
  std::string path;    ///< "/t/{tenant}/api/v1/grants/{id}"
  Need need;
  awaitable<HttpResponse> (Api::*handler)(Call call);
  std::string summary;                  ///< one line, for people and the OpenAPI document
  std::string body;                     ///< schema name of the JSON request body; empty: none
  std::string answer;                   ///< schema name of the 200 answer; empty: a page or nothing
  std::vector<std::string> query = {};  ///< names of query parameters
};

class Api {
 public:
  Api(engine::Engine& engine, const base::Clock& clock, base::Entropy& entropy, const base::Log& log, Options options);

  /// For HttpServer. The Api outlives the server.
  [[nodiscard]] std::function<awaitable<HttpResponse>(HttpRequest)> handler();

  /// OpenAPI 3.1 of every route.
  [[nodiscard]] static base::json::Value openapi();
  [[nodiscard]] static const std::vector<Route>& routes();

 private:
  friend const std::vector<Route>& route_table();
  awaitable<HttpResponse> dispatch(HttpRequest request);
  base::Result<Caller> identify(const HttpRequest& request, const core::TenantId& tenant, Need need) const;
  [[nodiscard]] std::string tenant_url(const core::TenantId& tenant) const;
  /// The cookie that binds a sign-in to its browser: the one that there is, else a new one.
  [[nodiscard]] std::string browser_of(const HttpRequest& request) const;
  /// Sends the browser to the provider, and the cookie with it.
  [[nodiscard]] HttpResponse to_provider(const engine::LoginBegun& begun, const std::string& browser) const;
  awaitable<HttpResponse> start_login(const Call& call, std::string idp, base::json::Value then);
  awaitable<HttpResponse> finish_login(const Call& call, idp::Callback answer);
  awaitable<HttpResponse> logout_answer(const Call& call, idp::LogoutMessage message);
  HttpResponse failed_page(const base::Error& error, const HttpRequest& request,
                           std::string_view title = sign_in_failed) const;
  /// What people call the identity provider.
  std::string display_of(const core::TenantId& tenant, const std::string& idp) const;
  static HttpResponse scim_refused(const base::Error& error, const HttpRequest& request);
  awaitable<HttpResponse> end_grant(Call call, core::EndReason reason);

  // pages.cc, oauth.cc: sign-in
  awaitable<HttpResponse> authorize(Call call);
  awaitable<HttpResponse> callback(Call call);
  awaitable<HttpResponse> posted_callback(Call call);
  awaitable<HttpResponse> idp_metadata(Call call);
  awaitable<HttpResponse> device_page(Call call);
  awaitable<HttpResponse> device_submit(Call call);
  awaitable<HttpResponse> device_authorization(Call call);
  awaitable<HttpResponse> token(Call call);
  awaitable<HttpResponse> metadata(Call call);
  awaitable<HttpResponse> confirm(Call call);
  // provider_logout.cc
  awaitable<HttpResponse> idp_logout(Call call);
  awaitable<HttpResponse> provider_logout(Call call);
  // signals.cc
  awaitable<HttpResponse> push_event(Call call);
  // rest.cc
  awaitable<HttpResponse> session(Call call);
  awaitable<HttpResponse> logout(Call call);
  awaitable<HttpResponse> roles(Call call);
  awaitable<HttpResponse> explain(Call call);
  awaitable<HttpResponse> issue_credential(Call call);
  awaitable<HttpResponse> grants(Call call);
  awaitable<HttpResponse> grant(Call call);
  awaitable<HttpResponse> extend(Call call);
  awaitable<HttpResponse> end(Call call);
  // admin.cc
  awaitable<HttpResponse> sessions(Call call);
  awaitable<HttpResponse> end_session(Call call);
  awaitable<HttpResponse> revalidate_session(Call call);
  awaitable<HttpResponse> apply(Call call);
  awaitable<HttpResponse> simulate(Call call);
  awaitable<HttpResponse> policy_schema(Call call);
  awaitable<HttpResponse> targets(Call call);
  awaitable<HttpResponse> check_target(Call call);
  awaitable<HttpResponse> idps(Call call);
  awaitable<HttpResponse> probe_idp(Call call);
  awaitable<HttpResponse> domains(Call call);
  awaitable<HttpResponse> check_domains(Call call);
  // trial.cc
  awaitable<HttpResponse> begin_test(Call call);
  awaitable<HttpResponse> idp_test(Call call);
  awaitable<HttpResponse> enter_test(Call call);
  // audit.cc
  awaitable<HttpResponse> audit(Call call);
  awaitable<HttpResponse> audit_checkpoint(Call call);
  awaitable<HttpResponse> audit_proof(Call call);
  awaitable<HttpResponse> audit_consistency(Call call);
  awaitable<HttpResponse> audit_forwards(Call call);
  awaitable<HttpResponse> retry_forward(Call call);
  awaitable<HttpResponse> erase_person(Call call);
  awaitable<HttpResponse> grant_receipt(Call call);
  // scim.cc
  awaitable<HttpResponse> scim(Call call);
  // tenants.cc
  awaitable<HttpResponse> tenants(Call call);
  awaitable<HttpResponse> create_tenant(Call call);
  awaitable<HttpResponse> change_tenant(Call call);
  awaitable<HttpResponse> delete_tenant(Call call);
  // secrets.cc
  awaitable<HttpResponse> secrets(Call call);
  awaitable<HttpResponse> set_secret(Call call);
  awaitable<HttpResponse> make_key(Call call);
  awaitable<HttpResponse> remove_secret(Call call);
  // restore.cc
  awaitable<HttpResponse> restored(Call call);
  awaitable<HttpResponse> confirm_restore(Call call);
  // orphans.cc
  awaitable<HttpResponse> orphans(Call call);
  awaitable<HttpResponse> remove_orphans(Call call);
  awaitable<HttpResponse> find_orphans(Call call, std::optional<std::string> tenant, bool fix);
  // usage.cc
  awaitable<HttpResponse> unused_rights(Call call);
  // freeze.cc
  awaitable<HttpResponse> frozen(Call call);
  awaitable<HttpResponse> freeze(Call call);
  awaitable<HttpResponse> thaw(Call call);
  awaitable<HttpResponse> frozen_all(Call call);
  awaitable<HttpResponse> freeze_all(Call call);
  awaitable<HttpResponse> thaw_all(Call call);
  awaitable<HttpResponse> freeze_where(std::optional<core::TenantId> where, Call call);
  awaitable<HttpResponse> thaw_where(std::optional<core::TenantId> where, Call call);
  // ops.cc
  awaitable<HttpResponse> livez(Call call);
  awaitable<HttpResponse> readyz(Call call);
  awaitable<HttpResponse> metrics(Call call);
  awaitable<HttpResponse> openapi_document(Call call);
  awaitable<HttpResponse> version(Call call);

  engine::Engine& engine_;
  const base::Clock& clock_;
  base::Entropy& entropy_;
  const base::Log& log_;
  Options options_;
};

}  // namespace daypass::api
