// Checkpoints for tests of whatever reads them.
#pragma once

#include <string>
#include <string_view>

#include "base/secret.h"
#include "crypto/ed25519.h"
#include "tlog/note.h"

namespace daypass::engine::test {

/// A log's key, and what it signs.
struct Signer {
  explicit Signer(const std::string& name, char fill = 's') : seed(std::string(32, fill)) {
    key = {name, crypto::ed25519_public_key(seed)};
  }
  std::string head(std::uint64_t size, const tlog::Hash& root) const {
    return tlog::sign_note(tlog::checkpoint_text({key.name, size, root}), key,
                           [this](std::string_view text) { return crypto::ed25519_sign(seed, text); });
  }
  base::Secret seed;
  tlog::NoteKey key;
};

}  // namespace daypass::engine::test
