// Any bytes as a schema in JSON. What is read must survive being written.
// parses: cedar/schema_json.cc
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cedar/cedar.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace daypass::cedar;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<Diagnostic> diagnostics;
  const auto schema = Schema::parse_json(text, "fuzz", {}, &diagnostics);
  require(schema.ok() == diagnostics.empty());
  for (const Diagnostic& one : diagnostics) {
    require(!one.check.empty() && !one.message.empty() && one.line > 0 && one.column > 0);
    require(!render(one, text).empty());
  }
  if (!schema.ok()) return 0;
  const std::string json = daypass::base::json::dump(schema->to_json());
  const auto again = Schema::parse_json(json, "again");
  require(again.ok() && daypass::base::json::dump(again->to_json()) == json);
  const auto written = schema->to_text();
  require(written.ok() || written.error().check == "cedar.schema_unwritable");
  if (!written.ok()) return 0;
  const auto from_text = Schema::parse(*written, "text");
  require(from_text.ok());
  require(from_text->entity_types().size() == schema->entity_types().size());
  require(from_text->actions().size() == schema->actions().size());
  return 0;
}
