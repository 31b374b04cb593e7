// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/sync/mutex.hpp>
