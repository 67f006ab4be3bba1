// Proofs that leave the house: records of the audit log with their place in it, and the receipt of a revocation, which
// is three of them. Made here and verified here; pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "core/audit.h"
#include "tlog/note.h"

namespace daypass::engine {

/// A record with its path to the root of one checkpoint.
struct ProvenRecord {
  std::uint64_t index = 0;
  std::string record;  ///< canonical; its leaf (store/audit_leaf.h) is what was hashed
  std::vector<tlog::Hash> path;
};
/// Some records of one log, against one checkpoint.
struct AuditProof {
  std::vector<ProvenRecord> records;
  std::string checkpoint;  ///< the signed note
  std::string key;         ///< of the log, as its verifier key reads; whoever verifies has it from elsewhere
};

/// What the three records of a grant say.
struct RevocationReceipt {
  core::TenantId tenant;
  std::string grant, principal, target, account, end_reason;  ///< no principal: erased
  base::WallTime created_at{}, cut_at{}, verified_absent_at{};
  AuditProof proof;
};

inline constexpr std::string_view proof_format = "daypass.audit-proof.v1",
                                  receipt_format = "daypass.revocation-receipt.v1";

/// What a receipt is worth, in its own words.
extern const char* const receipt_statement;

base::json::Object to_json(const AuditProof& proof);
/// Reads the records: their opening, end and closing, in this order and of one grant. Error: "receipt.records".
base::Result<RevocationReceipt> receipt_of(AuditProof proof);
base::json::Object to_json(const RevocationReceipt& receipt);

/// What a proof or a receipt shows, once it is verified.
struct Shown {
  tlog::Checkpoint head;
  std::vector<core::AuditEvent> events;
  std::optional<RevocationReceipt> receipt;
};
/// Verifies either with `key`, which must be the one that it names: the checkpoint's signature, each record's place,
/// and that every word of it is what the records say. Errors: "proof.shape", "proof.key", "proof.record", those of
/// open_checkpoint and verify_inclusion, "receipt.records", "proof.words".
base::Result<Shown> verify_proof(const base::json::Value& text, const tlog::NoteKey& key);

}  // namespace daypass::engine
