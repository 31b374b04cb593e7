// SPDX-License-Identifier: BSL-1.0
#pragma once

// What upstream's example servers run on in place of io_context. Included before all else: the compiler is told to.

#include "stand_in.hpp"

#include <boost/asio/signal_set.hpp>

#include <csignal>

namespace upstream
{

/// The stand-in for servers that run until they are killed: SIGTERM ends run(), so that the total is told.
class server_context : public context
{
public:
    explicit server_context(int hint) : context(hint), stop_(*this, SIGTERM)
    {
        stop_.async_wait(
            [this](const boost::system::error_code& error, int)
            {
                if (!error)
                    stop();
            });
    }

private:
    boost::asio::signal_set stop_;
};

} // namespace upstream
