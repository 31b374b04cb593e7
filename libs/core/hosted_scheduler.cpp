// SPDX-License-Identifier: BSL-1.0
#include <zsync/core/detail/hosted_scheduler.hpp>

#include <boost/assert.hpp>

#include <utility>

namespace zsync::detail
{

hosted_scheduler::end_of_wait::end_of_wait()
    : scheduler_operation([](void*, scheduler_operation* self, const boost::system::error_code&, std::size_t)
                          { static_cast<end_of_wait*>(self)->queued = false; })
{
}

hosted_scheduler& hosted_scheduler::install(boost::asio::execution_context& context, scheduler_host& host)
{
    auto made = std::make_unique<hosted_scheduler>(context, &host);
    boost::asio::add_service(context, made.get());
    hosted_scheduler& guest = *made.release();
    guest.scheduler_.init_task();
    guest.scheduler_.work_started();
    return guest;
}

hosted_scheduler::hosted_scheduler(boost::asio::execution_context& context, scheduler_host* host)
    : service_base<hosted_scheduler>(context), host_(host), scheduler_(install_scheduler(context, &find))
{
    BOOST_ASSERT(host);
}

scheduler_task* hosted_scheduler::find(boost::asio::execution_context& context)
{
    return &boost::asio::use_service<hosted_scheduler>(context);
}

std::size_t hosted_scheduler::poll(std::size_t most)
{
    struct scope
    {
        bool& running;
        ~scope() { running = false; }
    } const inside{running_ = true};
    boost::system::error_code ignored;
    std::size_t count = 0;
    while (count < most && scheduler_.poll_one(ignored) != 0)
        ++count;
    return count;
}

void hosted_scheduler::wait(std::optional<std::chrono::microseconds> timeout)
{
    struct scope
    {
        hosted_scheduler& self;
        ~scope() { self.running_ = self.waiting_ = false; }
    } const inside{*this};
    running_ = waiting_ = true;
    timeout_ = timeout;
    boost::system::error_code ignored;
    scheduler_.run_one(ignored);
}

void hosted_scheduler::use_reactor()
{
    if (!reactor_)
        reactor_ = &boost::asio::use_service<epoll_reactor>(context());
}

int hosted_scheduler::descriptor()
{
    if (!reactor_ && !idle() && boost::asio::has_service<epoll_reactor>(context()))
        use_reactor();
    return reactor_ ? epoll_descriptor(*reactor_) : -1;
}

// Called by the guest, from poll() or wait(), when it has looked through its handlers. It asks to wait only if it has
// none.
void hosted_scheduler::run(long usec, scheduler_queue& ready)
{
    const bool may_wait = waiting_ && usec != 0;
    // With handlers of its own ready it does not wait, but it looks: they may make each other ready without an end.
    if (waiting_)
        host_->wait_for_guest(may_wait ? timeout_ : std::chrono::microseconds::zero());
    if (std::exchange(readable_, false))
        reactor_->run(0, ready);
    if (may_wait && ready.empty() && !std::exchange(end_of_wait_.queued, true))
    {
        scheduler_.work_started(); // running it takes it away
        ready.push(&end_of_wait_);
    }
}

} // namespace zsync::detail
