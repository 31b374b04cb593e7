// SPDX-License-Identifier: BSL-1.0
#pragma once

// What came out of a case on one context, to be compared with what came out on another.

#include <boost/system/error_code.hpp>

#include <cstddef>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

namespace test
{

/// Errors with their categories, bytes, facts, as one line of text.
class report
{
public:
    void add(boost::system::error_code error)
    {
        text_ << separator() << error.category().name() << ':' << error.value();
    }
    void add(std::size_t bytes) { text_ << separator() << bytes << " bytes"; }
    void add(std::string_view fact) { text_ << separator() << fact; }

    std::string text() const { return text_.str(); }

private:
    const char* separator() { return std::exchange(first_, false) ? "" : ", "; }

    std::ostringstream text_;
    bool first_ = true;
};

} // namespace test
