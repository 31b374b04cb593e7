// SPDX-License-Identifier: BSL-1.0
#include <zsync/fiber/stack_pool.hpp>

#include <zsync/platform/memory.hpp>

#include "support/captured_errors.hpp"
#include "support/child_process.hpp"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <new>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

using zsync::stack_guard;
using zsync::stack_pool;
using zsync::stack_pool_options;
using zsync::stack_view;

namespace zsync
{

static std::ostream& operator<<(std::ostream& out, stack_guard guard)
{
    constexpr const char* names[] = {"page_table", "mprotect", "canary"};
    return out << names[static_cast<int>(guard)];
}

} // namespace zsync

namespace
{

constexpr stack_guard guards[] = {stack_guard::page_table, stack_guard::mprotect, stack_guard::canary};

std::size_t page()
{
    return zsync::page_size();
}

void write(std::byte* at, unsigned value = 1)
{
    *const_cast<volatile std::byte*>(at) = static_cast<std::byte>(value);
}

bool all_zero(stack_view stack)
{
    return std::all_of(stack.base, stack.top(), [](std::byte value) { return value == std::byte{}; });
}

std::vector<stack_view> take(stack_pool& pool, std::size_t count)
{
    std::vector<stack_view> stacks;
    stacks.reserve(count);
    while (stacks.size() < count)
        stacks.push_back(pool.take());
    return stacks;
}

void give_back(stack_pool& pool, const std::vector<stack_view>& stacks)
{
    for (const stack_view stack : stacks)
        pool.give_back(stack);
}

// In bytes: all address space of this process, and how much of it is in memory.
struct process_size
{
    std::size_t mapped = 0;
    std::size_t resident = 0;

    process_size()
    {
        std::ifstream("/proc/self/statm") >> mapped >> resident;
        mapped *= page();
        resident *= page();
    }
};

stack_pool_options with(stack_guard guard)
{
    stack_pool_options options;
    options.force_guard = guard;
    return options;
}

// False, and says so, where this kernel has no such guard.
bool has(stack_pool& pool, stack_guard guard)
{
    const stack_view stack = pool.take();
    const bool same = pool.guard_of(stack) == guard;
    pool.give_back(stack);
    if (!same)
        BOOST_TEST_MESSAGE("skipped: no guard of kind " << guard);
    return same;
}

} // namespace

BOOST_AUTO_TEST_SUITE(fiber_stack_pool)

BOOST_AUTO_TEST_CASE(no_stack_is_the_default_view)
{
    BOOST_TEST(!stack_view{}.base);
    BOOST_TEST(stack_view{}.bytes == 0u);
}

BOOST_AUTO_TEST_CASE(nothing_is_mapped_before_the_first_stack)
{
    stack_pool pool;
    BOOST_TEST((pool.counters() == zsync::stack_counters{}));
}

BOOST_AUTO_TEST_CASE(sizes_are_rounded_up_to_pages)
{
    for (const std::size_t bytes : {std::size_t{1}, page(), page() + 1, 3 * page() - 1})
    {
        stack_pool_options options;
        options.stack_bytes = bytes;
        stack_pool pool(options);
        const stack_view stack = pool.take();
        BOOST_TEST(stack.bytes == (bytes + page() - 1) / page() * page());
        BOOST_TEST(pool.stack_bytes() == stack.bytes);
        BOOST_TEST(reinterpret_cast<std::uintptr_t>(stack.base) % page() == 0u);
        pool.give_back(stack);
    }
}

BOOST_AUTO_TEST_CASE(sizes_that_no_address_space_holds_are_refused)
{
    stack_pool_options options;
    options.stack_bytes = ~std::size_t{0};
    BOOST_CHECK_THROW(stack_pool{options}, std::bad_alloc);
    options = {};
    options.stacks_per_slab = ~std::size_t{0} / 2;
    BOOST_CHECK_THROW(stack_pool{options}, std::bad_alloc);
}

BOOST_DATA_TEST_CASE(every_byte_is_usable_and_no_one_elses, guards, guard)
{
    stack_pool_options options = with(guard);
    options.stack_bytes = 2 * page();
    options.stacks_per_slab = 7;
    stack_pool pool(options);
    const auto stacks = take(pool, 30);
    for (std::size_t index = 0; index < stacks.size(); ++index)
        std::memset(stacks[index].base, static_cast<int>(index + 1), stacks[index].bytes);
    for (std::size_t index = 0; index < stacks.size(); ++index)
    {
        const stack_view stack = stacks[index];
        BOOST_TEST(std::count(stack.base, stack.top(), static_cast<std::byte>(index + 1)) ==
                   static_cast<std::ptrdiff_t>(stack.bytes));
        BOOST_TEST(pool.canary_intact(stack));
    }
    BOOST_TEST(pool.counters().slabs == 5u);
    give_back(pool, stacks);
}

BOOST_AUTO_TEST_CASE(the_last_to_come_back_is_the_first_to_be_taken)
{
    stack_pool pool;
    const auto stacks = take(pool, 3);
    pool.give_back(stacks[1]);
    pool.give_back(stacks[0]);
    BOOST_TEST((pool.take() == stacks[0]));
    BOOST_TEST((pool.take() == stacks[1]));
    give_back(pool, stacks);
    for (std::size_t index = stacks.size(); index-- > 0;)
        BOOST_TEST((pool.take() == stacks[index]));
    give_back(pool, stacks);
}

BOOST_AUTO_TEST_CASE(whatever_the_order_no_stack_is_taken_twice)
{
    stack_pool_options options;
    options.stack_bytes = page();
    options.stacks_per_slab = 5;
    options.keep_warm = 20;
    stack_pool pool(options);
    std::vector<stack_view> taken;
    std::set<std::byte*> bases;
    std::uint32_t random = 1;
    for (int turn = 0; turn < 20'000; ++turn)
    {
        random = random * 1'664'525 + 1'013'904'223;
        // Drifts up for a while, then down, so that both ends of the list of free stacks are passed.
        const bool up = (turn / 200) % 2 == 0;
        if (taken.empty() || (random >> 16) % 4 < (up ? 3u : 1u))
        {
            taken.push_back(pool.take());
            BOOST_REQUIRE(bases.insert(taken.back().base).second);
            write(taken.back().base, random);
        }
        else
        {
            std::swap(taken[(random >> 8) % taken.size()], taken.back());
            bases.erase(taken.back().base);
            pool.give_back(taken.back());
            taken.pop_back();
        }
        BOOST_REQUIRE(pool.counters().alive == taken.size());
        BOOST_REQUIRE(pool.counters().warm < options.keep_warm + 16);
    }
    BOOST_TEST(pool.counters().trimmed > 0u);
    give_back(pool, taken);
}

BOOST_AUTO_TEST_CASE(counters_count)
{
    stack_pool_options options;
    options.stacks_per_slab = 2;
    stack_pool pool(options);
    const auto stacks = take(pool, 3);
    give_back(pool, stacks);
    pool.give_back(pool.take());
    const auto counters = pool.counters();
    BOOST_TEST(counters.taken == 4u);
    BOOST_TEST(counters.alive == 0u);
    BOOST_TEST(counters.peak == 3u);
    BOOST_TEST(counters.warm == 3u);
    BOOST_TEST(counters.slabs == 2u);
    BOOST_TEST(counters.trimmed == 0u);
}

BOOST_AUTO_TEST_CASE(pages_are_given_back_beyond_those_kept_warm)
{
    stack_pool_options options;
    options.keep_warm = 4;
    stack_pool pool(options);
    const auto stacks = take(pool, 20);
    for (const stack_view stack : stacks)
        write(stack.base);
    give_back(pool, stacks);
    BOOST_TEST(pool.counters().trimmed == 16u);
    BOOST_TEST(pool.counters().warm == 4u);
    // The oldest are those without pages.
    for (std::size_t index = 0; index < stacks.size(); ++index)
        BOOST_TEST(pool.high_water(stacks[index]) == (index < 16 ? 0 : stacks[index].bytes));

    const auto again = take(pool, 20);
    BOOST_TEST(std::count_if(again.begin(), again.end(), all_zero) == 16);
    BOOST_TEST(pool.counters().slabs == 1u);
    give_back(pool, again);
}

BOOST_AUTO_TEST_CASE(all_pages_may_be_kept_or_none)
{
    stack_pool_options options;
    options.stack_bytes = page();
    options.keep_warm = ~std::size_t{0};
    stack_pool keeps_all(options);
    give_back(keeps_all, take(keeps_all, 500));
    BOOST_TEST(keeps_all.counters().warm == 500u);
    BOOST_TEST(keeps_all.counters().trimmed == 0u);

    options.keep_warm = 0;
    stack_pool keeps_none(options);
    give_back(keeps_none, take(keeps_none, 32));
    BOOST_TEST(keeps_none.counters().warm == 0u);
    BOOST_TEST(keeps_none.counters().trimmed == 32u);
}

BOOST_AUTO_TEST_CASE(trimming_gives_back_all_but_the_last_that_came_back)
{
    stack_pool pool;
    const auto stacks = take(pool, 5);
    for (const stack_view stack : stacks)
        write(stack.base);
    give_back(pool, stacks);
    pool.trim(2);
    BOOST_TEST(pool.counters().warm == 2u);
    BOOST_TEST(pool.counters().trimmed == 3u);
    for (std::size_t index = 0; index < stacks.size(); ++index)
        BOOST_TEST(pool.high_water(stacks[index]) == (index < 3 ? 0 : stacks[index].bytes));
    pool.trim();
    pool.trim();
    BOOST_TEST(pool.counters().warm == 0u);
    BOOST_TEST(pool.counters().trimmed == 5u);
    give_back(pool, take(pool, 5));
    BOOST_TEST(pool.counters().slabs == 1u);
}

BOOST_AUTO_TEST_CASE(the_pools_high_water_outlives_the_pages)
{
    for (const bool scrub : {false, true})
    {
        stack_pool_options options;
        options.scrub = scrub;
        stack_pool pool(options);
        BOOST_TEST(pool.high_water() == 0u);
        const auto stacks = take(pool, 3);
        write(stacks[0].top() - 2 * page());
        write(stacks[1].top() - 9 * page());
        BOOST_TEST(pool.high_water() == 9 * page());
        give_back(pool, stacks);
        pool.trim();
        BOOST_TEST(pool.high_water() == 9 * page());
        const stack_view stack = pool.take();
        write(stack.base);
        BOOST_TEST(pool.high_water() == stack.bytes);
        pool.give_back(stack);
    }
}

BOOST_AUTO_TEST_CASE(high_water_is_the_deepest_page)
{
    stack_pool_options options;
    options.stack_bytes = 300 * page(); // more than one question to the kernel
    stack_pool pool(options);
    const stack_view stack = pool.take();
    BOOST_TEST(pool.high_water(stack) == 0u);
    write(stack.top() - 1);
    BOOST_TEST(pool.high_water(stack) == page());
    write(stack.top() - 3 * page());
    BOOST_TEST(pool.high_water(stack) == 3 * page());
    write(stack.top() - 280 * page());
    BOOST_TEST(pool.high_water(stack) == 280 * page());
    write(stack.base);
    BOOST_TEST(pool.high_water(stack) == stack.bytes);
    pool.give_back(stack);
}

BOOST_DATA_TEST_CASE(a_scrubbed_stack_is_all_zeros, boost::unit_test::data::make({1, 2, 4, 5, 32}), pages)
{
    stack_pool_options options;
    options.stack_bytes = static_cast<std::size_t>(pages) * page();
    options.scrub = true;
    stack_pool pool(options);
    for (int turn = 0; turn < 3; ++turn)
    {
        const auto stacks = take(pool, 3); // more than one, so that one on the list of free stacks points to another
        for (const stack_view stack : stacks)
        {
            BOOST_TEST(all_zero(stack));
            std::memset(stack.base, 0xa5, stack.bytes);
        }
        give_back(pool, stacks);
        for (const stack_view stack : stacks)
            BOOST_TEST(pool.high_water(stack) <= std::max<std::size_t>(16 * 1024, page()));
    }
}

BOOST_AUTO_TEST_CASE(without_scrubbing_a_stack_is_as_it_was_left)
{
    stack_pool pool;
    const stack_view stack = pool.take();
    std::memset(stack.base, 0xa5, stack.bytes);
    pool.give_back(stack);
    BOOST_TEST((pool.take() == stack));
    BOOST_TEST(std::count(stack.base, stack.top(), std::byte{0xa5}) > static_cast<std::ptrdiff_t>(stack.bytes - 64));
    pool.give_back(stack);
}

BOOST_DATA_TEST_CASE(a_write_below_the_base_faults,
                     boost::unit_test::data::make({stack_guard::page_table, stack_guard::mprotect}), guard)
{
    stack_pool_options options = with(guard);
    options.keep_warm = 0;
    stack_pool pool(options);
    if (!has(pool, guard))
        return;
    auto stacks = take(pool, 70); // the last of a slab, and the first of the next, are among them
    const auto faults = [&](std::byte* at)
    {
        return test::run_in_child(
                   [at](const test::child_voice& voice)
                   {
                       write(at);
                       voice.say("wrote");
                   })
                   .signal == SIGSEGV;
    };
    for (const std::size_t index : {0u, 1u, 63u, 64u, 69u})
    {
        BOOST_TEST(faults(stacks[index].base - 1));
        BOOST_TEST(faults(stacks[index].base - page()));
        BOOST_TEST(!faults(stacks[index].base));
    }

    // The guards outlive the pages of their stacks, which go back together with their neighbours'.
    for (const stack_view stack : stacks)
        write(stack.base);
    give_back(pool, stacks);
    for (const std::size_t index : {0u, 1u, 8u, 63u, 64u})
    {
        BOOST_TEST(pool.high_water(stacks[index]) == (index < 64 ? 0u : stacks[index].bytes));
        BOOST_TEST(faults(stacks[index].base - 1));
    }
}

BOOST_AUTO_TEST_CASE(an_overflow_into_a_canary_aborts_when_the_stack_comes_back)
{
    stack_pool pool(with(stack_guard::canary));
    const stack_view stack = pool.take();
    for (const std::size_t depth : {std::size_t{1}, std::size_t{100}, page() - 1, page()})
    {
        const test::captured_errors errors;
        const auto child = test::run_in_child(
            [&](const test::child_voice& voice)
            {
                errors.redirect();
                const rlimit no_core{};
                ::setrlimit(RLIMIT_CORE, &no_core);
                write(stack.base - depth);
                if (voice.check(!pool.canary_intact(stack), "seen"))
                    pool.give_back(stack);
                voice.say("went on");
            });
        BOOST_TEST(child.signal == SIGABRT, child);
        BOOST_TEST(child.text.empty(), child);
        BOOST_TEST(errors.text().find("zsync: the fiber stack of 131072 bytes") == 0u, errors.text());
    }
    BOOST_TEST(pool.canary_intact(stack));
    std::memset(stack.base - page(), 0xff, page());
    BOOST_TEST(!pool.canary_intact(stack));
    std::memset(stack.base - page(), 0, page());
    pool.give_back(stack);
}

BOOST_AUTO_TEST_CASE(a_canary_takes_no_memory)
{
    stack_pool pool(with(stack_guard::canary));
    auto stacks = take(pool, 2000);
    give_back(pool, stacks); // each canary has been read
    stacks = take(pool, 2000);
    const std::size_t before = process_size().resident;
    for (const stack_view stack : stacks)
        BOOST_REQUIRE(pool.canary_intact(stack));
    BOOST_TEST(process_size().resident < before + 1024 * 1024);
    give_back(pool, stacks);
}

BOOST_AUTO_TEST_CASE(beyond_the_budget_of_mprotect_there_are_canaries)
{
    stack_pool_options options = with(stack_guard::mprotect);
    options.stacks_per_slab = 4;
    options.mprotect_budget = 6;
    stack_pool pool(options);
    const auto stacks = take(pool, 12);
    std::size_t canaries = 0;
    for (const stack_view stack : stacks)
        canaries += pool.guard_of(stack) == stack_guard::canary;
    BOOST_TEST(canaries == 6u);
    BOOST_TEST(pool.counters().guards_mprotect == 6u);
    BOOST_TEST(pool.counters().guards_missing == 6u);
    give_back(pool, stacks); // looks at canaries only where there are some
    BOOST_TEST(pool.counters().alive == 0u);
}

#if !ZSYNC_HAS_TSAN // which ends the process when it is refused a mapping
BOOST_AUTO_TEST_CASE(beyond_the_mappings_of_the_process_there_are_canaries)
{
    const auto child = test::run_in_child(
        [](const test::child_voice& voice)
        {
            std::size_t most = 0;
            std::ifstream("/proc/sys/vm/max_map_count") >> most;
            if (most == 0 || most > 200'000)
                return 2;
            // Uses up all but a few: neighbours that differ in protection cannot be one mapping.
            const std::size_t bytes = 2 * most * page();
            void* const filler = ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            if (filler == MAP_FAILED)
                return 2;
            std::size_t at = 0;
            while (at < bytes && ::mprotect(static_cast<std::byte*>(filler) + at, page(), PROT_READ) == 0)
                at += 2 * page();
            if (!voice.check(at < bytes, "mappings were used up"))
                return 1;
            ::munmap(filler, 60 * page()); // room for 30 guards and what a slab takes

            stack_pool pool(with(stack_guard::mprotect));
            const stack_view stack = pool.take();
            const auto counters = pool.counters();
            bool ok = voice.check(counters.guards_mprotect > 0 && counters.guards_mprotect < 64, "some are mprotect");
            ok = voice.check(counters.guards_mprotect + counters.guards_missing == 64, "the others missing") && ok;
            std::memset(stack.base, 1, stack.bytes);
            pool.give_back(stack);
            return ok ? 0 : 1;
        });
    if (child.status == 2)
        BOOST_TEST_MESSAGE("skipped: too many mappings are allowed");
    else
        BOOST_TEST(child.ok(), child);
}
#endif

BOOST_AUTO_TEST_CASE(locked_memory_has_guards_and_is_scrubbed)
{
    const auto child = test::run_in_child(
        [](const test::child_voice& voice)
        {
            if (::mlockall(MCL_FUTURE) != 0)
                return 2;
            stack_pool_options options;
            options.scrub = true;
            options.keep_warm = 0;
            options.stacks_per_slab = 16;
            stack_pool pool(options);
            std::vector<stack_view> stacks;
            try
            {
                stacks = take(pool, 16);
            }
            catch (const std::bad_alloc&)
            {
                return 2; // RLIMIT_MEMLOCK
            }
            bool ok = voice.check(pool.counters().guards_missing == 0, "guards");
            for (const stack_view stack : stacks)
                std::memset(stack.base, 0xa5, stack.bytes);
            give_back(pool, stacks);
            ok = voice.check(pool.counters().trimmed == 16, "trimmed") && ok;
            for (const stack_view stack : take(pool, 16))
            {
                ok = voice.check(all_zero(stack), "zeros") && ok;
                pool.give_back(stack);
            }
            return ok ? 0 : 1;
        });
    if (child.status == 2)
        BOOST_TEST_MESSAGE("skipped: may not lock memory");
    else
        BOOST_TEST(child.ok(), child);
}

BOOST_AUTO_TEST_CASE(a_pool_survives_the_end_of_the_address_space)
{
    const auto child = test::run_in_child(
        [](const test::child_voice& voice)
        {
            stack_pool pool;
            std::vector<stack_view> stacks = take(pool, 64);
            stacks.reserve(1024);
            rlimit limit{};
            ::getrlimit(RLIMIT_AS, &limit);
            const rlimit before = limit;
            limit.rlim_cur = process_size().mapped + 20 * 1024 * 1024; // two slabs, not three
            if (!voice.check(::setrlimit(RLIMIT_AS, &limit) == 0, "limited"))
                return 1;
            const auto refused = [&]
            {
                try
                {
                    while (stacks.size() < stacks.capacity())
                        stacks.push_back(pool.take());
                }
                catch (const std::bad_alloc&)
                {
                    return true;
                }
                return false;
            };
            bool ok = voice.check(refused(), "refused") && voice.check(refused(), "refused again");
            ok = voice.check(stacks.size() % 64 == 0 && stacks.size() > 64, "whole slabs were had") && ok;
            const auto counters = pool.counters();
            ok = voice.check(counters.alive == stacks.size() && counters.taken == stacks.size() &&
                                 counters.slabs * 64 == stacks.size(),
                             "counters") &&
                 ok;

            pool.give_back(stacks.back());
            ok = voice.check(pool.take() == stacks.back(), "one that came back can be taken") && ok;
            ::setrlimit(RLIMIT_AS, &before);
            stacks.push_back(pool.take());
            std::memset(stacks.back().base, 1, stacks.back().bytes);
            give_back(pool, stacks);
            return ok && voice.check(pool.counters().alive == 0, "all are back") ? 0 : 1;
        });
    BOOST_TEST(child.ok(), child);
}

BOOST_AUTO_TEST_CASE(a_hundred_thousand_stacks_are_mostly_address_space)
{
    // A sanitizer has to note something about every byte that may be used, which takes memory.
    constexpr bool plain = !ZSYNC_HAS_ASAN && !ZSYNC_HAS_TSAN;
    constexpr std::size_t count = plain ? 100'000 : 10'000;
    const auto child = test::run_in_child(
        [](const test::child_voice& voice)
        {
            stack_pool_options options;
            options.stack_bytes = 64 * 1024;
            stack_pool pool(options);
            const std::size_t before = process_size().resident;
            const auto stacks = take(pool, count);
            const std::size_t taken = process_size().resident;
            bool ok = !plain || voice.check(taken < before + 8 * 1024 * 1024, "untouched stacks are no memory");
            std::size_t touched = 0;
            for (std::size_t index = 0; index < count; index += 100, ++touched)
                write(stacks[index].top() - 1);
            ok = (!plain ||
                  voice.check(process_size().resident < taken + 2 * touched * page() + 1024 * 1024, "small pages")) &&
                 ok;
            const auto counters = pool.counters();
            ok = voice.check(counters.peak == count, "peak") && ok;
            if (pool.guard_of(stacks.front()) == stack_guard::page_table)
                ok = voice.check(counters.guards_missing == 0 && counters.guards_mprotect == 0, "guards") && ok;
            else
                voice.say("skipped: no page table guards");
            give_back(pool, stacks);
            return ok ? 0 : 1;
        },
        std::chrono::seconds(60));
    BOOST_TEST(child.ok(), child);
    if (child.ok() && !child.text.empty())
        BOOST_TEST_MESSAGE(child.text);
}

BOOST_AUTO_TEST_CASE(stacks_never_become_huge_pages)
{
    if (::access("/sys/kernel/mm/transparent_hugepage", F_OK) != 0)
    {
        BOOST_TEST_MESSAGE("skipped: a kernel without huge pages");
        return;
    }
    stack_pool pool;
    const stack_view stack = pool.take();
    std::ifstream maps("/proc/self/smaps");
    bool inside = false;
    std::string flags;
    for (std::string line; std::getline(maps, line) && flags.empty();)
    {
        unsigned long begin = 0;
        unsigned long end = 0;
        const auto address = reinterpret_cast<std::uintptr_t>(stack.base);
        if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2)
            inside = begin <= address && address < end;
        else if (inside && line.starts_with("VmFlags:"))
            flags = line;
    }
    BOOST_TEST(flags.find(" nh") != flags.npos, flags);
    pool.give_back(stack);
}

BOOST_AUTO_TEST_CASE(the_memory_goes_with_the_pool)
{
    std::byte* base = nullptr;
    {
        stack_pool pool;
        const stack_view stack = pool.take();
        base = stack.base;
        pool.give_back(stack);
    }
    unsigned char resident = 0;
    const int error = ::mincore(base, page(), &resident) == 0 ? 0 : errno;
    BOOST_TEST(error == ENOMEM); // nothing is mapped there
}

BOOST_AUTO_TEST_CASE(two_pools_live_side_by_side)
{
    stack_pool_options small;
    small.stack_bytes = page();
    stack_pool one(small);
    stack_pool two;
    const stack_view a = one.take();
    const stack_view b = two.take();
    BOOST_TEST(a.bytes != b.bytes);
    one.give_back(a);
    two.give_back(b);
    BOOST_TEST((one.take() == a));
    BOOST_TEST((two.take() == b));
    one.give_back(a);
    two.give_back(b);
}

#if ZSYNC_HAS_ASAN
BOOST_AUTO_TEST_CASE(a_free_stack_is_poisoned_and_a_taken_one_is_not)
{
    stack_pool_options options;
    options.keep_warm = 0;
    std::byte* base = nullptr;
    {
        stack_pool pool(options);
        const auto stacks = take(pool, 20);
        const stack_view stack = stacks[19];
        base = stack.base;
        // As the frames of a fiber that was given up leave it.
        __asan_poison_memory_region(stack.top() - 256, 128);
        pool.give_back(stack);
        BOOST_TEST(__asan_address_is_poisoned(stack.base));
        BOOST_TEST(__asan_address_is_poisoned(stack.top() - 512));
        BOOST_TEST((pool.take() == stack));
        BOOST_TEST(!__asan_region_is_poisoned(stack.base, stack.bytes));

        give_back(pool, stacks);
        BOOST_TEST(pool.counters().trimmed == 16u);
        for (const stack_view each : take(pool, 20))
            BOOST_TEST(!__asan_region_is_poisoned(each.base, each.bytes));
        give_back(pool, stacks);
    }
    BOOST_TEST(!__asan_region_is_poisoned(base, options.stack_bytes));
}
#endif

BOOST_AUTO_TEST_SUITE_END()
