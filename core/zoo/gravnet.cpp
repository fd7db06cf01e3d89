#include <core/base/error.h>

#include "architectures.h"
#include "transformer.h"

namespace orrery::zoo {
namespace {

struct GravNetSettings {
    std::int64_t width, space, messages, neighbours;
    double reach;
    bool learnsGraph;
};

struct Points {
    Var values, coordinates;  ///< [batch, point, feature], [batch, point, coordinate]
    std::int64_t features;
};

/// Each pixel a point: row, column (-1..1 from edge to edge), then its channels.
Points pixels(Builder& builder, std::int64_t channels, std::int64_t size)
{
    const Var image = imageInput(builder, channels, size);
    const auto scope = builder.module("pixels", "Pixels");
    const double edge = 1 - 1.0 / double(size);
    const Var line = builder.op("aten::linspace", {-edge, edge, size}, "line");
    const Var rows = builder.op("aten::expand", {builder.reshape(line, {size, 1}), std::vector<std::int64_t>{size, size}}, "rows");
    const Var columns = builder.op("aten::expand", {builder.reshape(line, {1, size}), std::vector<std::int64_t>{size, size}}, "columns");
    const Var grid = builder.op("aten::stack", {builder.list({builder.flatten(rows, 0), builder.flatten(columns, 0)}), 1}, "grid");
    const Var coordinates = builder.op("aten::expand", {grid, builder.shape({builder.size(image, 0), -1, -1})}, "coordinates");
    const Var values = builder.transpose(builder.flatten(image, 2), 1, 2);
    return {builder.op("aten::cat", {builder.list({coordinates, values}), 2}, "points"), coordinates, channels + 2};
}

Points givenPoints(Builder& builder, std::int64_t features, std::int64_t coordinates)
{
    if (coordinates > features)
        throw core::InputError(
            fmt::format("gravnet: expected at most as many coordinates as a point has features, {}, got {}", features, coordinates));
    builder.card().task = "classification";
    const Var points = builder.input("points", "float32", {"batch", "point", std::to_string(features)}, "float");
    return {points, builder.op("aten::narrow", {points, 2, 0, coordinates}, "coordinates"), features};
}

/// Minus the squared distances between all pairs: [batch, point, coordinate] -> [batch, point, point].
Var nearness(Builder& builder, Var places)
{
    const Var squares = builder.op("aten::sum.dim_IntList", {builder.op("aten::mul.Tensor", {places, places}), std::vector<std::int64_t>{-1}, true});
    const Var products = builder.matmul(places, builder.transpose(places, 1, 2));
    const Var sums = builder.add(squares, builder.transpose(squares, 1, 2));
    const Var distances = builder.op("aten::sub.Tensor", {sums, products, 2.0}, "distances");
    return builder.op("aten::neg", {builder.op("aten::clamp_min", {distances, 0.0})}, "nearness");
}

/// The graph as weights: row i says what point i hears of each other one; rows sum to 1.
Var learnedGraph(Builder& builder, Var x, const GravNetSettings& settings)
{
    const Var free = builder.linear("space", x, settings.width, settings.space);
    const Var lengths = builder.op("aten::norm.ScalarOpt_dim", {free, 2.0, std::vector<std::int64_t>{-1}, true}, "length");
    const Var places = builder.op("aten::div.Tensor", {free, builder.op("aten::clamp_min", {lengths, 1e-6})}, "places");
    const Var scores = builder.op("aten::mul.Scalar", {nearness(builder, places), 1 / (settings.reach * settings.reach)}, "scores");
    return builder.softmax(scores, -1);
}

/// The same weight for each of the nearest, the point itself among them.
Var nearestGraph(Builder& builder, Var coordinates, const GravNetSettings& settings)
{
    const Var near = nearness(builder, coordinates);
    const Var chosen = builder.ops("aten::topk", {near, settings.neighbours, -1, true, false}, "nearest")[1];
    const Var nothing = builder.op("aten::zeros_like", {near});
    return builder.op("aten::scatter.value", {nothing, -1, chosen, 1 / double(settings.neighbours)}, "weights");
}

Var layer(Builder& builder, std::int64_t number, Var x, Var coordinates, const GravNetSettings& settings, CanonicalValues& canonical)
{
    const auto scope = builder.module("layers." + std::to_string(number), "GravNetNorm");
    const Var graph = settings.learnsGraph ? learnedGraph(builder, x, settings) : nearestGraph(builder, coordinates, settings);
    const Var heard = builder.op("aten::bmm", {graph, builder.linear("message", x, settings.width, settings.messages)}, "heard");
    const Var both = builder.op("aten::cat", {builder.list({x, heard}), 2});
    const Var change = builder.relu(builder.linear("combine", both, settings.width + settings.messages, settings.width));
    canonical["graph." + std::to_string(number)] = graph;
    return builder.layerNorm("norm", builder.add(x, change), settings.width);
}

}  // namespace

core::Component gravnetComponent()
{
    return {
        "gravnet",
        "GravNetNorm",
        "Points that choose whom to listen to by distance in a space they learn; for sets of points, or the pixels of images as points.",
        "Murnane (2023), \"Graph Structure from Point Clouds: Geometric Attention is All You Need\", arXiv:2307.16662",
        {
            core::choice("input", {"image", "points"}, "image", "Images, each pixel a point, or sets of points [batch, point, feature]."),
            imageSizeParameter(8).when("input", {"image"}),
            channelsParameter(1).when("input", {"image"}),
            core::integer("point_features", 3, "Numbers of a point, its coordinates first.").range(1, 4096).when("input", {"points"}),
            core::integer("coordinates", 3, "How many of them are coordinates.").range(1, 64).when("input", {"points"}),
            core::integer("layers", 2, "Times that points listen to each other.").range(1, 100),
            core::integer("width", 32, "Features of a point inside.").range(1, 1 << 14),
            core::choice("graph", {"learned", "nearest"}, "learned", "Weights by distance in the learned space, or the nearest points in their own."),
            core::integer("space", 4, "Coordinates of the learned space; points are put on its unit sphere.")
                .range(1, 1024)
                .when("graph", {"learned"}),
            core::real("reach", 0.5, "Distance at which a weight has fallen to 1/e; far beyond 2 all points are heard alike.")
                .above(0)
                .when("graph", {"learned"}),
            core::integer("neighbours", 8, "Nearest points that are heard, the point itself among them.").range(1, 4096).when("graph", {"nearest"}),
            core::integer("messages", 32, "Features that a point sends.").range(1, 1 << 14),
            classesParameter(10),
        },
        {imagePort()},
        {logitsPort()}};
}

graph::Model gravnet(const core::Json& parameters)
{
    const auto whole = [&](const char* name) { return parameters.contains(name) ? parameters[name].get<std::int64_t>() : 0; };
    const bool learns = parameters["graph"] == "learned";
    const GravNetSettings settings{
        whole("width"), whole("space"), whole("messages"), whole("neighbours"), learns ? parameters["reach"].get<double>() : 1, learns};
    CanonicalValues canonical;
    Builder builder("gravnet");
    const bool isImage = parameters["input"] == "image";
    if (isImage && !learns && settings.neighbours > whole("image_size") * whole("image_size"))
        throw core::InputError(fmt::format("gravnet: expected at most {} neighbours, the pixels of an image, got {}",
                                           whole("image_size") * whole("image_size"), settings.neighbours));
    const Points points =
        isImage ? pixels(builder, whole("channels"), whole("image_size")) : givenPoints(builder, whole("point_features"), whole("coordinates"));
    const Var first = builder.relu(builder.linear("embed.1", points.values, points.features, settings.width));
    Var x = builder.relu(builder.linear("embed.2", first, settings.width, settings.width));
    for (std::int64_t i = 0; i < whole("layers"); ++i)
        x = layer(builder, i, x, points.coordinates, settings, canonical);
    const Var mean = builder.op("aten::mean.dim", {x, std::vector<std::int64_t>{1}}, "mean");
    const Var most = builder.op("aten::amax", {x, std::vector<std::int64_t>{1}}, "most");
    const Var pooled = builder.op("aten::cat", {builder.list({mean, most}), 1}, "pooled");
    const Var hidden = builder.relu(builder.linear("fc", pooled, 2 * settings.width, 2 * settings.width));
    const Var logits = builder.linear("head", hidden, 2 * settings.width, whole("classes"));
    canonical["points"] = points.values;
    canonical["coordinates"] = points.coordinates;
    canonical["logits"] = logits;
    builder.card().title = "GravNetNorm";
    graph::Model model = builder.finish({{"logits", logits}});
    writeCanonicalNames(model, canonical);
    return model;
}

}  // namespace orrery::zoo
