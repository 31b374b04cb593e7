// SPDX-License-Identifier: BSL-1.0

// A line-based chat, with callbacks and stock Asio types: `chat_server 5000`, then `nc 127.0.0.1 5000` in several
// terminals. What one member writes, all others read. Any number of threads may run it: all handlers of the room are
// on one strand, and so need no lock.

#include <zsync/drop_in.hpp> // first: makes the sockets below native on a uring_context

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <deque>
#include <exception>
#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::size_t longest_line = 1024;
constexpr std::size_t most_unsent = 1024 * 1024; // bytes that may wait for a member who does not read

using line = std::shared_ptr<const std::string>; // one copy, however many members

class member;

/// Knows who is there. All of it runs on the room's strand.
struct room
{
    std::set<std::shared_ptr<member>> members;
    unsigned joined = 0;

    void say(const std::string& text, const member* except);
};

class member : public std::enable_shared_from_this<member>
{
public:
    member(tcp::socket socket, room& where, unsigned number)
        : socket_(std::move(socket)), room_(where), name_("member " + std::to_string(number))
    {
    }

    void start()
    {
        room_.members.insert(shared_from_this());
        room_.say(name_ + " is here\n", this);
        read();
    }

    void send(const line& text)
    {
        unsent_bytes_ += text->size();
        if (unsent_bytes_ > most_unsent)
            return leave();
        unsent_.push_back(text);
        if (unsent_.size() == 1)
            write();
    }

    /// Ends both directions; the handlers in flight then let go of the member.
    void leave()
    {
        if (room_.members.erase(shared_from_this()) == 0)
            return;
        error_code ignored;
        socket_.close(ignored);
        room_.say(name_ + " has left\n", this);
    }

private:
    void read()
    {
        asio::async_read_until(socket_, asio::dynamic_buffer(input_, longest_line), '\n',
                               [self = shared_from_this()](error_code error, std::size_t bytes)
                               {
                                   if (error) // not_found: longer than longest_line
                                       return self->leave();
                                   self->room_.say(self->name_ + ": " + self->take(bytes) + "\n", self.get());
                                   self->read();
                               });
    }

    void write()
    {
        asio::async_write(socket_, asio::buffer(*unsent_.front()),
                          [self = shared_from_this()](error_code error, std::size_t)
                          {
                              if (error)
                                  return self->leave();
                              self->unsent_bytes_ -= self->unsent_.front()->size();
                              self->unsent_.pop_front();
                              if (!self->unsent_.empty())
                                  self->write();
                          });
    }

    /// Takes a line out of the input, without its end and without what could steer a terminal.
    std::string take(std::size_t bytes)
    {
        std::string text = input_.substr(0, bytes - 1);
        input_.erase(0, bytes);
        std::erase_if(text, [](unsigned char letter) { return letter < ' ' || letter == 127; });
        return text;
    }

    tcp::socket socket_;
    room& room_;
    std::string name_;
    std::string input_;
    std::deque<line> unsent_;
    std::size_t unsent_bytes_ = 0;
};

void room::say(const std::string& text, const member* except)
{
    const auto shared = std::make_shared<const std::string>(text);
    const std::vector<std::shared_ptr<member>> present(members.begin(), members.end()); // send() may make one leave
    for (const auto& each : present)
        if (each.get() != except)
            each->send(shared);
}

/// Accepts, and stops on a signal.
class chat_server
{
public:
    chat_server(asio::io_context& ctx, std::uint16_t port)
        : strand_(asio::make_strand(ctx)),
          acceptor_(strand_, {asio::ip::address_v4::loopback(), port}),
          pause_(strand_),
          signals_(strand_, SIGINT, SIGTERM)
    {
        signals_.async_wait([this](error_code, int) { stop(); });
        accept();
    }

    std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

private:
    void accept()
    {
        acceptor_.async_accept(strand_, // the executor of the new socket, and so of its handlers
                               [this](error_code error, tcp::socket socket)
                               {
                                   if (!acceptor_.is_open())
                                       return;
                                   if (error)
                                       return accept_later();
                                   std::make_shared<member>(std::move(socket), room_, ++room_.joined)->start();
                                   accept();
                               });
    }

    void accept_later() // out of descriptors, most likely
    {
        pause_.expires_after(std::chrono::milliseconds(100));
        pause_.async_wait(
            [this](error_code)
            {
                if (acceptor_.is_open())
                    accept();
            });
    }

    void stop()
    {
        acceptor_.close();
        pause_.cancel();
        while (!room_.members.empty())
            (*room_.members.begin())->leave();
    }

    asio::strand<asio::io_context::executor_type> strand_;
    tcp::acceptor acceptor_;
    asio::steady_timer pause_;
    asio::signal_set signals_;
    room room_;
};

bool parse(std::string_view text, unsigned least, unsigned most, unsigned& number)
{
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size() && number >= least && number <= most;
}

int main(int argc, char** argv)
try
{
    unsigned port = 0;
    unsigned threads = 1;
    if (argc < 2 || argc > 3 || !parse(argv[1], 0, 65535, port) || (argc == 3 && !parse(argv[2], 1, 64, threads)))
    {
        std::cerr << "usage: " << argv[0] << " PORT [THREADS]\n"
                  << "Chats on 127.0.0.1, for nc and its like. PORT 0 takes a free one.\n";
        return 2;
    }

    zsync::uring_context ctx;
    chat_server server(ctx, static_cast<std::uint16_t>(port));
    std::cout << "listening on 127.0.0.1:" << server.port() << ", " << to_string(ctx.engine()) << ": " << ctx.why()
              << std::endl;
    std::vector<std::jthread> others;
    while (others.size() + 1 < threads)
        others.emplace_back([&] { ctx.run(); });
    ctx.run();
    others.clear(); // joins
    std::cout << "stopped after " << ctx.counters().operations_completed << " native operations" << std::endl;
    return 0;
}
catch (const std::exception& failure)
{
    std::cerr << argv[0] << ": " << failure.what() << "\n";
    return 1;
}
