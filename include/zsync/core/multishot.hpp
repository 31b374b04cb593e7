// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/buffer_pool.hpp>
#include <zsync/core/operation.hpp>

#include <atomic>
#include <cstdint>

namespace zsync
{

/// An operation that is started once and has many results: opcode::accept_many, receive_many, receive_message_many.
///
/// Each result is noted by `on_result` at the moment when the engine learns of it, in the kernel's order. Then, in the
/// engine's next delivery, `on_news` is called once for all results noted so far. At the end, which is an error, the
/// end of the stream (0) or a cancellation (-ECANCELED), comes `on_complete`, as of any operation and after the last
/// `on_news`; the record belongs to the engine until then. An engine goes on by itself where the kernel has given up
/// for a reason that is not an end: it had no place for completions, no buffers, the ring was replaced.
///
/// See docs/decisions/0022-operations-with-many-results.md.
struct multishot_operation : operation
{
    multishot_operation() noexcept { multishot = true; }

    /// Notes one result: a descriptor, or the bytes in a buffer, which is the record's from now on. Called under the
    /// engine's lock, by whatever thread takes completions from the kernel: must not call the engine, and do little.
    using result_function = void (*)(multishot_operation& self, std::int32_t result, std::uint32_t buffer) noexcept;

    /// Says that results have been noted. Called as `on_complete` is: by the thread that takes the turn, without a
    /// lock.
    using news_function = void (*)(multishot_operation& self, void* sink) noexcept;

    result_function on_result = nullptr;
    news_function on_news = nullptr;
    buffer_pool* buffers = nullptr; ///< of a receive: of the engine that it is started on
    bool bundles = false;           ///< one result of the kernel may fill several buffers (Linux 6.10)

    // The engine's own. Whoever changes `has_news` to true owns the link until the delivery changes it back.
    multishot_operation* next_news = nullptr;
    std::atomic<bool> has_news{false};
};

/// Records with news, first in, first out.
class news_list
{
public:
    bool empty() const noexcept { return !first_; }

    void push(multishot_operation& op) noexcept
    {
        if (op.has_news.exchange(true))
            return;
        op.next_news = nullptr;
        (last_ ? last_->next_news : first_) = &op;
        last_ = &op;
    }

    multishot_operation* pop() noexcept
    {
        multishot_operation* const op = first_;
        if (!op)
            return nullptr;
        first_ = op->next_news;
        if (!first_)
            last_ = nullptr;
        op->has_news.store(false); // from here on it may be pushed to another list
        return op;
    }

private:
    multishot_operation* first_ = nullptr;
    multishot_operation* last_ = nullptr;
};

} // namespace zsync
