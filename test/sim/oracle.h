// The checkers. They see commits, connections and accounts, keep their own account of what is due, and never ask the
// code under test for its opinion. Owns the verdict, and the table of transitions met by faults.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/ports.h"
#include "sim/faults.h"
#include "sim/model_store.h"

namespace daypass::sim {

class World;
struct ModelConnection;
struct ModelAccount;

/// The moves of a grant that the table counts.
enum class Move : std::uint8_t { open, activate, fail, extend, shrink, end, retry, close };
constexpr std::size_t move_count = 8;
constexpr std::array<std::string_view, move_count> move_names{
    "-> provisioning", "provisioning -> active", "provisioning -> revoking", "active, extended",
    "live, redecided", "active -> revoking",     "revoking, again",          "revoking -> closed"};
using Table = std::array<std::array<std::uint64_t, fault_count>, move_count>;

/// What the policy texts of the simulator mean, said a second time.
struct PolicyText {
  static constexpr int variants = 6;
  static std::map<std::string, std::string> files(int variant);
  static bool permits(int variant, const std::string& person, const std::string& role);
  /// Session, and the longest any grant may last under any variant.
  static constexpr base::Millis session_max = std::chrono::minutes(16);
  static constexpr base::Millis revalidate = std::chrono::minutes(1);
  static constexpr base::Millis longest = std::chrono::minutes(12);
};

class Oracle {
 public:
  explicit Oracle(World& world) : world_(world) {}

  /// A checker speaks. The first one is the verdict.
  void red(const std::string& checker, const std::string& what);
  [[nodiscard]] bool failed() const { return !checker_.empty(); }
  [[nodiscard]] const std::string& checker() const { return checker_; }
  [[nodiscard]] const std::string& what() const { return what_; }

  // -- what people did
  // -------------------------------------------------------------------------------------------------
  /// `sign_in`: by what the provider knows it, when it gave tokens to ask after it.
  void signed_in(const core::SessionId& session, const std::string& person, const std::string& token,
                 const std::string& sign_in = {});
  /// The provider says that whoever signed in so may go on.
  void confirmed(const std::string& sign_in) { confirmed_[sign_in] = now(); }
  void has_credential(const core::CredentialId& credential, const core::SessionId& session, const std::string& person);
  [[nodiscard]] core::CredentialId somebody_elses(const core::CredentialId& mine) const;
  void wants_logout(const core::SessionId& session) { sessions_[session].logout_wanted = true; }
  /// The person is told of anew: policies may end what they have.
  void wants_change(const core::SessionId& session) { sessions_[session].changes = true; }
  /// Everybody of this name, wherever they are signed in.
  void wants_change(const std::string& person);
  void wants_end(const core::GrantId& grant) { lives_[grant].end_wanted = true; }
  /// Whoever wanted that was told `check`. Where it is the store's, it was cut all the same.
  void end_refused(const core::GrantId& grant, const std::string& check);
  void logout_refused(const core::SessionId& session, const std::string& check);
  /// Somebody freezes access: any grant may end. Once they were told that it is frozen, nobody has any.
  void freezing() { freezing_ = true; }
  void frozen() { frozen_at_ = now(); }
  void thawing() { frozen_at_.reset(); }
  void thawed() { freezing_ = false; }
  /// The operator has orphans taken away: they need not live to their end.
  void fixing_orphans() { fixing_orphans_ = true; }
  /// Another tenant, whose log may have records.
  void knows(const core::TenantId& other) { others_.insert(other); }
  void wants_policy(int variant);
  void policy_applied(int variant);
  void message(const core::GrantId& grant);

  // -- what the parts did
  // ----------------------------------------------------------------------------------------------
  void committed(const Commit& commit);
  void dispatched(const core::Intent& intent);
  void touching(const core::Intent& intent);
  void made(const ModelAccount& account);
  void cut(const core::GrantId& grant);
  /// A grant's end is written down by an event of the engine, which goes on until it is over.
  void end_saved(const core::GrantId& grant) { end_saved_ = grant; }
  void event_over() { end_saved_.reset(); }
  std::uint64_t asked(const core::CredentialId& credential);
  void answered(std::uint64_t ticket);
  void admitted(const core::CredentialId& credential, const engine::Admission& admission);
  void opened(const ModelConnection& connection);
  void process_died();
  void process_started();

  // -- faults
  // ----------------------------------------------------------------------------------------------------------
  void world_fault(Fault fault);
  void target_fault(Fault fault, const char* call, const core::GrantId& grant);
  void suspended(base::Millis how_long);

  // -- checks
  // ----------------------------------------------------------------------------------------------------------
  /// Before the engine has a chance to do anything about it: does each connection end by itself?
  void check_deadlines();
  /// Nothing more is due at this instant.
  void at_rest();
  /// The provider answers, and has for a while: no login is left that it has ended.
  void none_outlives_its_provider();
  /// Everything that ended must be gone now.
  void at_the_end();
  [[nodiscard]] const Table& table() const { return table_; }
  /// Grants under which a client may still act, for the story to choose from.
  [[nodiscard]] std::vector<core::GrantId> live_grants() const;
  [[nodiscard]] bool ever_ahead_at_start() const { return started_ahead_; }

 private:
  std::set<core::TenantId> others_;
  struct Life {
    bool known = false;  ///< ever committed
    core::Grant grant;   ///< as last committed
    base::MonoTime opened{}, bound = base::MonoTime::max(), touched{}, changed{};
    base::WallTime opened_at{};
    std::optional<base::MonoTime> ended, was_cut;
    bool end_wanted = false, provision_failed = false, clock_fault = false, made_after_end = false, blurred = false;
    Faults of_target, of_world;
    std::set<int> variants;
  };
  struct Session {
    std::string person, token, sign_in;
    base::MonoTime began{};
    bool logout_wanted = false, ended = false, clock_fault = false, changes = false;
    std::optional<base::MonoTime> out;  ///< in no group any more, and the engine has written that down
  };
  struct Ticket {
    core::CredentialId credential;
    base::MonoTime at{};
    std::uint64_t life = 0;
    bool answered = false;
  };
  void moved(Life& life, Move move);
  void grant_saved(const core::Grant& grant, const Commit& commit, std::map<std::string, int>& expected);
  void judge_end(Life& life, const core::Grant& grant);
  [[nodiscard]] base::MonoTime due(const Life& life) const;
  [[nodiscard]] base::MonoTime now() const;
  void check_connections();
  void check_accounts();
  void check_people();

  World& world_;
  std::string checker_, what_;
  std::map<core::GrantId, Life> lives_;
  std::optional<core::GrantId> end_saved_;
  std::map<core::SessionId, Session> sessions_;
  std::map<std::string, base::MonoTime> confirmed_;  ///< by sign-in
  std::map<core::CredentialId, std::pair<core::SessionId, std::string>> credentials_;
  std::map<std::uint64_t, Ticket> tickets_;
  std::uint64_t next_ticket_ = 1;
  std::set<int> in_force_;  ///< the variant last known to be applied, and those sent since
  Faults recent_world_, recent_target_;
  Table table_{};
  bool freezing_ = false;
  bool fixing_orphans_ = false;
  std::optional<base::MonoTime> frozen_at_;
  std::optional<std::pair<base::WallTime, base::MonoTime>> last_record_;
  bool started_ahead_ = false;
  bool clock_ever_ = false;
};

}  // namespace daypass::sim
