// Hostile XML: what is taken reads back the same, and no signature or encryption in it takes the walk by surprise; what
// a signature covers is what was signed, with our key or with the very key that comes with it.
// parses: crypto/xml.cc crypto/xml_signature.cc
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "base/encoding.h"
#include "crypto/xml_encryption.h"
#include "crypto/xml_signature.h"
#include "crypto/xml_test_support.h"

namespace xml = daypass::crypto::xml;

namespace {

std::string written(const xml::Element& element) {
  std::string out = "<a:" + element.name + " xmlns:a=\"" +
                    xml::escaped_attribute(element.ns.empty() ? "urn:none" : element.ns) + "\"";
  std::size_t n = 0;
  for (const auto& attribute : element.attributes)
    out += " x" + std::to_string(n++) + "=\"" + xml::escaped_attribute(attribute.value) + "\"";
  out += ">" + xml::escaped_content(element.text);
  for (const auto& child : element.children) out += written(child);
  return out + "</a:" + element.name + ">";
}

void same(const xml::Element& a, const xml::Element& b) {
  DP_ASSERT(a.name == b.name && a.text == b.text && a.children.size() == b.children.size());
  DP_ASSERT(a.attributes.size() == b.attributes.size());
  for (std::size_t i = 0; i < a.attributes.size(); ++i) DP_ASSERT(a.attributes[i].value == b.attributes[i].value);
  for (std::size_t i = 0; i < a.children.size(); ++i) same(a.children[i], b.children[i]);
}

/// Less room refuses for want of it, and for nothing else.
void check_narrow(std::string_view text, const xml::Element& root) {
  const auto narrow = xml::Document::parse(text, {.bytes = 2048, .depth = 4, .elements = 8, .attributes = 4});
  if (narrow.ok()) return same(narrow->root(), root);
  const std::string& check = narrow.error().check;
  DP_ASSERT(check == "xml.too_large" || check == "xml.too_deep" || check == "xml.too_many");
}

/// The certificate that a signature brings along: whoever signs with it may say what he likes, but no more.
std::vector<xml::Certificate> own_key(const xml::Element& signature) {
  const xml::Element* at = &signature;
  for (const std::string_view name : {"KeyInfo", "X509Data", "X509Certificate"}) {
    at = at->child(xml::dsig_ns, name);
    if (at == nullptr) return {};
  }
  const auto certificate = xml::Certificate::from_base64(at->text);
  return certificate.ok() ? std::vector{*certificate} : std::vector<xml::Certificate>();
}

/// `left`: no document is to take all day.
void check_signatures(const xml::Document& document, const xml::Element& element, int& left) {
  const xml::Element* signature = xml::signature_of(element);
  if (signature != nullptr && left-- > 0) {
    const auto octets = xml::verify_enveloped(document, element, own_key(*signature));
    if (octets.ok()) {
      // The element without its signature, readable on its own.
      const auto covered = xml::Document::parse(*octets);
      DP_ASSERT(covered.ok() && covered->root().is(element.ns, element.name));
      DP_ASSERT(xml::signature_of(covered->root()) == nullptr);
      DP_ASSERT(covered->root().text == element.text && covered->root().children.size() + 1 == element.children.size());
      DP_ASSERT(*covered->root().attribute("ID") == *element.attribute("ID"));
    } else {
      DP_ASSERT(octets.error().check.starts_with("xmldsig."));
    }
  }
  for (const auto& child : element.children) check_signatures(document, child, left);
}

/// What we sign verifies with our key, exactly and alone.
void check_signing(std::string_view said) {
  static const xml::KeyPair key = xml::testing::fresh_key("P-256");
  static const std::vector<xml::Certificate> ours = {key.certificate()};
  const auto element = [](std::string_view value) {
    return "<r ID=\"_1\" v=\"" + xml::escaped_attribute(value) + "\"></r>";
  };
  const std::string octets = element(said);
  const std::string text = xml::sign_enveloped(key, octets, "_1", octets.size() - 4);
  const auto document = xml::Document::parse(text);
  DP_ASSERT(document.ok());
  const auto covered = xml::verify_enveloped(*document, document->root(), ours);
  DP_ASSERT(covered.ok() && *covered == octets);
  const std::string longer = element(std::string(said) + "x");
  const auto changed = xml::Document::parse(longer.substr(0, longer.size() - 4) + text.substr(octets.size() - 4));
  DP_ASSERT(changed.ok() && !xml::verify_enveloped(*changed, changed->root(), ours).ok());

  const std::string signature = key.sign(said);
  DP_ASSERT(xml::verify_octets(key.algorithm(), said, signature, ours).ok());
  DP_ASSERT(!xml::verify_octets(key.algorithm(), std::string(said) + "x", signature, ours).ok());
  DP_ASSERT(xml::verify_octets(std::string(said) + "x", said, signature, ours).error().check == "xmldsig.algorithm");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto document = xml::Document::parse(text);
  if (!document.ok()) {
    DP_ASSERT(document.error().check.starts_with("xml."));
    return 0;
  }
  DP_ASSERT(daypass::base::is_utf8(document->root().text));
  xml::Limits wide;
  wide.bytes = std::size_t{8} << 20U;
  wide.attributes = 128;
  const auto again = xml::Document::parse(written(document->root()), wide);
  DP_ASSERT(again.ok());
  same(document->root(), again->root());
  check_narrow(text, document->root());
  int left = 8;
  check_signatures(*document, document->root(), left);
  if (document->root().text.size() <= 1024) check_signing(document->root().text);
  const std::vector<xml::Certificate> nobody;
  DP_ASSERT(!xml::verify_enveloped(*document, document->root(), nobody).ok());
  const std::vector<xml::KeyPair> none;
  DP_ASSERT(!xml::decrypt(document->root(), none).ok());
  return 0;
}
