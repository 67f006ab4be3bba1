#include <sys/stat.h>

#include "app/cli/test_support.h"
#include "net/listener.h"

namespace daypass::app::cli::testing_support {

ScriptedServer::ScriptedServer()
    : server_([this](HttpRequest request) { return serve(this, std::move(request)); }, net::HttpLimits(), log_, clock,
              entropy_) {
  threads_.start();
  auto listener = net::Listener::listen_tcp(threads_, log_, "127.0.0.1", 0);
  if (!listener.ok()) throw std::runtime_error(listener.error().message);
  port_ = (*listener)->port();
  server_.serve(std::move(*listener));
}
ScriptedServer::~ScriptedServer() {
  (void)server_.drain(base::Millis(1000));
}

void ScriptedServer::on(const std::string& what, Answer answer) {
  const std::lock_guard lock(mutex_);
  answers_[what] = std::move(answer);
}
void ScriptedServer::on(const std::string& what, const std::string& body, int status) {
  const auto value = json::parse(body);
  if (!value.ok()) throw std::logic_error("the test's own JSON: " + value.error().message);
  on(what, [v = *value, status](const HttpRequest&) { return HttpResponse::json(status, v); });
}
void ScriptedServer::always(Answer answer) {
  const std::lock_guard lock(mutex_);
  always_ = std::move(answer);
}
std::size_t ScriptedServer::count(const std::string& what) const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(
      std::count_if(seen_.begin(), seen_.end(), [&](const std::string& s) { return s.starts_with(what); }));
}
HttpResponse ScriptedServer::answer(const HttpRequest& request) {
  Answer answer;
  {
    const std::lock_guard lock(mutex_);
    const std::string what = request.method + " " + request.path;
    seen_.push_back(what);
    answer = always_;
    if (const auto it = answers_.find(what); !answer && it != answers_.end()) answer = it->second;
  }
  if (answer) return answer(request);
  return HttpResponse::problem({base::Code::not_found, "http.not_found", "there is nothing here"}, request.request_id);
}
net::awaitable<HttpResponse> ScriptedServer::serve(ScriptedServer* self, HttpRequest request) {
  co_return self->answer(request);
}

User::User() {
  std::string name = fs::temp_directory_path() / "daypass-cli-test-XXXXXX";
  home = ::mkdtemp(name.data());
  io.out = [this](std::string_view text) { out += text; };
  io.err = [this](std::string_view text) { err += text; };
  io.in = [] { return std::string(); };
  io.pause = [this](base::Millis time) { pauses.push_back(time); };
  io.env = {{"HOME", home}, {"PATH", "/usr/bin:/bin"}, {"DAYPASS_SERVER", server.url()}};
  io.clock = &server.clock;
  io.entropy = &entropy;
}
User::~User() {
  std::error_code ec;
  fs::remove_all(home, ec);
}
int User::run(std::vector<std::string> args) {
  out.clear();
  err.clear();
  return cli::run(args, io);
}
json::Value User::document() {
  const auto value = json::parse(out);
  EXPECT_TRUE(value.ok()) << "stdout is not one JSON document: <" << out << "> stderr: " << err;
  if (!value.ok()) return {};
  EXPECT_EQ(value->int_or("v", 0), 1) << out;
  return *value;
}
void User::log_in(base::Seconds left, const std::string& token) {
  Login login;
  login.server = server.url();
  login.tenant = "default";
  login.principal = "demo/dana";
  login.token = base::Secret(token);
  login.ends_at = server.clock.now + left;
  ASSERT_TRUE(save_login(io, login).ok());
}
std::string User::write(const std::string& name, const std::string& text, fs::perms mode) {
  const std::string path = home + "/" + name;
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << text;
  fs::permissions(path, mode);
  return path;
}
std::string User::read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
unsigned User::mode(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 07777U : 0U;
}
void User::usual_answers(const std::string& session) {
  server.on("GET /livez", "{}");
  server.on("GET /t/default/api/v1/session",
            R"({"id":")" + session +
                R"(","principal":"demo/dana","display":"Dana","ends_at":"2026-03-01T13:00:00Z","administers":true})");
  server.on("GET /t/default/api/v1/roles", R"({"roles":[
    {"role":"pg/orders/reader","target":"pg/orders","verdict":"allow","why":"permitted by data-read","offers":[{"policy":"data-read","duration":"1h","idle":"10m","connections":4}]},
    {"role":"pg/orders/writer","target":"pg/orders","verdict":"allow","why":"permitted by data-write","elevated":true,"offers":[]},
    {"role":"pg/orders/owner","target":"pg/orders","verdict":"deny","why":"no permit matches","ask":"ask an owner","offers":[]}]})");
  server.on("POST /t/default/api/v1/credentials", [this](const HttpRequest& request) {
    const auto body = request.json();
    const std::string number = std::to_string(++credentials);
    return HttpResponse::json(201, json::Object{{"user", "dp-" + number},
                                                {"password", "pass:word\\" + number},
                                                {"target", body.ok() ? body->string_or("target") : ""},
                                                {"roles", json::Array{"pg/orders/reader"}},
                                                {"database", "orders"},
                                                {"login_ends_at", "2026-03-01T13:00:00Z"},
                                                {"host", "localhost"},
                                                {"port", 5433},
                                                {"ca_pem", "-----BEGIN CERTIFICATE-----\n"}});
  });
}

}  // namespace daypass::app::cli::testing_support
