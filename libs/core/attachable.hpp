// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/detail/from_errno.hpp>

#include <boost/system/error_code.hpp>

#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>

namespace zsync::detail
{

/// Looks at what engine::attach_descriptor() is to take note of. Returns bad_descriptor if it is not open, or stands
/// for a path only.
inline boost::system::error_code stat_attachable(int descriptor, struct stat& file) noexcept
{
    if (::fstat(descriptor, &file) < 0)
        return from_errno(errno);
    // Not even a descriptor, to whoever would do something with it; epoll refuses it likewise.
    if (!S_ISSOCK(file.st_mode) && (::fcntl(descriptor, F_GETFL) & O_PATH))
        return from_errno(EBADF);
    return {};
}

} // namespace zsync::detail
