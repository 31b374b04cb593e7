// SPDX-License-Identifier: BSL-1.0
#include <zsync/platform/kernel.hpp>

#include <boost/system/errc.hpp>
#include <boost/system/error_code.hpp>
#include <charconv>
#include <fstream>

#include <cerrno>
#include <sys/utsname.h>

namespace zsync
{
namespace
{

// Takes a number off the front of `text`.
bool take_number(std::string_view& text, unsigned& number)
{
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc())
        return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return true;
}

bool take_dot(std::string_view& text)
{
    if (!text.starts_with('.'))
        return false;
    text.remove_prefix(1);
    return true;
}

// Undoes the shell's quoting as far as os-release(5) allows it: one word, perhaps quoted, backslash escapes.
std::string unquote(std::string_view text)
{
    std::string value;
    char quote = 0;
    for (std::size_t i = 0; i != text.size(); ++i)
    {
        const char c = text[i];
        if (quote != 0 ? c == quote : c == '"' || c == '\'')
            quote = quote != 0 ? 0 : c;
        else if (c == '\\' && quote != '\'' && i + 1 != text.size())
            value += text[++i];
        else
            value += c;
    }
    return value;
}

} // namespace

boost::system::result<kernel_version> parse_kernel_version(std::string_view release)
{
    kernel_version version;
    if (!take_number(release, version.major) || !take_dot(release) || !take_number(release, version.minor) ||
        (take_dot(release) && !take_number(release, version.patch)))
        return boost::system::errc::make_error_code(boost::system::errc::invalid_argument);
    return version;
}

kernel_version running_kernel() noexcept
{
    utsname names;
    if (::uname(&names) != 0)
        return {};
    const auto version = parse_kernel_version(names.release);
    return version ? *version : kernel_version();
}

std::string to_string(const kernel_version& version)
{
    return std::to_string(version.major) + '.' + std::to_string(version.minor) + '.' + std::to_string(version.patch);
}

boost::system::result<distribution> read_distribution(const std::string& path)
{
    errno = 0;
    std::ifstream file(path);
    if (!file)
        return boost::system::error_code(errno != 0 ? errno : EIO, boost::system::system_category());

    distribution found;
    for (std::string line; std::getline(file, line);)
    {
        if (!line.empty() && line.back() == '\r')
            line.pop_back();
        const std::string_view text = line;
        const std::size_t equals = text.find('=');
        if (equals == text.npos)
            continue;
        const std::string_view key = text.substr(0, equals);
        const std::string_view value = text.substr(equals + 1);
        if (key == "ID")
            found.id = unquote(value);
        else if (key == "VERSION_ID")
            found.version_id = unquote(value);
        else if (key == "PRETTY_NAME")
            found.pretty_name = unquote(value);
    }
    return found;
}

distribution running_distribution()
{
    for (const char* path : {"/etc/os-release", "/usr/lib/os-release"})
        if (auto found = read_distribution(path))
            return *found;
    return {};
}

} // namespace zsync
