// SPDX-License-Identifier: BSL-1.0
#pragma once

// Two streams that send each other a byte, on whatever context.

#include <zsync/net/stream.hpp>

#include "support/contexts.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>

#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace test
{

/// Sends a byte to and fro `rounds` times, each side on its own stream.
class ping_pong
{
public:
    ping_pong(const boost::asio::any_io_executor& executor, int rounds, std::atomic<int>& finished)
        : strand_(boost::asio::make_strand(executor)), rounds_(rounds), finished_(finished)
    {
        auto [a, b] = zsync::make_stream_pair(executor);
        a_ = std::make_unique<zsync::stream>(std::move(a));
        b_ = std::make_unique<zsync::stream>(std::move(b));
    }

    void start()
    {
        boost::asio::post(strand_, [this] { next(); });
    }

private:
    void next()
    {
        if (rounds_-- == 0)
        {
            ++finished_;
            return;
        }
        a_->async_write_some(boost::asio::buffer("x", 1),
                             boost::asio::bind_executor(strand_, [](boost::system::error_code, std::size_t) {}));
        b_->async_read_some(boost::asio::buffer(data_),
                            boost::asio::bind_executor(strand_,
                                                       [this](boost::system::error_code ec, std::size_t n)
                                                       {
                                                           if (!ec && n == 1)
                                                           {
                                                               std::swap(a_, b_);
                                                               next();
                                                           }
                                                       }));
    }

    boost::asio::strand<boost::asio::any_io_executor> strand_;
    int rounds_;
    std::atomic<int>& finished_;
    std::unique_ptr<zsync::stream> a_, b_;
    std::array<char, 1> data_;
};

/// Eight at once, which begin when all of them are there. To be destroyed after they have ended.
class eight_games
{
public:
    eight_games(const boost::asio::any_io_executor& executor, int rounds)
    {
        for (int i = 0; i < 8; ++i)
            games_.push_back(std::make_unique<ping_pong>(executor, rounds, finished_));
        for (auto& each : games_)
            each->start();
    }

    bool ended() const { return finished_ == 8; }

private:
    std::atomic<int> finished_{0};
    std::vector<std::unique_ptr<ping_pong>> games_;
};

/// Plays on a context that three threads run. Returns whether the games have ended.
inline bool play_on_three_threads(boost::asio::io_context& ctx, int rounds)
{
    const eight_games games(ctx.get_executor(), rounds);
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i)
        threads.emplace_back([&] { ctx.run_for(most_patience); });
    for (auto& each : threads)
        each.join();
    return games.ended();
}

} // namespace test
