#include "core/identity.h"

namespace daypass::core {

using base::Code;
using base::Error;
namespace json = base::json;

namespace {

json::Value strings(const auto& list) {
  json::Array out;
  for (const auto& s : list) out.emplace_back(s);
  return out;
}

Error shape(std::string_view what) {
  return {Code::internal, "identity.shape", "a stored identity is damaged: " + std::string(what)};
}

}  // namespace

json::Value to_json(const Attributes& attributes) {
  json::Object out;
  for (const auto& [name, value] : attributes)
    std::visit(
        [&](const auto& v) {
          if constexpr (std::is_same_v<std::decay_t<decltype(v)>, std::set<std::string>>)
            out.set(name, strings(v));
          else
            out.set(name, v);
        },
        value);
  return out;
}

base::Result<Attributes> attributes_from_json(const json::Value& value) {
  const json::Object* object = value.as_object();
  if (object == nullptr) return shape("attributes");
  Attributes out;
  for (const auto& [name, v] : *object) {
    if (const auto* s = v.as_string())
      out[name] = *s;
    else if (const auto* i = v.as_int())
      out[name] = *i;
    else if (const auto* b = v.as_bool())
      out[name] = *b;
    else if (const auto* array = v.as_array()) {
      std::set<std::string> set;
      for (const auto& item : *array) {
        if (item.as_string() == nullptr) return shape("attribute " + name);
        set.insert(*item.as_string());
      }
      out[name] = std::move(set);
    } else
      return shape("attribute " + name);
  }
  return out;
}

json::Value to_json(const Identity& who) {
  json::Object out{{"tenant", who.tenant.str()},
                   {"idp", who.idp},
                   {"subject", who.subject},
                   {"kind", static_cast<int>(who.kind)},
                   {"display", who.display},
                   {"attributes", to_json(who.attributes)},
                   {"groups", strings(who.groups)},
                   {"auth_time", base::to_rfc3339(who.auth_time)},
                   {"acr", who.acr},
                   {"amr", strings(who.amr)}};
  if (who.acting_for) out.set("acting_for", *who.acting_for);
  if (!who.idp_sessions.empty()) out.set("idp_sessions", strings(who.idp_sessions));
  if (who.not_after) out.set("not_after", base::to_rfc3339(*who.not_after));
  return out;
}

base::Result<Identity> identity_from_json(const json::Value& value) {
  Identity who;
  DP_TRY(who.tenant, parse_tenant(value.string_or("tenant")));
  who.idp = value.string_or("idp");
  who.subject = value.string_or("subject");
  if (who.idp.empty() || who.subject.empty()) return shape("idp or subject");
  const std::int64_t kind = value.int_or("kind", -1);
  if (kind < 0 || kind > 2) return shape("kind");
  who.kind = static_cast<PrincipalKind>(kind);
  who.display = value.string_or("display");
  const json::Value* attributes = value.find("attributes");
  if (attributes == nullptr) return shape("attributes");
  DP_TRY(who.attributes, attributes_from_json(*attributes));
  const auto read_list = [&](const char* key, auto&& add) {
    const json::Value* list = value.find(key);
    if (list == nullptr || list->as_array() == nullptr) return false;
    for (const auto& item : *list->as_array()) {
      if (item.as_string() == nullptr) return false;
      add(*item.as_string());
    }
    return true;
  };
  if (!read_list("groups", [&](const std::string& s) { who.groups.insert(s); })) return shape("groups");
  if (!read_list("amr", [&](const std::string& s) { who.amr.push_back(s); })) return shape("amr");
  DP_TRY(who.auth_time, base::parse_rfc3339(value.string_or("auth_time")));
  who.acr = value.string_or("acr");
  if (value.find("acting_for") != nullptr) who.acting_for = value.string_or("acting_for");
  if (value.find("idp_sessions") != nullptr &&
      !read_list("idp_sessions", [&](const std::string& s) { who.idp_sessions.push_back(s); }))
    return shape("idp_sessions");
  if (value.find("not_after") != nullptr) {
    DP_TRY(who.not_after, base::parse_rfc3339(value.string_or("not_after")));
  }
  return who;
}

}  // namespace daypass::core
