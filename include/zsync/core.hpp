// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/agent.hpp>
#include <zsync/core/buffer_pool.hpp>
#include <zsync/core/buffer_view.hpp>
#include <zsync/core/cancel_protection.hpp>
#include <zsync/core/cancellation.hpp>
#include <zsync/core/deadline_scope.hpp>
#include <zsync/core/descriptor.hpp>
#include <zsync/core/engine.hpp>
#include <zsync/core/error.hpp>
#include <zsync/core/helper_threads.hpp>
#include <zsync/core/in_flight.hpp>
#include <zsync/core/inline_executor.hpp>
#include <zsync/core/light_mutex.hpp>
#include <zsync/core/loop.hpp>
#include <zsync/core/loop_executor.hpp>
#include <zsync/core/metrics.hpp>
#include <zsync/core/multishot.hpp>
#include <zsync/core/operation.hpp>
#include <zsync/core/system_call.hpp>
#include <zsync/core/task_cancellation.hpp>
#include <zsync/core/timer_wheel.hpp>
#include <zsync/core/use_await.hpp>
#include <zsync/core/waitable.hpp>
#include <zsync/core/work_item.hpp>
