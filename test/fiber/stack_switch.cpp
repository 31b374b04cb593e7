// SPDX-License-Identifier: BSL-1.0
#include <zsync/fiber/detail/stack_switch.hpp>

#include <zsync/fiber/stack_pool.hpp>

#include <boost/test/unit_test.hpp>

#include <cfenv>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using zsync::detail::asio_call_stacks;
using zsync::detail::exception_state;
using zsync::detail::execution;

namespace
{

exception_state& exceptions()
{
    return *exception_state::of_this_thread();
}

/// A function on a stack of its own, and the thread's, which it goes back to.
class other_stack
{
public:
    explicit other_stack(std::function<void(other_stack&)> function)
        : stack_(pool_.take()), made_(*::new (place()) stackful(stack_, place(), *this)), function_(std::move(function))
    {
    }

    ~other_stack()
    {
        made_.~stackful();
        pool_.give_back(stack_);
    }

    void enter() { BOOST_TEST(&thread_.switch_to(made_, exceptions()) == &made_); }
    void go_back() { made_.switch_to(thread_, exceptions()); }
    bool ended() const { return made_.ended(); }
    const execution& suspended() const { return made_; }

private:
    struct stackful : execution
    {
        stackful(zsync::stack_view stack, std::byte* top, other_stack& of)
            : execution(stack, top, &run, asio_call_stacks::current()), owner(of)
        {
        }

        static execution& run(execution& self, execution&) noexcept
        {
            other_stack& of = static_cast<stackful&>(self).owner;
            of.function_(of);
            return self.leave(of.thread_, exceptions());
        }

        other_stack& owner;
    };

    std::byte* place() const { return stack_.top() - (sizeof(stackful) + 63) / 64 * 64; }

    zsync::stack_pool pool_;
    zsync::stack_view stack_;
    execution thread_;
    stackful& made_;
    std::function<void(other_stack&)> function_;
};

/// Keeps in registers what it adds up, as far as there are any, while others use them.
[[gnu::noinline]] std::uint64_t add_up(std::uint64_t first, const std::function<void()>& between)
{
    std::uint64_t a = first, b = a * 3, c = b * 5, d = c * 7, e = d * 11, f = e * 13, g = f * 17;
    for (int i = 0; i != 3; ++i)
    {
        between();
        a += b, b += c, c += d, d += e, e += f, f += g, g += a;
    }
    return a ^ b ^ c ^ d ^ e ^ f ^ g;
}

} // namespace

BOOST_AUTO_TEST_SUITE(stack_switch)

BOOST_AUTO_TEST_CASE(a_stack_goes_on_where_it_was_left)
{
    std::vector<int> steps;
    other_stack other(
        [&](other_stack& self)
        {
            steps.push_back(1);
            self.go_back();
            steps.push_back(3);
            self.go_back();
            steps.push_back(5);
        });
    other.enter();
    steps.push_back(2);
    other.enter();
    steps.push_back(4);
    BOOST_TEST(!other.ended());
    other.enter();
    BOOST_TEST(other.ended());
    BOOST_TEST(steps == std::vector<int>({1, 2, 3, 4, 5}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(what_is_in_registers_is_each_stacks_own)
{
    const auto nothing = [] {};
    std::uint64_t there = 0;
    other_stack other([&](other_stack& self) { there = add_up(42, [&] { self.go_back(); }); });
    const std::uint64_t here = add_up(7, [&] { other.enter(); });
    other.enter();
    BOOST_TEST(other.ended());
    BOOST_TEST(here == add_up(7, nothing));
    BOOST_TEST(there == add_up(42, nothing));
}

BOOST_AUTO_TEST_CASE(functions_find_a_new_stack_aligned_as_they_expect)
{
    std::uintptr_t frame = 1;
    double converted = 0;
    other_stack other(
        [&](other_stack&)
        {
            alignas(16) volatile std::byte aligned[16] = {};
            frame = reinterpret_cast<std::uintptr_t>(&aligned[0]);
            converted = std::stod("2.5"); // of a library that uses aligned instructions
        });
    other.enter();
    BOOST_TEST(frame % 16 == 0u);
    BOOST_TEST(converted == 2.5);
}

BOOST_AUTO_TEST_CASE(a_rounding_mode_is_a_stacks_own)
{
    const int before = std::fegetround();
    BOOST_REQUIRE(std::fesetround(FE_UPWARD) == 0);
    std::vector<int> there;
    other_stack other(
        [&](other_stack& self)
        {
            there.push_back(std::fegetround());
            std::fesetround(FE_DOWNWARD);
            self.go_back();
            there.push_back(std::fegetround());
        });
    std::fesetround(FE_TOWARDZERO); // after the other was made
    other.enter();
    BOOST_TEST(std::fegetround() == FE_TOWARDZERO);
    std::fesetround(FE_TONEAREST);
    other.enter();
    BOOST_TEST(std::fegetround() == FE_TONEAREST);
    std::fesetround(before);
    BOOST_TEST(there == std::vector<int>({FE_UPWARD, FE_DOWNWARD}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(exceptions_being_handled_are_a_stacks_own)
{
    std::string there;
    other_stack other(
        [&](other_stack& self)
        {
            try
            {
                throw std::runtime_error("there");
            }
            catch (const std::runtime_error&)
            {
                self.go_back();
                try
                {
                    throw; // what this stack handles
                }
                catch (const std::runtime_error& error)
                {
                    there = error.what();
                }
            }
        });
    std::string here;
    try
    {
        throw std::runtime_error("here");
    }
    catch (const std::runtime_error&)
    {
        other.enter();
        BOOST_TEST(std::uncaught_exceptions() == 0);
        try
        {
            throw;
        }
        catch (const std::runtime_error& error)
        {
            here = error.what();
        }
        other.enter();
    }
    BOOST_TEST(here == "here");
    BOOST_TEST(there == "there");
}

BOOST_AUTO_TEST_CASE(a_look_at_a_suspended_stack_changes_nothing_there)
{
    int looks = 0;
    int steps = 0;
    other_stack other(
        [&](other_stack& self)
        {
            ++steps;
            self.go_back();
            ++steps;
        });
    other.enter();
    std::vector<std::byte> room(256 * 1024);
    const auto look = [](void* argument, const void*) noexcept { ++*static_cast<int*>(argument); };
    BOOST_TEST(!other.suspended().call_on_copy(std::span(room).first(1024), look, &looks));
    BOOST_TEST(looks == 0);
    for (int i = 1; i != 3; ++i)
    {
        BOOST_TEST(other.suspended().call_on_copy(room, look, &looks));
        BOOST_TEST(looks == i);
    }
    BOOST_TEST(steps == 1);
    other.enter();
    BOOST_TEST(steps == 2);
    BOOST_TEST(other.ended());
}

BOOST_AUTO_TEST_SUITE_END()
