// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/detail/single_threaded.hpp>
#include <zsync/core/direct_name.hpp>
#include <zsync/core/engine.hpp>
#include <zsync/core/loop.hpp>

#include <boost/asio/execution_context.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/system/error_code.hpp>

#include <atomic>
#include <cerrno>
#include <cstdint>

namespace zsync
{

/// Where a handle's operations are performed. The context outlives whatever names it.
struct io_place
{
    boost::asio::execution_context* context = nullptr;
    engine* io = nullptr;
    loop* owner = nullptr; ///< null on Asio's own contexts
};

/// What a descriptor came from, as far as the library treats it differently.
enum class descriptor_kind : std::uint8_t
{
    file, ///< a regular file, a directory, a block device: always ready
    pipe, ///< a pipe, a FIFO, a terminal, any other character device
    local_socket,
    inet_socket, ///< and every other family
};

/// How a descriptor came to us.
enum class descriptor_origin : std::uint8_t
{
    opened,   ///< by the library: not to block, unless its engine performs by blocking
    given,    ///< to be closed by us; O_NONBLOCK is left as it is
    borrowed, ///< likewise, and not to be closed: standard input and output
};

/// An open descriptor, as a handle and its operations in flight share it.
///
/// Counted, so that a handle may move, close and die while an operation is in flight. Whoever starts an operation
/// calls begin_read(), begin_write() or begin_other() first, keeps the core alive, and calls the matching end function
/// once the engine has let go of the record.
///
/// Thread safety: as an Asio socket, one thread at a time; the end functions may be called from any thread at any time.
class descriptor_core
{
public:
    using pointer = boost::intrusive_ptr<descriptor_core>;

    /// Waits until a closed descriptor has nothing in flight: see when_idle().
    struct idle_waiter
    {
        void (*idle)(idle_waiter& self) noexcept = nullptr;
        idle_waiter* next = nullptr; ///< the core's
    };

    /// Takes a descriptor over, and attaches it to the engine unless it is borrowed. Never blocks.
    ///
    /// @return null with `ec` bad_descriptor if it is not open, errc::file_exists if the engine knows it already, or
    /// not_enough_memory; the descriptor is then still the caller's.
    static pointer make(const io_place& where, int descriptor, descriptor_origin origin,
                        boost::system::error_code& ec) noexcept;

    /// The same for what an accept has put into a place of the engine's own table. Null if there is no memory; it is
    /// closed then.
    static pointer make_direct(const io_place& where, std::uint32_t place, descriptor_kind kind) noexcept;

    descriptor_core(const descriptor_core&) = delete;
    descriptor_core& operator=(const descriptor_core&) = delete;

    /// The descriptor, or a direct_name(); -1 once closed or released.
    int native() const noexcept { return descriptor_; }
    engine& io() const noexcept { return *where_.io; }
    loop* owner() const noexcept { return where_.owner; }
    boost::asio::execution_context& context() const noexcept { return *where_.context; }
    const io_place& where() const noexcept { return where_; }
    descriptor_kind kind() const noexcept { return kind_; }
    descriptor_origin origin() const noexcept { return origin_; }
    bool is_socket() const noexcept { return kind_ >= descriptor_kind::local_socket; }
    bool is_open() const noexcept { return !closed_.load(std::memory_order_relaxed); }

    /// Takes the place of the one reader. Returns 0, EBADF if the descriptor is closed, or EALREADY if there is a
    /// reader (boost::asio::error::already_started). A few instructions.
    int begin_read() noexcept { return begin(reading_); }

    /// The same for the one writer.
    int begin_write() noexcept { return begin(writing_); }

    /// The same for what has no order to keep, any number of them: waits, transfers at a position, connects, accepts.
    int begin_other() noexcept
    {
        if (closed_.load(std::memory_order_relaxed)) [[unlikely]]
            return EBADF;
        others_.fetch_add(1, std::memory_order_relaxed);
        return 0;
    }

    void end_read() noexcept { end(reading_); }
    void end_write() noexcept { end(writing_); }
    void end_other() noexcept
    {
        others_.fetch_sub(1);
        if (closed_.load()) [[unlikely]]
            ended();
    }

    bool reading() const noexcept { return reading_.load(std::memory_order_acquire); }
    bool writing() const noexcept { return writing_.load(std::memory_order_acquire); }

    /// Asks for the end of everything in flight. Never blocks.
    void cancel() noexcept
    {
        if (is_open())
            io().cancel_descriptor(descriptor_);
    }

    /// Cancels what is in flight and closes the descriptor, whose number is free at once; nothing in flight names it
    /// any more. What was in flight completes with operation_aborted. Does nothing if it is closed already. Blocks the
    /// thread as long as close(2) does: SO_LINGER, files on a network. Returns the error of close(2).
    boost::system::error_code close() noexcept;

    /// The same without close(2). Returns the descriptor, which is the caller's now, or -1.
    int release() noexcept;

    /// Calls `waiter.idle` once, when nothing is in flight on a closed descriptor: perhaps now, else on the thread that
    /// ends the last operation. Requires that it is closed.
    void when_idle(idle_waiter& waiter) noexcept;

private:
    descriptor_core(const io_place& where, int descriptor, descriptor_kind kind, descriptor_origin origin) noexcept
        : where_(where), descriptor_(descriptor), kind_(kind), origin_(origin)
    {
    }

    ~descriptor_core();

    friend void intrusive_ptr_add_ref(descriptor_core* core) noexcept
    {
        if (detail::single_threaded())
            core->references_.store(core->references_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        else
            core->references_.fetch_add(1, std::memory_order_relaxed);
    }

    friend void intrusive_ptr_release(descriptor_core* core) noexcept
    {
        if (detail::single_threaded())
        {
            const std::uint32_t left = core->references_.load(std::memory_order_relaxed) - 1;
            core->references_.store(left, std::memory_order_relaxed);
            if (left == 0)
                delete core;
        }
        else if (core->references_.fetch_sub(1, std::memory_order_acq_rel) == 1)
            delete core;
    }

    int begin(std::atomic<bool>& way) noexcept
    {
        if (closed_.load(std::memory_order_relaxed)) [[unlikely]]
            return EBADF;
        if (way.load(std::memory_order_acquire)) [[unlikely]]
            return EALREADY;
        way.store(true, std::memory_order_relaxed);
        return 0;
    }

    // Sequentially consistent with `closed_` and `waiters_`: either this sees that it is closed, or who waits for it to
    // be idle sees that it is.
    void end(std::atomic<bool>& way) noexcept
    {
        if (detail::single_threaded())
            way.store(false, std::memory_order_relaxed);
        else
            way.exchange(false);
        if (closed_.load()) [[unlikely]]
            ended();
    }

    bool idle() const noexcept { return !reading_.load() && !writing_.load() && others_.load() == 0; }
    void ended() noexcept;
    int detach() noexcept;

    const io_place where_;
    std::atomic<std::uint32_t> references_{0};
    int descriptor_;
    const descriptor_kind kind_;
    const descriptor_origin origin_;
    std::atomic<bool> closed_{false};  // set by the owner, read by whoever ends an operation
    std::atomic<bool> reading_{false}; // set by the owner, cleared by whoever ends the operation
    std::atomic<bool> writing_{false}; // likewise
    std::atomic<std::uint32_t> others_{0};
    std::atomic<idle_waiter*> waiters_{nullptr}; // a stack, taken whole by whoever finds the core idle
};

using descriptor_ptr = descriptor_core::pointer;

} // namespace zsync
