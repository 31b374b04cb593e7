// SPDX-License-Identifier: BSL-1.0
#include <zsync/file/file.hpp>

#include <boost/system/system_error.hpp>

#include <cerrno>
#include <limits>

#include <sys/stat.h>
#include <unistd.h>

namespace zsync
{

namespace
{

boost::system::error_code error_after(std::int64_t result) noexcept
{
    return result < 0 ? boost::system::error_code(errno, boost::system::system_category())
                      : boost::system::error_code();
}

void throw_if(const boost::system::error_code& ec, const char* what)
{
    if (ec)
        throw boost::system::system_error(ec, what);
}

} // namespace

bool detail::open_request::describe(operation& record) noexcept
{
    record.code = opcode::open;
    record.descriptor = AT_FDCWD;
    record.address = path_.data();
    record.length = mode_;
    record.flags = static_cast<std::uint32_t>(flags_) | O_CLOEXEC;
    return true;
}

std::tuple<boost::system::error_code, file> detail::open_request::outcome(const operation& record) const noexcept
{
    if (record.result < 0)
        return {record_error(record), file(executor_)};
    boost::system::error_code ec;
    descriptor_ptr core = descriptor_core::make(where_, record.result, descriptor_origin::opened, ec);
    if (ec)
        ::close(record.result);
    return {ec, file(executor_, std::move(core))};
}

void file::open(const std::string& path, open_flags flags, unsigned mode, boost::system::error_code& ec)
{
    int descriptor = -1;
    do
        descriptor = ::open(path.c_str(), static_cast<int>(flags) | O_CLOEXEC, mode);
    while (descriptor < 0 && errno == EINTR);
    ec = error_after(descriptor);
    if (!ec)
        adopt(descriptor, descriptor_origin::opened, ec);
}

void file::open(const std::string& path, open_flags flags, unsigned mode)
{
    boost::system::error_code ec;
    open(path, flags, mode, ec);
    throw_if(ec, "open");
}

std::uint64_t file::size(boost::system::error_code& ec) const noexcept
{
    struct stat state;
    ec = error_after(::fstat(native_handle(), &state));
    return ec ? 0 : static_cast<std::uint64_t>(state.st_size);
}

std::uint64_t file::size() const
{
    boost::system::error_code ec;
    const std::uint64_t bytes = size(ec);
    throw_if(ec, "size");
    return bytes;
}

void file::resize(std::uint64_t bytes, boost::system::error_code& ec) noexcept
{
    if (bytes > static_cast<std::uint64_t>(std::numeric_limits<::off_t>::max()))
        ec.assign(EFBIG, boost::system::system_category());
    else
        ec = error_after(::ftruncate(native_handle(), static_cast<::off_t>(bytes)));
}

void file::resize(std::uint64_t bytes)
{
    boost::system::error_code ec;
    resize(bytes, ec);
    throw_if(ec, "resize");
}

std::uint64_t file::seek(std::int64_t offset, seek_basis whence, boost::system::error_code& ec) noexcept
{
    const ::off_t position = ::lseek(native_handle(), offset, static_cast<int>(whence));
    ec = error_after(position);
    return ec ? 0 : static_cast<std::uint64_t>(position);
}

std::uint64_t file::seek(std::int64_t offset, seek_basis whence)
{
    boost::system::error_code ec;
    const std::uint64_t position = seek(offset, whence, ec);
    throw_if(ec, "seek");
    return position;
}

void file::sync_all(boost::system::error_code& ec) noexcept
{
    ec = error_after(::fsync(native_handle()));
}

void file::sync_all()
{
    boost::system::error_code ec;
    sync_all(ec);
    throw_if(ec, "sync_all");
}

} // namespace zsync
