// [idp.scim]: how a provider tells us of its people.
#include "config/tenant_keys.h"

namespace daypass::config {
namespace {

using I = core::IdpSpec;

void tokens(Reader& r, const Node& node, I& out) {
  auto list = r.strings(node, check::secret_ref, 4);
  if (!list) return;
  if (list->empty()) r.complain(node, "is empty", "make a token with: openssl rand -base64 32");
  out.scim.tokens = std::move(*list);
}

// The engine knows which attributes there are; what no path can look like is told with its line.
void subject(Reader& r, const Node& node, I& out) {
  const std::string* text = r.string(node);
  if (text == nullptr) return;
  constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:._-";
  if (text->empty() || text->size() > 256 || text->find_first_not_of(allowed) != std::string::npos)
    r.complain(node, "is no name of a SCIM attribute", "write \"externalId\" or \"userName\"");
  else
    out.scim.subject_from = *text;
}

void groups(Reader& r, const Node& node, I& out) {
  if (node.kind == Node::Kind::boolean)
    out.scim.groups = node.boolean;
  else
    r.wrong_type(node, "true or false");
}

constexpr auto keys = std::to_array<Key<I>>({
    {"tokens", "secrets", required, "[\"file:/etc/daypass/corp.scim\"]", tokens,
     "What the provider presents as its bearer token, at least 24 characters each, at most 4. They are read at each "
     "request: to change one, add the new one, set it at the provider, drop the old one."},
    {"subject",
     "attribute",
     {"\"externalId\""},
     "\"userName\"",
     subject,
     "The SCIM attribute that holds what sign-ins of the person have as their subject. A person is recognised by it "
     "alone, never by an e-mail address."},
    {"groups",
     "boolean",
     {"false"},
     "true",
     groups,
     "Whether the groups of a sign-in are those that the provider has put the person into by SCIM. Then claims say "
     "nothing of groups, and whom SCIM never named has none."},
});

}  // namespace

std::span<const Key<core::IdpSpec>> scim_keys() noexcept {
  return keys;
}

void read_scim(Reader& r, const Node& node, core::IdpSpec& out) {
  if (!r.table(node)) return;
  const std::string outer = std::exchange(r.where, "[idp.scim] of " + r.where);
  read_table(r, node, scim_keys(), out);
  r.where = outer;
}

void judge_scim(Reader& r, const Node& table, const std::set<std::string_view>& seen, core::IdpSpec& idp) {
  if (!idp.scim.groups) return;
  const Entry* groups = table.find("groups");
  if (seen.contains("groups") && !idp.groups_from.empty())
    r.problem(groups->value.place, r.where + " takes groups from a claim and from SCIM",
              "leave groups out, or drop groups = true of [idp.scim]");
  // What a preset says of claims.
  idp.groups_from.clear();
  idp.groups_pattern.clear();
}

}  // namespace daypass::config
