// What recorded decisions would become under other policies. Pure; Engine::simulate reads the records.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "config/config.h"
#include "engine/decide.h"

namespace daypass::engine {

/// One recorded decision on one role that would turn.
struct Shift {
  std::string record;     ///< its id
  std::string principal;  ///< "<idp>/<subject>"
  base::WallTime at{};    ///< when it was made: the facts are those of then
  core::RoleId role;
  bool allowed = false;               ///< what it would become
  std::vector<std::string> policies;  ///< newly allowed: the permits; newly denied: the forbids, else the permits that
                                      ///< would no longer apply
  std::string why;                    ///< the new decision's sentence
};

struct Simulated {
  std::vector<config::Problem> problems;  ///< not empty: the folder can't be applied, and nothing was replayed
  std::vector<std::string> warnings;
  std::size_t records = 0;                                         ///< that were replayed
  std::size_t unreadable = 0;                                      ///< damaged, or sealed under a key that is gone
  bool complete = true;                                            ///< false: there are more records than are replayed
  std::size_t newly_allowed = 0, newly_denied = 0, unchanged = 0;  ///< decisions on one role each
  std::vector<Shift> shifts;                                       ///< in order of time; at most max_shifts
  std::map<std::string, std::size_t> unchanged_by;  ///< by the deciding policies, "no policy" where none permits
  static constexpr std::size_t max_records = 20'000, max_shifts = 1'000;
};

/// Decides recorded facts under the policies in force and under others, role by role: those that were asked for by
/// name, else every role of the target that is not elevated.
class Replay {
 public:
  /// Both outlive this. `before` null: nothing is in force, so nothing is allowed.
  Replay(const Tenant* before, const Tenant& after) : before_(before), after_(after) {}
  void add(const std::string& record, const Facts& facts, Simulated& out) const;

 private:
  const Tenant* before_;
  const Tenant& after_;
};

}  // namespace daypass::engine
