// What verifying an enveloped signature costs beside xmlsec alone: the same document, parsed and handed to it with a
// key, as whoever uses the library bare would do.
#include <benchmark/benchmark.h>
#include <libxml/parser.h>
// Does not stand alone: it needs the header above.
#include <libxml/valid.h>
#include <xmlsec/xmlsec.h>
// Nor do these.
#include <xmlsec/crypto.h>
#include <xmlsec/openssl/evp.h>
#include <xmlsec/xmldsig.h>

#include <string>

#include "crypto/certificate_impl.h"
#include "crypto/xml_test_support.h"

namespace daypass::crypto::xml {
namespace {

const KeyPair& key(bool rsa) {
  static const KeyPair keys[] = {testing::fresh_key("RSA"), testing::fresh_key("P-256")};
  return keys[rsa ? 0 : 1];
}

/// About as long as an assertion with a dozen attributes.
const std::string& document(bool rsa) {
  static const auto make = [](bool with_rsa) {
    std::string plain = "<a:root xmlns:a=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"_1\"><a:first>one</a:first>";
    const std::size_t at = plain.size();
    for (int i = 0; i < 24; ++i)
      plain += "<a:Attribute Name=\"http://schemas.example/claims/" + std::to_string(i) +
               "\"><a:AttributeValue>a value of some length</a:AttributeValue></a:Attribute>";
    return sign_enveloped(key(with_rsa), plain + "</a:root>", "_1", at);
  };
  static const std::string texts[] = {make(true), make(false)};
  return texts[rsa ? 0 : 1];
}

void verified(benchmark::State& state, bool rsa) {
  const std::vector<Certificate> keys = {key(rsa).certificate()};
  for (auto _ : state) {
    const auto parsed = Document::parse(document(rsa)).value();
    benchmark::DoNotOptimize(verify_enveloped(parsed, parsed.root(), keys).value().size());
  }
}
BENCHMARK_CAPTURE(verified, rsa_sha256, true);
BENCHMARK_CAPTURE(verified, ecdsa_sha256, false);

void bare_xmlsec(benchmark::State& state, bool rsa) {
  static_cast<void>(Document::parse("<a/>"));  // starts the libraries
  const std::string& text = document(rsa);
  for (auto _ : state) {
    xmlDoc* doc = xmlReadMemory(text.data(), static_cast<int>(text.size()), nullptr, nullptr, XML_PARSE_NONET);
    xmlNode* root = xmlDocGetRootElement(doc);
    xmlAddID(nullptr, doc, reinterpret_cast<const xmlChar*>("_1"),
             xmlHasProp(root, reinterpret_cast<const xmlChar*>("ID")));
    xmlSecDSigCtx* context = xmlSecDSigCtxCreate(nullptr);
    EVP_PKEY* pkey = key(rsa).certificate().impl().key.get();
    EVP_PKEY_up_ref(pkey);
    context->signKey = xmlSecKeyCreate();
    xmlSecKeySetValue(context->signKey, xmlSecOpenSSLEvpKeyAdopt(pkey));
    xmlNode* signature = root->children;
    while (xmlStrcmp(signature->name, reinterpret_cast<const xmlChar*>("Signature")) != 0) signature = signature->next;
    const bool good = xmlSecDSigCtxVerify(context, signature) == 0 && context->status == xmlSecDSigStatusSucceeded;
    if (!good) state.SkipWithError("not verified");
    xmlSecDSigCtxDestroy(context);
    xmlFreeDoc(doc);
  }
}
BENCHMARK_CAPTURE(bare_xmlsec, rsa_sha256, true);
BENCHMARK_CAPTURE(bare_xmlsec, ecdsa_sha256, false);

void parsed_only(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(Document::parse(document(true)).value().root().children.size());
}
BENCHMARK(parsed_only);

}  // namespace
}  // namespace daypass::crypto::xml
