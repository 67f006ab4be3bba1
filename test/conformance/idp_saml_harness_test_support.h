// A SAML service provider, and a provider in memory that signs real assertions.
#pragma once

#include "conformance/idp_suite.h"
#include "idp/saml/saml.h"
#include "idp/saml/scripted_idp.h"

namespace daypass::idp::conformance {

class SamlHarness final : public Harness {
  using Say = saml::testing::Say;
  using minutes = std::chrono::minutes;

 public:
  SamlHarness() {
    core::IdpSpec spec;
    spec.name = "corp";
    spec.protocol = "saml";
    spec.issuer = "https://idp.example/saml";
    spec.saml.metadata = "http://127.0.0.1:8080/metadata";
    spec.subject_from = "NameID";
    spec.groups_from = "groups";
    driver_ = saml::make_saml_driver(
        clock_, entropy_, log_,
        [this](const Request&) -> base::Result<Reply> {
          if (away_) return *away_;
          ++fetches_;
          return Reply{200, "application/samlmetadata+xml", published_};
        },
        [](const core::TenantId&, const core::SecretRef&) {
          return base::Result<base::Secret>(base::Secret(std::string_view("x")));
        });
    provider_ = driver_->make(core::TenantId("default"), spec).value();
  }

  IdentityProvider& provider() override { return *provider_; }
  [[nodiscard]] LoginStart start() const override { return {Say{}.acs, false}; }
  [[nodiscard]] std::string subject() const override { return "e7f1"; }

  Callback sign_in(const std::string& url) override {
    const std::string query = url.substr(url.find('?') + 1);
    const auto fields = idp::testing::form_fields(query);
    const std::string xml = saml::inflate(base::base64_decode(fields.at("SAMLRequest")).value(), 100'000).value();
    Say say;
    say.now = clock_.wall();
    say.assertion_id = "_a" + std::to_string(++answers_);
    say.request = xml.substr(xml.find(" ID=\"") + 5, 33);
    say.response_answers = say.subject_answers = say.request;
    if (change_) change_(say);
    return {{{"SAMLResponse", base::base64_encode(edit_ ? edit_(idp_.response(say)) : idp_.response(say))},
             {"RelayState", fields.at("RelayState")}},
            true};
  }

  std::vector<Attack> attacks() override {
    const auto says = [this](std::function<void(Say&)> change) { return [this, change] { change_ = change; }; };
    const auto edits = [this](std::string what, std::string with) {
      return [this, what, with] {
        edit_ = [what, with](std::string xml) { return xml.replace(xml.find(what), what.size(), with); };
      };
    };
    return {
        {"wrong audience", says([](Say& s) { s.audience = "https://other.example"; }), {}, "saml.audience"},
        {"wrong issuer", says([](Say& s) { s.issuer = "https://evil.example"; }), {}, "saml.issuer"},
        {"wrong recipient", says([](Say& s) { s.recipient = "https://evil.example"; }), {}, "saml.recipient"},
        {"expired", says([](Say& s) { s.since = -minutes(5), s.until = -minutes(2); }), {}, "saml.expired"},
        {"from the future", says([](Say& s) { s.since = minutes(2); }), {}, "saml.not_yet_valid"},
        {"another request", says([](Say& s) { s.subject_answers = "_x"; }), {}, "saml.in_response_to"},
        {"no signature", says([](Say& s) { s.sign_response = s.sign_assertion = false; }), {}, "saml.unsigned"},
        {"another key", [this] { idp_.key = saml::testing::fresh_key("P-256"); }, {}, "xmldsig.signature"},
        {"another name", edits("e7f1", "admin"), {}, "xmldsig.digest"},
        {"a comment in the name", edits("e7f1", "e7f1<!-- -->.evil"), {}, "xml.forbidden"},
        {"a document type", edits("<samlp:Response", "<!DOCTYPE x><samlp:Response"), {}, "xml.forbidden"},
        {"a name for one session", says([](Say& s) { s.name_id_format = saml::transient_format; }), {}, "saml.name_id"},
        {"refused by the provider",
         says([](Say& s) { s.status = "urn:oasis:names:tc:SAML:2.0:status:Responder"; }),
         {},
         "saml.status"},
        {"by query", {}, [](Callback& c, Begun&) { c.posted = false; }, "saml.not_posted"},
        {"state of another login", {}, [](Callback& c, Begun&) { c.query[1].second += "x"; }, "saml.relay_state"},
        {"response twice", {}, [](Callback& c, Begun&) { c.query.push_back(c.query[0]); }, "saml.duplicate_parameter"},
        {"answer of another login",
         {},
         [this](Callback& c, Begun&) {
           const Begun other = provider_->begin(start(), budget).value();
           c.query[0].second = sign_in(other.authorization_url).query[0].second;
         },
         "saml.in_response_to"},
        {"record of another provider",
         {},
         [](Callback&, Begun& b) { b.pending.as_object()->set("idp", "other"); },
         "saml.pending"},
    };
  }

  void lose_metadata(bool timeout) override {
    away_ = timeout ? base::Error{base::Code::timeout, "http.timeout", "no answer in time"}
                    : base::Error{base::Code::unavailable, "http.connect", "connection refused"};
  }
  void lose_everything(bool timeout) override { lose_metadata(timeout); }
  void restore() override { away_.reset(); }
  void new_key(bool published) override {
    idp_.key = saml::testing::fresh_key("P-256");
    if (published) published_ = idp_.metadata();
  }
  void pass(base::Millis time) override { clock_.advance(time); }
  [[nodiscard]] int key_fetches() override { return fetches_; }
  [[nodiscard]] std::vector<std::string> secrets() const override { return {"PHNhbWxwOl", "<saml"}; }

 private:
  idp::testing::HandClock clock_;
  base::SeededEntropy entropy_{11};
  base::Log log_{clock_, base::Level::error, base::log_to_nowhere()};
  saml::testing::ScriptedIdp idp_;
  std::string published_ = idp_.metadata();
  std::function<void(Say&)> change_;
  std::function<std::string(std::string)> edit_;
  std::optional<base::Error> away_;
  std::atomic<int> fetches_ = 0;
  std::atomic<int> answers_ = 0;
  std::unique_ptr<idp::Driver> driver_;
  std::shared_ptr<IdentityProvider> provider_;
};

}  // namespace daypass::idp::conformance
