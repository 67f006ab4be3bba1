// What the operator does with tenants as a whole, on the server's own socket: make, list, delete. What is in a tenant
// is not shown here.
#include "api/api.h"
#include "net/ask.h"

namespace daypass::api {

using base::Code;
using base::Error;
namespace json = base::json;

namespace {

json::Object view(const engine::TenantInfo& tenant) {
  return {{"id", tenant.id.str()},
          {"display", tenant.display},
          {"created_at", base::to_rfc3339(tenant.created_at)},
          {"state", tenant.deleting ? "deleting" : "active"},
          {"grants", static_cast<std::int64_t>(tenant.grants)}};
}

}  // namespace

awaitable<HttpResponse> Api::tenants(Call call) {
  static_cast<void>(call);
  json::Array out;
  for (const auto& tenant : engine_.tenants()) out.push_back(view(tenant));
  co_return HttpResponse::json(200, json::Object{{"tenants", std::move(out)}});
}

awaitable<HttpResponse> Api::create_tenant(Call call) {
  const auto body = call.request.json();
  if (!body.ok()) co_return HttpResponse::problem(body.error(), call.request.request_id);
  auto id = core::parse_tenant(body->string_or("id"));
  if (!id.ok()) co_return HttpResponse::problem(id.error(), call.request.request_id);
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<engine::TenantInfo>)> start =
      [this, id = *id, display = body->string_or("display"),
       actor = call.caller.actor()](engine::Done<engine::TenantInfo> done) mutable {
        engine_.create_tenant(id, display, actor, std::move(done));
      };
  const auto made = co_await net::ask<engine::TenantInfo>(*io, std::move(start));
  if (!made.ok()) co_return HttpResponse::problem(made.error(), call.request.request_id);
  co_return HttpResponse::json(201, view(*made));
}

awaitable<HttpResponse> Api::delete_tenant(Call call) {
  const auto id = core::parse_tenant(call.args.at(0));
  if (!id.ok()) co_return HttpResponse::problem(id.error(), call.request.request_id);
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<engine::TenantInfo>)> start =
      [this, id = *id, actor = call.caller.actor()](engine::Done<engine::TenantInfo> done) mutable {
        engine_.delete_tenant(id, actor, std::move(done));
      };
  const auto under_way = co_await net::ask<engine::TenantInfo>(*io, std::move(start));
  if (!under_way.ok()) co_return HttpResponse::problem(under_way.error(), call.request.request_id);
  co_return HttpResponse::json(202, view(*under_way));
}

}  // namespace daypass::api
