// Hostile messages at our logout URL. The first byte chooses: a form's field or a query as it is (nobody can sign here,
// so nothing but an honest message may be believed), signed octets around what the bytes say, or what we say ourselves
// of names that a provider chose, which must arrive as it was meant.
// parses: idp/saml/logout.cc idp/saml/message.cc
#include <algorithm>
#include <cstdint>
#include <span>
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
using daypass::crypto::xml::Document;
using daypass::crypto::xml::Element;
using daypass::crypto::xml::escaped_attribute;
using daypass::crypto::xml::trimmed;

namespace {

const base::WallTime now = base::parse_rfc3339("2026-11-29T12:00:00Z").value();

struct World {
  saml::testing::ScriptedIdp idp;
  std::vector<saml::Certificate> keys;
  std::vector<saml::KeyPair> ours;  ///< the second decrypts too
  World() {
    idp.key = saml::KeyPair::from_pem(base::Secret(std::string_view(saml::testing::fuzz_pem))).value();
    keys = {idp.key.certificate()};
    ours = {idp.key, saml::testing::fresh_key("RSA")};
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

/// Octets that the provider has signed, whatever they are.
void both_signed(std::string query, const World& world) {
  query += "&SigAlg=" + daypass::idp::form_encode(world.idp.key.algorithm());
  query += "&Signature=" + daypass::idp::form_encode(base::base64_encode(world.idp.key.sign(query)));
  both({{}, query, false, {}}, world, false);
}

/// As the browser brings it: by the binding that it was made for.
daypass::idp::LogoutMessage arrived(const saml::Carried& carried) {
  if (!carried.form.empty()) return {carried.form, "", true, {}};
  return {{}, carried.url.substr(carried.url.find('?') + 1), false, {}};
}

/// Lines: a name, its format, its qualifier, a RelayState, session indexes.
void check_ours(const std::string& text, const World& world) {
  // What came in XML and in a tenant's settings can be said in XML.
  if (text.size() > 2048 || !Document::parse("<a b=\"" + escaped_attribute(text) + "\"/>").ok()) return;
  std::vector<std::string> lines;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  std::vector<std::string> sessions(lines.begin() + std::min<std::ptrdiff_t>(4, std::ssize(lines)), lines.end());
  lines.resize(4);
  const std::string &name = lines[0], &format = lines[1], &qualifier = lines[2], &relay = lines[3];

  saml::ServiceProvider sp{"https://daypass.example/metadata", "https://daypass.example/acs",
                           "https://daypass.example/slo", world.ours};
  const bool readable =
      !trimmed(name).empty() && name.size() <= 1024 && sessions.size() <= 64 &&
      std::ranges::none_of(sessions, [](const auto& s) { return trimmed(s).empty() || s.size() > 1024; });
  for (const std::string_view binding : {saml::redirect_binding, saml::post_binding}) {
    const saml::Endpoint to{std::string(binding), "https://idp.example/slo?tenant=1", "https://idp.example/back"};
    saml::LogoutExpected expected{.issuer = sp.entity_id, .keys = world.keys, .destination = to.location, .now = now};
    const auto request = saml::verify_logout_request(
        arrived(saml::sign_out(sp, {"_o1", now, {name, format, qualifier, qualifier}, sessions}, to)), expected);
    DP_ASSERT(request.ok() == readable);
    if (request.ok()) {
      DP_ASSERT(request->name_id == trimmed(name) && request->session_indexes.size() == sessions.size());
      for (std::size_t i = 0; i < sessions.size(); ++i) DP_ASSERT(request->session_indexes[i] == trimmed(sessions[i]));
    }
    expected.destination = to.response_location;
    const auto response =
        saml::verify_logout_response(arrived(saml::logout_reply(sp, {"_o2", now, name}, to, relay)), expected);
    DP_ASSERT(response.ok() == (!name.empty() && name.size() <= 1024 && relay.size() <= 80));
    if (response.ok())
      DP_ASSERT(response->in_response_to == name && response->outcome == daypass::idp::LogoutOutcome::signed_out);
  }

  const saml::Endpoint sso{std::string(saml::post_binding), "https://idp.example/sso", ""};
  const saml::SignInRequest sign_in{"_i1", now, name, format, name.size() % 2 != 0};
  for (const bool sign : {true, false}) {
    sp.keys = sign ? std::span(world.ours) : std::span<const saml::KeyPair>();
    sp.entity_id = "https://daypass.example/metadata";
    const auto posted = saml::sign_in(sp, sign_in, sso, relay);
    const auto document = Document::parse(base::base64_decode(posted.form.at(0).second).value());
    DP_ASSERT(document.ok() && *document->root().attribute("Destination") == name);
    const Element* policy = document->root().child(saml::protocol_ns, "NameIDPolicy");
    DP_ASSERT(format.empty() ? policy == nullptr : *policy->attribute("Format") == format);
    DP_ASSERT(sign == verify_enveloped(*document, document->root(), world.keys).ok());
    const auto visited = saml::sign_in(sp, sign_in, {std::string(saml::redirect_binding), sso.location, ""}, relay);
    DP_ASSERT(visited.form.empty() && visited.url.starts_with(sso.location + "?SAMLRequest="));
    sp.entity_id = name;
    const auto described = Document::parse(saml::describe(sp, "_m1", now));
    DP_ASSERT(described.ok() && *described->root().attribute("entityID") == name);
    DP_ASSERT(sign == verify_enveloped(*described, described->root(), world.keys).ok());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const World world;
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 8) {
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
    case 3:
      for (const std::string name : {"SAMLResponse=", "SAMLRequest="})
        both_signed(name + daypass::idp::form_encode(base::base64_encode(saml::deflate(text))), world);
      break;
    case 4:
      both_signed(text, world);
      break;
    default:
      check_ours(text, world);
      break;
  }
  return 0;
}
