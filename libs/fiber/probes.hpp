// SPDX-License-Identifier: BSL-1.0
#pragma once

// ZSYNC_PROBE(name, first, second): a static probe (USDT) of the provider zsync, which bpftrace, perf and SystemTap can
// attach to. One that nobody watches is a nop instruction. Nothing where the library is built without <sys/sdt.h>.
// Of compiled files only: a probe in a header would ask every user for <sys/sdt.h>.

#ifndef ZSYNC_HAS_USDT
#    define ZSYNC_HAS_USDT 0
#endif

#if ZSYNC_HAS_USDT
#    include <sys/sdt.h>
#    define ZSYNC_PROBE(name, first, second) DTRACE_PROBE2(zsync, name, first, second)
#else
#    define ZSYNC_PROBE(name, first, second) static_cast<void>(0)
#endif
