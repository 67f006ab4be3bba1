// The compiled halves of Boost.Asio and Boost.Beast: the only file that pays for them.
#include <boost/asio/impl/src.hpp>
#include <boost/beast/src.hpp>
