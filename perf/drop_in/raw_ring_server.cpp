// SPDX-License-Identifier: BSL-1.0

// The echo server over bare liburing, in the way of pingpong/raw_ring.cpp: what a native socket can at best come near
// to. mode=one-thread sets the ring up for a single issuer; mode=default with the flags any number of threads allow.

#include "harness/cell.hpp"

#include <array>
#include <cerrno>
#include <deque>
#include <system_error>

#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace
{

int check(int result, const char* what)
{
    if (result < 0)
        throw std::system_error(errno, std::system_category(), what);
    return result;
}

struct session
{
    int fd;
    bool sending = false;
    unsigned size = 0;
    unsigned sent = 0;
    std::array<char, 4096> data{};
};

class server
{
public:
    explicit server(unsigned flags)
    {
        io_uring_params params{};
        params.flags = flags | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE;
        params.cq_entries = 1024;
        errno = -io_uring_queue_init_params(256, &ring_, &params);
        check(errno ? -1 : 0, "io_uring_setup");
        check(io_uring_register_ring_fd(&ring_), "io_uring_register_ring_fd");
    }

    server(const server&) = delete;
    server& operator=(const server&) = delete;
    ~server() { io_uring_queue_exit(&ring_); }

    void add(int fd)
    {
        receive(sessions_.emplace_back(fd));
        ++open_;
    }

    void run()
    {
        while (open_)
        {
            check(io_uring_submit_and_wait(&ring_, 1), "io_uring_enter");
            unsigned head = 0;
            unsigned seen = 0;
            io_uring_cqe* cqe = nullptr;
            io_uring_for_each_cqe(&ring_, head, cqe)
            {
                ++seen;
                complete(*static_cast<session*>(io_uring_cqe_get_data(cqe)), cqe->res);
            }
            io_uring_cq_advance(&ring_, seen);
        }
    }

private:
    io_uring_sqe* next_sqe()
    {
        io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
        if (sqe)
            return sqe;
        check(io_uring_submit(&ring_), "io_uring_submit");
        return io_uring_get_sqe(&ring_);
    }

    void receive(session& s)
    {
        s.sending = false;
        io_uring_sqe* sqe = next_sqe();
        io_uring_prep_recv(sqe, s.fd, s.data.data(), s.data.size(), 0);
        sqe->ioprio |= IORING_RECVSEND_POLL_FIRST; // the client answers an answer: there is nothing yet
        io_uring_sqe_set_data(sqe, &s);
    }

    void send(session& s)
    {
        s.sending = true;
        io_uring_sqe* sqe = next_sqe();
        io_uring_prep_send(sqe, s.fd, s.data.data() + s.sent, s.size - s.sent, MSG_NOSIGNAL);
        io_uring_sqe_set_data(sqe, &s);
    }

    void complete(session& s, int result)
    {
        if (result <= 0)
        {
            close(s.fd);
            --open_;
            return;
        }
        if (s.sending)
            s.sent += static_cast<unsigned>(result);
        else
        {
            s.size = static_cast<unsigned>(result);
            s.sent = 0;
        }
        s.sending&& s.sent == s.size ? receive(s) : send(s);
    }

    io_uring ring_{};
    std::deque<session> sessions_;
    std::size_t open_ = 0;
};

void serve(const perf::cell_arguments& arguments)
{
    const int listener = check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    check(bind(listener, reinterpret_cast<sockaddr*>(&address), length), "bind");
    check(listen(listener, SOMAXCONN), "listen");
    check(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length), "getsockname");
    perf::cell_line().add("port", ntohs(address.sin_port)).add("pid", getpid()).print();

    const bool single = arguments.text("mode", "one-thread") == "one-thread";
    server s(single ? IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN : 0);
    for (std::uint64_t i = 0; i != arguments.number("connections", 64); ++i)
    {
        const int fd = check(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC), "accept4");
        const int on = 1;
        check(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "TCP_NODELAY");
        s.add(fd);
    }
    close(listener);
    s.run();
    perf::cell_line().add("engine", "uring").print();
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, serve);
}
