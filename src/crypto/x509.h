// The little X.509 that Daypass makes itself: a P-256 server certificate for listeners that were given none, and key
// pairs of tenants.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"

namespace daypass::crypto {

struct CertificateAndKey {
  std::string certificate_pem;
  base::Secret key_pem;
};

/// Self-signed P-256 certificate valid for `names` (DNS names and IP addresses), usable as its own trust anchor, no CA.
/// At least one name must be printable ASCII of 1 to 253 characters; others are left out, for no client could match
/// them.
CertificateAndKey self_signed(const std::vector<std::string>& names, base::WallTime not_before,
                              base::WallTime not_after);

/// Self-signed RSA-3072 certificate of `name` (1 to 64 printable ASCII characters), to carry a public key to whoever
/// verifies or encrypts with it: SAML metadata, private_key_jwt. No TLS server's.
CertificateAndKey self_signed_rsa(const std::string& name, base::WallTime not_before, base::WallTime not_after);

/// tls-server-end-point channel binding of a PEM certificate (RFC 5929 section 4.1): raw bytes. Errors: "x509.pem",
/// "x509.no_digest" (an Ed25519 signature, for which the RFC defines none).
base::Result<std::string> server_end_point(const std::string& certificate_pem);

}  // namespace daypass::crypto
