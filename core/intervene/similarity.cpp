#include "similarity.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <optional>

#include <core/base/text.h>

namespace orrery::intervene {
namespace {

constexpr double kNoSimilarity = std::numeric_limits<double>::quiet_NaN();

at::Tensor centredRows(const at::Tensor& features, std::int64_t fewest)
{
    if (features.dim() != 2)
        throw core::ShapeError(fmt::format("similarity: expected [row, feature], got {}", core::formatShape(features.sizes())));
    if (features.size(0) < fewest || features.size(1) < 1)
        throw core::InputError(
            fmt::format("similarity: expected at least {} rows and a feature, got {}", fewest, core::formatShape(features.sizes())));
    requireFinite(features, "similarity");
    const at::Tensor x = features.detach().to(at::kCPU, at::kDouble);
    return x - x.mean(0);
}

double sumOfProducts(const at::Tensor& a, const at::Tensor& b)
{
    return at::dot(a.reshape(-1), b.reshape(-1)).item<double>();
}

template <class Kind>
std::pair<const Kind&, const Kind&> bothAs(const PreparedRows& a, const PreparedRows& b)
{
    const auto &first = dynamic_cast<const Kind&>(a), &second = dynamic_cast<const Kind&>(b);
    if (first.rows() != second.rows())
        throw core::ShapeError(fmt::format("similarity: expected the same samples on both sides, got {} and {} rows", first.rows(), second.rows()));
    return {first, second};
}

// Unbiased HSIC from the sums over kernels whose diagonal is taken out: tr(KL), the row sums and their totals.
double unbiased(double trace, const at::Tensor& rowsK, const at::Tensor& rowsL)
{
    const double n = double(rowsK.size(0));
    return (trace + rowsK.sum().item<double>() * rowsL.sum().item<double>() / ((n - 1) * (n - 2)) - 2 / (n - 2) * sumOfProducts(rowsK, rowsL)) /
           (n * (n - 3));
}

double normalised(double cross, double a, double b)
{
    return a > 0 && b > 0 ? cross / std::sqrt(a * b) : kNoSimilarity;
}

/// Linear CKA. What is kept: the centred rows, or their products with each other where there are fewer rows than features.
class LinearCka : public SimilarityMeasure {
public:
    explicit LinearCka(const core::Json& parameters) : m_estimator(parameters.at("debiased").get<bool>() ? Estimator::Unbiased : Estimator::Biased) {}

    struct Kept : PreparedRows {
        at::Tensor x, gram;            ///< one of the two
        at::Tensor diagonal, rowSums;  ///< of x x'; rowSums without the diagonal
        double self = 0;
        std::int64_t rows() const { return diagonal.size(0); }
    };

    PreparedPtr prepare(const at::Tensor& features) const override
    {
        auto kept = std::make_shared<Kept>();
        kept->x = centredRows(features, m_estimator == Estimator::Unbiased ? 4 : 2);
        kept->diagonal = kept->x.square().sum(1);
        kept->rowSums = at::mv(kept->x, kept->x.sum(0)) - kept->diagonal;
        if (kept->x.size(1) > kept->x.size(0)) {
            kept->gram = at::matmul(kept->x, kept->x.t());
            kept->x = at::Tensor();
        }
        kept->self = cross(*kept, *kept);
        // What is left of features that do not vary is rounding.
        if (kept->diagonal.sum().item<double>() <= 1e-24 * features.to(at::kDouble).square().sum().item<double>())
            kept->self = 0;
        return kept;
    }
    double compare(const PreparedRows& a, const PreparedRows& b) const override
    {
        const auto [first, second] = bothAs<Kept>(a, b);
        return normalised(cross(first, second), first.self, second.self);
    }
    std::uint64_t preparedBytes(std::int64_t rows, std::int64_t features) const override
    {
        return std::uint64_t(rows) * std::uint64_t(std::min(rows, features) + 2) * sizeof(double);
    }

private:
    // tr(K L) with diagonals.
    static double trace(const Kept& a, const Kept& b)
    {
        if (a.gram.defined() && b.gram.defined())
            return sumOfProducts(a.gram, b.gram);
        // |x' y|^2
        if (!a.gram.defined() && !b.gram.defined())
            return at::matmul(a.x.t(), b.x).square().sum().item<double>();
        const auto &wide = a.gram.defined() ? a : b, &narrow = a.gram.defined() ? b : a;
        return sumOfProducts(at::matmul(wide.gram, narrow.x), narrow.x);
    }
    double cross(const Kept& a, const Kept& b) const
    {
        const double n = double(a.rows()), full = trace(a, b);
        return m_estimator == Estimator::Biased ? full / ((n - 1) * (n - 1))
                                                : unbiased(full - sumOfProducts(a.diagonal, b.diagonal), a.rowSums, b.rowSums);
    }
    Estimator m_estimator;
};

/// CKA with a Gaussian kernel.
class RbfCka : public SimilarityMeasure {
public:
    explicit RbfCka(const core::Json& parameters)
        : m_estimator(parameters.at("debiased").get<bool>() ? Estimator::Unbiased : Estimator::Biased),
          m_threshold(parameters.at("threshold").get<double>())
    {
    }

    struct Kept : PreparedRows {
        at::Tensor kernel;  ///< biased: centred on both sides; unbiased: diagonal taken out
        at::Tensor rowSums;
        double self = 0;
        std::int64_t rows() const { return kernel.size(0); }
    };

    PreparedPtr prepare(const at::Tensor& features) const override
    {
        auto kept = std::make_shared<Kept>();
        const at::Tensor x = centredRows(features, m_estimator == Estimator::Unbiased ? 4 : 2), norms = x.square().sum(1);
        at::Tensor distances = (norms.unsqueeze(1) + norms.unsqueeze(0) - 2 * at::matmul(x, x.t())).clamp_min(0);
        distances.fill_diagonal_(0);
        const double median = distances.median().item<double>();
        if (!(median > 1e-24 * features.to(at::kDouble).square().sum().item<double>())) {
            kept->kernel = at::zeros_like(distances);
            kept->rowSums = at::zeros_like(norms);
            return kept;
        }
        kept->kernel = (distances / (-2 * m_threshold * m_threshold * median)).exp_();
        if (m_estimator == Estimator::Biased) {
            kept->kernel = kept->kernel - kept->kernel.mean(0, true);
            kept->kernel -= kept->kernel.mean(1, true);
        } else {
            kept->kernel.fill_diagonal_(0);
        }
        kept->rowSums = kept->kernel.sum(1);
        kept->self = cross(*kept, *kept);
        return kept;
    }
    double compare(const PreparedRows& a, const PreparedRows& b) const override
    {
        const auto [first, second] = bothAs<Kept>(a, b);
        return normalised(cross(first, second), first.self, second.self);
    }
    std::uint64_t preparedBytes(std::int64_t rows, std::int64_t) const override { return std::uint64_t(rows) * std::uint64_t(rows) * sizeof(double); }

private:
    double cross(const Kept& a, const Kept& b) const
    {
        const double n = double(a.rows()), trace = sumOfProducts(a.kernel, b.kernel);
        return m_estimator == Estimator::Biased ? trace / ((n - 1) * (n - 1)) : unbiased(trace, a.rowSums, b.rowSums);
    }
    Estimator m_estimator;
    double m_threshold;
};

/// What canonical correlations need of one side.
struct KeptDirections : PreparedRows {
    at::Tensor directions;  ///< [row, direction], orthonormal: those that hold the wanted share of the variance
    at::Tensor loadings;    ///< [direction, feature]: the centred features along them
    std::int64_t rows() const { return directions.size(0); }
};

/// Singular values of centred features up to this one may be rounding alone: as numpy.linalg.matrix_rank counts, by the type that the features were computed in (halves are sums of
/// float32, rounded once), and at least what rounding each element does to a matrix (Rudelson & Vershynin 2010, arXiv:1003.2990: about eps rms (sqrt(n) + sqrt(m))).
double roundingOf(const at::Tensor& features, double largest)
{
    const bool isDouble = features.scalar_type() == at::kDouble;
    const double eps = features.scalar_type() == at::kBFloat16 ? 0x1p-7
                       : features.scalar_type() == at::kHalf   ? 0x1p-10
                       : isDouble                              ? std::numeric_limits<double>::epsilon()
                                                               : double(std::numeric_limits<float>::epsilon()),
                 computed = isDouble ? eps : double(std::numeric_limits<float>::epsilon());
    const double rows = double(features.size(0)), columns = double(features.size(1));
    const double rms = std::sqrt(features.to(at::kDouble).square().mean().item<double>());
    return std::max(largest * std::max(rows, columns) * computed, eps * rms * (std::sqrt(rows) + std::sqrt(columns)));
}

std::shared_ptr<KeptDirections> keptDirections(const at::Tensor& features, double variance)
{
    auto kept = std::make_shared<KeptDirections>();
    const at::Tensor x = centredRows(features, 3);
    const auto [u, s, vh] = at::linalg_svd(x, false);
    const at::Tensor share = s.square().cumsum(0), squares = s.square();
    const double total = share[-1].item<double>();
    std::int64_t count = 0;
    // Directions of rounding are left out even where all of the variance is asked for.
    const double floor = std::pow(roundingOf(features, s[0].item<double>()), 2);
    while (count < s.size(0) && squares[count].item<double>() > floor && (count == 0 || share[count - 1].item<double>() < variance * total))
        ++count;
    kept->directions = u.slice(1, 0, count).contiguous();
    kept->loadings = s.slice(0, 0, count).unsqueeze(1) * vh.slice(0, 0, count);
    return kept;
}

/// Both sides, if canonical correlations between them mean anything; nothing if one of them does not vary.
std::optional<std::pair<const KeptDirections&, const KeptDirections&>> comparable(const PreparedRows& a, const PreparedRows& b, const char* name)
{
    const auto sides = bothAs<KeptDirections>(a, b);
    const auto &first = sides.first, &second = sides.second;
    const auto both = first.directions.size(1) + second.directions.size(1);
    if (first.directions.size(1) == 0 || second.directions.size(1) == 0)
        return std::nullopt;
    // Two subspaces of the n - 1 centred dimensions that must meet correlate whatever they hold.
    if (both >= first.rows())
        throw core::InputError(fmt::format("{}: {} + {} directions hold the wanted share of the variance; expected more than {} samples, got {}",
                                           name, first.directions.size(1), second.directions.size(1), both, first.rows()));
    return sides;
}

/// Mean canonical correlation of the directions that hold most of the variance.
class Svcca : public SimilarityMeasure {
public:
    explicit Svcca(const core::Json& parameters) : m_variance(parameters.at("variance").get<double>()) {}

    PreparedPtr prepare(const at::Tensor& features) const override { return keptDirections(features, m_variance); }
    double compare(const PreparedRows& a, const PreparedRows& b) const override
    {
        const auto sides = comparable(a, b, "svcca");
        if (!sides)
            return kNoSimilarity;
        const at::Tensor correlations = at::linalg_svdvals(at::matmul(sides->first.directions.t(), sides->second.directions));
        return correlations.clamp(0, 1).mean().item<double>();
    }
    std::uint64_t preparedBytes(std::int64_t rows, std::int64_t features) const override
    {
        return std::uint64_t(rows + features) * std::uint64_t(std::min(rows, features)) * sizeof(double);
    }

private:
    double m_variance;
};

/// Canonical correlations, each weighted by how much of one side's features lies along its direction.
class Pwcca : public SimilarityMeasure {
public:
    explicit Pwcca(const core::Json& parameters)
        : m_variance(parameters.at("variance").get<double>()), m_byRows(parameters.at("weighted_by").get<std::string>() == "rows")
    {
    }

    PreparedPtr prepare(const at::Tensor& features) const override { return keptDirections(features, m_variance); }
    double compare(const PreparedRows& a, const PreparedRows& b) const override
    {
        const auto sides = m_byRows ? comparable(a, b, "pwcca") : comparable(b, a, "pwcca");
        if (!sides)
            return kNoSimilarity;
        // The canonical directions of the weighting side are its own directions times the left singular vectors.
        const auto [left, correlations, right] = at::linalg_svd(at::matmul(sides->first.directions.t(), sides->second.directions), false);
        const at::Tensor weights = at::matmul(left.t(), sides->first.loadings).abs().sum(1);
        return ((correlations.clamp(0, 1) * weights).sum() / weights.sum()).item<double>();
    }
    bool isSymmetric() const override { return false; }
    std::uint64_t preparedBytes(std::int64_t rows, std::int64_t features) const override
    {
        return std::uint64_t(rows + features) * std::uint64_t(std::min(rows, features)) * sizeof(double);
    }

private:
    double m_variance;
    bool m_byRows;
};

template <class Measure>
SimilarityFactory factoryOf()
{
    return [](const core::Json& parameters) { return std::make_unique<Measure>(parameters); };
}

core::Registry<SimilarityFactory> makeSimilarities()
{
    core::Registry<SimilarityFactory> registry("similarity", "Similarity of representations");
    const auto debiased =
        core::boolean("debiased", false, "Estimate HSIC without bias: near 0 for independent representations however many features there are.");
    registry.add({"cka", "Linear CKA", "Centred kernel alignment with the linear kernel: 1 for representations equal up to rotation and scale.",
                  "Kornblith et al. (2019), \"Similarity of Neural Network Representations Revisited\", arXiv:1905.00414", core::Schema{debiased}},
                 factoryOf<LinearCka>());
    registry.add(
        {"rbf_cka", "RBF CKA", "Centred kernel alignment with a Gaussian kernel: looks at neighbourhoods.",
         "Kornblith et al. (2019), \"Similarity of Neural Network Representations Revisited\", arXiv:1905.00414",
         core::Schema{core::real("threshold", 1.0, "Width of the kernel as a share of the median distance between samples.").above(0), debiased}},
        factoryOf<RbfCka>());
    registry.add({"svcca", "SVCCA", "Mean canonical correlation of the directions that hold most of the variance.",
                  "Raghu et al. (2017), \"SVCCA: Singular Vector Canonical Correlation Analysis for Deep Learning Dynamics and Interpretability\", "
                  "arXiv:1706.05806",
                  core::Schema{core::real("variance", 0.99, "Share of the variance that the kept directions hold.").range(0, 1).above(0)}},
                 factoryOf<Svcca>());
    registry.add(
        {"pwcca", "PWCCA", "Canonical correlations, each weighted by how much of the features of one side lies along its direction: not symmetric.",
         "Morcos et al. (2018), \"Insights on representational similarity in neural networks with canonical correlation\", arXiv:1806.05759",
         core::Schema{
             core::choice("weighted_by", {"rows", "columns"}, "rows",
                          "The side whose features weigh the correlations: the first model (rows) or the second (columns); along checkpoints "
                          "of several values the checkpoint (rows) or the final weights (columns)."),
             core::real("variance", 1.0, "Share of the variance that the kept directions hold.").range(0, 1).above(0)}},
        factoryOf<Pwcca>());
    return registry;
}

bool sameTensors(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b)
{
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](const at::Tensor& x, const at::Tensor& y) { return x.is_same(y); });
}

std::vector<PreparedPtr> prepareAll(const SimilarityMeasure& measure, const std::vector<at::Tensor>& features, double& done, double total,
                                    const Control& control)
{
    std::vector<PreparedPtr> out;
    for (const auto& x : features) {
        control.report(done++, total, "steps");
        out.push_back(measure.prepare(x));
    }
    return out;
}

void checkMemory(const SimilarityMeasure& measure, const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b, bool same)
{
    std::uint64_t bytes = 0;
    for (const auto* list : {&a, same ? nullptr : &b})
        for (std::size_t i = 0; list && i < list->size(); ++i)
            bytes += measure.preparedBytes((*list)[i].size(0), (*list)[i].dim() > 1 ? (*list)[i].size(1) : 1);
    if (bytes > freeMemory() / 4 * 3)
        throw core::InputError(fmt::format("comparing {} representations needs {}, {} are free: give fewer samples or fewer values",
                                           a.size() + (same ? 0 : b.size()), core::formatBytes(bytes), core::formatBytes(freeMemory())));
}

}  // namespace

double hsic(const at::Tensor& k, const at::Tensor& l, Estimator estimator)
{
    if (k.dim() != 2 || k.size(0) != k.size(1) || k.sizes() != l.sizes())
        throw core::ShapeError(
            fmt::format("hsic: expected two matrices [n, n], got {} and {}", core::formatShape(k.sizes()), core::formatShape(l.sizes())));
    const auto n = k.size(0);
    if (n < (estimator == Estimator::Biased ? 2 : 4))
        throw core::InputError(fmt::format("hsic: expected at least {} samples, got {}", estimator == Estimator::Biased ? 2 : 4, n));
    at::Tensor a = k.to(at::kDouble).clone(), b = l.to(at::kDouble).clone();
    if (estimator == Estimator::Biased) {
        a = a - a.mean(0, true);
        a = a - a.mean(1, true);
        return sumOfProducts(a, b.contiguous()) / (double(n - 1) * double(n - 1));
    }
    a.fill_diagonal_(0);
    b.fill_diagonal_(0);
    return unbiased(sumOfProducts(a, b), a.sum(1), b.sum(1));
}

const core::Registry<SimilarityFactory>& similarityRegistry()
{
    static const auto kRegistry = makeSimilarities();
    return kRegistry;
}

std::unique_ptr<SimilarityMeasure> makeSimilarity(const std::string& id, const core::Json& parameters)
{
    const auto& factory = similarityRegistry().factory(id);
    return factory(similarityRegistry().at(id).schema.resolve(parameters, id));
}

double similarity(const std::string& id, const at::Tensor& a, const at::Tensor& b, const core::Json& parameters)
{
    const auto measure = makeSimilarity(id, parameters);
    return measure->compare(*measure->prepare(a), *measure->prepare(b));
}

at::Tensor similarityMatrix(const SimilarityMeasure& measure, const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b,
                            const Control& control)
{
    const at::NoGradGuard noGrad;
    const bool same = sameTensors(a, b);
    checkMemory(measure, a, b, same);
    const double total = double(a.size() + (same ? 0 : b.size()) + a.size() * b.size());
    double done = 0;
    const auto first = prepareAll(measure, a, done, total, control);
    const auto second = same ? first : prepareAll(measure, b, done, total, control);
    at::Tensor matrix = at::full({std::int64_t(a.size()), std::int64_t(b.size())}, kNoSimilarity, at::kDouble);
    auto cells = matrix.accessor<double, 2>();
    for (std::int64_t row = 0; row < matrix.size(0); ++row) {
        for (std::int64_t column = 0; column < matrix.size(1); ++column) {
            control.report(done++, total, "steps");
            cells[row][column] = same && measure.isSymmetric() && column < row
                                     ? cells[column][row]
                                     : measure.compare(*first[std::size_t(row)], *second[std::size_t(column)]);
        }
        if (control.partial)
            control.partial(matrix.clone());
    }
    control.report(total, total, "steps");
    return matrix;
}

}  // namespace orrery::intervene
