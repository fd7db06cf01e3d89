#include "umap.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include <core/base/rng.h>

#include "pca.h"

namespace orrery::intervene {
namespace {

using Clock = std::chrono::steady_clock;

/// The points while they are moved: stochastic gradient descent with negative samples, algorithm 5.
class Layout {
public:
    Layout(at::Tensor start, std::vector<FuzzyEdge> edges, const core::Json& parameters, std::int64_t epochs, std::uint64_t seed)
        : m_start(start.contiguous()), m_points(m_start.data_ptr<float>()), m_rows(m_start.size(0)), m_axes(m_start.size(1)), m_epochs(epochs),
          m_negatives(parameters.at("negative_sample_rate").get<double>()), m_rate(parameters.at("learning_rate").get<double>()),
          m_random(core::deriveSeed(seed, 1, "umap"))
    {
        std::tie(m_a, m_b) = umapCurve(parameters.at("min_dist").get<double>(), parameters.at("spread").get<double>());
        float largest = 0;
        for (const auto& edge : edges)
            largest = std::max(largest, edge.weight);
        for (const auto& edge : edges)
            // What would be drawn less than once in all epochs is left out.
            if (edge.weight >= largest / float(epochs))
                m_edges.push_back({edge.from, edge.to, largest / edge.weight, largest / edge.weight, largest / edge.weight / m_negatives});
    }

    void run(const Control& control)
    {
        auto shown = Clock::now();
        for (std::int64_t epoch = 0; epoch < m_epochs; ++epoch) {
            control.report(double(epoch), double(m_epochs), "epochs");
            moveAll(epoch);
            if (control.partial && Clock::now() - shown >= std::chrono::milliseconds(100)) {
                control.partial(points());
                shown = Clock::now();
            }
        }
        control.report(double(m_epochs), double(m_epochs), "epochs");
    }
    at::Tensor points() const { return m_start.to(at::kDouble); }
    std::pair<double, double> curve() const { return {m_a, m_b}; }

private:
    struct Edge {
        std::int32_t from, to;
        double every;         ///< epochs between two draws
        double next;          ///< epoch of the next draw
        double nextNegative;  ///< epoch of the next negative draw
    };

    void moveAll(std::int64_t epoch)
    {
        const double alpha = m_rate * (1 - double(epoch) / double(m_epochs)), now = double(epoch);
        for (auto& edge : m_edges) {
            if (edge.next > now)
                continue;
            float *head = m_points + std::int64_t(edge.from) * m_axes, *tail = m_points + std::int64_t(edge.to) * m_axes;
            attract(head, tail, alpha);
            edge.next += edge.every;
            const double each = edge.every / m_negatives;
            const auto count = std::int64_t((now - edge.nextNegative) / each);
            for (std::int64_t i = 0; i < count; ++i) {
                const auto other = std::int64_t(m_random.below(std::uint64_t(m_rows)));
                if (other != edge.from)
                    repel(head, m_points + other * m_axes, alpha);
            }
            edge.nextNegative += double(std::max<std::int64_t>(count, 0)) * each;
        }
    }
    double squared(const float* a, const float* b) const
    {
        double sum = 0;
        for (std::int64_t i = 0; i < m_axes; ++i)
            sum += double(a[i] - b[i]) * double(a[i] - b[i]);
        return sum;
    }
    void attract(float* head, float* tail, double alpha) const
    {
        const double square = squared(head, tail);
        if (square <= 0)
            return;
        const double power = std::pow(square, m_b), factor = -2 * m_a * m_b * (power / square) / (m_a * power + 1);
        for (std::int64_t i = 0; i < m_axes; ++i) {
            const float move = float(alpha * std::clamp(factor * double(head[i] - tail[i]), -4.0, 4.0));
            head[i] += move;
            tail[i] -= move;
        }
    }
    void repel(float* head, const float* other, double alpha) const
    {
        const double square = squared(head, other);
        if (square <= 0)
            return;
        const double factor = 2 * m_b / ((0.001 + square) * (m_a * std::pow(square, m_b) + 1));
        for (std::int64_t i = 0; i < m_axes; ++i)
            head[i] += float(alpha * std::clamp(factor * double(head[i] - other[i]), -4.0, 4.0));
    }

    at::Tensor m_start;  ///< float [row, axis], moved in place
    float* m_points;
    std::int64_t m_rows, m_axes, m_epochs;
    double m_negatives, m_rate, m_a = 1, m_b = 1;
    core::SplitMix64 m_random;
    std::vector<Edge> m_edges;
};

at::Tensor randomStart(std::int64_t rows, std::int64_t axes, double low, double high, std::uint64_t seed)
{
    core::SplitMix64 random(core::deriveSeed(seed, 0, "umap"));
    at::Tensor out = at::empty({rows, axes}, at::kFloat);
    for (std::int64_t i = 0; i < out.numel(); ++i)
        out.data_ptr<float>()[i] = float(low + (high - low) * random.uniform());
    return out;
}

// As umap-learn does with a given start: the widest axis from 0 to 10, every axis by its own width, a little noise between equal points.
at::Tensor scaledStart(const at::Tensor& points, std::uint64_t seed)
{
    const at::Tensor low = points.amin(0), span = (points.amax(0) - low).clamp_min(1e-12);
    return (10 * (points - low) / span).to(at::kFloat) + randomStart(points.size(0), points.size(1), -1e-4, 1e-4, seed);
}

// Eigenvectors 2.. of the normalised graph Laplacian by orthogonal iteration: D^-1/2 W D^-1/2 has the same with the largest eigenvalues.
at::Tensor spectralStart(const std::vector<FuzzyEdge>& edges, std::int64_t rows, std::int64_t axes, std::uint64_t seed, const Control& control)
{
    std::vector<std::int64_t> from, to;
    std::vector<double> weights, degree(std::size_t(rows), 0.0);
    for (const auto& edge : edges)
        degree[std::size_t(edge.from)] += double(edge.weight);
    for (const auto& edge : edges) {
        from.push_back(edge.from);
        to.push_back(edge.to);
        weights.push_back(double(edge.weight) / std::sqrt(degree[std::size_t(edge.from)] * degree[std::size_t(edge.to)]));
    }
    const at::Tensor head = at::tensor(from, at::kLong), tail = at::tensor(to, at::kLong), weight = at::tensor(weights, at::kDouble).unsqueeze(1);
    at::Tensor basis = randomStart(rows, axes + 3, -1, 1, seed + 1).to(at::kDouble);
    basis.select(1, 0).copy_(at::tensor(degree, at::kDouble).sqrt());
    constexpr int kRounds = 200;
    for (int round = 0; round < kRounds; ++round) {
        control.report(round, kRounds, "rounds");
        basis = std::get<0>(at::linalg_qr(basis));
        // Half identity: eigenvalues in 0..1, so that the largest are those of interest.
        basis = basis / 2 + at::zeros_like(basis).index_add_(0, head, basis.index_select(0, tail) * weight) / 2;
    }
    return std::get<0>(at::linalg_qr(basis)).slice(1, 1, axes + 1);
}

at::Tensor startOf(const at::Tensor& features, const std::vector<FuzzyEdge>& edges, const core::Json& parameters, std::uint64_t seed,
                   const Control& control)
{
    const auto init = parameters.at("init").get<std::string>();
    const auto axes = parameters.at("n_components").get<std::int64_t>();
    if (init == "random")
        return randomStart(features.size(0), axes, -10, 10, seed);
    Control quiet;
    quiet.stop = control.stop;
    if (init == "spectral")
        return scaledStart(spectralStart(edges, features.size(0), axes, seed, quiet), seed);
    const at::Tensor x = features.to(at::kDouble);
    if (x.size(1) < axes)
        throw core::InputError(fmt::format("umap.init: pca needs at least {} features, got {}; choose random or spectral", axes, x.size(1)));
    return scaledStart(fitPca(x, axes, quiet).transform(x), seed);
}

// The angle's distance equals the Euclidean one of rows of length 1 but for its scale: the same neighbours and, squared, 1 - cosine.
at::Tensor forMetric(const at::Tensor& features, const std::string& metric)
{
    if (metric == "euclidean")
        return features;
    const at::Tensor x = features.to(at::kDouble);
    return x / x.norm(2, {1}, true).clamp_min(1e-300);
}

}  // namespace

const core::Schema& umapSchema()
{
    static const core::Schema kSchema = {
        core::integer("n_neighbors", 15, "Neighbours looked at, the sample itself among them: few show detail, many the whole.").range(2, 1000),
        core::real("min_dist", 0.1, "How near neighbours may come on the picture.").range(0, 1000),
        core::real("spread", 1.0, "Scale of the picture's distances.").above(0),
        core::integer("n_components", 2, "Number of axes.").range(1, 100),
        core::integer("n_epochs", 500, "Rounds of moving the points; none: 500 up to 10,000 samples, 200 beyond.").range(1, 100000).noneByDefault(),
        core::choice("metric", {"euclidean", "cosine"}, "euclidean", "Distance between samples."),
        core::choice("init", {"spectral", "pca", "random"}, "spectral", "Where the points start."),
        core::real("learning_rate", 1.0, "Length of the first moves.").above(0),
        core::real("negative_sample_rate", 5, "Random points pushed away for each neighbour drawn near.").range(0.01, 1000),
    };
    return kSchema;
}

Projection umap(const at::Tensor& features, const core::Json& parameters, std::uint64_t seed, const Control& control)
{
    const auto rows = features.size(0), k = parameters.at("n_neighbors").get<std::int64_t>();
    if (k > rows)
        throw core::InputError(fmt::format("umap.n_neighbors: expected at most the number of rows, {}, got {}", rows, k));
    if (parameters.at("min_dist").get<double>() > parameters.at("spread").get<double>())
        throw core::InputError("umap.min_dist: expected at most spread");
    const at::Tensor x = forMetric(features, parameters.at("metric").get<std::string>());
    auto neighbours = nearestNeighbours(x, k - 1, control);
    if (parameters.at("metric") == "cosine")
        neighbours.distances = neighbours.distances.square() / 2;
    auto edges = fuzzyUnion(neighbours, smoothDistances(neighbours, k));
    const auto epochs = parameters.at("n_epochs").is_null() ? (rows <= 10000 ? 500 : 200) : parameters.at("n_epochs").get<std::int64_t>();
    at::Tensor start = startOf(x, edges, parameters, seed, control);
    Layout layout(std::move(start), std::move(edges), parameters, epochs, seed);
    if (control.partial)
        control.partial(layout.points());
    layout.run(control);
    const auto [a, b] = layout.curve();
    return {layout.points(), {{"a", a}, {"b", b}, {"epochs", epochs}}};
}

}  // namespace orrery::intervene
