// SPDX-License-Identifier: BSL-1.0
#include <zsync/blocking/blocking_engine.hpp>

#include "support/engines.hpp"
#include "support/process_state.hpp"

#include <boost/system/errc.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <atomic>
#include <cerrno>
#include <deque>
#include <numeric>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <poll.h>

using namespace std::chrono_literals;
using namespace test;
using std::chrono::steady_clock;
using zsync::blocking_engine;
using zsync::operation_id;

namespace
{

constexpr auto forever = std::nullopt;

} // namespace

BOOST_AUTO_TEST_SUITE(blocking_blocking_engine)

BOOST_DATA_TEST_CASE(it_succeeds_on_the_thread_that_starts_it, each_kind)
{
    blocking_engine engine;
    waiting it(sample);
    std::thread other([&] { it.satisfy(); });
    engine.start(it.op);
    other.join();
    BOOST_TEST(!it.op.done()); // a turn delivers, nothing else
    BOOST_TEST(engine.turn(forever, nullptr) == 1u);
    BOOST_TEST(it.op.completions == 1);
    BOOST_TEST(it.succeeded(), "result " << it.op.result);
}

BOOST_DATA_TEST_CASE(what_is_performed_now_needs_no_turn, each_kind)
{
    blocking_engine engine;
    waiting it(sample);
    it.satisfy();
    BOOST_TEST(engine.perform_now(it.op));
    BOOST_TEST(it.op.result >= 0);
    BOOST_TEST(engine.turn(0us, nullptr) == 0u);
    BOOST_TEST(!it.op.done());
    BOOST_TEST(engine.counters().operations_completed == 1u);
}

BOOST_DATA_TEST_CASE(it_fails_as_the_system_call_does, each_kind)
{
    blocking_engine engine;
    iovec piece{};
    msghdr message{};
    record op(sample.code, 1'000'000);
    if (sample.code == opcode::readv || sample.code == opcode::writev)
        op.address = &piece, op.length = 1;
    if (sample.code == opcode::receive_message || sample.code == opcode::send_message)
        op.address = &message;
    engine.start(op);
    engine.turn(0us, nullptr);
    BOOST_TEST(op.result == -EBADF);
}

BOOST_DATA_TEST_CASE(a_cancellation_is_too_late_and_finds_nothing, each_kind)
{
    blocking_engine engine;
    waiting it(sample);
    it.satisfy();
    operation_id id{7, 7};
    engine.cancel_descriptor(it.op.descriptor); // before it starts
    engine.start(it.op, &id);
    BOOST_TEST((id == operation_id{}));
    engine.cancel(id);
    engine.cancel_descriptor(it.op.descriptor);
    engine.detach_descriptor(it.op.descriptor);
    engine.turn(0us, nullptr);
    BOOST_TEST(it.succeeded(), "result " << it.op.result);
    const auto now = engine.counters();
    BOOST_TEST(now.operations_started == 1u);
    BOOST_TEST(now.operations_completed == 1u);
    BOOST_TEST(now.operations_cancelled == 0u);
    BOOST_TEST(now.cancels_requested == 0u);
}

BOOST_DATA_TEST_CASE(a_shutdown_delivers_what_was_done, each_kind)
{
    blocking_engine engine;
    waiting it(sample);
    it.satisfy();
    engine.start(it.op);
    BOOST_TEST(!engine.stopped());
    engine.shutdown(nullptr);
    BOOST_TEST(engine.stopped());
    BOOST_TEST(it.op.completions == 1);
    BOOST_TEST(it.succeeded(), "result " << it.op.result);
    BOOST_TEST(engine.turn(forever, nullptr) == 0u);
    engine.shutdown(nullptr);
}

BOOST_AUTO_TEST_CASE(files_are_opened_written_flushed_and_read_at_an_offset)
{
    blocking_engine engine;
    const descriptor file = make_file("0123456789");
    std::string text = "xy";
    record write(opcode::write, file.get(), text.data(), 2);
    write.offset = 4;
    record sync(opcode::sync, file.get());
    std::array<char, 8> data{};
    record read(opcode::read, file.get(), data.data(), 4);
    read.offset = 3;
    char path[] = "/dev/full";
    record open(opcode::open, AT_FDCWD, path, 0, O_WRONLY | O_CLOEXEC);
    for (record* op : {&write, &sync, &read, &open})
        engine.start(*op);
    BOOST_TEST(engine.turn(0us, nullptr) == 4u);
    BOOST_TEST(write.result == 2);
    BOOST_TEST(sync.result == 0);
    BOOST_TEST(read.result == 4);
    BOOST_TEST(data.data() == "3xy6");
    BOOST_TEST(::lseek(file.get(), 0, SEEK_CUR) == 0);

    const descriptor full(open.result);
    record refused(opcode::write, full.get(), text.data(), 2);
    engine.start(refused);
    engine.turn(0us, nullptr);
    BOOST_TEST(refused.result == -ENOSPC);
}

BOOST_AUTO_TEST_CASE(completions_come_in_order_and_what_they_start_comes_in_the_next_turn)
{
    blocking_engine engine;
    std::deque<record> ops(100);
    std::vector<std::size_t> order;
    for (std::size_t index = 0; index < ops.size(); ++index)
    {
        ops[index].then = [&order, index](record&) { order.push_back(index); };
        engine.start(ops[index]);
    }
    BOOST_TEST(engine.turn(forever, nullptr) == ops.size());
    std::vector<std::size_t> expected(ops.size());
    std::iota(expected.begin(), expected.end(), 0u);
    BOOST_TEST(order == expected);

    record chain;
    int depth = 0;
    chain.then = [&](record& self)
    {
        BOOST_TEST(++depth == 1); // no recursion
        if (self.completions < 1000)
            engine.start(self);
        --depth;
    };
    engine.start(chain);
    for (int turns = 0; turns < 1000; ++turns)
        BOOST_REQUIRE_EQUAL(engine.turn(0us, nullptr), 1u);
    BOOST_TEST(chain.completions == 1000);
}

BOOST_AUTO_TEST_CASE(the_sink_reaches_the_completion)
{
    blocking_engine engine;
    struct sink_record : zsync::operation
    {
        void* seen = nullptr;
    } op;
    op.on_complete = [](zsync::operation& self, void* sink) noexcept { static_cast<sink_record&>(self).seen = sink; };
    int mark;
    engine.start(op);
    engine.turn(0us, &mark);
    BOOST_TEST(op.seen == &mark);
}

BOOST_AUTO_TEST_CASE(a_turn_waits_for_its_timeout_and_no_longer)
{
    blocking_engine engine;
    auto begin = steady_clock::now();
    while (steady_clock::now() - begin < 30ms)
        BOOST_TEST(engine.turn(30ms, nullptr) == 0u); // a signal may end it
    begin = steady_clock::now();
    BOOST_TEST(engine.turn(0us, nullptr) == 0u);
    BOOST_TEST(engine.turn(-1us, nullptr) == 0u);
    engine.wake();
    BOOST_TEST(engine.turn(forever, nullptr) == 0u);
    BOOST_TEST((steady_clock::now() - begin < 10s));
    BOOST_TEST(engine.counters().wakes == 0u); // nobody slept
}

BOOST_AUTO_TEST_CASE(wake_and_start_on_another_thread_end_a_turn)
{
    blocking_engine engine;
    BOOST_TEST(eventually(
        [&]
        {
            std::thread waker([&] { engine.wake(); });
            BOOST_TEST(engine.turn(forever, nullptr) == 0u);
            waker.join();
            return engine.counters().wakes >= 20;
        }));

    for (int times = 0; times < 100; ++times)
    {
        record op;
        std::thread starter([&] { engine.start(op); });
        while (!op.done())
            engine.turn(forever, nullptr);
        starter.join();
        BOOST_TEST(op.result == 0);
    }
}

BOOST_AUTO_TEST_CASE(several_threads_block_each_by_itself)
{
    blocking_engine engine;
    constexpr int rounds = 200;
    std::atomic<int> delivered{0};
    const auto work = [&]
    {
        for (int times = 0; times < rounds; ++times)
        {
            const auto ends = make_socket_pair();
            char byte = 'x';
            record send(opcode::send, ends.first.get(), &byte, 1, MSG_NOSIGNAL);
            record receive(opcode::receive, ends.second.get(), &byte, 1);
            engine.start(send);
            engine.start(receive);
            if (!eventually([&] { return send.done() && receive.done(); }))
                return;
            delivered += send.result == 1 && receive.result == 1;
        }
    };
    std::array threads = {std::thread(work), std::thread(work), std::thread(work)};
    const auto end = steady_clock::now() + patience;
    while (delivered < 3 * rounds && steady_clock::now() < end)
        engine.turn(1ms, nullptr);
    for (auto& each : threads)
        each.join();
    BOOST_TEST(delivered == 3 * rounds);
    BOOST_TEST(engine.counters().operations_completed == 6u * rounds);
}

BOOST_AUTO_TEST_CASE(a_descriptor_is_attached_once)
{
    namespace errc = boost::system::errc;
    blocking_engine engine;
    const auto ends = make_socket_pair();
    const int number = ends.first.get();
    BOOST_TEST(engine.attach_descriptor(-1) == errc::bad_file_descriptor);
    BOOST_TEST(engine.attach_descriptor(1'000'000) == errc::bad_file_descriptor);
    BOOST_TEST(!engine.attach_descriptor(number));
    BOOST_TEST(engine.attach_descriptor(number) == errc::file_exists);
    engine.detach_descriptor(number);
    BOOST_TEST(!engine.attach_descriptor(number));

    const descriptor file = make_file("x");
    BOOST_TEST(!engine.attach_descriptor(file.get()));
    record poll(opcode::poll, file.get(), nullptr, 0, POLLIN);
    engine.start(poll);
    engine.turn(0us, nullptr);
    BOOST_TEST(poll.result == -EOPNOTSUPP);
}

BOOST_AUTO_TEST_CASE(it_needs_no_descriptor_and_no_thread)
{
    const auto before = this_process();
    blocking_engine engine;
    record op;
    engine.start(op);
    engine.turn(1ms, nullptr);
    BOOST_TEST(this_process().descriptors == before.descriptors);
    BOOST_TEST(this_process().threads == before.threads);
    BOOST_CHECK(engine.kind() == zsync::engine_kind::blocking);
    for (const kind k : kinds_that_wait)
        BOOST_TEST(engine.supports(k.code));
}

BOOST_AUTO_TEST_SUITE_END()
