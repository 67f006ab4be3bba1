// The engine's use cases one by one, in a world where nothing breaks: what is refused, with which check, and what is
// used up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "crypto/jose.h"
#include "sim/steady.h"

namespace daypass::sim {
namespace {

using base::Result;
using std::chrono::minutes;
using std::chrono::seconds;

const core::TenantId tenant("default");
const std::string verifier(43, 'v');
const std::string back = "http://127.0.0.1:7777/";

class UseCase : public Steady {
 protected:
  UseCase() : Steady(5) {}

  void SetUp() override {
    start_applied();
    ASSERT_NE(engine().tenant(tenant), nullptr);
  }

  std::string begin(base::json::Value then, const std::string& browser = "chrome") {
    const auto begun = ask<engine::LoginBegun>([&](auto done) {
      engine().begin_login({tenant, "demo", "https://daypass.example/cb", browser, std::move(then), false},
                           std::move(done));
    });
    EXPECT_TRUE(begun.ok()) << check_of(begun);
    return begun.ok() ? begun->url.substr(begun->url.find("state=") + 6) : "";
  }
  std::string begin_code() {
    return begin(base::json::Object{
        {"kind", "code"}, {"redirect_uri", back}, {"state", "s"}, {"challenge", crypto::pkce_s256(verifier)}});
  }
  Result<engine::LoginFinished> finish(const std::string& state, const std::string& user = "ann",
                                       const std::string& browser = "chrome", const std::string& idp = "demo") {
    return ask<engine::LoginFinished>([&](auto done) {
      engine().finish_login({tenant, idp, {{{"state", state}, {"user", user}}}, browser, "10.0.0.7"}, std::move(done));
    });
  }
  static std::string code_in(const Result<engine::LoginFinished>& f) {
    if (!f.ok()) return "";
    const std::size_t at = f->redirect.find("code=") + 5;
    return f->redirect.substr(at, f->redirect.find('&') - at);
  }
  Result<engine::Token> redeem(const std::string& code, const std::string& proof = verifier,
                               const std::string& uri = back) {
    return ask<engine::Token>([&](auto done) { engine().redeem_code(tenant, code, proof, uri, std::move(done)); });
  }
  /// Signs in as `n` of the story's people.
  engine::LoginSession signed_in(std::size_t n) {
    story.sign_in(n);
    world.run_for(seconds(5));
    EXPECT_TRUE(story.people[n].session.has_value());
    return *story.people[n].session;
  }
  core::Grant granted(std::size_t n, std::optional<base::Millis> wanted) {
    story.get_credential(n, "pg/orders", {}, wanted);
    world.run_for(Millis(100));
    story.connect(n);
    world.run_for(seconds(2));
    const auto live = world.oracle.live_grants();
    for (const auto& id : live)
      if (world.store.grant(id)->session == story.people[n].session->id) return *world.store.grant(id);
    ADD_FAILURE() << "no grant";
    return {};
  }
  Result<engine::CredentialIssued> credential(const engine::LoginSession& s, const std::string& target,
                                              std::vector<core::RoleId> roles = {}) {
    return ask<engine::CredentialIssued>([&](auto done) {
      engine().issue_credential(s, {core::TargetId(target), std::move(roles), {}, "to work", "10.0.0.7"},
                                std::move(done));
    });
  }
  Result<core::Grant> extend(const engine::LoginSession& s, const core::GrantId& id, base::Millis by) {
    return ask<core::Grant>([&](auto done) { engine().extend_grant(s, id, by, "10.0.0.7", std::move(done)); });
  }
  Result<engine::Applied> apply(std::map<std::string, std::string> files, bool dry = false) {
    return ask<engine::Applied>(
        [&](auto done) { engine().apply(tenant, std::move(files), "operator", dry, std::move(done)); });
  }
};

TEST_F(UseCase, ACodeIsWorthOneToken) {
  const std::string code = code_in(finish(begin_code()));
  const auto token = redeem(code);
  ASSERT_TRUE(token.ok()) << check_of(token);
  EXPECT_EQ(token->session.who.principal(), "demo/ann");
  EXPECT_TRUE(engine().authenticate(tenant, token->token.reveal()).ok());
  EXPECT_EQ(check_of(engine().authenticate(core::TenantId("other"), token->token.reveal())), "token.unknown");
  EXPECT_EQ(check_of(redeem(code)), "token.code");
}

TEST_F(UseCase, AWrongProofUsesTheCodeUp) {
  const std::string first = code_in(finish(begin_code()));
  EXPECT_EQ(check_of(redeem(first, std::string(43, 'w'))), "token.pkce");
  EXPECT_EQ(check_of(redeem(first)), "token.code");
  const std::string second = code_in(finish(begin_code()));
  EXPECT_EQ(check_of(redeem(second, verifier, "http://127.0.0.1:7778/")), "token.redirect_uri");
  EXPECT_EQ(check_of(redeem(second)), "token.code");
  EXPECT_EQ(check_of(redeem("made-up")), "token.code");
}

TEST_F(UseCase, ACodeLastsAMinuteAndASignInTen) {
  const std::string code = code_in(finish(begin_code()));
  const std::string state = begin_code();
  world.run_for(seconds(61));
  EXPECT_EQ(check_of(redeem(code)), "token.code");
  world.run_for(minutes(9));
  EXPECT_EQ(check_of(finish(state)), "login.state");
}

TEST_F(UseCase, AStateIsUsedUpWhateverComesWithIt) {
  const std::string once = begin_code();
  EXPECT_TRUE(finish(once).ok());
  EXPECT_EQ(check_of(finish(once)), "login.state");
  const std::string stolen = begin_code();
  EXPECT_EQ(check_of(finish(stolen, "ann", "another browser")), "login.browser");
  EXPECT_EQ(check_of(finish(stolen)), "login.state");
  const std::string mixed = begin_code();
  EXPECT_EQ(check_of(finish(mixed, "ann", "chrome", "other")), "login.mix_up");
  EXPECT_EQ(check_of(finish(mixed)), "login.state");
  EXPECT_EQ(check_of(finish("made-up")), "login.state");
  EXPECT_EQ(check_of(finish("")), "login.state");
}

TEST_F(UseCase, ADeviceWaitsForItsBrowser) {
  const auto started = ask<engine::DeviceStarted>([&](auto done) { engine().start_device(tenant, std::move(done)); });
  ASSERT_TRUE(started.ok());
  const auto poll = [&] {
    return ask<engine::Token>([&](auto done) { engine().poll_device(tenant, started->device_code, std::move(done)); });
  };
  const auto find = [&](const std::string& code) {
    return check_of(ask<bool>([&](auto done) { engine().find_device(tenant, code, std::move(done)); }));
  };
  EXPECT_EQ(find(started->user_code), "ok");
  EXPECT_EQ(find("NO-SUCH-CODE"), "device.user_code");
  EXPECT_EQ(check_of(poll()), "device.pending");
  EXPECT_EQ(check_of(poll()), "device.slow_down");
  const base::json::Object then{{"kind", "device"}, {"user_code", started->user_code}};
  EXPECT_TRUE(finish(begin(then)).ok());
  EXPECT_EQ(check_of(finish(begin(then), "eve")), "device.user_code") << "nobody else signs the same device in";
  const auto token = poll();
  ASSERT_TRUE(token.ok()) << check_of(token);
  EXPECT_EQ(token->session.who.subject, "ann");
  EXPECT_EQ(check_of(poll()), "device.expired");
}

TEST_F(UseCase, LogoutEndsEverythingOfTheLogin) {
  const auto ann = signed_in(0), other = signed_in(2);
  const core::Grant mine = granted(0, {}), elsewhere = granted(2, {});
  const core::CredentialId credential = story.people[0].credentials[0];
  EXPECT_TRUE(engine().lookup(credential.str()).has_value());
  world.oracle.wants_logout(ann.id);
  const auto ended = ask<engine::LoggedOut>(
      [&](auto done) { engine().logout(tenant, ann.id, core::EndReason::logout, "demo/ann", std::move(done)); });
  ASSERT_TRUE(ended.ok());
  EXPECT_EQ(ended->grants_ended, 1);
  world.run_for(seconds(3));
  EXPECT_EQ(world.store.grant(mine.id)->state, core::GrantState::closed);
  EXPECT_EQ(world.store.grant(elsewhere.id)->state, core::GrantState::active) << "another login of the same person";
  EXPECT_EQ(check_of(engine().authenticate(tenant, story.people[0].token)), "token.unknown");
  EXPECT_TRUE(engine().authenticate(tenant, story.people[2].token).ok());
  EXPECT_FALSE(engine().lookup(credential.str()).has_value());
  EXPECT_EQ(check_of(this->credential(ann, "pg/orders")), "login.ended");
  const auto again = ask<engine::LoggedOut>(
      [&](auto done) { engine().logout(tenant, ann.id, core::EndReason::logout, "demo/ann", std::move(done)); });
  EXPECT_TRUE(again.ok() && again->grants_ended == 0 && again->handle.empty()) << "told twice is the same";
}

TEST_F(UseCase, ALogoutLeadsOnToTheProviderOnce) {
  using Fields = std::vector<std::pair<std::string, std::string>>;
  const auto log_out = [&](std::size_t n, core::EndReason reason = core::EndReason::logout) {
    const auto who = signed_in(n);
    world.oracle.wants_logout(who.id);
    const auto out =
        ask<engine::LoggedOut>([&](auto done) { engine().logout(tenant, who.id, reason, "demo/x", std::move(done)); });
    EXPECT_TRUE(out.ok()) << check_of(out);
    return out.ok() ? out->handle : "";
  };
  const auto go = [&](const std::string& handle, const core::TenantId& at = tenant) {
    return ask<engine::LoginBegun>([&](auto done) {
      engine().begin_provider_logout(at, handle, "https://daypass.example/t/default", std::move(done));
    });
  };
  const auto came_back = [&](Fields fields, const std::string& idp = "demo", const core::TenantId& at = tenant) {
    return ask<engine::ProviderLogout>([&](auto done) {
      engine().finish_provider_logout(at, idp, idp::LogoutMessage{std::move(fields), "", true, ""}, std::move(done));
    });
  };
  const auto key_in = [](const Result<engine::LoginBegun>& begun) {
    return begun.ok() ? begun->url.substr(begun->url.find("&key=") + 5) : "";
  };
  EXPECT_EQ(log_out(1), "") << "bob's provider offers none";
  EXPECT_EQ(log_out(0, core::EndReason::admin), "") << "an administrator sends nobody's browser anywhere";
  const std::string handle = log_out(0);
  ASSERT_EQ(handle.size(), 43U);
  EXPECT_EQ(check_of(go("made-up")), "logout.handle");
  EXPECT_EQ(check_of(go("")), "logout.handle");
  EXPECT_EQ(check_of(go(handle, core::TenantId("acme"))), "logout.handle");
  const auto begun = go(handle);
  ASSERT_TRUE(begun.ok()) << check_of(begun);
  EXPECT_TRUE(
      begun->url.starts_with("https://idp.example/logout?name=ann&back=https://daypass.example/t/default/idp/demo&"));
  EXPECT_EQ(check_of(go(handle)), "logout.handle");
  // Forged, foreign, unasked: nothing is used up by them.
  const std::string key = key_in(begun);
  EXPECT_EQ(check_of(came_back({{"key", key}, {"forged", ""}})), "xmldsig.signature");
  EXPECT_EQ(check_of(came_back({{"key", key}}, "other")), "idp.unknown");
  EXPECT_EQ(check_of(came_back({{"key", key}}, "demo", core::TenantId("acme"))), "idp.unknown");
  EXPECT_EQ(check_of(came_back({{"key", "made-up"}})), "logout.state");
  const auto said = came_back({{"key", key}, {"refused", "not now"}});
  ASSERT_TRUE(said.ok()) << check_of(said);
  EXPECT_EQ(said->outcome, idp::LogoutOutcome::refused);
  EXPECT_EQ(said->why, "not now");
  EXPECT_EQ(check_of(came_back({{"key", key}})), "logout.state") << "told twice";
  // Each step has its time.
  const std::string late = log_out(0);
  world.run_for(seconds(301));
  EXPECT_EQ(check_of(go(late)), "logout.handle");
  const auto slow = go(log_out(0));
  world.run_for(seconds(601));
  EXPECT_EQ(check_of(came_back({{"key", key_in(slow)}})), "logout.state");
}

TEST_F(UseCase, ASignInThatBeganAtTheProviderIsConfirmedWithADevicesCode) {
  using Fields = std::vector<std::pair<std::string, std::string>>;
  const auto arrive = [&](Fields fields, const std::string& url = "https://daypass.example/cb", bool posted = true) {
    return ask<engine::LoginFinished>([&](auto done) {
      engine().finish_login({tenant, "demo", {std::move(fields), posted}, "", "10.0.0.7", url}, std::move(done));
    });
  };
  const auto confirm = [&](const std::string& handle, const std::string& code, const std::string& idp = "demo") {
    return check_of(ask<engine::LoginFinished>(
        [&](auto done) { engine().confirm_login({tenant, idp, handle, code, "10.0.0.7"}, std::move(done)); }));
  };
  const auto device = [&] {
    return ask<engine::DeviceStarted>([&](auto done) { engine().start_device(tenant, std::move(done)); }).value();
  };
  const auto poll = [&](const engine::DeviceStarted& d) {
    return ask<engine::Token>([&](auto done) { engine().poll_device(tenant, d.device_code, std::move(done)); });
  };
  const auto now = [&] { return base::to_rfc3339(world.wall()); };
  const auto off = arrive({{"user", "ann"}, {"signed_in", now()}, {"jti", "0"}});
  EXPECT_EQ(check_of(off), "login.state");
  EXPECT_NE(off.error().hint.find("idp_initiated = true"), std::string::npos) << off.error().hint;

  auto files = PolicyText::files(0);
  for (auto& [name, text] : files)
    if (const auto at = text.find("issuer = "); at != std::string::npos) text.insert(at, "display = \"unasked\"\n");
  ASSERT_TRUE(apply(files).ok());
  world.run_for(seconds(1));
  EXPECT_EQ(check_of(arrive({{"user", "ann"}}, "https://daypass.example/cb", false)), "login.state") << "by query";
  EXPECT_EQ(check_of(arrive({{"user", "ann"}}, "https://elsewhere.example/cb")), "saml.recipient");
  EXPECT_EQ(check_of(arrive({{"error", "1"}})), "oidc.error");

  // Nothing happens until somebody says yes, in the browser that it came to.
  const auto offered =
      arrive({{"user", "ann"}, {"RelayState", "https://evil.example"}, {"signed_in", now()}, {"jti", "1"}});
  ASSERT_TRUE(offered.ok()) << check_of(offered);
  EXPECT_EQ(offered->redirect, "");
  EXPECT_EQ(offered->principal, "demo/ann");
  ASSERT_EQ(offered->confirm.size(), 43U);
  EXPECT_TRUE(engine().login_sessions(tenant).empty());
  EXPECT_EQ(check_of(arrive({{"user", "ann"}, {"signed_in", now()}, {"jti", "1"}})), "login.replayed");
  const auto mine = device();
  EXPECT_EQ(confirm("made-up", mine.user_code), "login.confirm");
  EXPECT_EQ(confirm("", mine.user_code), "login.confirm");
  EXPECT_EQ(confirm(offered->confirm, mine.user_code), "ok");
  EXPECT_EQ(confirm(offered->confirm, mine.user_code), "login.confirm") << "one use";
  const auto token = poll(mine);
  ASSERT_TRUE(token.ok()) << check_of(token);
  EXPECT_EQ(token->session.who.principal(), "demo/ann");
  EXPECT_EQ(token->session.client, "device");

  const auto offer = [&](const std::string& jti, const std::string& sid = "s") {
    const auto r = arrive({{"user", "ann"}, {"sid", sid}, {"sid", sid + "-too"}, {"signed_in", now()}, {"jti", jti}});
    EXPECT_TRUE(r.ok()) << check_of(r);
    return r.ok() ? r->confirm : "";
  };
  // A wrong code, another provider's address and five minutes use it up.
  const auto other = device();
  const std::string wrong = offer("2");
  EXPECT_EQ(confirm(wrong, "NO-SUCH-CODE"), "device.user_code");
  EXPECT_EQ(confirm(wrong, other.user_code), "login.confirm");
  const std::string elsewhere = offer("3");
  EXPECT_EQ(confirm(elsewhere, other.user_code, "other"), "login.mix_up");
  EXPECT_EQ(confirm(elsewhere, other.user_code), "login.confirm");
  const std::string late = offer("4");
  world.run_for(seconds(301));
  EXPECT_EQ(confirm(late, other.user_code), "login.confirm");
  // A logout meanwhile holds, by any name of the session.
  const auto last = device();
  const std::string ended = offer("5", "gone");
  ask<engine::SignalTaken>([&](auto done) {
    engine().logout_signal(tenant, "demo", idp::LogoutMessage{{{"at", now()}, {"sid", "gone-too"}}, "", true, ""},
                           std::move(done));
  }).value();
  EXPECT_EQ(confirm(ended, last.user_code), "login.signed_out");
  // And so does a change of the settings.
  const std::string before = offer("6");
  ASSERT_TRUE(apply(PolicyText::files(0)).ok());
  world.run_for(seconds(1));
  EXPECT_EQ(confirm(before, last.user_code), "login.mix_up");
  EXPECT_EQ(check_of(poll(last)), "device.pending");
}

TEST_F(UseCase, APersonWhoHasChangedIsDecidedOnAgain) {
  const auto ann = signed_in(0), other = signed_in(2);
  const core::Grant mine = granted(0, {}), elsewhere = granted(2, {});
  const auto renew = [&](const core::SessionId& id, const core::Identity& who, const core::TenantId& of = tenant) {
    world.oracle.wants_change(id);
    return ask<engine::Renewal>([&](auto done) { engine().renew(of, id, who, "demo", std::move(done)); });
  };
  const auto log_size = [&] {
    return ask<std::pair<std::uint64_t, std::string>>([&](auto done) { engine().audit_head(tenant, std::move(done)); })
        ->first;
  };
  const std::uint64_t before = log_size();
  const auto same = renew(ann.id, ann.who);
  ASSERT_TRUE(same.ok()) << check_of(same);
  EXPECT_FALSE(same->changed);
  EXPECT_EQ(log_size(), before) << "nothing changed, nothing is recorded";
  core::Identity now = ann.who;
  now.subject = "eve";
  EXPECT_EQ(check_of(renew(ann.id, now)), "login.subject");
  now.subject = ann.who.subject;
  now.idp = "other";
  EXPECT_EQ(check_of(renew(ann.id, now)), "login.subject");
  now.idp = ann.who.idp;
  now.groups.clear();
  EXPECT_EQ(check_of(renew(core::SessionId("ls_none"), now)), "session.unknown");
  EXPECT_EQ(check_of(renew(ann.id, now, core::TenantId("acme"))), "session.unknown");
  EXPECT_EQ(world.store.grant(mine.id)->state, core::GrantState::active);

  const auto changed = renew(ann.id, now);
  ASSERT_TRUE(changed.ok()) << check_of(changed);
  EXPECT_TRUE(changed->changed);
  EXPECT_EQ(changed->grants_ended, 1U);
  world.run_for(seconds(3));
  EXPECT_EQ(world.store.grant(mine.id)->state, core::GrantState::closed);
  EXPECT_EQ(world.store.grant(mine.id)->end_reason, core::EndReason::policy);
  EXPECT_EQ(world.store.grant(elsewhere.id)->state, core::GrantState::active) << "another login of hers";
  EXPECT_EQ(check_of(credential(ann, "pg/orders")), "policy.denied");
  const std::size_t admitted = world.gate.admitted;
  story.connect(0);
  world.run_for(seconds(2));
  EXPECT_EQ(world.gate.admitted, admitted) << "the credential she has is worth nothing now";
  EXPECT_TRUE(engine().authenticate(tenant, story.people[0].token).ok()) << "she is still signed in";
  world.crash(seconds(1));
  world.run_for(seconds(3));
  EXPECT_TRUE(engine().authenticate(tenant, story.people[0].token)->who.groups.empty()) << "and it was written down";
}

TEST_F(UseCase, ALaterPolicyIsDecidedOnThePersonOfToday) {
  const auto ann = signed_in(0);
  const core::Grant g = granted(0, {});
  core::Identity now = ann.who;
  now.groups = {"support"};
  world.oracle.wants_change(ann.id);
  const auto moved =
      ask<engine::Renewal>([&](auto done) { engine().renew(tenant, ann.id, now, "demo", std::move(done)); });
  ASSERT_TRUE(moved.ok()) << check_of(moved);
  EXPECT_EQ(moved->grants_ended, 0U) << "support may read too, not for as long";
  EXPECT_EQ(world.store.grant(g.id)->ends_at, g.opened_at + minutes(6));
  EXPECT_NE(world.store.grant(g.id)->decision_record, g.decision_record);
  story.apply(2);  // which takes that from support: on what she was when it was opened, she would keep it
  world.run_for(seconds(3));
  EXPECT_EQ(world.store.grant(g.id)->state, core::GrantState::closed);
  EXPECT_EQ(world.store.grant(g.id)->end_reason, core::EndReason::policy);
}

TEST_F(UseCase, AnEarlierEndOfTheLoginIsTheEndOfItsGrants) {
  const auto ann = signed_in(0);
  const core::Grant g = granted(0, {});
  core::Identity now = ann.who;
  const base::WallTime end = world.wall() + minutes(2);
  now.not_after = end;
  const auto shorter =
      ask<engine::Renewal>([&](auto done) { engine().renew(tenant, ann.id, now, "demo", std::move(done)); });
  ASSERT_TRUE(shorter.ok()) << check_of(shorter);
  world.run_for(seconds(2));
  EXPECT_EQ(world.store.grant(g.id)->ends_at, end);
  EXPECT_EQ(world.servers.at("pg/orders").find(g.account)->valid_until, end);
  now.not_after = world.wall() + minutes(10);
  const auto later =
      ask<engine::Renewal>([&](auto done) { engine().renew(tenant, ann.id, now, "demo", std::move(done)); });
  ASSERT_TRUE(later.ok() && later->changed);
  EXPECT_EQ(world.store.grant(g.id)->ends_at, end) << "never later again";
  world.oracle.wants_logout(ann.id);
  world.run_for(minutes(2));
  EXPECT_FALSE(engine().authenticate(tenant, story.people[0].token).ok());
  EXPECT_EQ(world.store.grant(g.id)->state, core::GrantState::closed);
}

/// Logins whose provider gave tokens to ask after them.
class Asked : public UseCase {
 protected:
  Asked() { story.refreshing = 1000; }
  int questions(std::size_t n) { return world.provider.sign_ins.at(story.people[n].sign_in).used; }
  [[nodiscard]] std::optional<engine::LoginSession> known(const core::SessionId& id) {
    for (auto& s : engine().login_sessions(tenant))
      if (s.id == id) return s;
    return std::nullopt;
  }
  std::string revalidate(const core::SessionId& id, const core::TenantId& of = tenant) {
    constexpr std::string_view states[] = {"unchanged", "changed", "ended"};
    const auto answer = ask<engine::Revalidated>([&](auto done) { engine().revalidate(of, id, std::move(done)); });
    return answer.ok() ? std::string(states[static_cast<std::size_t>(answer->state)]) : check_of(answer);
  }
  bool kept(const core::SessionId& id) {
    return (*world.store.snapshot())->get(tenant, "refresh", id.str(), world.wall())->has_value();
  }
};

TEST_F(Asked, EveryMinuteAndWithEachTokenOnce) {
  const auto ann = signed_in(0);
  ASSERT_TRUE(ann.revalidation.has_value());
  EXPECT_TRUE(kept(ann.id));
  world.run_for(minutes(10));
  EXPECT_GE(questions(0), 10);
  EXPECT_LE(questions(0), 12);
  EXPECT_LT(world.wall() - known(ann.id)->revalidation->checked_at, minutes(1));
  EXPECT_EQ(engine().metrics().revalidations_ok.load(), static_cast<std::uint64_t>(questions(0)));
  // A restart takes up where it was.
  const int before = questions(0);
  world.crash(seconds(30));
  world.run_for(minutes(3));
  EXPECT_GE(questions(0), before + 2);
  EXPECT_TRUE(engine().authenticate(tenant, story.people[0].token).ok());
}

TEST_F(Asked, WhatTheProviderHasEndedEnds) {
  const auto ann = signed_in(0);
  const core::Grant g = granted(0, {});
  story.end_at_provider(0);
  world.run_for(minutes(1));
  world.run_for(seconds(3));
  EXPECT_FALSE(engine().authenticate(tenant, story.people[0].token).ok());
  EXPECT_EQ(world.store.grant(g.id)->state, core::GrantState::closed);
  EXPECT_EQ(world.store.grant(g.id)->end_reason, core::EndReason::signal);
  EXPECT_FALSE(kept(ann.id));
  EXPECT_EQ(engine().metrics().revalidations_over.load(), 1U);
  EXPECT_EQ(revalidate(ann.id), "session.unknown");
}

TEST_F(Asked, WhoHasChangedIsDecidedOnAgain) {
  const auto ann = signed_in(0);
  const core::Grant g = granted(0, {});
  story.move(0, true);
  world.run_for(minutes(1));
  world.run_for(seconds(3));
  EXPECT_EQ(world.store.grant(g.id)->state, core::GrantState::closed);
  EXPECT_EQ(world.store.grant(g.id)->end_reason, core::EndReason::policy);
  EXPECT_EQ(check_of(credential(ann, "pg/orders")), "policy.denied");
  story.move(0, false);
  EXPECT_EQ(revalidate(ann.id), "changed");
  EXPECT_EQ(check_of(credential(ann, "pg/orders")), "ok");
}

TEST_F(Asked, NothingNewIsGivenWhileTheProviderIsAway) {
  const auto ann = signed_in(0);
  const core::Grant g = granted(0, minutes(8));
  const auto writer = credential(ann, "pg/orders", {core::RoleId("pg/orders/writer")});
  ASSERT_TRUE(writer.ok());
  world.oracle.has_credential(writer->user, ann.id, "ann");
  world.provider.up = false;
  EXPECT_EQ(check_of(credential(ann, "pg/orders")), "ok") << "nobody has noticed";
  world.run_for(minutes(1));
  const auto refused = credential(ann, "pg/orders");
  EXPECT_EQ(check_of(refused), "login.stale");
  EXPECT_NE(refused.error().hint.find(base::to_rfc3339(world.store.grant(g.id)->ends_at)), std::string::npos);
  EXPECT_EQ(check_of(extend(ann, g.id, minutes(9))), "login.stale");
  const std::size_t in = world.gate.admitted;
  world.gate.connect(writer->user);
  world.run_for(seconds(2));
  EXPECT_EQ(world.gate.admitted, in) << "a new grant";
  EXPECT_EQ(world.gate.refusals["login.stale"], 1U);
  story.connect(0);
  world.run_for(seconds(2));
  EXPECT_EQ(world.gate.admitted, in + 1) << "another connection under the grant that lives";
  EXPECT_EQ(world.store.grant(g.id)->state, core::GrantState::active);
  EXPECT_EQ(engine().metrics().sessions_stale.load(), 1);
  // A restart forgets nothing.
  world.crash(seconds(1));
  world.run_for(seconds(5));
  EXPECT_EQ(check_of(credential(ann, "pg/orders")), "login.stale");
  EXPECT_EQ(engine().metrics().sessions_stale.load(), 1);
  EXPECT_EQ(revalidate(ann.id), "login.stale");
  world.provider.up = true;
  world.run_for(minutes(2));
  EXPECT_EQ(check_of(credential(ann, "pg/orders")), "ok") << "the first answer ends it";
  EXPECT_EQ(engine().metrics().sessions_stale.load(), 0);
  EXPECT_FALSE(known(ann.id)->is_stale());
}

TEST_F(Asked, ALoginThatNobodyWasAskedAfterGetsNothingNew) {
  const auto ann = signed_in(0);
  world.provider.up = false;
  world.crash(minutes(5));  // nobody was there to notice
  world.run_for(minutes(5) + seconds(1));
  ASSERT_NE(world.engine(), nullptr);
  EXPECT_FALSE(known(ann.id)->is_stale());
  EXPECT_EQ(check_of(credential(ann, "pg/orders")), "login.stale");
}

TEST_F(Asked, AnAnswerThatWasLostEndsTheLogin) {
  const auto ann = signed_in(0);
  world.provider.lose_next = true;
  EXPECT_EQ(revalidate(ann.id), "login.stale");
  world.run_for(minutes(1));
  EXPECT_FALSE(engine().authenticate(tenant, story.people[0].token).ok()) << "its token was used: fail closed";
}

TEST_F(Asked, AnAnswerIsWrittenDownThoughTheStoreRefusesAtFirst) {
  const auto ann = signed_in(0);
  const core::Grant g = granted(0, {});
  story.move(0, true);
  const auto book = world.provider.confirmed;
  world.provider.confirmed = [&](const std::string& sign_in) {
    book(sign_in);
    world.fail_commits(1'000'000, "store.full");
  };
  std::string answer = "none";
  engine().revalidate(tenant, ann.id, [&](const Result<engine::Revalidated>& r) { answer = check_of(r); });
  world.run_for(Millis(200));
  EXPECT_EQ(answer, "none") << "nothing is said before it is written";
  world.provider.confirmed = book;
  // Nobody who comes meanwhile is decided on as the person that they were.
  story.connect(0);
  world.run_for(Millis(100));
  world.fail_commits(0, "");
  world.run_for(seconds(20));
  EXPECT_EQ(answer, "ok");
  EXPECT_EQ(world.store.grant(g.id)->state, core::GrantState::closed);
  EXPECT_TRUE(known(ann.id)->who.groups.empty());
  EXPECT_EQ(revalidate(ann.id), "unchanged") << "the token that came with it serves";
}

TEST_F(Asked, AnAdministratorAsksNow) {
  const auto ann = signed_in(0);
  EXPECT_EQ(revalidate(core::SessionId("ls_none")), "session.unknown");
  EXPECT_EQ(revalidate(ann.id, core::TenantId("acme")), "session.unknown");
  EXPECT_EQ(revalidate(ann.id), "unchanged");
  const int before = questions(0);
  int answers = 0;
  for (int i = 0; i < 3; ++i)
    engine().revalidate(tenant, ann.id, [&](const Result<engine::Revalidated>& r) { answers += r.ok() ? 1 : 0; });
  world.run_for(seconds(1));
  EXPECT_EQ(answers, 3);
  EXPECT_EQ(questions(0), before + 1) << "one question answers all who ask at the same time";
  story.refreshing = 0;
  const auto bob = signed_in(1);
  EXPECT_EQ(revalidate(bob.id), "session.no_refresh");
  // Logged out while the question is under way: nothing comes back to life.
  std::string answer = "none";
  world.oracle.wants_logout(ann.id);
  engine().revalidate(tenant, ann.id, [&](const Result<engine::Revalidated>& r) {
    answer = r.ok() && r->state == engine::Revalidated::State::ended ? "ended" : "other";
  });
  engine().logout(tenant, ann.id, core::EndReason::logout, "demo/ann", [](const Result<engine::LoggedOut>&) {});
  world.run_for(seconds(2));
  EXPECT_EQ(answer, "ended");
  EXPECT_FALSE(kept(ann.id));
}

TEST_F(Asked, ManyAreNotAskedAfterInOneMoment) {
  constexpr std::size_t many = 40;
  const Person ann = story.people[0];
  story.people.assign(many, ann);
  for (std::size_t n = 0; n < many; ++n) story.sign_in(n);
  world.run_for(seconds(10));
  ASSERT_EQ(engine().login_sessions(tenant).size(), many);
  world.crash(minutes(3));
  world.run_for(minutes(3) + Millis(500));
  const auto asked = [&] {
    std::size_t n = 0;
    for (const auto& [name, s] : world.provider.sign_ins) n += s.life == world.life() ? 1U : 0U;
    return n;
  };
  EXPECT_LT(asked(), many / 4);
  world.run_for(seconds(40));
  EXPECT_EQ(asked(), many) << "all are overdue, and asked after soon";
  EXPECT_EQ(engine().login_sessions(tenant).size(), many);
}

TEST_F(UseCase, ATokenEndsWithItsLogin) {
  const auto ann = signed_in(0);
  world.run_for(PolicyText::session_max - minutes(1));
  EXPECT_TRUE(engine().authenticate(tenant, story.people[0].token).ok());
  world.run_for(minutes(1));
  EXPECT_FALSE(engine().authenticate(tenant, story.people[0].token).ok());
  EXPECT_TRUE(engine().login_sessions(tenant).empty());
}

TEST_F(UseCase, ACredentialNeedsAPermit) {
  const auto ann = signed_in(0), eve = signed_in(3);
  EXPECT_TRUE(credential(ann, "pg/orders").ok());
  EXPECT_EQ(check_of(credential(ann, "pg/nowhere")), "target.unknown");
  EXPECT_EQ(check_of(credential(ann, "pg/orders", {core::RoleId("pg/orders/owner")})), "policy.denied");
  const auto refused = credential(eve, "pg/orders");
  EXPECT_EQ(check_of(refused), "policy.denied");
  EXPECT_NE(refused.error().hint.find("demo/data"), std::string::npos) << "what to ask for: " << refused.error().hint;
}

TEST_F(UseCase, ALoginHasTwoHundredCredentialsAtMost) {
  const auto ann = signed_in(0);
  std::size_t issued = 0;
  std::string last;
  for (int i = 0; i < 201; ++i) {
    const auto c = ask<engine::CredentialIssued>([&](auto done) {
      engine().issue_credential(ann, {core::TargetId("pg/orders"), {}, {}, "", ""}, std::move(done));
    });
    issued += c.ok() ? 1U : 0U;
    last = check_of(c);
  }
  EXPECT_EQ(issued, 200U);
  EXPECT_EQ(last, "credential.too_many");
}

TEST_F(UseCase, AnExtensionStopsAtTheCapAndIsForTheOwner) {
  const auto ann = signed_in(0), bob = signed_in(1);
  const core::Grant g = granted(0, minutes(2));
  EXPECT_EQ(g.ends_at, g.opened_at + minutes(2));
  EXPECT_EQ(check_of(extend(bob, g.id, minutes(5))), "grant.unknown") << "another's grant is none";
  EXPECT_EQ(check_of(extend(ann, g.id, seconds(1))), "grant.cap") << "shorter than it is";
  const auto longer = extend(ann, g.id, minutes(60));
  ASSERT_TRUE(longer.ok()) << check_of(longer);
  EXPECT_EQ(longer->ends_at, g.opened_at + minutes(10)) << "the most that policy allows";
  EXPECT_EQ(check_of(extend(ann, g.id, minutes(60))), "grant.cap");
  story.apply(3);
  world.run_for(seconds(3));
  EXPECT_EQ(check_of(extend(ann, g.id, minutes(60))), "grant.not_active");
}

TEST_F(UseCase, OnlyTheOwnerEndsAGrantByName) {
  const auto ann = signed_in(0), bob = signed_in(1);
  const core::Grant g = granted(0, {});
  const auto end = [&](const core::SessionId& owner) {
    return check_of(ask<core::Grant>(
        [&](auto done) { engine().end_grant(g.id, owner, core::EndReason::user, "x", std::move(done)); }));
  };
  EXPECT_EQ(end(bob.id), "grant.unknown");
  EXPECT_EQ(world.store.grant(g.id)->state, core::GrantState::active);
  world.oracle.wants_end(g.id);
  EXPECT_EQ(end(ann.id), "ok");
  world.run_for(seconds(3));
  const auto closed = ask<core::Grant>([&](auto done) { engine().wait_closed(g.id, seconds(10), std::move(done)); });
  EXPECT_TRUE(closed.ok() && closed->state == core::GrantState::closed);
}

TEST_F(UseCase, ApplyIsAllOrNothing) {
  const auto before = engine().tenant(tenant);
  const auto dry = apply(PolicyText::files(1), true);
  ASSERT_TRUE(dry.ok());
  EXPECT_FALSE(dry->plan.empty());
  EXPECT_EQ(engine().tenant(tenant), before) << "only asked what it would do";
  auto broken = PolicyText::files(1);
  broken["policies/all.cedar"] += "permit (principal, action == Action::\"asume\", resource);";
  const auto refused = apply(broken);
  ASSERT_TRUE(refused.ok());
  EXPECT_FALSE(refused->problems.empty());
  EXPECT_EQ(engine().tenant(tenant), before);
  // Two at the same time: the second was planned on what is no more.
  std::string one = "none", two = "none";
  world.oracle.wants_policy(1), world.oracle.wants_policy(5);
  engine().apply(tenant, PolicyText::files(1), "operator", false,
                 [&](const Result<engine::Applied>& r) { one = check_of(r); });
  engine().apply(tenant, PolicyText::files(5), "operator", false,
                 [&](const Result<engine::Applied>& r) { two = check_of(r); });
  world.run_for(seconds(2));
  EXPECT_EQ(one, "ok");
  EXPECT_EQ(two, "apply.conflict");
  EXPECT_EQ(engine().tenant(tenant)->spec.version, before->spec.version + 1);
}

TEST_F(UseCase, SimulateReplaysWhatWasGivenAndWhatWasRefused) {
  const auto ann = signed_in(0), eve = signed_in(3);
  (void)granted(0, {});
  EXPECT_EQ(check_of(credential(eve, "pg/orders", {core::RoleId("pg/orders/reader")})), "policy.denied");
  EXPECT_EQ(check_of(credential(eve, "pg/orders", {core::RoleId("pg/orders/reader")})), "policy.denied") << "kept once";
  EXPECT_EQ(check_of(credential(eve, "pg/orders", {core::RoleId("pg/orders/nothing")})), "policy.denied") << "not kept";
  const auto before = engine().tenant(tenant);
  const auto simulate = [&](std::map<std::string, std::string> files) {
    return ask<engine::Simulated>(
        [&](auto done) { engine().simulate(tenant, std::move(files), "operator", std::move(done)); });
  };
  const auto same = simulate(PolicyText::files(0));
  ASSERT_TRUE(same.ok()) << check_of(same);
  EXPECT_EQ(same->records, 2U);
  EXPECT_EQ(same->unreadable, 0U);
  EXPECT_TRUE(same->shifts.empty());
  EXPECT_GT(same->unchanged, 1U);
  const auto frozen = simulate(PolicyText::files(3));
  ASSERT_TRUE(frozen.ok()) << check_of(frozen);
  EXPECT_GT(frozen->newly_denied, 0U);
  EXPECT_EQ(frozen->newly_allowed, 0U);
  for (const auto& shift : frozen->shifts) EXPECT_EQ(shift.policies, std::vector<std::string>{"freeze"});
  auto open = PolicyText::files(0);
  open["policies/all.cedar"] += "@id(\"open\") permit (principal, action == Action::\"assume\", resource is Role);";
  const auto opened = simulate(open);
  ASSERT_TRUE(opened.ok()) << check_of(opened);
  EXPECT_TRUE(std::ranges::any_of(opened->shifts, [&](const engine::Shift& s) {
    return s.principal == eve.who.principal() && s.allowed && s.policies == std::vector<std::string>{"open"};
  }));
  open["policies/all.cedar"] += "permit (principal, action, resource) when { principal.nothing };";
  const auto broken = simulate(open);
  ASSERT_TRUE(broken.ok());
  EXPECT_FALSE(broken->problems.empty());
  EXPECT_EQ(broken->records, 0U);
  EXPECT_EQ(engine().tenant(tenant), before) << "nothing was applied";
}

TEST_F(UseCase, ATargetInUseStaysWhereItIs) {
  (void)signed_in(0);
  const core::Grant g = granted(0, {});
  for (const auto& [from, to] :
       {std::pair("host = \"db.example\"\ndatabase = \"orders\"", "host = \"elsewhere\"\ndatabase = \"orders\""),
        std::pair("database = \"orders\"", "database = \"other\"")}) {
    auto files = PolicyText::files(0);
    std::string& toml = files["tenant.toml"];
    toml.replace(toml.find(from), std::string_view(from).size(), to);
    const auto moved = apply(files);
    ASSERT_TRUE(moved.ok());
    ASSERT_EQ(moved->problems.size(), 1U) << to;
    EXPECT_NE(moved->problems[0].render().find("moves to another server"), std::string::npos)
        << moved->problems[0].render();
  }
  EXPECT_EQ(world.store.grant(g.id)->state, core::GrantState::active);
}

TEST_F(UseCase, ALogoutSignalEndsWhatItNames) {
  using Fields = std::vector<std::pair<std::string, std::string>>;
  const auto signal = [&](Fields fields, const std::string& idp = "demo", const core::TenantId& to = tenant) {
    const auto taken = ask<engine::SignalTaken>([&](auto done) {
      engine().logout_signal(to, idp, idp::LogoutMessage{std::move(fields), "", true, ""}, std::move(done));
    });
    return taken.ok() ? std::to_string(taken->sessions_ended) : check_of(taken);
  };
  const auto now = [&] { return base::to_rfc3339(world.wall()); };
  const engine::LoginSession ann = signed_in(0), bob = signed_in(1);
  const core::Grant g = granted(0, {});
  // What is forged, of somebody else or of another provider does nothing.
  EXPECT_EQ(signal({{"forged", ""}, {"user", "ann"}}), "jws.signature");
  EXPECT_EQ(signal({{"at", now()}, {"user", "ann"}}, "other"), "idp.unknown");
  EXPECT_EQ(signal({{"at", now()}, {"user", "ann"}}, "demo", core::TenantId("acme")), "idp.unknown");
  EXPECT_EQ(signal({{"at", now()}, {"user", "eve"}, {"jti", "1"}}), "0");
  EXPECT_EQ(signal({{"at", now()}, {"sid", "not hers"}, {"jti", "2"}}), "0");
  EXPECT_TRUE(engine().authenticate(tenant, story.people[0].token).ok());
  world.oracle.wants_logout(ann.id);
  const Fields out = {{"at", now()}, {"user", "ann"}, {"jti", "3"}};
  EXPECT_EQ(signal(out), "1");
  EXPECT_EQ(signal(out), "signal.replayed");
  world.run_for(seconds(3));
  EXPECT_EQ(world.store.grant(g.id)->state, core::GrantState::closed);
  EXPECT_EQ(world.store.grant(g.id)->end_reason, core::EndReason::signal);
  EXPECT_FALSE(engine().authenticate(tenant, story.people[0].token).ok());
  EXPECT_TRUE(engine().authenticate(tenant, story.people[1].token).ok()) << "another person";
}

TEST_F(UseCase, AnyOfItsSessionsAtTheProviderEndsALogin) {
  const auto signal = [&](const std::string& sid) {
    return ask<engine::SignalTaken>([&](auto done) {
             engine().logout_signal(
                 tenant, "demo",
                 idp::LogoutMessage{{{"at", base::to_rfc3339(world.wall())}, {"sid", sid}}, "", true, ""},
                 std::move(done));
           })
        .value()
        .sessions_ended;
  };
  const auto log_in = [&] {
    return check_of(ask<engine::LoginFinished>([&](auto done) {
      engine().finish_login({tenant,
                             "demo",
                             {{{"state", begin_code()},
                               {"user", "ann"},
                               {"sid", "one"},
                               {"sid", "two"},
                               {"signed_in", base::to_rfc3339(world.wall())}}},
                             "chrome",
                             "10.0.0.7"},
                            std::move(done));
    }));
  };
  EXPECT_EQ(log_in(), "ok");
  EXPECT_EQ(signal("three"), 0);
  for (const auto& s : engine().login_sessions(tenant)) world.oracle.wants_logout(s.id);
  EXPECT_EQ(signal("two"), 1);
  world.run_for(seconds(2));
  EXPECT_EQ(log_in(), "ok");
  for (const auto& s : engine().login_sessions(tenant)) world.oracle.wants_logout(s.id);
  EXPECT_EQ(signal("one"), 1);
}

TEST_F(UseCase, ASignInUnderWayDoesNotOutliveALogout) {
  const auto signal = [&](const std::string& what, const std::string& name) {
    const auto taken = ask<engine::SignalTaken>([&](auto done) {
      engine().logout_signal(tenant, "demo",
                             idp::LogoutMessage{{{"at", base::to_rfc3339(world.wall())}, {what, name}}, "", true, ""},
                             std::move(done));
    });
    EXPECT_TRUE(taken.ok()) << check_of(taken);
  };
  const auto finish_as = [&](const std::string& state, const std::string& sid, const std::string& signed_in) {
    return check_of(ask<engine::LoginFinished>([&](auto done) {
      engine().finish_login({tenant,
                             "demo",
                             {{{"state", state}, {"user", "ann"}, {"sid", sid}, {"signed_in", signed_in}}},
                             "chrome",
                             "10.0.0.7"},
                            std::move(done));
    }));
  };
  const std::string early = base::to_rfc3339(world.wall());
  const std::string one = begin_code(), two = begin_code(), three = begin_code(), four = begin_code();
  EXPECT_EQ(finish_as(one, "s1", early), "ok");
  signal("sid", "s1");
  EXPECT_EQ(finish_as(two, "s1", early), "login.signed_out") << "that very session";
  EXPECT_EQ(finish_as(three, "s2", early), "ok") << "another session of hers";
  signal("user", "ann");
  EXPECT_EQ(finish_as(four, "s3", early), "login.signed_out") << "signed in before";
  EXPECT_EQ(finish_as(begin_code(), "s3", base::to_rfc3339(world.wall() - std::chrono::minutes(5))),
            "login.signed_out");
  world.run_for(seconds(2));
  EXPECT_EQ(finish_as(begin_code(), "s4", base::to_rfc3339(world.wall())), "ok") << "signed in again";
}

TEST_F(UseCase, TenantsAreMadeAtRuntimeAndShareNoServer) {
  const auto create = [&](const std::string& id) {
    return check_of(ask<engine::TenantInfo>(
        [&](auto done) { engine().create_tenant(core::TenantId(id), "", "operator", std::move(done)); }));
  };
  const auto names = [&] {
    std::string out;
    for (const auto& t : engine().tenants()) out += t.id.str() + " ";
    return out;
  };
  world.oracle.knows(core::TenantId("acme"));
  EXPECT_EQ(names(), "default ");
  EXPECT_FALSE(engine().serves(core::TenantId("acme")));
  EXPECT_EQ(create("acme"), "ok");
  EXPECT_EQ(create("acme"), "tenant.exists");
  EXPECT_EQ(create("default"), "tenant.exists");
  EXPECT_EQ(names(), "acme default ");
  EXPECT_TRUE(engine().serves(core::TenantId("acme")));
  EXPECT_EQ(engine().tenant(core::TenantId("acme")), nullptr) << "nothing applied yet";
  // The other's server is not to be had, and whose it is is not said.
  const auto applied = ask<engine::Applied>([&](auto done) {
    engine().apply(core::TenantId("acme"), PolicyText::files(0), "operator", false, std::move(done));
  });
  ASSERT_TRUE(applied.ok());
  ASSERT_FALSE(applied->problems.empty());
  EXPECT_NE(applied->problems[0].render().find("is on a server that is taken already"), std::string::npos);
  EXPECT_EQ(applied->problems[0].render().find("default"), std::string::npos);
  EXPECT_EQ(engine().tenant(core::TenantId("acme")), nullptr);
  // A tenant of its own identity provider, without targets.
  const auto own = ask<engine::Applied>([&](auto done) {
    const std::string toml =
        "[[idp]]\nname = \"demo\"\nissuer = \"https://id.example\"\nclient_id = \"x\"\nclient_auth = \"none\"\n";
    engine().apply(core::TenantId("acme"), {{"tenant.toml", toml}}, "operator", false, std::move(done));
  });
  ASSERT_TRUE(own.ok());
  EXPECT_TRUE(own->problems.empty()) << own->problems[0].render();
  ASSERT_NE(engine().tenant(core::TenantId("acme")), nullptr);
  // Both are there after a restart, and neither is loaded before somebody asks.
  world.crash(seconds(1));
  world.run_for(seconds(3));
  EXPECT_EQ(names(), "acme default ");
  ASSERT_NE(engine().tenant(core::TenantId("acme")), nullptr);
  EXPECT_EQ(engine().tenant(core::TenantId("acme"))->spec.idps.size(), 1U);
}

// Whose file it is decides who may refer to it: else a tenant's administrator could have the server send the secrets of
// others to servers of the tenant's own.
TEST_F(UseCase, ATenantsAdministratorRefersToTheTenantsOwnFilesOnly) {
  const auto idp = [](const std::string& name, const std::string& more) {
    return "\n[[idp]]\nname = \"" + name + "\"\nissuer = \"https://" + name + ".example\"\nclient_id = \"x\"\n" + more;
  };
  const auto with = [&](const std::string& more) {
    auto files = PolicyText::files(0);
    files["tenant.toml"] += more;
    return files;
  };
  const auto by = [&](const std::string& actor, const std::string& more, bool dry = true) {
    const auto applied =
        ask<engine::Applied>([&](auto done) { engine().apply(tenant, with(more), actor, dry, std::move(done)); });
    if (!applied.ok()) return check_of(applied);
    return applied->problems.empty() ? std::string("ok") : applied->problems[0].render();
  };
  const std::string foreign = idp("sso", "client_secret = \"file:/etc/daypass/other.secret\"\n");
  const auto refused = testing::HasSubstr("not the tenant's own");
  EXPECT_THAT(by("demo/ann", foreign), refused);
  EXPECT_THAT(by("demo/ann", idp("sso", "client_secret = \"env:OTHER\"\n")), refused);
  EXPECT_THAT(by("demo/ann", idp("sso", "client_auth = \"none\"\nca_file = \"/etc/ssl/x.pem\"\n")), refused);
  EXPECT_EQ(by("demo/ann", idp("sso", "client_auth = \"none\"\n")), "ok");
  EXPECT_EQ(by("operator", foreign, false), "ok");
  // What the operator has set stays, together with where it is sent.
  EXPECT_EQ(by("demo/ann", foreign), "ok");
  EXPECT_THAT(by("demo/ann", foreign + idp("trap", "client_secret = \"file:/etc/daypass/other.secret\"\n")), refused);
  std::string moved = foreign;
  moved.replace(moved.find("sso.example"), 11, "trap.example");
  EXPECT_THAT(by("demo/ann", moved), refused);
  const auto simulated =
      ask<engine::Simulated>([&](auto done) { engine().simulate(tenant, with(moved), "demo/ann", std::move(done)); });
  ASSERT_TRUE(simulated.ok());
  EXPECT_EQ(simulated->problems.size(), 1U);
}

// Else whoever administers a tenant could have the server knock at every door of the operator's network.
TEST_F(UseCase, ATenantsAdministratorNamesPrivateHostsThatTheOperatorGaveOnly) {
  const auto with = [&](const std::string& host, const std::string& issuer, const std::string& more) {
    auto files = PolicyText::files(0);
    std::string& toml = files["tenant.toml"];
    const auto replace = [&](std::string_view what, const std::string& by) {
      const std::size_t at = toml.find(what, toml.find("pg/stock"));
      toml.replace(at, what.size(), by);
    };
    replace("db.example", host);
    replace("env:PASSWORD", "file:/secrets/default/pg");
    toml +=
        "\n[[idp]]\nname = \"sso\"\nissuer = \"" + issuer + "\"\nclient_id = \"x\"\nclient_auth = \"none\"\n" + more;
    return files;
  };
  const std::string sso = "https://sso.example";
  const auto by = [&](const std::string& actor, const std::map<std::string, std::string>& files, bool dry = false) {
    const auto applied =
        ask<engine::Applied>([&](auto done) { engine().apply(tenant, files, actor, dry, std::move(done)); });
    if (!applied.ok()) return check_of(applied);
    return applied->problems.empty() ? std::string("ok") : applied->problems[0].render();
  };
  const auto confined = [&] {
    const auto* target = engine().tenant(tenant)->spec.target(core::TargetId("pg/stock"));
    return base::json::Value(target->settings).bool_or("public_only", false);
  };
  const auto allow = [&](std::vector<std::string> hosts) {
    return check_of(ask<engine::TenantInfo>([&](auto done) {
      engine().change_tenant(tenant, {.display = {}, .private_hosts = std::move(hosts)}, "operator", std::move(done));
    }));
  };
  const auto refused = testing::HasSubstr("a host of a private network");
  EXPECT_THAT(by("demo/ann", with("db", "https://127.0.0.1:9", "")), refused);
  EXPECT_THAT(by("demo/ann", with("db", sso, "allowed_hosts = [\"sso.example\"]\n")), refused);
  EXPECT_EQ(by("demo/ann", with("db", sso, "")), "ok");
  EXPECT_TRUE(confined());
  EXPECT_EQ(by("demo/ann", with("db", sso, "")), "ok") << "the same again";
  EXPECT_TRUE(confined());
  // The operator's word, which stays when the tenant's administrators apply the same.
  EXPECT_EQ(by("operator", with("db", sso, "allowed_hosts = [\"sso.example\"]\n")), "ok");
  EXPECT_FALSE(confined());
  EXPECT_EQ(by("demo/ann", with("db", sso, "allowed_hosts = [\"sso.example\"]\n")), "ok");
  EXPECT_FALSE(confined());
  EXPECT_EQ(by("demo/ann", with("other", sso, "")), "ok");
  EXPECT_TRUE(confined());

  EXPECT_EQ(allow({"not a host"}), "tenant.private_host");
  EXPECT_EQ(allow({"DB", "sso.example", "127.0.0.1", "db"}), "ok");
  EXPECT_EQ(engine().tenants().at(0).private_hosts, (std::vector<std::string>{"127.0.0.1", "db", "sso.example"}));
  EXPECT_EQ(by("demo/ann", with("DB", sso, "allowed_hosts = [\"sso.example\"]\n")), "ok");
  EXPECT_FALSE(confined());
  EXPECT_EQ(by("demo/ann", with("DB", "https://127.0.0.1:9", "")), "ok");
  EXPECT_THAT(by("demo/ann", with("DB", "https://localhost:9", "")), refused);
  world.crash(seconds(1));
  world.run_for(seconds(3));
  EXPECT_EQ(engine().tenants().at(0).private_hosts.size(), 3U);
  EXPECT_EQ(allow({}), "ok");
  EXPECT_THAT(by("demo/ann", with("DB", sso, "allowed_hosts = [\"sso.example\"]\n")), refused);
}

TEST_F(UseCase, ATenantKeepsItsSecretsItself) {
  const auto set = [&](const std::string& name, std::string_view value) {
    return check_of(ask<engine::SecretInfo>(
        [&](auto done) { engine().set_secret(tenant, name, base::Secret(value), "demo/ann", std::move(done)); }));
  };
  const auto opened = [&](const core::TenantId& whose, const std::string& name) {
    const auto secret = engine::open_secret(world.store, world.vault(), whose, name, world.wall());
    return secret.ok() ? std::string(secret->reveal()) : secret.error().check;
  };
  const auto removed = [&](const std::string& name) {
    return check_of(ask<void>([&](auto done) { engine().remove_secret(tenant, name, "demo/ann", std::move(done)); }));
  };
  EXPECT_EQ(set("Sso", "x"), "secret.name");
  EXPECT_EQ(set("sso", ""), "secret.value");
  EXPECT_EQ(set("sso", std::string(65537, 'x')), "secret.value");
  EXPECT_EQ(set("sso", "hunter2"), "ok");
  EXPECT_EQ(opened(tenant, "sso"), "hunter2");
  EXPECT_EQ(set("sso", "hunter3"), "ok");
  EXPECT_EQ(opened(tenant, "sso"), "hunter3");
  EXPECT_EQ(opened(core::TenantId("acme"), "sso"), "secret.unknown");
  const auto stored = world.store.snapshot().value()->get(tenant, "secret", "sso", world.wall()).value();
  EXPECT_FALSE(stored->body.contains("hunter3")) << "it is sealed";
  world.crash(seconds(1));
  world.run_for(seconds(3));
  EXPECT_EQ(opened(tenant, "sso"), "hunter3");

  const auto by_ann = [&](const std::string& name) {
    auto files = PolicyText::files(0);
    files["tenant.toml"] +=
        "\n[[idp]]\nname = \"sso\"\nissuer = \"https://sso.example\"\nclient_id = \"x\"\nclient_secret"
        " = \"tenant:" +
        name + "\"\n";
    const auto applied =
        ask<engine::Applied>([&](auto done) { engine().apply(tenant, files, "demo/ann", false, std::move(done)); });
    if (!applied.ok()) return check_of(applied);
    return applied->problems.empty() ? std::string("ok") : applied->problems[0].render();
  };
  EXPECT_THAT(by_ann("other"), testing::HasSubstr("there is no secret tenant:other"));
  EXPECT_EQ(by_ann("sso"), "ok");
  EXPECT_EQ(removed("sso"), "secret.in_use");
  EXPECT_EQ(removed("other"), "secret.unknown");
  // A target without its password could not be loaded, and would revoke nothing.
  auto files = PolicyText::files(0);
  std::string& toml = files["tenant.toml"];
  toml.replace(toml.find("env:PASSWORD", toml.find("pg/stock")), 12, "tenant:gone");
  const auto applied =
      ask<engine::Applied>([&](auto done) { engine().apply(tenant, files, "operator", true, std::move(done)); });
  ASSERT_TRUE(applied.ok());
  ASSERT_EQ(applied->problems.size(), 1U);
  EXPECT_THAT(applied->problems[0].render(), testing::HasSubstr("target pg/stock: there is no secret tenant:gone"));

  const auto key =
      ask<engine::SecretInfo>([&](auto done) { engine().make_key(tenant, "saml-1", "demo/ann", std::move(done)); });
  ASSERT_TRUE(key.ok()) << check_of(key);
  EXPECT_TRUE(key->certificate_pem.starts_with("-----BEGIN CERTIFICATE-----"));
  EXPECT_TRUE(opened(tenant, "saml-1").contains("PRIVATE KEY"));
  EXPECT_EQ(check_of(ask<engine::SecretInfo>(
                [&](auto done) { engine().make_key(tenant, "saml-1", "demo/ann", std::move(done)); })),
            "secret.exists");
  const auto all = ask<std::vector<engine::SecretInfo>>([&](auto done) { engine().secrets(tenant, std::move(done)); });
  ASSERT_TRUE(all.ok());
  ASSERT_EQ(all->size(), 2U);
  EXPECT_EQ(all->at(1).name, "sso");
  EXPECT_EQ(all->at(1).set_by, "demo/ann");
  EXPECT_EQ(removed("saml-1"), "ok");
  EXPECT_EQ(opened(tenant, "saml-1"), "secret.unknown");
}

class Tested : public UseCase {
 protected:
  /// A test of "sso", which only the folder has.
  engine::BeginTrial wanted(const std::string& owner = "ls_1", const std::string& actor = "demo/ann") {
    auto files = PolicyText::files(0);
    files["sso.toml"] =
        "[[idp]]\nname = \"sso\"\nissuer = \"https://sso.example\"\nclient_id = \"x\"\nclient_auth = \"none\"\n";
    files["policies/sso.cedar"] =
        "@id(\"sso\") permit (principal in Group::\"sso/data\", action == Action::\"assume\", resource == "
        "Role::\"pg/orders/reader\");";
    return {tenant, "sso", files, "https://daypass.example/cb", owner, actor};
  }
  Result<engine::Trial> begin_trial(engine::BeginTrial what) {
    return ask<engine::Trial>([&](auto done) { engine().begin_trial(std::move(what), std::move(done)); });
  }
  /// Through the browser: the state that the provider gives back.
  std::string enter(const engine::Trial& trial, const std::string& browser = "chrome") {
    const auto entry = engine().enter_trial(tenant, "sso", trial.key, browser);
    EXPECT_TRUE(entry.ok()) << check_of(entry);
    return entry.ok() ? entry->begun.url.substr(entry->begun.url.find("state=") + 6) : "";
  }
  Result<engine::Trial> look(const engine::Trial& trial, const std::string& owner = "ls_1") {
    return engine().trial(tenant, "sso", trial.id, owner);
  }
  std::vector<std::string> tested() {
    std::vector<std::string> out;
    const auto records =
        ask<std::vector<std::string>>([&](auto done) { engine().audit(tenant, 0, 1000, std::move(done)); });
    for (const auto& record : *records)
      if (record.find("idp.tested") != std::string::npos) out.push_back(record);
    return out;
  }
};

TEST_F(Tested, ShowsEverythingAndKeepsNothing) {
  const auto before = engine().tenant(tenant);
  const auto trial = begin_trial(wanted());
  ASSERT_TRUE(trial.ok()) << check_of(trial);
  EXPECT_TRUE(trial->problems.empty());
  EXPECT_EQ(trial->state, engine::Trial::State::waiting);
  const auto asked = engine().enter_trial(tenant, "sso", trial->key, std::nullopt);
  ASSERT_TRUE(asked.ok());
  EXPECT_EQ(asked->actor, "demo/ann");
  EXPECT_TRUE(asked->begun.url.empty()) << "whoever only looks is sent nowhere";
  const auto over = finish(enter(*trial), "ann", "chrome", "sso");
  ASSERT_TRUE(over.ok()) << check_of(over);
  EXPECT_TRUE(over->test && over->redirect.empty() && over->display.empty());
  const auto seen = look(*trial);
  ASSERT_TRUE(seen.ok());
  EXPECT_EQ(seen->state, engine::Trial::State::passed);
  EXPECT_EQ(seen->who.principal(), "sso/ann");
  EXPECT_EQ(seen->claims.string_or("sub"), "ann");
  EXPECT_FALSE(seen->administers);
  ASSERT_FALSE(seen->roles.empty());
  for (const auto& role : seen->roles)
    EXPECT_EQ(role.verdict == core::Verdict::allow, role.role.str() == "pg/orders/reader") << role.role.str();
  EXPECT_TRUE(engine().login_sessions(tenant).empty());
  EXPECT_EQ(engine().tenant(tenant), before) << "nothing was applied";
  ASSERT_EQ(tested().size(), 1U);
  EXPECT_THAT(tested()[0], testing::HasSubstr("\"actor\":\"demo/ann\""));
  EXPECT_THAT(tested()[0], testing::Not(testing::HasSubstr("sso/ann"))) << "no word of the provider's in the log";
}

TEST_F(Tested, IsForWhoeverBeganIt) {
  const auto trial = begin_trial(wanted());
  EXPECT_TRUE(look(*trial).ok());
  EXPECT_EQ(check_of(look(*trial, "ls_2")), "idp_test.unknown");
  EXPECT_EQ(check_of(engine().trial(core::TenantId("other"), "sso", trial->id, "ls_1")), "idp_test.unknown");
  EXPECT_EQ(check_of(engine().trial(tenant, "demo", trial->id, "ls_1")), "idp_test.unknown");
  EXPECT_EQ(check_of(engine().trial(tenant, "sso", trial->key, "ls_1")), "idp_test.unknown");
  EXPECT_EQ(check_of(engine().enter_trial(tenant, "sso", trial->id, "chrome")), "idp_test.unknown");
  EXPECT_EQ(check_of(engine().enter_trial(core::TenantId("other"), "sso", trial->key, "chrome")), "idp_test.unknown");
}

TEST_F(Tested, EndsWithTheFirstCheckThatFails) {
  const auto ended = [&](const std::string& user, const std::string& browser, const std::string& idp) {
    const auto trial = begin_trial(wanted());
    const std::string state = enter(*trial);
    const auto over = finish(state, user, browser, idp);
    EXPECT_TRUE(over.ok() && over->test) << "the browser is told nothing more";
    EXPECT_EQ(check_of(finish(state, user, browser, idp)), "login.state") << "used up";
    const auto seen = look(*trial);
    EXPECT_EQ(seen->state, engine::Trial::State::failed);
    return seen->error->check + (seen->claims.is_null() ? "" : " of " + seen->claims.string_or("sub"));
  };
  EXPECT_EQ(ended("ann", "another browser", "sso"), "login.browser");
  EXPECT_EQ(ended("ann", "chrome", "demo"), "login.mix_up");
  EXPECT_EQ(ended("nobody", "chrome", "sso"), "mapping.required of nobody") << "what cannot be mapped is shown";
  EXPECT_EQ(tested().size(), 3U);
  EXPECT_TRUE(engine().login_sessions(tenant).empty());
}

TEST_F(Tested, AnotherBrowserIsNotSentOn) {
  const auto trial = begin_trial(wanted());
  (void)enter(*trial);
  EXPECT_EQ(check_of(engine().enter_trial(tenant, "sso", trial->key, "another")), "login.browser");
  EXPECT_FALSE(enter(*trial).empty()) << "the first may come again";
}

TEST_F(Tested, LeavesSignInsAtTheSavedProviderAlone) {
  const std::string state = begin_code();
  auto what = wanted();
  what.idp = "demo";
  what.files.reset();
  const auto trial = begin_trial(what);
  ASSERT_TRUE(trial.ok()) << check_of(trial);
  const auto entry = engine().enter_trial(tenant, "demo", trial->key, "chrome");
  ASSERT_TRUE(entry.ok());
  const auto over = finish(entry->begun.url.substr(entry->begun.url.find("state=") + 6));
  EXPECT_TRUE(over.ok() && over->test);
  const auto signed_in = finish(state);
  ASSERT_TRUE(signed_in.ok()) << check_of(signed_in);
  EXPECT_FALSE(signed_in->test);
  EXPECT_TRUE(redeem(code_in(signed_in)).ok());
}

TEST_F(Tested, FewAndForTenMinutes) {
  const auto first = begin_trial(wanted());
  EXPECT_TRUE(begin_trial(wanted()).ok());
  EXPECT_EQ(check_of(look(*first)), "idp_test.unknown") << "gave way to the next of the same person";
  for (int i = 2; i <= 8; ++i) EXPECT_TRUE(begin_trial(wanted("ls_" + std::to_string(i))).ok()) << i;
  EXPECT_EQ(check_of(begin_trial(wanted("ls_9"))), "idp_test.too_many");
  auto elsewhere = wanted("ls_9");
  elsewhere.tenant = core::TenantId("acme");
  world.oracle.knows(elsewhere.tenant);
  (void)ask<engine::TenantInfo>(
      [&](auto done) { engine().create_tenant(elsewhere.tenant, "Acme", "operator", std::move(done)); });
  EXPECT_TRUE(begin_trial(elsewhere).ok()) << "another tenant has its own";
  const auto late = begin_trial(wanted("ls_8"));
  const std::string state = enter(*late);
  world.run_for(minutes(10));
  EXPECT_EQ(check_of(look(*late, "ls_8")), "idp_test.unknown");
  EXPECT_EQ(check_of(engine().enter_trial(tenant, "sso", late->key, "chrome")), "idp_test.unknown");
  EXPECT_EQ(check_of(finish(state, "ann", "chrome", "sso")), "login.state");
  EXPECT_TRUE(begin_trial(wanted("ls_9")).ok());
}

TEST_F(Tested, TheFolderIsJudgedAsForApply) {
  auto what = wanted();
  (*what.files)["sso.toml"] += "ca_file = \"/etc/ssl/other.pem\"\n";
  auto refused = begin_trial(what);
  ASSERT_TRUE(refused.ok());
  ASSERT_EQ(refused->problems.size(), 1U);
  EXPECT_THAT(refused->problems[0].render(), testing::HasSubstr("not the tenant's own"));
  what.actor = "operator";
  refused = begin_trial(what);
  EXPECT_TRUE(refused.ok() && refused->problems.empty());
  what = wanted();
  what.idp = "sos";
  EXPECT_EQ(check_of(begin_trial(what)), "idp.unknown");
  what.idp = "sso";
  what.files.reset();
  EXPECT_EQ(check_of(begin_trial(what)), "idp.unknown") << "it is not applied";
}

class Owned : public UseCase {
 protected:
  const core::TenantId acme{"acme"};
  void SetUp() override {
    UseCase::SetUp();
    world.oracle.knows(acme);
    (void)ask<engine::TenantInfo>(
        [&](auto done) { engine().create_tenant(acme, "Acme", "operator", std::move(done)); });
  }
  /// One provider with these domains, and the default one.
  void list(const core::TenantId& at, const std::string& domains) {
    std::map<std::string, std::string> files;
    if (at == tenant) files = PolicyText::files(0);
    files["sso.toml"] =
        "[[idp]]\nname = \"sso\"\nissuer = \"https://sso.example\"\nclient_id = \"x\"\nclient_auth = "
        "\"none\"\ndomains = [" +
        domains + "]\n";
    const auto applied = ask<engine::Applied>(
        [&](auto done) { engine().apply(at, std::move(files), "operator", false, std::move(done)); });
    ASSERT_TRUE(applied.ok() && applied->problems.empty());
  }
  engine::DomainInfo info(const core::TenantId& at) { return engine().domains(at).at(0); }
  void publish(const core::TenantId& at) { world.dns[info(at).name].push_back(info(at).value); }
  void check(const core::TenantId& at) {
    world.run_for(seconds(11));
    (void)ask<std::vector<engine::DomainInfo>>([&](auto done) { engine().check_domains(at, std::move(done)); });
  }
  std::string suggested(const core::TenantId& at, const std::string& typed) {
    return engine().suggested_idp(at, typed).value_or("none");
  }
};

TEST_F(Owned, ADomainSuggestsItsProviderOnceItIsProven) {
  list(tenant, "\"example.com\"");
  EXPECT_EQ(info(tenant).name, "_daypass-challenge.example.com");
  EXPECT_EQ(suggested(tenant, "dana@example.com"), "none") << "nothing proves it";
  world.dns[info(tenant).name] = {"v=spf1 -all", "daypass-domain=somebody-elses"};
  check(tenant);
  EXPECT_EQ(suggested(tenant, "dana@example.com"), "none");
  EXPECT_EQ(info(tenant).why, "the TXT record holds another value");
  publish(tenant);
  check(tenant);
  for (const char* typed :
       {"dana@example.com", "nobody@example.com", "example.com", " Dana@EXAMPLE.com. ", "a@b@example.com"})
    EXPECT_EQ(suggested(tenant, typed), "sso") << typed;
  for (const char* typed :
       {"", "@", "dana", "mail.example.com", "dana@mail.example.com", "example.org", "xexample.com"})
    EXPECT_EQ(suggested(tenant, typed), "none") << typed;
  EXPECT_EQ(suggested(tenant, std::string(400, 'x') + "@example.com"), "none");
  EXPECT_EQ(suggested(acme, "dana@example.com"), "none") << "in its tenant only";
}

TEST_F(Owned, AfterApplyItIsLookedForAtOnceAndThenAgain) {
  list(tenant, "\"example.com\"");
  publish(tenant);
  world.run_for(minutes(12));
  EXPECT_EQ(suggested(tenant, "example.com"), "sso");
  const auto first = *info(tenant).proven_at;
  world.run_for(std::chrono::hours(25));
  EXPECT_GT(*info(tenant).proven_at, first) << "proven again, a day later";
  world.dns.clear();
  world.run_for(std::chrono::hours(24 * 6));
  EXPECT_EQ(suggested(tenant, "example.com"), "sso") << "the last proof holds for a week";
  EXPECT_EQ(info(tenant).why, "there is no TXT record");
  world.run_for(std::chrono::hours(48));
  EXPECT_EQ(suggested(tenant, "example.com"), "none");
}

TEST_F(Owned, OneOwnerOverAllTenants) {
  list(tenant, "\"example.com\"");
  list(acme, "\"example.com\"");
  EXPECT_NE(info(tenant).value, info(acme).value) << "one tenant's record proves nothing for another";
  publish(tenant);
  check(acme);
  EXPECT_EQ(suggested(acme, "example.com"), "none");
  check(tenant);
  publish(acme);
  check(acme);
  EXPECT_EQ(suggested(acme, "example.com"), "none");
  EXPECT_THAT(info(acme).why, testing::HasSubstr("another tenant's already"));
  EXPECT_EQ(suggested(tenant, "example.com"), "sso");
  // What is not listed any more is free.
  list(tenant, "\"example.org\"");
  check(acme);
  EXPECT_EQ(suggested(acme, "example.com"), "sso");
  EXPECT_EQ(suggested(tenant, "example.com"), "none");
  // So is what a deleted tenant had.
  (void)ask<engine::TenantInfo>([&](auto done) { engine().delete_tenant(acme, "operator", std::move(done)); });
  world.run_for(seconds(30));
  list(tenant, "\"example.com\"");
  check(tenant);
  EXPECT_EQ(suggested(tenant, "example.com"), "sso");
}

TEST_F(Owned, ARestartForgetsNoProof) {
  list(tenant, "\"example.com\"");
  publish(tenant);
  check(tenant);
  world.crash(seconds(1));
  world.run_for(seconds(5));
  EXPECT_EQ(suggested(tenant, "example.com"), "sso");
}

TEST_F(UseCase, ADamagedTenantKeepsNoOtherOut) {
  const core::TenantId acme("acme");
  world.oracle.knows(acme);
  ASSERT_TRUE(
      ask<engine::TenantInfo>([&](auto done) { engine().create_tenant(acme, "", "operator", std::move(done)); }).ok());
  const auto spoilt = world.store.transact([&](store::Tx& tx) -> base::Status {
    store::Document document{core::TenantId("_system"), "tenant", "acme", 0, "{}", {}};
    return tx.put(document, std::nullopt);
  });
  ASSERT_TRUE(spoilt.ok());
  world.crash(seconds(1));
  world.run_for(seconds(3));
  ASSERT_NE(world.engine(), nullptr);
  EXPECT_TRUE(engine().serves(tenant));
  EXPECT_FALSE(engine().serves(acme));
  EXPECT_NE(engine().tenant(tenant), nullptr);
}

TEST_F(UseCase, ADeletedTenantIsGoneWithAllItHadAndItsNameIsNotGivenAgain) {
  const engine::LoginSession ann = signed_in(0);
  const core::Grant g = granted(0, {});
  const std::string token = story.people[0].token;
  const std::string state = begin_code();
  ASSERT_TRUE(engine().authenticate(tenant, token).ok());
  const auto remove = [&] {
    return ask<engine::TenantInfo>([&](auto done) { engine().delete_tenant(tenant, "operator", std::move(done)); });
  };
  world.oracle.wants_logout(ann.id);
  world.oracle.wants_end(g.id);
  const auto deleting = remove();
  ASSERT_TRUE(deleting.ok()) << check_of(deleting);
  EXPECT_TRUE(deleting->deleting);
  EXPECT_FALSE(engine().serves(tenant));
  EXPECT_FALSE(engine().authenticate(tenant, token).ok());
  EXPECT_NE(check_of(finish(state)), "ok") << "a sign-in under way ends";
  world.run_for(seconds(30));
  EXPECT_FALSE(world.oracle.failed()) << world.oracle.checker() << ": " << world.oracle.what();
  EXPECT_TRUE(world.oracle.live_grants().empty());
  EXPECT_TRUE(engine().tenants().empty());
  EXPECT_EQ(engine().tenant(tenant), nullptr);
  EXPECT_EQ(world.store.grant(g.id), nullptr);
  EXPECT_EQ(check_of(remove()), "tenant.unknown");
  const auto again =
      ask<engine::TenantInfo>([&](auto done) { engine().create_tenant(tenant, "", "operator", std::move(done)); });
  EXPECT_EQ(check_of(again), "tenant.used_before");
  // Nor does a restart bring it back.
  world.crash(seconds(1));
  world.run_for(seconds(3));
  EXPECT_TRUE(engine().tenants().empty());
  EXPECT_FALSE(engine().serves(tenant));
}

// Seed 505791: the record of the restart was refused, something else about the grant was not, and it ended as idle.
TEST_F(UseCase, ARestartCountsAsActivityThoughTheStoreRefusesToSaySo) {
  (void)signed_in(0);
  const core::Grant g = granted(0, {});
  story.apply(1);  // 90 s of idleness
  world.run_for(seconds(30));
  world.crash(seconds(70));
  // Recovery reads three times, a turn takes in what was cut off; what is written then is refused.
  world.fail_commits(5, "store.full");
  world.run_for(seconds(70) + Millis(20));
  ASSERT_EQ(world.store.grant(g.id)->connections, 1) << "not recorded yet";
  story.apply(0);
  world.run_for(seconds(5));
  EXPECT_EQ(world.store.grant(g.id)->state, core::GrantState::active);
  EXPECT_EQ(world.store.grant(g.id)->connections, 0);
}

// Seed 34717: that the account is there took four minutes to write down; then the grant ended as idle under its client.
TEST_F(UseCase, WhoHasWaitedForAnAccountWasNotIdle) {
  (void)signed_in(1);  // 150 s of idleness
  story.get_credential(1, "pg/orders", {});
  world.run_for(Millis(100));
  story.connect(1);
  const auto grants = [&] { return world.store.grants().size(); };
  for (int i = 0; i < 1000 && grants() == 0; ++i) world.run_for(Millis(1));
  ASSERT_EQ(grants(), 1U);
  ASSERT_EQ(world.store.grants().begin()->second.state, core::GrantState::provisioning);
  world.slow_commit(std::chrono::minutes(4));
  for (int i = 0; i < 1000 && world.store.grants().begin()->second.state == core::GrantState::provisioning; ++i)
    world.run_for(Millis(1));
  world.run_for(seconds(2));
  EXPECT_EQ(world.store.grants().begin()->second.state, core::GrantState::active);
  EXPECT_EQ(world.gate.connections().size(), 1U);
}

}  // namespace
}  // namespace daypass::sim
