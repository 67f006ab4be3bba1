// Hostile XML: what is taken reads back the same, and no signature or encryption in it takes the walk by surprise.
// parses: crypto/xml.cc crypto/xml_signature.cc
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "base/encoding.h"
#include "crypto/xml_encryption.h"
#include "crypto/xml_signature.h"

namespace xml = daypass::crypto::xml;

namespace {

std::string written(const xml::Element& element) {
  std::string out =
      "<a:" + element.name + " xmlns:a=\"" + xml::escaped(element.ns.empty() ? "urn:none" : element.ns) + "\"";
  std::size_t n = 0;
  for (const auto& attribute : element.attributes)
    out += " x" + std::to_string(n++) + "=\"" + xml::escaped(attribute.value) + "\"";
  out += ">" + xml::escaped(element.text);
  for (const auto& child : element.children) out += written(child);
  return out + "</a:" + element.name + ">";
}

void same(const xml::Element& a, const xml::Element& b) {
  DP_ASSERT(a.name == b.name && a.text == b.text && a.children.size() == b.children.size());
  DP_ASSERT(a.attributes.size() == b.attributes.size());
  for (std::size_t i = 0; i < a.attributes.size(); ++i) DP_ASSERT(a.attributes[i].value == b.attributes[i].value);
  for (std::size_t i = 0; i < a.children.size(); ++i) same(a.children[i], b.children[i]);
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
  const std::vector<xml::Certificate> nobody;
  DP_ASSERT(!xml::verify_enveloped(*document, document->root(), nobody).ok());
  const std::vector<xml::KeyPair> none;
  DP_ASSERT(!xml::decrypt(document->root(), none).ok());
  return 0;
}
