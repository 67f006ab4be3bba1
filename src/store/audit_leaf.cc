#include "store/audit_leaf.h"

#include <algorithm>

#include "base/encoding.h"
#include "crypto/digest.h"
#include "tlog/tiles.h"

namespace daypass::store {

using base::Code;
using base::Error;
using base::Result;
namespace json = base::json;

namespace {

constexpr std::size_t salt_size = 16;

/// The name is hashed, too: a value can't be shown in the place of another one.
std::string digest_of(const std::string& name, const std::string& salt, const json::Value& value) {
  return crypto::sha256(salt + name + ":" + json::dump(value));
}

/// What was said of a person is told as little as ever: what stands for it is covered where anything of it was.
void leave_out_facts(core::AuditEvent& event) {
  const std::string facts = json::dump(event.facts);
  json::Object kept{{"left_out", json::Object{{"bytes", static_cast<std::uint64_t>(facts.size())},
                                              {"sha256", base::hex_encode(crypto::sha256(facts))}}}};
  std::map<std::string, core::Cover> covers;
  const std::string principal = std::string(core::covered_fact) + "principal";
  for (auto& [name, cover] : event.covers) {
    if (name == core::covered_actor || name == principal)
      covers.emplace(name, std::move(cover));
    else
      covers.insert_or_assign(std::string(core::covered_fact) + "left_out", std::move(cover));
  }
  if (const json::Value* who = event.facts.find("principal"); who != nullptr && covers.contains(principal)) {
    kept.insert("principal", *who);
  }
  event.facts = std::move(kept);
  event.covers = std::move(covers);
  event.facts = core::ordered_facts(event);
}

}  // namespace

void cover_persons(core::AuditEvent& event, base::Entropy& entropy) {
  const auto names = core::said_of_persons(event);
  if (names.empty()) return;
  for (const auto& name : names) {
    std::string salt(salt_size, '\0');
    entropy.fill({reinterpret_cast<std::uint8_t*>(salt.data()), salt.size()});
    event.covers.insert_or_assign(name, core::Cover{std::move(salt), {}});
  }
  event.facts = core::ordered_facts(event);
}

void erase_covered(core::AuditEvent& event, const std::vector<std::string>& covers) {
  for (const auto& name : covers) {
    const auto it = event.covers.find(name);
    if (it == event.covers.end() || !it->second.digest.empty()) continue;
    const bool actor = name == core::covered_actor;
    const json::Value* fact = actor ? nullptr : event.facts.find(core::fact_of(name));
    it->second = core::Cover{{}, digest_of(name, it->second.salt, actor ? json::Value(event.actor) : *fact)};
    if (actor)
      event.actor.clear();
    else
      event.facts.erase(core::fact_of(name));
  }
}

std::string leaf_of(const core::AuditEvent& event) {
  std::vector<std::string> there;
  for (const auto& [name, cover] : event.covers)
    if (cover.digest.empty()) there.push_back(name);
  if (there.empty()) return core::canonical(event);
  core::AuditEvent bare = event;
  erase_covered(bare, there);
  return core::canonical(bare);
}

Result<std::string> leaf_of(std::string_view record) {
  DP_TRY(const core::AuditEvent event, core::audit_from_canonical(record));
  return leaf_of(event);
}

Result<LogEntry> entry_of(core::AuditEvent& event) {
  std::string record = core::canonical(event), leaf = leaf_of(event);
  if (std::max(record.size(), leaf.size()) > tlog::max_entry) {
    leave_out_facts(event);
    record = core::canonical(event);
    leaf = leaf_of(event);
  }
  if (std::max(record.size(), leaf.size()) > tlog::max_entry)
    return Error{Code::invalid, "audit.record", "an audit record can't be written: it is larger than 65,535 bytes"};
  // A record that can't be read back would break the log for ever: better that this one change fails.
  if (const auto again = core::audit_from_canonical(record); !again.ok())
    return Error{Code::invalid, "audit.record", "an audit record can't be written: " + again.error().message};
  return LogEntry{std::move(record), tlog::leaf_hash(leaf)};
}

}  // namespace daypass::store
