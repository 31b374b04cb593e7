// SPDX-License-Identifier: BSL-1.0
#include <zsync/sync/event.hpp>

#include <zsync/core/use_await.hpp>

#include "sync/wait_cases.hpp"

#include <atomic>
#include <memory>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;

namespace
{

/// Reset by whoever has waited for it.
struct unset_event final : test::awaited
{
    void wait(error_code& ec) override
    {
        event.wait(ec);
        again(ec);
    }
    void wait_until(test::time_point deadline, error_code& ec) override
    {
        event.try_wait_until(deadline, ec);
        again(ec);
    }
    void async_wait(asio::any_io_executor on, asio::cancellation_slot slot, test::plain_handler handler) override
    {
        event.async_wait(test::bound(on, slot,
                                     [this, handler](error_code ec)
                                     {
                                         again(ec);
                                         handler(ec);
                                     }));
    }
    void wake() override { event.set(); }

    void again(error_code ec)
    {
        if (ec)
            return;
        BOOST_TEST(event.is_set());
        event.reset();
    }

    zsync::event event;
};

} // namespace

BOOST_AUTO_TEST_SUITE(sync_event)

BOOST_AUTO_TEST_CASE(every_wait_ends_as_it_should)
{
    test::wait_cases<unset_event>();
}

BOOST_AUTO_TEST_CASE(it_stays_set_until_it_is_reset)
{
    zsync::event event(true);
    BOOST_TEST(event.is_set());
    event.wait();
    BOOST_TEST(event.try_wait_for(-1s));
    event.reset();
    BOOST_TEST(!event.is_set());
    BOOST_TEST(!event.try_wait_for(1ms));
    event.set();
    event.set();
    event.wait();
}

BOOST_AUTO_TEST_CASE(it_wakes_all_who_wait)
{
    zsync::event event;
    std::atomic<int> woken{0};
    zsync::fiber_context ctx;
    for (int i = 0; i < 5; ++i)
        asio::post(ctx, [&] { event.wait(), ++woken; });
    for (int i = 0; i < 5; ++i)
        event.async_wait(asio::bind_executor(ctx, [&](error_code ec) { woken += !ec; }));
    std::thread thread([&] { event.wait(), ++woken; });
    asio::post(ctx, [&] { event.set(); });
    test::run_all(ctx);
    thread.join();
    BOOST_TEST(woken == 11);
}

BOOST_AUTO_TEST_CASE(whoever_has_waited_may_destroy_it)
{
    std::atomic<zsync::event*> next{nullptr};
    std::atomic<bool> over{false};
    std::thread setter(
        [&]
        {
            while (!over)
            {
                if (zsync::event* const event = next.exchange(nullptr))
                    event->set();
                else
                    std::this_thread::yield();
            }
        });
    zsync::fiber_context ctx;
    asio::post(ctx,
               [&]
               {
                   for (int i = 0; i < 400; ++i)
                   {
                       const auto event = std::make_unique<zsync::event>();
                       next = event.get();
                       event->wait();
                   }
               });
    test::run_all(ctx);
    for (int i = 0; i < 400; ++i)
    {
        const auto event = std::make_unique<zsync::event>();
        next = event.get();
        if (i % 2)
            while (!event->is_set())
                std::this_thread::yield();
        event->wait();
    }
    over = true;
    setter.join();
    BOOST_TEST(!next.load());
}

BOOST_AUTO_TEST_SUITE_END()
