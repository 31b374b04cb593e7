// SPDX-License-Identifier: BSL-1.0
#include <zsync/uring/detail/wait_memory.hpp>

#include <boost/test/unit_test.hpp>

#include <cstdint>
#include <cstring>
#include <set>
#include <vector>

using zsync::detail::wait_memory;

BOOST_AUTO_TEST_SUITE(uring_wait_memory)

BOOST_AUTO_TEST_CASE(blocks_are_cache_lines_apart_and_are_taken_again)
{
    wait_memory memory;
    std::vector<unsigned char*> taken;
    std::set<std::uintptr_t> first;
    for (int i = 0; i != 5000; ++i)
    {
        taken.push_back(static_cast<unsigned char*>(memory.take()));
        std::memset(taken.back(), i % 251, wait_memory::block_bytes);
        first.insert(reinterpret_cast<std::uintptr_t>(taken.back()));
    }
    bool intact = true;
    for (int i = 0; i != 5000; ++i)
    {
        intact = intact && reinterpret_cast<std::uintptr_t>(taken[i]) % wait_memory::block_bytes == 0;
        intact = intact && taken[i][0] == i % 251 && taken[i][wait_memory::block_bytes - 1] == i % 251;
        memory.give_back(taken[i]);
    }
    BOOST_TEST(intact);
    BOOST_TEST(first.size() == 5000u);
    std::set<std::uintptr_t> again;
    for (int i = 0; i != 5000; ++i)
        again.insert(reinterpret_cast<std::uintptr_t>(memory.take()));
    BOOST_TEST((again == first));
}

BOOST_AUTO_TEST_SUITE_END()
