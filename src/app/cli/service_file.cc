// The texts of libpq's two files; no I/O.
#include <algorithm>

#include "app/cli/setup.h"

namespace daypass::app::cli {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::string_view begin_marker = "# >>> daypass setup psql >>>";
constexpr std::string_view end_marker = "# <<< daypass setup psql <<<";
// What undo must know stands in the file itself: a lost state folder must not cost the user a byte.
constexpr std::string_view new_file = " (new file)";
constexpr std::string_view line_end_added = " (line end added)";
constexpr std::size_t longest_line = 1000;  // libpq 13 and later stop at 1024

struct Line {
  std::size_t begin = 0, end = 0;  ///< end: behind the line feed
  std::string_view text;           ///< without line feed and trailing white space
};

std::vector<Line> lines_of(std::string_view text) {
  std::vector<Line> out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t feed = std::min(text.find('\n', at), text.size());
    const std::size_t end = std::min(feed + 1, text.size());
    std::string_view line = text.substr(at, feed - at);
    while (!line.empty() && (line.back() == ' ' || line.back() == '\t' || line.back() == '\r')) line.remove_suffix(1);
    out.push_back({at, end, line});
    at = end;
  }
  return out;
}

struct Block {
  std::size_t begin = 0, end = 0;
  std::string flags;
};

Result<std::optional<Block>> find_block(const std::vector<Line>& lines) {
  std::optional<Block> block;
  bool open = false;
  std::size_t number = 0;
  const auto damaged = [&](const std::string& what) {
    return Error{Code::invalid, "setup.block_damaged",
                 "line " + std::to_string(number) + " of the service file: " + what,
                 "remove what is left of the block by hand, from \"" + std::string(begin_marker) + "\" to \"" +
                     std::string(end_marker) + "\""};
  };
  for (const auto& line : lines) {
    ++number;
    if (line.text.starts_with(begin_marker)) {
      if (block) return damaged("a second begin of Daypass's block");
      block = Block{line.begin, line.end, std::string(line.text.substr(begin_marker.size()))};
      open = true;
    } else if (line.text == end_marker) {
      if (!open) return damaged("an end of Daypass's block without a begin");
      block->end = line.end;
      open = false;
    }
  }
  if (open) return damaged("Daypass's block has no end");
  return block;
}

}  // namespace

std::string passfile_escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string passfile_line(const Service& s) {
  return passfile_escape(s.host) + ":" + passfile_escape(s.port) + ":" + passfile_escape(s.database) + ":" +
         passfile_escape(s.user) + ":" + passfile_escape(s.password) + "\n";
}

Result<std::string> service_sections(const std::vector<Service>& services, const std::string& passfile,
                                     const std::string& ca_file) {
  std::string out;
  for (const auto& s : services) {
    if (s.name.empty() || s.name.find_first_of("]\r\n\t ") != std::string::npos)
      return Error{Code::invalid, "setup.value", "\"" + s.name + "\" can't be the name of a service",
                   "daypass creds " + s.target};
    out += "[" + s.name + "]\n";
    const std::pair<const char*, const std::string&> values[] = {{"host", s.host},       {"port", s.port},
                                                                 {"dbname", s.database}, {"user", s.user},
                                                                 {"passfile", passfile}, {"sslrootcert", ca_file}};
    for (const auto& [key, value] : values) {
      const bool control =
          std::any_of(value.begin(), value.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; });
      const bool blank = !value.empty() && (value.front() == ' ' || value.back() == ' ');
      if (value.empty() || control || blank || value.size() > longest_line)
        return Error{Code::invalid, "setup.value",
                     std::string(key) + " of " + s.name + " can't be written into a service file",
                     "daypass connect " + s.target};
      out += std::string(key) + "=" + value + "\n";
    }
    out += "sslmode=verify-full\ngssencmode=disable\n";
  }
  return out;
}

Result<std::string> with_block(std::string_view text, bool existed, const std::vector<Service>& services,
                               std::string_view sections) {
  const auto lines = lines_of(text);
  DP_TRY(const std::optional<Block> block, find_block(lines));
  std::size_t number = 0;
  for (const auto& line : lines) {
    ++number;
    if (block && line.begin >= block->begin && line.begin < block->end) continue;
    std::string_view own = line.text;
    while (!own.empty() && (own.front() == ' ' || own.front() == '\t')) own.remove_prefix(1);
    for (const auto& s : services)
      // libpq takes the first section of a name; two would be a riddle.
      if (own.starts_with("[" + s.name + "]"))
        return Error{Code::conflict, "setup.service_taken",
                     "line " + std::to_string(number) + " of the service file has a section [" + s.name +
                         "] that is not Daypass's",
                     "rename it, then daypass setup psql"};
  }
  std::string flags, before(text), after;
  if (block) {
    flags = block->flags;
    before = text.substr(0, block->begin);
    after = text.substr(block->end);
  } else {
    if (!existed) flags = new_file;
    if (!before.empty() && !before.ends_with('\n')) {
      before += '\n';
      flags = line_end_added;
    }
  }
  return before + std::string(begin_marker) + flags +
         "\n# Renewed at each daypass login. Undo: daypass setup psql --undo\n" + std::string(sections) +
         std::string(end_marker) + "\n" + after;
}

Result<Without> without_block(std::string_view text) {
  DP_TRY(const std::optional<Block> block, find_block(lines_of(text)));
  Without out;
  if (!block) {
    out.text = text;
    return out;
  }
  out.found = true;
  out.was_new = block->flags == new_file;
  out.text = text.substr(0, block->begin);
  // Only when nothing was written behind the block since: then the line end separates two lines of the user's.
  if (block->flags == line_end_added && block->end == text.size() && out.text.ends_with('\n')) out.text.pop_back();
  out.text += text.substr(block->end);
  return out;
}

}  // namespace daypass::app::cli
