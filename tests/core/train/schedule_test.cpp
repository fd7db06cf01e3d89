// Schedules against values of the published formulas.
#include <QTest>

#include <cmath>
#include <numbers>

#include <core/train/catalogue.h>

using namespace orrery;
using core::Json;

class ScheduleTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void givesThePublishedValues_data()
    {
        QTest::addColumn<QString>("document");
        QTest::addColumn<int>("step");
        QTest::addColumn<double>("factor");
        QTest::newRow("constant") << R"({"id": "constant"})" << 77 << 1.0;
        QTest::newRow("step: first stair") << R"({"id": "step", "step_size": 2, "gamma": 0.5})" << 19 << 1.0;
        QTest::newRow("step: second stair, epochs of 10 steps") << R"({"id": "step", "step_size": 2, "gamma": 0.5})" << 20 << 0.5;
        QTest::newRow("step: counted in steps") << R"({"id": "step", "step_size": 3, "gamma": 0.1, "per": "steps"})" << 6 << 0.01;
        QTest::newRow("cosine: start") << R"({"id": "cosine"})" << 0 << 1.0;
        QTest::newRow("cosine: a quarter") << R"({"id": "cosine"})" << 25 << (1 + std::cos(std::numbers::pi / 4)) / 2;
        QTest::newRow("cosine: half, with floor") << R"({"id": "cosine", "final_factor": 0.1})" << 50 << 0.55;
        QTest::newRow("cosine: beyond the end") << R"({"id": "cosine", "final_factor": 0.1})" << 150 << 0.1;
        QTest::newRow("linear: LinearLR's defaults after half")
            << R"({"id": "linear", "start_factor": 0.3333333333333333, "end_factor": 1})" << 50 << 2.0 / 3;
        QTest::newRow("linear: end") << R"({"id": "linear"})" << 100 << 0.0;
        // OneCycleLR(max_lr=1, total_steps=100): 0.04 at 0, 1 at 29, 4e-6 at 99.
        QTest::newRow("one cycle: start") << R"({"id": "one_cycle"})" << 0 << 0.04;
        QTest::newRow("one cycle: half way up") << R"({"id": "one_cycle", "anneal_strategy": "linear", "pct_start": 0.31})" << 15 << 0.52;
        QTest::newRow("one cycle: top") << R"({"id": "one_cycle"})" << 29 << 1.0;
        QTest::newRow("one cycle: half way down") << R"({"id": "one_cycle"})" << 64 << (1 + 4e-6) / 2;
        QTest::newRow("one cycle: last") << R"({"id": "one_cycle"})" << 99 << 4e-6;
    }
    void givesThePublishedValues()
    {
        QFETCH(QString, document);
        QFETCH(int, step);
        QFETCH(double, factor);
        const auto schedule = train::makeSchedule(Json::parse(document.toStdString()));
        const double got = schedule({step, 100, 10});
        QVERIFY2(std::abs(got - factor) < 1e-12, qPrintable(QString::number(got, 'g', 17)));
    }

    void everyScheduleHasATestOfItsValues()
    {
        QCOMPARE(train::schedules().ids(), (std::vector<std::string>{"constant", "step", "cosine", "linear", "one_cycle"}));
    }

    void warmUpRisesInALineAndThenTheScheduleStarts()
    {
        const train::LearningRate rate(0.2, train::makeSchedule("cosine"), 4, 104, 10);
        for (int step = 0; step < 4; ++step)
            QVERIFY(std::abs(rate.at(step) - 0.2 * (step + 1) / 4) < 1e-15);
        QVERIFY(std::abs(rate.at(4) - 0.2) < 1e-15);
        QVERIFY(std::abs(rate.at(54) - 0.1) < 1e-15);
        QVERIFY(std::abs(rate.at(104)) < 1e-15);
    }

    void staysFiniteWhereThereAreFewSteps()
    {
        for (const std::string& id : train::schedules().ids())
            for (const int total : {1, 2, 3}) {
                const train::LearningRate rate(1, train::makeSchedule(id), 0, total, 1);
                for (int step = 0; step <= total; ++step)
                    QVERIFY2(rate.at(step) >= 0 && rate.at(step) <= 1, id.c_str());
            }
    }
};

QTEST_APPLESS_MAIN(ScheduleTest)
#include "schedule_test.moc"
