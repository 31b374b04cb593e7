// SPDX-License-Identifier: BSL-1.0
#include <zsync/core/error.hpp>

#include <boost/system/errc.hpp>

#include <string>

namespace zsync
{

namespace
{

class category final : public boost::system::error_category
{
public:
    // The identifier, chosen at random, is what makes two copies of this object one category.
    constexpr category() noexcept : boost::system::error_category(0x7a73796e63a1510bu) {}

    const char* name() const noexcept override { return "zsync"; }

    const char* message(int value, char*, std::size_t) const noexcept override
    {
        switch (static_cast<error>(value))
        {
        case error::concurrency_unavailable:
            return "Concurrency is unavailable in this model";
        case error::timed_out:
            return "The deadline has passed";
        case error::channel_closed:
            return "The channel is closed";
        case error::lagged:
            return "The receiver was too slow and has missed items";
        }
        return "Unknown zsync error";
    }

    std::string message(int value) const override { return message(value, nullptr, 0); }

    boost::system::error_condition default_error_condition(int value) const noexcept override
    {
        if (static_cast<error>(value) == error::timed_out)
            return make_error_condition(boost::system::errc::timed_out);
        return {value, *this};
    }
};

constexpr category instance;

} // namespace

const boost::system::error_category& error_category() noexcept
{
    return instance;
}

} // namespace zsync
