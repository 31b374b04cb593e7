// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/fiber/cancellation_scope.hpp>
#include <zsync/fiber/dump_fibers.hpp>
#include <zsync/fiber/fiber.hpp>
#include <zsync/fiber/fiber_context.hpp>
#include <zsync/fiber/fiber_local.hpp>
#include <zsync/fiber/fiber_options.hpp>
#include <zsync/fiber/spawn.hpp>
#include <zsync/fiber/stack_pool.hpp>
#include <zsync/fiber/this_fiber.hpp>
