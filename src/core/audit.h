// One record of the audit log: what changed, who did it, to what, with which outcome. One per state change.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/time.h"
#include "core/ids.h"

namespace daypass::core {

/// How the log stands for a value that it may have to forget: by SHA-256 over a salt and the value
/// (store/audit_leaf.h). While the value is there, `salt` is (16 bytes) and `digest` is empty; once it is erased, the
/// other way round.
struct Cover {
  std::string salt, digest;
  bool operator==(const Cover&) const = default;
};

struct AuditEvent {
  std::uint64_t seq = 0;  ///< position in the tenant's log, from 0; given by the store
  base::WallTime at{};
  TenantId tenant;
  std::string actor;    ///< "corp/8f3a…", "operator", "daypass" (the system itself)
  std::string action;   ///< "login.finished", "grant.opened", "grant.active", "grant.ended", "grant.closed", …
  std::string object;   ///< "pg/orders", a grant id, a session id
  std::string outcome;  ///< "ok", "denied", "failed"
  base::json::Object facts;
  /// By "actor" and "facts.NAME": what of it the log stands for by a digest. Covered facts come behind the others, in
  /// the order of their names; of an erased one nothing is left but this.
  std::map<std::string, Cover> covers = {};
  bool operator==(const AuditEvent&) const = default;
};

inline constexpr std::string_view covered_actor = "actor", covered_fact = "facts.";
/// The fact that the cover "facts.NAME" is of: NAME.
std::string fact_of(std::string_view cover);
/// The facts as a record spells them: covered ones behind the others, in the order of their names, erased ones not at
/// all.
base::json::Object ordered_facts(const AuditEvent& event);

/// The record's one spelling: compact JSON, members in fixed order. Without covers its bytes are the log's leaf
/// (RFC 6962 hashes them); with covers the leaf is the spelling in which all values are erased (store/audit_leaf.h).
std::string canonical(const AuditEvent& event);
/// Reads canonical() back. Error: "audit.record".
base::Result<AuditEvent> audit_from_canonical(std::string_view bytes);

/// Whether this is a person as an identity provider names them ("corp/8f3a…"), and not the operator or the system.
bool is_person(std::string_view actor);
/// The names of covers that an event needs: what it says of a person, who may want to be forgotten. Addresses, groups,
/// notes and reasons are a person's only where the event has one. Empty: it has none.
std::vector<std::string> said_of_persons(const AuditEvent& event);
/// Of the covered values that are still there, those that have to go when `principal` is erased: all where the event is
/// about them, else a note that names them.
std::vector<std::string> said_of(const AuditEvent& event, std::string_view principal);

/// Whether a text names `principal`.
bool names_in(std::string_view text, std::string_view principal);
/// Whether somebody acts in it, is what it is about, or is named in its note.
bool names(const AuditEvent& event, std::string_view principal);

}  // namespace daypass::core
