// The shape is checked by walking; only then xmlsec computes, on the same nodes, with a key that is given to it and
// with nothing switched on but what the shape may hold.
#include "crypto/xml_signature.h"

#include <libxml/parser.h>
// Does not stand alone: it needs the header above.
#include <libxml/valid.h>
#include <xmlsec/xmlsec.h>
// Nor do these.
#include <xmlsec/crypto.h>
#include <xmlsec/keys.h>
#include <xmlsec/openssl/evp.h>
#include <xmlsec/xmldsig.h>

#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "crypto/certificate_impl.h"
#include "crypto/digest.h"
#include "crypto/xml_impl.h"

namespace daypass::crypto::xml {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::string_view enveloped = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
constexpr std::size_t max_keys_tried = 8;

struct Method {
  std::string_view uri;
  bool rsa;
  const char* hash;
  xmlSecTransformId (*id)();
};
// RFC 6931. No SHA-1, no HMAC, no DSA.
const std::array methods = {
    Method{"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", true, "SHA256",
           xmlSecOpenSSLTransformRsaSha256GetKlass},
    Method{"http://www.w3.org/2001/04/xmldsig-more#rsa-sha384", true, "SHA384",
           xmlSecOpenSSLTransformRsaSha384GetKlass},
    Method{"http://www.w3.org/2001/04/xmldsig-more#rsa-sha512", true, "SHA512",
           xmlSecOpenSSLTransformRsaSha512GetKlass},
    Method{"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256", false, "SHA256",
           xmlSecOpenSSLTransformEcdsaSha256GetKlass},
    Method{"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384", false, "SHA384",
           xmlSecOpenSSLTransformEcdsaSha384GetKlass},
    Method{"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512", false, "SHA512",
           xmlSecOpenSSLTransformEcdsaSha512GetKlass},
};

struct Digest {
  std::string_view uri;
  std::size_t size;
  xmlSecTransformId (*id)();
};
const std::array digests = {
    Digest{"http://www.w3.org/2001/04/xmlenc#sha256", 32, xmlSecOpenSSLTransformSha256GetKlass},
    Digest{"http://www.w3.org/2001/04/xmldsig-more#sha384", 48, xmlSecOpenSSLTransformSha384GetKlass},
    Digest{"http://www.w3.org/2001/04/xmlenc#sha512", 64, xmlSecOpenSSLTransformSha512GetKlass},
};

Error bad(std::string check, std::string message, std::string hint = {}) {
  return Error{Code::invalid, "xmldsig." + std::move(check), std::move(message), std::move(hint)};
}

Error weak(std::string_view what, const std::string* uri) {
  const bool sha1 = uri != nullptr && uri->ends_with("sha1");
  return bad("algorithm",
             std::string(what) + " uses " +
                 (uri == nullptr ? "no algorithm"
                  : sha1         ? "SHA-1"
                                 : "an algorithm that is not taken"),
             "set the identity provider to sign with RSA or ECDSA and SHA-256");
}

const Method* method_of(const std::string* uri) {
  const auto at = std::ranges::find_if(methods, [&](const auto& m) { return uri != nullptr && m.uri == *uri; });
  return at == methods.end() ? nullptr : &*at;
}

// A letter or `_`, then letters, digits, `_`, `.`, `-`: an NCName in ASCII, which needs no escape in any expression.
bool is_id(std::string_view id) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !id.empty() && id.size() <= 256 && letter(id.front()) &&
         std::ranges::all_of(id, [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '-'; });
}

bool is_dsig(const Element& element, std::string_view name) {
  return element.is(dsig_ns, name);
}

// Only these attributes, none with a prefix.
bool only_attributes(const Element& element, std::initializer_list<std::string_view> names) {
  return std::ranges::all_of(element.attributes, [&](const Attribute& a) {
    return a.ns.empty() && std::ranges::find(names, a.name) != names.end();
  });
}

bool is_leaf(const Element& element) {
  return element.children.empty();
}

// exc-c14n with, at most, its list of prefixes to treat inclusively: which only adds declarations to the octets.
bool is_exclusive(const Element& element) {
  const std::string* algorithm = element.attribute("Algorithm");
  if (algorithm == nullptr || *algorithm != exclusive_c14n || !only_attributes(element, {"Algorithm"})) return false;
  if (!element.only_elements() || element.children.size() > 1) return false;
  if (element.children.empty()) return true;
  const Element& prefixes = element.children.front();
  // Each prefix is looked for at each element that is digested, before anybody knows who wrote the list.
  const std::string* list = prefixes.attribute("PrefixList");
  if (list == nullptr || list->size() > 128 || std::ranges::count(*list, ' ') > 15) return false;
  return prefixes.is(exclusive_c14n, "InclusiveNamespaces") && is_leaf(prefixes) && prefixes.only_elements() &&
         only_attributes(prefixes, {"PrefixList"}) && prefixes.attributes.size() == 1;
}

struct Shape {
  const Method* method = nullptr;
  const Digest* digest = nullptr;
};

Status check_transforms(const Element& transforms) {
  if (!is_dsig(transforms, "Transforms") || !transforms.attributes.empty() || !transforms.only_elements())
    return bad("shape", "the signature's Reference is not laid out as SAML has it");
  const auto& list = transforms.children;
  const auto is_transform = [](const Element& e) { return is_dsig(e, "Transform"); };
  if (list.size() != 2 || !std::ranges::all_of(list, is_transform))
    return bad("transform", "the signature's transforms are not exactly two");
  const std::string* first = list[0].attribute("Algorithm");
  if (first == nullptr || *first != enveloped || !only_attributes(list[0], {"Algorithm"}) || !is_leaf(list[0]) ||
      !list[0].only_elements() || !is_exclusive(list[1]))
    return bad("transform", "the signature's transforms are not enveloped-signature and exclusive canonicalization");
  return {};
}

Result<const Digest*> check_reference(const Element& reference, std::string_view id) {
  const Error shape = bad("shape", "the signature's Reference is not laid out as SAML has it");
  if (!is_dsig(reference, "Reference") || !only_attributes(reference, {"URI", "Id"}) || !reference.only_elements())
    return shape;
  const std::string* uri = reference.attribute("URI");
  if (uri == nullptr || *uri != "#" + std::string(id))
    return bad("reference", "the signature covers something else than the element it stands in");
  const auto& parts = reference.children;
  if (parts.size() != 3) return shape;
  DP_CHECK(check_transforms(parts[0]));
  if (!is_dsig(parts[1], "DigestMethod") || !is_leaf(parts[1]) || !only_attributes(parts[1], {"Algorithm"}) ||
      !parts[1].only_elements())
    return shape;
  const std::string* algorithm = parts[1].attribute("Algorithm");
  const auto digest =
      std::ranges::find_if(digests, [&](const auto& d) { return algorithm != nullptr && d.uri == *algorithm; });
  if (digest == digests.end()) return weak("the signature's digest", algorithm);
  if (!is_dsig(parts[2], "DigestValue") || !is_leaf(parts[2]) || !parts[2].attributes.empty()) return shape;
  const auto value = base64_with_white_space(parts[2].text);
  if (!value || value->size() != digest->size) return bad("digest", "the signature's digest has another length");
  return &*digest;
}

// What a KeyInfo may hold (its mixed or element content as XML Signature's schema has it): names of keys and the keys
// themselves. None of it is used; what is refused here is what others would follow, count or stumble over: references,
// transforms, other signatures, holders of nothing.
bool is_key_info(const Element& element) {
  constexpr std::string_view dsig11_ns = "http://www.w3.org/2009/xmldsig11#";
  constexpr std::array<std::string_view, 2> mixed = {"KeyInfo", "KeyValue"};
  constexpr std::array<std::string_view, 4> holders = {"RSAKeyValue", "ECKeyValue", "X509Data", "X509IssuerSerial"};
  constexpr std::array<std::string_view, 13> leaves = {
      "KeyName",         "Modulus",        "Exponent",          "NamedCurve",      "PublicKey",
      "X509Certificate", "X509IssuerName", "X509SerialNumber",  "X509SubjectName", "X509SKI",
      "X509CRL",         "X509Digest",     "DEREncodedKeyValue"};
  const auto among = [&](const auto& names) { return std::ranges::find(names, element.name) != names.end(); };
  if (element.ns != dsig_ns && element.ns != dsig11_ns) return false;
  if (among(leaves)) return element.children.empty();
  if (!among(mixed) && !(among(holders) && element.only_elements())) return false;
  return !element.children.empty() && std::ranges::all_of(element.children, [](const Element& child) {
    return child.name != "KeyInfo" && is_key_info(child);
  });
}

Result<Shape> check_shape(const Element& signature, std::string_view id) {
  const Error shape = bad("shape", "the signature is not laid out as SAML has it");
  const auto& parts = signature.children;
  if (!only_attributes(signature, {"Id"}) || !signature.only_elements()) return shape;
  if (parts.size() < 2 || parts.size() > 3 || !is_dsig(parts[0], "SignedInfo") || !is_dsig(parts[1], "SignatureValue"))
    return shape;
  if (parts.size() == 3 && (!is_dsig(parts[2], "KeyInfo") || !is_key_info(parts[2]))) return shape;
  const Element& info = parts[0];
  if (!only_attributes(info, {"Id"}) || !info.only_elements() || info.children.size() != 3 ||
      !is_dsig(info.children[0], "CanonicalizationMethod") || !is_dsig(info.children[1], "SignatureMethod"))
    return shape;
  if (!is_exclusive(info.children[0]))
    return bad("transform", "the signature's canonicalization is not the exclusive one");
  const Element& method = info.children[1];
  if (!is_leaf(method) || !method.only_elements() || !only_attributes(method, {"Algorithm"})) return shape;
  Shape out;
  const std::string* algorithm = method.attribute("Algorithm");
  out.method = method_of(algorithm);
  if (out.method == nullptr) return weak("the signature", algorithm);
  DP_TRY(out.digest, check_reference(info.children[2], id));
  if (!is_leaf(parts[1]) || !only_attributes(parts[1], {"Id"})) return shape;
  const auto value = base64_with_white_space(parts[1].text);
  if (!value || value->empty()) return bad("signature", "the signature's value is not base64");
  return out;
}

std::size_t count_id(const Element& element, std::string_view id) {
  std::size_t n = static_cast<std::size_t>(std::ranges::count_if(element.attributes, [&](const Attribute& a) {
    return (a.name == "ID" || a.name == "Id" || a.name == "id") && a.value == id;
  }));
  for (const Element& child : element.children) n += count_id(child, id);
  return n;
}

struct Finalize {
  void operator()(xmlSecDSigCtx* context) const noexcept { xmlSecDSigCtxDestroy(context); }
};
using ContextPtr = std::unique_ptr<xmlSecDSigCtx, Finalize>;

// nullptr: no memory.
ContextPtr context_for(const Shape& shape, const Certificate& certificate) {
  ContextPtr context(xmlSecDSigCtxCreate(nullptr));
  if (context == nullptr) return nullptr;
  context->flags = XMLSEC_DSIG_FLAGS_STORE_SIGNEDINFO_REFERENCES;
  context->enabledReferenceUris = xmlSecTransformUriTypeSameDocument;
  const auto reference = [&](xmlSecTransformId id) {
    return xmlSecDSigCtxEnableReferenceTransform(context.get(), id) == 0;
  };
  const auto signature = [&](xmlSecTransformId id) {
    return xmlSecDSigCtxEnableSignatureTransform(context.get(), id) == 0;
  };
  if (!reference(xmlSecTransformEnvelopedId) || !reference(xmlSecTransformExclC14NId) ||
      !reference(shape.digest->id()) || !signature(xmlSecTransformExclC14NId) || !signature(shape.method->id()))
    return nullptr;
  // A key that is given is a key that is not looked for: KeyInfo is never read.
  EVP_PKEY* key = certificate.impl().key.get();
  if (EVP_PKEY_up_ref(key) != 1) return nullptr;
  xmlSecKeyDataPtr data = xmlSecOpenSSLEvpKeyAdopt(key);
  if (data == nullptr) {
    EVP_PKEY_free(key);
    return nullptr;
  }
  context->signKey = xmlSecKeyCreate();
  if (context->signKey == nullptr || xmlSecKeySetValue(context->signKey, data) != 0) {
    xmlSecKeyDataDestroy(data);
    return nullptr;
  }
  return context;
}

enum class Tried { verified, digest, signature };

Tried try_key(const Shape& shape, const Certificate& certificate, xmlNode* node, std::string& octets) {
  const ContextPtr context = context_for(shape, certificate);
  DP_ASSERT(context != nullptr);
  const bool ran = xmlSecDSigCtxVerify(context.get(), node) == 0;
  if (xmlSecPtrListGetSize(&context->signedInfoReferences) != 1) return Tried::digest;
  auto* reference = static_cast<xmlSecDSigReferenceCtx*>(xmlSecPtrListGetItem(&context->signedInfoReferences, 0));
  if (reference == nullptr || reference->status != xmlSecDSigStatusSucceeded) return Tried::digest;
  if (!ran || context->status != xmlSecDSigStatusSucceeded) return Tried::signature;
  const xmlSecBufferPtr digested = xmlSecDSigReferenceCtxGetPreDigestBuffer(reference);
  if (digested == nullptr || xmlSecBufferGetSize(digested) == 0) return Tried::digest;
  octets.assign(reinterpret_cast<const char*>(xmlSecBufferGetData(digested)), xmlSecBufferGetSize(digested));
  return Tried::verified;
}

Error unsigned_by_us(std::size_t fitting) {
  return bad("signature",
             fitting == 0 ? "no key of the identity provider's metadata fits the signature's algorithm"
                          : "the signature fits no key of the identity provider's metadata",
             "if the identity provider has a new signing key, fetch its metadata again");
}

}  // namespace

const Element* signature_of(const Element& element) {
  return element.child(dsig_ns, "Signature");
}

Result<std::string> verify_enveloped(const Document& document, const Element& element,
                                     std::span<const Certificate> keys) {
  const ErrorQueueGuard guard;
  if (element.count(dsig_ns, "Signature") > 1) return bad("shape", "more than one signature in one element");
  const Element* signature = signature_of(element);
  if (signature == nullptr) return bad("missing", "the element is not signed");
  const std::string* id = element.attribute("ID");
  if (id == nullptr || !is_id(*id)) return bad("id", "the signed element has no usable ID");
  if (count_id(document.root(), *id) != 1) return bad("id", "two elements have the ID of the signed one");
  DP_TRY(const Shape shape, check_shape(*signature, *id));

  Document::Impl& impl = document.impl();
  xmlNode* node = impl.nodes[element.index];
  xmlAttr* attribute = xmlHasNsProp(node, reinterpret_cast<const xmlChar*>("ID"), nullptr);
  DP_ASSERT(attribute != nullptr);
  // xmlsec finds what a Reference names in libxml2's table of IDs: it holds this one only, as long as this call lasts.
  struct Registered {
    xmlDoc* doc;
    xmlAttr* attribute;
    ~Registered() { xmlRemoveID(doc, attribute); }
  };
  if (xmlAddID(nullptr, impl.doc.get(), reinterpret_cast<const xmlChar*>(id->c_str()), attribute) == nullptr)
    return bad("id", "the ID of the signed element is in use");
  const Registered registered{impl.doc.get(), attribute};

  std::size_t tried = 0;
  for (const Certificate& key : keys) {
    if (key.impl().kind.rsa != shape.method->rsa || tried == max_keys_tried) continue;
    ++tried;
    std::string octets;
    switch (try_key(shape, key, impl.nodes[signature->index], octets)) {
      case Tried::verified:
        return octets;
      case Tried::digest:
        return bad("digest", "what the signature covers was changed after it was signed");
      case Tried::signature:
        break;
    }
  }
  return unsigned_by_us(tried);
}

Status verify_octets(std::string_view algorithm, std::string_view octets, std::string_view signature,
                     std::span<const Certificate> keys) {
  const ErrorQueueGuard guard;
  const std::string uri(algorithm);
  const Method* method = method_of(&uri);
  if (method == nullptr) return weak("the signature", &uri);
  std::size_t tried = 0;
  for (const Certificate& key : keys) {
    const KeyKind& kind = key.impl().kind;
    if (kind.rsa != method->rsa || tried == max_keys_tried) continue;
    ++tried;
    const std::string der = kind.rsa ? std::string(signature) : ecdsa_raw_to_der(signature, kind.field);
    const MdCtxPtr context(EVP_MD_CTX_new());
    if (!der.empty() && context != nullptr &&
        EVP_DigestVerifyInit_ex(context.get(), nullptr, method->hash, nullptr, nullptr, key.impl().key.get(),
                                nullptr) == 1 &&
        EVP_DigestVerify(context.get(), bytes(std::string_view(der)), der.size(), bytes(octets), octets.size()) == 1)
      return {};
  }
  return unsigned_by_us(tried);
}

std::string sign_enveloped(const KeyPair& key, std::string_view octets, std::string_view id, std::size_t at) {
  DP_ASSERT(is_id(id) && at <= octets.size());
  const auto element = [](std::string_view name, std::string_view algorithm) {
    return "<ds:" + std::string(name) + " Algorithm=\"" + std::string(algorithm) + "\"></ds:" + std::string(name) + ">";
  };
  const std::string declared = " xmlns:ds=\"" + std::string(dsig_ns) + "\"";
  // Alone, as it is signed, SignedInfo declares its prefix; inside Signature that would not be canonical.
  const std::string inside =
      ">" + element("CanonicalizationMethod", exclusive_c14n) + element("SignatureMethod", key.algorithm()) +
      "<ds:Reference URI=\"#" + std::string(id) + "\"><ds:Transforms>" + element("Transform", enveloped) +
      element("Transform", exclusive_c14n) + "</ds:Transforms>" + element("DigestMethod", digests[0].uri) +
      "<ds:DigestValue>" + base::base64_encode(sha256(octets)) + "</ds:DigestValue></ds:Reference></ds:SignedInfo>";
  const std::string signature = "<ds:Signature" + declared + "><ds:SignedInfo" + inside + "<ds:SignatureValue>" +
                                base::base64_encode(key.sign("<ds:SignedInfo" + declared + inside)) +
                                "</ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>" +
                                key.certificate().to_base64() +
                                "</ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature>";
  return std::string(octets.substr(0, at)) + signature + std::string(octets.substr(at));
}

}  // namespace daypass::crypto::xml
