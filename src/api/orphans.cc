// Accounts that nobody answers for: what there is of them, and their removal.
#include "api/api.h"
#include "net/ask.h"

namespace daypass::api {

namespace json = base::json;
using Kind = engine::Orphans::Account::Kind;

namespace {

/// Longer than a search with removals takes at most.
constexpr base::Millis patience = std::chrono::seconds(120);

std::string_view word(Kind kind) {
  switch (kind) {
    case Kind::unknown:
      return "unknown";
    case Kind::closed:
      return "closed_grant";
    case Kind::misfit:
      return "copied_mark";
    case Kind::other_mark:
      break;
  }
  return "other_installation";
}

json::Object view(const engine::Orphans& found) {
  json::Array targets;
  std::int64_t left = 0, removed = 0, unreachable = 0;
  for (const auto& target : found.targets) {
    json::Array accounts;
    for (const auto& a : target.accounts) {
      json::Object one{{"kind", word(a.kind)}, {"account", a.name}, {"instance", a.instance}};
      if (!a.grant.empty()) {
        one.set("account_tenant", a.tenant);
        one.set("grant", a.grant);
      }
      if (a.valid_until) one.set("valid_until", base::to_rfc3339(*a.valid_until));
      if (a.is_orphan()) one.set("removed", a.removed);
      if (!a.left.empty()) one.set("left", a.left);
      removed += a.removed ? 1 : 0;
      left += a.is_orphan() && !a.removed ? 1 : 0;
      accounts.push_back(std::move(one));
    }
    json::Object out{{"tenant", target.tenant.str()}, {"target", target.target.str()}};
    if (!target.unreachable.empty()) {
      out.set("unreachable", target.unreachable);
      ++unreachable;
    }
    out.set("accounts", std::move(accounts));
    targets.push_back(std::move(out));
  }
  return {{"orphans", left}, {"removed", removed}, {"unreachable", unreachable}, {"targets", std::move(targets)}};
}

}  // namespace

awaitable<HttpResponse> Api::find_orphans(Call call, std::optional<std::string> tenant, bool fix) {
  std::optional<core::TenantId> which;
  if (tenant && !tenant->empty()) {
    const auto parsed = core::parse_tenant(*tenant);
    if (!parsed.ok()) co_return HttpResponse::problem(parsed.error(), call.request.request_id);
    which = *parsed;
  }
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<engine::Orphans>)> start =
      [this, which, fix, actor = call.caller.actor()](engine::Done<engine::Orphans> done) mutable {
        engine_.orphans(which, fix, actor, std::move(done));
      };
  const auto found = co_await net::ask<engine::Orphans>(*io, std::move(start), patience);
  if (!found.ok()) co_return HttpResponse::problem(found.error(), call.request.request_id);
  co_return HttpResponse::json(200, view(*found));
}

awaitable<HttpResponse> Api::orphans(Call call) {
  const auto tenant = call.request.query_one("tenant");
  if (!tenant.ok()) co_return HttpResponse::problem(tenant.error(), call.request.request_id);
  std::optional<std::string> which;
  if (*tenant) which = std::string(**tenant);
  co_return co_await find_orphans(std::move(call), std::move(which), false);
}

awaitable<HttpResponse> Api::remove_orphans(Call call) {
  const auto body = call.request.json();
  if (!body.ok()) co_return HttpResponse::problem(body.error(), call.request.request_id);
  std::string which = body->string_or("tenant");
  co_return co_await find_orphans(std::move(call), std::move(which), true);
}

}  // namespace daypass::api
