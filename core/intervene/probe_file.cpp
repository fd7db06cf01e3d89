#include <ATen/ATen.h>
#include <fmt/format.h>

#include <core/base/files.h>
#include <core/io/safetensors.h>
#include <core/io/tensors.h>

#include "linear_probe.h"

namespace orrery::intervene {
namespace {

constexpr const char* kFormat = "orrery linear probes 1";

core::Json describe(const LinearProbe& probe)
{
    return {{"value", probe.value},        {"kind", probe.kind}, {"pooling", probe.pooling},   {"label", probe.label},
            {"classes", probe.classNames}, {"loss", probe.loss}, {"gradient", probe.gradient}, {"iterations", probe.iterations},
            {"converged", probe.converged}};
}

std::vector<std::pair<std::string, at::Tensor>> tensorsOf(const LinearProbe& probe)
{
    return {{"weight", probe.weight}, {"bias", probe.bias}, {"mean", probe.mean}, {"scale", probe.scale}};
}

LinearProbe fromDescription(const core::Json& json)
{
    LinearProbe probe;
    probe.value = json.at("value").get<std::string>();
    probe.kind = json.at("kind").get<std::string>();
    probe.pooling = json.at("pooling").get<std::string>();
    probe.label = json.at("label").get<std::string>();
    probe.classNames = json.at("classes").get<std::vector<std::string>>();
    probe.loss = json.at("loss").get<double>();
    probe.gradient = json.at("gradient").get<double>();
    probe.iterations = json.at("iterations").get<int>();
    probe.converged = json.at("converged").get<bool>();
    return probe;
}

at::Tensor readEntry(const io::SafetensorsHeader& header, std::string_view file, const std::string& name, std::size_t axes, const std::string& from)
{
    const auto* entry = header.find(name);
    if (!entry || entry->type != io::ElementType::Float64 || entry->shape.size() != axes)
        throw core::FormatError(fmt::format("{}: expected the tensor \"{}\" as F64 with {} axes", from, name, axes));
    io::Array array;
    array.type = entry->type;
    array.shape = entry->shape;
    array.bytes.assign(file.substr(entry->begin, entry->end - entry->begin));
    return io::toTensor(array);
}

void checkShapes(const LinearProbe& probe, const std::string& from)
{
    if (probe.weight.size(1) != probe.mean.size(0) || probe.mean.size(0) != probe.scale.size(0) || probe.weight.size(0) != probe.bias.size(0))
        throw core::FormatError(fmt::format("{}: the tensors of the probe of \"{}\" do not fit together", from, probe.value));
}

}  // namespace

std::string probesBytes(const std::vector<LinearProbe>& probes)
{
    std::vector<std::pair<std::string, io::Array>> arrays;
    core::Json list = core::Json::array();
    for (std::size_t i = 0; i < probes.size(); ++i) {
        list.push_back(describe(probes[i]));
        for (const auto& [name, tensor] : tensorsOf(probes[i]))
            arrays.emplace_back(fmt::format("{}.{}", i, name), io::toArray(tensor));
    }
    std::vector<io::SafetensorsItem> items;
    for (const auto& [name, array] : arrays)
        items.push_back({name, array.type, array.shape, array.bytes});
    return io::safetensorsBytes(items, {{"format", kFormat}, {"probes", list.dump()}});
}

void saveProbes(const std::filesystem::path& file, const std::vector<LinearProbe>& probes)
{
    core::writeFileAtomically(file, probesBytes(probes));
}

std::vector<LinearProbe> loadProbes(const std::filesystem::path& file)
{
    const std::string bytes = core::readFile(file), name = file.string();
    const auto header = io::parseSafetensors(bytes, name);
    const auto* format = header.findMetadata("format");
    const auto* list = header.findMetadata("probes");
    if (!format || *format != kFormat || !list)
        throw core::FormatError(
            fmt::format("{}: expected a file of linear probes (\"{}\"), found {}", name, kFormat, format ? *format : "other tensors"));
    std::vector<LinearProbe> probes;
    try {
        for (const auto& json : core::Json::parse(*list))
            probes.push_back(fromDescription(json));
    } catch (const core::Json::exception& error) {
        throw core::FormatError(fmt::format("{}: the description of the probes is broken: {}", name, error.what()));
    }
    for (std::size_t i = 0; i < probes.size(); ++i) {
        const auto read = [&](const char* part, std::size_t axes) { return readEntry(header, bytes, fmt::format("{}.{}", i, part), axes, name); };
        probes[i].weight = read("weight", 2);
        probes[i].bias = read("bias", 1);
        probes[i].mean = read("mean", 1);
        probes[i].scale = read("scale", 1);
        checkShapes(probes[i], name);
    }
    return probes;
}

}  // namespace orrery::intervene
