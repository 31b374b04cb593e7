// SPDX-License-Identifier: BSL-1.0

// Asio's timer queue by itself, without the reactor, locks and handler allocations above it: a wheel's true opposite.
// It has no public interface.

#include "timer/workload.hpp"

#include <boost/asio/detail/chrono_time_traits.hpp>
#include <boost/asio/detail/op_queue.hpp>
#include <boost/asio/detail/timer_queue.hpp>
#include <boost/asio/detail/wait_op.hpp>
#include <boost/asio/wait_traits.hpp>

#include <memory>

namespace
{

namespace detail = boost::asio::detail;
using traits = detail::chrono_time_traits<perf::steady, boost::asio::wait_traits<perf::steady>>;
using queue = detail::timer_queue<traits>;

struct wait : detail::wait_op
{
    wait() : detail::wait_op([](void*, detail::operation*, const boost::system::error_code&, std::size_t) {}) {}
};

class queue_keeper
{
public:
    queue_keeper(const perf::cell_arguments&, std::size_t size)
        : waits_(std::make_unique<wait[]>(size)), timers_(std::make_unique<queue::per_timer_data[]>(size))
    {
    }

    void insert(std::size_t i, perf::steady::time_point deadline)
    {
        queue_.enqueue_timer(deadline, timers_[i], &waits_[i]);
    }

    void cancel(std::size_t i)
    {
        detail::op_queue<detail::operation> cancelled;
        queue_.cancel_timer(timers_[i], cancelled);
        while (cancelled.front())
            cancelled.pop();
    }

    void rearm(std::size_t i, perf::steady::time_point deadline)
    {
        cancel(i);
        insert(i, deadline);
    }

    void settle() {}

private:
    queue queue_;
    std::unique_ptr<wait[]> waits_;
    std::unique_ptr<queue::per_timer_data[]> timers_;
};

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, perf::measure_timers<queue_keeper>);
}
