// What administrators and the operator do over REST.
#include "api/api.h"
#include "api/views.h"
#include "engine/schema.h"
#include "net/ask.h"

namespace daypass::api {

using base::Code;
using base::Error;
namespace json = base::json;

namespace {
HttpResponse problem(const Error& error, const Call& call) {
  return HttpResponse::problem(error, call.request.request_id);
}
}  // namespace

awaitable<HttpResponse> Api::sessions(Call call) {
  json::Array out;
  for (const auto& s : engine_.login_sessions(call.tenant)) out.push_back(view(s));
  co_return HttpResponse::json(200, json::Object{{"sessions", std::move(out)}});
}

awaitable<HttpResponse> Api::end_session(Call call) {
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<engine::LoggedOut>)> start =
      [this, call](engine::Done<engine::LoggedOut> done) mutable {
        engine_.logout(call.tenant, core::SessionId(call.args.at(0)), core::EndReason::admin, call.caller.actor(),
                       std::move(done));
      };
  const auto ended = co_await net::ask<engine::LoggedOut>(*io, std::move(start));
  if (!ended.ok()) co_return problem(ended.error(), call);
  co_return HttpResponse::json(200, json::Object{{"grants_ended", ended->grants_ended}});
}

awaitable<HttpResponse> Api::revalidate_session(Call call) {
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<engine::Revalidated>)> start =
      [this, call](engine::Done<engine::Revalidated> done) mutable {
        engine_.revalidate(call.tenant, core::SessionId(call.args.at(0)), std::move(done));
      };
  const auto answer = co_await net::ask<engine::Revalidated>(*io, std::move(start), std::chrono::seconds(30));
  if (!answer.ok()) co_return problem(answer.error(), call);
  co_return HttpResponse::json(200, view(*answer));
}

base::Result<std::map<std::string, std::string>> files_of(const json::Value& body) {
  const json::Value* files = body.find("files");
  if (files == nullptr || files->as_object() == nullptr)
    return Error{Code::invalid, "body.files", "\"files\" must be an object of names and texts"};
  std::map<std::string, std::string> texts;
  for (const auto& [name, text] : *files->as_object()) {
    if (text.as_string() == nullptr) return Error{Code::invalid, "body.files", "file " + name + " is not a text"};
    texts.emplace(name, *text.as_string());
  }
  return texts;
}

awaitable<HttpResponse> Api::apply(Call call) {
  const auto body = call.request.json();
  if (!body.ok()) co_return problem(body.error(), call);
  auto texts = files_of(*body);
  if (!texts.ok()) co_return problem(texts.error(), call);
  const bool dry_run = body->bool_or("dry_run", true);
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<engine::Applied>)> start =
      [this, call, texts = std::move(*texts), dry_run](engine::Done<engine::Applied> done) mutable {
        engine_.apply(call.tenant, std::move(texts), call.caller.actor(), dry_run, std::move(done));
      };
  const auto applied = co_await net::ask<engine::Applied>(*io, std::move(start), std::chrono::seconds(60));
  if (!applied.ok()) co_return problem(applied.error(), call);
  co_return HttpResponse::json(applied->problems.empty() ? 200 : 422, view(*applied));
}

awaitable<HttpResponse> Api::simulate(Call call) {
  const auto body = call.request.json();
  if (!body.ok()) co_return problem(body.error(), call);
  auto texts = files_of(*body);
  if (!texts.ok()) co_return problem(texts.error(), call);
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<engine::Simulated>)> start =
      [this, call, texts = std::move(*texts)](engine::Done<engine::Simulated> done) mutable {
        engine_.simulate(call.tenant, std::move(texts), call.caller.actor(), std::move(done));
      };
  const auto simulated = co_await net::ask<engine::Simulated>(*io, std::move(start), std::chrono::seconds(60));
  if (!simulated.ok()) co_return problem(simulated.error(), call);
  co_return HttpResponse::json(simulated->problems.empty() ? 200 : 422, view(*simulated));
}

awaitable<HttpResponse> Api::policy_schema(Call call) {
  const auto tenant = engine_.tenant(call.tenant);
  if (tenant == nullptr)
    co_return problem(Error{Code::not_found, "tenant.unknown", "nothing was applied yet",
                            "daypass apply FOLDER, or daypass policy schema FOLDER"},
                      call);
  const engine::TenantSchema schema = engine::tenant_schema(tenant->spec);
  if (!schema.problems.empty())
    co_return problem(
        Error{Code::conflict, "policy.schema", schema.problems.front().message, schema.problems.front().hint}, call);
  co_return HttpResponse::json(200, json::Object{{"text", schema.text}, {"schema", schema.schema.to_json()}});
}

awaitable<HttpResponse> Api::targets(Call call) {
  const auto tenant = engine_.tenant(call.tenant);
  json::Array out;
  if (tenant != nullptr)
    for (const auto& target : tenant->spec.targets) {
      json::Array roles;
      for (const auto& role : tenant->spec.roles)
        if (core::target_of(role.id) == target.id) roles.emplace_back(role.id.str());
      out.push_back(json::Object{
          {"target", target.id.str()}, {"attributes", core::to_json(target.attributes)}, {"roles", std::move(roles)}});
    }
  co_return HttpResponse::json(200, json::Object{{"targets", std::move(out)}});
}

awaitable<HttpResponse> Api::check_target(Call call) {
  const auto target = core::parse_target(call.args.at(0) + "/" + call.args.at(1));
  if (!target.ok()) co_return problem(target.error(), call);
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<std::vector<target::Finding>>)> start =
      [this, call, id = *target](engine::Done<std::vector<target::Finding>> done) mutable {
        engine_.check_target(call.tenant, id, std::move(done));
      };
  const auto findings = co_await net::ask<std::vector<target::Finding>>(*io, std::move(start));
  if (!findings.ok()) co_return problem(findings.error(), call);
  json::Array out;
  bool good = true;
  for (const auto& finding : *findings) {
    good = good && finding.grade != target::Finding::Grade::fail;
    out.push_back(view(finding));
  }
  co_return HttpResponse::json(200, json::Object{{"ok", good}, {"findings", std::move(out)}});
}

awaitable<HttpResponse> Api::idps(Call call) {
  const auto tenant = engine_.tenant(call.tenant);
  json::Array out;
  if (tenant != nullptr)
    for (const auto& idp : tenant->spec.idps)
      out.push_back(json::Object{{"name", idp.name},
                                 {"display", idp.display},
                                 {"protocol", idp.protocol},
                                 {"issuer", idp.issuer},
                                 {"scim", !idp.scim.tokens.empty()}});
  co_return HttpResponse::json(200, json::Object{{"idps", std::move(out)}});
}

awaitable<HttpResponse> Api::probe_idp(Call call) {
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<std::string>)> start = [this,
                                                                    call](engine::Done<std::string> done) mutable {
    engine_.probe_idp(call.tenant, call.args.at(0), std::move(done));
  };
  const auto answer = co_await net::ask<std::string>(*io, std::move(start));
  if (!answer.ok()) co_return problem(answer.error(), call);
  co_return HttpResponse::json(200, json::Object{{"ok", true}, {"message", *answer}});
}

awaitable<HttpResponse> Api::domains(Call call) {
  co_return HttpResponse::json(200, view(engine_.domains(call.tenant)));
}

awaitable<HttpResponse> Api::check_domains(Call call) {
  auto* io = co_await net::current_io();
  using Domains = std::vector<engine::DomainInfo>;
  std::move_only_function<void(engine::Done<Domains>)> start = [this, call](engine::Done<Domains> done) mutable {
    engine_.check_domains(call.tenant, std::move(done));
  };
  const auto domains = co_await net::ask<Domains>(*io, std::move(start), std::chrono::seconds(60));
  if (!domains.ok()) co_return problem(domains.error(), call);
  co_return HttpResponse::json(200, view(*domains));
}

}  // namespace daypass::api
