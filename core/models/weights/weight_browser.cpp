#include "weight_browser.h"

#include <set>
#include <tuple>

#include <core/base/error.h>

namespace orrery::models {
namespace {

constexpr std::string_view kStateNames[] = {"running_mean", "running_var", "num_batches_tracked"};

bool isState(const std::string& name, const at::Tensor& tensor)
{
    if (!tensor.is_floating_point() && !tensor.is_complex())
        return true;
    const auto dot = name.rfind('.');
    const auto last = std::string_view(name).substr(dot == std::string::npos ? 0 : dot + 1);
    return std::find(std::begin(kStateNames), std::end(kStateNames), last) != std::end(kStateNames);
}

/// Which elements of which memory a tensor is.
using Place = std::tuple<const void*, at::ScalarType, std::vector<std::int64_t>, std::vector<std::int64_t>>;

Place placeOf(const at::Tensor& tensor)
{
    return {tensor.data_ptr(), tensor.scalar_type(), tensor.sizes().vec(), tensor.strides().vec()};
}

/// The paths above every name, from the root down, each before what is below it.
std::vector<graph::Module> moduleTree(const WeightFile& file)
{
    std::set<std::string> paths = {""};
    for (const auto& [name, tensor] : file.tensors.tensors())
        for (auto dot = name.find('.'); dot != std::string::npos; dot = name.find('.', dot + 1))
            paths.insert(name.substr(0, dot));
    std::map<std::string, std::string> types;
    for (const auto& module : file.modules)
        types[module.path] = module.type;
    std::vector<graph::Module> modules;
    for (const auto& path : paths)
        modules.push_back({path, types.count(path) ? types.at(path) : "Module"});
    return modules;
}

}  // namespace

graph::Model weightBrowser(WeightFile file, const std::string& name)
{
    graph::GraphData data;
    data.name = name;
    data.modules = moduleTree(file);
    graph::Model model;
    std::map<Place, std::string> known;
    for (const auto& [parameter, tensor] : file.tensors.tensors()) {
        if (tensor.numel() > 0) {
            const auto [it, isNew] = known.emplace(placeOf(tensor), parameter);
            if (!isNew) {
                data.aliases[parameter] = it->second;
                continue;
            }
        }
        const auto kind =
            file.buffers.count(parameter) || isState(parameter, tensor) ? graph::Parameter::Kind::Buffer : graph::Parameter::Kind::Parameter;
        data.parameters.push_back({parameter, graph::ValueId(data.values.size()), kind, tensor.sizes().vec(), tensor.scalar_type(), {}});
        data.values.push_back({parameter, "Tensor"});
        model.weights.set(parameter, tensor);
    }
    model.card.title = name;
    try {
        model.graph = std::make_shared<graph::Graph>(std::move(data));
    } catch (const core::FormatError& error) {
        throw core::FormatError(fmt::format("{}: {}", name, error.what()));
    }
    return model;
}

}  // namespace orrery::models
