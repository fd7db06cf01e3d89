#include "weights.h"

#include <core/base/error.h>
#include <core/base/plural.h>
#include <core/base/rng.h>
#include <core/base/stop.h>
#include <core/base/text.h>

#include "initial_values.h"
#include "random_operators.h"

namespace orrery::graph {
namespace {

// Inverse-CDF sampling as torch.nn.init.trunc_normal_ does it, cut at [a, b] (absolute values).
void truncatedNormal(at::Tensor& tensor, double mean, double std, double a, double b, const at::Generator& generator)
{
    const auto cdf = [](double x) { return (1 + std::erf(x / std::sqrt(2.0))) / 2; };
    const double low = cdf((a - mean) / std), high = cdf((b - mean) / std);
    tensor.uniform_(2 * low - 1, 2 * high - 1, generator).erfinv_().mul_(std * std::sqrt(2.0)).add_(mean).clamp_(a, b);
}

/// Fills a tensor piece by piece, with a look at whether that is still wanted before each. The numbers are those of one call: `draw` takes them one after
/// another, normal ones in groups of 16, and a rest of less than a group would be drawn in another way.
void fillInPieces(at::Tensor& tensor, const std::function<void(at::Tensor&)>& draw)
{
    constexpr std::int64_t kPiece = 1 << 20;
    const at::Tensor flat = tensor.view(-1);
    std::int64_t taken = 0;
    for (std::int64_t first = 0, count = flat.numel(); first < count; first += taken) {
        core::throwIfStopped();
        taken = count - first < 2 * kPiece ? count - first : kPiece;
        at::Tensor piece = flat.narrow(0, first, taken);
        draw(piece);
    }
}

at::Tensor drawn(const Parameter& parameter, std::uint64_t seed)
{
    const auto& init = parameter.init;
    if (!init.is_object() || !init.contains("kind"))
        throw core::InputError(fmt::format("parameter {} says nothing about how it starts; expected weights from a file", parameter.name));
    const auto kind = init.at("kind").get<std::string>();
    auto tensor = at::empty(parameter.shape, at::TensorOptions().dtype(parameter.dtype));
    const auto generator = makeGenerator(c10::kCPU, core::deriveSeed(seed, 0, parameter.name));
    if (kind == "zeros")
        return tensor.zero_();
    if (kind == "ones")
        return tensor.fill_(1);
    if (kind == "constant")
        return tensor.fill_(init.at("value").get<double>());
    if (kind == "arange")
        return at::arange(tensor.numel(), tensor.options()).reshape(parameter.shape);
    if (kind == "normal" || kind == "kaiming_normal") {
        const double mean = kind == "normal" ? init.value("mean", 0.0) : 0;
        const double deviation = kind == "normal" ? init.value("std", 1.0) : kaimingDeviation(init, parameter.shape);
        fillInPieces(tensor, [&](at::Tensor& piece) { piece.normal_(mean, deviation, generator); });
        return tensor;
    }
    if (kind == "uniform" || kind == "kaiming_uniform" || kind == "xavier_uniform") {
        const double bound = uniformBound(init, parameter.shape);
        fillInPieces(tensor, [&](at::Tensor& piece) { piece.uniform_(-bound, bound, generator); });
        return tensor;
    }
    if (kind == "trunc_normal") {
        const auto value = [&](const char* name, double otherwise) { return init.value(name, otherwise); };
        fillInPieces(tensor,
                     [&](at::Tensor& piece) { truncatedNormal(piece, value("mean", 0), value("std", 1), value("a", -2), value("b", 2), generator); });
        return tensor;
    }
    throw core::InputError(fmt::format("parameter {}: unknown init kind \"{}\"", parameter.name, kind));
}

/// "factor" keeps the distribution and changes its width: how a parametrisation scales initial values.
at::Tensor scaledDraw(const Parameter& parameter, std::uint64_t seed)
{
    at::Tensor tensor = drawn(parameter, seed);
    if (parameter.init.contains("factor"))
        tensor.mul_(parameter.init.at("factor").get<double>());
    return tensor;
}

}  // namespace

const at::Tensor* Weights::find(const std::string& name) const
{
    const auto it = m_tensors.find(name);
    return it == m_tensors.end() ? nullptr : &it->second;
}

const at::Tensor& Weights::at(const std::string& name) const
{
    if (const auto* tensor = find(name))
        return *tensor;
    std::vector<std::string> names;
    for (const auto& [key, tensor] : m_tensors)
        names.push_back(key);
    throw core::InputError(fmt::format("weights hold no tensor \"{}\"{}", name, core::didYouMean(name, names)));
}

Weights Weights::clone() const
{
    at::NoGradGuard noGrad;
    std::map<std::string, at::Tensor> copy;
    for (const auto& [name, tensor] : m_tensors)
        copy[name] = tensor.detach().clone();
    return Weights(std::move(copy));
}

Weights Weights::to(c10::Device device, std::optional<at::ScalarType> dtype) const
{
    at::NoGradGuard noGrad;
    std::map<std::string, at::Tensor> moved;
    for (const auto& [name, tensor] : m_tensors) {
        const auto target = dtype && at::isFloatingType(tensor.scalar_type()) ? *dtype : tensor.scalar_type();
        moved[name] = tensor.detach().to(device, target);
    }
    return Weights(std::move(moved));
}

std::int64_t Weights::bytes() const
{
    std::int64_t sum = 0;
    for (const auto& [name, tensor] : m_tensors)
        sum += std::int64_t(tensor.nbytes());
    return sum;
}

Weights initialize(const Graph& graph, std::uint64_t seed)
{
    at::NoGradGuard noGrad;
    Weights weights;
    for (const auto& parameter : graph.data().parameters) {
        core::throwIfStopped();
        weights.set(parameter.name, scaledDraw(parameter, seed));
    }
    return weights;
}

void checkWeights(const Graph& graph, const Weights& weights)
{
    std::vector<std::string> faults;
    for (const auto& parameter : graph.data().parameters) {
        const auto* tensor = weights.find(parameter.name);
        if (!tensor)
            faults.push_back(fmt::format("{}: missing (expected {})", parameter.name, core::formatShape(parameter.shape)));
        else if (tensor->sizes().vec() != parameter.shape)
            faults.push_back(
                fmt::format("{}: expected {}, got {}", parameter.name, core::formatShape(parameter.shape), core::formatShape(tensor->sizes())));
    }
    for (const auto& [name, tensor] : weights.tensors())
        if (!graph.findParameter(name))
            faults.push_back(fmt::format("{}: unexpected {}", name, core::formatShape(tensor.sizes())));
    if (faults.empty())
        return;
    const auto count = faults.size();
    if (count > 12)
        faults.resize(12);
    throw core::ShapeError(fmt::format("the weights do not fit the model ({}): {}{}", core::counted(std::int64_t(count), "fault"),
                                       core::join(faults, "; "), count > 12 ? "; ..." : ""));
}

std::int64_t parameterCount(const Graph& graph)
{
    std::int64_t count = 0;
    for (const auto& parameter : graph.data().parameters) {
        if (parameter.kind != Parameter::Kind::Parameter)
            continue;
        std::int64_t elements = 1;
        for (const auto size : parameter.shape)
            elements *= size;
        count += elements;
    }
    return count;
}

}  // namespace orrery::graph
