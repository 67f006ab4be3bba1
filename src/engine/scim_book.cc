#include "engine/scim_book.h"

#include "base/encoding.h"

namespace daypass::engine {

using base::Code;
using base::Error;
using base::Result;
using idp::scim::Kind;
namespace json = base::json;

namespace {

constexpr std::size_t rows = 1000;
constexpr std::string_view states[] = {"active", "inactive", "deleted"};

Error damaged(const std::string& what) {
  return {Code::internal, "scim.record", "a stored record of the directory is damaged: " + what};
}

}  // namespace

std::string_view doc_of(Kind kind) {
  return kind == Kind::user ? doc_scim_user : doc_scim_group;
}

bool ScimRecord::active() const {
  const json::Value* value = resource.find("active");
  return value == nullptr || value->as_bool() == nullptr || *value->as_bool();
}

std::string ScimBook::purpose(Kind kind, const std::string& id) const {
  return std::string(doc_of(kind)) + " " + tenant_.str() + "/" + key(id);
}

Result<ScimRecord> ScimBook::open(Kind kind, const store::Document& document) const {
  ScimRecord out;
  out.kind = kind;
  out.meta.id = document.key.substr(idp_.size() + 1);
  DP_TRY(const base::Secret plain, vault_.open(tenant_, document.body, purpose(kind, out.meta.id)));
  DP_TRY(json::Value body, json::parse(plain.reveal()));
  json::Value* resource = body.as_object() == nullptr ? nullptr : body.as_object()->find("resource");
  if (resource == nullptr || resource->as_object() == nullptr) return damaged(out.meta.id);
  out.resource = std::move(*resource->as_object());
  out.subject = body.string_or("subject");
  out.folded = body.bool_or("folded", false);
  out.size = static_cast<std::size_t>(body.int_or("size", 0));
  DP_TRY(out.meta.created, base::parse_rfc3339(body.string_or("created")));
  DP_TRY(out.meta.modified, base::parse_rfc3339(body.string_or("modified")));
  return out;
}

Result<std::string> ScimBook::seal(const ScimRecord& record) const {
  json::Object body{{"v", 1},
                    {"resource", record.resource},
                    {"created", base::to_rfc3339(record.meta.created)},
                    {"modified", base::to_rfc3339(record.meta.modified)}};
  if (record.kind == Kind::user) {
    body.set("subject", record.subject);
    body.set("folded", record.folded);
  } else {
    body.set("size", static_cast<std::int64_t>(record.size));
  }
  return vault_.seal(tenant_, base::Secret(json::dump(std::move(body))), purpose(record.kind, record.meta.id));
}

Result<std::optional<ScimRecord>> ScimBook::load(Kind kind, const std::string& id) const {
  DP_TRY(const auto document, reader_.get(tenant_, doc_of(kind), key(id), now_));
  if (!document) return std::optional<ScimRecord>();
  DP_TRY(ScimRecord record, open(kind, *document));
  return std::optional(std::move(record));
}

Result<bool> ScimBook::exists(Kind kind, const std::string& id) const {
  DP_TRY(const auto document, reader_.get(tenant_, doc_of(kind), key(id), now_));
  return document.has_value();
}

Result<std::vector<store::Document>> ScimBook::page(Kind kind, const std::string& after, std::size_t limit) const {
  return reader_.list(tenant_, doc_of(kind), idp_ + "/", after, limit, now_);
}

Result<std::string> ScimBook::index_key(std::string_view which, std::string_view value) const {
  DP_TRY(const std::string hash, vault_.fingerprint(tenant_, "scim " + std::string(which), value));
  return idp_ + "/" + std::string(which) + "/" + hash;
}

Result<std::string> ScimBook::find(std::string_view which, std::string_view value) const {
  DP_TRY(const std::string at, index_key(which, value));
  DP_TRY(const auto document, reader_.get(tenant_, doc_scim_index, at, now_));
  return document ? document->body : std::string();
}

Result<std::string> ScimBook::person_key(const std::string& subject, bool folded) const {
  DP_TRY(const std::string hash, vault_.fingerprint(tenant_, folded ? "scim folded subject" : "scim subject",
                                                    folded ? idp::scim::folded(subject) : subject));
  return idp_ + "/" + hash;
}

Result<std::optional<ScimPerson>> ScimBook::person_at(const std::string& at) const {
  DP_TRY(const auto document, reader_.get(tenant_, doc_scim_person, at, now_));
  if (!document) return std::optional<ScimPerson>();
  DP_TRY(const json::Value body, json::parse(document->body));
  const std::string word = body.string_or("state");
  for (std::size_t i = 0; i < std::size(states); ++i)
    if (states[i] == word) return std::optional(ScimPerson{static_cast<ScimPerson::State>(i), body.string_or("id")});
  return damaged("a person's state");
}

Result<std::optional<ScimPerson>> ScimBook::person(const std::string& subject) const {
  std::optional<ScimPerson> found;
  for (const bool folded : {false, true}) {
    DP_TRY(const std::string at, person_key(subject, folded));
    DP_TRY(const auto one, person_at(at));
    if (one && (!found || one->state > found->state)) found = one;
  }
  return found;
}

Result<ScimCount> ScimBook::count() const {
  ScimCount out;
  DP_TRY(const auto document, reader_.get(tenant_, doc_scim_count, idp_, now_));
  if (!document) return out;
  DP_TRY(const json::Value body, json::parse(document->body));
  out.users = body.int_or("users", 0);
  out.groups = body.int_or("groups", 0);
  out.gone = body.int_or("gone", 0);
  return out;
}

std::string ScimBook::member_key(const std::string& group, const std::string& user) const {
  return idp_ + "/g/" + group + "/" + user;
}
std::string ScimBook::membership_key(const std::string& user, const std::string& group) const {
  return idp_ + "/u/" + user + "/" + group;
}

Result<std::vector<std::string>> ScimBook::names_below(const std::string& prefix) const {
  std::vector<std::string> out;
  for (std::string after;;) {
    DP_TRY(const auto documents, reader_.list(tenant_, doc_scim_member, prefix, after, rows, now_));
    for (const auto& document : documents) out.push_back(document.key.substr(prefix.size()));
    if (documents.size() < rows) return out;
    after = documents.back().key;
  }
}

Result<std::vector<std::string>> ScimBook::members_of(const std::string& group) const {
  return names_below(member_key(group, ""));
}
Result<std::vector<std::string>> ScimBook::groups_of(const std::string& user) const {
  return names_below(membership_key(user, ""));
}
Result<bool> ScimBook::is_member(const std::string& group, const std::string& user) const {
  DP_TRY(const auto document, reader_.get(tenant_, doc_scim_member, member_key(group, user), now_));
  return document.has_value();
}

}  // namespace daypass::engine
