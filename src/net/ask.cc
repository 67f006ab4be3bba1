#include "net/ask.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>

namespace daypass::net {

awaitable<io_context*> current_io() {
  const auto executor = co_await boost::asio::this_coro::executor;
  co_return &static_cast<io_context&>(boost::asio::query(executor, boost::asio::execution::context));
}

}  // namespace daypass::net
