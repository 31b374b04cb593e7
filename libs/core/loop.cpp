// SPDX-License-Identifier: BSL-1.0
#include <zsync/core/loop.hpp>

#include <utility>

namespace zsync
{

namespace
{

/// Lets a context be asked for its loop.
class loop_service final : public boost::asio::execution_context::service
{
public:
    using key_type = loop_service;
    static boost::asio::execution_context::id id;

    explicit loop_service(boost::asio::execution_context& context, loop* owner = nullptr)
        : service(context), owner_(owner)
    {
    }

    loop* owner() const noexcept { return owner_; }

private:
    void shutdown() override {}

    loop* const owner_;
};

boost::asio::execution_context::id loop_service::id;

thread_local loop* running = nullptr;

} // namespace

loop::loop(boost::asio::execution_context& context) : context_(context)
{
    boost::asio::make_service<loop_service>(context, this);
}

// A fiber may go on, on another thread, in the middle of its caller: the address of the variable must not stay there.
[[gnu::noinline]] loop* loop::current() noexcept
{
    return running;
}

[[gnu::noinline]] loop* detail::set_current_loop(loop* value) noexcept
{
    return std::exchange(running, value);
}

loop* loop::of(boost::asio::execution_context& context)
{
    if (!boost::asio::has_service<loop_service>(context))
        return nullptr;
    return boost::asio::use_service<loop_service>(context).owner();
}

} // namespace zsync
