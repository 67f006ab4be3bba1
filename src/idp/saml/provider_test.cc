// A configured provider: settings, requests, answers to them, and what becomes of the names and attributes.
#include <gtest/gtest.h>

#include <map>

#include "base/log.h"
#include "idp/saml/saml.h"
#include "idp/saml/scripted_idp.h"
#include "idp/url.h"

namespace daypass::idp::saml {
namespace {

using idp::testing::form_fields;
using idp::testing::HandClock;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::fresh_pem;
using testing::Say;
using testing::ScriptedIdp;

class SamlProvider : public ::testing::Test {
 protected:
  SamlProvider() {
    spec.name = "corp";
    spec.protocol = "saml";
    spec.issuer = "https://idp.example/saml";
    spec.saml.metadata = "file:/idp.xml";
    spec.saml.name_id_format = persistent_format;
    spec.subject_from = "NameID";
    spec.groups_from = "groups";
    spec.attributes = {
        {.attribute = "department", .from = "department", .type = core::AttributeType::string, .pattern = {}}};
    files["file:/idp.xml"] = idp.metadata();
  }

  std::unique_ptr<Driver> driver = make_saml_driver(
      clock, entropy, log,
      [this](const Request& request) -> base::Result<Reply> {
        ++fetches;
        last = request.url;
        if (down) return base::Error{base::Code::unavailable, "http.connect", "nobody there"};
        return Reply{200, "application/samlmetadata+xml", files["url"]};
      },
      [this](const core::TenantId&, const core::SecretRef& ref) -> base::Result<base::Secret> {
        if (!files.contains(ref.ref)) return base::Error{base::Code::invalid, "secret.file", "not there"};
        return base::Secret(files[ref.ref]);
      });

  std::shared_ptr<IdentityProvider> made() { return driver->make(core::TenantId("default"), spec).value(); }
  std::string valid() const {
    const auto status = driver->validate(spec);
    return status.ok() ? "ok" : status.error().check;
  }

  const std::string base = "https://daypass.example/t/default/idp/corp";
  const LoginStart start{.redirect_uri = base + "/callback", .force = false};
  static constexpr Millis budget = seconds(20);

  /// What the provider was asked, read back from the URL.
  static std::string request_of(const std::string& url) {
    const auto fields = form_fields(url.substr(url.find('?') + 1));
    return inflate(base::base64_decode(fields.at("SAMLRequest")).value(), 100'000).value();
  }
  static std::string attribute(const std::string& xml, const std::string& name) {
    const std::size_t at = xml.find(" " + name + "=\"");
    if (at == std::string::npos) return {};
    const std::size_t begin = at + name.size() + 3;
    return xml.substr(begin, xml.find('"', begin) - begin);
  }
  Say answer_to(const Begun& begun) const {
    Say say;
    say.now = clock.wall();
    say.request = attribute(request_of(begun.authorization_url), "ID");
    say.response_answers = say.subject_answers = say.request;
    return say;
  }
  static Callback posted(const std::string& xml, const std::string& state) {
    return {{{"SAMLResponse", base::base64_encode(xml)}, {"RelayState", state}}, true};
  }
  base::Result<Finished> login(const std::function<void(Say&)>& change = {}) {
    const auto provider = made();
    const auto begun = provider->begin(start, budget);
    if (!begun.ok()) return begun.error();
    Say say = answer_to(*begun);
    if (change) change(say);
    return provider->finish(posted(idp.response(say), begun->state), begun->pending, budget);
  }
  std::string outcome(const std::function<void(Say&)>& change = {}) {
    const auto finished = login(change);
    return finished.ok() ? "ok" : finished.error().check;
  }

  HandClock clock;
  base::SeededEntropy entropy{11};
  base::Log log{clock, base::Level::error, base::log_to_nowhere()};
  ScriptedIdp idp;
  core::IdpSpec spec;
  std::map<std::string, std::string> files;
  int fetches = 0;
  bool down = false;
  std::string last;
};

TEST_F(SamlProvider, AnHonestPersonSignsIn) {
  const auto finished = login([](Say& say) { say.session_until = minutes(30); });
  ASSERT_TRUE(finished.ok()) << finished.error().check << ": " << finished.error().message;
  const core::Identity& who = finished->identity;
  EXPECT_EQ(who.tenant.str(), "default");
  EXPECT_EQ(who.principal(), "corp/e7f1");
  EXPECT_EQ(who.groups, (std::set<std::string>{"a", "b"}));
  EXPECT_EQ(std::get<std::string>(who.attributes.at("department")), "data");
  EXPECT_EQ(who.acr, "urn:oasis:names:tc:SAML:2.0:ac:classes:TimeSyncToken");
  EXPECT_EQ(who.idp_sessions, std::vector<std::string>{"_s1"});
  EXPECT_EQ(who.auth_time, clock.wall() - seconds(10));
  EXPECT_EQ(who.not_after, clock.wall() + minutes(30));
  ASSERT_EQ(finished->once.size(), 1U);
  EXPECT_EQ(finished->once[0].until, clock.wall() + minutes(7));
}

TEST_F(SamlProvider, AsksByRedirect) {
  const auto provider = made();
  const auto begun = provider->begin(start, budget);
  ASSERT_TRUE(begun.ok()) << begun.error().message;
  EXPECT_TRUE(begun->form.empty());
  EXPECT_TRUE(begun->authorization_url.starts_with("https://idp.example/sso?SAMLRequest="));
  const std::string xml = request_of(begun->authorization_url);
  EXPECT_EQ(attribute(xml, "AssertionConsumerServiceURL"), base + "/callback");
  EXPECT_EQ(attribute(xml, "Destination"), "https://idp.example/sso");
  EXPECT_EQ(attribute(xml, "IssueInstant"), base::to_rfc3339(clock.wall()));
  EXPECT_EQ(attribute(xml, "Format"), persistent_format);
  EXPECT_EQ(attribute(xml, "ForceAuthn"), "");
  EXPECT_NE(xml.find(">" + base + "/metadata</saml:Issuer>"), std::string::npos);
  const auto fields = form_fields(begun->authorization_url.substr(begun->authorization_url.find('?') + 1));
  EXPECT_EQ(fields.at("RelayState"), begun->state);
  EXPECT_FALSE(fields.contains("Signature"));
  LoginStart forced = start;
  forced.force = true;
  EXPECT_EQ(attribute(request_of(provider->begin(forced, budget)->authorization_url), "ForceAuthn"), "true");
}

TEST_F(SamlProvider, SignsWhatItAsks) {
  for (const char* kind : {"RSA", "P-256"}) {
    files["file:/sp.pem"] = fresh_pem(kind);
    spec.saml.sp_keys = {"file:/sp.pem"};
    const auto key = KeyPair::from_pem(base::Secret(files["file:/sp.pem"])).value();
    const std::vector<Certificate> keys = {key.certificate()};
    files["file:/idp.xml"] = idp.metadata();
    const std::string url = made()->begin(start, budget)->authorization_url;
    const std::string query = url.substr(url.find('?') + 1);
    const auto fields = form_fields(query);
    const std::string octets = query.substr(0, query.find("&Signature="));
    EXPECT_TRUE(crypto::xml::verify_octets(fields.at("SigAlg"), octets,
                                           base::base64_decode(fields.at("Signature")).value(), keys)
                    .ok());
    // By POST, when the provider has nothing else.
    std::string xml = idp.metadata();
    const std::size_t at = xml.find("HTTP-Redirect");
    files["file:/idp.xml"] = xml.replace(at, 13, "HTTP-POST");
    const auto begun = made()->begin(start, budget);
    ASSERT_TRUE(begun.ok());
    EXPECT_EQ(begun->authorization_url, "https://idp.example/sso");
    ASSERT_EQ(begun->form.size(), 2U);
    EXPECT_EQ(begun->form[0].first, "SAMLRequest");
    EXPECT_EQ(begun->form[1], (std::pair<std::string, std::string>{"RelayState", begun->state}));
    const auto document = crypto::xml::Document::parse(base::base64_decode(begun->form[0].second).value()).value();
    EXPECT_TRUE(crypto::xml::verify_enveloped(document, document.root(), keys).ok());
  }
}

TEST_F(SamlProvider, ThatWantsSignedRequestsNeedsAKey) {
  std::string xml = idp.metadata();
  const std::string_view tag = "<md:IDPSSODescriptor ";
  files["file:/idp.xml"] = xml.insert(xml.find(tag) + tag.size(), "WantAuthnRequestsSigned=\"true\" ");
  EXPECT_EQ(made()->begin(start, budget).error().check, "saml.sp_key_missing");
  files["file:/sp.pem"] = fresh_pem("P-256");
  spec.saml.sp_keys = {"file:/sp.pem"};
  EXPECT_TRUE(made()->begin(start, budget).ok());
  spec.saml.sp_keys = {"file:/gone.pem"};
  EXPECT_EQ(made()->begin(start, budget).error().check, "secret.file");
}

TEST_F(SamlProvider, PublishesItsOwnMetadata) {
  files["file:/one.pem"] = fresh_pem("RSA");
  files["file:/two.pem"] = fresh_pem("P-256");
  spec.saml.sp_keys = {"file:/one.pem", "file:/two.pem"};
  const auto xml = made()->describe(base);
  ASSERT_TRUE(xml.ok());
  const auto document = crypto::xml::Document::parse(*xml).value();
  const auto one = KeyPair::from_pem(base::Secret(files["file:/one.pem"])).value();
  const std::vector<Certificate> keys = {one.certificate()};
  ASSERT_TRUE(crypto::xml::verify_enveloped(document, document.root(), keys).ok());
  EXPECT_EQ(*document.root().attribute("entityID"), base + "/metadata");
  const auto* role = document.root().child(metadata_ns, "SPSSODescriptor");
  ASSERT_NE(role, nullptr);
  EXPECT_EQ(role->count(metadata_ns, "KeyDescriptor"), 3U) << "two to sign, and the RSA one to decrypt";
  EXPECT_EQ(*role->child(metadata_ns, "AssertionConsumerService")->attribute("Location"), base + "/callback");
  spec.saml.sp_keys.clear();
  EXPECT_EQ(made()->describe(base)->find("Signature"), std::string::npos);
}

TEST_F(SamlProvider, AnswersAreBoundToTheLogin) {
  const auto provider = made();
  const auto begun = provider->begin(start, budget).value();
  const auto other = provider->begin(start, budget).value();
  const std::string good = idp.response(answer_to(begun));
  const auto check = [&](const Callback& callback, const base::json::Value& pending) {
    const auto finished = provider->finish(callback, pending, budget);
    return finished.ok() ? "ok" : finished.error().check;
  };
  EXPECT_EQ(check(posted(good, begun.state), begun.pending), "ok");
  EXPECT_EQ(check(posted(good, other.state), begun.pending), "saml.relay_state");
  EXPECT_EQ(check(posted(good, other.state), other.pending), "saml.in_response_to");
  Callback query = posted(good, begun.state);
  query.posted = false;
  EXPECT_EQ(check(query, begun.pending), "saml.not_posted");
  Callback twice = posted(good, begun.state);
  twice.query.emplace_back("SAMLResponse", "x");
  EXPECT_EQ(check(twice, begun.pending), "saml.duplicate_parameter");
  EXPECT_EQ(check({{{"RelayState", begun.state}}, true}, begun.pending), "saml.no_response");
  EXPECT_EQ(check({{{"RelayState", begun.state}, {"SAMLResponse", "!"}}, true}, begun.pending), "saml.base64");
  auto changed = begun.pending;
  changed.as_object()->set("issuer", "https://other.example");
  EXPECT_EQ(check(posted(good, begun.state), changed), "saml.pending");
  EXPECT_EQ(check(posted(good, begun.state), base::json::Object{}), "saml.pending");
  clock.advance(minutes(7));
  EXPECT_EQ(check(posted(good, begun.state), begun.pending), "saml.expired");
}

TEST_F(SamlProvider, NamesThatChangeAreNoSubjects) {
  const auto named = [&](std::string_view format, std::string_view name) {
    return outcome([&](Say& say) {
      say.name_id_format = format;
      say.name_id = name;
    });
  };
  EXPECT_EQ(named(persistent_format, "e7f1"), "ok");
  EXPECT_EQ(named(unspecified_format, "e7f1"), "ok");
  EXPECT_EQ(named("", "e7f1"), "ok");
  EXPECT_EQ(named(transient_format, "e7f1"), "saml.name_id");
  EXPECT_EQ(named(email_format, "ann@corp.example"), "saml.name_id");
  EXPECT_EQ(named(unspecified_format, "ann@corp.example"), "saml.name_id");
  EXPECT_EQ(named(persistent_format, ""), "saml.name_id");
  spec.subject_from = "department";
  EXPECT_EQ(named(transient_format, "x"), "ok");
  EXPECT_EQ(login()->identity.subject, "data");
  spec.subject_from = "urn:oid:0.9.2342.19200300.100.1.3";
  EXPECT_EQ(valid(), "mapping.subject_from");
}

TEST_F(SamlProvider, TextIsReadAsTheTypeThatWasDeclared) {
  spec.attributes = {{.attribute = "level", .from = "level", .type = core::AttributeType::integer, .pattern = {}},
                     {.attribute = "admin", .from = "admin", .type = core::AttributeType::boolean, .pattern = {}}};
  const auto with = [](const std::string& level, const std::string& admin) {
    return [=](Say& say) {
      say.attributes = "<saml:AttributeStatement><saml:Attribute Name=\"level\"><saml:AttributeValue>" + level +
                       "</saml:AttributeValue></saml:Attribute><saml:Attribute Name=\"admin\"><saml:AttributeValue>" +
                       admin + "</saml:AttributeValue></saml:Attribute></saml:AttributeStatement>";
    };
  };
  const auto finished = login(with("7", "true"));
  ASSERT_TRUE(finished.ok()) << finished.error().message;
  EXPECT_EQ(std::get<std::int64_t>(finished->identity.attributes.at("level")), 7);
  EXPECT_TRUE(std::get<bool>(finished->identity.attributes.at("admin")));
  EXPECT_EQ(outcome(with("7.5", "true")), "mapping.type");
  EXPECT_EQ(outcome(with("7", "yes")), "mapping.type");
}

TEST_F(SamlProvider, ASignInThatNobodyAskedForIsTakenOnlyWhereSwitchedOn) {
  const auto arrives = [&](const std::function<void(Say&)>& change = {}, const std::string& relay = "/anywhere") {
    Say say;
    say.now = clock.wall();
    say.request = say.response_answers = say.subject_answers = "";
    if (change) change(say);
    return made()->finish_unasked(posted(idp.response(say), relay), start.redirect_uri, budget);
  };
  const auto check = [&](const std::function<void(Say&)>& change) {
    const auto r = arrives(change);
    return r.ok() ? std::string("ok") : r.error().check;
  };
  EXPECT_FALSE(made()->takes_unasked());
  EXPECT_EQ(arrives().error().check, "idp.unasked");
  spec.saml.idp_initiated = true;
  EXPECT_TRUE(made()->takes_unasked());
  const auto taken = arrives();
  ASSERT_TRUE(taken.ok()) << taken.error().check;
  EXPECT_EQ(taken->identity.principal(), "corp/e7f1");
  EXPECT_EQ(taken->once.size(), 1U);
  EXPECT_TRUE(arrives({}, "").ok());
  EXPECT_EQ(check([](Say& s) { s.response_answers = "_r1"; }), "saml.in_response_to");
  EXPECT_EQ(check([](Say& s) { s.subject_answers = "_r1"; }), "saml.in_response_to");
  EXPECT_EQ(check([](Say& s) { s.audience = "https://other.example"; }), "saml.audience");
  EXPECT_EQ(check([](Say& s) { s.recipient = "https://other.example"; }), "saml.recipient");
  EXPECT_EQ(check([](Say& s) { s.destination = "https://other.example"; }), "saml.destination");
  EXPECT_EQ(check([](Say& s) { s.since = -minutes(5), s.until = -minutes(2); }), "saml.expired");
  EXPECT_EQ(check([](Say& s) { s.issuer = "https://evil.example"; }), "saml.issuer");
  EXPECT_EQ(check([](Say& s) { s.sign_response = s.sign_assertion = false; }), "saml.unsigned");
  EXPECT_EQ(check([](Say& s) { s.name_id_format = transient_format; }), "saml.name_id");
  // And nobody's pending login is finished by what answers nothing.
  EXPECT_EQ(outcome([](Say& s) { s.request = s.response_answers = s.subject_answers = ""; }), "saml.in_response_to");
}

TEST_F(SamlProvider, SignsOutWithWhatTheAssertionGave) {
  const auto service = [](std::string_view binding, const std::string& url) {
    return "<md:SingleLogoutService Binding=\"" + std::string(binding) + "\" Location=\"" + url +
           "\"></md:SingleLogoutService>";
  };
  EXPECT_TRUE(login()->logout.is_null()) << "no key and no place";
  files["file:/sp.pem"] = fresh_pem("P-256");
  spec.saml.sp_keys = {"file:/sp.pem"};
  EXPECT_TRUE(login()->logout.is_null()) << "no place";
  idp.logout_services =
      service(post_binding, "https://idp.example/slo-post") + service(redirect_binding, "https://idp.example/slo?x=1");
  files["file:/idp.xml"] = idp.metadata();
  const auto finished = login([](Say& say) { say.name_id = "e7<f1"; });
  ASSERT_TRUE(finished.ok()) << finished.error().check;
  ASSERT_FALSE(finished->logout.is_null());
  const auto key = KeyPair::from_pem(base::Secret(files["file:/sp.pem"])).value();
  const std::vector<Certificate> keys = {key.certificate()};

  const auto begun = made()->begin_logout(finished->logout, base, budget);
  ASSERT_TRUE(begun.ok()) << begun.error().check;
  EXPECT_TRUE(begun->form.empty());
  const std::string query = begun->url.substr(begun->url.find('&') + 1);
  EXPECT_TRUE(begun->url.starts_with("https://idp.example/slo?x=1&SAMLRequest=")) << begun->url;
  const auto fields = form_fields(query);
  EXPECT_TRUE(crypto::xml::verify_octets(fields.at("SigAlg"), query.substr(0, query.find("&Signature=")),
                                         base::base64_decode(fields.at("Signature")).value(), keys)
                  .ok());
  EXPECT_FALSE(fields.contains("RelayState"));
  const std::string xml = inflate(base::base64_decode(fields.at("SAMLRequest")).value(), 100'000).value();
  EXPECT_EQ(attribute(xml, "ID"), begun->key);
  EXPECT_EQ(attribute(xml, "Destination"), "https://idp.example/slo?x=1");
  EXPECT_EQ(attribute(xml, "IssueInstant"), base::to_rfc3339(clock.wall()));
  EXPECT_EQ(attribute(xml, "NotOnOrAfter"), base::to_rfc3339(clock.wall() + minutes(5)));
  EXPECT_EQ(attribute(xml, "Format"), persistent_format);
  EXPECT_NE(xml.find(">e7&lt;f1</saml:NameID><samlp:SessionIndex>_s1</samlp:SessionIndex>"), std::string::npos) << xml;
  EXPECT_NE(made()->begin_logout(finished->logout, base, budget)->key, begun->key);

  // By POST where there is nothing else; the document is signed as the canonicalizer has it.
  idp.logout_services = service(post_binding, "https://idp.example/slo-post");
  files["file:/idp.xml"] = idp.metadata();
  const auto post = made()->begin_logout(finished->logout, base, budget);
  ASSERT_TRUE(post.ok());
  EXPECT_EQ(post->url, "https://idp.example/slo-post");
  ASSERT_EQ(post->form.size(), 1U);
  const auto document = crypto::xml::Document::parse(base::base64_decode(post->form[0].second).value()).value();
  EXPECT_TRUE(crypto::xml::verify_enveloped(document, document.root(), keys).ok());
  EXPECT_EQ(document.root().child(assertion_ns, "NameID")->text, "e7<f1");

  idp.logout_services.clear();
  files["file:/idp.xml"] = idp.metadata();
  EXPECT_EQ(made()->begin_logout(finished->logout, base, budget).error().check, "idp.no_logout");
  EXPECT_EQ(made()->begin_logout(base::json::Object{}, base, budget).error().check, "saml.logout_settings");
  spec.issuer = "https://idp.example/new";
  EXPECT_EQ(made()->begin_logout(finished->logout, base, budget).error().check, "saml.logout_settings");
}

TEST_F(SamlProvider, ReadsWhatTheLogoutCameTo) {
  testing::SayLogout say;
  say.now = clock.wall();
  say.request = "_ours";
  const LogoutMessage message{{{"SAMLResponse", base::base64_encode(idp.logout_response(say))}}, "", true, base};
  const auto answer = made()->logout_answer(message, budget);
  ASSERT_TRUE(answer.ok()) << answer.error().check;
  EXPECT_EQ(answer->key, "_ours");
  EXPECT_EQ(answer->outcome, LogoutOutcome::signed_out);
  LogoutMessage elsewhere = message;
  elsewhere.base = "https://daypass.example/t/other/idp/corp";
  EXPECT_EQ(made()->logout_answer(elsewhere, budget).error().check, "saml.logout_destination");
  EXPECT_EQ(made()->signed_out(message, budget).error().check, "saml.logout_shape") << "an answer is no signal";
}

TEST_F(SamlProvider, GroupsThatAreElsewhereAreNoGroups) {
  spec.groups_from = "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups";
  EXPECT_EQ(outcome([](Say& say) {
              say.attributes =
                  "<saml:AttributeStatement><saml:Attribute Name=\"http://schemas.microsoft.com/claims/groups.link\">"
                  "<saml:AttributeValue>https://graph.windows.net/x</saml:AttributeValue></saml:Attribute>"
                  "</saml:AttributeStatement>";
            }),
            "mapping.overage");
}

TEST_F(SamlProvider, AFreshSignInIsFresh) {
  const auto provider = made();
  LoginStart forced = start;
  forced.force = true;
  const auto begun = provider->begin(forced, budget).value();
  Say say = answer_to(begun);
  say.signed_in = -minutes(10);
  EXPECT_EQ(provider->finish(posted(idp.response(say), begun.state), begun.pending, budget).error().check,
            "saml.stale_login");
  say.signed_in = seconds(0);
  EXPECT_TRUE(provider->finish(posted(idp.response(say), begun.state), begun.pending, budget).ok());
}

TEST_F(SamlProvider, MetadataFromAUrlIsPinnedFetchedAgainAndKept) {
  spec.saml.metadata = "https://idp.example/metadata";
  EXPECT_EQ(valid(), "idp.metadata_trust");
  spec.saml.metadata_sha256 = {idp.key.certificate().sha256()};
  EXPECT_EQ(valid(), "ok");
  files["url"] = idp.metadata();
  const auto provider = made();
  ASSERT_TRUE(provider->begin(start, budget).ok());
  ASSERT_TRUE(provider->begin(start, budget).ok());
  EXPECT_EQ(fetches, 1);
  EXPECT_EQ(last, "https://idp.example/metadata");
  clock.advance(minutes(61));
  down = true;
  EXPECT_TRUE(provider->begin(start, budget).ok()) << "the last good one serves";
  EXPECT_EQ(fetches, 2);
  EXPECT_EQ(provider->probe(budget).error().check, "saml_metadata.fetch");
  clock.advance(std::chrono::hours(24));
  EXPECT_EQ(provider->begin(start, budget).error().check, "saml_metadata.fetch");
}

TEST_F(SamlProvider, MetadataThatIsOverServesNobody) {
  spec.saml.metadata = "https://idp.example/metadata";
  spec.saml.metadata_sha256 = {idp.key.certificate().sha256()};
  files["url"] = idp.metadata(" validUntil=\"" + base::to_rfc3339(clock.wall() + minutes(10)) + "\"");
  const auto provider = made();
  ASSERT_TRUE(provider->begin(start, budget).ok());
  down = true;
  clock.advance(minutes(10));
  EXPECT_EQ(provider->begin(start, budget).error().check, "saml_metadata.expired");
  down = false;
  files["url"] = idp.metadata();
  clock.advance(minutes(1));
  EXPECT_TRUE(provider->begin(start, budget).ok());
}

TEST_F(SamlProvider, MetadataIsFetchedAgainAfterItsCacheDuration) {
  spec.saml.metadata = "https://idp.example/metadata";
  spec.saml.metadata_sha256 = {idp.key.certificate().sha256()};
  files["url"] = idp.metadata(" cacheDuration=\"PT5M\"");
  const auto provider = made();
  ASSERT_TRUE(provider->begin(start, budget).ok());
  clock.advance(minutes(4));
  ASSERT_TRUE(provider->begin(start, budget).ok());
  EXPECT_EQ(fetches, 1);
  clock.advance(minutes(1));
  ASSERT_TRUE(provider->begin(start, budget).ok());
  EXPECT_EQ(fetches, 2);
  down = true;
  clock.advance(minutes(6));
  EXPECT_TRUE(provider->begin(start, budget).ok()) << "the last good one serves";
  EXPECT_EQ(fetches, 3);
}

TEST_F(SamlProvider, ANewKeyIsLookedForOnce) {
  const ScriptedIdp old;
  spec.saml.metadata = "https://idp.example/metadata";
  spec.saml.metadata_sha256 = {idp.key.certificate().sha256(), old.key.certificate().sha256()};
  files["url"] = old.metadata();
  const auto provider = made();
  const auto begun = provider->begin(start, budget).value();
  files["url"] = idp.metadata();
  clock.advance(seconds(11));
  const std::string answer = idp.response(answer_to(begun));
  EXPECT_TRUE(provider->finish(posted(answer, begun.state), begun.pending, budget).ok());
  EXPECT_EQ(fetches, 2);
  const ScriptedIdp evil;
  const auto again = provider->begin(start, budget).value();
  const std::string forged = evil.response(answer_to(again));
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(provider->finish(posted(forged, again.state), again.pending, budget).error().check, "xmldsig.signature");
  EXPECT_EQ(fetches, 2) << "forged answers make nobody fetch";
}

TEST_F(SamlProvider, SettingsAreChecked) {
  EXPECT_EQ(valid(), "ok");
  const auto with = [&](auto change) {
    const core::IdpSpec before = spec;
    change(spec);
    const std::string check = valid();
    spec = before;
    return check;
  };
  EXPECT_EQ(with([](auto& s) { s.protocol = "oidc"; }), "idp.protocol");
  EXPECT_EQ(with([](auto& s) { s.issuer = ""; }), "idp.issuer");
  EXPECT_EQ(with([](auto& s) { s.issuer = "a b"; }), "idp.issuer");
  EXPECT_EQ(with([](auto& s) { s.issuer = "urn:idp"; }), "ok");
  EXPECT_EQ(with([](auto& s) { s.saml.metadata = "http://idp.example/x"; }), "idp.metadata");
  EXPECT_EQ(with([](auto& s) { s.saml.metadata_sha256 = {"AB"}; }), "idp.metadata_sha256");
  EXPECT_EQ(with([](auto& s) { s.saml.sp_entity_id = "<x>"; }), "idp.sp_entity_id");
  EXPECT_EQ(with([](auto& s) { s.saml.sp_keys.resize(5, "env:X"); }), "idp.sp_keys");
  EXPECT_EQ(with([](auto& s) { s.session_max = Millis(0); }), "idp.session_max");
}

TEST(SamlDeflate, IsBounded) {
  const std::string text(1000, 'x');
  EXPECT_EQ(inflate(deflate(text), 1000).value(), text);
  EXPECT_EQ(inflate(deflate(text), 999).error().check, "saml.deflate");
  EXPECT_EQ(inflate(deflate(std::string(50'000'000, 'x')), 256 * 1024).error().check, "saml.deflate");
  EXPECT_EQ(inflate("no deflate", 1000).error().check, "saml.deflate");
  EXPECT_EQ(inflate(deflate(text) + "x", 2000).error().check, "saml.deflate");
  EXPECT_EQ(inflate("", 1000).error().check, "saml.deflate");
}

}  // namespace
}  // namespace daypass::idp::saml
