#include "cedar/layout.h"

#include <algorithm>

namespace daypass::cedar {

std::size_t code_point_count(std::string_view text) noexcept {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }));
}

Layout::Id Layout::add(Kind kind, std::uint32_t value, std::uint32_t kids) {
  nodes_.push_back({kind, value, kids});
  return static_cast<Id>(nodes_.size() - 1);
}

Layout::Id Layout::all(std::vector<Id> kids) {
  const auto first = static_cast<std::uint32_t>(kids_.size());
  kids_.insert(kids_.end(), kids.begin(), kids.end());
  return add(Kind::all, first, static_cast<std::uint32_t>(kids.size()));
}

// Whether the group fits on the rest of the line, together with what follows it up to the next possible line end.
bool Layout::fits(Id group) const {
  std::size_t used = column_ + (want_space_ ? 1U : 0U);
  std::vector<Frame> open{{nodes_[group].value, 0, 0, true}};
  std::size_t waiting = stack_.size();  // the frames that come after the group, innermost last
  bool first = true;                    // no word seen yet
  bool commented = false;               // the last word has a comment behind it
  while (used <= width_) {
    const bool following = waiting < stack_.size();
    if (open.empty()) {
      if (waiting == 0 || commented) return true;
      open.push_back(stack_[--waiting]);
      continue;
    }
    Frame& top = open.back();
    const Node& node = nodes_[top.id];
    const bool flat = top.flat;
    switch (node.kind) {
      case Kind::all:
        if (top.next == node.kids)
          open.pop_back();
        else
          open.push_back({kids_[node.value + top.next++], 0, 0, flat});
        continue;
      case Kind::group:
      case Kind::nest:
        top = {node.value, 0, 0, flat};
        continue;
      case Kind::hard_line:
        return following;
      case Kind::line:
      case Kind::soft_line:
        if (!flat) return true;
        used += node.kind == Kind::line ? 1U : 0U;
        break;
      case Kind::space:
        ++used;
        break;
      case Kind::word: {
        const Word& word = words_[node.value];
        if (commented || (!first && !word.leading.empty()) || word.starts_part) return following;
        const std::size_t end = word.text.find('\n');
        used += code_point_count(word.text.substr(0, end));
        if (end != std::string_view::npos) return used <= width_;
        commented = !word.trailing.empty();
        first = false;
        break;
      }
    }
    open.pop_back();
  }
  return false;
}

void Layout::end_line(std::uint32_t indent, bool blank) {
  if (!out_.empty()) out_ += blank ? "\n\n" : "\n";
  line_start_ = true;
  want_space_ = false;
  must_end_ = false;
  // Nesting costs the width at most half.
  line_indent_ = std::min(indent, static_cast<std::uint32_t>(width_ / 2));
  column_ = line_indent_;
}

void Layout::put(const Frame& frame, std::string_view text) {
  if (must_end_) end_line(frame.indent);
  if (line_start_) {
    out_.append(line_indent_, ' ');
  } else if (want_space_) {
    out_ += ' ';
    ++column_;
  }
  line_start_ = false;
  want_space_ = false;
  out_ += text;
  const std::size_t last = text.rfind('\n');
  column_ = last == std::string_view::npos ? column_ + code_point_count(text) : code_point_count(text.substr(last + 1));
}

void Layout::put(const Frame& frame, const Word& word) {
  bool blank = false;
  for (const Comment& comment : word.leading) {
    blank = word.starts_part && comment.blank_before;
    if (!line_start_) end_line(frame.indent, blank);
    put(frame, comment.text);
    must_end_ = true;
  }
  if (word.starts_part && !out_.empty()) end_line(frame.indent, word.blank_before);
  if (!word.text.empty()) put(frame, word.text);
  if (word.trailing.empty()) return;
  want_space_ = true;
  put(frame, word.trailing);
  must_end_ = true;
}

std::string Layout::write(Id root, std::size_t width, std::size_t indent) {
  width_ = width;
  stack_.push_back({root, 0, 0, false});
  while (!stack_.empty()) {
    Frame& top = stack_.back();
    const Node node = nodes_[top.id];
    if (node.kind == Kind::all && top.next < node.kids) {
      const Id kid = kids_[node.value + top.next++];
      stack_.push_back({kid, 0, top.indent, top.flat});
      continue;
    }
    const Frame frame = top;
    stack_.pop_back();
    switch (node.kind) {
      case Kind::all:
        break;
      case Kind::word:
        put(frame, words_[node.value]);
        break;
      case Kind::space:
        want_space_ = true;
        break;
      case Kind::line:
      case Kind::soft_line:
        if (!frame.flat)
          end_line(frame.indent);
        else if (node.kind == Kind::line)
          want_space_ = true;
        break;
      case Kind::hard_line:
        end_line(frame.indent);
        break;
      case Kind::group: {
        const bool flat = frame.flat || fits(frame.id);
        stack_.push_back({node.value, 0, frame.indent, flat});
        break;
      }
      case Kind::nest:
        stack_.push_back({node.value, 0, frame.indent + static_cast<std::uint32_t>(indent), frame.flat});
        break;
    }
  }
  if (!out_.empty() && out_.back() != '\n') out_ += '\n';
  return std::move(out_);
}

}  // namespace daypass::cedar
