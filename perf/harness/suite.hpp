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

/// What two cells of a group are compared by.
struct row
{
    std::string name;
    std::string unit;
    std::string metric; ///< a name in the cells' output
    bool more_is_better = false;
    std::string zsync; ///< a cell's name
    std::string peer;  ///< likewise
    std::optional<double> goal = {};
};

/// Cells measured in turn, round by round, so that all see the same machine.
struct group
{
    std::vector<cell> cells;
    std::vector<row> rows;
    std::uint64_t count = 0; ///< operations of one run of a cell
    std::string operation;   ///< what one is called: 'request'
    bool countable = false;  ///< instructions and system calls an operation make sense
};

struct suite
{
    std::string name;
    std::string description;
    std::vector<group> groups;
};

suite drop_in_suite();
suite pingpong_suite();
suite post_suite();
suite timer_suite();

} // namespace perf
