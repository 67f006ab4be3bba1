// Signing in: the browser comes back to a loopback port of ours (RFC 8252), or a code is typed elsewhere (RFC 8628).
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "app/cli/client.h"
#include "app/cli/commands.h"
#include "app/cli/setup.h"
#include "base/encoding.h"
#include "crypto/jose.h"
#include "net/http.h"

namespace daypass::app::cli {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
namespace json = base::json;

namespace {

constexpr base::Millis login_time = std::chrono::minutes(5);

/// A descriptor that closes itself.
struct Fd {
  int fd = -1;
  explicit Fd(int f) : fd(f) {}
  Fd(Fd&& o) noexcept : fd(std::exchange(o.fd, -1)) {}
  Fd& operator=(Fd&&) = delete;
  ~Fd() {
    if (fd >= 0) ::close(fd);
  }
};

/// The one request we wait for: GET /callback?… on 127.0.0.1. Anything else is answered and forgotten.
class Loopback {
 public:
  static Result<Loopback> open() {
    Loopback l(Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (l.listener_.fd < 0 || ::bind(l.listener_.fd, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::listen(l.listener_.fd, 4) != 0 ||
        ::getsockname(l.listener_.fd, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      return Error{Code::unavailable, "login.loopback", "no port of 127.0.0.1 can be listened on",
                   "daypass login --device"};
    l.port_ = ntohs(address.sin_port);
    return l;
  }
  [[nodiscard]] std::uint16_t port() const { return port_; }

  /// The callback's query.
  Result<net::Pairs> wait(const base::Clock& clock) {
    const auto until = clock.mono() + std::chrono::duration_cast<std::chrono::nanoseconds>(login_time);
    for (;;) {
      const auto left = std::chrono::duration_cast<base::Millis>(until - clock.mono());
      pollfd wait{listener_.fd, POLLIN, 0};
      if (left <= base::Millis(0))
        return Error{Code::timeout, "login.timeout", "nobody signed in within 5 minutes",
                     "daypass login, or daypass login --device on a machine without a browser"};
      if (::poll(&wait, 1, static_cast<int>(left.count())) <= 0) continue;
      const Fd client(::accept4(listener_.fd, nullptr, nullptr, SOCK_CLOEXEC));
      if (client.fd < 0) continue;
      if (auto query = serve(client.fd)) return std::move(*query);
    }
  }

 private:
  explicit Loopback(Fd fd) : listener_(std::move(fd)) {}

  static std::optional<net::Pairs> serve(int fd) {
    // Five seconds and 8 KiB for a request line: whoever needs more is no browser of ours.
    std::string request;
    while (request.find("\r\n") == std::string::npos && request.size() < 8192) {
      pollfd wait{fd, POLLIN, 0};
      if (::poll(&wait, 1, 5000) <= 0) return std::nullopt;
      char buffer[1024];
      const ssize_t n = ::read(fd, buffer, sizeof buffer);
      if (n <= 0) return std::nullopt;
      request.append(buffer, static_cast<std::size_t>(n));
    }
    constexpr std::string_view begin = "GET /callback?";
    const std::size_t end = request.find(" HTTP/1.");
    std::optional<net::Pairs> query;
    if (request.starts_with(begin) && end != std::string::npos)
      if (auto parsed = net::parse_query(std::string_view(request).substr(begin.size(), end - begin.size()));
          parsed.ok())
        query = std::move(*parsed);
    // Whether the code is good is known only later, so the page doesn't say that all is well.
    const bool refused = query && net::find(*query, "code") == nullptr;
    const std::string body = !query ? "not here\n"
                                    : std::string("<!doctype html><meta charset=\"utf-8\"><title>Daypass</title><p>") +
                                          (refused ? "The sign-in was refused." : "That was it here.") +
                                          " You can close this window and go back to the terminal.</p>\n";
    const std::string response = std::string("HTTP/1.1 ") + (query ? "200 OK" : "404 Not Found") +
                                 "\r\ncontent-type: text/html; charset=utf-8\r\ncache-control: no-store\r\nconnection: "
                                 "close\r\ncontent-length: " +
                                 std::to_string(body.size()) + "\r\n\r\n" + body;
    std::string_view left = response;
    while (!left.empty()) {
      const ssize_t n = ::send(fd, left.data(), left.size(), MSG_NOSIGNAL);
      if (n <= 0) break;
      left.remove_prefix(static_cast<std::size_t>(n));
    }
    ::shutdown(fd, SHUT_WR);
    return query;
  }

  Fd listener_;
  std::uint16_t port_ = 0;
};

/// One login at a time: two would race for the same file, and open tab upon tab.
Result<Fd> login_lock(const Io& io) {
  std::error_code ec;
  std::filesystem::create_directories(state_folder(io), ec);
  Fd fd(::open((state_folder(io) + "/login.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (fd.fd < 0)
    return Error{Code::invalid, "login.state_folder", state_folder(io) + " can't be written", "set XDG_STATE_HOME"};
  if (::flock(fd.fd, LOCK_EX | LOCK_NB) != 0)
    return Error{Code::conflict, "login.in_progress", "another daypass login is under way",
                 "finish it, or end it with Ctrl-C"};
  return fd;
}

}  // namespace

std::optional<std::string> browser_of(const Io& io) {
  const std::string name = io.var("BROWSER", "xdg-open");
  return name.find('/') != std::string::npos ? std::optional(name) : find_program(io, name);
}

void open_browser(const std::string& browser, const std::string& url) {
  const pid_t pid = ::fork();
  if (pid != 0) {
    if (pid > 0) {
      int status = 0;
      ::waitpid(pid, &status, 0);
    }
    return;
  }
  // Twice forked: the browser is nobody's child that somebody would have to wait for.
  if (::fork() != 0) ::_exit(0);
  const int null = ::open("/dev/null", O_RDWR);
  ::dup2(null, 0);
  ::dup2(null, 1);
  ::dup2(null, 2);
  ::execlp(browser.c_str(), browser.c_str(), url.c_str(), static_cast<char*>(nullptr));
  ::_exit(127);
}

namespace {

Result<Login> login_from(const Answer& answer, const Place& place) {
  if (answer.status != 200)
    return Error{Code::unauthenticated, answer.body.string_or("check", "login.token"),
                 answer.body.string_or("error_description", "the server gave no token"),
                 answer.body.string_or("hint", "daypass login")};
  Login login;
  login.server = place.server;
  login.tenant = place.tenant;
  login.token = base::Secret(answer.body.string_or("access_token"));
  login.principal = answer.body.string_or("principal");
  login.display = answer.body.string_or("display");
  DP_TRY(login.ends_at, base::parse_rfc3339(answer.body.string_or("ends_at")));
  return login;
}

Result<Login> by_browser(Io& io, Client& client, const LoginOptions& o) {
  DP_TRY(Loopback loopback, Loopback::open());
  const std::string verifier = base::random_token(*io.entropy, 32), state = base::random_token(*io.entropy, 24);
  const std::string redirect = "http://127.0.0.1:" + std::to_string(loopback.port()) + "/callback";
  net::Pairs query{{"response_type", "code"},         {"client_id", "daypass-cli"},
                   {"redirect_uri", redirect},        {"code_challenge", crypto::pkce_s256(verifier)},
                   {"code_challenge_method", "S256"}, {"state", state}};
  if (!o.idp.empty()) query.emplace_back("idp", o.idp);
  const Place& place = client.place();
  const std::string url = place.server + "/t/" + place.tenant + "/oauth/authorize?" + net::encode_query(query);
  // A server that is not there should be said now, not by a browser's error page.
  DP_TRY(const Answer alive, client.get("/livez"));
  if (alive.status != 200)
    return Error{Code::unavailable, "login.server", place.server + " is no Daypass server",
                 "--server or DAYPASS_SERVER names another"};
  const auto browser = o.no_browser ? std::nullopt : browser_of(io);
  io.err(std::string("Sign in here") +
         (browser        ? ", if no browser opens"
          : o.no_browser ? ""
                         : " (no browser was found; on a machine without one: daypass login --device)") +
         ":\n\n  " + url + "\n\nWaiting for you (Ctrl-C gives up) ...\n");
  if (browser) open_browser(*browser, url);
  DP_TRY(const net::Pairs back, loopback.wait(*io.clock));
  const std::string* got_state = net::find(back, "state");
  const std::string* code = net::find(back, "code");
  const std::string* error = net::find(back, "error");
  if (got_state == nullptr || !base::equal_constant_time(*got_state, state))
    return Error{Code::denied, "login.state", "the browser came back from another sign-in",
                 "close old tabs, then daypass login"};
  if (error != nullptr)
    return Error{Code::denied, "login.refused", "the sign-in was refused: " + error->substr(0, 80), "daypass login"};
  if (code == nullptr)
    return Error{Code::denied, "login.code", "the browser came back without a code", "daypass login"};
  DP_TRY(const Answer answer, client.form("/oauth/token", {{"grant_type", "authorization_code"},
                                                           {"client_id", "daypass-cli"},
                                                           {"code", *code},
                                                           {"code_verifier", verifier},
                                                           {"redirect_uri", redirect}}));
  return login_from(answer, place);
}

Result<Login> by_device(Io& io, Client& client) {
  DP_TRY(const Answer started, client.form("/oauth/device_authorization", {{"client_id", "daypass-cli"}}));
  if (started.status != 200) return login_from(started, client.place());
  const std::string device = started.body.string_or("device_code");
  auto interval = base::Seconds(started.body.int_or("interval", 5));
  const auto until = io.clock->mono() + std::chrono::seconds(started.body.int_or("expires_in", 600));
  io.err("On any machine with a browser, open\n\n  " + started.body.string_or("verification_uri") +
         "\n\nand type\n\n  " + started.body.string_or("user_code") + "\n\nWaiting for you (Ctrl-C gives up) ...\n");
  while (io.clock->mono() < until) {
    io.pause(interval);
    DP_TRY(const Answer answer,
           client.form("/oauth/token", {{"grant_type", "urn:ietf:params:oauth:grant-type:device_code"},
                                        {"client_id", "daypass-cli"},
                                        {"device_code", device}}));
    const std::string error = answer.body.string_or("error");
    if (error == "authorization_pending") continue;
    if (error == "slow_down") {
      interval += base::Seconds(5);
      continue;
    }
    return login_from(answer, client.place());
  }
  return Error{Code::timeout, "login.timeout", "nobody signed in within 10 minutes", "daypass login --device"};
}

}  // namespace

int login(Io& io, const Globals& g, const LoginOptions& o) {
  Client client(io, g);
  const auto lock = login_lock(io);
  if (!lock.ok()) return fail(io, g, lock.error(), "login failed");
  const auto done = o.device ? by_device(io, client) : by_browser(io, client, o);
  if (!done.ok()) return fail(io, g, done.error(), "login failed", client.request_id());
  if (const Status saved = save_login(io, *done); !saved.ok())
    return fail(io, g, saved.error(), "the login can't be kept");
  if (g.json()) {
    print_json(io, {{"principal", done->principal},
                    {"server", done->server},
                    {"tenant", done->tenant},
                    {"ends_at", base::to_rfc3339(done->ends_at)}});
  } else {
    io.err("Signed in as " + done->principal + "; the login ends " + relative(done->ends_at, io.clock->wall()) +
           ".\nNext: daypass ls\n");
  }
  if (psql_is_set_up(io, client.place())) {
    // The login is good whatever becomes of this.
    const auto renewed = refresh_psql(io, client);
    if (renewed.ok())
      io.err("Renewed: " + std::to_string(renewed->services.size()) + " services for psql.\n");
    else
      io.err("The services for psql were not renewed: " + renewed.error().message +
             "\n  do:      daypass setup psql\n");
  }
  return Exit::done;
}

namespace {

/// Opens the page of ours that leads on to the provider, and says so. What the server names as such is nowhere else.
Status sign_out_there(Io& io, const Place& place, const json::Value& answer, bool no_browser) {
  const std::string url = answer.string_or("provider_logout_url");
  if (url.empty())
    return Error{Code::not_found, "logout.provider", "the identity provider of this login offers no sign-out",
                 "sign out there in your browser"};
  const bool plain = std::ranges::all_of(url, [](char c) { return c > 0x20 && c < 0x7f; });
  if (!plain || !url.starts_with(place.server + "/t/" + place.tenant + "/"))
    return Error{Code::denied, "logout.address", "the server names an address that is not its own",
                 "compare --server with the public_url of the server"};
  const auto browser = no_browser ? std::nullopt : browser_of(io);
  io.err("Sign out at " + answer.string_or("provider", "the identity provider") + " here" +
         (browser ? ", if no browser opens" : ", within 5 minutes") + ":\n\n  " + url + "\n\n");
  if (browser) open_browser(*browser, url);
  return {};
}

}  // namespace

int logout(Io& io, const Globals& g, const LogoutOptions& o) {
  Client client(io, g);
  const auto stored = load_login(io, client.place());
  if (!stored.ok()) return fail(io, g, stored.error(), "logout failed");
  if (!*stored) {
    io.err("Nobody is logged in.\n");
    if (g.json()) print_json(io, {{"grants_ended", 0}});
    return Exit::done;
  }
  const auto answer = client.call("DELETE", "/session");
  // What has ended already needs no ending; a server that is away ends it by itself on time, and we say so.
  const bool over = !answer.ok() && answer.error().code == Code::unauthenticated;
  if (!answer.ok() && !over)
    return fail(io, g, answer.error(), "logout failed: the login is kept, try again", client.request_id());
  if (const Status forgot = forget_login(io, client.place()); !forgot.ok())
    return fail(io, g, forgot.error(), "the login can't be forgotten");
  const json::Value said = answer.ok() ? *answer : json::Value(json::Object{});
  const std::int64_t ended = said.int_or("grants_ended", 0);
  if (!g.json()) io.err("Logged out; " + std::to_string(ended) + (ended == 1 ? " grant" : " grants") + " ended.\n");
  if (psql_is_set_up(io, client.place())) io.err("The services for psql stay, refused until the next daypass login.\n");
  if (o.provider)
    if (const Status led = sign_out_there(io, client.place(), said, o.no_browser); !led.ok())
      return fail(io, g, led.error(), "logged out of Daypass, but not at the identity provider", client.request_id());
  const std::string provider = said.string_or("provider");
  if (!o.provider && !provider.empty())
    io.err("Your browser may still be signed in at " + provider + ": next time, daypass logout --provider.\n");
  if (g.json()) {
    json::Object out{{"grants_ended", ended}};
    if (!provider.empty()) {
      out.set("provider", provider);
      out.set("provider_logout_url", said.string_or("provider_logout_url"));
    }
    print_json(io, std::move(out));
  }
  return Exit::done;
}

int status(Io& io, const Globals& g) {
  Client client(io, g);
  const auto session = client.call("GET", "/session");
  if (!session.ok()) return fail(io, g, session.error(), "not logged in", client.request_id());
  const auto grants = client.call("GET", "/grants");
  if (!grants.ok()) return fail(io, g, grants.error(), "status failed", client.request_id());
  if (g.json()) {
    print_json(io, {{"server", client.place().server}, {"session", *session}, {"grants", items(*grants, "grants")}});
    return Exit::done;
  }
  const auto ends = base::parse_rfc3339(session->string_or("ends_at"));
  std::string out = session->string_or("principal") + " (" + session->string_or("display") + ") at " +
                    client.place().server + ", tenant " + client.place().tenant + "\n";
  out += "login ends " + (ends.ok() ? relative(*ends, io.clock->wall()) : "") + "; kept in " + state_folder(io) +
         "/logins.json\n";
  out += std::to_string(items(*grants, "grants").size()) + " grants running\n";
  if (const std::string frozen = session->string_or("frozen"); !frozen.empty())
    out += "access is frozen: " + frozen + "\n";
  io.out(out);
  return Exit::done;
}

}  // namespace daypass::app::cli
