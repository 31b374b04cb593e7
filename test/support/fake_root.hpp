// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <stdlib.h>

namespace test
{

/// A directory of files that stands for "/", and is gone with the object.
class fake_root
{
public:
    fake_root()
    {
        std::string name = (std::filesystem::temp_directory_path() / "zsync-root-XXXXXX").string();
        if (!::mkdtemp(name.data()))
            throw std::filesystem::filesystem_error("mkdtemp", name, std::make_error_code(std::errc(errno)));
        path_ = std::move(name);
    }

    ~fake_root() { std::filesystem::remove_all(path_); }
    fake_root(const fake_root&) = delete;
    fake_root& operator=(const fake_root&) = delete;

    void write(std::string_view path, std::string_view text) const
    {
        const std::filesystem::path file = string().append(path);
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file) << text;
    }

    std::string string() const { return path_.string(); }

private:
    std::filesystem::path path_;
};

} // namespace test
