#include "cedar/schema.h"

#include <algorithm>
#include <map>

#include "cedar/schema_raw.h"
#include "cedar/schema_resolve.h"
#include "cedar/source.h"

namespace daypass::cedar {

using base::Code;
using base::Error;
using base::Result;

namespace {

// Who writes an attribute twice in the text gets the last one, as the official engine has it.
void drop_repeated(RawType& type) {
  for (RawType& element : type.element) drop_repeated(element);
  for (RawAttribute& attribute : type.attributes) drop_repeated(attribute.type);
  std::map<std::string_view, std::size_t> last;
  for (std::size_t i = 0; i < type.attributes.size(); ++i) last[type.attributes[i].name] = i;
  if (last.size() == type.attributes.size()) return;
  std::vector<RawAttribute> kept;
  for (std::size_t i = 0; i < type.attributes.size(); ++i)
    if (last.at(type.attributes[i].name) == i) kept.push_back(type.attributes[i]);
  type.attributes = std::move(kept);
}

void drop_repeated(RawSchema& schema) {
  for (RawNamespace& space : schema.namespaces) {
    for (RawCommon& common : space.commons) drop_repeated(common.type);
    for (RawEntity& entity : space.entities) {
      drop_repeated(entity.shape);
      if (entity.tags) drop_repeated(*entity.tags);
    }
    for (RawAction& action : space.actions)
      if (action.applies_to) drop_repeated(action.applies_to->context);
  }
}

std::shared_ptr<const Schema::Data> read(std::string_view text, std::string file, const SchemaOptions& options,
                                         bool as_json, std::vector<Diagnostic>& found) {
  if (!readable(text, file, options.max_bytes, "a schema", "", found)) return nullptr;
  const auto source = make_source(text, std::move(file));
  auto data = std::make_shared<Schema::Data>();
  const std::size_t most = std::max<std::size_t>(options.max_diagnostics, 1);
  SchemaProblems problems(source, most, found);
  SchemaProblems warnings(source, most, data->warnings);
  data->raw = as_json ? read_schema_json(problems, options) : read_schema_text(problems);
  drop_repeated(data->raw);
  if (found.empty()) resolve_schema(*data, problems, warnings, options);
  std::stable_sort(found.begin(), found.end(), [](const Diagnostic& a, const Diagnostic& b) {
    return std::pair(a.line, a.column) < std::pair(b.line, b.column);
  });
  // One name used twice in one place, e.g. by a declaration of several types, is one problem.
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found.empty() ? data : nullptr;
}

}  // namespace

void SchemaProblems::report(Span span, std::string check, std::string message, std::string hint) {
  ++count_;
  if (full()) return;
  out_.push_back(source_->diagnose(span, std::move(check), std::move(message), std::move(hint)));
}

bool is_schema_keyword(std::string_view name) noexcept {
  static constexpr std::string_view keywords[] = {"Bool", "Boolean", "Entity", "Extension",
                                                  "Long", "Record",  "Set",    "String"};
  return std::ranges::find(keywords, name) != std::end(keywords);
}

bool is_action_type(std::string_view type) noexcept {
  return type == "Action" || type.ends_with("::Action");
}

Schema::Schema() : data_(std::make_shared<Data>()) {}

Result<Schema> Schema::parse(std::string_view text, std::string file, const SchemaOptions& options,
                             std::vector<Diagnostic>* diagnostics) {
  std::vector<Diagnostic> found;
  auto data = read(text, std::move(file), options, false, found);
  if (data != nullptr) return Schema(std::move(data));
  if (diagnostics != nullptr) diagnostics->insert(diagnostics->end(), found.begin(), found.end());
  return error_of(found);
}

Result<Schema> Schema::parse_json(std::string_view text, std::string file, const SchemaOptions& options,
                                  std::vector<Diagnostic>* diagnostics) {
  std::vector<Diagnostic> found;
  auto data = read(text, std::move(file), options, true, found);
  if (data != nullptr) return Schema(std::move(data));
  if (diagnostics != nullptr) diagnostics->insert(diagnostics->end(), found.begin(), found.end());
  return error_of(found);
}

base::json::Value Schema::to_json() const {
  return write_schema_json(data_->raw);
}
Result<std::string> Schema::to_text() const {
  return write_schema_text(data_->raw);
}
std::span<const Diagnostic> Schema::warnings() const noexcept {
  return data_->warnings;
}
std::span<const EntityTypeInfo> Schema::entity_types() const noexcept {
  return data_->entities;
}
std::span<const ActionInfo> Schema::actions() const noexcept {
  return data_->actions;
}
const TypeTable& Schema::types() const noexcept {
  return data_->types;
}

const EntityTypeInfo* Schema::entity_type(std::string_view name) const noexcept {
  const auto found = data_->entity_index.find(std::string(name));
  return found == data_->entity_index.end() ? nullptr : &data_->entities[found->second];
}

const ActionInfo* Schema::action(const EntityUid& uid) const noexcept {
  const auto found = data_->action_index.find(uid);
  return found == data_->action_index.end() ? nullptr : &data_->actions[found->second];
}

bool Schema::may_be_in(std::string_view descendant, std::string_view ancestor) const noexcept {
  if (descendant == ancestor) return true;
  const EntityTypeInfo* below = entity_type(descendant);
  const auto above = data_->entity_index.find(std::string(ancestor));
  return below != nullptr && above != data_->entity_index.end() &&
         std::binary_search(below->ancestors.begin(), below->ancestors.end(), above->second);
}

bool Schema::action_in(const ActionInfo& descendant, const ActionInfo& ancestor) const noexcept {
  const auto index = static_cast<std::uint32_t>(&ancestor - data_->actions.data());
  return &descendant == &ancestor ||
         std::binary_search(descendant.ancestors.begin(), descendant.ancestors.end(), index);
}

}  // namespace daypass::cedar
