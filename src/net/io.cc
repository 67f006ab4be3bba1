#include "net/io.h"

#include <pthread.h>
#include <signal.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>
#include <thread>
#include <vector>

#include "base/assert.h"

namespace daypass::net {

namespace asio = boost::asio;

namespace {

using WorkGuard = asio::executor_work_guard<io_context::executor_type>;

struct Lane {
  // One thread runs each context: hint 1 spares the wake-ups that several runners would need.
  io_context io{1};
  // The reactor's descriptors are made here, at the start, and not when the first connection finds none left.
  asio::steady_timer reactor_from_the_start{io};
  std::optional<WorkGuard> guard{std::in_place, io.get_executor()};
  std::thread thread;
};

void run_lane(io_context& io, const std::string& name) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  pthread_setname_np(pthread_self(), name.c_str());
  io.run();
}

}  // namespace

struct IoThreads::Impl {
  std::string name;
  std::vector<std::unique_ptr<Lane>> lanes;
  bool started = false;
};

IoThreads::IoThreads(std::size_t count, std::string name) : impl_(std::make_unique<Impl>()) {
  impl_->name = std::move(name);
  for (std::size_t i = 0; i < std::max<std::size_t>(count, 1); ++i) impl_->lanes.push_back(std::make_unique<Lane>());
}

IoThreads::~IoThreads() {
  stop();
}

std::size_t IoThreads::size() const noexcept {
  return impl_->lanes.size();
}

io_context& IoThreads::at(std::size_t i) noexcept {
  DP_ASSERT(i < impl_->lanes.size());
  return impl_->lanes[i]->io;
}

void IoThreads::start() {
  DP_ASSERT(!impl_->started);
  impl_->started = true;
  for (std::size_t i = 0; i < impl_->lanes.size(); ++i) {
    Lane& lane = *impl_->lanes[i];
    std::string name = (impl_->name + "-" + std::to_string(i)).substr(0, 15);
    lane.thread = std::thread([&lane, label = std::move(name)] { run_lane(lane.io, label); });
  }
}

void IoThreads::stop() noexcept {
  for (const auto& lane : impl_->lanes) {
    lane->guard.reset();
    lane->io.stop();
  }
  for (const auto& lane : impl_->lanes) {
    if (!lane->thread.joinable()) continue;
    DP_ASSERT(lane->thread.get_id() != std::this_thread::get_id());
    lane->thread.join();
  }
}

bool IoThreads::on_io_thread() const noexcept {
  for (const auto& lane : impl_->lanes) {
    if (lane->io.get_executor().running_in_this_thread()) return true;
  }
  return false;
}

void spawn(io_context& io, awaitable<void> task, std::function<void(std::exception_ptr)> done) {
  asio::co_spawn(io, std::move(task), [finish = std::move(done)](std::exception_ptr failure) {
    if (finish) {
      finish(std::move(failure));
    } else if (failure) {
      std::rethrow_exception(failure);  // out of io_context::run: the thread has no handler, so the process ends
    }
  });
}

void post_to(io_context& io, std::function<void()> work) {
  asio::post(io, std::move(work));
}

awaitable<void> sleep_for(io_context& io, base::Millis time) {
  asio::steady_timer timer(io, time);
  co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
}

struct Event::State {
  explicit State(io_context& context) : io(context) {}
  io_context& io;
  bool set = false;
  // Lives in the waiter's frame, so that a copy of the Event may outlive the io_context.
  asio::steady_timer* waiter = nullptr;
};

Event::Event(io_context& io) : state_(std::make_shared<State>(io)) {}

awaitable<bool> Event::wait(base::Millis timeout) {
  const std::shared_ptr<State> state = state_;
  if (state->set) co_return true;
  DP_ASSERT(state->waiter == nullptr);
  asio::steady_timer timer(state->io, timeout);
  struct Registration {
    explicit Registration(State& s, asio::steady_timer& t) : owner(s) { owner.waiter = &t; }
    ~Registration() { owner.waiter = nullptr; }
    Registration(const Registration&) = delete;
    Registration& operator=(const Registration&) = delete;
    State& owner;
  } const registration(*state, timer);
  co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  co_return state->set;
}

void Event::set() {
  asio::dispatch(state_->io, [state = state_] {
    state->set = true;
    if (state->waiter != nullptr) state->waiter->cancel();
  });
}

bool Event::is_set() const noexcept {
  return state_->set;
}
void Event::reset() noexcept {
  state_->set = false;
}

struct Alarm::State : std::enable_shared_from_this<State> {
  using Steady = std::chrono::steady_clock;
  State(io_context& io, std::function<void()> call) : timer(io), ring(std::move(call)) {}

  void arm() {
    const auto mine = ++armed;
    timer.expires_at(due);
    timer.async_wait([self = shared_from_this(), mine](const boost::system::error_code&) {
      if (self->armed == mine) self->fire();
    });
  }
  void fire() {
    armed_now = false;
    if (!ring || due == Steady::time_point::max()) return;
    if (Steady::now() < due) return again();
    due = Steady::time_point::max();
    // By value: it may destroy the alarm.
    const auto call = ring;
    call();
  }
  void again() {
    armed_now = true;
    arm();
  }

  asio::basic_waitable_timer<Steady, asio::wait_traits<Steady>, io_context::executor_type> timer;
  std::function<void()> ring;
  Steady::time_point due = Steady::time_point::max();
  std::uint64_t armed = 0;
  bool armed_now = false;
};

Alarm::Alarm(io_context& io, std::function<void()> ring) : state_(std::make_shared<State>(io, std::move(ring))) {}

Alarm::~Alarm() {
  state_->ring = nullptr;
  state_->timer.cancel();
}

void Alarm::set(base::Millis timeout) {
  State& state = *state_;
  state.due = State::Steady::now() + timeout;
  if (!state.armed_now || state.due < state.timer.expiry()) state.again();
}

}  // namespace daypass::net
