#include "idp/fetch.h"

#include <algorithm>

#include "idp/url.h"

namespace daypass::idp {

using base::Code;
using base::Error;
using base::Millis;
using base::MonoTime;
using base::Result;

namespace {

std::string host_of(const std::string& url) {
  const auto parsed = parse_url(url);
  return parsed ? parsed->host : std::string("?");
}

}  // namespace

Error no_answer_in_time(const std::string& family) {
  return Error{Code::timeout, family + ".fetch", "the identity provider did not answer in time",
               "try again; daypass doctor tells whether it can be reached"};
}

Reach Reach::of(const core::IdpSpec& spec, const std::string& address) {
  const auto url = parse_url(address);
  return {spec.ca_file, spec.allowed_hosts, url && url->loopback(), url && !url->https && url->loopback()};
}

void Reach::apply(Request& request) const {
  request.ca_file = ca_file;
  request.allowed_hosts = allowed_hosts;
  request.loopback = loopback;
  request.loopback_http = loopback_http;
}

Millis remaining(const base::Clock& clock, MonoTime deadline, Millis cap) {
  const auto left = std::chrono::floor<Millis>(deadline - clock.mono());
  return std::clamp(left, Millis(0), cap);
}

Result<Reply> fetch_any(const Fetch& fetch, const Request& request, const std::string& family) {
  if (request.timeout <= Millis(0)) return no_answer_in_time(family);
  auto reply = fetch(request);
  if (!reply.ok()) {
    const Error& error = reply.error();
    if (error.check == "http.too_large") return Error{Code::unavailable, family + ".too_large", error.message};
    if (error.check == "http.egress")
      return Error{Code::unavailable, family + ".egress", error.message,
                   "if it is meant to be inside your network, name it in allowed_hosts of this identity provider"};
    const Code code = error.code == Code::timeout ? Code::timeout : Code::unavailable;
    return Error{code, family + ".fetch", host_of(request.url) + " gave no answer: " + error.message, error.hint};
  }
  // The client stops reading at the cap; a Fetch that does not is held to it here.
  if (reply->body.size() > request.max_bytes)
    return Error{Code::unavailable, family + ".too_large",
                 host_of(request.url) + " answered more than " + std::to_string(request.max_bytes) + " bytes"};
  return reply;
}

Result<Reply> fetch_ok(const Fetch& fetch, const Request& request, const std::string& family) {
  DP_TRY(auto reply, fetch_any(fetch, request, family));
  if (reply.status != 200)
    return Error{
        Code::unavailable, family + ".status",
        host_of(request.url) + " answered HTTP " + std::to_string(reply.status) + ", expected 200",
        reply.status / 100 == 3 ? "redirects are not followed: configure the address that it redirects to" : ""};
  return reply;
}

}  // namespace daypass::idp
