// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/operation.hpp>

namespace zsync::detail
{

/// Takes the kernel's answer to a record. Returns true if the operation has its final result, which is then in
/// `op.result`; false if it is to be handed over again, in the form in which the record now is.
///
/// Again goes: what the kernel gave up though nobody asked (-ECANCELED because the submitting thread has ended, or the
/// ring was quiesced; -EINTR), what found its descriptor not ready (-EAGAIN: wait, then again), and what has waited for
/// readiness and can now be done. Nothing moved in any of these cases. A connect(2) once issued is not issued twice:
/// it goes on as a wait for writability, and its outcome is the socket's SO_ERROR.
bool is_final(operation& op, int result) noexcept;

} // namespace zsync::detail
