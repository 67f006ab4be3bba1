// The rules for group roles and heirs as data: a name, a grade, and the query that finds what breaks it.
#pragma once

#include <string>
#include <vector>

#include "target/target.h"

namespace daypass::target::postgres {

struct Rule {
  std::string check;
  Finding::Grade grade;
  std::string sql;  ///< rows of (message, fix); none when all is well
};

/// `quoted_group` is an SQL literal. The queries belong into the target's own database.
std::vector<Rule> group_rules(const std::string& quoted_group, bool creates, int version);
/// `heir` is an SQL literal, `groups` an SQL array of text, `actor` an SQL expression for the role that hands over.
std::vector<Rule> heir_rules(const std::string& heir, const std::string& groups, const std::string& actor, int version);

}  // namespace daypass::target::postgres
