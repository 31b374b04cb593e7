// SPDX-License-Identifier: BSL-1.0
#include <zsync/core/abi.hpp>

extern "C" const char ZSYNC_ABI_TAG = 0;
