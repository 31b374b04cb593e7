// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace perf
{

/// What must have done the I/O of a cell; its last line says what did.
enum class engine
{
    any,    ///< not a matter of engines
    epoll,  ///< Asio's reactor on an io_context
    hosted, ///< Asio's reactor as a guest of a ring
    native  ///< the ring
};

/// One side of a row: a program and how to run it once.
struct cell
{
    std::string name;                   ///< for people, and for rows to refer to; a peer's is its peer_name
    std::string program;                ///< a file beside the driver, in cells/
    std::vector<std::string> arguments; ///< name=value; `count` is added
    engine does = engine::any;
    std::vector<std::string> load = {}; ///< not empty: a server, and these are tcp_load's arguments; `count` is added
    unsigned cpus = 1;
};

/// Where a row's numbers come from.
enum class source
{
    timed,        ///< the cells print them, in rounds
    instructions, ///< callgrind counts them, once: user-space instructions an operation
    system_calls  ///< strace does
};

/// What a row's goal is for.
enum class judged
{
    ratio,  ///< it must be reached
    number, ///< zsync's own number: at most that. The peer, if there is one, is shown beside it
    added   ///< the row's number is what zsync's has above the peer's: at most that
};

/// What two cells of a group are compared by.
struct row
{
    std::string name;
    std::string unit;
    std::string metric = {}; ///< a name in the cells' output; of a counted row none
    bool more_is_better = false;
    std::string zsync;     ///< a cell's name
    std::string peer = {}; ///< likewise; none: only if zsync's own number is judged
    std::optional<double> goal = {};
    judged by = judged::ratio;
    source from = source::timed;
};

/// Cells measured in turn, round by round, so that all see the same machine.
struct group
{
    std::vector<cell> cells;
    std::vector<row> rows;
    std::uint64_t count = 0; ///< operations of one timed run of a cell
    std::string operation;   ///< what one is called: 'request'
    bool countable = false;  ///< instructions and system calls an operation make sense for all rows
};

struct suite
{
    std::string name;
    std::string description;
    std::vector<group> groups;
};

suite alloc_suite();
suite drop_in_suite();
suite echo_suite();
suite facade_suite();
suite idle_suite();
suite pingpong_suite();
suite post_suite();
suite spawn_suite();
suite stream_suite();
suite switch_suite();
suite sync_suite();
suite timer_suite();
suite unwind_suite();

} // namespace perf
