// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/net/acceptor.hpp>
#include <zsync/net/datagram.hpp>
#include <zsync/net/datagram_batch.hpp>
#include <zsync/net/direct_stream.hpp>
#include <zsync/net/endpoint.hpp>
#include <zsync/net/receive_options.hpp>
#include <zsync/net/socket.hpp>
#include <zsync/net/source.hpp>
#include <zsync/net/stream.hpp>
