// Freezing and thawing: a tenant by whoever administers it, all of them by the operator.
#include "api/api.h"
#include "net/ask.h"

namespace daypass::api {

namespace json = base::json;

namespace {

HttpResponse problem(const base::Error& error, const Call& call) {
  return HttpResponse::problem(error, call.request.request_id);
}

json::Object view(const std::optional<engine::Freeze>& freeze) {
  if (!freeze) return {{"frozen", false}};
  return {{"frozen", true},
          {"since", base::to_rfc3339(freeze->at)},
          {"by", freeze->by},
          {"reason", freeze->why},
          {"lifted_by", freeze->by_operator ? "operator" : "administrator"}};
}

}  // namespace

awaitable<HttpResponse> Api::frozen(Call call) {
  co_return HttpResponse::json(200, view(engine_.frozen(call.tenant)));
}

awaitable<HttpResponse> Api::frozen_all(Call) {
  co_return HttpResponse::json(200, view(engine_.frozen()));
}

awaitable<HttpResponse> Api::freeze_where(std::optional<core::TenantId> where, Call call) {
  const auto body = call.request.json();
  if (!body.ok()) co_return problem(body.error(), call);
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<engine::Frozen>)> start =
      [this, where, why = body->string_or("reason"), actor = call.caller.actor()](
          engine::Done<engine::Frozen> done) mutable { engine_.freeze(where, why, actor, std::move(done)); };
  const auto frozen = co_await net::ask<engine::Frozen>(*io, std::move(start));
  if (!frozen.ok()) co_return problem(frozen.error(), call);
  json::Object out = view(frozen->freeze);
  out.set("grants_ended", static_cast<std::int64_t>(frozen->grants_ended));
  co_return HttpResponse::json(200, std::move(out));
}

awaitable<HttpResponse> Api::thaw_where(std::optional<core::TenantId> where, Call call) {
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<void>)> start =
      [this, where, actor = call.caller.actor()](engine::Done<void> done) mutable {
        engine_.thaw(where, actor, std::move(done));
      };
  const auto thawed = co_await net::ask<void>(*io, std::move(start));
  if (!thawed.ok()) co_return problem(thawed.error(), call);
  co_return HttpResponse::json(200, view(where ? engine_.frozen(*where) : engine_.frozen()));
}

awaitable<HttpResponse> Api::freeze(Call call) {
  const core::TenantId tenant = call.tenant;
  return freeze_where(tenant, std::move(call));
}
awaitable<HttpResponse> Api::freeze_all(Call call) {
  return freeze_where({}, std::move(call));
}
awaitable<HttpResponse> Api::thaw(Call call) {
  const core::TenantId tenant = call.tenant;
  return thaw_where(tenant, std::move(call));
}
awaitable<HttpResponse> Api::thaw_all(Call call) {
  return thaw_where({}, std::move(call));
}

}  // namespace daypass::api
