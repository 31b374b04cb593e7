// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/cancellation.hpp>
#include <zsync/core/detail/forget_cancellation.hpp>
#include <zsync/core/loop_executor.hpp>
#include <zsync/fiber/detail/child_task.hpp>

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace zsync
{

template <class R>
class future;

namespace detail
{

template <class R>
struct future_signature_of
{
    using type = void(std::exception_ptr, told_result<R>);
};

template <>
struct future_signature_of<void>
{
    using type = void(std::exception_ptr);
};

template <class R>
using future_signature = typename future_signature_of<R>::type;

/// Makes futures, and looks into them.
template <class R>
class future_access
{
public:
    static future<R> of_task(loop& on, task_state<R>& started) noexcept
    {
        future<R> made;
        made.loop_ = &on;
        made.task_ = &started;
        return made;
    }

    /// Calls the function here and now.
    template <class Function>
    static future<R> run_inline(loop& on, Function&& function)
    {
        future<R> made;
        made.loop_ = &on;
        made.inline_.set_from(std::forward<Function>(function));
        return made;
    }

    static task_state<R>* task_of(const future<R>& one) noexcept { return one.task_; }
    static task_outcome<R>& outcome_of(future<R>& one) noexcept { return one.outcome(); }
};

/// A future that waits for its function on behalf of a handler. In the handler's memory.
template <class R, class Handler>
class future_wait final : public task_observer
{
    using executor_type = boost::asio::associated_executor_t<Handler, loop_executor>;
    using base_allocator = boost::asio::associated_allocator_t<Handler>;
    using allocator = typename std::allocator_traits<base_allocator>::template rebind_alloc<future_wait>;
    using traits = std::allocator_traits<allocator>;

public:
    static void start(loop& on, Handler&& handler, future<R>&& awaited)
    {
        // What may throw comes first: the future is then still the caller's.
        child_task* const waited_for = future_access<R>::task_of(awaited);
        std::optional<cancellation_source> source;
        if (auto slot = boost::asio::get_associated_cancellation_slot(handler); waited_for && slot.is_connected())
            source.emplace().connect(slot);
        allocator memory(boost::asio::get_associated_allocator(handler));
        future_wait* const self = traits::allocate(memory, 1);
        try
        {
            new (self) future_wait(on, std::move(handler), std::move(awaited));
        }
        catch (...)
        {
            traits::deallocate(memory, self, 1);
            throw;
        }
        if (!waited_for)
            return self->complete();
        if (source)
            self->on_request_.emplace(source->token(), request{waited_for});
        waited_for->observe(*self);
    }

private:
    future_wait(loop& on, Handler&& handler, future<R>&& awaited)
        : work_(boost::asio::get_associated_executor(handler, loop_executor(on))),
          handler_(std::move(handler)),
          future_(std::move(awaited))
    {
    }

    // The slot's handler has the source, not this: its signal may be emitted on another thread than the loop's.
    struct request
    {
        child_task* of;
        void operator()() const noexcept { of->request_cancel(boost::asio::error::operation_aborted); }
    };

    void ended(child_task&) noexcept override { complete(); }

    // Ends the process if there is no memory to queue the handler with: there is nobody left to be told.
    void complete() noexcept
    {
        allocator memory(boost::asio::get_associated_allocator(handler_));
        on_request_.reset();
        Handler handler(std::move(handler_));
        task_outcome<R> outcome(std::move(future_access<R>::outcome_of(future_)));
        const auto work = std::move(work_);
        this->~future_wait();
        traits::deallocate(memory, this, 1);
        boost::asio::post(work.get_executor(),
                          [outcome = std::move(outcome), handler = std::move(handler)]() mutable
                          {
                              // Here, where cancelling is the user's to serialize with this.
                              forget_cancellation(boost::asio::get_associated_cancellation_slot(handler));
                              std::exception_ptr failure = outcome.failure();
                              if constexpr (std::is_void_v<R>)
                                  std::move(handler)(std::move(failure));
                              else if (failure)
                                  std::move(handler)(std::move(failure), told_result<R>());
                              else
                                  std::move(handler)(std::move(failure), told_result<R>(std::move(outcome).get()));
                          });
    }

    boost::asio::executor_work_guard<executor_type> work_;
    Handler handler_;
    future<R> future_;
    std::optional<cancellation_callback<request>> on_request_;
};

class initiate_future_wait
{
public:
    using executor_type = loop_executor;

    explicit initiate_future_wait(loop& on) noexcept : loop_(on) {}

    executor_type get_executor() const noexcept { return loop_executor(loop_); }

    template <class Handler, class R>
    void operator()(Handler&& handler, future<R>&& awaited) const
    {
        future_wait<R, std::decay_t<Handler>>::start(loop_, std::decay_t<Handler>(std::forward<Handler>(handler)),
                                                     std::move(awaited));
    }

private:
    loop& loop_;
};

} // namespace detail

} // namespace zsync
