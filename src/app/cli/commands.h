// The commands, each a function from its options to an exit code. cli.cc reads the command line into these.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/cli/context.h"

namespace daypass::app::cli {

// login.cc
struct LoginOptions {
  bool device = false, no_browser = false;
  std::string idp;
};
int login(Io& io, const Globals& g, const LoginOptions& o);
struct LogoutOptions {
  bool provider = false, no_browser = false;
};
/// With `provider`: exit 6 when the identity provider offers no sign-out; the login has ended all the same.
int logout(Io& io, const Globals& g, const LogoutOptions& o);
int status(Io& io, const Globals& g);

// access.cc
struct WantOptions {
  std::string target;
  std::vector<std::string> roles;
  std::string for_, reason;
  std::vector<std::string> rest;
  std::string format = "text";
};
int ls(Io& io, const Globals& g, bool all);
int connect(Io& io, const Globals& g, const WantOptions& o);
int creds(Io& io, const Globals& g, const WantOptions& o);
int grants_ls(Io& io, const Globals& g, bool all, bool closed, bool overdue);
int grants_show(Io& io, const Globals& g, const std::string& id);
int grants_extend(Io& io, const Globals& g, const std::string& id, const std::string& by);
int grants_end(Io& io, const Globals& g, const std::string& id);

// restore.cc
/// Exit 5 while a restored store waits to be confirmed.
int admin_restore(Io& io, const Globals& g, bool confirm);

// orphans.cc
/// Of a tenant that is named, else of all. Exit 1 when orphans are left, 7 when none is known of but a target could not
/// be looked at.
int admin_orphans(Io& io, const Globals& g, bool fix);

// report.cc
/// `all`: those that are used, too.
int report_unused(Io& io, const Globals& g, int days, bool all);

// freeze.cc
/// Of a login's tenant; at the operator's socket of every tenant, unless one is named.
int freeze(Io& io, const Globals& g, const std::string& reason);
int thaw(Io& io, const Globals& g);

// policy_server.cc: what a server is asked about policies
int policy_explain(Io& io, const Globals& g, const std::string& user, const std::string& role, const std::string& at);
/// Exit 1 when something would change.
int policy_simulate(Io& io, const Globals& g, const std::string& folder);
/// Of a folder, else of the server's tenant.
int policy_schema(Io& io, const Globals& g, const std::string& folder, bool as_json);

// policy.cc, policy_corpus.cc: Cedar without a server
struct PolicyFiles {
  std::string policies, entities, schema, request;
  bool ids_by_annotation = false;
  std::optional<std::uint32_t> level;
};
/// Exit 0: allow, 1: deny, 2: something can't be read.
int policy_authorize(Io& io, const Globals& g, const PolicyFiles& files);
/// Exit 1 when a policy does not parse or validate; warnings leave it 0. 2: the schema or a file can't be read.
int policy_validate(Io& io, const Globals& g, const PolicyFiles& files);
/// `kind`: "schema" or "policies"; `to`: "json", "text" or empty, the other one then. Exit 1: the text has no words for
/// it.
int policy_translate(Io& io, const Globals& g, const std::string& kind, const std::string& file, std::string to);
/// Rewrites files in place; `check` only names those that would change, and exits 1 then. Exit 2: one does not parse.
int policy_fmt(Io& io, const Globals& g, const std::vector<std::string>& files, bool check);
/// Exit 1 when a case failed.
int policy_corpus(Io& io, const Globals& g, const std::string& folder);

// admin.cc
int apply(Io& io, const Globals& g, const std::string& folder, bool dry_run, bool yes);
int target_check(Io& io, const Globals& g, const std::string& target);
int sessions_ls(Io& io, const Globals& g);
int sessions_end(Io& io, const Globals& g, const std::string& id);
int sessions_revalidate(Io& io, const Globals& g, const std::string& id);

// audit.cc
int audit_tail(Io& io, const Globals& g, std::size_t n);
/// `format`: "jsonl", "ocsf" or "tiles"; the last one writes into `folder`.
int audit_export(Io& io, const Globals& g, const std::string& format, const std::string& folder);
int audit_checkpoint(Io& io, const Globals& g);
int audit_forward_ls(Io& io, const Globals& g);
int audit_erase(Io& io, const Globals& g, const std::string& person, bool yes);
int audit_forward_retry(Io& io, const Globals& g, const std::string& name);
int audit_key(Io& io, const Globals& g);
/// `format`: "json" or "tlog-proof".
int audit_prove(Io& io, const Globals& g, const std::string& id, const std::string& format);
struct AuditVerify {
  std::string log;   ///< an export; empty: the server's
  std::string root;  ///< hexadecimal
  std::vector<std::string> checkpoints;
  std::string key;      ///< as text, or a file that holds it
  std::string receipt;  ///< this instead of a log: a receipt, or a proof
  bool quick = false;   ///< a proof of the server's instead of its log
};
/// Exit 1: it does not verify, or the options do not fit.
int audit_verify(Io& io, const Globals& g, const AuditVerify& o);
int grants_receipt(Io& io, const Globals& g, const std::string& id);

// installer.cc: no server needed
struct InstallerOptions {
  std::string instance, login, home;
  std::vector<std::string> databases, groups, heirs;
  std::string longest = "24h";
  int connections = 102;
  bool uninstall = false;
};
/// Writes SQL for psql to stdout. Exit 2: a name or number can't be.
int target_installer(Io& io, const Globals& g, const InstallerOptions& o);

// secrets.cc
int secrets_ls(Io& io, const Globals& g);
/// `file` empty: from standard input.
int secrets_set(Io& io, const Globals& g, const std::string& name, const std::string& file);
int secrets_make_key(Io& io, const Globals& g, const std::string& name);
int secrets_rm(Io& io, const Globals& g, const std::string& name);

// idp_add.cc
struct IdpAdd {
  std::string preset, protocol, name, display, folder;
  std::string issuer, metadata;  ///< or the short form that the preset makes them of
  std::vector<std::string> pins, allowed_hosts;
  std::string client_id, client_auth, secret_file, secret_ref, secret_at, domain, ca_file, sp_key;
};
/// Asks on a terminal for what no option says. Exit 2: something that was said is wrong; nothing is written then.
int idp_add(Io& io, const Globals& g, const IdpAdd& given);

/// What proves the domains of providers; `check`: looked for now. Exit 1 when one is not proven. (idp_domains.cc)
int idp_domains(Io& io, const Globals& g, bool check);

// idp_trial.cc
struct IdpTest {
  std::string name, folder;  ///< folder empty: as it is applied
  bool no_browser = false;
};
/// Exit 1: a check failed. Exit 2: the folder has problems.
int idp_test(Io& io, const Globals& g, const IdpTest& what);

// tenants.cc: for the operator
int tenants_ls(Io& io, const Globals& g);
int tenants_create(Io& io, const Globals& g, const std::string& id, const std::string& display);
/// `hosts`: nullopt leaves them, else they take the place of those before.
int tenants_set(Io& io, const Globals& g, const std::string& id, const std::string& display,
                const std::optional<std::vector<std::string>>& hosts);
int tenants_delete(Io& io, const Globals& g, const std::string& id, bool yes);

// setup.cc
int setup_psql(Io& io, const Globals& g, bool undo);

// doctor.cc
/// Exit 1 when a check fails; warnings leave it 0.
int doctor(Io& io, const Globals& g);

// saml.cc: no server needed
struct SamlVerify {
  std::string metadata, response, sp_entity_id, acs, slo, now, request_id, sp_key;
  bool batch = false;
};
/// With `slo` a LogoutResponse, else a Response. Exit 0: what it says, as JSON. Exit 1: the one check that failed. Exit
/// 2: a file or an option can't be read.
int saml_verify(Io& io, const Globals& g, const SamlVerify& what);

// offline.cc: no server needed
int oidc_verify(Io& io, const Globals& g, const std::string& jwks, const std::string& issuer,
                const std::string& audience, const std::optional<std::string>& nonce, const std::string& now,
                std::string token);
int jose_verify(Io& io, const Globals& g, const std::string& jwks, std::string token);
int config_check(Io& io, const Globals& g, const std::string& file);
int server_run(Io& io, const Globals& g, const std::string& file, bool restored);

}  // namespace daypass::app::cli
