// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/error.hpp>
#include <zsync/sync/select.hpp>

#include "sync/wait_cases.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

/// What holds of everyone who subscribes, to a channel or to a value.
namespace test
{

inline const error_code closed = zsync::error::channel_closed;

/// A receiver as something to wait for: of the numbers from one on, which wake() is to send.
template <class Sender>
struct subscribed : awaited
{
    explicit subscribed(int argument) : sender(argument) {}

    void wait(error_code& ec) override { check(reader.receive(ec), ec); }
    void wait_until(time_point deadline, error_code& ec) override { check(reader.try_receive_until(deadline, ec), ec); }
    void async_wait(asio::any_io_executor on, asio::cancellation_slot slot, plain_handler handler) override
    {
        reader.async_receive(bound(on, slot,
                                   [this, handler](error_code ec, int item)
                                   {
                                       BOOST_TEST(item == (ec ? 0 : ++received));
                                       handler(ec);
                                   }));
    }

    void check(std::optional<int> item, error_code ec)
    {
        BOOST_TEST(item.has_value() == !ec);
        if (item)
            BOOST_TEST(*item == ++received);
    }

    Sender sender;
    typename Sender::receiver reader = sender.subscribe();
    int sent = 0;
    int received = 0;
};

/// A fiber, a handler and a select() wait: all are told of the sender's end.
template <class Sender>
void end_wakes_all(std::unique_ptr<Sender> sender)
{
    zsync::fiber_context ctx;
    auto a = sender->subscribe();
    auto b = sender->subscribe();
    auto c = sender->subscribe();
    int ended = 0;
    asio::post(ctx,
               [&]
               {
                   error_code ec;
                   a.receive(ec);
                   ended += ec == closed;
               });
    b.async_receive(asio::bind_executor(ctx, [&](error_code ec, int) { ended += ec == closed; }));
    asio::post(ctx, [&] { ended += std::get<1>(zsync::select(c.receiving(), zsync::after(1h))).error() == closed; });
    asio::post(ctx, [&] { sender.reset(); });
    run_all(ctx);
    BOOST_TEST(ended == 3);
}

/// Threads, fibers and handlers receive what `send_all` sends, up to the sender's end. Each has a Tally of its own: it
/// counts what is bad, and says whether there is more to come.
template <class Tally, class Sender, class SendAll>
void receive_everywhere(std::unique_ptr<Sender> sender, SendAll send_all)
{
    using receiver = typename Sender::receiver;
    std::atomic<int> bad{0};
    const auto read_all = [&](receiver reader, bool gives_up)
    {
        Tally seen{bad};
        for (bool more = true; more;)
        {
            error_code ec;
            const auto item =
                gives_up ? reader.try_receive_until(std::chrono::steady_clock::now() + 10us, ec) : reader.receive(ec);
            more = seen.see(ec, item.value_or(0), reader);
        }
    };
    const auto select_all = [&](receiver reader)
    {
        Tally seen{bad};
        for (bool more = true; more;)
        {
            const auto item = std::get<1>(zsync::select(reader.receiving(), zsync::after(20us)));
            more = seen.see(item ? error_code() : item.error(), item ? *item : 0, reader);
        }
    };
    std::vector<std::thread> threads;
    threads.emplace_back(read_all, sender->subscribe(), true);
    for (int t = 0; t < 2; ++t)
        threads.emplace_back(
            [&, reader = sender->subscribe()]
            {
                other_fibers ctx;
                asio::post(ctx, [&] { read_all(reader, false); });
                asio::post(ctx, [&] { read_all(reader, true); });
                asio::post(ctx, [&] { select_all(reader); });
                runs_out(ctx);
            });
    threads.emplace_back(
        [&, reader = sender->subscribe()]() mutable
        {
            asio::io_context ctx;
            asio::cancellation_signal signal;
            Tally seen{bad};
            int calls = 0;
            std::function<void(error_code, std::uint64_t)> next = [&](error_code ec, std::uint64_t item)
            {
                if (!seen.see(ec, item, reader))
                    return;
                reader.async_receive(asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(ctx, next)));
                if (++calls % 4 == 0)
                    signal.emit(asio::cancellation_type::total);
            };
            reader.async_receive(asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(ctx, next)));
            runs_out(ctx);
        });
    send_all(*sender);
    sender.reset();
    for (auto& thread : threads)
        thread.join();
    BOOST_TEST(bad == 0);
}

} // namespace test
