// SPDX-License-Identifier: BSL-1.0
#pragma once

/// Brings the whole library, but for <zsync/drop_in.hpp>, which changes what Asio's own types are and is asked for by
/// name.
#include <zsync/blocking.hpp>
#include <zsync/core.hpp>
#include <zsync/engine.hpp>
#include <zsync/fiber.hpp>
#include <zsync/file.hpp>
#include <zsync/io.hpp>
#include <zsync/net.hpp>
#include <zsync/platform.hpp>
#include <zsync/reactor.hpp>
#include <zsync/sync.hpp>
#include <zsync/uring.hpp>
