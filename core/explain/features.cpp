#include "features.h"

#include <core/base/text.h>
#include <core/io/npy.h>
#include <core/io/tensors.h>

namespace orrery::explain {
namespace {

using Sizes = std::vector<std::int64_t>;

// Collects the numbers of a nested list; every list of one depth must have the same length.
void flattenList(const core::Json& json, std::size_t depth, Sizes& shape, std::vector<double>& numbers, const std::string& place)
{
    if (json.is_number()) {
        if (depth != shape.size())
            throw core::InputError(fmt::format("{}: lists of different depth", place));
        numbers.push_back(json.get<double>());
        return;
    }
    if (!json.is_array() || json.empty())
        throw core::InputError(fmt::format("{}: expected numbers in nested lists, got {}", place, json.dump().substr(0, 60)));
    if (depth == shape.size() && numbers.empty())
        shape.push_back(std::int64_t(json.size()));
    if (depth >= shape.size() || shape[depth] != std::int64_t(json.size()))
        throw core::InputError(fmt::format("{}: lists of different length or depth", place));
    for (const auto& item : json)
        flattenList(item, depth + 1, shape, numbers, place);
}

void requireBroadcast(const at::Tensor& array, const Sizes& sample, const std::string& place)
{
    if (std::int64_t(sample.size()) < array.dim() || !at::is_expandable_to(array.sizes(), sample))
        throw core::InputError(fmt::format("{}: expected an array that broadcasts to a sample {}, got {}", place, core::formatShape(sample),
                                           core::formatShape(array.sizes())));
}

// Numbers 0, 1, 2, ... along the axes in `axes`, patches of `patch` x ... sharing one; the other axes have size 1.
at::Tensor patchMask(const Sizes& sample, std::size_t firstAxis, std::size_t axes, std::int64_t patch)
{
    auto mask = at::zeros(Sizes(sample.size(), 1), at::kLong);
    for (std::size_t axis = firstAxis; axis < firstAxis + axes; ++axis) {
        Sizes shape(sample.size(), 1);
        shape[axis] = sample[axis];
        const auto cells = at::div(at::arange(sample[axis], at::kLong), patch, "floor");
        mask = mask * ((sample[axis] + patch - 1) / patch) + cells.reshape(shape);
    }
    return mask;
}

at::Tensor defaultMask(const Sizes& sample, std::int64_t patch)
{
    if (sample.size() == 3)
        return patchMask(sample, 1, 2, patch);
    if (sample.size() == 2)
        return patchMask(sample, 0, 1, patch);
    return patchMask(sample, 0, sample.size(), patch);
}

at::Tensor givenMask(const core::Json& json, const Sizes& sample, const std::string& place)
{
    auto mask = parameterArray(json, place);
    requireBroadcast(mask, sample, place);
    if (at::isFloatingType(mask.scalar_type())) {
        if (!mask.eq(mask.round()).all().item<bool>())
            throw core::InputError(place + ": expected whole numbers");
    } else if (!at::isIntegralType(mask.scalar_type(), true)) {
        throw core::InputError(place + ": expected whole numbers, got " + graph::dtypeName(mask.scalar_type()));
    }
    mask = mask.to(at::kLong);
    if (mask.numel() == 0 || mask.min().item<std::int64_t>() < 0)
        throw core::InputError(place + ": expected whole numbers of at least 0");
    return std::get<1>(at::_unique(mask, /*sorted=*/true, /*return_inverse=*/true)).reshape(mask.sizes());
}

at::Tensor maskOf(const core::Json& json, const Sizes& sample, const std::string& method)
{
    const auto place = method + ".feature_mask";
    if (json.is_null())
        return defaultMask(sample, 1);
    if (json.is_number_integer() || json.is_number_unsigned()) {
        const auto patch = json.get<std::int64_t>();
        const auto largest = sample.empty() ? 1 : *std::max_element(sample.begin(), sample.end());
        if (patch < 1 || patch > largest)
            throw core::InputError(
                fmt::format("{}: expected a patch size from 1 to {} (a sample is {}), got {}", place, largest, core::formatShape(sample), patch));
        return defaultMask(sample, patch);
    }
    if (!json.is_array() && !json.is_string())
        throw core::InputError(fmt::format("{}: expected none, a patch size, a nested list or the path of an .npy file, got {}", place, json.dump()));
    return givenMask(json, sample, place);
}

}  // namespace

at::Tensor parameterArray(const core::Json& json, const std::string& place)
{
    if (json.is_string())
        return io::toTensor(io::readNamedNpy(json.get<std::string>(), place, "a number, a nested list or the path of an .npy file"));
    Sizes shape;
    std::vector<double> numbers;
    flattenList(json, 0, shape, numbers, place);
    return at::tensor(numbers, at::kDouble).reshape(shape);
}

core::Parameter featureMaskParameter()
{
    return core::any("feature_mask", nullptr,
                     "What is switched together: none (each number, position or pixel), a patch size, a nested list or an .npy file of whole numbers "
                     "shaped like a sample.")
        .orNone();
}

core::Parameter baselineParameter()
{
    return core::any("baseline", 0, "What stands for an absent feature: a number, a nested list or an .npy file shaped like a sample.");
}

core::Parameter perturbationsParameter()
{
    return core::integer("perturbations_per_eval", 64, "Perturbed copies evaluated at a time; none: as many as make 64 rows.")
        .range(1, 1000000)
        .noneByDefault();
}

at::Tensor sampleBaseline(const core::Json& baseline, const at::Tensor& value, const std::string& method)
{
    const auto place = method + ".baseline";
    const auto sample = value.sizes().slice(1).vec();
    at::Tensor array;
    if (baseline.is_number())
        array = at::full({}, baseline.get<double>(), at::kDouble);
    else if (baseline.is_array() || baseline.is_string())
        array = parameterArray(baseline, place);
    else
        throw core::InputError(fmt::format("{}: expected a number, a nested list or the path of an .npy file, got {}", place, baseline.dump()));
    requireBroadcast(array, sample, place);
    if (at::isComplexType(array.scalar_type()) || !at::isfinite(array).all().item<bool>())
        throw core::InputError(place + ": expected finite real numbers");
    return array.to(value.options()).expand(sample);
}

std::int64_t perturbationsPerBatch(const core::Json& parameters, std::int64_t batch)
{
    const auto wanted = parameters.at("perturbations_per_eval");
    return wanted.is_null() ? std::max<std::int64_t>(64 / std::max<std::int64_t>(batch, 1), 1) : wanted.get<std::int64_t>();
}

void requireFinite(const ScalarFunction& function, const std::string& method)
{
    if (function.value().numel() == 0)
        throw core::InputError(
            fmt::format("{}: expected at least one sample, got {} {}", method, function.site(), core::formatShape(function.value().sizes())));
    if (!at::isfinite(function.value()).all().item<bool>())
        throw core::InputError(fmt::format("{}: {} holds NaN or infinite numbers; expected finite ones", method, function.site()));
    if (!at::isfinite(function.outputs()).all().item<bool>())
        throw core::InputError(fmt::format("{}: the model's output is NaN or infinite; expected finite numbers", method));
}

Features::Features(const at::Tensor& value, const core::Json& parameters, const std::string& method) : m_value(value)
{
    const auto mask = maskOf(parameters.at("feature_mask"), value.sizes().slice(1).vec(), method);
    m_count = mask.max().item<std::int64_t>() + 1;
    m_mask = mask.to(value.device());
    m_baseline = sampleBaseline(parameters.at("baseline"), value, method);
}

at::Tensor Features::masked(const at::Tensor& on) const
{
    // [n, 1 (batch), ...mask's axes, 1 where the sample has more] against [batch, ...].
    auto shape = m_mask.sizes().vec();
    shape.insert(shape.begin(), std::size_t(m_value.dim() - 1 - m_mask.dim()) + 1, 1);
    shape.insert(shape.begin(), on.size(0));
    const auto keep = on.to(m_value.device()).index_select(1, m_mask.reshape(-1)).reshape(shape);
    return at::where(keep, m_value, m_baseline).flatten(0, 1);
}

at::Tensor Features::spread(const at::Tensor& perFeature) const
{
    auto shape = m_mask.sizes().vec();
    shape.insert(shape.begin(), std::size_t(m_value.dim() - 1 - m_mask.dim()), 1);
    shape.insert(shape.begin(), m_value.size(0));
    const auto spread = perFeature.to(m_value.options()).index_select(1, m_mask.reshape(-1)).reshape(shape);
    return spread.expand(m_value.sizes()).contiguous();
}

at::Tensor Features::sums(const at::Tensor& elements) const
{
    const auto flat = elements.to(at::kDouble).expand(m_value.sizes()).reshape({m_value.size(0), -1});
    const auto index = m_mask.expand(m_value.sizes().slice(1)).reshape(-1);
    return at::zeros({m_value.size(0), m_count}, flat.options()).index_add(1, index, flat);
}

}  // namespace orrery::explain
