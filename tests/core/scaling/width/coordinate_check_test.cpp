#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <QtTest>

#include <cmath>

#include <core/base/error.h>
#include <core/scaling/width/coordinate_check.h>

#include "../../message_of.h"

using namespace orrery;
using core::Json;

namespace {

/// Two hidden layers on the digits, one optimizer, one rate at all widths.
scaling::CoordinateRequest digits(const std::string& parametrisation, const Json& optimizer)
{
    scaling::CoordinateRequest request;
    request.document = {
        {"model", {{"id", "mlp"}, {"hidden", {64, 64}}}}, {"data", "digit_rows"}, {"train", {{"batch_size", 64}, {"optimizer", optimizer}}}};
    request.parametrisation = parametrisation;
    request.baseWidth = 64;
    request.seeds = 2;
    return request;
}

const Json kAdam{{"id", "adam"}, {"lr", 0.002}}, kSgd{{"id", "sgd"}, {"lr", 0.1}};

QByteArray described(const scaling::CoordinateSlope& slope)
{
    return QString("%1: activation %2, change %3").arg(QString::fromStdString(slope.layer)).arg(slope.activation).arg(slope.change).toUtf8();
}

}  // namespace

class CoordinateCheckTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { at::set_num_threads(1); }

    /// Row a16. What theory says for Adam: under mup every change is of order 1; without, hidden features change like the width (all entries of a row move
    /// the same way), as does the answer.
    void changesAreFlatUnderMupAndGrowWithout()
    {
        const scaling::CoordinateCheck mup = scaling::checkCoordinates(digits("mup", kAdam));
        const scaling::CoordinateCheck standard = scaling::checkCoordinates(digits("standard", kAdam));
        QCOMPARE(mup.layers, (std::vector<std::string>{"fc1", "fc2", "out"}));
        for (const std::string& layer : mup.layers)
            QVERIFY2(std::abs(mup.slope(layer, 5).change) < 0.1, described(mup.slope(layer, 5)));
        QVERIFY2(standard.slope("fc2", 5).change > 0.6, described(standard.slope("fc2", 5)));
        QVERIFY2(standard.slope("out", 5).change > 0.6, described(standard.slope("out", 5)));
        QCOMPARE(mup.featureLayer(), std::string("fc2"));
    }

    /// Row c97, for gradient descent.
    void featuresKeepChangingUnderMupAndFreezeUnderTheKernel()
    {
        const scaling::CoordinateCheck mup = scaling::checkCoordinates(digits("mup", kSgd));
        const scaling::CoordinateCheck kernel = scaling::checkCoordinates(digits("ntk", kSgd));
        QVERIFY2(std::abs(mup.slope("fc2", 5).change) < 0.1, described(mup.slope("fc2", 5)));
        QVERIFY2(std::abs(kernel.slope("fc2", 5).change + 0.5) < 0.1, described(kernel.slope("fc2", 5)));
        // The answer itself still changes: the kernel learns without learning features.
        QVERIFY2(std::abs(kernel.slope("out", 5).change) < 0.15, described(kernel.slope("out", 5)));
    }

    void theMeanFieldOfOneLayerKeepsItsFeaturesMoving()
    {
        scaling::CoordinateRequest request = digits("mean_field", kSgd);
        request.document["model"]["hidden"] = {64};
        const scaling::CoordinateCheck check = scaling::checkCoordinates(request);
        QVERIFY2(std::abs(check.slope("fc1", 5).change) < 0.1, described(check.slope("fc1", 5)));
    }

    /// Row a16: with Adam the best rate on the digits stays within one step of the grid under mup; in the standard parametrisation it falls by more.
    void theBestRateTransfers_data()
    {
        QTest::addColumn<QString>("parametrisation");
        QTest::addColumn<bool>("transfers");
        QTest::newRow("mup") << "mup" << true;
        QTest::newRow("standard") << "standard" << false;
    }
    void theBestRateTransfers()
    {
        QFETCH(QString, parametrisation);
        QFETCH(bool, transfers);
        scaling::CoordinateRequest request = digits(parametrisation.toStdString(), kAdam);
        request.widths = {64, 1024};
        request.steps = 60;
        request.samples = 512;
        const scaling::RateSweep sweep = scaling::sweepRates(request, {0.004, 0.008, 0.016, 0.032});
        const int small = sweep.best(0), wide = sweep.best(1);
        QVERIFY2(small >= 0 && wide >= 0, sweep.toJson().dump().c_str());
        QVERIFY2(transfers ? std::abs(small - wide) <= 1 : small - wide >= 2, sweep.toJson().dump().c_str());
    }

    void atStepZeroNothingHasChanged()
    {
        scaling::CoordinateRequest request = digits("mup", kAdam);
        request.widths = {64, 256};
        request.steps = 1;
        const scaling::CoordinateCheck check = scaling::checkCoordinates(request);
        QCOMPARE(check.mean("fc2", 256, 0, true), 0.0);
        QVERIFY(std::isnan(check.slope("fc2", 0).change));
        const Json json = check.toJson();
        QCOMPARE(json["points"].size(), std::size_t(2 * 2 * 3 * 2));  // widths, seeds, layers, steps and the start
        QVERIFY(json["slopes"][0]["change"].is_null());
    }

    void transformersAreFlatToo_data()
    {
        QTest::addColumn<QString>("document");
        QTest::newRow("gpt") << R"({"model": {"id": "gpt", "layers": 2, "heads": 4, "width": 32, "vocabulary": 64},
                                    "data": {"id": "repeated_sequences", "vocabulary": 64, "samples": 2000, "length": 8, "shortest": 4, "block_length": 16},
                                    "train": {"batch_size": 16, "optimizer": {"id": "adam", "lr": 0.003}}})";
        QTest::newRow("vit") << R"({"model": {"id": "vit", "patch_size": 4, "layers": 2, "heads": 4, "width": 32, "mlp_width": 64},
                                    "data": "digits", "train": {"batch_size": 16, "optimizer": {"id": "adam", "lr": 0.003}}})";
    }
    void transformersAreFlatToo()
    {
        QFETCH(QString, document);
        const auto changes = [&](const char* parametrisation) {
            scaling::CoordinateRequest request;
            request.document = Json::parse(document.toStdString());
            request.parametrisation = parametrisation;
            request.widths = {32, 64, 128};
            request.seeds = 2;
            request.samples = 16;
            const scaling::CoordinateCheck check = scaling::checkCoordinates(request);
            return check.slope(check.layers.back(), 5).change;
        };
        const double mup = changes("mup"), standard = changes("standard");
        QVERIFY2(std::abs(mup) < 0.25, qPrintable(QString::number(mup)));
        QVERIFY2(standard > mup + 0.4, qPrintable(QString("%1, %2").arg(standard).arg(mup)));
    }

    void saysWhatIsWrong_data()
    {
        QTest::addColumn<QString>("changes");
        QTest::addColumn<QString>("sentence");
        QTest::newRow("one width") << R"({"widths": [64]})"
                                   << "expected at least two different ones";
        QTest::newRow("twice the same") << R"({"widths": [64, 64]})"
                                        << "expected at least two different ones";
        QTest::newRow("a width of zero") << R"({"widths": [0, 64]})"
                                         << "expected numbers from 1";
        QTest::newRow("no seed") << R"({"seeds": 0})"
                                 << "seeds: expected 1 to 1000, got 0";
        QTest::newRow("no step") << R"({"steps": 0})"
                                 << "steps: expected 1";
        QTest::newRow("no width") << R"({"model": "lenet", "data": "digits"})"
                                  << "expected an architecture with a width";
        QTest::newRow("weights of a file") << R"({"model": "./x.safetensors"})"
                                           << "expected an architecture with a width";
        QTest::newRow("unknown parametrisation") << R"({"parametrisation": "mupp"})"
                                                 << "standard, mup, ntk, mean_field";
        QTest::newRow("kernel with Adam") << R"({"parametrisation": "ntk"})"
                                          << "expected sgd";
    }
    void saysWhatIsWrong()
    {
        QFETCH(QString, changes);
        QFETCH(QString, sentence);
        scaling::CoordinateRequest request = digits("mup", kAdam);
        const Json given = Json::parse(changes.toStdString());
        request.widths = given.value("widths", request.widths);
        request.seeds = given.value("seeds", request.seeds);
        request.steps = given.value("steps", request.steps);
        request.parametrisation = given.value("parametrisation", request.parametrisation);
        for (const char* key : {"model", "data"})
            if (given.contains(key))
                request.document[key] = given[key];
        const QString message = saidBy([&] { scaling::checkCoordinates(request); });
        QVERIFY2(message.contains(sentence), qPrintable(message));
    }

    void aDivergingTrainingIsNamed()
    {
        const scaling::CoordinateRequest request = digits("standard", {{"id", "sgd"}, {"lr", 1e30}});
        const QString message = saidBy([&] { scaling::checkCoordinates(request); });
        QVERIFY2(message.startsWith("width 64, seed 0, step ") && message.contains("take a smaller learning rate"), qPrintable(message));
    }

    void stopsInMidWork()
    {
        std::stop_source source;
        const auto stopSoon = [&](int done, int total) {
            QCOMPARE(total, 5 * 2 * 5);
            if (done == 3)
                source.request_stop();
        };
        bool cancelled = false;
        try {
            scaling::checkCoordinates(digits("mup", kAdam), stopSoon, source.get_token());
        } catch (const core::Cancelled&) {
            cancelled = true;
        }
        QVERIFY(cancelled);
    }
};

QTEST_APPLESS_MAIN(CoordinateCheckTest)
#include "coordinate_check_test.moc"
