// SPDX-License-Identifier: BSL-1.0

// What no timer can spare: one word of it is read and another is written, in objects of a timer's size, as many as
// there are timers in the other cells, in the same order. In between come as many instructions as stated, which do
// nothing: a processor has the misses of the cache under way at once that its window of instructions holds.

#include "harness/cell.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <numeric>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

namespace
{

struct object
{
    std::array<std::uint64_t, 15> words{};
};

// Four at a time can go side by side, as in other code.
template <std::size_t... I>
void work(std::array<std::uint64_t, 4>& x, std::index_sequence<I...>)
{
    ((++x[I % 4], [](std::uint64_t& one) { asm volatile("" : "+r"(one)); }(x[I % 4])), ...); // each by itself
}

class objects
{
public:
    explicit objects(const perf::cell_arguments& arguments)
        : live_(arguments.number("live", 1'000'000)),
          count_(std::min<std::uint64_t>(arguments.number("count", 200'000), live_)),
          all_(live_ + count_),
          values_(live_ + count_, 1),
          visits_(count_)
    {
        std::iota(visits_.begin(), visits_.end(), std::uint32_t{0});
        if (arguments.text("visit", "made") == "random")
            std::shuffle(visits_.begin(), visits_.end(), std::mt19937_64(1));
    }

    template <std::size_t Instructions>
    double touch()
    {
        double ns = 0;
        for (int round = 0; round != 2; ++round) // once to warm up
        {
            std::array<std::uint64_t, 4> x{};
            const double begin = perf::cpu_ns();
            for (const std::size_t i : visits_)
            {
                object& visited = all_[live_ + i];
                if (visited.words[0] != 0)
                    throw std::logic_error("somebody else has been here");
                visited.words[1] = values_[live_ + i];
                work(x, std::make_index_sequence<Instructions>());
            }
            ns = (perf::cpu_ns() - begin) / static_cast<double>(count_);
        }
        return ns;
    }

private:
    const std::uint64_t live_;
    const std::uint64_t count_;
    std::deque<object> all_;
    std::vector<std::uint64_t> values_;
    std::vector<std::uint32_t> visits_;
};

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv,
                           [](const perf::cell_arguments& arguments)
                           {
                               objects all(arguments);
                               perf::cell_line line;
                               line.add("touch_ns", all.touch<0>());
                               line.add("insert_ns", all.touch<180>());
                               line.add("cancel_ns", all.touch<100>());
                               line.print();
                           });
}
