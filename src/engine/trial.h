// Tests of identity providers: sign-ins at a provider that is not applied yet, whose outcome goes to whoever began them
// and to nobody else. In memory only, few and short; nothing of them becomes a session. Private to the room.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/time.h"
#include "engine/engine.h"

namespace daypass::engine {

/// Every test that is under way or has ended a moment ago. Safe from any thread.
class Trials {
 public:
  static constexpr std::size_t most = 128, most_of_tenant = 8;
  static constexpr base::Seconds lifetime{600};

  /// Of the secrets only hashes are kept here; the provider's own are in `pending`.
  struct Entry {
    core::TenantId tenant;
    std::string idp, owner, actor;
    std::shared_ptr<const Tenant> world;
    base::MonoTime until{};
    std::string key, state, browser;  ///< hashes; `state` is empty when nothing is awaited, `browser` until one comes
    idp::Begun begun;
    Trial trial;
  };
  using Handle = std::shared_ptr<Entry>;

  /// Another one of `owner` at the same provider gives way. Error: "idp_test.too_many".
  Result<Handle> open(Entry entry, base::MonoTime now);
  /// From here on a browser may come with `key`, and an answer with `state`.
  void await(const Handle& entry, std::string key, std::string state, idp::Begun begun);
  /// Where the browser that has the key goes. The first that gives its cookie's hash is the only one.
  /// Errors: "idp_test.unknown", "login.browser".
  Result<TrialEntry> enter(const core::TenantId& tenant, const std::string& idp, const std::string& key,
                           const std::optional<std::string>& browser, base::MonoTime now);
  /// The test that waits for an answer with this state, once; nullptr: none does.
  Handle take(const core::TenantId& tenant, const std::string& state, base::MonoTime now);
  /// How it has ended. What only the sign-in needed is given up.
  void settle(const Handle& entry, const std::function<void(Trial&)>& how);
  /// Error: "idp_test.unknown", also when somebody else began it.
  Result<Trial> look(const core::TenantId& tenant, const std::string& idp, const std::string& id,
                     const std::string& owner, base::MonoTime now);
  void forget(const core::TenantId& tenant);
  void sweep(base::MonoTime now);

 private:
  void drop_old(base::MonoTime now);
  std::mutex mutex_;
  std::list<Handle> entries_;
};

}  // namespace daypass::engine
