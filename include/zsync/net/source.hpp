// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/record_operation.hpp>
#include <zsync/net/detail/source_core.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/error.hpp>

#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace zsync
{

namespace detail
{

inline boost::system::error_code item_error(const source_item& item) noexcept
{
    return item.result < 0 ? boost::system::error_code(-item.result, boost::system::system_category())
                           : boost::system::error_code(boost::asio::error::eof);
}

struct abort_wait
{
    source_core::pointer core;
    std::uint64_t number;

    void operator()(boost::asio::cancellation_type type) const noexcept
    {
        if (type != boost::asio::cancellation_type::none)
            core->abort(number);
    }
};

/// A next() that waits, in its handler's memory. As record_operation, but no record of an engine.
template <class Maker, class Handler>
class next_operation final : source_wait
{
public:
    static void start(Handler&& handler, const boost::asio::any_io_executor& io_executor, source_core::pointer core,
                      const Maker& maker)
    {
        auto memory = memory_of<Handler, next_operation>(handler);
        using traits = std::allocator_traits<decltype(memory)>;
        next_operation* const self = traits::allocate(memory, 1);
        try
        {
            new (self) next_operation(std::move(handler), io_executor, core, maker);
        }
        catch (...)
        {
            traits::deallocate(memory, self, 1);
            throw;
        }
        // The slot first: another thread may complete the wait before next() is back.
        if (auto slot = boost::asio::get_associated_cancellation_slot(self->handler_); slot.is_connected())
        {
            self->number = core->number_wait();
            slot.template emplace<abort_wait>(abort_wait{core, self->number});
        }
        core->next(*self);
    }

private:
    next_operation(Handler&& handler, const boost::asio::any_io_executor& io_executor, source_core::pointer core,
                   const Maker& maker)
        : work_(handler, io_executor), handler_(std::move(handler)), core_(std::move(core)), maker_(maker)
    {
        tell = [](source_wait& self, const source_item& item, bool from_turn) noexcept
        { static_cast<next_operation&>(self).complete(item, from_turn); };
    }

    void complete(const source_item& item, bool from_turn) noexcept
    {
        auto results = maker_(*core_, item);
        auto memory = memory_of<Handler, next_operation>(handler_);
        Handler handler(std::move(handler_));
        operation_work<Handler> work(std::move(work_));
        const source_core::pointer core(std::move(core_));
        this->~next_operation();
        std::allocator_traits<decltype(memory)>::deallocate(memory, this, 1);
        work.tell(std::move(handler), std::move(results), from_turn);
    }

    operation_work<Handler> work_;
    Handler handler_;
    source_core::pointer core_;
    Maker maker_;
};

template <class Maker>
class next_initiation
{
public:
    using executor_type = boost::asio::any_io_executor;

    next_initiation(executor_type executor, source_core::pointer core, Maker maker) noexcept
        : executor_(std::move(executor)), core_(std::move(core)), maker_(std::move(maker))
    {
    }

    const executor_type& get_executor() const noexcept { return executor_; }

    template <class Handler>
    void operator()(Handler&& handler) const
    {
        next_operation<Maker, std::decay_t<Handler>>::start(std::decay_t<Handler>(std::forward<Handler>(handler)),
                                                            executor_, core_, maker_);
    }

private:
    executor_type executor_;
    source_core::pointer core_;
    Maker maker_;
};

} // namespace detail

/// What a socket yields again and again, by one operation of the kernel: see acceptor::accept_many(),
/// stream::receive_many() and datagram::receive_many(), which make one.
///
/// Items come in the order of their arrival. Those that nobody has asked for yet wait in the source, up to its limit;
/// beyond, the socket's own queue and then the peer wait. Nothing is lost by a cancellation, nor by closing the socket:
/// what has arrived is handed out, and then the error. It begins with the first call of async_next() or try_next().
///
/// Move-only. Destroying it ends the operation and drops what waits, so that its bytes are lost to whoever would go on
/// reading the socket in another way: call stop() and take what there is before that. It may outlive the handle that
/// made it, and must be destroyed before the context.
///
/// Thread safety: as a handle, one thread at a time.
template <class Maker>
class source
{
public:
    using value_type = typename Maker::value_type;
    using executor_type = boost::asio::any_io_executor;

    /// For the handles.
    source(executor_type executor, detail::source_core::pointer core, Maker maker) noexcept
        : executor_(std::move(executor)), core_(std::move(core)), maker_(std::move(maker))
    {
    }

    source(source&&) noexcept = default;
    source& operator=(source&& other) noexcept
    {
        if (this != &other)
        {
            if (core_)
                core_->abandon();
            executor_ = std::move(other.executor_);
            core_ = std::move(other.core_);
            maker_ = std::move(other.maker_);
        }
        return *this;
    }

    ~source()
    {
        if (core_)
            core_->abandon();
    }

    const executor_type& get_executor() const noexcept { return executor_; }

    /// Hands out the next item. Signature: void(error_code, value_type). Errors: eof, again at each call;
    /// operation_aborted; operation_not_supported if the engine cannot do this; bad_descriptor; already_started if
    /// another call, or a reader of the socket, waits; what the socket reports. After another error than eof, and
    /// without stop(), the next call begins again. Cancellation: all types end the wait, not the operation: what
    /// arrives is the next call's. Never blocks.
    template <boost::asio::completion_token_for<void(boost::system::error_code, value_type)> Token>
    auto async_next(Token&& token)
    {
        return boost::asio::async_initiate<Token, void(boost::system::error_code, value_type)>(
            detail::next_initiation<Maker>(executor_, core_, maker_), token);
    }

    /// Hands out an item that is there already. Without one it is empty, and `ec` is would_block, or the error that
    /// async_next() would tell. Never blocks.
    std::optional<value_type> try_next(boost::system::error_code& ec)
    {
        detail::source_item item;
        if (!core_->try_next(item))
        {
            ec = boost::asio::error::would_block;
            return std::nullopt;
        }
        auto made = maker_(*core_, item);
        ec = std::get<0>(made);
        return ec ? std::nullopt : std::optional<value_type>(std::move(std::get<1>(made)));
    }

    /// Ends the operation for good. What has arrived by then is handed out as before; then comes operation_aborted.
    void stop() noexcept { core_->stop(); }

private:
    executor_type executor_;
    detail::source_core::pointer core_;
    Maker maker_;
};

} // namespace zsync
