#include "idp/scim/query.h"

#include <algorithm>

#include "idp/scim/limits.h"

namespace daypass::idp::scim {

using base::Code;
using base::Error;
using base::Result;

namespace {

Result<std::optional<std::string>> one(const std::vector<std::pair<std::string, std::string>>& parameters,
                                       std::string_view name) {
  std::optional<std::string> found;
  for (const auto& [key, value] : parameters) {
    if (key != name) continue;
    if (found) return Error{Code::invalid, "scim.value", std::string(name) + " is asked for twice"};
    found = value;
  }
  return found;
}

/// RFC 7644 section 3.4.2.4: what is too small is the least.
Result<std::size_t> number(const std::optional<std::string>& text, std::string_view name, std::size_t least,
                           std::size_t fallback) {
  if (!text) return fallback;
  const bool negative = text->starts_with('-');
  const std::string_view digits = std::string_view(*text).substr(negative ? 1 : 0);
  if (digits.empty() || digits.size() > 9 || digits.find_first_not_of("0123456789") != std::string_view::npos)
    return Error{Code::invalid, "scim.value", std::string(name) + " must be a whole number"};
  return negative ? least : std::max(least, static_cast<std::size_t>(std::stoul(std::string(digits))));
}

}  // namespace

Result<Query> Query::parse(Kind kind, const std::vector<std::pair<std::string, std::string>>& parameters) {
  Query out;
  DP_TRY(const auto filter, one(parameters, "filter"));
  if (filter && !filter->empty()) {
    DP_TRY(out.filter, Filter::parse(kind, *filter));
  }
  DP_TRY(const auto attributes, one(parameters, "attributes"));
  DP_TRY(const auto excluded, one(parameters, "excludedAttributes"));
  DP_TRY(out.projection, Projection::parse(attributes, excluded));
  DP_TRY(const auto start, one(parameters, "startIndex"));
  DP_TRY(const auto count, one(parameters, "count"));
  DP_TRY(out.start, number(start, "startIndex", 1, 1));
  DP_TRY(out.count, number(count, "count", 0, out.count));
  out.count = std::min(out.count, max_page);
  return out;
}

}  // namespace daypass::idp::scim
