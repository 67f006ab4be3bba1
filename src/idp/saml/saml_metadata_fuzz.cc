// Hostile metadata, and hostile logout messages behind an odd first byte. What is taken must hold what a sign-in relies
// on.
// parses: idp/saml/metadata.cc
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "idp/saml/fuzz_key.h"
#include "idp/saml/logout.h"
#include "idp/saml/metadata.h"
#include "idp/url.h"

namespace saml = daypass::idp::saml;
namespace base = daypass::base;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  const base::WallTime now = base::parse_rfc3339("2026-11-29T12:00:00Z").value();
  static const auto key =
      daypass::crypto::xml::KeyPair::from_pem(base::Secret(std::string_view(saml::testing::fuzz_pem))).value();
  static const std::vector<saml::Certificate> keys = {key.certificate()};
  if ((data[0] & 1U) != 0) {
    daypass::idp::LogoutMessage message;
    message.raw_query = text;
    message.fields.emplace_back("SAMLRequest", text);
    message.posted = (data[0] & 2U) != 0;
    const auto read =
        saml::verify_logout_request(message, {.issuer = "https://idp.example/saml",
                                              .keys = keys,
                                              .destination = "https://daypass.example/t/default/idp/corp/logout",
                                              .now = now});
    if (read.ok()) DP_ASSERT(read->name_id == "e7f1");
    return 0;
  }
  saml::MetadataWanted wanted;
  wanted.now = now;
  if ((data[0] & 2U) != 0) wanted.trust.signers = keys;
  if ((data[0] & 4U) != 0) wanted.trust.fingerprints = {keys.front().sha256()};
  const auto read = saml::parse_metadata(text, wanted);
  if (!read.ok()) return 0;
  DP_ASSERT(!read->entity_id.empty() && !read->sign_on.empty() && !read->signing.empty() && read->signing.size() <= 8);
  if (read->valid_until) DP_ASSERT(*read->valid_until > now);
  for (const auto& endpoint : read->sign_on) {
    const auto url = daypass::idp::parse_url(endpoint.location);
    DP_ASSERT(url && daypass::idp::acceptable(*url, false));
  }
  if ((data[0] & 4U) != 0) DP_ASSERT(read->signing.size() == 1 && read->signing[0] == keys[0]);
  return 0;
}
