// Waiting, in a coroutine, for an answer that another thread gives through a callback.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "base/result.h"
#include "net/io.h"

namespace daypass::net {

/// Calls `start` with a callback and waits until it is called, at most `budget`. Error: "engine.timeout" (the work may
/// go on; its late answer goes nowhere). `on_late`, when given, gets an answer that came too late.
template <class T>
awaitable<base::Result<T>> ask(io_context& io,
                               std::move_only_function<void(std::move_only_function<void(base::Result<T>)>)> start,
                               base::Millis budget = std::chrono::seconds(30),
                               std::function<void(base::Result<T>)> on_late = {}) {
  // Shared, because the answer may come when nobody waits any more.
  struct Slot {
    std::mutex mutex;
    std::optional<base::Result<T>> answer;
    bool given_up = false;
  };
  auto slot = std::make_shared<Slot>();
  Event ready(io);
  start([slot, ready, on_late](base::Result<T> answer) mutable {
    {
      const std::lock_guard lock(slot->mutex);
      if (!slot->given_up) {
        slot->answer.emplace(std::move(answer));
        ready.set();
        return;
      }
    }
    if (on_late) on_late(std::move(answer));
  });
  (void)co_await ready.wait(budget);
  const std::lock_guard lock(slot->mutex);
  slot->given_up = true;
  if (slot->answer) co_return std::move(*slot->answer);
  co_return base::Error{base::Code::timeout, "engine.timeout", "no answer within " + base::to_string(budget),
                        "look at its state before trying again"};
}

/// The io_context that the calling coroutine runs on.
awaitable<io_context*> current_io();

}  // namespace daypass::net
