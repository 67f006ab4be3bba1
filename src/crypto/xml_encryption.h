// XML Encryption 1.1, the way in only: one encrypted element with its key, as SAML's EncryptedAssertion holds it.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "crypto/xml.h"
#include "crypto/xml_signature.h"

namespace daypass::crypto::xml {

/// Whether the content is encrypted with a cipher that does not authenticate (CBC): decrypting such a thing answers
/// questions about it, so it may be done only when somebody else vouches for the octets.
bool is_unauthenticated(const Element& encrypted);

/// Decrypts `encrypted`, whose children are one EncryptedData of the type Element and, inside its KeyInfo or beside it,
/// one EncryptedKey. Content: AES-128, -192, -256 in GCM or CBC mode; key: RSA-OAEP with SHA-1 or SHA-2. Of `keys` each
/// RSA one is tried.
/// Errors: "xmlenc.shape", "xmlenc.algorithm", "xmlenc.no_key", and "xmlenc.decrypt", which says nothing more, whatever
/// went wrong.
base::Result<std::string> decrypt(const Element& encrypted, std::span<const KeyPair> keys);

}  // namespace daypass::crypto::xml
