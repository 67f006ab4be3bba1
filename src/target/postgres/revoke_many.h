// Taking many accounts away in few transactions. Only those that nobody uses and that own nothing: whoever is not such
// a simple case, or in the way, is left to Revocation, one by one.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <vector>

#include "target/postgres/pool.h"

namespace daypass::target::postgres {

class ManyRevocations {
 public:
  struct Subject {
    std::string name;
    std::string mark;
  };
  ManyRevocations(Connection& connection, std::vector<Subject> subjects, const Deadline& deadline);

  /// Which of the subjects, by their place, are gone: dropped by a transaction that is durable. Nothing is said of the
  /// others. A failure is an unknown outcome: the server may still be at work on any of them.
  Outcome<std::vector<std::size_t>> run();

 private:
  Outcome<bool> shut_out();
  Outcome<void> wait_for_logins();
  Outcome<void> look();
  Outcome<bool> drop();
  /// Leaves out whose statement failed; false: nobody can be blamed, so nobody is done here.
  bool leave_out(std::size_t place);

  Connection& c_;
  const std::vector<Subject> subjects_;
  const Deadline deadline_;
  std::vector<std::size_t> left_;  ///< places of those that are still in it
  std::set<int> starting_;         ///< logins that were under way when NOLOGIN was committed
  std::set<std::string> simple_;   ///< no session, nothing prepared, nothing owned, as of the last look
  std::string pids_;               ///< logins under way, as of the last look
};

}  // namespace daypass::target::postgres
