// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/sync/detail/notice.hpp>
#include <zsync/sync/detail/selected_wait.hpp>

#include <boost/system/result.hpp>

#include <cstddef>

namespace zsync::detail
{

/// A waitable that comes to no more than that it has happened. Queue is a wait_queue; with its lock held, `try_enter()`
/// takes what can be had, and `enter(node)` does so, or else puts the node into the list and returns false.
template <class Queue>
class notice_case
{
public:
    using result_type = boost::system::result<void>;

    explicit notice_case(Queue& queue) noexcept : queue_(&queue) {}

    class wait_type final : public selected_wait<notice>
    {
    public:
        wait_type(notice_case& what, selection& of, std::size_t index) noexcept
            : selected_wait<notice>(of, index, *what.queue_), from_(*what.queue_)
        {
        }

        bool try_now() noexcept { return from_.try_enter(); }
        bool arm() noexcept { return from_.enter(*this); }

        result_type take(bool chosen) noexcept { return chosen ? result_type() : result_type(aborted_by_another()); }

    private:
        Queue& from_;
    };

private:
    Queue* queue_;
};

} // namespace zsync::detail
