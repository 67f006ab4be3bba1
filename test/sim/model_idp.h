// An identity provider that believes whatever name the callback carries: what is simulated is the engine's side of it.
#pragma once

#include "base/encoding.h"
#include "idp/idp.h"

namespace daypass::sim {

/// Three people: "ann" (group data), "bob" (group support), "eve" (no group).
class ModelIdp final : public idp::IdentityProvider {
 public:
  ModelIdp(core::TenantId tenant, const core::IdpSpec& spec, base::Entropy& entropy, bool generous)
      : tenant_(std::move(tenant)),
        name_(spec.name),
        entropy_(entropy),
        generous_(generous),
        unasked_(spec.display == "unasked") {}
  base::Result<idp::Begun> begin(const idp::LoginStart& start, idp::Millis) override {
    const std::string state = base::random_token(entropy_, 16);
    return idp::Begun{"https://idp.example/auth?state=" + state, state,
                      base::json::Object{{"redirect_uri", start.redirect_uri}, {"nonce", "n"}}};
  }
  base::Result<idp::Finished> finish(const idp::Callback& callback, const base::json::Value& pending,
                                     idp::Millis) override {
    if (pending.string_or("nonce") != "n") return base::Error{base::Code::invalid, "oidc.nonce", "no pending login"};
    return verified(callback);
  }
  [[nodiscard]] bool takes_unasked() const override { return unasked_; }
  base::Result<idp::Finished> finish_unasked(const idp::Callback& callback, const std::string& redirect_uri,
                                             idp::Millis) override {
    if (redirect_uri != "https://daypass.example/cb")
      return base::Error{base::Code::invalid, "saml.recipient", "for somebody else"};
    return verified(callback);
  }
  base::Result<idp::LogoutBegun> begin_logout(const base::json::Value& login, const std::string& base,
                                              idp::Millis) override {
    if (login.string_or("name") == "eve") return base::Error{base::Code::unavailable, "saml_metadata.fetch", "away"};
    const std::string key = base::random_token(entropy_, 16);
    return idp::LogoutBegun{
        "https://idp.example/logout?name=" + login.string_or("name") + "&back=" + base + "&key=" + key, {}, key};
  }
  base::Result<idp::LogoutAnswer> logout_answer(const idp::LogoutMessage& message, idp::Millis) override {
    idp::LogoutAnswer out;
    for (const auto& [key, value] : message.fields) {
      if (key == "key") out.key = value;
      if (key == "refused") out.outcome = idp::LogoutOutcome::refused, out.why = value;
      if (key == "forged") return base::Error{base::Code::unauthenticated, "xmldsig.signature", "forged"};
    }
    return out;
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
  /// The person that the callback names; "jti" may be said once, "logout" is kept for begin_logout().
  [[nodiscard]] base::Result<idp::Finished> verified(const idp::Callback& callback) const {
    core::Identity who;
    who.tenant = tenant_;
    who.idp = name_;
    idp::Finished out;
    for (const auto& [key, value] : callback.query) {
      if (key == "user") who.subject = value;
      if (key == "sid") who.idp_sessions.push_back(value);
      if (key == "signed_in") who.auth_time = base::parse_rfc3339(value).value();
      if (key == "jti") out.once.push_back({value, who.auth_time + std::chrono::hours(1)});
      if (key == "error") return base::Error{base::Code::denied, "oidc.error", "the provider refused"};
    }
    who.display = who.subject;
    if (who.subject == "ann" || generous_) who.groups = {"data"};
    if (who.subject == "bob") who.groups = {"support"};
    who.amr = {"pwd", "otp"};
    // Bob's provider offers no sign-out.
    if (who.subject != "bob") out.logout = base::json::Object{{"name", who.subject}};
    out.identity = std::move(who);
    return out;
  }

  core::TenantId tenant_;
  std::string name_;
  base::Entropy& entropy_;
  bool generous_, unasked_;
};

class ModelIdpDriver final : public idp::Driver {
 public:
  ModelIdpDriver(base::Entropy& entropy, bool generous) : entropy_(entropy), generous_(generous) {}
  [[nodiscard]] std::string protocol() const override { return "oidc"; }
  [[nodiscard]] base::Status validate(const core::IdpSpec&) const override { return {}; }
  base::Result<std::shared_ptr<idp::IdentityProvider>> make(const core::TenantId& tenant,
                                                            const core::IdpSpec& spec) override {
    return std::shared_ptr<idp::IdentityProvider>(std::make_shared<ModelIdp>(tenant, spec, entropy_, generous_));
  }

 private:
  base::Entropy& entropy_;
  bool generous_;  ///< for a mutant: everybody is in "data"
};

}  // namespace daypass::sim
