#include "engine/world.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <set>

#include "base/encoding.h"
#include "cedar/validate.h"
#include "engine/question.h"
#include "engine/schema.h"
#include "engine/scim.h"
#include "idp/scim/filter.h"

namespace daypass::engine {
namespace {

using base::Code;
using base::Error;
using base::Status;

std::string place_of(const cedar::Policy& policy) {
  return policy.file();
}

config::Problem at(const cedar::Policy& policy, std::string message, std::string hint) {
  return {place_of(policy), policy.line(), policy.column(), "policy " + policy.id() + ": " + std::move(message),
          std::move(hint)};
}

// The annotations that carry limits. A slip in one of them would silently give more than was meant, so all are checked.
void read_annotations(const cedar::Policy& policy, Compiled& out, std::map<std::string, PolicyLimits>& limits) {
  constexpr std::array<std::string_view, 6> known{"id", "duration", "idle", "connections", "description", "approvers"};
  PolicyLimits mine;
  bool any = false;
  for (const auto& [key, value] : policy.annotations()) {
    if (key == "duration" || key == "idle") {
      const auto parsed = base::parse_duration(value);
      if (!parsed.ok() || *parsed < std::chrono::seconds(1)) {
        out.problems.push_back(
            at(policy, "@" + key + "(\"" + value + "\") is not a duration", "write it like 1h, 10m or 90s"));
        continue;
      }
      (key == "duration" ? mine.duration : mine.idle) = *parsed;
      any = true;
    } else if (key == "connections") {
      const bool digits = !value.empty() && value.size() <= 4 &&
                          std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
      const int n = digits ? std::stoi(value) : 0;
      if (n < 1 || n > 1000) {
        out.problems.push_back(at(policy, "@connections(\"" + value + "\") is not a number of connections",
                                  "write a whole number from 1 to 1000"));
        continue;
      }
      mine.connections = n;
      any = true;
    } else if (key == "approvers") {
      out.problems.push_back(at(policy, "@approvers is not supported yet",
                                "remove it: access that should wait for an approval would be given without one"));
    } else if (std::find(known.begin(), known.end(), key) == known.end()) {
      const std::string near = base::nearest(key, known);
      out.problems.push_back(at(policy, "unknown annotation @" + key,
                                near.empty() ? "known are @id, @duration, @idle, @connections and @description"
                                             : "did you mean @" + near + "?"));
    }
  }
  if (any && policy.effect() == cedar::Effect::forbid)
    out.problems.push_back(at(policy, "a forbid takes no limits", "put @duration, @idle and @connections on permits"));
  limits.emplace(policy.id(), mine);
}

// A policy that names what does not exist is a typo that nobody would notice: it just never applies.
void check_names(const cedar::Policy& policy, const core::TenantSpec& spec, Compiled& out) {
  constexpr std::array<std::string_view, 2> actions{"assume", "administer"};
  for (const auto& uid : policy.action().entities)
    if (uid.type != "Action" || std::find(actions.begin(), actions.end(), uid.id) == actions.end())
      out.problems.push_back(at(policy, "there is no action " + uid.to_string(),
                                "actions are Action::\"assume\" and Action::\"administer\""));
  std::vector<std::string> roles, targets, idps;
  for (const auto& role : spec.roles) roles.push_back(role.id.str());
  for (const auto& target : spec.targets) targets.push_back(target.id.str());
  for (const auto& idp : spec.idps) idps.push_back(idp.name);
  const auto missing = [&](const cedar::EntityUid& uid, const std::vector<std::string>& known) {
    if (std::find(known.begin(), known.end(), uid.id) != known.end()) return;
    const std::string near = base::nearest(uid.id, known);
    out.problems.push_back(
        at(policy, "there is no " + uid.to_string(),
           near.empty() ? "define it in tenant.toml" : "did you mean " + uid.type + "::\"" + near + "\"?"));
  };
  for (const auto& uid : policy.resource().entities) {
    if (uid.type == "Role")
      missing(uid, roles);
    else if (uid.type == "Target")
      missing(uid, targets);
    else if (uid.type != "Tenant")
      out.problems.push_back(at(policy, uid.to_string() + " can't be a resource",
                                "resources are Role::\"…\", Target::\"…\" and Tenant::\"…\""));
  }
  for (const auto& uid : policy.principal().entities) {
    if (uid.type != "Group" && uid.type != "User") {
      out.problems.push_back(at(policy, uid.to_string() + " can't be a principal",
                                "principals are User::\"<idp>/<subject>\" and Group::\"<idp>/<group>\""));
      continue;
    }
    const std::size_t slash = uid.id.find('/');
    const std::string idp = uid.id.substr(0, slash);
    if (slash == std::string::npos || std::find(idps.begin(), idps.end(), idp) == idps.end())
      out.problems.push_back(at(policy, uid.to_string() + " names no identity provider of this tenant",
                                "write " + uid.type + "::\"<idp>/" +
                                    (slash == std::string::npos ? uid.id : uid.id.substr(slash + 1)) + "\""));
  }
}

// The line and its caret as cedar::render draws them; the hint has a place of its own in a problem.
config::Problem shown(cedar::Diagnostic d, std::string_view text, const std::string& policy) {
  config::Problem out{d.file, d.line, d.column, (policy.empty() ? "" : "policy " + policy + ": ") + d.message,
                      d.hint, {}};
  d.hint.clear();
  std::string drawn = cedar::render(d, text);
  drawn.erase(0, drawn.find('\n') + 1);
  if (drawn.ends_with('\n')) drawn.pop_back();
  out.excerpt = std::move(drawn);
  return out;
}

// Whether the policies make sense of what decisions are really made on. `named` holds the policies that check_names has
// found fault with: what follows from a name that does not exist is not told twice.
void check_types(const Tenant& tenant, const std::set<std::string>& named, std::vector<config::Problem>& errors,
                 std::vector<config::Problem>& warnings) {
  constexpr std::array<std::string_view, 3> follows{"cedar.unknown_action", "cedar.unknown_entity_type",
                                                    "cedar.never_applies"};
  const cedar::ValidationResult result = cedar::validate(tenant.policies, tenant.schema);
  const auto tell = [&](const std::vector<cedar::ValidationProblem>& found, std::vector<config::Problem>& out) {
    for (const auto& p : found) {
      const bool twice = named.contains(p.policy) && (std::ranges::find(follows, p.diagnostic.check) != follows.end() ||
                                                      &found == &result.warnings);
      if (twice) continue;
      const cedar::Policy* policy = tenant.policies.find(p.policy);
      out.push_back(shown(p.diagnostic,
                          policy == nullptr ? std::string_view() : std::string_view(policy->source().text), p.policy));
    }
  };
  tell(result.errors, errors);
  tell(result.warnings, warnings);
}

config::Problem in_spec(const std::string& what, const Error& error) {
  return {"tenant.toml", 0, 0, what + ": " + error.message, error.hint};
}

void make_receiver(Tenant& tenant, const core::IdpSpec& idp, const Catalog& catalog, Compiled& out) {
  if (!idp.signals) return;
  if (catalog.signals == nullptr) {
    out.problems.push_back(
        in_spec("idp " + idp.name, {Code::invalid, "signals.driver", "security events are not supported"}));
    return;
  }
  auto made = catalog.signals->make(tenant.spec.tenant, idp);
  if (made.ok())
    tenant.receivers.emplace(idp.name, std::move(*made));
  else
    out.problems.push_back(in_spec("idp " + idp.name, made.error()));
}

// A token that can't be read, or an attribute that nobody has, would be found out when somebody is to be kept out.
void check_scim(const core::TenantId& tenant, const core::IdpSpec& idp, const Catalog& catalog, Compiled& out) {
  if (idp.scim.tokens.empty()) return;
  if (const auto path = idp::scim::parse_subject_path(idp.scim.subject_from); !path.ok())
    out.problems.push_back(in_spec("idp " + idp.name, path.error()));
  for (const auto& reference : idp.scim.tokens)
    if (const auto token = scim_token(catalog, tenant, reference); !token.ok())
      out.problems.push_back(in_spec("idp " + idp.name, token.error()));
}

void make_drivers(Tenant& tenant, const Catalog& catalog, const Tenant* before, Origin origin, Compiled& out) {
  for (const auto& idp : tenant.spec.idps) {
    if (const auto* old = before == nullptr ? nullptr : before->spec.idp(idp.name); old != nullptr && *old == idp) {
      tenant.idps.emplace(idp.name, before->idps.at(idp.name));
      if (idp.signals) tenant.receivers.emplace(idp.name, before->receivers.at(idp.name));
      continue;
    }
    if (origin == Origin::applied) check_scim(tenant.spec.tenant, idp, catalog, out);
    const auto driver = catalog.idps.find(idp.protocol);
    if (driver == catalog.idps.end()) {
      out.problems.push_back(
          in_spec("idp " + idp.name, {Code::invalid, "idp.protocol", "unknown protocol \"" + idp.protocol + "\""}));
      continue;
    }
    if (auto status = driver->second->validate(idp); !status.ok()) {
      out.problems.push_back(in_spec("idp " + idp.name, status.error()));
      continue;
    }
    make_receiver(tenant, idp, catalog, out);
    auto made = driver->second->make(tenant.spec.tenant, idp);
    if (made.ok())
      tenant.idps.emplace(idp.name, std::move(*made));
    else
      out.problems.push_back(in_spec("idp " + idp.name, made.error()));
  }
  for (const auto& target : tenant.spec.targets) {
    std::vector<core::RoleSpec> roles;
    for (const auto& role : tenant.spec.roles)
      if (core::target_of(role.id) == target.id) roles.push_back(role);
    const auto driver = catalog.targets.find(core::kind_of(target.id));
    if (driver == catalog.targets.end()) {
      out.problems.push_back(
          in_spec("target " + target.id.str(),
                  {Code::invalid, "target.kind", "unknown kind \"" + core::kind_of(target.id) + "\""}));
      continue;
    }
    if (auto status = driver->second->validate(target, roles); !status.ok()) {
      out.problems.push_back(in_spec("target " + target.id.str(), status.error()));
      continue;
    }
    if (const auto* old = before == nullptr ? nullptr : before->spec.target(target.id);
        old != nullptr && *old == target) {
      tenant.targets.emplace(target.id, before->targets.at(target.id));
      continue;
    }
    auto made = driver->second->make(tenant.spec.tenant, target);
    if (made.ok())
      tenant.targets.emplace(target.id, std::move(*made));
    else
      out.problems.push_back(in_spec("target " + target.id.str(), made.error()));
  }
}

void make_forwards(Tenant& tenant, const Catalog& catalog, const Tenant* before, Origin origin, Compiled& out) {
  // A stored tenant that does not load ends nobody's access: who gets its records can't be worth that.
  std::vector<config::Problem>& problems = origin == Origin::stored ? out.warnings : out.problems;
  for (const auto& forward : tenant.spec.forwards) {
    if (const auto* old = before == nullptr ? nullptr : before->spec.forward(forward.name);
        old != nullptr && *old == forward) {
      if (const auto kept = before->receiving.find(forward.name); kept != before->receiving.end())
        tenant.receiving.insert(*kept);
      continue;
    }
    const auto& driver = forward.is_syslog() ? catalog.syslog : catalog.webhooks;
    if (driver == nullptr) {
      problems.push_back(
          in_spec("forward " + forward.name, {Code::invalid, "forward.driver", "audit records can't be sent there"}));
      continue;
    }
    const Status good = driver->validate(forward);
    auto made = good.ok() ? driver->make(tenant.spec.tenant, forward) : good.error();
    if (made.ok())
      tenant.receiving.emplace(forward.name, std::move(*made));
    else
      problems.push_back(in_spec("forward " + forward.name, made.error()));
  }
}

template <class List, class Key>
void plan_list(std::vector<std::string>& out, const std::string& what, const List& before, const List& after, Key key) {
  const auto find = [&](const List& list, const std::string& k) {
    return std::find_if(list.begin(), list.end(), [&](const auto& item) { return key(item) == k; });
  };
  for (const auto& item : after) {
    const auto old = find(before, key(item));
    if (old == before.end())
      out.push_back("+ " + what + " " + key(item));
    else if (!(*old == item))
      out.push_back("~ " + what + " " + key(item));
  }
  for (const auto& item : before)
    if (find(after, key(item)) == after.end()) out.push_back("- " + what + " " + key(item));
}

}  // namespace

Compiled compile(core::TenantSpec spec, const Catalog& catalog, const Tenant* before, Origin origin) {
  Compiled out;
  auto tenant = std::make_shared<Tenant>();
  tenant->spec = std::move(spec);
  cedar::ParseOptions options;
  options.ids_from_annotation = true;
  for (const auto& file : tenant->spec.policies) {
    std::vector<cedar::Diagnostic> diagnostics;
    if (tenant->policies.add(file.text, file.file, options, &diagnostics).ok()) continue;
    for (const auto& d : diagnostics) out.problems.push_back(shown(d, file.text, ""));
  }
  std::set<std::string> named;
  for (const auto& policy : tenant->policies.policies()) {
    read_annotations(policy, out, tenant->limits);
    const std::size_t before_names = out.problems.size();
    check_names(policy, tenant->spec, out);
    if (out.problems.size() != before_names) named.insert(policy.id());
  }
  std::vector<config::Problem>& type_errors = origin == Origin::stored ? out.warnings : out.problems;
  TenantSchema schema = tenant_schema(tenant->spec);
  tenant->schema = std::move(schema.schema);
  if (schema.problems.empty())
    check_types(*tenant, named, type_errors, out.warnings);
  else
    std::ranges::move(schema.problems, std::back_inserter(type_errors));
  make_drivers(*tenant, catalog, before, origin, out);
  make_forwards(*tenant, catalog, before, origin, out);
  if (!out.problems.empty()) return out;
  tenant->compiled = cedar::CompiledPolicies::compile(tenant->policies);
  tenant->resources = resources_of(tenant->spec);
  out.tenant = std::move(tenant);
  return out;
}

std::vector<std::string> plan(const core::TenantSpec& before, const core::TenantSpec& after) {
  std::vector<std::string> out;
  plan_list(out, "idp", before.idps, after.idps, [](const auto& i) { return i.name; });
  plan_list(out, "target", before.targets, after.targets, [](const auto& t) { return t.id.str(); });
  plan_list(out, "role", before.roles, after.roles, [](const auto& r) { return r.id.str(); });
  plan_list(out, "forward", before.forwards, after.forwards, [](const auto& f) { return f.name; });
  plan_list(out, "policy file", before.policies, after.policies, [](const auto& p) { return p.file; });
  return out;
}

}  // namespace daypass::engine
