// What a tenant keeps here to itself: set, made, listed by name, removed. No answer ever holds one.
#include "api/api.h"
#include "net/ask.h"

namespace daypass::api {

using base::Code;
using base::Error;
namespace json = base::json;

namespace {

HttpResponse problem(const Error& error, const Call& call) {
  return HttpResponse::problem(error, call.request.request_id);
}

json::Object view(const engine::SecretInfo& secret) {
  const bool key = !secret.certificate_pem.empty();
  json::Object out{{"name", secret.name},
                   {"kind", key ? "key" : "secret"},
                   {"set_at", base::to_rfc3339(secret.set_at)},
                   {"set_by", secret.set_by}};
  if (key) out.set("certificate", secret.certificate_pem);
  return out;
}

}  // namespace

awaitable<HttpResponse> Api::secrets(Call call) {
  auto* io = co_await net::current_io();
  using List = std::vector<engine::SecretInfo>;
  std::move_only_function<void(engine::Done<List>)> start = [this, call](engine::Done<List> done) mutable {
    engine_.secrets(call.tenant, std::move(done));
  };
  const auto all = co_await net::ask<List>(*io, std::move(start));
  if (!all.ok()) co_return problem(all.error(), call);
  json::Array out;
  for (const auto& secret : *all) out.push_back(view(secret));
  co_return HttpResponse::json(200, json::Object{{"secrets", std::move(out)}});
}

awaitable<HttpResponse> Api::set_secret(Call call) {
  const auto body = call.request.json();
  if (!body.ok()) co_return problem(body.error(), call);
  const json::Value* value = body->find("value");
  if (value == nullptr || value->as_string() == nullptr)
    co_return problem(Error{Code::invalid, "secret.value", "\"value\" must be a text"}, call);
  auto secret = std::make_shared<base::Secret>(*value->as_string());
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<engine::SecretInfo>)> start =
      [this, call, secret](engine::Done<engine::SecretInfo> done) mutable {
        engine_.set_secret(call.tenant, call.args.at(0), std::move(*secret), call.caller.actor(), std::move(done));
      };
  const auto kept = co_await net::ask<engine::SecretInfo>(*io, std::move(start));
  if (!kept.ok()) co_return problem(kept.error(), call);
  co_return HttpResponse::json(200, view(*kept));
}

awaitable<HttpResponse> Api::make_key(Call call) {
  const auto body = call.request.json();
  if (!body.ok()) co_return problem(body.error(), call);
  if (body->string_or("kind") != "rsa")
    co_return problem(Error{Code::invalid, "secret.kind", "\"kind\" must be \"rsa\", an RSA key of 3072 bits"}, call);
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<engine::SecretInfo>)> start =
      [this, call](engine::Done<engine::SecretInfo> done) mutable {
        engine_.make_key(call.tenant, call.args.at(0), call.caller.actor(), std::move(done));
      };
  const auto made = co_await net::ask<engine::SecretInfo>(*io, std::move(start));
  if (!made.ok()) co_return problem(made.error(), call);
  co_return HttpResponse::json(201, view(*made));
}

awaitable<HttpResponse> Api::remove_secret(Call call) {
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<void>)> start = [this, call](engine::Done<void> done) mutable {
    engine_.remove_secret(call.tenant, call.args.at(0), call.caller.actor(), std::move(done));
  };
  const auto gone = co_await net::ask<void>(*io, std::move(start));
  if (!gone.ok()) co_return problem(gone.error(), call);
  co_return HttpResponse::json(200, json::Object{{"removed", call.args.at(0)}});
}

}  // namespace daypass::api
