// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace zsync::detail
{

/// The values that a fiber, or a thread, has of fiber_local objects: a pointer, null until there is one.
///
/// A value is found by the key of its object, in a table that is open to the next free slot. Keys are counted up and
/// never come again, so that those of one program seldom meet, and a value whose object is gone is never taken for
/// another's.
class local_values
{
public:
    /// A value, and what came before it. Frees itself.
    struct node
    {
        using destroy_function = void (*)(node& self) noexcept;

        node(std::uint64_t of, destroy_function by) noexcept : key(of), destroy(by) {}

        const std::uint64_t key;
        const destroy_function destroy;
        node* earlier = nullptr;
    };

    constexpr local_values() noexcept = default;
    local_values(const local_values&) = delete;
    local_values& operator=(const local_values&) = delete;

    /// Those of what is running. Not to be kept across a wait on a thread's behalf.
    static local_values& current() noexcept;

    /// A key that no other object has had. Any thread.
    static std::uint64_t make_key() noexcept;

    bool empty() const noexcept { return !table_; }

    /// Returns the value of a key, or null.
    node* find(std::uint64_t key) const noexcept
    {
        if (!table_)
            return nullptr;
        for (std::size_t at = key & table_->mask;; at = (at + 1) & table_->mask)
        {
            const slot& each = table_->slots[at];
            if (each.key == key) [[likely]]
                return each.value;
            if (each.key == 0)
                return nullptr;
        }
    }

    /// Takes a value for a key that has none. @throws std::bad_alloc
    void add(node& value);

    /// Destroys the value of a key, if there is one.
    void destroy(std::uint64_t key) noexcept;

    /// Destroys all, the last to be added first, and those that are added meanwhile. Each can be found until it is
    /// destroyed.
    void destroy_all() noexcept;

private:
    struct slot
    {
        std::uint64_t key = 0; // none yet
        node* value = nullptr; // destroyed
    };

    struct table
    {
        std::size_t mask = 0;
        std::size_t used = 0; // slots with a key: at most half of them, so that a search ends
        node* latest = nullptr;
        std::unique_ptr<slot[]> slots;
    };

    static slot& place(table& in, std::uint64_t key) noexcept;
    static void make_room(table& in);
    void drop(node& value) noexcept;

    table* table_ = nullptr;
};

} // namespace zsync::detail
