// One binary: everything is a subcommand.
#include "app/cli/cli.h"

int main(int argc, char** argv) {
  return daypass::app::cli::main_of(argc, argv);
}
