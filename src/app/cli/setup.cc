#include "app/cli/setup.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "app/cli/commands.h"
#include "app/secrets.h"
#include "config/config.h"

namespace daypass::app::cli {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
namespace json = base::json;

namespace {

constexpr std::size_t most_services = 100;  // a login has room for 200 credentials

struct Paths {
  std::string service, passfile, ca, state;
};

Result<Paths> find_paths(const Io& io) {
  const std::string home = io.var("HOME");
  if (home.empty())
    return Error{Code::invalid, "setup.home", "HOME is not set, so there is no ~/.pg_service.conf", "set HOME"};
  const std::string own = state_folder(io);
  return Paths{home + "/.pg_service.conf", own + "/pgpass", own + "/gate-ca.pem", own + "/psql.json"};
}

struct Setup {
  std::string server, tenant, session;
  std::vector<Service> services;
};

std::optional<Setup> read_setup(const std::string& path) {
  const auto text = config::read_file(path);
  if (!text.ok()) return std::nullopt;
  const auto value = json::parse(*text);
  if (!value.ok()) return std::nullopt;
  Setup out{value->string_or("server"), value->string_or("tenant"), value->string_or("session"), {}};
  for (const auto& item : items(*value, "services")) {
    Service s{item.string_or("name"), item.string_or("target"),  {},
              item.string_or("host"), item.string_or("port"),    item.string_or("database"),
              item.string_or("user"), item.string_or("password")};
    for (const auto& role : items(item, "roles"))
      if (role.as_string() != nullptr) s.roles.push_back(*role.as_string());
    out.services.push_back(std::move(s));
  }
  return out;
}

std::string setup_text(const Setup& setup) {
  json::Array list;
  for (const auto& s : setup.services) {
    json::Array roles;
    for (const auto& role : s.roles) roles.emplace_back(role);
    list.push_back(json::Object{{"name", s.name},
                                {"target", s.target},
                                {"roles", std::move(roles)},
                                {"host", s.host},
                                {"port", s.port},
                                {"database", s.database},
                                {"user", s.user},
                                {"password", s.password}});
  }
  return json::dump_pretty(json::Object{{"v", 1},
                                        {"server", setup.server},
                                        {"tenant", setup.tenant},
                                        {"session", setup.session},
                                        {"services", std::move(list)}});
}

Error file_error(const std::string& path, const std::string& what) {
  return {Code::invalid, "setup.file", path + ": " + what, "check the file and its folder"};
}

/// The user's file as it is. A link or another user's file is left alone: renaming over it would change more than a
/// block.
struct UserFile {
  std::string text;
  bool existed = false;
  mode_t mode = 0600;
};
Result<UserFile> read_user_file(const std::string& path) {
  UserFile out;
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return out;
    return file_error(path, std::strerror(errno));
  }
  if (!S_ISREG(info.st_mode))
    return Error{
        Code::invalid, "setup.not_a_file",
        path + " is " + (S_ISLNK(info.st_mode) ? "a symbolic link" : "no regular file") + "; Daypass leaves it alone",
        "put a regular file there, or use daypass connect"};
  if (info.st_uid != ::geteuid())
    return Error{Code::invalid, "setup.not_yours", path + " belongs to another user; Daypass leaves it alone",
                 "use daypass connect"};
  DP_TRY(out.text, config::read_file(path));
  out.existed = true;
  out.mode = info.st_mode & 07777;
  return out;
}

/// Whole or not at all, and only if the file is still as we read it.
Status replace_user_file(const std::string& path, const UserFile& seen, std::string_view text) {
  const std::string temporary = path + ".daypass-new";
  ::unlink(temporary.c_str());
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return file_error(temporary, std::strerror(errno));
  bool good = true;
  while (good && !text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    good = n > 0;
    if (good) text.remove_prefix(static_cast<std::size_t>(n));
  }
  good = good && ::fchmod(fd, seen.mode) == 0 && ::fsync(fd) == 0;
  std::string why = good ? "" : std::strerror(errno);
  ::close(fd);
  if (good) {
    const auto now = read_user_file(path);
    if (!now.ok() || now->existed != seen.existed || now->text != seen.text) {
      ::unlink(temporary.c_str());
      return Error{Code::conflict, "setup.changed", path + " was changed by somebody else in this moment", "try again"};
    }
    good = ::rename(temporary.c_str(), path.c_str()) == 0;
    if (!good) why = std::strerror(errno);
  }
  if (!good) {
    ::unlink(temporary.c_str());
    return file_error(path, why);
  }
  return {};
}

/// Two at once would take turns at overwriting each other.
class Lock {
 public:
  static Result<Lock> take(const Io& io) {
    std::error_code ec;
    std::filesystem::create_directories(state_folder(io), ec);
    ::chmod(state_folder(io).c_str(), 0700);
    Lock lock(::open((state_folder(io) + "/setup.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (lock.fd_ < 0) return file_error(state_folder(io), std::strerror(errno));
    if (::flock(lock.fd_, LOCK_EX | LOCK_NB) != 0)
      return Error{Code::conflict, "setup.in_progress", "another daypass setup is under way",
                   "try again when it is done"};
    return lock;
  }
  Lock(Lock&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
  Lock& operator=(Lock&&) = delete;
  ~Lock() {
    if (fd_ >= 0) ::close(fd_);
  }

 private:
  explicit Lock(int fd) : fd_(fd) {}
  int fd_;
};

/// What this login may have now: a section for each target, and one for each role.
std::vector<Service> wanted(const json::Value& roles) {
  std::vector<Service> out;
  for (const auto& role : items(roles, "roles")) {
    const std::string name = role.string_or("role"), target = role.string_or("target");
    if (role.string_or("verdict") != "allow" || !target.starts_with("pg/")) continue;
    const bool known = std::any_of(out.begin(), out.end(), [&](const Service& s) { return s.name == target; });
    if (!known && !role.bool_or("elevated", false)) out.push_back({target, target, {}, {}, {}, {}, {}, {}});
    out.push_back({name, target, {name}, {}, {}, {}, {}, {}});
  }
  std::sort(out.begin(), out.end(), [](const Service& a, const Service& b) { return a.name < b.name; });
  return out;
}

Result<std::string> fill(Client& client, Service& s) {
  json::Object body{{"target", s.target}};
  if (!s.roles.empty()) {
    json::Array roles;
    for (const auto& role : s.roles) roles.emplace_back(role);
    body.set("roles", std::move(roles));
  }
  const json::Value value(std::move(body));
  DP_TRY(const json::Value answer, client.call("POST", "/credentials", &value));
  s.host = answer.string_or("host");
  s.port = std::to_string(answer.int_or("port", 0));
  s.database = answer.string_or("database");
  s.user = answer.string_or("user");
  s.password = answer.string_or("password");
  return answer.string_or("ca_pem");
}

Status write_own(const Io& io, const Paths& paths, const Setup& setup, const std::string& ca) {
  std::string passes = "# Made by daypass setup psql; renewed at each daypass login.\n";
  for (const auto& s : setup.services) passes += passfile_line(s);
  if (!ca.empty()) DP_CHECK(write_private(paths.ca, ca));
  DP_CHECK(write_private(paths.passfile, passes));
  DP_CHECK(write_private(paths.state, setup_text(setup)));
  (void)io;
  return {};
}

}  // namespace

bool psql_is_set_up(const Io& io, const Place& place) {
  const auto paths = find_paths(io);
  const auto setup = paths.ok() ? read_setup(paths->state) : std::nullopt;
  return setup && setup->server == place.server && setup->tenant == place.tenant;
}

std::optional<std::string> psql_session(const Io& io) {
  const auto paths = find_paths(io);
  const auto setup = paths.ok() ? read_setup(paths->state) : std::nullopt;
  return setup ? std::optional(setup->session) : std::nullopt;
}

Result<SetupDone> refresh_psql(Io& io, Client& client) {
  DP_TRY(const Paths paths, find_paths(io));
  if (const std::string other = io.var("PGSERVICEFILE"); !other.empty() && other != paths.service)
    return Error{Code::invalid, "setup.service_file",
                 "PGSERVICEFILE says that psql reads " + other + ", not " + paths.service,
                 "unset PGSERVICEFILE, or use daypass connect"};
  DP_TRY(const Lock lock, Lock::take(io));
  DP_TRY(const UserFile file, read_user_file(paths.service));
  DP_TRY(const json::Value session, client.call("GET", "/session"));
  DP_TRY(const json::Value roles, client.call("GET", "/roles"));

  const auto old = read_setup(paths.state);
  Setup setup{client.place().server, client.place().tenant, session.string_or("id"), {}};
  const bool same_login = old && old->server == setup.server && old->tenant == setup.tenant &&
                          old->session == setup.session && ::access(paths.ca.c_str(), F_OK) == 0;
  SetupDone done{{}, {}, paths.service, paths.passfile};
  std::string ca;
  auto services = wanted(roles);
  // Said before anything is asked for.
  DP_CHECK(with_block(file.text, file.existed, services, ""));
  for (auto& service : services) {
    if (setup.services.size() == most_services) {
      done.skipped.push_back(service.name + ": " + std::to_string(most_services) +
                             " services are enough; daypass connect knows all of them");
      continue;
    }
    const Service* had = nullptr;
    if (same_login)
      for (const auto& s : old->services)
        if (s.name == service.name && s.roles == service.roles && s.target == service.target) had = &s;
    if (had != nullptr) {
      setup.services.push_back(*had);
      continue;
    }
    auto filled = fill(client, service);
    if (!filled.ok() && filled.error().code == Code::denied) {
      done.skipped.push_back(service.name + ": " + filled.error().message);
      continue;
    }
    if (!filled.ok()) return std::move(filled).error();
    ca = std::move(*filled);
    setup.services.push_back(std::move(service));
  }
  DP_TRY(const std::string sections, service_sections(setup.services, paths.passfile, paths.ca));
  DP_TRY(const std::string text, with_block(file.text, file.existed, setup.services, sections));
  // Passwords first: a section must never point at a file that is not there yet.
  DP_CHECK(write_own(io, paths, setup, ca));
  if (text != file.text) DP_CHECK(replace_user_file(paths.service, file, text));
  done.services = std::move(setup.services);
  return done;
}

namespace {

int undo(Io& io, const Globals& g) {
  const auto broken = [&](const Error& e) { return fail(io, g, e, "setup psql can't be undone"); };
  const auto paths = find_paths(io);
  if (!paths.ok()) return broken(paths.error());
  const auto lock = Lock::take(io);
  if (!lock.ok()) return broken(lock.error());
  const auto file = read_user_file(paths->service);
  if (!file.ok()) return broken(file.error());
  const auto without = without_block(file->text);
  if (!without.ok()) return broken(without.error());
  bool changed = without->found;
  if (without->found && without->was_new && without->text.empty()) {
    if (::unlink(paths->service.c_str()) != 0) return broken(file_error(paths->service, std::strerror(errno)));
  } else if (without->found) {
    if (const Status written = replace_user_file(paths->service, *file, without->text); !written.ok())
      return broken(written.error());
  }
  for (const auto& path : {paths->passfile, paths->ca, paths->state}) {
    if (::unlink(path.c_str()) == 0)
      changed = true;
    else if (errno != ENOENT)
      return broken(file_error(path, std::strerror(errno)));
  }
  if (g.json())
    print_json(io, {{"undone", changed}, {"service_file", paths->service}});
  else
    io.err(changed ? "Undone: " + paths->service + " is as it was.\nThe passwords that were in " + paths->passfile +
                         " end with your login at the latest.\n"
                   : "There was nothing to undo.\n");
  return Exit::done;
}

}  // namespace

int setup_psql(Io& io, const Globals& g, bool undone) {
  if (undone) return undo(io, g);
  Client client(io, g);
  const auto done = refresh_psql(io, client);
  if (!done.ok()) return fail(io, g, done.error(), "psql was not set up", client.request_id());
  for (const auto& skipped : done->skipped) io.err("left out: " + skipped + "\n");
  json::Array list;
  std::string names;
  std::vector<std::vector<std::string>> rows{{"SERVICE", "TARGET", "ROLES"}};
  for (const auto& s : done->services) {
    json::Array roles;
    for (const auto& role : s.roles) roles.emplace_back(role);
    list.push_back(json::Object{{"service", s.name}, {"target", s.target}, {"roles", std::move(roles)}});
    rows.push_back({s.name, s.target, s.roles.empty() ? "all that are given unasked" : s.roles.front()});
    names += s.name + "\n";
  }
  if (g.json()) {
    print_json(io, {{"services", std::move(list)}, {"service_file", done->service_file}, {"passfile", done->passfile}});
    return Exit::done;
  }
  if (done->services.empty()) {
    io.err("There is no role that you may have now, so there is no service. daypass ls --all says why.\n");
    return Exit::done;
  }
  io.out(g.output == "name" ? names : table(rows));
  io.err("Next: psql service=" + done->services.front().name +
         "\nRenewed at each daypass login; daypass setup psql --undo removes it.\n");
  return Exit::done;
}

}  // namespace daypass::app::cli
