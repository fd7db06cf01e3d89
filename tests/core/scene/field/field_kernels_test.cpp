// The kernels of radiance fields against closed forms and against libtorch's own operators.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <QtTest>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include <core/base/error.h>
#include <core/kernels/vector_math.h>
#include <core/scene/field/field.h>
#include <core/scene/field/small_product.h>
#include <core/scene/field/views.h>

#include "../../message_of.h"

using namespace orrery;
using namespace orrery::scene;

namespace {

at::Generator seeded(std::uint64_t seed)
{
    return at::detail::createCPUGenerator(seed);
}

at::Tensor uniform(at::IntArrayRef sizes, std::uint64_t seed)
{
    return at::rand(sizes, seeded(seed));
}

double largest(const at::Tensor& x)
{
    return x.numel() ? x.abs().max().item<double>() : 0;
}

/// Rays from a ball around the cube through random places in it.
at::Tensor randomRays(std::int64_t count, std::uint64_t seed)
{
    const at::Tensor from = uniform({count, 3}, seed) * 2 - 1, origin = from / from.norm(2, 1, true) * 2,
                     to = (uniform({count, 3}, seed + 1) - 0.5) * 0.8;
    return at::cat({origin, (to - origin) / 3}, 1);
}

RaySamples marchThrough(const at::Tensor& rays, std::int64_t steps, std::int64_t cells = 8)
{
    return marchRays(rays, at::ones({cells, cells, cells}), at::zeros({rays.size(0)}), false, steps, 0.5);
}

std::vector<at::Tensor> gradientsOf(const at::Tensor& value, const std::vector<at::Tensor>& of)
{
    return torch::autograd::grad({value}, of, {}, c10::nullopt, false, true);
}

template <kernels::InstructionSet set>
struct Product {
    ORRERY_KERNEL static void run(const SmallProduct& p, After after)
    {
        switch (after) {
        case After::Nothing: return smallProduct<set, After::Nothing>(p);
        case After::Added: return smallProduct<set, After::Added>(p);
        case After::Rectified: return smallProduct<set, After::Rectified>(p);
        case After::Masked: return smallProduct<set, After::Masked>(p);
        }
    }
};

/// False: this machine has not got it.
bool runProduct(kernels::InstructionSet set, const SmallProduct& p, After after)
{
    if (set > kernels::instructionSet())
        return false;
#if defined(__x86_64__)
    if (set == kernels::InstructionSet::Avx512)
        kernels::runAvx512<Product<kernels::InstructionSet::Avx512>>(p, after);
    else if (set == kernels::InstructionSet::Avx2)
        kernels::runAvx2<Product<kernels::InstructionSet::Avx2>>(p, after);
    else
#endif
        Product<kernels::InstructionSet::Baseline>::run(p, after);
    return true;
}

}  // namespace

class FieldKernelsTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void constantDensityMakesTheSlabsOpacity()
    {
        // Straight through the cube: the length is 1, so the opacity is 1 - exp(-density).
        const at::Tensor rays = at::tensor({-2.0f, 0.1f, -0.2f, 1.0f, 0.0f, 0.0f}).view({1, 6});
        for (const double density : {0.1, 1.0, 5.0}) {
            for (int sampler = 0; sampler < 3; ++sampler) {
                RaySamples samples = sampler == 0 ? marchThrough(rays, 2000) : stratifiedRays(rays, at::zeros({1, 50}), false, 50);
                if (sampler == 2)
                    samples = importanceRays(rays, samples, at::rand({50}, seeded(3)), uniform({1, 30}, 4), true);
                const std::int64_t n = samples.distances.numel();
                const Composited out = composite(at::full({n}, density), at::full({n, 3}, 0.25f), samples, {0, 0, 1});
                // The march leaves out the part of a step at the far wall.
                const double tolerance = sampler == 0 ? 0.001 * density : 1e-5, opacity = 1 - std::exp(-density);
                QVERIFY2(std::abs(out.opacity.item<double>() - opacity) < tolerance,
                         qPrintable(QString("%1 %2").arg(sampler).arg(out.opacity.item<double>() - opacity)));
                QVERIFY(std::abs(out.colour[0][0].item<double>() - 0.25 * opacity) < tolerance);
                QVERIFY(std::abs(out.colour[0][2].item<double>() - (0.25 * opacity + 1 - opacity)) < tolerance);
                QVERIFY(out.weights.sum().item<double>() <= 1 + 1e-6 && out.weights.min().item<double>() >= 0);
            }
        }
    }

    void aLinearDensityIsIntegrated()
    {
        // Density 6 x along x from 0 to 1: opacity 1 - exp(-3).
        const at::Tensor rays = at::tensor({-3.0f, 0.0f, 0.0f, 0.5f, 0.0f, 0.0f}).view({1, 6});
        const RaySamples samples = stratifiedRays(rays, at::zeros({1, 200}), false, 200);
        const at::Tensor density = 6 * (samples.positions.select(1, 0) + 0.5);
        const Composited out = composite(density, at::ones({200, 3}), samples, {0, 0, 0});
        QVERIFY(std::abs(out.opacity.item<double>() - (1 - std::exp(-3.0))) < 1e-5);
        // Distances count in lengths of the direction: the cube begins at 5 and ends at 7.
        QVERIFY(std::abs(samples.distances[0].item<double>() - 5.005) < 1e-4 && std::abs(samples.distances[199].item<double>() - 6.995) < 1e-4);
    }

    void thinShellIsFoundAtItsDistance()
    {
        const at::Tensor rays = randomRays(50, 11);
        const RaySamples samples = marchThrough(rays, 4096);
        // A ball of radius 0.3, opaque: the depth is where the ray meets it.
        const at::Tensor density = at::where(samples.positions.norm(2, 1) < 0.3, 1e5, 0.0).to(at::kFloat);
        const Composited out = composite(density, at::ones({density.numel(), 3}), samples, {0, 0, 0});
        int hits = 0;
        for (std::int64_t r = 0; r < 50; ++r) {
            const at::Tensor o = rays[r].slice(0, 0, 3).to(at::kDouble), d = rays[r].slice(0, 3, 6).to(at::kDouble);
            const double a = d.dot(d).item<double>(), b = o.dot(d).item<double>(), c = o.dot(o).item<double>() - 0.09, root = b * b - a * c;
            if (root > 1e-4) {
                ++hits;
                QVERIFY(std::abs(out.depth[r].item<double>() - (-b - std::sqrt(root)) / a) < 2e-3);
                QVERIFY(out.opacity[r].item<double>() > 0.999);
            } else if (root < -1e-4)
                QVERIFY(out.opacity[r].item<double>() < 1e-6);
        }
        QVERIFY(hits > 10 && hits < 50);
    }

    void emptyCellsAreSkippedAndMoveNoSample()
    {
        const at::Tensor rays = randomRays(200, 5), jitter = uniform({200}, 6);
        at::Tensor grid = (uniform({16, 16, 16}, 7) > 0.7).to(at::kFloat);
        const RaySamples all = marchRays(rays, at::ones({16, 16, 16}), jitter, true, 300, 0.5), some = marchRays(rays, grid, jitter, true, 300, 0.5);
        // The expected ones: those of all whose cell is occupied.
        const at::Tensor cell = ((all.positions + 0.5) * 16).to(at::kLong).clamp(0, 15);
        const at::Tensor occupied = grid.index({cell.select(1, 0), cell.select(1, 1), cell.select(1, 2)}) > 0.5;
        const at::Tensor expected = all.distances.index({occupied});
        QCOMPARE(some.distances.numel(), expected.numel());
        QVERIFY(largest(some.distances - expected) < 1e-5);
        QVERIFY(at::equal(some.rays, all.rays.index({occupied})));
        QVERIFY(some.distances.numel() < all.distances.numel() / 2);
    }

    void raysThatMissTheCubeHaveNoSamplesAndShowTheBackground()
    {
        const float nan = std::nanf("");
        const at::Tensor rays = at::tensor({
                                               2.0f, 2.0f, 2.0f, 1.0f,   0.0f, 0.0f,  // past it
                                               0.0f, 0.0f, 0.0f, 0.0f,   0.0f, 0.0f,  // no direction
                                               nan,  0.0f, 0.0f, 1.0f,   0.0f, 0.0f,  // not a number
                                               0.9f, 0.0f, 0.0f, 0.0f,   1.0f, 0.0f,  // parallel to a wall, outside
                                               0.0f, 0.0f, 0.0f, 1e-30f, 0.0f, 0.0f   // all but no direction
                                           })
                                    .view({5, 6});
        const RaySamples samples = marchThrough(rays, 64);
        QCOMPARE(samples.distances.numel(), 0);
        const Composited out = composite(at::empty({0}), at::empty({0, 3}), samples, {0.1, 0.2, 0.3});
        QVERIFY(largest(out.colour - at::tensor({0.1f, 0.2f, 0.3f})) == 0);
        QVERIFY(largest(out.opacity) == 0);
    }

    void importanceSamplesGatherWhereTheWeightsAre()
    {
        const at::Tensor rays = at::tensor({-2.0f, 0.0f, 0.0f, 1.0f, 0.0f, 0.0f}).view({1, 6});
        const RaySamples coarse = stratifiedRays(rays, at::zeros({1, 10}), false, 10);
        at::Tensor weights = at::zeros({10});
        weights[6] = 1.0f;  // the bin from 2.1 to 2.2
        const RaySamples fine = importanceRays(rays, coarse, weights, uniform({1, 100}, 1), true);
        QCOMPARE(fine.distances.numel(), 110);
        const at::Tensor inside = (fine.distances >= 2.0999f).logical_and(fine.distances <= 2.2001f);
        QVERIFY(inside.sum().item<std::int64_t>() >= 100);
        QVERIFY((fine.distances.slice(0, 1) - fine.distances.slice(0, 0, 109)).min().item<float>() >= 0);
        QVERIFY(std::abs(fine.lengths.sum().item<double>() - 1) < 1e-5);
    }

    void compositingEqualsTheReferenceWithGradients()
    {
        const at::Tensor rays = randomRays(40, 21);
        const RaySamples samples = marchThrough(rays, 60);
        const std::int64_t n = samples.distances.numel();
        const at::Tensor density = (uniform({n}, 22) * 20).requires_grad_(true), colour = uniform({n, 3}, 23).requires_grad_(true);
        const at::Tensor density64 = density.detach().to(at::kDouble).requires_grad_(true),
                         colour64 = colour.detach().to(at::kDouble).requires_grad_(true);
        const std::vector<double> background{0.2, 0.9, 0.5};
        const auto score = [&](const Composited& out) {
            const auto as = [&](const at::Tensor& x) { return x.to(out.colour.scalar_type()); };
            return (out.colour * as(uniform({40, 3}, 24))).sum() + (out.opacity * as(uniform({40}, 25))).sum() +
                   (out.depth * as(uniform({40}, 26))).sum() + (out.weights * as(uniform({n}, 27))).sum();
        };
        const Composited ours = composite(density, colour, samples, background),
                         theirs = reference::composite(density64, colour64, samples, background);
        QVERIFY(largest(ours.colour - theirs.colour) < 1e-5 && largest(ours.opacity - theirs.opacity) < 1e-5);
        QVERIFY(largest(ours.depth - theirs.depth) < 1e-4 && largest(ours.weights - theirs.weights) < 1e-6);
        const auto a = gradientsOf(score(ours), {density, colour}), b = gradientsOf(score(theirs), {density64, colour64});
        QVERIFY2(largest(a[0] - b[0]) < 1e-5 * std::max(1.0, largest(b[0])), qPrintable(QString::number(largest(a[0] - b[0]))));
        QVERIFY(largest(a[1] - b[1]) < 1e-5 * std::max(1.0, largest(b[1])));
    }

    void referenceGradientsEqualCentralDifferences()
    {
        const at::Tensor rays = randomRays(3, 31);
        const RaySamples samples = marchThrough(rays, 12);
        const std::int64_t n = samples.distances.numel();
        at::Tensor density = (uniform({n}, 32).to(at::kDouble) * 10).requires_grad_(true);
        const at::Tensor colour = uniform({n, 3}, 33).to(at::kDouble);
        const auto score = [&](const at::Tensor& d) { return reference::composite(d, colour, samples, {1, 1, 1}).colour.square().sum(); };
        const at::Tensor gradient = gradientsOf(score(density), {density})[0];
        for (std::int64_t i = 0; i < n; ++i) {
            const at::Tensor step = at::zeros({n}, at::kDouble);
            step[i] = 1e-5;
            const double numeric = ((score(density.detach() + step) - score(density.detach() - step)) / 2e-5).item<double>();
            QVERIFY(std::abs(numeric - gradient[i].item<double>()) < 1e-7);
        }
    }

    void hashGridEqualsTheReferenceWithGradients_data()
    {
        QTest::addColumn<int>("features");
        QTest::addColumn<int>("log2");
        QTest::addColumn<int>("samples");
        QTest::newRow("two features, mostly hashed") << 2 << 8 << 1000;
        QTest::newRow("one feature") << 1 << 10 << 77;
        QTest::newRow("four features, direct") << 4 << 16 << 33;
        QTest::newRow("eight features") << 8 << 6 << 17;
        QTest::newRow("one sample") << 2 << 10 << 1;
        QTest::newRow("none") << 2 << 10 << 0;
    }
    void hashGridEqualsTheReferenceWithGradients()
    {
        QFETCH(int, features);
        QFETCH(int, log2);
        QFETCH(int, samples);
        const HashLevels levels = hashLevels(6, 4, 1.7, log2);
        const at::Tensor table = uniform({levels.offsets.back(), features}, 41).requires_grad_(true);
        const at::Tensor table64 = table.detach().to(at::kDouble).requires_grad_(true);
        at::Tensor positions = uniform({samples, 3}, 42) * 1.1 - 0.55;  // a few lie outside and are clamped
        if (samples > 2)
            positions[0].fill_(0.5f), positions[1].fill_(-0.5f);
        const at::Tensor ours = hashEncode(positions, table, levels.resolutions, levels.offsets);
        QCOMPARE(ours.size(1), std::int64_t(6 * features));
        if (samples == 0)
            return;
        const at::Tensor theirs = reference::hashEncode(positions, table64, levels.resolutions, levels.offsets);
        QVERIFY2(largest(ours - theirs) < 2e-5, qPrintable(QString::number(largest(ours - theirs))));
        const at::Tensor pull = uniform(ours.sizes(), 43);
        const at::Tensor a = gradientsOf((ours * pull).sum(), {table})[0], b = gradientsOf((theirs * pull).sum(), {table64})[0];
        QVERIFY2(largest(a - b) < 1e-4, qPrintable(QString::number(largest(a - b))));
    }

    void hashLevelsAreThePapers()
    {
        // Table 1 of the paper: 16 levels from 16 to 2048 cells; N_l = floor(16 * b^l), b = exp(ln(2048 / 16) / 15).
        const HashLevels levels = hashLevels(16, 16, std::exp(std::log(128.0) / 15), 19);
        QCOMPARE(levels.resolutions.front(), std::int64_t(16));
        QCOMPARE(levels.resolutions[1], std::int64_t(22));
        QCOMPARE(levels.resolutions.back(), std::int64_t(2048));
        QCOMPARE(levels.offsets[1], std::int64_t(4920));  // 17^3 = 4913 in steps of eight
        QCOMPARE(levels.offsets.back() - levels.offsets[15], std::int64_t(1) << 19);
    }

    void smallProductsEqualTheDefinition_data()
    {
        QTest::addColumn<int>("set");
        QTest::addColumn<int>("rows");
        QTest::addColumn<int>("vectors");
        QTest::addColumn<int>("inner");
        const std::pair<const char*, kernels::InstructionSet> sets[] = {
            {"baseline", kernels::InstructionSet::Baseline}, {"AVX2", kernels::InstructionSet::Avx2}, {"AVX-512", kernels::InstructionSet::Avx512}};
        for (const auto& [name, set] : sets) {
            QTest::addRow("%s, 64 x 64 x 64", name) << int(set) << 64 << 4 << 64;
            QTest::addRow("%s, one row", name) << int(set) << 1 << 1 << 5;
            QTest::addRow("%s, odd sizes", name) << int(set) << 19 << 3 << 7;
            QTest::addRow("%s, nothing to sum", name) << int(set) << 9 << 2 << 0;
        }
    }
    void smallProductsEqualTheDefinition()
    {
        QFETCH(int, set);
        QFETCH(int, rows);
        QFETCH(int, vectors);
        QFETCH(int, inner);
        const std::int64_t columns = 16 * vectors;
        const at::Tensor a = uniform({rows, inner}, 1) - 0.5, b = uniform({inner, columns}, 2) - 0.5, before = uniform({rows, columns}, 3),
                         start = uniform({columns}, 4) - 0.5, values = uniform({rows, columns}, 5) - 0.5;
        const at::Tensor plain = a.to(at::kDouble).mm(b.to(at::kDouble)), started = plain + start;
        const std::pair<After, at::Tensor> cases[] = {{After::Nothing, started},
                                                      {After::Added, plain + before},
                                                      {After::Rectified, started.clamp_min(0)},
                                                      {After::Masked, started * (values > 0)}};
        for (const bool turned : {false, true})
            for (const auto& [after, expected] : cases) {
                // Turned: the same matrix, column after column.
                const at::Tensor left = turned ? a.t().contiguous() : a, c = before.clone();
                const SmallProduct product{rows,
                                           vectors,
                                           inner,
                                           left.data_ptr<float>(),
                                           turned ? 1 : inner,
                                           turned ? rows : 1,
                                           b.data_ptr<float>(),
                                           c.data_ptr<float>(),
                                           after == After::Added ? nullptr : start.data_ptr<float>(),
                                           values.data_ptr<float>()};
                if (!runProduct(kernels::InstructionSet(set), product, after))
                    QSKIP("this processor has not got these instructions");
                QVERIFY2(largest(c - expected) < 1e-5, qPrintable(QString("%1: %2").arg(int(after)).arg(largest(c - expected))));
            }
    }

    void fusedNetworkEqualsTheReferenceWithGradients_data()
    {
        QTest::addColumn<QVector<int>>("widths");
        QTest::addColumn<int>("samples");
        QTest::newRow("density network") << QVector<int>{32, 64, 16} << 1500;
        QTest::newRow("colour network") << QVector<int>{32, 64, 64, 3} << 1025;
        QTest::newRow("one layer") << QVector<int>{5, 7} << 10;
        QTest::newRow("odd sizes") << QVector<int>{3, 17, 33, 2} << 513;
        QTest::newRow("no samples") << QVector<int>{3, 17, 2} << 0;
    }
    void fusedNetworkEqualsTheReferenceWithGradients()
    {
        QFETCH(QVector<int>, widths);
        QFETCH(int, samples);
        const at::Tensor x = (uniform({samples, widths[0]}, 51) - 0.5).requires_grad_(true), x64 = x.detach().to(at::kDouble).requires_grad_(true);
        std::vector<at::Tensor> ours{x}, theirs{x64};
        for (int l = 0; l + 1 < widths.size(); ++l) {
            ours.push_back((uniform({widths[l + 1], widths[l]}, std::uint64_t(52 + l)) - 0.5).requires_grad_(true));
            theirs.push_back(ours.back().detach().to(at::kDouble).requires_grad_(true));
        }
        const at::Tensor a = fusedMlp(x, {ours.begin() + 1, ours.end()}), b = reference::mlp(x64, {theirs.begin() + 1, theirs.end()});
        QVERIFY(a.sizes() == b.sizes());
        QVERIFY(largest(a - b) < 1e-4);
        const at::Tensor pull = uniform(a.sizes(), 60) - 0.5;
        const auto ga = gradientsOf((a * pull).sum(), ours), gb = gradientsOf((b * pull).sum(), theirs);
        for (std::size_t i = 0; i < ga.size(); ++i)
            QVERIFY2(largest(ga[i] - gb[i]) < 1e-4 * std::max(1.0, largest(gb[i])), qPrintable(QString("%1: %2").arg(i).arg(largest(ga[i] - gb[i]))));
    }

    void cellNetworksEqualALoopOverSamplesWithGradients_data()
    {
        QTest::addColumn<QVector<int>>("widths");
        QTest::addColumn<int>("samples");
        QTest::addColumn<int>("cells");
        QTest::newRow("density network") << QVector<int>{27, 32, 32, 16} << 1500 << 8;
        QTest::newRow("more cells than samples") << QVector<int>{5, 9, 3} << 40 << 125;
        QTest::newRow("all in one cell") << QVector<int>{6, 8, 2} << 1025 << 1;
        QTest::newRow("one layer") << QVector<int>{5, 7} << 10 << 3;
        QTest::newRow("no samples") << QVector<int>{3, 17, 2} << 0 << 4;
    }
    void cellNetworksEqualALoopOverSamplesWithGradients()
    {
        QFETCH(QVector<int>, widths);
        QFETCH(int, samples);
        QFETCH(int, cells);
        const at::Tensor x = (uniform({samples, widths[0]}, 101) - 0.5).requires_grad_(true);
        // Squared: the first cells hold most samples, some none.
        const at::Tensor cell = (uniform({samples}, 102).square() * cells).to(at::kLong);
        std::vector<at::Tensor> weights, biases, weights64, biases64;
        for (int l = 0; l + 1 < widths.size(); ++l) {
            weights.push_back((uniform({cells, widths[l + 1], widths[l]}, std::uint64_t(103 + l)) - 0.5).requires_grad_(true));
            biases.push_back((uniform({cells, widths[l + 1]}, std::uint64_t(113 + l)) - 0.5).requires_grad_(true));
            weights64.push_back(weights.back().detach().to(at::kDouble).requires_grad_(true));
            biases64.push_back(biases.back().detach().to(at::kDouble).requires_grad_(true));
        }
        const at::Tensor x64 = x.detach().to(at::kDouble).requires_grad_(true), a = cellMlp(x, cell, weights, biases);
        if (samples == 0) {
            QCOMPARE(a.size(1), std::int64_t(widths.back()));
            return;
        }
        const at::Tensor b = reference::cellMlp(x64, cell, weights64, biases64);
        QVERIFY(a.sizes() == b.sizes());
        QVERIFY2(largest(a - b) < 1e-5, qPrintable(QString::number(largest(a - b))));
        const at::Tensor pull = uniform(a.sizes(), 120) - 0.5;
        const auto all = [](at::Tensor first, std::vector<at::Tensor> second, const std::vector<at::Tensor>& third) {
            second.insert(second.begin(), std::move(first));
            second.insert(second.end(), third.begin(), third.end());
            return second;
        };
        const auto ga = gradientsOf((a * pull).sum(), all(x, weights, biases)), gb = gradientsOf((b * pull).sum(), all(x64, weights64, biases64));
        for (std::size_t i = 0; i < ga.size(); ++i)
            QVERIFY2(largest(ga[i] - gb[i]) < 1e-4 * std::max(1.0, largest(gb[i])), qPrintable(QString("%1: %2").arg(i).arg(largest(ga[i] - gb[i]))));
    }

    void placesLieInTheirCells()
    {
        const float nan = std::nanf("");
        const at::Tensor positions =
            at::tensor({-0.5f, -0.5f, -0.5f, 0.5f, 0.5f, 0.5f, 0.1f, -0.3f, 0.26f, 2.0f, -7.0f, 1e30f, nan, 0.0f, 0.0f}).view({5, 3});
        const CellPlaces places = cellPlaces(positions, 4);
        QCOMPARE(places.cells[0].item<std::int64_t>(), std::int64_t(0));
        QCOMPARE(places.cells[1].item<std::int64_t>(), std::int64_t(63));
        QCOMPARE(places.cells[2].item<std::int64_t>(), std::int64_t(2 * 16 + 0 * 4 + 3));
        QCOMPARE(places.cells[3].item<std::int64_t>(), std::int64_t(3 * 16 + 0 * 4 + 3));
        QCOMPARE(places.cells[4].item<std::int64_t>(), std::int64_t(0 * 16 + 2 * 4 + 2));
        QVERIFY(largest(places.local[0] + 1) == 0 && largest(places.local[1] - 1) == 0);
        QVERIFY(largest(places.local[2] - at::tensor({-0.2f, 0.6f, -0.92f})) < 1e-5);
    }

    void resultsAreTheSameEachTime()
    {
        const at::Tensor x = uniform({5000, 32}, 70), positions = uniform({20000, 3}, 73) - 0.5;
        const std::vector<at::Tensor> weights{uniform({64, 32}, 71).requires_grad_(true), uniform({16, 64}, 72).requires_grad_(true)};
        const HashLevels levels = hashLevels(8, 4, 1.6, 9);
        const at::Tensor table = uniform({levels.offsets.back(), 2}, 74).requires_grad_(true);
        const auto once = [&](int threads) {
            at::set_num_threads(threads);
            auto out = gradientsOf(fusedMlp(x, weights).square().sum(), weights);
            const at::Tensor encoded = hashEncode(positions, table, levels.resolutions, levels.offsets);
            out.push_back(encoded.detach());
            out.push_back(gradientsOf(encoded.square().sum(), {table})[0]);
            return out;
        };
        const auto a = once(2), b = once(2), c = once(1);
        for (std::size_t i = 0; i < a.size(); ++i)
            QVERIFY(at::equal(a[i], b[i]));
        // Sums over samples in the networks' weights are rounded by the number of threads; nothing in the grid is.
        QVERIFY(largest(a[0] - c[0]) < 1e-5 * largest(c[0]) && largest(a[1] - c[1]) < 1e-5 * largest(c[1]));
        QVERIFY(at::equal(a[2], c[2]) && at::equal(a[3], c[3]));
    }

    void directionsAreOrthonormalHarmonics()
    {
        // Mean over the sphere of Y_i Y_j is delta_ij / (4 pi): 200,000 points of a spiral.
        constexpr std::int64_t kCount = 200'000;
        const at::Tensor i = at::arange(kCount, at::kDouble) + 0.5, z = 1 - 2 * i / double(kCount), angle = i * (M_PI * (3 - std::sqrt(5.0)));
        const at::Tensor r = (1 - z * z).sqrt(), directions = at::stack({r * angle.cos(), r * angle.sin(), z}, 1) * 3;  // length does not matter
        const at::Tensor y = directionEncode(at::cat({at::zeros({kCount, 3}, at::kDouble), directions}, 1).to(at::kFloat)).to(at::kDouble);
        const at::Tensor gram = y.t().matmul(y) * (4 * M_PI / double(kCount));
        QVERIFY2(largest(gram - at::eye(16, at::kDouble)) < 1e-3, qPrintable(QString::number(largest(gram - at::eye(16, at::kDouble)))));
    }

    void frequenciesAreSinesAndCosines()
    {
        const at::Tensor x = at::tensor({0.3f, -0.7f, 0.1f}).view({1, 3}), y = frequencyEncode(x, 3);
        QCOMPARE(y.size(1), std::int64_t(21));
        QVERIFY(std::abs(y[0][3].item<double>() - std::sin(M_PI * 0.3)) < 1e-6);
        QVERIFY(std::abs(y[0][16].item<double>() - std::sin(4 * M_PI * -0.7)) < 1e-6);
        QVERIFY(std::abs(y[0][20].item<double>() - std::cos(4 * M_PI * 0.1)) < 1e-6);
    }

    void occupancyKeepsTheLargerOfOldAndNew()
    {
        const at::Tensor grid = at::full({4, 4, 4}, 2.0f);
        const OccupancySamples samples = occupancySamples(grid, uniform({17, 3}, 80), true, 4);
        QCOMPARE(samples.cells.numel(), std::int64_t(16));
        // Each point lies in its cell.
        const at::Tensor cell = ((samples.positions + 0.5) * 4).to(at::kLong);
        QVERIFY(at::equal(cell.select(1, 0) * 16 + cell.select(1, 1) * 4 + cell.select(1, 2), samples.cells));
        const at::Tensor next = updatedOccupancy(grid, samples.cells, at::arange(16).to(at::kFloat), 0.5);
        for (std::int64_t i = 0; i < 16; ++i)
            QCOMPARE(next.view(-1)[samples.cells[i].item<std::int64_t>()].item<float>(), std::max(1.0f, float(i)));
        QCOMPARE(next.sum().item<float>(), 2.0f * 48 + 1 + 1 + (15 * 16 / 2) - 1);
        QVERIFY(largest(grid - 2) == 0);
        QCOMPARE(occupancySamples(grid, uniform({17, 3}, 80), false, 4).cells.numel(), std::int64_t(0));
    }

    void refusesWrongShapes()
    {
        const at::Tensor rays = randomRays(4, 1), grid = at::ones({4, 4, 4});
        QVERIFY(messageOf([&] {
                    marchRays(at::zeros({4, 5}), grid, at::zeros({4}), false, 10, 0);
                }).find("march_rays: rays: expected float32 [-1, 6]") == 0);
        QVERIFY(messageOf([&] { marchRays(rays, at::ones({4, 4, 3}), at::zeros({4}), false, 10, 0); }).find("march_rays: occupancy") == 0);
        QVERIFY(messageOf([&] { marchRays(rays.to(at::kDouble), grid, at::zeros({4}), false, 10, 0); }).find("float32") != std::string::npos);
        QVERIFY(messageOf([&] { hashEncode(at::zeros({4, 3}), at::zeros({10, 2}), {4}, {0, 11}); }).find("hash_encode: expected offsets") == 0);
        QVERIFY(messageOf([&] { hashEncode(at::zeros({4, 3}), at::zeros({10, 2}), {4}, {0, 10}); }).find("power of two") != std::string::npos);
        QVERIFY(messageOf([&] { hashEncode(at::zeros({4, 3}), at::zeros({8, 3}), {1}, {0, 8}); }).find("1, 2, 4 or 8 features") != std::string::npos);
        QVERIFY(messageOf([&] { fusedMlp(at::zeros({4, 3}), {at::zeros({5, 4})}); }).find("fused_mlp: weights") == 0);
        const auto cellsOf = [&](const at::Tensor& cells, const at::Tensor& bias) {
            return messageOf([&] { cellMlp(at::zeros({2, 3}), cells, {at::zeros({4, 5, 3})}, {bias}); });
        };
        QVERIFY(cellsOf(at::tensor({0, 4}, at::kLong), at::zeros({4, 5})).find("cell_mlp: expected cells from 0 to 3, got 4 at sample 1") == 0);
        QVERIFY(cellsOf(at::tensor({0}, at::kLong), at::zeros({4, 5})).find("expected a cell for each of the 2 samples, got 1") != std::string::npos);
        QVERIFY(cellsOf(at::tensor({0, 1}, at::kLong), at::zeros({3, 5})).find("cell_mlp: biases [cell, out]") == 0);
        QVERIFY(messageOf([&] { cellPlaces(at::zeros({4, 3}), 0); }).find("1 to 512 cells an edge, got 0") != std::string::npos);
        QVERIFY(messageOf([&] { composite(at::zeros({4}), at::zeros({3, 3}), marchThrough(rays, 4), {1, 1, 1}); }).find("composite: colour") == 0);
    }

    void similarityIsThePapers()
    {
        const at::Tensor a = uniform({32, 24, 3}, 90);
        QVERIFY(std::abs(ssim(a, a) - 1) < 1e-12);
        QCOMPARE(psnr(a, a), 120.0);
        QVERIFY(std::abs(psnr(a, a + 0.1) - 20) < 1e-4);
        // Two flat pictures: only the means differ, (2 m n + C1) / (m^2 + n^2 + C1).
        const at::Tensor m = at::full({20, 20, 1}, 0.4, at::kDouble), n = at::full({20, 20, 1}, 0.6, at::kDouble);
        QVERIFY(std::abs(ssim(m, n) - (0.48 + 1e-4) / (0.52 + 1e-4)) < 1e-9);
        QVERIFY_EXCEPTION_THROWN(ssim(at::zeros({5, 5, 3}), at::zeros({5, 5, 3})), core::ShapeError);
    }
};

QTEST_APPLESS_MAIN(FieldKernelsTest)
#include "field_kernels_test.moc"
