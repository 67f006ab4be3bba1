#include "config/document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace daypass::config {
namespace {

using testing::HasSubstr;

TEST(Document, KeepsOrderKindsAndPlaces) {
  const auto doc = parse_toml("zeta = 1\nalpha = \"x\"\n\n[table]\nlist = [true, 2.5]\nwhen = 2026-01-01\n", "f.toml");
  ASSERT_TRUE(doc.ok());
  ASSERT_EQ(doc.value.entries.size(), 3U);
  EXPECT_EQ(doc.value.entries[0].key, "zeta");
  EXPECT_EQ(doc.value.entries[0].value.integer, 1);
  EXPECT_EQ(doc.value.entries[1].key, "alpha");
  EXPECT_EQ(doc.value.entries[1].place, (Place{2, 1}));
  EXPECT_EQ(doc.value.entries[1].value.place, (Place{2, 9}));
  const Entry* table = doc.value.find("table");
  ASSERT_NE(table, nullptr);
  const Entry* list = table->value.find("list");
  ASSERT_NE(list, nullptr);
  ASSERT_EQ(list->value.items.size(), 2U);
  EXPECT_TRUE(list->value.items[0].boolean);
  EXPECT_EQ(list->value.items[1].kind, Node::Kind::number);
  EXPECT_EQ(table->value.find("when")->value.kind, Node::Kind::date);
}

TEST(Document, SaysWhereTheSyntaxBreaks) {
  const auto doc = parse_toml("a = 1\nb = [1,\n", "f.toml");
  ASSERT_EQ(doc.problems.size(), 1U);
  EXPECT_EQ(doc.problems[0].file, "f.toml");
  EXPECT_GE(doc.problems[0].line, 2U);
  EXPECT_THAT(doc.problems[0].message, HasSubstr("not valid TOML: "));
  EXPECT_TRUE(doc.value.entries.empty());
}

// The library, left alone, aborts on the first of these.
TEST(Document, SurvivesTheLibrarysAssertions) {
  for (const char* text : {"a = 1\n[%]\n", "a = 1\n[ =", "a = 1\n[[%]]\n", "a = 1\n[\xc3\xa4]\n", "a = 1\n[.a]\n",
                           "a = 1\n[#", "a = 1\n[\n"}) {
    const auto doc = parse_toml(text, "f.toml");
    ASSERT_EQ(doc.problems.size(), 1U) << text;
    EXPECT_THAT(doc.problems[0].message, HasSubstr("not valid TOML: ")) << text;
    EXPECT_EQ(doc.problems[0].line, 2U) << text << doc.problems[0].message;
  }
}

// Characters of other scripts everywhere: where they may stand they are kept, elsewhere they are refused.
TEST(Document, KnowsCharactersOfOtherScripts) {
  for (const char* c :
       {"\xc2\xa0", "\xc3\xa4", "\xc4\x80", "\xd2\x99", "\xe1\x9a\x80", "\xe2\x80\x8b", "\xe2\xb9\x9e", "\xe3\x80\x80",
        "\xef\xbb\xbf", "\xef\xbf\xbd", "\xf0\x9f\x8e\x9f", "\xe2\x80\xa8", "\xc2\x85"}) {
    const std::string u(c);
    const auto kept = parse_toml("a = \"x" + u + "\" # " + u + "\n'" + u + "' = '" + u + "'\nc = \"\"\"" + u + "\n" +
                                     u + "\\\n  x" + u + "\"\"\"\n",
                                 "f");
    ASSERT_TRUE(kept.ok()) << u << kept.problems[0].render();
    EXPECT_EQ(kept.value.find("a")->value.text, "x" + u);
    EXPECT_EQ(kept.value.find(u)->value.text, u);
    EXPECT_EQ(kept.value.find("c")->value.text, u + "\n" + u + "x" + u);
    // As in TOML: a line-ending backslash takes white space, and only ASCII has any.
    EXPECT_FALSE(parse_toml("a = \"\"\"\\" + u + "\"\"\"\n", "f").ok()) << u;
    EXPECT_FALSE(parse_toml("a = \"\"\"\\ " + u + "\n\"\"\"\n", "f").ok()) << u;
    for (const std::string& text :
         {"b" + u + " = 1\n", "b = " + u + "\n", "b = 1" + u + "\n", "b = [1," + u + "]\n", "[b" + u + "]\n",
          "b = {x" + u + " = 1}\n", "[[" + u + "b]]\n", "b = true" + u + "\n", u + "b = 1\n"}) {
      EXPECT_FALSE(parse_toml("a = 1\n" + text, "f").ok()) << text;
    }
  }
}

TEST(Document, RefusesTwiceTheSameKey) {
  for (const char* text : {"a = 1\na = 2\n", "[a]\n[a]\n", "a.b = 1\na.b = 2\n", "a = {b = 1, b = 2}\n"}) {
    const auto doc = parse_toml(text, "f.toml");
    ASSERT_EQ(doc.problems.size(), 1U) << text;
    EXPECT_GE(doc.problems[0].line, 1U);
  }
}

TEST(Document, RefusesWhatIsNoText) {
  EXPECT_THAT(parse_toml("a = \"\xff\"\n", "f").problems.at(0).message, HasSubstr("not UTF-8"));
  const auto control = parse_toml("a = 1\nb = 2 # \x0b\n", "f");
  ASSERT_EQ(control.problems.size(), 1U);
  EXPECT_EQ(control.problems[0].line, 2U);
  EXPECT_FALSE(parse_toml(std::string("a = 1\0", 6), "f").ok());
  EXPECT_FALSE(parse_toml("a = 1\rb = 2\n", "f").ok());
  EXPECT_TRUE(parse_toml("a = 1\r\nb = 2\r\n", "f").ok());
}

TEST(Document, IsBoundedInSize) {
  EXPECT_TRUE(parse_toml("#" + std::string(max_file_bytes - 1, '-'), "f").ok());
  EXPECT_THAT(parse_toml("#" + std::string(max_file_bytes, '-'), "f").problems.at(0).message, HasSubstr("bytes"));
  std::string many = "a = [";
  for (std::size_t i = 0; i < max_nodes; ++i) many += "1,";
  EXPECT_THAT(parse_toml(many + "]", "f").problems.at(0).message, HasSubstr("too many values"));
}

TEST(Document, IsBoundedInDepth) {
  const auto nested = [](std::size_t n) { return "a = " + std::string(n, '[') + std::string(n, ']') + "\n"; };
  EXPECT_TRUE(parse_toml(nested(max_depth - 1), "f").ok());
  EXPECT_FALSE(parse_toml(nested(max_depth + 1), "f").ok());
  EXPECT_FALSE(parse_toml(nested(500'000), "f").ok());
  EXPECT_FALSE(parse_toml("a = " + std::string(200'000, '{'), "f").ok());
}

// The library builds one table per dot and takes them down recursively: without a bound this overruns the stack.
TEST(Document, IsBoundedInDottedKeys) {
  std::string key = "a";
  for (int i = 0; i < 400'000; ++i) key += ".a";
  for (const std::string& text : {key + " = 1\n", "[" + key + "]\n", "[[" + key + "]]\n", "x = {" + key + " = 1}\n",
                                  "s = \"\"\"\\\"\"\"\"\n" + key + " = 1\n", "s = ''''x'''''\n" + key + " = 1\n",
                                  "s = 'it''s'\n" + key + " = 1\n", "s = \"\\\\\" # \"\n" + key + " = 1\n"}) {
    const auto doc = parse_toml(text, "f");
    ASSERT_EQ(doc.problems.size(), 1U) << text.substr(0, 40);
  }
}

TEST(Document, CountsNoDotsInTextAndComments) {
  std::string dots(200, '.');
  EXPECT_TRUE(parse_toml("a = \"" + dots + "\" # " + dots + "\nb = '" + dots + "'\nc = \"\"\"\n" + dots + "\n" + dots +
                             "\"\"\"\n",
                         "f")
                  .ok());
}

}  // namespace
}  // namespace daypass::config
