// What the files of sign-in and sign-out share: things that are used once, and what a verified identity becomes.
// Everything that is used once is deleted in the transaction that uses it; everything a thief could use is stored as a
// hash or sealed. Private to the room.
#pragma once

#include "engine/turn.h"

namespace daypass::engine {

constexpr base::Millis idp_budget = std::chrono::seconds(15);

/// The key of a document that is found by a secret alone.
std::string hash_key(std::string_view secret);
std::string seal_purpose(const core::TenantId& tenant, std::string_view kind, const std::string& key);
/// Reads a document and deletes it: whoever comes second finds nothing.
Result<std::optional<store::Document>> take(Turn& turn, const core::TenantId& tenant, std::string_view kind,
                                            const std::string& key);
/// As take(), of a sealed document: its text. nullopt: there is none.
Result<std::optional<json::Value>> take_sealed(Engine::Impl& impl, Turn& turn, const core::TenantId& tenant,
                                               std::string_view kind, const std::string& key);
Status put_sealed(Engine::Impl& impl, Turn& turn, const core::TenantId& tenant, std::string_view kind,
                  const std::string& key, const json::Value& value, WallTime expires_at);
/// A user code as it is stored, of what somebody typed.
std::string tidy_user_code(std::string_view typed);
/// The provider of this name; null: there is none.
std::shared_ptr<idp::IdentityProvider> provider_of(Engine::Impl& impl, const core::TenantId& tenant,
                                                   const std::string& idp);

/// Marks what may serve one sign-in only. Error: "login.replayed".
Status use_up(Turn& turn, const core::TenantId& tenant, const idp::Finished& verified);
/// What every sign-in must pass before anything becomes of it: used once, not signed out meanwhile, not over. Until
/// when a session of it lasts. Errors: "login.replayed", "login.signed_out", "login.not_after".
Result<WallTime> accept_identity(Turn& turn, const core::TenantId& tenant, const idp::Finished& verified,
                                 base::Millis session_max, WallTime arrived);

/// Writes a refused sign-in down, and answers with why.
void record_failed(Engine::Impl& impl, const core::TenantId& tenant, const std::string& idp, const std::string& address,
                   const Error& why, const std::shared_ptr<Done<LoginFinished>>& answer);
/// What the verified identity becomes: a session, and the thing the flow was begun for. (login.cc)
Result<LoginFinished> conclude(Engine::Impl& impl, Turn& turn, const FinishLogin& what, const json::Value& then,
                               const idp::Finished& verified, base::Millis session_max, WallTime arrived);
/// An answer that belongs to no sign-in of ours: taken only where the provider may begin one, and kept until the person
/// confirms it. Else `not_begun` is the answer. (login_unasked.cc)
void finish_unasked(Engine::Impl& impl, FinishLogin what, Error not_begun, std::shared_ptr<Done<LoginFinished>> answer);

}  // namespace daypass::engine
