// A sign-in at an identity provider before it is applied: begun and read by an administrator, walked through by a
// browser.
#include "api/api.h"
#include "api/pages.h"
#include "api/views.h"
#include "net/ask.h"

namespace daypass::api {

namespace json = base::json;

namespace {

/// Whose test it is: another login of the same person is somebody else.
std::string owner_of(const Caller& caller) {
  return caller.is_operator ? std::string(engine::operator_actor) : caller.session->id.str();
}

}  // namespace

awaitable<HttpResponse> Api::begin_test(Call call) {
  const std::string name = call.args.at(0);
  engine::BeginTrial begin;
  begin.tenant = call.tenant;
  begin.idp = name;
  begin.redirect_uri = tenant_url(call.tenant) + "/idp/" + name + "/callback";
  begin.owner = owner_of(call.caller);
  begin.actor = call.caller.actor();
  const auto body = call.request.json();
  if (!body.ok()) co_return HttpResponse::problem(body.error(), call.request.request_id);
  if (body->find("files") != nullptr) {
    auto texts = files_of(*body);
    if (!texts.ok()) co_return HttpResponse::problem(texts.error(), call.request.request_id);
    begin.files = std::move(*texts);
  }
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<engine::Trial>)> start = [this,
                                                                      begin](engine::Done<engine::Trial> done) mutable {
    engine_.begin_trial(std::move(begin), std::move(done));
  };
  const auto begun = co_await net::ask<engine::Trial>(*io, std::move(start), std::chrono::seconds(40));
  if (!begun.ok()) co_return HttpResponse::problem(begun.error(), call.request.request_id);
  json::Value answer = view(*begun);
  answer.as_object()->set("idp", name);
  answer.as_object()->set("redirect_uri", begin.redirect_uri);
  if (begun->problems.empty() && begun->state == engine::Trial::State::waiting)
    answer.as_object()->set("url", tenant_url(call.tenant) + "/idp/" + name + "/test?key=" + begun->key);
  co_return HttpResponse::json(begun->problems.empty() ? 200 : 422, answer);
}

awaitable<HttpResponse> Api::idp_test(Call call) {
  const auto trial = engine_.trial(call.tenant, call.args.at(0), call.args.at(1), owner_of(call.caller));
  if (!trial.ok()) co_return HttpResponse::problem(trial.error(), call.request.request_id);
  json::Value answer = view(*trial);
  answer.as_object()->set("idp", call.args.at(0));
  co_return HttpResponse::json(200, answer);
}

awaitable<HttpResponse> Api::enter_test(Call call) {
  const std::string& idp = call.args.at(0);
  const auto key = call.request.query_one("key"), go = call.request.query_one("go");
  for (const auto* one : {&key, &go})
    if (!one->ok()) co_return failed_page(one->error(), call.request);
  const std::string typed = key->value_or("");
  if (!*go) {
    // Whoever is sent such an address by somebody else learns first who will read what the provider says.
    const auto entry = engine_.enter_trial(call.tenant, idp, typed, std::nullopt);
    if (!entry.ok()) co_return failed_page(entry.error(), call.request);
    co_return page(200, "Test a sign-in",
                   "<p><b>" + net::html_escape(entry->actor) + "</b> tests the identity provider <b>" +
                       net::html_escape(idp) +
                       "</b>. Who goes on signs in there, and what it then says about them is shown to <b>" +
                       net::html_escape(entry->actor) +
                       "</b>. Nobody is signed in to Daypass by it.</p><p><a class=\"idp\" href=\"?" +
                       net::html_escape(net::encode_query({{"key", typed}, {"go", "1"}})) + "\">Go on</a></p>");
  }
  const std::string browser = browser_of(call.request);
  const auto entry = engine_.enter_trial(call.tenant, idp, typed, browser);
  if (!entry.ok()) co_return failed_page(entry.error(), call.request);
  co_return to_provider(entry->begun, browser);
}

}  // namespace daypass::api
