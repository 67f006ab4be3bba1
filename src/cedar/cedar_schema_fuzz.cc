// Any bytes as schema text. What is read must survive being written, in both formats, and hold up under the validator.
// parses: cedar/schema_parser.cc
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cedar/cedar.h"

namespace {

using namespace daypass::cedar;

void require(bool condition) {
  if (!condition) std::abort();
}

bool alike(const Schema& a, const Schema& b) {
  if (a.entity_types().size() != b.entity_types().size() || a.actions().size() != b.actions().size()) return false;
  for (const EntityTypeInfo& one : a.entity_types()) {
    const EntityTypeInfo* other = b.entity_type(one.name);
    if (other == nullptr || one.choices != other->choices || one.ancestors != other->ancestors ||
        a.types().to_string(one.attributes) != b.types().to_string(other->attributes))
      return false;
  }
  for (const ActionInfo& one : a.actions()) {
    const ActionInfo* other = b.action(one.uid);
    if (other == nullptr || a.types().to_string(one.context) != b.types().to_string(other->context)) return false;
  }
  return true;
}

const PolicySet& policies() {
  static const PolicySet set =
      PolicySet::parse(
          "permit(principal, action, resource) when { principal has a && principal.a == resource && context.b };"
          "forbid(principal is A, action in [Action::\"a\", N::Action::\"b\"], resource in A::\"x\") unless { "
          "principal.hasTag(\"t\") && [principal.getTag(\"t\")].contains(1) || resource has x.y.z };",
          "p")
          .value();
  return set;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<Diagnostic> diagnostics;
  const auto schema = Schema::parse(text, "fuzz", {}, &diagnostics);
  require(schema.ok() == diagnostics.empty());
  for (const Diagnostic& one : diagnostics) {
    require(!one.check.empty() && !one.message.empty() && one.line > 0 && one.column > 0);
    require(!render(one, text).empty());
  }
  if (!schema.ok()) return 0;

  const auto written = schema->to_text();
  // Only a name that is both an entity's and a common type's has no spelling.
  require(written.ok() || written.error().check == "cedar.schema_unwritable");
  if (written.ok()) {
    const auto again = Schema::parse(*written, "again");
    require(again.ok() && alike(*schema, *again) && *again->to_text() == *written);
  }
  const std::string json = daypass::base::json::dump(schema->to_json());
  const auto from_json = Schema::parse_json(json, "json");
  require(from_json.ok() && alike(*schema, *from_json) && daypass::base::json::dump(from_json->to_json()) == json);
  (void)validate(policies(), *schema, {.max_level = 1, .max_problems = 10});
  return 0;
}
