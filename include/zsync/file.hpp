// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/file/file.hpp>
#include <zsync/file/pipe.hpp>
