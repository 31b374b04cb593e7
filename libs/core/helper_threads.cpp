// SPDX-License-Identifier: BSL-1.0
#include <zsync/core/helper_threads.hpp>

#include <boost/asio/error.hpp>

#include <algorithm>
#include <cassert>
#include <csignal>
#include <utility>

namespace zsync
{

helper_threads::helper_threads(std::size_t max, std::string name)
    : max_(max), name_(std::move(name.erase(std::min<std::size_t>(name.size(), 15))))
{
    assert(max > 0);
    threads_.reserve(max);
}

helper_threads::~helper_threads()
{
    stop();
}

boost::system::error_code helper_threads::post(job& j) noexcept
{
    {
        std::lock_guard lock(mutex_);
        if (state_ == state::stopped)
            return boost::asio::error::operation_aborted;
        if (state_ == state::running && queued_ >= free_ && threads_.size() < max_)
        {
            const auto ec = start_thread();
            if (ec && threads_.empty())
                return ec;
        }
        j.next = nullptr;
        (head_ ? tail_->next : head_) = &j;
        tail_ = &j;
        ++queued_;
    }
    wake_.notify_one();
    return {};
}

void helper_threads::stop() noexcept
{
    job* unbegun;
    {
        std::lock_guard lock(mutex_);
        state_ = state::stopped;
        unbegun = take_queue();
    }
    wake_.notify_all();
    abandon_all(unbegun);
    join_all();
}

void helper_threads::notify_fork(boost::asio::execution_context::fork_event event) noexcept
{
    job* unbegun = nullptr;
    {
        std::lock_guard lock(mutex_);
        if (state_ == state::stopped)
            return;
        if (event == boost::asio::execution_context::fork_prepare)
        {
            state_ = state::paused;
        }
        else
        {
            state_ = state::running;
            while (event == boost::asio::execution_context::fork_parent && threads_.size() < std::min(queued_, max_))
            {
                if (start_thread())
                    break;
            }
            if (threads_.empty())
                unbegun = take_queue();
        }
    }
    if (event == boost::asio::execution_context::fork_prepare)
    {
        wake_.notify_all();
        join_all();
    }
    abandon_all(unbegun);
}

std::size_t helper_threads::started() const noexcept
{
    std::lock_guard lock(mutex_);
    return threads_.size();
}

void* helper_threads::thread_entry(void* self) noexcept
{
    static_cast<helper_threads*>(self)->serve();
    return nullptr;
}

void helper_threads::serve() noexcept
{
    ::pthread_setname_np(::pthread_self(), name_.c_str());
    std::unique_lock lock(mutex_);
    for (;;)
    {
        wake_.wait(lock, [this] { return head_ || state_ != state::running; });
        if (state_ != state::running)
            return;
        job& j = *std::exchange(head_, head_->next);
        --queued_;
        --free_;
        lock.unlock();
        j.run(j);
        lock.lock();
        ++free_;
    }
}

boost::system::error_code helper_threads::start_thread() noexcept
{
    // The new thread inherits the mask of this moment: signals are for the program's own threads.
    ::sigset_t all, previous;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &previous);
    ::pthread_t id;
    const int result = ::pthread_create(&id, nullptr, &thread_entry, this);
    ::pthread_sigmask(SIG_SETMASK, &previous, nullptr);
    if (result != 0)
        return {result, boost::system::system_category()};
    threads_.push_back(id); // reserved by the constructor
    ++free_;
    return {};
}

// No thread starts once the state has left `running`, so the list stands still while its threads end.
void helper_threads::join_all() noexcept
{
    std::lock_guard joining(join_mutex_);
    for (const ::pthread_t id : threads_)
    {
        assert(!::pthread_equal(id, ::pthread_self()));
        ::pthread_join(id, nullptr);
    }
    std::lock_guard lock(mutex_);
    threads_.clear();
    free_ = 0;
}

job* helper_threads::take_queue() noexcept
{
    queued_ = 0;
    return std::exchange(head_, nullptr);
}

void helper_threads::abandon_all(job* first) noexcept
{
    while (first)
    {
        job& j = *std::exchange(first, first->next);
        j.abandon(j);
    }
}

} // namespace zsync
