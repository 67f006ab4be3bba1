// The file that remembers how long each tenant's audit log was, beside the store or far from it.
#pragma once

#include <optional>
#include <string>

#include "engine/engine.h"

namespace daypass::app {

/// nullopt: there is none yet. Error: "witness.file" (it is there, and can't be read as one).
base::Result<std::optional<engine::Witness>> read_witness(const std::string& path);
/// Error: "file.write".
base::Status write_witness(const std::string& path, const engine::Witness& witness);

}  // namespace daypass::app
