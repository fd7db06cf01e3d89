#include "files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "error.h"
#include "mapped_files.h"

namespace orrery::core {
namespace {

[[noreturn]] void fail(const std::filesystem::path& file, std::string_view what, int error)
{
    throw StorageError(fmt::format("{}: {}: {}", file.string(), what, std::strerror(error)));
}

/// An open file descriptor, closed at the end of its scope.
struct Descriptor {
    int fd = -1;
    ~Descriptor()
    {
        if (fd >= 0)
            ::close(fd);
    }
};

/// Opened for reading, and what it is. A pipe that nobody writes to is empty instead of something to wait for.
struct OpenedFile {
    Descriptor descriptor;
    struct stat status {};

    explicit OpenedFile(const std::filesystem::path& file) : descriptor{::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)}
    {
        const int fd = descriptor.fd;
        if (fd < 0)
            fail(file, "cannot be opened", errno);
        if (::fstat(fd, &status) != 0)
            fail(file, "cannot be read", errno);
        if (S_ISDIR(status.st_mode))
            fail(file, "expected a file", EISDIR);
        if (!S_ISREG(status.st_mode))
            ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    }
};

void writeAll(int fd, std::string_view bytes, const std::filesystem::path& file)
{
    while (!bytes.empty()) {
        const ssize_t written = ::write(fd, bytes.data(), std::min<std::size_t>(bytes.size(), std::size_t(1) << 30));
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            fail(file, "cannot be written", errno);
        bytes.remove_prefix(std::size_t(written));
    }
}

/// A file beside its target that becomes the target on `commit` and vanishes otherwise.
class TemporaryFile {
public:
    explicit TemporaryFile(std::filesystem::path target) : m_target(std::move(target)) { open(); }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
    ~TemporaryFile()
    {
        if (!m_committed)
            ::unlink(m_temporary.c_str());
    }
    int descriptor() const { return m_descriptor.fd; }

    void commit()
    {
        keepPermissions();
        if (::fsync(m_descriptor.fd) != 0)
            fail(m_target, "cannot be flushed to disk", errno);
        if (::rename(m_temporary.c_str(), m_target.c_str()) != 0)
            fail(m_target, "cannot be replaced", errno);
        m_committed = true;
        flushFolder();
    }

private:
    void open()
    {
        static std::atomic<unsigned> counter{0};
        // A link stays a link: what it points to is replaced.
        std::error_code ignored;
        if (std::filesystem::is_symlink(m_target, ignored)) {
            const auto real = std::filesystem::weakly_canonical(m_target, ignored);
            if (!ignored)
                m_target = real;
        }
        if (std::filesystem::is_directory(m_target, ignored))
            fail(m_target, "cannot be written", EISDIR);
        m_temporary = m_target.parent_path() / fmt::format(".{}.{}.{}.tmp", m_target.filename().string().substr(0, 200), ::getpid(), counter++);
        m_descriptor.fd = ::open(m_temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (m_descriptor.fd < 0)
            fail(m_target, "cannot be written", errno);
    }

    void keepPermissions() const
    {
        struct stat old {};
        if (::stat(m_target.c_str(), &old) == 0 && S_ISREG(old.st_mode))
            (void)!::fchmod(m_descriptor.fd, old.st_mode & 07777);
    }

    /// The rename itself is durable only when the folder is; a folder that cannot be flushed (some network file systems) is no error.
    void flushFolder() const
    {
        const std::filesystem::path folder = m_target.has_parent_path() ? m_target.parent_path() : std::filesystem::path(".");
        const Descriptor opened{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
        if (opened.fd >= 0)
            ::fsync(opened.fd);
    }

    std::filesystem::path m_target, m_temporary;
    Descriptor m_descriptor;
    bool m_committed = false;
};

/// zlib's state, released at the end of its scope.
struct Inflater {
    z_stream stream{};
    explicit Inflater(std::string_view name)
    {
        if (inflateInit2(&stream, 15 + 16) != Z_OK)
            throw FormatError(fmt::format("{}: cannot start to inflate: out of memory", name));
    }
    ~Inflater() { inflateEnd(&stream); }
};

}  // namespace

std::string readFile(const std::filesystem::path& file, std::uint64_t maxBytes)
{
    const OpenedFile opened(file);
    // The size is a hint only: pipes and /proc files say 0.
    const std::uint64_t size = std::uint64_t(opened.status.st_size);
    const auto tooLarge = [&](std::uint64_t bytes) {
        return StorageError(fmt::format("{}: expected at most {} bytes, got {} or more", file.string(), maxBytes, bytes));
    };
    if (size > maxBytes)
        throw tooLarge(size);
    std::string content(std::size_t(size), '\0');
    std::size_t filled = 0;
    for (;;) {
        if (filled == content.size())
            content.resize(content.size() + (filled == size ? 1 : std::max<std::size_t>(65536, filled)));
        const ssize_t got = ::read(opened.descriptor.fd, content.data() + filled, content.size() - filled);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            fail(file, "cannot be read", errno);
        if (got == 0)
            break;
        filled += std::size_t(got);
        if (filled > maxBytes)
            throw tooLarge(filled);
    }
    content.resize(filled);
    return content;
}

void writeFileAtomically(const std::filesystem::path& file, std::string_view content)
{
    writeFileAtomically(file, [&](const std::function<void(std::string_view)>& append) { append(content); });
}

void writeFileAtomically(const std::filesystem::path& file, const std::function<void(const std::function<void(std::string_view)>&)>& write)
{
    TemporaryFile temporary(file);
    // Small pieces are gathered: one system call a tensor name would be slow.
    constexpr std::size_t kBuffer = 1 << 20;
    std::string buffer;
    const auto flush = [&] {
        writeAll(temporary.descriptor(), buffer, file);
        buffer.clear();
    };
    write([&](std::string_view bytes) {
        if (buffer.size() + bytes.size() > kBuffer)
            flush();
        if (bytes.size() > kBuffer)
            writeAll(temporary.descriptor(), bytes, file);
        else
            buffer.append(bytes);
    });
    flush();
    temporary.commit();
}

MappedFile::MappedFile(const std::filesystem::path& file)
{
    const OpenedFile opened(file);
    if (!S_ISREG(opened.status.st_mode))
        throw StorageError(fmt::format("{}: expected a file, found a {}", file.string(), S_ISFIFO(opened.status.st_mode) ? "pipe" : "device"));
    const auto size = std::size_t(opened.status.st_size);
    if (size == 0)
        return;
    void* const mapped = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, opened.descriptor.fd, 0);
    if (mapped == MAP_FAILED)
        fail(file, "cannot be mapped", errno);
    m_bytes = {static_cast<std::byte*>(mapped), size};
    watchMapping(file, opened.descriptor.fd, mapped, size);
}

MappedFile::~MappedFile()
{
    if (m_bytes.empty())
        return;
    forgetMapping(m_bytes.data());
    ::munmap(m_bytes.data(), m_bytes.size());
}

std::string inflateIfGzip(std::string_view bytes, std::string_view name, std::uint64_t maxBytes)
{
    if (!bytes.starts_with("\x1f\x8b"))
        return std::string(bytes);
    Inflater inflater(name);
    z_stream& stream = inflater.stream;
    std::string out, block(256 << 10, '\0');
    std::string_view rest = bytes;
    int status = Z_OK;
    while (true) {
        // zlib counts in 32 bits: feed it slices.
        if (stream.avail_in == 0 && !rest.empty()) {
            const std::string_view slice = rest.substr(0, 1 << 30);
            stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(slice.data()));
            stream.avail_in = uInt(slice.size());
            rest.remove_prefix(slice.size());
        }
        stream.next_out = reinterpret_cast<Bytef*>(block.data());
        stream.avail_out = uInt(block.size());
        status = inflate(&stream, Z_NO_FLUSH);
        out.append(block.data(), block.size() - stream.avail_out);
        if (out.size() > maxBytes)
            throw FormatError(fmt::format("{}: expected at most {} bytes when inflated, got more", name, maxBytes));
        if (status == Z_STREAM_END) {
            // Members may follow each other (concatenated gzip files); anything else after the end is padding.
            if (!bytes.substr(bytes.size() - rest.size() - stream.avail_in).starts_with("\x1f\x8b"))
                return out;
            inflateReset(&stream);
            continue;
        }
        if (status != Z_OK && !(status == Z_BUF_ERROR && (stream.avail_in > 0 || !rest.empty()))) {
            const std::string why = status == Z_BUF_ERROR ? "the data end too early" : stream.msg ? stream.msg : "damaged data";
            throw FormatError(fmt::format("{}: expected gzip data, got damaged ones after {} bytes: {}", name, out.size(), why));
        }
    }
}

std::filesystem::path executableFolder()
{
    std::error_code error;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
    if (error)
        throw StorageError("the folder of the running program cannot be found: " + error.message());
    return self.parent_path();
}

std::filesystem::path resourceFolder()
{
    const char* const chosen = std::getenv("ORRERY_RESOURCES");
    if (chosen && *chosen) {
        if (!std::filesystem::is_directory(chosen))
            throw StorageError(fmt::format("$ORRERY_RESOURCES: expected a folder, got \"{}\"", chosen));
        return chosen;
    }
    // bin/orrery, bin/tests/x_test and lib/orrery/x all find share/orrery/resources in the same prefix.
    std::filesystem::path folder = executableFolder();
    for (int up = 0; up < 4 && folder.has_relative_path(); ++up, folder = folder.parent_path()) {
        const auto candidate = folder / "share" / "orrery" / "resources";
        std::error_code ignored;
        if (std::filesystem::is_directory(candidate, ignored))
            return candidate;
    }
    throw StorageError(
        fmt::format("no resources: expected share/orrery/resources beside or above {} (or set $ORRERY_RESOURCES)", executableFolder().string()));
}

std::filesystem::path resolvePath(std::string_view reference, const std::filesystem::path& base)
{
    constexpr std::string_view kResource = "resource:";
    if (reference.starts_with(kResource))
        return resourceFolder() / "data" / std::filesystem::path(reference.substr(kResource.size())).relative_path();
    const std::filesystem::path given(reference);
    return given.is_absolute() || base.empty() ? given : base / given;
}

}  // namespace orrery::core
