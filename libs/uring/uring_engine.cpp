// SPDX-License-Identifier: BSL-1.0
#include <zsync/uring/uring_engine.hpp>

#include <zsync/core/detail/from_errno.hpp>
#include <zsync/core/detail/ring_syscalls.hpp>
#include <zsync/core/direct_name.hpp>
#include <zsync/core/direction.hpp>

#include "core/attachable.hpp"
#include "core/transfer_now.hpp"
#include "prepare.hpp"
#include "provided_buffers.hpp"
#include "ring.hpp"

#include <boost/assert.hpp>
#include <boost/system/system_error.hpp>

#include <cerrno>
#include <mutex>
#include <thread>
#include <utility>

#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <poll.h>

namespace zsync
{

namespace
{

using boost::system::error_code;
using detail::from_errno;

[[noreturn]] void fail(error_code error, const char* what)
{
    throw boost::system::system_error(error, what);
}

int make_wake_descriptor()
{
    const int descriptor = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (descriptor < 0)
        fail(from_errno(errno), "eventfd");
    return descriptor;
}

} // namespace

uring_engine::uring_engine(const uring_engine_options& options)
    : mutex_(options.locking),
      entries_(options.entries ? options.entries : 1),
      spin_for_(options.spin_for),
      one_owner_(options.one_owner),
      one_runner_(options.one_runner || options.one_owner),
      cooperative_(!options.several_runners),
      buffer_options_(options.buffers)
{
    renew_ring(mode());
    last_operation_ = ring_->last_operation();
    make_table(options.direct_descriptors);
    wake_descriptor_ = make_wake_descriptor();
    wake_poll_.engine = this;
    wake_poll_.code = opcode::poll;
    wake_poll_.flags = POLLIN;
    wake_poll_.descriptor = wake_descriptor_;
    wake_poll_.background = true;
    wake_poll_.on_complete = [](operation& self, void*) noexcept
    { static_cast<wake_operation&>(self).engine->woken(); };
    start(wake_poll_);
}

uring_engine::~uring_engine()
{
    BOOST_ASSERT(in_kernel_ == background_in_kernel_);
    ring_.reset();
    provided_.clear(); // views that outlive this must not wake it
    ::close(wake_descriptor_);
}

// The others came with Linux 5.6 or before, and ring::open() refuses what is older than 5.11. Multishot is a flag that
// no probe knows: what is asked for came in the same release, accepts with 5.19, receives with 6.0.
bool uring_engine::supports(opcode code) const noexcept
{
    switch (code)
    {
    case opcode::accept_many:
        return last_operation_ >= IORING_OP_SOCKET;
    case opcode::receive_many:
    case opcode::receive_message_many:
    case opcode::send_zero_copy:
        return last_operation_ >= IORING_OP_SEND_ZC;
    case opcode::send_message_zero_copy:
        return last_operation_ >= IORING_OP_SENDMSG_ZC;
    case opcode::accept_direct:
        return places_ != 0;
    case opcode::install:
        return last_operation_ >= detail::op_fixed_fd_install;
    default:
        return true;
    }
}

void uring_engine::start(operation& op, operation_id* id)
{
    if (stopped()) [[unlikely]]
        return refuse(op, id);
    const std::lock_guard held(mutex_);
    op.way = direction_of(op);
    const bool is_first = records_.enter(op);
    op.begin();
    if (id)
        *id = op.id;
    if (!op.background) [[likely]]
        ++counters_.operations_started;
    if (op.code == opcode::poll && !may_poll(op.descriptor)) [[unlikely]]
        finish(op, -EOPNOTSUPP); // as epoll has it; a ring would call it ready
    else if (is_first) [[likely]]
        queued_.push(op);
    else
        op.where = operation::state::held;
    if (sleep_.load(std::memory_order_relaxed) != sleep_state::awake) [[unlikely]]
        prompt();
}

// What is started while the context is destroyed: the handler is posted, and destroyed.
void uring_engine::refuse(operation& op, operation_id* id) noexcept
{
    if (id)
        *id = {};
    op.result = -ECANCELED;
    op.on_complete(op, nullptr);
}

// Under the lock, which close() takes, too: the number is that of this descriptor still.
bool uring_engine::perform_now(operation& op) noexcept
{
    const std::lock_guard held(mutex_);
    return !stopped_ && detail::transfer_now(op, records_, counters_);
}

// A file's type does not tell whether it can be waited for: some devices can, some files of /proc and /sys can.
bool uring_engine::may_poll(int descriptor) noexcept
{
    if (records_.pollable(descriptor))
        return true;
    if (!detail::can_be_watched(descriptor))
        return false;
    records_.set_pollable(descriptor);
    return true;
}

void uring_engine::cancel(operation_id id) noexcept
{
    lock held(mutex_);
    if (operation* op = records_.find(id))
    {
        request_cancel(*op);
        prompt(held);
    }
}

void uring_engine::cancel_descriptor(int descriptor) noexcept
{
    lock held(mutex_);
    if (cancel_all_on(descriptor))
        prompt(held);
}

error_code uring_engine::attach_descriptor(int descriptor) noexcept
try
{
    struct stat file;
    if (const error_code refused = detail::stat_attachable(descriptor, file))
        return refused;
    lock held(mutex_);
    const bool pollable = S_ISSOCK(file.st_mode) || S_ISFIFO(file.st_mode); // of others, start() asks
    if (!records_.attach(descriptor, {file.st_dev, file.st_ino}, pollable))
        return from_errno(EEXIST);
    return {};
}
catch (const std::bad_alloc&)
{
    return from_errno(ENOMEM);
}

void uring_engine::try_sends(int descriptor) noexcept
{
    lock held(mutex_);
    try_sends_on(descriptor);
    if (!finished_.empty())
        prompt(held);
}

void uring_engine::detach_descriptor(int descriptor) noexcept
{
    if (is_direct(descriptor))
        return detach_direct(descriptor);
    lock held(mutex_);
    if (ring_->is_here())
        try_sends_on(descriptor);
    const bool anything = cancel_all_on(descriptor);
    records_.detach(descriptor);
    if (!anything || stopped_ || !ring_->is_here())
        return;

    if (may_enter())
    {
        // After this, the kernel has read every entry that names the descriptor, and holds the file itself.
        hand_over_cancels(held);
    }
    else
    {
        // Another thread owns the ring. Entries are filled in by its turn only, which hands them over at once: all
        // there is to wait for is the moment between the two. The cancel requests go by id, not by descriptor.
        while (entering_ != 0 && !ring_->all_consumed())
        {
            held.unlock(); // whose system call failed must get out of it
            std::this_thread::yield();
            held.lock();
        }
    }
    prompt(held);
}

int uring_engine::descriptor() const noexcept
{
    return ring_->descriptor();
}

bool uring_engine::needs_turn() const noexcept
{
    const lock held(mutex_);
    return !queued_.empty() || !to_cancel_.empty() || !finished_.empty() || !leaving_.empty();
}

void uring_engine::leave()
{
    lock held(mutex_);
    left_ = one_owner_;
    if (one_owner_ && may_enter() && in_kernel_ != background_in_kernel_)
        quiesce();
}

void uring_engine::share()
{
    lock held(mutex_);
    if (one_owner_)
        renew_ring(detail::ring_mode::cooperative);
}

void uring_engine::prepare_fork()
{
    lock held(mutex_);
    if (!stopped_ && may_enter())
        quiesce();
}

void uring_engine::child_after_fork()
{
    lock held(mutex_);
    ring_->forget_after_fork();
    ::close(wake_descriptor_);
    wake_descriptor_ = -1;
    wake_descriptor_ = make_wake_descriptor();
    sleep_ = sleep_state::awake;
    if (stopped_)
        return;

    replace_descriptor(wake_poll_, wake_descriptor_);
    renew_ring(mode());
}

void uring_engine::replace_descriptor(operation& op, int descriptor)
{
    const bool in_records = op.where == operation::state::queued || op.where == operation::state::in_kernel;
    BOOST_ASSERT(op.way == direction::none);
    if (in_records)
        records_.leave(op);
    op.descriptor = descriptor;
    if (in_records)
        records_.enter(op);
}

void uring_engine::shutdown(void* sink) noexcept
{
    lock held(mutex_);
    stopped_ = true;
    if (may_enter())
        quiesce();
    // What a ring with another owner may hold are polls of the library's own: they point to no memory.
    ring_->close();
    take_back_all();
    for (const auto& buffers : provided_)
        while (operation* op = buffers->starved.pop())
            finish(*op, -ECANCELED);
    while (operation* op = queued_.pop())
        finish(*op, -ECANCELED);
    news_list news = std::exchange(news_, {});
    queue finished = std::exchange(finished_, {});
    held.unlock();
    deliver_news(news, sink);
    deliver(finished, sink);
}

metrics uring_engine::counters() const noexcept
{
    metrics now = counters_.snapshot();
    now.wakes = wakes_.load(std::memory_order_relaxed);
    return now;
}

} // namespace zsync
