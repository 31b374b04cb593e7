// SPDX-License-Identifier: BSL-1.0
#include <zsync/file/file.hpp>

#include "support/contexts.hpp"
#include "support/descriptors.hpp"

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

namespace asio = boost::asio;
namespace errc = boost::system::errc;
using boost::system::error_code;
using test::reply;
using zsync::open_flags;
using opened = test::reply_with<zsync::file>;

namespace
{

/// A path that is free, and removed at the end.
struct temporary_path
{
    std::string directory = "/tmp/zsync.test.XXXXXX";
    std::string path;

    temporary_path()
    {
        BOOST_REQUIRE(::mkdtemp(directory.data()) != nullptr);
        path = directory + "/file";
    }

    ~temporary_path()
    {
        ::unlink(path.c_str());
        ::rmdir(directory.c_str());
    }
};

zsync::file file_with(const asio::any_io_executor& executor, std::string_view content)
{
    test::descriptor memory = test::make_file(content);
    zsync::file made(executor, memory.get());
    memory.release();
    return made;
}

} // namespace

BOOST_AUTO_TEST_SUITE(file_file)

BOOST_AUTO_TEST_CASE_TEMPLATE(opens_creates_writes_and_reads, Context, test::contexts)
{
    Context context;
    const temporary_path temporary;
    opened got;
    zsync::async_open(context.executor(), temporary.path,
                      open_flags::read_write | open_flags::create | open_flags::exclusive, got.handler());
    BOOST_TEST(got.told.calls == 0);
    BOOST_TEST(context.run());
    BOOST_TEST(got.told.succeeded(), got.told);
    BOOST_TEST((::fcntl(got.value->native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
    reply wrote, synced, data_synced, read, at_end;
    std::array<char, 64> data;
    got.value->async_write_some(asio::buffer("hello", 5), wrote.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(wrote.bytes == 5u);
    got.value->async_sync_all(synced.handler());
    got.value->async_sync_data(data_synced.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(synced.succeeded(), synced);
    BOOST_TEST(data_synced.succeeded(), data_synced);
    BOOST_TEST(got.value->size() == 5u);
    BOOST_TEST(got.value->seek(1, zsync::seek_basis::begin) == 1u);
    got.value->async_read_some(asio::buffer(data), read.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(std::string(data.data(), read.bytes) == "ello");
    got.value->async_read_some(asio::buffer(data), at_end.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(at_end.failed_with(asio::error::eof), at_end);

    opened again;
    zsync::async_open(context.executor(), temporary.path,
                      open_flags::read_write | open_flags::create | open_flags::exclusive, again.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(again.told.failed_with(errc::file_exists), again.told);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_missing_file_is_an_error_in_every_form, Context, test::contexts)
{
    Context context;
    const temporary_path temporary;
    opened got;
    zsync::async_open(context.executor(), temporary.path, open_flags::read_only, got.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(got.told.failed_with(errc::no_such_file_or_directory), got.told);
    BOOST_TEST(!got.value->is_open());
    BOOST_CHECK_EXCEPTION(zsync::file(context.executor(), temporary.path, open_flags::read_only),
                          boost::system::system_error,
                          [](const auto& e) { return e.code() == errc::no_such_file_or_directory; });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_directory_opens_and_cannot_be_read, Context, test::contexts)
{
    Context context;
    zsync::file directory(context.executor(), "/tmp", open_flags::read_only);
    std::array<char, 64> data;
    reply told;
    directory.async_read_some(asio::buffer(data), told.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(told.failed_with(errc::is_a_directory), told);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_full_device_is_reported, Context, test::contexts)
{
    Context context;
    zsync::file full(context.executor(), "/dev/full", open_flags::write_only);
    reply one, many;
    full.async_write_some(asio::buffer("x", 1), one.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(one.failed_with(errc::no_space_on_device), one);
    const std::array<asio::const_buffer, 2> two{asio::buffer("x", 1), asio::buffer("y", 1)};
    full.async_write_some(two, many.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(many.failed_with(errc::no_space_on_device), many);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(transfers_at_an_offset_are_independent, Context, test::contexts)
{
    Context context;
    zsync::file file = file_with(context.executor(), "0123456789");
    std::array<char, 3> first, second;
    reply one, two, three, past;
    file.async_read_some_at(7, asio::buffer(first), one.handler());
    file.async_read_some_at(2, asio::buffer(second), two.handler());
    file.async_write_some_at(20, asio::buffer("x", 1), three.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(std::string(first.data(), one.bytes) == "789");
    BOOST_TEST(std::string(second.data(), two.bytes) == "234");
    BOOST_TEST(three.succeeded(), three);
    BOOST_TEST(file.size() == 21u);
    file.async_read_some_at(21, asio::buffer(first), past.handler());
    BOOST_TEST(context.run());
    BOOST_TEST(past.failed_with(asio::error::eof), past);
    file.resize(4);
    BOOST_TEST(file.size() == 4u);
    error_code ec;
    file.resize(~std::uint64_t{0}, ec);
    BOOST_TEST(ec == errc::file_too_large);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(sequences_of_no_one_and_many_buffers, Context, test::contexts)
{
    Context context;
    for (const std::size_t count : {0u, 1u, 100u})
    {
        zsync::file file = file_with(context.executor(), "");
        std::string text(count, 'x');
        std::vector<asio::const_buffer> out;
        std::vector<asio::mutable_buffer> in;
        for (char& each : text)
        {
            out.push_back(asio::buffer(&each, 1));
            in.push_back(asio::buffer(&each, 1));
        }
        reply wrote, read;
        file.async_write_some_at(0, out, wrote.handler());
        BOOST_TEST(context.run());
        BOOST_TEST(wrote.succeeded(), wrote);
        BOOST_TEST(wrote.bytes == std::min<std::size_t>(count, 16));
        file.async_read_some_at(0, in, read.handler());
        BOOST_TEST(context.run());
        BOOST_TEST(read.succeeded(), read);
        BOOST_TEST(read.bytes == wrote.bytes);
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(an_appending_file_writes_at_its_end, Context, test::contexts)
{
    Context context;
    const temporary_path temporary;
    zsync::file file(context.executor(), temporary.path,
                     open_flags::read_write | open_flags::create | open_flags::append);
    for (const std::uint64_t offset : {0, 0})
    {
        reply told;
        file.async_write_some_at(offset, asio::buffer("ab", 2), told.handler());
        BOOST_TEST(context.run());
    }
    BOOST_TEST(file.size() == 4u);
    file.open(temporary.path, open_flags::write_only | open_flags::truncate);
    BOOST_TEST(file.size() == 0u);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(closed_files_are_bad_descriptors, Context, test::contexts)
{
    Context context;
    zsync::file file = file_with(context.executor(), "x");
    file.close();
    std::array<char, 3> data;
    reply read, at, synced;
    file.async_read_some(asio::buffer(data), read.handler());
    file.async_read_some_at(0, asio::buffer(data), at.handler());
    file.async_sync_all(synced.handler());
    BOOST_TEST(context.run());
    for (const reply* each : {&read, &at, &synced})
        BOOST_TEST(each->failed_with(asio::error::bad_descriptor), *each);
    error_code ec;
    file.size(ec);
    BOOST_TEST(ec == asio::error::bad_descriptor);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(cancelling_loses_no_result, Context, test::contexts)
{
    Context context;
    zsync::file file = file_with(context.executor(), "hello");
    std::array<char, 8> data;
    reply read;
    opened open;
    asio::cancellation_signal read_signal, open_signal;
    file.async_read_some_at(0, asio::buffer(data), asio::bind_cancellation_slot(read_signal.slot(), read.handler()));
    zsync::async_open(context.executor(), "/dev/null", open_flags::read_only,
                      asio::bind_cancellation_slot(open_signal.slot(), open.handler()));
    read_signal.emit(asio::cancellation_type::terminal);
    open_signal.emit(asio::cancellation_type::terminal);
    BOOST_TEST(context.run());
    BOOST_TEST(read.calls == 1);
    BOOST_TEST((read.failed_with(asio::error::operation_aborted) || read.bytes == 5));
    BOOST_TEST(open.told.calls == 1);
    BOOST_TEST(open.value->is_open() == !open.told.error);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_destroyed_context_destroys_the_handlers, Context, test::contexts)
{
    int alive = 0;
    {
        auto context = std::make_unique<Context>();
        auto file = std::make_shared<zsync::file>(file_with(context->executor(), "hello"));
        auto data = std::make_shared<std::array<char, 8>>();
        file->async_read_some(asio::buffer(*data), [file, data, count = test::live_count(alive)](
                                                       error_code, std::size_t) { BOOST_ERROR("called"); });
        zsync::async_open(context->executor(), "/dev/null", open_flags::read_only,
                          [count = test::live_count(alive)](error_code, zsync::file) { BOOST_ERROR("called"); });
        file.reset();
        BOOST_TEST(alive == 2);
    }
    BOOST_TEST(alive == 0);
}

BOOST_AUTO_TEST_SUITE_END()
