#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include <core/base/json.h>
#include <core/base/registry.h>
#include <core/graph/model.h>

/// Architectures of our own, each written with graph::Builder in one file. Their sizes, names and initial values are the published ones by default.
namespace orrery::zoo {

/// Resolved parameters (as `Schema::resolve` gives them) -> graph and card, no weights.
/// @throws core::InputError for parameters that do not fit together.
using ModelFactory = std::function<graph::Model(const core::Json& parameters)>;

/// Family "model": mlp, lenet, resnet, vit, gpt. Any thread.
const core::Registry<ModelFactory>& zooRegistry();

/// A model with fresh weights. `parameters` may leave out what has a default; `origin` becomes the `zoo:` reference that gives the same model.
/// @throws core::InputError: unknown id (with the nearest), parameters that are wrong (core::DocumentError) or do not fit together.
graph::Model buildModel(std::string_view id, const core::Json& parameters, std::uint64_t seed);
/// The same without weights: nothing is allocated for them.
graph::Model buildGraph(std::string_view id, const core::Json& parameters);

/// `zoo:NAME?key=value&key=value` taken apart; the parameters are resolved.
struct ZooReference {
    std::string id;
    core::Json parameters;
};
bool isZooReference(std::string_view text);
/// Values are JSON or else text; for lists `hidden=64,32` and `hidden=[64,32]` are the same.
/// @throws core::InputError naming the part that cannot be read; core::DocumentError for wrong parameters.
ZooReference parseZooReference(std::string_view text);
/// The shortest reference that gives these parameters: defaults are left out.
std::string zooReference(std::string_view id, const core::Json& parameters);
/// `buildModel` of a reference.
graph::Model openZoo(std::string_view reference, std::uint64_t seed);

}  // namespace orrery::zoo
