// What a command gets: where to write, what the environment says, which server to ask. Commands return exit codes.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/entropy.h"
#include "base/json.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"

namespace daypass::app::cli {

/// Exit codes, frozen at 1.0 (`daypass help exit-codes`).
enum Exit : int {
  done = 0,
  failed = 1,
  usage = 2,
  denied = 3,
  login_needed = 4,
  waiting = 5,
  not_found = 6,
  unreachable = 7,
  access_ended = 8
};
int exit_code_of(base::Code code) noexcept;

/// The process seen from inside a command, so that tests can be the process.
struct Io {
  std::function<void(std::string_view)> out;  ///< stdout: data, nothing else
  std::function<void(std::string_view)> err;  ///< stderr: everything for people
  std::function<std::string()> in;            ///< all of stdin; on a terminal one line
  /// The next line of stdin, without its end; nullopt when there is none, or when it is longer than 16 MiB.
  std::function<std::optional<std::string>()> line;
  /// Asks on the terminal, which does not show the line that is typed.
  std::function<std::optional<base::Secret>(const std::string& question)> hidden;
  std::function<void(base::Millis)> pause;  ///< sleeps
  std::map<std::string, std::string> env;
  bool out_is_tty = false, in_is_tty = false;
  const base::Clock* clock = nullptr;
  base::Entropy* entropy = nullptr;
  [[nodiscard]] std::string var(const std::string& name, const std::string& fallback = {}) const {
    const auto it = env.find(name);
    return it == env.end() || it->second.empty() ? fallback : it->second;
  }
};

/// Flags that every command takes.
struct Globals {
  std::string server, tenant, socket;  ///< empty: not given
  std::string output = "table";        ///< table, json, name
  [[nodiscard]] bool json() const { return output == "json"; }
};

/// One document on stdout: {"v":1, …}. For -o json, on success and on failure.
void print_json(Io& io, base::json::Object document);
/// Four lines on stderr (what failed, why, what to do, request id), or the error as the one JSON document.
int fail(Io& io, const Globals& globals, const base::Error& error, const std::string& what,
         const std::string& request_id = {});

/// Before what nothing brings back: says `what_goes`, and lets the name be typed, as no single letter should do it.
/// nullopt: go on; else the exit code, with "`check`: nobody is there to confirm" where there is no terminal.
std::optional<int> typed_name(Io& io, const Globals& globals, const std::string& name, const std::string& what_goes,
                              const std::string& check, const std::string& failed);

/// The members of the array `key`; none when there is no such array, for what a server may answer.
const base::json::Array& items(const base::json::Value& value, std::string_view key);
/// A string as it is, anything else as JSON.
std::string text_of(const base::json::Value& value);
/// Where PATH has an executable of that name; nullopt when it has none.
std::optional<std::string> find_program(const Io& io, const std::string& name);

/// $BROWSER (a name or a path), else xdg-open; nullopt: there is none. (login.cc)
std::optional<std::string> browser_of(const Io& io);
/// Opens it and waits for nothing. (login.cc)
void open_browser(const std::string& browser, const std::string& url);

/// Columns padded for a terminal, nothing cut. The first row is the heading.
std::string table(const std::vector<std::vector<std::string>>& rows);
/// "in 12m", "3h ago": for people; JSON has absolute times.
std::string relative(base::WallTime t, base::WallTime now);

}  // namespace daypass::app::cli
