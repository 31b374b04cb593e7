// SPDX-License-Identifier: BSL-1.0
#pragma once

// A connection of an echo server of callbacks, as Asio's tutorials write it.

#include "harness/allocations.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <memory>
#include <utility>

namespace perf
{

template <class Stream>
class echo_session : public std::enable_shared_from_this<echo_session<Stream>>
{
public:
    echo_session(Stream peer, allocation_window& window) : peer_(std::move(peer)), window_(window) {}

    void read()
    {
        peer_.async_read_some(boost::asio::buffer(data_),
                              [self = this->shared_from_this()](boost::system::error_code ec, std::size_t n)
                              {
                                  if (!ec)
                                      self->write(n);
                              });
    }

private:
    void write(std::size_t n)
    {
        boost::asio::async_write(peer_, boost::asio::buffer(data_, n),
                                 [self = this->shared_from_this()](boost::system::error_code ec, std::size_t)
                                 {
                                     self->window_.served();
                                     if (!ec)
                                         self->read();
                                 });
    }

    Stream peer_;
    allocation_window& window_;
    std::array<char, 4096> data_;
};

/// Answers a connection until its end.
template <class Stream>
void serve_echo(Stream peer, allocation_window& window)
{
    std::make_shared<echo_session<Stream>>(std::move(peer), window)->read();
}

} // namespace perf
