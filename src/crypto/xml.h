// XML as a peer may send it: bounded, without DTDs, entities, comments, processing instructions or CDATA, as a plain
// tree. What is refused here never reaches libxml2, whose types no header shows.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace daypass::crypto::xml {

inline constexpr std::string_view dsig_ns = "http://www.w3.org/2000/09/xmldsig#";
inline constexpr std::string_view xenc_ns = "http://www.w3.org/2001/04/xmlenc#";
inline constexpr std::string_view exclusive_c14n = "http://www.w3.org/2001/10/xml-exc-c14n#";

/// Base64 as XML Schema has it (part 2, section 3.2.16): white space may stand anywhere, all else is strict.
std::optional<std::string> base64_with_white_space(std::string_view text);

struct Limits {
  std::size_t bytes = std::size_t{256} * 1024;
  std::size_t depth = 32;
  std::size_t elements = 10'000;
  std::size_t attributes = 64;  ///< of one element, namespace declarations among them
};

struct Attribute {
  std::string ns;  ///< empty: without a prefix
  std::string name;
  std::string value;
  bool operator==(const Attribute&) const = default;
};

/// One element. Its text is all character data directly inside it, with what character references stand for.
struct Element {
  std::string ns;  ///< namespace URI; empty: none
  std::string name;
  std::vector<Attribute> attributes;  ///< without namespace declarations
  std::vector<Element> children;
  std::string text;
  std::uint32_t index = 0;  ///< in document order; names the element to its Document

  [[nodiscard]] bool is(std::string_view of_ns, std::string_view of_name) const noexcept {
    return name == of_name && ns == of_ns;
  }
  /// The attribute without prefix; nullptr when there is none.
  [[nodiscard]] const std::string* attribute(std::string_view of_name) const noexcept;
  /// The first child of this name; nullptr when there is none.
  [[nodiscard]] const Element* child(std::string_view of_ns, std::string_view of_name) const noexcept;
  [[nodiscard]] std::size_t count(std::string_view of_ns, std::string_view of_name) const noexcept;
  /// Nothing but white space (of XML) directly inside.
  [[nodiscard]] bool only_elements() const noexcept;
};

/// The text without white space at its ends, as XML counts it.
std::string_view trimmed(std::string_view text) noexcept;
/// `text` so that it reads back, in canonical form (Canonical XML 1.0, section 2.3): as an attribute's value in double
/// quotes, and as content, where other characters are written out.
std::string escaped_attribute(std::string_view text);
std::string escaped_content(std::string_view text);

/// A parsed document. Immutable to its users, cheap to move; one thread at a time.
class Document {
 public:
  /// UTF-8 only, well-formed also as Namespaces in XML 1.0 has it, namespace names absolute, SAML's usual prefixes
  /// (saml, samlp, ds, xenc, xs, xsi, …) for the namespaces that they are known for. An XML declaration may stand
  /// first; of `xml:` attributes only xml:lang may occur. Errors: "xml.too_large", "xml.too_deep", "xml.too_many",
  /// "xml.encoding", "xml.forbidden" (a DTD, comment, processing instruction, CDATA or entity), "xml.namespace",
  /// "xml.syntax".
  static base::Result<Document> parse(std::string_view text, const Limits& limits = {});

  [[nodiscard]] const Element& root() const noexcept;

  struct Impl;  // for this room's own files
  [[nodiscard]] Impl& impl() const noexcept { return *impl_; }

 private:
  explicit Document(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

}  // namespace daypass::crypto::xml
