// Where a transmitter of security events pushes them (RFC 8935).
#include "idp/signals.h"
#include "api/api.h"
#include "net/ask.h"

namespace daypass::api {

using base::Code;
using base::Error;
namespace json = base::json;

namespace {

/// Section 2.3. What may be told again is no error of the token: 5xx, 429.
HttpResponse set_refused(const Error& error, std::string_view request_id) {
  const bool unknown = error.code == Code::unauthenticated && error.check == "signals.authorization";
  const int status = net::status_of(error.code);
  if (!unknown && (status >= 500 || error.code == Code::exhausted)) return HttpResponse::problem(error, request_id);
  auto response = HttpResponse::json(unknown ? 401 : 400,
                                     json::Object{{"err", idp::set_error_name(error)}, {"description", error.message}});
  response.set_header("content-language", "en");
  response.set_header("cache-control", "no-store");
  if (unknown) response.set_header("www-authenticate", "Bearer realm=\"daypass\"");
  return response;
}

}  // namespace

awaitable<HttpResponse> Api::push_event(Call call) {
  const HttpRequest& r = call.request;
  if (r.media_type() != "application/secevent+jwt")
    co_return set_refused({Code::invalid, "http.content_type", "the content type must be application/secevent+jwt"},
                          r.request_id);
  base::Secret authorization(r.header("authorization").value_or(""));
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<engine::SignalTaken>)> start =
      [this, tenant = call.tenant, idp = call.args.at(0), authorization = std::move(authorization),
       token = r.body](engine::Done<engine::SignalTaken> done) mutable {
        engine_.push_event(tenant, idp, std::move(authorization), std::move(token), std::move(done));
      };
  const auto taken = co_await net::ask<engine::SignalTaken>(*io, std::move(start), std::chrono::seconds(40));
  if (!taken.ok()) co_return set_refused(taken.error(), r.request_id);
  HttpResponse response(202);
  response.set_header("cache-control", "no-store");
  co_return response;
}

}  // namespace daypass::api
