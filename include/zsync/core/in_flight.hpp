// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/direct_name.hpp>
#include <zsync/core/operation.hpp>

#include <algorithm>
#include <vector>

namespace zsync
{

/// The records that an engine holds, found by id and by descriptor.
///
/// An id is an index and a generation: when a record leaves, its index is used again with another generation, so that
/// a late cancel request, or a late completion, finds nothing instead of somebody else's operation. Not thread-safe.
class in_flight
{
public:
    using descriptor_list = operation_list<&operation::on_descriptor>;

    /// Makes room for what stands in a ring's own table of so many places. @throws std::bad_alloc
    void add_places(std::size_t count) { direct_.resize(count); }

    /// Enters a record and gives it its id. @throws std::bad_alloc, and then nothing has changed.
    void enter(operation& op)
    {
        entry* const descriptor = op.descriptor >= 0 ? &at(op.descriptor) : direct_entry(op.descriptor);
        if (free_ == none)
        {
            slots_.push_back({nullptr, 1, none});
            free_ = static_cast<std::uint32_t>(slots_.size() - 1);
        }
        slot& place = slots_[free_];
        op.id = {free_, place.generation};
        free_ = place.next_free;
        place.op = &op;
        if (descriptor)
            descriptor->operations.push(op);
    }

    /// Takes a record out. Its id names nothing from here on.
    void leave(operation& op) noexcept
    {
        slot& place = slots_[op.id.index];
        place.op = nullptr;
        if (++place.generation == 0)
            place.generation = 1;
        place.next_free = free_;
        free_ = op.id.index;
        if (entry* const descriptor = entry_of(op.descriptor))
            descriptor->operations.erase(op);
    }

    /// Returns the record, or null if the id is stale.
    operation* find(operation_id id) const noexcept
    {
        if (id.index >= slots_.size() || slots_[id.index].generation != id.generation)
            return nullptr;
        return slots_[id.index].op;
    }

    /// Calls `visit(operation&)` for each record; it may take that record, and no other, out.
    template <class Visitor>
    void for_each(Visitor visit)
    {
        for (std::size_t index = 0; index < slots_.size(); ++index)
            if (operation* op = slots_[index].op)
                visit(*op);
    }

    /// The same for the records on one descriptor.
    template <class Visitor>
    void for_each_on(int descriptor, Visitor visit)
    {
        if (!knows(descriptor) && !direct_entry(descriptor))
            return;
        operation* op = entry_of(descriptor)->operations.front();
        while (op)
        {
            operation* const next = descriptor_list::next(*op);
            visit(*op);
            op = next;
        }
    }

    /// Takes the way that a record has noted, if it is free on its descriptor. Returns false if another record has it:
    /// this one is then to be held until give_way() returns it.
    bool take_way(operation& op) noexcept
    {
        entry* const descriptor = entry_of(op.descriptor);
        if (op.way == direction::none || !descriptor)
            return true;
        operation*& owner = descriptor->owner_of_way[static_cast<std::size_t>(op.way)];
        if (owner)
            return false;
        owner = &op;
        return true;
    }

    /// Gives the way of a record that has left to the oldest that is held for it, and returns that, or null.
    operation* give_way(const operation& op) noexcept
    {
        entry* const descriptor = entry_of(op.descriptor);
        if (op.way == direction::none || !descriptor)
            return nullptr;
        operation*& owner = descriptor->owner_of_way[static_cast<std::size_t>(op.way)];
        if (owner != &op)
            return nullptr;
        owner = descriptor->operations.front();
        while (owner && (owner->where != operation::state::held || owner->way != op.way))
            owner = descriptor_list::next(*owner);
        return owner;
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

    struct slot
    {
        operation* op;
        std::uint32_t generation;
        std::uint32_t next_free;
    };

    struct entry
    {
        descriptor_list operations;
        operation* owner_of_way[2] = {}; // by direction: the one transfer that the kernel may see
        file_identity file;
        bool attached = false;
        bool pollable = true;
        bool drained = false;
    };

    bool knows(int descriptor) const noexcept
    {
        return descriptor >= 0 && static_cast<std::size_t>(descriptor) < descriptors_.size();
    }

    // What is named by a direct_name() stands beside; null if there is no such place.
    entry* direct_entry(int descriptor) noexcept
    {
        const std::size_t place = is_direct(descriptor) ? direct_place(descriptor) : direct_.size();
        return place < direct_.size() ? &direct_[place] : nullptr;
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
            descriptors_.resize(std::max(index + 1, 2 * descriptors_.size()));
        return descriptors_[index];
    }

    std::vector<slot> slots_;
    std::uint32_t free_ = none;
    std::vector<entry> descriptors_;
    std::vector<entry> direct_;
};

} // namespace zsync
