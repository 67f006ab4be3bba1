// One Response, from the posted form to the assertion: what a sign-in costs in verification.
#include <benchmark/benchmark.h>

#include "idp/saml/response.h"
#include "idp/saml/scripted_idp.h"

namespace daypass::idp::saml {
namespace {

void response(benchmark::State& state, bool sign_response, bool sign_assertion) {
  static const auto idp = [] {
    testing::ScriptedIdp made;
    made.key = testing::fresh_key("RSA");
    return made;
  }();
  testing::Say say;
  say.now = base::parse_rfc3339("2026-11-29T12:00:00Z").value();
  say.sign_response = sign_response;
  say.sign_assertion = sign_assertion;
  const std::string field = base::base64_encode(idp.response(say));
  const std::vector<Certificate> keys = {idp.key.certificate()};
  Expected expected;
  expected.issuer = say.issuer;
  expected.keys = keys;
  expected.sp_entity_id = say.audience;
  expected.acs = say.acs;
  expected.request_id = say.request;
  expected.now = say.now;
  for (auto _ : state) {
    const auto assertion = verify_response(decode_response(field).value(), expected);
    if (!assertion.ok()) state.SkipWithError(assertion.error().check.c_str());
  }
}
BENCHMARK_CAPTURE(response, assertion_signed, false, true);
BENCHMARK_CAPTURE(response, response_signed, true, false);
BENCHMARK_CAPTURE(response, both_signed, true, true);

}  // namespace
}  // namespace daypass::idp::saml
