#include "engine/question.h"

#include <algorithm>

namespace daypass::engine {
namespace {

using cedar::Record;
using cedar::Value;

Value to_value(const core::AttributeValue& attribute) {
  return std::visit(
      [](const auto& v) -> Value {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::string>) {
          return Value::string(v);
        } else if constexpr (std::is_same_v<T, std::int64_t>) {
          return Value::long_(v);
        } else if constexpr (std::is_same_v<T, bool>) {
          return Value::boolean(v);
        } else {
          std::vector<Value> items;
          for (const auto& s : v) items.push_back(Value::string(s));
          return Value::set(std::move(items));
        }
      },
      attribute);
}

Record to_record(const core::Attributes& attributes) {
  Record out;
  for (const auto& [name, value] : attributes) out.insert_or_assign(name, to_value(value));
  return out;
}

std::string_view kind_of(core::PrincipalKind kind) {
  constexpr std::string_view names[] = {"person", "agent", "workload"};
  return names[static_cast<std::size_t>(kind)];
}

// ISO 8601: 1 is Monday, 7 is Sunday, in UTC. Cedar has no remainder to find it with.
std::int64_t weekday_of(base::WallTime now) {
  return std::chrono::weekday(std::chrono::floor<std::chrono::days>(now)).iso_encoding();
}

}  // namespace

cedar::Entity user_entity(const core::Identity& who) {
  cedar::Entity user;
  user.uid = {"User", who.principal()};
  user.attrs = to_record(who.attributes);
  user.attrs.insert_or_assign("groups", to_value(core::AttributeValue(who.groups)));
  user.attrs.insert_or_assign("idp", Value::string(who.idp));
  user.attrs.insert_or_assign("subject", Value::string(who.subject));
  user.attrs.insert_or_assign("kind", Value::string(std::string(kind_of(who.kind))));
  // Not even what a mapping of that name could have left behind.
  user.attrs.erase("acting_for");
  if (who.acting_for) user.attrs.insert_or_assign("acting_for", Value::string(*who.acting_for));
  for (const auto& group : who.groups) user.parents.push_back({"Group", who.idp + "/" + group});
  return user;
}

cedar::Entity target_entity(const core::TargetSpec& target) {
  cedar::Entity entity;
  entity.uid = {"Target", target.id.str()};
  entity.attrs = to_record(target.attributes);
  return entity;
}

cedar::Entity role_entity(const core::RoleSpec& role) {
  const cedar::EntityUid target{"Target", core::target_of(role.id).str()};
  cedar::Entity entity;
  entity.uid = {"Role", role.id.str()};
  entity.attrs = to_record(role.attributes);
  entity.attrs.insert_or_assign("target", Value::entity(target));
  entity.attrs.insert_or_assign("elevated", Value::boolean(role.elevated));
  entity.parents.push_back(target);
  return entity;
}

std::string address_of(const std::string& peer) {
  const std::string host = peer.substr(0, peer.rfind(':'));
  return host.starts_with('[') && host.ends_with(']') ? host.substr(1, host.size() - 2) : host;
}

Record context_of(const core::Identity& who, const core::AccessRequest& request, base::WallTime now) {
  Record context;
  context.insert_or_assign("time", Value::datetime(now));
  context.insert_or_assign("weekday", Value::long_(weekday_of(now)));
  context.insert_or_assign("auth_time", Value::datetime(who.auth_time));
  context.insert_or_assign("reason", Value::string(request.reason));
  const core::Millis wanted = request.wanted_duration.value_or(core::DefaultLimits{}.duration);
  context.insert_or_assign("requested_duration", Value::duration(wanted));
  if (auto ip = Value::ipaddr(request.client_address); ip.ok()) context.insert_or_assign("client_ip", std::move(*ip));
  // RFC 8176: the methods that say a second factor was used.
  const bool mfa = std::any_of(who.amr.begin(), who.amr.end(), [](const std::string& m) {
    return m == "mfa" || m == "otp" || m == "hwk" || m == "swk" || m == "fpt" || m == "face" || m == "sms";
  });
  context.insert_or_assign("mfa", Value::boolean(mfa));
  context.insert_or_assign("acr", Value::string(who.acr));
  std::vector<Value> amr;
  for (const auto& m : who.amr) amr.push_back(Value::string(m));
  context.insert_or_assign("amr", Value::set(std::move(amr)));
  return context;
}

bool allows(const cedar::Answer& answer) noexcept {
  return answer.decision == cedar::Decision::allow && answer.erred_forbids.empty();
}

std::shared_ptr<const cedar::Entities> resources_of(const core::TenantSpec& spec, const core::RoleSpec* role,
                                                    const core::TargetSpec* target) {
  std::vector<cedar::Entity> all;
  for (const auto& one : spec.targets)
    all.push_back(target_entity(target != nullptr && target->id == one.id ? *target : one));
  for (const auto& one : spec.roles) all.push_back(role_entity(role != nullptr && role->id == one.id ? *role : one));
  auto built = cedar::Entities::build(std::move(all));
  DP_ASSERT(built.ok());  // our own entities: unique ids, two levels, no cycle
  return std::make_shared<const cedar::Entities>(std::move(*built));
}

Question::Question(const Tenant& t, const core::Identity& identity, const core::AccessRequest& request,
                   base::WallTime now, std::shared_ptr<const cedar::Entities> resources)
    : tenant(t), who(identity), principal{"User", identity.principal()}, context(context_of(identity, request, now)) {
  auto built =
      cedar::Entities::build_over(resources == nullptr ? t.resources : std::move(resources), {user_entity(who)});
  DP_ASSERT(built.ok());  // our own entities: a person is none of the resources
  entities = std::move(*built);
}

cedar::Request Question::ask(const core::RoleId& role) const {
  return {principal, {"Action", "assume"}, {"Role", role.str()}, context};
}

}  // namespace daypass::engine
