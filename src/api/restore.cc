// A store that was restored from a backup: what differs, and the operator's word that it may go on.
#include "api/api.h"
#include "net/ask.h"

namespace daypass::api {

namespace json = base::json;
using Kind = engine::Restore::Difference::Kind;

namespace {

std::string_view word(Kind kind) {
  switch (kind) {
    case Kind::unknown_account:
      return "unknown_account";
    case Kind::closed_grant:
      return "closed_grant";
    case Kind::later_end:
      return "later_end";
    case Kind::account_gone:
      break;
  }
  return "account_gone";
}

json::Object view(const std::optional<engine::Restore>& restore) {
  if (!restore) return {{"quarantined", false}};
  json::Array logs, targets;
  for (const auto& log : restore->logs)
    logs.push_back(json::Object{{"tenant", log.tenant.str()}, {"records", log.records}, {"seen", log.seen}});
  for (const auto& [which, target] : restore->targets) {
    json::Array differences;
    for (const auto& d : target.differences) {
      json::Object out{{"kind", word(d.kind)}, {"account", d.account}, {"grant", d.grant}};
      if (d.store_end) out.set("store_end", base::to_rfc3339(*d.store_end));
      if (d.target_end) out.set("target_end", base::to_rfc3339(*d.target_end));
      differences.push_back(std::move(out));
    }
    json::Object out{{"tenant", which.first.str()}, {"target", which.second.str()}};
    if (!target.unreachable.empty()) out.set("unreachable", target.unreachable);
    out.set("differences", std::move(differences));
    targets.push_back(std::move(out));
  }
  return {{"quarantined", true},
          {"since", base::to_rfc3339(restore->since)},
          {"why", restore->why},
          {"logs", std::move(logs)},
          {"targets", std::move(targets)}};
}

}  // namespace

awaitable<HttpResponse> Api::restored(Call) {
  co_return HttpResponse::json(200, view(engine_.restored()));
}

awaitable<HttpResponse> Api::confirm_restore(Call call) {
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<engine::Confirmed>)> start =
      [this, actor = call.caller.actor()](engine::Done<engine::Confirmed> done) mutable {
        engine_.confirm_restore(actor, std::move(done));
      };
  const auto confirmed = co_await net::ask<engine::Confirmed>(*io, std::move(start));
  if (!confirmed.ok()) co_return HttpResponse::problem(confirmed.error(), call.request.request_id);
  co_return HttpResponse::json(
      200, json::Object{{"quarantined", false}, {"logins_ended", static_cast<std::int64_t>(confirmed->logins_ended)}});
}

}  // namespace daypass::api
