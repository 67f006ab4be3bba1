// How much of everything a SCIM client may send, checked before work is done on it.
#pragma once

#include <cstddef>

#include "base/json.h"

namespace daypass::idp::scim {

constexpr base::json::Limits body_limits{std::size_t{1} << 20U, 10, 100'000, 256};
constexpr std::size_t max_filter_bytes = std::size_t{4} * 1024;
constexpr std::size_t max_filter_depth = 8;
constexpr std::size_t max_filter_terms = 64;
constexpr std::size_t max_text_bytes = std::size_t{2} * 1024;  ///< of one value
constexpr std::size_t max_name_bytes = 255;                    ///< of userName, externalId and displayName
constexpr std::size_t max_values = 50;                         ///< of one multi-valued attribute, members apart
constexpr std::size_t max_operations = 1000;  ///< of one PATCH, after those without a path are taken apart
constexpr std::size_t max_resource_bytes = std::size_t{32} * 1024;
constexpr std::size_t max_page = 200;  ///< resources in one answer

}  // namespace daypass::idp::scim
