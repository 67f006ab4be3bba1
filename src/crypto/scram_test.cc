#include "crypto/scram.h"

#include <functional>

#include "crypto/scram_math.h"
#include "crypto/test_support.h"

namespace daypass::crypto {
namespace {

using base::Secret;
using testing::FixedEntropy;
using testing::refusal;

// RFC 7677 section 3: user "user", password "pencil".
constexpr std::string_view rfc_salt = "W22ZaJ0SNY7soEsUEjb6gQ==";
constexpr std::string_view rfc_auth_message =
    "n=user,r=rOprNGfwEbeRWgbNEkqO,"
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

TEST(ScramMath, Rfc7677Example) {
  const std::string salt = *base::base64_decode(rfc_salt);
  const scram::Keys keys = scram::derive_keys(Secret("pencil"), salt, 4096);
  const std::string proof = scram::client_proof(keys, rfc_auth_message);
  EXPECT_EQ(base::base64_encode(proof), "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
  EXPECT_EQ(base::base64_encode(scram::server_signature(keys.server_key, rfc_auth_message)),
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
  EXPECT_TRUE(scram::proof_fits(proof, keys.stored_key, rfc_auth_message));
  EXPECT_FALSE(scram::proof_fits(proof, keys.stored_key, std::string(rfc_auth_message) + "x"));
  EXPECT_FALSE(scram::proof_fits(proof, keys.server_key, rfc_auth_message));
  EXPECT_FALSE(scram::proof_fits(std::string(32, '\0'), keys.stored_key, rfc_auth_message));
}

// What PostgreSQL 15 wrote into pg_authid for CREATE ROLE ... PASSWORD 'pencil'.
constexpr std::string_view postgres_verifier =
    "SCRAM-SHA-256$4096:xwnXasWY8pEoUcEVyyK/xQ==$EowdGmOcuJ3GhLmrtDTKuCPMA/3sXzydBt+xpUurO/8=:"
    "ule0OSupk8k+OQOu5DUN7z9UnRUA63aktjttm/bIktM=";

TEST(ScramVerifier, IsPostgresText) {
  const auto parsed = ScramVerifier::parse(postgres_verifier);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->iterations, 4096);
  EXPECT_EQ(parsed->to_text(), postgres_verifier);
  // With its salt our own derivation gives the same text.
  FixedEntropy entropy(parsed->salt);
  EXPECT_EQ(make_verifier(Secret("pencil"), 4096, entropy).to_text(), postgres_verifier);
}

TEST(ScramVerifier, ReadsWhatItWrites) {
  base::SeededEntropy entropy(1);
  for (const int iterations : {1, 4096}) {
    const ScramVerifier verifier = make_verifier(Secret("a"), iterations, entropy);
    EXPECT_EQ(verifier.salt.size(), 16U);
    EXPECT_EQ(ScramVerifier::parse(verifier.to_text()).value(), verifier);
  }
  EXPECT_NE(make_verifier(Secret("a"), 1, entropy), make_verifier(Secret("a"), 1, entropy)) << "fresh salt";
  EXPECT_TRUE(ScramVerifier::parse("SCRAM-SHA-256$1000000" + std::string(postgres_verifier.substr(18))).ok());
}

TEST(ScramVerifier, RefusesEveryOtherText) {
  const std::string good(postgres_verifier);
  const std::string rest = good.substr(18);  // from the colon after the iterations
  for (const std::string& text : {std::string(),
                                  std::string("md5c1a7b2"),
                                  "scram-sha-256" + good.substr(13),
                                  "SCRAM-SHA-1" + good.substr(13),
                                  " " + good,
                                  good + " ",
                                  good + "\n",
                                  good + ":",
                                  good + "$",
                                  "SCRAM-SHA-256$0" + rest,
                                  "SCRAM-SHA-256$-1" + rest,
                                  "SCRAM-SHA-256$+1" + rest,
                                  "SCRAM-SHA-256$01" + rest,
                                  "SCRAM-SHA-256$1000001" + rest,
                                  "SCRAM-SHA-256$" + rest,
                                  "SCRAM-SHA-256$4096x" + rest,
                                  "SCRAM-SHA-256$99999999999999999999" + rest,
                                  "SCRAM-SHA-256$ 1" + rest,
                                  good.substr(0, good.size() - 1),
                                  good.substr(0, 43),
                                  "SCRAM-SHA-256$4096:$" + good.substr(44),
                                  "SCRAM-SHA-256$4096:xwnXasWY8pEoUcEVyyK/xR==$" + good.substr(44),
                                  "SCRAM-SHA-256$4096:xwnXasWY8pEoUcEVyyK/xQ$" + good.substr(44),
                                  good.substr(0, 44) + "AAAA" + good.substr(88),
                                  good.substr(0, 89) + "AAAA",
                                  std::string(5000, 'a')})
    EXPECT_EQ(refusal(ScramVerifier::parse(text)), "scram.verifier") << text;
}

// ---- both ends together ----

struct Setup {
  std::string password = "correct horse";
  std::string asked = "correct horse";  // what the client knows
  std::string server_binding = {};
  std::string client_binding = {};
  bool plus = false;
  bool plus_offered = false;
  bool mock = false;
  int iterations = 4;
};

std::string run(const Setup& setup) {
  base::SeededEntropy entropy(3);
  ScramServer server(make_verifier(Secret(setup.password), setup.iterations, entropy), setup.mock, setup.server_binding,
                     setup.plus, setup.plus_offered, entropy);
  ScramClient client(Secret(setup.asked), setup.client_binding, setup.plus, entropy);
  const auto server_first = server.first(client.first());
  if (!server_first.ok()) return server_first.error().check;
  const auto client_final = client.final(*server_first);
  if (!client_final.ok()) return client_final.error().check;
  const auto server_final = server.final(*client_final);
  if (!server_final.ok()) return server_final.error().check;
  return refusal(client.verify(*server_final));
}

TEST(Scram, BothEndsAgree) {
  EXPECT_EQ(run({}), "ok");
  EXPECT_EQ(run({.iterations = 1}), "ok");
  EXPECT_EQ(run({.iterations = 4096}), "ok");
  EXPECT_EQ(run({.password = "", .asked = ""}), "ok");
  EXPECT_EQ(run({.asked = "correct horsf"}), "scram.proof");
  EXPECT_EQ(run({.asked = ""}), "scram.proof");
  EXPECT_EQ(run({.mock = true}), "scram.proof") << "a mock takes no password, not even the one that fits";
}

TEST(Scram, ChannelBinding) {
  const std::string hash(32, 'h');
  EXPECT_EQ(run({.server_binding = hash, .client_binding = hash, .plus = true, .plus_offered = true}), "ok");
  // Somebody in the middle shows the client a certificate of their own.
  EXPECT_EQ(run({.server_binding = hash, .client_binding = std::string(32, 'x'), .plus = true, .plus_offered = true}),
            "scram.channel_binding");
  // Binding chosen, but the server has no TLS.
  EXPECT_EQ(run({.client_binding = hash, .plus = true}), "scram.channel_binding");
  // The offer was taken out of the list on the way: the client says "y".
  EXPECT_EQ(run({.server_binding = hash, .client_binding = hash, .plus_offered = true}), "scram.channel_binding");
  // A server that cannot bind takes "y"; a client that cannot says "n".
  EXPECT_EQ(run({.client_binding = hash}), "ok");
  EXPECT_EQ(run({.server_binding = hash, .client_binding = hash}), "ok");
  EXPECT_EQ(run({.server_binding = hash, .plus_offered = true}), "ok");
}

// ---- the server against any bytes ----

class Server : public ::testing::Test {
 protected:
  static constexpr int iterations = 2;
  base::SeededEntropy entropy_{5};
  ScramVerifier verifier_ = make_verifier(Secret("pw"), iterations, entropy_);
  scram::Keys keys_ = scram::derive_keys(Secret("pw"), verifier_.salt, iterations);

  ScramServer make(std::string binding = {}, bool plus = false, bool offered = false, bool mock = false) {
    return {verifier_, mock, std::move(binding), plus, offered, entropy_};
  }
  std::string first(std::string_view message, std::string binding = {}, bool plus = false, bool offered = false) {
    return refusal(make(std::move(binding), plus, offered).first(message));
  }
  /// Plays an exchange whose client-final is what `change` makes of a right one; the proof is then made for it.
  std::string final(const std::function<void(std::string& without_proof)>& change, std::string_view extra = {}) {
    ScramServer server = make();
    const std::string server_first = *server.first("n,,n=,r=abc");
    std::string text = "c=biws,r=" + server_first.substr(2, server_first.find(',') - 2);
    change(text);
    const std::string proof = scram::client_proof(keys_, "n=,r=abc," + server_first + "," + text);
    return refusal(server.final(text + ",p=" + base::base64_encode(proof) + std::string(extra)));
  }
};

TEST_F(Server, FirstMessage) {
  ScramServer server = make();
  const auto reply = server.first("n,,n=,r=abc");
  ASSERT_TRUE(reply.ok());
  EXPECT_TRUE(reply->starts_with("r=abc"));
  EXPECT_TRUE(reply->ends_with(",s=" + base::base64_encode(verifier_.salt) + ",i=2"));
  EXPECT_EQ(reply->find(','), 5U + 24U);
  // libpq sends an empty name, JDBC and node-postgres an asterisk; extensions that need not be understood pass.
  for (const char* text : {"n,,n=,r=abc", "n,,n=*,r=abc", "y,,n=,r=abc", "n,,n=user,r=abc,x=1,Y=2", "n,,n=us=2Cer,r=a",
                           "n,,n=\xc3\xa9,r=!~"})
    EXPECT_EQ(first(text), "ok") << text;
}

TEST_F(Server, RefusesMalformedFirstMessages) {
  for (const char* text : {"",
                           "n",
                           "n,",
                           "n,,",
                           "n,,n=",
                           "n,,r=abc",
                           "n,,n=,r=",
                           "n,,n=,r=a b",
                           "n,,n=,r=a\x7f",
                           "n,,n=,r=\xc3\xa9",
                           "n,,r=abc,n=",
                           "n,,n=,r=abc,",
                           "n,,n=,r=abc,x",
                           "n,,n=,r=abc,1=x",
                           "n,,n=,r=abc,r=def",
                           "n,,n=,r=abc,n=x",
                           "n,,n=\xff,r=abc",
                           "n,,n=\x01,r=abc",
                           "N,,n=,r=abc",
                           "x,,n=,r=abc",
                           ",,n=,r=abc",
                           "p,,n=,r=abc",
                           "n=,r=abc",
                           " n,,n=,r=abc",
                           "n,,,n=,r=abc",
                           "n,,x=1,n=,r=abc"})
    EXPECT_EQ(first(text), "scram.syntax") << text;
  EXPECT_EQ(first("n,a=admin,n=,r=abc"), "scram.syntax") << "authorization identity";
  EXPECT_EQ(first("n,x,n=,r=abc"), "scram.syntax");
  EXPECT_EQ(first("n,,m=ext,n=,r=abc"), "scram.syntax") << "mandatory extension";
  EXPECT_EQ(first("n,,n=,r=abc,m=ext"), "scram.syntax");
  EXPECT_EQ(first(std::string("n,,n=,r=a\0b", 11)), "scram.syntax");
  EXPECT_EQ(first("n,,n=,r=" + std::string(2040, 'a')), "ok");
  EXPECT_EQ(first("n,,n=,r=" + std::string(2041, 'a')), "scram.syntax");
  std::string many = "n,,n=,r=abc";
  for (int i = 0; i < 15; ++i) many += ",x=1";
  EXPECT_EQ(first(many), "scram.syntax");
}

TEST_F(Server, JudgesTheBindingFlag) {
  const std::string hash(32, 'h');
  const std::string p = "p=tls-server-end-point,,n=,r=abc";
  EXPECT_EQ(first(p, hash, true, true), "ok");
  EXPECT_EQ(first(p, hash, false, true), "scram.channel_binding");
  EXPECT_EQ(first(p, "", true, false), "scram.channel_binding");
  EXPECT_EQ(first("p=tls-unique,,n=,r=abc", hash, true, true), "scram.channel_binding");
  EXPECT_EQ(first("p=,,n=,r=abc", hash, true, true), "scram.channel_binding");
  EXPECT_EQ(first("n,,n=,r=abc", hash, true, true), "scram.channel_binding");
  EXPECT_EQ(first("y,,n=,r=abc", hash, true, true), "scram.channel_binding");
  EXPECT_EQ(first("y,,n=,r=abc", hash, false, true), "scram.channel_binding") << "downgrade";
  EXPECT_EQ(first("y,,n=,r=abc", hash, false, false), "ok");
  EXPECT_EQ(first("n,,n=,r=abc", hash, false, true), "ok");
}

// Each proof here is right for the message it ends, so that only the named check can refuse.
TEST_F(Server, FinalMessage) {
  EXPECT_EQ(final([](auto&) {}), "ok");
  EXPECT_EQ(final([](auto& text) { text += ",x=1"; }), "ok") << "an extension that need not be understood";
  EXPECT_EQ(final([](auto& text) { text += "A"; }), "scram.nonce");
  EXPECT_EQ(final([](auto& text) { text.pop_back(); }), "scram.nonce");
  EXPECT_EQ(final([](auto& text) { text = "c=biws,r=abc"; }), "scram.nonce");
  EXPECT_EQ(final([](auto& text) { text.replace(0, 6, "c=eSws"); }), "scram.channel_binding")
      << "flag changed afterwards";
  EXPECT_EQ(final([](auto& text) { text.replace(0, 6, "c="); }), "scram.channel_binding");
  EXPECT_EQ(final([](auto& text) { text.replace(0, 6, "c=biwsAA=="); }), "scram.channel_binding");
  EXPECT_EQ(final([](auto& text) { text.replace(0, 6, "c=biw"); }), "scram.syntax");
  EXPECT_EQ(final([](auto& text) { text += ",m=1"; }), "scram.syntax");
  EXPECT_EQ(final([](auto& text) { text += ",p=AAAA"; }), "scram.syntax");
  EXPECT_EQ(final([](auto& text) { text += ",c=biws"; }), "scram.syntax");
  EXPECT_EQ(final([](auto& text) { text = text.substr(7); }), "scram.syntax");
  EXPECT_EQ(final([](auto& text) { text = text.substr(7) + ",c=biws"; }), "scram.syntax");
  EXPECT_EQ(final([](auto& text) { text = "x=1," + text; }), "scram.syntax");
  EXPECT_EQ(final([](auto&) {}, ",x=1"), "scram.syntax") << "the proof comes last";
  EXPECT_EQ(final([](auto&) {}, "="), "scram.syntax");
  EXPECT_EQ(final([](auto& text) { text += ",x=" + std::string(2048, 'a'); }), "scram.syntax");
}

TEST_F(Server, RefusesEveryOtherProof) {
  const auto attempt = [&](const std::function<std::string(std::string)>& change) {
    ScramServer server = make();
    const std::string server_first = *server.first("n,,n=,r=abc");
    const std::string text = "c=biws,r=" + server_first.substr(2, server_first.find(',') - 2);
    const std::string proof = scram::client_proof(keys_, "n=,r=abc," + server_first + "," + text);
    return refusal(server.final(text + ",p=" + base::base64_encode(change(proof))));
  };
  for (std::size_t i = 0; i < 32; ++i)
    EXPECT_EQ(attempt([&](std::string p) {
                p[i] = static_cast<char>(p[i] ^ 4);
                return p;
              }),
              "scram.proof")
        << i;
  EXPECT_EQ(attempt([](const std::string&) { return std::string(32, '\0'); }), "scram.proof");
  EXPECT_EQ(attempt([](const std::string& p) { return p.substr(1); }), "scram.syntax");
  EXPECT_EQ(attempt([](const std::string& p) { return p + "x"; }), "scram.syntax");
  EXPECT_EQ(attempt([](const std::string&) { return std::string(); }), "scram.syntax");
}

TEST_F(Server, AnExchangeIsPlayedOnce) {
  ScramServer server = make();
  EXPECT_EQ(refusal(server.final("c=biws,r=,p=AAAA")), "scram.syntax");
  const std::string server_first = *server.first("n,,n=,r=abc");
  EXPECT_EQ(refusal(server.first("n,,n=,r=abc")), "scram.syntax");
  const std::string text = "c=biws,r=" + server_first.substr(2, server_first.find(',') - 2);
  const std::string right =
      text + ",p=" + base::base64_encode(scram::client_proof(keys_, "n=,r=abc," + server_first + "," + text));
  EXPECT_EQ(refusal(server.final(text + ",p=" + base::base64_encode(std::string(32, 'x')))), "scram.proof");
  EXPECT_EQ(refusal(server.final(right)), "scram.syntax") << "one guess for each exchange";
  ScramServer failed = make();
  EXPECT_EQ(refusal(failed.first("n,a=x,n=,r=abc")), "scram.syntax");
  EXPECT_EQ(refusal(failed.first("n,,n=,r=abc")), "scram.syntax");
}

TEST_F(Server, AMockLooksLikeAnybody) {
  const ScramVerifier mock = mock_verifier("server secret", "nobody", 4096);
  EXPECT_EQ(mock, mock_verifier("server secret", "nobody", 4096));
  EXPECT_NE(mock.salt, mock_verifier("server secret", "nobody2", 4096).salt);
  EXPECT_NE(mock.salt, mock_verifier("other secret", "nobody", 4096).salt);
  EXPECT_EQ(mock.salt.size(), 16U);
  EXPECT_EQ(ScramVerifier::parse(mock.to_text()).value(), mock);
  // The same refusal, word for word, as for a wrong password.
  const auto error = [&](const ScramVerifier& verifier, bool is_mock) {
    ScramServer server(verifier, is_mock, "", false, false, entropy_);
    ScramClient client(Secret("wrong"), "", false, entropy_);
    return server.final(*client.final(*server.first(client.first()))).error();
  };
  EXPECT_EQ(error(mock, true), error(verifier_, false));
  EXPECT_EQ(error(verifier_, false).check, "scram.proof");
}

// ---- the client against any server ----

class Client : public ::testing::Test {
 protected:
  std::string nonce_ = base::base64_encode(std::string(18, 'n'));
  std::string final(std::string_view server_first) {
    FixedEntropy entropy(std::string(18, 'n'));
    ScramClient client(Secret("pw"), "", false, entropy);
    EXPECT_EQ(client.first(), "n,,n=,r=" + nonce_);
    return refusal(client.final(server_first));
  }
};

TEST_F(Client, ReadsTheServersFirstMessage) {
  EXPECT_EQ(final("r=" + nonce_ + "x,s=AAAA,i=1"), "ok");
  EXPECT_EQ(final("r=" + nonce_ + "x,s=AAAA,i=100000,x=y"), "ok");
  EXPECT_EQ(final("r=" + nonce_ + ",s=AAAA,i=1"), "scram.nonce") << "nothing added";
  EXPECT_EQ(final("r=x" + nonce_ + ",s=AAAA,i=1"), "scram.nonce");
  EXPECT_EQ(final("r=other,s=AAAA,i=1"), "scram.nonce");
  for (const char* i : {"0", "100001", "-1", "", "1e3", "01", "999999999999999999999", "4096 "})
    EXPECT_EQ(final("r=" + nonce_ + "x,s=AAAA,i=" + i), "scram.iterations") << i;
  for (const std::string& rest :
       {std::string(), std::string(",s=AAAA"), std::string(",i=1,s=AAAA"), std::string(",s=,i=1"),
        std::string(",s=A,i=1"), std::string(",s=AAAA,i=1,m=x"), std::string(",s=AAAA,i=1,i=2"),
        ",s=" + base::base64_encode(std::string(257, 's')) + ",i=1"})
    EXPECT_EQ(final("r=" + nonce_ + "x" + rest), "scram.syntax") << rest;
  EXPECT_EQ(final("m=x,r=" + nonce_ + "x,s=AAAA,i=1"), "scram.syntax");
  EXPECT_EQ(final("e=other-error"), "scram.syntax");
  EXPECT_EQ(final("r=" + nonce_ + std::string(2048, 'x') + ",s=AAAA,i=1"), "scram.syntax");
}

TEST_F(Client, WantsProofFromTheServer) {
  base::SeededEntropy entropy(9);
  const auto verify = [&](const std::function<std::string(std::string)>& change) {
    ScramServer server(make_verifier(Secret("pw"), 2, entropy), false, "", false, false, entropy);
    ScramClient client(Secret("pw"), "", false, entropy);
    return refusal(client.verify(change(*server.final(*client.final(*server.first(client.first()))))));
  };
  EXPECT_EQ(verify([](std::string text) { return text; }), "ok");
  EXPECT_EQ(verify([](std::string text) { return text + ",x=1"; }), "ok");
  EXPECT_EQ(verify([](std::string) { return "v=" + base::base64_encode(std::string(32, '\0')); }),
            "scram.server_signature");
  for (const char* text : {"", "v=", "e=other-error", "v=AAAA", "x=1", "v"})
    EXPECT_EQ(verify([&](std::string) { return text; }), "scram.server_signature") << text;
  EXPECT_EQ(verify([](const std::string& text) { return text.substr(0, text.size() - 1); }), "scram.server_signature");
  EXPECT_EQ(verify([](const std::string& text) { return "e=x," + text; }), "scram.server_signature");
  // Before anything was proven nothing fits.
  ScramClient early(Secret("pw"), "", false, entropy);
  EXPECT_EQ(refusal(early.verify("v=")), "scram.server_signature");
  EXPECT_EQ(refusal(early.final("r=x,s=AAAA,i=1")), "scram.syntax");
}

}  // namespace
}  // namespace daypass::crypto
