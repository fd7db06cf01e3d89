#include "artifact_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include <core/base/error.h>
#include <core/base/hash.h>

namespace orrery::store {
namespace {

constexpr std::string_view kTemporary = "incoming-";

[[noreturn]] void fail(const std::filesystem::path& file, std::string_view what)
{
    throw core::StorageError(fmt::format("{}: {}: {}", file.string(), what, std::strerror(errno)));
}

void makeFolderOf(const std::filesystem::path& folder)
{
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error)
        throw core::StorageError(fmt::format("{}: cannot be created: {}", folder.string(), error.message()));
}

void flushFolder(const std::filesystem::path& folder)
{
    const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return;
    ::fsync(descriptor);
    ::close(descriptor);
}

/// A file under a temporary name that vanishes unless it is given its own.
class IncomingFile {
public:
    explicit IncomingFile(const std::filesystem::path& folder)
    {
        static std::atomic<int> counter = 0;
        m_file = folder / fmt::format("{}{}-{}", kTemporary, ::getpid(), ++counter);
        m_descriptor = ::open(m_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (m_descriptor < 0)
            fail(m_file, "cannot be written");
    }
    ~IncomingFile()
    {
        ::close(m_descriptor);
        if (!m_file.empty())
            ::unlink(m_file.c_str());
    }
    IncomingFile(const IncomingFile&) = delete;
    IncomingFile& operator=(const IncomingFile&) = delete;

    void write(std::string_view bytes)
    {
        while (!bytes.empty()) {
            const ssize_t written = ::write(m_descriptor, bytes.data(), bytes.size());
            if (written < 0 && errno == EINTR)
                continue;
            if (written < 0)
                fail(m_file, "cannot be written");
            bytes.remove_prefix(std::size_t(written));
        }
    }
    void moveTo(const std::filesystem::path& target)
    {
        if (::fsync(m_descriptor) != 0)
            fail(m_file, "cannot be flushed to disk");
        if (::rename(m_file.c_str(), target.c_str()) != 0)
            fail(target, "cannot be written");
        m_file.clear();
        flushFolder(target.parent_path());
        flushFolder(target.parent_path().parent_path());
    }

private:
    std::filesystem::path m_file;
    int m_descriptor = -1;
};

}  // namespace

ArtifactFiles::Stored ArtifactFiles::add(const std::function<void(const std::function<void(std::string_view)>&)>& produce)
{
    makeFolderOf(m_folder);
    IncomingFile incoming(m_folder);
    core::Hasher hasher;
    Stored stored;
    produce([&](std::string_view bytes) {
        hasher.add(bytes);
        stored.bytes += bytes.size();
        incoming.write(bytes);
    });
    stored.hash = hasher.hex();
    const std::filesystem::path target = path(stored.hash);
    std::error_code none;
    if (std::filesystem::file_size(target, none) == stored.bytes && !none)
        return stored;
    makeFolderOf(target.parent_path());
    incoming.moveTo(target);
    return stored;
}

std::filesystem::path ArtifactFiles::path(const std::string& hash) const
{
    return m_folder / hash.substr(0, 2) / hash;
}

void ArtifactFiles::remove(const std::string& hash)
{
    std::error_code ignored;
    std::filesystem::remove(path(hash), ignored);
    // The folder stays, even if it is empty: somebody may be about to move a file into it.
}

void ArtifactFiles::removeLeftovers()
{
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(m_folder, ignored)) {
        const std::string name = entry.path().filename().string();
        if (!name.starts_with(kTemporary))
            continue;
        const pid_t process = std::atoi(name.c_str() + kTemporary.size());
        if (::kill(process, 0) != 0 && errno == ESRCH)
            std::filesystem::remove(entry.path(), ignored);
    }
}

}  // namespace orrery::store
