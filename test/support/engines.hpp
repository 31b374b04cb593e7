// SPDX-License-Identifier: BSL-1.0
// What the tests of every engine need: records that count their completions, and operations that wait.
#pragma once

#include <zsync/core/engine.hpp>

#include "support/descriptors.hpp"

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/uio.h>

namespace test
{

using zsync::opcode;

/// For what must happen: reached only where a test fails.
inline constexpr auto patience = std::chrono::seconds(20);

/// A record that counts its completions.
struct record : zsync::operation
{
    std::function<void(record&)> then; // called last: it may destroy the record
    std::atomic<int> completions{0};

    explicit record(opcode what = opcode::nop, int fd = -1, void* memory = nullptr, std::size_t size = 0,
                    unsigned bits = 0)
    {
        ask(what, fd, memory, size, bits);
        on_complete = [](operation& self, void*) noexcept
        {
            auto& op = static_cast<record&>(self);
            // Another thread that sees the count may destroy the record.
            const bool more = static_cast<bool>(op.then);
            ++op.completions;
            if (more)
                op.then(op);
        };
    }

    void ask(opcode what, int fd = -1, void* memory = nullptr, std::size_t size = 0, unsigned bits = 0)
    {
        code = what;
        descriptor = fd;
        address = memory;
        length = static_cast<std::uint32_t>(size);
        flags = bits;
    }

    bool done() const noexcept { return completions != 0; }
};

/// Waits, with patience, until a condition holds.
template <class Condition>
bool eventually(Condition condition)
{
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!condition())
    {
        if (std::chrono::steady_clock::now() > end)
            return false;
        std::this_thread::yield();
    }
    return true;
}

/// Sets or clears O_NONBLOCK.
inline void set_blocking(const descriptor& file, bool blocking)
{
    const int flags = ::fcntl(file.get(), F_GETFL);
    ::fcntl(file.get(), F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

/// Leaves no room.
inline void write_until_full(const descriptor& file)
{
    const std::string page(4096, 'x');
    set_blocking(file, false);
    while (::write(file.get(), page.data(), page.size()) > 0)
        ;
    set_blocking(file, true);
}

/// Leaves nothing.
inline void read_until_empty(const descriptor& file)
{
    std::array<char, 65536> data;
    set_blocking(file, false);
    while (::read(file.get(), data.data(), data.size()) > 0)
        ;
    set_blocking(file, true);
}

/// Writes all of it.
inline void put(const descriptor& file, std::string_view text)
{
    BOOST_REQUIRE_EQUAL(::write(file.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

/// Returns what is there to be read, without waiting.
inline std::string take(const descriptor& file)
{
    std::array<char, 4096> data;
    set_blocking(file, false);
    const ssize_t size = ::read(file.get(), data.data(), data.size());
    return size < 0 ? "nothing" : std::string(data.data(), static_cast<std::size_t>(size));
}

/// An opcode and its name.
struct kind
{
    opcode code;
    const char* name;
};

inline std::ostream& operator<<(std::ostream& out, kind k)
{
    return out << k.name;
}

inline constexpr std::array kinds_that_wait = {
    kind{opcode::read, "read"},
    kind{opcode::write, "write"},
    kind{opcode::readv, "readv"},
    kind{opcode::writev, "writev"},
    kind{opcode::receive, "receive"},
    kind{opcode::send, "send"},
    kind{opcode::receive_message, "receive_message"},
    kind{opcode::send_message, "send_message"},
    kind{opcode::accept, "accept"},
    kind{opcode::connect, "connect"},
    kind{opcode::poll, "poll"},
};
inline const auto each_kind = boost::unit_test::data::make(kinds_that_wait);

/// An operation that cannot go on before the other end does something.
class waiting
{
public:
    explicit waiting(kind k)
    {
        switch (k.code)
        {
        case opcode::accept:
            op.ask(k.code, listener_.emplace().socket.get(), nullptr, 0, SOCK_CLOEXEC);
            return;
        case opcode::connect:
            // The one place is taken, and the kernel ignores who else asks: it asks again after a second.
            peer_ = listener_.emplace(0).connect();
            ends_.first = make_tcp_socket();
            op.ask(k.code, ends_.first.get(), listener_->name(), sizeof listener_->address);
            return;
        case opcode::read:
        case opcode::readv:
            ends_ = make_pipe();
            break;
        case opcode::write:
        case opcode::writev:
            ends_ = make_pipe();
            std::swap(ends_.first, ends_.second);
            write_until_full(ends_.first);
            break;
        case opcode::send:
        case opcode::send_message:
            ends_ = make_socket_pair();
            write_until_full(ends_.first);
            break;
        default:
            ends_ = make_socket_pair();
            break;
        }

        const int fd = ends_.first.get();
        switch (k.code)
        {
        case opcode::poll:
            op.ask(k.code, fd, nullptr, 0, POLLIN);
            break;
        case opcode::readv:
        case opcode::writev:
            op.ask(k.code, fd, &piece_, 1);
            break;
        case opcode::receive_message:
        case opcode::send_message:
            message_.msg_iov = &piece_;
            message_.msg_iovlen = 1;
            op.ask(k.code, fd, &message_);
            break;
        default:
            op.ask(k.code, fd, bytes_.data(), bytes_.size());
            break;
        }
    }

    ~waiting()
    {
        if (op.code == opcode::accept && op.done() && op.result >= 0)
            ::close(op.result);
    }

    /// Does what the operation waits for.
    void satisfy()
    {
        switch (op.code)
        {
        case opcode::write:
        case opcode::writev:
        case opcode::send:
        case opcode::send_message:
            read_until_empty(ends_.second);
            break;
        case opcode::accept:
            peer_ = listener_->connect();
            break;
        case opcode::connect:
            descriptor(::accept(listener_->socket.get(), nullptr, nullptr));
            break;
        default:
            put(ends_.second, "HELLO");
            break;
        }
    }

    /// Says whether it ended as it must after satisfy().
    bool succeeded() const
    {
        switch (op.code)
        {
        case opcode::accept:
            return op.result >= 0;
        case opcode::connect:
            return op.result == 0;
        case opcode::poll:
            return op.result == POLLIN;
        case opcode::read:
        case opcode::readv:
        case opcode::receive:
        case opcode::receive_message:
            return op.result == 5 && std::string_view(bytes_.data(), 5) == "HELLO";
        default:
            return op.result == 5;
        }
    }

    record op;

private:
    std::array<char, 5> bytes_{'h', 'e', 'l', 'l', 'o'};
    iovec piece_{bytes_.data(), bytes_.size()};
    msghdr message_{};
    two_ends ends_; // the first is the operation's
    std::optional<loopback_listener> listener_;
    descriptor peer_;
};

/// Makes `number` stand for another file, as happens when it is closed and soon given out again.
inline void reuse(int number, const descriptor& by)
{
    BOOST_REQUIRE_EQUAL(::dup3(by.get(), number, O_CLOEXEC), number);
}

} // namespace test
