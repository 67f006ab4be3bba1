// Which policies' scopes fit a request, without looking at the others. Scope tests cannot err, so what is left out
// hides no error. Internal to the room.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cedar/authorize.h"
#include "cedar/entities.h"
#include "cedar/policy.h"
#include "cedar/uid_table.h"

namespace daypass::cedar {

/// Each policy lies in the bucket of its most selective test: the uid (or, without one, the type) that the fewest
/// policies name in that place. A probe opens the buckets of the request's three uids, of all they are in, and of their
/// types; the other two tests are then compared as numbers. Points into the policies it was made from.
class ScopeIndex {
 public:
  /// The number of a uid or type that policies name; `none` equals no constant, so an unknown one needs no number.
  static constexpr std::uint32_t none = HashIndex::none;
  enum Place : std::uint8_t { principal, action, resource };

  std::uint32_t intern(const EntityUid& uid);
  /// Once, when all uids of conditions are interned.
  void build(const PolicySet& policies);

  /// What one request is in, and what fits it. Kept from one request to the next; one thread at a time.
  struct Probe {
    std::array<Entities::Located, 3> located;
    std::vector<std::uint32_t> fitting;  ///< policies, in file order

    /// Whether the request's uid in `place` is, or is in, the interned uid.
    [[nodiscard]] bool is(Place place, std::uint32_t uid) const noexcept { return marked(uid, 1U << place); }
    [[nodiscard]] bool within(Place place, std::uint32_t uid) const noexcept { return marked(uid, 8U << place); }

   private:
    friend class ScopeIndex;
    struct Mark {
      std::uint32_t epoch = 0;
      std::uint32_t bits = 0;
    };
    [[nodiscard]] bool marked(std::uint32_t uid, unsigned bits) const noexcept {
      return marks_[uid].epoch == epoch_ && (marks_[uid].bits & bits) != 0;
    }
    void begin(std::size_t uids);
    void mark(std::uint32_t uid, unsigned bits) noexcept;

    std::vector<Mark> marks_;  // by uid; of this request when its epoch is
    std::uint32_t epoch_ = 0;
    std::array<std::vector<std::uint32_t>, 3> met_;  // numbers of what each place is or is in
    std::array<std::uint32_t, 3> types_ = {};
  };
  void probe(const Entities& entities, const Request& request, Probe& out) const;

 private:
  /// A test as numbers; `any` when both are none.
  struct Test {
    std::uint32_t uid = none;
    std::uint32_t type = none;
  };
  struct Row {
    Test principal, resource;
    std::uint32_t first_action = 0;  // into actions_
    std::uint32_t action_count = 0;  // any_action: no test
    std::uint32_t policy = 0;
    std::uint8_t bits[3] = {0, 0, 0};  // how each place's uid must be marked: is or within
  };
  static constexpr std::uint32_t any_action = UINT32_MAX;
  /// Rows by number, flat.
  struct Buckets {
    std::vector<std::uint32_t> begins;
    std::vector<Row> rows;
    void fill(std::size_t numbers, std::vector<std::pair<std::uint32_t, Row>> keyed);
    [[nodiscard]] std::span<const Row> of(std::uint32_t number) const noexcept {
      return std::span(rows).subspan(begins[number], begins[number + 1] - begins[number]);
    }
  };

  [[nodiscard]] std::uint32_t find(const EntityUid& uid, std::uint64_t hash) const noexcept;
  [[nodiscard]] std::uint32_t find_type(const std::string& type, std::uint64_t hash) const noexcept;
  std::uint32_t intern_type(const std::string& type);
  [[nodiscard]] std::uint32_t find_pair(std::uint64_t key) const noexcept;
  std::uint32_t intern_pair(std::uint64_t key);
  Test test_of(const ScopeTest& test);
  Row row_of(const Policy& policy, std::uint32_t number);
  void collect(std::span<const Row> rows, Probe& probe) const;
  [[nodiscard]] bool fits(const Row& row, const Probe& probe) const noexcept;

  HashIndex uids_;
  std::vector<const EntityUid*> uid_names_;
  HashIndex types_;
  std::vector<const std::string*> type_names_;
  std::vector<std::uint32_t> actions_;
  std::array<Buckets, 3> by_uid_;
  std::array<Buckets, 3> by_type_;  // that of action stays empty
  HashIndex pairs_;                 // of principal and resource
  std::vector<std::uint64_t> pair_keys_;
  Buckets by_pair_;
  std::vector<Row> always_;
};

}  // namespace daypass::cedar
