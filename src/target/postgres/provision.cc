// Making an account, or bringing an own one to a wanted state.
#include <algorithm>

#include "crypto/scram.h"
#include "target/postgres/names.h"
#include "target/postgres/postgres_target.h"

namespace daypass::target::postgres {
namespace {

using base::Code;
using base::Error;
using base::Millis;
using base::Result;
using base::Status;

constexpr std::size_t least_password = 16;  // bytes; 128 random bits take at least as many
constexpr int extra_connections = 2;        // the gate counts exactly; the server's limit is the net below

}  // namespace

base::Result<std::string> PostgresTarget::provision(const Provision& wanted, Millis budget) {
  DP_CHECK(own_name(wanted.account));
  if (wanted.password.size() < least_password)
    return Error{Code::invalid, "pg.password", "an account's password needs at least 128 random bits"};
  if (wanted.connections < 1 || wanted.connections > 100'000)
    return Error{Code::invalid, "pg.connections", "an account needs 1 to 100000 connections"};
  DP_TRY(const Membership membership, membership_of(wanted.roles));
  const Deadline whole(clock_, budget);
  // What an unknown outcome leaves on the server must be ended within the same call.
  const Deadline work = whole.minus(std::min<Millis>(budget / 4, std::chrono::seconds(2)));
  DP_TRY(const Turns::Turn turn, turns_.take(wanted.account.name, work));
  DP_CHECK(pool_.settle(wanted.account.name, work));
  DP_TRY(bool deep, allowed(membership, work));
  // No access is given while the line that takes it away is not open.
  DP_CHECK(pool_.warm(Purpose::revoke, work));
  for (int attempt = 0;; ++attempt) {
    bool reused = false;
    auto made = [&]() -> Result<std::string> {
      DP_TRY(const Pool::Lease lease, pool_.lease(Purpose::provision, work));
      reused = lease.reused();
      auto outcome = make(*lease, wanted, membership, deep, work);
      if (!outcome.ok() && outcome.error().code == Code::timeout) pool_.condemn(wanted.account.name, *lease);
      return outcome;
    }();
    if (made.ok() || made.error().code != Code::timeout) return made;
    const Status settled = pool_.settle(wanted.account.name, whole);
    // An idle connection that the server had closed long ago: once the fence holds, the work may be done again.
    const bool again =
        settled.ok() && reused && attempt < 3 && made.error().check == "pg.connection_lost" && !work.passed();
    if (!again) return made;
  }
}

base::Result<std::string> PostgresTarget::make(Connection& c, const Provision& wanted, const Membership& membership,
                                               bool deep, const Deadline& deadline) {
  const std::string& name = wanted.account.name;
  Making making{.whom = {name, mark(instance_, wanted.account.grant), wanted.account.grant},
                // One iteration: the server repeats the verifier's own count in CREATE ROLE, and stretching adds
                // nothing to a random secret.
                .verifier = crypto::make_verifier(wanted.password, 1, entropy_).to_text(),
                .valid_until = wanted.valid_until,
                .connections = wanted.connections + extra_connections,
                .membership = membership,
                .deep = deep,
                .known = made_here(name),
                .judge_again = [&] {
                  forget(membership);
                  return allowed(membership, deadline);
                }};
  DP_TRY(const std::int64_t oid, power_->make(c, std::move(making), deadline));
  remember(name, true);
  return Handle{oid, membership}.text();
}

}  // namespace daypass::target::postgres
