#include "config/reader.h"

#include <algorithm>

#include "base/encoding.h"

namespace daypass::config {

std::string Problem::render() const {
  std::string out = file;
  if (line != 0) out += ":" + std::to_string(line);
  if (!excerpt.empty()) {
    out += ":" + std::to_string(column) + ": " + message + "\n" + excerpt;
    return hint.empty() ? out : out + "\n  hint: " + hint;
  }
  out += (out.empty() ? "" : ": ") + message;
  return hint.empty() ? out : out + ", " + hint;
}

void Sink::add(Problem problem) {
  ++count_;
  if (problems_.size() < max_problems) problems_.push_back(std::move(problem));
}

void Sink::add_all(std::vector<Problem> problems) {
  for (auto& problem : problems) add(std::move(problem));
}

std::vector<Problem> Sink::take() {
  std::stable_sort(problems_.begin(), problems_.end(), [](const Problem& a, const Problem& b) {
    return std::tie(a.file, a.line, a.column) < std::tie(b.file, b.line, b.column);
  });
  if (count_ > problems_.size())
    problems_.push_back({{}, 0, 0, std::to_string(count_ - problems_.size()) + " more problems are not shown", {}});
  count_ = 0;
  return std::exchange(problems_, {});
}

void Reader::problem(Place at, std::string message, std::string hint) {
  sink_.add({file_, at.line, at.column, std::move(message), std::move(hint)});
}

void Reader::complain(const Node& at, std::string predicate, std::string hint) {
  problem(at.place, subject + " " + std::move(predicate), std::move(hint));
}

bool Reader::wrong_type(const Node& at, std::string_view wanted) {
  complain(at, "must be " + std::string(wanted) + ", not " + std::string(to_string(at.kind)));
  return false;
}

const std::string* Reader::string(const Node& node) {
  if (node.kind != Node::Kind::string) {
    wrong_type(node, "a string");
    return nullptr;
  }
  if (node.text.size() > max_string_bytes) {
    complain(node, "is longer than " + std::to_string(max_string_bytes) + " bytes");
    return nullptr;
  }
  if (has_control(node.text)) {
    complain(node, "holds a control character", "write it on one line, without escapes like \\n");
    return nullptr;
  }
  return &node.text;
}

const std::string* Reader::string(const Node& node, Check check) {
  const std::string* s = string(node);
  if (s == nullptr) return nullptr;
  if (auto complaint = check(*s)) {
    complain(node, std::move(complaint->predicate), std::move(complaint->hint));
    return nullptr;
  }
  return s;
}

std::optional<std::vector<std::string>> Reader::strings(const Node& node, Check check, std::size_t most) {
  if (node.kind != Node::Kind::array) {
    wrong_type(node, "an array of strings");
    return std::nullopt;
  }
  if (node.items.size() > most) {
    complain(node, "has " + std::to_string(node.items.size()) + " entries, more than " + std::to_string(most));
    return std::nullopt;
  }
  std::vector<std::string> out;
  bool good = true;
  for (const auto& item : node.items) {
    if (const std::string* s = string(item, check))
      out.push_back(*s);
    else
      good = false;
  }
  if (!good) return std::nullopt;
  return out;
}

std::optional<std::int64_t> Reader::integer(const Node& node, std::int64_t least, std::int64_t most) {
  if (node.kind != Node::Kind::integer) {
    wrong_type(node, "an integer");
    return std::nullopt;
  }
  if (node.integer < least || node.integer > most) {
    complain(node, "must be from " + std::to_string(least) + " to " + std::to_string(most) + ", not " +
                       std::to_string(node.integer));
    return std::nullopt;
  }
  return node.integer;
}

std::optional<base::Millis> Reader::duration(const Node& node, base::Millis least, base::Millis most) {
  const char* example = "write it like \"90s\", \"10m\", \"1h30m\" or \"2d\"";
  if (node.kind == Node::Kind::integer) {
    complain(node, "must be a duration with its unit, not an integer", example);
    return std::nullopt;
  }
  const std::string* s = string(node);
  if (s == nullptr) return std::nullopt;
  const auto parsed = base::parse_duration(*s);
  if (!parsed.ok()) {
    complain(node, "must be a duration, not " + shown(*s), example);
    return std::nullopt;
  }
  if (*parsed < least || *parsed > most) {
    complain(node, "must be from " + base::to_string(least) + " to " + base::to_string(most) + ", not " +
                       base::to_string(*parsed));
    return std::nullopt;
  }
  return *parsed;
}

bool Reader::table(const Node& node) {
  return node.kind == Node::Kind::table || wrong_type(node, "a table");
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> known) {
  // The edit distance costs the product of both lengths; what is longer than any key is no slip of the finger.
  const std::string near = word.size() > 64 ? "" : base::nearest(word, known);
  if (!near.empty()) return "did you mean " + shown(near) + "?";
  if (known.empty() || known.size() > 6) return {};
  std::string all;
  for (const auto& k : known) all += (all.empty() ? "" : ", ") + std::string(k);
  return (known.size() == 1 ? "only this is known: " : "known are: ") + all;
}

}  // namespace daypass::config
