// XML that is refused before and after the parser, and what the plain tree says of the rest.
#include "crypto/xml.h"

#include <gtest/gtest.h>

namespace daypass::crypto::xml {
namespace {

std::string check(std::string_view text, const Limits& limits = {}) {
  const auto document = Document::parse(text, limits);
  return document.ok() ? "ok" : document.error().check;
}

TEST(Xml, ReadsElementsAttributesAndText) {
  const auto document = Document::parse(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<a:root xmlns:a=\"urn:a\" xmlns:b=\"urn:b\" x=\"1 &amp; 2\" b:x=\"&#50;\"> t<in xmlns=\"urn:c\">é</in>u "
      "</a:root>");
  ASSERT_TRUE(document.ok()) << document.error().message;
  const Element& root = document->root();
  EXPECT_TRUE(root.is("urn:a", "root"));
  EXPECT_EQ(*root.attribute("x"), "1 & 2");
  EXPECT_EQ(root.attributes.size(), 2U);
  EXPECT_EQ(root.attributes[1], (Attribute{"urn:b", "x", "2"}));
  EXPECT_EQ(root.text, " tu ");
  ASSERT_EQ(root.children.size(), 1U);
  EXPECT_TRUE(root.children[0].is("urn:c", "in"));
  EXPECT_EQ(root.children[0].text, "é");
  EXPECT_EQ(root.count("urn:c", "in"), 1U);
  EXPECT_EQ(root.child("urn:a", "in"), nullptr);
  EXPECT_FALSE(root.only_elements());
}

TEST(Xml, RefusesWhatTwoReadersReadDifferently) {
  for (const std::string_view text : {"<!DOCTYPE a><a/>", "<a><!-- x --></a>", "<a>x<!---->y</a>",
                                      "<a><![CDATA[x]]></a>", "<a><?pi x?></a>", "<?pi x?><a/>", "<a/><!-- x -->",
                                      "<!DOCTYPE a [<!ENTITY e \"x\">]><a>&e;</a>", "<?xml-stylesheet href=\"x\"?><a/>",
                                      "<a xml:id=\"x\"/>", "<a xml:base=\"urn:x\"/>", "<a xml:space=\"preserve\"/>"})
    EXPECT_EQ(check(text), "xml.forbidden") << text;
  EXPECT_EQ(check("<a xml:lang=\"en\"/>"), "ok");
  // An entity that nothing declares is no XML at all.
  EXPECT_EQ(check("<a>&e;</a>"), "xml.syntax");
  EXPECT_EQ(check("<a x=\"&e;\"/>"), "xml.syntax");
}

TEST(Xml, ReadsUtf8Only) {
  using namespace std::string_view_literals;
  EXPECT_EQ(check("<a>\0</a>"sv), "xml.encoding");
  EXPECT_EQ(check("<a>\xff</a>"), "xml.encoding");
  EXPECT_EQ(check("<a>\xc0\xaf</a>"), "xml.encoding");
  EXPECT_EQ(check("\xff\xfe<\0a\0/\0>\0"sv), "xml.encoding");
  EXPECT_EQ(check("<?xml version=\"1.0\" encoding=\"UTF-7\"?><a/>"), "xml.encoding");
  EXPECT_EQ(check("<?xml version=\"1.0\" encoding=\"iso-8859-1\"?><a/>"), "xml.encoding");
  EXPECT_EQ(check("<?xml version=\"1.0\" encoding=\"utf-8\" standalone=\"no\" ?><a/>"), "ok");
  EXPECT_EQ(check("\xef\xbb\xbf<a/>"), "ok");
  EXPECT_EQ(check("<?xml version='1.1'?><a/>"), "xml.syntax");
  EXPECT_EQ(check("<?xml version='1.0' x='y'?><a/>"), "xml.syntax");
}

TEST(Xml, RefusesWhatIsNotWellFormed) {
  for (const std::string_view text :
       {"", " ", "x", "<a>", "<a></b>", "</a>", "<a", "<a b></a>", "<a b=c/>", "<a/><b/>", "<a b='1' b='2'/>",
        "<a>\x01</a>", "<a>]]></a>", "<a x='<'/>", "x<a/>", "<a/>x", "<a><b></a></b>", "<a \"></a>"})
    EXPECT_EQ(check(text), "xml.syntax") << text;
  EXPECT_EQ(check("<a b='>' c=\"'/>\"/>"), "ok");
}

TEST(Xml, NamespacesAreDeclaredAndAbsolute) {
  for (const std::string_view text :
       {"<p:a/>", "<a p:x='1'/>", "<a xmlns='relative'/>", "<a xmlns:p='../x'/>", "<a xmlns:p=':x'/>",
        "<a><b xmlns='x/y:z'/></a>", "<a xmlns='urn:a&amp;&#86;'/>", "<p:a xmlns:p='urn:a&#38;b'/>"})
    EXPECT_EQ(check(text), "xml.namespace") << text;
  EXPECT_EQ(check("<a xmlns='urn:x'><b xmlns=''/></a>"), "ok");
  // SAML's own prefixes mean what they are known for, wherever they stand.
  for (const std::string_view prefix : {"ds", "md", "saml", "saml2", "saml2p", "samlp", "xenc", "xs", "xsd", "xsi"})
    EXPECT_EQ(check("<a><b xmlns:" + std::string(prefix) + "='urn:x'/></a>"), "xml.namespace") << prefix;
  EXPECT_EQ(check("<ds:a xmlns:ds='http://www.w3.org/2000/09/xmldsig#' xmlns:xs='http://www.w3.org/2001/XMLSchema' "
                  "xmlns:saml='urn:oasis:names:tc:SAML:2.0:assertion' xmlns:x='urn:x'/>"),
            "ok");
  // A long name would be copied for each element and attribute that is in it.
  EXPECT_EQ(check("<a xmlns='urn:" + std::string(124, 'x') + "'/>"), "ok");
  EXPECT_EQ(check("<a xmlns='urn:" + std::string(125, 'x') + "'/>"), "xml.namespace");
}

TEST(Xml, IsBoundedBeforeItIsParsed) {
  Limits limits{.bytes = 100, .depth = 3, .elements = 5, .attributes = 2};
  EXPECT_EQ(check("<a>" + std::string(100, 'x') + "</a>", limits), "xml.too_large");
  EXPECT_EQ(check("<a><b><c/></b></a>", limits), "ok");
  EXPECT_EQ(check("<a><b><c><d/></c></b></a>", limits), "xml.too_deep");
  EXPECT_EQ(check("<a><b/><b/><b/><b/></a>", limits), "ok");
  EXPECT_EQ(check("<a><b/><b/><b/><b/><b/></a>", limits), "xml.too_many");
  EXPECT_EQ(check("<a x='1' y='2'/>", limits), "ok");
  EXPECT_EQ(check("<a x='1' y='2' z='3'/>", limits), "xml.too_many");
  std::string deep;
  for (int i = 0; i < 60'000; ++i) deep += "<a>";
  EXPECT_EQ(check(deep), "xml.too_deep");
}

TEST(Xml, EscapedTextReadsBack) {
  const std::string text = "a<b>&\"'\t\n\r é";
  const auto document = Document::parse("<a x=\"" + escaped_attribute(text) + "\">" + escaped_content(text) + "</a>");
  ASSERT_TRUE(document.ok());
  EXPECT_EQ(*document->root().attribute("x"), text);
  EXPECT_EQ(document->root().text, text);
  EXPECT_EQ(trimmed(" \t\r\n x y \n"), "x y");
  EXPECT_EQ(trimmed(" \n"), "");
}

}  // namespace
}  // namespace daypass::crypto::xml
