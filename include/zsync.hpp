// SPDX-License-Identifier: BSL-1.0
#pragma once

/// Brings the whole library, but for <zsync/drop_in.hpp>, which changes what Asio's own types are and is asked for by
/// name.
#include <zsync/core.hpp>
#include <zsync/platform.hpp>
#include <zsync/uring.hpp>
