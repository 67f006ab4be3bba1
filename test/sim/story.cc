#include "sim/story.h"

#include "crypto/jose.h"

namespace daypass::sim {

using base::Millis;
using core::EndReason;

// ----------------------------------------------------------------------------------------------------- policy, twice

std::map<std::string, std::string> PolicyText::files(int variant) {
  const auto permit = [](const std::string& id, const std::string& group, const std::string& role,
                         const std::string& limits) {
    return "@id(\"" + id + "\") " + limits + "\npermit (principal in Group::\"demo/" + group +
           "\", action == Action::\"assume\", resource == Role::\"" + role + "\");\n";
  };
  const bool wide = variant == 5, narrow = variant == 1;
  std::string text;
  text += permit("data-read", "data", "pg/orders/reader",
                 narrow ? "@duration(\"4m\") @idle(\"90s\") @connections(\"2\")"
                 : wide ? "@duration(\"12m\") @idle(\"3m\") @connections(\"2\")"
                        : "@duration(\"10m\") @idle(\"3m\") @connections(\"2\")");
  if (!narrow)
    text += permit("data-burst", "data", "pg/orders/reader", "@duration(\"5m\") @idle(\"270s\") @connections(\"4\")");
  text += permit("data-write", "data", "pg/orders/writer", "@duration(\"6m\") @idle(\"3m\") @connections(\"1\")");
  text += permit("data-stock", "data", "pg/stock/reader", "@duration(\"8m\") @idle(\"3m\") @connections(\"3\")");
  if (variant != 2)
    text +=
        permit("support-read", "support", "pg/orders/reader",
               narrow ? "@duration(\"3m\") @idle(\"2m\")" : "@duration(\"6m\") @idle(\"150s\") @connections(\"2\")");
  if (variant == 3)
    text += "@id(\"freeze\") forbid (principal, action == Action::\"assume\", resource in Target::\"pg/orders\");\n";
  // A prohibition that can't be evaluated prohibits.
  if (variant == 4)
    text +=
        "@id(\"broken\") forbid (principal, action == Action::\"assume\", resource) when { context.weekday + "
        "9223372036854775807 > 0 };\n";
  const std::string toml = R"(
[[idp]]
name = "demo"
issuer = "https://idp.example"
client_id = "daypass"
client_secret = "env:SECRET"
groups = "groups"
session_max = "16m"
revalidate = "1m"

[[target]]
name = "pg/orders"
host = "db.example"
database = "orders"
admin_user = "daypass"
admin_password = "env:PASSWORD"

[[target]]
name = "pg/stock"
host = "db.example"
database = "stock"
admin_user = "daypass"
admin_password = "env:PASSWORD"

[[role]]
name = "pg/orders/reader"
group = "orders_read"

[[role]]
name = "pg/orders/writer"
group = "orders_write"
elevated = true

[[role]]
name = "pg/stock/reader"
group = "stock_read"
)";
  return {{"tenant.toml", toml}, {"policies/all.cedar", text}};
}

bool PolicyText::permits(int variant, const std::string& person, const std::string& role) {
  if (variant == 4) return false;
  if (variant == 3 && role.starts_with("pg/orders/")) return false;
  if (person == "ann") return true;
  return person == "bob" && role == "pg/orders/reader" && variant != 2;
}

// --------------------------------------------------------------------------------------------------------------- deeds

namespace {
const core::TenantId tenant("default");
const std::string pkce(43, 'v');
constexpr const char* redirect = "http://127.0.0.1:7777/";
}  // namespace

Story::Story(World& world) : world_(world) {
  for (const char* name : {"ann", "bob", "ann", "eve"})
    people.push_back({.name = name, .session = {}, .token = {}, .credentials = {}, .sign_in = {}});
}

void Story::apply(int wanted) {
  if (world_.engine() == nullptr) return;
  world_.say("operator: apply variant " + std::to_string(wanted));
  world_.oracle.wants_policy(wanted);
  world_.act([&] {
    world_.engine()->apply(tenant, PolicyText::files(wanted), "operator", false,
                           [this, wanted](base::Result<engine::Applied> r) {
                             if (r.ok() && r->problems.empty()) world_.oracle.policy_applied(wanted), variant_ = wanted;
                             if (!r.ok())
                               world_.say("operator: apply failed: " + r.error().check);
                             else
                               for (const auto& p : r->problems) world_.say("operator: " + p.render());
                           });
  });
}

void Story::sign_in(std::size_t n) {
  if (world_.engine() == nullptr) return;
  const std::string browser = "browser of " + people[n].name;
  base::json::Object then{
      {"kind", "code"}, {"redirect_uri", redirect}, {"state", "s"}, {"challenge", crypto::pkce_s256(pkce)}};
  engine::BeginLogin begin{tenant,  "demo",          "https://daypass.example/t/default/idp/demo/callback",
                           browser, std::move(then), false};
  world_.say(people[n].name + ": sign in");
  world_.act([&] {
    world_.engine()->begin_login(std::move(begin), [this, n, browser](base::Result<engine::LoginBegun> begun) {
      if (!begun.ok()) return world_.say("sign-in not begun: " + begun.error().check);
      const std::string state = begun->url.substr(begun->url.find("state=") + 6);
      world_.in_process(world_.delay(500, 4000), [this, n, browser, state] {
        engine::FinishLogin finish{tenant, "demo", {{{"state", state}, {"user", people[n].name}}}, browser, "10.0.0.7"};
        std::string sign_in;
        if (world_.dice.chance(static_cast<int>(refreshing))) {
          sign_in = "sign-in-" + std::to_string(++sign_ins_);
          finish.callback.query.emplace_back("refresh", sign_in);
        }
        if (!world_.settings.steady && !winding_up_ && world_.dice.chance(20))
          finish.callback.query.emplace_back("error", "access_denied");
        world_.engine()->finish_login(std::move(finish), [this, n, sign_in](base::Result<engine::LoginFinished> done) {
          if (!done.ok()) return world_.say("sign-in failed: " + done.error().check);
          const std::size_t at = done->redirect.find("code=") + 5;
          const std::string code = done->redirect.substr(at, done->redirect.find('&') - at);
          world_.in_process(world_.delay(5, 100), [this, n, code, sign_in] {
            world_.engine()->redeem_code(
                tenant, code, pkce, redirect, [this, n, sign_in](base::Result<engine::Token> token) {
                  if (!token.ok()) return world_.say("no token: " + token.error().check);
                  people[n].session = token->session;
                  people[n].token = std::string(token->token.reveal());
                  people[n].credentials.clear();
                  people[n].sign_in = sign_in;
                  world_.oracle.signed_in(token->session.id, people[n].name, people[n].token, sign_in);
                  world_.say(people[n].name + ": signed in as " + token->session.id.str());
                });
          });
        });
      });
    });
  });
}

void Story::get_credential(std::size_t n, const std::string& target, std::vector<std::string> roles,
                           std::optional<Millis> wanted) {
  Person& p = people[n];
  if (world_.engine() == nullptr || !p.session) return;
  engine::WantCredential want{core::TargetId(target), {}, wanted, "to work", "10.0.0.7"};
  for (auto& role : roles) want.roles.emplace_back(role);
  world_.engine()->issue_credential(*p.session, std::move(want),
                                    [this, n, session = p.session->id](base::Result<engine::CredentialIssued> issued) {
                                      if (!issued.ok()) return world_.say("no credential: " + issued.error().check);
                                      people[n].credentials.push_back(issued->user);
                                      world_.oracle.has_credential(issued->user, session, people[n].name);
                                      world_.say(people[n].name + ": credential " + issued->user.str());
                                    });
}

void Story::connect(std::size_t n) {
  const auto& mine = people[n].credentials;
  if (mine.empty()) return;
  world_.say(people[n].name + ": connect");
  world_.gate.connect(
      mine[static_cast<std::size_t>(world_.dice.between(0, static_cast<std::int64_t>(mine.size()) - 1))]);
}

void Story::log_out(std::size_t n, EndReason reason) {
  if (world_.engine() == nullptr || !people[n].session) return;
  world_.say(people[n].name + ": log out (" + std::string(core::to_string(reason)) + ")");
  world_.oracle.wants_logout(people[n].session->id);
  world_.engine()->logout(tenant, people[n].session->id, reason, "demo/" + people[n].name,
                          [this, session = people[n].session->id](base::Result<engine::LoggedOut> ended) {
                            if (!ended.ok()) world_.oracle.logout_refused(session, ended.error().check);
                            world_.say(ended.ok() ? "logged out, grants ended: " + std::to_string(ended->grants_ended)
                                                  : "logout failed: " + ended.error().check);
                          });
}

void Story::move(std::size_t n, bool out) {
  const std::string& name = people[n].name;
  world_.say(name + (out ? ": is in no group any more" : ": is in the groups again"));
  world_.oracle.wants_change(name);
  if (out)
    world_.provider.moved_out.insert(name);
  else
    world_.provider.moved_out.erase(name);
}

void Story::end_at_provider(std::size_t n) {
  if (people[n].sign_in.empty()) return;
  world_.say(people[n].name + ": the provider ends " + people[n].sign_in);
  world_.provider.sign_ins.at(people[n].sign_in).over = true;
}

void Story::revalidate(std::size_t n) {
  if (world_.engine() == nullptr || !people[n].session) return;
  world_.engine()->revalidate(tenant, people[n].session->id, [this](const base::Result<engine::Revalidated>& r) {
    world_.say(r.ok() ? "asked: " + std::to_string(static_cast<int>(r->state)) : "not asked: " + r.error().check);
  });
}

void Story::extend(std::size_t n) {
  if (world_.engine() == nullptr || !people[n].session) return;
  for (const auto& id : world_.oracle.live_grants())
    if (const core::Grant* g = world_.store.grant(id); g != nullptr && g->session == people[n].session->id) {
      world_.engine()->extend_grant(*people[n].session, id,
                                    world_.settings.steady ? Millis(std::chrono::minutes(15))
                                                           : Millis(std::chrono::seconds(world_.dice.between(60, 900))),
                                    "10.0.0.7", [this](base::Result<core::Grant> r) {
                                      world_.say(r.ok() ? "extended" : "not extended: " + r.error().check);
                                    });
      return;
    }
}

void Story::end_grant(EndReason reason) {
  if (world_.engine() == nullptr) return;
  const auto live = world_.oracle.live_grants();
  if (live.empty()) return;
  const core::GrantId id =
      live[static_cast<std::size_t>(world_.dice.between(0, static_cast<std::int64_t>(live.size()) - 1))];
  world_.oracle.wants_end(id);
  world_.say("somebody ends " + id.id);
  world_.engine()->end_grant(id, {}, reason, "operator", [this, id](base::Result<core::Grant> r) {
    if (!r.ok()) world_.oracle.end_refused(id, r.error().check);
    world_.say(r.ok() ? "ended" : "not ended: " + r.error().check);
  });
}

void Story::freeze() {
  if (world_.engine() == nullptr || frozen_) return;
  frozen_ = true;
  world_.oracle.freezing();
  const bool all = world_.dice.chance(500);
  world_.say(all ? "all is frozen" : "the tenant is frozen");
  world_.engine()->freeze(all ? std::nullopt : std::optional(tenant), "drill", "operator",
                          [this](base::Result<engine::Frozen> r) {
                            // Thawed meanwhile: an answer that comes late says nothing of now.
                            if (r.ok() && frozen_ && !thawing_) world_.oracle.frozen();
                            world_.say(r.ok() ? "frozen" : "not frozen: " + r.error().check);
                          });
  world_.later(world_.delay(500, 40'000), [this] { thaw(); });
}

void Story::thaw() {
  if (!frozen_) return;
  thawing_ = true;
  world_.oracle.thawing();
  // Until it is answered: the process may die over it.
  world_.later(std::chrono::seconds(20), [this] { thaw(); });
  if (world_.engine() == nullptr) return;
  auto left = std::make_shared<int>(2);
  for (const auto& where : {std::optional<core::TenantId>(), std::optional(tenant)})
    world_.engine()->thaw(where, "operator", [this, left](base::Status r) {
      world_.say(r.ok() ? "thawed" : "not thawed: " + r.error().check);
      if ((!r.ok() && r.error().check != "freeze.none") || --*left > 0) return;
      frozen_ = thawing_ = false;
      world_.oracle.thawed();
    });
}

void Story::talk() {
  const auto& all = world_.gate.connections();
  if (all.empty()) return;
  auto it = all.begin();
  std::advance(it, world_.dice.between(0, static_cast<std::int64_t>(all.size()) - 1));
  world_.gate.message(it->first);
}

void Story::hang_up() {
  const auto& all = world_.gate.connections();
  if (all.empty()) return;
  auto it = all.begin();
  std::advance(it, world_.dice.between(0, static_cast<std::int64_t>(all.size()) - 1));
  world_.gate.hang_up(std::string(it->first));
}

// ----------------------------------------------------------------------------------------------------------- by chance

void Story::deed() {
  const auto n = static_cast<std::size_t>(world_.dice.between(0, static_cast<std::int64_t>(people.size()) - 1));
  switch (world_.dice.between(0, 28)) {
    case 28:
      freeze();
      if (world_.dice.chance(500)) world_.run_for(world_.delay(0, 300));
      if (faults_ && world_.dice.chance(300)) {
        // A restart thaws nothing.
        world_.run_for(world_.delay(0, 2000));
        world_.crash(Millis(world_.dice.between(50, 3000)));
        world_.run_for(world_.delay(50, 5000));
      }
      connect(n);
      break;
    case 25: {
      // The provider is away for a while, longer than anybody's word is good for, or not.
      if (!faults_) break;
      world_.say("the provider is down");
      world_.provider.up = false;
      world_.later(world_.delay(5000, 400'000), [this] {
        world_.say("the provider is up");
        world_.provider.up = true;
      });
      world_.run_for(world_.delay(1000, 200'000));
      connect(n);
      break;
    }
    case 26:
      if (world_.dice.chance(400)) world_.provider.lose_next = faults_;
      if (world_.dice.chance(500)) end_at_provider(n);
      if (world_.dice.chance(500)) revalidate(n);
      world_.run_for(world_.delay(0, 90'000));
      connect(n);
      break;
    case 27:
      move(n, world_.dice.chance(650));
      if (world_.dice.chance(500)) revalidate(n);
      world_.run_for(world_.delay(0, 90'000));
      if (world_.dice.chance(500)) get_credential(n, "pg/orders", {});
      connect(n);
      break;
    case 0:
    case 1:
      sign_in(n);
      break;
    case 2:
    case 3: {
      std::vector<std::string> roles;
      const bool stock = world_.dice.chance(250);
      if (!stock && world_.dice.chance(250)) roles = {"pg/orders/writer"};
      std::optional<Millis> wanted;
      if (world_.dice.chance(600)) wanted = Millis(std::chrono::seconds(world_.dice.between(40, 500)));
      get_credential(n, stock ? "pg/stock" : "pg/orders", std::move(roles), wanted);
      break;
    }
    case 4:
    case 5:
    case 6:
    case 7:
    case 8:
      connect(n);
      break;
    case 9:
    case 10:
    case 11:
    case 12:
      talk();
      break;
    case 13:
      hang_up();
      break;
    case 14:
    case 15:
      extend(n);
      break;
    case 16:
      end_grant(world_.dice.chance(500) ? EndReason::user : EndReason::admin);
      break;
    case 17: {
      log_out(n, EndReason::logout);
      // Told twice, or late: it must be the same.
      if (world_.dice.chance(400)) world_.later(world_.delay(0, 20'000), [this, n] { log_out(n, EndReason::logout); });
      // What they hold is worth nothing now, nor is it after a restart.
      world_.run_for(world_.delay(0, 500));
      if (faults_ && world_.dice.chance(300)) world_.crash(Millis(world_.dice.between(50, 3000)));
      connect(n);
      break;
    }
    case 18:
      apply(static_cast<int>(world_.dice.between(0, PolicyText::variants - 1)));
      break;
    case 19:
    case 20: {
      // The account is in the making when something happens.
      get_credential(n, world_.dice.chance(300) ? "pg/stock" : "pg/orders", {},
                     Millis(std::chrono::seconds(world_.dice.between(40, 600))));
      world_.run_for(world_.delay(1, 40));
      connect(n);
      world_.run_for(world_.delay(0, 120));
      if (faults_ && world_.dice.chance(600)) mishap();
      if (world_.dice.chance(300))
        log_out(n, EndReason::logout);
      else if (world_.dice.chance(600))
        end_grant(EndReason::admin);
      else if (world_.dice.chance(500))
        apply(static_cast<int>(world_.dice.between(0, PolicyText::variants - 1)));
      if (faults_ && world_.dice.chance(300)) world_.run_for(world_.delay(0, 120)), mishap();
      break;
    }
    case 22: {
      // Eve, whom no policy permits anything.
      sign_in(3);
      world_.run_for(world_.delay(4200, 5000));
      get_credential(3, world_.dice.chance(500) ? "pg/stock" : "pg/orders", {});
      world_.run_for(Millis(50));
      connect(3);
      break;
    }
    case 23: {
      // The store is stuck while a grant that is in use comes to its end: the gate ends it on its own.
      if (!faults_ || world_.gate.connections().empty()) break;
      const core::Grant* g = world_.store.grant(world_.gate.connections().begin()->second.grant);
      if (g == nullptr || g->ends_at < world_.true_wall()) break;
      world_.slow_commit(std::min<Millis>(g->ends_at - world_.true_wall(), std::chrono::minutes(10)) +
                         Millis(world_.dice.between(5000, 60'000)));
      connect(n);
      break;
    }
    case 21: {
      // Longer, while something happens.
      if (faults_ && world_.dice.chance(300)) mishap();
      extend(n);
      break;
    }
    default: {
      // Several things in the same moment: one batch for the engine.
      connect(n);
      if (world_.dice.chance(400))
        log_out(n, EndReason::logout);
      else if (world_.dice.chance(500))
        end_grant(EndReason::admin);
      else
        apply(static_cast<int>(world_.dice.between(0, PolicyText::variants - 1)));
      connect(n);
    }
  }
}

void Story::mishap() {
  switch (world_.dice.between(0, 10)) {
    case 0:
    case 1:
    case 2:
      world_.crash_in(static_cast<std::uint64_t>(world_.dice.between(1, 60)));
      break;
    case 3:
      world_.crash(Millis(world_.dice.between(50, 60'000)));
      break;
    case 4:
    case 5:
      world_.fail_commits(static_cast<int>(world_.dice.between(1, 12)),
                          world_.dice.chance(500) ? "store.full" : "store.io");
      break;
    case 6:
      world_.slow_commit(Millis(world_.dice.between(100, 90'000)));
      break;
    case 7: {
      constexpr std::int64_t second = 1000, year = 365LL * 24 * 3600 * 1000;
      const std::int64_t jumps[] = {second,        -second,       20 * second,    -20 * second, 300 * second,
                                    -300 * second, 7200 * second, -7200 * second, 3 * year,     -10 * year};
      world_.set_wall_offset(Millis(jumps[world_.dice.between(0, 9)]));
      if (world_.dice.chance(600))
        world_.later(world_.delay(1000, 120'000), [this] { world_.set_wall_offset(Millis(0)); });
      break;
    }
    case 8:
      world_.suspend(Millis(world_.dice.between(1000, 600'000)));
      break;
    case 9:
      world_.fail_begins(static_cast<int>(world_.dice.between(1, 12)),
                         world_.dice.chance(500) ? "store.full" : "store.io", world_.dice.chance(500));
      break;
    default:
      world_.target_fault_per_mille = static_cast<int>(world_.dice.between(0, 500));
      break;
  }
}

void Story::play() {
  refreshing = 500;
  world_.start();
  apply(0);
  world_.run_for(std::chrono::seconds(2));
  const std::size_t at_work = world_.dice.chance(400) ? people.size() : 2;
  for (std::size_t n = 0; n < at_work; ++n) sign_in(n);
  world_.run_for(std::chrono::seconds(5));
  for (std::size_t n = 0; n < std::min<std::size_t>(at_work, 3); ++n)
    get_credential(n, "pg/orders", {}, Millis(std::chrono::seconds(world_.dice.between(60, 600))));
  world_.run_for(std::chrono::seconds(1));
  for (std::size_t n = 0; n < std::min<std::size_t>(at_work, 3); ++n) connect(n);
  // Some worlds are kind, some are not.
  world_.target_fault_per_mille = world_.dice.chance(300) ? 0 : static_cast<int>(world_.dice.between(20, 400));
  const std::int64_t mishaps = world_.dice.chance(150) ? 0 : world_.dice.between(20, 350);
  const std::int64_t deeds = world_.dice.between(3, 8);
  faults_ = mishaps > 0;
  for (std::int64_t i = 0; i < deeds && !world_.oracle.failed(); ++i) {
    world_.run_for(world_.dice.chance(300)   ? world_.delay(0, 50)
                   : world_.dice.chance(850) ? world_.delay(50, 15'000)
                                             : world_.delay(15'000, 240'000));
    if (faults_ && world_.dice.chance(420)) {
      scene(static_cast<Move>(world_.dice.between(0, static_cast<std::int64_t>(move_count) - 1)),
            static_cast<Fault>(world_.dice.between(1, static_cast<std::int64_t>(fault_count) - 1)));
      continue;
    }
    if (world_.dice.chance(mishaps)) mishap();
    deed();
  }
  wind_up();
}

void Story::wind_up() {
  winding_up_ = true;
  world_.calm();
  if (world_.engine() == nullptr) world_.run_for(std::chrono::seconds(61));
  thaw();
  world_.run_for(2 * PolicyText::revalidate + std::chrono::seconds(15));
  if (!world_.oracle.ever_ahead_at_start()) world_.oracle.none_outlives_its_provider();
  world_.provider.moved_out.clear();
  // Everything has an end of its own: the logins', at the latest. Comparing with the targets comes every three minutes.
  world_.run_for(PolicyText::session_max + std::chrono::minutes(5));
  world_.oracle.at_the_end();
  if (world_.oracle.failed() || world_.oracle.ever_ahead_at_start()) return;
  // Nothing that went wrong may stay: after a restart somebody can sign in and work.
  world_.crash(std::chrono::seconds(1));
  world_.run_for(std::chrono::seconds(3));
  people.resize(1);
  people[0] = {.name = "ann", .session = {}, .token = {}, .credentials = {}, .sign_in = {}};
  apply(0);
  world_.run_for(std::chrono::seconds(2));
  for (int i = 0; i < 3 && people[0].token.empty(); ++i) {
    sign_in(0);
    world_.run_for(std::chrono::seconds(10));
  }
  get_credential(0, "pg/orders", {});
  world_.run_for(std::chrono::seconds(1));
  const std::size_t before = world_.gate.admitted;
  connect(0);
  world_.run_for(std::chrono::seconds(5));
  if (world_.gate.admitted == before) world_.oracle.red("useful again", "after all faults nobody gets in any more");
}

Outcome play(const Settings& settings) {
  World world(settings);
  Story story(world);
  story.play();
  return {world.oracle.checker(), world.oracle.what(),  world.events,   world.gate.admitted,
          world.gate.refused,     world.oracle.table(), world.history()};
}

}  // namespace daypass::sim
