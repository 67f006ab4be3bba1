#include "idp/printable.h"

#include "base/encoding.h"

namespace daypass::idp {

std::string printable(std::string_view text, std::size_t max_bytes) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    const std::string_view one = text.substr(i, length);
    if (!base::is_utf8(one)) {
      ++i;
      continue;
    }
    i += length;
    // C0, DEL, C1; line and paragraph separators; the marks and overrides that reorder what a reader sees.
    const bool control = lead < 0x20 || lead == 0x7f || (lead == 0xc2 && static_cast<unsigned char>(one[1]) < 0xa0);
    const bool format = one >= "\u200b" && one <= "\u200f";
    const bool direction = (one >= "\u2028" && one <= "\u202e") || (one >= "\u2060" && one <= "\u206f");
    if (control || format || direction || one == "\ufeff") continue;
    if (out.size() + length > max_bytes) break;
    out += one;
  }
  return out;
}

}  // namespace daypass::idp
