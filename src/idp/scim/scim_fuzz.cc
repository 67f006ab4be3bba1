// Hostile filters, paths, resources, patches and projections, chosen by an odd first byte. What is taken is canonical,
// and stays so when it is read again; a filter says the same of a resource each time it is asked; what is shown of a
// resource is what was asked for.
// parses: idp/scim/filter.cc idp/scim/patch.cc idp/scim/resource.cc
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "idp/scim/limits.h"
#include "idp/scim/patch.h"
#include "idp/scim/resource.h"

namespace scim = daypass::idp::scim;
namespace json = daypass::base::json;

namespace {

const json::Object& person() {
  static const json::Object who =
      scim::read_resource(scim::Kind::user,
                          json::parse(R"({"userName":"Dana@corp.example","externalId":"00u1","active":true,
      "name":{"givenName":"Dana","familyName":"Díaz"},
      "emails":[{"value":"dana@corp.example","type":"work","primary":true},{"value":"d@home.example","type":"home"}],
      "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"data","employeeNumber":"7"}})")
                              .value())
          .value();
  return who;
}

// As a filter sees it: with its id and its members.
const json::Object& group() {
  static const json::Object it{{"id", "sg_1"},
                               {"displayName", "data"},
                               {"externalId", "8aa1"},
                               {"members", json::Array{json::Object{{"value", "su_1"}}}}};
  return it;
}

// Few, so that there can be too many of them.
constexpr std::size_t most_members = 8;

template <class T>
bool taken(const daypass::base::Result<T>& read) {
  if (!read.ok()) DP_ASSERT(read.error().check.starts_with("scim.") && !read.error().message.empty());
  return read.ok();
}

void ask(scim::Kind kind, const scim::Filter& filter) {
  const json::Object& one = kind == scim::Kind::user ? person() : group();
  const bool matched = filter.matches(one);
  DP_ASSERT(filter.matches(one) == matched);
  // What must equal something else matches nobody.
  if (const auto id = filter.must_equal("id"); id && *id != scim::text_of(one, "id") && !id->empty())
    DP_ASSERT(!matched);
  for (const std::string_view name : {"userName", "displayName"}) {
    const auto must = filter.must_equal(name);
    if (!must) continue;
    DP_ASSERT(filter.mentions(name));
    if (matched) DP_ASSERT(scim::same_word(*must, scim::text_of(one, name)));
  }
}

// All that is shown of it reads back to the same; of a projection, what it asks for and nothing else.
void show(scim::Kind kind, const std::optional<std::string>& only, const std::optional<std::string>& without) {
  const auto projection = scim::Projection::parse(only, without);
  if (!taken(projection)) return;
  DP_ASSERT(projection->only.empty() || projection->without.empty());
  const bool user = kind == scim::Kind::user;
  const json::Object one = user ? person() : json::Object{{"displayName", "data"}, {"externalId", "8aa1"}};
  const std::vector<std::string> members{"su_1", "su_2"};
  const auto shown_by = [&](const scim::Projection& p) {
    return scim::view(kind, one, {.id = "s_1"}, user ? nullptr : &members, "https://gate.example/scim", p);
  };
  const json::Object all = shown_by({}), part = shown_by(*projection);
  DP_ASSERT(scim::read_resource(kind, json::Value(all)).value() == one);
  if (!user) DP_ASSERT(scim::read_members(all.find("members"), 2).value() == members);
  for (const auto& [name, value] : all) {
    const json::Value* there = part.find(name);
    const bool asked = name == "schemas" || name == "id" || projection->shows(name);
    DP_ASSERT(asked ? there != nullptr && *there == value : there == nullptr);
  }
  DP_ASSERT(part.size() <= all.size());
}

void canonical(scim::Kind kind, const json::Object& resource) {
  const auto again = scim::read_resource(kind, json::Value(resource));
  DP_ASSERT(again.ok() && *again == resource);
  DP_ASSERT(json::dump(resource).size() <= scim::max_resource_bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  const scim::Kind kind = (data[0] & 1U) != 0 ? scim::Kind::group : scim::Kind::user;
  if ((data[0] & 8U) != 0) {
    // attributes and excludedAttributes, a line each.
    const std::size_t end = std::min(text.find('\n'), text.size());
    const auto list = [](std::string_view line) {
      return line.empty() ? std::nullopt : std::optional(std::string(line));
    };
    show(kind, list(text.substr(0, end)), list(text.substr(std::min(end + 1, text.size()))));
    return 0;
  }
  switch ((data[0] >> 1U) & 3U) {
    case 0: {
      const auto filter = scim::Filter::parse(kind, text);
      if (taken(filter)) ask(kind, *filter);
      return 0;
    }
    case 1: {
      const auto path = scim::parse_path(kind, text);
      if (taken(path) && path->kept()) {
        DP_ASSERT(path->attribute != nullptr || path->schema->extension);
        // What brackets make a value of, they match.
        const auto made = path->where == nullptr ? std::nullopt : path->where->as_value();
        if (made) DP_ASSERT(path->where->matches_value(*made));
      }
      if (const auto subject = scim::parse_subject_path(text); taken(subject)) {
        const json::Value* value = scim::at(person(), *subject);
        DP_ASSERT(value == nullptr || value->as_string() != nullptr);
      }
      return 0;
    }
    case 2: {
      const auto body = json::parse(text, scim::body_limits);
      if (!body.ok()) return 0;
      const auto resource = scim::read_resource(kind, *body);
      if (taken(resource)) canonical(kind, *resource);
      if (const auto members = scim::read_members(body->find("members"), most_members); taken(members))
        DP_ASSERT(members->size() <= most_members);
      return 0;
    }
    default: {
      const auto body = json::parse(text, scim::body_limits);
      if (!body.ok()) return 0;
      const auto patch = scim::parse_patch(kind, *body, most_members);
      if (!taken(patch)) return 0;
      DP_ASSERT(patch->members.said.size() <= most_members);
      const auto before = kind == scim::Kind::user ? person() : json::Object{{"displayName", "data"}};
      const auto after = scim::apply(kind, before, *patch);
      if (taken(after)) canonical(kind, *after);
      return 0;
    }
  }
}
