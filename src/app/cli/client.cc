#include "app/cli/client.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "app/secrets.h"
#include "config/config.h"
#include "net/http_client.h"

namespace daypass::app::cli {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
namespace json = base::json;
namespace fs = std::filesystem;

namespace {

constexpr const char* default_server = "http://127.0.0.1:8420";

std::string logins_file(const Io& io) {
  return state_folder(io) + "/logins.json";
}

Result<json::Value> read_logins(const Io& io) {
  const std::string path = logins_file(io);
  if (::access(path.c_str(), F_OK) != 0) return json::Value(json::Object{{"v", 1}, {"logins", json::Array{}}});
  struct stat info{};
  if (::stat(path.c_str(), &info) == 0 && (info.st_mode & 0077) != 0)
    return Error{Code::invalid, "login.file_mode", path + " can be read by others", "chmod 600 " + path};
  DP_TRY(const std::string text, config::read_file(path));
  auto value = json::parse(text);
  if (!value.ok() || value->find("logins") == nullptr || value->find("logins")->as_array() == nullptr)
    return Error{Code::invalid, "login.file", path + " is damaged", "remove it, then daypass login"};
  return value;
}

Status write_logins(const Io& io, const json::Value& value) {
  std::error_code ec;
  fs::create_directories(state_folder(io), ec);
  ::chmod(state_folder(io).c_str(), 0700);
  return write_private(logins_file(io), json::dump_pretty(value));
}

/// The user's config file: two keys, read leniently enough for shell people: server = "…", tenant = "…".
std::map<std::string, std::string> user_config(const Io& io) {
  std::map<std::string, std::string> out;
  const std::string folder = io.var("XDG_CONFIG_HOME", io.var("HOME", "/nonexistent") + "/.config");
  const auto text = config::read_file(folder + "/daypass/config.toml");
  if (!text.ok()) return out;
  std::size_t from = 0;
  while (from < text->size()) {
    const std::size_t end = std::min(text->find('\n', from), text->size());
    const std::string line = text->substr(from, end - from);
    from = end + 1;
    const std::size_t equals = line.find('='), open = line.find('"', equals), close = line.rfind('"');
    if (equals == std::string::npos || open == std::string::npos || close <= open) continue;
    std::string key = line.substr(0, equals);
    while (key.ends_with(' ')) key.pop_back();
    out.emplace(key, line.substr(open + 1, close - open - 1));
  }
  return out;
}

}  // namespace

std::string state_folder(const Io& io) {
  return io.var("XDG_STATE_HOME", io.var("HOME", ".") + "/.local/state") + "/daypass";
}

Place find_place(const Io& io, const Globals& globals) {
  Place place{default_server, "default", "", "the built-in default"};
  const auto config = user_config(io);
  if (const auto it = config.find("server"); it != config.end())
    place.server = it->second, place.origin = "the user's config.toml";
  if (const auto it = config.find("tenant"); it != config.end()) place.tenant = it->second;
  if (const auto logins = read_logins(io); logins.ok())
    if (const json::Value* current = logins->find("current");
        current != nullptr && !current->string_or("server").empty()) {
      place.server = current->string_or("server");
      place.tenant = current->string_or("tenant", place.tenant);
      place.origin = "the last login";
    }
  if (const std::string v = io.var("DAYPASS_SERVER"); !v.empty()) place.server = v, place.origin = "DAYPASS_SERVER";
  if (const std::string v = io.var("DAYPASS_TENANT"); !v.empty()) place.tenant = v;
  if (!globals.server.empty()) place.server = globals.server, place.origin = "--server";
  if (!globals.tenant.empty()) place.tenant = globals.tenant;
  while (place.server.ends_with('/')) place.server.pop_back();
  place.socket = !globals.socket.empty() ? globals.socket : io.var("DAYPASS_SOCKET");
  return place;
}

Result<std::optional<Login>> load_login(const Io& io, const Place& place) {
  DP_TRY(const json::Value logins, read_logins(io));
  for (const auto& item : *logins.find("logins")->as_array()) {
    if (item.string_or("server") != place.server || item.string_or("tenant") != place.tenant) continue;
    Login login;
    login.server = place.server;
    login.tenant = place.tenant;
    login.principal = item.string_or("principal");
    login.display = item.string_or("display");
    login.token = base::Secret(item.string_or("token"));
    DP_TRY(login.ends_at, base::parse_rfc3339(item.string_or("ends_at")));
    return std::optional(std::move(login));
  }
  return std::optional<Login>();
}

namespace {
void drop(json::Value& logins, const std::string& server, const std::string& tenant) {
  auto& list = *logins.as_object()->find("logins")->as_array();
  std::erase_if(list, [&](const json::Value& item) {
    return item.string_or("server") == server && item.string_or("tenant") == tenant;
  });
}
}  // namespace

Status save_login(const Io& io, const Login& login) {
  DP_TRY(json::Value logins, read_logins(io));
  drop(logins, login.server, login.tenant);
  logins.as_object()->find("logins")->as_array()->push_back(json::Object{{"server", login.server},
                                                                         {"tenant", login.tenant},
                                                                         {"principal", login.principal},
                                                                         {"display", login.display},
                                                                         {"token", login.token.reveal()},
                                                                         {"ends_at", base::to_rfc3339(login.ends_at)}});
  logins.as_object()->set("current", json::Object{{"server", login.server}, {"tenant", login.tenant}});
  return write_logins(io, logins);
}

Status forget_login(const Io& io, const Place& place) {
  DP_TRY(json::Value logins, read_logins(io));
  drop(logins, place.server, place.tenant);
  return write_logins(io, logins);
}

Result<Answer> Client::send(const std::string& method, const std::string& path, const std::string& type,
                            base::Secret body, base::Secret authorization, base::Millis timeout) {
  net::HttpFetch fetch(method, (by_socket() ? "http://localhost" : place_.server) + path);
  if (by_socket()) fetch.unix_socket = place_.socket;
  if (!type.empty()) fetch.headers.emplace_back("content-type", type);
  fetch.secret_body = std::move(body);
  fetch.authorization = std::move(authorization);
  fetch.timeout = timeout;
  fetch.max_bytes = std::size_t{16} << 20U;
  fetch.ca_file = io_.var("DAYPASS_CA_FILE");
  // The user names the server: it may be anywhere, but tokens cross no network in clear.
  fetch.egress.allow_loopback_http = place_.server.starts_with("http://");
  fetch.egress.allow_loopback = true;
  std::string host = place_.server.substr(std::min(place_.server.find("://") + 3, place_.server.size()));
  fetch.egress.private_hosts = {host.substr(0, host.find(':'))};
  net::HttpClient client;
  auto reply = client.fetch(fetch);
  if (!reply.ok()) {
    Error e = std::move(reply).error();
    // An address that we may not dial is a wrong setting, not a policy's refusal.
    if (e.code == Code::denied) e.code = Code::invalid;
    const std::string where =
        by_socket() ? "the operator's socket " + place_.socket : place_.server + " (from " + place_.origin + ")";
    e.message = where + ": " + e.message;
    if (e.hint.empty() || e.check == "http.connect" || e.check == "http.resolve")
      e.hint = by_socket() ? "is the server running, and are you its user?"
                           : "is the server running there? --server or DAYPASS_SERVER names another";
    return e;
  }
  Answer answer;
  answer.status = reply->status;
  if (const auto id = reply->header("x-request-id")) answer.request_id = std::string(*id);
  request_id_ = answer.request_id;
  if (const auto date = reply->header("date")) answer.date = std::string(*date);
  if (!reply->body.empty() && reply->media_type().ends_with("json")) {
    json::Limits limits;
    limits.bytes = std::size_t{16} << 20U;
    limits.nodes = 2'000'000;
    DP_TRY(answer.body, json::parse(reply->body, limits));
  }
  return answer;
}

namespace {

Error from_problem(const Answer& answer) {
  Code code = Code::internal;
  switch (answer.status) {
    case 400:
    case 405:
    case 413:
    case 422:
      code = Code::invalid;
      break;
    case 401:
      code = Code::unauthenticated;
      break;
    case 403:
      code = Code::denied;
      break;
    case 404:
      code = Code::not_found;
      break;
    case 409:
      code = Code::conflict;
      break;
    case 410:
      code = Code::ended;
      break;
    case 429:
    case 507:
      code = Code::exhausted;
      break;
    case 503:
      code = Code::unavailable;
      break;
    case 504:
      code = Code::timeout;
      break;
    default:
      break;
  }
  return {code, answer.body.string_or("check", "http." + std::to_string(answer.status)),
          answer.body.string_or("detail", "the server answered " + std::to_string(answer.status)),
          answer.body.string_or("hint")};
}

}  // namespace

Result<json::Value> Client::call(const std::string& method, const std::string& path, const json::Value* body,
                                 base::Millis timeout) {
  base::Secret authorization;
  if (!by_socket()) {
    DP_TRY(const auto login, load_login(io_, place_));
    if (!login)
      return Error{Code::unauthenticated, "login.none",
                   "nobody is logged in at " + place_.server + " (from " + place_.origin + "), tenant " + place_.tenant,
                   "daypass login"};
    const auto now = io_.clock->wall();
    if (login->ends_at <= now)
      return Error{Code::unauthenticated, "login.ended", "the login ended " + relative(login->ends_at, now),
                   "daypass login"};
    authorization = base::Secret::take("Bearer " + std::string(login->token.reveal()));
  }
  return ask(method, "/t/" + place_.tenant + "/api/v1" + path, body, std::move(authorization), timeout);
}

Result<json::Value> Client::operate(const std::string& method, const std::string& path, const json::Value* body,
                                    base::Millis timeout) {
  if (!by_socket())
    return Error{Code::invalid, "daypass.socket", "only the operator does this, over the socket in the data folder",
                 "on the server: daypass --socket DATA_DIR/daypass.sock …"};
  return ask(method, "/api/v1" + path, body, {}, timeout);
}

Result<json::Value> Client::ask(const std::string& method, const std::string& path, const json::Value* body,
                                base::Secret authorization, base::Millis timeout) {
  base::Secret text;
  if (body != nullptr) text = base::Secret(json::dump(*body));
  DP_TRY(Answer answer, send(method, path, body == nullptr ? "" : "application/json", std::move(text),
                             std::move(authorization), timeout));
  if (answer.status == 422 && answer.body.find("problems") != nullptr) return std::move(answer.body);
  if (answer.status >= 400) return from_problem(answer);
  if (answer.body.as_object() == nullptr)
    return Error{Code::unavailable, "http.not_daypass",
                 place_.server + " (from " + place_.origin + ") answered, but not as a Daypass server does",
                 "--server or DAYPASS_SERVER names another"};
  return std::move(answer.body);
}

Result<Answer> Client::form(const std::string& path, const std::vector<std::pair<std::string, std::string>>& fields) {
  return send("POST", "/t/" + place_.tenant + path, "application/x-www-form-urlencoded",
              base::Secret::take(net::encode_query(fields)), {}, std::chrono::seconds(20));
}

Result<Answer> Client::get(const std::string& path) {
  return send("GET", path, "", {}, {}, std::chrono::seconds(10));
}

}  // namespace daypass::app::cli
