// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/cancel_protection.hpp>
#include <zsync/io/async.hpp>
#include <zsync/io/future.hpp>
#include <zsync/io/io.hpp>
#include <zsync/io/run.hpp>
#include <zsync/io/runtime.hpp>
#include <zsync/io/task_set.hpp>
