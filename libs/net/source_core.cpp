// SPDX-License-Identifier: BSL-1.0
#include <zsync/net/detail/source_core.hpp>

#include <cerrno>
#include <cstddef>
#include <new>
#include <utility>

#include <unistd.h>

namespace zsync::detail
{

source_core::source_core(descriptor_ptr core, buffer_pool_ptr pool, const request& what, int refused)
    : core_(std::move(core)), pool_(std::move(pool)), limit_(what.limit ? what.limit : 1)
{
    code = what.code;
    flags = what.flags;
    bundles = what.bundles;
    buffers = pool_.get();
    if (code == opcode::receive_message_many)
    {
        message_.msg_namelen = sizeof(sockaddr_storage);
        message_.msg_controllen = what.control_bytes;
        address = &message_;
    }
    if (accepts())
        descriptors_.reserve(2 * limit_);
    on_result = [](multishot_operation& op, std::int32_t value, std::uint32_t buffer) noexcept
    {
        auto& self = static_cast<source_core&>(op);
        const source_item item{value, buffer};
        lock held(self.mutex_);
        if (self.abandoned_)
            drop(self.pool_.get(), item);
        else
            self.push(item);
    };
    on_news = [](multishot_operation& op, void*) noexcept { static_cast<source_core&>(op).news(); };
    on_complete = [](operation& op, void*) noexcept { static_cast<source_core&>(op).ended(); };
    if (refused)
    {
        stopped_ = has_end_ = true;
        end_ = -refused;
    }
}

source_core::~source_core()
{
    drop_all();
}

void source_core::drop(buffer_pool* pool, const source_item& item) noexcept
{
    if (item.buffer != buffer_pool::none)
        pool->give_back(item.buffer);
    else
        ::close(item.result);
}

void source_core::push(const source_item& item) noexcept
{
    if (item.buffer == buffer_pool::none)
    {
        if (descriptors_.size() == descriptors_.capacity())
        {
            const auto taken = descriptors_.begin() + static_cast<std::ptrdiff_t>(next_descriptor_);
            descriptors_.erase(descriptors_.begin(), taken);
            next_descriptor_ = 0;
        }
        try
        {
            descriptors_.push_back(item.result);
        }
        catch (const std::bad_alloc&)
        {
            return drop(nullptr, item); // there is no memory for this connection
        }
    }
    else
    {
        buffer_pool::entry& place = pool_->at(item.buffer);
        place.next = buffer_pool::none;
        place.bytes = static_cast<std::uint32_t>(item.result);
        if (last_ == buffer_pool::none)
            first_ = item.buffer;
        else
            pool_->at(last_).next = item.buffer;
        last_ = item.buffer;
    }
    ++waiting_;
}

source_item source_core::pop() noexcept
{
    --waiting_;
    if (accepts())
    {
        const int descriptor_taken = descriptors_[next_descriptor_++];
        if (next_descriptor_ == descriptors_.size())
        {
            descriptors_.clear();
            next_descriptor_ = 0;
        }
        return {descriptor_taken, buffer_pool::none};
    }
    const std::uint32_t index = first_;
    const buffer_pool::entry& place = pool_->at(index);
    first_ = place.next;
    if (first_ == buffer_pool::none)
        last_ = buffer_pool::none;
    return {static_cast<std::int32_t>(place.bytes), index};
}

void source_core::drop_all() noexcept
{
    while (!empty())
        drop(pool_.get(), pop());
}

// An item, else the end. An end that is not for good is told once; then the operation may begin again.
bool source_core::take(source_item& item) noexcept
{
    if (!empty())
    {
        item = pop();
        return true;
    }
    if (!has_end_)
        return false;
    item = {end_, buffer_pool::none};
    has_end_ = stopped_ || (end_ == 0 && !accepts());
    return true;
}

// The wait that can be told something now, or null.
source_wait* source_core::satisfy(source_item& item) noexcept
{
    return wait_ && take(item) ? std::exchange(wait_, nullptr) : nullptr;
}

bool source_core::wants_start() noexcept
{
    if (started_ || has_end_ || abandoned_ || waiting_ > limit_ / 2)
        return false;
    started_ = true;
    return true;
}

bool source_core::try_next(source_item& item)
{
    lock held(mutex_);
    const bool taken = take(item);
    const bool start = !(taken && told_end(item)) && wants_start();
    held.unlock();
    if (start)
        begin();
    return taken;
}

void source_core::next(source_wait& wait)
{
    source_item item;
    lock held(mutex_);
    bool told = true;
    if (wait_)
        item = {-EALREADY, buffer_pool::none};
    else if (!take(item))
    {
        wait_ = &wait;
        told = false;
    }
    const bool start = !(told && told_end(item)) && wants_start();
    held.unlock();
    const pointer self(this); // the handler may drop the source
    if (told)
        wait.tell(wait, item, false);
    if (start)
        begin();
}

void source_core::abort(std::uint64_t number) noexcept
{
    lock held(mutex_);
    if (!wait_ || wait_->number != number)
        return;
    source_wait& wait = *std::exchange(wait_, nullptr);
    held.unlock();
    wait.tell(wait, {-ECANCELED, buffer_pool::none}, false);
}

void source_core::stop() noexcept
{
    lock held(mutex_);
    if (std::exchange(stopped_, true))
        return;
    if (started_)
    {
        held.unlock();
        core_->io().cancel(in_flight_);
        return;
    }
    if (!has_end_)
    {
        has_end_ = true;
        end_ = -ECANCELED;
    }
    source_item item;
    source_wait* const wait = satisfy(item);
    held.unlock();
    if (wait)
        wait->tell(*wait, item, false);
}

void source_core::abandon() noexcept
{
    lock held(mutex_);
    abandoned_ = true;
    source_wait* const wait = std::exchange(wait_, nullptr);
    drop_all();
    const bool started = started_;
    held.unlock();
    if (started)
        core_->io().cancel(in_flight_);
    if (wait)
        wait->tell(*wait, {-ECANCELED, buffer_pool::none}, false);
}

int source_core::enter() noexcept
{
    return accepts() ? core_->begin_other() : core_->begin_read();
}

void source_core::leave() noexcept
{
    if (accepts())
        core_->end_other();
    else
        core_->end_read();
}

// Starts the operation; `started_` is set.
void source_core::begin()
{
    int error = enter();
    if (error == 0)
    {
        descriptor = core_->native();
        result = 0;
        intrusive_ptr_add_ref(this); // the operation's
        try
        {
            core_->io().start(*this, &in_flight_);
            return;
        }
        catch (const std::bad_alloc&)
        {
            error = ENOMEM;
        }
        leave();
        intrusive_ptr_release(this);
    }
    source_item item;
    lock held(mutex_);
    started_ = false;
    has_end_ = true;
    end_ = -error;
    source_wait* const wait = satisfy(item);
    held.unlock();
    if (wait)
        wait->tell(*wait, item, false);
}

// On the thread that takes the turn.
void source_core::news() noexcept
{
    source_item item;
    lock held(mutex_);
    source_wait* const wait = satisfy(item);
    const bool pause = waiting_ >= limit_ && !pausing_ && !abandoned_;
    pausing_ |= pause;
    held.unlock();
    if (pause)
        core_->io().cancel(in_flight_);
    if (wait)
        wait->tell(*wait, item, true);
}

// Likewise. The operation is no longer the engine's.
void source_core::ended() noexcept
{
    const pointer self(this, false); // the operation's reference
    const bool closed = !core_->is_open();
    if (!closed)
        leave(); // the handler may start to read in another way at once
    source_item item;
    lock held(mutex_);
    started_ = false;
    const bool paused = std::exchange(pausing_, false) && result == -ECANCELED && !stopped_ && !closed;
    if (!paused)
    {
        has_end_ = true;
        end_ = result;
    }
    source_wait* const wait = satisfy(item);
    const bool again = wait_ && wants_start();
    held.unlock();
    if (again)
        begin();
    if (wait)
        wait->tell(*wait, item, true);
    if (closed)
        leave(); // who waits for the descriptor to be idle is told last
}

} // namespace zsync::detail
