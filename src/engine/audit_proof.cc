#include "engine/audit_proof.h"

#include "base/encoding.h"
#include "crypto/ed25519.h"
#include "store/audit_leaf.h"

namespace daypass::engine {

using base::Code;
using base::Error;
using base::Result;
namespace json = base::json;

const char* const receipt_statement =
    "Evidence signed by Daypass itself, of what its own audit log says: that the access was created, cut, and that a "
    "look at the target from another connection found it absent. It is no statement of the target or of a third party.";

namespace {

constexpr std::size_t max_records = 1000, max_path = 64;

Error bad_shape(std::string why) {
  return {Code::invalid, "proof.shape", "that is neither a proof nor a receipt of an audit log: " + std::move(why)};
}
Error bad_records(std::string why) {
  return {Code::invalid, "receipt.records", "the records are not those of a revocation: " + std::move(why)};
}

Result<ProvenRecord> record_from(const json::Value& value) {
  ProvenRecord out;
  const std::int64_t index = value.int_or("index", -1);
  const json::Value* path = value.find("path");
  const json::Value* record = value.find("record");
  if (index < 0 || record == nullptr || record->as_string() == nullptr || path == nullptr ||
      path->as_array() == nullptr || path->as_array()->size() > max_path)
    return bad_shape("a record has no index, text or path");
  out.index = static_cast<std::uint64_t>(index);
  out.record = *record->as_string();
  for (const auto& item : *path->as_array()) {
    const auto hash = item.as_string() == nullptr ? std::nullopt : base::base64_decode(*item.as_string());
    if (!hash || hash->size() != tlog::hash_size) return bad_shape("a hash is malformed");
    out.path.push_back(*hash);
  }
  return out;
}

Result<AuditProof> proof_from(const json::Value& value) {
  const json::Value* records = value.find("records");
  if (records == nullptr || records->as_array() == nullptr || records->as_array()->empty() ||
      records->as_array()->size() > max_records)
    return bad_shape("it has no records");
  AuditProof out{{}, value.string_or("checkpoint"), value.string_or("key")};
  for (const auto& item : *records->as_array()) {
    DP_TRY(ProvenRecord record, record_from(item));
    out.records.push_back(std::move(record));
  }
  return out;
}

}  // namespace

json::Object to_json(const AuditProof& proof) {
  json::Array records;
  for (const auto& r : proof.records) {
    json::Array path;
    for (const auto& hash : r.path) path.emplace_back(base::base64_encode(hash));
    records.push_back(json::Object{{"index", r.index}, {"record", r.record}, {"path", std::move(path)}});
  }
  return {
      {"format", proof_format}, {"records", std::move(records)}, {"checkpoint", proof.checkpoint}, {"key", proof.key}};
}

Result<RevocationReceipt> receipt_of(AuditProof proof) {
  constexpr std::string_view actions[] = {"grant.opened", "grant.ended", "grant.closed"};
  if (proof.records.size() != std::size(actions)) return bad_records("there must be three");
  RevocationReceipt out;
  for (std::size_t i = 0; i < proof.records.size(); ++i) {
    DP_TRY(const core::AuditEvent event, core::audit_from_canonical(proof.records[i].record));
    if (event.action != actions[i] || event.outcome != "ok")
      return bad_records("record " + std::to_string(proof.records[i].index) + " is not a " + std::string(actions[i]));
    if (i == 0) {
      out.tenant = event.tenant;
      out.grant = event.object;
      out.principal = base::json::Value(event.facts).string_or("principal");
      out.target = base::json::Value(event.facts).string_or("target");
      out.created_at = event.at;
    } else if (event.tenant != out.tenant || event.object != out.grant ||
               proof.records[i].index <= proof.records[i - 1].index) {
      return bad_records("they are of several grants, or out of order");
    }
    const json::Value facts(event.facts);
    if (i == 1) {
      out.end_reason = facts.string_or("reason");
      out.cut_at = event.at;
    } else if (i == 2) {
      if (facts.string_or("verified") != "absent") return bad_records("nobody found the account absent");
      out.account = facts.string_or("account");
      out.verified_absent_at = event.at;
    }
  }
  out.proof = std::move(proof);
  return out;
}

json::Object to_json(const RevocationReceipt& r) {
  json::Object out{{"format", receipt_format},
                   {"statement", receipt_statement},
                   {"tenant", r.tenant.str()},
                   {"grant", r.grant},
                   {"principal", r.principal},
                   {"target", r.target},
                   {"account", r.account},
                   {"created_at", base::to_rfc3339(r.created_at)},
                   {"cut_at", base::to_rfc3339(r.cut_at)},
                   {"end_reason", r.end_reason},
                   {"verified_absent_at", base::to_rfc3339(r.verified_absent_at)}};
  const json::Object proof = to_json(r.proof);
  for (const std::string_view key : {"records", "checkpoint", "key"}) out.set(std::string(key), *proof.find(key));
  return out;
}

Result<Shown> verify_proof(const json::Value& text, const tlog::NoteKey& key) {
  const std::string format = text.string_or("format");
  if (format != proof_format && format != receipt_format) return bad_shape("its format is of no known name");
  DP_TRY(AuditProof proof, proof_from(text));
  if (proof.key != key.text())
    return Error{Code::invalid, "proof.key", "it names another key than the one that is trusted"};
  Shown out;
  DP_TRY(out.head, tlog::open_checkpoint(proof.checkpoint, key, crypto::ed25519_verify));
  for (const auto& r : proof.records) {
    DP_TRY(core::AuditEvent event, core::audit_from_canonical(r.record));
    const tlog::Hash leaf = tlog::leaf_hash(store::leaf_of(event));
    DP_CHECK(tlog::verify_inclusion(leaf, r.index, out.head.size, r.path, out.head.root));
    if (event.seq != r.index)
      return Error{Code::invalid, "proof.record", "record " + std::to_string(r.index) + " says that it is another one"};
    out.events.push_back(std::move(event));
  }
  // Times and names stand in a receipt for whoever reads it; only the records are proven. One must say the other.
  json::Value said = to_json(proof);
  if (format == receipt_format) {
    DP_TRY(out.receipt, receipt_of(std::move(proof)));
    said = to_json(*out.receipt);
  }
  if (!(said == text)) return Error{Code::invalid, "proof.words", "it says something else than its records, or more"};
  return out;
}

}  // namespace daypass::engine
