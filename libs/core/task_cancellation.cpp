// SPDX-License-Identifier: BSL-1.0
#include <zsync/core/task_cancellation.hpp>

namespace zsync
{

cancellation_token task_cancellation::token()
{
    if (!told_)
    {
        told_.emplace();
        if (requested_)
            tell();
    }
    return told_->token();
}

void task_cancellation::throw_unwind()
{
    // While an exception is being handled it may be the unwinding itself, to be thrown on by its handler.
    if (std::exchange(thrown_, true) && on_swallowed_ && !std::current_exception())
        on_swallowed_();
    throw fiber_unwind();
}

} // namespace zsync
