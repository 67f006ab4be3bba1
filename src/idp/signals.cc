#include "idp/signals.h"

#include <array>

namespace daypass::idp {

std::string_view set_error_name(const base::Error& error) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 8> names{
      {{"set.iss", "invalid_issuer"},
       {"set.aud", "invalid_audience"},
       {"set.subject_iss", "access_denied"},
       {"signals.authorization", "authentication_failed"},
       {"jws.signature", "invalid_key"},
       {"jws.kid_unknown", "invalid_key"},
       {"jws.key_ambiguous", "invalid_key"},
       {"jws.alg_key_mismatch", "invalid_key"}}};
  for (const auto& [check, name] : names)
    if (error.check == check) return name;
  return "invalid_request";
}

}  // namespace daypass::idp
