// An identity provider that believes whatever name the callback carries: what is simulated is the engine's side of it.
// With `refresh` in the callback it gives tokens to ask after the sign-in, each good for one question.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "base/encoding.h"
#include "idp/idp.h"

namespace daypass::sim {

/// What the provider knows: outlives our process.
struct ModelProvider {
  /// One sign-in that can be asked after. A token serves once.
  struct SignIn {
    core::Identity who;
    int used = 0;            ///< how many tokens; the next one to be taken
    std::uint64_t life = 0;  ///< of our process, that used the last one
    bool over = false, lost = false;
  };
  bool up = true;
  bool lose_next = false;           ///< takes the next token, and its answer is lost
  bool indulgent = false;           ///< for a mutant: who asks is told that all is well
  std::set<std::string> moved_out;  ///< people who are in no group any more
  std::map<std::string, SignIn> sign_ins;
  std::function<std::uint64_t()> life = [] { return std::uint64_t{0}; };
  std::function<void(const std::string& sign_in)> confirmed = [](const std::string&) {};
  std::function<void(const std::string& sign_in)> used_twice = [](const std::string&) {};
};

/// Three people: "ann" (group data), "bob" (group support), "eve" (no group).
class ModelIdp final : public idp::IdentityProvider {
 public:
  ModelIdp(core::TenantId tenant, const core::IdpSpec& spec, base::Entropy& entropy, bool generous,
           ModelProvider& provider)
      : tenant_(std::move(tenant)),
        name_(spec.name),
        entropy_(entropy),
        generous_(generous),
        unasked_(spec.display == "unasked"),
        provider_(provider) {}
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
  idp::Renewed renew(const base::Secret& refresh, idp::Millis) override {
    const std::string text(refresh.reveal());
    const std::string name = text.substr(0, text.find('#'));
    ModelProvider::SignIn& s = provider_.sign_ins.at(name);
    if (!provider_.up && !provider_.indulgent)
      return {{}, base::Error{base::Code::timeout, "idp.down", "the provider does not answer"}};
    const bool again = text != token(name, s.used).reveal();
    if (again && !s.lost && s.life == provider_.life()) provider_.used_twice(name);
    if ((s.over || again) && !provider_.indulgent) {
      s.over = true;
      return {{}, base::Error{base::Code::ended, "idp.over", "the provider has ended it"}};
    }
    s.life = provider_.life();
    ++s.used;
    s.lost = std::exchange(provider_.lose_next, false);
    if (s.lost) return {{}, base::Error{base::Code::timeout, "idp.lost", "its answer did not come"}};
    if (provider_.up && !s.over) provider_.confirmed(name);
    s.who.groups = groups_of(s.who.subject);
    return {token(name, s.used), std::optional<core::Identity>(s.who)};
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
  /// The person that the callback names; "refresh" names the sign-in that renew() asks after, "jti" may be said once,
  /// "logout" is kept for begin_logout().
  [[nodiscard]] base::Result<idp::Finished> verified(const idp::Callback& callback) {
    core::Identity who;
    who.tenant = tenant_;
    who.idp = name_;
    idp::Finished out;
    std::string sign_in;
    for (const auto& [key, value] : callback.query) {
      if (key == "user") who.subject = value;
      if (key == "sid") who.idp_sessions.push_back(value);
      if (key == "signed_in") who.auth_time = base::parse_rfc3339(value).value();
      if (key == "refresh") sign_in = value;
      if (key == "jti") out.once.push_back({value, who.auth_time + std::chrono::hours(1)});
      if (key == "error") return base::Error{base::Code::denied, "oidc.error", "the provider refused"};
    }
    who.display = who.subject;
    out.claims = base::json::Object{{"sub", who.subject}};
    if (callback.verified) callback.verified(out.claims);
    if (who.subject == "nobody") return base::Error{base::Code::denied, "mapping.required", "the claim is missing"};
    who.groups = groups_of(who.subject);
    who.amr = {"pwd", "otp"};
    // Bob's provider offers no sign-out.
    if (who.subject != "bob") out.logout = base::json::Object{{"name", who.subject}};
    if (!sign_in.empty()) {
      provider_.sign_ins[sign_in].who = who;
      provider_.confirmed(sign_in);
      out.refresh = token(sign_in, 0);
    }
    out.identity = std::move(who);
    return out;
  }

  static base::Secret token(const std::string& sign_in, int n) {
    return base::Secret(sign_in + "#" + std::to_string(n));
  }
  std::set<std::string> groups_of(const std::string& person) const {
    if (provider_.moved_out.contains(person)) return {};
    if (person == "ann" || generous_) return {"data"};
    if (person == "bob") return {"support"};
    return {};
  }
  core::TenantId tenant_;
  std::string name_;
  base::Entropy& entropy_;
  bool generous_, unasked_;
  ModelProvider& provider_;
};

class ModelIdpDriver final : public idp::Driver {
 public:
  ModelIdpDriver(base::Entropy& entropy, bool generous, ModelProvider& provider)
      : entropy_(entropy), generous_(generous), provider_(provider) {}
  [[nodiscard]] std::string protocol() const override { return "oidc"; }
  [[nodiscard]] base::Status validate(const core::IdpSpec&) const override { return {}; }
  base::Result<std::shared_ptr<idp::IdentityProvider>> make(const core::TenantId& tenant,
                                                            const core::IdpSpec& spec) override {
    return std::shared_ptr<idp::IdentityProvider>(
        std::make_shared<ModelIdp>(tenant, spec, entropy_, generous_, provider_));
  }

 private:
  base::Entropy& entropy_;
  bool generous_;  ///< for a mutant: everybody is in "data"
  ModelProvider& provider_;
};

}  // namespace daypass::sim
