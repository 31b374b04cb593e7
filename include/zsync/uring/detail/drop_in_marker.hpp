// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace zsync::detail
{

/// Marks an object file that agrees with <zsync/drop_in.hpp> about what Asio's I/O objects are made of: it has seen the
/// header, or uses only such as the header does not change. The check that zsync_add_drop_in() adds to a link looks for
/// this name in the symbol tables; it is never read.
[[gnu::used]] static const char agrees_with_drop_in = 0;

} // namespace zsync::detail
