// SPDX-License-Identifier: BSL-1.0
#include <zsync/uring/uring_context.hpp>

#include <utility>

namespace zsync
{

static_assert(uring_options().concurrency_hint == BOOST_ASIO_CONCURRENCY_HINT_DEFAULT);

uring_context::uring_context() : uring_context(uring_options()) {}

uring_context::uring_context(int concurrency_hint) : uring_context(uring_options{.concurrency_hint = concurrency_hint})
{
}

uring_context::uring_context(const uring_options& options)
    : boost::asio::io_context(options.one_thread ? 1 : options.concurrency_hint), one_thread_(options.one_thread)
{
    detail::uring_service::installed made = detail::uring_service::install(*this, options);
    service_ = made.service;
    ring_error_ = made.error;
    why_ = std::move(made.why);
}

// Handlers are destroyed while this is still a uring_context: what they own may ask it.
uring_context::~uring_context()
{
    shutdown();
}

metrics uring_context::counters() const noexcept
{
    return service_ ? service_->counters() : metrics();
}

uring_context::count_type uring_context::run_one()
{
    const run_scope inside(*this);
    return boost::asio::io_context::run_one();
}

uring_context::count_type uring_context::poll()
{
    const run_scope inside(*this);
    return boost::asio::io_context::poll();
}

uring_context::count_type uring_context::poll_one()
{
    const run_scope inside(*this);
    return boost::asio::io_context::poll_one();
}

} // namespace zsync
