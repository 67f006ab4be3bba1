// Secrets by reference, and the key material of a data folder. With environment.h the only code that reads secrets'
// files.
#pragma once

#include <map>
#include <string>

#include "base/entropy.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "core/spec.h"

namespace daypass::app {

/// "file:PATH" (one trailing newline is dropped, at most 4 MiB) or "env:NAME".
/// Errors: "secret.ref", "secret.file", "secret.env".
base::Result<base::Secret> resolve_secret(const core::SecretRef& ref);

/// A copy of the process environment.
std::map<std::string, std::string> environment();
std::string environment_or(const std::string& name, const std::string& fallback);

/// What a data folder holds beside the store. Made at first use, files 0600, the folder 0700.
struct DataKeys {
  base::Secret master;           ///< 32 bytes: seals every secret at rest
  std::string instance;          ///< 6 characters of [a-z0-9]: this installation's mark on targets
  std::string gate_certificate;  ///< PEM
  base::Secret gate_key;         ///< PEM
};

/// Errors: "data.folder", "data.key" (there, but not as it was made), "data.permissions".
base::Result<DataKeys> open_data_keys(const std::string& folder, const std::string& gate_host, const base::Clock& clock,
                                      base::Entropy& entropy);

/// Writes a file that only this user reads: a temporary beside it, fsync, rename. Error: "file.write".
base::Status write_private(const std::string& path, std::string_view content);

}  // namespace daypass::app
