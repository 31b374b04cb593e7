// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "store.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace kv
{

using words = std::span<const std::string_view>;

// The five kinds of answers of RESP2, appended to what is to be sent.

inline void append_number(std::string& out, char marker, std::int64_t number)
{
    char digits[24];
    out += marker;
    out.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
    out += "\r\n";
}

inline void append_bulk(std::string& out, std::string_view text)
{
    append_number(out, '$', static_cast<std::int64_t>(text.size()));
    out += text;
    out += "\r\n";
}

/// `text` must hold no end of a line.
inline void append_status(std::string& out, std::string_view text)
{
    out += '+';
    out += text;
    out += "\r\n";
}

/// The same.
inline void append_error(std::string& out, std::string_view text, std::string_view more = {})
{
    out += "-ERR ";
    out += text;
    out += more;
    out += "\r\n";
}

namespace detail
{

inline char lower(char letter)
{
    return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
}

inline void ping(words request, store&, std::string& out)
{
    if (request.size() == 1)
        append_status(out, "PONG");
    else
        append_bulk(out, request[1]);
}

inline void get(words request, store& values, std::string& out)
{
    if (!values.read(request[1], [&](std::string_view value) { append_bulk(out, value); }))
        out += "$-1\r\n";
}

inline void set(words request, store& values, std::string& out)
{
    values.set(request[1], request[2]);
    append_status(out, "OK");
}

inline void del(words request, store& values, std::string& out)
{
    append_number(
        out, ':',
        std::count_if(request.begin() + 1, request.end(), [&](std::string_view key) { return values.erase(key); }));
}

inline void incr(words request, store& values, std::string& out)
{
    const auto result = values.increment(request[1]);
    if (const auto* sum = std::get_if<std::int64_t>(&result))
        append_number(out, ':', *sum);
    else
        append_error(out, std::get<std::string_view>(result));
}

/// What redis-cli asks first, and does well without: nothing is documented.
inline void nothing(words, store&, std::string& out)
{
    out += "*0\r\n";
}

/// CONFIG GET, which redis-benchmark asks first: whatever it is, it is empty.
inline void config(words request, store&, std::string& out)
{
    if (!std::ranges::equal(request[1], std::string_view("get"), {}, lower))
        return append_error(out, "unknown subcommand");
    append_number(out, '*', static_cast<std::int64_t>(2 * (request.size() - 2)));
    for (const std::string_view parameter : request.subspan(2))
    {
        append_bulk(out, parameter);
        append_bulk(out, {});
    }
}

struct command
{
    std::string_view name;
    std::size_t least; // words, its name included
    std::size_t most;
    void (*answer)(words, store&, std::string&);
};

inline constexpr std::size_t any = static_cast<std::size_t>(-1);
inline constexpr command commands[] = {
    {"ping", 1, 2, ping}, {"get", 2, 2, get},           {"set", 3, 3, set},         {"del", 2, any, del},
    {"incr", 2, 2, incr}, {"command", 1, any, nothing}, {"config", 3, any, config},
};

} // namespace detail

/// Performs one request of at least one word, and appends its answer. Allocates only where the store grows, or `out`.
inline void answer(words request, store& values, std::string& out)
{
    for (const detail::command& each : detail::commands)
    {
        if (!std::ranges::equal(request[0], each.name, {}, detail::lower))
            continue;
        if (request.size() < each.least || request.size() > each.most)
            return append_error(out, "wrong number of arguments for this command: ", each.name);
        return each.answer(request, values, out);
    }
    append_error(out, "unknown command");
}

} // namespace kv
