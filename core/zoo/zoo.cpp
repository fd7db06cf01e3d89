#include "zoo.h"

#include <core/base/component_text.h>
#include <core/base/error.h>
#include <core/base/text.h>

#include "architectures.h"

namespace orrery::zoo {
namespace {

constexpr std::string_view kPrefix = "zoo:";

core::Registry<ModelFactory> makeRegistry()
{
    core::Registry<ModelFactory> registry("model", "Architectures");
    registry.add(mlpComponent(), mlp);
    registry.add(lenetComponent(), lenet);
    registry.add(resnetComponent(), resnet);
    registry.add(densenetComponent(), densenet);
    registry.add(vitComponent(), vit);
    registry.add(gptComponent(), gpt);
    registry.add(bertComponent(), bert);
    registry.add(lstmComponent(), lstm);
    registry.add(seq2seqComponent(), seq2seq);
    registry.add(nerfComponent(), nerf);
    registry.add(hashFieldComponent(), hashField);
    registry.add(splatsComponent(), splats);
    registry.add(gravnetComponent(), gravnet);
    registry.add(kiloNerfComponent(), kiloNerf);
    return registry;
}

}  // namespace

const core::Registry<ModelFactory>& zooRegistry()
{
    static const core::Registry<ModelFactory> registry = makeRegistry();
    return registry;
}

graph::Model buildGraph(std::string_view id, const core::Json& parameters)
{
    const core::Json resolved = zooRegistry().at(id).schema.resolve(parameters);
    graph::Model model = zooRegistry().factory(id)(resolved);
    model.origin = zooReference(id, resolved);
    return model;
}

graph::Model buildModel(std::string_view id, const core::Json& parameters, std::uint64_t seed)
{
    graph::Model model = buildGraph(id, parameters);
    model.weights = graph::initialize(*model.graph, seed);
    return model;
}

bool isZooReference(std::string_view text)
{
    return text.starts_with(kPrefix);
}

ZooReference parseZooReference(std::string_view text)
{
    if (!isZooReference(text))
        throw core::InputError(fmt::format("expected zoo:NAME?key=value&key=value, got \"{}\"", text));
    auto [id, parameters] = core::parseComponentText(zooRegistry(), text.substr(kPrefix.size()), kPrefix);
    return {std::move(id), std::move(parameters)};
}

std::string zooReference(std::string_view id, const core::Json& parameters)
{
    return std::string(kPrefix) + core::componentText(zooRegistry(), id, parameters);
}

graph::Model openZoo(std::string_view reference, std::uint64_t seed)
{
    const ZooReference parsed = parseZooReference(reference);
    return buildModel(parsed.id, parsed.parameters, seed);
}

}  // namespace orrery::zoo
