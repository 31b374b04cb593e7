// SPDX-License-Identifier: BSL-1.0
// Asio's composed reads and writes and its buffered streams over native sockets.
#include <zsync/drop_in.hpp>

#include "forms.hpp"

#include <array>
#include <istream>
#include <ostream>

namespace
{

using namespace test;

} // namespace

BOOST_AUTO_TEST_SUITE(composition_streams)

ON_ALL_FORMS(read_until_finds_a_delimiter_that_comes_in_two_pieces, Executor, under_test)
{
    connected<Executor> pair(under_test);
    asio::streambuf buffer;
    auto told = std::make_shared<outcome>();
    asio::async_read_until(pair.client, buffer, "\r\n", recorder(told));
    asio::write(pair.server, asio::buffer("first\r", 6));
    BOOST_TEST(under_test.run_until([&] { return buffer.size() == 6; }, [] {}));
    BOOST_TEST(told->calls == 0);
    asio::write(pair.server, asio::buffer("\nrest", 5));
    under_test.run();
    BOOST_TEST(!told->error);
    BOOST_TEST(told->bytes == 7u);
    BOOST_TEST(buffer.size() == 11u);
    under_test.check_native(2);
}

ON_ALL_FORMS(read_until_gives_up_at_the_limit_of_its_buffer, Executor, under_test)
{
    connected<Executor> pair(under_test);
    asio::streambuf buffer(8);
    auto told = std::make_shared<outcome>();
    asio::async_read_until(pair.client, buffer, '\n', recorder(told));
    asio::write(pair.server, asio::buffer("no end of line", 14));
    under_test.run();
    BOOST_TEST(told->error == asio::error::not_found);
    BOOST_TEST(buffer.size() == 8u);
    under_test.check_native(1);
}

ON_ALL_FORMS(a_read_ends_with_its_condition_and_leaves_the_rest, Executor, under_test)
{
    connected<Executor> pair(under_test);
    const std::string sent = pattern(1000);
    asio::write(pair.server, asio::buffer(sent));
    std::string head(100, ' '), body(700, ' ');
    auto told_1 = std::make_shared<outcome>();
    asio::async_read(pair.client, std::array{asio::buffer(&head[0], 40), asio::buffer(&head[40], 60)},
                     asio::transfer_exactly(100), recorder(told_1));
    under_test.run();
    auto told_2 = std::make_shared<outcome>();
    asio::async_read(pair.client, asio::buffer(body), asio::transfer_at_least(600), recorder(told_2));
    under_test.run();
    BOOST_TEST(told_1->bytes == 100u);
    BOOST_TEST(told_2->bytes >= 600u);
    BOOST_TEST(head + body.substr(0, told_2->bytes) == sent.substr(0, 100 + told_2->bytes));
    under_test.check_native(2);
}

ON_ALL_FORMS(a_sequence_of_many_buffers_is_written_and_read_whole, Executor, under_test)
{
    connected<Executor> pair(under_test);
    const std::string sent = pattern(100 * 97);
    std::string received(sent.size(), ' ');
    std::vector<asio::const_buffer> from;
    std::vector<asio::mutable_buffer> to;
    for (std::size_t at = 0; at < sent.size(); at += 97)
        from.push_back(asio::buffer(&sent[at], 97));
    for (std::size_t at = 0; at < sent.size(); at += 100)
        to.push_back(asio::buffer(&received[at], std::min<std::size_t>(100, sent.size() - at)));
    auto wrote = std::make_shared<outcome>();
    auto read = std::make_shared<outcome>();
    asio::async_write(pair.client, from, recorder(wrote));
    asio::async_read(pair.server, to, recorder(read));
    under_test.run();
    BOOST_TEST(wrote->bytes == sent.size());
    BOOST_TEST(read->bytes == sent.size());
    BOOST_TEST((received == sent));
    under_test.check_native(2);
}

ON_ALL_FORMS(a_buffered_stream_collects_small_writes_into_one, Executor, under_test)
{
    connected<Executor> pair(under_test);
    asio::buffered_stream<socket_of<Executor>&> writer(pair.client);
    asio::buffered_read_stream<socket_of<Executor>&> reader(pair.server);
    std::string received(40, ' ');
    int written = 0;
    const auto count = [&](error_code error, std::size_t) { written += !error; };
    for (int i = 0; i < 10; ++i)
    {
        asio::async_write(writer, asio::buffer("4444", 4), count);
        under_test.run();
    }
    BOOST_TEST(written == 10);
    BOOST_TEST(pair.server.available() == 0u);
    auto flushed = std::make_shared<outcome>();
    writer.async_flush(recorder(flushed));
    auto read = std::make_shared<outcome>();
    asio::async_read(reader, asio::buffer(received), recorder(read));
    under_test.run();
    BOOST_TEST(flushed->bytes == 40u);
    BOOST_TEST(read->bytes == 40u);
    BOOST_TEST(received == std::string(40, '4'));
    under_test.check_native(2);
}

ON_ALL_FORMS(a_read_cut_short_reports_what_came_before_the_end, Executor, under_test)
{
    connected<Executor> pair(under_test);
    std::string received(100, ' ');
    asio::write(pair.server, asio::buffer("twenty bytes, no more", 20));
    pair.server.close();
    auto told = std::make_shared<outcome>();
    asio::async_read(pair.client, asio::buffer(received), recorder(told));
    under_test.run();
    BOOST_TEST(told->error == asio::error::eof);
    BOOST_TEST(told->bytes == 20u);
    under_test.check_native(1);
}

BOOST_AUTO_TEST_SUITE_END()
