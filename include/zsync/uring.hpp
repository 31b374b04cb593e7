// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/uring/native_executor.hpp>
#include <zsync/uring/options.hpp>
#include <zsync/uring/uring_context.hpp>
#include <zsync/uring/uring_engine.hpp>
