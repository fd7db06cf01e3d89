#include "output_file.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <unistd.h>

#include <core/base/error.h>
#include <core/base/text.h>

namespace orrery::cli {

void requireWritable(const std::string& file)
{
    if (file.empty())
        return;
    const std::filesystem::path path(file);
    const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
    std::error_code ignored;
    int problem = 0;
    if (std::filesystem::is_directory(path, ignored))
        problem = EISDIR;
    else if (std::filesystem::exists(folder, ignored) && !std::filesystem::is_directory(folder, ignored))
        problem = ENOTDIR;
    else if (::access(folder.c_str(), W_OK | X_OK) != 0)
        problem = errno;
    if (problem != 0)
        throw core::StorageError(fmt::format("{}: cannot be written: {}", file, std::strerror(problem)));
}

void requireSvg(const std::string& file)
{
    if (!file.empty() && core::lower(std::filesystem::path(file).extension().string()) != ".svg")
        throw core::InputError(fmt::format("--plot {}: expected a file ending in .svg", file));
    requireWritable(file);
}

}  // namespace orrery::cli
