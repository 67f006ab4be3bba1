#include "app/secrets.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/encoding.h"
#include "config/config.h"
#include "crypto/x509.h"

extern char** environ;

namespace daypass::app {

using base::Code;
using base::Error;
using base::Secret;

namespace {

Error file_error(std::string check, const std::string& path, const std::string& what) {
  return {Code::invalid, std::move(check), path + ": " + what, "check the path and its permissions"};
}

base::Result<Secret> read_secret_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return file_error("secret.file", path, std::strerror(errno));
  struct stat info{};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    return file_error("secret.file", path, "not a regular file");
  }
  // SAML metadata comes this way, too.
  constexpr off_t most = off_t{4} * 1024 * 1024;
  if (info.st_size > most) {
    ::close(fd);
    return file_error("secret.file", path, "larger than 4 MiB");
  }
  std::string text(static_cast<std::size_t>(info.st_size) + 1, '\0');
  std::size_t have = 0;
  for (;;) {
    const ssize_t n = ::read(fd, text.data() + have, text.size() - have);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    have += static_cast<std::size_t>(n);
  }
  ::close(fd);
  if (have == text.size()) return file_error("secret.file", path, "it grew while it was read");
  std::string_view view(text.data(), have);
  if (view.ends_with('\n')) view.remove_suffix(1);
  if (view.empty()) return file_error("secret.file", path, "empty");
  Secret secret(view);
  base::wipe(text.data(), text.size());
  return secret;
}

}  // namespace

std::map<std::string, std::string> environment() {
  std::map<std::string, std::string> out;
  for (char** item = environ; *item != nullptr; ++item) {
    const std::string_view pair(*item);
    const std::size_t equals = pair.find('=');
    if (equals != std::string_view::npos) out.emplace(pair.substr(0, equals), pair.substr(equals + 1));
  }
  return out;
}

std::string environment_or(const std::string& name, const std::string& fallback) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr || *value == '\0' ? fallback : value;
}

base::Result<Secret> resolve_secret(const core::SecretRef& ref) {
  if (ref.ref.starts_with("file:")) return read_secret_file(ref.ref.substr(5));
  if (ref.ref.starts_with("env:")) {
    const std::string name = ref.ref.substr(4);
    const char* value = std::getenv(name.c_str());
    if (value == nullptr || *value == '\0')
      return Error{Code::invalid, "secret.env", "the environment variable " + name + " is not set",
                   "set it where the server starts, or use file:PATH"};
    return Secret(std::string_view(value));
  }
  return Error{Code::invalid, "secret.ref", "a secret must be a reference", "write file:/path/of/secret or env:NAME"};
}

base::Status write_private(const std::string& path, std::string_view content) {
  const std::string temporary = path + ".new";
  ::unlink(temporary.c_str());
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return file_error("file.write", temporary, std::strerror(errno));
  bool good = true;
  while (good && !content.empty()) {
    const ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    good = n > 0;
    if (good) content.remove_prefix(static_cast<std::size_t>(n));
  }
  good = good && ::fsync(fd) == 0;
  const int why = errno;
  ::close(fd);
  if (!good || ::rename(temporary.c_str(), path.c_str()) != 0) {
    const std::string text = std::strerror(good ? errno : why);
    ::unlink(temporary.c_str());
    return file_error("file.write", path, text);
  }
  return {};
}

base::Result<DataKeys> open_data_keys(const std::string& folder, const std::string& gate_host, const base::Clock& clock,
                                      base::Entropy& entropy) {
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    return Error{Code::invalid, "data.folder", folder + " can't be made: " + std::strerror(errno),
                 "make it, or set [server] data_dir"};
  struct stat info{};
  if (::stat(folder.c_str(), &info) != 0 || !S_ISDIR(info.st_mode))
    return Error{Code::invalid, "data.folder", folder + " is not a folder", "set [server] data_dir"};
  if ((info.st_mode & 0077) != 0)
    return Error{Code::invalid, "data.permissions", folder + " is open to other users", "chmod 700 " + folder};
  DataKeys keys;
  const auto exists = [](const std::string& path) { return ::access(path.c_str(), F_OK) == 0; };
  const std::string master = folder + "/master.key", instance = folder + "/instance";
  if (!exists(master)) {
    // A store without its key would be unreadable; a new key beside an old store would hide that.
    if (exists(folder + "/daypass.db"))
      return Error{Code::invalid, "data.key", master + " is missing, and the store beside it was sealed with it",
                   "restore master.key from your backup"};
    std::string raw(32, '\0');
    entropy.fill({reinterpret_cast<std::uint8_t*>(raw.data()), raw.size()});
    DP_CHECK(write_private(master, base::base64url_encode(raw) + "\n"));
    base::wipe(raw.data(), raw.size());
  }
  DP_TRY(const Secret text, read_secret_file(master));
  auto raw = base::base64url_decode(text.reveal());
  if (!raw || raw->size() != 32)
    return Error{Code::invalid, "data.key", master + " does not hold a key", "restore it from your backup"};
  keys.master = Secret::take(std::move(*raw));
  if (!exists(instance)) DP_CHECK(write_private(instance, base::random_base32(entropy, 6) + "\n"));
  DP_TRY(const Secret mark, read_secret_file(instance));
  keys.instance = mark.reveal();
  if (keys.instance.size() != 6)
    return Error{Code::invalid, "data.key", instance + " does not hold six characters", "restore it from your backup"};

  const std::string certificate = folder + "/gate.crt", key = folder + "/gate.key";
  if (!exists(certificate) || !exists(key)) {
    std::vector<std::string> names{"localhost", "127.0.0.1", "::1"};
    if (gate_host != "localhost" && gate_host != "127.0.0.1" && gate_host != "::1") names.push_back(gate_host);
    const auto made =
        crypto::self_signed(names, clock.wall() - std::chrono::hours(1), clock.wall() + std::chrono::hours(24 * 825));
    DP_CHECK(write_private(key, made.key_pem.reveal()));
    DP_CHECK(write_private(certificate, made.certificate_pem));
  }
  DP_TRY(keys.gate_certificate, config::read_file(certificate));
  DP_TRY(keys.gate_key, read_secret_file(key));
  return keys;
}

}  // namespace daypass::app
