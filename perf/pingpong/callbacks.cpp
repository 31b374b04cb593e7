// SPDX-License-Identifier: BSL-1.0

// Socket pairs in one thread, a message bouncing in each, in stock Asio callbacks. One message is a send and the
// receive that gets it. Never idle, so CPU time is what a message costs. timeouts=1: a receive takes 30 s at most.

#include "harness/context.hpp"
#include "pingpong/progress.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>

#include <array>
#include <chrono>
#include <deque>

namespace
{

namespace asio = boost::asio;
using stream_protocol = asio::local::stream_protocol;
using boost::system::error_code;

class endpoint
{
public:
    endpoint(perf::context& ctx, perf::progress& p, std::size_t bytes, bool timeouts)
        : socket(ctx), progress_(p), bytes_(bytes), timer_(ctx), timeouts_(timeouts)
    {
    }

    void receive()
    {
        if (timeouts_)
        {
            timer_.expires_after(std::chrono::seconds(30));
            timer_.async_wait(
                [this](error_code ec)
                {
                    if (!ec)
                        socket.close();
                });
        }
        socket.async_read_some(asio::buffer(data_, bytes_),
                               [this](error_code ec, std::size_t n)
                               {
                                   if (timeouts_)
                                       timer_.cancel();
                                   check(ec, n);
                                   progress_.message_received();
                                   send();
                               });
    }

    void send()
    {
        socket.async_write_some(asio::buffer(data_, bytes_),
                                [this](error_code ec, std::size_t n)
                                {
                                    check(ec, n);
                                    receive();
                                });
    }

    stream_protocol::socket socket;

private:
    // A small message passes a socket pair whole, or this program measures something else.
    void check(error_code ec, std::size_t n) const
    {
        if (ec || n != bytes_)
            throw boost::system::system_error(ec, "a message was cut");
    }

    perf::progress& progress_;
    std::size_t bytes_;
    asio::steady_timer timer_;
    const bool timeouts_;
    std::array<char, 4096> data_{};
};

void measure(const perf::cell_arguments& arguments)
{
    const auto ctx = perf::make_context(arguments.text("mode", "default"));
    perf::progress p(*ctx, arguments);
    const std::uint64_t bytes = arguments.number("bytes", 64);
    const bool timeouts = arguments.number("timeouts", 0) != 0;
    std::deque<endpoint> endpoints;
    for (std::uint64_t i = 0; i != arguments.number("pairs", 64); ++i)
    {
        endpoint& a = endpoints.emplace_back(*ctx, p, bytes, timeouts);
        endpoint& b = endpoints.emplace_back(*ctx, p, bytes, timeouts);
        asio::local::connect_pair(a.socket, b.socket);
        a.send();
        b.receive();
    }
    ctx->run();

    perf::cell_line line;
    p.describe(line);
    perf::describe_context(line, *ctx);
    line.print();
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, measure);
}
