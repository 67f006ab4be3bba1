#include <fcntl.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "config/checks.h"
#include "config/config.h"

namespace daypass::config {
namespace {

namespace fs = std::filesystem;
using base::Code;
using base::Error;

std::string reason(int number) {
  return std::generic_category().message(number);
}

class File {
 public:
  // O_NONBLOCK: a FIFO must not hang us; fstat refuses it afterwards.
  explicit File(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] int fd() const noexcept { return fd_; }

 private:
  int fd_;
};

// The names in one folder that parse_tenant would look at, sorted by the map that takes them.
base::Status list(const fs::path& folder, const std::string& prefix, bool all,
                  std::map<std::string, std::string>& out) {
  std::error_code ec;
  std::size_t total = 0;
  fs::directory_iterator it(folder, ec);
  for (; !ec && it != fs::directory_iterator(); it.increment(ec)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with('.')) continue;
    std::error_code ignored;  // what can't be looked at is read below, where the reason is told
    if (it->is_directory(ignored)) continue;
    const std::string extension = it->path().extension().string();
    if (!all && ::strcasecmp(extension.c_str(), ".toml") != 0 && ::strcasecmp(extension.c_str(), ".cedar") != 0)
      continue;
    if (out.size() == max_files)
      return Error{Code::invalid, "config.too_many",
                   folder.string() + " has more than " + std::to_string(max_files) + " files",
                   "put several tables or policies into one file"};
    DP_TRY(std::string text, read_file(it->path().string()));
    if ((total += text.size()) > max_folder_bytes)
      return Error{Code::invalid, "config.too_large",
                   folder.string() + " has more than " + std::to_string(max_folder_bytes) + " bytes"};
    out[prefix + name] = std::move(text);
  }
  if (ec)
    return Error{Code::invalid, "config.folder", "can't read the folder " + folder.string() + ": " + ec.message()};
  return {};
}

}  // namespace

base::Result<std::string> read_file(const std::string& path) {
  const auto failed = [&](const std::string& why, std::string hint = {}) {
    return Error{Code::invalid, "config.file", "can't read " + path + ": " + why, std::move(hint)};
  };
  const File file(path);
  if (file.fd() < 0) return failed(reason(errno), errno == ENOENT ? "check the path" : "");
  struct stat info{};
  if (::fstat(file.fd(), &info) != 0) return failed(reason(errno));
  if (!S_ISREG(info.st_mode)) return failed("it is not a regular file");
  std::string out;
  // One byte more than allowed tells a file that is too large from one that just fits, whatever fstat said.
  out.resize(max_file_bytes + 1);
  std::size_t have = 0;
  while (have < out.size()) {
    const ssize_t n = ::read(file.fd(), out.data() + have, out.size() - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed(reason(errno));
    if (n == 0) break;
    have += static_cast<std::size_t>(n);
  }
  if (have > max_file_bytes)
    return Error{Code::invalid, "config.too_large",
                 path + " has more than " + std::to_string(max_file_bytes) + " bytes", "split it"};
  out.resize(have);
  out.shrink_to_fit();
  return out;
}

base::Result<std::map<std::string, std::string>> read_folder(const std::string& path) {
  std::map<std::string, std::string> out;
  DP_CHECK(list(path, "", false, out));
  for (const std::string prefix : {"idps/", "policies/"}) {
    std::error_code ec;
    const fs::path folder = fs::path(path) / prefix;
    if (fs::status(folder, ec).type() == fs::file_type::not_found) continue;
    DP_CHECK(list(folder, prefix, prefix == "policies/", out));
    // A folder in there is not descended into; what is in it must not be passed over in silence either.
    for (fs::directory_iterator it(folder, ec); !ec && it != fs::directory_iterator(); it.increment(ec)) {
      const std::string name = it->path().filename().string();
      std::error_code ignored;
      if (!name.starts_with('.') && it->is_directory(ignored)) out[prefix + name + "/"] = "";
    }
  }
  return out;
}

}  // namespace daypass::config
