// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "commands.hpp"
#include "input_buffer.hpp"
#include "request_parser.hpp"

#include <zsync/io/io.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace kv
{

constexpr std::size_t most_unsent = 64 * 1024; // bytes of answers, before they are written; one more may be longer
constexpr std::size_t most_kept = 1024 * 1024; // bytes of memory that an idle session holds on to

/// Serves one client until it leaves, is no longer understood, or the server stops. All requests of one read are
/// answered by one write, unless that would be a long one. Blocks the thread or suspends the fiber.
///
/// @param io    for the answers
/// @param idle  the same, but cancelled when no more requests are to be read
/// @param done  counts requests
inline void serve(zsync::io io, zsync::io idle, zsync::stream& peer, store& values, std::uint64_t& done)
{
    using outcome = request_parser::outcome;
    input_buffer input(longest_request);
    request_parser parser;
    std::string out;
    while (const std::size_t bytes = idle.read(peer, input.room()).await())
    {
        input.commit(bytes);
        outcome result;
        while ((result = parser.parse(input.view())) == outcome::complete)
        {
            if (!parser.words().empty())
            {
                answer(parser.words(), values, out);
                ++done;
            }
            input.consume(parser.size());
            if (out.size() >= most_unsent)
            {
                io.write(peer, out).await();
                out.clear();
            }
        }
        if (result == outcome::malformed)
            append_error(out, "Protocol error: ", parser.error());
        if (!out.empty())
            io.write(peer, out).await();
        if (result == outcome::malformed)
            return;
        out.clear();
        if (out.capacity() > most_kept)
            out.shrink_to_fit();
        input.compact(most_kept);
    }
}

} // namespace kv
