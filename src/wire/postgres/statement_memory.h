// What a session has prepared and bound, by name, as far as there is room: so that an Execute can be told by its text.
// A mirror of the server's own tables: it changes when the server has confirmed, in the server's order.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/time.h"
#include "wire/postgres/activity.h"

namespace daypass::wire::postgres {

/// When and by which client message something came into being.
struct Origin {
  std::uint64_t message = 0;
  base::MonoTime started{};
  base::MonoTime finished{};
  bool in_transaction = false;
  bool confirmed = true;  ///< the server said so
};

struct Prepared {
  std::string name;
  std::shared_ptr<const StatementText> text;
  Origin origin;
  bool reported = false;  ///< a record with this text exists
  std::uint64_t used = 0;
};

struct Portal {
  std::string name;
  std::string statement;
  std::shared_ptr<Prepared> prepared;  ///< null: text unknown
  Origin origin;
  bool reported = false;  ///< it was run, or a record tells of it
};

class StatementMemory {
 public:
  StatementMemory(std::size_t statements, std::size_t bytes, std::size_t portals)
      : statements_max_(statements), bytes_max_(bytes), portals_max_(portals) {}

  /// What had to go and was never reported.
  struct Displaced {
    std::vector<std::shared_ptr<Prepared>> statements;
    std::vector<Portal> portals;
  };

  /// Remembers a statement under its name; the unnamed one ("") always has a place.
  void prepare(std::shared_ptr<Prepared> statement, Displaced& out);
  /// Null when unknown. Names count up to 63 bytes, as on the server.
  std::shared_ptr<Prepared> find(std::string_view name);
  void forget(std::string_view name, Displaced& out);
  /// DEALLOCATE or DISCARD in SQL: names may mean something else from now on.
  void forget_statements(Displaced& out);

  /// False when there is no room: the portal's text will be unknown, and `portal` is the caller's to report.
  bool bind(Portal& portal, Displaced& out);
  Portal* find_portal(std::string_view name) noexcept;
  void forget_portal(std::string_view name, Displaced& out);
  void forget_portals(Displaced& out);

  void reported(Prepared& statement) noexcept;
  void reported(Portal& portal) noexcept;
  /// Statements and portals of which no record tells yet.
  [[nodiscard]] std::size_t unreported() const noexcept { return unreported_; }
  /// Marks all as reported and returns those that weren't.
  Displaced take_unreported();

  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view s) const noexcept { return std::hash<std::string_view>()(s); }
  };
  using Table = std::unordered_map<std::string, std::shared_ptr<Prepared>, Hash, std::equal_to<>>;

  void drop(const std::shared_ptr<Prepared>& statement, Displaced& out);
  void drop(Portal& portal, Displaced& out);
  void evict_until_fits(std::size_t bytes, Displaced& out);

  std::size_t statements_max_;
  std::size_t bytes_max_;
  std::size_t portals_max_;
  Table table_;
  std::shared_ptr<Prepared> unnamed_;
  std::vector<Portal> portals_;
  std::size_t bytes_ = 0;  // of table_
  std::size_t unreported_ = 0;
  std::uint64_t ticks_ = 0;
};

}  // namespace daypass::wire::postgres
