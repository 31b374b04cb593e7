// SPDX-License-Identifier: BSL-1.0
#include "backtrace.hpp"

#include <zsync/core/detail/sanitizers.hpp>

#include <boost/core/demangle.hpp>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string_view>

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <unwind.h>

namespace zsync::detail
{

// Not sanitized: it runs on stacks that AddressSanitizer knows nothing of, and in signal handlers.
namespace
{

struct collection
{
    std::span<void*> frames;
    const void* above; // null: begin with what a signal has interrupted
    std::size_t count = 0;
    bool begun = false;
};

ZSYNC_NO_SANITIZE _Unwind_Reason_Code visit(_Unwind_Context* context, void* argument)
{
    auto& all = *static_cast<collection*>(argument);
    int interrupted = 0; // the address is that of the next instruction, not the one after a call
    const std::uintptr_t address = _Unwind_GetIPInfo(context, &interrupted);
    if (address == 0)
        return _URC_END_OF_STACK;
    if (!all.begun)
    {
        if (all.above ? _Unwind_GetCFA(context) <= reinterpret_cast<std::uintptr_t>(all.above) : interrupted == 0)
            return _URC_NO_REASON;
        all.begun = true;
    }
    all.frames[all.count++] = reinterpret_cast<void*>(address - (interrupted ? 0 : 1));
    return all.count < all.frames.size() ? _URC_NO_REASON : _URC_END_OF_STACK;
}

ZSYNC_NO_SANITIZE std::size_t unwind(collection all) noexcept
{
    if (!all.frames.empty())
        _Unwind_Backtrace(&visit, &all);
    return all.count;
}

} // namespace

ZSYNC_NO_SANITIZE std::size_t unwind(std::span<void*> frames, const void* above) noexcept
{
    return unwind(collection{frames, above});
}

ZSYNC_NO_SANITIZE std::size_t unwind_interrupted(std::span<void*> frames) noexcept
{
    return unwind(collection{frames, nullptr});
}

/// The symbols of an ELF file.
class symbolizer::module
{
public:
    explicit module(const char* path) : path_(path)
    {
        const int file = ::open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0)
            return;
        struct stat about
        {
        };
        if (::fstat(file, &about) == 0 && about.st_size > 0)
        {
            bytes_ = static_cast<std::size_t>(about.st_size);
            void* const memory = ::mmap(nullptr, bytes_, PROT_READ, MAP_PRIVATE, file, 0);
            memory_ = memory == MAP_FAILED ? nullptr : static_cast<const char*>(memory);
        }
        ::close(file);
        if (memory_)
            find_tables();
    }

    ~module()
    {
        if (memory_)
            ::munmap(const_cast<char*>(memory_), bytes_);
    }

    module(const module&) = delete;
    module& operator=(const module&) = delete;

    const std::string& path() const noexcept { return path_; }

    /// Returns the name of the function at an address within the file, or null.
    const char* function_at(ElfW(Addr) address) const noexcept
    {
        for (const ElfW(Sym) & each : symbols_)
            if (ELF64_ST_TYPE(each.st_info) == STT_FUNC && address - each.st_value < each.st_size &&
                each.st_name < names_.size())
                return names_.data() + each.st_name;
        return nullptr;
    }

private:
    // Null: the file has no such place.
    template <class T>
    const T* at(std::size_t offset, std::size_t count) const noexcept
    {
        if (offset > bytes_ || offset % alignof(T) != 0 || count > (bytes_ - offset) / sizeof(T))
            return nullptr;
        return reinterpret_cast<const T*>(memory_ + offset);
    }

    void find_tables() noexcept
    {
        const auto* const header = at<ElfW(Ehdr)>(0, 1);
        if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
            return;
        const auto* const sections = at<ElfW(Shdr)>(header->e_shoff, header->e_shnum);
        if (!sections)
            return;
        for (const ElfW(Shdr) & each : std::span(sections, header->e_shnum))
        {
            if (each.sh_type != SHT_SYMTAB || each.sh_link >= header->e_shnum)
                continue;
            const ElfW(Shdr)& strings = sections[each.sh_link];
            const auto* const symbols = at<ElfW(Sym)>(each.sh_offset, each.sh_size / sizeof(ElfW(Sym)));
            const auto* const names = at<char>(strings.sh_offset, strings.sh_size);
            if (!symbols || !names || strings.sh_size == 0 || names[strings.sh_size - 1] != '\0')
                continue;
            symbols_ = {symbols, each.sh_size / sizeof(ElfW(Sym))};
            names_ = {names, strings.sh_size};
        }
    }

    const std::string path_;
    const char* memory_ = nullptr;
    std::size_t bytes_ = 0;
    std::span<const ElfW(Sym)> symbols_;
    std::span<const char> names_;
};

symbolizer::symbolizer() = default;
symbolizer::~symbolizer() = default;

const std::string& symbolizer::describe(void* address)
{
    const auto known = known_.find(address);
    return known != known_.end() ? known->second : known_.emplace(address, look_up(address)).first->second;
}

symbolizer::module& symbolizer::module_at(const char* path)
{
    for (const auto& each : modules_)
        if (each->path() == path)
            return *each;
    return *modules_.emplace_back(std::make_unique<module>(path));
}

std::string symbolizer::look_up(void* address)
{
    char place[32];
    Dl_info exported{};
    link_map* loaded = nullptr;
    if (::dladdr1(address, &exported, reinterpret_cast<void**>(&loaded), RTLD_DL_LINKMAP) == 0 || !loaded)
    {
        std::snprintf(place, sizeof place, "%p", address);
        return place;
    }
    const auto offset = reinterpret_cast<ElfW(Addr)>(address) - loaded->l_addr;
    const bool is_program = !loaded->l_name || *loaded->l_name == '\0';
    const char* name = module_at(is_program ? "/proc/self/exe" : loaded->l_name).function_at(offset);
    if (!name)
        name = exported.dli_sname;
    std::string_view file = exported.dli_fname ? exported.dli_fname : "?";
    file.remove_prefix(file.rfind('/') + 1);

    std::string text = name ? boost::core::demangle(name) : "?";
    constexpr std::size_t longest = 200; // chosen: templates have names of thousands
    if (text.size() > longest)
        text.replace(longest, text.npos, "...");
    std::snprintf(place, sizeof place, "+0x%llx)", static_cast<unsigned long long>(offset));
    return text.append(" (").append(file).append(place);
}

} // namespace zsync::detail
