// One configured identity provider: the authorization code flow with PKCE, from redirect to Identity. Private to
// oidc.cc.
#pragma once

#include <memory>
#include <string>

#include "base/entropy.h"
#include "base/log.h"
#include "base/time.h"
#include "idp/fetch.h"
#include "idp/idp.h"
#include "idp/locked_entropy.h"
#include "idp/mapping.h"
#include "idp/oidc/metadata.h"
#include "idp/oidc/token.h"
#include "idp/oidc/verify.h"

namespace daypass::idp::oidc {

/// What all providers of a driver share. Providers keep it alive.
struct Shared {
  Shared(const base::Clock& c, base::Entropy& e, const base::Log& l, Fetch f, SecretSource s)
      : clock(c), entropy(e), log(l), fetch(std::move(f)), secrets(std::move(s)), shelf(c, l, fetch) {}

  const base::Clock& clock;
  LockedEntropy entropy;
  const base::Log& log;
  Fetch fetch;
  SecretSource secrets;
  MetadataShelf shelf;
};

class Provider final : public IdentityProvider {
 public:
  Provider(std::shared_ptr<Shared> shared, core::TenantId tenant, core::IdpSpec spec, Mapping mapping);

  base::Result<Begun> begin(const LoginStart& start, Millis budget) override;
  base::Result<Finished> finish(const Callback& callback, const base::json::Value& pending, Millis budget) override;
  base::Result<LogoutBegun> begin_logout(const base::json::Value& login, const std::string& base,
                                         Millis budget) override;
  base::Result<LogoutAnswer> logout_answer(const LogoutMessage& message, Millis budget) override;
  base::Result<SignedOut> signed_out(const LogoutMessage& message, Millis budget) override;
  Renewed renew(const base::Secret& refresh, Millis budget) override;
  base::Status probe(Millis budget) override;

 private:
  struct Pending;
  base::Result<Begun> begin_checked(const LoginStart& start, Millis budget);
  base::Result<Finished> finish_checked(const Callback& callback, const base::json::Value& pending, Millis budget);
  base::Result<SignedOut> signed_out_checked(const LogoutMessage& message, Millis budget);
  [[nodiscard]] base::Result<Pending> read_pending(const base::json::Value& pending) const;
  base::Result<Tokens> exchange(const Discovery& discovery, const std::string& code, const Pending& pending,
                                base::MonoTime deadline);
  base::Result<Tokens> use_refresh_token(const Discovery& discovery, const base::Secret& token,
                                         base::MonoTime deadline);
  base::Result<base::json::Value> verify(const Tokens& tokens, Expect expect, base::MonoTime deadline);
  /// Null where the tenant does not want it.
  base::Result<base::json::Value> userinfo(const Discovery& discovery, const Tokens& tokens,
                                           const base::json::Value& id_claims, base::MonoTime deadline);
  /// Userinfo and fetched groups with them.
  base::Result<base::json::Value> all_claims(const Tokens& tokens, const base::json::Value& id_claims,
                                             const base::json::Value& userinfo, base::MonoTime deadline);
  [[nodiscard]] base::Result<base::Secret> client_secret() const;
  Request request_to(std::string url, base::MonoTime deadline) const;

  std::shared_ptr<Shared> shared_;
  core::TenantId tenant_;
  core::IdpSpec spec_;
  Mapping mapping_;
  std::shared_ptr<Metadata> metadata_;
};

}  // namespace daypass::idp::oidc
