// What the operator does with tenants as a whole, on the server's own socket: make, list, change, delete. What is in a
// tenant is not shown here.
#include "api/api.h"
#include "net/ask.h"

namespace daypass::api {

using base::Code;
using base::Error;
namespace json = base::json;

namespace {

json::Object view(const engine::TenantInfo& tenant) {
  json::Array hosts;
  for (const auto& host : tenant.private_hosts) hosts.emplace_back(host);
  return {{"id", tenant.id.str()},
          {"display", tenant.display},
          {"created_at", base::to_rfc3339(tenant.created_at)},
          {"state", tenant.deleting ? "deleting" : "active"},
          {"private_hosts", std::move(hosts)}};
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

namespace {

base::Result<engine::TenantChange> change_of(const json::Value& body) {
  engine::TenantChange out;
  if (body.as_object() == nullptr) return Error{Code::invalid, "body.object", "the body must be an object"};
  for (const auto& [key, value] : *body.as_object()) {
    if (key == "display" && value.as_string() != nullptr) {
      out.display = *value.as_string();
    } else if (key == "private_hosts" && value.as_array() != nullptr) {
      out.private_hosts.emplace();
      for (const auto& host : *value.as_array()) {
        if (host.as_string() == nullptr) return Error{Code::invalid, "tenant.private_host", "a host is no text"};
        out.private_hosts->push_back(*host.as_string());
      }
    } else {
      return Error{Code::invalid, "body.key", "\"" + key.substr(0, 40) + "\" is nothing that can be changed like this",
                   "\"display\" is a text, \"private_hosts\" a list of texts"};
    }
  }
  return out;
}

}  // namespace

awaitable<HttpResponse> Api::change_tenant(Call call) {
  const auto id = core::parse_tenant(call.args.at(0));
  if (!id.ok()) co_return HttpResponse::problem(id.error(), call.request.request_id);
  const auto body = call.request.json();
  if (!body.ok()) co_return HttpResponse::problem(body.error(), call.request.request_id);
  auto change = change_of(*body);
  if (!change.ok()) co_return HttpResponse::problem(change.error(), call.request.request_id);
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<engine::TenantInfo>)> start =
      [this, id = *id, change = std::move(*change),
       actor = call.caller.actor()](engine::Done<engine::TenantInfo> done) mutable {
        engine_.change_tenant(id, std::move(change), actor, std::move(done));
      };
  const auto changed = co_await net::ask<engine::TenantInfo>(*io, std::move(start));
  if (!changed.ok()) co_return HttpResponse::problem(changed.error(), call.request.request_id);
  co_return HttpResponse::json(200, view(*changed));
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
  json::Object out = view(*under_way);
  out.set("grants", static_cast<std::int64_t>(under_way->grants));
  co_return HttpResponse::json(202, std::move(out));
}

}  // namespace daypass::api
