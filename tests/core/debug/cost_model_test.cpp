// The cost model: rates of made-up machines are found, predictions are positive, the same rows give the same model; operators of this machine are ranked better than by FLOPs.
#include <core/debug/cost_model.h>

#include <ATen/Parallel.h>

#include <QTemporaryDir>
#include <QtTest>

#include <algorithm>
#include <cmath>
#include <random>

#include <core/base/files.h>

#include "../message_of.h"

using namespace orrery;
using namespace orrery::debug;

namespace {

/// Rows of a machine that takes a fixed time and so much a FLOP, a byte and a row, different for each operator: FLOPs alone mislead.
std::vector<CostRow> madeUp(int rows, double noise = 0)
{
    std::mt19937_64 random(5);
    const auto between = [&](double low, double high) {
        return std::exp(std::uniform_real_distribution<double>(std::log(low), std::log(high))(random));
    };
    const std::pair<const char*, CostModel::Rates> operators[] = {{"aten::linear", {2e-6, 1e-11, 1e-10, 0}},
                                                                  {"aten::softmax", {1e-6, 5e-10, 1e-10, 2e-8}},
                                                                  {"aten::add.Tensor", {1e-6, 0, 3e-10, 0}},
                                                                  {"aten::transpose", {5e-7, 0, 0, 0}}};
    std::vector<CostRow> made;
    for (int i = 0; i < rows; ++i) {
        const auto& [op, rates] = operators[i % 4];
        CostRow row{op, between(1e3, 1e9), between(1e3, 1e8), 0, between(1e3, 1e7), between(4, 1024), 0};
        row.seconds = (rates[0] + rates[1] * row.flops + rates[2] * row.bytes + rates[3] * row.elements / row.width) *
                      std::exp(noise * std::normal_distribution<double>()(random));
        made.push_back(row);
    }
    return made;
}

}  // namespace

class CostModelTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { at::set_num_threads(1); }

    void theRatesOfAMadeUpMachineAreFound()
    {
        const CostModel model = CostModel::fit(madeUp(200));
        double worst = 0;
        for (const auto& row : madeUp(400))
            worst = std::max(worst, std::abs(model.predict(row) / row.seconds - 1));
        QVERIFY2(worst < 1e-6, qPrintable(QString::number(worst)));
        QVERIFY(model.knows("aten::linear") && !model.knows("aten::conv2d"));
    }

    void heldOutRowsAreRankedBetterThanByFlops()
    {
        const HeldOut ranks = heldOut(madeUp(300, 0.2));
        QCOMPARE(ranks.rows, 300);
        QVERIFY2(ranks.model > 0.97 && ranks.model > ranks.flops + 0.1 && ranks.model > ranks.bytes + 0.1,
                 qPrintable(QString("%1 %2 %3").arg(ranks.model).arg(ranks.flops).arg(ranks.bytes)));
        // The noise alone makes an error of exp(0.2 * 0.674) - 1 = 14 % in the median.
        QVERIFY2(ranks.medianError < 0.17, qPrintable(QString::number(ranks.medianError)));
        QVERIFY2(ranks.flopsError > 3 * ranks.medianError && ranks.bytesError > 3 * ranks.medianError,
                 qPrintable(QString("%1 %2").arg(ranks.flopsError).arg(ranks.bytesError)));
    }

    void timesThatWereDisturbedMisleadNobody()
    {
        // One in ten is five times too long, as beside other programs: a fit of squares would be drawn to them.
        auto rows = madeUp(400, 0.02);
        for (std::size_t i = 0; i < rows.size(); i += 11)
            rows[i].seconds *= 5;
        const CostModel model = CostModel::fit(rows);
        std::vector<double> errors;
        for (const auto& row : madeUp(200))
            errors.push_back(std::abs(model.predict(row) / row.seconds - 1));
        QVERIFY2(medianOf(errors) < 0.05, qPrintable(QString::number(medianOf(errors))));
    }

    void whatTheRatesMissIsLearnedNearBy()
    {
        // Beyond a cache a byte takes four times as long: no combination of rates says so.
        std::vector<CostRow> rows, others;
        for (int i = 0; i < 60; ++i) {
            const double bytes = std::exp2(10 + i * 0.25);
            (i % 2 ? rows : others).push_back({"aten::relu", 0, bytes, 0, bytes / 8, 64, 1e-6 + bytes * (bytes > 1e6 ? 4e-10 : 1e-10)});
        }
        const CostModel model = CostModel::fit(rows);
        std::vector<double> errors;
        for (const auto& row : others)
            errors.push_back(std::abs(model.predict(row) / row.seconds - 1));
        QVERIFY2(medianOf(errors) < 0.1, qPrintable(QString::number(medianOf(errors))));
    }

    void anOperatorThatWasNeverTimedIsTakenForOneOfItsKind()
    {
        std::vector<CostRow> rows;
        for (int i = 0; i < 40; ++i) {
            const double bytes = 1000.0 * (i + 1);
            rows.push_back({"aten::relu", 0, bytes, 0, bytes / 8, 50, 2e-6 + bytes * 1e-10});
            rows.push_back({"aten::view", 0, 0, 0, bytes / 8, 50, 7e-7});
        }
        const CostModel model = CostModel::fit(rows);
        QVERIFY(std::abs(model.predict({"aten::permute", 0, 0, 0, 400, 20, 0}) / 7e-7 - 1) < 1e-6);
        QVERIFY(std::abs(model.predict({"aten::abs", 0, 20000, 0, 2500, 50, 0}) / 4e-6 - 1) < 1e-6);
    }

    void whatWasTimedTogetherIsHeldOutTogether()
    {
        // Each round has a time of its own that nothing else tells: with a round in two fifths it would be known.
        std::vector<CostRow> rows;
        std::mt19937_64 random(3);
        for (int round = 0; round < 10; ++round) {
            const double factor = std::exp(std::normal_distribution<double>()(random));
            for (int i = 0; i < 8; ++i)
                rows.push_back({"aten::relu", 0, std::exp2(10 + 3 * round), 0, 1e4, 10, 1e-5 * factor, round});
        }
        const double together = heldOut(rows).medianError;
        for (auto& row : rows)
            row.round = -1;
        QVERIFY2(together > 0.2 && heldOut(rows).medianError < 0.5 * together,
                 qPrintable(QString("%1 %2").arg(together).arg(heldOut(rows).medianError)));
    }

    void predictionsAreNeverNegative()
    {
        // Times that fall with the bytes would want negative rates.
        std::vector<CostRow> rows;
        for (int i = 0; i < 40; ++i)
            rows.push_back({"aten::relu", 1e6, 1e3 * (i + 1), 0, 1e5, 10, 1e-3 / (i + 1)});
        const CostModel model = CostModel::fit(rows);
        for (const double flops : {0.0, 1.0, 1e6, 1e18})
            for (const double bytes : {0.0, 1.0, 1e6, 1e15})
                for (const char* op : {"aten::relu", "aten::unknown"})
                    QVERIFY(model.predict({op, flops, bytes, 0, bytes, 1, 0}) > 0);
    }

    void aRefitIsTheSame()
    {
        const auto rows = madeUp(150, 0.3);
        QCOMPARE(CostModel::fit(rows).toJson().dump(), CostModel::fit(rows).toJson().dump());
    }

    void itIsKeptAndReadAgain()
    {
        const QTemporaryDir folder;
        const std::filesystem::path file = folder.filePath("deep/cost-model.json").toStdString();
        QVERIFY(!loadCostModel(file));
        StoredCostModel stored;
        stored.rows = madeUp(100, 0.2);
        stored.model = CostModel::fit(stored.rows);
        stored.heldOut = heldOut(stored.rows);
        stored.date = "2024-01-02T03:04:05Z";
        stored.machine = machineSignature();
        saveCostModel(stored, file);
        const auto read = loadCostModel(file);
        QVERIFY(read.has_value());
        for (const auto& row : stored.rows)
            QCOMPARE(read->model.predict(row), stored.model.predict(row));
        QCOMPARE(read->toJson().dump(), stored.toJson().dump());
        QCOMPARE(machineDifference(read->machine), std::string());
        core::Json other = stored.machine;
        other["threads"] = 4711;
        QVERIFY(machineDifference(other).starts_with("threads: 1, fitted with 4711"));
    }

    void damagedFilesAreRefused_data()
    {
        QTest::addColumn<QString>("text");
        QTest::newRow("empty") << "";
        QTest::newRow("no object") << "[1, 2]";
        QTest::newRow("version") << R"({"version": 1, "model": {}, "rows": []})";
        QTest::newRow("model") << R"({"version": 2, "model": 3, "rows": []})";
        const QString whole =
            R"({"version": 2, "model": {"moving": [1, 2, 3, 4], "still": [1, 0, 0, 0], "operators": {}, "residuals": %1}, "rows": %2})";
        QTest::newRow("rates")
            << R"({"version": 2, "model": {"moving": [1, -2, 3, 4], "still": [1, 0, 0, 0], "operators": {}, "residuals": {}}, "rows": []})";
        QTest::newRow("three rates")
            << R"({"version": 2, "model": {"moving": [1, 2, 3], "still": [1, 0, 0, 0], "operators": {}, "residuals": {}}, "rows": []})";
        QTest::newRow("residual") << whole.arg(R"({"a": [[1, 2]]})", "[]");
        QTest::newRow("residual number") << whole.arg(R"({"a": [[1, 2, 3, 4, 5, "x"]]})", "[]");
        QTest::newRow("rows") << whole.arg("{}", R"([["a", 1]])");
        QTest::newRow("few rows") << whole.arg("{}", "[]");
    }
    void damagedFilesAreRefused()
    {
        QFETCH(QString, text);
        const QTemporaryDir folder;
        const std::string file = folder.filePath("cost-model.json").toStdString();
        core::writeFileAtomically(file, text.toStdString());
        QVERIFY_EXCEPTION_THROWN(loadCostModel(file), core::FormatError);
        QVERIFY(saidBy([&] { loadCostModel(file); }).startsWith(QString::fromStdString(file)));
    }

    void tooFewOrWrongRowsAreRefused()
    {
        QVERIFY(saidBy([] { CostModel::fit(madeUp(9)); }).contains("at least 10 timed nodes, got 9"));
        auto rows = madeUp(20);
        rows[3].seconds = 0;
        QVERIFY(saidBy([&] { CostModel::fit(rows); }).contains("expected a positive time"));
    }

    void operatorsOfThisMachineAreRankedBetterThanByFlops()
    {
        TimingOptions options;
        options.cases = 5;
        options.runs = 3;
        const auto rows = timeOperators(options);
        QVERIFY2(rows.size() > 120, qPrintable(QString::number(rows.size())));
        const HeldOut ranks = heldOut(rows);
        QVERIFY2(ranks.model > ranks.flops && ranks.model > 0.7, qPrintable(QString("%1 %2 %3").arg(ranks.model).arg(ranks.flops).arg(ranks.bytes)));
        QVERIFY2(ranks.medianError < ranks.flopsError && ranks.medianError < ranks.bytesError,
                 qPrintable(QString("%1 %2 %3").arg(ranks.medianError).arg(ranks.flopsError).arg(ranks.bytesError)));
        for (const char* op : {"aten::permute", "aten::reshape", "aten::embedding", "aten::conv2d"})
            QVERIFY2(std::any_of(rows.begin(), rows.end(), [&](const auto& row) { return row.op.starts_with(op); }), op);
        const CostModel model = CostModel::fit(rows);
        for (const auto& row : rows)
            QVERIFY(model.predict(row) > 0);
    }

    void theTimingStopsWhenAsked()
    {
        std::stop_source source;
        TimingOptions options;
        options.progress = [&](double, double) { source.request_stop(); };
        QVERIFY_EXCEPTION_THROWN(timeOperators(options, source.get_token()), core::Cancelled);
    }
};

QTEST_APPLESS_MAIN(CostModelTest)
#include "cost_model_test.moc"
