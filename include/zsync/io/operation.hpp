// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/use_await.hpp>
#include <zsync/io/detail/initiate.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/assert.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <type_traits>
#include <utility>

namespace zsync
{

class io;

namespace detail
{

/// Starts an operation, and returns its future: defined in <zsync/io/async.hpp>.
template <class Operation>
auto start_operation(const io& where, Operation&& op);

// An io is not complete yet, here; it is where this is instantiated.
template <class Dependent>
auto make_io(const settings& with);

template <class Value>
struct io_signature
{
    using type = void(boost::system::error_code, Value);
};

template <>
struct io_signature<void>
{
    using type = void(boost::system::error_code);
};

} // namespace detail

/// What a verb of an io returns: an operation that has not begun, and begins when it is awaited, in one of these forms.
///
/// - `await()` returns its value, or throws boost::system::system_error;
/// - `await(ec)` stores the error, or success, and returns the value in any case: after an error, the bytes that have
///   moved all the same, or a closed handle;
/// - `try_await()` returns a boost::system::result: the value or the error;
/// - `op(token)` starts it for any Asio completion token, whose handler is told what `await(ec)` returns;
/// - `co_await op` inside an asio::awaitable;
/// - `start()` starts it, and returns a future.
///
/// The three that await block the thread in the blocking model. Elsewhere, on a fiber of the io's loop they suspend the
/// fiber; on another fiber or thread they are `op(use_await)`, which suspends or blocks that. The others never block,
/// but for the blocking model, which performs the operation inside. Handlers are posted, but for
/// those with an immediate executor whose operation completes inside: see handle.
///
/// It ends early when the running task is cancelled, at the deadline of its io or of a deadline_scope, or by the token
/// of its io. A request and a token end it with operation_aborted, a deadline with zsync::error::timed_out. Work that
/// has been completed by then is never lost: a transfer that moved something and was to move no more succeeds, one that
/// was to move more fails and counts what has moved. A deadline that has passed before the operation begins lets it
/// make one attempt that does not wait. Errors of every operation: bad_descriptor on a closed handle; already_started
/// if the handle has a reader, or a writer, already; invalid_argument on a handle of another context, except in the
/// blocking model; resource_deadlock_would_occur where waiting is not allowed: see agent::may_wait().
///
/// Movable; single-shot: only one of these may be called, once. It keeps what it works on alive, but neither the
/// handle open nor buffers that it does not own. Thread safety: none, as any value.
template <detail::steps Steps>
class [[nodiscard("an operation does nothing until it is awaited")]] io_operation
{
public:
    /// What it delivers; void if nothing.
    using value_type = typename Steps::value_type;

    /// Its completion signature: void(error_code), or void(error_code, value_type).
    using signature = typename detail::io_signature<value_type>::type;

    /// For the verbs: `build` returns the steps, which are made where they stay.
    template <class Build>
    io_operation(const detail::settings& with, Build build) : with_(with), steps_(build())
    {
    }

    io_operation(io_operation&& other) = default;
    io_operation& operator=(io_operation&& other) = default;

    value_type await()
    {
        boost::system::error_code ec;
        if (run_here(ec)) [[likely]]
        {
            if (ec) [[unlikely]]
                throw boost::system::system_error(ec);
            return steps_.value();
        }
        return (*this)(use_await);
    }

    value_type await(boost::system::error_code & ec)
    {
        ec.clear();
        if (run_here(ec))
            return steps_.value();
        return await_elsewhere(ec);
    }

    boost::system::result<value_type> try_await()
    {
        boost::system::error_code ec;
        if constexpr (std::is_void_v<value_type>)
        {
            await(ec);
            return ec ? boost::system::result<void>(ec) : boost::system::result<void>();
        }
        else
        {
            value_type value = await(ec);
            if (ec)
                return ec;
            return value;
        }
    }

    /// Starts it. See io_operation.
    template <boost::asio::completion_token_for<signature> Token>
    auto operator()(Token&& token)
    {
        return boost::asio::async_initiate<Token, signature>(detail::io_initiation(with_), token, std::move(steps_));
    }

    /// Starts it, and returns its future, a zsync::future<value_type>.
    auto start()
    {
        return detail::start_operation(origin(), std::move(*this));
    }

    /// The io whose verb has made it.
    auto origin() const
    {
        return detail::make_io<Steps>(with_);
    }

private:
    // Returns false if that has to be done by somebody else, elsewhere.
    bool run_here(boost::system::error_code & ec)
    {
        agent& self = agent::current();
        if (with_.model != model::blocking && self.fiber_of() != with_.owner)
            return false;
        with_.deadline = std::min(with_.deadline, self.cancellation().deadline());
        if (with_.model == model::blocking)
        {
            detail::blocking_waits waits(with_, self.cancellation());
            detail::drive(steps_, with_, waits, ec);
            return true;
        }
        {
            detail::fiber_waits waits(with_, self);
            detail::drive(steps_, with_, waits, ec);
        }
        self.cancellation().throw_if_unwinding();
        return true;
    }

    value_type await_elsewhere(boost::system::error_code & ec)
    {
        if constexpr (std::is_void_v<value_type> || std::is_default_constructible_v<value_type>)
            return (*this)(use_await[ec]);
        else
        {
            const auto executor = detail::io_initiation(with_).get_executor();
            try
            {
                return (*this)(use_await[ec]);
            }
            catch (const boost::system::system_error& refusal) // there is no handle to return beside the error
            {
                ec = refusal.code();
                return value_type(executor);
            }
        }
    }

    detail::settings with_;
    Steps steps_;
};

} // namespace zsync
