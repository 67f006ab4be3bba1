#include "sim/model_target.h"

namespace daypass::sim {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

Error timed_out() {
  return {Code::timeout, "pg.timeout", "the target did not answer in time"};
}
Error refused() {
  return {Code::unavailable, "pg.connect", "the target could not be reached"};
}

}  // namespace

void ModelServer::make(const ModelAccount& wanted) {
  const auto it = accounts.find(wanted.name);
  // A name that somebody else took is not ours to change.
  if (it != accounts.end() && (it->second.mark != instance || it->second.grant != wanted.grant)) return;
  ModelAccount& account = accounts[wanted.name];
  auto sessions = std::move(account.sessions);
  account = wanted;
  account.sessions = std::move(sessions);
  hooks.made(account);
}

void ModelServer::drop(const std::string& name, const core::GrantId& grant) {
  if (broken.sweeps_prefix)
    std::erase_if(accounts,
                  [&](const auto& item) { return item.first.starts_with("dp_sim") && item.second.mark != instance; });
  const auto it = accounts.find(name);
  if (it != accounts.end() && it->second.mark == instance && it->second.grant == grant) accounts.erase(it);
}

Result<std::string> ModelServer::provision(const target::Provision& w) {
  const ModelAccount wanted{w.account.name, instance, w.account.grant, w.valid_until, true, {}};
  const Fault fault = hooks.fault("provision", w.account.grant);
  switch (fault) {
    case Fault::refused:
      return refused();
    case Fault::stalled:
      return timed_out();
    case Fault::late:
      hooks.later([this, wanted] { make(wanted); });
      return timed_out();
    case Fault::lie:
      return std::string("{}");
    case Fault::half: {
      ModelAccount half = wanted;
      half.login = false;
      make(half);
      return Error{Code::internal, "pg.error", "the role was made, and its grants were refused"};
    }
    default:
      break;
  }
  make(wanted);
  if (fault == Fault::twice) hooks.later([this, wanted] { make(wanted); });
  if (fault == Fault::answer_lost) return timed_out();
  return std::string("{}");
}

Status ModelServer::revoke(const target::Account& a) {
  const Fault fault = hooks.fault("revoke", a.grant);
  const auto gone = [this, a] { drop(a.name, a.grant); };
  switch (fault) {
    case Fault::refused:
      return refused();
    case Fault::stalled:
      return timed_out();
    case Fault::late:
      hooks.later(gone);
      return timed_out();
    case Fault::lie:
      return {};
    case Fault::half:
      if (const auto it = accounts.find(a.name); it != accounts.end() && it->second.mark == instance)
        it->second.login = false;
      return Error{Code::internal, "pg.error", "the role owns objects"};
    default:
      break;
  }
  gone();
  if (fault == Fault::twice) hooks.later(gone);
  if (fault == Fault::answer_lost) return timed_out();
  return {};
}

Result<core::Presence> ModelServer::verify(const target::Account& a) {
  const Fault fault = hooks.fault("verify", a.grant);
  if (broken.verify_blind) return core::Presence::absent;
  if (fault == Fault::refused || fault == Fault::half) return refused();
  if (fault == Fault::lie) return core::Presence::unknown;
  if (fault == Fault::stalled || fault == Fault::late || fault == Fault::answer_lost) return timed_out();
  const ModelAccount* account = find(a.name);
  return account == nullptr ? core::Presence::absent : core::Presence::present;
}

Result<std::vector<target::Owned>> ModelServer::list_owned() {
  const Fault fault = hooks.fault("list", {});
  if (fault == Fault::stalled || fault == Fault::late || fault == Fault::answer_lost) return timed_out();
  if (fault == Fault::refused || fault == Fault::half) return refused();
  std::vector<target::Owned> out;
  if (broken.list_blind) return out;
  for (const auto& [name, account] : listing == nullptr ? accounts : *listing)
    if (account.mark == instance)
      out.push_back({name, account.grant.id, account.grant.tenant.str(), account.valid_until});
  return out;
}

Result<std::vector<target::Stranger>> ModelServer::list_strangers() {
  std::vector<target::Stranger> out;
  for (const auto& [name, account] : accounts)
    if (!account.mark.empty() && account.mark != instance)
      out.push_back({name, account.mark, account.grant.tenant.str(), account.grant.id, account.valid_until});
  return out;
}

Result<std::vector<target::Holdings>> ModelServer::holdings(const std::vector<core::RoleSpec>& roles) {
  if (hooks.fault("list", {}) != Fault::none) return timed_out();
  std::vector<target::Holdings> out;
  for (const auto& role : roles)
    out.push_back({objects.contains(role.id) ? objects.at(role.id) : std::vector<target::Object>(), true});
  return out;
}

bool ModelServer::log_in(const std::string& name, const std::string& connection) {
  const auto it = accounts.find(name);
  if (it == accounts.end() || !it->second.login || it->second.valid_until <= hooks.now()) return false;
  it->second.sessions.insert(connection);
  return true;
}

void ModelServer::log_out(const std::string& name, const std::string& connection) {
  if (const auto it = accounts.find(name); it != accounts.end()) it->second.sessions.erase(connection);
}

const ModelAccount* ModelServer::find(const std::string& name) const {
  const auto it = accounts.find(name);
  return it == accounts.end() ? nullptr : &it->second;
}

target::Upstream ModelTarget::upstream(const std::string& account, base::Secret password) const {
  target::Upstream up;
  up.host = "127.0.0.1";
  up.port = 5432;
  up.database = "model";
  up.user = account;
  up.password = std::move(password);
  return up;
}

Result<std::shared_ptr<target::Target>> ModelTargetDriver::make(const core::TenantId&, const core::TargetSpec& spec) {
  const auto it = servers_.find(spec.id.str());
  if (it == servers_.end()) return Error{Code::invalid, "target.setting", "no such model"};
  return std::shared_ptr<target::Target>(std::make_shared<ModelTarget>(it->second));
}

}  // namespace daypass::sim
