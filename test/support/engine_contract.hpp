// SPDX-License-Identifier: BSL-1.0
// What every engine does alike, as test cases. To be included in a test suite of each, where there are `loop`, `runner`,
// `modes` and `locked_modes` for it; hence neither #pragma once nor a namespace.

// Each operation, with success

BOOST_DATA_TEST_CASE(nop_completes_with_zero, modes)
{
    loop on(sample);
    BOOST_TEST(on.perform(opcode::nop) == 0);
}

BOOST_DATA_TEST_CASE(read_and_write_use_and_move_the_descriptors_own_position, modes)
{
    loop on(sample);
    const descriptor file = test::make_file();
    std::string text = "one two";
    BOOST_TEST(on.perform(opcode::write, file.get(), text.data(), 4) == 4);
    BOOST_TEST(on.perform(opcode::write, file.get(), text.data() + 4, 3) == 3);
    ::lseek(file.get(), 0, SEEK_SET);

    std::array<char, 16> data{};
    BOOST_TEST(on.perform(opcode::read, file.get(), data.data(), 4) == 4);
    BOOST_TEST(on.perform(opcode::read, file.get(), data.data() + 4, 12) == 3);
    BOOST_TEST(data.data() == text);
    BOOST_TEST(on.perform(opcode::read, file.get(), data.data(), 16) == 0);
}

BOOST_DATA_TEST_CASE(read_and_write_at_an_offset_leave_the_position_alone, modes)
{
    loop on(sample);
    const descriptor file = test::make_file("0123456789");
    std::string text = "xy";
    record write(opcode::write, file.get(), text.data(), text.size());
    write.offset = 4;
    BOOST_TEST(on.perform(write) == 2);

    std::array<char, 8> data{};
    record read(opcode::read, file.get(), data.data(), 4);
    read.offset = 3;
    BOOST_TEST(on.perform(read) == 4);
    BOOST_TEST(data.data() == "3xy6");
    BOOST_TEST(::lseek(file.get(), 0, SEEK_CUR) == 0);
}

BOOST_DATA_TEST_CASE(readv_and_writev_scatter_and_gather, modes)
{
    loop on(sample);
    const descriptor file = test::make_file();
    std::string one = "ab";
    std::string two = "cde";
    std::array<iovec, 2> from = {iovec{one.data(), 2}, iovec{two.data(), 3}};
    BOOST_TEST(on.perform(opcode::writev, file.get(), from.data(), from.size()) == 5);

    std::array<char, 4> first{};
    std::array<char, 4> second{};
    std::array<iovec, 2> to = {iovec{first.data(), 3}, iovec{second.data(), 3}};
    record read(opcode::readv, file.get(), to.data(), to.size());
    read.offset = 0;
    BOOST_TEST(on.perform(read) == 5);
    BOOST_TEST(first.data() == "abc");
    BOOST_TEST(second.data() == "de");
}

BOOST_DATA_TEST_CASE(send_and_receive_move_bytes_and_obey_their_flags, modes)
{
    loop on(sample);
    const auto ends = test::make_socket_pair();
    std::string text = "hello";
    std::array<char, 8> data{};
    BOOST_TEST(on.perform(opcode::send, ends.first.get(), text.data(), text.size(), MSG_NOSIGNAL) == 5);
    BOOST_TEST(on.perform(opcode::receive, ends.second.get(), data.data(), data.size(), MSG_PEEK) == 5);
    BOOST_TEST(on.perform(opcode::receive, ends.second.get(), data.data(), data.size()) == 5);
    BOOST_TEST(data.data() == text);

    ::shutdown(ends.first.get(), SHUT_WR);
    BOOST_TEST(on.perform(opcode::receive, ends.second.get(), data.data(), data.size()) == 0);
}

BOOST_DATA_TEST_CASE(send_message_and_receive_message_scatter_and_gather, modes)
{
    loop on(sample);
    const auto ends = test::make_socket_pair();
    std::string one = "ab";
    std::string two = "cde";
    std::array<iovec, 2> from = {iovec{one.data(), 2}, iovec{two.data(), 3}};
    msghdr out{};
    out.msg_iov = from.data();
    out.msg_iovlen = from.size();
    BOOST_TEST(on.perform(opcode::send_message, ends.first.get(), &out, 0, MSG_NOSIGNAL) == 5);

    std::array<char, 4> first{};
    std::array<char, 4> second{};
    std::array<iovec, 2> to = {iovec{first.data(), 3}, iovec{second.data(), 3}};
    msghdr in{};
    in.msg_iov = to.data();
    in.msg_iovlen = to.size();
    BOOST_TEST(on.perform(opcode::receive_message, ends.second.get(), &in) == 5);
    BOOST_TEST(first.data() == "abc");
    BOOST_TEST(second.data() == "de");
}

BOOST_DATA_TEST_CASE(accept_and_connect_meet_and_accept_tells_the_address, modes)
{
    loop on(sample);
    test::loopback_listener listener;
    const descriptor client = test::make_tcp_socket();
    sockaddr_in address{};
    socklen_t size = sizeof address;
    record accept(opcode::accept, listener.socket.get(), &address, 0, SOCK_CLOEXEC | SOCK_NONBLOCK);
    accept.address_length = &size;
    on.let_it_wait(accept);
    BOOST_TEST(on.perform(opcode::connect, client.get(), listener.name(), sizeof listener.address) == 0);
    BOOST_REQUIRE(on.finish(accept));

    const descriptor server(accept.result);
    BOOST_TEST((::fcntl(server.get(), F_GETFD) & FD_CLOEXEC) != 0);
    BOOST_TEST((::fcntl(server.get(), F_GETFL) & O_NONBLOCK) != 0);
    sockaddr_in expected{};
    socklen_t expected_size = sizeof expected;
    ::getsockname(client.get(), reinterpret_cast<sockaddr*>(&expected), &expected_size);
    BOOST_TEST(size == expected_size);
    BOOST_TEST(address.sin_port == expected.sin_port);
}

BOOST_DATA_TEST_CASE(poll_tells_the_events_that_hold, modes)
{
    loop on(sample);
    const auto ends = test::make_socket_pair();
    BOOST_TEST(on.perform(opcode::poll, ends.first.get(), nullptr, 0, POLLIN | POLLOUT) == POLLOUT);
    put(ends.second, "x");
    BOOST_TEST(on.perform(opcode::poll, ends.first.get(), nullptr, 0, POLLIN) == POLLIN);
    BOOST_TEST(on.perform(opcode::poll, ends.first.get(), nullptr, 0, POLLIN | POLLOUT) == (POLLIN | POLLOUT));
}

BOOST_DATA_TEST_CASE(urgent_data_ends_a_wait_for_it_and_other_data_does_not, modes)
{
    loop on(sample);
    test::loopback_listener listener;
    const descriptor peer = listener.connect();
    const descriptor mine(::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
    record poll(opcode::poll, mine.get(), nullptr, 0, POLLPRI);
    on.let_it_wait(poll);
    put(peer, "a");
    for (int turns = 0; turns < 3; ++turns)
        on.turn();
    BOOST_TEST(!poll.done());
    BOOST_TEST(::send(peer.get(), "!", 1, MSG_OOB) == 1);
    BOOST_TEST(on.finish(poll));
    BOOST_TEST(poll.result == POLLPRI);
    BOOST_TEST(on.perform(opcode::poll, mine.get(), nullptr, 0, POLLPRI | POLLIN) == (POLLPRI | POLLIN));
}

// Each operation, with failure

BOOST_DATA_TEST_CASE(a_bad_descriptor_is_reported, modes* each_kind, on_mode, of)
{
    loop on(on_mode);
    std::array<char, 8> data{};
    sockaddr_in address{};
    iovec piece{data.data(), data.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    record op(of.code, 1'000'000);
    switch (of.code)
    {
    case opcode::readv:
    case opcode::writev:
        op.ask(of.code, 1'000'000, &piece, 1);
        break;
    case opcode::receive_message:
    case opcode::send_message:
        op.ask(of.code, 1'000'000, &message);
        break;
    case opcode::connect:
        op.ask(of.code, 1'000'000, &address, sizeof address);
        break;
    case opcode::accept:
        break;
    case opcode::poll:
        op.flags = POLLIN;
        break;
    default:
        op.ask(of.code, 1'000'000, data.data(), data.size());
        break;
    }
    BOOST_TEST(on.perform(op) == -EBADF);
}

BOOST_DATA_TEST_CASE(failures_are_those_of_the_system_call, modes)
{
    loop on(sample);
    std::array<char, 8> data{};
    iovec piece{data.data(), data.size()};
    iovec bad_piece{nullptr, 8};
    const auto pipe = test::make_pipe();
    const int reading = pipe.first.get();
    const int writing = pipe.second.get();
    BOOST_TEST(on.perform(opcode::read, writing, data.data(), 8) == -EBADF);
    BOOST_TEST(on.perform(opcode::write, reading, data.data(), 8) == -EBADF);
    BOOST_TEST(on.perform(opcode::readv, writing, &piece, 1) == -EBADF);
    BOOST_TEST(on.perform(opcode::writev, reading, &piece, 1) == -EBADF);
    BOOST_TEST(on.perform(opcode::writev, writing, &bad_piece, 1) == -EFAULT);
    BOOST_TEST(on.perform(opcode::receive, reading, data.data(), 8) == -ENOTSOCK);
    BOOST_TEST(on.perform(opcode::send, writing, data.data(), 8) == -ENOTSOCK);
    BOOST_TEST(on.perform(opcode::accept, reading) == -ENOTSOCK);

    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    BOOST_TEST(on.perform(opcode::receive_message, reading, &message) == -ENOTSOCK);
    BOOST_TEST(on.perform(opcode::send_message, writing, &message) == -ENOTSOCK);

    const descriptor unconnected = test::make_tcp_socket();
    BOOST_TEST(on.perform(opcode::receive, unconnected.get(), data.data(), 8) == -ENOTCONN);
    BOOST_TEST(on.perform(opcode::send, unconnected.get(), data.data(), 8, MSG_NOSIGNAL) == -EPIPE);
    BOOST_TEST(on.perform(opcode::accept, unconnected.get()) == -EINVAL);

    auto ends = test::make_socket_pair();
    ends.second.reset();
    BOOST_TEST(on.perform(opcode::send, ends.first.get(), data.data(), 8, MSG_NOSIGNAL) == -EPIPE);
    BOOST_TEST(on.perform(opcode::send_message, ends.first.get(), &message, 0, MSG_NOSIGNAL) == -EPIPE);

    std::optional<test::loopback_listener> listener(std::in_place);
    sockaddr_in address = listener->address;
    listener.reset();
    const descriptor refused = test::make_tcp_socket();
    BOOST_TEST(on.perform(opcode::connect, refused.get(), &address, sizeof address) == -ECONNREFUSED);
    BOOST_TEST(on.perform(opcode::connect, reading, &address, sizeof address) == -ENOTSOCK);
}

// Each operation, waiting

BOOST_DATA_TEST_CASE(what_has_to_wait_does_and_then_succeeds, modes)
{
    loop on(sample);
    std::deque<waiting> all;
    for (const kind k : kinds_that_wait)
        on.start(all.emplace_back(k).op);
    for (int turns = 0; turns < 3; ++turns)
        on.turn();
    for (std::size_t index = 0; index < all.size(); ++index)
        BOOST_TEST(!all[index].op.done(), kinds_that_wait[index] << " waits");
    for (auto& each : all)
        each.satisfy();
    for (std::size_t index = 0; index < all.size(); ++index)
    {
        BOOST_TEST_CONTEXT(kinds_that_wait[index])
        {
            BOOST_TEST(on.finish(all[index].op));
            BOOST_TEST(all[index].succeeded(), "result " << all[index].op.result);
            BOOST_TEST(all[index].op.completions == 1);
        }
    }
}

BOOST_DATA_TEST_CASE(cancelled_in_flight_it_ends, modes* each_kind, on_mode, of)
{
    loop on(on_mode);
    waiting it(of);
    const auto id = on.let_it_wait(it.op);
    on.engine.cancel(id);
    on.engine.cancel(id);
    BOOST_TEST(on.finish(it.op));
    BOOST_TEST(it.op.result == -ECANCELED);
    BOOST_TEST(it.op.completions == 1);
    on.engine.cancel(id);
    on.turn();
    BOOST_TEST(it.op.completions == 1);
    BOOST_TEST(on.engine.counters().operations_cancelled == 1u);
}

BOOST_DATA_TEST_CASE(shut_down_in_flight_or_before_it_ends, modes* each_kind, on_mode, of)
{
    loop on(on_mode);
    waiting handed_over(of);
    waiting queued(of);
    on.let_it_wait(handed_over.op);
    on.start(queued.op);
    on.engine.shutdown(nullptr);
    for (const waiting* it : {&handed_over, &queued})
    {
        BOOST_TEST(it->op.completions == 1);
        BOOST_TEST(it->op.result == -ECANCELED);
    }
}

BOOST_DATA_TEST_CASE(detached_in_flight_it_ends, modes* each_kind, on_mode, of)
{
    loop on(on_mode);
    waiting it(of);
    on.let_it_wait(it.op);
    on.engine.detach_descriptor(it.op.descriptor);
    BOOST_TEST(on.finish(it.op));
    BOOST_TEST(it.op.result == -ECANCELED);
}

BOOST_DATA_TEST_CASE(a_cancellation_loses_no_bytes, modes)
{
    loop on(sample);
    int received = 0;
    for (int times = 0; times < 100; ++times)
    {
        const auto ends = test::make_socket_pair();
        std::array<char, 8> data{};
        record op(opcode::receive, ends.first.get(), data.data(), data.size());
        const auto id = on.let_it_wait(op);
        put(ends.second, "hello");
        if (times % 4 == 0)
            on.take_back();
        on.engine.cancel(id);
        BOOST_REQUIRE(on.finish(op));
        received += op.result == 5;
        BOOST_REQUIRE_EQUAL(op.result == 5 ? data.data() : take(ends.first), "hello");
    }
    BOOST_TEST_MESSAGE(received << " of 100 were received before their cancellation");
}

// Readiness

BOOST_DATA_TEST_CASE(descriptors_that_do_not_block_are_waited_for_all_the_same, modes)
{
    loop on(sample);
    const auto pipe = test::make_pipe(O_NONBLOCK);
    const auto ends = test::make_socket_pair(SOCK_NONBLOCK);
    test::loopback_listener listener;
    set_blocking(listener.socket, false);
    const descriptor events(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    std::array<char, 8> from_pipe{};
    std::array<char, 8> from_socket{};
    std::uint64_t count = 0;
    record read(opcode::read, pipe.first.get(), from_pipe.data(), from_pipe.size());
    record receive(opcode::receive, ends.first.get(), from_socket.data(), from_socket.size());
    record accept(opcode::accept, listener.socket.get(), nullptr, 0, SOCK_CLOEXEC);
    record read_events(opcode::read, events.get(), &count, sizeof count);
    for (record* op : {&read, &receive, &accept, &read_events})
        on.start(*op);
    for (int turns = 0; turns < 5; ++turns)
        on.turn();
    for (const record* op : {&read, &receive, &accept, &read_events})
        BOOST_TEST(!op->done());

    put(pipe.second, "pipe");
    put(ends.second, "socket");
    const descriptor client = listener.connect();
    const std::uint64_t three = 3;
    BOOST_TEST(::write(events.get(), &three, sizeof three) == 8);
    for (const record* op : {&read, &receive, &accept, &read_events})
        BOOST_TEST(on.finish(*op));
    BOOST_TEST(from_pipe.data() == "pipe");
    BOOST_TEST(from_socket.data() == "socket");
    BOOST_TEST(read.result == 4);
    BOOST_TEST(receive.result == 6);
    BOOST_TEST(accept.result >= 0);
    descriptor accepted(accept.result);
    BOOST_TEST(count == 3u);
}

BOOST_DATA_TEST_CASE(receives_of_each_flavour_work_on_a_socket_that_was_emptied, modes)
{
    loop on(sample);
    test::loopback_listener listener;
    const descriptor peer = listener.connect();
    const descriptor mine(::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const auto empty_it = [&]
    {
        std::array<char, 64> rest;
        put(peer, "rest");
        BOOST_TEST(on.perform(opcode::receive, mine.get(), rest.data(), rest.size()) == 4);
    };

    for (const int flags : {0, int(MSG_DONTWAIT), int(MSG_PEEK), int(MSG_OOB), int(MSG_WAITALL)})
    {
        BOOST_TEST_CONTEXT("flags " << flags)
        {
            empty_it();
            std::array<char, 8> data{};
            const bool urgent = flags == MSG_OOB;
            record op(opcode::receive, mine.get(), data.data(), urgent ? 1 : 2, static_cast<unsigned>(flags));
            op.ready_first = urgent ? POLLPRI : 0;
            on.let_it_wait(op);
            BOOST_TEST(::send(peer.get(), "ab", 2, urgent ? MSG_OOB : 0) == 2);
            BOOST_TEST(on.finish(op));
            BOOST_TEST(op.result == (urgent ? 1 : 2));
            BOOST_TEST(data.data() == (urgent ? "b" : "ab"));
            if (flags == MSG_PEEK || urgent)
                take(mine);
            set_blocking(mine, true);
        }
    }

    empty_it();
    std::array<char, 8> data{};
    record last(opcode::receive, mine.get(), data.data(), data.size());
    on.let_it_wait(last);
    ::shutdown(peer.get(), SHUT_WR);
    BOOST_TEST(on.finish(last));
    BOOST_TEST(last.result == 0);
    BOOST_TEST(on.perform(last) == 0);
}

BOOST_DATA_TEST_CASE(a_record_that_was_tried_again_can_be_started_as_another_operation, modes)
{
    loop on(sample);
    const auto ends = test::make_socket_pair();
    std::array<char, 8> data{};
    record op(opcode::receive, ends.first.get(), data.data(), data.size(), MSG_DONTWAIT);
    on.let_it_wait(op);
    on.turn();
    put(ends.second, "hello");
    BOOST_TEST(on.finish(op));

    op.ask(opcode::send, ends.first.get(), data.data(), 5, MSG_NOSIGNAL);
    BOOST_TEST(on.perform(op) == 5);
    BOOST_TEST(take(ends.second) == "hello");
}

BOOST_DATA_TEST_CASE(who_asks_not_to_wait_is_told_so, modes)
{
    loop on(sample);
    const auto pipe = test::make_pipe();
    std::array<char, 8> data{};
    BOOST_TEST(on.perform(opcode::read, pipe.first.get(), data.data(), data.size(), RWF_NOWAIT) == -EAGAIN);
}

BOOST_DATA_TEST_CASE(a_transfer_that_need_not_wait_can_be_performed_now, modes)
{
    loop on(sample);
    const auto ends = test::make_socket_pair();
    const auto pipe = test::make_pipe();
    std::array<char, 8> data{};
    std::string text = "hello";
    record send(opcode::send, ends.first.get(), text.data(), text.size(), MSG_NOSIGNAL);
    record receive(opcode::receive, ends.second.get(), data.data(), data.size());
    record write(opcode::write, pipe.second.get(), text.data(), text.size());
    record read(opcode::read, pipe.first.get(), data.data(), 2);
    for (record* op : {&send, &receive, &write, &read})
        BOOST_TEST_REQUIRE(on.engine.perform_now(*op));
    BOOST_TEST(send.result == 5);
    BOOST_TEST(receive.result == 5);
    BOOST_TEST(write.result == 5);
    BOOST_TEST(read.result == 2);
    BOOST_TEST(!receive.done());
    BOOST_TEST(on.engine.counters().operations_completed >= 4u);

    // The rest is waited for as ever.
    BOOST_TEST(on.perform(read) == 2);
    BOOST_TEST(std::string(data.data(), 2) == "ll");
    ::shutdown(ends.first.get(), SHUT_RDWR);
    BOOST_TEST(on.engine.perform_now(receive));
    BOOST_TEST(receive.result == 0);
    BOOST_TEST(on.engine.perform_now(send));
    BOOST_TEST(send.result == -EPIPE);
}

BOOST_DATA_TEST_CASE(what_must_wait_or_is_no_transfer_is_not_performed_now, modes)
{
    loop on(sample);
    const auto ends = test::make_socket_pair();
    const auto pipe = test::make_pipe();
    const descriptor file = test::make_file("text");
    BOOST_TEST(!on.engine.attach_descriptor(file.get()));
    std::array<char, 8> data{};
    set_blocking(ends.first, true);
    record receive(opcode::receive, ends.first.get(), data.data(), data.size());
    record read(opcode::read, pipe.first.get(), data.data(), data.size());
    record poll(opcode::poll, ends.first.get(), nullptr, 0, POLLOUT);
    record of_file(opcode::read, file.get(), data.data(), data.size());
    record urgent(opcode::receive, ends.first.get(), data.data(), 1, MSG_OOB);
    for (record* op : {&receive, &read, &poll, &of_file, &urgent})
        BOOST_TEST(!on.engine.perform_now(*op));

    // And can be started after all.
    put(ends.second, "hello");
    BOOST_TEST(on.perform(receive) == 5);
    BOOST_TEST(on.perform(poll) == POLLOUT);
    BOOST_TEST(on.perform(of_file) == 4);
    on.engine.detach_descriptor(file.get());
}

BOOST_DATA_TEST_CASE(nothing_is_performed_before_what_was_started_earlier, modes)
{
    loop on(sample);
    const auto ends = test::make_socket_pair();
    std::array<char, 2> first{};
    std::array<char, 2> second{};
    record one(opcode::receive, ends.first.get(), first.data(), first.size());
    record two(opcode::receive, ends.first.get(), second.data(), second.size());
    on.let_it_wait(one);
    put(ends.second, "abcd");
    BOOST_TEST(!on.engine.perform_now(two)); // though there is something to be had
    on.engine.start(two);
    BOOST_TEST(on.finish(one));
    BOOST_TEST(on.finish(two));
    BOOST_TEST(std::string(first.data(), 2) == "ab");
    BOOST_TEST(std::string(second.data(), 2) == "cd");

    record send(opcode::send, ends.first.get(), first.data(), first.size(), MSG_NOSIGNAL);
    BOOST_TEST(on.engine.perform_now(send)); // the other direction
}

BOOST_DATA_TEST_CASE(an_operation_can_wait_for_other_events_first, modes)
{
    loop on(sample);
    const auto ends = test::make_socket_pair();
    std::string text = "hello";
    record op(opcode::send, ends.first.get(), text.data(), text.size(), MSG_NOSIGNAL);
    op.ready_first = POLLIN;
    on.let_it_wait(op);
    BOOST_TEST(take(ends.second) == "nothing");
    put(ends.second, "x");
    BOOST_TEST(on.finish(op));
    BOOST_TEST(op.result == 5);
    BOOST_TEST(take(ends.second) == "hello");
}

BOOST_DATA_TEST_CASE(a_local_connect_that_finds_no_room_is_not_taken_for_connected,
                     modes* boost::unit_test::data::make({0, int(SOCK_NONBLOCK)}), on_mode, flags)
{
    loop on(on_mode);
    const descriptor listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socklen_t size = sizeof(sa_family_t); // binds to a free name
    auto* const name = reinterpret_cast<sockaddr*>(&address);
    BOOST_REQUIRE_EQUAL(::bind(listener.get(), name, size), 0);
    size = sizeof address;
    BOOST_REQUIRE_EQUAL(::getsockname(listener.get(), name, &size), 0);
    BOOST_REQUIRE_EQUAL(::listen(listener.get(), 0), 0);
    const descriptor first(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    BOOST_REQUIRE_EQUAL(::connect(first.get(), name, size), 0);

    const descriptor second(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
    record op(opcode::connect, second.get(), name, size);
    on.start(op);
    for (int times = 0; times < 3; ++times)
    {
        for (int turns = 0; turns < 3; ++turns)
            on.turn();
        on.take_back();
    }
    if (op.done())
    {
        BOOST_TEST(op.result == -EAGAIN);
        return;
    }
    descriptor accepted(::accept(listener.get(), nullptr, nullptr));
    BOOST_TEST(on.finish(op));
    // One that does not block may have been told so in the meantime. A success is one, whatever came between.
    BOOST_TEST((op.result == 0 || (flags != 0 && op.result == -EAGAIN)));
    BOOST_TEST((::send(second.get(), "x", 1, MSG_NOSIGNAL) == 1) == (op.result == 0));
}

// Ids and descriptors

BOOST_DATA_TEST_CASE(a_stale_id_cancels_nothing_even_if_its_place_is_taken_again, modes)
{
    loop on(sample);
    record first;
    const auto stale = on.start(first);
    BOOST_TEST(on.finish(first));

    waiting next({opcode::receive, "receive"});
    const auto id = on.let_it_wait(next.op);
    BOOST_TEST(id.index == stale.index);
    BOOST_TEST(id.generation != stale.generation);
    on.engine.cancel(stale);
    on.engine.cancel({});
    for (int turns = 0; turns < 3; ++turns)
        on.turn();
    BOOST_TEST(!next.op.done());
    next.satisfy();
    BOOST_TEST(on.finish(next.op));
    BOOST_TEST(next.succeeded());
    BOOST_TEST(on.engine.counters().cancels_requested == 0u);
}

BOOST_DATA_TEST_CASE(cancel_descriptor_ends_what_is_on_it_and_nothing_else, modes)
{
    loop on(sample);
    const auto pipe = test::make_pipe();
    char byte;
    record handed_over(opcode::read, pipe.first.get(), &byte, 1);
    record polled(opcode::poll, pipe.first.get(), nullptr, 0, POLLIN);
    record queued(opcode::read, pipe.first.get(), &byte, 1);
    waiting other({opcode::receive, "receive"});
    on.start(polled);
    on.start(other.op);
    on.let_it_wait(handed_over);
    on.start(queued);

    on.engine.cancel_descriptor(pipe.first.get());
    for (const record* op : {&handed_over, &polled, &queued})
    {
        BOOST_TEST(on.finish(*op));
        BOOST_TEST(op->result == -ECANCELED);
    }
    for (int turns = 0; turns < 3; ++turns)
        on.turn();
    BOOST_TEST(!other.op.done());
    on.engine.cancel_descriptor(-1);
    on.engine.cancel_descriptor(1'000'000);

    // The descriptor is as good as before.
    record again(opcode::read, pipe.first.get(), &byte, 1);
    on.let_it_wait(again);
    put(pipe.second, "x");
    BOOST_TEST(on.finish(again));
    BOOST_TEST(again.result == 1);
}

BOOST_DATA_TEST_CASE(detached_descriptors_can_be_closed_and_their_number_used_again, modes)
{
    for (const bool handed_over : {false, true})
    {
        loop on(sample);
        auto old = test::make_socket_pair();
        const auto fresh = test::make_socket_pair();
        const int number = old.first.get();
        std::array<char, 8> data{};
        record receive(opcode::receive, number, data.data(), data.size());
        record poll(opcode::poll, number, nullptr, 0, POLLIN);
        on.start(receive);
        on.start(poll);
        if (handed_over)
            on.turn();

        on.engine.detach_descriptor(number);
        reuse(number, fresh.first); // closes the old file
        put(fresh.second, "hello");
        BOOST_TEST(on.finish(receive));
        BOOST_TEST(on.finish(poll));
        BOOST_TEST(receive.result == -ECANCELED);
        BOOST_TEST(poll.result == -ECANCELED);
        BOOST_TEST(take(fresh.first) == "hello");
        // Nor does the engine hold the old file: its other end sees that.
        BOOST_TEST(take(old.second) == "");

        record again(opcode::receive, number, data.data(), data.size());
        on.let_it_wait(again);
        put(fresh.second, "again");
        BOOST_TEST(on.finish(again));
        BOOST_TEST(again.result == 5);
    }
}

BOOST_DATA_TEST_CASE(detached_from_another_thread_while_a_turn_sleeps_it_can_be_closed, locked_modes)
{
    loop on(sample);
    for (int times = 0; times < 50; ++times)
    {
        auto old = test::make_socket_pair();
        const auto fresh = test::make_socket_pair();
        const int number = old.first.get();
        std::array<char, 8> data{};
        record receive(opcode::receive, number, data.data(), data.size());
        runner thread(on);
        on.engine.start(receive);
        if (times % 2 != 0)
            on.engine.wake(); // a turn that is on its way in or out, instead of one that sleeps
        on.engine.detach_descriptor(number);
        reuse(number, fresh.first);
        put(fresh.second, "hello");
        BOOST_TEST(eventually([&] { return receive.done(); }));
        thread.stop();
        BOOST_TEST(receive.result == -ECANCELED);
        BOOST_TEST(take(fresh.first) == "hello");
    }
}

BOOST_DATA_TEST_CASE(a_descriptor_is_attached_once, modes)
{
    loop on(sample);
    namespace errc = boost::system::errc;
    auto ends = test::make_socket_pair();
    const int number = ends.first.get();
    BOOST_TEST(on.engine.attach_descriptor(-1) == errc::bad_file_descriptor);
    BOOST_TEST(on.engine.attach_descriptor(1'000'000) == errc::bad_file_descriptor);
    BOOST_TEST(!on.engine.attach_descriptor(number));
    BOOST_TEST(on.engine.attach_descriptor(number) == errc::file_exists);
    on.engine.detach_descriptor(number);
    BOOST_TEST(!on.engine.attach_descriptor(number));

    // Closed behind our back, and the number given to another file.
    const auto other = test::make_socket_pair();
    reuse(number, other.first);
    BOOST_TEST(!on.engine.attach_descriptor(number));
    BOOST_TEST(on.engine.attach_descriptor(number) == errc::file_exists);
    on.engine.detach_descriptor(number);
    on.engine.detach_descriptor(number);
    on.engine.detach_descriptor(-1);
}

BOOST_DATA_TEST_CASE(a_record_may_be_freed_where_it_completes, modes)
{
    loop on(sample);
    int completed = 0;
    const auto pipe = test::make_pipe();
    char byte;
    for (int count = 0; count < 10; ++count)
    {
        auto* const op = new record(count % 2 == 0 ? opcode::nop : opcode::read, pipe.first.get(), &byte, 1);
        op->then = [&](record& self)
        {
            ++completed;
            delete &self;
        };
        on.engine.start(*op);
    }
    BOOST_TEST(on.until([&] { return completed == 5; }));
    on.engine.shutdown(nullptr);
    BOOST_TEST(completed == 10);
}

BOOST_DATA_TEST_CASE(the_sink_reaches_the_completion, modes)
{
    loop on(sample);
    struct sink_record : zsync::operation
    {
        void* seen = nullptr;
    } op;
    op.on_complete = [](zsync::operation& self, void* sink) noexcept { static_cast<sink_record&>(self).seen = sink; };
    int mark;
    on.engine.start(op);
    BOOST_TEST(eventually(
        [&]
        {
            on.engine.turn(microseconds(10), &mark);
            return op.seen != nullptr;
        }));
    BOOST_TEST(op.seen == &mark);
}

BOOST_DATA_TEST_CASE(a_turn_ends_with_the_first_completion, modes)
{
    loop on(sample);
    const auto pipe = test::make_pipe();
    char byte;
    record op(opcode::read, pipe.first.get(), &byte, 1);
    on.let_it_wait(op);
    std::thread writer([&] { put(pipe.second, "x"); });
    while (!op.done())
        on.turn(forever);
    writer.join();
    BOOST_TEST(op.result == 1);
}

BOOST_DATA_TEST_CASE(waking_before_the_turn_makes_it_return_at_once, modes)
{
    loop on(sample);
    for (int times = 0; times < 3; ++times)
    {
        on.engine.wake();
        on.engine.wake();
        on.turn(forever);
    }
    // And is used up by that.
    const auto begin = steady_clock::now();
    on.turn(20ms);
    BOOST_TEST((steady_clock::now() - begin >= 20ms));
    BOOST_TEST(on.engine.counters().wakes == 0u); // nobody slept
}

BOOST_DATA_TEST_CASE(what_another_thread_starts_or_cancels_reaches_a_sleeping_turn, locked_modes)
{
    loop on(sample);
    runner thread(on);
    for (int times = 0; times < 100; ++times)
    {
        record nop;
        on.engine.start(nop);
        BOOST_REQUIRE(eventually([&] { return nop.done(); }));

        waiting receive({opcode::receive, "receive"});
        const auto id = on.start(receive.op);
        if (times % 2 == 0)
            receive.satisfy();
        else
            on.engine.cancel(id);
        BOOST_REQUIRE(eventually([&] { return receive.op.done(); }));
        BOOST_REQUIRE((times % 2 == 0 ? receive.succeeded() : receive.op.result == -ECANCELED));
    }
}

BOOST_DATA_TEST_CASE(operations_outlive_a_thread_that_started_them_while_another_slept, locked_modes)
{
    loop on(sample);
    std::deque<waiting> all;
    runner thread(on);
    std::thread(
        [&]
        {
            for (const kind k : kinds_that_wait)
                on.start(all.emplace_back(k).op);
        })
        .join();
    for (auto& each : all)
        each.satisfy();
    for (auto& each : all)
        BOOST_TEST(eventually([&] { return each.op.done(); }));
    thread.stop();
    for (std::size_t index = 0; index < all.size(); ++index)
        BOOST_TEST(all[index].succeeded(), kinds_that_wait[index] << ": " << all[index].op.result);
}

// A thread that ends may leave its identity to the next one.
BOOST_DATA_TEST_CASE(one_thread_after_another_takes_the_turns, locked_modes)
{
    loop on(sample);
    waiting kept({opcode::receive, "receive"});
    on.start(kept.op);
    for (int times = 0; times < 5; ++times)
    {
        std::string failure;
        std::thread(
            [&]
            {
                try
                {
                    record op;
                    BOOST_TEST(on.perform(op) == 0);
                    on.engine.leave();
                }
                catch (const std::exception& error)
                {
                    failure = error.what();
                }
            })
            .join();
        BOOST_TEST(failure == "");
    }
    BOOST_TEST(!kept.op.done());
    kept.satisfy();
    BOOST_TEST(on.finish(kept.op));
    BOOST_TEST(kept.succeeded());
}

BOOST_DATA_TEST_CASE(any_thread_may_shut_down, locked_modes)
{
    waiting receive({opcode::receive, "receive"});
    waiting connect({opcode::connect, "connect"});
    loop on(sample);
    std::thread(
        [&]
        {
            on.start(connect.op);
            on.let_it_wait(receive.op);
            on.engine.leave();
        })
        .join();
    std::thread([&] { on.engine.shutdown(nullptr); }).join();
    BOOST_TEST(receive.op.result == -ECANCELED);
    BOOST_TEST(connect.op.result == -ECANCELED);
    BOOST_TEST(receive.op.completions == 1);
}

// The end

BOOST_DATA_TEST_CASE(after_shutdown_cancel_and_the_descriptor_functions_are_accepted, modes)
{
    loop on(sample);
    waiting it({opcode::receive, "receive"});
    const auto id = on.let_it_wait(it.op);
    BOOST_TEST(!on.engine.stopped());
    on.engine.shutdown(nullptr);
    BOOST_TEST(on.engine.stopped());
    on.engine.cancel(id);
    on.engine.cancel_descriptor(it.op.descriptor);
    BOOST_TEST(!on.engine.attach_descriptor(it.op.descriptor));
    on.engine.detach_descriptor(it.op.descriptor);
    on.engine.wake();
    on.engine.shutdown(nullptr);
    BOOST_TEST(it.op.completions == 1);
}

BOOST_DATA_TEST_CASE(completions_of_a_shutdown_may_cancel_and_detach, modes)
{
    loop on(sample);
    const auto pipe = test::make_pipe();
    char byte;
    std::array<record, 2> ops;
    std::array<operation_id, 2> ids;
    for (std::size_t index = 0; index < 2; ++index)
    {
        ops[index].ask(opcode::read, pipe.first.get(), &byte, 1);
        ops[index].then = [&, index](record& self)
        {
            on.engine.cancel(ids[1 - index]);
            on.engine.detach_descriptor(self.descriptor);
        };
        ids[index] = on.start(ops[index]);
    }
    on.turn();
    on.engine.shutdown(nullptr);
    BOOST_TEST(ops[0].completions == 1);
    BOOST_TEST(ops[1].completions == 1);
}

BOOST_DATA_TEST_CASE(an_engine_that_never_turned_shuts_down, modes)
{
    record never;
    {
        loop on(sample);
        on.engine.start(never);
    }
    BOOST_TEST(never.completions == 1);
    BOOST_TEST(never.result == -ECANCELED);
}
