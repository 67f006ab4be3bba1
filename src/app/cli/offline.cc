// Commands that need no server: verifying tokens, checking a configuration, and being the server.
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "app/cli/commands.h"
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

/// sd_notify(3) without its library: one datagram to the socket that systemd names.
void notify(const Io& io, const std::string& what) {
  const std::string path = io.var("NOTIFY_SOCKET");
  if (path.empty()) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  (void)::sendto(fd, what.data(), what.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address),
                 static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size()));
  ::close(fd);
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
  std::uint64_t heartbeat = 0;
  const int fd = ::signalfd(-1, &signals, SFD_CLOEXEC);
  for (;;) {
    pollfd wait{fd, POLLIN, 0};
    // A third of a usual WatchdogSec. Whoever is stuck is started anew; whose store is full or gone is not: cutting and
    // revoking go on without it, and a new process could not even begin.
    const int ready = ::poll(&wait, 1, 10'000);
    const std::uint64_t rounds = (*server)->engine().metrics().rounds;
    if (std::exchange(heartbeat, rounds) != rounds) notify(io, "WATCHDOG=1");
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
