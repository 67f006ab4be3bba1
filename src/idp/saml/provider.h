// One configured SAML identity provider, from AuthnRequest to Identity. Private to saml.cc.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/entropy.h"
#include "base/log.h"
#include "base/time.h"
#include "idp/cached.h"
#include "idp/fetch.h"
#include "idp/idp.h"
#include "idp/locked_entropy.h"
#include "idp/mapping.h"
#include "idp/saml/logout.h"
#include "idp/saml/message.h"
#include "idp/saml/metadata.h"
#include "idp/saml/response.h"

namespace daypass::idp::saml {

/// What all providers of a driver share. Providers keep it alive.
struct Shared {
  Shared(const base::Clock& c, base::Entropy& e, const base::Log& l, Fetch f, SecretSource s)
      : clock(c), entropy(e), log(l), fetch(std::move(f)), secrets(std::move(s)) {}

  const base::Clock& clock;
  LockedEntropy entropy;
  const base::Log& log;
  Fetch fetch;
  SecretSource secrets;

  std::string random_id();     ///< an ID of ours: "_" and 160 random bits
  std::string random_token();  ///< 256 bits
};

class Provider final : public IdentityProvider {
 public:
  Provider(std::shared_ptr<Shared> shared, core::TenantId tenant, core::IdpSpec spec, Mapping mapping);

  base::Result<Begun> begin(const LoginStart& start, Millis budget) override;
  base::Result<Finished> finish(const Callback& callback, const base::json::Value& pending, Millis budget) override;
  [[nodiscard]] bool takes_unasked() const override { return spec_.saml.idp_initiated; }
  base::Result<Finished> finish_unasked(const Callback& callback, const std::string& redirect_uri,
                                        Millis budget) override;
  base::Result<LogoutBegun> begin_logout(const base::json::Value& login, const std::string& base,
                                         Millis budget) override;
  base::Result<LogoutAnswer> logout_answer(const LogoutMessage& message, Millis budget) override;
  base::Result<SignedOut> signed_out(const LogoutMessage& message, Millis budget) override;
  [[nodiscard]] base::Result<std::string> describe(const std::string& base) const override;
  base::Status probe(Millis budget) override;

 private:
  struct Pending;
  using MetadataPtr = std::shared_ptr<const IdpMetadata>;
  [[nodiscard]] base::Result<Pending> read_pending(const base::json::Value& pending) const;
  /// The metadata in force: fetched when old, the last good one while that fails, never one that is over.
  base::Result<MetadataPtr> metadata(base::MonoTime deadline);
  /// Metadata fetched after `seen`, for a signature that fits none of its keys; `seen` when it is too soon.
  base::Result<MetadataPtr> newer_metadata(const MetadataPtr& seen, base::MonoTime deadline);
  base::Result<IdpMetadata> load(base::MonoTime deadline);
  [[nodiscard]] base::Result<std::vector<KeyPair>> keys() const;
  [[nodiscard]] std::string entity_id(const std::string& base) const;
  base::Result<Assertion> verify(const std::string& xml, const Pending& pending, base::MonoTime deadline);
  /// What a verified assertion becomes.
  base::Result<Finished> finished(const Assertion& assertion, base::MonoTime deadline);
  /// What came to our logout URL, by the keys in force, or by newer ones.
  template <class Message>
  base::Result<Message> verify_logout(base::Result<Message> (*verify)(const LogoutMessage&, const LogoutExpected&),
                                      const LogoutMessage& message, base::MonoTime deadline);
  base::Result<core::Identity> identity_of(const Assertion& assertion, Mapped mapped) const;

  std::shared_ptr<Shared> shared_;
  core::TenantId tenant_;
  core::IdpSpec spec_;
  Mapping mapping_;
  Cached<IdpMetadata> metadata_;
};

}  // namespace daypass::idp::saml
