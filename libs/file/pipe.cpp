// SPDX-License-Identifier: BSL-1.0
#include <zsync/file/pipe.hpp>

#include <boost/asio/execution/context.hpp>
#include <boost/asio/query.hpp>
#include <boost/system/system_error.hpp>

#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

namespace zsync
{

namespace
{

io_place place_of_executor(const pipe::executor_type& executor)
{
    return place_of(boost::asio::query(executor, boost::asio::execution::context));
}

// Where this fails, the descriptor is still the caller's.
pipe adopt(const pipe::executor_type& executor, const io_place& where, int descriptor, descriptor_origin origin,
           const char* what)
{
    boost::system::error_code ec;
    descriptor_ptr core = descriptor_core::make(where, descriptor, origin, ec);
    if (ec)
        throw boost::system::system_error(ec, what);
    return pipe(executor, std::move(core));
}

// Closes what nobody took.
struct open_descriptor
{
    int value;
    ~open_descriptor()
    {
        if (value >= 0)
            ::close(value);
    }
};

pipe standard(const pipe::executor_type& executor, int descriptor)
{
    return adopt(executor, place_of_executor(executor), descriptor, descriptor_origin::borrowed, "standard stream");
}

} // namespace

pipe_ends make_pipe(const pipe::executor_type& executor)
{
    const io_place where = place_of_executor(executor);
    int ends[2];
    if (::pipe2(ends, where.io->kind() == engine_kind::blocking ? O_CLOEXEC : O_CLOEXEC | O_NONBLOCK) < 0)
        throw boost::system::system_error(errno, boost::system::system_category(), "pipe");
    open_descriptor out{ends[0]};
    open_descriptor in{ends[1]};
    pipe read_end = adopt(executor, where, out.value, descriptor_origin::opened, "pipe");
    out.value = -1;
    pipe write_end = adopt(executor, where, in.value, descriptor_origin::opened, "pipe");
    in.value = -1;
    return {std::move(read_end), std::move(write_end)};
}

pipe duplicate_pipe(const pipe::executor_type& executor, int descriptor)
{
    open_descriptor copy{::fcntl(descriptor, F_DUPFD_CLOEXEC, 0)};
    if (copy.value < 0)
        throw boost::system::system_error(errno, boost::system::system_category(), "duplicate_pipe");
    pipe made = adopt(executor, place_of_executor(executor), copy.value, descriptor_origin::given, "duplicate_pipe");
    copy.value = -1;
    return made;
}

pipe standard_input(const pipe::executor_type& executor)
{
    return standard(executor, STDIN_FILENO);
}

pipe standard_output(const pipe::executor_type& executor)
{
    return standard(executor, STDOUT_FILENO);
}

pipe standard_error(const pipe::executor_type& executor)
{
    return standard(executor, STDERR_FILENO);
}

} // namespace zsync
