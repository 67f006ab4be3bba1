// Text that may deceive a reader of a policy: letters of several scripts in one word, and what turns text around.
#include <algorithm>
#include <optional>

#include "cedar/validate_impl.h"
#include "cedar/validate_unicode.h"

namespace daypass::cedar {
namespace {

// Text is UTF-8 by the time it gets here.
std::uint32_t next_code_point(std::string_view& text) noexcept {
  const auto lead = static_cast<unsigned char>(text.front());
  const std::size_t length = lead < 0x80 ? 1U : lead < 0xe0 ? 2U : lead < 0xf0 ? 3U : 4U;
  std::uint32_t out = length == 1 ? lead : lead & (0x7fU >> length);
  for (std::size_t i = 1; i < length && i < text.size(); ++i)
    out = out << 6U | (static_cast<unsigned char>(text[i]) & 0x3fU);
  text.remove_prefix(std::min(length, text.size()));
  return out;
}

bool is_bidi(std::uint32_t c) noexcept {
  return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

std::string_view scripts_of(std::uint32_t c) noexcept {
  const auto all = unicode::scripts();
  const auto after = std::upper_bound(all.begin(), all.end(), c,
                                      [](std::uint32_t value, const auto& range) { return value < range.first; });
  return unicode::script_set(std::prev(after)->set);
}

bool is_allowed(std::uint32_t c) noexcept {
  const auto all = unicode::allowed();
  return (std::upper_bound(all.begin(), all.end(), c) - all.begin()) % 2 == 1;
}

// UTS 39 section 5.1: some script covers every character.
bool is_single_script(std::string_view text) {
  std::optional<std::string> shared;  // none yet: all of them
  while (!text.empty()) {
    const std::string_view here = scripts_of(next_code_point(text));
    if (here.empty()) continue;
    if (!shared) {
      shared = std::string(here);
      continue;
    }
    std::erase_if(*shared, [&](char script) { return here.find(script) == std::string_view::npos; });
    if (shared->empty()) return false;
  }
  return true;
}

class StringChecker {
 public:
  explicit StringChecker(std::vector<TypeProblem>& warnings) : warnings_(warnings) {}

  void string(Span at, std::string_view text) {
    if (has_bidi(text))
      warn(at, "bidi", "a string with characters that turn text around", turned);
    else if (!is_single_script(text))
      warn(at, "mixed_script", "a string with letters of different scripts", mixed);
  }

  void name(Span at, std::string_view text) {
    if (has_bidi(text)) return warn(at, "bidi_name", "a name with characters that turn text around", turned);
    for (std::string_view rest = text; !rest.empty();) {
      const std::uint32_t c = next_code_point(rest);
      if ((c >= 0x20 && c < 0x7f) || is_allowed(c)) continue;
      return warn(at, "confusable_name", "a name with a character that names do not have: " + shown(c),
                  "choose letters, digits or punctuation instead");
    }
    if (!is_single_script(text)) warn(at, "mixed_script_name", "a name with letters of different scripts", mixed);
  }

 private:
  static constexpr std::string_view mixed = "some of them look like others; type the word anew";
  static constexpr std::string_view turned = "what is shown may not be what it says; remove them";

  static bool has_bidi(std::string_view text) {
    while (!text.empty())
      if (is_bidi(next_code_point(text))) return true;
    return false;
  }
  static std::string shown(std::uint32_t c) {
    static constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    for (; c > 0 || out.size() < 4; c >>= 4U) out.insert(out.begin(), digits[c & 15U]);
    return "U+" + out;
  }
  void warn(Span at, std::string_view check, std::string message, std::string_view hint) {
    warnings_.push_back({at, "cedar." + std::string(check), std::move(message), std::string(hint)});
  }

  std::vector<TypeProblem>& warnings_;
};

}  // namespace

void check_strings(const PolicyTerms& policy, std::vector<TypeProblem>& warnings) {
  StringChecker checker(warnings);
  const ExprTree& tree = policy.tree;
  for (ExprId e = 0; e < tree.size(); ++e) {
    const Span at = tree.span(e);
    switch (tree.op(e)) {
      case Op::literal:
        if (const std::string* text = tree.value(e).as_string()) checker.string(at, *text);
        if (const EntityUid* uid = tree.value(e).as_entity()) checker.name(at, uid->id);
        break;
      case Op::get_attr:
      case Op::has:
      case Op::record:
        for (const std::string& name : tree.names(e)) checker.name(at, name);
        break;
      case Op::like: {
        std::string text;
        for (const std::string& segment : tree.pattern(e).segments) text += segment;
        checker.string(at, text);
        break;
      }
      default:
        break;
    }
  }
}

}  // namespace daypass::cedar
