#include "cedar/policy.h"

#include <algorithm>

#include "base/encoding.h"
#include "cedar/parser.h"
#include "cedar/source.h"

namespace daypass::cedar {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t window = 120;  // code points of a source line that are shown

bool continues(char c) noexcept {
  return (static_cast<unsigned char>(c) & 0xc0U) == 0x80U;
}

// The code points of `line`, each as its bytes. What would move or hide text on a terminal becomes U+FFFD.
std::vector<std::string> shown(std::string_view line) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < line.size();) {
    std::size_t n = 1;
    while (i + n < line.size() && continues(line[i + n])) ++n;
    const std::string_view c = line.substr(i, n);
    i += n;
    const auto byte = static_cast<unsigned char>(c.front());
    const bool c1 = c.size() == 2 && byte == 0xc2 && static_cast<unsigned char>(c[1]) < 0xa0;
    const bool bidi = (c >= "\u200b" && c <= "\u200f") || (c >= "\u2028" && c <= "\u202e") ||
                      (c >= "\u2060" && c <= "\u206f") || c == "\ufeff" || c == "\u061c";
    if (c == "\t")
      out.emplace_back(" ");
    else if (byte < 0x20 || byte == 0x7f || c1 || bidi)
      out.emplace_back("\ufffd");
    else
      out.emplace_back(c);
  }
  return out;
}

std::string_view line_of(std::string_view text, std::uint32_t line) noexcept {
  for (std::uint32_t at = 1; at < line; ++at) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find('\n'));
}

}  // namespace

std::string_view to_string(Effect effect) noexcept {
  return effect == Effect::permit ? "permit" : "forbid";
}

std::string render(const Diagnostic& diagnostic, std::string_view source_text) {
  std::string out = diagnostic.file + ":" + std::to_string(diagnostic.line) + ":" + std::to_string(diagnostic.column) +
                    ": " + diagnostic.message + "\n";
  const auto line = shown(line_of(source_text, diagnostic.line));
  const std::size_t column = diagnostic.column - 1;
  const std::size_t from = column > window / 2 && line.size() > window ? column - window / 2 : 0;
  const std::size_t to = std::min(line.size(), from + window);
  if (!line.empty()) {
    out += "  ";
    for (std::size_t i = from; i < to; ++i) out += line[i];
    out += "\n  ";
    out.append(column - from, ' ');
    const std::size_t room = to > column ? to - column : 1;
    out.append(std::clamp<std::size_t>(diagnostic.length, 1, room), '^');
    out += '\n';
  }
  if (!diagnostic.hint.empty()) out += "  hint: " + diagnostic.hint + "\n";
  return out;
}

const std::string* Policy::annotation(std::string_view key) const noexcept {
  const auto found = data_->annotations.find(key);
  return found == data_->annotations.end() ? nullptr : &found->second;
}

bool Policy::is_bare_annotation(std::string_view key) const noexcept {
  return std::ranges::find(data_->bare_annotations, key) != data_->bare_annotations.end();
}

const SlotValues& Policy::slots() const noexcept {
  static const SlotValues none;
  return link_ ? link_->slots : none;
}

Result<PolicySet> PolicySet::parse(std::string_view text, std::string file, const ParseOptions& options,
                                   std::vector<Diagnostic>* diagnostics) {
  PolicySet set;
  DP_CHECK(set.add(text, std::move(file), options, diagnostics));
  return set;
}

namespace {

// Ids by `@id`: shown to people and written into logs, hence the limits.
std::string bad_id(const std::string& id) {
  if (id.empty()) return "a policy id must not be empty";
  if (id.size() > 128) return "a policy id has at most 128 bytes";
  const bool control =
      std::ranges::any_of(id, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  return control ? "a policy id holds no control characters" : "";
}

}  // namespace

const Policy* PolicySet::insert(Policy policy) {
  std::vector<Policy>& list = policy.is_template() ? templates_ : policies_;
  const Where next{policy.is_template(), static_cast<std::uint32_t>(list.size())};
  const auto [found, unique] = by_id_.try_emplace(policy.id(), next);
  if (!unique) return &at(found->second);
  links_ += policy.template_id() != nullptr ? 1U : 0U;
  list.push_back(std::move(policy));
  return nullptr;
}

Status PolicySet::add(std::string_view text, std::string file, const ParseOptions& options,
                      std::vector<Diagnostic>* diagnostics) {
  std::vector<Diagnostic> found;
  ParsedText parsed = parse_policies(text, std::move(file), options, policies_.size() + templates_.size(), found);
  const std::size_t policies_before = policies_.size();
  const std::size_t templates_before = templates_.size();
  const std::size_t first_number = numbered();
  std::size_t count = 0;
  for (auto& data : parsed.policies) {
    const auto named = data->annotations.find("id");
    const bool by_annotation = options.ids_from_annotation && named != data->annotations.end();
    const std::string numbered = "policy" + std::to_string(first_number + count++);
    const Policy fresh(by_annotation ? named->second : numbered, data);
    std::string wrong = by_annotation ? bad_id(fresh.id()) : "";
    std::string check = "cedar.bad_id";
    if (const Policy* other = insert(fresh); wrong.empty() && other != nullptr) {
      wrong =
          "the policy id " + quote(fresh.id()) + " is taken by " + other->file() + ":" + std::to_string(other->line());
      check = "cedar.duplicate_id";
    }
    if (wrong.empty() || found.size() >= std::max<std::size_t>(options.max_diagnostics, 1)) continue;
    found.push_back({fresh.file(), fresh.line(), fresh.column(), std::move(check), std::move(wrong),
                     "give each policy an @id of its own", 1});
  }
  if (found.empty()) return {};
  std::erase_if(by_id_, [&](const auto& entry) {
    return entry.second.index >= (entry.second.among_templates ? templates_before : policies_before);
  });
  policies_.erase(policies_.begin() + static_cast<std::ptrdiff_t>(policies_before), policies_.end());
  templates_.erase(templates_.begin() + static_cast<std::ptrdiff_t>(templates_before), templates_.end());
  Error error = error_of(found);
  if (diagnostics != nullptr)
    diagnostics->insert(diagnostics->end(), std::make_move_iterator(found.begin()),
                        std::make_move_iterator(found.end()));
  return error;
}

Status PolicySet::link(std::string_view template_id, std::string id, const SlotValues& slots) {
  const Policy* source = find_template(template_id);
  if (source == nullptr) {
    const bool is_policy = find(template_id) != nullptr;
    return Error{
        Code::invalid, "cedar.unknown_template",
        (is_policy ? "no template but a policy without slots: " : "there is no template ") + quote(template_id),
        "a link names a template of the same set"};
  }
  const std::pair<const char*, const ScopeTest*> heads[] = {{"?principal", &source->principal()},
                                                            {"?resource", &source->resource()}};
  const auto about = [&](std::string_view slot) {
    return std::string(slot) + " in the link " + quote(id) + " of " + quote(template_id);
  };
  for (const auto& [slot, test] : heads)
    if (test->slot && !slots.contains(slot))
      return Error{Code::invalid, "cedar.missing_slot", "nothing given for " + about(slot)};
  for (const auto& [slot, uid] : slots) {
    const bool known =
        std::ranges::any_of(heads, [&](const auto& head) { return head.first == slot && head.second->slot; });
    if (!known) return Error{Code::invalid, "cedar.extra_slot", "the template has no slot " + about(slot)};
  }
  auto link = std::make_shared<Policy::Link>();
  link->template_id = std::string(template_id);
  link->slots = slots;
  const auto filled = [&](const auto& head) {
    ScopeTest test = *head.second;
    if (!test.slot) return test;
    test.entities = {slots.at(head.first)};
    test.slot = false;
    return test;
  };
  link->principal = filled(heads[0]);
  link->resource = filled(heads[1]);
  Policy linked(std::move(id), source->data_);
  linked.link_ = std::move(link);
  if (insert(linked) == nullptr) return {};
  return Error{Code::invalid, "cedar.duplicate_id", "the id " + quote(linked.id()) + " is taken",
               "a link needs an id that no policy, template or link has"};
}

const Policy* PolicySet::find(std::string_view id) const noexcept {
  const auto found = by_id_.find(id);
  return found == by_id_.end() || found->second.among_templates ? nullptr : &at(found->second);
}

const Policy* PolicySet::find_template(std::string_view id) const noexcept {
  const auto found = by_id_.find(id);
  return found == by_id_.end() || !found->second.among_templates ? nullptr : &at(found->second);
}

}  // namespace daypass::cedar
