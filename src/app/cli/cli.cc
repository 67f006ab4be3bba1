// The only file that sees CLI11: reads the command line into plain options.
#include "app/cli/cli.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <termios.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "app/cli/commands.h"
#include "app/demo/demo.h"
#include "app/secrets.h"
#include "base/encoding.h"

namespace daypass::app::cli {

namespace {

volatile std::sig_atomic_t interrupted = 0;

/// A line of the terminal without its echo, which comes back whatever happens meanwhile.
std::optional<base::Secret> read_hidden(const std::string& question) {
  termios before{};
  if (::tcgetattr(STDIN_FILENO, &before) != 0) return std::nullopt;
  interrupted = 0;
  struct sigaction note{}, old_int{}, old_term{};
  note.sa_handler = [](int signal) { interrupted = signal; };
  ::sigaction(SIGINT, &note, &old_int);
  ::sigaction(SIGTERM, &note, &old_term);
  termios silent = before;
  silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  silent.c_lflag |= ICANON | ECHONL;
  ::tcsetattr(STDIN_FILENO, TCSADRAIN, &silent);
  // After that: what is typed at once must not be seen either.
  if (::write(STDERR_FILENO, question.data(), question.size()) < 0) interrupted = SIGINT;
  char buffer[4096];
  ssize_t have = 0;
  while (interrupted == 0 && have < static_cast<ssize_t>(sizeof buffer)) {
    const ssize_t n = ::read(STDIN_FILENO, buffer + have, sizeof buffer - static_cast<std::size_t>(have));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    have += n;
    if (buffer[have - 1] == '\n') break;
  }
  ::tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
  ::sigaction(SIGINT, &old_int, nullptr);
  ::sigaction(SIGTERM, &old_term, nullptr);
  while (have > 0 && (buffer[have - 1] == '\n' || buffer[have - 1] == '\r')) --have;
  std::optional<base::Secret> line;
  if (interrupted == 0 && have > 0) line.emplace(std::string_view(buffer, static_cast<std::size_t>(have)));
  base::wipe(buffer, sizeof buffer);
  if (interrupted != 0) ::raise(static_cast<int>(interrupted));
  return line;
}

constexpr const char* exit_codes =
    "0  done\n1  failed\n2  the command line, or a configuration, is wrong\n3  denied by policy\n4  a login is needed\n"
    "5  waiting for an approval\n6  not found\n7  unreachable\n8  access ended while in use\n"
    "connect passes the client's own code through.\n";

constexpr const char* access_group = "Access";
constexpr const char* admin_group = "Administration";
constexpr const char* server_group = "Server";
constexpr const char* tools_group = "Tools";

/// Not command->help(): that would follow what was parsed, and `daypass help` would explain itself.
std::string help_of(CLI::App* command, const std::string& name) {
  std::string text =
      dynamic_cast<CLI::Formatter&>(*command->get_formatter()).make_help(command, name, CLI::AppFormatMode::Normal);
  if (command->get_parent() != nullptr) {
    while (text.ends_with("\n\n")) text.pop_back();
    text += "\nFor every command: --server, --tenant, --socket, -o json (daypass --help)\n";
  }
  return text;
}

CLI::App* child_of(CLI::App* command, const std::string& name) {
  for (CLI::App* sub : command->get_subcommands({}))
    if (sub->get_name() == name) return sub;
  return nullptr;
}

/// The whole tree of commands and what their options are read into. Commands run after parsing, through `chosen`.
struct CommandLine {
  explicit CommandLine(Io& process);
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  void on(CLI::App* command, std::function<int()> fn) {
    command->callback([this, fn = std::move(fn)] { chosen = fn; });
  }
  CLI::App* add(CLI::App* parent, const char* name, const char* what, const char* group = nullptr) {
    CLI::App* command = parent->add_subcommand(name, what);
    command->group(group != nullptr ? group : "Commands");
    command->set_help_all_flag();  // the root's alone
    return command;
  }
  void people();
  void grants_and_sessions();
  void policies();
  void administration();
  void tools();
  void server();

  Io& io;
  CLI::App app{
      "Access that ends: sign in at your identity provider, get a role made for this session, lose it on time.",
      "daypass"};
  Globals g;
  std::function<int()> chosen;
  demo::DemoOptions demo_options;
  LoginOptions login_options;
  LogoutOptions logout_options;
  WantOptions want;
  bool all = false, closed = false, overdue = false, dry_run = false, yes = false, undo = false, as_json = false,
       only_check = false, restored = false, confirm = false, fix = false;
  int days = 30;
  PolicyFiles policy_files;
  SamlVerify saml_files;
  AuditVerify audit_files;
  std::vector<std::string> private_hosts;
  bool no_private_hosts = false;
  IdpTest tested;
  IdpAdd added;
  InstallerOptions installed;
  std::string id, display, by, at, folder, target, file, jwks, issuer, audience, nonce, now, token, kind, to, format,
      reason;
  std::vector<std::string> user_role, topic, names;
  std::size_t n = 20;
};

CommandLine::CommandLine(Io& process) : io(process) {
  app.require_subcommand(1);
  app.set_help_flag("-h,--help", "Help for the command before it");
  app.set_help_all_flag("--help-all", "Help for every command");
  app.set_version_flag("--version", std::string("daypass ") + DAYPASS_VERSION, "The version");
  app.fallthrough();
  app.add_option("--server", g.server, "Where the server is (DAYPASS_SERVER)");
  app.add_option("--tenant", g.tenant, "Which tenant (DAYPASS_TENANT)");
  app.add_option("--socket", g.socket, "The operator's socket, instead of a login (DAYPASS_SOCKET)");
  app.add_option("-o,--output", g.output, "table, json or name")->check(CLI::IsMember({"table", "json", "name"}));
  people();
  grants_and_sessions();
  policies();
  administration();
  tools();
  server();
  // Last: what is there when a command is added, the command takes over.
  app.footer(
      "A first look: daypass demo. Something is wrong: daypass doctor. More: daypass COMMAND --help, daypass help "
      "exit-codes.");
}

void CommandLine::people() {
  auto* demo = add(&app, "demo", "Everything on loopback, thrown away at the end", access_group);
  demo->add_flag("--story", demo_options.story, "Play the whole story and exit");
  demo->add_flag("--keep", demo_options.keep, "Leave the folder behind");
  on(demo, [this] { return demo::run_demo(demo_options); });

  auto* login_cmd = add(&app, "login", "Sign in", access_group);
  login_cmd->add_flag("--device", login_options.device, "On a machine without a browser: type a code elsewhere");
  login_cmd->add_flag("--no-browser", login_options.no_browser, "Print the address, open nothing");
  login_cmd->add_option("--idp", login_options.idp, "Which identity provider, where there are several");
  on(login_cmd, [this] { return login(io, g, login_options); });
  auto* logout_cmd = add(&app, "logout", "Log out: everything of this login ends", access_group);
  logout_cmd->add_flag("--provider", logout_options.provider, "Then sign out at the identity provider, too");
  logout_cmd->add_flag("--no-browser", logout_options.no_browser, "Print the address of that, open nothing")
      ->needs("--provider");
  on(logout_cmd, [this] { return logout(io, g, logout_options); });
  on(add(&app, "status", "Who is signed in, until when", access_group), [this] { return status(io, g); });

  auto* ls_cmd = add(&app, "ls", "What you may have now, and why", access_group);
  ls_cmd->add_flag("-a,--all", all, "Also what you may not have, and why not");
  on(ls_cmd, [this] { return ls(io, g, all); });

  const auto wants = [this](CLI::App* c) {
    c->add_option("target", want.target, "e.g. pg/orders")->required();
    c->add_option("--role", want.roles, "A role by name; elevated ones are given only so (repeatable)")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->allow_extra_args(false);  // else it eats what follows, and "--" too
    c->add_option("--for", want.for_, "For how long, e.g. 30m; at most what policy allows");
    c->add_option("--reason", want.reason, "Why; policy may ask for it, the log keeps it");
  };
  auto* connect_cmd = add(&app, "connect", "Connect with psql, as a role made for this session", access_group);
  wants(connect_cmd);
  connect_cmd->add_option("args", want.rest, "After --: arguments for psql");
  on(connect_cmd, [this] { return connect(io, g, want); });
  auto* creds_cmd = add(&app, "creds", "A user name and password for any client", access_group);
  wants(creds_cmd);
  creds_cmd->add_option("--format", want.format, "text, env, url or json")
      ->check(CLI::IsMember({"text", "env", "url", "json"}));
  on(creds_cmd, [this] { return creds(io, g, want); });

  auto* setup = add(&app, "setup", "Make other programs know your access", access_group);
  setup->require_subcommand(1);
  auto* setup_psql_cmd = add(setup, "psql", "A service for each target and role: psql service=pg/orders");
  setup_psql_cmd->add_flag("--undo", undo, "Take it away again, to the byte");
  on(setup_psql_cmd, [this] { return setup_psql(io, g, undo); });
}

void CommandLine::grants_and_sessions() {
  auto* grants = add(&app, "grants", "Access that is running", access_group);
  grants->require_subcommand(1);
  auto* ls_cmd = add(grants, "ls", "List");
  ls_cmd->add_flag("-a,--all", all, "Everybody's (administrators)");
  ls_cmd->add_flag("--closed", closed, "Also what has ended");
  ls_cmd->add_flag("--overdue", overdue, "Only revocations that take too long");
  on(ls_cmd, [this] { return grants_ls(io, g, all, closed, overdue); });
  auto* show_cmd = add(grants, "show", "One grant");
  show_cmd->add_option("id", id, "As grants ls shows it")->required();
  on(show_cmd, [this] { return grants_show(io, g, id); });
  auto* extend_cmd = add(grants, "extend", "Extend in place, within what policy allows");
  extend_cmd->add_option("id", id, "As grants ls shows it")->required();
  extend_cmd->add_option("--for", by, "From now, e.g. 30m")->required();
  on(extend_cmd, [this] { return grants_extend(io, g, id, by); });
  auto* end_cmd = add(grants, "end", "End now, and wait until it is proven gone");
  end_cmd->add_option("id", id, "As grants ls shows it")->required();
  on(end_cmd, [this] { return grants_end(io, g, id); });
  auto* receipt_cmd = add(grants, "receipt", "Evidence that one was created, cut and found absent, to keep");
  receipt_cmd->add_option("id", id, "As grants ls --closed shows it")->required();
  on(receipt_cmd, [this] { return grants_receipt(io, g, id); });

  auto* freeze_cmd =
      add(&app, "freeze", "Cut everything and give nothing: a tenant, or with the socket all", admin_group);
  freeze_cmd->add_option("--reason", reason, "Why; whoever is cut off reads it")->required();
  on(freeze_cmd, [this] { return freeze(io, g, reason); });
  on(add(&app, "thaw", "Give access again after a freeze", admin_group), [this] { return thaw(io, g); });

  auto* admin = add(&app, "admin", "For the operator (--socket)", admin_group);
  admin->require_subcommand(1);
  auto* restore_cmd = add(admin, "restore", "What differs after a restore, and going on with it");
  restore_cmd->add_flag("--confirm", confirm, "End every login of the backup, and go on");
  on(restore_cmd, [this] { return admin_restore(io, g, confirm); });
  auto* orphans_cmd = add(admin, "orphans", "Accounts on targets that nobody answers for, of all tenants or of one");
  orphans_cmd->add_flag("--fix", fix, "Take away those that are ours");
  on(orphans_cmd, [this] { return admin_orphans(io, g, fix); });

  auto* report = add(&app, "report", "What policies give, and what was made of it", admin_group);
  report->require_subcommand(1);
  auto* unused_cmd = add(report, "unused", "Roles and objects that nobody used, and the policies to tighten");
  unused_cmd->add_option("--days", days, "How long not")->check(CLI::Range(1, 3650))->capture_default_str();
  unused_cmd->add_flag("-a,--all", all, "Those that are used, too");
  on(unused_cmd, [this] { return report_unused(io, g, days, all); });

  auto* tenants = add(&app, "tenants", "Tenants, for the operator (--socket)", admin_group);
  tenants->require_subcommand(1);
  on(add(tenants, "ls", "List"), [this] { return tenants_ls(io, g); });
  auto* tenant_create = add(tenants, "create", "Make one; nothing needs a restart");
  tenant_create->add_option("id", id, "a-z, 0-9 and -: part of every URL of it, and never given twice")->required();
  tenant_create->add_option("--display", display, "What people are shown");
  on(tenant_create, [this] { return tenants_create(io, g, id, display); });
  auto* tenant_set = add(tenants, "set", "Change what one is called, and which private hosts it may name");
  tenant_set->add_option("id", id, "As tenants ls shows it")->required();
  tenant_set->add_option("--display", display, "What people are shown");
  auto* host_option = tenant_set->add_option(
      "--private-host", private_hosts,
      "A host of a private network that its administrators may name; again for each, in place of those before");
  tenant_set->add_flag("--no-private-hosts", no_private_hosts, "None of them any more")->excludes(host_option);
  on(tenant_set, [this] {
    const bool said = no_private_hosts || !private_hosts.empty();
    return tenants_set(io, g, id, display, said ? std::optional(private_hosts) : std::nullopt);
  });
  auto* tenant_delete = add(tenants, "delete", "End everything of one, and erase it");
  tenant_delete->add_option("id", id, "As tenants ls shows it")->required();
  tenant_delete->add_flag("-y,--yes", yes, "Do not ask");
  on(tenant_delete, [this] { return tenants_delete(io, g, id, yes); });
  auto* secrets = add(&app, "secrets", "What the tenant keeps here, sealed; settings name it tenant:NAME", admin_group);
  secrets->require_subcommand(1);
  on(add(secrets, "ls", "List by name; none is ever shown"), [this] { return secrets_ls(io, g); });
  auto* secret_set = add(secrets, "set", "Keep one, or replace it; from standard input or a file");
  secret_set->add_option("name", id, "a-z, 0-9 and -")->required();
  secret_set->add_option("--file", file, "Read it from here; one newline at the end is left out");
  on(secret_set, [this] { return secrets_set(io, g, id, file); });
  auto* make_key = add(secrets, "make-key", "Make a key pair that never leaves, and print its certificate");
  make_key->add_option("name", id, "a-z, 0-9 and -")->required();
  on(make_key, [this] { return secrets_make_key(io, g, id); });
  auto* secret_rm = add(secrets, "rm", "Remove one that no setting names");
  secret_rm->add_option("name", id, "As secrets ls shows it")->required();
  on(secret_rm, [this] { return secrets_rm(io, g, id); });
  auto* sessions = add(&app, "sessions", "Login sessions", admin_group);
  sessions->require_subcommand(1);
  on(add(sessions, "ls", "List"), [this] { return sessions_ls(io, g); });
  auto* session_end = add(sessions, "end", "End one, and every grant of it");
  session_end->add_option("id", id, "As sessions ls shows it")->required();
  on(session_end, [this] { return sessions_end(io, g, id); });
  auto* revalidate = add(sessions, "revalidate", "Ask the identity provider now whether one may go on");
  revalidate->add_option("id", id, "As sessions ls shows it")->required();
  on(revalidate, [this] { return sessions_revalidate(io, g, id); });
}

void CommandLine::policies() {
  auto* policy = add(&app, "policy", "Policies", admin_group);
  policy->require_subcommand(1);
  auto* explain = add(policy, "explain", "Why or why not: policy explain [USER] ROLE");
  explain->add_option("user_role", user_role, "[USER] ROLE, e.g. corp/8f3a pg/orders/reader")
      ->required()
      ->expected(1, 2);
  explain->add_option("--at", at, "At another time (RFC 3339)");
  on(explain,
     [this] { return policy_explain(io, g, user_role.size() == 2 ? user_role[0] : "", user_role.back(), at); });
  auto* simulate = add(policy, "simulate", "What recorded decisions would become under a folder, before it is applied");
  simulate->add_option("folder", folder, "The folder with tenant.toml and policies/")->required();
  on(simulate, [this] { return policy_simulate(io, g, folder); });
  auto* schema = add(policy, "schema", "What policies can speak of, as a Cedar schema");
  schema->add_option("folder", folder, "Of a tenant's folder; without it the server's tenant");
  schema->add_flag("--json", as_json, "In the JSON form of schemas");
  on(schema, [this] { return policy_schema(io, g, folder, as_json); });

  const auto reads = [this](CLI::App* c) {
    c->add_option("--policies", policy_files.policies, "Cedar policies, as text or JSON; - reads stdin")->required();
    c->add_flag("--ids-by-annotation", policy_files.ids_by_annotation, "Name policies by their @id, as a tenant's are");
  };
  auto* authorize = add(policy, "authorize", "Decide one request over files, without a server");
  reads(authorize);
  authorize->add_option("--entities", policy_files.entities, "Entities JSON")->required();
  authorize->add_option("--schema", policy_files.schema, "Read entities and request with its types, and check them");
  authorize->add_option("--request", policy_files.request, "{\"principal\", \"action\", \"resource\", \"context\"}")
      ->required();
  on(authorize, [this] { return policy_authorize(io, g, policy_files); });
  auto* validate = add(policy, "validate", "Check policies against a schema, without a server");
  reads(validate);
  validate->add_option("--schema", policy_files.schema, "Cedar schema, as text or JSON")->required();
  validate->add_option("--level", policy_files.level, "At most that many steps from the request's entities");
  on(validate, [this] { return policy_validate(io, g, policy_files); });
  auto* translate = add(policy, "translate", "Between Cedar's text and its JSON forms");
  translate->add_option("kind", kind, "policies or schema")->required()->check(CLI::IsMember({"policies", "schema"}));
  translate->add_option("file", file, "What to translate; - reads stdin")->required();
  translate->add_option("--to", to, "json or text; without it the other one")->check(CLI::IsMember({"json", "text"}));
  on(translate, [this] { return policy_translate(io, g, kind, file, to); });
  auto* fmt = add(policy, "fmt", "Lay policies out, comments kept");
  fmt->add_flag("--check", only_check, "Only name the files that would change; exit 1 when there are some");
  fmt->add_option("files", names, "Cedar policies, rewritten in place; - is stdin to stdout")->required();
  on(fmt, [this] { return policy_fmt(io, g, names, only_check); });
  auto* corpus = add(policy, "corpus", "Run every case of Cedar's conformance format below a folder");
  corpus->add_option("folder", folder, "The folder with the cases")->required();
  on(corpus, [this] { return policy_corpus(io, g, folder); });
}

void CommandLine::administration() {
  auto* apply_cmd = add(&app, "apply", "Apply a tenant's folder; the plan is shown first", admin_group);
  apply_cmd->add_option("folder", folder, "The folder with tenant.toml and policies/")->required();
  apply_cmd->add_flag("--dry-run", dry_run, "Only show the plan");
  apply_cmd->add_flag("-y,--yes", yes, "Do not ask");
  on(apply_cmd, [this] { return apply(io, g, folder, dry_run, yes); });

  auto* target_cmd = add(&app, "target", "Targets", admin_group);
  target_cmd->require_subcommand(1);
  auto* check = add(target_cmd, "check", "Test the admin login, its rights and the group roles");
  check->add_option("target", target, "e.g. pg/orders")->required();
  on(check, [this] { return target_check(io, g, target); });
  auto* installer = add(target_cmd, "installer", "Write the SQL that confines the login of a PostgreSQL target");
  installer->add_option("--instance", installed.instance, "The six characters in <data_dir>/instance")->required();
  installer->add_option("--login", installed.login, "The role that Daypass logs in as (admin_user)")->required();
  installer->add_option("--home", installed.home, "The database it works in (maintenance_database, else database)")
      ->required();
  const auto each = [](CLI::Option* option) {
    option->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->allow_extra_args(false);
  };
  each(installer->add_option("--database", installed.databases, "Another that accounts may reach (repeatable)"));
  each(installer->add_option("--group", installed.groups, "A role that accounts may be put into (repeatable)"));
  each(installer->add_option("--heir", installed.heirs, "A role that may inherit what they made (repeatable)"));
  installer->add_option("--longest", installed.longest, "No account lives longer from any call on; 24h");
  installer->add_option("--connections", installed.connections, "Nor has more; the grant's and 2 beyond it; 102");
  installer->add_flag("--uninstall", installed.uninstall, "Write what takes it all away again");
  on(installer, [this] { return target_installer(io, g, installed); });

  auto* idp_cmd = add(&app, "idp", "Identity providers", admin_group);
  idp_cmd->require_subcommand(1);
  auto* add_cmd = add(idp_cmd, "add", "Write one down: asks what can't be discovered, says what to register there");
  add_cmd->add_option("--preset", added.preset, "okta, entra, google, keycloak, adfs or generic");
  add_cmd->add_option("--protocol", added.protocol, "oidc or saml");
  add_cmd->add_option("--name", added.name, "Its name in identities and policies; without it the preset's");
  add_cmd->add_option("--display", added.display, "What the sign-in page calls it");
  add_cmd->add_option("--dir", added.folder, "The tenant's folder, as for daypass apply");
  add_cmd->add_option(
      "--issuer", added.issuer,
      "The issuer; okta: your domain, entra: the directory ID, keycloak: the realm's URL, adfs: the host");
  add_cmd->add_option("--metadata", added.metadata, "SAML metadata, a URL or a file; or what --issuer takes");
  const auto list = [](CLI::Option* option) {
    option->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->allow_extra_args(false);
  };
  list(add_cmd->add_option("--pin", added.pins, "SHA-256 of a certificate that signs (SAML; repeatable)"));
  add_cmd->add_option("--client-id", added.client_id, "As the provider shows it");
  add_cmd->add_option("--client-auth", added.client_auth, "basic, post, private_key_jwt or none");
  add_cmd->add_option("--client-secret-file", added.secret_file, "A file that holds the secret; - reads stdin");
  add_cmd->add_option("--client-secret-ref", added.secret_ref, "Where the server finds it: file:/path or env:NAME");
  add_cmd->add_option("--secret-at", added.secret_at, "Where to keep a secret that is typed");
  add_cmd->add_option("--domain", added.domain, "Your Google Workspace domain");
  list(
      add_cmd->add_option("--allow-host", added.allowed_hosts, "A host of it that has a private address (repeatable)"));
  add_cmd->add_option("--ca-file", added.ca_file, "PEM file of trust anchors for it");
  add_cmd->add_option("--sp-key", added.sp_key, "SAML: where our own key and certificate are, file:/path");
  on(add_cmd, [this] { return idp_add(io, g, added); });
  auto* domains_cmd = add(idp_cmd, "domains", "The DNS records that prove domains, and which are proven");
  domains_cmd->add_flag("--check", only_check, "Look for the records now");
  on(domains_cmd, [this] { return idp_domains(io, g, only_check); });
  auto* test_cmd = add(idp_cmd, "test", "A real sign-in, shown in full, of which nothing is kept");
  test_cmd->add_option("name", tested.name, "The provider's name in tenant.toml")->required();
  test_cmd->add_option("--dir", tested.folder, "As the folder has it; without it as it is applied");
  test_cmd->add_flag("--no-browser", tested.no_browser, "Print the address, open nothing");
  on(test_cmd, [this] { return idp_test(io, g, tested); });

  auto* audit = add(&app, "audit", "The audit log", admin_group);
  audit->require_subcommand(1);
  auto* tail = add(audit, "tail", "The last records");
  tail->add_option("-n", n, "How many")->capture_default_str();
  on(tail, [this] { return audit_tail(io, g, n); });
  auto* export_cmd = add(audit, "export", "Every record, one JSON line each, to the byte");
  export_cmd->add_option("--format", format, "jsonl; ocsf (events of the Open Cybersecurity Schema Framework); tiles")
      ->check(CLI::IsMember({"jsonl", "ocsf", "tiles"}));
  export_cmd->add_option("--to", folder, "tiles: the folder to make");
  on(export_cmd, [this] { return audit_export(io, g, format.empty() ? "jsonl" : format, folder); });
  on(add(audit, "checkpoint", "Sign the log's head and print it; keep it elsewhere"),
     [this] { return audit_checkpoint(io, g); });
  on(add(audit, "key", "The key that verifies the log's checkpoints; keep it elsewhere"),
     [this] { return audit_key(io, g); });
  auto* prove = add(audit, "prove", "The proof that a record stands in the log of a signed checkpoint");
  prove->add_option("id", id, "The record's number, from 0")->required();
  prove->add_option("--format", format, "json, which has the record, too; tlog-proof (C2SP)")
      ->check(CLI::IsMember({"json", "tlog-proof"}));
  on(prove, [this] { return audit_prove(io, g, id, format); });
  auto* forward = add(audit, "forward", "Who gets the records as they are written");
  forward->require_subcommand(1);
  on(add(forward, "ls", "Each receiver, how far it is, and what stands in the way"),
     [this] { return audit_forward_ls(io, g); });
  auto* retry = add(forward, "retry", "Try a receiver now that took none");
  retry->add_option("name", id, "Its name, as forward ls shows it")->required();
  on(retry, [this] { return audit_forward_retry(io, g, id); });
  auto* erase_cmd = add(audit, "erase", "Erase somebody who has gone, for good; the log still verifies");
  erase_cmd->add_option("person", id, "provider/subject, as the log names them")->required();
  erase_cmd->add_flag("--yes", yes, "Without being asked");
  on(erase_cmd, [this] { return audit_erase(io, g, id, yes); });
  auto* verify = add(audit, "verify", "Recompute every hash; with --log or --receipt without a server");
  verify->add_option("--log,--file", audit_files.log, "An export (JSON lines, or a folder of tiles), not the server's");
  verify->add_option("--checkpoint", audit_files.checkpoints, "One that was kept elsewhere (repeatable)")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
  verify->add_option("--key", audit_files.key, "The log's key, or a file that holds it");
  verify->add_option("--root", audit_files.root, "A root that was kept elsewhere (hex), instead of a checkpoint");
  verify->add_option("--receipt", audit_files.receipt, "A receipt, or a proof of audit prove, instead of a log");
  verify->add_flag("--quick", audit_files.quick, "Ask the server for a proof of the checkpoint, not for its whole log");
  on(verify, [this] { return audit_verify(io, g, audit_files); });
}

void CommandLine::tools() {
  on(add(&app, "doctor", "Check this machine, the login and, when allowed, the server", tools_group),
     [this] { return doctor(io, g); });
  auto* oidc = add(&app, "oidc", "For people who debug an identity provider", tools_group);
  oidc->require_subcommand(1);
  auto* oidc_cmd = add(oidc, "verify", "Verify an ID token: the claims, or the one check that failed");
  oidc_cmd->add_option("--jwks", jwks, "File with the provider's keys")->required();
  oidc_cmd->add_option("--issuer", issuer, "Whose token it must be")->required();
  oidc_cmd->add_option("--audience", audience, "For whom it must be: the client id")->required();
  auto* nonce_option = oidc_cmd->add_option("--nonce", nonce, "The nonce of the sign-in");
  oidc_cmd->add_option("--now", now, "Another time: RFC 3339 or seconds since 1970");
  oidc_cmd->add_option("token", token, "The token; - reads stdin")->required();
  on(oidc_cmd, [this, nonce_option] {
    return oidc_verify(io, g, jwks, issuer, audience, nonce_option->count() != 0 ? std::optional(nonce) : std::nullopt,
                       now, token);
  });
  auto* saml = add(&app, "saml", "For people who debug a SAML identity provider", tools_group);
  saml->require_subcommand(1);
  auto* saml_cmd = add(saml, "verify", "Verify a Response: what it says, or the one check that failed");
  saml_cmd->add_option("--idp-metadata", saml_files.metadata, "File with the provider's metadata")->required();
  auto* response =
      saml_cmd->add_option("--response", saml_files.response, "The Response, XML or base64; - reads stdin");
  auto* sp_entity_id = saml_cmd->add_option("--sp-entity-id", saml_files.sp_entity_id, "For whom it must be");
  auto* acs = saml_cmd->add_option("--acs", saml_files.acs, "The URL that it was posted to")->needs(sp_entity_id);
  auto* slo = saml_cmd->add_option("--slo", saml_files.slo,
                                   "Our single logout URL: it is a LogoutResponse, XML, base64 "
                                   "or the query that it came in");
  saml_cmd->add_option("--now", saml_files.now, "At which time: RFC 3339")->required();
  saml_cmd->add_option("--request-id", saml_files.request_id, "The request that it answers; without it: none");
  saml_cmd->add_option("--sp-key", saml_files.sp_key, "PEM file with our private key, to decrypt");
  auto* batch =
      saml_cmd->add_flag("--batch", saml_files.batch, "JSON lines {\"response\": base64} on stdin, one answer each");
  batch->excludes(response)->excludes(slo);
  slo->excludes(acs)->excludes(sp_entity_id);
  on(saml_cmd, [this] { return saml_verify(io, g, saml_files); });
  auto* jose = add(&app, "jose", "JSON Web Signatures", tools_group);
  jose->require_subcommand(1);
  auto* jose_cmd = add(jose, "verify", "Check the signature alone and print the payload");
  jose_cmd->add_option("--jwks", jwks, "File with the keys")->required();
  jose_cmd->add_option("token", token, "The token; - reads stdin")->required();
  on(jose_cmd, [this] { return jose_verify(io, g, jwks, token); });

  on(add(&app, "version", "The version", tools_group), [this] {
    if (g.json())
      print_json(io, {{"version", DAYPASS_VERSION}});
    else
      io.out(std::string("daypass ") + DAYPASS_VERSION + "\n");
    return int{Exit::done};
  });
  auto* help = add(&app, "help", "Help on a command, or on exit-codes", tools_group);
  help->add_option("topic", topic, "A command, or exit-codes");
  on(help, [this] {
    const auto show = [this](const std::string& text) {
      if (g.json())
        print_json(io, {{"help", text}});
      else
        io.out(text);
      return int{Exit::done};
    };
    if (topic == std::vector<std::string>{"exit-codes"}) return show(exit_codes);
    CLI::App* command = &app;
    std::string name = "daypass";
    for (const auto& word : topic) {
      CLI::App* next = child_of(command, word);
      if (next == nullptr)
        return fail(io, g,
                    {base::Code::not_found, "help.topic", "there is no command or topic \"" + word + "\"",
                     "daypass help lists the commands; daypass help exit-codes"},
                    "no help");
      name += " " + word;
      command = next;
    }
    return show(help_of(command, name));
  });
}

void CommandLine::server() {
  auto* server = add(&app, "server", "Run the server", server_group);
  server->require_subcommand(1);
  auto* run_cmd = add(server, "run", "Run in the foreground");
  run_cmd->add_option("--config", file, "daypass.toml")->required();
  run_cmd->add_flag("--restored", restored, "The store is a backup: wait until the operator confirms it");
  on(run_cmd, [this] { return server_run(io, g, file, restored); });
  auto* config_cmd = add(server, "config", "The server's configuration");
  config_cmd->require_subcommand(1);
  auto* check_cmd = add(config_cmd, "check", "Every problem, with file, line and hint");
  check_cmd->add_option("--config", file, "daypass.toml")->required();
  on(check_cmd, [this] { return config_check(io, g, file); });
}

/// The deepest command that the arguments name, and the first word that fits nowhere.
struct Walk {
  CLI::App* command;
  std::string name = "daypass";
  std::string stranger;
  std::vector<std::string> known;  ///< what could have stood there
};

Walk walk(CLI::App& app, const std::vector<std::string>& args) {
  Walk w{&app, "daypass", {}, {}};
  const auto option_of = [&](const std::string& name) -> CLI::Option* {
    for (CLI::App* at = w.command; at != nullptr; at = at->get_parent())
      if (CLI::Option* option = at->get_option_no_throw(name)) return option;
    return nullptr;
  };
  for (std::size_t i = 0; i < args.size() && args[i] != "--"; ++i) {
    const std::string& word = args[i];
    if (word.starts_with('-') && word.size() > 1) {
      const std::string name = word.substr(0, word.find('='));
      CLI::Option* option = option_of(name.starts_with("--") ? name : name.substr(0, 2));
      if (option == nullptr) {
        w.stranger = name;
        for (CLI::App* at = w.command; at != nullptr; at = at->get_parent())
          for (CLI::Option* o : at->get_options())
            for (const auto& l : o->get_lnames()) w.known.push_back("--" + l);
        return w;
      }
      if (option->get_items_expected_min() > 0 && word == name) ++i;
      continue;
    }
    if (CLI::App* next = child_of(w.command, word)) {
      w.command = next;
      w.name += " " + word;
      continue;
    }
    if (w.command->get_require_subcommand_min() == 0) continue;
    w.stranger = word;
    for (CLI::App* sub : w.command->get_subcommands({})) w.known.push_back(sub->get_name());
    return w;
  }
  return w;
}

int wrong(CommandLine& line, const std::vector<std::string>& args, const std::string& message) {
  // -o may stand behind what could not be read.
  for (std::size_t i = 0; i < args.size(); ++i)
    if (args[i] == "-ojson" || args[i] == "--output=json" ||
        ((args[i] == "-o" || args[i] == "--output") && i + 1 < args.size() && args[i + 1] == "json"))
      line.g.output = "json";
  const Walk w = walk(line.app, args);
  base::Error error{base::Code::invalid, "usage", message, w.name + " --help"};
  if (!w.stranger.empty()) {
    const bool option = w.stranger.starts_with('-');
    const std::string meant = base::nearest(w.stranger, w.known);
    error.check = option ? "usage.option" : "usage.command";
    error.message = w.name + (option ? " has no option " : " has no command ") + w.stranger;
    if (!meant.empty())
      error.hint =
          "did you mean " + (option ? meant : w.name + " " + meant) + "? " + w.name + " --help lists what there is";
  } else if (w.command->get_require_subcommand_min() > 0 && !line.g.json()) {
    // A bare name is a question.
    line.io.err(help_of(w.command, w.name));
    return Exit::usage;
  }
  (void)fail(line.io, line.g, error, "that is not a command line");
  return Exit::usage;
}

void list_commands(const CLI::App& app, const std::string& name, std::vector<CommandHelp>& out) {
  CommandHelp help{name, {}, app.get_subcommands({}).empty()};
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional()) help.options.push_back(option->get_name(true));
    for (const auto& l : option->get_lnames()) help.options.push_back("--" + l);
    for (const auto& s : option->get_snames()) help.options.push_back("-" + s);
  }
  out.push_back(std::move(help));
  for (const CLI::App* sub : app.get_subcommands({})) list_commands(*sub, name + " " + sub->get_name(), out);
}

}  // namespace

std::vector<CommandHelp> command_tree() {
  Io io;
  CommandLine line(io);
  std::vector<CommandHelp> out;
  list_commands(line.app, "daypass", out);
  return out;
}

int run(const std::vector<std::string>& args, Io& io) {
  CommandLine line(io);
  std::vector<std::string> reversed(args.rbegin(), args.rend());
  try {
    line.app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    const Walk w = walk(line.app, args);
    io.out(help_of(w.command, w.name));
    return Exit::done;
  } catch (const CLI::CallForAllHelp&) {
    io.out(line.app.help("", CLI::AppFormatMode::All));
    return Exit::done;
  } catch (const CLI::CallForVersion&) {
    io.out(std::string("daypass ") + DAYPASS_VERSION + "\n");
    return Exit::done;
  } catch (const CLI::ParseError& e) {
    return wrong(line, args, e.what());
  }
  return line.chosen ? line.chosen() : int{Exit::usage};
}

void keep_memory_private() {
  // The limit alone does not stop a core that goes to a program (core(5), "Piping core dumps").
  const rlimit none{0, 0};
  if (::setrlimit(RLIMIT_CORE, &none) != 0 || ::prctl(PR_SET_DUMPABLE, 0) != 0) std::abort();
}

int main_of(int argc, char** argv) {
  keep_memory_private();
  const base::SystemClock clock;
  base::SystemEntropy entropy;
  const auto write_all = [](int fd) {
    return [fd](std::string_view text) {
      while (!text.empty()) {
        const ssize_t k = ::write(fd, text.data(), text.size());
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return;
        text.remove_prefix(static_cast<std::size_t>(k));
      }
    };
  };
  Io io;
  io.out = write_all(STDOUT_FILENO);
  io.err = write_all(STDERR_FILENO);
  io.in = [] {
    std::string text;
    char buffer[4096];
    const bool line_only = ::isatty(STDIN_FILENO) != 0;
    for (ssize_t k = 0; (k = ::read(STDIN_FILENO, buffer, sizeof buffer)) > 0 && text.size() < (1U << 20U);) {
      text.append(buffer, static_cast<std::size_t>(k));
      if (line_only && text.ends_with('\n')) break;
    }
    return text;
  };
  io.line = [rest = std::string()]() mutable -> std::optional<std::string> {
    char buffer[65536];
    std::size_t looked = 0;
    for (;;) {
      const std::size_t end = rest.find('\n', looked);
      if (end != std::string::npos) {
        std::string found = rest.substr(0, end);
        rest.erase(0, end + 1);
        return found;
      }
      looked = rest.size();
      if (looked > (std::size_t{16} << 20U)) return std::nullopt;
      const ssize_t k = ::read(STDIN_FILENO, buffer, sizeof buffer);
      if (k < 0 && errno == EINTR) continue;
      if (k <= 0) return rest.empty() ? std::nullopt : std::optional(std::exchange(rest, {}));
      rest.append(buffer, static_cast<std::size_t>(k));
    }
  };
  io.hidden = read_hidden;
  io.pause = [](base::Millis time) { ::poll(nullptr, 0, static_cast<int>(time.count())); };
  io.env = environment();
  io.out_is_tty = ::isatty(STDOUT_FILENO) != 0;
  io.in_is_tty = ::isatty(STDIN_FILENO) != 0;
  io.clock = &clock;
  io.entropy = &entropy;
  return run({argv + 1, argv + argc}, io);
}

}  // namespace daypass::app::cli
