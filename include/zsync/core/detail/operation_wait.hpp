// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/detail/await_operation.hpp>
#include <zsync/core/detail/signal_loan.hpp>
#include <zsync/core/waitable.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/system/error_code.hpp>

#include <cstddef>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace zsync::detail
{

/// The signal of an operation in a selection: the agent's, if it is an agent's, and for the first of them.
class selected_signal
{
protected:
    explicit selected_signal(selection& of) noexcept : loan_(of.waiting()) {}

    signal_loan loan_;
};

/// An operation as a part of a selection: a frame that claims it when its handler is called, or destroyed.
template <class... Args>
class selected_operation : selected_signal, public value_frame<Args...>
{
public:
    /// The handler's arguments. Empty: it was not started, or its handler has been destroyed without being called, or
    /// storing them has thrown.
    using result_type = std::optional<std::tuple<std::decay_t<Args>...>>;

    light_mutex* lock() const noexcept { return nullptr; }
    bool try_now() const noexcept { return false; }
    bool arm() const noexcept { return false; }
    void settle() const noexcept {}

    void disarm() noexcept
    {
        if (started_)
            this->end_early();
    }

    result_type take(bool) { return std::move(this->values); }

    /// Says that it has come to more than that it has been cancelled.
    bool has_completed() const noexcept { return this->values && !is_abortion(*this->values); }

    /// What the token does.
    template <class Initiation, class... InitiationArgs>
    void begin(Initiation&& initiation, InitiationArgs&&... args)
    {
        const auto executor = executor_of(initiation, args...);
        boost::asio::execution_context* const context = context_of(executor);
        loop* const target = loop_of(context);
        refusal_ = of_.admit(context, target);
        if (refusal_)
            return;
        if constexpr (std::is_convertible_v<decltype(executor), boost::asio::any_io_executor>)
            executor_ = executor;
        this->run_by(target);
        of_.operation_started();
        started_ = true;
        std::forward<Initiation>(initiation)(await_handler<Args...>(*this), std::forward<InitiationArgs>(args)...);
        loan_.take_block();
    }

protected:
    selected_operation(selection& of, std::size_t index) noexcept
        : selected_signal(of), value_frame<Args...>(loan_.signal()), of_(of), index_(index)
    {
    }
    ~selected_operation() = default;

    const boost::system::error_code& refusal() const noexcept { return refusal_; }

private:
    void over() noexcept override
    {
        selection& of = of_;
        if (of.claim(index_))
            of.wake();
        of.operation_over();
    }

    bool has_executor() const noexcept override { return static_cast<bool>(executor_); }
    void post_emission() override { this->post_emission_to(executor_); }

    boost::asio::any_io_executor executor_; // empty: the operation tells none
    selection& of_;
    const std::size_t index_;
    boost::system::error_code refusal_;
    bool started_ = false;
};

/// The token by which a selection starts an operation.
template <class... Args>
struct operation_token
{
    selected_operation<Args...>* wait;
};

template <class Signature>
struct operation_of;

// clang-format off
template <class R, class... Args>
struct operation_of<R(Args...)> { using type = selected_operation<Args...>; using token = operation_token<Args...>; };
template <class R, class... Args>
struct operation_of<R(Args...) &> : operation_of<R(Args...)> {};
template <class R, class... Args>
struct operation_of<R(Args...) &&> : operation_of<R(Args...)> {};
template <class R, class... Args>
struct operation_of<R(Args...) noexcept> : operation_of<R(Args...)> {};
template <class R, class... Args>
struct operation_of<R(Args...) & noexcept> : operation_of<R(Args...)> {};
template <class R, class... Args>
struct operation_of<R(Args...) && noexcept> : operation_of<R(Args...)> {};
// clang-format on

/// Something that can be called with a completion token: what asio::deferred returns, or a verb of an io.
template <class T>
concept deferred_operation = boost::asio::is_async_operation<T>::value;

/// A selection's wait for such an operation.
template <deferred_operation T>
class operation_wait final : public operation_of<boost::asio::completion_signature_of_t<T>>::type
{
    using signature = operation_of<boost::asio::completion_signature_of_t<T>>;

public:
    operation_wait(T& operation, selection& of, std::size_t index) noexcept
        : signature::type(of, index), operation_(operation)
    {
    }

    /// Starts it. Returns why the selection does not admit it. Throws what starting it throws, and then it is over, or
    /// will be.
    boost::system::error_code start()
    {
        std::forward<T>(operation_)(typename signature::token{this});
        return this->refusal();
    }

private:
    std::remove_reference_t<T>& operation_;
};

} // namespace zsync::detail

/// See operation_token.
template <class... Args, class Signature>
class boost::asio::async_result<zsync::detail::operation_token<Args...>, Signature>
{
public:
    template <class Initiation, class... InitiationArgs>
    static void initiate(Initiation&& initiation, zsync::detail::operation_token<Args...> token,
                         InitiationArgs&&... args)
    {
        token.wait->begin(std::forward<Initiation>(initiation), std::forward<InitiationArgs>(args)...);
    }
};
