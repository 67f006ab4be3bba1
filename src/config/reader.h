// Key tables: each key of a TOML table is one line that says its name, type, default, reader and meaning. The parsers
// run on these tables and the reference is made from them, so they can't say different things.
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "config/checks.h"
#include "config/config.h"
#include "config/document.h"

namespace daypass::config {

/// Collects problems, `max_problems` of them.
class Sink {
 public:
  void add(Problem problem);
  void add_all(std::vector<Problem> problems);
  /// Sorted by file and place. The sink is empty afterwards.
  std::vector<Problem> take();
  /// Grows with each add(), past the limit too.
  [[nodiscard]] std::size_t count() const noexcept { return count_; }

 private:
  std::vector<Problem> problems_;
  std::size_t count_ = 0;
};

/// Where a key reader stands: the file, the table and the key; the way to complain about it.
class Reader {
 public:
  Reader(std::string file, Sink& sink) : file_(std::move(file)), sink_(sink) {}

  [[nodiscard]] const std::string& file() const noexcept { return file_; }
  /// The table in messages: `[[idp]] "corp"`.
  std::string where;
  /// The key now read: its name, and how messages call it.
  std::string key;
  std::string subject;

  void problem(Place at, std::string message, std::string hint = {});
  /// `"issuer" <predicate>`.
  void complain(const Node& at, std::string predicate, std::string hint = {});
  /// Says what it must be and what it is; false.
  bool wrong_type(const Node& at, std::string_view wanted);
  /// The string, or nullptr after a problem: another type, too long, control characters.
  const std::string* string(const Node& node);
  /// Same, and `check` holds.
  const std::string* string(const Node& node, Check check);
  std::optional<std::vector<std::string>> strings(const Node& node, Check check, std::size_t most);
  std::optional<std::int64_t> integer(const Node& node, std::int64_t least, std::int64_t most);
  std::optional<base::Millis> duration(const Node& node, base::Millis least, base::Millis most);
  /// False after a problem when the node is no table.
  bool table(const Node& node);

 private:
  std::string file_;
  Sink& sink_;
};

/// A key's default, as TOML; or that there must be one in the file.
struct Default {
  std::string_view toml;
  bool required = false;
};
inline constexpr Default required{{}, true};
inline constexpr Default none{};

template <class T>
struct Key {
  std::string_view name;
  std::string_view type;
  Default fallback;
  std::string_view example;  ///< as TOML
  void (*read)(Reader&, const Node&, T&);
  std::string_view meaning;
};

/// Words of a closed set and their values.
template <class E>
struct Word {
  std::string_view word;
  E value;
};

/// The nearest of `known`, as a hint; or all of them, when they are few. Empty when neither helps.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> known);

/// Reads every entry of `table` by its line in `keys`, in the order of the text. Returns the keys that were there.
template <class T>
std::set<std::string_view> read_table(Reader& r, const Node& table, std::span<const Key<T>> keys, T& out) {
  std::set<std::string_view> seen;
  std::vector<std::string_view> names;
  for (const auto& key : keys) names.push_back(key.name);
  const auto outer = std::pair(r.key, r.subject);
  for (const auto& entry : table.entries) {
    const Key<T>* found = nullptr;
    for (const auto& key : keys)
      if (key.name == entry.key) found = &key;
    if (found == nullptr) {
      r.problem(entry.place, "unknown key " + shown(entry.key) + (r.where.empty() ? "" : " in " + r.where),
                did_you_mean(entry.key, names));
      continue;
    }
    seen.insert(found->name);
    r.key = found->name;
    r.subject = shown(found->name);
    found->read(r, entry.value, out);
  }
  std::tie(r.key, r.subject) = outer;
  for (const auto& key : keys)
    if (key.fallback.required && !seen.contains(key.name))
      r.problem(table.place, r.where + " has no " + shown(key.name),
                "add, for example, " + std::string(key.name) + " = " + std::string(key.example));
  return seen;
}

/// Readers for the tables: text<&IdpSpec::issuer, check::issuer> and the like.
template <auto Member, Check C = check::any, class T>
void text(Reader& r, const Node& node, T& out) {
  if (const auto* s = r.string(node, C)) out.*Member = *s;
}
template <auto Member, std::int64_t Least, std::int64_t Most, class T>
void integer(Reader& r, const Node& node, T& out) {
  using Number = std::remove_reference_t<decltype(out.*Member)>;
  static_assert(Least >= 0 && Most <= INT32_MAX);
  if (const auto i = r.integer(node, Least, Most)) out.*Member = static_cast<Number>(*i);
}
template <auto Member, class T>
void boolean(Reader& r, const Node& node, T& out) {
  if (node.kind == Node::Kind::boolean)
    out.*Member = node.boolean;
  else
    r.wrong_type(node, "true or false");
}
template <auto Member, std::int64_t LeastMs, std::int64_t MostMs, class T>
void duration(Reader& r, const Node& node, T& out) {
  if (const auto d = r.duration(node, base::Millis(LeastMs), base::Millis(MostMs))) out.*Member = *d;
}
template <auto Member, Check C, std::size_t Most, class T>
void strings(Reader& r, const Node& node, T& out) {
  if (auto list = r.strings(node, C, Most)) out.*Member = std::move(*list);
}
template <auto Member, class T>
void secret(Reader& r, const Node& node, T& out) {
  if (const auto* s = r.string(node, check::secret_ref)) out.*Member = core::SecretRef{*s};
}
template <auto Member, const auto& Words, class T>
void choice(Reader& r, const Node& node, T& out) {
  const std::string* s = r.string(node);
  if (s == nullptr) return;
  std::vector<std::string_view> known;
  for (const auto& [word, value] : Words) {
    if (word == *s) {
      out.*Member = value;
      return;
    }
    known.push_back(word);
  }
  r.complain(node, "can't be " + shown(*s), did_you_mean(*s, known));
}

inline constexpr std::int64_t second_ms = 1000, minute_ms = 60 * second_ms, hour_ms = 60 * minute_ms,
                              day_ms = 24 * hour_ms;

}  // namespace daypass::config
