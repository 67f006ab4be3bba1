// Encrypted elements: what is taken, and that everything else gives one answer.
#include "crypto/xml_encryption.h"

#include <gtest/gtest.h>

#include "crypto/xml_test_support.h"

namespace daypass::crypto::xml {
namespace {

using testing::encrypt;
using testing::Encrypting;
using testing::fresh_key;

const KeyPair& mine() {
  static const KeyPair key = fresh_key();
  return key;
}

struct Read {
  std::string text;
  bool unauthenticated = false;
};
Read read(const std::string& inside, std::vector<KeyPair> keys = {mine()}) {
  const auto document =
      Document::parse("<e xmlns=\"urn:e\" xmlns:xenc=\"http://www.w3.org/2001/04/xmlenc#\">" + inside + "</e>");
  EXPECT_TRUE(document.ok()) << inside;
  const auto plain = decrypt(document->root(), keys);
  return {plain.ok() ? *plain : plain.error().check, is_unauthenticated(document->root())};
}

TEST(XmlEncryption, ReadsEveryCipherThatIsTaken) {
  const std::string ns11 = "http://www.w3.org/2009/xmlenc11#";
  const std::string ns = "http://www.w3.org/2001/04/xmlenc#";
  for (const auto& [bits, key] : {std::pair<std::string, std::size_t>{"128", 16}, {"192", 24}, {"256", 32}}) {
    Encrypting how;
    how.key = key;
    how.cipher = "AES-" + bits + "-GCM";
    how.cipher_uri = ns11 + "aes" + bits + "-gcm";
    const Read gcm = read(encrypt("<x>secret</x>", mine().certificate(), how));
    EXPECT_EQ(gcm.text, "<x>secret</x>") << bits;
    EXPECT_FALSE(gcm.unauthenticated);
    how.cipher = "AES-" + bits + "-CBC";
    how.cipher_uri = ns + "aes" + bits + "-cbc";
    for (std::size_t size = 1; size < 40; ++size) {
      const Read cbc = read(encrypt(std::string(size, 'x'), mine().certificate(), how));
      EXPECT_EQ(cbc.text, std::string(size, 'x')) << bits;
      EXPECT_TRUE(cbc.unauthenticated);
    }
  }
}

TEST(XmlEncryption, ReadsEveryOaep) {
  const std::string digest = "<ds:DigestMethod xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\" Algorithm=\"";
  const std::string mask =
      "<xenc11:MGF xmlns:xenc11=\"http://www.w3.org/2009/xmlenc11#\" Algorithm=\"http://www.w3.org/2009/xmlenc11#";
  Encrypting how;
  how.transport_inside = digest + "http://www.w3.org/2001/04/xmlenc#sha256\"/>";
  how.digest = "SHA256";
  EXPECT_EQ(read(encrypt("x", mine().certificate(), how)).text, "x");
  how.transport = "http://www.w3.org/2009/xmlenc11#rsa-oaep";
  how.transport_inside += mask + "mgf1sha512\"/>";
  how.mask = "SHA512";
  EXPECT_EQ(read(encrypt("x", mine().certificate(), how)).text, "x");
  how.transport_inside = digest + "urn:unknown\"/>";
  EXPECT_EQ(read(encrypt("x", mine().certificate(), how)).text, "xmlenc.algorithm");
  how.transport_inside.clear();
  how.transport = "http://www.w3.org/2001/04/xmlenc#rsa-1_5";
  EXPECT_EQ(read(encrypt("x", mine().certificate(), how)).text, "xmlenc.algorithm");
  how = {};
  how.key_beside = true;
  EXPECT_EQ(read(encrypt("x", mine().certificate(), how)).text, "x");
}

TEST(XmlEncryption, TriesEachKeyAndSaysNothingMore) {
  const std::string good = encrypt("<x/>", mine().certificate());
  EXPECT_EQ(read(good, {fresh_key(), mine()}).text, "<x/>");
  EXPECT_EQ(read(good, {fresh_key()}).text, "xmlenc.decrypt");
  EXPECT_EQ(read(good, {fresh_key("P-256")}).text, "xmlenc.no_key");
  EXPECT_EQ(read(good, {}).text, "xmlenc.no_key");
  // Every byte of the content, and of the key.
  const std::size_t at = good.rfind("<xenc:CipherValue>") + 18;
  for (std::size_t i = at; good[i] != '<'; ++i) {
    if (good[i] == '=') continue;
    std::string bad = good;
    bad[i] = bad[i] == 'A' ? 'Q' : 'A';
    EXPECT_EQ(read(bad).text.substr(0, 7), "xmlenc.") << i;
  }
  Encrypting cbc;
  cbc.cipher = "AES-128-CBC";
  cbc.cipher_uri = "http://www.w3.org/2001/04/xmlenc#aes128-cbc";
  cbc.key = 16;
  for (const unsigned char padding : {std::uint8_t{17}, std::uint8_t{32}, std::uint8_t{255}}) {
    cbc.padding = padding;
    EXPECT_EQ(read(encrypt("x", mine().certificate(), cbc)).text, "xmlenc.decrypt");
  }
  cbc.padding = 0;
  cbc.key = 32;  // a key of another length than the cipher's
  EXPECT_EQ(read(encrypt("x", mine().certificate(), cbc)).text, "xmlenc.decrypt");
}

TEST(XmlEncryption, HasOneShape) {
  const std::string good = encrypt("<x/>", mine().certificate());
  const auto changed = [&](std::string_view what, std::string_view with) {
    std::string out = good;
    const std::size_t at = out.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    return out.replace(at, what.size(), with);
  };
  EXPECT_EQ(read("").text, "xmlenc.shape");
  EXPECT_EQ(read(good + good).text, "xmlenc.shape");
  EXPECT_EQ(read(changed("xmlenc#Element", "xmlenc#Content")).text, "xmlenc.shape");
  EXPECT_EQ(read(changed("aes256-gcm", "aes257-gcm")).text, "xmlenc.algorithm");
  EXPECT_EQ(read(changed("<xenc:CipherValue>", "<xenc:CipherValue>!")).text, "xmlenc.shape");
  EXPECT_EQ(read(changed("<xenc:CipherData><xenc:CipherValue>",
                         "<xenc:CipherData><xenc:CipherReference URI=\"file:///x\"/><xenc:CipherValue>"))
                .text,
            "xmlenc.shape");
  const std::size_t begin = good.find("<xenc:EncryptedKey");
  const std::string key = good.substr(begin, good.find("</xenc:EncryptedKey>") + 20 - begin);
  EXPECT_EQ(read(good + key).text, "xmlenc.shape");
  Encrypting beside;
  beside.key_beside = true;
  const std::string two = encrypt("<x/>", mine().certificate(), beside);
  const std::size_t second = two.find("<xenc:EncryptedKey");
  EXPECT_EQ(read(two.substr(second) + two.substr(0, second)).text, "xmlenc.shape") << "the key before the data";
  EXPECT_EQ(read(changed("rsa-oaep-mgf1p\">", "rsa-oaep-mgf1p\"><xenc:CipherValue>AAAA</xenc:CipherValue>")).text,
            "xmlenc.shape");
  EXPECT_EQ(read(changed("aes256-gcm\">", "aes256-gcm\"><x/>")).text, "xmlenc.shape");
  EXPECT_EQ(read(changed(key, "")).text, "xmlenc.shape");
  // A KeyInfo that holds nothing, of the data and of the key.
  std::string empty = two;
  EXPECT_EQ(read(empty).text, "<x/>");
  const std::string name = "<ds:KeyName>beside</ds:KeyName>";
  EXPECT_EQ(read(empty.erase(empty.find(name), name.size())).text, "xmlenc.shape");
  const std::string method = "</xenc:EncryptionMethod><xenc:CipherData>";
  const std::string info = "<ds:KeyInfo xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\">";
  const auto inside = [&](std::string_view what) {
    return changed(method, "</xenc:EncryptionMethod>" + info + std::string(what) + "</ds:KeyInfo><xenc:CipherData>");
  };
  EXPECT_EQ(read(inside("<ds:KeyName>mine</ds:KeyName>")).text, "<x/>");
  EXPECT_EQ(read(inside("")).text, "xmlenc.shape");
}

}  // namespace
}  // namespace daypass::crypto::xml
