// What people do in a simulated world, and what befalls it: drawn from the seed, or written out by a test.
#pragma once

#include <string>
#include <vector>

#include "sim/world.h"

namespace daypass::sim {

/// A person at a keyboard: remembers what they were given, as a real client would, whatever became of it.
struct Person {
  std::string name;  ///< "ann", "bob", "eve"
  core::TenantId tenant{"default"};
  std::optional<engine::LoginSession> session;
  std::string token;
  std::vector<core::CredentialId> credentials;
  std::string sign_in;  ///< what the provider knows it by, when it gave tokens to ask after it
};

class Story {
 public:
  explicit Story(World& world);

  // -- deeds: begun now, done when the engine has answered -----------------------------------------------------------
  void apply(int variant);
  void sign_in(std::size_t person);
  void get_credential(std::size_t person, const std::string& target, std::vector<std::string> roles,
                      std::optional<base::Millis> wanted = {});
  void connect(std::size_t person);
  void log_out(std::size_t person, core::EndReason reason);
  /// At the provider they are in no group any more, or are again; it says so when it is asked.
  void move(std::size_t person, bool out);
  /// The provider ends the sign-in.
  void end_at_provider(std::size_t person);
  /// Somebody has the provider asked now.
  void revalidate(std::size_t person);
  void extend(std::size_t person);
  void end_grant(core::EndReason reason);
  /// Everything, or the tenant; thawed again after a while.
  void freeze();
  void thaw();
  void talk();
  void hang_up();

  /// Brings a move of a grant about with a fault on its way, as far as the world lets it.
  void scene(Move move, Fault fault);

  /// A whole random life: people, faults, then calm; ends with every checker asked.
  void play();
  /// Faults stop; everything that must end ends; the checkers have their last word; then somebody can work again.
  void wind_up();

  std::vector<Person> people;
  /// Of a thousand sign-ins, how many the provider gives tokens for.
  std::int64_t refreshing = 0;

 private:
  void deed();
  void mishap();
  // scenes.cc
  bool ready(std::size_t person);
  [[nodiscard]] std::optional<core::GrantId> grant_at(std::size_t person, std::size_t spot) const;
  void take(std::size_t person, std::size_t spot, base::Millis wanted);
  void give_back(const std::optional<core::GrantId>& grant);
  void lengthen(const std::optional<core::GrantId>& grant, std::size_t person, base::Millis by);
  void strike(Fault fault);
  void scene_of_beginning(Move move, Fault fault, std::size_t person, std::size_t spot);
  void scene_of_life(Move move, Fault fault, std::size_t person, std::size_t spot);

  World& world_;
  int sign_ins_ = 0;
  bool faults_ = false, frozen_ = false, thawing_ = false;
  bool winding_up_ =
      false;         ///< nobody changes their mind any more, so that whoever cannot get in is told of by a checker
  int variant_ = 0;  ///< of the policies, that the operator heard is in force
};

/// One seed from beginning to end. `history`, when given, gets the readable record.
struct Outcome {
  std::string checker, what;  ///< empty: green
  std::uint64_t events = 0;
  std::size_t admitted = 0, refused = 0;
  Table table{};
  std::vector<std::string> history;
};
Outcome play(const Settings& settings);

}  // namespace daypass::sim
