// A transmitter of security events that tells what it was given until it is acknowledged. Its tokens are believed: what
// is simulated is the engine's side of it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "idp/signals.h"

namespace daypass::sim {

struct ModelTransmitter {
  struct Event {
    std::string person;
    base::WallTime at;
  };
  std::map<std::string, Event> queue;  ///< by jti
  std::vector<std::string> acknowledged, refused;
  int polls = 0;
  bool down = false;  ///< gives no answer
  bool deaf = false;  ///< hears no acknowledgement
};

/// A token is its jti. "forged" is refused, "later" can't be verified now, "idle" ends nothing.
class ModelReceiver final : public idp::SignalReceiver {
 public:
  explicit ModelReceiver(ModelTransmitter& from) : from_(from) {}
  [[nodiscard]] base::Status admit(const base::Secret& authorization) const override {
    if (authorization.equals("Bearer good")) return {};
    return base::Error{base::Code::unauthenticated, "signals.authorization", "unknown"};
  }
  base::Result<idp::SecurityEvent> verify(std::string_view token, base::Millis) override {
    const std::string jti(token);
    if (jti.starts_with("forged")) return base::Error{base::Code::unauthenticated, "jws.signature", "forged"};
    if (jti.starts_with("later")) return base::Error{base::Code::unavailable, "jwks.fetch", "no keys"};
    idp::SecurityEvent event{jti, "session_revoked", {}};
    if (jti.starts_with("idle")) return event;
    const ModelTransmitter::Event& told = from_.queue.at(jti);
    idp::SignedOut& over = event.over.emplace();
    over.subject = told.person;
    over.at = told.at;
    over.told_late = true;
    over.once.push_back({jti, told.at + std::chrono::hours(200)});
    return event;
  }
  [[nodiscard]] std::optional<base::Millis> polls_every() const override { return std::chrono::seconds(10); }
  base::Result<idp::Polled> poll(const idp::Acknowledged& before, base::Millis) override {
    ++from_.polls;
    if (from_.down) return base::Error{base::Code::timeout, "poll.fetch", "no answer"};
    for (const auto& jti : before.taken) {
      from_.acknowledged.push_back(jti);
      if (!from_.deaf) from_.queue.erase(jti);
    }
    for (const auto& [jti, error] : before.refused) {
      from_.refused.push_back(jti + " " + error.check);
      from_.queue.erase(jti);
    }
    idp::Polled out;
    for (const auto& [jti, event] : from_.queue) out.tokens.emplace_back(jti, jti);
    return out;
  }
  base::Status probe(base::Millis) override { return {}; }

 private:
  ModelTransmitter& from_;
};

class ModelSignalDriver final : public idp::SignalDriver {
 public:
  explicit ModelSignalDriver(ModelTransmitter& from) : from_(from) {}
  base::Result<std::shared_ptr<idp::SignalReceiver>> make(const core::TenantId&, const core::IdpSpec&) override {
    return std::shared_ptr<idp::SignalReceiver>(std::make_shared<ModelReceiver>(from_));
  }

 private:
  ModelTransmitter& from_;
};

}  // namespace daypass::sim
