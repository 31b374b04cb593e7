// SPDX-License-Identifier: BSL-1.0
#pragma once

/// Makes boost::asio::ip::tcp::socket and every other stock socket, acceptor, descriptor, pipe and timer native on a
/// zsync::uring_context, and leaves them as they are on any other context.
///
/// Every translation unit of a program must include this header before it uses a socket (best: by the compiler's
/// -include option, for the whole target): it decides what those types are. A program in which some see it and some do
/// not violates the one-definition rule; it links silently, and may crash.
#include <zsync/uring/drop_in.hpp>
