// SPDX-License-Identifier: BSL-1.0
#include <zsync/platform/kernel.hpp>

#include <boost/system/errc.hpp>
#include <boost/test/unit_test.hpp>

#include <filesystem>
#include <fstream>
#include <ostream>

#include <unistd.h>

namespace
{

using zsync::kernel_version;
using zsync::parse_kernel_version;

// A file that is gone with the object.
class temporary_file
{
public:
    explicit temporary_file(std::string_view text)
        : path_((std::filesystem::temp_directory_path() / "zsync-os-release-").string() + std::to_string(::getpid()))
    {
        std::ofstream(path_) << text;
    }

    ~temporary_file() { std::filesystem::remove(path_); }
    temporary_file(const temporary_file&) = delete;
    temporary_file& operator=(const temporary_file&) = delete;

    const std::string& path() const noexcept { return path_; }

private:
    std::string path_;
};

zsync::distribution read(std::string_view text)
{
    const temporary_file file(text);
    return zsync::read_distribution(file.path()).value();
}

} // namespace

BOOST_AUTO_TEST_SUITE(platform_kernel)

BOOST_AUTO_TEST_CASE(release_strings_of_distributions_parse)
{
    const std::pair<const char*, kernel_version> releases[] = {
        {"6.1.0-13-amd64", {6, 1, 0}},
        {"5.15.0+", {5, 15, 0}},
        {"6.18.44-fc", {6, 18, 44}},
        {"6.18-rc1", {6, 18, 0}},
        {"6.6", {6, 6, 0}},
        {"6.6.87.2-microsoft-standard-WSL2", {6, 6, 87}},
        {"4.18.0-553.el8_10.x86_64", {4, 18, 0}},
        {"4.4.302", {4, 4, 302}},
    };
    for (const auto& [release, expected] : releases)
    {
        const auto parsed = parse_kernel_version(release);
        BOOST_TEST_REQUIRE(parsed.has_value(), release);
        BOOST_TEST((*parsed == expected), release << " is " << to_string(*parsed));
    }
}

BOOST_AUTO_TEST_CASE(rubbish_is_an_error)
{
    for (const char* release : {"", "linux", "6", "6.", "6.x", "6.1.", "6.1.x", ".6.1", " 6.1.0", "-6.1.0", "+6.1.0",
                                "v6.1.0", "6,1,0", "99999999999.1.0", "6.99999999999.0", "6.1.99999999999"})
    {
        const auto parsed = parse_kernel_version(release);
        BOOST_TEST_REQUIRE(parsed.has_error(), release);
        BOOST_TEST((parsed.error() == boost::system::errc::invalid_argument));
    }
}

BOOST_AUTO_TEST_CASE(versions_order_by_number_not_by_letter)
{
    BOOST_TEST((kernel_version{5, 9, 0} < kernel_version{5, 11, 0}));
    BOOST_TEST((kernel_version{5, 19, 17} < kernel_version{6, 0, 0}));
    BOOST_TEST((kernel_version{6, 1, 9} < kernel_version{6, 1, 10}));
    BOOST_TEST((kernel_version{} < kernel_version{0, 0, 1}));
    BOOST_TEST((kernel_version{6, 1, 0} == kernel_version{6, 1}));
}

BOOST_AUTO_TEST_CASE(to_string_is_what_parse_reads)
{
    const kernel_version version{6, 18, 44};
    BOOST_TEST(to_string(version) == "6.18.44");
    BOOST_TEST((parse_kernel_version(to_string(version)).value() == version));
}

BOOST_AUTO_TEST_CASE(running_kernel_is_a_linux_that_could_compile_this)
{
    BOOST_TEST((zsync::running_kernel() > kernel_version{2, 6, 0}));
}

BOOST_AUTO_TEST_CASE(os_release_of_debian_reads)
{
    const auto found = read("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"
                            "NAME=\"Debian GNU/Linux\"\n"
                            "VERSION_ID=\"12\"\n"
                            "ID=debian\n"
                            "ID_LIKE=other\n");
    BOOST_TEST(found.id == "debian");
    BOOST_TEST(found.version_id == "12");
    BOOST_TEST(found.pretty_name == "Debian GNU/Linux 12 (bookworm)");
}

BOOST_AUTO_TEST_CASE(os_release_quotes_and_escapes_are_undone)
{
    const auto found = read("# ID=comment\n"
                            "\n"
                            "no assignment\n"
                            "ID=first\n"
                            "ID='last\\'\r\n"
                            "VERSION_ID=\n"
                            "PRETTY_NAME=\"a \\\"quoted\\\" \\$name 'as is'\"");
    BOOST_TEST(found.id == "last\\");
    BOOST_TEST(found.version_id == "");
    BOOST_TEST(found.pretty_name == "a \"quoted\" $name 'as is'");
}

BOOST_AUTO_TEST_CASE(os_release_without_entries_gives_the_defaults)
{
    BOOST_TEST((read("") == zsync::distribution()));
    BOOST_TEST(read("").id == "linux");
}

BOOST_AUTO_TEST_CASE(os_release_that_is_missing_is_an_error)
{
    const auto found = zsync::read_distribution("/nonexistent/os-release");
    BOOST_TEST_REQUIRE(found.has_error());
    BOOST_TEST((found.error() == boost::system::errc::no_such_file_or_directory));
}

BOOST_AUTO_TEST_CASE(running_distribution_has_a_name)
{
    const auto found = zsync::running_distribution();
    BOOST_TEST(!found.id.empty());
    BOOST_TEST(!found.pretty_name.empty());
}

BOOST_AUTO_TEST_SUITE_END()
