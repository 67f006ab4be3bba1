// The only file that sees CLI11: reads the command line into plain options.
#include "app/cli/cli.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "app/cli/commands.h"
#include "app/demo/demo.h"
#include "app/secrets.h"

namespace daypass::app::cli {

namespace {

constexpr const char* exit_codes =
    "0  done\n1  failed\n2  the command line, or a configuration, is wrong\n3  denied by policy\n4  a login is needed\n"
    "5  waiting for an approval\n6  not found\n7  unreachable\n8  access ended while in use\n"
    "connect passes the client's own code through.\n";

}  // namespace

int run(const std::vector<std::string>& args, Io& io) {
  CLI::App app{"Access that ends: sign in at your identity provider, get a role made for this session, lose it on time.", "daypass"};
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "Help for every command");
  app.fallthrough();
  Globals g;
  app.add_option("--server", g.server, "Where the server is (DAYPASS_SERVER)");
  app.add_option("--tenant", g.tenant, "Which tenant (DAYPASS_TENANT)");
  app.add_option("--socket", g.socket, "The operator's socket, instead of a login (DAYPASS_SOCKET)");
  app.add_option("-o,--output", g.output, "table, json or name")->check(CLI::IsMember({"table", "json", "name"}));
  std::function<int()> chosen;
  const auto on = [&](CLI::App* command, std::function<int()> fn) { command->callback([&chosen, fn] { chosen = fn; }); };

  demo::DemoOptions demo_options;
  auto* demo = app.add_subcommand("demo", "Everything on loopback, thrown away at the end");
  demo->add_flag("--story", demo_options.story, "Play the whole story and exit");
  demo->add_flag("--keep", demo_options.keep, "Leave the folder behind");
  on(demo, [&] { return demo::run_demo(demo_options); });

  LoginOptions login_options;
  auto* login_cmd = app.add_subcommand("login", "Sign in");
  login_cmd->add_flag("--device", login_options.device, "On a machine without a browser: type a code elsewhere");
  login_cmd->add_flag("--no-browser", login_options.no_browser, "Print the address, open nothing");
  login_cmd->add_option("--idp", login_options.idp, "Which identity provider, where there are several");
  on(login_cmd, [&] { return login(io, g, login_options); });
  on(app.add_subcommand("logout", "Log out: everything of this login ends"), [&] { return logout(io, g); });
  on(app.add_subcommand("status", "Who is signed in, until when"), [&] { return status(io, g); });

  bool all = false, closed = false, overdue = false;
  auto* ls_cmd = app.add_subcommand("ls", "What you may have now, and why");
  ls_cmd->add_flag("-a,--all", all, "Also what you may not have, and why not");
  on(ls_cmd, [&] { return ls(io, g, all); });

  WantOptions want;
  const auto wants = [&](CLI::App* c) {
    c->add_option("target", want.target, "e.g. pg/orders")->required();
    c->add_option("--role", want.roles, "A role by name; elevated ones are given only so (repeatable)");
    c->add_option("--for", want.for_, "For how long, e.g. 30m; at most what policy allows");
    c->add_option("--reason", want.reason, "Why; policy may ask for it, the log keeps it");
  };
  auto* connect_cmd = app.add_subcommand("connect", "Connect with psql, as a role made for this session");
  wants(connect_cmd);
  connect_cmd->add_option("args", want.rest, "After --: arguments for psql");
  on(connect_cmd, [&] { return connect(io, g, want); });
  auto* creds_cmd = app.add_subcommand("creds", "A user name and password for any client");
  wants(creds_cmd);
  creds_cmd->add_option("--format", want.format, "text, env, url or json")->check(CLI::IsMember({"text", "env", "url", "json"}));
  on(creds_cmd, [&] { return creds(io, g, want); });

  std::string id, by, user, role, at, folder, target, file, root, jwks, issuer, audience, nonce, now, token;
  std::size_t n = 20;
  bool dry_run = false, yes = false;
  auto* grants = app.add_subcommand("grants", "Access that is running");
  grants->require_subcommand(1);
  auto* grants_ls_cmd = grants->add_subcommand("ls", "List");
  grants_ls_cmd->add_flag("-a,--all", all, "Everybody's (administrators)");
  grants_ls_cmd->add_flag("--closed", closed, "Also what has ended");
  grants_ls_cmd->add_flag("--overdue", overdue, "Only revocations that take too long");
  on(grants_ls_cmd, [&] { return grants_ls(io, g, all, closed, overdue); });
  auto* show_cmd = grants->add_subcommand("show", "One grant");
  show_cmd->add_option("id", id)->required();
  on(show_cmd, [&] { return grants_show(io, g, id); });
  auto* extend_cmd = grants->add_subcommand("extend", "Extend in place, within what policy allows");
  extend_cmd->add_option("id", id)->required();
  extend_cmd->add_option("--for", by, "From now, e.g. 30m")->required();
  on(extend_cmd, [&] { return grants_extend(io, g, id, by); });
  auto* end_cmd = grants->add_subcommand("end", "End now, and wait until it is proven gone");
  end_cmd->add_option("id", id)->required();
  on(end_cmd, [&] { return grants_end(io, g, id); });

  auto* sessions = app.add_subcommand("sessions", "Login sessions (administrators)");
  sessions->require_subcommand(1);
  on(sessions->add_subcommand("ls", "List"), [&] { return sessions_ls(io, g); });
  auto* session_end = sessions->add_subcommand("end", "End one, and every grant of it");
  session_end->add_option("id", id)->required();
  on(session_end, [&] { return sessions_end(io, g, id); });

  auto* policy = app.add_subcommand("policy", "Policies");
  policy->require_subcommand(1);
  auto* explain = policy->add_subcommand("explain", "Why or why not: policy explain [USER] ROLE");
  std::vector<std::string> user_role;
  explain->add_option("user_role", user_role, "[USER] ROLE, e.g. corp/8f3a pg/orders/reader")->required()->expected(1, 2);
  explain->add_option("--at", at, "At another time (RFC 3339)");
  on(explain, [&] { return policy_explain(io, g, user_role.size() == 2 ? user_role[0] : "", user_role.back(), at); });

  auto* apply_cmd = app.add_subcommand("apply", "Apply a tenant's folder; the plan is shown first");
  apply_cmd->add_option("folder", folder)->required();
  apply_cmd->add_flag("--dry-run", dry_run, "Only show the plan");
  apply_cmd->add_flag("-y,--yes", yes, "Do not ask");
  on(apply_cmd, [&] { return apply(io, g, folder, dry_run, yes); });

  auto* target_cmd = app.add_subcommand("target", "Targets");
  target_cmd->require_subcommand(1);
  auto* check = target_cmd->add_subcommand("check", "Test the admin login, its rights and the group roles");
  check->add_option("target", target, "e.g. pg/orders")->required();
  on(check, [&] { return target_check(io, g, target); });

  auto* audit = app.add_subcommand("audit", "The audit log");
  audit->require_subcommand(1);
  auto* tail = audit->add_subcommand("tail", "The last records");
  tail->add_option("-n", n, "How many");
  on(tail, [&] { return audit_tail(io, g, n); });
  on(audit->add_subcommand("export", "Every record, one JSON line each, to the byte"), [&] { return audit_export(io, g); });
  auto* verify = audit->add_subcommand("verify", "Recompute every hash and the root");
  verify->add_option("--file", file, "An export, instead of the server's log");
  verify->add_option("--root", root, "The root that was kept elsewhere (hex)");
  on(verify, [&] { return audit_verify(io, g, file, root); });

  auto* oidc = app.add_subcommand("oidc", "For people who debug an identity provider");
  oidc->require_subcommand(1);
  auto* oidc_cmd = oidc->add_subcommand("verify", "Verify an ID token: the claims, or the one check that failed");
  oidc_cmd->add_option("--jwks", jwks, "File with the provider's keys")->required();
  oidc_cmd->add_option("--issuer", issuer)->required();
  oidc_cmd->add_option("--audience", audience)->required();
  auto* nonce_option = oidc_cmd->add_option("--nonce", nonce);
  oidc_cmd->add_option("--now", now, "Another time: RFC 3339 or seconds since 1970");
  oidc_cmd->add_option("token", token, "The token; - reads stdin")->required();
  on(oidc_cmd, [&] { return oidc_verify(io, g, jwks, issuer, audience, nonce_option->count() != 0 ? std::optional(nonce) : std::nullopt, now, token); });
  auto* jose = app.add_subcommand("jose", "JSON Web Signatures");
  jose->require_subcommand(1);
  auto* jose_cmd = jose->add_subcommand("verify", "Check the signature alone and print the payload");
  jose_cmd->add_option("--jwks", jwks)->required();
  jose_cmd->add_option("token", token, "The token; - reads stdin")->required();
  on(jose_cmd, [&] { return jose_verify(io, g, jwks, token); });

  auto* server = app.add_subcommand("server", "Run the server");
  server->require_subcommand(1);
  auto* run_cmd = server->add_subcommand("run", "Run in the foreground");
  run_cmd->add_option("--config", file, "daypass.toml")->required();
  on(run_cmd, [&] { return server_run(io, g, file); });
  auto* config_cmd = server->add_subcommand("config", "The server's configuration");
  config_cmd->require_subcommand(1);
  auto* config_check_cmd = config_cmd->add_subcommand("check", "Every problem, with file, line and hint");
  config_check_cmd->add_option("--config", file, "daypass.toml")->required();
  on(config_check_cmd, [&] { return config_check(io, g, file); });

  on(app.add_subcommand("version", "The version"), [&] {
    if (g.json()) print_json(io, {{"version", DAYPASS_VERSION}});
    else io.out(std::string("daypass ") + DAYPASS_VERSION + "\n");
    return int{Exit::done};
  });
  auto* help = app.add_subcommand("help", "Help on a topic: exit-codes");
  std::string topic;
  help->add_option("topic", topic);
  on(help, [&] {
    io.out(topic == "exit-codes" ? std::string(exit_codes) : app.help());
    return int{Exit::done};
  });

  std::vector<std::string> reversed(args.rbegin(), args.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    io.out(app.help());
    return Exit::done;
  } catch (const CLI::CallForAllHelp&) {
    io.out(app.help("", CLI::AppFormatMode::All));
    return Exit::done;
  } catch (const CLI::ParseError& e) {
    return fail(io, g, {base::Code::invalid, "usage", e.what(), "daypass --help-all"}, "that is not a command line"), int{Exit::usage};
  }
  return chosen ? chosen() : int{Exit::usage};
}

int main_of(int argc, char** argv) {
  // Secrets pass through this process: no core dump, no debugger of another process.
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
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
  io.env = environment();
  io.out_is_tty = ::isatty(STDOUT_FILENO) != 0;
  io.in_is_tty = ::isatty(STDIN_FILENO) != 0;
  io.clock = &clock;
  io.entropy = &entropy;
  return run({argv + 1, argv + argc}, io);
}

}  // namespace daypass::app::cli
