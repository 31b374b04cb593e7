// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/descriptor.hpp>
#include <zsync/core/multishot.hpp>

#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include <sys/socket.h>

namespace zsync::detail
{

/// One thing that a source hands out: a descriptor, or the bytes in a buffer; else a negated errno, or 0 at the end.
struct source_item
{
    std::int32_t result = 0;
    std::uint32_t buffer = buffer_pool::none;
};

/// A next() that waits.
struct source_wait
{
    void (*tell)(source_wait& self, const source_item& item, bool from_turn) noexcept = nullptr;
    std::uint64_t number = 0; ///< of a wait that can be aborted: see source_core::number_wait()
};

/// What a source and its operation in flight share: the operation with many results, and those that nobody has taken.
///
/// Results wait in order: buffers in a list through their pool's entries, which takes no memory, and descriptors in a
/// vector. With `limit` of them waiting the operation is cancelled, and started again when half are left; what the
/// kernel delivers in between waits as well. The end of the operation is handed out after all that came before it.
///
/// Thread safety: next(), try_next(), stop() and abandon() as an Asio socket, one thread at a time; abort() from any
/// thread. The engine's lock may be held when this one's is taken, never the other way round.
class source_core final : private multishot_operation
{
public:
    using pointer = boost::intrusive_ptr<source_core>;

    struct request
    {
        opcode code;
        std::uint32_t flags = 0;
        std::uint32_t limit = 0;
        bool bundles = false;
        std::size_t control_bytes = 0; ///< receive_message_many: room for control data
    };

    /// `refused`: an errno with which every next() fails; `core` may then be null.
    source_core(descriptor_ptr core, buffer_pool_ptr pool, const request& what, int refused);
    source_core(const source_core&) = delete;
    source_core& operator=(const source_core&) = delete;

    /// Takes what is there, the end included. Starts the operation if it is not in flight. Never blocks.
    bool try_next(source_item& item);

    /// Takes the next item, now or later: tells `wait` once, and lets go of it before.
    void next(source_wait& wait);

    /// Returns a number that no other wait of this source has.
    std::uint64_t number_wait() noexcept { return ++waits_; }

    /// Ends a wait with -ECANCELED, if it is still that one.
    void abort(std::uint64_t number) noexcept;

    /// Ends the operation for good. What has arrived can be taken still; then comes -ECANCELED.
    void stop() noexcept;

    /// Nobody will take anything any more.
    void abandon() noexcept;

    bool accepts() const noexcept { return code == opcode::accept_many; }
    const buffer_pool_ptr& pool() const noexcept { return pool_; }
    const msghdr& message() const noexcept { return message_; }

private:
    ~source_core();

    friend void intrusive_ptr_add_ref(source_core* core) noexcept
    {
        core->references_.fetch_add(1, std::memory_order_relaxed);
    }
    friend void intrusive_ptr_release(source_core* core) noexcept
    {
        if (core->references_.fetch_sub(1, std::memory_order_acq_rel) == 1)
            delete core;
    }

    using lock = std::unique_lock<light_mutex>;

    // The lock is held in these.
    bool empty() const noexcept { return waiting_ == 0; }
    void push(const source_item& item) noexcept;
    source_item pop() noexcept;
    bool take(source_item& item) noexcept;
    source_wait* satisfy(source_item& item) noexcept;
    bool wants_start() noexcept;
    bool told_end(const source_item& item) const noexcept
    {
        return item.result < 0 || (item.result == 0 && !accepts());
    }
    void drop_all() noexcept;
    static void drop(buffer_pool* pool, const source_item& item) noexcept;

    // And not in these.
    void begin();
    int enter() noexcept;
    void leave() noexcept;
    void news() noexcept;
    void ended() noexcept;

    std::atomic<std::uint32_t> references_{0};
    const descriptor_ptr core_;
    const buffer_pool_ptr pool_;
    const std::uint32_t limit_;
    msghdr message_{};
    std::uint64_t waits_ = 0; // that have been numbered
    operation_id in_flight_;  // of the operation; written by whoever starts it

    light_mutex mutex_;
    std::uint32_t waiting_ = 0; // items
    std::uint32_t first_ = buffer_pool::none;
    std::uint32_t last_ = buffer_pool::none;
    std::vector<int> descriptors_; // from next_descriptor_ on
    std::size_t next_descriptor_ = 0;
    source_wait* wait_ = nullptr;
    bool started_ = false; // the engine has the record
    bool pausing_ = false; // and was asked to end it because too much waits
    bool stopped_ = false;
    bool abandoned_ = false;
    bool has_end_ = false;
    int end_ = 0; // what comes after all items
};

} // namespace zsync::detail
