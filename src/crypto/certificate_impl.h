// The inside of certificates and key pairs, shared by the XML files of this room. Inside this room only.
#pragma once

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

}  // namespace daypass::crypto::xml
