// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/system/error_code.hpp>
#include <zsync/core/buffer_pool.hpp>
#include <zsync/core/metrics.hpp>
#include <zsync/core/operation.hpp>

#include <chrono>
#include <optional>
#include <string_view>

namespace zsync
{

/// Names the mechanism that performs a context's operations.
enum class engine_kind
{
    reactor,  ///< readiness: epoll, then the system call
    uring,    ///< completion: io_uring
    blocking, ///< the system call at once, on the caller's thread
};

/// Returns "epoll", "io_uring" or "system calls". Never blocks.
constexpr std::string_view to_string(engine_kind kind) noexcept
{
    switch (kind)
    {
    case engine_kind::reactor:
        return "epoll";
    case engine_kind::uring:
        return "io_uring";
    case engine_kind::blocking:
        break;
    }
    return "system calls";
}

/// Performs operations, whatever the mechanism: one set of I/O objects serves every engine.
///
/// Thread safety: start(), cancel(), the descriptor functions and wake() may be called from any thread; turn() by one
/// thread at a time. Nothing here calls a completion function but turn() and shutdown().
class engine
{
public:
    virtual ~engine() = default;
    engine(const engine&) = delete;
    engine& operator=(const engine&) = delete;

    virtual engine_kind kind() const noexcept = 0;

    /// Says whether the operation can be started at all on this kernel. Never blocks.
    virtual bool supports(opcode code) const noexcept = 0;

    /// Makes buffers for the receives with many results (opcode::receive_many) on this engine; they live as long as it.
    /// Null if it has no such receives. Never blocks. Any thread. @throws std::bad_alloc
    virtual buffer_pool_ptr make_buffers(const buffer_options&) { return nullptr; }

    /// The buffers of those receives that name no others, made by the first call. Else as make_buffers().
    virtual buffer_pool_ptr buffers() { return nullptr; }

    /// Hands over a record. Never blocks; does not complete inline.
    ///
    /// @param id if not null, receives the operation's id before it can complete.
    /// @throws std::bad_alloc if there is no memory for its bookkeeping; the record is then still the caller's.
    virtual void start(operation& op, operation_id* id = nullptr) = 0;

    /// Performs an operation here and now if it is a transfer that need not wait, and that nothing started before it is
    /// in the way of: for handlers that want to be called at once. Returns true with the answer in `op.result`, without
    /// calling on_complete; false if the record is to be started. Never blocks, and never tries files; the blocking
    /// engine performs whatever it is, and blocks for that.
    virtual bool perform_now(operation&) noexcept { return false; }

    /// Asks for an operation's end. It completes in any case: with -ECANCELED, or with its own result if that came
    /// first. Does nothing for an operation that has completed. Never blocks.
    virtual void cancel(operation_id id) noexcept = 0;

    /// Asks for the end of all that is in flight on a descriptor. Never blocks.
    virtual void cancel_descriptor(int descriptor) noexcept = 0;

    /// Takes note of a descriptor that exists and is about to be used here.
    ///
    /// @return bad_descriptor if it is not open, errc::file_exists if it is in use here already.
    virtual boost::system::error_code attach_descriptor(int descriptor) noexcept = 0;

    /// Ends the use of a descriptor: cancels what is in flight on it and makes sure that no request still names it by
    /// its number, which the next owner may have. To be called before close(2). Does not wait for the completions.
    /// What a direct_name() names is closed as well, after the sends that were started on it.
    virtual void detach_descriptor(int descriptor) noexcept = 0;

    /// Takes a free place of the ring's own table of files, for opcode::accept_direct, whose `offset` it is to be. What
    /// the accept has put there is then named by direct_name(), wherever a descriptor is named, until
    /// detach_descriptor() closes it and gives the place back. Returns -1 if all are taken, or if there is no table.
    /// Never blocks. Any thread.
    virtual int take_place() noexcept { return -1; }

    /// Gives back a place where nothing stands. Never blocks. Any thread.
    virtual void give_back_place(int) noexcept {}

    /// Submits what has been started, waits for completions and delivers them in order.
    ///
    /// @param timeout how long to wait if there is nothing to deliver; nullopt: until something comes or wake() is
    ///        called. Zero never blocks.
    /// @param sink passed to the completion functions.
    /// @return how many operations completed.
    virtual std::size_t turn(std::optional<std::chrono::microseconds> timeout, void* sink) = 0;

    /// The thread that takes the turns is about to stop doing so, and another may. Blocks only until the kernel has let
    /// go of what it can only give back to this thread.
    virtual void leave() {}

    /// Cancels all, waits until the kernel has let go of every record, and completes them through `sink`. Afterwards
    /// nothing may be started; cancel and the descriptor functions are still accepted, until destruction.
    virtual void shutdown(void* sink) noexcept = 0;

    /// Makes the turn() in progress, or else the next one, return without waiting. Any thread; async-signal-safe.
    virtual void wake() noexcept = 0;

    /// Returns the counters as they are now. Any thread; counters may be some operations apart from each other.
    virtual metrics counters() const noexcept = 0;

protected:
    engine() = default;
};

} // namespace zsync
