// SPDX-License-Identifier: BSL-1.0
#include <zsync/io/copy.hpp>

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

namespace zsync::detail
{

namespace
{

constexpr std::size_t buffer_bytes = 64 * 1024;

/// Keeps a call that has no MSG_NOSIGNAL from raising SIGPIPE on this thread.
class no_sigpipe
{
public:
    no_sigpipe() noexcept
    {
        sigset_t pending;
        ::sigemptyset(&only_);
        ::sigaddset(&only_, SIGPIPE);
        ::sigpending(&pending);
        was_pending_ = ::sigismember(&pending, SIGPIPE) == 1;
        ::pthread_sigmask(SIG_BLOCK, &only_, &before_);
    }

    ~no_sigpipe()
    {
        const int number = errno;
        const timespec at_once{};
        if (!was_pending_)
            while (::sigtimedwait(&only_, nullptr, &at_once) < 0 && errno == EINTR)
            {
            }
        ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
        errno = number;
    }

    no_sigpipe(const no_sigpipe&) = delete;
    no_sigpipe& operator=(const no_sigpipe&) = delete;

private:
    sigset_t only_;
    sigset_t before_;
    bool was_pending_ = false;
};

bool cannot_copy(int error) noexcept
{
    return error == EXDEV || error == EINVAL || error == ENOSYS || error == EOPNOTSUPP || error == EPERM;
}

bool never_blocks(const descriptor_core& core) noexcept
{
    if (core.kind() == descriptor_kind::file)
        return true;
    const int flags = ::fcntl(core.native(), F_GETFL);
    return flags >= 0 && (flags & O_NONBLOCK);
}

} // namespace

int copy_steps::enter(const settings& with) noexcept
{
    if (!from_ || !to_)
        return EBADF;
    const auto* const context = &with.owner->context();
    if (with.model != model::blocking && (&from_->context() != context || &to_->context() != context))
        return EINVAL;
    if (const int refused = from_offset_ ? from_->begin_other() : from_->begin_read())
        return refused;
    const int refused = to_offset_ ? to_->begin_other() : to_->begin_write();
    if (refused)
        from_offset_ ? from_->end_other() : from_->end_read();
    return refused;
}

void copy_steps::leave() noexcept
{
    // What was read and could not be written has not been taken.
    if (state_ == state::writing && !from_offset_ && written_ < filled_)
        ::lseek(from_->native(), -static_cast<off_t>(filled_ - written_), SEEK_CUR);
    from_offset_ ? from_->end_other() : from_->end_read();
    to_offset_ ? to_->end_other() : to_->end_write();
}

// A plain call may wait in the blocking model only, and there only if nothing is to end it.
bool copy_steps::would_block(const settings& with) const noexcept
{
    if (with.model == model::blocking && !with.limited())
        return false;
    return !never_blocks(*to_) || !never_blocks(*from_);
}

next copy_steps::begin(operation& record, const settings& with)
{
    if (left_ == 0)
        return next::finished;
    return would_block(with) ? read(record) : call(record);
}

next copy_steps::proceed(operation& record, const settings&)
{
    if (record.result < 0)
        return fail(-record.result);
    switch (state_)
    {
    case state::calling:
        return call(record);
    case state::reading:
        filled_ = static_cast<std::size_t>(record.result);
        written_ = 0;
        return filled_ == 0 ? next::finished : write(record);
    case state::writing:
        break;
    }
    if (record.result == 0)
        return fail(EIO); // some devices take nothing, and say nothing
    written_ += static_cast<std::size_t>(record.result);
    moved_ += static_cast<std::size_t>(record.result);
    left_ -= static_cast<std::size_t>(record.result);
    if (written_ < filled_)
        return write(record);
    return left_ == 0 ? next::finished : read(record);
}

void copy_steps::ask(operation& record, opcode code, const descriptor_core& of) noexcept
{
    record.code = code;
    record.descriptor = of.native();
    record.flags = 0;
    record.offset = operation::current_position;
}

// One slice. Then comes something that waits: for others to have their turn, or for room.
next copy_steps::call(operation& record)
{
    state_ = state::calling;
    const std::size_t size = std::min(left_, slice_bytes);
    ssize_t copied;
    do
        copied = make_call(size);
    while (copied < 0 && errno == EINTR);

    if (copied > 0)
    {
        moved_ += static_cast<std::size_t>(copied);
        left_ -= static_cast<std::size_t>(copied);
        if (left_ == 0)
            return next::finished;
        ask(record, opcode::nop, *to_);
        record.descriptor = -1;
        return next::record;
    }
    if (copied == 0)
        return next::finished; // the end of the file
    if (errno == EAGAIN)
    {
        ask(record, opcode::poll, *to_);
        record.flags = POLLOUT;
        return next::record;
    }
    return cannot_copy(errno) ? read(record) : fail(errno);
}

ssize_t copy_steps::make_call(std::size_t size) const noexcept
{
    auto from_at = static_cast<off_t>(from_offset_.value_or(0) + moved_);
    auto to_at = static_cast<off_t>(to_offset_.value_or(0) + moved_);
    off_t* const from_where = from_offset_ ? &from_at : nullptr;
    if (call_ == copy_call::copy_file_range)
        return ::copy_file_range(from_->native(), from_where, to_->native(), to_offset_ ? &to_at : nullptr, size, 0);
    if (!to_->is_socket())
        return ::sendfile(to_->native(), from_->native(), from_where, size);
    const no_sigpipe quiet;
    return ::sendfile(to_->native(), from_->native(), from_where, size);
}

next copy_steps::read(operation& record)
{
    if (!buffer_)
        buffer_.reset(new std::byte[buffer_bytes]);
    state_ = state::reading;
    ask(record, opcode::read, *from_);
    record.address = buffer_.get();
    record.length = static_cast<std::uint32_t>(std::min(left_, buffer_bytes));
    if (from_offset_)
        record.offset = *from_offset_ + moved_;
    return next::record;
}

next copy_steps::write(operation& record) noexcept
{
    state_ = state::writing;
    ask(record, to_->is_socket() ? opcode::send : opcode::write, *to_);
    record.address = buffer_.get() + written_;
    record.length = static_cast<std::uint32_t>(filled_ - written_);
    if (to_->is_socket())
        record.flags = MSG_NOSIGNAL;
    else if (to_offset_)
        record.offset = *to_offset_ + moved_;
    return next::record;
}

} // namespace zsync::detail
