// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/waitable.hpp>
#include <zsync/sync/detail/wait_list.hpp>

#include <boost/asio/error.hpp>
#include <boost/system/error_code.hpp>

#include <cstddef>
#include <utility>

namespace zsync::detail
{

/// The result of a part of a selection that another has ended.
inline boost::system::error_code aborted_by_another() noexcept
{
    return boost::asio::error::operation_aborted;
}

/// A selection's wait for something with a wait_queue: what the waits of this layer have in common. Node is as for
/// agent_wait.
template <class Node>
class selected_wait : public Node
{
public:
    light_mutex* lock() const noexcept { return &queue_.lock_; }
    void settle() noexcept { woken_.complete(); }

    void disarm() noexcept
    {
        woken_list woken;
        queue_.withdraw(*this, woken);
        woken.complete();
    }

protected:
    template <class... Args>
    selected_wait(selection& of, std::size_t index, wait_queue& queue, Args&&... args)
        : Node([](wait_node& node) noexcept { static_cast<selected_wait&>(static_cast<Node&>(node)).of_.wake(); },
               std::forward<Args>(args)...),
          of_(of),
          queue_(queue)
    {
        this->belong_to(of, index);
    }
    ~selected_wait() = default;

    woken_list woken_; // by what has been taken at once

private:
    selection& of_;
    wait_queue& queue_;
};

} // namespace zsync::detail
