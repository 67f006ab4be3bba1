#include "crypto/xml.h"

#include <libxml/parser.h>
#include <libxml/xmlIO.h>
#include <xmlsec/xmlsec.h>
// Does not stand alone: it needs the header above.
#include <xmlsec/errors.h>
#include <xmlsec/io.h>
#include <xmlsec/openssl/crypto.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <optional>
#include <utility>

#include "base/encoding.h"
#include "base/utf8.h"
#include "crypto/xml_impl.h"

namespace daypass::crypto::xml {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::string_view white = " \t\r\n";
constexpr std::size_t max_namespace = 128;

Error bad(std::string check, std::string message) {
  return Error{Code::invalid, "xml." + std::move(check), std::move(message)};
}

Error near(std::string check, const std::string& what, std::size_t byte) {
  return bad(std::move(check), what + " near byte " + std::to_string(byte));
}

// Whether libxml2 and this room could read the bytes differently: only UTF-8 is read, and no NUL ends a string early.
Status check_encoding(std::string_view text) {
  if (const auto nul = text.find('\0'); nul != std::string_view::npos) return near("encoding", "a NUL", nul);
  for (std::string_view rest = text; !rest.empty();) {
    if (static_cast<unsigned char>(rest.front()) < 0x80) {
      rest.remove_prefix(1);
      continue;
    }
    const auto step = base::utf8_step(rest);
    if (!step.good) return near("encoding", "bytes that are not UTF-8", text.size() - rest.size());
    rest.remove_prefix(step.bytes);
  }
  return {};
}

// The bytes after an XML declaration, which must say version 1.0 and, if anything, UTF-8 (XML 1.0 section 2.8).
Result<std::string_view> after_declaration(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (!text.starts_with("<?xml") || text.size() < 6 || white.find(text[5]) == std::string_view::npos) return text;
  const std::size_t end = text.find("?>");
  if (end == std::string_view::npos || end > 128) return bad("syntax", "an XML declaration without an end");
  std::string_view inside = text.substr(5, end - 5);
  const auto next = [&](std::string_view name) -> std::optional<std::string_view> {
    std::string_view at = inside;
    const auto skip = [&] { at.remove_prefix(std::min(at.find_first_not_of(white), at.size())); };
    skip();
    if (!at.starts_with(name)) return std::nullopt;
    at.remove_prefix(name.size());
    skip();
    if (!at.starts_with('=')) return std::nullopt;
    at.remove_prefix(1);
    skip();
    if (at.empty() || (at.front() != '"' && at.front() != '\'')) return std::nullopt;
    const std::size_t close = at.find(at.front(), 1);
    if (close == std::string_view::npos) return std::nullopt;
    const std::string_view value = at.substr(1, close - 1);
    inside = at.substr(close + 1);
    return value;
  };
  if (next("version") != "1.0") return bad("syntax", "an XML declaration that does not say version 1.0");
  if (const auto encoding = next("encoding")) {
    std::string upper(*encoding);
    std::ranges::transform(upper, upper.begin(),
                           [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
    if (upper != "UTF-8") return bad("encoding", "an encoding other than UTF-8");
  }
  if (const auto standalone = next("standalone"); standalone && *standalone != "yes" && *standalone != "no")
    return bad("syntax", "an XML declaration that can't be read");
  if (inside.find_first_not_of(white) != std::string_view::npos)
    return bad("syntax", "an XML declaration that can't be read");
  return text.substr(end + 2);
}

// One pass over the bytes, before any parser: what is forbidden, how deep, how many. In well-formed XML a `<` is always
// markup, and in a tag nothing but a quote hides a `>`.
Status check_markup(std::string_view text, const Limits& limits) {
  std::size_t depth = 0;
  std::size_t elements = 0;
  for (std::size_t i = text.find('<'); i < text.size(); i = text.find('<', i)) {
    const char c = i + 1 < text.size() ? text[i + 1] : '\0';
    if (c == '!') return near("forbidden", "a document type, comment or CDATA section", i);
    if (c == '?') return near("forbidden", "a processing instruction", i);
    const bool closing = c == '/';
    char quote = '\0';
    std::size_t attributes = 0;
    std::size_t end = i + 1;
    for (; end < text.size() && (quote != '\0' || text[end] != '>'); ++end) {
      if (quote != '\0') {
        if (text[end] == '<') return near("syntax", "a `<` in an attribute", end);
        if (text[end] == quote) quote = '\0';
      } else if (text[end] == '"' || text[end] == '\'') {
        quote = text[end];
        if (++attributes > limits.attributes) return near("too_many", "too many attributes in one element", i);
      } else if (text[end] == '<') {
        return near("syntax", "a `<` in a tag", end);
      }
    }
    if (end == text.size()) return near("syntax", "a tag without an end", i);
    if (closing) {
      if (depth == 0) return near("syntax", "an end tag that closes nothing", i);
      --depth;
    } else {
      if (++elements > limits.elements)
        return bad("too_many", "more than " + std::to_string(limits.elements) + " elements");
      if (depth == limits.depth) return bad("too_deep", "elements nested deeper than " + std::to_string(limits.depth));
      if (text[end - 1] != '/') ++depth;
    }
    i = end;
  }
  return {};
}

void say_nothing(void*, const char*, ...) {}

std::string_view view(const xmlChar* text) {
  return text == nullptr ? std::string_view() : std::string_view(reinterpret_cast<const char*>(text));
}

// RFC 3986 section 3.1. Canonical XML fails on a relative one, and a failure must not be found out there.
bool is_absolute(std::string_view uri) {
  // libxml2 2.9 keeps what stands for an ampersand in a namespace's name: two spellings of one name would be two names.
  if (uri.find('&') != std::string_view::npos) return false;
  const std::size_t colon = uri.find(':');
  if (colon == 0 || colon == std::string_view::npos) return false;
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  return letter(uri.front()) && std::ranges::all_of(uri.substr(0, colon), [&](char c) {
           return letter(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
         });
}

// The prefixes that SAML's specifications give these namespaces (saml-core section 1.1 and what it refers to). XML lets
// them mean something else; software that reads prefixes is misled by it, so nobody may.
bool misleads(std::string_view prefix, std::string_view uri) {
  constexpr std::string_view schema_ns = "http://www.w3.org/2001/XMLSchema";
  constexpr std::string_view assertion_ns = "urn:oasis:names:tc:SAML:2.0:assertion";
  constexpr std::string_view protocol_ns = "urn:oasis:names:tc:SAML:2.0:protocol";
  constexpr std::array<std::pair<std::string_view, std::string_view>, 10> known = {{
      {"ds", dsig_ns},
      {"md", "urn:oasis:names:tc:SAML:2.0:metadata"},
      {"saml", assertion_ns},
      {"saml2", assertion_ns},
      {"saml2p", protocol_ns},
      {"samlp", protocol_ns},
      {"xenc", xenc_ns},
      {"xs", schema_ns},
      {"xsd", schema_ns},
      {"xsi", "http://www.w3.org/2001/XMLSchema-instance"},
  }};
  const auto at = std::ranges::find(known, prefix, &std::pair<std::string_view, std::string_view>::first);
  return at != known.end() && at->second != uri;
}

Status read_attributes(const xmlNode* node, Element& out) {
  for (const xmlNs* ns = node->nsDef; ns != nullptr; ns = ns->next) {
    // xmlns="" takes the default away again, and is the one empty name that there may be.
    const std::string_view uri = view(ns->href);
    if ((uri.empty() && ns->prefix != nullptr) || (!uri.empty() && !is_absolute(uri)))
      return bad("namespace", "a namespace name that is no absolute URI");
    // Every element and attribute of it carries a copy.
    if (uri.size() > max_namespace) return bad("namespace", "a namespace name of more than 128 bytes");
    if (ns->prefix != nullptr && misleads(view(ns->prefix), uri))
      return bad("namespace", "the prefix " + std::string(view(ns->prefix)) + " for another namespace than SAML's own");
  }
  for (const xmlAttr* attribute = node->properties; attribute != nullptr; attribute = attribute->next) {
    const std::string_view ns = attribute->ns == nullptr ? std::string_view() : view(attribute->ns->href);
    if (ns == "http://www.w3.org/XML/1998/namespace" && view(attribute->name) != "lang")
      return bad("forbidden", "the attribute xml:" + std::string(view(attribute->name)).substr(0, 32));
    std::string value;
    for (const xmlNode* part = attribute->children; part != nullptr; part = part->next) {
      if (part->type != XML_TEXT_NODE) return bad("forbidden", "an entity in an attribute");
      value += view(part->content);
    }
    out.attributes.push_back({std::string(ns), std::string(view(attribute->name)), std::move(value)});
  }
  return {};
}

// Recursion is bounded: check_markup() has counted the depth.
Result<Element> read(xmlNode* node, std::vector<xmlNode*>& nodes) {
  Element out;
  out.index = static_cast<std::uint32_t>(nodes.size());
  nodes.push_back(node);
  out.name = view(node->name);
  if (node->ns != nullptr) out.ns = view(node->ns->href);
  DP_CHECK(read_attributes(node, out));
  for (xmlNode* child = node->children; child != nullptr; child = child->next) {
    if (child->type == XML_TEXT_NODE) {
      out.text += view(child->content);
    } else if (child->type == XML_ELEMENT_NODE) {
      DP_TRY(auto element, read(child, nodes));
      out.children.push_back(std::move(element));
    } else {
      return bad("forbidden", "an entity, or something that is neither element nor text");
    }
  }
  return out;
}

}  // namespace

std::optional<std::string> base64_with_white_space(std::string_view text) {
  std::string tight;
  tight.reserve(text.size());
  std::ranges::copy_if(text, std::back_inserter(tight),
                       [](char c) { return c != ' ' && c != '\t' && c != '\r' && c != '\n'; });
  return base::base64_decode(tight);
}

void start_libraries() {
  static std::once_flag once;
  std::call_once(once, [] {
    xmlInitParser();
    // Nothing that a document names is ever fetched: without handlers there is no way to.
    xmlCleanupInputCallbacks();
    // For this thread and, in libxml2 2.9, for each that comes later.
    xmlSetGenericErrorFunc(nullptr, say_nothing);
    xmlThrDefSetGenericErrorFunc(nullptr, say_nothing);
    DP_ASSERT(xmlSecInit() == 0);
    DP_ASSERT(xmlSecOpenSSLInit() == 0);
    xmlSecIOCleanupCallbacks();
    xmlSecErrorsSetCallback([](const char*, int, const char*, const char*, const char*, int, const char*) {});
  });
}

const std::string* Element::attribute(std::string_view of_name) const noexcept {
  const auto at = std::ranges::find_if(attributes, [&](const auto& a) { return a.ns.empty() && a.name == of_name; });
  return at == attributes.end() ? nullptr : &at->value;
}

const Element* Element::child(std::string_view of_ns, std::string_view of_name) const noexcept {
  const auto at = std::ranges::find_if(children, [&](const auto& e) { return e.is(of_ns, of_name); });
  return at == children.end() ? nullptr : &*at;
}

std::size_t Element::count(std::string_view of_ns, std::string_view of_name) const noexcept {
  return static_cast<std::size_t>(std::ranges::count_if(children, [&](const auto& e) { return e.is(of_ns, of_name); }));
}

bool Element::only_elements() const noexcept {
  return trimmed(text).empty();
}

std::string_view trimmed(std::string_view text) noexcept {
  const std::size_t begin = text.find_first_not_of(white);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(white) + 1 - begin);
}

namespace {

/// The characters of `which` as references.
std::string written_out(std::string_view text, std::string_view which) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (which.find(c) == std::string_view::npos) {
      out += c;
      continue;
    }
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\t':
        out += "&#x9;";
        break;
      case '\n':
        out += "&#xA;";
        break;
      default:
        out += "&#xD;";
    }
  }
  return out;
}

}  // namespace

std::string escaped_attribute(std::string_view text) {
  return written_out(text, "&<\"\t\n\r");
}
std::string escaped_content(std::string_view text) {
  return written_out(text, "&<>\r");
}

Result<Document> Document::parse(std::string_view text, const Limits& limits) {
  if (text.size() > limits.bytes)
    return bad("too_large", "XML of " + std::to_string(text.size()) + " bytes; at most " +
                                std::to_string(limits.bytes) + " are read");
  DP_CHECK(check_encoding(text));
  DP_TRY(const std::string_view content, after_declaration(text));
  DP_CHECK(check_markup(content, limits));
  start_libraries();
  const std::unique_ptr<xmlParserCtxt, Free<xmlFreeParserCtxt>> context(xmlNewParserCtxt());
  DP_ASSERT(context != nullptr);
  auto impl = std::make_shared<Impl>();
  // The declaration is not given: what it could say has been read, and nothing overrides the encoding.
  impl->doc.reset(xmlCtxtReadMemory(context.get(), content.data(), static_cast<int>(content.size()), nullptr, "UTF-8",
                                    XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING));
  xmlNode* root = impl->doc == nullptr ? nullptr : xmlDocGetRootElement(impl->doc.get());
  if (root == nullptr || context->wellFormed != 1) return bad("syntax", "not well-formed XML");
  if (context->nsWellFormed != 1) return bad("namespace", "a prefix that nothing declares, or declared wrongly");
  if (impl->doc->intSubset != nullptr || root->next != nullptr || root->prev != nullptr)
    return bad("forbidden", "something beside the root element");
  DP_TRY(impl->root, read(root, impl->nodes));
  return Document(std::move(impl));
}

const Element& Document::root() const noexcept {
  return impl_->root;
}

}  // namespace daypass::crypto::xml
