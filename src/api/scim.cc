// The SCIM 2.0 server of each identity provider: one handler for all of its operations; the engine does the rest.
#include "api/api.h"
#include "idp/scim/message.h"
#include "net/ask.h"

namespace daypass::api {

using base::Code;
using base::Error;
namespace scim = idp::scim;

namespace {

HttpResponse said(int status, const base::json::Value& body) {
  HttpResponse response = HttpResponse::json(status, body);
  response.content_type = scim::media_type;
  return response;
}

HttpResponse refused(int status, const Error& error, const HttpRequest& request) {
  HttpResponse response = said(status, scim::error_response(error, status, request.request_id));
  if (status == 401) response.set_header("www-authenticate", "Bearer realm=\"daypass\"");
  return response;
}

using What = engine::ScimRequest::What;
What what_of(std::string_view collection) {
  constexpr std::pair<std::string_view, What> names[] = {{"Users", What::users},
                                                         {"Groups", What::groups},
                                                         {"Schemas", What::schemas},
                                                         {"ResourceTypes", What::resource_types}};
  for (const auto& [name, what] : names)
    if (name == collection) return what;
  return What::provider;
}

}  // namespace

HttpResponse Api::scim_refused(const Error& error, const HttpRequest& request) {
  return refused(net::status_of(error.code), error, request);
}

awaitable<HttpResponse> Api::scim(Call call) {
  const HttpRequest& r = call.request;
  const bool sends = r.method == "POST" || r.method == "PUT" || r.method == "PATCH";
  const std::string media = r.media_type();
  engine::ScimRequest request;
  request.tenant = call.tenant;
  request.idp = call.args.at(0);
  request.token = base::Secret(r.bearer().value_or(""));
  request.method = r.method == "HEAD" ? "GET" : r.method;
  request.id = call.args.size() > 1 ? call.args.at(1) : "";
  // The route has matched: /t/…/idp/…/scim/v2/, then the collection.
  const std::string tail = r.path.substr(r.path.find("/scim/v2/") + 9);
  request.what = what_of(tail.substr(0, tail.find('/')));
  request.query = r.query;
  request.base = tenant_url(call.tenant) + "/idp/" + request.idp + "/scim/v2";
  if (sends) request.body = r.body;
  const bool readable = !sends || media == scim::media_type || media == "application/json";

  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<engine::ScimAnswer>)> start =
      [this, readable, request = std::move(request)](engine::Done<engine::ScimAnswer> done) mutable {
        // Not before the token: who has none learns no more than that.
        if (!readable) request.body.clear();
        engine_.scim(std::move(request), std::move(done));
      };
  const auto answer = co_await net::ask<engine::ScimAnswer>(*io, std::move(start));
  if (!answer.ok() && answer.error().check != "scim.token" && !readable) {
    const Error media_error{Code::invalid, "scim.media_type",
                            "the body's content type is not " + std::string(scim::media_type),
                            "application/json is taken, too"};
    co_return refused(415, media_error, r);
  }
  if (!answer.ok()) {
    const bool large = answer.error().check == "json.too_large";
    co_return large ? refused(413, answer.error(), r) : scim_refused(answer.error(), r);
  }
  if (answer->body.is_null()) co_return HttpResponse(204);
  HttpResponse response = said(answer->created ? 201 : 200, answer->body);
  if (!answer->location.empty())
    response.set_header(answer->created ? "location" : "content-location", answer->location);
  co_return response;
}

}  // namespace daypass::api
