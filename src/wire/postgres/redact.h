// Keeps passwords in SQL text out of activity records. Nothing else about the text is changed.
#pragma once

#include <string>
#include <string_view>

namespace daypass::wire::postgres {

inline constexpr std::string_view kRedacted = "'<redacted>'";

struct Redacted {
  std::string text;
  bool changed = false;
};

/// True when `sql` holds one of the few words that redact() acts on. Exact: false means redact() would change nothing.
[[nodiscard]] bool may_hold_secret(std::string_view sql) noexcept;

/// Returns `sql` with every literal that may be a secret put as kRedacted. Statement by statement:
/// - CREATE/ALTER ROLE, USER, GROUP: the literal behind PASSWORD (plain, E'', U&'', N'', $$…$$, continued over lines);
/// - CREATE/ALTER USER MAPPING, SERVER, FOREIGN DATA WRAPPER, SUBSCRIPTION: all literals;
/// - anything else in which "password" stands, as a word or inside a literal (UPDATE users SET password, DO bodies,
///   connection strings of dblink, ALTER SYSTEM): all literals;
/// - any literal that looks like a URI with user information, and any comment in which "password" stands.
///
/// In doubt everything to the end of the text goes, from the first literal of that statement on, or from the first
/// secret before it. Doubtful are: a literal or comment that doesn't end, as in truncated text; a word that follows a
/// literal without a space; a backslash before a quote (it depends on standard_conforming_strings what that means).
Redacted redact(std::string_view sql);

}  // namespace daypass::wire::postgres
