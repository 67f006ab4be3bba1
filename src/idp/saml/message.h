// The messages that Daypass sends as a SAML service provider: sign-in and logout requests, logout answers, metadata.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "crypto/xml_signature.h"
#include "idp/saml/metadata.h"

namespace daypass::idp::saml {

using crypto::xml::KeyPair;

constexpr base::Millis max_logout_age = std::chrono::minutes(5);  ///< of a logout message, by its IssueInstant

/// Our own side, for one provider of one tenant.
struct ServiceProvider {
  std::string entity_id;
  std::string acs;                ///< assertion consumer service, HTTP-POST
  std::string slo;                ///< single logout service, HTTP-Redirect and HTTP-POST
  std::span<const KeyPair> keys;  ///< the first signs; all are published and decrypt
};

struct SignInRequest {
  std::string id;
  base::WallTime now;
  std::string destination;
  std::string name_id_format;  ///< asked for; empty: none is
  bool force = false;
};

/// A message ready for a browser to carry.
struct Carried {
  std::string url;                                        ///< where to
  std::vector<std::pair<std::string, std::string>> form;  ///< posted there; empty: the URL is simply visited
};

/// An AuthnRequest (saml-core section 3.4.1) to `endpoint`, signed when there is a key: the query string by redirect
/// (saml-bindings section 3.4.4.1), the message itself by POST.
Carried sign_in(const ServiceProvider& sp, const SignInRequest& request, const Endpoint& endpoint,
                std::string_view relay_state);

/// A NameID as an assertion gave it; empty strings are left out.
struct NameId {
  std::string name, format, name_qualifier, sp_name_qualifier;
};

struct SignOutRequest {
  std::string id;
  base::WallTime now;
  NameId who;
  std::vector<std::string> session_indexes;  ///< empty: every session of that name
};
/// A LogoutRequest (saml-core section 3.7.1), signed and carried as sign_in() does. There must be a key.
Carried sign_out(const ServiceProvider& sp, const SignOutRequest& request, const Endpoint& endpoint);

struct LogoutReply {
  std::string id;
  base::WallTime now;
  std::string in_response_to;
};
/// A LogoutResponse that says success (saml-core section 3.7.3), signed and carried as sign_in() does, to the
/// endpoint's response location.
Carried logout_reply(const ServiceProvider& sp, const LogoutReply& answer, const Endpoint& endpoint,
                     std::string_view relay_state);

/// Our metadata, with an encryption key only where a key of ours can decrypt (RSA), signed by the first key.
std::string describe(const ServiceProvider& sp, std::string_view id, base::WallTime now);

/// Raw DEFLATE (RFC 1951), as the redirect binding has it.
std::string deflate(std::string_view text);
/// At most `most` bytes come out. Error: "saml.deflate".
base::Result<std::string> inflate(std::string_view packed, std::size_t most);

}  // namespace daypass::idp::saml
