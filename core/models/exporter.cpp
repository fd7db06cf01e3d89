#include "exporter.h"

#include <unistd.h>

#include <atomic>

#include <core/base/error.h>
#include <core/graph/runnable.h>

namespace orrery::models {
namespace {

namespace fs = std::filesystem;

/// A name beside the target, with the target's ending; what lies there vanishes with this object.
class TemporaryTarget {
public:
    explicit TemporaryTarget(const fs::path& target)
    {
        static std::atomic<unsigned> counter{0};
        m_path = target.parent_path() / fmt::format(".{}.{}.{}", ::getpid(), counter++, target.filename().string().substr(0, 200));
    }
    TemporaryTarget(const TemporaryTarget&) = delete;
    TemporaryTarget& operator=(const TemporaryTarget&) = delete;
    ~TemporaryTarget()
    {
        std::error_code ignored;
        fs::remove_all(m_path, ignored);
    }
    const fs::path& path() const { return m_path; }

private:
    fs::path m_path;
};

// A trailing slash gives an empty file name.
fs::path withoutSlash(const fs::path& path)
{
    return path.has_filename() ? path : path.parent_path();
}

void checkTarget(const fs::path& path, bool isFolder)
{
    std::error_code error;
    if (path.empty())
        throw core::InputError("expected a path to write to, found an empty one");
    if (fs::is_directory(path, error) && !isFolder)
        throw core::InputError(fmt::format("{}: expected the name of a file, found a folder", path.string()));
    if (isFolder && fs::exists(path, error) && !(fs::is_directory(path, error) && fs::is_empty(path, error)))
        throw core::InputError(fmt::format("{}: expected a folder that does not exist yet or is empty", path.string()));
    const auto parent = path.parent_path();
    if (!parent.empty() && !fs::is_directory(parent, error))
        throw core::StorageError(fmt::format("{}: expected a folder to write into, found none", parent.string()));
}

}  // namespace

void exportModel(const fs::path& path, const graph::Model& model, const std::string& exporter, ExportOptions options)
{
    const auto& component = exporterRegistry().at(exporter);
    const auto& writer = exporterRegistry().factory(exporter);
    options.parameters = component.schema.resolve(options.parameters, exporter);
    const auto target = withoutSlash(path);
    checkTarget(target, writer.isFolder);
    graph::checkWeights(*model.graph, model.weights);
    const TemporaryTarget temporary(target);
    writer.write(temporary.path(), model, options);
    graph::requireAsOpened(model.weights);
    std::error_code error;
    fs::rename(temporary.path(), target, error);
    if (error)
        throw core::StorageError(fmt::format("{}: cannot be replaced: {}", target.string(), error.message()));
}

}  // namespace orrery::models
