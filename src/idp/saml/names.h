// The names that SAML 2.0 gives to things (saml-core-2.0-os, saml-bindings-2.0-os, saml-metadata-2.0-os).
#pragma once

#include <string_view>

namespace daypass::idp::saml {

inline constexpr std::string_view assertion_ns = "urn:oasis:names:tc:SAML:2.0:assertion";
inline constexpr std::string_view protocol_ns = "urn:oasis:names:tc:SAML:2.0:protocol";
inline constexpr std::string_view metadata_ns = "urn:oasis:names:tc:SAML:2.0:metadata";
inline constexpr std::string_view schema_instance_ns = "http://www.w3.org/2001/XMLSchema-instance";

inline constexpr std::string_view redirect_binding = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect";
inline constexpr std::string_view post_binding = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST";
inline constexpr std::string_view bearer = "urn:oasis:names:tc:SAML:2.0:cm:bearer";
inline constexpr std::string_view success = "urn:oasis:names:tc:SAML:2.0:status:Success";
inline constexpr std::string_view partial_logout = "urn:oasis:names:tc:SAML:2.0:status:PartialLogout";
inline constexpr std::string_view logout_by_user = "urn:oasis:names:tc:SAML:2.0:logout:user";
inline constexpr std::string_view entity_format = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity";
inline constexpr std::string_view persistent_format = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent";
inline constexpr std::string_view transient_format = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient";
inline constexpr std::string_view email_format = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress";
inline constexpr std::string_view unspecified_format = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified";

}  // namespace daypass::idp::saml
