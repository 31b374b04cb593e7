// SPDX-License-Identifier: BSL-1.0
#include "blocking_loop.hpp"

#include <zsync/core/detail/run_frame.hpp>

#include <boost/asio/multiple_exceptions.hpp>
#include <boost/assert.hpp>
#include <boost/system/system_error.hpp>

#include <utility>

#include <unistd.h>

namespace zsync::detail
{

namespace
{

// Chosen: a look at the guest's descriptor costs some 300 ns, a function some 20.
constexpr std::size_t items_between_looks = 64;

[[noreturn]] void refuse(boost::system::errc::errc_t reason)
{
    throw boost::system::system_error(make_error_code(reason), "blocking_context");
}

} // namespace

/// What a thread is while it leads: the agent of the functions that it runs. Each time it leads, it is another, so that
/// a function can wait inside a wait.
class blocking_loop::level final : public driving_agent
{
public:
    /// Requires that this thread leads, or may.
    level(blocking_loop& owner, lock& held) noexcept : driving_agent(owner), owner_(owner)
    {
        owner.leader_ = std::this_thread::get_id();
        held.unlock();
        owner.memory_.call_stacks().install();
    }

    ~level()
    {
        frame_.stacks_below().install();
        set_current_agent(outer_agent_);
        set_current_loop(outer_loop_);
        if (!(owner_.top_ = outer_))
            owner_.leave();
    }

    /// What a function threw during a wait of the function that has just returned.
    void rethrow_failure()
    {
        if (failure_) [[unlikely]]
            std::rethrow_exception(std::exchange(failure_, nullptr));
    }

    boost::system::error_code may_wait() const noexcept override
    {
        if (owner_.guest_.running() || !asio_call_stacks::current().in_same_strand(owner_.memory_.call_stacks()))
            return make_error_code(boost::system::errc::resource_deadlock_would_occur);
        return {};
    }

private:
    // A wait does not throw; whoever runs the function that waits does so afterwards.
    void wait(waiter& w) noexcept override { drive(w, {}); }
    bool wait_until(waiter& w, time_point deadline) noexcept override { return drive(w, deadline); }

    bool drive(waiter& w, std::optional<time_point> deadline) noexcept
    {
        for (;;)
        {
            try
            {
                return owner_.drive(w, deadline);
            }
            catch (...)
            {
                failure_ = failure_ ? std::make_exception_ptr(boost::asio::multiple_exceptions(failure_))
                                    : std::current_exception();
            }
        }
    }

    blocking_loop& owner_;
    level* const outer_ = std::exchange(owner_.top_, this);
    std::exception_ptr failure_;
    agent* const self_ = this;
    const run_frame frame_{owner_, false};
    loop* const outer_loop_ = set_current_loop(&owner_);
    agent* const* const outer_agent_ = set_current_agent(&self_);
};

/// Keeps the loop in step with a fork.
class blocking_loop::fork_service final : public boost::asio::execution_context::service
{
public:
    using key_type = fork_service;
    static boost::asio::execution_context::id id;

    explicit fork_service(boost::asio::execution_context& context, blocking_loop* owner = nullptr)
        : service(context), owner_(owner)
    {
    }

private:
    void shutdown() override {}

    void notify_fork(boost::asio::execution_context::fork_event event) override
    {
        owner_->helpers_.notify_fork(event);
        if (event == boost::asio::execution_context::fork_child)
            owner_->forked_child();
    }

    blocking_loop* const owner_;
};

boost::asio::execution_context::id blocking_loop::fork_service::id;

void blocking_loop::woken_engine::start(operation& op, operation_id* id)
{
    performer_.start(op, id);
    if (!owner_.running_here())
        owner_.wake();
}

blocking_loop::blocking_loop(boost::asio::execution_context& context)
    : loop(context), guest_(hosted_scheduler::install(context, *this))
{
    boost::asio::make_service<fork_service>(context, this);
}

blocking_loop::~blocking_loop()
{
    BOOST_ASSERT(!top_ && !followers_);
    if (event_ >= 0)
        ::close(event_);
}

void blocking_loop::post(work_item& item) noexcept
{
    work_.fetch_add(1, std::memory_order_relaxed);
    if (running_here())
    {
        ready_.push(item);
        return;
    }
    lock held(mutex_);
    incoming_.push(item);
    wake(held);
}

// An operation that another thread starts may be the first of a stock object: the leader must then not sleep without
// watching the guest's descriptor.
void blocking_loop::work_started() noexcept
{
    work_.fetch_add(1, std::memory_order_relaxed);
    if (!running_here())
        wake();
}

void blocking_loop::work_finished() noexcept
{
    if (running_here())
    {
        work_.fetch_sub(1, std::memory_order_relaxed);
        return;
    }
    lock held(mutex_);
    if (work_.fetch_sub(1, std::memory_order_acq_rel) == 1)
        wake(held);
}

void blocking_loop::stop() noexcept
{
    lock held(mutex_);
    stopped_.store(true, std::memory_order_release);
    wake(held);
}

std::size_t blocking_loop::run(const limits& bounds)
{
    lock held(mutex_);
    if (leader_ != std::thread::id() && leader_ != std::this_thread::get_id())
        refuse(boost::system::errc::device_or_resource_busy);
    if (top_ && guest_.running())
        refuse(boost::system::errc::resource_deadlock_would_occur);
    const level inside(*this, held);

    std::size_t count = 0;
    while (!stopped() && !(bounds.deadline && std::chrono::steady_clock::now() >= *bounds.deadline))
    {
        const std::size_t ran = run_ready(bounds.one ? 1 : items_between_looks, nullptr);
        count += ran;
        if (bounds.one && ran != 0)
            break;
        if (ran != 0 || !bounds.wait)
            poll_guest();
        if (ran != 0 || ready_.front())
            continue;
        if (out_of_work())
            stopped_.store(true, std::memory_order_release);
        else if (bounds.wait)
            wait(bounds.deadline);
        else
            break;
    }
    return count;
}

void blocking_loop::drive_until(waiter& w)
{
    drive(w, {});
}

bool blocking_loop::drive(waiter& w, std::optional<time_point> deadline)
{
    const auto out_of_time = [&] { return deadline && std::chrono::steady_clock::now() >= *deadline; };
    lock held(mutex_);
    if (follow(held, w, deadline))
        return true;
    if (leader_ != std::thread::id() && leader_ != std::this_thread::get_id())
        return false; // out of time
    BOOST_ASSERT(!top_ || !guest_.running());
    const level inside(*this, held);
    while (!w.is_done() && !out_of_time())
    {
        if (run_ready(items_between_looks, &w) != 0)
            poll_guest();
        else if (!w.is_done())
            wait(deadline);
    }
    return w.is_done();
}

// Waits while another thread leads. Returns true if the waiter is done; else this thread may lead, or there is no time.
bool blocking_loop::follow(lock& held, waiter& w, std::optional<time_point> deadline)
{
    if (leader_ == std::thread::id() || leader_ == std::this_thread::get_id())
        return false;
    follower self{w, followers_};
    followers_ = &self;
    followed_.store(true, std::memory_order_relaxed);
    wake(held); // it may be done already
    const auto over = [&] { return self.done || leader_ == std::thread::id(); };
    if (deadline)
        left_or_told_.wait_until(held, *deadline, over);
    else
        left_or_told_.wait(held, over);
    follower** at = &followers_;
    while (*at != &self)
        at = &(*at)->next;
    *at = self.next;
    followed_.store(followers_ != nullptr, std::memory_order_relaxed);
    return self.done;
}

void blocking_loop::tell_followers() noexcept
{
    if (!followed_.load(std::memory_order_relaxed))
        return;
    const lock held(mutex_);
    for (follower* f = followers_; f; f = f->next)
        f->done = f->awaited.is_done();
    left_or_told_.notify_all();
}

void blocking_loop::leave() noexcept
{
    const lock held(mutex_);
    leader_ = {};
    if (followers_)
        left_or_told_.notify_all();
}

// Runs what is ready, but no more than `most`, and nothing more once the waiter is done, or, without one, after stop().
std::size_t blocking_loop::run_ready(std::size_t most, const waiter* awaited)
{
    engine_.turn(std::chrono::microseconds(0), nullptr);
    tell_followers(); // of what the turn has completed: nothing may be left to be told when the leader sleeps
    {
        const lock held(mutex_);
        while (work_item* const item = incoming_.pop())
            ready_.push(*item);
    }
    std::size_t ran = 0;
    while (ran != most && ready_.front() && !(awaited ? awaited->is_done() : stopped()))
    {
        ++ran;
        run_item(*ready_.pop());
        tell_followers(); // the next item may wait for what they do then
    }
    return ran;
}

void blocking_loop::run_item(work_item& item)
{
    struct end_of_work
    {
        std::atomic<long>& work;
        ~end_of_work() { work.fetch_sub(1, std::memory_order_relaxed); }
    } const counted{work_};
    item.run(item, true);
    top_->rethrow_failure();
}

bool blocking_loop::out_of_work() const noexcept
{
    return work_.load(std::memory_order_acquire) == 0 && guest_.idle();
}

void blocking_loop::abandon_items() noexcept
{
    for (;;)
    {
        {
            const lock held(mutex_);
            while (work_item* const item = incoming_.pop())
                ready_.push(*item);
        }
        work_item* const item = ready_.pop();
        if (!item)
            return;
        item->run(*item, false);
        work_.fetch_sub(1, std::memory_order_relaxed);
    }
}

} // namespace zsync::detail
