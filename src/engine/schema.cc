#include "engine/schema.h"

#include <algorithm>
#include <map>

namespace daypass::engine {
namespace {

constexpr std::string_view string_type = "String", long_type = "Long", bool_type = "Bool", set_type = "Set<String>";

std::string_view type_of(core::AttributeType type) {
  switch (type) {
    case core::AttributeType::string:
      return string_type;
    case core::AttributeType::integer:
      return long_type;
    case core::AttributeType::boolean:
      return bool_type;
    case core::AttributeType::string_set:
      return set_type;
  }
  return string_type;
}

std::string_view type_of(const core::AttributeValue& value) {
  constexpr std::string_view types[] = {string_type, long_type, bool_type, set_type};
  return types[value.index()];
}

// The attributes of one entity type, gathered from everything that has some.
class Shape {
 public:
  Shape(std::string what, std::vector<config::Problem>& problems) : what_(std::move(what)), problems_(problems) {}

  /// `where`: "idp corp", "role pg/orders/reader".
  void see(const std::string& name, std::string_view type, bool certain, const std::string& where) {
    const auto [entry, fresh] = attributes_.try_emplace(name, Attribute{type, where, 0, false});
    Attribute& a = entry->second;
    if (certain) ++a.certain;
    if (fresh || a.type == type || a.told) return;
    a.told = true;  // once is enough, however many there are
    problems_.push_back({"tenant.toml", 0, 0,
                         "attribute " + name + " of " + what_ + " is a " + std::string(a.type) + " in " + a.where +
                             " and a " + std::string(type) + " in " + where,
                         "give it one type, or two names"});
  }
  void fixed(const std::string& name, std::string_view type, bool optional = false) {
    fixed_.emplace(name, std::string(optional ? "?: " : ": ") + std::string(type));
  }
  /// `of`: how many have attributes; what all of them are certain to have is required.
  [[nodiscard]] std::string text(std::size_t of) const {
    auto members = fixed_;
    for (const auto& [name, a] : attributes_)
      members.emplace(name, std::string(a.certain == of ? ": " : "?: ") + std::string(a.type));
    if (members.empty()) return "";
    std::string out = " {\n";
    for (const auto& [name, type] : members) {
      out += "  ";
      out += name;
      out += type;
      out += ",\n";
    }
    return out + "}";
  }

 private:
  struct Attribute {
    std::string_view type;
    std::string where;
    std::size_t certain = 0;
    bool told = false;
  };
  std::string what_;
  std::vector<config::Problem>& problems_;
  std::map<std::string, Attribute> attributes_;
  std::map<std::string, std::string> fixed_;
};

std::string user_shape(const core::TenantSpec& spec, std::vector<config::Problem>& problems) {
  Shape user("principal", problems);
  for (const auto& idp : spec.idps)
    for (const auto& rule : idp.attributes)
      user.see(rule.attribute, type_of(rule.type), rule.required, "idp " + idp.name);
  user.fixed("acting_for", string_type, true);
  user.fixed("groups", set_type);
  user.fixed("idp", string_type);
  user.fixed("kind", string_type);
  user.fixed("subject", string_type);
  return user.text(spec.idps.size());
}

std::string target_shape(const core::TenantSpec& spec, std::vector<config::Problem>& problems) {
  Shape shape("targets", problems);
  for (const auto& target : spec.targets)
    for (const auto& [name, value] : target.attributes)
      shape.see(name, type_of(value), true, "target " + target.id.str());
  return shape.text(spec.targets.size());
}

std::string role_shape(const core::TenantSpec& spec, std::vector<config::Problem>& problems) {
  Shape shape("roles", problems);
  for (const auto& role : spec.roles)
    for (const auto& [name, value] : role.attributes) shape.see(name, type_of(value), true, "role " + role.id.str());
  shape.fixed("elevated", bool_type);
  shape.fixed("target", "Target");
  return shape.text(spec.roles.size());
}

}  // namespace

TenantSchema tenant_schema(const core::TenantSpec& spec) {
  TenantSchema out;
  out.text =
      "// What the policies of this tenant can speak of: made by Daypass from its identity providers, targets and "
      "roles.\n"
      "entity User in [Group]" +
      user_shape(spec, out.problems) + ";\nentity Group;\nentity Target" + target_shape(spec, out.problems) +
      ";\nentity Role in [Target]" + role_shape(spec, out.problems) +
      ";\nentity Tenant;\n\n"
      "type Context = {\n"
      "  acr: String,\n"
      "  amr: Set<String>,\n"
      "  auth_time: datetime,\n"
      "  client_ip?: ipaddr,\n"
      "  mfa: Bool,\n"
      "  reason: String,\n"
      "  requested_duration: duration,\n"
      "  time: datetime,\n"
      "  weekday: Long,\n"
      "};\n\n"
      "action assume appliesTo { principal: [User], resource: [Role], context: Context };\n"
      "action administer appliesTo { principal: [User], resource: [Tenant], context: Context };\n";
  if (!out.problems.empty()) return out;
  auto schema = cedar::Schema::parse(out.text, "tenant.cedarschema");
  if (schema.ok())
    out.schema = std::move(*schema);
  else
    out.problems.push_back(
        {"tenant.toml", 0, 0, "no schema can be made of it: " + schema.error().message, schema.error().hint});
  return out;
}

}  // namespace daypass::engine
