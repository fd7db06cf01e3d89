#include <core/scene/splat/rasterizer.h>

#include <QTest>
#include <algorithm>
#include <limits>
#include <numbers>

#include <core/base/error.h>
#include <core/scene/splat/harmonics.h>
#include <core/scene/splat/synthetic.h>
#include <core/scene/splat/tiles.h>

#include "../../message_of.h"
#include "scenes.h"

using namespace orrery;
using namespace orrery::scene;
using namespace orrery::test;

namespace {

// A Gaussian of one colour straight ahead, round, of the given standard deviation.
Splats oneSplat(double distance, double sigma, double opacity, float red = 1)
{
    Splats s;
    s.resize(1, 0);
    s.means = {float(distance), 0, 0};
    s.scales.assign(3, float(std::log(sigma)));
    s.rotations = {1, 0, 0, 0};
    s.opacities = {float(std::log(opacity / (1 - opacity)))};
    s.harmonics = {float((red - 0.5) / 0.28209479177387814), float(-0.5 / 0.28209479177387814), float(-0.5 / 0.28209479177387814)};
    return s;
}

Camera straightCamera(int width, int height)
{
    return lookAt({0, 0, 0}, {1, 0, 0}, {0, 0, 1}, 1, width, height);
}

struct Difference {
    double rgb = 0, alpha = 0, depth = 0;
    std::size_t otherIds = 0, undecided = 0;
};

// Pixels where a threshold is within 1e-5 of going the other way are counted apart: there, float and double may both be right.
Difference compare(const SplatImage& image, const SplatReference& reference)
{
    Difference d;
    for (std::size_t i = 0; i < image.alpha.size(); ++i) {
        if (reference.margin[i] < 1e-5) {
            ++d.undecided;
            continue;
        }
        for (std::size_t k = 0; k < 3; ++k)
            d.rgb = std::max(d.rgb, std::abs(image.rgb[3 * i + k] - reference.rgb[3 * i + k]));
        d.alpha = std::max(d.alpha, std::abs(image.alpha[i] - reference.alpha[i]));
        d.depth = std::max(d.depth, std::abs(image.depth[i] - reference.depth[i]) / std::max(1.0, reference.depth[i]));
        d.otherIds += !image.ids.empty() && image.ids[i] != reference.ids[i];
    }
    return d;
}

}  // namespace

class SplatRasterizerTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void harmonicsAreOrthonormalOnTheSphere()
    {
        // A Fibonacci lattice integrates smooth functions on the sphere.
        constexpr int kPoints = 20000;
        double products[16][16] = {};
        for (int i = 0; i < kPoints; ++i) {
            const double z = 1 - (2 * i + 1.0) / kPoints, r = std::sqrt(1 - z * z), phi = std::numbers::pi * (3 - std::sqrt(5.0)) * i;
            double basis[16];
            harmonicBasis(3, r * std::cos(phi), r * std::sin(phi), z, basis, nullptr);
            for (int a = 0; a < 16; ++a)
                for (int b = 0; b < 16; ++b)
                    products[a][b] += basis[a] * basis[b] * 4 * std::numbers::pi / kPoints;
        }
        for (int a = 0; a < 16; ++a)
            for (int b = 0; b < 16; ++b)
                QVERIFY2(std::abs(products[a][b] - (a == b)) < 1e-4, qPrintable(QString("%1 %2: %3").arg(a).arg(b).arg(products[a][b])));
    }

    void derivativesOfHarmonicsAreDifferenceQuotients()
    {
        const double at[3] = {0.36, -0.48, 0.8}, h = 1e-6;
        double derivatives[16][3], basis[16], above[16], below[16];
        harmonicBasis(3, at[0], at[1], at[2], basis, derivatives);
        for (int k = 0; k < 3; ++k) {
            const double dx = k == 0 ? h : 0, dy = k == 1 ? h : 0, dz = k == 2 ? h : 0;
            harmonicBasis(3, at[0] + dx, at[1] + dy, at[2] + dz, above, nullptr);
            harmonicBasis(3, at[0] - dx, at[1] - dy, at[2] - dz, below, nullptr);
            for (int i = 0; i < 16; ++i)
                QVERIFY(std::abs(derivatives[i][k] - (above[i] - below[i]) / (2 * h)) < 1e-7);
        }
    }

    void aSplatAheadHasTheClosedFormAlphaAtEachPixel()
    {
        const double distance = 4, sigma = 0.2, opacity = 0.7;
        const auto camera = straightCamera(33, 33);
        SplatRasterizer rasterizer;
        SplatRenderOptions options;
        options.background = {0, 0.25f, 0};
        const auto& image = rasterizer.render(oneSplat(distance, sigma, opacity).view(), camera, options);
        const double variance = std::pow(camera.focalX * sigma / distance, 2) + 0.3;
        for (int row = 0; row < 33; ++row)
            for (int column = 0; column < 33; ++column) {
                const double dx = column + 0.5 - camera.centreX, dy = row + 0.5 - camera.centreY;
                double alpha = opacity * std::exp(-(dx * dx + dy * dy) / (2 * variance));
                if (std::abs(alpha * 255 - 1) < 1e-4)
                    continue;
                alpha = alpha < 1.0 / 255 ? 0 : alpha;
                const std::size_t at = std::size_t(33 * row + column);
                QVERIFY(std::abs(image.alpha[at] - alpha) < 2e-6);
                QVERIFY(std::abs(image.rgb[3 * at] - alpha) < 2e-6);
                QVERIFY(std::abs(image.rgb[3 * at + 1] - 0.25 * (1 - alpha)) < 2e-6);
                QVERIFY(std::abs(image.depth[at] - (alpha > 0 ? distance : 0)) < 1e-5);
            }
    }

    void thePictureIsTheReference_data()
    {
        QTest::addColumn<int>("count");
        QTest::addColumn<int>("degree");
        QTest::addColumn<int>("width");
        QTest::addColumn<int>("height");
        QTest::addColumn<bool>("antialias");
        QTest::addColumn<double>("maxLogit");
        QTest::newRow("few, degree 0") << 8 << 0 << 40 << 30 << false << 4.0;
        QTest::newRow("degree 1, one pixel wide") << 200 << 1 << 1 << 64 << false << 4.0;
        QTest::newRow("degree 2, tiles of full size") << 150 << 2 << 64 << 48 << false << 4.0;
        QTest::newRow("degree 3, odd size") << 300 << 3 << 101 << 67 << false << 4.0;
        QTest::newRow("anti-aliased") << 300 << 3 << 101 << 67 << true << 4.0;
        QTest::newRow("opaque: pixels end early") << 1500 << 0 << 64 << 48 << false << 9.0;
        QTest::newRow("wide picture") << 60 << 0 << 1280 << 40 << false << 4.0;
    }
    void thePictureIsTheReference()
    {
        QFETCH(int, count);
        QFETCH(int, degree);
        QFETCH(int, width);
        QFETCH(int, height);
        QFETCH(bool, antialias);
        QFETCH(double, maxLogit);
        const auto splats = randomSplats(std::size_t(count), degree, 11, maxLogit);
        const auto camera = cameraAlongX(width, height);
        SplatRenderOptions options;
        options.background = {0.2f, 0.4f, 0.9f};
        options.antialias = antialias;
        options.wantIds = true;
        SplatRasterizer rasterizer;
        const auto& image = rasterizer.render(splats.view(), camera, options);
        const auto reference = renderReference(toDouble(splats.view()), camera, options);
        const auto d = compare(image, reference);
        qInfo("rgb %.2g alpha %.2g depth %.2g ids %zu undecided %zu of %zu", d.rgb, d.alpha, d.depth, d.otherIds, d.undecided, image.alpha.size());
        QVERIFY(d.rgb < 1e-4);
        QVERIFY(d.alpha < 1e-4);
        QVERIFY(d.depth < 1e-4);
        QVERIFY(d.otherIds <= image.alpha.size() / 1000);  // equal weights
        QVERIFY(d.undecided <= image.alpha.size() / 50);
        QVERIFY(*std::max_element(reference.alpha.begin(), reference.alpha.end()) > 0.3);
    }

    void longThinSplatsAreAsExactAsRoundOnes()
    {
        auto splats = randomSplats(40, 0, 3);
        for (std::size_t i = 0; i < splats.size(); ++i) {
            splats.scales[3 * i] = 1.5f;
            splats.scales[3 * i + 1] = splats.scales[3 * i + 2] = -8;
        }
        const auto camera = cameraAlongX(640, 60);
        SplatRasterizer rasterizer;
        const auto d = compare(rasterizer.render(splats.view(), camera, {}), renderReference(toDouble(splats.view()), camera, {}));
        QVERIFY2(d.rgb < 1e-4 && d.undecided < 400, qPrintable(QString("%1 %2").arg(d.rgb).arg(d.undecided)));
    }

    void threadsDoNotChangeABit()
    {
        const auto splats = syntheticRoom(20000, 7);
        const auto camera = roomCamera(0.3, 200, 150);
        SplatRenderOptions options;
        options.wantIds = true;
        std::vector<SplatImage> images;
        for (const int threads : {1, 2, 5}) {
            options.threads = threads;
            SplatRasterizer rasterizer;
            images.push_back(rasterizer.render(splats.view(), camera, options));
            QVERIFY(rasterizer.frame().visible > 1000);
        }
        for (const auto& image : images) {
            QVERIFY(image.rgb == images[0].rgb);
            QVERIFY(image.alpha == images[0].alpha);
            QVERIFY(image.depth == images[0].depth);
            QVERIFY(image.ids == images[0].ids);
        }
    }

    void buffersAreReusedWithoutTraces()
    {
        const auto many = randomSplats(400, 3, 5), few = randomSplats(20, 1, 6);
        SplatRasterizer reused, fresh;
        reused.render(many.view(), cameraAlongX(120, 90), {});
        const auto again = reused.render(few.view(), cameraAlongX(50, 70), {});
        const auto once = fresh.render(few.view(), cameraAlongX(50, 70), {});
        QVERIFY(again.rgb == once.rgb && again.alpha == once.alpha && again.depth == once.depth);
    }

    void radixSortIsAStableSort()
    {
        core::SplitMix64 random(2);
        std::vector<std::uint32_t> keys, values;
        for (std::uint32_t i = 0; i < 60000; ++i) {
            keys.push_back(i % 3 == 0 ? std::uint32_t(random.next()) : std::uint32_t(random.below(50)));
            values.push_back(i);
        }
        auto expected = values;
        std::stable_sort(expected.begin(), expected.end(), [&](std::uint32_t a, std::uint32_t b) { return keys[a] < keys[b]; });
        for (const int threads : {1, 3}) {
            auto k = keys, v = values;
            radixSort(k, v, threads);
            QVERIFY(v == expected);
            QVERIFY(std::is_sorted(k.begin(), k.end()));
        }
    }

    void planesLeaveOutWhatIsOutside()
    {
        auto splats = oneSplat(4, 0.2, 0.7);
        SplatRasterizer rasterizer;
        SplatRenderOptions options;
        options.nearPlane = 4.5f;
        rasterizer.render(splats.view(), straightCamera(20, 20), options);
        QCOMPARE(rasterizer.frame().visible, std::size_t(0));
        options.nearPlane = 1;
        options.farPlane = 3.9f;
        rasterizer.render(splats.view(), straightCamera(20, 20), options);
        QCOMPARE(rasterizer.frame().visible, std::size_t(0));
        splats.means[0] = -4;
        const auto& image = rasterizer.render(splats.view(), straightCamera(20, 20), {});
        QCOMPARE(rasterizer.frame().visible, std::size_t(0));
        QVERIFY(std::all_of(image.alpha.begin(), image.alpha.end(), [](float a) { return a == 0; }));
    }

    void ellipsoidsAndCentresAreOpaqueInside()
    {
        const auto splats = oneSplat(4, 0.2, 0.3);
        const auto camera = straightCamera(65, 65);
        const double radius = 2 * std::sqrt(std::pow(camera.focalX * 0.2 / 4, 2) + 0.3);
        SplatRenderOptions options;
        options.shape = SplatShape::Ellipsoid;
        SplatRasterizer rasterizer;
        const auto ellipsoid = rasterizer.render(splats.view(), camera, options);
        for (int column = 0; column < 65; ++column) {
            const double r = std::abs(column + 0.5 - camera.centreX);
            const float alpha = ellipsoid.alpha[std::size_t(32 * 65 + column)];
            QVERIFY(r < 0.97 * radius ? alpha == 0.99f : true);
            QVERIFY(r > 1.25 * radius ? alpha == 0 : true);
        }
        options.shape = SplatShape::Centre;
        const auto centre = rasterizer.render(splats.view(), camera, options);
        QVERIFY(centre.alpha[32 * 65 + 32] > 0.95f);
        QCOMPARE(centre.alpha[32 * 65 + 36], 0.0f);
    }

    void brokenGaussiansAreInvisible()
    {
        const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
        const auto good = randomSplats(30, 1, 9);
        SplatRasterizer rasterizer;
        const auto expected = rasterizer.render(good.view(), cameraAlongX(40, 30), {});
        auto splats = good;
        const auto bad = randomSplats(8, 1, 10);
        for (const auto array : {&Splats::means, &Splats::scales, &Splats::rotations, &Splats::opacities, &Splats::harmonics})
            (splats.*array).insert((splats.*array).end(), (bad.*array).begin(), (bad.*array).end());
        splats.means[3 * 30] = nan;
        splats.means[3 * 31 + 1] = infinity;
        splats.scales[3 * 32] = nan;
        splats.scales[3 * 33] = 500;
        for (std::size_t k = 0; k < 4; ++k)
            splats.rotations[4 * 34 + k] = 0;
        splats.rotations[4 * 35] = infinity;
        splats.opacities[36] = nan;
        splats.harmonics[3 * 4 * 37] = nan;
        const auto& image = rasterizer.render(splats.view(), cameraAlongX(40, 30), {});
        QVERIFY(image.rgb == expected.rgb);
        QVERIFY(image.alpha == expected.alpha);
    }

    void noGaussiansGiveTheBackground()
    {
        SplatRasterizer rasterizer;
        SplatRenderOptions options;
        options.background = {1, 0.5f, 0.25f};
        options.wantIds = true;
        const auto& image = rasterizer.render(Splats{}.view(), straightCamera(17, 3), options);
        QCOMPARE(image.rgb.size(), std::size_t(3 * 17 * 3));
        for (std::size_t i = 0; i < 17 * 3; ++i) {
            QCOMPARE(image.rgb[3 * i + 1], 0.5f);
            QCOMPARE(image.alpha[i], 0.0f);
            QCOMPARE(image.ids[i], -1);
        }
    }

    void wrongParametersAreNamed()
    {
        SplatRasterizer rasterizer;
        const auto splats = oneSplat(4, 0.2, 0.7);
        auto camera = straightCamera(20, 20);
        SplatRenderOptions options;
        options.degree = 4;
        QCOMPARE(messageOf([&] { rasterizer.render(splats.view(), camera, options); }),
                 std::string("spherical harmonics: expected a degree of 0 to 3, got 4 of 0"));
        options = {};
        options.nearPlane = -1;
        QVERIFY(messageOf([&] { rasterizer.render(splats.view(), camera, options); }).starts_with("planes: expected 0 < near < far"));
        camera.distortion.k1 = 0.1;
        QVERIFY(messageOf([&] { rasterizer.render(splats.view(), camera, {}); }).find("lens distortion") != std::string::npos);
        camera = straightCamera(20, 20);
        camera.width = 20000;
        QVERIFY(messageOf([&] { rasterizer.render(splats.view(), camera, {}); }).find("got 20000 x 20") != std::string::npos);
    }
};

QTEST_APPLESS_MAIN(SplatRasterizerTest)
#include "splat_rasterizer_test.moc"
