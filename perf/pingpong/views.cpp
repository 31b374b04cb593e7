// SPDX-License-Identifier: BSL-1.0

// The same bouncing messages on zsync's own stream: received by receive_many(), into provided buffers, and sent back
// from where they arrived.

#include "harness/context.hpp"
#include "pingpong/progress.hpp"

#include <zsync/net/stream.hpp>

#include <boost/asio/buffer.hpp>

#include <deque>
#include <stdexcept>
#include <string>
#include <utility>

namespace
{

namespace asio = boost::asio;
using boost::system::error_code;

class endpoint
{
public:
    endpoint(zsync::stream socket, perf::progress& p, std::size_t bytes)
        : socket_(std::move(socket)), source_(socket_.receive_many()), progress_(p), first_(bytes, 'x')
    {
    }

    void receive()
    {
        source_.async_next(
            [this](error_code ec, zsync::buffer_view view)
            {
                if (ec || view.size() != first_.size())
                    throw std::runtime_error("a message was cut");
                progress_.message_received();
                answer_ = std::move(view);
                send(answer_);
            });
    }

    void begin() { send(asio::buffer(first_)); }

private:
    void send(asio::const_buffer message)
    {
        socket_.async_write_some(message,
                                 [this](error_code ec, std::size_t n)
                                 {
                                     if (ec || n != first_.size())
                                         throw std::runtime_error("a message was cut");
                                     answer_.reset();
                                     receive();
                                 });
    }

    zsync::stream socket_;
    zsync::view_source source_;
    perf::progress& progress_;
    std::string first_;
    zsync::buffer_view answer_;
};

void measure(const perf::cell_arguments& arguments)
{
    const auto ctx = perf::make_context(arguments.text("mode", "default"));
    perf::progress p(*ctx, arguments);
    std::deque<endpoint> endpoints;
    const std::uint64_t bytes = arguments.number("bytes", 64);
    for (std::uint64_t i = 0; i != arguments.number("pairs", 64); ++i)
    {
        auto [a, b] = zsync::make_stream_pair(ctx->get_executor());
        endpoints.emplace_back(std::move(a), p, bytes).begin();
        endpoints.emplace_back(std::move(b), p, bytes).receive();
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
