#include <ATen/ATen.h>

#include <core/base/rng.h>
#include <core/graph/random_operators.h>

#include "kinds.h"
#include "selection.h"

namespace orrery::intervene {
namespace {

using core::Json;

InterventionKind simple(std::function<Prepared(const Json&, const KindContext&)> prepare)
{
    InterventionKind kind;
    kind.prepare = std::move(prepare);
    return kind;
}

/// A vector or array parameter in the value's dtype and on its device, stretched to the unit.
at::Tensor fitted(const at::Tensor& numbers, const Situation& situation)
{
    return stretched(numbers.to(situation.x.options()), situation.x.sizes(), situation.place + ".do.value");
}

void addZero(KindRegistry& registry)
{
    registry.add({"zero", "Zero", "Sets the unit to zero (zero ablation).", "", {}, {}, {}}, simple([](const Json&, const KindContext&) {
                     Prepared prepared;
                     prepared.floatingOnly = false;
                     prepared.apply = [](const Situation& s) { return at::zeros_like(s.x); };
                     return prepared;
                 }));
}

void addConstant(KindRegistry& registry)
{
    core::Component component{
        "constant",
        "Constant",
        "Sets the unit to a number or to given values.",
        "",
        {core::any("value", 0.0, "A number, (nested) lists of numbers that broadcast to the unit, or the name of a .npy file.")},
        {},
        {}};
    registry.add(std::move(component), simple([](const Json& parameters, const KindContext& context) {
                     Prepared prepared;
                     prepared.floatingOnly = false;
                     prepared.apply = [value = numbersFromJson(parameters.at("value"), context, "value")](const Situation& s) {
                         return fitted(value, s);
                     };
                     return prepared;
                 }));
}

void addAdd(KindRegistry& registry)
{
    core::Component component{"add",
                              "Add",
                              "Adds a number or a vector, such as a steering direction.",
                              "Turner et al. (2023), \"Activation Addition: Steering Language Models Without Optimization\", arXiv:2308.10248",
                              {core::any("value", 1.0, "A number, (nested) lists of numbers that broadcast to the unit, or the name of a .npy file."),
                               core::real("factor", 1.0, "Multiplies what is added.")},
                              {},
                              {}};
    registry.add(std::move(component), simple([](const Json& parameters, const KindContext& context) {
                     Prepared prepared;
                     const auto factor = parameters.at("factor").get<double>();
                     prepared.apply = [value = numbersFromJson(parameters.at("value"), context, "value") * factor](const Situation& s) {
                         return s.x + fitted(value, s);
                     };
                     return prepared;
                 }));
}

void addScale(KindRegistry& registry)
{
    core::Component component{"scale",
                              "Scale",
                              "Multiplies the unit by a number.",
                              "",
                              {core::real("factor", 0.5, "1 changes nothing, 0 is zero ablation, -1 flips the sign.")},
                              {},
                              {}};
    registry.add(std::move(component), simple([](const Json& parameters, const KindContext&) {
                     Prepared prepared;
                     prepared.apply = [factor = parameters.at("factor").get<double>()](const Situation& s) { return s.x * factor; };
                     return prepared;
                 }));
}

// Drawn position by position: a position's noise stays the same when a text grows behind it.
at::Tensor drawn(const Situation& s)
{
    const auto draw = [&](at::IntArrayRef shape, std::int64_t position) {
        const auto generator = graph::makeGenerator(at::kCPU, core::deriveSeed(s.seed, std::uint64_t(position), "noise"));
        return at::randn(shape, generator, at::TensorOptions().dtype(at::kFloat));
    };
    if (!s.positionAxis)
        return draw(s.x.sizes(), 0);
    auto shape = s.x.sizes().vec();
    shape[*s.positionAxis] = 1;
    std::vector<at::Tensor> parts;
    for (const auto position : s.selection->indices(*s.positionAxis, s.whole.size(std::int64_t(*s.positionAxis))))
        parts.push_back(draw(shape, position));
    return parts.empty() ? at::empty(s.x.sizes(), at::kFloat) : at::cat(parts, std::int64_t(*s.positionAxis));
}

void addNoise(KindRegistry& registry)
{
    core::Component component{"noise",
                              "Noise",
                              "Adds Gaussian noise; the same seed gives the same noise.",
                              "Meng et al. (2022), \"Locating and Editing Factual Associations in GPT\", arXiv:2202.05262, section 2.1",
                              {core::real("std", 1.0, "Standard deviation of the noise.").atLeast(0)},
                              {},
                              {}};
    registry.add(std::move(component), simple([](const Json& parameters, const KindContext&) {
                     Prepared prepared;
                     prepared.apply = [std = parameters.at("std").get<double>()](const Situation& s) {
                         return s.x + drawn(s).to(s.x.options()) * std;
                     };
                     return prepared;
                 }));
}

void addClamp(KindRegistry& registry)
{
    core::Component component{
        "clamp",
        "Clamp",
        "Limits the unit to a range.",
        "",
        {core::real("min", 0.0, "Lower limit; none: no limit.").orNone(), core::real("max", 1.0, "Upper limit; none: no limit.").orNone()},
        {},
        {}};
    registry.add(
        std::move(component), simple([](const Json& parameters, const KindContext& context) {
            const auto limit = [&](const char* name) {
                return parameters.at(name).is_null() ? c10::optional<at::Scalar>() : c10::optional<at::Scalar>(parameters.at(name).get<double>());
            };
            const auto low = limit("min"), high = limit("max");
            if (!low && !high)
                throw core::InputError(context.place + ".do: expected at least one of min and max");
            if (low && high && low->toDouble() > high->toDouble())
                throw core::InputError(fmt::format("{}.do: expected min <= max, got {} and {}", context.place, low->toDouble(), high->toDouble()));
            Prepared prepared;
            prepared.apply = [low, high](const Situation& s) { return at::clamp(s.x, low, high); };
            return prepared;
        }));
}

}  // namespace

void addElementwiseKinds(KindRegistry& registry)
{
    addZero(registry);
    addConstant(registry);
    addAdd(registry);
    addScale(registry);
    addNoise(registry);
    addClamp(registry);
}

}  // namespace orrery::intervene
