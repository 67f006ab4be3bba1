#include "crypto/x509.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "crypto/digest.h"
#include "crypto/evp.h"
#include "crypto/pem.h"

namespace daypass::crypto {
namespace {

using NamesPtr = std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>>;

bool is_ascii_name(const std::string& name) {
  return !name.empty() && name.size() <= 253 &&
         std::all_of(name.begin(), name.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

// Built as objects, not by OpenSSL's "DNS:a,DNS:b" text, in which a comma inside a name would make a second name.
NamesPtr alternative_names(const std::vector<std::string>& names) {
  NamesPtr out(GENERAL_NAMES_new());
  DP_ASSERT(out != nullptr);
  for (const auto& name : names) {
    if (!is_ascii_name(name)) continue;
    std::unique_ptr<GENERAL_NAME, Free<GENERAL_NAME_free>> entry(GENERAL_NAME_new());
    DP_ASSERT(entry != nullptr);
    const ErrorQueueGuard guard;
    if (ASN1_OCTET_STRING* address = a2i_IPADDRESS(name.c_str())) {
      GENERAL_NAME_set0_value(entry.get(), GEN_IPADD, address);
    } else {
      ASN1_IA5STRING* text = ASN1_IA5STRING_new();
      DP_ASSERT(text != nullptr && ASN1_STRING_set(text, name.data(), static_cast<int>(name.size())) == 1);
      GENERAL_NAME_set0_value(entry.get(), GEN_DNS, text);
    }
    DP_ASSERT(sk_GENERAL_NAME_push(out.get(), entry.get()) > 0);
    entry.release();
  }
  return out;
}

void add_extension(X509* certificate, int nid, const char* text) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>> extension(
      X509V3_EXT_conf_nid(nullptr, &context, nid, text));
  DP_ASSERT(extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1);
}

void set_serial(X509* certificate, EVP_PKEY* key) {
  // RFC 5280 section 4.1.2.2: positive, at most 20 octets, unique. The key is fresh, so 126 bits of its hash are.
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key, &der);
  DP_ASSERT(size > 0);
  std::string serial = sha256({reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)}).substr(0, 16);
  OPENSSL_free(der);
  serial[0] = static_cast<char>((serial[0] & 0x3f) | 0x40);
  DP_ASSERT(BN_to_ASN1_INTEGER(bignum(serial).get(), X509_get_serialNumber(certificate)) != nullptr);
}

/// Subject and issuer, validity, serial number, key, and that it is no CA: all but what it is for, and the signature.
X509Ptr certificate_of(EVP_PKEY* key, const std::string& common_name, base::WallTime not_before,
                       base::WallTime not_after) {
  X509Ptr certificate(X509_new());
  DP_ASSERT(key != nullptr && certificate != nullptr);
  DP_ASSERT(X509_set_version(certificate.get(), X509_VERSION_3) == 1);
  set_serial(certificate.get(), key);
  const auto seconds = [](base::WallTime t) {
    return static_cast<time_t>(std::chrono::floor<std::chrono::seconds>(t).time_since_epoch().count());
  };
  DP_ASSERT(ASN1_TIME_set(X509_getm_notBefore(certificate.get()), seconds(not_before)) != nullptr &&
            ASN1_TIME_set(X509_getm_notAfter(certificate.get()), seconds(not_after)) != nullptr);
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  DP_ASSERT(X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8, bytes(std::string_view(common_name)),
                                       static_cast<int>(common_name.size()), -1, 0) == 1);
  DP_ASSERT(X509_set_issuer_name(certificate.get(), subject) == 1);
  DP_ASSERT(X509_set_pubkey(certificate.get(), key) == 1);
  add_extension(certificate.get(), NID_basic_constraints, "critical,CA:FALSE");
  add_extension(certificate.get(), NID_subject_key_identifier, "hash");
  return certificate;
}

CertificateAndKey signed_pair(X509* certificate, EVP_PKEY* key) {
  DP_ASSERT(X509_sign(certificate, key, md_sha256()) > 0);
  const BioPtr out(BIO_new(BIO_s_mem()));
  DP_ASSERT(out != nullptr && PEM_write_bio_X509(out.get(), certificate) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return {std::string(data, static_cast<std::size_t>(size)), private_key_to_pem(key)};
}

}  // namespace

CertificateAndKey self_signed(const std::vector<std::string>& names, base::WallTime not_before,
                              base::WallTime not_after) {
  const NamesPtr alternatives = alternative_names(names);
  DP_ASSERT(sk_GENERAL_NAME_num(alternatives.get()) > 0);
  const PkeyPtr key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  // Clients read the alternative names; the common name (64 characters at most) is for people who look at it.
  const auto first = std::find_if(names.begin(), names.end(), is_ascii_name);
  const X509Ptr certificate =
      certificate_of(key.get(), first->size() <= 64 ? *first : "daypass", not_before, not_after);
  DP_ASSERT(X509_add1_ext_i2d(certificate.get(), NID_subject_alt_name, alternatives.get(), 0, X509V3_ADD_DEFAULT) == 1);
  // Not a CA: whoever steals this key impersonates these names only. No key usage: with one, old verifiers refuse a
  // self-signed certificate as its own issuer unless it may sign certificates.
  add_extension(certificate.get(), NID_ext_key_usage, "serverAuth");
  return signed_pair(certificate.get(), key.get());
}

CertificateAndKey self_signed_rsa(const std::string& name, base::WallTime not_before, base::WallTime not_after) {
  DP_ASSERT(!name.empty() && name.size() <= 64);
  const PkeyPtr key(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{3072}));
  return signed_pair(certificate_of(key.get(), name, not_before, not_after).get(), key.get());
}

base::Result<std::string> server_end_point(const std::string& certificate_pem) {
  const ErrorQueueGuard guard;
  constexpr std::size_t max_pem = std::size_t{256} * 1024;
  X509Ptr certificate;
  if (certificate_pem.size() <= max_pem) {
    const BioPtr in(BIO_new_mem_buf(certificate_pem.data(), static_cast<int>(certificate_pem.size())));
    DP_ASSERT(in != nullptr);
    certificate.reset(PEM_read_bio_X509(in.get(), nullptr, no_passphrase, nullptr));
  }
  if (certificate == nullptr)
    return base::Error{base::Code::invalid, "x509.pem", "not a PEM certificate",
                       "the file must begin with -----BEGIN CERTIFICATE-----, the server's own certificate first"};
  int digest_nid = NID_undef;
  if (X509_get_signature_info(certificate.get(), &digest_nid, nullptr, nullptr, nullptr) != 1 ||
      digest_nid == NID_undef)
    return base::Error{base::Code::invalid, "x509.no_digest",
                       "channel binding is not defined for a certificate whose signature has no hash of its own",
                       "use a certificate signed with ECDSA or RSA"};
  // RFC 5929 section 4.1: the hash of the certificate's signature, but SHA-256 where that would be MD5 or SHA-1.
  if (digest_nid == NID_md5 || digest_nid == NID_sha1) digest_nid = NID_sha256;
  const EVP_MD* md = EVP_get_digestbynid(digest_nid);
  std::string hash(EVP_MAX_MD_SIZE, '\0');
  unsigned size = 0;
  if (md == nullptr || X509_digest(certificate.get(), md, bytes(hash), &size) != 1)
    return base::Error{base::Code::invalid, "x509.no_digest", "the certificate's signature uses an unknown hash"};
  hash.resize(size);
  return hash;
}

}  // namespace daypass::crypto
