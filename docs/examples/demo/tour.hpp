// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/io/io.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace demo
{

constexpr std::size_t head_bytes = 4096;
constexpr std::size_t file_bytes = 1024 * 1024 + 17; // of the file that is there already
constexpr std::size_t message_bytes = 512;
constexpr unsigned rounds = 200;

/// What a tour did. The same, whatever it ran on.
struct report
{
    std::uint64_t operations = 0;            // awaited
    std::uint64_t bytes = 0;                 // that these moved
    std::uint64_t hash = 0xcbf29ce484222325; // FNV-1a of all that was read
    bool equal = true;                       // each byte read is the one that was written
};

/// Adds up what the operations deliver.
class ledger
{
public:
    /// Takes what one operation has delivered, if that is a number of bytes, and passes it on.
    template <class Value>
    Value operator()(Value value)
    {
        ++made.operations;
        if constexpr (std::same_as<Value, std::size_t>)
            made.bytes += value;
        return value;
    }

    void read(std::span<const char> bytes, std::span<const char> expected)
    {
        for (const char byte : bytes)
            made.hash = (made.hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
        made.equal = made.equal && std::ranges::equal(bytes, expected);
    }

    report made;
};

/// Files: readv, writev, the two copies in the kernel. `directory` has the file "original".
inline void copy_files(zsync::io io, const std::string& directory, ledger& count)
{
    using enum zsync::open_flags;
    constexpr auto fresh = read_write | create | truncate;
    zsync::file original = count(io.open(directory + "/original", read_only).await());
    zsync::file written = count(io.open(directory + "/written", fresh).await());
    zsync::file copied = count(io.open(directory + "/copied", fresh).await());
    zsync::file sent = count(io.open(directory + "/sent", fresh).await());

    std::vector<char> head(head_bytes);
    std::vector<char> body(file_bytes - head_bytes);
    if (count(io.readv(original, head, body).await()) != file_bytes)
        throw std::runtime_error("the original is not as long as it was");
    count(io.writev(written, head, body).await());
    count(io.copy_file_range(written, copied, file_bytes, 0).await());
    count(io.send_file(sent, copied, 0, file_bytes).await());

    std::vector<char> all(head);
    all.insert(all.end(), body.begin(), body.end());
    std::vector<char> seen(file_bytes);
    for (zsync::file* each : {&written, &copied, &sent})
    {
        const std::size_t bytes = count(io.read_at(*each, 0, seen).await());
        count.read(std::span(seen).first(bytes), all);
    }
}

/// TCP: both ends of a connection. What is sent here fits into the sockets' buffers, so that one function can play both
/// parts in turn, also where nothing runs beside it.
inline void echo(zsync::io io, ledger& count)
{
    zsync::acceptor listener = io.listen({"127.0.0.1", 0});
    zsync::stream client = count(io.connect(listener.local_endpoint()).await());
    zsync::stream server = count(io.accept(listener).await());

    std::vector<char> message(message_bytes);
    std::vector<char> data(message_bytes);
    for (unsigned round = 0; round < rounds; ++round)
    {
        for (std::size_t at = 0; at < message.size(); ++at)
            message[at] = static_cast<char>(at * 31 + round * 7);
        count(io.write(client, message).await());
        count(io.read_exactly(server, data).await());
        count(io.write(server, data).await());
        count(io.read_exactly(client, data).await());
        count.read(data, message);
    }
    count.made.operations += 2;
    io.shutdown(client, zsync::stream::shutdown_send).await();
    io.close(listener).await();
    if (count(io.read(server, data).await()) != 0)
        throw std::runtime_error("a stream that should be at its end is not");
}

/// The colorblind function: knows nothing of threads, fibers and engines.
inline report tour(zsync::io io, const std::string& directory)
{
    ledger count;
    count(io.write("greeting=Hello from zsync!\n").await());
    copy_files(io, directory, count);
    echo(io, count);
    return count.made;
}

} // namespace demo
