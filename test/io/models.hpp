// SPDX-License-Identifier: BSL-1.0
// Runs a case on every model and engine.
#pragma once

#include <zsync/blocking/blocking_context.hpp>
#include <zsync/fiber/fiber_context.hpp>
#include <zsync/fiber/spawn.hpp>
#include <zsync/fiber/this_fiber.hpp>
#include <zsync/io/io.hpp>
#include <zsync/platform/ring_probe.hpp>

#include "support/engines.hpp"

#include <boost/asio/error.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <exception>
#include <filesystem>
#include <functional>
#include <ostream>
#include <string>

#include <stdlib.h>

namespace test
{

using namespace std::chrono_literals;
using boost::system::error_code;

/// The models and engines that there are.
enum class cell
{
    blocking,
    green_uring,
    green_epoll,
};

inline std::ostream& operator<<(std::ostream& out, cell value)
{
    constexpr std::array names = {"blocking", "green on io_uring", "green on epoll"};
    return out << names[static_cast<std::size_t>(value)];
}

inline const auto each_cell =
    boost::unit_test::data::make(std::array{cell::blocking, cell::green_uring, cell::green_epoll});
inline const auto each_green = boost::unit_test::data::make(std::array{cell::green_uring, cell::green_epoll});

/// Where a case runs.
struct scene
{
    zsync::io io;
    std::function<void()> run_others; ///< lets what is ready run, and comes back

    /// Lets others run until a condition holds. False: it did not in time.
    template <class Condition>
    bool until(Condition condition) const
    {
        return eventually(
            [&]
            {
                run_others();
                return condition();
            });
    }
};

/// Runs a function in a cell: on this thread, or on a fiber.
template <class Body>
void run_in(cell where, Body body)
{
    if (where == cell::blocking)
    {
        zsync::blocking_context ctx;
        body(scene{zsync::io(ctx), [&] { ctx.restart(), ctx.poll(); }});
        return;
    }
    const bool on_ring = where == cell::green_uring;
    if (on_ring && !zsync::probe_ring().available)
    {
        BOOST_TEST_MESSAGE("skipped: no ring here");
        return;
    }
    zsync::fiber_context ctx(zsync::fiber_options{
        .engine = on_ring ? zsync::engine_kind::uring : zsync::engine_kind::reactor, .direct_descriptors = 4});
    bool ended = false;
    zsync::spawn(
        ctx,
        [&] {
            body(scene{zsync::io(ctx), [] { zsync::this_fiber::yield(); }});
        },
        [&](std::exception_ptr failure)
        {
            ended = true;
            if (failure)
                std::rethrow_exception(failure);
        });
    ctx.run();
    BOOST_TEST(ended);
}

/// A directory that goes when it goes.
class temporary_directory
{
public:
    temporary_directory()
    {
        std::string name = (std::filesystem::temp_directory_path() / "zsync-XXXXXX").string();
        BOOST_REQUIRE(::mkdtemp(name.data()));
        path_ = name;
    }
    ~temporary_directory()
    {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    temporary_directory(const temporary_directory&) = delete;
    temporary_directory& operator=(const temporary_directory&) = delete;

    std::string file(const char* name) const { return (path_ / name).string(); }
    std::string path() const { return path_.string(); }

private:
    std::filesystem::path path_;
};

/// Two streams that are connected to each other.
inline std::pair<zsync::stream, zsync::stream> stream_pair(const zsync::io& io)
{
    return zsync::make_stream_pair(io.get_executor());
}

/// The same over TCP.
inline std::pair<zsync::stream, zsync::stream> tcp_pair(const zsync::io& io)
{
    zsync::acceptor listener = io.listen({"127.0.0.1", 0});
    zsync::stream first = io.connect(listener.local_endpoint()).await();
    return {std::move(first), io.accept(listener).await()};
}

} // namespace test
