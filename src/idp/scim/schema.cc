#include "idp/scim/schema.h"

#include <algorithm>
#include <array>

#include "idp/scim/limits.h"
#include "idp/scim/message.h"

namespace daypass::idp::scim {
namespace {

constexpr auto name_parts = std::to_array<Attribute>({
    {.name = "formatted", .description = "The whole name, as it is shown"},
    {.name = "familyName", .description = "Family name"},
    {.name = "givenName", .description = "Given name"},
    {.name = "middleName", .description = "Middle names"},
    {.name = "honorificPrefix", .description = "Title before the name"},
    {.name = "honorificSuffix", .description = "Title after the name"},
});
constexpr auto email_parts = std::to_array<Attribute>({
    {.name = "value", .description = "The address"},
    {.name = "display", .description = "For people to read"},
    {.name = "type", .description = "work, home, other"},
    {.name = "primary", .type = Type::boolean, .description = "Whether it is the preferred one"},
});
constexpr auto user_attributes = std::to_array<Attribute>({
    {.name = "userName",
     .description = "The name a person signs in with at the provider",
     .required = true,
     .unique = true},
    {.name = "externalId",
     .description = "The provider's own identifier of the person",
     .case_exact = true,
     .unique = true},
    {.name = "displayName", .description = "For people to read; decides nothing"},
    {.name = "name", .type = Type::complex, .description = "The parts of the name", .sub = name_parts},
    {.name = "emails",
     .type = Type::complex,
     .description = "For people to read; nobody is recognised by an address",
     .sub = email_parts,
     .many = true},
    {.name = "active", .type = Type::boolean, .description = "Whether the person may sign in"},
});
constexpr auto enterprise_attributes = std::to_array<Attribute>({
    {.name = "employeeNumber", .description = "The number the organisation gives a person", .case_exact = true},
    {.name = "organization", .description = "Organisation"},
    {.name = "department", .description = "Department"},
});
constexpr auto member_parts = std::to_array<Attribute>({
    {.name = "value", .description = "id of a User", .case_exact = true},
    {.name = "$ref", .type = Type::reference, .description = "URL of the User", .case_exact = true},
    {.name = "type", .description = "User"},
});
constexpr auto group_attributes = std::to_array<Attribute>({
    {.name = "displayName",
     .description = "The group's name, by which policies know it",
     .required = true,
     .unique = true},
    {.name = "externalId",
     .description = "The provider's own identifier of the group",
     .case_exact = true,
     .unique = true},
    {.name = "members",
     .type = Type::complex,
     .description = "Users of this provider",
     .sub = member_parts,
     .many = true},
});

constexpr auto all = std::to_array<Schema>({
    {user_urn, "User", "A person", Kind::user, false, user_attributes},
    {enterprise_urn, "EnterpriseUser", "A person in an organisation", Kind::user, true, enterprise_attributes},
    {group_urn, "Group", "A group of people", Kind::group, false, group_attributes},
});

constexpr auto user_forgotten = std::to_array<std::string_view>(
    {"nickName", "profileUrl", "title", "userType", "preferredLanguage", "locale", "timezone", "password",
     "phoneNumbers", "ims", "photos", "addresses", "entitlements", "roles", "x509Certificates",
     // Of the enterprise schema.
     "costCenter", "division", "manager"});

constexpr std::string_view schema_urn = "urn:ietf:params:scim:schemas:core:2.0:Schema",
                           resource_type_urn = "urn:ietf:params:scim:schemas:core:2.0:ResourceType",
                           provider_urn = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";

std::string_view word_of(Type type) {
  constexpr std::string_view words[] = {"string", "boolean", "reference", "complex"};
  return words[static_cast<std::size_t>(type)];
}

json::Value described(const Attribute& a) {
  json::Object out{{"name", a.name},
                   {"type", word_of(a.type)},
                   {"multiValued", a.many},
                   {"description", a.description},
                   {"required", a.required},
                   {"caseExact", a.case_exact},
                   {"mutability", "readWrite"},
                   {"returned", "default"},
                   {"uniqueness", a.unique ? "server" : "none"}};
  if (a.type == Type::reference) out.set("referenceTypes", json::Array{"User"});
  if (!a.sub.empty()) {
    json::Array parts;
    for (const auto& part : a.sub) parts.push_back(described(part));
    out.set("subAttributes", std::move(parts));
  }
  return out;
}

json::Value meta(std::string_view type, std::string location) {
  return json::Object{{"resourceType", type}, {"location", std::move(location)}};
}

/// All of them as a list, or the one that is asked for.
json::Value list_or_one(json::Array documents, std::string_view id) {
  if (id.empty()) {
    const std::size_t count = documents.size();
    return list_response(std::move(documents), count, 1);
  }
  for (auto& document : documents)
    if (same_word(document.string_or("id"), id)) return std::move(document);
  return {};
}

}  // namespace

std::span<const Schema> schemas() noexcept {
  return all;
}
const Schema& core_schema(Kind kind) noexcept {
  return kind == Kind::user ? all[0] : all[2];
}

bool same_word(std::string_view a, std::string_view b) noexcept {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}
std::string folded(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

const Attribute* find(std::span<const Attribute> among, std::string_view name) noexcept {
  const auto it = std::ranges::find_if(among, [&](const Attribute& a) { return same_word(a.name, name); });
  return it == among.end() ? nullptr : &*it;
}

bool not_kept(Kind kind, std::string_view name) noexcept {
  return kind == Kind::user && std::ranges::any_of(user_forgotten, [&](auto one) { return same_word(one, name); });
}

json::Value schemas_document(std::string_view base, std::string_view id) {
  json::Array out;
  for (const auto& schema : all) {
    json::Array attributes;
    for (const auto& a : schema.attributes) attributes.push_back(described(a));
    out.push_back(json::Object{{"schemas", json::Array{schema_urn}},
                               {"id", schema.urn},
                               {"name", schema.name},
                               {"description", schema.description},
                               {"attributes", std::move(attributes)},
                               {"meta", meta("Schema", std::string(base) + "/Schemas/" + std::string(schema.urn))}});
  }
  return list_or_one(std::move(out), id);
}

json::Value resource_types_document(std::string_view base, std::string_view id) {
  json::Array out;
  for (const Kind kind : {Kind::user, Kind::group}) {
    const Schema& schema = core_schema(kind);
    json::Object type{{"schemas", json::Array{resource_type_urn}},
                      {"id", schema.name},
                      {"name", schema.name},
                      {"endpoint", kind == Kind::user ? "/Users" : "/Groups"},
                      {"description", schema.description},
                      {"schema", schema.urn}};
    if (kind == Kind::user)
      type.set("schemaExtensions", json::Array{json::Object{{"schema", enterprise_urn}, {"required", false}}});
    type.set("meta", meta("ResourceType", std::string(base) + "/ResourceTypes/" + std::string(schema.name)));
    out.emplace_back(std::move(type));
  }
  return list_or_one(std::move(out), id);
}

json::Value provider_document(std::string_view base) {
  const auto no = [] { return json::Object{{"supported", false}}; };
  json::Object bulk = no();
  bulk.set("maxOperations", 0);
  bulk.set("maxPayloadSize", 0);
  return json::Object{{"schemas", json::Array{provider_urn}},
                      {"patch", json::Object{{"supported", true}}},
                      {"bulk", std::move(bulk)},
                      {"filter", json::Object{{"supported", true}, {"maxResults", std::int64_t{max_page}}}},
                      {"changePassword", no()},
                      {"sort", no()},
                      {"etag", no()},
                      {"authenticationSchemes",
                       json::Array{json::Object{{"type", "oauthbearertoken"},
                                                {"name", "Bearer token"},
                                                {"description", "A token of this identity provider's [idp.scim] table"},
                                                {"primary", true}}}},
                      {"meta", meta("ServiceProviderConfig", std::string(base) + "/ServiceProviderConfig")}};
}

}  // namespace daypass::idp::scim
