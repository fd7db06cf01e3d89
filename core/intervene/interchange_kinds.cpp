#include <ATen/ATen.h>

#include <core/base/text.h>

#include "kinds.h"
#include "selection.h"

namespace orrery::intervene {
namespace {

using core::Json;

core::Parameter sourcePlaceParameter()
{
    return core::text("from", "", "Place in the source run that the value is taken from; empty: the same place.");
}

core::Parameter sourcePositionParameter()
{
    return core::any("source_position", nullptr,
                     "Positions in the source, one for each of the unit's: a number, list or {\"from\": a, \"to\": b}; none: the same.")
        .orNone();
}

void readSource(const Json& parameters, const KindContext& context, Prepared& prepared)
{
    prepared.needsSource = true;
    prepared.floatingOnly = false;
    if (const auto from = parameters.at("from").get<std::string>(); !from.empty())
        prepared.sourceValue = resolveOne(context.graph, context.card, from);
    if (parameters.at("source_position").is_null())
        return;
    std::vector<core::Issue> issues;
    const auto positions = indicesFromJson(parameters.at("source_position"), context.place + ".do.source_position", issues);
    if (!positions)
        throw core::DocumentError(std::move(issues));
    prepared.sourcePositions = *positions;
}

void checkOrthonormal(const at::Tensor& directions, const std::string& place)
{
    if (directions.dim() != 2 || directions.size(0) > directions.size(1) || directions.size(0) == 0)
        throw core::ShapeError(fmt::format("{}.do.directions: expected [directions, features] with no more directions than features, got {}", place,
                                           core::formatShape(directions.sizes())));
    const auto gram = directions.matmul(directions.t());
    const auto error = (gram - at::eye(gram.size(0), gram.options())).abs().max().item<double>();
    if (!(error < 1e-4))
        throw core::InputError(fmt::format("{}.do.directions: expected orthonormal rows (products of rows 1 and 0 within 1e-4), they are off by {}; "
                                           "\"orthonormalize\": true makes them so",
                                           place, core::formatNumber(error)));
}

at::Tensor directionsOf(const Json& parameters, const KindContext& context)
{
    auto directions = numbersFromJson(parameters.at("directions"), context, "directions");
    if (directions.dim() == 1)
        directions = directions.unsqueeze(0);
    if (parameters.at("orthonormalize").get<bool>() && directions.dim() == 2)
        directions = std::get<0>(at::linalg_qr(directions.t())).t().contiguous();
    checkOrthonormal(directions, context.place);
    return directions;
}

at::Tensor swapped(const Situation& s, const at::Tensor& directions)
{
    const auto features = s.x.dim() > 0 ? s.x.size(-1) : 0;
    if (directions.size(1) != features)
        throw core::ShapeError(fmt::format("{}.do.directions: expected [directions, {}] for \"{}\" {}, got {}", s.place, features, s.value,
                                           core::formatShape(s.x.sizes()), core::formatShape(directions.sizes())));
    const auto basis = directions.to(s.x.device());
    const auto difference = (s.source.to(at::kDouble) - s.x.to(at::kDouble)).matmul(basis.t()).matmul(basis);
    return s.x.to(at::kDouble) + difference;
}

at::Tensor swappedCoordinates(const Situation& s, const std::vector<std::int64_t>& coordinates)
{
    const auto features = s.x.dim() > 0 ? s.x.size(-1) : 0;
    for (const auto coordinate : coordinates)
        if (coordinate < -features || coordinate >= features)
            throw core::InputError(fmt::format("{}.do.coordinates: {}: expected {}..{}, the last axis of \"{}\" has size {}", s.place, coordinate,
                                               -features, features - 1, s.value, features));
    auto result = s.x.clone();
    for (const auto coordinate : coordinates)
        result.select(-1, coordinate).copy_(s.source.select(-1, coordinate));
    return result;
}

Prepared prepareSubspace(const Json& parameters, const KindContext& context)
{
    Prepared prepared;
    readSource(parameters, context, prepared);
    prepared.floatingOnly = true;
    const bool hasDirections = !parameters.at("directions").is_null(), hasCoordinates = !parameters.at("coordinates").is_null();
    if (hasDirections == hasCoordinates)
        throw core::InputError(context.place + ".do: expected either directions or coordinates");
    if (hasDirections)
        prepared.apply = [directions = directionsOf(parameters, context)](const Situation& s) { return swapped(s, directions); };
    else
        prepared.apply = [coordinates = parameters.at("coordinates").get<std::vector<std::int64_t>>()](const Situation& s) {
            return swappedCoordinates(s, coordinates);
        };
    return prepared;
}

}  // namespace

void addInterchange(KindRegistry& registry)
{
    core::Component component{
        "interchange",
        "Interchange",
        "Sets the unit to what it is in a run on a source input.",
        "Geiger et al. (2021), \"Causal Abstractions of Neural Networks\", arXiv:2106.02997; Vig et al. (2020), arXiv:2004.12265",
        {sourcePlaceParameter(), sourcePositionParameter()},
        {},
        {}};
    InterventionKind kind;
    kind.usesSource = true;
    kind.prepare = [](const Json& parameters, const KindContext& context) {
        Prepared prepared;
        readSource(parameters, context, prepared);
        prepared.apply = [](const Situation& s) { return s.source; };
        return prepared;
    };
    registry.add(std::move(component), std::move(kind));
}

void addSubspaceInterchange(KindRegistry& registry)
{
    core::Component component{
        "subspace_interchange",
        "Subspace interchange",
        "Swaps only the projection onto a subspace of the last axis with the source's: x + (source - x) D^T D.",
        "Geiger et al. (2023), \"Finding Alignments Between Interpretable Causal Variables and Distributed Neural Representations\", "
        "arXiv:2303.02536",
        {core::any("directions", nullptr, "Orthonormal rows [directions, features]: lists of numbers or the name of a .npy file.").orNone(),
         core::list("coordinates", core::integer("", 0, ""), nullptr, "Coordinates of the last axis instead of directions.").orNone(),
         core::boolean("orthonormalize", false, "Make the directions orthonormal (QR) instead of refusing them."), sourcePlaceParameter(),
         sourcePositionParameter()},
        {},
        {}};
    InterventionKind kind;
    kind.usesSource = true;
    kind.prepare = prepareSubspace;
    registry.add(std::move(component), std::move(kind));
}

}  // namespace orrery::intervene
