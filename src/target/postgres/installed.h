// The functions through which a confined login works: their texts, who owns each, who may call each. The installer
// writes them down, the driver calls them, and `target check` compares what it finds on the server with them.
#pragma once

#include <string>
#include <vector>

namespace daypass::target::postgres {

/// Grows with every change of what the driver asks of the functions; the texts themselves are compared, too.
inline constexpr int installed_version = 1;

/// What an installation is called on the server. Everything of it stands in one schema; three roles that can't log in
/// own the functions.
struct Installed {
  std::string instance;
  std::string login;  ///< the account that Daypass holds
  [[nodiscard]] std::string schema() const { return "daypass_" + instance; }
  /// Makes, alters and drops accounts: CREATEROLE, pg_signal_backend, and on 16 and later ADMIN OPTION on the groups.
  [[nodiscard]] std::string keeper() const { return schema() + "_keeper"; }
  /// Clears what an account owns: member of the heirs, and of an account while that is taken away. No attribute.
  [[nodiscard]] std::string clearer() const { return schema() + "_clearer"; }
  /// Ends logins that hide: member of one account for the length of one call. No attribute.
  [[nodiscard]] std::string prober() const { return schema() + "_prober"; }
};

/// SQLSTATEs that the functions raise; the driver decides by them. Class PD is nobody else's.
namespace raised {
inline constexpr const char* bad_argument = "PD001";  ///< a name, verifier, list or pid that is no such thing
inline constexpr const char* foreign = "PD002";       ///< the role does not carry this grant's mark
inline constexpr const char* ending = "PD003";        ///< its revocation has begun
inline constexpr const char* changed = "PD004";       ///< it has an attribute that no account has
inline constexpr const char* unlisted = "PD005";      ///< the group or heir is not on the DBA's list
inline constexpr const char* unfit = "PD006";         ///< the group or heir is on the list and breaks a rule
inline constexpr const char* limit = "PD007";         ///< beyond what the DBA's settings allow
inline constexpr const char* too_early = "PD008";     ///< the account is not shut, or still has what must go first
inline constexpr const char* isolation = "PD009";     ///< not at READ COMMITTED: what was looked at may be old
inline constexpr const char* data = "PD010";          ///< it owns data, and nobody knows who inherits that
inline constexpr const char* dependents = "PD011";    ///< objects of others hang on what it owns
}  // namespace raised

struct Function {
  enum class Owner {
    installer,  ///< the superuser who ran the installer: runs as whoever calls it, so it needs no power
    keeper,     ///< SECURITY DEFINER, as are the next two
    clearer,
    prober,
  };
  std::string name;
  std::string arguments;  ///< "p_tenant text, p_grant text"
  std::string types;      ///< "text, text"
  std::string returns;
  Owner owner = Owner::installer;
  bool for_login = false;   ///< the confined login may call it; else only the roles that own functions
  bool everywhere = false;  ///< in every database; else in the one where the driver works
  std::string body;         ///< between the dollar quotes: what pg_proc.prosrc holds
};

/// In an order in which they can be made.
std::vector<Function> functions_of(const Installed& names);

/// The settings that every function fixes for its caller: "search_path" → "pg_catalog, pg_temp", as SET wants them.
std::vector<std::pair<std::string, std::string>> fixed_settings(int version);

/// 'text' and "name" for a script, with standard_conforming_strings on. Requires no NUL.
std::string sql_literal(const std::string& text);
std::string sql_ident(const std::string& name);

}  // namespace daypass::target::postgres
