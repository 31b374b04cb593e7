// SPDX-License-Identifier: BSL-1.0
#include <zsync/core/in_flight.hpp>

#include <boost/test/unit_test.hpp>

#include <array>
#include <cstdint>
#include <set>
#include <vector>

using zsync::direction;
using zsync::in_flight;
using zsync::operation;
using zsync::operation_id;

namespace
{

operation on(int descriptor)
{
    operation op;
    op.descriptor = descriptor;
    return op;
}

operation going(int descriptor, direction way)
{
    operation op = on(descriptor);
    op.way = way;
    return op;
}

std::vector<operation*> on_descriptor(in_flight& records, int descriptor)
{
    std::vector<operation*> found;
    const bool any = records.for_each_on(descriptor, [&](operation& op) { found.push_back(&op); });
    BOOST_TEST(any == !found.empty());
    return found;
}

std::vector<operation*> all(in_flight& records)
{
    std::vector<operation*> found;
    records.for_each([&](operation& op) { found.push_back(&op); });
    return found;
}

using list = std::vector<operation*>;

} // namespace

BOOST_AUTO_TEST_SUITE(core_in_flight)

BOOST_AUTO_TEST_CASE(an_id_finds_its_record_while_it_is_entered)
{
    in_flight records;
    operation first;
    operation second;
    records.enter(first);
    records.enter(second);
    BOOST_TEST(records.find(first.id) == &first);
    BOOST_TEST(records.find(second.id) == &second);
    BOOST_TEST(!(first.id == second.id));

    records.leave(first);
    BOOST_TEST(!records.find(first.id));
    BOOST_TEST(records.find(second.id) == &second);
    records.leave(second);
}

BOOST_AUTO_TEST_CASE(the_default_id_names_nothing)
{
    in_flight records;
    BOOST_TEST(!records.find({}));
    operation op;
    records.enter(op);
    BOOST_TEST(op.id.generation != 0u);
    BOOST_TEST(!records.find({}));
    BOOST_TEST(!records.find({op.id.index, 0}));
    records.leave(op);
    BOOST_TEST(!records.find({}));
}

BOOST_AUTO_TEST_CASE(ids_that_were_never_given_name_nothing)
{
    in_flight records;
    operation op;
    records.enter(op);
    BOOST_TEST(!records.find({op.id.index + 1, op.id.generation}));
    BOOST_TEST(!records.find({op.id.index, op.id.generation + 1}));
    BOOST_TEST(!records.find({~std::uint32_t{0}, ~std::uint32_t{0}}));
    records.leave(op);
}

BOOST_AUTO_TEST_CASE(an_index_is_used_again_with_another_generation)
{
    in_flight records;
    operation op;
    records.enter(op);
    const operation_id before = op.id;
    records.leave(op);

    operation next;
    records.enter(next);
    BOOST_TEST(next.id.index == before.index);
    BOOST_TEST(next.id.generation != before.generation);
    BOOST_TEST(!records.find(before));
    BOOST_TEST(records.find(next.id) == &next);
    records.leave(next);
}

BOOST_AUTO_TEST_CASE(the_same_record_gets_a_new_id_each_time)
{
    in_flight records;
    operation op;
    std::set<std::uint32_t> generations;
    for (int turn = 0; turn < 1000; ++turn)
    {
        records.enter(op);
        BOOST_REQUIRE(op.id.index == 0u);
        BOOST_REQUIRE(generations.insert(op.id.generation).second);
        records.leave(op);
    }
}

BOOST_AUTO_TEST_CASE(indices_stay_dense_however_many_come_and_go)
{
    in_flight records;
    std::array<operation, 100> ops;
    for (int turn = 0; turn < 10; ++turn)
    {
        std::set<std::uint32_t> indices;
        for (auto& op : ops)
        {
            records.enter(op);
            BOOST_REQUIRE(op.id.index < ops.size());
            BOOST_REQUIRE(indices.insert(op.id.index).second);
        }
        // From both ends, so that the free list is not in the order of the indices.
        for (std::size_t index = 0; index < ops.size(); index += 2)
            records.leave(ops[index]);
        for (std::size_t index = ops.size(); index > 0; index -= 2)
            records.leave(ops[index - 1]);
        BOOST_REQUIRE(all(records).empty());
    }
}

BOOST_AUTO_TEST_CASE(records_of_a_descriptor_are_visited_in_the_order_they_entered)
{
    in_flight records;
    operation a = on(3);
    operation b = on(3);
    operation c = on(3);
    operation other = on(4);
    for (operation* op : {&a, &other, &b, &c})
        records.enter(*op);
    BOOST_TEST(on_descriptor(records, 3) == (list{&a, &b, &c}));
    BOOST_TEST(on_descriptor(records, 4) == (list{&other}));

    records.leave(b);
    BOOST_TEST(on_descriptor(records, 3) == (list{&a, &c}));
    records.leave(a);
    records.leave(c);
    BOOST_TEST(on_descriptor(records, 3).empty());
    BOOST_TEST(on_descriptor(records, 4) == (list{&other}));
    records.leave(other);
}

BOOST_AUTO_TEST_CASE(descriptors_nobody_has_seen_have_no_records)
{
    in_flight records;
    BOOST_TEST(on_descriptor(records, -1).empty());
    BOOST_TEST(on_descriptor(records, 0).empty());
    BOOST_TEST(on_descriptor(records, 1'000'000).empty());
    records.detach(-1);
    records.detach(1'000'000);
}

BOOST_AUTO_TEST_CASE(records_without_a_descriptor_are_found_by_id_only)
{
    in_flight records;
    operation op = on(-1);
    records.enter(op);
    BOOST_TEST(records.find(op.id) == &op);
    BOOST_TEST(on_descriptor(records, -1).empty());
    BOOST_TEST(all(records) == (list{&op}));
    records.leave(op);
}

BOOST_AUTO_TEST_CASE(a_list_survives_the_growth_of_the_table)
{
    in_flight records;
    operation low = on(0);
    operation high = on(100'000);
    records.enter(low);
    records.enter(high);
    BOOST_TEST(on_descriptor(records, 0) == (list{&low}));
    BOOST_TEST(on_descriptor(records, 100'000) == (list{&high}));
    records.leave(low);
    records.leave(high);
    BOOST_TEST(on_descriptor(records, 100'000).empty());
}

BOOST_AUTO_TEST_CASE(the_visited_record_may_be_taken_out)
{
    in_flight records;
    std::array<operation, 8> ops;
    for (std::size_t index = 0; index < ops.size(); ++index)
    {
        ops[index].descriptor = static_cast<int>(index % 2);
        records.enter(ops[index]);
    }

    std::size_t visited = 0;
    records.for_each_on(0,
                        [&](operation& op)
                        {
                            ++visited;
                            records.leave(op);
                        });
    BOOST_TEST(visited == 4u);
    BOOST_TEST(on_descriptor(records, 0).empty());
    BOOST_TEST(all(records).size() == 4u);

    visited = 0;
    records.for_each(
        [&](operation& op)
        {
            if (visited++ % 2 == 0)
                records.leave(op);
        });
    BOOST_TEST(visited == 4u);
    BOOST_TEST(all(records).size() == 2u);
    records.for_each([&](operation& op) { records.leave(op); });
    BOOST_TEST(all(records).empty());
}

BOOST_AUTO_TEST_CASE(the_visited_record_may_leave_and_enter_again)
{
    in_flight records;
    operation a = on(5);
    operation b = on(5);
    records.enter(a);
    records.enter(b);
    const operation_id before = a.id;
    std::size_t visited = 0;
    records.for_each(
        [&](operation& op)
        {
            ++visited;
            records.leave(op);
            records.enter(op);
        });
    BOOST_TEST(visited == 2u);
    BOOST_TEST(!records.find(before));
    BOOST_TEST(records.find(a.id) == &a);
    records.leave(a);
    records.leave(b);
}

BOOST_AUTO_TEST_CASE(a_way_is_the_firsts_and_then_the_next_ones_in_the_order_in_which_they_entered)
{
    in_flight records;
    operation first = going(3, direction::in);
    operation second = going(3, direction::in);
    operation third = going(3, direction::in);
    BOOST_TEST(records.enter(first));
    BOOST_TEST(!records.enter(second));
    BOOST_TEST(!records.enter(third));
    BOOST_TEST(on_descriptor(records, 3) == (list{&first, &second, &third}));

    BOOST_TEST(records.leave(first) == &second);
    BOOST_TEST(on_descriptor(records, 3) == (list{&second, &third}));
    BOOST_TEST(records.leave(second) == &third);
    BOOST_TEST(!records.leave(third));
    BOOST_TEST(records.enter(first));
    BOOST_TEST(!records.leave(first));
}

BOOST_AUTO_TEST_CASE(who_is_held_may_leave_and_gives_nobody_the_way)
{
    in_flight records;
    operation first = going(3, direction::out);
    operation second = going(3, direction::out);
    operation third = going(3, direction::out);
    records.enter(first);
    records.enter(second);
    records.enter(third);
    BOOST_TEST(!records.leave(second));
    BOOST_TEST(records.leave(first) == &third);
    BOOST_TEST(!records.leave(third));
    BOOST_TEST(on_descriptor(records, 3).empty());
}

BOOST_AUTO_TEST_CASE(directions_descriptors_and_records_without_a_way_do_not_hold_each_other)
{
    in_flight records;
    operation in = going(3, direction::in);
    operation out = going(3, direction::out);
    operation elsewhere = going(4, direction::in);
    operation nowhere = going(-1, direction::in);
    operation wait = going(3, direction::none);
    for (operation* op : {&in, &out, &elsewhere, &nowhere, &wait})
        BOOST_TEST(records.enter(*op));
    BOOST_TEST(on_descriptor(records, 3) == (list{&in, &out, &wait}));
    for (operation* op : {&in, &out, &elsewhere, &nowhere, &wait})
        BOOST_TEST(!records.leave(*op));
    BOOST_TEST(all(records).empty());
}

BOOST_AUTO_TEST_CASE(a_visit_that_takes_the_first_out_goes_on_with_the_next_in_its_way)
{
    in_flight records;
    std::array<operation, 3> ops;
    for (operation& op : ops)
    {
        op = going(3, direction::out);
        records.enter(op);
    }
    operation wait = on(3);
    records.enter(wait);

    list visited;
    records.for_each_on(3,
                        [&](operation& op)
                        {
                            visited.push_back(&op);
                            if (&op != &ops[2])
                                records.leave(op);
                        });
    BOOST_TEST(visited == (list{&ops[0], &ops[1], &ops[2], &wait}));
    BOOST_TEST(on_descriptor(records, 3) == (list{&ops[2]}));
    records.leave(ops[2]);
}

BOOST_AUTO_TEST_CASE(a_file_is_attached_once)
{
    in_flight records;
    const in_flight::file_identity file{1, 2};
    BOOST_TEST(records.attach(7, file));
    BOOST_TEST(!records.attach(7, file));
    records.detach(7);
    BOOST_TEST(records.attach(7, file));
}

BOOST_AUTO_TEST_CASE(a_number_that_stands_for_another_file_is_attached_anew)
{
    in_flight records;
    BOOST_TEST(records.attach(7, {1, 2}));
    BOOST_TEST(records.attach(7, {1, 3}));
    BOOST_TEST(!records.attach(7, {1, 3}));
    BOOST_TEST(records.attach(7, {2, 3}));
}

BOOST_AUTO_TEST_CASE(one_file_may_be_attached_by_two_numbers)
{
    in_flight records;
    BOOST_TEST(records.attach(7, {1, 2}));
    BOOST_TEST(records.attach(8, {1, 2}));
    records.detach(7);
    BOOST_TEST(!records.attach(8, {1, 2}));
}

BOOST_AUTO_TEST_CASE(a_transfer_may_go_now_if_its_way_is_free_and_it_names_what_can_be_waited_for)
{
    in_flight records;
    operation first = on(7);
    operation second = on(7);
    first.way = second.way = zsync::direction::in;
    BOOST_TEST(records.may_go_now(first));
    BOOST_TEST(records.enter(first));
    BOOST_TEST(!records.may_go_now(second));
    second.way = zsync::direction::out;
    BOOST_TEST(records.may_go_now(second));
    BOOST_TEST(!records.leave(first));
    BOOST_TEST(records.may_go_now(first));

    second.way = zsync::direction::none;
    BOOST_TEST(!records.may_go_now(second));
    BOOST_TEST(records.attach(8, {1, 2}, false));
    operation of_file = on(8);
    of_file.way = zsync::direction::in;
    BOOST_TEST(!records.may_go_now(of_file));
    operation direct = on(zsync::direct_name(0)); // no number, so no system call
    direct.way = zsync::direction::in;
    BOOST_TEST(!records.may_go_now(direct));
}

BOOST_AUTO_TEST_CASE(attaching_and_records_do_not_depend_on_each_other)
{
    in_flight records;
    operation op = on(7);
    records.enter(op);
    BOOST_TEST(records.attach(7, {1, 2}));
    records.detach(7);
    BOOST_TEST(on_descriptor(records, 7) == (list{&op}));
    records.leave(op);
    BOOST_TEST(records.attach(7, {1, 2}));
}

BOOST_AUTO_TEST_SUITE_END()
