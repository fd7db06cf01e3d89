#include "isolated_reading.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <climits>
#include <cstring>
#include <fstream>
#include <mutex>

#include <ATen/Parallel.h>
#include <torch/version.h>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/base/hash.h>
#include <core/base/stop.h>
#include <core/base/text.h>
#include <core/base/version.h>
#include <core/jobs/child_process.h>
#include <core/jobs/worker_program.h>

#include "model_file.h"

namespace orrery::models {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int kReaderVersion = 2;  ///< raise it when the same file would give another graph
constexpr std::uint64_t kMaxCache = std::uint64_t(4) << 30, kMaxMessage = 1 << 20;
constexpr std::size_t kMaxReaders = 2;
constexpr auto kLook = std::chrono::milliseconds(20);
const char* const kModelName = "model.safetensors";
const char* const kNotesName = "notes.json";

/// A folder that vanishes with this object, unless it was moved away.
class TemporaryFolder {
public:
    explicit TemporaryFolder(const fs::path& parent)
    {
        static std::atomic<unsigned> counter{0};
        fs::create_directories(parent);
        m_path = parent / fmt::format(".{}.{}", ::getpid(), counter++);
        fs::create_directory(m_path);
        fs::permissions(m_path, fs::perms::owner_all);
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    ~TemporaryFolder()
    {
        std::error_code ignored;
        fs::remove_all(m_path, ignored);
    }
    const fs::path& path() const { return m_path; }

private:
    fs::path m_path;
};

/// What the child said, and how it ended.
struct ChildEnd {
    std::string errors;
    int status = 0;
    std::string stopped;  ///< why it was ended from here; empty if it was not
};

void drain(const jobs::FileHandle& pipe, std::string& text)
{
    char buffer[4096];
    for (ssize_t got = 0; (got = ::read(pipe.get(), buffer, sizeof buffer)) > 0;)
        if (text.size() < kMaxMessage)
            text.append(buffer, std::size_t(got));
}

ChildEnd waitFor(jobs::ChildProcess& child, double seconds, std::uint64_t memory)
{
    ChildEnd end;
    std::string ignored;
    const auto last = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    while (!child.hasEnded()) {
        pollfd pipes[] = {{child.errors.get(), POLLIN, 0}, {child.output.get(), POLLIN, 0}};
        ::poll(pipes, 2, int(kLook.count()));
        drain(child.errors, end.errors);
        drain(child.output, ignored);
        if (core::isStopped()) {
            child.kill();
            child.wait();
            throw core::Cancelled();
        }
        if (Clock::now() > last)
            end.stopped = fmt::format("reading it took longer than {:.0f} seconds", seconds);
        else if (child.residentBytes() > memory)
            end.stopped = fmt::format("reading it took more than {} of memory", core::formatBytes(memory));
        if (!end.stopped.empty()) {
            child.kill();
            break;
        }
        if (pipes[0].revents & POLLHUP)  // nothing more to wait for on the pipes
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    end.status = child.wait();
    drain(child.errors, end.errors);
    return end;
}

// The command line writes "orrery-cli: TEXT".
std::string messageIn(const std::string& errors)
{
    const std::string_view prefix = "orrery-cli: ";
    const auto at = errors.rfind(prefix);
    return std::string(core::trim(at == std::string::npos ? errors : errors.substr(at + prefix.size())));
}

void throwIfFailed(const ChildEnd& end, const fs::path& file)
{
    if (!end.stopped.empty())
        throw core::FormatError(fmt::format("{}: damaged file, or too large: {}", file.string(), end.stopped));
    if (WIFSIGNALED(end.status))
        throw core::FormatError(fmt::format("{}: damaged file: the process that read it died (signal {}, {})", file.string(), WTERMSIG(end.status),
                                            ::strsignal(WTERMSIG(end.status))));
    if (WEXITSTATUS(end.status) == 0)
        return;
    const auto message = messageIn(end.errors);
    if (WEXITSTATUS(end.status) == 2)
        throw core::FormatError(message.empty() ? file.string() + ": cannot be read" : message);
    throw core::Error(fmt::format("{}: the process that read it failed: {}", file.string(), message));
}

/// What a reading process is to do.
struct Request {
    fs::path file, folder;
    TorchScriptOptions options;
    std::uint64_t memory = 0;

    std::vector<std::string> command(const fs::path& program) const
    {
        std::vector<std::string> words = {program.string(), "read-model", file.string(), folder.string(), "--quiet", "--threads", "1"};
        words.insert(words.end(), {"--memory", std::to_string(memory)});
        for (const auto& input : options.keepInputs)
            words.insert(words.end(), {"--keep", input});
        if (options.method != "forward")
            words.insert(words.end(), {"--method", options.method});
        return words;
    }
    std::string text() const
    {
        return core::Json{
            {"file", file.string()}, {"folder", folder.string()}, {"keep", options.keepInputs}, {"method", options.method}, {"memory", memory}}
            .dump();
    }
    static Request fromText(const std::string& text)
    {
        const auto json = core::Json::parse(text);
        Request request{json.at("file").get<std::string>(), json.at("folder").get<std::string>(), {}, json.at("memory").get<std::uint64_t>()};
        json.at("keep").get_to(request.options.keepInputs);
        json.at("method").get_to(request.options.method);
        return request;
    }
};

/// Of a process that waits: reads the file that it is told of, if any. @return the exit status, as that of `orrery-cli read-model`.
int answerRequest()
{
    std::string text;
    char buffer[4096];
    for (ssize_t got = 0; (got = ::read(STDIN_FILENO, buffer, sizeof buffer)) > 0;)
        text.append(buffer, std::size_t(got));
    if (text.empty())
        return 0;  // nobody needed it
    const auto failed = [](const std::string& reason, int status) {
        const std::string line = "orrery-cli: " + reason + "\n";
        [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
        return status;
    };
    try {
        at::set_num_threads(1);
        const auto request = Request::fromText(text);
        readIntoFolder(request.file, request.options, request.folder, request.memory);
        return 0;
    } catch (const core::FormatError& error) {
        return failed(error.what(), 2);
    } catch (const core::InputError& error) {
        return failed(error.what(), 2);
    } catch (const core::ShapeError& error) {
        return failed(error.what(), 2);
    } catch (const std::exception& error) {
        return failed(error.what(), 1);
    }
}

/// Processes that wait.
struct Readers {
    std::mutex mutex;  ///< guards `waiting`
    std::vector<std::unique_ptr<jobs::ChildProcess>> waiting;

    static Readers& instance()
    {
        static Readers readers;
        return readers;
    }
    std::unique_ptr<jobs::ChildProcess> take()
    {
        const std::lock_guard lock(mutex);
        if (waiting.empty())
            return nullptr;
        auto child = std::move(waiting.back());
        waiting.pop_back();
        return child;
    }
};

bool tell(const jobs::ChildProcess& child, const std::string& request)
{
    return request.size() <= PIPE_BUF && !child.hasEnded() && ::write(child.input.get(), request.data(), request.size()) == ssize_t(request.size());
}

void runReader(const fs::path& program, const fs::path& file, const TorchScriptOptions& options, const fs::path& folder,
               const IsolationLimits& limits)
{
    const auto size = std::uint64_t(fs::file_size(file));
    const Request request{file, folder, options, limits.memory + 3 * size};
    auto child = Readers::instance().take();
    if (!child || !tell(*child, request.text()))
        child = std::make_unique<jobs::ChildProcess>(request.command(program));
    child->input.reset();
    throwIfFailed(waitFor(*child, limits.seconds * double(1 + size / 100'000'000), request.memory), file);
}

/// Beyond what the libraries have taken already.
void limitMemory(std::uint64_t bytes)
{
    std::uint64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    if (bytes == 0 || pages == 0)
        return;
    const rlim_t total = rlim_t(pages) * rlim_t(::sysconf(_SC_PAGESIZE)) + bytes;
    const rlimit limit{total, total};
    ::setrlimit(RLIMIT_AS, &limit);
}

/// The first entry of an archive as torch.save and torch.jit.save write them. Cheap: the file itself is looked at when it is opened.
bool mayBeTorchScript(const std::string& word)
{
    std::error_code error;
    if (!fs::is_regular_file(word, error))
        return false;
    char begin[256] = "";
    std::ifstream(word, std::ios::binary).read(begin, sizeof begin);
    const std::string_view text(begin, sizeof begin);
    return text.starts_with("PK\x03\x04") && text.find("/data") != std::string_view::npos;
}

ImportedModel loaded(const fs::path& folder, const fs::path& file)
{
    ImportedModel imported;
    imported.model = loadModel(folder / kModelName);
    imported.model.origin = file.string();
    imported.model.card.title = file.stem().string();
    const auto notes = core::Json::parse(core::readFile(folder / kNotesName, kMaxMessage), nullptr, false);
    if (notes.is_array())
        for (const auto& note : notes)
            if (note.is_string())
                imported.notes.push_back(note.get<std::string>());
    return imported;
}

std::string keyOf(const fs::path& file, const TorchScriptOptions& options)
{
    core::Hasher hasher;
    hasher.add(core::hashFileHex(file));
    hasher.add(fmt::format("{} {} {} {}", kReaderVersion, kModelFileVersion, core::kVersion, TORCH_VERSION));
    hasher.add(options.method);
    for (const auto& input : options.keepInputs)
        hasher.add("\n" + input);
    return hasher.hex();
}

std::uint64_t bytesOf(const fs::path& folder)
{
    std::error_code error;
    const auto size = fs::file_size(folder / kModelName, error);
    return error ? 0 : size;
}

// Oldest first, until the rest fits. Somebody may still have one mapped: it stays for them until they close it.
void trim(const fs::path& cache)
{
    std::vector<std::pair<fs::file_time_type, fs::path>> entries;
    std::error_code error;
    std::uint64_t total = 0;
    for (const auto& entry : fs::directory_iterator(cache, error)) {
        if (entry.path().filename().string().starts_with('.'))
            continue;
        total += bytesOf(entry.path());
        entries.emplace_back(fs::last_write_time(entry.path(), error), entry.path());
    }
    std::sort(entries.begin(), entries.end());
    for (const auto& [time, path] : entries) {
        if (total <= kMaxCache)
            return;
        total -= bytesOf(path);
        fs::remove_all(path, error);
    }
}

// A cache that cannot be read or written is no reason to fail.
std::optional<ImportedModel> fromCache(const fs::path& entry, const fs::path& file)
{
    std::error_code error;
    if (!fs::is_directory(entry, error))
        return std::nullopt;
    try {
        auto imported = loaded(entry, file);
        fs::last_write_time(entry, fs::file_time_type::clock::now(), error);
        return imported;
    } catch (const core::Error&) {
        fs::remove_all(entry, error);
        return std::nullopt;
    }
}

fs::path writableFolder()
{
    std::error_code error;
    const auto cache = modelCacheFolder();
    fs::create_directories(cache, error);
    return !error && ::access(cache.c_str(), W_OK) == 0 ? cache : fs::temp_directory_path() / fmt::format("orrery-{}", ::getuid());
}

}  // namespace

fs::path modelCacheFolder()
{
    if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache && *cache == '/')
        return fs::path(cache) / "orrery" / "models";
    const char* home = std::getenv("HOME");
    return (home && *home == '/' ? fs::path(home) / ".cache" : fs::temp_directory_path()) / "orrery" / "models";
}

ImportedModel readIsolated(const fs::path& file, const TorchScriptOptions& options, const IsolationLimits& limits)
{
    const auto program = jobs::findWorkerProgram();
    if (!program)
        throw core::Error(fmt::format("{}: reading it apart needs orrery-cli beside this program", file.string()));
    const auto folder = writableFolder();
    const auto entry = folder / keyOf(file, options);
    if (auto imported = fromCache(entry, file))
        return std::move(*imported);
    const TemporaryFolder temporary(folder);
    runReader(*program, file, options, temporary.path(), limits);
    auto imported = loaded(temporary.path(), file);
    std::error_code error;  // another process may have been first
    fs::rename(temporary.path(), entry, error);
    trim(folder);
    return imported;
}

void prepareReaders(const std::vector<std::string>& words)
{
    if (!jobs::ChildProcess::canCopy())
        return;
    auto& readers = Readers::instance();
    const std::lock_guard lock(readers.mutex);
    for (const auto& word : words)
        if (readers.waiting.size() < kMaxReaders && mayBeTorchScript(word))
            readers.waiting.push_back(std::make_unique<jobs::ChildProcess>(answerRequest));
}

void readIntoFolder(const fs::path& file, const TorchScriptOptions& options, const fs::path& folder, std::uint64_t memory)
{
    limitMemory(memory);
    try {
        const auto imported = importTorchScript(file, options);
        saveModel(folder / kModelName, imported.model);
        core::writeFileAtomically(folder / kNotesName, core::Json(imported.notes).dump());
    } catch (const std::bad_alloc&) {
        throw core::FormatError(
            fmt::format("{}: damaged file, or too large: reading it took more than {} of memory", file.string(), core::formatBytes(memory)));
    }
}

}  // namespace orrery::models
