// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/fiber/detail/local_values.hpp>

#include <concepts>
#include <cstdint>
#include <functional>
#include <type_traits>
#include <utility>

namespace zsync
{

/// Gives each fiber a value of its own, and each thread that runs none: what thread_local is to threads, as an object.
///
/// A value is made when its fiber first asks for it, on that fiber, and destroyed when the fiber's function has ended:
/// still on the fiber, before whoever joins it goes on, the last one made first. There its destructor may wait;
/// requests to cancel are deferred meanwhile, and it may use other fiber_local objects, whose values are then made if
/// need be. A function that was posted, and a handler, has values of its own too, which end with it. Those of a thread
/// end with the thread.
///
/// A fiber that asks for no value pays for the test of a flag when it ends; the first value allocates. Values stay in place: a reference may be kept
/// across waits, as long as the fiber runs.
///
/// @par Thread safety
/// Shared objects: safe, but for construction and destruction. Values are their fiber's. None of its functions blocks
/// by itself.
///
/// @par Lifetime
/// The object may go before the values: each stays until its fiber ends.
///
/// @code
/// zsync::fiber_local<std::string> request_id;
/// ...
/// *request_id = header.id; // in a session's fiber
/// log(*request_id);        // further down
/// @endcode
template <class T>
    requires std::is_object_v<T> && std::is_nothrow_destructible_v<T>
class fiber_local
{
public:
    /// Values begin as T().
    fiber_local() requires std::default_initializable<T> : make_([] { return T(); }) {}

    /// Values begin as `make()`, which several threads may call at once.
    template <class Make>
        requires std::invocable<Make&> && std::same_as<std::invoke_result_t<Make&>, T>
    explicit fiber_local(Make make) : make_(std::move(make)) {}

    fiber_local(const fiber_local&) = delete;
    fiber_local& operator=(const fiber_local&) = delete;

    /// Returns the value of what is running, and makes it if there is none.
    /// @throws std::bad_alloc; what making it throws: there is none then, as before.
    T& get() const
    {
        detail::local_values& mine = detail::local_values::current();
        if (detail::local_values::node* const found = mine.find(key_)) [[likely]]
            return static_cast<holder*>(found)->value;
        return make();
    }

    T& operator*() const { return get(); }
    T* operator->() const { return &get(); }

    /// Returns the value, or null if there is none.
    T* find() const noexcept
    {
        detail::local_values::node* const found = detail::local_values::current().find(key_);
        return found ? &static_cast<holder*>(found)->value : nullptr;
    }

    /// Destroys the value, if there is one: the next get() makes another.
    void reset() const noexcept { detail::local_values::current().destroy(key_); }

private:
    struct holder : detail::local_values::node
    {
        holder(std::uint64_t of, const std::function<T()>& make)
            : node(of, [](node& self) noexcept { delete static_cast<holder*>(&self); }), value(make())
        {
        }

        T value;
    };

    [[gnu::noinline]] T& make() const
    {
        auto made = std::make_unique<holder>(key_, make_);
        detail::local_values::current().add(*made); // of now: making it may have waited
        return made.release()->value;
    }

    const std::uint64_t key_ = detail::local_values::make_key();
    const std::function<T()> make_;
};

} // namespace zsync
