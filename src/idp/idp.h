// Port: one identity provider. Verifies everything, or returns the one check that failed. No switch turns a check off.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "core/identity.h"
#include "core/spec.h"

namespace daypass::idp {

using base::Millis;

struct LoginStart {
  std::string redirect_uri;  ///< one per identity provider: <public>/t/<tenant>/idp/<name>/callback
  bool force = false;        ///< ask the person again even if the provider remembers them (prompt=login)
};

struct Begun {
  std::string authorization_url;
  std::string state;          ///< also inside the URL; the key of the pending login
  base::json::Value pending;  ///< nonce, PKCE verifier, redirect_uri: to be stored sealed until the callback
};

/// What came back to the redirect URI, decoded, in order, duplicates kept.
struct Callback {
  std::vector<std::pair<std::string, std::string>> query;
};

/// The verified claims beside the identity made of them, for `idp test`.
struct Finished {
  core::Identity identity;
  base::json::Value claims;
};

class IdentityProvider {
 public:
  virtual ~IdentityProvider() = default;
  virtual base::Result<Begun> begin(const LoginStart& start, Millis budget) = 0;
  virtual base::Result<Finished> finish(const Callback& callback, const base::json::Value& pending, Millis budget) = 0;
  /// Fetches discovery and keys: is the provider there, and does it say what it must? For doctor and readiness.
  virtual base::Status probe(Millis budget) = 0;
};

/// Resolves a SecretRef; given by app/.
using SecretSource = std::function<base::Result<base::Secret>(const core::SecretRef&)>;

class Driver {
 public:
  virtual ~Driver() = default;
  [[nodiscard]] virtual std::string protocol() const = 0;  ///< "oidc"
  [[nodiscard]] virtual base::Status validate(const core::IdpSpec& spec) const = 0;
  virtual base::Result<std::shared_ptr<IdentityProvider>> make(const core::TenantId& tenant,
                                                               const core::IdpSpec& spec) = 0;
};

}  // namespace daypass::idp
