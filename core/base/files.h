#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace orrery::core {

/// Reads a whole file. @throws StorageError if it cannot be read or is larger than `maxBytes`.
std::string readFile(const std::filesystem::path& file, std::uint64_t maxBytes = std::uint64_t(4) << 30);

/// Writes to a temporary name beside `file`, flushes to disk, renames. Afterwards the file holds either the old or the new content.
/// @throws StorageError; the temporary file is removed and the old content stays.
void writeFileAtomically(const std::filesystem::path& file, std::string_view content);
/// The same for content produced piece by piece: `write` is called with a function that appends bytes.
void writeFileAtomically(const std::filesystem::path& file, const std::function<void(const std::function<void(std::string_view)>&)>& write);

/// A private (copy-on-write) mapping of a whole file: changes to the memory never reach the file.
class MappedFile {
public:
    /// @throws StorageError if the file cannot be opened or mapped. An empty file gives an empty span.
    explicit MappedFile(const std::filesystem::path& file);
    ~MappedFile();
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;
    std::span<std::byte> bytes() const { return m_bytes; }
    std::string_view text() const { return {reinterpret_cast<const char*>(m_bytes.data()), m_bytes.size()}; }

private:
    std::span<std::byte> m_bytes;
};

/// Inflates gzip data (first bytes 1f 8b); other data is returned as it is.
/// @throws FormatError if it is damaged, or larger than `maxBytes` when inflated.
std::string inflateIfGzip(std::string_view bytes, std::string_view name, std::uint64_t maxBytes = std::uint64_t(4) << 30);

/// The folder of shipped resources (`data`, `icons`, `help`, ...), found relative to the running executable; `$ORRERY_RESOURCES` overrides it.
/// @throws StorageError if there is none.
std::filesystem::path resourceFolder();
/// `resource:digits.csv.gz` -> file in resources/data; any other text is a path relative to `base`.
std::filesystem::path resolvePath(std::string_view reference, const std::filesystem::path& base = {});
/// The folder of the running executable.
std::filesystem::path executableFolder();

}  // namespace orrery::core
