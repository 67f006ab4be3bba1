#include "chaos/verbs.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>

namespace daypass::chaos {

namespace {

struct Port {
  std::string_view mangled;  ///< how the names of a class's members begin
  std::string_view name;
};
constexpr Port ports[] = {{"_ZN7daypass5store6sqlite11SqliteStore", "store."},
                          {"_ZN7daypass5store6sqlite8SqliteTx", "store."},
                          {"_ZN7daypass6target8postgres14PostgresTarget", "target."}};

/// "14append_audit…" -> "append_audit": the member's name in a mangled one.
std::string member_of(std::string_view rest) {
  std::size_t length = 0, digits = 0;
  while (digits < rest.size() && rest[digits] >= '0' && rest[digits] <= '9')
    length = length * 10 + static_cast<std::size_t>(rest[digits++] - '0');
  if (length == 0 || digits + length > rest.size()) return {};
  return std::string(rest.substr(digits, length));
}

constexpr std::string_view verbs[] = {
    "open",        "transact",      "snapshot",       "sweep",  "checkpoint",      "save_grant",
    "open_intent", "settle_intent", "append_audit",   "put",    "remove",          "use_once",
    "nested",      "provision",     "revoke",         "verify", "revoke_together", "verify_all",
    "list_owned",  "check",         "server_identity"};

template <class T>
T read_as(std::string_view bytes, std::size_t at) {
  T out{};
  if (at + sizeof out <= bytes.size()) std::memcpy(&out, bytes.data() + at, sizeof out);
  return out;
}

/// A file's bytes without reading what nobody looks at: most of a program is debugging information.
class Mapped {
 public:
  explicit Mapped(const std::string& path) : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    struct stat found{};
    if (fd_ < 0 || fstat(fd_, &found) != 0) return;
    size_ = static_cast<std::size_t>(found.st_size);
    at_ = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd_, 0);
  }
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;
  ~Mapped() {
    if (at_ != MAP_FAILED) munmap(at_, size_);
    if (fd_ >= 0) close(fd_);
  }
  [[nodiscard]] std::string_view bytes() const {
    return at_ == MAP_FAILED ? std::string_view() : std::string_view(static_cast<const char*>(at_), size_);
  }

 private:
  int fd_;
  std::size_t size_ = 0;
  void* at_ = MAP_FAILED;
};

std::uint64_t load_address(pid_t pid, const std::string& program) {
  std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
  for (std::string line; std::getline(maps, line);) {
    std::uint64_t begin = 0;
    if (line.ends_with(program) && std::sscanf(line.c_str(), "%" SCNx64, &begin) == 1) return begin;
  }
  return 0;
}

}  // namespace

Verbs::Verbs(const std::string& program) : program_(std::filesystem::canonical(program).string()) {
  const Mapped file(program_);
  const std::string_view bytes = file.bytes();
  const auto header = read_as<Elf64_Ehdr>(bytes, 0);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64) return;
  first_load_ = UINT64_MAX;
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    const auto segment = read_as<Elf64_Phdr>(bytes, header.e_phoff + i * sizeof(Elf64_Phdr));
    if (segment.p_type == PT_LOAD) first_load_ = std::min<std::uint64_t>(first_load_, segment.p_vaddr);
  }
  for (unsigned i = 0; i < header.e_shnum; ++i) {
    const auto section = read_as<Elf64_Shdr>(bytes, header.e_shoff + i * sizeof(Elf64_Shdr));
    if (section.sh_type != SHT_SYMTAB) continue;
    const auto names = read_as<Elf64_Shdr>(bytes, header.e_shoff + section.sh_link * sizeof(Elf64_Shdr));
    for (std::uint64_t at = section.sh_offset; at < section.sh_offset + section.sh_size; at += sizeof(Elf64_Sym)) {
      const auto symbol = read_as<Elf64_Sym>(bytes, at);
      if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_size == 0) continue;
      const std::string_view name(bytes.data() + names.sh_offset + symbol.st_name);
      for (const Port& port : ports) {
        if (!name.starts_with(port.mangled)) continue;
        const std::string member = member_of(name.substr(port.mangled.size()));
        if (std::ranges::find(verbs, member) == std::end(verbs)) continue;
        functions_.push_back({symbol.st_value, symbol.st_value + symbol.st_size, std::string(port.name) + member});
      }
    }
  }
  std::ranges::sort(functions_, {}, &Function::begin);
}

std::string Verbs::at(pid_t pid, std::uint64_t stack) const {
  if (functions_.empty()) return {};
  if (pid != known_) {
    base_ = load_address(pid, program_);
    known_ = pid;
  }
  std::vector<std::uint64_t> words(8192);
  // Up to the end of the stack's mapping: what lies beyond is read short.
  std::size_t got = 0;
  for (std::size_t page = 0; page < words.size() * 8; page += 4096) {
    iovec mine{reinterpret_cast<char*>(words.data()) + page, 4096};
    iovec theirs{reinterpret_cast<void*>(stack + page), 4096};
    const ssize_t n = process_vm_readv(pid, &mine, 1, &theirs, 1, 0);
    if (n > 0) got += static_cast<std::size_t>(n);
    if (n != 4096) break;
  }
  words.resize(got / 8);
  std::vector<std::string> found;
  for (const std::uint64_t word : words) {
    const std::uint64_t address = word - base_ + first_load_;
    auto it = std::ranges::upper_bound(functions_, address, {}, &Function::begin);
    if (it == functions_.begin()) continue;
    --it;
    // A return address lies behind a call, never at a function's first byte.
    if (address <= it->begin || address > it->end) continue;
    if (found.empty() || found.back() != it->name) found.push_back(it->name);
  }
  std::string out;
  for (auto it = found.rbegin(); it != found.rend(); ++it) {
    if (out.find(*it) != std::string::npos) continue;
    out += (out.empty() ? "" : " > ") + *it;
  }
  return out;
}

}  // namespace daypass::chaos
