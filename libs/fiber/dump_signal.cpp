// SPDX-License-Identifier: BSL-1.0
#include "dump_signal.hpp"

#include "inspect.hpp"

#include <zsync/core/inline_executor.hpp>
#include <zsync/core/loop_executor.hpp>
#include <zsync/fiber/detail/fiber_loop.hpp>

#include <boost/asio/bind_executor.hpp>

#include <sstream>
#include <utility>

namespace zsync::detail
{

namespace
{

/// Takes what a wait adds to the work of loop and guest away, as long as it lives.
class discount
{
public:
    discount(loop& home, hosted_scheduler& guest) noexcept : home_(&home), guest_(guest)
    {
        home.work_finished();
        guest.discount_work();
    }

    discount(discount&& other) noexcept : home_(std::exchange(other.home_, nullptr)), guest_(other.guest_) {}
    discount& operator=(discount&&) = delete;

    ~discount()
    {
        if (!home_)
            return;
        guest_.count_work();
        home_->work_started();
    }

private:
    loop* home_; // null: moved from
    hosted_scheduler& guest_;
};

} // namespace

dump_signal::dump_signal(fiber_loop& loop, hosted_scheduler& guest, int number)
    : loop_(loop), guest_(guest), signals_(loop_executor(loop), number)
{
    wait();
}

dump_signal::~dump_signal() = default;

void dump_signal::wait()
{
    // The work is there first, and then not counted: it never goes below what it was.
    loop_.work_started();
    guest_.count_work();
    discount uncounted(loop_, guest_);
    signals_.async_wait(
        boost::asio::bind_executor(inline_executor(),
                                   [this, uncounted = std::move(uncounted)](boost::system::error_code ec, int) mutable
                                   {
                                       const discount until_the_end(std::move(uncounted));
                                       if (ec)
                                           return;
                                       loop_.report_fibers("zsync: all fibers, as a signal has asked for\n");
                                       wait();
                                   }));
    loop_.work_finished();
    guest_.discount_work();
}

} // namespace zsync::detail
