// SPDX-License-Identifier: BSL-1.0

// The same bouncing messages over bare liburing: single-shot sends and receives, one submit-and-wait a turn, all
// completions drained, the queue's head advanced once; a registered ring descriptor. What a library on top can at best
// come near to.

#include "harness/cell.hpp"

#include <array>
#include <cerrno>
#include <deque>
#include <system_error>

#include <liburing.h>
#include <sys/socket.h>
#include <unistd.h>

namespace
{

void check(int result, const char* what)
{
    if (result < 0)
        throw std::system_error(-result, std::system_category(), what);
}

struct endpoint
{
    int fd;
    bool sending;
    std::array<char, 4096> data{};
};

class ring
{
public:
    explicit ring(std::size_t bytes) : bytes_(static_cast<unsigned>(bytes))
    {
        io_uring_params params{};
        params.flags =
            IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE;
        params.cq_entries = 1024;
        check(io_uring_queue_init_params(256, &ring_, &params), "io_uring_setup");
        check(io_uring_register_ring_fd(&ring_), "io_uring_register_ring_fd");
    }

    ring(const ring&) = delete;
    ring& operator=(const ring&) = delete;
    ~ring() { io_uring_queue_exit(&ring_); }

    void start(endpoint& e, bool sending)
    {
        io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
        if (!sqe)
        {
            check(io_uring_submit(&ring_), "io_uring_submit");
            sqe = io_uring_get_sqe(&ring_);
        }
        e.sending = sending;
        if (sending)
            io_uring_prep_send(sqe, e.fd, e.data.data(), bytes_, MSG_NOSIGNAL);
        else
        {
            // What it waits for has yet to be sent: the first attempt would be in vain.
            io_uring_prep_recv(sqe, e.fd, e.data.data(), bytes_, 0);
            sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
        }
        io_uring_sqe_set_data(sqe, &e);
    }

    /// Waits for completions and answers each. Returns how many messages have arrived.
    unsigned turn()
    {
        check(io_uring_submit_and_wait(&ring_, 1), "io_uring_enter");
        unsigned head = 0;
        unsigned seen = 0;
        unsigned received = 0;
        io_uring_cqe* cqe = nullptr;
        io_uring_for_each_cqe(&ring_, head, cqe)
        {
            ++seen;
            check(cqe->res, "send or receive");
            if (static_cast<unsigned>(cqe->res) != bytes_)
                throw std::runtime_error("a message was cut");
            endpoint& e = *static_cast<endpoint*>(io_uring_cqe_get_data(cqe));
            received += !e.sending;
            start(e, !e.sending);
        }
        io_uring_cq_advance(&ring_, seen);
        return received;
    }

private:
    io_uring ring_{};
    unsigned bytes_;
};

void measure(const perf::cell_arguments& arguments)
{
    const std::uint64_t count = arguments.number("count", 10'000);
    const std::uint64_t warm_up = arguments.number("warm_up", 10'000);
    std::deque<endpoint> endpoints;
    ring r(arguments.number("bytes", 64));
    for (std::uint64_t i = 0; i != arguments.number("pairs", 64); ++i)
    {
        std::array<int, 2> fds{};
        check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) ? -errno : 0, "socketpair");
        r.start(endpoints.emplace_back(fds[0]), true);
        r.start(endpoints.emplace_back(fds[1]), false);
    }

    for (std::uint64_t received = 0; received < warm_up;)
        received += r.turn();
    const double cpu_start = perf::cpu_ns();
    const double start = perf::wall_ns();
    std::uint64_t received = 0;
    while (received < count)
        received += r.turn();
    const double cpu = perf::cpu_ns() - cpu_start;
    const double wall = perf::wall_ns() - start;

    const auto messages = static_cast<double>(received);
    perf::cell_line().add("cpu_ns", cpu / messages).add("wall_ns", wall / messages).add("engine", "uring").print();
    for (endpoint& e : endpoints)
        close(e.fd);
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, measure);
}
