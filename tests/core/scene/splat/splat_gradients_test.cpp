#include <core/scene/splat/rasterizer.h>

#include <QTest>
#include <algorithm>

#include <core/base/error.h>
#include <core/scene/splat/synthetic.h>

#include "scenes.h"

using namespace orrery;
using namespace orrery::scene;
using namespace orrery::test;

namespace {

// Random gradients of a picture. Pixels near a threshold get none: difference quotients would see the jump there.
SplatImageGradient randomGradient(const SplatReference& reference, bool withDepth, std::size_t& used)
{
    core::SplitMix64 random(21);
    SplatImageGradient g;
    used = 0;
    for (const double margin : reference.margin) {
        const double scale = margin > 2e-3 ? 1 : 0;
        used += scale > 0;
        for (int k = 0; k < 3; ++k)
            g.rgb.push_back(float(scale * between(random, -1, 1)));
        g.alpha.push_back(float(scale * between(random, -1, 1)));
        g.depth.push_back(float(scale * between(random, -1, 1)));
    }
    if (!withDepth)
        g.depth.clear();
    return g;
}

double lossOf(const SplatsDouble& splats, const Camera& camera, const SplatRenderOptions& options, const SplatImageGradient& g)
{
    const auto picture = renderReference(splats, camera, options);
    double loss = 0;
    for (std::size_t i = 0; i < g.rgb.size(); ++i)
        loss += g.rgb[i] * picture.rgb[i];
    for (std::size_t i = 0; i < g.alpha.size(); ++i)
        loss += g.alpha[i] * picture.alpha[i];
    for (std::size_t i = 0; i < g.depth.size(); ++i)
        loss += g.depth[i] * picture.depth[i];
    return loss;
}

}  // namespace

class SplatGradientsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void gradientsAreDifferenceQuotientsOfTheReference_data()
    {
        QTest::addColumn<bool>("antialias");
        QTest::addColumn<bool>("withDepth");
        QTest::addColumn<double>("maxLogit");
        QTest::addColumn<double>("aside");
        QTest::newRow("colour and alpha") << false << false << 2.0 << 0.0;
        QTest::newRow("depth, too") << false << true << 2.0 << 0.0;
        QTest::newRow("anti-aliased") << true << true << 2.0 << 0.0;
        QTest::newRow("opaque: alpha is cut off at 0.99") << false << false << 9.0 << 0.0;
        QTest::newRow("beside the picture: the Jacobian is clamped") << false << false << 2.0 << 3.0;
    }
    void gradientsAreDifferenceQuotientsOfTheReference()
    {
        QFETCH(bool, antialias);
        QFETCH(bool, withDepth);
        QFETCH(double, maxLogit);
        QFETCH(double, aside);
        auto splats = randomSplats(24, 3, 31, maxLogit);
        for (std::size_t i = 0; i < 6 && aside > 0; ++i) {
            splats.means[3 * i + 1] = float(aside);
            splats.scales[3 * i] = splats.scales[3 * i + 1] = 0;
        }
        const auto camera = cameraAlongX(37, 29);
        SplatRenderOptions options;
        options.antialias = antialias;
        options.background = {0.3f, 0.6f, 0.1f};
        const auto start = toDouble(splats.view());
        std::size_t used = 0;
        const auto gradient = randomGradient(renderReference(start, camera, options), withDepth, used);
        QVERIFY(used > gradient.alpha.size() / 3);
        SplatRasterizer rasterizer;
        rasterizer.render(splats.view(), camera, options);
        const auto found = rasterizer.backward(splats.view(), gradient);

        const auto check = [&](const char* what, std::vector<double> SplatsDouble::*array, const std::vector<float>& values) {
            double largest = 0, error = 0;
            for (std::size_t i = 0; i<values.size(); i += values.size()> 200 ? 11 : 1) {
                constexpr double h = 1e-6;
                auto above = start, below = start;
                (above.*array)[i] += h;
                (below.*array)[i] -= h;
                const double expected = (lossOf(above, camera, options, gradient) - lossOf(below, camera, options, gradient)) / (2 * h);
                largest = std::max(largest, std::abs(expected));
                // Relative to the value; where sums over many pixels cancel to less than 0.1, to that.
                error = std::max(error, std::abs(expected - values[i]) / (std::abs(expected) + 1e-1));
            }
            qInfo("%s: largest %.3g, relative error %.2g", what, largest, error);
            QVERIFY2(largest > 0.01, what);
            QVERIFY2(error < 1e-3, what);
        };
        check("means", &SplatsDouble::means, found.means);
        check("scales", &SplatsDouble::scales, found.scales);
        check("rotations", &SplatsDouble::rotations, found.rotations);
        check("opacities", &SplatsDouble::opacities, found.opacities);
        check("harmonics", &SplatsDouble::harmonics, found.harmonics);
    }

    void threadsDoNotChangeABit()
    {
        const auto splats = syntheticRoom(5000, 3, 0.08);
        SplatRenderOptions options;
        std::vector<SplatGradients> all;
        for (const int threads : {1, 2, 5}) {
            options.threads = threads;
            SplatRasterizer rasterizer;
            SplatImageGradient gradient;
            gradient.rgb = rasterizer.render(splats.view(), roomCamera(0.1, 150, 100), options).rgb;
            all.push_back(rasterizer.backward(splats.view(), gradient));
        }
        for (const auto& g : all) {
            QVERIFY(g.means == all[0].means && g.scales == all[0].scales && g.rotations == all[0].rotations);
            QVERIFY(g.opacities == all[0].opacities && g.harmonics == all[0].harmonics && g.screen == all[0].screen);
        }
        QVERIFY(std::any_of(all[0].means.begin(), all[0].means.end(), [](float v) { return v != 0; }));
    }

    void whatIsNotVisibleHasNoGradient()
    {
        auto splats = randomSplats(10, 1, 4);
        splats.means[3 * 4] = -5;
        SplatRasterizer rasterizer;
        SplatImageGradient gradient;
        gradient.rgb = rasterizer.render(splats.view(), cameraAlongX(40, 30), {}).rgb;
        const auto g = rasterizer.backward(splats.view(), gradient);
        QCOMPARE(g.radii[4], 0.0f);
        QVERIFY(g.radii[0] > 0 || g.radii[1] > 0);
        QCOMPARE(g.opacities[4], 0.0f);
        QCOMPARE(g.means[12], 0.0f);
    }

    void gradientsOfAnotherSizeAreRefused()
    {
        const auto splats = randomSplats(10, 1, 4);
        SplatRasterizer rasterizer;
        QVERIFY_EXCEPTION_THROWN(rasterizer.backward(splats.view(), {}), core::InputError);
        rasterizer.render(splats.view(), cameraAlongX(40, 30), {});
        SplatImageGradient gradient;
        gradient.rgb.resize(7);
        try {
            rasterizer.backward(splats.view(), gradient);
            QFAIL("expected an error");
        } catch (const core::ShapeError& error) {
            QCOMPARE(std::string(error.what()), std::string("gradient of rgb: expected 3600 values, got 7"));
        }
    }
};

QTEST_APPLESS_MAIN(SplatGradientsTest)
#include "splat_gradients_test.moc"
