// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/cancellation.hpp>
#include <zsync/fiber/detail/slot_request.hpp>

#include <boost/system/error_code.hpp>

#include <memory>
#include <optional>

namespace zsync
{

/// As long as it lives, a request that is made through a token, on any thread, is a request of the fiber that made the
/// scope, for the token's reason: delivered once, at a cancellation point, deferred by protection. A std::stop_token
/// converts to a token.
///
/// A request that has been made before comes at once. One that was made within the scope, and not delivered there,
/// stays pending when it ends. Scopes nest; the first request counts.
///
/// To be destroyed by the fiber that made it, as a local variable is; its destructor may wait for a request that is
/// being made on another thread at that moment. Otherwise never blocks.
///
/// @code
/// std::jthread supervisor([&](std::stop_token stop) {
///     zsync::spawn(ctx, [stop] {
///         const zsync::cancellation_scope until_stopped(stop);
///         serve();
///     }, boost::asio::detached);
///     ...
/// @endcode
class [[nodiscard]] cancellation_scope
{
public:
    /// @throws boost::system::system_error with operation_not_supported on a thread outside fibers, whose waits nobody
    ///         else can end: there an io::with_cancellation() takes the token. std::bad_alloc.
    explicit cancellation_scope(cancellation_token token);
    ~cancellation_scope();

    cancellation_scope(const cancellation_scope&) = delete;
    cancellation_scope& operator=(const cancellation_scope&) = delete;

private:
    struct forward
    {
        std::shared_ptr<detail::slot_request> to;
        void operator()(boost::system::error_code reason) const noexcept { to->emit(to, reason); }
    };

    std::shared_ptr<detail::slot_request> request_; // null: a token that is never cancelled
    std::optional<cancellation_callback<forward>> callback_;
};

} // namespace zsync
