// The connections of one target, by purpose, so that a storm of one kind never starves another: revocation has lines of
// its own that are already open. Also owns the fence: a server process whose last outcome is unknown is ended, and seen
// to be gone, before anybody may say what the account's state is.
#pragma once

#include <array>
#include <condition_variable>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "target/postgres/connection.h"

namespace daypass::target::postgres {

enum class Purpose { provision, revoke, verify, fence };
std::string_view to_string(Purpose purpose) noexcept;

class Pool {
 public:
  using Password = std::function<base::Result<base::Secret>()>;
  /// `instance` and `nonce` name this installation and this process in application_name.
  Pool(TargetSettings settings, Password password, const base::Clock& clock, const base::Log& log, std::string instance,
       std::string nonce);

  /// A connection in its holder's hands. Goes back to the pool when it is still usable, else it is closed.
  class Lease {
   public:
    Lease(Pool& pool, Purpose purpose, std::unique_ptr<Connection> connection, bool reused)
        : pool_(&pool), purpose_(purpose), connection_(std::move(connection)), reused_(reused) {}
    Lease(Lease&& other) noexcept
        : pool_(other.pool_),
          purpose_(other.purpose_),
          connection_(std::move(other.connection_)),
          reused_(other.reused_) {
      other.pool_ = nullptr;
    }
    Lease& operator=(Lease&&) = delete;
    ~Lease();
    Connection& operator*() const noexcept { return *connection_; }
    Connection* operator->() const noexcept { return connection_.get(); }
    /// It was open before: the server may have closed it without our knowing.
    [[nodiscard]] bool reused() const noexcept { return reused_; }

   private:
    Pool* pool_;
    Purpose purpose_;
    std::unique_ptr<Connection> connection_;
    bool reused_;
  };

  /// Waits for a free place, then takes an open connection or makes one. The first connection of all ends what an
  /// earlier process of this instance left running on the server. Errors: those of Connection::open, "pg.busy",
  /// "pg.sweep".
  base::Result<Lease> lease(Purpose purpose, const Deadline& deadline);
  /// Opens the purpose's connection when none is open.
  base::Status warm(Purpose purpose, const Deadline& deadline);
  /// A connection outside the pool, to any database. `purpose` is for the server's lists.
  base::Result<std::unique_ptr<Connection>> open(const std::string& database, std::string_view purpose,
                                                 const Deadline& deadline);

  /// Remembers that the process behind `connection` may still be working on `account`.
  void condemn(const std::string& account, const Connection& connection);
  [[nodiscard]] bool condemned(const std::string& account);
  /// Ends the account's condemned processes and waits until they are gone. Error: timeout "pg.fence", or why not.
  base::Status settle(const std::string& account, const Deadline& deadline);

  /// The next connection says which server this is; all later ones must be to the same.
  void learn_server_anew();

 private:
  struct Idle {
    std::unique_ptr<Connection> connection;
    base::MonoTime since;
  };
  struct Lane {
    int out = 0;           ///< leased or being opened
    std::list<Idle> idle;  ///< most recently used first
  };
  struct Condemned {
    int pid;
    std::string started;
  };

  base::Status sweep(Connection& connection, const Deadline& deadline);
  base::Status await_gone(Connection& connection, const std::string& condition, const Deadline& deadline);
  base::Status close_fence(Connection& connection, const std::string& account, const std::vector<Condemned>& mine,
                           const Deadline& deadline);
  void give_back(Purpose purpose, std::unique_ptr<Connection> connection);
  std::list<Idle> take_surplus(Purpose purpose);

  TargetSettings settings_;
  Password password_;
  const base::Clock& clock_;
  const base::Log& log_;
  std::string instance_;
  std::string nonce_;

  std::string system_;  ///< of the server that was met first; under mutex_
  std::mutex mutex_;
  std::condition_variable room_;
  std::array<Lane, 4> lanes_;
  std::multimap<std::string, Condemned> condemned_;
  std::timed_mutex sweeping_;  ///< held while sweeping; the flag is read and set under it
  bool swept_ = false;
};

}  // namespace daypass::target::postgres
