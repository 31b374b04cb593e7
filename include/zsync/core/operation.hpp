// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace zsync
{

/// Names what an operation asks of the kernel. Each engine translates it into its own form.
enum class opcode : std::uint8_t
{
    nop,              ///< nothing; completes with 0
    read,             ///< read(2), or pread(2) at `offset`
    write,            ///< write(2), or pwrite(2) at `offset`
    readv,            ///< preadv2(2); `address` is an iovec array of `length` elements
    writev,           ///< pwritev2(2); likewise
    receive,          ///< recv(2); `flags` are its MSG_ flags
    send,             ///< send(2); likewise
    receive_message,  ///< recvmsg(2); `address` is a msghdr
    send_message,     ///< sendmsg(2); likewise
    accept,           ///< accept4(2); `flags` are SOCK_ flags, `address` a sockaddr or null
    connect,          ///< connect(2); `address` is a sockaddr of `length` bytes
    poll,             ///< waits until one of the poll(2) events in `flags` holds; completes with those that do
    open,             ///< openat(2) below `descriptor`; `address` is the path, `flags` its O_ flags, `length` the mode
    sync,             ///< fsync(2), or fdatasync(2) if `flags` is not 0
    send_messages,    ///< sendmmsg(2); `address` is an array of `length` mmsghdr. Completes with how many
    receive_messages, ///< recvmmsg(2); likewise: those that are there, at least one

    // No single system call does these, and not every engine: see has_system_call() and engine::supports().
    send_zero_copy, ///< as send, but the kernel sends from the memory itself; completes when it has let go of it
    send_message_zero_copy, ///< as send_message, likewise
    accept_many,            ///< as accept, again and again: see multishot_operation. `address` is null
    receive_many,           ///< as receive, again and again, each time into a buffer of a pool
    receive_message_many,   ///< as receive_message, likewise; `address` is a msghdr that says how much room is for what
    accept_direct,          ///< as accept, into the place `offset` of the ring's own table: see engine::take_place()
    shutdown,               ///< shutdown(2) of what stands in the table; `flags` says which way
    install                 ///< completes with a descriptor of the process for what stands in the table
};

/// Says whether there is a system call that does what an operation asks. Every engine has what has one.
constexpr bool has_system_call(opcode code) noexcept
{
    return code < opcode::send_zero_copy;
}

/// The way bytes go; see direction_of().
enum class direction : std::uint8_t
{
    in,
    out,
    none
};

/// Names an operation in flight. Stays harmless after the operation has completed: a stale id names nothing. Aligned as
/// one word, so that every compiler reads and writes it as one atomically.
struct alignas(std::uint64_t) operation_id
{
    std::uint32_t index = 0;
    std::uint32_t generation = 0; ///< 0: names nothing

    friend bool operator==(const operation_id&, const operation_id&) = default;
};

/// Links a record into one intrusive list. Means something only while it is in it.
struct operation_link
{
    struct operation* previous = nullptr;
    struct operation* next = nullptr;
};

/// One kernel operation, as a plain record.
///
/// It lives where its waiter lives (in a handler's recycled allocation, a coroutine frame, on a fiber's stack), so
/// starting an operation allocates nothing. From engine::start() until `on_complete` is called, the record and all
/// that it points to (buffers, iovecs, msghdr, addresses) belong to the engine and the kernel: they must neither move
/// nor be freed. The first group of members is the request, `result` the answer, the rest the engine's own.
///
/// `waits_when_drained` lets an engine skip a receive's first attempt where the last one took all there was. On local
/// sockets an attempt in vain costs as much as one that is not (measured: 8 % of a message). On TCP it does the
/// connection's housekeeping, and skipping it costs 4 % of a request instead.
struct operation
{
    /// Called once, by the thread that runs the engine, after the engine has let go of the record (which may be freed
    /// or started again inside). `sink` is what that thread handed to engine::turn().
    using completion_function = void (*)(operation& self, void* sink) noexcept;

    /// `offset` of a read or write that uses and moves the descriptor's own position.
    static constexpr std::uint64_t current_position = ~std::uint64_t{0};

    opcode code = opcode::nop;
    int descriptor = -1;      ///< a number, or a direct_name()
    void* address = nullptr;  ///< see opcode
    std::uint32_t length = 0; ///< bytes, elements or address bytes: see opcode
    std::uint32_t flags = 0;  ///< see opcode
    std::uint64_t offset = current_position;
    void* address_length = nullptr;  ///< accept: the socklen_t beside `address`, or null
    std::uint32_t ready_first = 0;   ///< poll(2) events to wait for before the operation proper; 0: none
    bool waits_when_drained = false; ///< a receive: see below
    completion_function on_complete = nullptr;

    std::int32_t result = 0; ///< at least 0: bytes, a descriptor, poll events; below 0: a negated errno

    /// Where a record stands. Only its engine writes it, under the engine's lock.
    enum class state : std::uint8_t
    {
        idle,    ///< not the engine's
        held,    ///< waits for an earlier transfer in the same direction on the same descriptor
        queued,  ///< waits to be handed to the kernel
        starved, ///< waits for buffers
        in_kernel,
        finished ///< has its result; waits for the next turn
    };

    operation_link queue;         ///< queued, to be cancelled, or finished
    operation_link on_descriptor; ///< in flight on `descriptor`, and not the first in its way: see in_flight
    operation_id id;
    std::uint32_t awaited = 0; ///< poll(2) events that the kernel waits for before the operation proper; 0: none
    state where = state::idle;
    bool cancel_requested = false;
    bool cancel_queued = false;      ///< its cancel request waits to be handed to the kernel
    bool connecting = false;         ///< connect(2) has been issued: what remains is to wait and to ask for SO_ERROR
    direction way = direction::none; ///< in which it waits for its turn
    bool background = false;         ///< the library's own: points to no memory, and may be dropped with its ring
    bool multishot = false;          ///< it is a multishot_operation

    /// Forgets what its engine has noted in the course of an earlier start, and is queued.
    void begin() noexcept
    {
        where = state::queued;
        cancel_requested = false;
        cancel_queued = false;
        connecting = false;
        awaited = ready_first;
    }
};

/// An intrusive list of records, first in, first out. Owns nothing.
template <operation_link operation::*Link>
class operation_list
{
public:
    bool empty() const noexcept { return !first_; }
    operation* front() const noexcept { return first_; }

    void push(operation& op) noexcept
    {
        (op.*Link).previous = last_;
        (op.*Link).next = nullptr;
        (last_ ? (last_->*Link).next : first_) = &op;
        last_ = &op;
    }

    void erase(operation& op) noexcept
    {
        const auto& link = op.*Link;
        (link.previous ? (link.previous->*Link).next : first_) = link.next;
        (link.next ? (link.next->*Link).previous : last_) = link.previous;
    }

    operation* pop() noexcept
    {
        operation* const op = first_;
        if (!op)
            return nullptr;
        first_ = (op->*Link).next;
        (first_ ? (first_->*Link).previous : last_) = nullptr;
        return op;
    }

    static operation* next(const operation& op) noexcept { return (op.*Link).next; }

private:
    operation* first_ = nullptr;
    operation* last_ = nullptr;
};

} // namespace zsync
