#include "api/api.h"

#include "base/encoding.h"

namespace daypass::api {

using base::Code;
using base::Error;

Api::Api(engine::Engine& engine, const base::Clock& clock, base::Entropy& entropy, const base::Log& log,
         Options options)
    : engine_(engine), clock_(clock), entropy_(entropy), log_(log), options_(std::move(options)) {}

std::function<awaitable<HttpResponse>(HttpRequest)> Api::handler() {
  return [this](HttpRequest request) { return dispatch(std::move(request)); };
}

std::string Api::tenant_url(const core::TenantId& tenant) const {
  return options_.public_url + "/t/" + tenant.str();
}

std::string Api::display_of(const core::TenantId& tenant, const std::string& idp) const {
  const auto world = engine_.tenant(tenant);
  const core::IdpSpec* spec = world == nullptr ? nullptr : world->spec.idp(idp);
  return spec == nullptr || spec->display.empty() ? idp : spec->display;
}

namespace {

std::vector<std::string_view> segments(std::string_view path) {
  std::vector<std::string_view> out;
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::size_t end = std::min(path.find('/'), path.size());
    out.push_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return out;
}

/// The path's variables when it fits the pattern.
std::optional<std::vector<std::string>> match(std::string_view pattern, const std::vector<std::string_view>& path) {
  const auto parts = segments(pattern);
  if (parts.size() != path.size()) return std::nullopt;
  std::vector<std::string> args;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].starts_with('{'))
      args.emplace_back(path[i]);
    else if (parts[i] != path[i])
      return std::nullopt;
  }
  return args;
}

}  // namespace

base::Result<Caller> Api::identify(const HttpRequest& request, const core::TenantId& tenant, Need need) const {
  Caller caller;
  if (request.peer_uid) {
    // The operator is the owner of the socket in the data folder, or root; the file's mode keeps others out already.
    caller.is_operator = *request.peer_uid == options_.operator_uid || *request.peer_uid == 0;
    caller.administers = caller.is_operator;
  }
  if (need == Need::operate && !caller.is_operator)
    return Error{request.bearer() ? Code::denied : Code::unauthenticated, "operator.only",
                 "only the operator does this, on the server itself",
                 "run it on the server, as the user that runs Daypass or as root"};
  const auto bearer = request.bearer();
  if (bearer && need != Need::nothing && need != Need::scim) {
    auto session = engine_.authenticate(tenant, *bearer);
    if (!session.ok() && !caller.is_operator) return std::move(session).error();
    if (session.ok()) caller.session = std::move(*session);
  }
  if (need == Need::login && !caller.session && !caller.is_operator)
    return Error{Code::unauthenticated, "token.missing", "this needs a login", "daypass login"};
  if (need != Need::nothing && caller.session && !caller.administers)
    caller.administers = engine_.administers(*caller.session, request.peer_ip);
  if (need == Need::administer && !caller.administers) {
    if (!caller.session) return Error{Code::unauthenticated, "token.missing", "this needs a login", "daypass login"};
    return Error{Code::denied, "policy.not_administrator",
                 caller.session->who.principal() + " may not administer tenant " + tenant.str(),
                 "policy must permit Action::\"administer\" on Tenant::\"" + tenant.str() +
                     "\", or use the operator's socket on the server"};
  }
  return caller;
}

awaitable<HttpResponse> Api::dispatch(HttpRequest request) {
  const auto path = segments(request.path);
  bool path_known = false;
  for (const auto& route : routes()) {
    auto args = match(route.path, path);
    if (!args) continue;
    path_known = true;
    // HEAD, which previews of links send, must use up no state or handle of a sign-in.
    const bool page = route.need == Need::nothing && route.path.starts_with("/t/");
    if (route.method != request.method && !(request.method == "HEAD" && route.method == "GET" && !page)) continue;
    Call call{request, core::TenantId("default"), std::move(*args), {}};
    if (route.path.starts_with("/t/{tenant}") || route.path.ends_with("/t/{tenant}")) {
      auto tenant = core::parse_tenant(call.args.front());
      // A tenant that is not there and a path that is not there look the same.
      if (!tenant.ok() || !engine_.serves(*tenant)) {
        // As a provider that is not there, whose clients expect SCIM's own errors.
        if (route.need == Need::scim) co_return scim_refused(engine::no_scim_token(), request);
        path_known = false;
        break;
      }
      call.tenant = std::move(*tenant);
      call.args.erase(call.args.begin());
    }
    auto caller = identify(request, call.tenant, route.need);
    if (!caller.ok()) {
      auto response = HttpResponse::problem(caller.error(), request.request_id);
      if (caller.error().code == Code::unauthenticated)
        response.set_header("www-authenticate", "Bearer realm=\"daypass\"");
      co_return response;
    }
    call.caller = std::move(*caller);
    co_return co_await (this->*route.handler)(std::move(call));
  }
  if (path_known)
    co_return HttpResponse::problem(405, {Code::invalid, "http.method", request.method + " is not possible here"},
                                    request.request_id);
  const Error missing{Code::not_found, "http.not_found", "there is nothing here",
                      "GET /api/v1/openapi.json lists what there is"};
  co_return HttpResponse::problem(missing, request.request_id);
}

}  // namespace daypass::api
