// SPDX-License-Identifier: BSL-1.0

// A TCP echo server as Asio's tutorials write it. Serves `connections` connections, then ends. timeouts=1: a read takes
// 30 s at most. poll=1: its loop never sleeps.

#include "harness/context.hpp"
#include "harness/pinning.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

namespace
{

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

class session : public std::enable_shared_from_this<session>
{
public:
    session(tcp::socket socket, bool timeouts)
        : socket_(std::move(socket)), timer_(socket_.get_executor()), timeouts_(timeouts)
    {
    }

    void read()
    {
        if (timeouts_)
        {
            timer_.expires_after(std::chrono::seconds(30));
            timer_.async_wait(
                [self = shared_from_this()](error_code ec)
                {
                    if (!ec)
                        self->socket_.close();
                });
        }
        socket_.async_read_some(asio::buffer(data_),
                                [self = shared_from_this()](error_code ec, std::size_t n)
                                {
                                    if (self->timeouts_)
                                        self->timer_.cancel();
                                    if (!ec)
                                        self->write(n);
                                });
    }

private:
    void write(std::size_t n)
    {
        asio::async_write(socket_, asio::buffer(data_, n),
                          [self = shared_from_this()](error_code ec, std::size_t)
                          {
                              if (!ec)
                                  self->read();
                          });
    }

    tcp::socket socket_;
    asio::steady_timer timer_;
    const bool timeouts_;
    std::array<char, 4096> data_;
};

void accept(tcp::acceptor& acceptor, bool timeouts, std::uint64_t remaining)
{
    if (remaining == 0)
        return acceptor.close();
    acceptor.async_accept(
        [&acceptor, timeouts, remaining](error_code ec, tcp::socket socket)
        {
            if (ec)
                throw boost::system::system_error(ec, "accept");
            socket.set_option(tcp::no_delay(true));
            std::make_shared<session>(std::move(socket), timeouts)->read();
            accept(acceptor, timeouts, remaining - 1);
        });
}

// One thread for each of `threads` CPUs, as the kernel likes to pack two that talk to one client onto one.
void run(perf::context& ctx, std::size_t threads)
{
    if (threads == 1)
    {
        ctx.run();
        return;
    }
    const std::vector<int> cpus = perf::allowed_cpus();
    std::vector<std::thread> pool;
    for (std::size_t i = 0; i != threads; ++i)
        pool.emplace_back(
            [&ctx, cpu = cpus[i % cpus.size()]]
            {
                perf::pin_to({&cpu, 1});
                ctx.run();
            });
    for (std::thread& thread : pool)
        thread.join();
}

void serve(const perf::cell_arguments& arguments)
{
    const auto ctx = perf::make_context(arguments.text("mode", "default"));
    tcp::acceptor acceptor(*ctx, {asio::ip::address_v4::loopback(), 0});
    perf::cell_line().add("port", acceptor.local_endpoint().port()).add("pid", ::getpid()).print();

    accept(acceptor, arguments.number("timeouts", 0) != 0, arguments.number("connections", 64));
    if (arguments.number("poll", 0) == 0)
        run(*ctx, arguments.number("threads", 1));
    else
        while (!ctx->stopped())
            ctx->poll();

    perf::cell_line line;
    perf::describe_context(line, *ctx);
    line.print();
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, serve);
}
