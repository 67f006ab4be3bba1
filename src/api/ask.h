// Waiting, in a coroutine, for an answer that the engine gives on another thread.
#pragma once

#include <memory>
#include <mutex>
#include <optional>

#include "engine/ports.h"
#include "net/io.h"

namespace daypass::api {

/// Calls `start` with a Done and waits for it, at most `budget`. Error: "engine.timeout" (the work may go on).
template <class T>
net::awaitable<base::Result<T>> ask(net::io_context& io, std::move_only_function<void(engine::Done<T>)> start,
                                    base::Millis budget = std::chrono::seconds(30)) {
  // Shared, because the answer may come when nobody waits any more.
  struct Slot {
    std::mutex mutex;
    std::optional<base::Result<T>> answer;
  };
  auto slot = std::make_shared<Slot>();
  net::Event ready(io);
  start([slot, ready](base::Result<T> answer) mutable {
    {
      const std::lock_guard lock(slot->mutex);
      slot->answer.emplace(std::move(answer));
    }
    ready.set();
  });
  (void)co_await ready.wait(budget);
  const std::lock_guard lock(slot->mutex);
  if (slot->answer) co_return std::move(*slot->answer);
  co_return base::Error{base::Code::timeout, "engine.timeout", "no answer within " + base::to_string(budget), "look at its state before trying again"};
}

/// The io_context that the calling coroutine runs on. Defined in api.cc, which pays for Asio's headers.
net::awaitable<net::io_context*> current_io();

}  // namespace daypass::api
