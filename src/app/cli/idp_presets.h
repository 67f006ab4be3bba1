// What `daypass idp add` knows of each product: what to ask for, where that leads, and the file it writes. Pure.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/spec.h"

namespace daypass::app::cli {

/// An identity provider as it is to be written down.
struct NewIdp {
  std::string preset, protocol = "oidc", name, display;
  std::string issuer;  ///< as the provider spells it; of SAML: the entityID
  std::string client_id, client_secret;
  core::ClientAuth client_auth = core::ClientAuth::basic;
  std::string metadata;  ///< a URL or file:/path
  std::vector<std::string> pins;
  std::string sp_key;  ///< a reference
  std::string ca_file;
  std::vector<std::string> allowed_hosts;
  std::string domain;               ///< of Google Workspace
  std::vector<std::string> scopes;  ///< that the provider says it knows; empty: it says nothing
  std::string url;                  ///< <public>/t/<tenant>/idp/<name>
};

struct IdpPreset {
  std::string_view name, title;
  std::string_view ask_issuer;  ///< empty: it is known
  std::string_view ask_metadata;
  /// The issuer, or the metadata's address, from the short form that an administrator has at hand.
  std::string (*issuer)(const std::string& typed);
  std::string (*metadata)(const std::string& typed);
  std::string_view at_oidc, at_saml;  ///< where in the product Daypass is registered, and what to mind there
};

std::span<const IdpPreset> idp_presets() noexcept;
const IdpPreset* idp_preset(std::string_view name) noexcept;

/// What the provider's administrator is told, a name and a value each.
std::vector<std::pair<std::string, std::string>> to_register(const NewIdp& idp);

/// DIR/idps/<name>.toml.
std::string toml_of(const NewIdp& idp);

}  // namespace daypass::app::cli
