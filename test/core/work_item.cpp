// SPDX-License-Identifier: BSL-1.0
#include <zsync/core/work_item.hpp>

#include <boost/test/unit_test.hpp>

#include <array>
#include <atomic>
#include <barrier>
#include <memory>
#include <thread>
#include <vector>

using zsync::work_inbox;
using zsync::work_item;
using zsync::work_queue;

namespace
{

struct numbered : work_item
{
    unsigned producer = 0;
    unsigned number = 0;
};

std::vector<unsigned> drain(work_queue& queue)
{
    std::vector<unsigned> numbers;
    while (work_item* const item = queue.pop())
        numbers.push_back(static_cast<numbered*>(item)->number);
    return numbers;
}

} // namespace

BOOST_AUTO_TEST_SUITE(core_work_item)

BOOST_AUTO_TEST_CASE(a_queue_gives_items_back_in_order)
{
    work_queue queue;
    BOOST_TEST(queue.empty());
    BOOST_TEST(!queue.pop());
    std::array<numbered, 3> items;
    for (unsigned i = 0; i != items.size(); ++i)
    {
        items[i].number = i;
        queue.push(items[i]);
    }
    BOOST_TEST(!queue.empty());
    BOOST_TEST(queue.front() == &items[0]);
    BOOST_TEST((drain(queue) == std::vector<unsigned>{0, 1, 2}));
    BOOST_TEST(queue.empty());
}

BOOST_AUTO_TEST_CASE(a_queue_that_was_emptied_takes_items_again)
{
    work_queue queue;
    numbered first, second;
    first.number = 1;
    second.number = 2;
    for (int round = 0; round != 2; ++round)
    {
        queue.push(first);
        queue.push(second);
        BOOST_TEST(queue.pop() == &first);
        queue.push(first);
        BOOST_TEST((drain(queue) == std::vector<unsigned>{2, 1}));
    }
}

BOOST_AUTO_TEST_CASE(an_inbox_tells_the_first_item_from_the_others)
{
    work_inbox inbox;
    numbered first, second;
    BOOST_TEST(inbox.empty());
    BOOST_TEST(inbox.push(first));
    BOOST_TEST(!inbox.push(second));
    BOOST_TEST(!inbox.empty());
    work_queue queue;
    inbox.take(queue);
    BOOST_TEST(inbox.empty());
    BOOST_TEST(inbox.push(first) == true);
}

BOOST_AUTO_TEST_CASE(an_inbox_is_emptied_behind_what_is_queued_and_in_order)
{
    work_inbox inbox;
    work_queue queue;
    std::array<numbered, 4> items;
    for (unsigned i = 0; i != items.size(); ++i)
        items[i].number = i;
    queue.push(items[0]);
    for (unsigned i = 1; i != items.size(); ++i)
        inbox.push(items[i]);
    inbox.take(queue);
    BOOST_TEST((drain(queue) == std::vector<unsigned>{0, 1, 2, 3}));
    inbox.take(queue);
    BOOST_TEST(queue.empty());
}

// What producers write before they push, the consumer reads without further ado: for ThreadSanitizer.
BOOST_AUTO_TEST_CASE(an_inbox_takes_all_items_of_many_threads_each_in_its_order)
{
    constexpr unsigned producers = 3, each = 5000;
    work_inbox inbox;
    std::vector<std::unique_ptr<numbered[]>> items;
    for (unsigned p = 0; p != producers; ++p)
        items.push_back(std::make_unique<numbered[]>(each));
    std::atomic<unsigned> wakes{0};
    std::barrier<> start(producers + 1);
    std::vector<std::thread> threads;
    for (unsigned p = 0; p != producers; ++p)
        threads.emplace_back(
            [&, p]
            {
                start.arrive_and_wait();
                for (unsigned i = 0; i != each; ++i)
                {
                    items[p][i].producer = p;
                    items[p][i].number = i;
                    wakes += inbox.push(items[p][i]);
                }
            });
    start.arrive_and_wait();
    std::array<unsigned, producers> next{};
    unsigned taken = 0, wrong = 0, batches = 0;
    for (work_queue queue; taken != producers * each;)
    {
        inbox.take(queue);
        batches += !queue.empty();
        for (; work_item* const item = queue.pop(); ++taken)
        {
            const auto& found = *static_cast<numbered*>(item);
            wrong += found.number != next[found.producer]++;
        }
    }
    for (auto& t : threads)
        t.join();
    BOOST_TEST(wrong == 0u);
    BOOST_TEST(wakes == batches);
}

BOOST_AUTO_TEST_SUITE_END()
