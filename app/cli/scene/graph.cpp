#include <ATen/ATen.h>

#include <algorithm>
#include <iostream>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/scene/cloud/formats.h>
#include <core/scene/cloud/points.h>

#include "../number_checks.h"
#include "../sample_argument.h"
#include "cloud_documents.h"
#include "scene.h"

namespace orrery::cli {
namespace {

struct SceneGraphOptions {
    ModelArgument model;
    std::vector<std::string> inputs;
    SampleArgument sample;
    std::int64_t layer = 0, top = 3, item = 0;
    double least = 0;
    std::string out;
};

/// The path of a canonical value that makes a model one of points. @throws core::InputError that says which layers there are.
std::string pathOf(const graph::Model& model, const std::string& name)
{
    const auto& names = model.card.canonicalNames;
    if (const auto found = names.find(name); found != names.end())
        return found->second;
    std::vector<std::string> layers;
    for (const auto& [known, path] : names)
        if (known.starts_with("graph."))
            layers.push_back(known.substr(6));
    throw core::InputError(layers.empty() ? "expected a model that learns a graph between points (such as zoo:gravnet)"
                                          : fmt::format("expected a layer of {}, got {}", core::join(layers, ", "), name.substr(6)));
}

/// Places from the first three coordinates, all features as fields.
scene::PointCloud cloudOf(const at::Tensor& points, const at::Tensor& coordinates)
{
    scene::PointCloud cloud;
    const auto count = points.size(0), used = std::min<std::int64_t>(3, coordinates.size(1));
    cloud.positions.assign(std::size_t(3 * count), 0.f);
    for (std::int64_t i = 0; i < count; ++i)
        for (std::int64_t k = 0; k < used; ++k)
            cloud.positions[std::size_t(3 * i + k)] = coordinates[i][k].item<float>();
    for (std::int64_t f = coordinates.size(1); f < points.size(1); ++f) {
        auto& values = scene::setField(cloud, fmt::format("feature_{}", f));
        for (std::int64_t i = 0; i < count; ++i)
            values[std::size_t(i)] = points[i][f].item<float>();
    }
    return cloud;
}

/// The strongest weights of each row, without those of a point to itself.
std::vector<std::uint32_t> strongestEdges(const at::Tensor& graph, std::int64_t top, double least)
{
    std::vector<std::uint32_t> edges;
    const auto weights = graph.accessor<float, 2>();
    for (std::int64_t i = 0; i < graph.size(0); ++i) {
        std::vector<std::int64_t> others;
        for (std::int64_t j = 0; j < graph.size(1); ++j)
            if (j != i && weights[i][j] > 0 && double(weights[i][j]) >= least)
                others.push_back(j);
        std::stable_sort(others.begin(), others.end(), [&](auto a, auto b) { return weights[i][a] > weights[i][b]; });
        others.resize(std::min(others.size(), std::size_t(top)));
        for (const auto j : others)
            edges.insert(edges.end(), {std::uint32_t(i), std::uint32_t(j)});
    }
    return edges;
}

Exit writeGraph(Session& session, const SceneGraphOptions& options)
{
    scene::formatForWriting(options.out);
    const auto model = options.model.open(session);
    const auto graphPath = pathOf(model, fmt::format("graph.{}", options.layer)), pointsPath = pathOf(model, "points"),
               coordinatesPath = pathOf(model, "coordinates");
    graph::RunRequest request;
    request.inputs = inputsFrom(session, options.inputs, options.sample, options.model, model);
    request.keep = {graphPath, pointsPath, coordinatesPath};
    request.stop = session.stopToken();
    const auto result = graph::Executor(model.graph).run(model.weights, request);
    const auto value = [&](const std::string& path) { return result.value(path).to(at::kCPU, at::kFloat).contiguous(); };
    const auto graph = value(graphPath);
    if (options.item >= graph.size(0))
        throw core::InputError(fmt::format("expected an item below {}, the size of the batch, got {}", graph.size(0), options.item));
    scene::TriangleMesh mesh;
    mesh.points = cloudOf(value(pointsPath)[options.item], value(coordinatesPath)[options.item]);
    // What a point hears of itself, and how far its attention spreads: exp of the entropy, 1 to all points.
    const auto weights = graph[options.item].contiguous();
    const auto spread = (-(weights * weights.clamp_min(1e-30).log()).sum(1)).exp().contiguous(), self = weights.diagonal().contiguous();
    for (const auto& [name, numbers] : {std::pair{"self_weight", self}, std::pair{"effective_neighbours", spread}})
        scene::setField(mesh.points, name).assign(numbers.data_ptr<float>(), numbers.data_ptr<float>() + numbers.numel());
    mesh.edges = strongestEdges(weights, options.top, options.least);
    const auto lost = writeWithNotices(options.out, mesh, {});
    const auto mean = spread.mean().item<double>();
    if (session.json) {
        auto document = cloudJson(mesh);
        document["file"] = options.out;
        document["effective_neighbours"] = mean;
        document["lost"] = lost;
        session.print(document);
    } else {
        std::cout << fmt::format("{}: {} points, {} edges; a point listens to about {:.1f} points\n", options.out, mesh.points.size(),
                                 mesh.edgeCount(), mean);
    }
    return Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareSceneGraph(CLI::App& app)
{
    auto options = std::make_shared<SceneGraphOptions>();
    options->model.declare(app);
    app.add_option("--input", options->inputs, "Points or images: FILE or NAME=FILE.");
    options->sample.declare(app);
    app.add_option("--layer", options->layer, "Which layer's graph, from 0.")->check(notNegative());
    app.add_option("--top", options->top, "Strongest edges of a point that are written.")->check(CLI::Range(1, 1000));
    app.add_option("--least", options->least, "Weight that an edge must have, 0 to 1.")->check(between(0, 1));
    app.add_option("--item", options->item, "Which of several inputs.")->check(notNegative());
    app.add_option("--out", options->out, "PLY or OBJ with edges.")->required();
    return [options](Session& session) { return writeGraph(session, *options); };
}

}  // namespace orrery::cli
