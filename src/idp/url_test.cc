#include "idp/url.h"

#include <gtest/gtest.h>

namespace daypass::idp {
namespace {

TEST(ParseUrl, TakesPlainUrlsApart) {
  const auto url = parse_url("https://Id.Example:8443/a/b?x=1&y=2").value();
  EXPECT_TRUE(url.https);
  EXPECT_EQ(url.host, "id.example");
  EXPECT_EQ(url.port, "8443");
  EXPECT_EQ(url.path, "/a/b");
  EXPECT_EQ(url.query, "x=1&y=2");
  EXPECT_EQ(parse_url("http://[::1]:80?q")->host, "[::1]");
  EXPECT_EQ(parse_url("http://[::1]")->port, "");
  EXPECT_EQ(parse_url("https://a.example")->path, "");
  EXPECT_TRUE(parse_url("http://localhost")->loopback());
  EXPECT_FALSE(parse_url("http://localhost.example")->loopback());
  EXPECT_FALSE(parse_url("http://127.0.0.1.example")->loopback());
}

TEST(ParseUrl, RefusesWhatReadersReadDifferently) {
  for (const std::string bad : {"",
                                "https:",
                                "https://",
                                "https:///a",
                                "HTTPS://a.example",
                                "ftp://a.example",
                                "//a.example",
                                "a.example",
                                "https://a@b.example",
                                "https://a:b@c.example",
                                "https://a.example\\@b.example",
                                "https://a.example#b",
                                "https://a b.example",
                                "https://a.example/\t",
                                "https://a.example/\x7f",
                                "https://a.example/\xc3\xa9",
                                "https://a.example:",
                                "https://a.example:x",
                                "https://a.example:65536",
                                "https://a.example:080",
                                "https://.example",
                                "https://a..example",
                                "https://[::1",
                                "https://[]",
                                "https://[a.example]z",
                                "https://a_b.example",
                                "https://a.example/{x}",
                                "https://a.example/%s|",
                                "https://a.example\n"})
    EXPECT_FALSE(parse_url(bad).has_value()) << bad;
  EXPECT_FALSE(parse_url("https://a.example/" + std::string(max_url_bytes, 'x')).has_value());
}

TEST(Acceptable, HttpIsForLoopbackWhereAllowed) {
  EXPECT_TRUE(acceptable(*parse_url("https://a.example"), false));
  EXPECT_FALSE(acceptable(*parse_url("http://127.0.0.1"), false));
  EXPECT_TRUE(acceptable(*parse_url("http://127.0.0.1"), true));
  EXPECT_FALSE(acceptable(*parse_url("http://a.example"), true));
}

TEST(Form, EncodesAllButTheUnreserved) {
  EXPECT_EQ(form_encode("aZ9-._~"), "aZ9-._~");
  EXPECT_EQ(form_encode("a b+c&d=e/\xff"), "a%20b%2Bc%26d%3De%2F%FF");
  EXPECT_EQ(form({{"a", "1&2"}, {"b c", ""}}), "a=1%262&b%20c=");
}

TEST(Url, LoopbackIsOneNetwork) {
  for (const std::string_view good :
       {"http://localhost/", "http://127.0.0.1:80", "http://127.255.0.9/", "http://[::1]:8/"})
    EXPECT_TRUE(parse_url(good)->loopback()) << good;
  for (const std::string_view bad :
       {"http://127.0.0.1.evil.example/", "http://127.1/", "http://127.0.0.01/", "http://127.0.0.256/",
        "http://128.0.0.1/", "http://localhost.evil/", "http://127.0.0.1.2/", "http://[::2]/"})
    EXPECT_FALSE(parse_url(bad)->loopback()) << bad;
}

}  // namespace
}  // namespace daypass::idp
