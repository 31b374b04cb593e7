// SPDX-License-Identifier: BSL-1.0
#include <zsync/sync/watch.hpp>

#include <zsync/core/use_await.hpp>
#include <zsync/sync/select.hpp>

#include "sync/receiver_cases.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using test::closed;
using zsync::watch;

namespace
{

struct watched final : test::subscribed<watch<int>>
{
    watched() : subscribed(0) {}
    void wake() override { sender.set(++sent); }
};

constexpr std::uint64_t many = 2'000;

struct tally
{
    std::atomic<int>& bad;
    std::uint64_t last = 0;

    bool see(error_code ec, std::uint64_t now, const watch<std::uint64_t>::receiver& reader)
    {
        if (!ec)
            bad += now <= std::exchange(last, now) || now != reader.version();
        else if (ec == closed)
            bad += last != many;
        return ec != closed;
    }
};

} // namespace

BOOST_AUTO_TEST_SUITE(sync_watch)

BOOST_AUTO_TEST_CASE(every_wait_ends_as_it_should)
{
    test::wait_cases<watched>();
}

BOOST_AUTO_TEST_CASE(the_value_is_there_for_all_and_waiting_is_for_one_not_seen_yet)
{
    watch<int> value(1);
    BOOST_TEST(value.get() == 1);
    BOOST_TEST(value.version() == 0u);
    auto reader = value.subscribe();
    BOOST_TEST(!reader.has_changed());
    BOOST_TEST(reader.version() == 0u);
    BOOST_TEST(!reader.try_receive());
    BOOST_TEST(reader.get() == 1);
    auto copy = reader;
    for (int i = 2; i < 6; ++i)
        BOOST_TEST(value.set(i));
    BOOST_TEST(value.version() == 4u);
    BOOST_TEST(reader.has_changed());
    BOOST_TEST(reader.version() == 0u);
    BOOST_TEST(reader.receive() == 5); // the last of several
    BOOST_TEST(reader.version() == 4u);
    BOOST_TEST(!reader.try_receive_for(1ms));
    BOOST_TEST(copy.get() == 5);
    BOOST_TEST(!copy.has_changed());
    value.set(6);
    BOOST_TEST(*std::get<1>(zsync::select(copy.receiving(), zsync::after(1h))) == 6);
}

BOOST_AUTO_TEST_CASE(when_it_is_gone_the_last_value_is_still_received)
{
    auto value = std::make_unique<watch<int>>(1);
    auto reader = value->subscribe();
    auto idle = value->subscribe();
    value->set(2);
    value->close();
    BOOST_TEST(!value->set(3));
    BOOST_TEST(value->is_closed());
    value.reset();
    BOOST_TEST(reader.is_closed());
    BOOST_TEST(reader.receive() == 2);
    error_code ec;
    BOOST_TEST(!reader.receive(ec));
    BOOST_TEST(ec == closed);
    BOOST_TEST(reader.get() == 2);
    BOOST_TEST(idle.get() == 2);
    BOOST_CHECK_THROW(idle.receive(), boost::system::system_error);
}

BOOST_AUTO_TEST_CASE(its_end_wakes_all_who_wait)
{
    test::end_wakes_all(std::make_unique<watch<int>>(1));
}

BOOST_AUTO_TEST_CASE(threads_fibers_and_handlers_see_the_last_change_and_never_go_back)
{
    test::receive_everywhere<tally>(std::make_unique<watch<std::uint64_t>>(0),
                                    [](auto& value)
                                    {
                                        for (std::uint64_t i = 1; i <= many; ++i)
                                        {
                                            value.set(i);
                                            if (i % 16 == 0)
                                                std::this_thread::yield();
                                        }
                                    });
}

BOOST_AUTO_TEST_SUITE_END()
