#include "app/cli/context.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace daypass::app::cli {

using base::Code;
namespace json = base::json;

int exit_code_of(Code code) noexcept {
  switch (code) {
    case Code::denied:
      return Exit::denied;
    case Code::unauthenticated:
      return Exit::login_needed;
    case Code::not_found:
      return Exit::not_found;
    case Code::unavailable:
    case Code::timeout:
      return Exit::unreachable;
    case Code::ended:
      return Exit::access_ended;
    case Code::invalid:
    case Code::conflict:
    case Code::exhausted:
    case Code::internal:
      return Exit::failed;
  }
  return Exit::failed;
}

void print_json(Io& io, json::Object document) {
  json::Object out{{"v", 1}};
  for (const auto& [key, value] : document) out.set(key, value);
  io.out(json::dump_pretty(json::Value(std::move(out))));
}

int fail(Io& io, const Globals& globals, const base::Error& error, const std::string& what,
         const std::string& request_id) {
  if (globals.json()) {
    json::Object e{{"code", base::to_string(error.code)},
                   {"check", error.check},
                   {"message", error.message},
                   {"hint", error.hint}};
    if (!request_id.empty()) e.set("request_id", request_id);
    print_json(io, {{"error", std::move(e)}});
  }
  std::string text = "daypass: " + what + "\n  why:     " + error.message + " (" + error.check + ")\n";
  if (!error.hint.empty()) text += "  do:      " + error.hint + "\n";
  if (!request_id.empty()) text += "  request: " + request_id + "\n";
  io.err(text);
  return exit_code_of(error.code);
}

std::string text_of(const json::Value& value) {
  return value.as_string() == nullptr ? json::dump(value) : *value.as_string();
}

std::optional<int> typed_name(Io& io, const Globals& g, const std::string& name, const std::string& what_goes,
                              const std::string& check, const std::string& failed) {
  io.err(what_goes + "\n");
  if (!io.in_is_tty)
    return fail(io, g, base::Error{base::Code::invalid, check, "nobody is there to confirm", "--yes says it"}, failed);
  io.err("Type the name to go on: ");
  std::string typed = io.in();
  while (!typed.empty() && (typed.back() == '\n' || typed.back() == '\r')) typed.pop_back();
  if (typed == name) return std::nullopt;
  io.err("Nothing was changed.\n");
  return Exit::failed;
}

const json::Array& items(const json::Value& value, std::string_view key) {
  static const json::Array none;
  const json::Value* list = value.find(key);
  return list == nullptr || list->as_array() == nullptr ? none : *list->as_array();
}

std::optional<std::string> find_program(const Io& io, const std::string& name) {
  const std::string path = io.var("PATH", "/usr/local/bin:/usr/bin:/bin");
  for (std::size_t from = 0; from <= path.size();) {
    const std::size_t end = std::min(path.find(':', from), path.size());
    const std::string candidate = path.substr(from, end - from) + "/" + name;
    struct stat info{};
    // An empty entry means the current folder to a shell; a program from there is not what anybody wants here.
    if (end > from && ::stat(candidate.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
        ::access(candidate.c_str(), X_OK) == 0)
      return candidate;
    from = end + 1;
  }
  return std::nullopt;
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  const auto width = [](const std::string& s) {
    // Code points, near enough for names.
    return static_cast<std::size_t>(
        std::count_if(s.begin(), s.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
  };
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (widths.size() <= i) widths.push_back(0);
      widths[i] = std::max(widths[i], width(row[i]));
    }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - width(row[i]) + 2, ' ');
    }
    while (line.ends_with(' ')) line.pop_back();
    out += line + "\n";
  }
  return out;
}

std::string relative(base::WallTime t, base::WallTime now) {
  const auto away = t > now ? t - now : now - t;
  auto seconds = std::chrono::duration_cast<base::Seconds>(away);
  if (seconds >= std::chrono::hours(1)) seconds -= seconds % std::chrono::minutes(1);
  const std::string text = base::to_string(std::chrono::duration_cast<base::Millis>(seconds));
  return t > now ? "in " + text : text + " ago";
}

}  // namespace daypass::app::cli
