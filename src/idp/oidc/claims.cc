#include "idp/oidc/claims.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "idp/oidc/token.h"
#include "idp/url.h"

namespace daypass::idp::oidc {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using base::json::Array;
using base::json::Object;
using base::json::Value;

namespace {

constexpr std::size_t max_fact = 255;
constexpr std::size_t max_methods = 32;
constexpr std::int64_t latest = 253'402'300'799;  // year 9999

constexpr std::array<std::string_view, 17> token_only = {"iss",       "sub", "aud",     "exp",    "iat", "nbf",
                                                         "nonce",     "azp", "at_hash", "c_hash", "acr", "amr",
                                                         "auth_time", "sid", "jti",     "oid",    "tid"};

Error odd(std::string check, std::string message) {
  return Error{Code::unauthenticated, "id_token." + std::move(check), "ID token: " + std::move(message)};
}

bool fact(const std::string& text) {
  return !text.empty() && text.size() <= max_fact;
}

/// References from both sides; a malformed one stays malformed, so that the mapping takes nothing for absent.
void merge_references(Value& into, const Value& from, std::string_view name) {
  const Value* theirs = from.find(name);
  if (theirs == nullptr) return;
  Value* ours = into.as_object()->find(name);
  if (ours == nullptr || theirs->as_object() == nullptr) {
    into.as_object()->set(std::string(name), *theirs);
  } else if (ours->as_object() != nullptr) {
    for (const auto& [key, value] : *theirs->as_object()) ours->as_object()->insert(key, value);
  }
}

Result<std::optional<std::string>> fact_claim(const Value& claims, const std::string& name) {
  const Value* value = claims.find(name);
  if (value == nullptr) return std::optional<std::string>{};
  const std::string* text = value->as_string();
  if (text == nullptr || !fact(*text)) return odd(name, name + " must be a string of 1 to 255 bytes");
  return std::optional<std::string>{*text};
}

Result<std::vector<std::string>> methods(const Value& claims) {
  std::vector<std::string> out;
  const Value* amr = claims.find("amr");
  if (amr == nullptr) return out;
  // A list by RFC 8176; some providers send a single method bare.
  if (const std::string* single = amr->as_string(); single != nullptr && fact(*single)) {
    out.push_back(*single);
    return out;
  }
  const Array* list = amr->as_array();
  if (list == nullptr || list->size() > max_methods) return odd("amr", "amr must be a list of at most 32 strings");
  for (const auto& entry : *list) {
    const std::string* text = entry.as_string();
    if (text == nullptr || !fact(*text)) return odd("amr", "amr must hold strings of 1 to 255 bytes");
    out.push_back(*text);
  }
  return out;
}

}  // namespace

Result<Value> parse_userinfo(const Reply& reply, std::string_view sub) {
  if (reply.status != 200)
    return Error{Code::unavailable, "userinfo.status",
                 "the provider's userinfo endpoint answered HTTP " + std::to_string(reply.status) + ", expected 200",
                 reply.status / 100 == 3 ? "redirects are not followed" : ""};
  if (reply.media_type != "application/json")
    return Error{Code::unavailable, "userinfo.content_type",
                 "the provider's userinfo endpoint answered no application/json",
                 reply.media_type == "application/jwt" ? "switch signed userinfo off for this client" : ""};
  auto body = base::json::parse(reply.body, {.bytes = max_userinfo_bytes});
  if (!body.ok() || body->as_object() == nullptr)
    return Error{
        Code::unavailable, "userinfo.syntax",
        "the provider's userinfo endpoint answered no JSON object" + (body.ok() ? "" : ": " + body.error().message)};
  // Core 5.3.2: without this, one person's attributes could be given to another by swapping access tokens.
  const Value* theirs = body->find("sub");
  if (theirs == nullptr || theirs->as_string() == nullptr || *theirs->as_string() != sub)
    return Error{Code::unauthenticated, "userinfo.sub", "userinfo speaks of another person than the ID token"};
  return body;
}

bool tokens_own(std::string_view claim, std::string_view subject_claim) {
  return claim == "_claim_names" || claim == "_claim_sources" || claim == "session_expiry" || claim == subject_claim ||
         std::ranges::find(token_only, claim) != token_only.end();
}

Value merge_userinfo(Value id_claims, const Value& userinfo, std::string_view subject_claim) {
  Object* into = id_claims.as_object();
  const Object* from = userinfo.as_object();
  if (into == nullptr || from == nullptr) return id_claims;
  for (const auto& [key, value] : *from) {
    if (!tokens_own(key, subject_claim)) into->insert(key, value);
  }
  merge_references(id_claims, userinfo, "_claim_names");
  merge_references(id_claims, userinfo, "_claim_sources");
  return id_claims;
}

Result<std::vector<std::string>> parse_groups_reply(const Reply& reply) {
  if (reply.status != 200)
    return Error{Code::unavailable, "overage.status",
                 "overage_url answered HTTP " + std::to_string(reply.status) + ", expected 200",
                 reply.status == 401 || reply.status == 403
                     ? "the access token must be allowed to read the person's groups (Microsoft Graph: User.Read)"
                     : ""};
  auto body = base::json::parse(reply.body, {.bytes = max_groups_bytes, .depth = 8});
  if (!body.ok() || body->as_object() == nullptr)
    return Error{Code::unavailable, "overage.syntax",
                 "overage_url answered no JSON object" + (body.ok() ? "" : ": " + body.error().message)};
  if (body->find("@odata.nextLink") != nullptr)
    return Error{Code::unavailable, "overage.paged", "overage_url answered one page of several",
                 "use an address that answers at once, e.g. https://graph.microsoft.com/v1.0/me/getMemberObjects"};
  const Value* value = body->find("value");
  const Array* list = value == nullptr ? nullptr : value->as_array();
  if (list == nullptr || list->size() > max_list_entries)
    return Error{Code::unavailable, "overage.shape", "overage_url answered no \"value\" list of at most 16384 entries"};
  std::vector<std::string> out;
  for (const auto& entry : *list) {
    const std::string* text = entry.as_string();
    if (text == nullptr || !fact(*text))
      return Error{Code::unavailable, "overage.shape",
                   "overage_url answered a \"value\" list with " + std::string(entry.type_name()) + ", expected ids"};
    out.push_back(*text);
  }
  return out;
}

Status check_directory(const Value& id_claims, const std::string& issuer) {
  const auto url = parse_url(issuer);
  constexpr std::array<std::string_view, 5> entra = {"login.microsoftonline.com", "sts.windows.net",
                                                     "login.microsoftonline.us", "login.partner.microsoftonline.cn",
                                                     "sts.chinacloudapi.cn"};
  if (!url || std::ranges::find(entra, url->host) == entra.end()) return {};
  const Value* tid = id_claims.find("tid");
  if (tid == nullptr) return {};
  const std::string* text = tid->as_string();
  if (text == nullptr || text->empty() || (url->path + "/").find("/" + *text + "/") == std::string::npos)
    return odd("tid", "tid is not the directory of the issuer");
  return {};
}

Result<core::Identity> make_identity(const core::TenantId& tenant, const core::IdpSpec& spec, const Value& id_claims,
                                     Mapped mapped, base::WallTime now) {
  core::Identity who;
  who.tenant = tenant;
  who.idp = spec.name;
  who.subject = std::move(mapped.subject);
  who.display = std::move(mapped.display);
  who.attributes = std::move(mapped.attributes);
  who.groups = std::move(mapped.groups);
  // verify_id_token has refused what is no time; what it has not seen is not believed.
  if (const std::int64_t at = id_claims.int_or("auth_time", 0); at > 0 && at <= latest)
    who.auth_time = base::WallTime(base::Seconds(at));
  DP_TRY(auto acr, fact_claim(id_claims, "acr"));
  who.acr = std::move(acr).value_or("");
  DP_TRY(who.amr, methods(id_claims));
  DP_TRY(const auto sid, fact_claim(id_claims, "sid"));
  if (sid) who.idp_sessions = {*sid};
  if (const Value* expiry = id_claims.find("session_expiry")) {
    const std::int64_t* second = expiry->as_int();
    if (second == nullptr || *second < 0 || *second > latest)
      return odd("session_expiry", "session_expiry must be whole seconds since 1970");
    const base::WallTime end{base::Seconds(*second)};
    if (end <= now) return odd("session_expiry", "the provider's own session has ended already");
    who.not_after = end;
  }
  return who;
}

}  // namespace daypass::idp::oidc
