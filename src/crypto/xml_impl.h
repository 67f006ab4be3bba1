// What the XML files of this room share about libxml2. Not for other rooms.
#pragma once

#include <libxml/tree.h>

#include <memory>
#include <vector>

#include "crypto/evp.h"
#include "crypto/xml.h"

namespace daypass::crypto::xml {

struct Document::Impl {
  std::unique_ptr<xmlDoc, Free<xmlFreeDoc>> doc;
  Element root;
  std::vector<xmlNode*> nodes;  // by Element::index
};

/// Once per process, before any other call: libxml2 and xmlsec, silent, with nothing that opens a file or a socket.
void start_libraries();

}  // namespace daypass::crypto::xml
