// Which verb of a port a stopped thread is in: function names from the program's own symbol table, matched with the
// return addresses on the thread's stack.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace daypass::chaos {

class Verbs {
 public:
  /// Reads the symbols of the ELF file `program`. Without any (a stripped program) every answer is empty.
  explicit Verbs(const std::string& program);

  /// From the outermost to the innermost, as "store.transact > store.append_audit"; empty: in none. `pid`: the
  /// process, stopped under this tracer; `stack`: the thread's stack pointer. Return addresses that a frame left behind
  /// may be taken for live ones: it is a label for people, nothing is decided by it.
  [[nodiscard]] std::string at(pid_t pid, std::uint64_t stack) const;

 private:
  struct Function {
    std::uint64_t begin = 0, end = 0;
    std::string name;
  };
  std::string program_;
  std::uint64_t first_load_ = 0;  ///< the lowest address that the file asks for
  std::vector<Function> functions_;
  mutable pid_t known_ = 0;
  mutable std::uint64_t base_ = 0;
};

}  // namespace daypass::chaos
