// SPDX-License-Identifier: BSL-1.0
#include <zsync/fiber/detail/local_values.hpp>

#include <zsync/fiber/detail/fiber.hpp>

#include <boost/assert.hpp>

#include <atomic>

namespace zsync::detail
{
namespace
{

// Chosen: half of them are used, and few fibers have more than four values.
constexpr std::size_t first_slots = 8;

local_values& of_this_thread() noexcept
{
    // Apart from what destroys them: a later destructor of the thread may still ask, and finds none. What it makes then
    // stays.
    static thread_local constinit local_values values;
    struct destroyer
    {
        local_values& all;
        ~destroyer() { all.destroy_all(); }
    };
    static thread_local const destroyer at_exit{values};
    return at_exit.all;
}

} // namespace

[[gnu::noinline]] local_values& local_values::current() noexcept
{
    agent& running = agent::current();
    if (!running.fiber_of())
        return of_this_thread();
    auto& self = static_cast<fiber&>(running);
    self.marked = true; // for its end
    return self.locals;
}

std::uint64_t local_values::make_key() noexcept
{
    static constinit std::atomic<std::uint64_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

local_values::slot& local_values::place(table& in, std::uint64_t key) noexcept
{
    std::size_t at = key & in.mask;
    while (in.slots[at].key != key && in.slots[at].key != 0)
        at = (at + 1) & in.mask;
    return in.slots[at];
}

void local_values::make_room(table& in)
{
    if (in.slots && 2 * (in.used + 1) <= in.mask + 1)
        return;
    // Slots of values that are gone are left behind.
    std::size_t living = 0;
    for (const node* each = in.latest; each; each = each->earlier)
        ++living;
    std::size_t size = first_slots;
    while (size < 4 * (living + 1))
        size *= 2;
    table larger{.mask = size - 1, .used = living, .latest = in.latest, .slots = std::make_unique<slot[]>(size)};
    for (node* each = in.latest; each; each = each->earlier)
        place(larger, each->key) = {each->key, each};
    in = std::move(larger);
}

void local_values::add(node& value)
{
    BOOST_ASSERT(!find(value.key)); // making a value must not ask for it
    if (!table_)
        table_ = new table;
    make_room(*table_);
    slot& free = place(*table_, value.key);
    table_->used += free.key == 0;
    free = {value.key, &value};
    value.earlier = std::exchange(table_->latest, &value);
}

// The value first, which can be found meanwhile; what it adds comes later in the list.
void local_values::drop(node& value) noexcept
{
    const std::uint64_t key = value.key;
    value.destroy(value);
    place(*table_, key).value = nullptr;
}

void local_values::destroy(std::uint64_t key) noexcept
{
    node* const value = find(key);
    if (!value)
        return;
    node** link = &table_->latest;
    while (*link != value)
        link = &(*link)->earlier;
    *link = value->earlier;
    drop(*value);
}

void local_values::destroy_all() noexcept
{
    if (!table_)
        return;
    while (node* const value = table_->latest)
    {
        table_->latest = value->earlier;
        drop(*value);
    }
    delete std::exchange(table_, nullptr);
}

} // namespace zsync::detail
