// Every identity-provider driver passes one suite.
#include "conformance/idp_oidc_harness_test_support.h"
#include "conformance/idp_saml_harness_test_support.h"
#include "conformance/idp_suite.h"

namespace daypass::idp::conformance {

INSTANTIATE_TEST_SUITE_P(Protocols, IdpSuite,
                         ::testing::Values(Driver{"oidc", [] { return std::make_unique<OidcHarness>(); }},
                                           Driver{"saml", [] { return std::make_unique<SamlHarness>(); }}),
                         [](const auto& info) { return info.param.name; });

}  // namespace daypass::idp::conformance
