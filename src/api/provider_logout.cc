// Signing out at the identity provider: the browser is sent there with the one-use handle of a logout, and what the
// provider says ends on a page. And what a provider says by itself: logout signals.
#include "api/api.h"
#include "api/pages.h"
#include "net/ask.h"

namespace daypass::api {

using base::Code;
using base::Error;

namespace {

/// An answer to a sign-out that was begun here, and no signal: SAML's LogoutResponse, or the state of OpenID Connect's
/// RP-Initiated Logout.
bool is_answer(const idp::LogoutMessage& message) {
  return net::find(message.fields, "SAMLResponse") != nullptr ||
         (!message.posted && net::find(message.fields, "state") != nullptr);
}

HttpResponse outcome_page(const engine::ProviderLogout& said, const std::string& provider) {
  using idp::LogoutOutcome;
  const std::string name = "<b>" + net::html_escape(provider) + "</b>";
  const std::string over =
      "<p class=\"quiet\">Your Daypass login has ended in any case. You can close this window.</p>";
  switch (said.outcome) {
    case LogoutOutcome::signed_out:
      return page(200, "Signed out", "<p>" + name + " has signed you out.</p>" + over);
    case LogoutOutcome::partly:
      return page(200, "Signed out, but not everywhere",
                  "<p>" + name +
                      " has signed you out, but could not reach every application that you opened with it. Close the "
                      "browser to be sure.</p>" +
                      over);
    case LogoutOutcome::refused:
      return page(200, "Still signed in at the identity provider",
                  "<p>" + name + " has not signed you out. It says: <code>" + net::html_escape(said.why) +
                      "</code></p><p>Sign out there yourself.</p>" + over);
    case LogoutOutcome::unsaid:
      break;
  }
  return page(200, "Back from the identity provider",
              "<p>" + name +
                  " has sent you back. It does not say whether you are signed out there: if it asked and you said no, "
                  "you are not.</p>" +
                  over);
}

}  // namespace

awaitable<HttpResponse> Api::provider_logout(Call call) {
  const auto handle = call.request.query_one("handle");
  if (!handle.ok()) co_return failed_page(handle.error(), call.request, sign_out_failed);
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<engine::LoginBegun>)> start =
      [this, tenant = call.tenant, handle = handle->value_or(""),
       url = tenant_url(call.tenant)](engine::Done<engine::LoginBegun> done) mutable {
        engine_.begin_provider_logout(tenant, std::move(handle), std::move(url), std::move(done));
      };
  const auto begun = co_await net::ask<engine::LoginBegun>(*io, std::move(start), std::chrono::seconds(40));
  if (!begun.ok()) co_return failed_page(begun.error(), call.request, sign_out_failed);
  if (begun->form.empty()) co_return HttpResponse::redirect(begun->url);
  co_return posting_page("Sign out", "Your organisation's sign-out page comes next.", begun->url, begun->form);
}

awaitable<HttpResponse> Api::logout_answer(const Call& call, idp::LogoutMessage message) {
  const std::string idp = call.args.at(0);
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<engine::ProviderLogout>)> start =
      [this, tenant = call.tenant, idp,
       message = std::move(message)](engine::Done<engine::ProviderLogout> done) mutable {
        engine_.finish_provider_logout(tenant, idp, std::move(message), std::move(done));
      };
  const auto said = co_await net::ask<engine::ProviderLogout>(*io, std::move(start), std::chrono::seconds(40));
  if (!said.ok()) co_return failed_page(said.error(), call.request, sign_out_failed);
  co_return outcome_page(*said, display_of(call.tenant, idp));
}

awaitable<HttpResponse> Api::idp_logout(Call call) {
  idp::LogoutMessage message;
  message.base = tenant_url(call.tenant) + "/idp/" + call.args.at(0);
  message.posted = call.request.method == "POST";
  // Back-Channel Logout 1.0 section 2.8: errors are JSON, and nothing is cached.
  const auto refused = [&](const Error& error) {
    auto response = oauth_error(error, call.request.request_id);
    response.set_header("cache-control", "no-store");
    return response;
  };
  if (message.posted) {
    const auto form = call.request.form();
    if (!form.ok()) co_return refused(form.error());
    message.fields = *form;
  } else {
    message.fields = call.request.query;
    const std::size_t question = call.request.target.find('?');
    if (question != std::string::npos) message.raw_query = call.request.target.substr(question + 1);
  }
  if (is_answer(message)) co_return co_await logout_answer(call, std::move(message));
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<engine::SignalTaken>)> start =
      [this, tenant = call.tenant, idp = call.args.at(0),
       message = std::move(message)](engine::Done<engine::SignalTaken> done) mutable {
        engine_.logout_signal(tenant, idp, std::move(message), std::move(done));
      };
  const auto taken = co_await net::ask<engine::SignalTaken>(*io, std::move(start), std::chrono::seconds(40));
  if (!taken.ok()) co_return refused(taken.error());
  if (!taken->answer_url.empty() && taken->answer_form.empty()) co_return HttpResponse::redirect(taken->answer_url);
  if (!taken->answer_url.empty())
    co_return posting_page("Signed out", "You are signed out of Daypass.", taken->answer_url, taken->answer_form);
  HttpResponse response;
  response.status = 200;
  response.set_header("cache-control", "no-store");
  co_return response;
}

}  // namespace daypass::api
