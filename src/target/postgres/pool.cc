#include "target/postgres/pool.h"

namespace daypass::target::postgres {
namespace {

using base::Code;
using base::Error;
using base::Millis;
using base::Status;

/// Most connections at once, and how many stay open when nothing is to do. Provisioning is kept narrow on purpose:
/// every role made or dropped empties the membership cache of every process on the server.
struct Width {
  int most;
  std::size_t kept;
};
constexpr std::array<Width, 4> widths{{{4, 2}, {4, 2}, {2, 1}, {1, 1}}};
constexpr auto idle_most = std::chrono::seconds(30);

constexpr std::size_t index(Purpose purpose) {
  return static_cast<std::size_t>(purpose);
}

}  // namespace

std::string_view to_string(Purpose purpose) noexcept {
  switch (purpose) {
    case Purpose::provision:
      return "provision";
    case Purpose::revoke:
      return "revoke";
    case Purpose::verify:
      return "verify";
    case Purpose::fence:
      return "fence";
  }
  return "other";
}

Pool::Pool(TargetSettings settings, Password password, const base::Clock& clock, const base::Log& log,
           std::string instance, std::string nonce)
    : settings_(std::move(settings)),
      password_(std::move(password)),
      clock_(clock),
      log_(log),
      instance_(std::move(instance)),
      nonce_(std::move(nonce)) {}

Pool::Lease::~Lease() {
  if (pool_ != nullptr) pool_->give_back(purpose_, std::move(connection_));
}

base::Result<std::unique_ptr<Connection>> Pool::open(const std::string& database, std::string_view purpose,
                                                     const Deadline& deadline) {
  Login login;
  login.settings = &settings_;
  login.database = database;
  login.application = "daypass:" + instance_ + ":" + nonce_ + ":" + std::string(purpose);
  // A session can hold the row that its revocation must change, and is ended when that shows: better soon.
  login.lock_timeout = purpose == to_string(Purpose::revoke) ? Millis(150) : Millis(1000);
  DP_TRY(login.password, password_());
  DP_TRY(auto opened, Connection::open(login, deadline));
  // An address may lead elsewhere tomorrow. What was decided for one server is not done on another.
  const std::lock_guard lock(mutex_);
  if (system_.empty()) system_ = opened->facts().system;
  if (system_ != opened->facts().system)
    return Error{Code::unavailable, "pg.server_changed",
                 "another server answers at this address than when it was applied",
                 "if that is meant, apply the tenant's folder again"};
  return opened;
}

void Pool::learn_server_anew() {
  const std::lock_guard lock(mutex_);
  system_.clear();
}

base::Result<Pool::Lease> Pool::lease(Purpose purpose, const Deadline& deadline) {
  Lane& lane = lanes_[index(purpose)];
  std::list<Idle> broken;  // closed outside the lock
  {
    std::unique_lock lock(mutex_);
    if (!room_.wait_for(lock, deadline.left(), [&] { return lane.out < widths[index(purpose)].most; }))
      return Error{Code::unavailable, "pg.busy", "all connections for this kind of work are in use", "try again"};
    ++lane.out;
    while (!lane.idle.empty()) {
      if (lane.idle.front().connection->usable()) {
        auto taken = std::move(lane.idle.front().connection);
        lane.idle.pop_front();
        return Lease(*this, purpose, std::move(taken), true);
      }
      broken.splice(broken.end(), lane.idle, lane.idle.begin());
    }
  }
  auto opened = open(settings_.maintenance_database, to_string(purpose), deadline);
  if (!opened.ok()) {
    give_back(purpose, nullptr);
    return std::move(opened).error();
  }
  Lease made(*this, purpose, std::move(opened).value(), false);
  DP_CHECK(sweep(*made, deadline));
  return made;
}

void Pool::give_back(Purpose purpose, std::unique_ptr<Connection> connection) {
  std::list<Idle> surplus;  // closed outside the lock
  {
    const std::lock_guard lock(mutex_);
    Lane& lane = lanes_[index(purpose)];
    --lane.out;
    if (connection != nullptr && connection->usable()) lane.idle.push_front({std::move(connection), clock_.mono()});
    surplus = take_surplus(purpose);
  }
  room_.notify_all();
}

std::list<Pool::Idle> Pool::take_surplus(Purpose purpose) {
  std::list<Idle> out;
  auto& idle = lanes_[index(purpose)].idle;
  while (idle.size() > widths[index(purpose)].kept && clock_.mono() - idle.back().since > idle_most)
    out.splice(out.end(), idle, std::prev(idle.end()));
  return out;
}

Status Pool::warm(Purpose purpose, const Deadline& deadline) {
  {
    const std::lock_guard lock(mutex_);
    Lane& lane = lanes_[index(purpose)];
    // One in use is an open one, too.
    if (lane.out > 0 || (!lane.idle.empty() && lane.idle.front().connection->usable())) return {};
  }
  const auto opened = lease(purpose, deadline);
  if (!opened.ok()) return opened.error();
  return {};
}

Status Pool::await_gone(Connection& connection, const std::string& condition, const Deadline& deadline) {
  const std::string sql =
      "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND " + condition;
  for (auto step = Millis(1);; step = std::min(step * 2, Millis(20))) {
    const auto reply = connection.run(sql, deadline);
    if (!reply) return to_error(reply.error(), "end an old connection");
    if (reply->front().number(0, 0) == 0) return {};
    // Another look so late would only run into the deadline and cost this connection.
    if (deadline.left() <= Millis(20))
      return Error{Code::timeout, "pg.fence", "an old connection on the server did not end in time"};
    deadline.pause(step);
  }
}

Status Pool::sweep(Connection& connection, const Deadline& deadline) {
  const std::unique_lock lock(sweeping_, deadline.left());
  if (!lock.owns_lock())
    return Error{Code::timeout, "pg.sweep", "old connections on the server were not ended in time"};
  if (swept_) return {};
  // A process of this instance that died may have left a statement running on the server: a CREATE that commits late
  // would make an account that a revocation has already seen to be absent.
  const std::string own = "daypass:" + instance_ + ":";
  const Status gone =
      await_gone(connection,
                 "usename = current_user AND starts_with(application_name, " + connection.literal(own) +
                     ") AND NOT starts_with(application_name, " + connection.literal(own + nonce_ + ":") + ")",
                 deadline);
  if (!gone.ok()) {
    connection.spoil();
    return Error{gone.error().code, "pg.sweep",
                 "connections of an earlier process are still on the server: " + gone.error().message};
  }
  swept_ = true;
  return {};
}

void Pool::condemn(const std::string& account, const Connection& connection) {
  log_.warn("unknown outcome on a target", {{"account", account}, {"backend", connection.facts().pid}});
  const std::lock_guard lock(mutex_);
  condemned_.emplace(account, Condemned{connection.facts().pid, connection.facts().started});
}

bool Pool::condemned(const std::string& account) {
  const std::lock_guard lock(mutex_);
  return condemned_.contains(account);
}

Status Pool::settle(const std::string& account, const Deadline& deadline) {
  std::vector<Condemned> mine;
  {
    const std::lock_guard lock(mutex_);
    const auto [from, to] = condemned_.equal_range(account);
    for (auto it = from; it != to; ++it) mine.push_back(it->second);
  }
  if (mine.empty()) return {};
  for (int attempt = 0;; ++attempt) {
    DP_TRY(const Lease lease, this->lease(Purpose::fence, deadline));
    const Status status = close_fence(*lease, account, mine, deadline);
    // An idle connection that the server had closed; ending what is to end may be repeated.
    if (status.ok() || status.error().check != "pg.connection_lost" || !lease.reused() || attempt == 3) return status;
  }
}

Status Pool::close_fence(Connection& connection, const std::string& account, const std::vector<Condemned>& mine,
                         const Deadline& deadline) {
  for (const auto& one : mine) {
    DP_CHECK(await_gone(connection,
                        "pid = " + std::to_string(one.pid) + " AND backend_start = " + connection.literal(one.started),
                        deadline));
    const std::lock_guard lock(mutex_);
    const auto [from, to] = condemned_.equal_range(account);
    for (auto it = from; it != to; ++it)
      if (it->second.pid == one.pid && it->second.started == one.started) {
        condemned_.erase(it);
        break;
      }
  }
  return {};
}

}  // namespace daypass::target::postgres
