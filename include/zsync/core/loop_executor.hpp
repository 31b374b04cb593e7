// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/detail/recycling_allocator.hpp>
#include <zsync/core/loop.hpp>

#include <boost/asio/execution.hpp>
#include <boost/asio/execution_context.hpp>

#include <memory>
#include <type_traits>
#include <utility>

namespace zsync
{

namespace detail
{

/// A function in the memory of its allocator, as an item for a loop.
template <class Function, class Allocator>
class function_item final : public work_item
{
    using allocator = typename std::allocator_traits<Allocator>::template rebind_alloc<function_item>;
    using traits = std::allocator_traits<allocator>;

public:
    template <class F>
    static work_item& make(F&& function, const Allocator& from)
    {
        allocator memory(from);
        function_item* const item = traits::allocate(memory, 1);
        try
        {
            return *new (item) function_item(std::forward<F>(function), memory);
        }
        catch (...)
        {
            traits::deallocate(memory, item, 1);
            throw;
        }
    }

private:
    template <class F>
    function_item(F&& function, const allocator& memory) : function_(std::forward<F>(function)), memory_(memory)
    {
        run = &function_item::complete;
    }

    // The memory is free before the function runs, which may want the same again.
    static void complete(work_item& base, bool invoke)
    {
        auto& self = static_cast<function_item&>(base);
        allocator memory(std::move(self.memory_));
        Function function(std::move(self.function_));
        self.~function_item();
        traits::deallocate(memory, &self, 1);
        if (invoke)
            std::move(function)();
    }

    Function function_;
    allocator memory_;
};

} // namespace detail

/// The executor of fiber_context and blocking_context: runs functions on their loop.
///
/// Post and defer queue; dispatch runs a function at once if the calling thread runs the loop, and is not below a
/// handler of a hosted Asio object. A function posted to a fiber_context runs on a fiber, and may await.
///
/// A value: copies and compares. Refers to the context, which must outlive it, unless work is tracked. All members may
/// be called from any thread; none blocks. execute() throws std::bad_alloc, or what moving the function throws.
template <class Allocator = std::allocator<void>, unsigned Bits = 0>
class basic_loop_executor
{
    static constexpr unsigned never = 1;
    static constexpr unsigned tracked = 2;
    static constexpr unsigned continuation = 4;

public:
    explicit basic_loop_executor(loop& owner, const Allocator& allocator = Allocator()) noexcept
        : loop_(&owner), allocator_(allocator)
    {
        count();
    }

    basic_loop_executor(const basic_loop_executor& other) noexcept : loop_(other.loop_), allocator_(other.allocator_)
    {
        count();
    }

    basic_loop_executor(basic_loop_executor&& other) noexcept
        : loop_(tracks() ? std::exchange(other.loop_, nullptr) : other.loop_), allocator_(std::move(other.allocator_))
    {
    }

    basic_loop_executor& operator=(basic_loop_executor other) noexcept
    {
        std::swap(loop_, other.loop_);
        allocator_ = std::move(other.allocator_);
        return *this;
    }

    ~basic_loop_executor()
    {
        if constexpr (tracks())
            if (loop_)
                loop_->work_finished();
    }

    /// Returns the loop. Never blocks.
    loop& owner() const noexcept { return *loop_; }

    /// True if the calling thread runs the context.
    bool running_in_this_thread() const noexcept { return loop_->running_here(); }

    template <class Function>
    void execute(Function&& function) const
    {
        using decayed = std::decay_t<Function>;
        if constexpr (!(Bits & never))
        {
            if (loop_->may_run_inline())
            {
                decayed copy(std::forward<Function>(function));
                std::move(copy)();
                return;
            }
        }
        loop_->post(detail::function_item<decayed, item_allocator>::make(std::forward<Function>(function),
                                                                         allocator_of_items()));
    }

    boost::asio::execution_context& query(boost::asio::execution::context_t) const noexcept
    {
        return loop_->context();
    }

    static constexpr boost::asio::execution::mapping_t query(boost::asio::execution::mapping_t) noexcept
    {
        return boost::asio::execution::mapping.thread;
    }

    static constexpr boost::asio::execution::blocking_t query(boost::asio::execution::blocking_t) noexcept
    {
        if constexpr (Bits & never)
            return boost::asio::execution::blocking.never;
        else
            return boost::asio::execution::blocking.possibly;
    }

    static constexpr boost::asio::execution::relationship_t query(boost::asio::execution::relationship_t) noexcept
    {
        if constexpr (Bits & continuation)
            return boost::asio::execution::relationship.continuation;
        else
            return boost::asio::execution::relationship.fork;
    }

    static constexpr boost::asio::execution::outstanding_work_t
    query(boost::asio::execution::outstanding_work_t) noexcept
    {
        if constexpr (tracks())
            return boost::asio::execution::outstanding_work.tracked;
        else
            return boost::asio::execution::outstanding_work.untracked;
    }

    template <class Other>
    constexpr Allocator query(boost::asio::execution::allocator_t<Other>) const noexcept
    {
        return allocator_;
    }

    constexpr auto require(boost::asio::execution::blocking_t::possibly_t) const noexcept { return with<0, never>(); }
    constexpr auto require(boost::asio::execution::blocking_t::never_t) const noexcept { return with<never, 0>(); }
    constexpr auto require(boost::asio::execution::relationship_t::fork_t) const noexcept
    {
        return with<0, continuation>();
    }
    constexpr auto require(boost::asio::execution::relationship_t::continuation_t) const noexcept
    {
        return with<continuation, 0>();
    }
    constexpr auto require(boost::asio::execution::outstanding_work_t::tracked_t) const noexcept
    {
        return with<tracked, 0>();
    }
    constexpr auto require(boost::asio::execution::outstanding_work_t::untracked_t) const noexcept
    {
        return with<0, tracked>();
    }

    template <class Other>
    constexpr auto require(boost::asio::execution::allocator_t<Other> property) const noexcept
    {
        return basic_loop_executor<Other, Bits>(*loop_, property.value());
    }

    constexpr auto require(boost::asio::execution::allocator_t<void>) const noexcept
    {
        return basic_loop_executor<std::allocator<void>, Bits>(*loop_);
    }

    friend bool operator==(const basic_loop_executor& a, const basic_loop_executor& b) noexcept
    {
        return a.loop_ == b.loop_ && a.allocator_ == b.allocator_;
    }

    friend bool operator!=(const basic_loop_executor& a, const basic_loop_executor& b) noexcept { return !(a == b); }

private:
    // Nobody's choice in particular: recycled blocks.
    template <class Other>
    struct choose_allocator
    {
        using type = Other;
    };
    template <class T>
    struct choose_allocator<std::allocator<T>>
    {
        using type = detail::recycling_allocator<void>;
    };
    using item_allocator = typename choose_allocator<Allocator>::type;

    item_allocator allocator_of_items() const noexcept
    {
        if constexpr (std::is_same_v<item_allocator, Allocator>)
            return allocator_;
        else
            return {};
    }

    static constexpr bool tracks() noexcept { return (Bits & tracked) != 0; }

    template <unsigned Set, unsigned Clear>
    auto with() const noexcept
    {
        return basic_loop_executor<Allocator, (Bits | Set) & ~Clear>(*loop_, allocator_);
    }

    void count() const noexcept
    {
        if constexpr (tracks())
            if (loop_)
                loop_->work_started();
    }

    loop* loop_; // null: moved from
    [[no_unique_address]] Allocator allocator_;
};

using loop_executor = basic_loop_executor<>;

} // namespace zsync
