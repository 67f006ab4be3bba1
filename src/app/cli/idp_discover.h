// What a provider says of itself, asked through the same guarded client as the server's: discovery, SAML metadata.
#pragma once

#include <string>
#include <vector>

#include "app/cli/context.h"
#include "app/cli/idp_presets.h"
#include "idp/fetch.h"
#include "idp/oidc/discovery.h"
#include "idp/saml/metadata.h"

namespace daypass::app::cli {

struct FoundOidc {
  idp::oidc::Discovery discovery;  ///< its issuer is spelled as the provider spells it
  std::vector<std::string> algorithms, scopes;
  bool backchannel_logout = false;
};

/// Asks the issuer that was typed. The issuer found may differ by the slash at its end, and at Entra ID by the
/// directory's id in the place of its name. Errors: those of check_issuer and parse_discovery, "discovery.fetch".
base::Result<FoundOidc> discover(const idp::Fetch& fetch, const NewIdp& idp);

/// Which of the methods that the provider takes is the simplest; it says nothing: basic.
core::ClientAuth client_auth_for(const idp::oidc::Discovery& discovery);

/// Reads `idp.metadata`, of which only the certificates pinned there count when there are any. Errors:
/// "saml_metadata.*", "idp_add.metadata_file".
base::Result<idp::saml::IdpMetadata> read_metadata(const idp::Fetch& fetch, const base::Clock& clock,
                                                   const NewIdp& idp);

}  // namespace daypass::app::cli
