// What the gate holds per session once both logins are done: both framers and the tracker, joined in the right order.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "wire/postgres/activity.h"
#include "wire/postgres/message.h"

namespace daypass::wire::postgres {

/// Use: read -> client(bytes) -> forward `bytes` of them -> act on `stop`; read -> server(bytes) -> forward. Both are
/// plain functions over the caller's buffer; nothing is copied but statement text.
class Tap {
 public:
  enum class Stop : std::uint8_t {
    none,  ///< all of the input was taken
    full,  ///< client only: no room for another record. Keep in[bytes…], stop reading the client; heed take_flush(),
           ///< pop records(), go on relaying the server, and call again
    terminate,  ///< client only: Terminate was taken ('X' is within `bytes`); what follows is not to be read
    fault,      ///< fault() says why; forward `bytes`, nothing behind them; end the session
  };
  struct Passed {
    std::size_t bytes = 0;
    Stop stop = Stop::none;
  };

  explicit Tap(ActivityLimits limits = {}) : tracker_(limits) {}

  [[nodiscard]] Passed client(std::string_view in, base::MonoTime now);
  [[nodiscard]] Passed server(std::string_view in, base::MonoTime now);

  /// After Stop::full: true when append_flush() must go upstream behind what was forwarded, else the server may hold
  /// the answers that would make room. Says so once.
  [[nodiscard]] bool take_flush() noexcept;
  /// True where a message of ours (ErrorResponse 57P01) may be put to the client.
  [[nodiscard]] bool client_side_at_boundary() const noexcept { return server_.at_boundary(); }
  [[nodiscard]] bool server_side_at_boundary() const noexcept { return client_.at_boundary(); }

  [[nodiscard]] ActivityTracker& records() noexcept { return tracker_; }
  [[nodiscard]] const ActivityTracker& records() const noexcept { return tracker_; }
  [[nodiscard]] base::Error fault() const;
  /// SQLSTATE of the last FATAL or PANIC the server sent, empty when none.
  [[nodiscard]] const std::string& server_fatal() const noexcept { return server_fatal_; }

 private:
  ClientFramer client_{Phase::ready};
  ServerFramer server_{Phase::ready};
  ActivityTracker tracker_;
  std::optional<base::Error> fault_;
  std::string server_fatal_;
};

}  // namespace daypass::wire::postgres
