// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/sync/barrier.hpp>
#include <zsync/sync/broadcast_channel.hpp>
#include <zsync/sync/channel.hpp>
#include <zsync/sync/condition_variable.hpp>
#include <zsync/sync/event.hpp>
#include <zsync/sync/latch.hpp>
#include <zsync/sync/mutex.hpp>
#include <zsync/sync/once.hpp>
#include <zsync/sync/one_of.hpp>
#include <zsync/sync/oneshot.hpp>
#include <zsync/sync/select.hpp>
#include <zsync/sync/semaphore.hpp>
#include <zsync/sync/shared_mutex.hpp>
#include <zsync/sync/watch.hpp>
