// What the store knows of the people and groups that a provider tells us of: sealed records, found by keyed hashes of
// their names. Reads only; scim.cc writes. Private to the room.
//
//   scim_user, scim_group   <idp>/<id>                       sealed
//   scim_index              <idp>/<which>/<hash>             id
//   scim_person             <idp>/<hash of the subject>      {"id", "state"}: outlives the user, so that who was
//   deleted stays out scim_member             <idp>/g/<group>/<user>, <idp>/u/<user>/<group> scim_count <idp> how many
//   of each
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/vault.h"
#include "idp/scim/resource.h"
#include "store/store.h"

namespace daypass::engine {

inline constexpr std::string_view doc_scim_user = "scim_user", doc_scim_group = "scim_group",
                                  doc_scim_index = "scim_index", doc_scim_person = "scim_person",
                                  doc_scim_member = "scim_member", doc_scim_count = "scim_count";

struct ScimRecord {
  idp::scim::Kind kind;
  idp::scim::Meta meta;
  base::json::Object resource;
  std::string subject;   ///< of a user: what its sign-ins are recognised by, as it was when this was written
  bool folded = false;   ///< the subject was taken from userName, which is compared without regard to case
  std::size_t size = 0;  ///< of a group: its members
  [[nodiscard]] bool active() const;
};

/// What is known of a subject, whether or not there is a user of it now.
struct ScimPerson {
  enum class State : std::uint8_t { active, inactive, deleted } state = State::active;
  std::string id;  ///< of the user; empty when deleted
};

struct ScimCount {
  std::int64_t users = 0, groups = 0;
  std::int64_t gone = 0;  ///< subjects of deleted users
};

class ScimBook {
 public:
  ScimBook(const Vault& vault, store::Reader& reader, core::TenantId tenant, std::string idp, base::WallTime now)
      : vault_(vault), reader_(reader), tenant_(std::move(tenant)), idp_(std::move(idp)), now_(now) {}

  [[nodiscard]] base::Result<std::optional<ScimRecord>> load(idp::scim::Kind kind, const std::string& id) const;
  /// Whether there is one, without opening it.
  [[nodiscard]] base::Result<bool> exists(idp::scim::Kind kind, const std::string& id) const;
  /// In the order in which they were made, after `after` (empty: from the first).
  [[nodiscard]] base::Result<std::vector<store::Document>> page(idp::scim::Kind kind, const std::string& after,
                                                                std::size_t limit) const;
  [[nodiscard]] base::Result<ScimRecord> open(idp::scim::Kind kind, const store::Document& document) const;
  [[nodiscard]] base::Result<std::string> seal(const ScimRecord& record) const;

  /// `which`: "user_name", …; the id, or empty.
  [[nodiscard]] base::Result<std::string> find(std::string_view which, std::string_view value) const;
  /// The person of a subject as sign-ins have it, whichever way users were told apart when it was written. The one that
  /// keeps somebody out comes first.
  [[nodiscard]] base::Result<std::optional<ScimPerson>> person(const std::string& subject) const;
  [[nodiscard]] base::Result<std::optional<ScimPerson>> person_at(const std::string& key) const;
  [[nodiscard]] base::Result<ScimCount> count() const;

  [[nodiscard]] base::Result<std::vector<std::string>> members_of(const std::string& group) const;
  [[nodiscard]] base::Result<std::vector<std::string>> groups_of(const std::string& user) const;
  [[nodiscard]] base::Result<bool> is_member(const std::string& group, const std::string& user) const;

  // Keys of the documents.
  [[nodiscard]] std::string key(const std::string& id) const { return idp_ + "/" + id; }
  [[nodiscard]] base::Result<std::string> index_key(std::string_view which, std::string_view value) const;
  [[nodiscard]] base::Result<std::string> person_key(const std::string& subject, bool folded) const;
  [[nodiscard]] std::string member_key(const std::string& group, const std::string& user) const;
  [[nodiscard]] std::string membership_key(const std::string& user, const std::string& group) const;
  [[nodiscard]] const std::string& idp() const { return idp_; }

 private:
  [[nodiscard]] base::Result<std::vector<std::string>> names_below(const std::string& prefix) const;
  [[nodiscard]] std::string purpose(idp::scim::Kind kind, const std::string& id) const;

  const Vault& vault_;
  store::Reader& reader_;
  core::TenantId tenant_;
  std::string idp_;
  base::WallTime now_;
};

std::string_view doc_of(idp::scim::Kind kind);

}  // namespace daypass::engine
