// Mutants of signed messages: whatever a stranger does to a token, a signed XML document or a checkpoint on its way,
// what is accepted is what somebody signed, to the byte. DAYPASS_MUTANTS says how many of each (2,000),
// DAYPASS_MUTANTS_SEED where they begin (1); a million of each takes a few minutes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/encoding.h"
#include "crypto/digest.h"
#include "crypto/ed25519.h"
#include "crypto/jose.h"
#include "crypto/test_support.h"
#include "crypto/xml_test_support.h"
#include "mutants/mutator.h"
#include "tlog/note.h"

namespace daypass::mutants {
namespace {

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

/// How often each answer was given; the most of them must come from behind the first glance, or nothing was tried.
struct Answers {
  std::map<std::string, std::uint64_t> by_check;
  void add(const std::string& check) { ++by_check[check]; }
  [[nodiscard]] std::uint64_t of(const std::vector<std::string>& checks) const {
    std::uint64_t n = 0;
    for (const auto& check : checks)
      if (const auto it = by_check.find(check); it != by_check.end()) n += it->second;
    return n;
  }
  void print(const char* what) const {
    std::string line;
    for (const auto& [check, n] : by_check) line += (line.empty() ? "" : ", ") + check + " " + std::to_string(n);
    std::printf("%s: %s\n", what, line.c_str());
  }
};

constexpr std::string_view base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=";
constexpr std::string_view xml_letters = "<>/=\"' :#&;abcdesnxmlIDAZaz019+\n\t";
constexpr std::string_view json_letters = "{}[]\",:\\ 0123456789abcdefghijklmnopqrstuvwxyz";

std::vector<std::string> parts_of(const std::string& token) {
  std::vector<std::string> out(1);
  for (const char c : token) {
    if (c == '.')
      out.emplace_back();
    else
      out.back() += c;
  }
  return out;
}

TEST(Mutants, OfTokens) {
  using crypto::Alg;
  struct Signed {
    Alg alg;
    std::string token, payload;
  };
  std::vector<crypto::SigningKey> keys;
  std::vector<base::json::Value> jwks;
  std::vector<Signed> pool;
  std::vector<std::string> tokens;
  for (const Alg alg : {Alg::rs256, Alg::ps256, Alg::es256, Alg::es384, Alg::eddsa}) {
    keys.push_back(crypto::SigningKey::generate(alg));
    const std::string name(crypto::to_string(alg));
    jwks.push_back(crypto::testing::with(keys.back().public_jwk(), {{"kid", name}}));
    for (const char* who : {"dana", "sam", "admin"}) {
      const std::string head = R"({"alg":")" + name + R"(","kid":")" + name + R"(","typ":"JWT"})";
      const std::string payload = R"({"iss":"https://idp.example","aud":"daypass","sub":")" + std::string(who) + name +
                                  R"(","groups":["data"],"iat":1700000000,"exp":1700000600,"nonce":"n"})";
      const std::string message = base::base64url_encode(head) + "." + base::base64url_encode(payload);
      const std::string signature = crypto::testing::raw_signature(keys.back(), message, alg);
      pool.push_back({alg, message + "." + base::base64url_encode(signature), payload});
      tokens.push_back(pool.back().token);
    }
  }
  const auto set = crypto::testing::key_set(jwks);
  for (const auto& one : pool) ASSERT_TRUE(crypto::verify_jws(one.token, set).ok());

  const std::uint64_t seed = setting("DAYPASS_MUTANTS_SEED", 1), count = setting("DAYPASS_MUTANTS", 2000);
  Answers answers;
  for (std::uint64_t i = 0; i < count; ++i) {
    Mutator m(seed * 0x9E3779B97F4A7C15U + i);
    const Signed& one = pool[m.below(pool.size())];
    std::string mutant;
    if (m.one_in(3)) {
      mutant = m.bytes(one.token, tokens, base64url);
    } else {
      // One part of it, read and written again: what is behind the encoding.
      std::vector<std::string> parts = parts_of(one.token);
      const auto other = parts_of(pool[m.below(pool.size())].token);
      const std::size_t which = m.below(3);
      if (m.one_in(3)) {
        parts[which] = other[which];
      } else {
        const auto plain = base::base64url_decode(parts[which]);
        const auto theirs = base::base64url_decode(other[which]);
        ASSERT_TRUE(plain && theirs);
        parts[which] = base::base64url_encode(m.bytes(*plain, {*plain, *theirs}, which == 2 ? "" : json_letters));
      }
      mutant = parts[0] + "." + parts[1] + "." + parts[2];
    }
    const auto verified = crypto::verify_jws(mutant, set);
    answers.add(verified.ok() ? "accepted" : verified.error().check);
    if (!verified.ok()) continue;
    // The same payload by the same key: the token itself, or another spelling of its header that was signed as well.
    const bool was_signed = std::ranges::any_of(
        pool, [&](const Signed& s) { return s.payload == verified->payload && s.alg == verified->alg; });
    EXPECT_TRUE(was_signed) << "seed " << seed << ", mutant " << i << ": " << mutant;
  }
  answers.print("tokens");
  EXPECT_GT(answers.of({"jws.signature"}), count / 5);
}

TEST(Mutants, OfSignedXml) {
  namespace xml = crypto::xml;
  const auto key = xml::testing::fresh_key(), elliptic = xml::testing::fresh_key("P-256");
  std::vector<std::string> plain, pool;
  for (const char* who : {"dana", "sam", "admin"}) {
    const std::string id = std::string("_") + who;
    plain.push_back(
        "<saml:Assertion xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"" + id +
        "\"><saml:Issuer>https://idp.example</saml:Issuer><saml:Subject><saml:NameID>" + who +
        "@corp.example</saml:NameID></saml:Subject><saml:AttributeStatement><saml:Attribute Name=\"groups\">"
        "<saml:AttributeValue>data</saml:AttributeValue></saml:Attribute></saml:AttributeStatement>"
        "</saml:Assertion>");
    for (const auto& signer : {key, elliptic})
      pool.push_back(xml::sign_enveloped(signer, plain.back(), id, plain.back().find("<saml:Subject>")));
  }
  const std::vector<xml::Certificate> trusted = {key.certificate(), elliptic.certificate()};
  const auto judge = [&](const std::string& text) -> base::Result<std::string> {
    DP_TRY(const auto document, xml::Document::parse(text));
    return xml::verify_enveloped(document, document.root(), trusted);
  };
  for (const auto& one : pool) ASSERT_TRUE(judge(one).ok());

  const std::uint64_t seed = setting("DAYPASS_MUTANTS_SEED", 1), count = setting("DAYPASS_MUTANTS", 2000);
  Answers answers;
  for (std::uint64_t i = 0; i < count; ++i) {
    Mutator m(seed * 0x9E3779B97F4A7C15U + i);
    std::string mutant = pool[m.below(pool.size())];
    if (m.one_in(2)) {
      mutant = m.bytes(mutant, pool, xml_letters);
    } else {
      // An element's text or attribute for another's: well-formed, most of the time.
      const auto places = [](const std::string& text, char open, char close) {
        std::vector<std::pair<std::size_t, std::size_t>> out;
        for (std::size_t at = text.find(open); at != std::string::npos; at = text.find(open, at + 1))
          if (const std::size_t end = text.find(close, at + 1); end != std::string::npos && end > at + 1)
            out.emplace_back(at + 1, end - at - 1);
        return out;
      };
      const bool attribute = m.one_in(2);
      const std::string& other = pool[m.below(pool.size())];
      const char open = attribute ? '"' : '>', close = attribute ? '"' : '<';
      const auto here = places(mutant, open, close), there = places(other, open, close);
      const auto [at, size] = here[m.below(here.size())];
      const auto [from, length] = there[m.below(there.size())];
      mutant.replace(at, size,
                     m.one_in(2) ? other.substr(from, length)
                                 : m.bytes(mutant.substr(at, size), {other.substr(from, length)}, "AZaz09+/="));
    }
    const auto octets = judge(mutant);
    answers.add(octets.ok() ? "accepted" : octets.error().check);
    if (octets.ok()) {
      EXPECT_TRUE(std::ranges::find(plain, *octets) != plain.end())
          << "seed " << seed << ", mutant " << i << ": " << mutant << "\nread as " << *octets;
    }
  }
  answers.print("signed XML");
  EXPECT_GT(answers.of({"xmldsig.signature", "xmldsig.digest"}), count / 5);
}

TEST(Mutants, OfCheckpoints) {
  const base::Secret key(std::string(32, 's'));
  const tlog::NoteKey name{"log.example/t/default", crypto::ed25519_public_key(key)};
  std::vector<std::string> texts, pool;
  for (std::uint64_t n = 1; n <= 5; ++n) {
    texts.push_back(tlog::checkpoint_text({name.name, n * 1000, tlog::Hash(tlog::hash_size, static_cast<char>(n))}));
    const auto sign = [&](std::string_view message) { return crypto::ed25519_sign(key, message); };
    pool.push_back(tlog::sign_note(texts.back(), name, sign));
  }
  for (const auto& one : pool) ASSERT_TRUE(tlog::open_checkpoint(one, name, crypto::ed25519_verify).ok());

  const std::uint64_t seed = setting("DAYPASS_MUTANTS_SEED", 1), count = setting("DAYPASS_MUTANTS", 2000);
  Answers answers;
  for (std::uint64_t i = 0; i < count; ++i) {
    Mutator m(seed * 0x9E3779B97F4A7C15U + i);
    std::string mutant = pool[m.below(pool.size())];
    if (m.one_in(2)) {
      mutant = m.bytes(mutant, pool, "ABCDEFGHabcdefgh0123456789+/=\n");
    } else {
      // The text alone, so that the signature is looked at.
      const std::size_t end = mutant.find("\n\n");
      std::string text = m.bytes(mutant.substr(0, end), pool, "0123456789ABCDEFabcdef+/=\n");
      std::erase(text, '\0');
      mutant = text + mutant.substr(end);
    }
    const auto head = tlog::open_checkpoint(mutant, name, crypto::ed25519_verify);
    answers.add(head.ok() ? "accepted" : head.error().check);
    if (head.ok()) {
      EXPECT_TRUE(std::ranges::find(texts, tlog::checkpoint_text(*head)) != texts.end())
          << "seed " << seed << ", mutant " << i << ": " << mutant;
    }
  }
  answers.print("checkpoints");
  EXPECT_GT(answers.of({"note.signature"}), count / 10);
}

}  // namespace
}  // namespace daypass::mutants
