// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <variant>

namespace kv
{

/// Maps strings of any bytes to such strings, in memory; nothing is ever evicted. Thread safe: which threads the
/// sessions run on is for the runtime to say. The lock is held for one map operation, never over a suspension, so that
/// a mutex that blocks the thread is right.
class store
{
public:
    /// Calls `use(std::string_view)` with the value, under the lock; false if there is none.
    template <std::invocable<std::string_view> Use>
    bool read(std::string_view key, Use use) const
    {
        const std::lock_guard lock(mutex_);
        const auto found = values_.find(key);
        if (found == values_.end())
            return false;
        use(std::string_view(found->second));
        return true;
    }

    void set(std::string_view key, std::string_view value)
    {
        const std::lock_guard lock(mutex_);
        const auto found = values_.find(key);
        if (found == values_.end())
            values_.emplace(key, value);
        else
            found->second.assign(value); // in the memory that is there
    }

    /// False if there was none.
    bool erase(std::string_view key)
    {
        const std::lock_guard lock(mutex_);
        const auto found = values_.find(key);
        if (found == values_.end())
            return false;
        values_.erase(found);
        return true;
    }

    /// Adds one to a value that is a decimal number of 64 bits, a missing one being 0. Returns the sum, or why not.
    std::variant<std::int64_t, std::string_view> increment(std::string_view key)
    {
        const std::lock_guard lock(mutex_);
        const auto found = values_.find(key);
        std::int64_t number = 0;
        if (found != values_.end())
        {
            const std::string& text = found->second;
            const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
            if (error != std::errc() || end != text.data() + text.size())
                return "value is not an integer or out of range";
            if (number == std::numeric_limits<std::int64_t>::max())
                return "increment or decrement would overflow";
        }
        ++number;
        char digits[24];
        const std::string_view text(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
        if (found == values_.end())
            values_.emplace(key, text);
        else
            found->second.assign(text);
        return number;
    }

private:
    struct hash : std::hash<std::string_view>
    {
        using is_transparent = void;
    };

    mutable std::mutex mutex_;
    std::unordered_map<std::string, std::string, hash, std::equal_to<>> values_;
};

} // namespace kv
