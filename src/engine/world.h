// A tenant as it runs: its spec, compiled. Immutable; a reload builds a new one and swaps the pointer.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cedar/cedar.h"
#include "config/config.h"
#include "core/spec.h"
#include "forward/forward.h"
#include "idp/idp.h"
#include "idp/signals.h"
#include "target/target.h"

namespace daypass::engine {

/// What the engine knows of drivers: their ports, by kind. Filled by app/catalog.cc.
struct Catalog {
  std::map<std::string, std::shared_ptr<idp::Driver>> idps;        ///< "oidc"
  std::shared_ptr<idp::SignalDriver> signals;                      ///< beside any of them; null: there is none
  std::map<std::string, std::shared_ptr<target::Driver>> targets;  ///< "pg"
  std::shared_ptr<forward::Driver> webhooks = {}, syslog = {};     ///< receivers of audit records; null: there are none
  idp::SecretSource secrets = {};                                  ///< null: none can be read
};

/// The limits that a permit's annotations set; refused at apply when malformed or unknown.
struct PolicyLimits {
  std::optional<core::Millis> duration, idle;
  std::optional<int> connections;
};

struct Tenant {
  core::TenantSpec spec;
  cedar::Schema schema;  ///< what its policies can speak of (schema.h)
  cedar::PolicySet policies;
  std::shared_ptr<const cedar::CompiledPolicies> compiled;  ///< the same, as decisions use them
  std::shared_ptr<const cedar::Entities> resources;         ///< targets and roles: what every decision knows
  std::map<std::string, PolicyLimits> limits;               ///< by policy id
  std::map<std::string, std::shared_ptr<idp::IdentityProvider>> idps;
  std::map<std::string, std::shared_ptr<idp::SignalReceiver>> receivers;  ///< of those that have signals
  std::map<core::TargetId, std::shared_ptr<target::Target>> targets;
  std::map<std::string, std::shared_ptr<forward::Receiver>> receiving;  ///< audit records, by the name of their table
};

struct Compiled {
  std::shared_ptr<const Tenant> tenant;  ///< null when there are problems
  std::vector<config::Problem> problems;
  std::vector<config::Problem> warnings;  ///< policies that can never apply, letters that deceive the eye
};

/// Where a spec comes from. A `stored` one was accepted by whoever wrote it down: what only a later version finds wrong
/// with the types of its policies is a warning, for a tenant that does not load could not even end its grants.
enum class Origin : std::uint8_t { applied, stored };

/// Parses policies, checks their annotations, every name they use in a scope and their types under the tenant's schema,
/// and builds the drivers' objects. All problems are found in one run. Blocks on nothing but reading secrets. Objects
/// whose spec did not change since `before` are kept, with their connections and caches.
Compiled compile(core::TenantSpec spec, const Catalog& catalog, const Tenant* before = nullptr,
                 Origin origin = Origin::applied);

/// What apply would change, a line each: "+ role pg/orders/reader", "~ policy data-read", "- target pg/old".
std::vector<std::string> plan(const core::TenantSpec& before, const core::TenantSpec& after);

}  // namespace daypass::engine
