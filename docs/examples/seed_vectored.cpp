// SPDX-License-Identifier: BSL-1.0
// Reads a file into two buffers at once, writes them together, and lets the kernel copy the file if it can.
#include <zsync/io/io.hpp>
#include <zsync/io/run.hpp>

#include <array>
#include <filesystem>
#include <string_view>

#include <stdlib.h>

using zsync::open_flags;

/// A directory that goes with its contents.
struct temporary_directory
{
    std::filesystem::path path = ::mkdtemp((std::filesystem::temp_directory_path() / "seed.XXXXXX").string().data());
    ~temporary_directory() { std::filesystem::remove_all(path); }
};

void task(zsync::io io)
{
    const temporary_directory directory;
    const auto flags = open_flags::read_write | open_flags::create;
    zsync::file from = io.open(directory.path / "from", flags).await();
    zsync::file to = io.open(directory.path / "to", flags).await();
    io.write_at(from, 0, std::string_view("Hello World!\n")).await();

    std::array<char, 6> hello;
    std::array<char, 7> world;
    io.readv(from, hello, world).await();
    io.write(hello).await();
    io.write(world).await();

    if (io.supports_zero_copy())
        io.copy_file_range(from, to, hello.size() + world.size(), 0).await();
}

int main()
{
    zsync::run_blocking(task);
    return zsync::run(task);
}
