// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/system/result.hpp>
#include <compare>
#include <string>
#include <string_view>

namespace zsync
{

/// Names a Linux release, for reports and for messages. What a kernel can do is asked of the kernel (`probe_ring`),
/// never concluded from this: distributions port features back, and sandboxes take them away.
/// Distinct and shared (const) objects: safe.
struct kernel_version
{
    unsigned major = 0;
    unsigned minor = 0;
    unsigned patch = 0;

    friend constexpr auto operator<=>(const kernel_version&, const kernel_version&) = default;
};

/// Reads the numbers at the start of a uname(2) release string: "6.1.0-13-amd64" is 6.1.0, "5.15.0+" is 5.15.0 and
/// "6.18-rc1" is 6.18.0. Fails with `errc::invalid_argument` where there are not two numbers, or one does not fit.
/// Never blocks.
boost::system::result<kernel_version> parse_kernel_version(std::string_view release);

/// Returns the version of the running kernel; 0.0.0, which is older than any, where its release string has no numbers.
/// Under `setarch --uname-2.6` this is what the process is told (2.6.x). Never blocks.
kernel_version running_kernel() noexcept;

/// Writes a version as "6.1.0". Never blocks.
std::string to_string(const kernel_version& version);

/// Names a distribution as os-release(5) does; the defaults are that page's.
struct distribution
{
    std::string id = "linux";          ///< Lower case, for programs: "debian".
    std::string version_id;            ///< "12"; empty for rolling distributions.
    std::string pretty_name = "Linux"; ///< For people: "Debian GNU/Linux 12 (bookworm)".

    friend bool operator==(const distribution&, const distribution&) = default;
};

/// Reads a file in the format of os-release(5): quotes and escapes are undone, of two assignments the last counts,
/// lines that are none are skipped. Fails with the errno of opening it. Blocks the thread while it reads.
boost::system::result<distribution> read_distribution(const std::string& path);

/// Reads /etc/os-release, else /usr/lib/os-release; without either the defaults. In a container that is the image's
/// distribution, not the host's. Blocks the thread while it reads.
distribution running_distribution();

} // namespace zsync
