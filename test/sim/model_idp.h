// An identity provider that believes whatever name the callback carries: what is simulated is the engine's side of it.
#pragma once

#include "base/encoding.h"
#include "idp/idp.h"

namespace daypass::sim {

/// Three people: "ann" (group data), "bob" (group support), "eve" (no group).
class ModelIdp final : public idp::IdentityProvider {
 public:
  ModelIdp(core::TenantId tenant, std::string name, base::Entropy& entropy, bool generous)
      : tenant_(std::move(tenant)), name_(std::move(name)), entropy_(entropy), generous_(generous) {}
  base::Result<idp::Begun> begin(const idp::LoginStart& start, idp::Millis) override {
    const std::string state = base::random_token(entropy_, 16);
    return idp::Begun{"https://idp.example/auth?state=" + state, state,
                      base::json::Object{{"redirect_uri", start.redirect_uri}, {"nonce", "n"}}};
  }
  base::Result<idp::Finished> finish(const idp::Callback& callback, const base::json::Value& pending,
                                     idp::Millis) override {
    if (pending.string_or("nonce") != "n") return base::Error{base::Code::invalid, "oidc.nonce", "no pending login"};
    core::Identity who;
    who.tenant = tenant_;
    who.idp = name_;
    for (const auto& [key, value] : callback.query) {
      if (key == "user") who.subject = value;
      if (key == "sid") who.idp_sessions.push_back(value);
      if (key == "signed_in") who.auth_time = base::parse_rfc3339(value).value();
      if (key == "error") return base::Error{base::Code::denied, "oidc.error", "the provider refused"};
    }
    who.display = who.subject;
    if (who.subject == "ann" || generous_) who.groups = {"data"};
    if (who.subject == "bob") who.groups = {"support"};
    who.amr = {"pwd", "otp"};
    return idp::Finished{who, base::json::Object{}};
  }
  base::Result<idp::SignedOut> signed_out(const idp::LogoutMessage& message, idp::Millis) override {
    idp::SignedOut out;
    for (const auto& [key, value] : message.fields) {
      if (key == "user") out.subject = value;
      if (key == "sid") out.idp_sessions.push_back(value);
      if (key == "at") out.at = base::parse_rfc3339(value).value();
      if (key == "jti") out.once.push_back({value, out.at + std::chrono::hours(1)});
      if (key == "forged") return base::Error{base::Code::unauthenticated, "jws.signature", "forged"};
    }
    return out;
  }
  base::Status probe(idp::Millis) override { return {}; }

 private:
  core::TenantId tenant_;
  std::string name_;
  base::Entropy& entropy_;
  bool generous_;
};

class ModelIdpDriver final : public idp::Driver {
 public:
  ModelIdpDriver(base::Entropy& entropy, bool generous) : entropy_(entropy), generous_(generous) {}
  [[nodiscard]] std::string protocol() const override { return "oidc"; }
  [[nodiscard]] base::Status validate(const core::IdpSpec&) const override { return {}; }
  base::Result<std::shared_ptr<idp::IdentityProvider>> make(const core::TenantId& tenant,
                                                            const core::IdpSpec& spec) override {
    return std::shared_ptr<idp::IdentityProvider>(std::make_shared<ModelIdp>(tenant, spec.name, entropy_, generous_));
  }

 private:
  base::Entropy& entropy_;
  bool generous_;  ///< for a mutant: everybody is in "data"
};

}  // namespace daypass::sim
