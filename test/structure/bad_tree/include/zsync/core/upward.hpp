// A core header that reaches up: line 4 breaks the rule, lines 2 and 3 do not.
#include <zsync/core/fine.hpp>
#include <boost/asio/io_context.hpp>
#include <zsync/uring/ring.hpp>
