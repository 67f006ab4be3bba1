#include "crypto/xml_encryption.h"

#include <openssl/rsa.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/encoding.h"
#include "crypto/certificate_impl.h"
#include "crypto/xml_impl.h"

namespace daypass::crypto::xml {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::string_view xenc11_ns = "http://www.w3.org/2009/xmlenc11#";

struct Cipher {
  std::string_view uri;
  const char* name;
  std::size_t key;
  bool gcm;
};
constexpr std::array ciphers = {
    Cipher{"http://www.w3.org/2009/xmlenc11#aes128-gcm", "AES-128-GCM", 16, true},
    Cipher{"http://www.w3.org/2009/xmlenc11#aes192-gcm", "AES-192-GCM", 24, true},
    Cipher{"http://www.w3.org/2009/xmlenc11#aes256-gcm", "AES-256-GCM", 32, true},
    Cipher{"http://www.w3.org/2001/04/xmlenc#aes128-cbc", "AES-128-CBC", 16, false},
    Cipher{"http://www.w3.org/2001/04/xmlenc#aes192-cbc", "AES-192-CBC", 24, false},
    Cipher{"http://www.w3.org/2001/04/xmlenc#aes256-cbc", "AES-256-CBC", 32, false},
};

// What OAEP hashes its label with, and its mask (RFC 8017 section 7.1).
struct Oaep {
  const char* digest = "SHA1";
  const char* mask = "SHA1";
};

struct Parts {
  const Cipher* cipher = nullptr;
  Oaep oaep;
  std::string wrapped;
  std::string content;
};

Error shape() {
  return {Code::invalid, "xmlenc.shape", "the encrypted assertion is not laid out as SAML has it"};
}

Error unknown(std::string_view what) {
  return {Code::invalid, "xmlenc.algorithm", "the encrypted assertion's " + std::string(what) + " is not taken",
          "set the identity provider to AES-256-GCM and RSA-OAEP"};
}

// One error for everything that depends on the plaintext.
Error failed() {
  return {Code::invalid, "xmlenc.decrypt", "the assertion could not be decrypted",
          "check that the identity provider encrypts for the key in Daypass's metadata"};
}

const Element* data_of(const Element& encrypted) {
  return encrypted.count(xenc_ns, "EncryptedData") == 1 ? encrypted.child(xenc_ns, "EncryptedData") : nullptr;
}

const std::string* method_of(const Element& of) {
  const Element* method = of.count(xenc_ns, "EncryptionMethod") == 1 ? of.child(xenc_ns, "EncryptionMethod") : nullptr;
  return method == nullptr ? nullptr : method->attribute("Algorithm");
}

const Cipher* cipher_of(const Element& data) {
  const std::string* uri = method_of(data);
  const auto at = std::ranges::find_if(ciphers, [&](const auto& c) { return uri != nullptr && c.uri == *uri; });
  return at == ciphers.end() ? nullptr : &*at;
}

// XML Encryption section 3.1: in this order, and what is not named here is not there.
bool in_order(const Element& of, std::initializer_list<std::pair<std::string_view, std::string_view>> names) {
  std::size_t at = 0;
  for (const auto& [ns, name] : names)
    if (at < of.children.size() && of.children[at].is(ns, name)) ++at;
  return at == of.children.size() && of.only_elements();
}

std::optional<std::string> value_of(const Element& of) {
  const Element* data = of.count(xenc_ns, "CipherData") == 1 ? of.child(xenc_ns, "CipherData") : nullptr;
  if (data == nullptr || data->children.size() != 1 || !data->children[0].is(xenc_ns, "CipherValue"))
    return std::nullopt;
  if (!data->children[0].children.empty()) return std::nullopt;
  return base64_with_white_space(data->children[0].text);
}

// The one EncryptedKey: in the KeyInfo of the data, or beside it. A KeyInfo that holds nothing is none (XML Signature
// section 4.5), and a reader that takes it for one looks elsewhere for the key.
const Element* key_of(const Element& encrypted, const Element& data) {
  const Element* info = data.child(dsig_ns, "KeyInfo");
  if (info != nullptr && info->children.empty()) return nullptr;
  const std::size_t inside = info == nullptr ? 0 : info->count(xenc_ns, "EncryptedKey");
  if (inside + encrypted.count(xenc_ns, "EncryptedKey") != 1) return nullptr;
  return (inside == 1 ? *info : encrypted).child(xenc_ns, "EncryptedKey");
}

Result<Oaep> oaep_of(const Element& key) {
  const std::string* uri = method_of(key);
  if (uri == nullptr) return shape();
  const bool older = *uri == "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p";
  if (!older && *uri != "http://www.w3.org/2009/xmlenc11#rsa-oaep") return unknown("key transport");
  const Element& method = *key.child(xenc_ns, "EncryptionMethod");
  constexpr std::array<std::pair<std::string_view, const char*>, 5> hashes = {{
      {"http://www.w3.org/2000/09/xmldsig#sha1", "SHA1"},
      {"http://www.w3.org/2001/04/xmlenc#sha256", "SHA256"},
      {"http://www.w3.org/2001/04/xmldsig-more#sha384", "SHA384"},
      {"http://www.w3.org/2001/04/xmlenc#sha384", "SHA384"},
      {"http://www.w3.org/2001/04/xmlenc#sha512", "SHA512"},
  }};
  constexpr std::array<std::pair<std::string_view, const char*>, 4> masks = {{
      {"http://www.w3.org/2009/xmlenc11#mgf1sha1", "SHA1"},
      {"http://www.w3.org/2009/xmlenc11#mgf1sha256", "SHA256"},
      {"http://www.w3.org/2009/xmlenc11#mgf1sha384", "SHA384"},
      {"http://www.w3.org/2009/xmlenc11#mgf1sha512", "SHA512"},
  }};
  const auto pick = [](const Element* element, const auto& known, const char*& out) {
    if (element == nullptr) return true;
    const std::string* algorithm = element->attribute("Algorithm");
    const auto at =
        std::ranges::find_if(known, [&](const auto& k) { return algorithm != nullptr && k.first == *algorithm; });
    if (at == known.end()) return false;
    out = at->second;
    return true;
  };
  Oaep out;
  if (method.child(xenc_ns, "OAEPparams") != nullptr) return unknown("OAEP label");
  const bool known = in_order(method, {{dsig_ns, "DigestMethod"}, {xenc11_ns, "MGF"}}) ||
                     in_order(method, {{xenc11_ns, "MGF"}, {dsig_ns, "DigestMethod"}});
  if (!known || std::ranges::any_of(method.children, [](const Element& e) { return !e.children.empty(); }))
    return shape();
  if (!pick(method.child(dsig_ns, "DigestMethod"), hashes, out.digest)) return unknown("OAEP digest");
  if (!older && !pick(method.child(xenc11_ns, "MGF"), masks, out.mask)) return unknown("OAEP mask function");
  return out;
}

Result<Parts> parts_of(const Element& encrypted) {
  const Element* data = data_of(encrypted);
  // saml-core section 2.2.4.
  if (data == nullptr || !in_order(encrypted, {{xenc_ns, "EncryptedData"}, {xenc_ns, "EncryptedKey"}})) return shape();
  const std::string* type = data->attribute("Type");
  if (type != nullptr && *type != "http://www.w3.org/2001/04/xmlenc#Element") return shape();
  if (!in_order(*data, {{xenc_ns, "EncryptionMethod"}, {dsig_ns, "KeyInfo"}, {xenc_ns, "CipherData"}})) return shape();
  Parts out;
  out.cipher = cipher_of(*data);
  if (const Element* method = data->child(xenc_ns, "EncryptionMethod"); method != nullptr && !method->children.empty())
    return shape();
  if (out.cipher == nullptr) return method_of(*data) == nullptr ? shape() : unknown("cipher");
  const Element* key = key_of(encrypted, *data);
  if (key == nullptr || !in_order(*key, {{xenc_ns, "EncryptionMethod"},
                                         {dsig_ns, "KeyInfo"},
                                         {xenc_ns, "CipherData"},
                                         {xenc_ns, "ReferenceList"},
                                         {xenc_ns, "CarriedKeyName"}}))
    return shape();
  if (const Element* info = key->child(dsig_ns, "KeyInfo"); info != nullptr && info->children.empty()) return shape();
  DP_TRY(out.oaep, oaep_of(*key));
  auto wrapped = value_of(*key);
  auto content = value_of(*data);
  if (!wrapped || !content || wrapped->size() > 1024) return shape();
  out.wrapped = std::move(*wrapped);
  out.content = std::move(*content);
  return out;
}

std::optional<base::Secret> unwrap(const Parts& parts, EVP_PKEY* key) {
  const PkeyCtxPtr context(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  if (context == nullptr || EVP_PKEY_decrypt_init(context.get()) != 1 ||
      EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_OAEP_PADDING) != 1 ||
      EVP_PKEY_CTX_set_rsa_oaep_md_name(context.get(), parts.oaep.digest, nullptr) != 1 ||
      EVP_PKEY_CTX_set_rsa_mgf1_md_name(context.get(), parts.oaep.mask, nullptr) != 1)
    return std::nullopt;
  std::string out(static_cast<std::size_t>(EVP_PKEY_get_size(key)), '\0');
  std::size_t size = out.size();
  const bool good = EVP_PKEY_decrypt(context.get(), bytes(out), &size, bytes(std::string_view(parts.wrapped)),
                                     parts.wrapped.size()) == 1 &&
                    size == parts.cipher->key;
  out.resize(good ? size : 0);
  auto secret = base::Secret::take(std::move(out));
  if (!good) return std::nullopt;
  return secret;
}

constexpr std::size_t gcm_iv = 12;
constexpr std::size_t block = 16;

std::optional<std::string> open_gcm(const Parts& parts, const EVP_CIPHER* cipher, std::string_view key) {
  if (parts.content.size() <= gcm_iv + block) return std::nullopt;
  const std::string_view all = parts.content;
  const std::string_view text = all.substr(gcm_iv, all.size() - gcm_iv - block);
  std::string tag(all.substr(all.size() - block));
  std::string out(text.size(), '\0');
  const CipherCtxPtr context(EVP_CIPHER_CTX_new());
  int size = 0;
  int rest = 0;
  if (context == nullptr ||
      EVP_DecryptInit_ex2(context.get(), cipher, bytes(key), bytes(all.substr(0, gcm_iv)), nullptr) != 1 ||
      EVP_DecryptUpdate(context.get(), bytes(out), &size, bytes(text), static_cast<int>(text.size())) != 1 ||
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, static_cast<int>(block), tag.data()) != 1 ||
      EVP_DecryptFinal_ex(context.get(), bytes(out) + size, &rest) != 1)
    return std::nullopt;
  out.resize(static_cast<std::size_t>(size + rest));
  return out;
}

// XML Encryption section 5.2.1: the last byte counts the padding, the others are anything; so not OpenSSL's padding.
std::optional<std::string> open_cbc(const Parts& parts, const EVP_CIPHER* cipher, std::string_view key) {
  if (parts.content.size() < 2 * block || parts.content.size() % block != 0) return std::nullopt;
  const std::string_view all = parts.content;
  const std::string_view text = all.substr(block);
  std::string out(text.size() + block, '\0');
  const CipherCtxPtr context(EVP_CIPHER_CTX_new());
  int size = 0;
  int rest = 0;
  if (context == nullptr ||
      EVP_DecryptInit_ex2(context.get(), cipher, bytes(key), bytes(all.substr(0, block)), nullptr) != 1 ||
      EVP_CIPHER_CTX_set_padding(context.get(), 0) != 1 ||
      EVP_DecryptUpdate(context.get(), bytes(out), &size, bytes(text), static_cast<int>(text.size())) != 1 ||
      EVP_DecryptFinal_ex(context.get(), bytes(out) + size, &rest) != 1)
    return std::nullopt;
  out.resize(static_cast<std::size_t>(size + rest));
  const auto padding = static_cast<unsigned char>(out.back());
  if (padding == 0 || padding > block) return std::nullopt;
  out.resize(out.size() - padding);
  return out;
}

}  // namespace

bool is_unauthenticated(const Element& encrypted) {
  const Element* data = data_of(encrypted);
  const Cipher* cipher = data == nullptr ? nullptr : cipher_of(*data);
  return cipher != nullptr && !cipher->gcm;
}

Result<std::string> decrypt(const Element& encrypted, std::span<const KeyPair> keys) {
  const ErrorQueueGuard guard;
  DP_TRY(const Parts parts, parts_of(encrypted));
  const std::unique_ptr<EVP_CIPHER, Free<EVP_CIPHER_free>> cipher(
      EVP_CIPHER_fetch(nullptr, parts.cipher->name, nullptr));
  DP_ASSERT(cipher != nullptr);
  bool any = false;
  for (const KeyPair& key : keys) {
    if (!key.is_rsa()) continue;
    any = true;
    const auto content_key = unwrap(parts, key.impl().key.get());
    if (!content_key) continue;
    auto out = parts.cipher->gcm ? open_gcm(parts, cipher.get(), content_key->reveal())
                                 : open_cbc(parts, cipher.get(), content_key->reveal());
    if (out) return std::move(*out);
  }
  if (!any)
    return Error{Code::invalid, "xmlenc.no_key",
                 "the assertion is encrypted, and there is no RSA key here to read it with",
                 "give the identity provider's settings an sp_key, or switch its encryption off"};
  return failed();
}

}  // namespace daypass::crypto::xml
