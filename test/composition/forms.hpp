// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the cases on composition run over: stock sockets and typed ones, on Asio's context and on ours, and coroutines
// that talk over a connected pair of them. Include <zsync/drop_in.hpp> first.

#include <zsync/drop_in.hpp>

#include <drop_in/contexts.hpp>
#include <drop_in/sockets.hpp>

#include <boost/asio.hpp>

#include <exception>
#include <string>
#include <tuple>
#include <utility>

namespace test
{

/// Sockets of stock type, as <zsync/drop_in.hpp> makes them native.
template <class Context>
struct stock
{
    using executor_type = asio::any_io_executor;
    Context context;
};

/// Sockets that are native by their executor's type.
template <class Context>
struct typed
{
    using executor_type = zsync::uring_context::native_executor_type;
    Context context;
};

using forms = std::tuple<stock<plain_io_context>, stock<default_uring_context>, stock<one_thread_uring_context>,
                         typed<default_uring_context>, typed<one_thread_uring_context>>;

template <class Executor>
Executor executor_of(context& under_test)
{
    if constexpr (std::is_same_v<Executor, asio::any_io_executor>)
        return under_test.executor();
    else
        return under_test.uring()->native_executor();
}

template <class Executor>
using socket_of = asio::basic_stream_socket<tcp, Executor>;

/// Two connected sockets of the context under test.
template <class Executor>
struct connected
{
    explicit connected(context& under_test)
        : client(executor_of<Executor>(under_test)), server(executor_of<Executor>(under_test))
    {
        connect_pair(client, server);
    }

    socket_of<Executor> client;
    socket_of<Executor> server;
};

/// Runs coroutines until all have ended. What one of them throws comes out here.
template <class... Coroutines>
void run_together(context& under_test, Coroutines... coroutines)
{
    const auto pass_on = [](std::exception_ptr thrown)
    {
        if (thrown)
            std::rethrow_exception(thrown);
    };
    (asio::co_spawn(under_test.executor(), std::move(coroutines), pass_on), ...);
    under_test.run();
}

/// Bytes that differ from place to place.
inline std::string pattern(std::size_t size)
{
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i)
        bytes[i] = static_cast<char>('a' + (i * 7 + i / 251) % 26);
    return bytes;
}

} // namespace test

/// Declares a case that runs over all forms: `ON_ALL_FORMS(name, Executor, under_test) { ... }`. The body is compiled
/// once for each executor type.
#define ON_ALL_FORMS(name, Executor, under_test)                                                                       \
    template <class Executor>                                                                                          \
    static void name##_on(test::context& under_test);                                                                  \
    BOOST_AUTO_TEST_CASE_TEMPLATE(name, Form, test::forms)                                                             \
    {                                                                                                                  \
        Form form;                                                                                                     \
        name##_on<typename Form::executor_type>(form.context);                                                         \
    }                                                                                                                  \
    template <class Executor>                                                                                          \
    static void name##_on(test::context& under_test)
