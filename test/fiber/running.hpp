// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/executor_work_guard.hpp>

#include <thread>

namespace test
{

/// A context that another thread runs, until the end of the scope and of what is still to be done there.
template <class Context>
class running
{
public:
    template <class... Arguments>
    explicit running(const Arguments&... arguments) : context(arguments...)
    {
    }

    running(const running&) = delete;
    running& operator=(const running&) = delete;

    ~running()
    {
        work_.reset();
        thread_.join();
    }

    Context context;

private:
    boost::asio::executor_work_guard<typename Context::executor_type> work_{context.get_executor()};
    std::thread thread_{[this] { context.run(); }};
};

} // namespace test
