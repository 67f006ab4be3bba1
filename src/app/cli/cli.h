// The command line as a function: arguments in, exit code out.
#pragma once

#include <string>
#include <vector>

#include "app/cli/context.h"

namespace daypass::app::cli {

/// `args` without the program's name.
int run(const std::vector<std::string>& args, Io& io);
/// Fills an Io from the process and runs.
int main_of(int argc, char** argv);

}  // namespace daypass::app::cli
