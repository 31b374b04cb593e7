// SPDX-License-Identifier: BSL-1.0

// The load for every TCP server, of zsync and of its peers alike: a closed loop over bare epoll, one request in flight
// a connection. It also reads the server's CPU clock, while no request is in flight, before and after the requests that
// count; so servers carry no instruments.
//
// port= pid= connections= bytes= (of an echo) or http=1, warm_up= and count= requests. think_ns= of CPU time spent on
// each answer make it a client that has work of its own: the server then often waits, and finds fewer requests at once.

#include "harness/cell.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <vector>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
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

int connect_to(std::uint16_t port)
{
    const int fd = check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), "connect");
    const int on = 1;
    check(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "TCP_NODELAY");
    return fd;
}

/// Connects, waits until the server closes, and connects again, `connections` at a time.
class churn
{
public:
    churn(std::uint16_t port, std::size_t connections)
        : port_(port), connections_(connections), epoll_(check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1"))
    {
    }

    churn(const churn&) = delete;
    churn& operator=(const churn&) = delete;
    ~churn() { close(epoll_); }

    void run(std::uint64_t count)
    {
        std::uint64_t begun = 0;
        const auto begin = [&]
        {
            const int fd = connect_to(port_);
            // Reset by our close: no port is kept from being used again.
            const linger now{1, 0};
            check(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), "SO_LINGER");
            epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
            check(epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
            ++begun;
        };
        while (begun < std::min<std::uint64_t>(count, connections_))
            begin();
        std::array<epoll_event, 256> events;
        for (std::uint64_t ended = 0; ended != count;)
        {
            const int ready = epoll_wait(epoll_, events.data(), events.size(), -1);
            for (int i = 0; i < ready; ++i)
            {
                close(events[static_cast<std::size_t>(i)].data.fd);
                ++ended;
                if (begun != count)
                    begin();
            }
        }
    }

private:
    const std::uint16_t port_;
    const std::size_t connections_;
    const int epoll_;
};

class load
{
public:
    load(std::uint16_t port, std::size_t connections, std::string request, double think_ns)
        : request_(std::move(request)),
          expected_(request_.size()),
          think_ns_(think_ns),
          epoll_(check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
          connections_(connections)
    {
        for (connection& c : connections_)
        {
            c.fd = connect_to(port);
            epoll_event event{.events = EPOLLIN, .data = {.ptr = &c}};
            check(epoll_ctl(epoll_, EPOLL_CTL_ADD, c.fd, &event), "epoll_ctl");
        }
    }

    load(const load&) = delete;
    load& operator=(const load&) = delete;

    ~load()
    {
        for (connection& c : connections_)
            close(c.fd);
        close(epoll_);
    }

    /// Asks once and takes the length of the answer for that of all.
    void learn_http_length()
    {
        send_request(connections_.front());
        std::string answer;
        for (;;)
        {
            const auto n =
                check(static_cast<int>(recv(connections_.front().fd, data_.data(), data_.size(), 0)), "recv");
            answer.append(data_.data(), static_cast<std::size_t>(n));
            const std::size_t end = answer.find("\r\n\r\n");
            const std::size_t field = answer.find("Content-Length: ");
            if (end != answer.npos && field < end)
                expected_ = end + 4 + std::stoul(answer.substr(field + 16));
            if (n == 0 || (end != answer.npos && answer.size() >= expected_))
                break;
        }
        if (!answer.starts_with("HTTP/1.1 200") || answer.size() != expected_)
            throw std::runtime_error("not the answer of an HTTP server: " + answer);
    }

    /// Makes `count` requests over all connections and waits for the last answer.
    void run(std::uint64_t count)
    {
        latencies.clear();
        latencies.reserve(count);
        unsent_ = count;
        unanswered_ = count;
        for (connection& c : connections_)
            next_request(c);

        std::array<epoll_event, 256> events;
        while (unanswered_)
        {
            const int ready = epoll_wait(epoll_, events.data(), events.size(), -1);
            for (int i = 0; i < ready; ++i)
                receive(*static_cast<connection*>(events[static_cast<std::size_t>(i)].data.ptr));
        }
    }

    std::vector<double> latencies; ///< ns, of the last run

private:
    struct connection
    {
        int fd = -1;
        std::size_t received = 0;
        double sent_at = 0;
    };

    void send_request(connection& c)
    {
        // It fits the socket's buffer, which is empty: a short count would be an error.
        if (send(c.fd, request_.data(), request_.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request_.size()))
            throw std::system_error(errno, std::system_category(), "send");
    }

    void next_request(connection& c)
    {
        if (unsent_ == 0)
            return;
        --unsent_;
        c.received = 0;
        c.sent_at = perf::wall_ns();
        send_request(c);
    }

    void receive(connection& c)
    {
        const auto n = recv(c.fd, data_.data(), data_.size(), MSG_DONTWAIT);
        if (n <= 0)
            throw std::runtime_error("the server closed a connection");
        c.received += static_cast<std::size_t>(n);
        if (c.received < expected_)
            return;
        if (c.received > expected_)
            throw std::runtime_error("an answer is longer than it should be");
        const double answered_at = perf::wall_ns();
        latencies.push_back(answered_at - c.sent_at);
        --unanswered_;
        while (think_ns_ > 0 && perf::wall_ns() < answered_at + think_ns_)
        {
        }
        next_request(c);
    }

    const std::string request_;
    std::size_t expected_;
    const double think_ns_;
    const int epoll_;
    std::vector<connection> connections_;
    std::array<char, 65536> data_;
    std::uint64_t unsent_ = 0;
    std::uint64_t unanswered_ = 0;
};

double percentile(std::vector<double>& sorted, double fraction)
{
    return sorted[static_cast<std::size_t>(fraction * static_cast<double>(sorted.size() - 1))];
}

void measure(const perf::cell_arguments& arguments)
{
    const std::uint64_t count = arguments.number("count", 10'000);
    const bool http = arguments.number("http", 0) != 0;
    clockid_t server_clock{};
    if (clock_getcpuclockid(static_cast<pid_t>(arguments.number("pid", 0)), &server_clock) != 0)
        throw std::runtime_error("no such server");

    if (arguments.number("churn", 0) != 0)
    {
        churn connections(static_cast<std::uint16_t>(arguments.number("port", 0)), arguments.number("connections", 64));
        connections.run(arguments.number("warm_up", 1'000));
        const double cpu_start = perf::clock_ns(server_clock);
        const double start = perf::wall_ns();
        connections.run(count);
        const double wall = perf::wall_ns() - start;
        const double cpu = perf::clock_ns(server_clock) - cpu_start;
        connections.run(1); // for which the server has waited
        perf::cell_line()
            .add("cpu_ns", cpu / static_cast<double>(count))
            .add("per_second", static_cast<double>(count) * 1e9 / wall)
            .print();
        return;
    }

    load clients(static_cast<std::uint16_t>(arguments.number("port", 0)), arguments.number("connections", 64),
                 http ? "GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"
                      : std::string(arguments.number("bytes", 64), 'x'),
                 static_cast<double>(arguments.number("think_ns", 0)));
    if (http)
        clients.learn_http_length();
    clients.run(arguments.number("warm_up", 1'000));

    const double cpu_start = perf::clock_ns(server_clock);
    const double own_start = perf::cpu_ns();
    const double start = perf::wall_ns();
    clients.run(count);
    const double wall = perf::wall_ns() - start;
    const double own = perf::cpu_ns() - own_start;
    const double cpu = perf::clock_ns(server_clock) - cpu_start;

    std::sort(clients.latencies.begin(), clients.latencies.end());
    const auto requests = static_cast<double>(count);
    perf::cell_line()
        .add("cpu_ns", cpu / requests)
        .add("client_cpu_ns", own / requests)
        .add("per_second", requests * 1e9 / wall)
        .add("p50_ns", percentile(clients.latencies, 0.5))
        .add("p99_ns", percentile(clients.latencies, 0.99))
        .add("p999_over_p50", percentile(clients.latencies, 0.999) / percentile(clients.latencies, 0.5))
        .print();
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, measure);
}
