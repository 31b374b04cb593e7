// SPDX-License-Identifier: BSL-1.0
#include <zsync/io/io.hpp>

#include "models.hpp"
#include "support/child_process.hpp"

#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>

namespace
{

using namespace test;
using zsync::open_flags;

std::string pattern(std::size_t size)
{
    std::string bytes(size, '\0');
    for (std::size_t index = 0; index < size; ++index)
        bytes[index] = static_cast<char>('a' + index % 23 + index / 4096 % 3);
    return bytes;
}

std::string content(const std::string& path)
{
    const descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    std::string all;
    char part[4096];
    for (ssize_t size; (size = ::read(file.get(), part, sizeof part)) > 0;)
        all.append(part, static_cast<std::size_t>(size));
    return all;
}

constexpr auto new_file = open_flags::read_write | open_flags::create | open_flags::truncate;

} // namespace

BOOST_AUTO_TEST_SUITE(io_verbs)

BOOST_DATA_TEST_CASE(it_tells_how_it_runs, each_cell)
{
    run_in(sample,
           [&](const scene& at)
           {
               const bool blocking = sample == cell::blocking;
               BOOST_TEST((at.io.model() == zsync::model::blocking) == blocking);
               BOOST_TEST(zsync::to_string(at.io.model()) == (blocking ? "blocking" : "green"));
               BOOST_TEST(zsync::to_string(at.io.engine()) == (blocking                      ? "system calls"
                                                               : sample == cell::green_uring ? "io_uring"
                                                                                             : "epoll"));
               BOOST_TEST(at.io.supports_vectored());
               BOOST_TEST(at.io.supports_zero_copy());
               BOOST_TEST((at.io.deadline() == zsync::io::clock::time_point::max()));
               BOOST_TEST(!at.io.cancellation().can_be_cancelled());
               const zsync::io limited = at.io.with_deadline(1h);
               BOOST_TEST((limited.with_deadline(2h).deadline() == limited.deadline()));
               BOOST_TEST((limited.with_deadline(1s).deadline() < limited.deadline()));
               BOOST_TEST(
                   (at.io.with_deadline(std::chrono::hours::max()).deadline() == zsync::io::clock::time_point::max()));
           });
}

BOOST_DATA_TEST_CASE(streams_carry_bytes_to_the_end, each_cell)
{
    run_in(sample,
           [](const scene& at)
           {
               auto [near, far] = tcp_pair(at.io);
               std::array<char, 8> data{};
               BOOST_TEST(at.io.write(near, "hello").await() == 5u);
               BOOST_TEST(at.io.read(far, data).await() == 5u);
               BOOST_TEST(std::string_view(data.data(), 5) == "hello");

               BOOST_TEST(at.io.write(near, std::string("12345678abc")).await() == 11u);
               BOOST_TEST(at.io.read_exactly(far, data).await() == 8u);
               at.io.shutdown(near, zsync::stream::shutdown_send).await();
               error_code ec;
               BOOST_TEST(at.io.read_exactly(far, data).await(ec) == 3u);
               BOOST_TEST(ec == boost::asio::error::eof);
               BOOST_TEST(at.io.read(far, data).await(ec) == 0u);
               BOOST_TEST(!ec);
               BOOST_TEST(at.io.read(far, std::span<char>()).await() == 0u);
               at.io.close(near).await();
               BOOST_TEST(!near.is_open());
               at.io.close(near).await();
           });
}

BOOST_DATA_TEST_CASE(direct_streams_do_so_too, each_cell)
{
    run_in(sample,
           [](const scene& at)
           {
               zsync::acceptor listener = at.io.listen({"127.0.0.1", 0});
               zsync::stream near = at.io.connect(listener.local_endpoint()).await();
               zsync::direct_stream far = at.io.accept_direct(listener).await();
               BOOST_TEST(far.is_direct() == listener.supports_direct());
               std::array<char, 8> data{};
               BOOST_TEST(at.io.write(near, "hello").await() == 5u);
               BOOST_TEST(at.io.read(far, data).await() == 5u);
               BOOST_TEST(at.io.writev(far, std::string_view("abc"), std::string_view("de")).await() == 5u);
               BOOST_TEST(at.io.read_exactly(near, std::span(data).first(5)).await() == 5u);
               BOOST_TEST(std::string_view(data.data(), 5) == "abcde");
               at.io.shutdown(far, zsync::stream::shutdown_send).await();
               error_code ec;
               BOOST_TEST(at.io.read(near, data).await(ec) == 0u);
               BOOST_TEST(!ec);
               at.io.close(near).await();
               BOOST_TEST(at.io.read(far, data).await() == 0u);
               at.io.close(far).await();
               BOOST_TEST(!far.is_open());
               at.io.shutdown(far, zsync::stream::shutdown_both).await(ec);
               BOOST_TEST(ec == boost::asio::error::bad_descriptor);
               at.io.read(far, data).await(ec);
               BOOST_TEST(ec == boost::asio::error::bad_descriptor);
               listener.close();
               at.io.accept_direct(listener).await(ec);
               BOOST_TEST(ec == boost::asio::error::bad_descriptor);
           });
}

BOOST_DATA_TEST_CASE(files_are_written_and_read, each_cell)
{
    run_in(sample,
           [](const scene& at)
           {
               const temporary_directory place;
               zsync::file file = at.io.open(place.file("a"), new_file).await();
               BOOST_TEST(at.io.write(file, "hello world").await() == 11u);
               BOOST_TEST(at.io.write_at(file, 6, std::string_view("there")).await() == 5u);
               std::array<char, 5> first{};
               std::vector<char> second(20);
               BOOST_TEST(at.io.read_at(file, 6, first).await() == 5u);
               BOOST_TEST(std::string_view(first.data(), 5) == "there");
               BOOST_TEST(at.io.read_at(file, 11, first).await() == 0u);
               BOOST_TEST(at.io.read(file, first).await() == 0u);

               file.seek(0, zsync::seek_basis::begin);
               BOOST_TEST(at.io.readv(file, first, second).await() == 11u);
               BOOST_TEST(std::string_view(first.data(), 5) == "hello");
               BOOST_TEST(std::string_view(second.data(), 6) == " there");
               const std::array<boost::asio::const_buffer, 2> parts = {boost::asio::buffer(first),
                                                                       boost::asio::buffer(second, 6)};
               BOOST_TEST(at.io.writev(file, parts).await() == 11u);
               BOOST_TEST(at.io.writev(file, "!", std::string("?"), std::span<const char>(first)).await() == 7u);
               at.io.close(file).await();
               BOOST_TEST(content(place.file("a")) == "hello therehello there!?hello");
           });
}

BOOST_DATA_TEST_CASE(writes_are_whole_however_little_there_is_room_for, each_cell)
{
    run_in(sample,
           [](const scene& at)
           {
               auto [near, far] = stream_pair(at.io);
               const std::string sent = pattern(3'000'000);
               std::string got(sent.size(), '\0');
               std::thread reader(
                   [fd = far.native_handle(), &got]
                   {
                       descriptor mine(::dup(fd));
                       for (std::size_t size = 0; size < got.size();)
                       {
                           pollfd one{mine.get(), POLLIN, 0};
                           ::poll(&one, 1, -1);
                           const ssize_t more = ::read(mine.get(), got.data() + size, got.size() - size);
                           size += more > 0 ? static_cast<std::size_t>(more) : 0;
                       }
                   });
               std::vector<boost::asio::const_buffer> parts;
               for (std::size_t at_byte = 0; at_byte < sent.size() / 2; at_byte += 50'000)
                   parts.push_back(boost::asio::buffer(sent.data() + at_byte, 50'000));
               error_code ec;
               const std::size_t first = at.io.writev(near, parts).await(ec);
               const std::size_t second = at.io.write(near, std::string_view(sent).substr(first)).await(ec);
               reader.join();
               BOOST_TEST(!ec);
               BOOST_TEST(first == 1'500'000u);
               BOOST_TEST(second == 1'500'000u);
               BOOST_TEST((sent == got));
           });
}

BOOST_DATA_TEST_CASE(pipes_carry_bytes, each_cell)
{
    run_in(sample,
           [](const scene& at)
           {
               zsync::pipe_ends ends = zsync::make_pipe(at.io.get_executor());
               std::array<char, 3> head{};
               std::array<char, 9> tail{};
               BOOST_TEST(at.io.writev(ends.write_end, "abc", "defg").await() == 7u);
               BOOST_TEST(at.io.readv(ends.read_end, head, tail).await() == 7u);
               BOOST_TEST(std::string_view(tail.data(), 4) == "defg");
               at.io.close(ends.write_end).await();
               BOOST_TEST(at.io.read(ends.read_end, head).await() == 0u);
           });
}

BOOST_DATA_TEST_CASE(datagrams_name_their_sender, each_cell)
{
    run_in(sample,
           [](const scene& at)
           {
               zsync::datagram a(at.io.get_executor(), zsync::endpoint("127.0.0.1", 0));
               zsync::datagram b(at.io.get_executor(), zsync::endpoint("127.0.0.1", 0));
               BOOST_TEST(at.io.send_to(a, std::string("datagram"), b.local_endpoint()).await() == 8u);
               BOOST_TEST(at.io.send_to(a, "", b.local_endpoint()).await() == 0u);
               std::array<char, 20> data{};
               zsync::endpoint sender;
               BOOST_TEST(at.io.receive_from(b, data, sender).await() == 8u);
               BOOST_TEST(sender == a.local_endpoint());
               BOOST_TEST(std::string_view(data.data(), 8) == "datagram");
               BOOST_TEST(at.io.receive_from(b, data, sender).await() == 0u);
           });
}

BOOST_DATA_TEST_CASE(connects_by_number_and_by_name, each_cell)
{
    run_in(sample,
           [](const scene& at)
           {
               zsync::acceptor listener = at.io.listen({"127.0.0.1", 0});
               const std::uint16_t port = listener.local_endpoint().port();
               zsync::stream by_number = at.io.connect("127.0.0.1", port).await();
               zsync::stream first = at.io.accept(listener).await();
               // Where localhost is ::1 as well, that comes first and refuses.
               zsync::stream by_name = at.io.connect("localhost", std::to_string(port)).await();
               zsync::stream second = at.io.accept(listener).await();
               at.io.write(second, "x").await();
               char byte = 0;
               BOOST_TEST(at.io.read(by_name, std::span(&byte, 1)).await() == 1u);
               BOOST_TEST(byte == 'x');
           });
}

BOOST_DATA_TEST_CASE(sleeps_as_long_as_it_is_told, each_cell)
{
    run_in(sample,
           [](const scene& at)
           {
               const auto start = zsync::io::clock::now();
               at.io.sleep(20ms).await();
               BOOST_TEST((zsync::io::clock::now() - start >= 20ms));
               at.io.sleep(-1s).await();
           });
}

BOOST_DATA_TEST_CASE(copies_from_file_to_file, each_cell)
{
    run_in(sample,
           [](const scene& at)
           {
               const temporary_directory place;
               const std::string bytes = pattern(2'500'000); // more than two slices
               zsync::file from = at.io.open(place.file("from"), new_file).await();
               zsync::file to = at.io.open(place.file("to"), new_file).await();
               at.io.write(from, bytes).await();
               from.seek(0, zsync::seek_basis::begin);
               BOOST_TEST(at.io.copy_file_range(from, to, 4'000'000).await() == bytes.size());
               BOOST_TEST((content(place.file("to")) == bytes));
               BOOST_TEST(at.io.copy_file_range(from, to, 10, 100, 5).await() == 10u);
               BOOST_TEST(at.io.copy_file_range(from, to, 0).await() == 0u);
               BOOST_TEST((content(place.file("to")).substr(5, 10) == bytes.substr(100, 10)));

               zsync::file sent = at.io.open(place.file("sent"), new_file).await();
               BOOST_TEST(at.io.send_file(sent, from, 1000, 2'000'000).await() == 2'000'000u);
               BOOST_TEST((content(place.file("sent")) == bytes.substr(1000, 2'000'000)));
           });
}

// The kernel refuses to copy to what appends, with one call or the other: then it is done by reading and writing.
BOOST_DATA_TEST_CASE(copies_by_hand_what_the_kernel_does_not, each_cell)
{
    run_in(sample,
           [](const scene& at)
           {
               const temporary_directory place;
               const std::string bytes = pattern(200'000);
               zsync::file from = at.io.open(place.file("from"), new_file).await();
               at.io.write(from, bytes).await();
               zsync::file to = at.io.open(place.file("to"), new_file | open_flags::append).await();
               BOOST_TEST(at.io.send_file(to, from, 10, 150'000).await() == 150'000u);
               BOOST_TEST((content(place.file("to")) == bytes.substr(10, 150'000)));

               // Between files of two kinds copy_file_range(2) is EXDEV.
               zsync::file memory(at.io.get_executor(), make_file().release());
               from.seek(0, zsync::seek_basis::begin);
               BOOST_TEST(at.io.copy_file_range(from, memory, 1'000'000).await() == bytes.size());
               std::string back(bytes.size(), '\0');
               BOOST_TEST(at.io.read_at(memory, 0, back).await() == bytes.size());
               BOOST_TEST((back == bytes));
           });
}

BOOST_DATA_TEST_CASE(sends_files_to_streams_of_every_kind, each_cell* boost::unit_test::data::make({false, true}),
                     where, given)
{
    run_in(where,
           [given = given](const scene& at)
           {
               const temporary_directory place;
               const std::string bytes = pattern(3'000'000);
               zsync::file from = at.io.open(place.file("from"), new_file).await();
               at.io.write(from, bytes).await();

               two_ends ends = make_socket_pair();
               zsync::stream near(at.io.get_executor(), ends.first.release());
               if (!given)
                   ::fcntl(near.native_handle(), F_SETFL, O_NONBLOCK);
               std::string got(bytes.size(), '\0');
               std::thread reader(
                   [&]
                   {
                       for (std::size_t size = 0; size < got.size();)
                       {
                           const ssize_t more = ::read(ends.second.get(), got.data() + size, got.size() - size);
                           if (more <= 0)
                               return;
                           size += static_cast<std::size_t>(more);
                       }
                   });
               error_code ec;
               const std::size_t sent = at.io.send_file(near, from, 0, bytes.size()).await(ec);
               reader.join();
               BOOST_TEST(!ec);
               BOOST_TEST(sent == bytes.size());
               BOOST_TEST((got == bytes));
           });
}

BOOST_DATA_TEST_CASE(standard_output_is_written_and_left_as_it_is, each_cell)
{
    two_ends ends = make_pipe();
    const int before = ::fcntl(ends.second.get(), F_GETFL);
    const descriptor real(::dup(STDOUT_FILENO));
    BOOST_REQUIRE(::dup2(ends.second.get(), STDOUT_FILENO) >= 0);
    std::size_t count = 0;
    error_code ec;
    try
    {
        run_in(sample, [&](const scene& at) { count = at.io.write("Hello World!").await(ec); });
    }
    catch (...)
    {
        ::dup2(real.get(), STDOUT_FILENO);
        throw;
    }
    ::dup2(real.get(), STDOUT_FILENO);
    BOOST_TEST(!ec);
    BOOST_TEST(count == 12u);
    BOOST_TEST(::fcntl(ends.second.get(), F_GETFL) == before);
    BOOST_TEST(take(ends.first) == "Hello World!");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(io_errors)

BOOST_DATA_TEST_CASE(opening_fails_with_the_systems_error, each_cell)
{
    run_in(sample,
           [](const scene& at)
           {
               const temporary_directory place;
               error_code ec;
               const zsync::file none = at.io.open(place.file("missing")).await(ec);
               BOOST_TEST(ec == boost::system::errc::no_such_file_or_directory);
               BOOST_TEST(!none.is_open());
               BOOST_CHECK_EXCEPTION(at.io.open(place.file("missing")).await(), boost::system::system_error,
                                     [](const auto& e)
                                     { return e.code() == boost::system::errc::no_such_file_or_directory; });

               zsync::file directory = at.io.open(place.path()).await();
               std::array<char, 10> data;
               BOOST_TEST((at.io.read(directory, data).try_await().error() == boost::system::errc::is_a_directory));
               const auto refused = at.io.open(place.path(), open_flags::read_write).try_await();
               BOOST_TEST((refused.error() == boost::system::errc::is_a_directory));
           });
}

BOOST_DATA_TEST_CASE(a_full_device_is_told, each_cell)
{
    run_in(sample,
           [](const scene& at)
           {
               zsync::file full = at.io.open("/dev/full", open_flags::write_only).await();
               error_code ec;
               BOOST_TEST(at.io.write(full, "hello").await(ec) == 0u);
               BOOST_TEST(ec == boost::system::errc::no_space_on_device);
           });
}

BOOST_DATA_TEST_CASE(closed_handles_are_bad_descriptors, each_cell)
{
    run_in(sample,
           [](const scene& at)
           {
               auto [near, far] = stream_pair(at.io);
               zsync::file from(at.io.get_executor(), make_file("x").release());
               near.close();
               zsync::stream moved_from(at.io.get_executor());
               std::array<char, 4> data;
               const auto bad = [](const auto& operation_result)
               { return operation_result.error() == boost::asio::error::bad_descriptor; };
               BOOST_TEST(bad(at.io.read(near, data).try_await()));
               BOOST_TEST(bad(at.io.read(moved_from, data).try_await()));
               BOOST_TEST(bad(at.io.write(near, "x").try_await()));
               BOOST_TEST(bad(at.io.shutdown(near, zsync::stream::shutdown_both).try_await()));
               BOOST_TEST(bad(at.io.send_file(near, from, 0, 1).try_await()));
               from.close();
               BOOST_TEST(bad(at.io.send_file(far, from, 0, 1).try_await()));
               BOOST_TEST(bad(at.io.read_at(from, 0, data).try_await()));
               zsync::acceptor never(at.io.get_executor());
               BOOST_TEST(bad(at.io.accept(never).try_await()));
           });
}

BOOST_DATA_TEST_CASE(a_gone_peer_is_an_error_and_no_signal, each_cell)
{
    run_in(sample,
           [](const scene& at)
           {
               auto [near, far] = stream_pair(at.io);
               zsync::file from(at.io.get_executor(), make_file("hello").release());
               far.close();
               error_code ec;
               at.io.write(near, "hello").await(ec);
               BOOST_TEST(ec == boost::asio::error::broken_pipe);
               at.io.send_file(near, from, 0, 5).await(ec);
               BOOST_TEST(ec == boost::asio::error::broken_pipe);

               auto [here, there] = tcp_pair(at.io);
               at.io.write(here, "unread").await();
               std::array<char, 1> data;
               at.io.read(there, data).await();
               there.close(); // with bytes unread: a reset
               at.io.read(here, data).await(ec);
               BOOST_TEST(ec == boost::asio::error::connection_reset);
           });
}

BOOST_DATA_TEST_CASE(connecting_to_nobody_fails, each_cell)
{
    run_in(sample,
           [](const scene& at)
           {
               zsync::endpoint nobody;
               {
                   nobody = at.io.listen({"127.0.0.1", 0}).local_endpoint();
               }
               error_code ec;
               const zsync::stream none = at.io.connect(nobody).await(ec);
               BOOST_TEST(ec == boost::asio::error::connection_refused);
               BOOST_TEST(!none.is_open());
               BOOST_TEST((at.io.connect("127.0.0.1", nobody.port()).try_await().error() ==
                           boost::asio::error::connection_refused));
               BOOST_TEST((at.io.connect("no such host", 1).try_await().has_error()));

               at.io.listen({"192.0.2.1", 1}, ec); // an address of nobody's
               BOOST_TEST(ec == boost::system::errc::address_not_available);
               BOOST_CHECK_THROW(at.io.listen({"192.0.2.1", 1}), boost::system::system_error);
           });
}

BOOST_DATA_TEST_CASE(a_handle_of_another_context_is_refused, each_green)
{
    run_in(sample,
           [](const scene& at)
           {
               zsync::blocking_context other;
               auto [near, far] = stream_pair(zsync::io(other));
               BOOST_TEST((at.io.write(near, "x").try_await().error() == boost::asio::error::invalid_argument));
           });
}

BOOST_AUTO_TEST_SUITE_END()
