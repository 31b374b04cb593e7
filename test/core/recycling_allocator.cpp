// SPDX-License-Identifier: BSL-1.0
#include <zsync/core/detail/recycling_allocator.hpp>

#include <zsync/core/detail/sanitizers.hpp>

#include <boost/test/unit_test.hpp>

#include <cstdint>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

using zsync::detail::allocate_recycled;
using zsync::detail::deallocate_recycled;
using zsync::detail::recycling_allocator;

BOOST_AUTO_TEST_SUITE(core_recycling_allocator)

BOOST_AUTO_TEST_CASE(each_size_gets_memory_of_its_own)
{
    std::vector<std::pair<unsigned char*, std::size_t>> blocks;
    for (int round = 0; round < 3; ++round)
    {
        for (std::size_t bytes = 0; bytes <= 2100; bytes += 7)
        {
            auto* const block = static_cast<unsigned char*>(allocate_recycled(bytes));
            BOOST_TEST(reinterpret_cast<std::uintptr_t>(block) % __STDCPP_DEFAULT_NEW_ALIGNMENT__ == 0u);
            std::memset(block, static_cast<int>(bytes % 251), bytes);
            blocks.emplace_back(block, bytes);
        }
        bool intact = true;
        for (const auto& [block, bytes] : blocks)
        {
            for (std::size_t at = 0; at < bytes; ++at)
                intact = intact && block[at] == bytes % 251;
            deallocate_recycled(block, bytes);
        }
        BOOST_TEST(intact);
        blocks.clear();
    }
}

#if !ZSYNC_HAS_ASAN // which is to see each use after the free
BOOST_AUTO_TEST_CASE(a_batch_of_blocks_comes_back)
{
    std::vector<void*> blocks(1000);
    for (void*& each : blocks)
        each = allocate_recycled(300);
    const std::set<void*> first(blocks.begin(), blocks.end());
    for (void* const each : blocks)
        deallocate_recycled(each, 300);
    std::size_t known = 0;
    for (void*& each : blocks)
    {
        each = allocate_recycled(500); // of the same class
        known += first.count(each);
    }
    BOOST_TEST(known == blocks.size());
    for (void* const each : blocks)
        deallocate_recycled(each, 500);
}
#endif

BOOST_AUTO_TEST_CASE(other_threads_may_free)
{
    void* block = nullptr;
    std::thread([&] { block = allocate_recycled(100); }).join();
    std::memset(block, 1, 100);
    std::thread([&] { deallocate_recycled(block, 100); }).join(); // and its cache goes with it
    std::vector<void*> many(3000);
    for (void*& each : many)
        each = allocate_recycled(64);
    BOOST_TEST(std::set<void*>(many.begin(), many.end()).size() == many.size());
    std::thread(
        [&]
        {
            for (void* const each : many) // more than are kept
                deallocate_recycled(each, 64);
        })
        .join();
}

BOOST_AUTO_TEST_CASE(types_of_any_alignment)
{
    struct alignas(128) wide
    {
        char bytes[128];
    };
    recycling_allocator<wide> wides;
    wide* const one = wides.allocate(3);
    BOOST_TEST(reinterpret_cast<std::uintptr_t>(one) % 128 == 0u);
    wides.deallocate(one, 3);
    const recycling_allocator<void> any(wides);
    const recycling_allocator<int> ints(any);
    BOOST_TEST((ints == wides));
}

BOOST_AUTO_TEST_SUITE_END()
