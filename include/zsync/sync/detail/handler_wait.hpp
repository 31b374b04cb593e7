// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/inline_executor.hpp>
#include <zsync/core/record_operation.hpp>
#include <zsync/sync/detail/wait_list.hpp>

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/recycling_allocator.hpp>
#include <boost/asio/system_executor.hpp>

#include <memory>
#include <mutex>
#include <tuple>
#include <type_traits>
#include <utility>

namespace zsync::detail
{

/// What a slot's signal calls: it ends the wait, if that has not ended. It stands in the slot, which may outlive the
/// wait's end and, where handlers have an inline executor, be emitted at the same time on another thread.
class wait_canceller
{
public:
    wait_canceller(wait_queue& queue, wait_node& node) noexcept : queue_(queue), node_(&node) {}

    void operator()(boost::asio::cancellation_type type) noexcept
    {
        woken_list cancelled;
        {
            const std::lock_guard held(lock_);
            if (type == boost::asio::cancellation_type::none || !node_ || !queue_.withdraw(*node_, cancelled))
                return;
            node_->result = boost::asio::error::operation_aborted;
            cancelled.push(node_);
        }
        cancelled.complete();
    }

    /// For whoever has taken the node out. Afterwards the wait, and what was waited for, may go.
    void forget() noexcept
    {
        const std::lock_guard held(lock_);
        node_ = nullptr;
    }

private:
    wait_queue& queue_;
    light_mutex lock_; // locked before the queue's lock, never after it
    wait_node* node_;  // null: the wait has ended
};

/// A wait on behalf of a handler, in the handler's memory. Node is as for agent_wait; besides, `results()` returns what
/// the handler is told, as a tuple, error code first, and does not throw.
///
/// The handler is posted to its associated executor, which is kept working until then; its memory is free again before
/// it is called. A context that is destroyed meanwhile destroys the handler without calling it.
template <class Node, class Handler>
class handler_wait final : public Node
{
    using executor_type = boost::asio::associated_executor_t<Handler>;
    static_assert(
        !std::is_same_v<executor_type, boost::asio::system_executor>,
        "The handler has no executor of its own, and what it waits for has none either: use bind_executor().");

public:
    /// Makes a wait in the handler's memory. @throws what allocating or moving the handler throws.
    template <class... Args>
    static handler_wait& make(Handler&& handler, wait_queue& queue, Args&&... args)
    {
        auto memory = memory_of<Handler, handler_wait>(handler);
        using traits = std::allocator_traits<decltype(memory)>;
        handler_wait* const self = traits::allocate(memory, 1);
        try
        {
            return *new (self) handler_wait(std::move(handler), queue, std::forward<Args>(args)...);
        }
        catch (...)
        {
            traits::deallocate(memory, self, 1);
            throw;
        }
    }

private:
    /// The wait's end, on its way to the handler's executor.
    class message
    {
    public:
        using allocator_type = boost::asio::associated_allocator_t<Handler, boost::asio::recycling_allocator<void>>;

        explicit message(handler_wait& self) noexcept : self_(&self) {}
        message(message&& other) noexcept : self_(std::exchange(other.self_, nullptr)) {}
        ~message()
        {
            if (self_)
                self_->release();
        }

        allocator_type get_allocator() const noexcept
        {
            return boost::asio::get_associated_allocator(self_->handler_, boost::asio::recycling_allocator<void>());
        }

        void operator()() { std::exchange(self_, nullptr)->call(); }

    private:
        handler_wait* self_; // null: moved from
    };

    template <class... Args>
    handler_wait(Handler&& handler, wait_queue& queue, Args&&... args)
        : Node([](wait_node& node) noexcept { static_cast<handler_wait&>(static_cast<Node&>(node)).complete(); },
               std::forward<Args>(args)...),
          work_(boost::asio::get_associated_executor(handler)),
          handler_(std::move(handler))
    {
        if (auto slot = boost::asio::get_associated_cancellation_slot(handler_); slot.is_connected())
            canceller_ = &slot.template emplace<wait_canceller>(queue, *this);
    }

    // On the thread of whoever ends the wait. Ends the process if there is no memory to queue the message with: there
    // is nobody left to be told.
    void complete() noexcept
    {
        if (canceller_)
            canceller_->forget();
        const auto executor = work_.get(); // work_ may go when the message has run
        boost::asio::post(executor, message(*this));
    }

    void call()
    {
        // Where cancelling is the user's to serialize with this; not on the thread of whoever has ended the wait.
        if constexpr (!std::is_same_v<executor_type, inline_executor>)
        {
            if (canceller_)
                boost::asio::get_associated_cancellation_slot(handler_).clear();
        }
        Handler handler(std::move(handler_));
        auto results = this->results();
        [[maybe_unused]] const auto work = std::move(work_);
        destroy(memory_of<Handler, handler_wait>(handler));
        std::apply(std::move(handler), std::move(results));
    }

    // Moved out first: the memory's allocator may refer to it.
    void release() noexcept
    {
        const Handler handler(std::move(handler_));
        destroy(memory_of<Handler, handler_wait>(handler));
    }

    template <class Memory>
    void destroy(Memory memory) noexcept
    {
        this->~handler_wait();
        std::allocator_traits<Memory>::deallocate(memory, this, 1);
    }

    ~handler_wait() = default;

    working_executor<executor_type> work_;
    Handler handler_;
    wait_canceller* canceller_ = nullptr; // in the slot
};

} // namespace zsync::detail
