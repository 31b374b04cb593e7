// SPDX-License-Identifier: BSL-1.0
#include "stall_watch.hpp"

#include "backtrace.hpp"
#include "inspect.hpp"

#include <zsync/fiber/detail/fiber.hpp>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <sstream>
#include <string>

#include <semaphore.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace zsync::detail
{

namespace
{

// Ignored by default, restarts system calls, and hardly used: what it stands for, out-of-band data, nobody sends.
constexpr int asking = SIGURG;

// Says of a signal that it is ours, and carries an `answer`. Below zero, as the kernel wants it of what a program
// queues.
constexpr int ours = -0x7a73;

// What else there was for the signal. Global as signal handlers are; written once, before ours is installed.
struct sigaction previous;

} // namespace

/// Room for what the loop's thread says of itself. It is freed by nobody if the thread has not answered: the signal may
/// still come, if the thread keeps it blocked.
class stall_watch::answer
{
public:
    answer() { ::sem_init(&given_, 0, 0); }
    ~answer() { ::sem_destroy(&given_); }

    static void install()
    {
        // Once a process: taking it away again would race with others, and is not needed. A static local is locked.
        static const bool installed = []
        {
            struct sigaction wanted = {};
            wanted.sa_sigaction = &answer::on_signal;
            wanted.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
            ::sigemptyset(&wanted.sa_mask);
            ::sigaction(asking, nullptr, &previous);
            ::sigaction(asking, &wanted, nullptr);
            std::array<void*, 1> unused; // loads what the unwinder needs, which a handler could not
            return unwind(unused, &unused) != 0;
        }();
        static_cast<void>(installed);
    }

    /// Asks a thread, and waits a while: what keeps it may be keeping the signal off, too.
    std::span<void* const> ask(pid_t thread) noexcept
    {
        siginfo_t info = {};
        info.si_signo = asking;
        info.si_code = ours;
        info.si_pid = ::getpid();
        info.si_uid = ::getuid();
        info.si_value.sival_ptr = this;
        if (::syscall(SYS_rt_tgsigqueueinfo, ::getpid(), thread, asking, &info) != 0)
            return {};
        pending_ = true;
        timespec until{};
        ::clock_gettime(CLOCK_REALTIME, &until);
        ++until.tv_sec; // chosen
        int failed = 0;
        while ((failed = ::sem_timedwait(&given_, &until)) != 0 && errno == EINTR)
            ;
        pending_ = failed != 0;
        return {frames_.data(), pending_ ? 0 : count_};
    }

    bool pending() const noexcept { return pending_; }

private:
    ZSYNC_NO_SANITIZE static void on_signal(int number, siginfo_t* info, void* context)
    {
        if (info->si_code == ours && info->si_pid == ::getpid())
        {
            const int error = errno;
            auto& self = *static_cast<answer*>(info->si_value.sival_ptr);
            self.count_ = unwind_interrupted(self.frames_);
            ::sem_post(&self.given_);
            errno = error;
        }
        else if (previous.sa_flags & SA_SIGINFO)
            previous.sa_sigaction(number, info, context);
        else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN)
            previous.sa_handler(number);
    }

    std::array<void*, 64> frames_;
    std::size_t count_ = 0; // before given_ is posted, by the thread asked; then the watch's
    sem_t given_;
    bool pending_ = false;
};

stall_watch::stall_watch(std::chrono::milliseconds limit, const std::function<void(std::string_view)>& report)
    : limit_(limit), report_(report), answer_(new answer)
{
    answer::install();
    try
    {
        watcher_ = std::thread([this] { watch(); });
    }
    catch (...)
    {
        delete answer_;
        throw;
    }
}

stall_watch::~stall_watch()
{
    {
        const std::lock_guard held(mutex_);
        stopping_ = true;
    }
    stop_.notify_one();
    watcher_.join();
    if (!answer_->pending())
        delete answer_;
}

void stall_watch::enter() noexcept
{
    thread_.store(::gettid(), std::memory_order_relaxed);
    begins(nullptr);
}

void stall_watch::leave() noexcept
{
    beat(true);
}

void stall_watch::begins(const fiber* what) noexcept
{
    static_assert(sizeof what->name == sizeof name_);
    fiber_.store(what ? what->number.number() : 0, std::memory_order_relaxed);
    if (what)
        for (std::size_t index = 0; index < name_words; ++index)
        {
            std::uint64_t word;
            std::memcpy(&word, what->name + index * sizeof word, sizeof word);
            name_[index].store(word, std::memory_order_relaxed);
        }
    beat(false);
}

void stall_watch::watch() noexcept
{
    std::uint64_t seen = 1;
    int times = 0; // that it was seen in a row
    auto since = std::chrono::steady_clock::now();
    std::unique_lock held(mutex_);
    while (!stop_.wait_for(held, limit_ / 2, [this] { return stopping_; }))
    {
        const auto now = std::chrono::steady_clock::now();
        const std::uint64_t beat = beat_.load(std::memory_order_acquire);
        if (beat != seen || beat % 2 == 1)
        {
            seen = beat;
            since = now;
            times = 1;
            continue;
        }
        if (++times == 3)
        {
            held.unlock();
            tell(std::chrono::duration_cast<std::chrono::milliseconds>(now - since));
            held.lock();
        }
    }
}

void stall_watch::tell(std::chrono::milliseconds held) noexcept
{
    stalls_.store(stalls_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    const std::uint64_t id = fiber_.load(std::memory_order_relaxed);
    char name[sizeof name_];
    for (std::size_t index = 0; index < name_words; ++index)
    {
        const std::uint64_t word = name_[index].load(std::memory_order_relaxed);
        std::memcpy(name + index * sizeof word, &word, sizeof word);
    }
    name[sizeof name - 1] = '\0';
    if (answer_->pending()) // it will not answer this time either, and must not answer into another's room
        answer_ = new answer;
    const auto frames = answer_->ask(thread_.load(std::memory_order_relaxed));

    std::ostringstream text;
    text << "zsync: ";
    if (id == 0)
        text << "a function or handler";
    else
        text << "fiber " << id;
    if (id != 0 && name[0] != '\0')
        text << " \"" << name << '"';
    text << " has been holding its loop for " << held.count() << " ms\n";
    if (frames.empty())
        text << "    its thread does not answer\n";
    print(frames, text);
    report_(text.view());
}

} // namespace zsync::detail
