#include <core/scene/splat/splat_trainer.h>

#include <QTest>
#include <algorithm>
#include <limits>

#include <core/base/error.h>
#include <core/scene/splat/photometric.h>

#include "scenes.h"

using namespace orrery;
using namespace orrery::scene;
using namespace orrery::test;

namespace {

constexpr int kWidth = 64, kHeight = 48;

// A picture with soft colours, a disc with a hard edge and stripes.
std::vector<float> targetPicture()
{
    std::vector<float> picture;
    for (int row = 0; row < kHeight; ++row)
        for (int column = 0; column < kWidth; ++column) {
            const double u = (column + 0.5) / kWidth, v = (row + 0.5) / kHeight;
            const bool disc = std::hypot(u - 0.6, 0.75 * (v - 0.45)) < 0.2;
            const double stripes = column < kWidth / 4 && (row / 6) % 2 == 0 ? 0.3 : 0;
            picture.push_back(float(disc ? 0.9 : 0.2 + 0.4 * u));
            picture.push_back(float(disc ? 0.7 : 0.3 + 0.3 * v + stripes));
            picture.push_back(float(disc ? 0.1 : 0.6 - 0.4 * u * v));
        }
    return picture;
}

SplatTrainSettings settingsForAPicture()
{
    SplatTrainSettings settings;
    settings.extent = 2;
    settings.meansRate = 2e-3;
    settings.meansRateEnd = 2e-4;
    settings.meansRateSteps = 400;
    settings.densifyFrom = 60;
    settings.densifyEvery = 40;
    settings.densifyUntil = 300;
    settings.opacityResetEvery = 0;
    settings.colourRate = 2e-2;
    settings.maxCount = 1500;
    settings.seed = 5;
    return settings;
}

SplatTrainer trainerForAPicture(int threads = 0)
{
    auto settings = settingsForAPicture();
    settings.render.threads = threads;
    return SplatTrainer(randomStart(300, {2.5, -1.8, -1.2, 3, 1.8, 1.2}, 1, 3), settings);
}

Camera camera()
{
    return lookAt({0, 0, 0}, {1, 0, 0}, {0, 0, 1}, 0.8, kWidth, kHeight);
}

}  // namespace

class SplatTrainerTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void equalPicturesHaveNoLossAndSimilarityOne()
    {
        const auto picture = targetPicture();
        const auto compared = photometricLoss(picture, picture, kWidth, kHeight, 0.2);
        QVERIFY(std::abs(compared.ssim - 1) < 1e-5);
        QVERIFY(std::abs(compared.loss) < 1e-5);
        QCOMPARE(compared.mse, 0.0);
    }

    void similarityOfConstantsIsTheClosedForm()
    {
        // Far from the edges of two constant pictures, variances are 0 and the means alone count. At the edges the window sees zeros.
        const int side = 11;
        std::vector<float> a(3 * side * side, 0), b(3 * side * side, 0);
        double expected = 0;
        std::vector<double> w;
        double sum = 0;
        for (int k = -5; k <= 5; ++k)
            sum += w.emplace_back(std::exp(-k * k / 4.5));
        std::fill(a.begin(), a.end(), 0.5f);
        std::fill(b.begin(), b.end(), 0.25f);
        for (int row = 0; row < side; ++row)
            for (int column = 0; column < side; ++column) {
                double share[2] = {0, 0};
                for (int k = -5; k <= 5; ++k) {
                    share[0] += row + k >= 0 && row + k < side ? w[std::size_t(k + 5)] / sum : 0;
                    share[1] += column + k >= 0 && column + k < side ? w[std::size_t(k + 5)] / sum : 0;
                }
                const double s = share[0] * share[1], mx = 0.5 * s, my = 0.25 * s, spread = s - s * s;
                expected += (2 * mx * my + 1e-4) * (2 * 0.125 * spread + 9e-4) / ((mx * mx + my * my + 1e-4) * (0.3125 * spread + 9e-4));
            }
        const auto compared = photometricLoss(a, b, side, side, 1);
        QVERIFY2(std::abs(compared.ssim - expected / (side * side)) < 1e-4, qPrintable(QString("%1 %2").arg(compared.ssim).arg(expected / 121)));
        QVERIFY(std::abs(compared.l1 - 0.25) < 1e-7);
        QVERIFY(std::abs(psnrOf(compared.mse) - 12.0412) < 1e-3);
    }

    void theLossHasTheGradientOfItsDifferenceQuotients()
    {
        const auto target = targetPicture();
        auto picture = target;
        core::SplitMix64 random(1);
        for (float& value : picture)
            value += float(between(random, 0.05, 0.3) * (random.uniform() < 0.5 ? -1 : 1));
        const auto found = photometricLoss(picture, target, kWidth, kHeight, 0.6);
        for (std::size_t i = 7; i < picture.size(); i += 311) {
            constexpr float h = 2e-2f;
            // Five points: float pictures need a wide step, and a wide step needs a high order.
            double loss[4];
            const float steps[4] = {-2 * h, -h, h, 2 * h};
            for (int k = 0; k < 4; ++k) {
                auto moved = picture;
                moved[i] += steps[k];
                loss[k] = photometricLoss(moved, target, kWidth, kHeight, 0.6).loss;
            }
            const double expected = (loss[0] - 8 * loss[1] + 8 * loss[2] - loss[3]) / (12 * h);
            QVERIFY2(std::abs(expected - found.gradient[i]) < 0.02 * std::abs(expected) + 1e-6,
                     qPrintable(QString("%1 %2").arg(expected).arg(found.gradient[i])));
        }
    }

    void aSmallPictureIsFittedPast25Decibel()
    {
        auto trainer = trainerForAPicture();
        const auto target = targetPicture();
        const double before = trainer.step(camera(), target).psnr;
        SplatStep last;
        while (trainer.steps() < 400)
            last = trainer.step(camera(), target);
        qInfo("PSNR %.2f dB at the first step, %.2f dB after 400 with %zu Gaussians", before, last.psnr, last.count);
        QVERIFY(before < 18);
        QVERIFY(last.psnr > 25);
        QVERIFY(last.count != 300);  // clone, split and prune have been at work
    }

    void aRestoredTrainingGoesOnToTheLastBit()
    {
        const auto target = targetPicture();
        auto straight = trainerForAPicture(2), first = trainerForAPicture(1), second = trainerForAPicture(2);
        while (straight.steps() < 150)
            straight.step(camera(), target);
        while (first.steps() < 70)
            first.step(camera(), target);
        second.restore(first.save());
        QCOMPARE(second.steps(), std::int64_t(70));
        while (second.steps() < 150)
            second.step(camera(), target);
        QVERIFY(second.save() == straight.save());
        QVERIFY(straight.splats().size() != 300);
    }

    void savedBytesThatAreDamagedAreRefused()
    {
        auto trainer = trainerForAPicture();
        const auto bytes = trainer.save();
        for (const std::size_t length : {std::size_t(0), std::size_t(10), std::size_t(30), bytes.size() - 4, bytes.size() / 2})
            QVERIFY_EXCEPTION_THROWN(trainer.restore(std::string_view(bytes).substr(0, length)), core::FormatError);
        auto huge = bytes;
        huge[16 + 7] = '\x7f';  // a count of 2^62
        QVERIFY_EXCEPTION_THROWN(trainer.restore(huge), core::FormatError);
        QVERIFY(trainer.save() == bytes);
    }

    void nothingToTrainIsRefused()
    {
        QVERIFY_EXCEPTION_THROWN(SplatTrainer(Splats{}, {}), core::InputError);
        SplatTrainSettings settings;
        settings.extent = 0;
        QVERIFY_EXCEPTION_THROWN(SplatTrainer(randomSplats(3, 0, 1), settings), core::InputError);
        auto trainer = trainerForAPicture();
        QVERIFY_EXCEPTION_THROWN(trainer.step(camera(), std::vector<float>(7)), core::ShapeError);
        auto broken = targetPicture();
        broken[5] = std::numeric_limits<float>::quiet_NaN();
        const auto before = trainer.save();
        QVERIFY_EXCEPTION_THROWN(trainer.step(camera(), broken), core::Error);
        QVERIFY(trainer.save() == before);
    }
};

QTEST_APPLESS_MAIN(SplatTrainerTest)
#include "splat_trainer_test.moc"
