#include "target/postgres/revoke_many.h"

#include <algorithm>
#include <charconv>

#include "target/postgres/names.h"

namespace daypass::target::postgres {
namespace {

using base::Millis;

/// How many times somebody may be left out before all the rest goes one by one.
constexpr int most_tries = 8;
/// A login that takes longer than this is not waited for here.
constexpr auto login_patience = Millis(100);

std::set<int> pids(std::string_view list) {
  std::set<int> out;
  while (!list.empty()) {
    int pid = 0;
    const std::string_view one = list.substr(0, list.find(','));
    if (std::from_chars(one.data(), one.data() + one.size(), pid).ec == std::errc()) out.insert(pid);
    list.remove_prefix(std::min(list.size(), one.size() + 1));
  }
  return out;
}

}  // namespace

ManyRevocations::ManyRevocations(Connection& connection, std::vector<Subject> subjects, const Deadline& deadline)
    : c_(connection), subjects_(std::move(subjects)), deadline_(deadline) {
  for (std::size_t i = 0; i < subjects_.size(); ++i) left_.push_back(i);
}

bool ManyRevocations::leave_out(std::size_t place) {
  if (place >= left_.size()) return false;
  left_.erase(left_.begin() + static_cast<std::ptrdiff_t>(place));
  return true;
}

Outcome<std::vector<std::size_t>> ManyRevocations::run() {
  const auto shut = shut_out();
  if (!shut) return std::unexpected(shut.error());
  if (!*shut || left_.empty()) return std::vector<std::size_t>();
  if (const auto looked = wait_for_logins(); !looked) return std::unexpected(looked.error());
  std::erase_if(left_, [&](std::size_t i) { return !simple_.contains(subjects_[i].name); });
  if (left_.empty()) return std::vector<std::size_t>();
  const auto dropped = drop();
  if (!dropped) return std::unexpected(dropped.error());
  return *dropped ? left_ : std::vector<std::size_t>();
}

/// As Revocation::shut_out, for all in one transaction, and a look behind its COMMIT.
Outcome<bool> ManyRevocations::shut_out() {
  for (int tries = 0; tries < most_tries && !left_.empty(); ++tries) {
    std::string sql = "BEGIN;\nSET LOCAL synchronous_commit = off;\n";
    for (const std::size_t i : left_) {
      const auto [first, second] = lock_keys(subjects_[i].name);
      sql += "EXECUTE dp_lock(" + std::to_string(first) + ", " + std::to_string(second) + ");\nEXECUTE dp_mine(" +
             c_.literal(subjects_[i].name) + ", " + c_.literal(subjects_[i].mark) + ");\nALTER ROLE " +
             c_.ident(subjects_[i].name) + " NOLOGIN VALID UNTIL '1970-01-01 00:00:00+00';\n";
    }
    const auto reply = c_.run(sql + "COMMIT", deadline_);
    if (reply) {
      const auto looked = look();
      if (!looked) return std::unexpected(looked.error());
      starting_ = pids(pids_);
      return true;
    }
    if (reply.error().unknown()) return std::unexpected(reply.error());
    // Three statements each, behind two. Absent, not ours, locked by somebody: Revocation finds out what to do.
    if (reply.error().statement < 2 || !leave_out((reply.error().statement - 2) / 3)) return false;
  }
  return false;
}

/// A session that passed its LOGIN test before NOLOGIN was committed shows only when its login is through.
Outcome<void> ManyRevocations::wait_for_logins() {
  const Deadline patience = deadline_.within(login_patience);
  for (auto step = Millis(1); !starting_.empty(); step = std::min(step * 2, Millis(10))) {
    if (patience.passed()) {
      simple_.clear();
      return {};
    }
    patience.pause(step);
    if (const auto looked = look(); !looked) return looked;
    const auto now = pids(pids_);
    std::erase_if(starting_, [&](int pid) { return !now.contains(pid); });
  }
  return {};
}

Outcome<void> ManyRevocations::look() {
  std::vector<std::string> names;
  for (const std::size_t i : left_) names.push_back(subjects_[i].name);
  const auto reply = c_.run("EXECUTE dp_looks(" + c_.array(names) + ")", deadline_);
  simple_.clear();
  if (!reply) return std::unexpected(reply.error());
  const Rows& rows = reply->front();
  for (int row = 0; row < rows.size(); ++row) {
    pids_ = rows.text(row, 1);
    const bool in_use = rows.yes(row, 2) || rows.yes(row, 3) || rows.yes(row, 4);
    if (!rows.null(row, 5) && !in_use) simple_.insert(rows.text(row, 5));
  }
  return {};
}

/// All of them or none; as Revocation::drop, durable: whoever has read "absent" must not meet a role again.
Outcome<bool> ManyRevocations::drop() {
  for (int tries = 0; tries < most_tries && !left_.empty(); ++tries) {
    std::string sql;
    for (const std::size_t i : left_)
      sql += "EXECUTE dp_mine(" + c_.literal(subjects_[i].name) + ", " + c_.literal(subjects_[i].mark) +
             ");\nDROP ROLE " + c_.ident(subjects_[i].name) + ";\n";
    const auto reply = c_.run(sql, deadline_);
    if (reply) return true;
    if (reply.error().unknown()) return std::unexpected(reply.error());
    if (!leave_out(reply.error().statement / 2)) return false;
  }
  return false;
}

}  // namespace daypass::target::postgres
