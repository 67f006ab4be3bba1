// What a GET asks for (RFC 7644 section 3.4.2): a filter, a page, some attributes.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "idp/scim/resource.h"

namespace daypass::idp::scim {

struct Query {
  std::optional<Filter> filter;
  Projection projection;
  std::size_t start = 1;    ///< from 1
  std::size_t count = 100;  ///< at most max_page; 0: only how many there are

  /// Parameters that are not supported (sortBy, sortOrder) are passed over, as are those that nobody knows.
  /// Errors: "scim.filter", "scim.value" (no number, or said twice).
  static base::Result<Query> parse(Kind kind, const std::vector<std::pair<std::string, std::string>>& parameters);
};

}  // namespace daypass::idp::scim
