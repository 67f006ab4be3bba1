// Single logout (saml-profiles-2.0-os section 4.4): whom a provider says that it has signed out, and what it says of a
// logout that was begun here.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "crypto/xml_signature.h"
#include "idp/idp.h"

namespace daypass::idp::saml {

struct LogoutExpected {
  std::string issuer;
  std::span<const crypto::xml::Certificate> keys;
  std::string destination;  ///< our URL that it came to
  base::WallTime now;
};

struct LogoutRequest {
  std::string id;
  std::string name_id;
  std::vector<std::string> session_indexes;  ///< empty: every session of that name
  base::WallTime issued_at{};
  std::string relay_state;  ///< to be given back
};

/// By POST the message is signed; by redirect the query is (saml-bindings section 3.4.4.1): its octets are taken as
/// they came, each parameter once. Unsigned is refused. Errors: "xml.*", "xmldsig.*", "saml.duplicate_parameter",
/// "saml.too_large", "saml.base64", "saml.deflate", and "saml.logout_" with shape, issuer, destination, expired, name.
base::Result<LogoutRequest> verify_logout_request(const LogoutMessage& message, const LogoutExpected& expected);

struct LogoutResponse {
  std::string in_response_to;
  LogoutOutcome outcome = LogoutOutcome::refused;
  std::string why;  ///< its status, for `refused`
};

/// The same of a LogoutResponse (saml-core section 3.7.3). Errors: as above, without name, and
/// "saml.logout_in_response_to" (it says of no request that it answers it).
base::Result<LogoutResponse> verify_logout_response(const LogoutMessage& message, const LogoutExpected& expected);

}  // namespace daypass::idp::saml
