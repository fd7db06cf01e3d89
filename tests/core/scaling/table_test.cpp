// Tables of points: columns by name, units, what is refused with its row; rows out of runs.
#include <QTemporaryDir>
#include <QTest>

#include <core/graph/weights.h>
#include <core/zoo/zoo.h>

#include "../message_of.h"
#include "scaling_test_support.h"

using namespace orrery;
using namespace orrery::scaling;
using core::Json;

class TableTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void columnsAreFoundByNameAndScaled()
    {
        const auto table = parseTable("name,params,D,val_loss\na,1.5,1e9,3.25\n\nb,2.5,2e9,3\n", "t.csv");
        const auto points = pointsOf(table, {"N", "D"}, {{{"N", "params"}, {"loss", "val_loss"}}, {{"N", 1e6}}});
        QVERIFY(points.inputs == (std::vector<std::vector<double>>{{1.5e6, 2.5e6}, {1e9, 2e9}}));
        QVERIFY(points.loss == (std::vector<double>{3.25, 3}));
        QVERIFY(points.places == (std::vector<std::string>{"line 2", "line 4"}));
        const auto part = points.subset({1});
        QVERIFY(part.inputs == (std::vector<std::vector<double>>{{2.5e6}, {2e9}}) && part.places[0] == "line 4");
    }

    void theOnlyOtherColumnIsX()
    {
        const auto table = parseTable("samples;loss\n10;2\n20;1.5\n", "t.csv");
        QVERIFY(pointsOf(table, {"x"}, {}).inputs[0] == (std::vector<double>{10, 20}));
        const auto wide = parseTable("N,D,loss\n1,2,3\n", "t.csv");
        QVERIFY(saidBy([&] { pointsOf(wide, {"x"}, {}); }).contains("which column is x (--x COLUMN); the columns are N, D, loss"));
        QVERIFY(pointsOf(wide, {"x"}, {{{"x", "D"}}, {}}).inputs[0] == std::vector<double>{2});
    }

    void badTablesAreRefused_data()
    {
        QTest::addColumn<QString>("text");
        QTest::addColumn<QString>("message");
        QTest::newRow("no column") << "N,D,los\n1,2,3\n"
                                   << "t.csv: expected a column \"loss\"; did you mean \"los\"?; the columns are N, D, los";
        QTest::newRow("no header") << "1,2,3\n4,5,6\n"
                                   << "t.csv: expected a column \"N\"; the columns are 1, 2, 3";
        QTest::newRow("ragged") << "N,D,loss\n1,2,3\n1,2\n"
                                << "t.csv: line 3: expected 3 fields, got 2";
        QTest::newRow("NaN") << "N,D,loss\n1,2,3\n1,2,nan\n"
                             << "t.csv: line 3, column \"loss\": expected a finite number > 0, found none, or NaN";
        QTest::newRow("infinite") << "N,D,loss\n1,inf,3\n"
                                  << "t.csv: line 2, column \"D\": expected a finite number > 0, found inf";
        QTest::newRow("beyond double") << "N,D,loss\n1,1e999,3\n"
                                       << "column \"D\": expected a finite number > 0, found inf";
        QTest::newRow("zero") << "N,D,loss\n0,2,3\n"
                              << "t.csv: line 2, column \"N\": expected a finite number > 0, found 0";
        QTest::newRow("negative") << "N,D,loss\n1,2,3\n\n1,2,-3\n"
                                  << "t.csv: line 4, column \"loss\": expected a finite number > 0, found -3";
        QTest::newRow("empty field") << "N,D,loss\n1,,3\n"
                                     << "t.csv: line 2, column \"D\": expected a finite number > 0, found none, or NaN";
        QTest::newRow("word") << "N,D,loss\n1,2,3\n1,many,3\n"
                              << "t.csv: line 3, column \"D\": expected a finite number > 0, found \"many\"";
        QTest::newRow("only a header") << "N,D,loss\n"
                                       << "t.csv: expected a table with rows, got none";
        QTest::newRow("nothing") << ""
                                 << "t.csv: expected a table with rows, got none";
        QTest::newRow("open quote") << "N,D,loss\n\"1,2,3\n"
                                    << "t.csv: line 2: a quote is not closed";
    }
    void badTablesAreRefused()
    {
        QFETCH(QString, text);
        QFETCH(QString, message);
        const auto said = saidBy([&] { pointsOf(parseTable(text.toStdString(), "t.csv"), {"N", "D"}, {}); });
        QVERIFY2(said.contains(message), qPrintable(said));
    }

    void badMappingsAreRefused()
    {
        const auto table = parseTable("N,D,loss\n1,2,3\n", "t.csv");
        QVERIFY(saidBy([&] { pointsOf(table, {"N", "D"}, {{{"N", "n"}}, {}}); }).contains("expected a column \"n\" for N"));
        QVERIFY(saidBy([&] { pointsOf(table, {"N", "D"}, {{{"M", "N"}}, {}}); }).contains("column of \"M\": the law takes loss and N, D"));
        QVERIFY(saidBy([&] { pointsOf(table, {"N", "D"}, {{}, {{"N", 0}}}); }).contains("scale of N: expected a number > 0, got 0"));
        QVERIFY(saidBy([&] {
                    pointsOf(table, {"N", "D"}, {{}, {{"D", 1e308}}});
                }).contains("column \"D\": expected a finite number > 0, found 2") ||
                saidBy([&] {
                    pointsOf(table, {"N", "D"}, {{}, {{"D", 1e308}}});
                }) == "no error");
        QVERIFY(saidBy([&] { readTable("/nowhere/t.csv"); }).contains("/nowhere/t.csv: expected a CSV file, found none"));
    }

    void runsGiveTheirNumbers()
    {
        QTemporaryDir folder;
        const auto workspace = store::Workspace::open(folder.path().toStdString());
        std::vector<store::RunId> ids;
        for (const int width : {8, 16, 32}) {
            const Json document{{"model", {{"id", "mlp"}, {"features", 4}, {"hidden", {width}}, {"classes", 3}}},
                                {"train", {{"steps", 10 * width}, {"batch_size", 5}}}};
            ids.push_back(
                workspace->createRun({"r", document, 0, {}, width < 32 ? std::vector<std::string>{"small"} : std::vector<std::string>{}, "", {}}));
            workspace->startRun(ids.back());
            workspace->metric(ids.back(), "test/loss", 1, 1.0 / width);
            workspace->setStatus(ids.back(), store::RunStatus::Finished);
        }
        workspace->flush();
        const auto table = tableOfRuns(*workspace, {}, {{"N", "parameters"}, {"D", "train.steps * train.batch_size"}, {"loss", "test/loss"}});
        const auto points = pointsOf(table, {"N", "D"}, {});
        QVERIFY(points.runs == ids);
        QVERIFY(points.loss == (std::vector<double>{1.0 / 8, 1.0 / 16, 1.0 / 32}));
        QVERIFY(points.inputs[1] == (std::vector<double>{400, 800, 1600}));
        for (std::size_t i = 0; i < 3; ++i) {
            const double width = double(8 << i);
            QCOMPARE(points.inputs[0][i], 4 * width + width + 3 * width + 3);
        }
        QCOMPARE(points.places[2], "run " + std::to_string(ids[2]));
        store::RunQuery query;
        query.tags = {"small"};
        QCOMPARE(tableOfRuns(*workspace, query, {{"loss", "test/loss"}}).rows(), std::size_t(2));
        query.tags = {"nosuch"};
        QVERIFY(saidBy([&] { tableOfRuns(*workspace, query, {{"loss", "test/loss"}}); }).contains("no run of the workspace matches"));
        QVERIFY(saidBy([&] {
                    tableOfRuns(*workspace, {}, {{"loss", "tets/loss"}});
                }).contains("unknown metric \"tets/loss\"; did you mean \"test/loss\"?"));
        QVERIFY(saidBy([&] {
                    tableOfRuns(*workspace, {}, {{"D", "train.step"}});
                }).contains("run 1: expected a number at \"train.step\" of its document, found none"));
        QVERIFY(saidBy([&] { tableOfRuns(*workspace, {}, {{"D", "2 * ("}}); }).contains("column 6"));
        // A run without the metric is named.
        const auto bare = workspace->createRun({"bare", {{"a", 1}}, 0, {}, {}, "", {}});
        QVERIFY(saidBy([&] { tableOfRuns(*workspace, {}, {{"loss", "test/loss"}}); }).contains("run 4: has no metric \"test/loss\""));
        QVERIFY(saidBy([&] {
                    tableOfRuns(*workspace, {}, {{"N", "parameters"}});
                }).contains("run 4: `parameters` is known of models of the zoo, this one is none"));
        QCOMPARE(bare, store::RunId(4));
    }
};

QTEST_APPLESS_MAIN(TableTest)
#include "table_test.moc"
