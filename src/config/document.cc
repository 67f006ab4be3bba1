#include "config/document.h"

#include <algorithm>

#include "base/encoding.h"
#include "config/checks.h"

// The library's own assertions would abort the process on some malformed texts (3.3.0: "[%"), or, with NDEBUG, become
// promises to the optimizer. Here a broken one ends the parsing.
#undef NDEBUG
namespace daypass::config {
namespace {
struct LibraryBug {
  std::string_view what;
};
inline void library_assert(bool held, std::string_view what) {
  // What follows this one in the library is a proper error with its place.
  if (held || what == "is_bare_key_character(*cp) || is_string_delimiter(*cp)") return;
  throw LibraryBug{what};
}
}  // namespace
}  // namespace daypass::config
#define TOML_ASSERT(expr) ::daypass::config::library_assert(static_cast<bool>(expr), #expr)

// Deeper nesting than any key needs only serves to exhaust the stack.
#define TOML_EXCEPTIONS 0
#define TOML_MAX_NESTED_VALUES 16
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

namespace daypass::config {
namespace {

// The library bounds the nesting of values but not of dotted keys: "a.a.a.…" builds a table per dot and unwinds them
// recursively, and each reuse of a dotted table searches a list of all of them. Both are bounded here, beforehand.
constexpr std::size_t max_dots_per_line = 24;
constexpr std::size_t max_dots = 10'000;

// Walks over strings and comments as TOML defines them and counts the dots between. Where the text is malformed it may
// stop early: the parser stops at the same byte.
class Scan {
 public:
  Scan(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  std::vector<Problem> run() {
    while (at_ < text_.size() && !stopped_) {
      const char c = text_[at_];
      if (c == '"' || c == '\'') {
        skip_string(c);
      } else if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else {
        if (c == '\n') new_line();
        if (c == '.') dot();
        ++at_;
      }
    }
    return std::move(problems_);
  }

 private:
  void new_line() {
    ++line_;
    dots_here_ = 0;
  }
  void dot() {
    ++dots_;
    if (++dots_here_ > max_dots_per_line || dots_ > max_dots) {
      stopped_ = true;
      problems_.push_back({file_, line_, 0, "too many dotted keys", "write the key under a [section] of its own"});
    }
  }
  void skip_string(char quote) {
    const std::string triple(3, quote);
    const bool multi = text_.substr(at_, 3) == triple;
    at_ += multi ? 3 : 1;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\n') {
        if (!multi) break;  // unterminated: the parser refuses it here
        new_line();
      } else if (c == '\\' && quote == '"') {
        ++at_;
        if (at_ < text_.size() && text_[at_] == '\n') new_line();
      } else if (c == quote) {
        if (!multi) {
          ++at_;
          return;
        }
        if (text_.substr(at_, 3) == triple) {
          at_ += 3;
          for (int extra = 0; extra < 2 && at_ < text_.size() && text_[at_] == quote; ++extra) ++at_;
          return;
        }
      }
      ++at_;
    }
    stopped_ = true;
  }

  std::string_view text_;
  const std::string& file_;
  std::vector<Problem> problems_;
  std::size_t at_ = 0, line_ = 1, dots_ = 0, dots_here_ = 0;
  bool stopped_ = false;
};

Place place_of(const ::toml::source_region& region) {
  return {region.begin.line, region.begin.column};
}

class Converter {
 public:
  Converter(const std::string& file, std::vector<Problem>& problems) : file_(file), problems_(problems) {}

  Node convert(const ::toml::node& from, std::size_t depth) {
    Node out;
    out.place = place_of(from.source());
    if (failed_) return out;
    if (depth > max_depth) return fail(out, "values are nested too deeply");
    if (++nodes_ > max_nodes) return fail(out, "too many values in one file");
    if (const auto* table = from.as_table()) {
      for (const auto& [key, value] : *table)
        out.entries.push_back({std::string(key.str()), place_of(key.source()), convert(value, depth + 1)});
      // The library keeps keys sorted by name; problems are told in the order of the text.
      std::stable_sort(out.entries.begin(), out.entries.end(),
                       [](const Entry& a, const Entry& b) { return a.place < b.place; });
    } else if (const auto* array = from.as_array()) {
      out.kind = Node::Kind::array;
      for (const auto& item : *array) out.items.push_back(convert(item, depth + 1));
    } else if (const auto* s = from.as_string()) {
      out.kind = Node::Kind::string;
      out.text = s->get();
    } else if (const auto* i = from.as_integer()) {
      out.kind = Node::Kind::integer;
      out.integer = i->get();
    } else if (const auto* b = from.as_boolean()) {
      out.kind = Node::Kind::boolean;
      out.boolean = b->get();
    } else {
      out.kind = from.is_floating_point() ? Node::Kind::number : Node::Kind::date;
    }
    return out;
  }

 private:
  Node fail(const Node& at, std::string message) {
    failed_ = true;
    problems_.push_back({file_, at.place.line, at.place.column, std::move(message), {}});
    return {};
  }
  const std::string& file_;
  std::vector<Problem>& problems_;
  std::size_t nodes_ = 0;
  bool failed_ = false;
};

// The library quotes numbers that it can't hold. A secret made of digits that lost its quotes must not be shown.
std::string without_numbers(std::string text) {
  const auto numeric = [](char c) {
    return (c >= '0' && c <= '9') || std::string_view("abcdefABCDEF_+-.xoPp").find(c) != std::string_view::npos;
  };
  for (std::size_t open = text.find('\''); open != std::string::npos;) {
    const std::size_t close = text.find('\'', open + 1);
    if (close == std::string::npos) break;
    const std::string_view inside = std::string_view(text).substr(open + 1, close - open - 1);
    if (inside.size() > 5 && std::all_of(inside.begin(), inside.end(), numeric)) {
      text.replace(open + 1, inside.size(), "…");
      open = text.find('\'', open + 1);
    } else {
      open = close;
    }
    open = open == std::string::npos ? open : text.find('\'', open + 1);
  }
  return text;
}

std::optional<Problem> refuse_bytes(std::string_view text, const std::string& file) {
  if (text.size() > max_file_bytes)
    return Problem{file, 0, 0,
                   "the file has " + std::to_string(text.size()) + " bytes, more than the " +
                       std::to_string(max_file_bytes) + " that are read",
                   "split it"};
  if (!base::is_utf8(text)) return Problem{file, 0, 0, "the file is not UTF-8", "save it as UTF-8"};
  std::size_t line = 1;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == '\n') ++line;
    const bool crlf = c == '\r' && i + 1 < text.size() && text[i + 1] == '\n';
    // TOML 1.0 forbids them too; here they also keep Scan and the parser in step.
    if ((c < 0x20 && c != '\t' && c != '\n' && !crlf) || c == 0x7f)
      return Problem{file, line, 0, "a control character that TOML does not allow", "remove it"};
  }
  return std::nullopt;
}

}  // namespace

const Entry* Node::find(std::string_view key) const noexcept {
  for (const auto& entry : entries)
    if (entry.key == key) return &entry;
  return nullptr;
}

std::string_view to_string(Node::Kind kind) noexcept {
  switch (kind) {
    case Node::Kind::string:
      return "a string";
    case Node::Kind::integer:
      return "an integer";
    case Node::Kind::number:
      return "a number with a fraction";
    case Node::Kind::boolean:
      return "a boolean";
    case Node::Kind::date:
      return "a date or time";
    case Node::Kind::array:
      return "an array";
    case Node::Kind::table:
      return "a table";
  }
  return "a value";
}

namespace {

Parsed<Node> parse_checked(std::string_view text, const std::string& file) {
  Parsed<Node> out;
  const ::toml::parse_result parsed = ::toml::parse(text);
  if (!parsed) {
    const ::toml::parse_error& error = parsed.error();
    const Place at = place_of(error.source());
    std::string why = without_numbers(clip(error.description(), 300));
    if (!why.empty() && why.front() >= 'A' && why.front() <= 'Z') why.front() = static_cast<char>(why.front() + 32);
    out.problems.push_back({file, at.line, at.column, "not valid TOML: " + why, {}});
    return out;
  }
  Converter converter(file, out.problems);
  out.value = converter.convert(parsed.table(), 0);
  if (!out.ok()) out.value = Node{};
  return out;
}

}  // namespace

Parsed<Node> parse_toml(std::string_view text, const std::string& file) {
  Parsed<Node> out;
  if (auto refused = refuse_bytes(text, file)) {
    out.problems.push_back(std::move(*refused));
    return out;
  }
  out.problems = Scan(text, file).run();
  if (!out.ok()) return out;
  try {
    return parse_checked(text, file);
  } catch (const LibraryBug& bug) {
    out.problems.push_back({file, 0, 0, "not valid TOML: the parser gave up (" + std::string(bug.what) + ")", {}});
    return out;
  }
}

}  // namespace daypass::config
