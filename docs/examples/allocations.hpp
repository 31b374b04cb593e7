// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

/// Returns how often this program has asked operator new for memory. Link allocations.cpp. Never blocks.
std::uint64_t allocations() noexcept;
