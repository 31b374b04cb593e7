// SPDX-License-Identifier: BSL-1.0
// The end of a context: whatever its fibers wait for, they unwind.
#include <zsync/fiber/fiber_context.hpp>

#include <zsync/core/cancel_protection.hpp>
#include <zsync/core/deadline_scope.hpp>
#include <zsync/core/detail/sanitizers.hpp>
#include <zsync/core/use_await.hpp>
#include <zsync/fiber.hpp>
#include <zsync/io/io.hpp>
#include <zsync/net.hpp>
#include <zsync/platform/ring_probe.hpp>
#include <zsync/sync.hpp>

#include "fiber/both_engines.hpp"
#include "fiber/running.hpp"
#include "support/child_process.hpp"
#include "support/process_state.hpp"

#include <boost/asio.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

namespace asio = boost::asio;
namespace this_fiber = zsync::this_fiber;
using namespace std::chrono_literals;
using zsync::engine_kind;
using zsync::fiber_context;
using zsync::use_await;

namespace
{

/// What a frame holds: counted, and in free memory, for LeakSanitizer.
class counted
{
public:
    counted(long& made, long& gone) : gone_(gone), held_(std::make_unique<char>()) { ++made; }
    ~counted() { ++gone_; }

private:
    long& gone_;
    std::unique_ptr<char> held_;
};

struct foreign_context : test::running<asio::io_context>
{
    foreign_context() : running(1) { asio::steady_timer(context).expires_at({}); } // opens what it needs
};

/// Keeps the helper threads of a context busy, until it is told; so calls that need one wait. Outlives the context.
class busy_helpers
{
public:
    void occupy(zsync::helper_threads& helpers)
    {
        jobs_ = std::vector<blocker>(helpers.max());
        for (blocker& each : jobs_)
        {
            each.run = [](zsync::job& self) noexcept { static_cast<blocker&>(self).of->go_on_.wait(false); };
            each.abandon = [](zsync::job&) noexcept {};
            each.of = this;
            BOOST_REQUIRE(!helpers.post(each));
        }
    }

    void release()
    {
        go_on_.store(true);
        go_on_.notify_all();
    }

private:
    struct blocker : zsync::job
    {
        busy_helpers* of;
    };

    std::atomic<bool> go_on_{false};
    std::vector<blocker> jobs_;
};

/// What the fibers wait for. Outlives their context.
struct awaited
{
    zsync::mutex locked;
    zsync::mutex of_condition;
    zsync::condition_variable condition;
    zsync::shared_mutex shared;
    zsync::counting_semaphore<> no_units{0};
    zsync::latch latch{1};
    zsync::barrier<> barrier{1'000'000};
    zsync::event event;
    zsync::once_flag once;
    zsync::channel<int> empty{4};
    zsync::channel<int> full{1};
    zsync::channel<int> rendezvous{0};
    zsync::unbounded_channel<int> unbounded;
    foreign_context foreign;
};

constexpr auto for_ever = 24h;

void unwind_every_wait(engine_kind engine)
{
    if (engine == engine_kind::uring && !zsync::probe_ring().meets_minimum())
    {
        BOOST_TEST_MESSAGE("skipped, no ring here: " << zsync::probe_ring().why);
        return;
    }
    // ThreadSanitizer cannot hold more than 8128 fibers.
    constexpr std::size_t total = ZSYNC_HAS_TSAN ? 4'000 : 10'000;

    awaited what; // its thread is there before and after
    const auto before = test::this_process();
    long made = 0;
    long gone = 0;
    std::size_t started = 0;
    busy_helpers busy;
    std::array<char, 16> bytes;
    zsync::acceptor* listener = nullptr;
    asio::ip::tcp::acceptor* stock = nullptr;
    zsync::stream* to_read = nullptr;
    std::vector<std::function<void()>> kinds; // outlive the context, as what they refer to once it is being destroyed
    {
        zsync::fiber_options options;
        options.engine = engine;
        options.stack_bytes = 64 * 1024;
        options.on_swallowed_unwind = [](auto...) { BOOST_ERROR("nobody swallows"); };
        fiber_context ctx(options);
        busy.occupy(ctx.loop().helpers());
        const zsync::io io(ctx);
        auto strand = asio::make_strand(ctx.get_executor());
        BOOST_REQUIRE(what.full.try_send(1));
        const auto run_until = [&](auto condition)
        {
            const auto end = std::chrono::steady_clock::now() + 60s;
            while (!condition() && std::chrono::steady_clock::now() < end)
                ctx.run_for(1ms);
            BOOST_TEST(condition());
        };

        // Has the handles, which are in use when it unwinds; and the first frame that goes releases the helpers, for
        // which the context's end waits.
        zsync::spawn(
            ctx,
            [&]
            {
                const counted frame(made, gone);
                struct at_exit
                {
                    busy_helpers& which;
                    ~at_exit() { which.release(); }
                } const releases{busy};
                zsync::acceptor ours = io.listen({"127.0.0.1", 0});
                asio::ip::tcp::acceptor theirs(ctx, {asio::ip::address_v4::loopback(), 0});
                auto ends = zsync::make_stream_pair(ctx.get_executor());
                listener = &ours;
                stock = &theirs;
                to_read = &ends.first;
                what.event.wait();
            },
            asio::detached);
        run_until([&] { return to_read != nullptr; });

        // The first of a kind takes what the others then wait for.
        kinds = {
            [&] { io.accept(*listener).await(); },
            [&] { io.with_deadline(for_ever).accept(*listener).await(); },
            [&] { listener->async_accept(use_await); },
            [&]
            {
                // One reader at a time; the others are refused, and sleep.
                boost::system::error_code ec;
                io.read(*to_read, bytes).await(ec);
                io.sleep(for_ever).await();
            },
            [&] { stock->async_accept(use_await); },
            [&] { asio::steady_timer(ctx, for_ever).async_wait(use_await); },
            [&]
            {
                asio::cancellation_signal bound;
                asio::steady_timer(ctx, for_ever).async_wait(asio::bind_cancellation_slot(bound.slot(), use_await));
            },
            [&] { asio::steady_timer(what.foreign.context, for_ever).async_wait(use_await); },
            [&] { io.connect("localhost", "no-such-service").await(); },
            [&] { this_fiber::sleep_for(for_ever); },
            [&]
            {
                const zsync::deadline_scope scope(for_ever);
                what.event.wait();
            },
            [&]
            {
                what.locked.lock();
                const std::lock_guard held(what.locked, std::adopt_lock);
                what.event.wait();
            },
            [&]
            {
                const zsync::cancel_protection protect; // waits for one that unwinds
                what.locked.lock();
                what.locked.unlock();
            },
            [&] { what.locked.try_lock_for(for_ever); },
            [&]
            {
                const std::lock_guard held(what.shared);
                what.event.wait();
            },
            [&] { what.shared.lock_shared(); },
            [&]
            {
                std::unique_lock held(what.of_condition);
                what.condition.wait(held);
            },
            [&] { what.no_units.acquire(); },
            [&] { what.latch.wait(); },
            [&] { what.barrier.wait(what.barrier.arrive()); },
            [&] { zsync::call_once(what.once, [&] { what.event.wait(); }); },
            [&] { what.empty.receive(); },
            [&] { what.full.send(1); },
            [&] { what.rendezvous.send(1); },
            [&] { what.unbounded.receive(); },
            [&]
            {
                zsync::fiber child(ctx,
                                   [&]
                                   {
                                       const counted frame(made, gone);
                                       this_fiber::sleep_for(for_ever);
                                   });
                child.join();
            },
            [&] { io.async([](zsync::io own) { own.sleep(for_ever).await(); }).await(); },
            [&]
            {
                zsync::spawn(
                    ctx, [&] { what.event.wait(); }, use_await);
            },
            [&]
            {
                for (;;)
                    this_fiber::yield();
            },
            [&]
            {
                try
                {
                    throw std::string("being handled");
                }
                catch (const std::string& caught)
                {
                    const counted frame(made, gone);
                    what.event.wait();
                }
            },
            [&]
            {
                try
                {
                    what.event.wait();
                }
                catch (...) // tidies up, and throws on
                {
                    const counted frame(made, gone);
                    boost::system::error_code ec;
                    this_fiber::sleep_for(1ms, ec);
                    throw;
                }
            },
        };
        for (std::size_t i = 0; i < total; ++i)
        {
            const auto body = [&, wait = &kinds[i % kinds.size()]]
            {
                const counted frame(made, gone);
                ++started;
                (*wait)();
                what.event.wait(); // of those that come back from protection
                BOOST_ERROR("a wait has ended: kind " << wait - kinds.data());
            };
            if (i / kinds.size() % 16 == 14)
                zsync::spawn(strand, body, asio::detached);
            else if (i / kinds.size() % 16 == 15)
                asio::post(ctx, body);
            else if (i % 2)
                zsync::fiber(ctx, body).detach();
            else
                zsync::spawn(ctx, body, asio::detached);
        }
        run_until([&] { return started == total; });
        ctx.run_for(1ms); // the children, too
        BOOST_TEST(ctx.fibers_alive() > total / 2);
    }
    BOOST_TEST(made == gone);
    BOOST_TEST(made > static_cast<long>(total));
    BOOST_TEST(test::this_process().descriptors == before.descriptors);
}

} // namespace

BOOST_AUTO_TEST_SUITE(fiber_shutdown)

BOOST_DATA_TEST_CASE(every_frame_unwinds_whatever_it_waits_in, test::both_engines, engine)
{
    unwind_every_wait(engine == std::string_view("epoll") ? engine_kind::reactor : engine_kind::uring);
}

BOOST_AUTO_TEST_CASE(who_swallows_the_unwinding_is_named)
{
    std::vector<std::string> named;
    std::string anonymous;
    {
        zsync::fiber_options options;
        options.on_swallowed_unwind = [&](this_fiber::id which, std::string_view name)
        {
            BOOST_TEST((which != this_fiber::id()));
            name.empty() ? (anonymous += '.') : named.emplace_back(name);
        };
        fiber_context ctx(options);
        const auto swallow = []
        {
            try
            {
                this_fiber::sleep_for(for_ever);
            }
            catch (...)
            {
            }
        };
        const auto start = [&](std::string name, std::function<void()> body)
        { zsync::fiber(ctx, {.name = std::move(name)}, std::move(body)).detach(); };
        start("ends", swallow);
        start("goes on",
              [&]
              {
                  swallow();
                  swallow();
                  this_fiber::sleep_for(for_ever);
              });
        start("throws something else",
              []
              {
                  try
                  {
                      this_fiber::sleep_for(for_ever);
                  }
                  catch (...)
                  {
                      throw std::string("instead");
                  }
              });
        start("swallows in a handler",
              [&]
              {
                  try
                  {
                      this_fiber::sleep_for(for_ever);
                  }
                  catch (...)
                  {
                      swallow();
                  }
              });
        zsync::spawn(ctx, swallow, asio::detached);
        asio::post(ctx, swallow);

        // These do as they should.
        start("throws on",
              []
              {
                  try
                  {
                      this_fiber::sleep_for(for_ever);
                  }
                  catch (...)
                  {
                      this_fiber::sleep_for(1ms); // which throws the next
                      throw;
                  }
              });
        start("keeps to destructors",
              [&]
              {
                  struct at_exit
                  {
                      ~at_exit()
                      {
                          boost::system::error_code ec;
                          this_fiber::sleep_for(for_ever, ec);
                      }
                  } const waits;
                  this_fiber::sleep_for(for_ever);
              });
        start("does not wait", [&] { ctx.stop(); });
        start("has not begun", [&] { BOOST_ERROR("it has"); });
        ctx.run();
    }
    std::sort(named.begin(), named.end());
    const std::vector<std::string> expected = {"ends", "goes on", "swallows in a handler", "throws something else"};
    BOOST_TEST(named == expected, boost::test_tools::per_element());
    BOOST_TEST(anonymous == "..");
}

#if !ZSYNC_HAS_TSAN // whose children must not make fibers
BOOST_AUTO_TEST_CASE(a_message_names_the_fiber_and_one_that_never_ends_ends_the_process)
{
    const auto child = test::run_in_child(
        [](const test::child_voice& voice)
        {
            int ends[2];
            if (::pipe(ends) != 0 || ::dup2(ends[1], STDERR_FILENO) < 0)
                return 1;
            static const test::child_voice* tells;
            static int from;
            tells = &voice;
            from = ends[0];
            std::set_terminate(
                []
                {
                    std::array<char, 1024> text;
                    const auto size = ::read(from, text.data(), text.size());
                    tells->say({text.data(), static_cast<std::size_t>(size)});
                    std::_Exit(3);
                });
            fiber_context ctx;
            zsync::fiber(ctx, {.name = "endless"},
                         []
                         {
                             for (;;)
                                 try
                                 {
                                     this_fiber::sleep_for(for_ever);
                                 }
                                 catch (...)
                                 {
                                 }
                         })
                .detach();
            ctx.poll();
            return 0; // its destructor does not return
        });
    BOOST_TEST(child.status == 3, child);
    BOOST_TEST(child.text.find("'endless' has caught fiber_unwind") != child.text.npos, child);
    BOOST_TEST(child.text.find("'endless' swallows fiber_unwind for ever") != child.text.npos, child);
}
#endif

BOOST_AUTO_TEST_SUITE_END()
