// The API's client: finds the server and the login, speaks JSON, turns problems into errors.
#pragma once

#include <map>
#include <string>

#include "app/cli/context.h"
#include "base/secret.h"

namespace daypass::app::cli {

/// A login kept in a 0600 file under XDG state, one per (server, tenant). Tokens are never printed.
struct Login {
  std::string server, tenant, principal, display;
  base::Secret token;
  base::WallTime ends_at{};
};

/// Where the server is, and who said so.
struct Place {
  std::string server, tenant, socket;
  std::string origin;  ///< "--server", "DAYPASS_SERVER", "the last login", "the built-in default"
};
Place find_place(const Io& io, const Globals& globals);

/// nullopt: none for this place. Expired ones are returned; status wants to say when.
base::Result<std::optional<Login>> load_login(const Io& io, const Place& place);
base::Status save_login(const Io& io, const Login& login);
base::Status forget_login(const Io& io, const Place& place);
std::string state_folder(const Io& io);

struct Answer {
  int status = 0;
  base::json::Value body;
  std::string request_id;
  std::string date;  ///< the server's Date header
};

class Client {
 public:
  Client(Io& io, const Globals& globals) : io_(io), globals_(globals), place_(find_place(io, globals)) {}
  [[nodiscard]] const Place& place() const noexcept { return place_; }
  /// Checks the login before dialling: an expired one is said so, never "connection refused".
  /// `path` is below /t/<tenant>/api/v1. Errors: those of the API's problems and of the transport.
  base::Result<base::json::Value> call(const std::string& method, const std::string& path,
                                       const base::json::Value* body = nullptr,
                                       base::Millis timeout = std::chrono::seconds(65));
  /// What only the operator may ask, over the socket; `path` is below /api/v1. Errors: "operator.socket" (none is
  /// named), and those of call().
  base::Result<base::json::Value> operate(const std::string& method, const std::string& path,
                                          const base::json::Value* body = nullptr,
                                          base::Millis timeout = std::chrono::seconds(65));
  /// A form to an OAuth endpoint below /t/<tenant>; any status.
  base::Result<Answer> form(const std::string& path, const std::vector<std::pair<std::string, std::string>>& fields);
  /// GET of a server-wide path; any status.
  base::Result<Answer> get(const std::string& path);
  [[nodiscard]] const std::string& request_id() const noexcept { return request_id_; }
  /// Whether the operator's socket is used.
  [[nodiscard]] bool by_socket() const noexcept { return !place_.socket.empty(); }

 private:
  base::Result<base::json::Value> ask(const std::string& method, const std::string& path, const base::json::Value* body,
                                      base::Secret authorization, base::Millis timeout);
  base::Result<Answer> send(const std::string& method, const std::string& path, const std::string& type,
                            base::Secret body, base::Secret authorization, base::Millis timeout);
  Io& io_;
  const Globals& globals_;
  Place place_;
  std::string request_id_;
};

/// What a folder of a tenant holds. Errors: those of config::read_folder, "apply.no_tenant". (admin.cc)
base::Result<std::map<std::string, std::string>> read_tenant_folder(const std::string& folder);
/// Fetches the whole audit log and recomputes it: "12 records, root 0f…", or the first record that is wrong. (audit.cc)
base::Result<std::string> verify_audit(Client& client);

}  // namespace daypass::app::cli
