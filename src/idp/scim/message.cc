#include "idp/scim/message.h"

namespace daypass::idp::scim {

namespace json = base::json;

json::Value list_response(json::Array resources, std::size_t total, std::size_t start) {
  return json::Object{{"schemas", json::Array{list_urn}},
                      {"totalResults", static_cast<std::int64_t>(total)},
                      {"startIndex", static_cast<std::int64_t>(start)},
                      {"itemsPerPage", static_cast<std::int64_t>(resources.size())},
                      {"Resources", std::move(resources)}};
}

json::Value error_response(const base::Error& error, int status, std::string_view request_id) {
  std::string detail = error.message;
  if (!error.hint.empty()) detail += "; " + error.hint;
  detail += " [" + error.check + ", request " + std::string(request_id) + "]";
  // RFC 7644 section 3.12: the status is a string.
  json::Object out{{"schemas", json::Array{error_urn}}, {"status", std::to_string(status)}};
  if (const auto type = scim_type(error.check); !type.empty()) out.set("scimType", type);
  out.set("detail", std::move(detail));
  return out;
}

std::string_view scim_type(std::string_view check) noexcept {
  constexpr std::pair<std::string_view, std::string_view> types[] = {
      {"scim.filter", "invalidFilter"},  {"scim.path", "invalidPath"}, {"scim.value", "invalidValue"},
      {"scim.syntax", "invalidSyntax"},  {"scim.target", "noTarget"},  {"scim.mutability", "mutability"},
      {"scim.uniqueness", "uniqueness"}, {"scim.too_many", "tooMany"},
  };
  for (const auto& [name, type] : types)
    if (name == check || (check.starts_with("json.") && name == "scim.syntax")) return type;
  return {};
}

}  // namespace daypass::idp::scim
