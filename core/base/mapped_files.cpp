#include "mapped_files.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <mutex>

#include "error.h"

namespace orrery::core {
namespace {

enum class FileState { AsOpened, Written, Cut };

/// One mapping. A signal handler reads `begin`, `size` and writes `state`: they are atomic, and `begin` is written last. Everything else is guarded by the mutex of Mappings.
struct Mapping {
    std::atomic<std::uintptr_t> begin{0};
    std::atomic<std::size_t> size{0};
    std::atomic<FileState> state{FileState::AsOpened};
    std::filesystem::path file;
    dev_t device = 0;
    ino_t inode = 0;
    off_t bytes = 0;
    timespec written{};

    bool holds(std::uintptr_t address) const
    {
        const auto first = begin.load();
        return first != 0 && address >= first && address - first < size.load();
    }
};

/// More than these are mapped as well, but not watched.
constexpr std::size_t kMostMappings = 4096;

struct Mappings {
    std::array<Mapping, kMostMappings> slots;
    std::atomic<std::size_t> used{0};  ///< slots behind were never taken
    std::atomic<bool> changed{false};  ///< some file was written to
    std::atomic<std::int64_t> nextLook{0};
    std::mutex mutex;
    std::string firstChange;  ///< guarded by the mutex
    struct sigaction previous {};
};

// Never destroyed: the handler may run until the end of the program.
Mappings& mappings()
{
    static auto& instance = *new Mappings;
    return instance;
}

Mappings* watched = nullptr;
std::size_t pageSize = 4096;

// Only what is safe in a signal handler. From the page that is no longer there to the end of the mapping, zeros take its place.
void onBusError(int signal, siginfo_t* info, void*)
{
    const int error = errno;
    const auto address = std::uintptr_t(info->si_addr);
    const std::size_t used = info->si_code > 0 ? watched->used.load() : 0;
    for (std::size_t i = 0; i < used; ++i) {
        Mapping& mapping = watched->slots[i];
        if (!mapping.holds(address))
            continue;
        const std::uintptr_t page = address / pageSize * pageSize;
        void* const zeros = ::mmap(reinterpret_cast<void*>(page), mapping.begin.load() + mapping.size.load() - page, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
        if (zeros == MAP_FAILED)
            break;
        mapping.state = FileState::Cut;
        watched->changed = true;
        errno = error;
        return;
    }
    // Not ours: whoever was asked before answers, when the instruction is tried again.
    ::sigaction(signal, &watched->previous, nullptr);
    if (info->si_code <= 0)
        ::raise(signal);
    errno = error;
}

void installHandler()
{
    watched = &mappings();
    pageSize = std::size_t(::sysconf(_SC_PAGESIZE));
    struct sigaction action {};
    action.sa_sigaction = onBusError;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    sigemptyset(&action.sa_mask);
    ::sigaction(SIGBUS, &action, &watched->previous);
}

// A file that was replaced or removed (another inode under its name, or none) leaves the mapping whole.
FileState stateOf(const Mapping& mapping)
{
    struct stat now {};
    if (::stat(mapping.file.c_str(), &now) != 0 || now.st_dev != mapping.device || now.st_ino != mapping.inode)
        return FileState::AsOpened;
    if (now.st_size < mapping.bytes)
        return FileState::Cut;
    const bool isSame = now.st_mtim.tv_sec == mapping.written.tv_sec && now.st_mtim.tv_nsec == mapping.written.tv_nsec;
    return isSame ? FileState::AsOpened : FileState::Written;
}

std::string changeOf(const Mapping& mapping)
{
    return fmt::format("{}: the file was {} while it was open here, so its content is no longer what was opened: open it again",
                       mapping.file.string(), mapping.state == FileState::Cut ? "cut short" : "written to");
}

/// Looks at a mapped file. Call with the mutex held.
void look(Mappings& all, Mapping& mapping)
{
    if (mapping.begin == 0)
        return;
    if (mapping.state == FileState::AsOpened)
        mapping.state = stateOf(mapping);
    if (mapping.state == FileState::AsOpened)
        return;
    all.changed = true;
    if (all.firstChange.empty())
        all.firstChange = changeOf(mapping);
}

void lookAtAll(Mappings& all)
{
    for (std::size_t i = 0; i < all.used; ++i)
        look(all, all.slots[i]);
}

}  // namespace

void watchMapping(const std::filesystem::path& file, int descriptor, void* begin, std::size_t size)
{
    struct stat opened {};
    if (::fstat(descriptor, &opened) != 0)
        return;
    static std::once_flag once;
    std::call_once(once, installHandler);
    Mappings& all = mappings();
    const std::lock_guard lock(all.mutex);
    std::size_t i = 0;
    while (i < all.used && all.slots[i].begin != 0)
        ++i;
    if (i == kMostMappings)
        return;
    Mapping& mapping = all.slots[i];
    std::error_code error;
    mapping.file = std::filesystem::absolute(file, error);
    mapping.device = opened.st_dev;
    mapping.inode = opened.st_ino;
    mapping.bytes = opened.st_size;
    mapping.written = opened.st_mtim;
    mapping.state = FileState::AsOpened;
    mapping.size = size;
    mapping.begin = std::uintptr_t(begin);
    if (i == all.used)
        all.used = i + 1;
}

void forgetMapping(const void* begin)
{
    Mappings& all = mappings();
    const std::lock_guard lock(all.mutex);
    bool isChanged = false;
    for (std::size_t i = 0; i < all.used; ++i) {
        Mapping& mapping = all.slots[i];
        if (mapping.begin == std::uintptr_t(begin)) {
            look(all, mapping);
            mapping.begin = 0;
        }
        isChanged = isChanged || (mapping.begin != 0 && mapping.state != FileState::AsOpened);
    }
    all.changed = isChanged;
}

bool mappedFilesAreAsOpened()
{
    Mappings& all = mappings();
    if (all.used == 0)
        return true;
    constexpr std::chrono::steady_clock::duration kBetween = std::chrono::milliseconds(200);
    const std::int64_t now = std::chrono::steady_clock::now().time_since_epoch().count();
    auto next = all.nextLook.load();
    if (now >= next && all.nextLook.compare_exchange_strong(next, now + kBetween.count())) {
        const std::lock_guard lock(all.mutex);
        lookAtAll(all);
    }
    return !all.changed;
}

void requireAsOpened(const void* address)
{
    Mappings& all = mappings();
    const std::lock_guard lock(all.mutex);
    for (std::size_t i = 0; i < all.used; ++i) {
        Mapping& mapping = all.slots[i];
        if (!mapping.holds(std::uintptr_t(address)))
            continue;
        look(all, mapping);
        if (mapping.state != FileState::AsOpened)
            throw StorageError(changeOf(mapping));
    }
}

std::string mappedFileChange()
{
    Mappings& all = mappings();
    const std::lock_guard lock(all.mutex);
    lookAtAll(all);
    return all.firstChange;
}

}  // namespace orrery::core
