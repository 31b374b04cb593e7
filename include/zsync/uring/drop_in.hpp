// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/uring/detail/asio_drop_in.hpp>
#include <zsync/uring/uring_context.hpp>
