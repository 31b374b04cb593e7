// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/direct_name.hpp>
#include <zsync/core/operation.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace zsync
{

/// The records that an engine holds, found by id and by descriptor, and which transfer is the first in its direction.
///
/// An id is an index and a generation: when a record leaves, its index is used again with another generation, so that
/// a late cancel request, or a late completion, finds nothing instead of somebody else's operation. Not thread-safe.
class in_flight
{
public:
    /// Makes room for what stands in a ring's own table of so many places. @throws std::bad_alloc
    void add_places(std::size_t count) { direct_.resize(count); }

    /// Enters a record and gives it its id, and the way that it has noted, if that is free on its descriptor. Returns
    /// false if another record has the way: this one is then to be held until leave() returns it.
    /// @throws std::bad_alloc, and then nothing has changed.
    bool enter(operation& op)
    {
        entry* const place = op.descriptor >= 0 ? &at(op.descriptor) : direct_entry(op.descriptor);
        if (free_ == none) [[unlikely]]
            grow();
        slot& here = slots_[free_];
        op.id = here.id;
        free_ = here.next_free();
        here.hold(op);
        if (!place)
            return true;
        if (op.way != direction::none)
        {
            operation*& first = place->first_in(op.way);
            if (!first) [[likely]]
            {
                first = &op;
                return true;
            }
        }
        place->others.push(op);
        return op.way == direction::none;
    }

    /// Says whether a transfer that has noted its way could be made by a system call, as the next in that direction:
    /// the way is free, and the record names a number, of something that waiting for means anything to.
    bool may_go_now(const operation& op) const noexcept
    {
        if (op.way == direction::none || op.descriptor < 0 || !pollable(op.descriptor))
            return false;
        return !knows(op.descriptor) ||
               !descriptors_[static_cast<std::size_t>(op.descriptor)].first[static_cast<std::size_t>(op.way)];
    }

    /// Takes a record out. Its id names nothing from here on. Returns the oldest of those that are held for its way, if
    /// it had that, or null.
    operation* leave(operation& op) noexcept
    {
        slot& here = slots_[op.id.index];
        if (++here.id.generation == 0) [[unlikely]]
            here.id.generation = 1;
        here.set_free(free_);
        free_ = op.id.index;
        entry* const place = entry_of(op.descriptor);
        if (!place)
            return nullptr;
        if (op.way != direction::none && place->first_in(op.way) == &op) [[likely]]
        {
            place->first_in(op.way) = nullptr;
            return place->others.empty() ? nullptr : give_way(*place, op.way);
        }
        place->others.erase(op);
        return nullptr;
    }

    /// Returns the record, or null if the id is stale.
    operation* find(operation_id id) const noexcept { return id.index < slots_.size() ? find_given(id) : nullptr; }

    /// The same for an id that was given, once.
    operation* find_given(operation_id id) const noexcept
    {
        const slot& there = slots_[id.index];
        return there.id.generation == id.generation ? there.held() : nullptr;
    }

    /// Calls `visit(operation&)` for each record; it may take that record, and no other, out.
    template <class Visitor>
    void for_each(Visitor visit)
    {
        for (std::size_t index = 0; index < slots_.size(); ++index)
            if (operation* const op = slots_[index].held())
                visit(*op);
    }

    /// The same for the records on one descriptor, those of one way in the order in which they entered. Returns whether
    /// there were any.
    template <class Visitor>
    bool for_each_on(int descriptor, Visitor visit)
    {
        if (!knows(descriptor) && !direct_entry(descriptor))
            return false;
        bool any = false;
        for (const direction way : {direction::in, direction::out})
        {
            const operation* visited = nullptr; // if it leaves, another is the first
            while (operation* const first = entry_of(descriptor)->first_in(way))
            {
                if (std::exchange(visited, first) == first)
                    break;
                any = true;
                visit(*first);
            }
        }
        operation* op = entry_of(descriptor)->others.front();
        while (op)
        {
            operation* const next = descriptor_list::next(*op);
            any = true;
            visit(*op);
            op = next;
        }
        return any;
    }

    /// Says what file a number stood for when it was attached, by fstat(2)'s device and inode: somebody may have closed
    /// it behind our back, and the number been given to another file.
    struct file_identity
    {
        std::uint64_t device = 0;
        std::uint64_t inode = 0;

        friend bool operator==(const file_identity&, const file_identity&) = default;
    };

    /// Notes that a descriptor is in use. Returns false if this very file is attached already by that number.
    ///
    /// @throws std::bad_alloc
    /// @param pollable whether waiting for it is known to mean something: not so for files and directories.
    bool attach(int descriptor, const file_identity& file, bool pollable = true)
    {
        entry& place = at(descriptor);
        if (place.attached && place.file == file)
            return false;
        place.attached = true;
        place.pollable = pollable;
        place.file = file;
        place.drained = false;
        return true;
    }

    /// Notes that waiting for an attached descriptor means something after all.
    void set_pollable(int descriptor) noexcept { descriptors_[static_cast<std::size_t>(descriptor)].pollable = true; }

    /// False only for what was attached as not to be waited for.
    bool pollable(int descriptor) const noexcept
    {
        return !knows(descriptor) || !descriptors_[static_cast<std::size_t>(descriptor)].attached ||
               descriptors_[static_cast<std::size_t>(descriptor)].pollable;
    }

    /// Says whether the last receive on a descriptor took all there was, so that the next will have to wait.
    bool drained(int descriptor) const noexcept
    {
        if (descriptor < 0)
            return direct_entry(descriptor) && direct_entry(descriptor)->drained;
        return knows(descriptor) && descriptors_[static_cast<std::size_t>(descriptor)].drained;
    }

    /// Notes it. The descriptor must be one of a record that is, or was, here.
    void set_drained(int descriptor, bool drained) noexcept { entry_of(descriptor)->drained = drained; }

    void detach(int descriptor) noexcept
    {
        if (knows(descriptor))
            descriptors_[static_cast<std::size_t>(descriptor)].attached = false;
    }

private:
    static constexpr std::uint32_t none = ~std::uint32_t{0};

    /// Holds a record, or, with an odd value, the next free index. A free one has the id that comes next, which nobody
    /// has yet.
    struct slot
    {
        operation_id id;
        std::uintptr_t content;

        operation* held() const noexcept { return content & 1 ? nullptr : reinterpret_cast<operation*>(content); }
        void hold(operation& op) noexcept { content = reinterpret_cast<std::uintptr_t>(&op); }
        std::uint32_t next_free() const noexcept { return static_cast<std::uint32_t>(content >> 1); }
        void set_free(std::uint32_t next) noexcept { content = (std::uintptr_t{next} << 1) | 1; }
    };

    using descriptor_list = operation_list<&operation::on_descriptor>;

    struct alignas(64) entry // a cache line, and found by a shift
    {
        operation* first[2] = {}; // by direction: the one transfer that the kernel may see
        descriptor_list others;   // those held behind them, and those without a way
        file_identity file;
        bool attached = false;
        bool pollable = true;
        bool drained = false;

        operation*& first_in(direction way) noexcept { return first[static_cast<std::size_t>(way)]; }
    };

    [[gnu::noinline]] static operation* give_way(entry& place, direction way) noexcept
    {
        operation* op = place.others.front();
        while (op && op->way != way)
            op = descriptor_list::next(*op);
        if (op)
        {
            place.others.erase(*op);
            place.first_in(way) = op;
        }
        return op;
    }

    [[gnu::noinline, gnu::cold]] void grow()
    {
        const auto index = static_cast<std::uint32_t>(slots_.size());
        slots_.push_back({{index, 1}, 0});
        slots_.back().set_free(none);
        free_ = index;
    }

    bool knows(int descriptor) const noexcept
    {
        return descriptor >= 0 && static_cast<std::size_t>(descriptor) < descriptors_.size();
    }

    // What is named by a direct_name() stands beside; null if it is no such name.
    entry* direct_entry(int descriptor) noexcept
    {
        return is_direct(descriptor) ? &direct_[direct_place(descriptor)] : nullptr;
    }
    const entry* direct_entry(int descriptor) const noexcept
    {
        return const_cast<in_flight*>(this)->direct_entry(descriptor);
    }

    // Of a descriptor that a record that is, or was, here has named.
    entry* entry_of(int descriptor) noexcept
    {
        return descriptor >= 0 ? &descriptors_[static_cast<std::size_t>(descriptor)] : direct_entry(descriptor);
    }

    entry& at(int descriptor)
    {
        const auto index = static_cast<std::size_t>(descriptor);
        if (index >= descriptors_.size()) [[unlikely]]
            grow_to(index);
        return descriptors_[index];
    }

    [[gnu::noinline, gnu::cold]] void grow_to(std::size_t index)
    {
        descriptors_.resize(std::max(index + 1, 2 * descriptors_.size()));
    }

    std::vector<slot> slots_;
    std::uint32_t free_ = none;
    std::vector<entry> descriptors_;
    std::vector<entry> direct_;
};

} // namespace zsync
