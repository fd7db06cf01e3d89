#include "stored_arrays.h"

#include <algorithm>
#include <cstring>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/io/npy.h>
#include <fmt/format.h>

namespace orrery::report {
namespace {

template <class Number>
std::vector<double> copiedAs(const std::string& bytes)
{
    std::vector<Number> numbers(bytes.size() / sizeof(Number));
    std::memcpy(numbers.data(), bytes.data(), numbers.size() * sizeof(Number));
    return {numbers.begin(), numbers.end()};
}

}  // namespace

const store::Artifact* findArtifact(const store::Analysis& analysis, const std::string& name)
{
    const auto found = std::ranges::find(analysis.artifacts, name, &store::Artifact::name);
    return found == analysis.artifacts.end() ? nullptr : &*found;
}

std::string contentOf(const store::Workspace& workspace, const store::Analysis& analysis, const store::Artifact& artifact)
{
    if (artifact.bytes > kMostArtifactBytes)
        throw core::FormatError(fmt::format("analysis {}, {}: expected at most {} in a report, found {}", analysis.id, artifact.name,
                                            core::formatBytes(kMostArtifactBytes), core::formatBytes(artifact.bytes)));
    return workspace.readArtifact(artifact);
}

std::optional<io::Array> arrayOf(const store::Workspace& workspace, const store::Analysis& analysis, const std::string& name)
{
    const store::Artifact* artifact = findArtifact(analysis, name);
    if (!artifact)
        return std::nullopt;
    return io::parseNpy(contentOf(workspace, analysis, *artifact), fmt::format("analysis {}, {}", analysis.id, name));
}

std::optional<core::Json> jsonOf(const store::Workspace& workspace, const store::Analysis& analysis, const std::string& name)
{
    const store::Artifact* artifact = findArtifact(analysis, name);
    if (!artifact)
        return std::nullopt;
    return core::Json::parse(contentOf(workspace, analysis, *artifact), nullptr, false);
}

std::vector<double> valuesOf(const io::Array& array)
{
    switch (array.type) {
    case io::ElementType::Float32: return copiedAs<float>(array.bytes);
    case io::ElementType::Float64: return copiedAs<double>(array.bytes);
    case io::ElementType::UInt8: return copiedAs<std::uint8_t>(array.bytes);
    case io::ElementType::Int32: return copiedAs<std::int32_t>(array.bytes);
    case io::ElementType::Int64: return copiedAs<std::int64_t>(array.bytes);
    default: break;
    }
    throw core::FormatError(fmt::format("expected elements of float32, float64, uint8, int32 or int64, got {}", io::elementName(array.type)));
}

std::vector<std::int64_t> trimmedShape(const io::Array& array, std::size_t keep)
{
    std::vector<std::int64_t> shape = array.shape;
    while (shape.size() > keep && shape.front() == 1)
        shape.erase(shape.begin());
    return shape;
}

}  // namespace orrery::report
