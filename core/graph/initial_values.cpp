#include "initial_values.h"

#include <cmath>

namespace orrery::graph {
namespace {

double gainOf(const core::Json& init)
{
    const auto nonlinearity = init.value("nonlinearity", "leaky_relu");
    if (nonlinearity == "relu")
        return std::sqrt(2.0);
    if (nonlinearity == "linear")
        return 1;
    const double a = init.value("a", 0.0);
    return std::sqrt(2.0 / (1 + a * a));
}

}  // namespace

std::int64_t fanOf(const std::vector<std::int64_t>& shape, bool out)
{
    if (shape.size() < 2)
        return shape.empty() ? 1 : shape[0];
    std::int64_t field = 1;
    for (std::size_t i = 2; i < shape.size(); ++i)
        field *= shape[i];
    return shape[out ? 0 : 1] * field;
}

double kaimingDeviation(const core::Json& init, const std::vector<std::int64_t>& shape)
{
    return gainOf(init) / std::sqrt(double(fanOf(shape, init.value("mode", "fan_in") == "fan_out")));
}

double uniformBound(const core::Json& init, const std::vector<std::int64_t>& shape)
{
    const auto kind = init.at("kind").get<std::string>();
    if (kind == "xavier_uniform")
        return init.value("gain", 1.0) * std::sqrt(6.0 / double(fanOf(shape, false) + fanOf(shape, true)));
    if (kind == "kaiming_uniform")
        return std::sqrt(3.0) * kaimingDeviation(init, shape);
    return init.contains("bound") ? init.at("bound").get<double>() : 1 / std::sqrt(double(init.value("fan", fanOf(shape, false))));
}

double initialSpread(const Parameter& parameter)
{
    const core::Json& init = parameter.init;
    if (!init.is_object() || !init.contains("kind"))
        return 0;
    const auto kind = init.at("kind").get<std::string>();
    const double factor = init.value("factor", 1.0);
    if (kind == "normal" || kind == "trunc_normal")
        return factor * init.value("std", 1.0);
    if (kind == "kaiming_normal")
        return factor * kaimingDeviation(init, parameter.shape);
    if (kind == "uniform" || kind == "kaiming_uniform" || kind == "xavier_uniform")
        return factor * uniformBound(init, parameter.shape) / std::sqrt(3.0);
    return 0;
}

}  // namespace orrery::graph
