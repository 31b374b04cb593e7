// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/engine/attach.hpp>
#include <zsync/engine/engine_for.hpp>
#include <zsync/engine/handle.hpp>
#include <zsync/engine/make_engine.hpp>
