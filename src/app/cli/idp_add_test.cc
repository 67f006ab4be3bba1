// daypass idp add: what is asked, what is found, what is written, and that nothing is when something is wrong.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <deque>

#include "app/cli/idp_presets.h"
#include "app/cli/test_support.h"
#include "config/config.h"
#include "idp/saml/scripted_idp.h"

namespace daypass::app::cli {
namespace {

using idp::saml::testing::ScriptedIdp;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing_support::HttpRequest;
using testing_support::HttpResponse;
using testing_support::fs::exists;
using Args = std::vector<std::string>;

class IdpAddTest : public testing_support::User {
 protected:
  IdpAddTest() {
    folder = home + "/tenant";
    write("tenant/tenant.toml", "# mine\n");
    server.on("GET /.well-known/oauth-authorization-server/t/default", R"({"issuer":"https://dp.example/t/default"})");
    discovery(server.url());
    io.line = [this]() -> std::optional<std::string> {
      if (typed.empty()) return std::nullopt;
      std::string line = typed.front();
      typed.pop_front();
      return line;
    };
    io.hidden = [this](const std::string& question) -> std::optional<base::Secret> {
      err += question;
      if (hidden.empty()) return std::nullopt;
      return base::Secret(hidden);
    };
  }
  void discovery(const std::string& issuer) {
    server.on("GET /.well-known/openid-configuration",
              R"({"issuer":")" + issuer + R"(","authorization_endpoint":")" + issuer + R"(/auth","token_endpoint":")" +
                  issuer + R"(/token","jwks_uri":")" + issuer +
                  R"(/keys","id_token_signing_alg_values_supported":["RS256","ES256"],)" +
                  R"("token_endpoint_auth_methods_supported":["client_secret_post","private_key_jwt"],)" +
                  R"("scopes_supported":["openid","profile"]})");
  }
  void metadata() {
    server.on("GET /saml", [this](const HttpRequest&) {
      HttpResponse response = HttpResponse::text(200, saml.metadata());
      response.content_type = "application/samlmetadata+xml";
      return response;
    });
  }
  int add(Args more) {
    Args args{"idp", "add"};
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  }
  /// As at a keyboard: a line for each question.
  int type(std::deque<std::string> lines, Args more = {}) {
    io.in_is_tty = true;
    typed = std::move(lines);
    return add(std::move(more));
  }
  Args whole(Args more = {}) {
    Args args{"--preset", "okta", "--name", "corp", "--dir", folder, "--issuer", server.url(), "--client-id", "0oa1"};
    args.insert(args.end(), more.begin(), more.end());
    return args;
  }
  std::string file(const std::string& name = "corp") const { return folder + "/idps/" + name + ".toml"; }
  /// The provider of that name as the configuration reads it.
  core::IdpSpec spec(const std::string& name = "corp") const {
    const auto parsed = config::parse_tenant(core::TenantId("default"), config::read_folder(folder).value());
    for (const auto& problem : parsed.problems) ADD_FAILURE() << problem.render();
    const auto* found = parsed.value.idp(name);
    EXPECT_NE(found, nullptr);
    return found == nullptr ? core::IdpSpec{} : *found;
  }

  std::string folder, hidden = "s3cret of a test";
  std::deque<std::string> typed;
  ScriptedIdp saml;
};

TEST_F(IdpAddTest, WritesWhatTheConfigurationReads) {
  const std::string secret = write("okta.secret", "x\n");
  ASSERT_EQ(add(whole({"--client-secret-file", secret})), 0) << err;
  EXPECT_EQ(out, file() + "\n");
  const core::IdpSpec corp = spec();
  EXPECT_EQ(corp.issuer, server.url());
  EXPECT_EQ(corp.client_id, "0oa1");
  EXPECT_EQ(corp.client_auth, core::ClientAuth::post) << "the first that the provider takes";
  EXPECT_EQ(corp.client_secret.ref, "file:" + secret);
  EXPECT_EQ(corp.groups_from, "groups");
  EXPECT_THAT(corp.scopes, ElementsAre("profile", "email")) << "the provider has no scope groups";
  EXPECT_EQ(corp.display, "Okta");
  EXPECT_THAT(read(file()), AllOf(HasSubstr("# Redirect URI: https://dp.example/t/default/idp/corp/callback\n"),
                                  HasSubstr("# Groups:")));
  EXPECT_THAT(err,
              AllOf(HasSubstr("RS256, ES256"), HasSubstr("https://dp.example/t/default/idp/corp/callback"),
                    HasSubstr("Next: daypass idp test corp --dir " + folder), HasSubstr("daypass apply " + folder)));
}

TEST_F(IdpAddTest, AsOneDocument) {
  ASSERT_EQ(add(whole({"--client-secret-ref", "env:OKTA", "-o", "json"})), 0) << err;
  const auto doc = document();
  EXPECT_EQ(doc.string_or("file"), file());
  EXPECT_EQ(doc.find("register")->string_or("Redirect URI"), "https://dp.example/t/default/idp/corp/callback");
  EXPECT_EQ(doc.find("found")->string_or("Issuer"), server.url());
  EXPECT_EQ(doc.find("next")->as_array()->size(), 2U);
}

TEST_F(IdpAddTest, WithoutATerminalEverythingMissingIsNamedAtOnce) {
  EXPECT_EQ(add({}), Exit::usage);
  EXPECT_THAT(err, HasSubstr("these are missing: --preset, --dir, --issuer, --client-id, --client-secret-file or "
                             "--client-secret-ref (idp_add.missing)"));
  EXPECT_EQ(add({"--preset", "google", "--dir", folder}), Exit::usage);
  EXPECT_THAT(err, HasSubstr("--client-id, --client-secret-file or --client-secret-ref, --domain ("));
  EXPECT_EQ(add({"--preset", "adfs"}), Exit::usage);
  EXPECT_THAT(err, HasSubstr("missing: --dir, --metadata ("));
  EXPECT_EQ(server.count(""), 0U);
}

TEST_F(IdpAddTest, ATerminalIsAskedUntilTheAnswerIsGood) {
  ASSERT_EQ(type({"okat", "okta", "", "A Name", "corp", server.url() + "/nothing", "http://[", server.url() + "/", "",
                  "0oa1", "relative", home + "/kept"},
                 {"--dir", folder}),
            0)
      << err;
  EXPECT_THAT(err, HasSubstr("must be one of okta, entra"));
  EXPECT_THAT(err, HasSubstr("beginning with a letter or digit, not \"A Name\""));
  EXPECT_THAT(err, HasSubstr("(discovery.status)"));
  EXPECT_THAT(err, HasSubstr("must be an absolute path"));
  EXPECT_EQ(spec().client_secret.ref, "file:" + home + "/kept");
  EXPECT_EQ(read(home + "/kept"), hidden);
  EXPECT_EQ(mode(home + "/kept"), 0600U);
  EXPECT_THAT(out + err + read(file()), Not(HasSubstr(hidden)));
}

TEST_F(IdpAddTest, WhenTheInputEndsNothingIsWritten) {
  EXPECT_EQ(type({"okta", "", "corp"}, {"--dir", folder}), Exit::usage);
  EXPECT_THAT(err, HasSubstr("idp_add.ended"));
  hidden.clear();
  EXPECT_EQ(type({}, whole({"--secret-at", home + "/kept", "--protocol", "oidc"})), Exit::usage);
  EXPECT_THAT(err, HasSubstr("no client secret was given"));
  hidden = "two\nlines";
  EXPECT_EQ(type({}, whole({"--secret-at", home + "/kept", "--protocol", "oidc"})), Exit::usage);
  EXPECT_FALSE(exists(file()));
  EXPECT_FALSE(exists(home + "/kept"));
}

TEST_F(IdpAddTest, NothingIsOverwritten) {
  const Args args = whole({"--client-secret-ref", "env:OKTA"});
  ASSERT_EQ(add(args), 0) << err;
  const std::string before = read(file());
  EXPECT_EQ(add(args), Exit::usage);
  EXPECT_THAT(err, HasSubstr("corp.toml is there already"));
  EXPECT_EQ(read(file()), before);
  testing_support::fs::remove(file());
  write("tenant/other.toml",
        "[[idp]]\nname = \"corp\"\nissuer = \"https://x.example\"\nclient_id = \"x\"\nclient_auth = \"none\"\n");
  EXPECT_EQ(add(args), Exit::usage);
  EXPECT_THAT(err, HasSubstr("has an identity provider corp already"));
  const std::string kept = write("kept", "another's");
  testing_support::fs::remove(folder + "/other.toml");
  EXPECT_EQ(type({}, whole({"--secret-at", kept, "--protocol", "oidc"})), Exit::usage);
  EXPECT_THAT(err, HasSubstr("idp_add.secret_exists"));
  EXPECT_EQ(read(kept), "another's");
  EXPECT_FALSE(exists(file()));
}

TEST_F(IdpAddTest, TheOperatorsSecretsLieBesideTheSocket) {
  io.env["DAYPASS_SOCKET"] = home + "/data/daypass.sock";
  testing_support::fs::create_directory(home + "/data");
  ASSERT_EQ(type({"", ""}, whole()), 0) << err;
  const std::string kept = home + "/data/secrets/default/corp.secret";
  EXPECT_EQ(spec().client_secret.ref, "file:" + kept);
  EXPECT_EQ(read(kept), hidden);
  EXPECT_EQ(mode(kept), 0600U);
  EXPECT_EQ(mode(home + "/data/secrets/default"), 0700U);
  EXPECT_THAT(err, HasSubstr("The server does not answer for tenant default"));
}

TEST_F(IdpAddTest, ASecretComesFromStdinAndAFileThatEverybodyReadsIsRefused) {
  typed = {"of stdin"};
  ASSERT_EQ(add(whole({"--client-secret-file", "-", "--secret-at", home + "/kept"})), 0) << err;
  EXPECT_EQ(read(home + "/kept"), "of stdin");
  testing_support::fs::remove(file());
  using testing_support::fs::perms;
  const std::string open = write("open", "x", perms::owner_read | perms::others_read);
  EXPECT_EQ(add(whole({"--client-secret-file", open})), Exit::usage);
  EXPECT_THAT(err, HasSubstr("chmod 600 " + open));
  EXPECT_EQ(add(whole({"--client-secret-file", home + "/none"})), Exit::usage);
  EXPECT_EQ(add(whole({"--client-secret-file", "-"})), Exit::usage);
  EXPECT_THAT(err, HasSubstr("idp_add.secret_at"));
  EXPECT_EQ(add(whole({"--client-secret-ref", "my-secret"})), Exit::usage);
  EXPECT_THAT(err, Not(HasSubstr("my-secret")));
}

TEST_F(IdpAddTest, TheIssuerIsWrittenAsTheProviderSpellsIt) {
  discovery(server.url() + "/");
  ASSERT_EQ(add(whole({"--client-secret-ref", "env:OKTA"})), 0) << err;
  EXPECT_EQ(spec().issuer, server.url() + "/");
  testing_support::fs::remove(file());
  discovery("https://elsewhere.example");
  EXPECT_EQ(add(whole({"--client-secret-ref", "env:OKTA"})), Exit::failed);
  EXPECT_THAT(err, HasSubstr("(discovery.issuer)"));
  EXPECT_FALSE(exists(file()));
}

TEST_F(IdpAddTest, CertificatesFromAnAddressAreConfirmed) {
  metadata();
  const std::string pin = saml.key.certificate().sha256();
  const Args args{"--preset", "generic", "--protocol", "saml",       "--name",
                  "corp",     "--dir",   folder,       "--metadata", server.url() + "/saml"};
  const auto with = [&](const std::string& more) {
    Args all = args;
    all.insert(all.end(), {"--pin", more});
    return add(all);
  };
  EXPECT_EQ(add(args), Exit::usage);
  EXPECT_THAT(err, HasSubstr("--pin " + pin));
  EXPECT_EQ(with(std::string(64, 'a')), Exit::failed);
  EXPECT_THAT(err, HasSubstr("(saml_metadata.fingerprint)"));
  EXPECT_EQ(with("abc"), Exit::usage);
  EXPECT_EQ(type({""}, args), Exit::usage);
  EXPECT_THAT(err, HasSubstr("idp_add.pin_refused"));
  EXPECT_FALSE(exists(file()));
  ASSERT_EQ(type({"perhaps", "yes"}, args), 0) << err;
  const core::IdpSpec corp = spec();
  EXPECT_EQ(corp.issuer, "https://idp.example/saml");
  EXPECT_THAT(corp.saml.metadata_sha256, ElementsAre(pin));
  EXPECT_THAT(err, HasSubstr("https://dp.example/t/default/idp/corp/metadata"));
  testing_support::fs::remove(file());
  io.in_is_tty = false;
  ASSERT_EQ(with(pin), 0) << err;
  EXPECT_THAT(spec().saml.metadata_sha256, ElementsAre(pin));
}

TEST_F(IdpAddTest, AFileOfMetadataVouchesForItself) {
  const std::string xml = write("corp.xml", saml.metadata(" validUntil=\"2026-04-01T00:00:00Z\""));
  ASSERT_EQ(add({"--preset", "entra", "--protocol", "saml", "--name", "corp", "--dir", folder, "--metadata", xml}), 0)
      << err;
  const core::IdpSpec corp = spec();
  EXPECT_EQ(corp.saml.metadata, "file:" + xml);
  EXPECT_EQ(corp.subject_from, "http://schemas.microsoft.com/identity/claims/objectidentifier");
  EXPECT_TRUE(corp.saml.metadata_sha256.empty());
  EXPECT_THAT(read(file()), HasSubstr("object ids"));
}

// What each preset writes is read without a problem, and its traps are named.
TEST(IdpPresets, EachWritesAFileThatFits) {
  for (const auto& preset : idp_presets()) {
    for (const std::string protocol : {"oidc", "saml"}) {
      SCOPED_TRACE(std::string(preset.name) + " " + protocol);
      NewIdp idp;
      idp.preset = preset.name;
      idp.protocol = protocol;
      idp.name = "corp";
      idp.display = "\"Corp\" \\ Ω";
      idp.issuer = protocol == "saml" ? "urn:corp" : preset.issuer("https://sso.example.com");
      idp.client_id = "x\"y";
      idp.client_secret = "file:/x";
      idp.metadata = "https://sso.example.com/metadata";
      idp.pins = {std::string(64, 'a'), std::string(64, 'b')};
      idp.sp_key = "file:/k";
      idp.domain = "example.com";
      idp.allowed_hosts = {"sso.example.com"};
      idp.url = "https://dp.example/t/default/idp/corp";
      const std::string text = toml_of(idp);
      const auto parsed = config::parse_tenant(core::TenantId("default"), {{"idps/corp.toml", text}});
      for (const auto& problem : parsed.problems) ADD_FAILURE() << problem.render() << "\n" << text;
      ASSERT_EQ(parsed.value.idps.size(), 1U);
      const core::IdpSpec& spec = parsed.value.idps[0];
      EXPECT_EQ(spec.display, idp.display);
      EXPECT_EQ(spec.protocol, protocol);
      if (protocol == "oidc") EXPECT_EQ(spec.client_id, idp.client_id);
      EXPECT_EQ(spec.saml.metadata_sha256, protocol == "saml" ? idp.pins : std::vector<std::string>());
      if (preset.name == "google" && protocol == "oidc")
        EXPECT_EQ(spec.attributes.at(0),
                  (core::MappingRule{"domain", "hd", core::AttributeType::string, true, "example\\.com"}));
      for (std::size_t from = 0; from < text.size(); from = text.find('\n', from) + 1)
        EXPECT_LE(text.find('\n', from) - from, 140U) << text.substr(from, 60);
    }
  }
}

TEST(IdpPresets, TheShortFormLeadsToTheAddress) {
  const auto issuer = [](const char* preset, const std::string& typed) { return idp_preset(preset)->issuer(typed); };
  const auto metadata = [](const char* preset, const std::string& typed) {
    return idp_preset(preset)->metadata(typed);
  };
  EXPECT_EQ(issuer("okta", "example.okta.com/"), "https://example.okta.com");
  EXPECT_EQ(issuer("okta", "https://example.okta.com/oauth2/default"), "https://example.okta.com/oauth2/default");
  EXPECT_EQ(issuer("entra", "1234"), "https://login.microsoftonline.com/1234/v2.0");
  EXPECT_EQ(issuer("google", ""), "https://accounts.google.com");
  EXPECT_EQ(issuer("keycloak", "https://sso.example/realms/corp/"), "https://sso.example/realms/corp");
  EXPECT_EQ(issuer("adfs", "adfs.example.com"), "https://adfs.example.com/adfs");
  EXPECT_EQ(metadata("entra", "1234"),
            "https://login.microsoftonline.com/1234/federationmetadata/2007-06/federationmetadata.xml");
  EXPECT_EQ(metadata("entra", "/etc/entra.xml"), "/etc/entra.xml");
  EXPECT_EQ(metadata("entra", "entra.xml"), "entra.xml");
  EXPECT_EQ(metadata("keycloak", "https://sso.example/realms/corp"),
            "https://sso.example/realms/corp/protocol/saml/descriptor");
  EXPECT_EQ(metadata("adfs", "adfs.example.com"),
            "https://adfs.example.com/FederationMetadata/2007-06/FederationMetadata.xml");
}

}  // namespace
}  // namespace daypass::app::cli
