// SPDX-License-Identifier: BSL-1.0
#include <zsync/sync/watch.hpp>

#include <zsync/core/use_await.hpp>
#include <zsync/sync/select.hpp>

#include "sync/wait_cases.hpp"

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using zsync::watch;

namespace
{

const error_code closed = zsync::error::channel_closed;

struct watched final : test::awaited
{
    void wait(error_code& ec) override { check(reader.receive(ec), ec); }
    void wait_until(test::time_point deadline, error_code& ec) override
    {
        check(reader.try_receive_until(deadline, ec), ec);
    }
    void async_wait(asio::any_io_executor on, asio::cancellation_slot slot, test::plain_handler handler) override
    {
        reader.async_receive(test::bound(on, slot,
                                         [this, handler](error_code ec, int now)
                                         {
                                             BOOST_TEST(now == (ec ? 0 : changes));
                                             handler(ec);
                                         }));
    }
    void wake() override { value.set(++changes); }

    void check(std::optional<int> now, error_code ec)
    {
        BOOST_TEST(now.has_value() == !ec);
        if (now)
            BOOST_TEST(*now == changes);
    }

    watch<int> value{0};
    watch<int>::receiver reader = value.subscribe();
    int changes = 0;
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
    zsync::fiber_context ctx;
    auto value = std::make_unique<watch<int>>(1);
    auto a = value->subscribe();
    auto b = value->subscribe();
    int ended = 0;
    asio::post(ctx,
               [&]
               {
                   error_code ec;
                   a.receive(ec);
                   ended += ec == closed;
               });
    b.async_receive(asio::bind_executor(ctx, [&](error_code ec, int) { ended += ec == closed; }));
    asio::post(ctx, [&] { value.reset(); });
    test::run_all(ctx);
    BOOST_TEST(ended == 2);
}

BOOST_AUTO_TEST_CASE(threads_fibers_and_handlers_see_the_last_change_and_never_go_back)
{
    constexpr std::uint64_t count = 2'000;
    auto value = std::make_unique<watch<std::uint64_t>>(0);
    std::atomic<int> bad{0};
    struct tally
    {
        std::atomic<int>& bad;
        std::uint64_t last = 0;

        bool see(error_code ec, std::uint64_t now)
        {
            if (!ec)
                bad += now <= std::exchange(last, now);
            else if (ec == closed)
                bad += last != count;
            return ec != closed;
        }
    };
    const auto read_all = [&](watch<std::uint64_t>::receiver reader, bool gives_up)
    {
        tally seen{bad};
        for (bool more = true; more;)
        {
            error_code ec;
            const auto now =
                gives_up ? reader.try_receive_until(std::chrono::steady_clock::now() + 10us, ec) : reader.receive(ec);
            more = seen.see(ec, now.value_or(0));
            if (now)
                bad += reader.version() != *now;
        }
    };
    const auto select_all = [&](watch<std::uint64_t>::receiver reader)
    {
        tally seen{bad};
        for (bool more = true; more;)
        {
            const auto now = std::get<1>(zsync::select(reader.receiving(), zsync::after(20us)));
            more = seen.see(now ? error_code() : now.error(), now ? *now : 0);
        }
    };
    std::vector<std::thread> threads;
    threads.emplace_back(read_all, value->subscribe(), true);
    for (int t = 0; t < 2; ++t)
        threads.emplace_back(
            [&, reader = value->subscribe()]
            {
                test::other_fibers ctx;
                asio::post(ctx, [&] { read_all(reader, false); });
                asio::post(ctx, [&] { read_all(reader, true); });
                asio::post(ctx, [&] { select_all(reader); });
                test::runs_out(ctx);
            });
    threads.emplace_back(
        [&, reader = value->subscribe()]() mutable
        {
            asio::io_context ctx;
            asio::cancellation_signal signal;
            tally seen{bad};
            int calls = 0;
            std::function<void(error_code, std::uint64_t)> next = [&](error_code ec, std::uint64_t now)
            {
                if (!seen.see(ec, now))
                    return;
                reader.async_receive(asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(ctx, next)));
                if (++calls % 4 == 0)
                    signal.emit(asio::cancellation_type::total);
            };
            reader.async_receive(asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(ctx, next)));
            test::runs_out(ctx);
        });
    for (std::uint64_t i = 1; i <= count; ++i)
    {
        value->set(i);
        if (i % 16 == 0)
            std::this_thread::yield();
    }
    value.reset();
    for (auto& thread : threads)
        thread.join();
    BOOST_TEST(bad == 0);
}

BOOST_AUTO_TEST_SUITE_END()
