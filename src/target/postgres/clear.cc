#include "target/postgres/clear.h"

#include <vector>

#include "target/postgres/clear_queries.h"
#include "target/postgres/names.h"

namespace daypass::target::postgres {
namespace {

using base::Code;
using base::Error;
using base::Status;

class Clearing {
 public:
  Clearing(Connection& connection, const Leaver& leaver, const Deadline& deadline)
      : c_(connection), leaver_(leaver), deadline_(deadline) {}

  Status run() {
    const bool heir = !leaver_.heir.empty();
    if (heir) DP_CHECK(find_heir());
    if (!leaver_.heir_known) DP_CHECK(refuse_data());
    DP_CHECK(refuse_dependents(heir));
    for (const auto& query : clearing_steps(heir)) DP_CHECK(repeat(query));
    // The rest: types, operators, settings of default privileges, and every right that somebody granted to the account.
    DP_CHECK(join_fellows());
    DP_CHECK(perform("DROP OWNED BY " + c_.ident(leaver_.name) + " CASCADE;"));
    return refuse_foreign_grants();
  }

 private:
  [[nodiscard]] std::string filled(std::string text) const {
    const auto put = [&](std::string_view key, const std::string& value) {
      for (std::size_t at = 0; (at = text.find(key, at)) != std::string::npos; at += value.size())
        text.replace(at, key.size(), value);
    };
    put("%OID%", std::to_string(leaver_.oid));
    put("%HEIROID%", std::to_string(heir_oid_));
    put("%HEIR%", "quote_ident(" + c_.literal(leaver_.heir) + ")");
    return text;
  }

  [[nodiscard]] Error failed(const Failure& failure) const { return clear_failed(c_, leaver_, failure); }

  Status find_heir() {
    const auto reply = c_.run("SELECT oid FROM pg_roles WHERE rolname = " + c_.literal(leaver_.heir), deadline_);
    if (!reply) return failed(reply.error());
    if (reply->front().size() == 0) return heir_missing(c_, leaver_);
    heir_oid_ = reply->front().number(0, 0);
    return {};
  }

  Status refuse_data() {
    const auto reply = c_.run(filled(data_of_account()), deadline_);
    if (!reply) return failed(reply.error());
    if (reply->front().size() == 0) return {};
    return heir_unknown(c_, leaver_, reply->front().text(0, 0));
  }

  Status refuse_dependents(bool heir) {
    const auto reply = c_.run(filled(dependents_of_others(heir)), deadline_);
    if (!reply) return failed(reply.error());
    const Rows& rows = reply->front();
    if (rows.size() == 0) return {};
    std::string list;
    for (int i = 0; i < rows.size(); ++i) list += (i == 0 ? "" : ", ") + rows.text(i, 0);
    return foreign_dependents(c_, leaver_, list);
  }

  /// Rights on tables of another account of ours: taking them back is acting for that account.
  Status join_fellows() {
    if (c_.facts().superuser) return {};
    const auto reply = c_.run(filled(fellows("current_user")), deadline_);
    if (!reply) return failed(reply.error());
    const Rows& rows = reply->front();
    for (int i = 0; i < rows.size(); ++i) {
      if (!read_mark(leaver_.instance, rows.at(i, 0), rows.at(i, 1))) continue;
      const auto joined = c_.run("GRANT " + c_.ident(rows.at(i, 0)) + " TO CURRENT_USER" +
                                     (c_.facts().version >= 160000 ? " WITH INHERIT TRUE, SET FALSE" : ""),
                                 deadline_);
      if (!joined) return failed(joined.error());
    }
    return {};
  }

  Status refuse_foreign_grants() {
    const auto reply = c_.run(filled(grants_of_others()), deadline_);
    if (!reply) return failed(reply.error());
    const Rows& rows = reply->front();
    if (rows.size() == 0) return {};
    std::string list;
    for (int i = 0; i < rows.size(); ++i) list += (i == 0 ? "" : ", ") + rows.text(i, 0);
    return foreign_grants(c_, leaver_, list);
  }

  Status perform(const std::string& statements) {
    // Longer than elsewhere: readers of a handed-over table may take a while. Not for ever: behind us others queue.
    const auto reply = c_.run("BEGIN;\nSET LOCAL lock_timeout = '2s';\n" + statements + "\nCOMMIT", deadline_);
    if (!reply) return failed(reply.error());
    return {};
  }

  Status repeat(const std::string& query) {
    std::string before;
    for (;;) {
      const auto reply = c_.run(filled(query), deadline_);
      if (!reply) return failed(reply.error());
      const Rows& rows = reply->front();
      if (rows.size() == 0) return {};
      std::string statements;
      for (int i = 0; i < rows.size(); ++i) statements += rows.text(i, 0) + "\n";
      if (statements == before) return clear_stuck(c_, leaver_);
      DP_CHECK(perform(statements));
      before = std::move(statements);
    }
  }

  Connection& c_;
  const Leaver& leaver_;
  const Deadline& deadline_;
  std::int64_t heir_oid_ = 0;
};

}  // namespace

Status clear_database(Connection& connection, const Leaver& leaver, const Deadline& deadline) {
  return Clearing(connection, leaver, deadline).run();
}

Error heir_missing(const Connection& c, const Leaver& leaver) {
  return {Code::unavailable, "pg.heir.exists", "the role " + leaver.heir + " that inherits tables is not there",
          "CREATE ROLE " + c.ident(leaver.heir) + " NOLOGIN;"};
}

Error heir_unknown(const Connection& c, const Leaver& leaver, const std::string& object) {
  return {
      Code::conflict, "pg.heir_unknown",
      leaver.name + " owns " + object + " in database " + c.facts().database + ", and its roles are not known any more",
      "REASSIGN OWNED BY " + c.ident(leaver.name) + " TO <who shall own it>; or DROP OWNED BY it"};
}

Error foreign_dependents(const Connection& c, const Leaver& leaver, const std::string& objects) {
  return {Code::conflict, "pg.foreign_dependents",
          "others' objects in database " + c.facts().database + " depend on what " + leaver.name + " made: " + objects,
          "drop or change these, then the revocation goes on by itself"};
}

Error foreign_grants(const Connection& c, const Leaver& leaver, const std::string& objects) {
  return {Code::conflict, "pg.foreign_grants",
          "others gave " + leaver.name + " rights in database " + c.facts().database +
              " that only they can take back: " + objects,
          "as a superuser: DROP OWNED BY " + c.ident(leaver.name) + "; never grant to accounts, only to groups"};
}

Error clear_stuck(const Connection& c, const Leaver& leaver) {
  return {Code::internal, "pg.clear_stuck", "objects of " + leaver.name + " do not go away",
          "look at what it owns in database " + c.facts().database};
}

Error clear_failed(const Connection& c, const Leaver& leaver, const Failure& failure) {
  return to_error(failure, "clear what " + leaver.name + " left in database " + c.facts().database);
}

}  // namespace daypass::target::postgres
