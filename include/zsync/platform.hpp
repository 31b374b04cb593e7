// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/platform/cpus.hpp>
#include <zsync/platform/kernel.hpp>
#include <zsync/platform/memory.hpp>
#include <zsync/platform/ring_probe.hpp>
