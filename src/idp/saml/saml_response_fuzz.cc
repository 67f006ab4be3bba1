// Hostile Responses. The first byte chooses: bytes as they are (nobody can sign here, so nothing but an honest answer
// may be believed), a signed Response that says what the bytes say, or one whose decrypted assertion they are.
// parses: idp/saml/response.cc
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "base/encoding.h"
#include "idp/saml/fuzz_key.h"
#include "idp/saml/response.h"
#include "idp/saml/scripted_idp.h"

namespace saml = daypass::idp::saml;
namespace base = daypass::base;

namespace {

const base::WallTime now = base::parse_rfc3339("2026-11-29T12:00:00Z").value();

struct World {
  saml::testing::ScriptedIdp idp;
  std::vector<saml::KeyPair> ours = {saml::testing::fresh_key("RSA")};
  World() {
    idp.key = saml::KeyPair::from_pem(base::Secret(std::string_view(saml::testing::fuzz_pem))).value();
    idp.encrypt_for = ours.front().certificate();
  }
};

base::Result<saml::Assertion> verify(std::string_view xml, const World& world) {
  const std::vector<saml::Certificate> keys = {world.idp.key.certificate()};
  const saml::testing::Say say;
  saml::Expected expected;
  expected.issuer = say.issuer;
  expected.keys = keys;
  expected.sp_entity_id = say.audience;
  expected.acs = say.acs;
  expected.request_id = say.request;
  expected.now = now;
  expected.decryption = world.ours;
  return saml::verify_response(xml, expected);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const World world;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  saml::testing::Say say;
  say.now = now;
  switch (data[0] % 3) {
    case 0: {
      const auto read = verify(text, world);
      // The seeds are signed, and they name one person.
      if (read.ok()) DP_ASSERT(read->name_id == "e7f1" && read->id == "_a1" && read->issuer == say.issuer);
      if (!read.ok()) DP_ASSERT(!read.error().check.empty() && base::is_utf8(read.error().message));
      const auto decoded = saml::decode_response(text);
      if (decoded.ok()) (void)verify(*decoded, world);
      break;
    }
    case 1: {
      // What a provider that is trusted may say. Where the bytes make it no canonical XML, its signature does not hold.
      say.attributes = text;
      const auto read = verify(world.idp.response(say), world);
      if (read.ok()) {
        DP_ASSERT(read->name_id == "e7f1" && read->attributes.size() <= 256);
        DP_ASSERT(read->claims().string_or("NameID") == "e7f1");
      }
      break;
    }
    default: {
      say.sign_assertion = false;
      say.encrypting = saml::testing::Encrypting{};
      const std::string inside = "<saml:EncryptedAssertion xmlns:saml=\"" + std::string(saml::assertion_ns) + "\">" +
                                 saml::testing::encrypt(text, *world.idp.encrypt_for, *say.encrypting) +
                                 "</saml:EncryptedAssertion>";
      (void)verify(world.idp.around(inside, say), world);
      break;
    }
  }
  return 0;
}
