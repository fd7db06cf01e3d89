#include "exporter.h"

#include <unistd.h>

#include <atomic>
#include <optional>

#include <core/base/error.h>
#include <core/base/plural.h>
#include <core/graph/low_rank.h>
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

/// A name that ends like another format's would be taken for that one by everybody but us.
void checkEnding(const fs::path& path, const Exporter& writer)
{
    if (path.extension() == writer.ending)
        return;
    for (const auto& component : exporterRegistry().components())
        if (const auto& other = exporterRegistry().factory(component.id).ending; !other.empty() && path.extension() == other)
            throw core::InputError(fmt::format("{}: expected {}, found the ending of another format", path.string(),
                                               writer.isFolder ? "the name of a folder" : "a name ending in " + writer.ending));
}

void checkTarget(const fs::path& path, const Exporter& writer)
{
    const bool isFolder = writer.isFolder;
    std::error_code error;
    if (path.empty())
        throw core::InputError("expected a path to write to, found an empty one");
    if (fs::is_directory(path, error) && !isFolder)
        throw core::InputError(fmt::format("{}: expected the name of a file, found a folder", path.string()));
    checkEnding(path, writer);
    if (isFolder && fs::exists(path, error) && !(fs::is_directory(path, error) && fs::is_empty(path, error)))
        throw core::InputError(fmt::format("{}: expected a folder that does not exist yet or is empty", path.string()));
    const auto parent = path.parent_path();
    if (!parent.empty() && !fs::is_directory(parent, error))
        throw core::StorageError(fmt::format("{}: expected a folder to write into, found none", parent.string()));
}

void throwIfStopped(std::stop_token stop)
{
    if (stop.stop_requested())
        throw core::Cancelled();
}

std::uint64_t sizeOnDisk(const fs::path& path)
{
    if (!fs::is_directory(path))
        return fs::file_size(path);
    std::uint64_t sum = 0;
    for (const auto& entry : fs::recursive_directory_iterator(path))
        if (entry.is_regular_file())
            sum += entry.file_size();
    return sum;
}

std::string lowRankNote(const std::vector<graph::LowRankWeight>& factors)
{
    if (factors.empty())
        return "no weight would be smaller as a product of two matrices: all are written as they are";
    std::int64_t before = 0, after = 0;
    const graph::LowRankWeight* worst = &factors.front();
    const auto relative = [](const graph::LowRankWeight& each) { return each.norm > 0 ? each.dropped / each.norm : 0; };
    for (const auto& each : factors) {
        before += each.rows * each.columns;
        after += each.rank * (each.rows + each.columns);
        worst = relative(each) > relative(*worst) ? &each : worst;
    }
    return fmt::format(
        "{} written as products of two matrices, {} numbers in place of {}; most is missing of {}: {:.3g} of its norm, at rank {} of {}",
        core::counted(std::int64_t(factors.size()), "weight"), after, before, worst->name, relative(*worst), worst->rank,
        std::min(worst->rows, worst->columns));
}

/// Nothing where the format has no such parameters or they keep everything.
std::optional<graph::Model> lowRankModel(const graph::Model& model, const ExportOptions& options)
{
    const core::Json& parameters = options.parameters;
    if (!parameters.contains("low_rank"))
        return {};
    const graph::LowRankSettings settings{parameters.at("low_rank_energy").get<double>(), parameters.at("low_rank").get<std::int64_t>()};
    if (settings.energy == 1 && settings.rank == 0)
        return {};
    graph::requireProgram(*model.graph);
    auto taken = graph::lowRank(model.graph, model.weights, settings, options.stop);
    if (options.note)
        options.note(lowRankNote(taken.factors));
    graph::Model made = model;
    made.graph = std::move(taken.graph);
    made.weights = std::move(taken.weights);
    return made;
}

}  // namespace

void checkNotSource(const fs::path& path, const std::string& source)
{
    std::error_code error;
    if (fs::equivalent(withoutSlash(path), source, error) && !error)
        throw core::InputError(fmt::format("{}: expected another name than that of the model, which would be lost", path.string()));
}

core::Schema withLowRank(core::Schema schema)
{
    schema.add(
        core::real("low_rank_energy", 1,
                   "Weights of linear layers and convolutions become products of two thin matrices that keep at least this share of their squared "
                   "singular values, where that needs fewer multiplications; 1: they stay.")
            .range(0, 1));
    schema.add(core::integer("low_rank", 0, "The same with at most so many singular values each; 0: as many as low_rank_energy asks for.")
                   .range(0, 1 << 20));
    return schema;
}

std::uint64_t exportModel(const fs::path& path, const graph::Model& model, const std::string& exporter, ExportOptions options)
{
    const auto& component = exporterRegistry().at(exporter);
    const auto& writer = exporterRegistry().factory(exporter);
    options.parameters = component.schema.resolve(options.parameters, exporter);
    const auto target = withoutSlash(path);
    checkTarget(target, writer);
    graph::checkWeights(*model.graph, model.weights);
    const auto thin = lowRankModel(model, options);
    const TemporaryTarget temporary(target);
    throwIfStopped(options.stop);
    try {
        writer.write(temporary.path(), thin ? *thin : model, options);
    } catch (const core::StorageError& error) {
        std::string text = error.what();
        if (const auto at = text.find(temporary.path().string()); at != std::string::npos)
            text.replace(at, temporary.path().string().size(), target.string());
        throw core::StorageError(text);
    }
    graph::requireAsOpened(model.weights);
    throwIfStopped(options.stop);
    std::error_code error;
    fs::rename(temporary.path(), target, error);
    if (error)
        throw core::StorageError(fmt::format("{}: cannot be replaced: {}", target.string(), error.message()));
    return sizeOnDisk(target);
}

}  // namespace orrery::models
