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

Status PolicySet::add(std::string_view text, std::string file, const ParseOptions& options,
                      std::vector<Diagnostic>* diagnostics) {
  std::vector<Diagnostic> found;
  ParsedText parsed = parse_policies(text, std::move(file), options, policies_.size(), found);
  const std::size_t before = policies_.size();
  for (auto& data : parsed.policies) {
    const auto named = data->annotations.find("id");
    const bool by_annotation = options.ids_from_annotation && named != data->annotations.end();
    std::string id = by_annotation ? named->second : "policy" + std::to_string(policies_.size());
    std::string wrong = by_annotation ? bad_id(id) : "";
    std::string check = "cedar.bad_id";
    const auto [at, unique] = by_id_.try_emplace(id, static_cast<std::uint32_t>(policies_.size()));
    if (wrong.empty() && !unique) {
      const Policy& other = policies_[at->second];
      wrong = "the policy id " + quote(id) + " is taken by " + other.file() + ":" + std::to_string(other.line());
      check = "cedar.duplicate_id";
    }
    policies_.emplace_back(std::move(id), std::move(data));
    const Policy& fresh = policies_.back();
    if (wrong.empty() || found.size() >= std::max<std::size_t>(options.max_diagnostics, 1)) continue;
    found.push_back({fresh.file(), fresh.line(), fresh.column(), std::move(check), std::move(wrong),
                     "give each policy an @id of its own", 1});
  }
  if (found.empty()) return {};
  std::erase_if(by_id_, [&](const auto& entry) { return entry.second >= before; });
  policies_.erase(policies_.begin() + static_cast<std::ptrdiff_t>(before), policies_.end());
  Error error = error_of(found);
  if (diagnostics != nullptr)
    diagnostics->insert(diagnostics->end(), std::make_move_iterator(found.begin()),
                        std::make_move_iterator(found.end()));
  return error;
}

const Policy* PolicySet::find(std::string_view id) const noexcept {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &policies_[found->second];
}

}  // namespace daypass::cedar
