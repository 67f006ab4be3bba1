// For tests alone: fresh RSA and EC key pairs with a certificate, and the way in to what decrypt() reads.
#pragma once

#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <string>
#include <string_view>

#include "base/encoding.h"
#include "crypto/evp.h"
#include "crypto/pem.h"
#include "crypto/xml_signature.h"

namespace daypass::crypto::xml::testing {

/// PEM of a private key and a self-signed certificate. `kind`: "RSA" (2048 bits) or an EC group, "P-256".
inline std::string fresh_pem(const char* kind = "RSA", std::size_t bits = 2048) {
  const PkeyPtr key(std::string_view(kind) == "RSA" ? EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", bits)
                                                    : EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", kind));
  const X509Ptr certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 7);
  ASN1_TIME_set(X509_getm_notBefore(certificate.get()), 1'700'000'000);
  ASN1_TIME_set(X509_getm_notAfter(certificate.get()), 2'000'000'000);
  X509_NAME* name = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, bytes(std::string_view("test")), 4, -1, 0);
  X509_set_issuer_name(certificate.get(), name);
  X509_set_pubkey(certificate.get(), key.get());
  X509_sign(certificate.get(), key.get(), md_sha256());
  const BioPtr out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(out.get(), certificate.get());
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return std::string(private_key_to_pem(key.get()).reveal()) + std::string(data, static_cast<std::size_t>(size));
}

inline KeyPair fresh_key(const char* kind = "RSA", std::size_t bits = 2048) {
  return KeyPair::from_pem(base::Secret(fresh_pem(kind, bits))).value();
}

struct Encrypting {
  std::string cipher = "AES-256-GCM";
  std::string cipher_uri = "http://www.w3.org/2009/xmlenc11#aes256-gcm";
  std::size_t key = 32;
  std::string transport = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p";
  std::string transport_inside;  ///< children of the transport's EncryptionMethod
  const char* digest = "SHA1";
  const char* mask = "SHA1";
  bool key_beside = false;    ///< EncryptedKey beside EncryptedData
  unsigned char padding = 0;  ///< of CBC: the last byte, 0 for the right one
};

/// The children, in canonical form, of an EncryptedAssertion that holds `plain` for the owner of `certificate`.
inline std::string encrypt(std::string_view plain, const Certificate& certificate, const Encrypting& how = {}) {
  const bool gcm = how.cipher.ends_with("GCM");
  const std::string key(how.key, 'k');
  const std::string iv(gcm ? 12 : 16, 'i');
  std::string padded(plain);
  if (!gcm) {
    const std::size_t pad = 16 - plain.size() % 16;
    padded += std::string(pad - 1, '\x55');
    padded += static_cast<char>(how.padding != 0 ? how.padding : pad);
  }
  std::string out(padded.size() + 16, '\0');
  int size = 0;
  int rest = 0;
  const CipherCtxPtr context(EVP_CIPHER_CTX_new());
  const std::unique_ptr<EVP_CIPHER, Free<EVP_CIPHER_free>> cipher(
      EVP_CIPHER_fetch(nullptr, how.cipher.c_str(), nullptr));
  EVP_EncryptInit_ex2(context.get(), cipher.get(), bytes(std::string_view(key)), bytes(std::string_view(iv)), nullptr);
  EVP_CIPHER_CTX_set_padding(context.get(), 0);
  EVP_EncryptUpdate(context.get(), bytes(out), &size, bytes(std::string_view(padded)), static_cast<int>(padded.size()));
  EVP_EncryptFinal_ex(context.get(), bytes(out) + size, &rest);
  out.resize(static_cast<std::size_t>(size + rest));
  if (gcm) {
    std::string tag(16, '\0');
    EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, 16, tag.data());
    out += tag;
  }
  const std::string der = base::base64_decode(certificate.to_base64()).value();
  const unsigned char* at = bytes(std::string_view(der));
  const X509Ptr x509(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  const PkeyPtr pkey(X509_get_pubkey(x509.get()));
  const PkeyCtxPtr wrap(EVP_PKEY_CTX_new_from_pkey(nullptr, pkey.get(), nullptr));
  EVP_PKEY_encrypt_init(wrap.get());
  EVP_PKEY_CTX_set_rsa_padding(wrap.get(), RSA_PKCS1_OAEP_PADDING);
  EVP_PKEY_CTX_set_rsa_oaep_md_name(wrap.get(), how.digest, nullptr);
  EVP_PKEY_CTX_set_rsa_mgf1_md_name(wrap.get(), how.mask, nullptr);
  std::string wrapped(static_cast<std::size_t>(EVP_PKEY_get_size(pkey.get())), '\0');
  std::size_t wrapped_size = wrapped.size();
  EVP_PKEY_encrypt(wrap.get(), bytes(wrapped), &wrapped_size, bytes(std::string_view(key)), key.size());
  const std::string encrypted_key =
      "<xenc:EncryptedKey" + std::string(how.key_beside ? " xmlns:xenc=\"http://www.w3.org/2001/04/xmlenc#\"" : "") +
      "><xenc:EncryptionMethod Algorithm=\"" + how.transport + "\">" + how.transport_inside +
      "</xenc:EncryptionMethod><xenc:CipherData><xenc:CipherValue>" + base::base64_encode(wrapped) +
      "</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey>";
  return "<xenc:EncryptedData xmlns:xenc=\"http://www.w3.org/2001/04/xmlenc#\" "
         "Type=\"http://www.w3.org/2001/04/xmlenc#Element\"><xenc:EncryptionMethod Algorithm=\"" +
         how.cipher_uri + "\"></xenc:EncryptionMethod><ds:KeyInfo xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\">" +
         (how.key_beside ? "<ds:KeyName>beside</ds:KeyName>" : encrypted_key) +
         "</ds:KeyInfo><xenc:CipherData><xenc:CipherValue>" + base::base64_encode(iv + out) +
         "</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData>" + (how.key_beside ? encrypted_key : "");
}

}  // namespace daypass::crypto::xml::testing
