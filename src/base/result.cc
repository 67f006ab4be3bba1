#include "base/result.h"

#include <cstdio>
#include <cstdlib>

namespace daypass::base {

void assert_failed(const char* expression, const char* file, int line) noexcept {
  std::fprintf(stderr, "daypass: invariant broken: %s (%s:%d)\n", expression, file, line);
  std::abort();
}

std::string_view to_string(Code code) noexcept {
  switch (code) {
    case Code::invalid:
      return "invalid";
    case Code::unauthenticated:
      return "unauthenticated";
    case Code::denied:
      return "denied";
    case Code::not_found:
      return "not_found";
    case Code::conflict:
      return "conflict";
    case Code::unavailable:
      return "unavailable";
    case Code::timeout:
      return "timeout";
    case Code::exhausted:
      return "exhausted";
    case Code::ended:
      return "ended";
    case Code::internal:
      return "internal";
  }
  return "internal";
}

}  // namespace daypass::base
