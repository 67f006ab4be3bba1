// The inside of certificates and key pairs, shared by the XML files of this room. Inside this room only.
#pragma once

#include <optional>
#include <string>

#include "crypto/jose_key.h"
#include "crypto/xml_signature.h"

namespace daypass::crypto::xml {

struct KeyKind {
  bool rsa = false;
  std::size_t field = 0;  ///< octets of r or s of an elliptic curve
};

struct Certificate::Impl {
  std::string der;
  std::string sha256;
  PkeyPtr key;
  KeyKind kind;
  base::WallTime not_after{};
};

struct KeyPair::Impl {
  PkeyPtr key;
  Certificate certificate;
};

/// Base64 as XML Schema has it: white space may stand anywhere, everything else is strict.
std::optional<std::string> base64_with_white_space(std::string_view text);

}  // namespace daypass::crypto::xml
