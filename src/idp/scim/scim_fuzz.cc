// Hostile filters, paths, resources and patches, chosen by an odd first byte. What is taken is canonical, and stays so
// when it is read again; a filter says the same of a resource each time it is asked.
// parses: idp/scim/filter.cc idp/scim/patch.cc idp/scim/resource.cc
#include <cstdint>
#include <string_view>

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
  switch ((data[0] >> 1U) & 3U) {
    case 0: {
      const auto filter = scim::Filter::parse(kind, text);
      if (!filter.ok()) return 0;
      DP_ASSERT(filter->matches(person()) == filter->matches(person()));
      // What must equal something else matches nobody.
      if (const auto id = filter->must_equal("id"); id && !id->empty()) DP_ASSERT(!filter->matches(person()));
      return 0;
    }
    case 1: {
      const auto path = scim::parse_path(kind, text);
      if (path.ok() && path->kept()) DP_ASSERT(path->attribute != nullptr || path->schema->extension);
      static_cast<void>(scim::parse_subject_path(text));
      return 0;
    }
    case 2: {
      const auto body = json::parse(text, scim::body_limits);
      if (!body.ok()) return 0;
      const auto resource = scim::read_resource(kind, *body);
      if (resource.ok()) canonical(kind, *resource);
      static_cast<void>(scim::read_members(body->find("members"), 1000));
      return 0;
    }
    default: {
      const auto body = json::parse(text, scim::body_limits);
      if (!body.ok()) return 0;
      const auto patch = scim::parse_patch(kind, *body, 1000);
      if (!patch.ok()) return 0;
      DP_ASSERT(patch->members.said.size() <= 1000);
      const auto before = kind == scim::Kind::user ? person() : json::Object{{"displayName", "data"}};
      const auto after = scim::apply(kind, before, *patch);
      if (after.ok()) canonical(kind, *after);
      return 0;
    }
  }
}
