// SPDX-License-Identifier: BSL-1.0
#pragma once

// Contexts of each kind, and sockets on them that are native by their executor's type: for programs that do not include
// <zsync/drop_in.hpp>.

#include <zsync/uring/uring_context.hpp>

#include "support/descriptors.hpp"

#include <boost/asio.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <ostream>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>

namespace test
{

/// The ways in which a context can be run.
enum class context_mode
{
    several_threads, ///< the default
    hint_1,
    one_thread,
    unsafe ///< nothing at all happens from a second thread
};

inline std::ostream& operator<<(std::ostream& out, context_mode mode)
{
    constexpr std::array names = {"several_threads", "hint_1", "one_thread", "unsafe"};
    return out << names[static_cast<std::size_t>(mode)];
}

/// For BOOST_DATA_TEST_CASE. Other threads may at least start, cancel and post on the locked ones.
inline const auto all_modes = boost::unit_test::data::make(
    {context_mode::several_threads, context_mode::hint_1, context_mode::one_thread, context_mode::unsafe});
inline const auto locked_modes =
    boost::unit_test::data::make({context_mode::several_threads, context_mode::hint_1, context_mode::one_thread});

inline zsync::uring_options options_of(context_mode mode)
{
    zsync::uring_options options;
    if (mode == context_mode::hint_1)
        options.concurrency_hint = 1;
    if (mode == context_mode::unsafe)
        options.concurrency_hint = BOOST_ASIO_CONCURRENCY_HINT_UNSAFE;
    options.one_thread = mode == context_mode::one_thread;
    return options;
}

using tcp = boost::asio::ip::tcp;
using native_executor = zsync::uring_context::native_executor_type;
using native_socket = tcp::socket::rebind_executor<native_executor>::other;
using native_acceptor = tcp::acceptor::rebind_executor<native_executor>::other;

/// Ends what would hang. Reached only where a test fails.
inline constexpr std::chrono::seconds patience{20};

inline tcp::endpoint any_port()
{
    return {boost::asio::ip::address_v4::loopback(), 0};
}

/// A native socket, and the descriptor at the other end of its connection, which blocks.
struct connection
{
    native_socket socket;
    descriptor peer;

    explicit connection(zsync::uring_context& ctx) : socket(ctx.native_executor())
    {
        loopback_listener listener;
        descriptor mine = listener.connect();
        peer = descriptor(::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
        socket.assign(tcp::v4(), mine.get());
        mine.release();
    }

    void send(std::string_view text) const
    {
        if (::send(peer.get(), text.data(), text.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(text.size()))
            throw std::system_error(errno, std::system_category(), "send");
    }
};

/// A listener whose one place is taken: the kernel ignores who else asks, who asks again after a second.
struct full_listener : loopback_listener
{
    descriptor first = connect();

    full_listener() : loopback_listener(0) {}

    tcp::endpoint endpoint() const { return {boost::asio::ip::address_v4::loopback(), ntohs(address.sin_port)}; }

    /// Takes the first connection, so that there is room for another.
    void make_room() { descriptor(::accept4(socket.get(), nullptr, nullptr, SOCK_CLOEXEC)); }
};

/// Runs until there is nothing left to do. Returns false where that takes more than `patience`.
inline bool run_all(zsync::uring_context& ctx)
{
    ctx.restart();
    ctx.run_for(patience);
    return ctx.stopped();
}

template <class Condition>
bool eventually(Condition condition)
{
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!condition())
    {
        if (std::chrono::steady_clock::now() > end)
            return false;
        std::this_thread::yield();
    }
    return true;
}

/// Threads in run(), which end when there is nothing left to do, or with this object. Keeps the context busy until
/// join() or stop().
class runners
{
public:
    explicit runners(zsync::uring_context& ctx, int count = 1) : ctx_(ctx), work_(ctx.get_executor())
    {
        ctx_.restart();
        for (int i = 0; i < count; ++i)
            threads_.emplace_back(
                [this]
                {
                    ctx_.run();
                    const std::lock_guard lock(mutex_);
                    ++ended_;
                    all_ended_.notify_all();
                });
    }

    ~runners() { stop(); }

    /// Waits until there is nothing left to do; returns false, and stops the context, after `patience`.
    bool join()
    {
        work_.reset();
        bool in_time = false;
        {
            std::unique_lock lock(mutex_);
            in_time = all_ended_.wait_for(lock, patience, [this] { return ended_ == threads_.size(); });
        }
        stop();
        return in_time;
    }

    void stop()
    {
        ctx_.stop();
        for (auto& each : threads_)
            if (each.joinable())
                each.join();
    }

private:
    zsync::uring_context& ctx_;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
    std::mutex mutex_;
    std::condition_variable all_ended_;
    std::size_t ended_ = 0;
    std::vector<std::thread> threads_;
};

/// What an operation told its handler. Shared with the handler; read it when the context is not running.
struct answer
{
    int calls = 0;
    boost::system::error_code error;
    std::size_t bytes = 0;

    auto handler()
    {
        return [this](boost::system::error_code ec, std::size_t count = 0)
        {
            ++calls;
            error = ec;
            bytes = count;
        };
    }

    bool succeeded() const { return calls == 1 && !error; }

    friend std::ostream& operator<<(std::ostream& out, const answer& told)
    {
        return out << told.calls << " calls, " << told.error.message() << ", " << told.bytes << " bytes";
    }
};

} // namespace test
