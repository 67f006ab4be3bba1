// What a signed-in person does over REST: look, ask for a credential, extend, end.
#include "api/api.h"
#include "api/views.h"
#include "net/ask.h"

namespace daypass::api {

using base::Code;
using base::Error;
namespace json = base::json;

namespace {

HttpResponse problem(const Error& error, const Call& call) {
  return HttpResponse::problem(error, call.request.request_id);
}

/// An unknown member would be a wish that nobody hears: it is refused.
base::Status only(const json::Value& body, std::initializer_list<std::string_view> known) {
  const json::Object* object = body.as_object();
  if (object == nullptr) return Error{Code::invalid, "body.shape", "the body must be a JSON object"};
  for (const auto& [key, value] : *object)
    if (std::find(known.begin(), known.end(), key) == known.end())
      return Error{Code::invalid, "body.unknown_member", "unknown member \"" + key.substr(0, 40) + "\""};
  return {};
}

base::Result<std::optional<base::Millis>> duration_of(const json::Value& body, std::string_view key) {
  const json::Value* value = body.find(key);
  if (value == nullptr) return std::optional<base::Millis>();
  if (value->as_string() == nullptr)
    return Error{Code::invalid, "duration.syntax", "\"" + std::string(key) + "\" must be a text like \"10m\""};
  DP_TRY(const base::Millis d, base::parse_duration(*value->as_string()));
  if (d < std::chrono::seconds(1))
    return Error{Code::invalid, "duration.too_short", "\"" + std::string(key) + "\" must be at least 1s"};
  return std::optional(d);
}

base::Result<engine::WantCredential> want_of(const json::Value& body, const std::string& address) {
  DP_CHECK(only(body, {"target", "roles", "for", "reason"}));
  engine::WantCredential want;
  DP_TRY(want.target, core::parse_target(body.string_or("target")));
  if (const json::Value* roles = body.find("roles")) {
    if (roles->as_array() == nullptr || roles->as_array()->size() > 32)
      return Error{Code::invalid, "body.roles", "\"roles\" must be a list of at most 32 names"};
    for (const auto& item : *roles->as_array()) {
      const std::string text = item.as_string() == nullptr ? "" : *item.as_string();
      // "reader" is short for "pg/orders/reader".
      const std::string name = text.find('/') == std::string::npos ? want.target.str() + "/" + text : text;
      DP_TRY(core::RoleId role, core::parse_role(name));
      want.roles.push_back(std::move(role));
    }
  }
  DP_TRY(want.wanted, duration_of(body, "for"));
  want.reason = body.string_or("reason");
  if (want.reason.size() > 500) return Error{Code::invalid, "body.reason", "the reason is longer than 500 bytes"};
  want.client_address = address;
  return want;
}

const Error needs_login{Code::unauthenticated, "token.missing",
                        "the operator has no roles of its own; this needs a login", "daypass login"};

}  // namespace

awaitable<HttpResponse> Api::session(Call call) {
  if (!call.caller.session) co_return problem(needs_login, call);
  json::Value out = view(*call.caller.session);
  out.as_object()->set("administers", call.caller.administers);
  if (const auto freeze = engine_.frozen(call.tenant)) out.as_object()->set("frozen", freeze->why);
  co_return HttpResponse::json(200, out);
}

awaitable<HttpResponse> Api::logout(Call call) {
  if (!call.caller.session) co_return problem(needs_login, call);
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<engine::LoggedOut>)> start =
      [this, call](engine::Done<engine::LoggedOut> done) mutable {
        engine_.logout(call.tenant, call.caller.session->id, core::EndReason::logout, call.caller.actor(),
                       std::move(done));
      };
  const auto ended = co_await net::ask<engine::LoggedOut>(*io, std::move(start));
  if (!ended.ok()) co_return problem(ended.error(), call);
  json::Object out{{"grants_ended", ended->grants_ended}};
  if (!ended->handle.empty()) {
    out.set("provider", display_of(call.tenant, ended->idp));
    out.set("provider_logout_url", tenant_url(call.tenant) + "/logout?handle=" + ended->handle);
  }
  co_return HttpResponse::json(200, std::move(out));
}

awaitable<HttpResponse> Api::roles(Call call) {
  if (!call.caller.session) co_return problem(needs_login, call);
  core::AccessRequest request;
  request.client_address = call.request.peer_ip;
  const auto list = engine_.list_roles(*call.caller.session, request);
  if (!list.ok()) co_return problem(list.error(), call);
  const auto tenant = engine_.tenant(call.tenant);
  json::Array out;
  for (const auto& decision : *list) out.push_back(view(decision, tenant->spec.role(decision.role)));
  co_return HttpResponse::json(200, json::Object{{"roles", std::move(out)}});
}

awaitable<HttpResponse> Api::explain(Call call) {
  const auto role_text = call.request.query_required("role");
  if (!role_text.ok()) co_return problem(role_text.error(), call);
  const auto role = core::parse_role(*role_text);
  if (!role.ok()) co_return problem(role.error(), call);
  const auto principal = call.request.query_one("principal");
  const auto at_text = call.request.query_one("at");
  if (!principal.ok()) co_return problem(principal.error(), call);
  if (!at_text.ok()) co_return problem(at_text.error(), call);
  std::optional<base::WallTime> at;
  if (*at_text) {
    const auto parsed = base::parse_rfc3339(**at_text);
    if (!parsed.ok()) co_return problem(parsed.error(), call);
    at = *parsed;
  }
  const std::string who = principal->value_or("");
  const auto& me = call.caller.session;
  const bool self = me && (who.empty() || who == me->who.principal());
  if (!self && !call.caller.administers)
    co_return problem(Error{Code::denied, "policy.not_administrator", "only an administrator may ask about others",
                            "leave the user out to ask about yourself"},
                      call);
  const auto answer =
      engine_.explain_role(me ? &*me : nullptr, call.tenant, self ? "" : who, *role, call.caller.administers, at);
  if (!answer.ok()) co_return problem(answer.error(), call);
  co_return HttpResponse::json(200, *answer);
}

awaitable<HttpResponse> Api::issue_credential(Call call) {
  if (!call.caller.session) co_return problem(needs_login, call);
  const auto body = call.request.json();
  if (!body.ok()) co_return problem(body.error(), call);
  auto want = want_of(*body, call.request.peer_ip);
  if (!want.ok()) co_return problem(want.error(), call);
  const std::string kind = core::kind_of(want->target);
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<engine::CredentialIssued>)> start =
      [this, call, w = std::move(*want)](engine::Done<engine::CredentialIssued> done) mutable {
        engine_.issue_credential(*call.caller.session, std::move(w), std::move(done));
      };
  const auto issued = co_await net::ask<engine::CredentialIssued>(*io, std::move(start));
  if (!issued.ok()) co_return problem(issued.error(), call);
  json::Array roles;
  for (const auto& role : issued->roles) roles.emplace_back(role.str());
  json::Object out{{"user", issued->user.str()},     {"password", issued->password.reveal()},
                   {"target", issued->target.str()}, {"roles", std::move(roles)},
                   {"database", issued->database},   {"login_ends_at", base::to_rfc3339(issued->login_ends_at)},
                   {"offers", view(issued->offers)}};
  for (const auto& gate : options_.gates)
    if (gate.kind == kind) {
      out.set("host", gate.host);
      out.set("port", std::int64_t{gate.port});
      out.set("ca_pem", gate.ca_pem);
    }
  co_return HttpResponse::json(201, out);
}

awaitable<HttpResponse> Api::grants(Call call) {
  store::Selector selector;
  selector.tenant = call.tenant;
  selector.limit = 1000;
  const auto all = call.request.query_one("all");
  const auto closed = call.request.query_one("closed");
  const auto overdue = call.request.query_one("overdue");
  for (const auto* flag : {&all, &closed, &overdue})
    if (!flag->ok()) co_return problem(flag->error(), call);
  selector.include_closed = closed->value_or("") == "true";
  // One's own; everybody's only for those who administer, and the operator has none of its own.
  const bool everyone = call.caller.administers && (all->value_or("") == "true" || !call.caller.session);
  if (!everyone) {
    if (all->value_or("") == "true")
      co_return problem(
          Error{Code::denied, "policy.not_administrator", "only an administrator sees everybody's grants"}, call);
    selector.principal = call.caller.session->who.principal();
  }
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<std::vector<core::Grant>>)> start =
      [this, selector](engine::Done<std::vector<core::Grant>> done) mutable {
        engine_.list_grants(selector, std::move(done));
      };
  const auto list = co_await net::ask<std::vector<core::Grant>>(*io, std::move(start));
  if (!list.ok()) co_return problem(list.error(), call);
  const base::WallTime now = clock_.wall();
  json::Array out;
  for (const auto& grant : *list) {
    json::Value v = view(grant, now);
    if (overdue->value_or("") == "true" && !v.bool_or("overdue", false)) continue;
    out.push_back(std::move(v));
  }
  co_return HttpResponse::json(200, json::Object{{"grants", std::move(out)}});
}

namespace {

/// The grant when the caller may see it: its own, or any for who administers. Anything else is "not there".
base::Result<core::Grant> visible(const std::vector<core::Grant>& list, const core::GrantId& id, const Caller& caller) {
  for (const auto& grant : list)
    if (grant.id == id &&
        (caller.administers || (caller.session && grant.principal == caller.session->who.principal())))
      return grant;
  return Error{Code::not_found, "grant.unknown", "there is no grant " + id.id, "daypass grants ls shows yours"};
}

}  // namespace

awaitable<HttpResponse> Api::grant(Call call) {
  const auto id = core::parse_grant(call.tenant, call.args.at(0));
  if (!id.ok()) co_return problem(id.error(), call);
  store::Selector selector;
  selector.tenant = call.tenant;
  selector.include_closed = true;
  if (!call.caller.administers) selector.principal = call.caller.session->who.principal();
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<std::vector<core::Grant>>)> start =
      [this, selector](engine::Done<std::vector<core::Grant>> done) mutable {
        engine_.list_grants(selector, std::move(done));
      };
  const auto list = co_await net::ask<std::vector<core::Grant>>(*io, std::move(start));
  if (!list.ok()) co_return problem(list.error(), call);
  const auto found = visible(*list, *id, call.caller);
  if (!found.ok()) co_return problem(found.error(), call);
  co_return HttpResponse::json(200, view(*found, clock_.wall()));
}

awaitable<HttpResponse> Api::extend(Call call) {
  if (!call.caller.session) co_return problem(needs_login, call);
  const auto id = core::parse_grant(call.tenant, call.args.at(0));
  if (!id.ok()) co_return problem(id.error(), call);
  const auto body = call.request.json();
  if (!body.ok()) co_return problem(body.error(), call);
  if (const auto known = only(*body, {"for"}); !known.ok()) co_return problem(known.error(), call);
  const auto by = duration_of(*body, "for");
  if (!by.ok()) co_return problem(by.error(), call);
  if (!*by)
    co_return problem(
        Error{Code::invalid, "body.for", "\"for\" is missing", "say how long from now, e.g. {\"for\":\"30m\"}"}, call);
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<core::Grant>)> start = [this, call, id = *id,
                                                                    d = **by](engine::Done<core::Grant> done) mutable {
    engine_.extend_grant(*call.caller.session, id, d, call.request.peer_ip, std::move(done));
  };
  const auto extended = co_await net::ask<core::Grant>(*io, std::move(start));
  if (!extended.ok()) co_return problem(extended.error(), call);
  co_return HttpResponse::json(200, view(*extended, clock_.wall()));
}

awaitable<HttpResponse> Api::end(Call call) {
  const auto id = core::parse_grant(call.tenant, call.args.at(0));
  if (!id.ok()) co_return problem(id.error(), call);
  // One's own grants of any login end by oneself; others' by who administers.
  std::optional<core::SessionId> owner;
  if (!call.caller.administers) owner = call.caller.session->id;
  const bool mine = call.caller.session && !call.caller.administers;
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<core::Grant>)> start = [this, call, id = *id, owner,
                                                                    mine](engine::Done<core::Grant> done) mutable {
    engine_.end_grant(id, owner, mine ? core::EndReason::user : core::EndReason::admin, call.caller.actor(),
                      std::move(done));
  };
  const auto ended = co_await net::ask<core::Grant>(*io, std::move(start));
  if (!ended.ok()) co_return problem(ended.error(), call);
  // Answered when it is proven gone, or after a while with the state it is in.
  std::move_only_function<void(engine::Done<core::Grant>)> wait = [this,
                                                                   id = *id](engine::Done<core::Grant> done) mutable {
    engine_.wait_closed(id, std::chrono::seconds(5), std::move(done));
  };
  const auto closed = co_await net::ask<core::Grant>(*io, std::move(wait));
  co_return HttpResponse::json(closed.ok() ? 200 : 202, view(closed.ok() ? *closed : *ended, clock_.wall()));
}

}  // namespace daypass::api
