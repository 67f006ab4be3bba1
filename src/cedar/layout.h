// Lays words out on lines: a group is written on one line if it fits, else broken at its own lines. Internal: the
// formatter's back half, after Oppen and Wadler.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace daypass::cedar {

struct Comment {
  std::string_view text;
  bool blank_before = false;  ///< an empty line stands before it
};

/// A token with the comments that belong to it.
struct Word {
  std::string_view text;
  std::vector<Comment> leading;  ///< each on a line of its own, before the word
  std::string_view trailing;     ///< behind the word, on its line; empty when there is none
  bool blank_before = false;     ///< an empty line stands between the last leading comment and the word
  bool starts_part = false;      ///< begins a line, and empty lines before it and its comments are kept
};

/// A document of words, and its writer.
class Layout {
 public:
  using Id = std::uint32_t;

  /// `words` must outlive this.
  explicit Layout(std::span<const Word> words) : words_(words) {}

  Id word(std::size_t index) { return add(Kind::word, static_cast<std::uint32_t>(index)); }
  Id space() { return add(Kind::space, 0); }          ///< never broken
  Id line() { return add(Kind::line, 0); }            ///< a space, or a line end in a broken group
  Id soft_line() { return add(Kind::soft_line, 0); }  ///< nothing, or a line end in a broken group
  Id hard_line() { return add(Kind::hard_line, 0); }  ///< a line end
  Id all(std::vector<Id> kids);                       ///< one after another
  Id group(Id inner) { return add(Kind::group, inner); }
  Id nest(Id inner) { return add(Kind::nest, inner); }  ///< line ends inside are indented one level more

  /// The text, which ends with a line end unless it is empty.
  std::string write(Id root, std::size_t width, std::size_t indent);

 private:
  enum class Kind : std::uint8_t { word, space, line, soft_line, hard_line, all, group, nest };
  struct Node {
    Kind kind;
    std::uint32_t value;  // the word, the inner node, or the first kid
    std::uint32_t kids;
  };
  struct Frame {
    Id id;
    std::uint32_t next;  // kid
    std::uint32_t indent;
    bool flat;
  };
  Id add(Kind kind, std::uint32_t value, std::uint32_t kids = 0);
  [[nodiscard]] bool fits(Id group) const;
  void put(const Frame& frame, const Word& word);
  void put(const Frame& frame, std::string_view text);
  void end_line(std::uint32_t indent, bool blank = false);

  std::span<const Word> words_;
  std::vector<Node> nodes_;
  std::vector<Id> kids_;

  // While writing.
  std::string out_;
  std::vector<Frame> stack_;
  std::size_t width_ = 0;
  std::size_t column_ = 0;
  std::uint32_t line_indent_ = 0;
  bool line_start_ = true;   // nothing on the line yet, not even its indentation
  bool want_space_ = false;  // before the next text of this line
  bool must_end_ = false;    // a comment stands on the line
};

/// Code points of a text.
std::size_t code_point_count(std::string_view text) noexcept;

}  // namespace daypass::cedar
