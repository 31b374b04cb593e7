// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/core/cancellation.hpp>
#include <zsync/core/engine.hpp>
#include <zsync/core/error.hpp>
#include <zsync/core/helper_threads.hpp>
#include <zsync/core/in_flight.hpp>
#include <zsync/core/light_mutex.hpp>
#include <zsync/core/metrics.hpp>
#include <zsync/core/operation.hpp>
#include <zsync/core/timer_wheel.hpp>
