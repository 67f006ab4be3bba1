// What a tenant's policies give and nobody used.
#include "api/api.h"
#include "net/ask.h"

namespace daypass::api {

namespace json = base::json;
using Report = engine::UnusedRights;
using State = Report::Role::State;

namespace {

constexpr base::Millis patience = std::chrono::seconds(55);

std::string_view word(State state) {
  switch (state) {
    case State::used:
      return "used";
    case State::partly:
      return "partly_used";
    case State::unused:
      return "unused";
    case State::unwanted:
      return "not_given";
    case State::early:
      return "too_early";
    case State::unclear:
      break;
  }
  return "unclear";
}

/// "2026-11-29"
std::string day(std::chrono::sys_days at) {
  return base::to_rfc3339(at).substr(0, 10);
}

json::Object view(const Report& report) {
  json::Array roles;
  for (const auto& role : report.roles) {
    json::Object out{{"role", role.role.str()},
                     {"state", word(role.state)},
                     {"since", day(role.since)},
                     {"grants", role.grants},
                     {"connections", role.connections}};
    if (role.given) out.set("last_given", day(*role.given));
    if (role.connected) out.set("last_connected", day(*role.connected));
    if (role.used) out.set("last_used", day(*role.used));
    json::Array objects;
    for (const auto& o : role.objects) {
      json::Object one{{"schema", o.object.schema},
                       {"name", o.object.name},
                       {"readable", o.object.readable},
                       {"writable", o.object.writable},
                       {"unused", o.unused}};
      if (o.read) one.set("last_read", day(*o.read));
      if (o.written) one.set("last_written", day(*o.written));
      objects.push_back(std::move(one));
    }
    out.set("objects", std::move(objects));
    if (!role.objects_all) out.set("more_objects", true);
    if (!role.unreachable.empty()) out.set("objects_unknown", role.unreachable);
    if (role.unread) out.set("last_unread", day(*role.unread));
    json::Array policies;
    for (const auto& p : role.policies)
      policies.push_back(json::Object{{"id", p.id},
                                      {"file", p.file},
                                      {"line", static_cast<std::int64_t>(p.line)},
                                      {"to", p.to},
                                      {"conditions", p.conditions},
                                      {"this_role_alone", p.this_alone}});
    out.set("policies", std::move(policies));
    if (!role.hint.empty()) out.set("hint", role.hint);
    roles.push_back(std::move(out));
  }
  return {{"days", report.days}, {"at", base::to_rfc3339(report.at)}, {"roles", std::move(roles)}};
}

}  // namespace

awaitable<HttpResponse> Api::unused_rights(Call call) {
  const auto problem = [&](const base::Error& e) { return HttpResponse::problem(e, call.request.request_id); };
  const auto text = call.request.query_one("days");
  if (!text.ok()) co_return problem(text.error());
  int days = 30;
  if (*text) {
    const std::string number(**text);
    // What is no number of days is refused as one that is too large is.
    const bool fits =
        !number.empty() && number.size() <= 5 && number.find_first_not_of("0123456789") == std::string::npos;
    days = fits ? std::stoi(number) : 0;
  }
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<Report>)> start = [this, tenant = call.tenant,
                                                               days](engine::Done<Report> done) mutable {
    engine_.unused_rights(tenant, days, std::move(done));
  };
  const auto report = co_await net::ask<Report>(*io, std::move(start), patience);
  if (!report.ok()) co_return problem(report.error());
  co_return HttpResponse::json(200, view(*report));
}

}  // namespace daypass::api
