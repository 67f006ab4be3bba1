// Hostile messages at our logout URL. The first byte chooses: a form's field or a query as it is (nobody can sign here,
// so nothing but an honest message may be believed), or signed octets around what the bytes say.
// parses: idp/saml/logout.cc idp/saml/message.cc
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "base/encoding.h"
#include "idp/saml/fuzz_key.h"
#include "idp/saml/logout.h"
#include "idp/saml/scripted_idp.h"

namespace saml = daypass::idp::saml;
namespace base = daypass::base;

namespace {

const base::WallTime now = base::parse_rfc3339("2026-11-29T12:00:00Z").value();

struct World {
  saml::testing::ScriptedIdp idp;
  std::vector<saml::Certificate> keys;
  World() {
    idp.key = saml::KeyPair::from_pem(base::Secret(std::string_view(saml::testing::fuzz_pem))).value();
    keys = {idp.key.certificate()};
  }
};

template <class Message>
void sane(const base::Result<Message>& read) {
  if (!read.ok()) DP_ASSERT(!read.error().check.empty() && base::is_utf8(read.error().message));
}

void both(const daypass::idp::LogoutMessage& message, const World& world, bool seeds_only) {
  const saml::LogoutExpected expected{.issuer = "https://idp.example/saml",
                                      .keys = world.keys,
                                      .destination = "https://daypass.example/t/default/idp/corp/logout",
                                      .now = now};
  const auto request = saml::verify_logout_request(message, expected);
  sane(request);
  const auto response = saml::verify_logout_response(message, expected);
  sane(response);
  // One message is never both.
  DP_ASSERT(!request.ok() || !response.ok());
  if (response.ok() && seeds_only) DP_ASSERT(response->in_response_to == "_l1");
  if (request.ok()) DP_ASSERT(!request->name_id.empty() && request->session_indexes.size() <= 64);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const World world;
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 4) {
    case 0:
      both({{{"SAMLRequest", text}, {"SAMLResponse", text}}, "", true, {}}, world, true);
      both({{{"SAMLResponse", base::base64_encode(text)}}, "", true, {}}, world, true);
      break;
    case 1:
      both({{}, text, false, {}}, world, true);
      break;
    case 2: {
      // What a provider that is trusted may say behind its status.
      saml::testing::SayLogout say;
      say.now = now;
      say.more = text;
      both({{{"SAMLResponse", base::base64_encode(world.idp.logout_response(say))}}, "", true, {}}, world, false);
      break;
    }
    default: {
      std::string query = "SAMLResponse=" + daypass::idp::form_encode(base::base64_encode(saml::deflate(text)));
      query += "&SigAlg=" + daypass::idp::form_encode(world.idp.key.algorithm());
      query += "&Signature=" + daypass::idp::form_encode(base::base64_encode(world.idp.key.sign(query)));
      both({{}, query, false, {}}, world, false);
      break;
    }
  }
  return 0;
}
