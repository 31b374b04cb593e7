// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/io/run.hpp>
#include <zsync/io/task_set.hpp>

#include <boost/asio/error.hpp>

#include <charconv>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <iostream>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

/// What the servers here have in common: a port, a fiber for each connection, an end on SIGINT and SIGTERM.
namespace fiber_server
{

/// Serves one connection. `idle` is `io`, but cancelled when the server stops: for what waits for a new request.
using session = std::function<void(zsync::io io, zsync::io idle, zsync::stream& peer)>;

inline std::optional<std::uint16_t> parse_number(std::string_view text)
{
    std::uint16_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size())
        return {};
    return number;
}

/// A session that ends because its client has left, or because the server stops, is no error.
inline void report(std::exception_ptr failure)
try
{
    std::rethrow_exception(failure);
}
catch (const boost::system::system_error& error)
{
    namespace asio = boost::asio;
    if (error.code() != asio::error::connection_reset && error.code() != asio::error::broken_pipe &&
        error.code() != asio::error::operation_aborted)
        std::cerr << "session: " << error.what() << std::endl;
}
catch (const std::exception& error)
{
    std::cerr << "session: " << error.what() << std::endl;
}

/// Accepts until it is cancelled. Then closes the door, has idle sessions end, and leaves: the set waits for the
/// others, up to the deadline of the shutdown.
inline void serve(zsync::io io, std::uint16_t port, const session& run_session)
{
    zsync::acceptor listener = io.listen({"127.0.0.1", port});
    std::cout << "listening on " << listener.local_endpoint() << ", " << to_string(io.model()) << " on "
              << to_string(io.engine()) << std::endl;

    const zsync::cancellation_source stop(io.cancellation());
    const zsync::io idle = io.with_cancellation(stop.token());
    zsync::task_set sessions(io, {.on_error = report, .limit = 10'000});
    try
    {
        for (;;)
        {
            auto accepted = io.accept(listener).try_await();
            if (accepted)
                sessions.async([&](zsync::io own, zsync::stream peer) { run_session(own, idle, peer); },
                               std::move(*accepted));
            else if (accepted.error() == boost::asio::error::operation_aborted)
                break;
            else // out of descriptors, most likely
                io.sleep(std::chrono::milliseconds(100)).await();
        }
    }
    catch (const boost::system::system_error& error)
    {
        if (error.code() != boost::asio::error::operation_aborted)
            throw;
    }
    io.close(listener).await();
    stop.request_cancel();
}

/// The whole program but for its session. Returns the exit code: 0 after a signal, 1 for an error, 2 for a wrong
/// command line. `goodbye` has the last word.
inline int main(int argc, char** argv, std::string_view what, const session& run_session,
                const std::function<void()>& goodbye)
try
{
    const auto port = argc == 2 || argc == 3 ? parse_number(argv[1]) : std::nullopt;
    const auto patience = argc == 3 ? parse_number(argv[2]) : 5;
    if (!port || !patience)
    {
        std::cerr << "usage: " << argv[0] << " PORT [SECONDS]\n"
                  << what << " on 127.0.0.1. PORT 0 takes a free one. After SIGTERM or SIGINT, answers that are being\n"
                  << "written may take so many SECONDS more, 5 by default; then the rest is cancelled.\n";
        return 2;
    }
    zsync::run([&](zsync::io io) { serve(io, *port, run_session); },
               {.shutdown_on_signals = true, .shutdown_deadline = std::chrono::seconds(*patience)});
    goodbye();
    return 0;
}
catch (const std::exception& failure)
{
    std::cerr << argv[0] << ": " << failure.what() << std::endl;
    return 1;
}

} // namespace fiber_server
