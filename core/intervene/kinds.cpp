#include "kinds.h"

#include <ATen/ATen.h>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/base/text.h>
#include <core/io/npy.h>
#include <core/io/tensors.h>

namespace orrery::intervene {
namespace {

constexpr std::string_view kNumbers = "a number, a list of numbers or the name of a .npy file";

// Appends the numbers of nested lists; every list of one level has the length of the first.
void flatten(const core::Json& json, std::size_t depth, std::vector<std::int64_t>& shape, std::vector<double>& numbers, const std::string& what)
{
    if (json.is_number()) {
        if (depth != shape.size())
            throw core::InputError(what + ": expected lists of equal depth");
        numbers.push_back(json.get<double>());
        return;
    }
    if (!json.is_array() || json.empty())
        throw core::InputError(fmt::format("{}: expected {}, got {}", what, kNumbers, json.dump()));
    const auto length = std::int64_t(json.size());
    if (depth == shape.size() && numbers.empty())
        shape.push_back(length);
    if (depth >= shape.size() || shape[depth] != length)
        throw core::InputError(
            fmt::format("{}: expected lists of equal length, got {} numbers beside {}", what, length, depth < shape.size() ? shape[depth] : 0));
    for (const auto& item : json)
        flatten(item, depth + 1, shape, numbers, what);
}

at::Tensor fromLists(const core::Json& json, const std::string& what)
{
    std::vector<std::int64_t> shape;
    std::vector<double> numbers;
    flatten(json, 0, shape, numbers, what);
    return at::tensor(numbers, at::kDouble).reshape(shape);
}

}  // namespace

const core::Registry<InterventionKind>& interventionRegistry()
{
    static const auto registry = [] {
        auto made = std::make_unique<KindRegistry>("intervention", "Interventions");
        addElementwiseKinds(*made);
        addMean(*made);
        addInterchange(*made);
        addSubspaceInterchange(*made);
        addSkipModule(*made);
        addAttentionKnockout(*made);
        addExpression(*made);
        return made;
    }();
    return *registry;
}

at::Tensor numbersFromJson(const core::Json& json, const KindContext& context, const std::string& parameter)
{
    const auto what = context.place + ".do." + parameter;
    at::Tensor numbers;
    if (json.is_string())
        numbers = io::toTensor(io::readNamedNpy(core::resolvePath(json.get<std::string>(), context.folder), what, kNumbers)).to(at::kDouble);
    else
        numbers = fromLists(json, what);
    if (at::isnan(numbers).any().item<bool>())
        throw core::InputError(what + ": holds NaN; expected numbers");
    return numbers;
}

at::Tensor stretched(const at::Tensor& tensor, at::IntArrayRef shape, const std::string& what)
{
    bool fits = tensor.dim() <= std::int64_t(shape.size());
    for (std::int64_t i = 1; fits && i <= tensor.dim(); ++i)
        fits = tensor.size(-i) == 1 || tensor.size(-i) == shape[shape.size() - std::size_t(i)];
    if (!fits)
        throw core::ShapeError(
            fmt::format("{}: expected a shape that broadcasts to {}, got {}", what, core::formatShape(shape), core::formatShape(tensor.sizes())));
    return tensor.expand(shape);
}

}  // namespace orrery::intervene
