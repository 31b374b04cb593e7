// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/blocking/blocking_context.hpp>
#include <zsync/blocking/blocking_engine.hpp>
