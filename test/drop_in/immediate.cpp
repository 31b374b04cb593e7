// SPDX-License-Identifier: BSL-1.0
// Handlers with an immediate executor: called within the initiating function if the operation completes there, on
// io_context and uring_context alike.
#include <zsync/drop_in.hpp>

#include <zsync/core/inline_executor.hpp>

#include "contexts.hpp"
#include "sockets.hpp"

#include <boost/test/unit_test.hpp>

#if __has_include(<boost/asio/bind_immediate_executor.hpp>) // Boost 1.82
#    include <boost/asio/bind_immediate_executor.hpp>

#    include <array>
#    include <stdexcept>
#    include <utility>

namespace
{

using namespace test;
using asio::bind_immediate_executor;
using boost::asio::ip::udp;

/// Records, and is to be called at once where that can be.
auto at_once(std::shared_ptr<outcome> told)
{
    return bind_immediate_executor(zsync::inline_executor(), recorder(std::move(told)));
}

/// Two sockets that are connected, one of them under test.
struct connected_pair
{
    asio::io_context others;
    tcp::socket mine;
    tcp::socket peer{others};
    std::array<char, 64> bytes{};
    std::shared_ptr<outcome> told = std::make_shared<outcome>();

    explicit connected_pair(context& on) : mine(on.ctx()) { connect_pair(mine, peer); }

    /// Makes the socket under test have something to be received.
    void send(std::string_view text)
    {
        asio::write(peer, asio::buffer(text));
        BOOST_TEST_REQUIRE(wait_for_event(mine.native_handle(), POLLIN));
    }
};

} // namespace

BOOST_AUTO_TEST_SUITE(drop_in_immediate)

ON_ALL_CONTEXTS(a_transfer_that_need_not_wait_completes_inside_its_initiating_function, under_test)
{
    connected_pair on(under_test);
    on.mine.async_write_some(asio::buffer("hello", 5), at_once(on.told));
    BOOST_TEST(on.told->calls == 1);
    BOOST_TEST(!on.told->error);
    BOOST_TEST(on.told->bytes == 5u);
    BOOST_TEST(asio::read(on.peer, asio::buffer(on.bytes, 5)) == 5u);

    on.send("hello");
    on.mine.async_read_some(asio::buffer(on.bytes), at_once(on.told));
    BOOST_TEST(on.told->calls == 2);
    BOOST_TEST(on.told->bytes == 5u);
    under_test.check_native(2);
    under_test.run();
    BOOST_TEST(on.told->calls == 2);
}

ON_ALL_CONTEXTS(composed_operations_do_so_too, under_test)
{
    connected_pair on(under_test);
    const std::string text(100, 'x');
    asio::async_write(on.mine, asio::buffer(text), at_once(on.told));
    BOOST_TEST(on.told->calls == 1);
    BOOST_TEST(on.told->bytes == text.size());
    on.send("one line\n");
    std::string line;
    asio::async_read_until(on.mine, asio::dynamic_buffer(line), '\n', at_once(on.told));
    BOOST_TEST(on.told->calls == 2);
    BOOST_TEST(line == "one line\n");
}

ON_ALL_CONTEXTS(one_that_has_to_wait_is_queued_as_ever, under_test)
{
    connected_pair on(under_test);
    on.mine.async_read_some(asio::buffer(on.bytes), at_once(on.told));
    BOOST_TEST(on.told->calls == 0);
    on.send("hello");
    BOOST_TEST(on.told->calls == 0);
    under_test.run();
    BOOST_TEST(on.told->calls == 1);
    BOOST_TEST(on.told->bytes == 5u);
}

ON_ALL_CONTEXTS(none_overtakes_what_was_started_before_it, under_test)
{
    connected_pair on(under_test);
    char first = 0;
    char second = 0;
    const auto told = std::make_shared<outcome>();
    on.mine.async_read_some(asio::buffer(&first, 1), recorder(told));
    under_test.settle();
    on.send("ab");
    on.mine.async_read_some(asio::buffer(&second, 1), at_once(on.told));
    BOOST_TEST(on.told->calls == 0);
    under_test.run();
    BOOST_TEST(told->calls == 1);
    BOOST_TEST(on.told->calls == 1);
    BOOST_TEST(first == 'a');
    BOOST_TEST(second == 'b');
}

ON_ALL_CONTEXTS(failures_and_the_end_of_a_stream_are_told_at_once, under_test)
{
    connected_pair on(under_test);
    on.peer.shutdown(tcp::socket::shutdown_send);
    BOOST_TEST_REQUIRE(wait_for_event(on.mine.native_handle(), POLLIN));
    on.mine.async_read_some(asio::buffer(on.bytes), at_once(on.told));
    BOOST_TEST(on.told->calls == 1);
    BOOST_TEST(on.told->error == asio::error::eof);

    connected_pair broken(under_test);
    reset_peer(broken.peer);
    BOOST_TEST_REQUIRE(wait_for_event(broken.mine.native_handle(), POLLHUP));
    broken.mine.async_read_some(asio::buffer(on.bytes), at_once(on.told));
    BOOST_TEST(on.told->calls == 2);
    BOOST_TEST(on.told->error == asio::error::connection_reset);

    on.mine.close();
    on.mine.async_write_some(asio::buffer("hello", 5), at_once(on.told));
    BOOST_TEST(on.told->calls == 3);
    BOOST_TEST(on.told->error == asio::error::bad_descriptor);
}

ON_ALL_CONTEXTS(so_are_empty_transfers, under_test)
{
    connected_pair on(under_test);
    on.mine.async_read_some(asio::mutable_buffer(), at_once(on.told));
    BOOST_TEST(on.told->calls == 1);
    BOOST_TEST(!on.told->error);
    on.mine.async_write_some(asio::const_buffer(), at_once(on.told));
    BOOST_TEST(on.told->calls == 2);
}

ON_ALL_CONTEXTS(a_handler_with_an_executor_of_its_own_goes_on_there, under_test)
{
    connected_pair on(under_test);
    asio::io_context own;
    on.mine.async_write_some(asio::buffer("hello", 5), asio::bind_executor(own, at_once(on.told)));
    BOOST_TEST(on.told->calls == 0);
    own.poll();
    BOOST_TEST(on.told->calls == 1);

    asio::io_context immediate;
    on.mine.async_write_some(asio::buffer("hello", 5),
                             bind_immediate_executor(immediate.get_executor(), recorder(on.told)));
    BOOST_TEST(on.told->calls == 1);
    immediate.poll();
    BOOST_TEST(on.told->calls == 2);
}

ON_ALL_CONTEXTS(a_handler_without_an_immediate_executor_is_posted, under_test)
{
    connected_pair on(under_test);
    on.mine.async_write_some(asio::buffer("hello", 5), recorder(on.told));
    on.mine.close();
    on.mine.async_read_some(asio::buffer(on.bytes), recorder(on.told));
    BOOST_TEST(on.told->calls == 0);
    under_test.run();
    BOOST_TEST(on.told->calls == 2);
}

ON_ALL_CONTEXTS(the_handler_may_start_the_next_and_destroy_the_socket, under_test)
{
    auto on = std::make_unique<connected_pair>(under_test);
    int calls = 0;
    on->mine.async_write_some(asio::buffer("hello", 5),
                              bind_immediate_executor(zsync::inline_executor(),
                                                      [&](error_code, std::size_t)
                                                      {
                                                          ++calls;
                                                          on->mine.async_write_some(asio::buffer("hello", 5),
                                                                                    at_once(on->told));
                                                          calls += on->told->calls;
                                                          on.reset();
                                                      }));
    BOOST_TEST(calls == 2);
    under_test.run();
}

// Not on io_context: Boost 1.88's own operations free their memory twice then.
BOOST_AUTO_TEST_CASE_TEMPLATE(what_the_handler_throws_comes_out_of_the_initiating_function, Context, uring_contexts)
{
    Context under_test;
    if (!under_test.is_native())
        return;
    connected_pair on(under_test);
    const auto start = [&]
    {
        on.mine.async_write_some(asio::buffer("hello", 5),
                                 bind_immediate_executor(zsync::inline_executor(), [](error_code, std::size_t)
                                                         { throw std::runtime_error("the handler's"); }));
    };
    BOOST_CHECK_THROW(start(), std::runtime_error);
    under_test.run();
}

ON_ALL_CONTEXTS(waits_are_never_at_once, under_test)
{
    connected_pair on(under_test);
    asio::steady_timer timer(under_test.ctx(), std::chrono::steady_clock::now() - std::chrono::seconds(1));
    timer.async_wait(at_once(on.told));
    on.mine.async_wait(tcp::socket::wait_write, at_once(on.told));
    BOOST_TEST(on.told->calls == 0);
    under_test.run();
    BOOST_TEST(on.told->calls == 2);
}

ON_ALL_CONTEXTS(messages_and_pipes_do_it_like_streams, under_test)
{
    const auto told = std::make_shared<outcome>();
    udp::socket one(under_test.ctx(), udp::endpoint(asio::ip::address_v4::loopback(), 0));
    udp::socket two(under_test.ctx(), udp::endpoint(asio::ip::address_v4::loopback(), 0));
    one.async_send_to(asio::buffer("hello", 5), two.local_endpoint(), at_once(told));
    BOOST_TEST(told->calls == 1);
    BOOST_TEST_REQUIRE(wait_for_event(two.native_handle(), POLLIN));
    std::array<char, 16> bytes;
    udp::endpoint sender;
    two.async_receive_from(asio::buffer(bytes), sender, at_once(told));
    BOOST_TEST(told->calls == 2);
    BOOST_TEST(told->bytes == 5u);
    BOOST_TEST(sender == one.local_endpoint());

    asio::readable_pipe from(under_test.ctx());
    asio::writable_pipe to(under_test.ctx());
    asio::connect_pipe(from, to);
    to.async_write_some(asio::buffer("pipe", 4), at_once(told));
    BOOST_TEST(told->calls == 3);
    from.async_read_some(asio::buffer(bytes), at_once(told));
    BOOST_TEST(told->calls == 4);
    BOOST_TEST(told->bytes == 4u);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(connections_of_the_network_are_made_and_taken_by_the_ring, Context, uring_contexts)
{
    Context under_test;
    const auto told = std::make_shared<outcome>();
    tcp::acceptor acceptor(under_test.ctx(), any_port());
    asio::io_context others;
    tcp::socket peer(others);
    peer.connect(acceptor.local_endpoint());
    tcp::socket mine(under_test.ctx());
    acceptor.async_accept(mine, at_once(told));
    BOOST_TEST(told->calls == (under_test.is_native() ? 0 : 1));
    under_test.run();
    BOOST_TEST(told->calls == 1);
    BOOST_TEST(mine.is_open());
}

BOOST_AUTO_TEST_SUITE_END()

#else

BOOST_AUTO_TEST_CASE(drop_in_immediate)
{
    BOOST_TEST_MESSAGE("skipped: immediate executors, which Boost has since 1.82");
}

#endif
