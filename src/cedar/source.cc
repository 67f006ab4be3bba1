#include "cedar/source.h"

#include <algorithm>

#include "base/utf8.h"

namespace daypass::cedar {
namespace {

std::size_t code_points(std::string_view text) noexcept {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }));
}

/// The length of the longest prefix that is UTF-8.
std::size_t good_prefix(std::string_view text) noexcept {
  std::size_t good = 0;
  while (good < text.size()) {
    if (static_cast<unsigned char>(text[good]) < 0x80) {  // most of every policy, not worth a call
      ++good;
      continue;
    }
    const base::Utf8Step step = base::utf8_step(text.substr(good));
    if (!step.good) break;
    good += step.bytes;
  }
  return good;
}

}  // namespace

Source::Place Source::place(std::uint32_t offset) const noexcept {
  const auto after = std::upper_bound(line_starts.begin(), line_starts.end(), offset);
  const auto line = static_cast<std::uint32_t>(after - line_starts.begin());
  const std::uint32_t start = line == 0 ? 0 : *std::prev(after);
  const auto column = code_points(std::string_view(text).substr(start, offset - start));
  return {std::max(line, 1U), static_cast<std::uint32_t>(column) + 1};
}

std::string_view Source::slice(Span span) const noexcept {
  return std::string_view(text).substr(span.begin, span.end - span.begin);
}

Diagnostic Source::diagnose(Span span, std::string check, std::string message, std::string hint) const {
  const auto [line, column] = place(span.begin);
  const std::string_view marked = slice(span);
  const auto length = static_cast<std::uint32_t>(code_points(marked.substr(0, marked.find('\n'))));
  return {file, line, column, std::move(check), std::move(message), std::move(hint), std::max(length, 1U)};
}

std::shared_ptr<Source> make_source(std::string_view text, std::string file) {
  auto source = std::make_shared<Source>();
  source->file = std::move(file);
  source->text = std::string(text);
  source->line_starts.push_back(0);
  for (std::size_t i = text.find('\n'); i != std::string_view::npos; i = text.find('\n', i + 1))
    source->line_starts.push_back(static_cast<std::uint32_t>(i + 1));
  return source;
}

bool readable(std::string_view text, const std::string& file, std::size_t max_bytes, const std::string& what,
              const std::string& smaller, std::vector<Diagnostic>& found) {
  if (text.size() > std::min<std::size_t>(max_bytes, UINT32_MAX - 1)) {
    found.push_back(
        {file, 1, 1, "cedar.too_large",
         what + " of " + std::to_string(text.size()) + " bytes; at most " + std::to_string(max_bytes) + " are read",
         smaller, 1});
    return false;
  }
  const std::size_t good = good_prefix(text);
  if (good == text.size()) return true;
  const auto [line, column] = make_source(text, file)->place(static_cast<std::uint32_t>(good));
  found.push_back({file, line, column, "cedar.utf8", "not UTF-8", "save the file as UTF-8", 1});
  return false;
}

base::Error error_of(const std::vector<Diagnostic>& found) {
  const Diagnostic& first = found.front();
  std::string message =
      first.file + ":" + std::to_string(first.line) + ":" + std::to_string(first.column) + ": " + first.message;
  if (found.size() > 1) message += " (and " + std::to_string(found.size() - 1) + " more)";
  return {base::Code::invalid, first.check, std::move(message), first.hint};
}

}  // namespace daypass::cedar
