#include "class_activation.h"

#include <set>

#include <core/base/text.h>

namespace orrery::explain {
namespace {

bool isPicture(const at::Tensor& value)
{
    return value.dim() == 4 && at::isFloatingType(value.scalar_type());
}

// The values in the cone of the input that are pictures computed from pictures, in order.
std::vector<std::string> pictures(const ScalarFunction& function)
{
    const auto& graph = *function.executor().graph();
    const auto origin = function.origin();
    std::set<std::string> shaped, chain;
    std::vector<std::string> order;
    PassRequest request;
    const auto look = [&](const std::string& name, const c10::IValue& content) {
        if (!content.isTensor() || !content.toTensor().defined() || !isPicture(content.toTensor()))
            return;
        const auto* node = graph.producer(*graph.findValue(name));
        const bool follows = name == origin || (node && std::any_of(node->inputs.begin(), node->inputs.end(), [&](const auto& input) {
                                                    return !input.isConstant() && chain.count(graph.value(input.value).name);
                                                }));
        if (!follows)
            return;
        chain.insert(name);
        if (content.toTensor().size(2) * content.toTensor().size(3) > 1)
            order.push_back(name);
    };
    request.probes.push_back(graph::Probe::onValue(origin, look));
    for (const auto& name : function.executor().dependencyCone({origin}))
        if (name != origin && graph.findValue(name))
            request.probes.push_back(graph::Probe::onValue(name, look));
    const auto value = origin == function.site() ? function.value() : function.valueOf(origin);
    function.forward(origin, value, 1, request);
    return order;
}

}  // namespace

std::string pictureLayer(const ScalarFunction& function, const char* method)
{
    if (!function.request().site.empty()) {
        if (!isPicture(function.value()))
            throw core::InputError(fmt::format("{}: expected a place that holds [batch, channel, height, width], {} holds {}", method,
                                               function.site(), core::formatShape(function.value().sizes())));
        return function.site();
    }
    const auto order = pictures(function);
    if (order.empty() || order.back() == function.origin())
        throw core::InputError(fmt::format("{}: no layer of this model holds a picture [batch, channel, height, width] computed from the input; "
                                           "name the place to look at",
                                           method));
    return order.back();
}

at::Tensor classActivationMap(const ScalarFunction& function, const std::string& layer, const at::Tensor& activation, bool relu)
{
    const auto gradient = function.pass(layer, activation, 1, {}).gradient;
    const auto map = (gradient.mean({2, 3}, true) * activation).sum(1, true);
    return relu ? map.clamp_min(0) : map;
}

at::Tensor upsampled(const at::Tensor& map, const at::Tensor& like, Interpolation mode, const char* method)
{
    if (!isPicture(like))
        throw core::InputError(fmt::format("{}: the map is laid over a picture [batch, channel, height, width], but the model's input is {}", method,
                                           core::formatShape(like.sizes())));
    const std::vector<std::int64_t> size = {like.size(2), like.size(3)};
    return mode == Interpolation::Bilinear ? at::upsample_bilinear2d(map, size, /*align_corners=*/false) : at::upsample_nearest2d(map, size);
}

}  // namespace orrery::explain
