// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <span>
#include <string_view>
#include <system_error>
#include <vector>

namespace kv
{

// As Redis has it: https://redis.io/docs/latest/develop/reference/protocol-spec
constexpr std::size_t longest_bulk = 512 * 1024 * 1024;
constexpr std::size_t longest_line = 64 * 1024; // an inline command
// Chosen: what one connection may make the server hold.
constexpr std::size_t longest_request = longest_bulk + 1024 * 1024;
constexpr std::size_t most_words = 64 * 1024;

/// Cuts requests out of a stream of bytes; knows nothing of where they come from. A request is an array of bulk
/// strings,
/// "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", or a line of words, "GET k\r\n". Each byte is looked at once, however the input is
/// cut into pieces; memory is recycled from request to request. Never blocks. Not thread safe.
class request_parser
{
public:
    enum class outcome
    {
        complete,   ///< words() and size() tell
        incomplete, ///< more input is needed
        malformed   ///< error() tells; nothing sensible can follow
    };

    /// Looks for a request at the begin of `input`. After `incomplete`, the next call's input must begin with what this
    /// one's was, at any address; after `complete`, it begins with another request.
    outcome parse(std::string_view input)
    {
        if (complete_)
            restart();
        error_ = {};
        const outcome result = input.empty() ? outcome::incomplete : input[0] == '*' ? array(input) : line(input);
        complete_ = result == outcome::complete;
        if (!complete_)
            return result;
        words_.clear();
        for (const range& each : ranges_)
            words_.push_back(input.substr(each.begin, each.bytes));
        return result;
    }

    /// The words of the complete request, as views of its input. None: an empty line or array, to be skipped.
    std::span<const std::string_view> words() const noexcept { return words_; }

    /// What the complete request took of its input, in bytes.
    std::size_t size() const noexcept { return at_; }

    /// Why the input is malformed.
    std::string_view error() const noexcept { return error_; }

private:
    struct range
    {
        std::size_t begin;
        std::size_t bytes;
    };

    static constexpr std::size_t longest_header = 32; // a marker, a number, an end of line
    static constexpr std::size_t unknown = static_cast<std::size_t>(-1);

    void restart()
    {
        ranges_.clear();
        at_ = 0;
        count_ = bulk_ = unknown;
        complete_ = false;
    }

    outcome fail(std::string_view why)
    {
        error_ = why;
        return outcome::malformed;
    }

    outcome array(std::string_view input)
    {
        if (count_ == unknown)
            if (const outcome got = header(input, count_, most_words, "invalid multibulk length");
                got != outcome::complete)
                return got;
        while (ranges_.size() < count_)
            if (const outcome got = bulk(input); got != outcome::complete)
                return got;
        return outcome::complete;
    }

    outcome bulk(std::string_view input)
    {
        if (bulk_ == unknown)
        {
            if (at_ < input.size() && input[at_] != '$')
                return fail("expected '$'");
            if (const outcome got = header(input, bulk_, longest_bulk, "invalid bulk length"); got != outcome::complete)
                return got;
            if (at_ + bulk_ + 2 > longest_request)
                return fail("too big request");
        }
        if (input.size() < at_ + bulk_ + 2)
            return outcome::incomplete;
        if (input.substr(at_ + bulk_, 2) != "\r\n")
            return fail("bulk string without its end");
        ranges_.push_back({at_, bulk_});
        at_ += bulk_ + 2;
        bulk_ = unknown;
        return outcome::complete;
    }

    /// Reads "<marker><number>\r\n".
    outcome header(std::string_view input, std::size_t& number, std::size_t most, std::string_view why)
    {
        const std::string_view text = input.substr(at_, longest_header);
        const std::size_t end = text.find('\n');
        if (end == text.npos)
            return text.size() < longest_header ? outcome::incomplete : fail(why);
        std::size_t value = 0;
        const auto [stop, error] = std::from_chars(text.data() + 1, text.data() + end, value);
        if (error != std::errc() || stop != text.data() + end - 1 || *stop != '\r' || value > most)
            return fail(why);
        number = value;
        at_ += end + 1;
        return outcome::complete;
    }

    outcome line(std::string_view input)
    {
        const std::size_t end = input.substr(0, longest_line).find('\n', at_);
        if (end == input.npos)
        {
            at_ = std::min(input.size(), longest_line);
            return at_ < longest_line ? outcome::incomplete : fail("too big inline request");
        }
        constexpr std::string_view blanks = " \t\r\n";
        const std::string_view text = input.substr(0, end);
        for (std::size_t begin = 0; (begin = text.find_first_not_of(blanks, begin)) != text.npos;)
        {
            const std::size_t stop = std::min(text.find_first_of(blanks, begin), text.size());
            ranges_.push_back({begin, stop - begin});
            begin = stop;
        }
        at_ = end + 1;
        return outcome::complete;
    }

    std::vector<range> ranges_; // of the words found, from the begin of the request
    std::vector<std::string_view> words_;
    std::size_t at_ = 0;          // what has been understood
    std::size_t count_ = unknown; // words of the array
    std::size_t bulk_ = unknown;  // bytes of the bulk string at at_
    bool complete_ = false;
    std::string_view error_;
};

} // namespace kv
