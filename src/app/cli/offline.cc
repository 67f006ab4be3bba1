// Commands that need no server: verifying tokens, checking a configuration, and being the server.
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "app/cli/commands.h"
#include "app/cli/watchdog.h"
#include "app/server.h"
#include "config/config.h"
#include "idp/oidc/verify.h"

namespace daypass::app::cli {

using base::Code;
using base::Error;

namespace {

int token_result(Io& io, const Globals& g, const base::Result<std::string>& result, const char* name) {
  if (result.ok() && g.json()) {
    auto value = base::json::parse(*result);
    print_json(io, {{name, value.ok() ? std::move(*value) : base::json::Value(*result)}});
    return Exit::done;
  }
  if (result.ok()) {
    io.out(*result + (result->ends_with('\n') ? "" : "\n"));
    return Exit::done;
  }
  // Exit 1 whatever the check: who debugs an identity provider asks "is it good?".
  (void)fail(io, g, result.error(), "the token does not verify");
  return Exit::failed;
}

base::Result<std::string> key_file(Io& io, const std::string& path) {
  return path == "-" ? base::Result<std::string>(io.in()) : config::read_file(path);
}

base::Result<config::Parsed<config::ServerConfig>> read_config(const Io& io, const std::string& file) {
  DP_TRY(const std::string text, config::read_file(file));
  return config::parse_server(text, file, io.env);
}

}  // namespace

int oidc_verify(Io& io, const Globals& g, const std::string& jwks, const std::string& issuer,
                const std::string& audience, const std::optional<std::string>& nonce, const std::string& now,
                std::string token) {
  idp::oidc::VerifyCommand command;
  auto keys = key_file(io, jwks);
  if (!keys.ok()) return fail(io, g, keys.error(), "the keys can't be read");
  command.jwks = std::move(*keys);
  command.issuer = issuer;
  command.audience = audience;
  command.nonce = nonce;
  if (!now.empty()) {
    const auto parsed = base::parse_rfc3339(now);
    const bool digits = !now.empty() && now.size() < 13 && now.find_first_not_of("0123456789") == std::string::npos;
    if (!parsed.ok() && !digits) return fail(io, g, parsed.error(), "--now");
    command.now = parsed.ok() ? *parsed : base::WallTime(base::Seconds(std::stoll(now)));
  }
  command.token = token == "-" ? io.in() : std::move(token);
  return token_result(io, g, idp::oidc::run_verify(command, *io.clock), "claims");
}

int jose_verify(Io& io, const Globals& g, const std::string& jwks, std::string token) {
  const auto keys = key_file(io, jwks);
  if (!keys.ok()) return fail(io, g, keys.error(), "the keys can't be read");
  if (token == "-") token = io.in();
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r' || token.back() == ' ')) token.pop_back();
  return token_result(io, g, idp::oidc::run_jose_verify(*keys, token), "payload");
}

namespace {
/// All problems, for people on stderr and for machines in the one document.
int show_problems(Io& io, const Globals& g, const config::Parsed<config::ServerConfig>& parsed) {
  base::json::Array problems;
  for (const auto& p : parsed.problems) {
    io.err(p.render() + "\n");
    problems.push_back(base::json::Object{
        {"file", p.file}, {"line", p.line}, {"column", p.column}, {"message", p.message}, {"hint", p.hint}});
  }
  if (g.json()) print_json(io, {{"ok", parsed.ok()}, {"problems", std::move(problems)}});
  return parsed.ok() ? Exit::done : Exit::usage;
}
}  // namespace

int config_check(Io& io, const Globals& g, const std::string& file) {
  const auto parsed = read_config(io, file);
  if (!parsed.ok()) return (void)fail(io, g, parsed.error(), "the configuration can't be read"), int{Exit::usage};
  const int code = show_problems(io, g, *parsed);
  if (!g.json() && parsed->ok()) io.out(file + ": ok\n");
  return code;
}

int server_run(Io& io, const Globals& g, const std::string& file, bool restored) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int s : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, s);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  const auto parsed = read_config(io, file);
  if (!parsed.ok()) return (void)fail(io, g, parsed.error(), "the configuration can't be read"), int{Exit::usage};
  if (!parsed->ok()) return show_problems(io, g, *parsed);
  const std::string& level = parsed->value.log_level;
  const base::Level least = level == "debug"   ? base::Level::debug
                            : level == "warn"  ? base::Level::warn
                            : level == "error" ? base::Level::error
                                               : base::Level::info;
  const base::Log log(*io.clock, least, base::log_to_fd(STDERR_FILENO));
  auto server = Server::start(parsed->value, *io.clock, *io.entropy, log, restored);
  if (!server.ok()) return fail(io, g, server.error(), "the server can't start");
  notify(io, "READY=1");
  Watchdog watchdog(io);
  const int fd = ::signalfd(-1, &signals, SFD_CLOEXEC);
  for (;;) {
    pollfd wait{fd, POLLIN, 0};
    const int ready = ::poll(&wait, 1, static_cast<int>(watchdog.every().count()));
    watchdog.look((*server)->engine().metrics().rounds);
    if (ready <= 0) continue;
    signalfd_siginfo info{};
    if (::read(fd, &info, sizeof info) != sizeof info) continue;
    if (info.ssi_signo != SIGHUP) break;
    notify(io, "RELOADING=1");
    const auto again = read_config(io, file);
    if (again.ok() && again->ok()) {
      const base::Status done = (*server)->reload(again->value);
      if (done.ok())
        log.info("reloaded");
      else
        log.error("reload failed; the old certificates stay",
                  {{"check", done.error().check}, {"why", done.error().message}});
    } else if (again.ok()) {
      for (const auto& p : again->problems) log.error("reload refused", {{"problem", p.render()}});
    }
    notify(io, "READY=1");
  }
  notify(io, "STOPPING=1");
  log.info("draining");
  (*server)->drain(std::chrono::seconds(10));
  ::close(fd);
  log.info("stopped");
  return Exit::done;
}

}  // namespace daypass::app::cli
