#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace orrery::store {

/// The folder `artifacts`: files named by the hash of their content, in subfolders of its first two digits. Knows nothing of the database. Any thread.
class ArtifactFiles {
public:
    explicit ArtifactFiles(std::filesystem::path folder) : m_folder(std::move(folder)) {}

    struct Stored {
        std::string hash;
        std::uint64_t bytes = 0;
    };
    /// Writes to a temporary file, flushes it to disk and names it by its hash; content that is there already is not written again.
    /// @throws StorageError; nothing is left behind.
    Stored add(const std::function<void(const std::function<void(std::string_view)>&)>& produce);
    std::filesystem::path path(const std::string& hash) const;
    void remove(const std::string& hash);
    /// Removes temporary files of processes that are gone.
    void removeLeftovers();

private:
    std::filesystem::path m_folder;
};

}  // namespace orrery::store
