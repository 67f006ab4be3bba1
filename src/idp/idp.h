// Port: one identity provider. Verifies everything, or returns the one check that failed. No switch turns a check off.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
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
  std::string state;          ///< also inside the URL or form; the key of the pending login
  base::json::Value pending;  ///< nonce, PKCE verifier, redirect_uri: to be stored sealed until the callback
  std::vector<std::pair<std::string, std::string>> form = {};  ///< to be posted to the URL; empty: it is visited
};

/// What came back to the redirect URI, decoded, in order, duplicates kept: its query, or the form that was posted.
struct Callback {
  std::vector<std::pair<std::string, std::string>> query;
  bool posted = false;
  /// For a test of the provider: told the verified claims before anything is made of them.
  std::function<void(const base::json::Value& claims)> verified = {};

  /// The pending login that it belongs to: `state`, or SAML's RelayState when posted. Empty when it names none, or more
  /// than one.
  [[nodiscard]] std::string state() const {
    const std::string_view name = posted ? "RelayState" : "state";
    std::string found;
    for (const auto& [key, value] : query) {
      if (key != name) continue;
      if (!found.empty()) return {};
      found = value;
    }
    return found;
  }
};

/// Something that may serve one login only, whatever else happens: an assertion's ID.
struct OneUse {
  std::string key;
  base::WallTime until;
};

/// What a provider says to one of our logout URLs: a form that was posted there, or a query.
struct LogoutMessage {
  std::vector<std::pair<std::string, std::string>> fields;  ///< decoded
  std::string raw_query;  ///< as it came, of a query: signatures of SAML's redirect binding are over these bytes
  bool posted = false;
  std::string base;  ///< <public>/t/<tenant>/idp/<name>
};

/// Who has signed out there, proven to be said by the provider.
struct SignedOut {
  std::string subject;                    ///< empty when only sessions are named
  std::vector<std::string> idp_sessions;  ///< empty: every session of the subject
  base::WallTime at;                      ///< sign-ins that are not later than this are over, too
  std::vector<OneUse> once;               ///< told twice is told once
  bool told_late = false;                 ///< may be days old: who is known to have signed in since goes on
  std::string answer_url;                 ///< where a browser carries our answer; empty: none is wanted
  std::vector<std::pair<std::string, std::string>> answer_form = {};
};

/// Signing out at the provider, begun here: the browser visits the URL, or posts the form there.
struct LogoutBegun {
  std::string url;
  std::vector<std::pair<std::string, std::string>> form = {};
  std::string key;  ///< by which its answer is told from every other
};

/// What a provider says of a logout that was begun here. `unsaid`: the protocol has no word for it.
enum class LogoutOutcome { signed_out, partly, refused, unsaid };
struct LogoutAnswer {
  std::string key;  ///< of the LogoutBegun that it answers
  LogoutOutcome outcome = LogoutOutcome::unsaid;
  std::string why;  ///< in the provider's words, for `refused`
};

/// The verified claims beside the identity made of them, for `idp test`.
struct Finished {
  core::Identity identity;
  base::json::Value claims;
  std::vector<OneUse> once = {};  ///< to be marked as used in the transaction that makes the login
  base::WallTime issued_at{};     ///< when the provider said it
  base::json::Value logout = {};  ///< what begin_logout() needs, to be kept sealed; null: the provider offers none
  base::Secret refresh = {};  ///< what renew() takes; the driver's own, kept sealed. Empty: the provider gave nothing
};

/// What a provider says of somebody who is signed in.
struct Renewed {
  /// Takes the place of the one that was used up, also when the rest failed. Empty: that one stays.
  base::Secret refresh = {};
  /// Who they are now; nullopt: they may go on, and nothing new is known of them. Errors: Code::ended when it is over
  /// ("idp.over": the provider says so; or the check for which a sign-in would be refused now). Every other: nobody
  /// could be asked, or the answer is not to be believed.
  base::Result<std::optional<core::Identity>> who = std::optional<core::Identity>{};
};

class IdentityProvider {
 public:
  virtual ~IdentityProvider() = default;
  virtual base::Result<Begun> begin(const LoginStart& start, Millis budget) = 0;
  virtual base::Result<Finished> finish(const Callback& callback, const base::json::Value& pending, Millis budget) = 0;
  /// Whether finish_unasked() is switched on.
  [[nodiscard]] virtual bool takes_unasked() const { return false; }
  /// A sign-in that began at the provider: verified like any other, and it must answer nobody. Whoever calls must have
  /// the person confirm it.
  virtual base::Result<Finished> finish_unasked(const Callback& callback, const std::string& redirect_uri,
                                                Millis budget) {
    static_cast<void>(callback), static_cast<void>(redirect_uri), static_cast<void>(budget);
    return base::Error{base::Code::denied, "idp.unasked", "sign-ins begin here, with daypass login"};
  }
  /// Signs somebody out at the provider; `login` is what their sign-in left in Finished::logout, `base` as in
  /// describe(). Error: "idp.no_logout" (it offers none, or none any more), and those of the provider's documents and
  /// keys.
  virtual base::Result<LogoutBegun> begin_logout(const base::json::Value& login, const std::string& base,
                                                 Millis budget) {
    static_cast<void>(login), static_cast<void>(base), static_cast<void>(budget);
    return base::Error{base::Code::not_found, "idp.no_logout", "the identity provider offers no sign-out"};
  }
  /// Verifies what came back from there to our logout URL. Whether anybody asked for it, the key tells the caller.
  virtual base::Result<LogoutAnswer> logout_answer(const LogoutMessage& message, Millis budget) {
    static_cast<void>(message), static_cast<void>(budget);
    return base::Error{base::Code::not_found, "idp.no_logout", "the identity provider offers no sign-out"};
  }
  /// Asks after somebody who is signed in: are they still, and who are they now? Never twice at once with one secret:
  /// the provider may take the second for a thief's. Error: "idp.no_renewal".
  virtual Renewed renew(const base::Secret& refresh, Millis budget) {
    static_cast<void>(refresh), static_cast<void>(budget);
    return {
        {},
        base::Error{base::Code::not_found, "idp.no_renewal", "this identity provider is not asked after a sign-in"}};
  }
  /// Verifies what came to our logout URL. Error: "idp.no_logout", or the check that failed.
  virtual base::Result<SignedOut> signed_out(const LogoutMessage& message, Millis budget) {
    static_cast<void>(message), static_cast<void>(budget);
    return base::Error{base::Code::not_found, "idp.no_logout", "this identity provider sends no logouts"};
  }
  /// What the provider's administrator gives to the provider to know us by, an XML document; `base` is
  /// <public>/t/<tenant>/idp/<name>. Error: "idp.no_metadata".
  [[nodiscard]] virtual base::Result<std::string> describe(const std::string& base) const {
    static_cast<void>(base);
    return base::Error{base::Code::not_found, "idp.no_metadata", "this identity provider needs no metadata of ours",
                       "register the redirect URI and the client id there"};
  }
  /// Fetches discovery and keys: is the provider there, and does it say what it must? For doctor and readiness.
  virtual base::Status probe(Millis budget) = 0;
};

/// Resolves a reference of a tenant; given by app/.
using SecretSource = std::function<base::Result<base::Secret>(const core::TenantId&, const core::SecretRef&)>;

class Driver {
 public:
  virtual ~Driver() = default;
  [[nodiscard]] virtual std::string protocol() const = 0;  ///< "oidc"
  [[nodiscard]] virtual base::Status validate(const core::IdpSpec& spec) const = 0;
  virtual base::Result<std::shared_ptr<IdentityProvider>> make(const core::TenantId& tenant,
                                                               const core::IdpSpec& spec) = 0;
};

}  // namespace daypass::idp
