#include <boost/asio/io_context.hpp>

using scheduler = boost::asio::detail::scheduler;
