// Which tables statements name, by their text alone. Knows SQL's grammar far enough to tell a table from an alias, a
// column, a function and a CTE; knows no catalog. So a view is what it is called, what functions and DO bodies do is
// not seen, and a name without a schema is whatever search_path made of it.
#pragma once

#include <compare>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "wire/postgres/activity.h"

namespace daypass::wire::postgres {

/// As the server would look for it: unquoted, folded to lower case where it was not quoted, cut to 63 bytes.
struct Relation {
  std::string schema;  ///< empty: named without one
  std::string name;
  auto operator<=>(const Relation&) const = default;
};

/// Of one session; bounded.
class Relations {
 public:
  struct Use {
    bool read = false;     ///< SELECT, COPY … TO, LOCK; what UPDATE, DELETE and MERGE change and read from; INSERT …
                           ///< RETURNING and ON CONFLICT
    bool written = false;  ///< INSERT, UPDATE, DELETE, MERGE, TRUNCATE, COPY … FROM
  };
  static constexpr std::size_t most = 256;

  /// One statement or several. The server's own schemas are left out.
  void add(std::string_view sql);
  /// The same of a captured text, which may have been cut.
  void add(const StatementText& text);
  /// A statement was run whose text is not known.
  void add_unknown() noexcept { whole_ = false; }

  [[nodiscard]] const std::map<Relation, Use>& named() const noexcept { return named_; }
  /// False: there were more than `most`, or a text that could not be read to its end.
  [[nodiscard]] bool whole() const noexcept { return whole_; }

 private:
  friend class RelationReader;
  void note(Relation relation, bool written);

  std::map<Relation, Use> named_;
  bool whole_ = true;
};

/// Whether what the record tells of made use of the rights that its statement needs: it was run, and where it failed,
/// not for want of them or for what it says.
[[nodiscard]] bool exercises_rights(const Record& record) noexcept;

}  // namespace daypass::wire::postgres
