// The command line as a function: arguments in, exit code out.
#pragma once

#include <string>
#include <vector>

#include "app/cli/context.h"

namespace daypass::app::cli {

/// `args` without the program's name.
int run(const std::vector<std::string>& args, Io& io);
/// One command of the tree, for the test that compares docs/reference/cli.md with it.
struct CommandHelp {
  std::string name;                  ///< "daypass grants ls"
  std::vector<std::string> options;  ///< "--for", "-n", and positional names without dashes
  bool runs = false;                 ///< false: only a parent of commands
};
std::vector<CommandHelp> command_tree();
/// Secrets pass through this process: from here on no core dump of it, and no debugger of another process of its user
/// (prctl(2), PR_SET_DUMPABLE). What it executes is not concerned. Ends the process where that can't be had.
void keep_memory_private();
/// Fills an Io from the process and runs.
int main_of(int argc, char** argv);

}  // namespace daypass::app::cli
