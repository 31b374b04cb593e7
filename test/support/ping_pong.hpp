// SPDX-License-Identifier: BSL-1.0
#pragma once

// Two streams that send each other a byte, on whatever context.

#include <zsync/net/stream.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>

#include <array>
#include <atomic>
#include <memory>
#include <utility>

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

} // namespace test
