// Ways to look at many runs: a query with completion, groups, parallel coordinates, the leaderboard, a run reproduced. By mouse and keys.
#include <QAbstractItemView>
#include <QComboBox>
#include <QCompleter>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QTabWidget>
#include <QTableView>
#include <QTemporaryDir>
#include <QTest>
#include <QTextBrowser>
#include <QToolBar>
#include <cmath>

#include <core/catalogue.h>
#include <core/jobs/queue.h>
#include <core/store/workspace.h>
#include <core/train/reproduce.h>
#include <core/train/runs.h>
#include <plugins/experiments/experiments_panel.h>
#include <plugins/experiments/leaderboard_page.h>
#include <plugins/experiments/parallel_lines.h>
#include <plugins/experiments/parallel_page.h>
#include <plugins/experiments/query_edit.h>
#include <plugins/experiments/run_curves.h>
#include <widgets/session.h>

using namespace orrery;
using namespace orrery::plugins;

namespace {

core::Json document(int width, double lr, int seed)
{
    return {{"name", "w" + std::to_string(width)}, {"seed", seed},        {"model", {{"id", "mlp"}, {"width", width}}},
            {"data", {{"id", "digits"}}},          {"data_hash", "same"}, {"train", {{"optimizer", {{"id", "adamw"}, {"lr", lr}}}}}};
}

/// A finished run with a curve and a result, without a training.
store::RunId finished(store::Workspace& workspace, const core::Json& document, double accuracy)
{
    store::NewRun made;
    made.name = document.at("name");
    made.document = document;
    made.seed = document.at("seed");
    const auto run = workspace.createRun(made);
    workspace.startRun(run);
    for (int step = 1; step <= 5; ++step)
        workspace.metric(run, "train/loss", step, 1.0 / step + accuracy);
    workspace.metric(run, "test/accuracy", 5, accuracy);
    workspace.flush();
    workspace.setStatus(run, store::RunStatus::Finished);
    return run;
}

struct Bench {
    QTemporaryDir folder;
    widgets::Session session;
    std::unique_ptr<ExperimentsPanel> panel;
    std::shared_ptr<store::Workspace> workspace;
    std::vector<store::RunId> runs;  ///< widths 8, 8, 8, 64, 64 with seeds 0, 1, 2, 0, 1

    explicit Bench(bool filled = true)
    {
        session.openWorkspace(folder.filePath("workspace"));
        workspace = session.workspace();
        if (filled) {
            const double accuracies[] = {0.70, 0.72, 0.74, 0.9, 0.94};
            for (int i = 0; i < 5; ++i)
                runs.push_back(finished(*workspace, document(i < 3 ? 8 : 64, i < 3 ? 0.01 : 0.1, i % 3), accuracies[i]));
        }
        panel = std::make_unique<ExperimentsPanel>(session);
        panel->resize(1100, 900);
        panel->show();
        panel->activateWindow();
    }
    widgets::RowModel& rows() const { return *panel->table()->model(); }
    QString cell(int position, const QString& column) const { return rows().index(position, rows().columnIndex(column)).data().toString(); }
    void chooseGroup(const QString& field) const
    {
        auto* box = panel->groupBox();
        QTRY_VERIFY(box->findData(field) >= 0);
        box->setFocus();
        // As a person does with the keyboard: down to the entry.
        while (box->currentData().toString() != field) {
            const int before = box->currentIndex();
            QTest::keyClick(box, Qt::Key_Down);
            QVERIFY(box->currentIndex() != before);
        }
    }
    void clickRow(int position) const
    {
        auto* table = panel->table()->table();
        QTest::mouseClick(table->viewport(), Qt::LeftButton, {}, table->visualRect(rows().index(position, rows().columnIndex("name"))).center());
    }
};

}  // namespace

class ExperimentsViewsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { core::registerAll(); }

    void aQueryIsCompletedAndAnswered()
    {
        Bench bench;
        QTRY_COMPARE(bench.rows().rowCount(), 5);
        auto* query = bench.panel->query();
        QTest::keyClicks(query->edit(), "lr");
        QTRY_VERIFY(query->completer()->popup()->isVisible());
        QStringList offered;
        for (int i = 0; i < query->completer()->completionModel()->rowCount(); ++i)
            offered << query->completer()->completionModel()->index(i, 0).data().toString();
        QVERIFY2(offered.contains("train.optimizer.lr"), qPrintable(offered.join(' ')));
        auto* popup = query->completer()->popup();
        while (popup->currentIndex().data().toString() != "train.optimizer.lr")
            QTest::keyClick(popup, Qt::Key_Down);
        QTest::keyClick(popup, Qt::Key_Return);
        QCOMPARE(query->text(), QString("train.optimizer.lr "));
        QTest::keyClicks(query->edit(), "< 0.05 and test/accuracy > 0.71");
        QTRY_COMPARE(bench.rows().rowCount(), 2);
        QCOMPARE(bench.rows().rowId(0), qint64(bench.runs[2]));
        QCOMPARE(bench.rows().rowId(1), qint64(bench.runs[1]));
        QCOMPARE(query->errorText(), QString());
        query->edit()->selectAll();
        QTest::keyClick(query->edit(), Qt::Key_Delete);
        QTRY_COMPARE(bench.rows().rowCount(), 5);
    }

    void whatIsWrongWithAQueryStandsBelowIt()
    {
        Bench bench;
        QTRY_COMPARE(bench.rows().rowCount(), 5);
        auto* query = bench.panel->query();
        QTest::keyClicks(query->edit(), "test/accuracy > ");
        QTRY_VERIFY2(query->errorText().contains("column"), qPrintable(query->errorText()));
        QCOMPARE(bench.rows().rowCount(), 5);  // the rows stay while one types
        query->edit()->selectAll();
        QTest::keyClicks(query->edit(), "test/acuracy > 0.8");
        QTRY_VERIFY2(query->errorText().contains("did you mean"), qPrintable(query->errorText()));
        QVERIFY(query->errorText().contains("test/accuracy"));
        QCOMPARE(bench.rows().rowCount(), 5);
        query->edit()->selectAll();
        QTest::keyClicks(query->edit(), "test/accuracy > 0.8");
        QTRY_COMPARE(bench.rows().rowCount(), 2);
        QCOMPARE(query->errorText(), QString());
    }

    void aQueryFollowsWhatRunsDo()
    {
        Bench bench;
        QTRY_COMPARE(bench.rows().rowCount(), 5);
        QTest::keyClicks(bench.panel->query()->edit(), "width = 8 and tag = good");
        QTRY_COMPARE(bench.rows().rowCount(), 0);
        bench.workspace->addTag(bench.runs[1], "good");
        QTRY_COMPARE(bench.rows().rowCount(), 1);
        QCOMPARE(bench.rows().rowId(0), qint64(bench.runs[1]));
    }

    void groupsFoldRunsToMeanAndSpread()
    {
        Bench bench;
        QTRY_COMPARE(bench.rows().rowCount(), 5);
        bench.chooseGroup("model.width");
        QTRY_COMPARE(bench.rows().rowCount(), 2);
        QTRY_COMPARE(bench.cell(0, "name"), QString("width = 8 (3 runs)"));
        QCOMPARE(bench.cell(1, "name"), QString("width = 64 (2 runs)"));
        QCOMPARE(bench.cell(0, "metrics.test/accuracy"), QString("0.72"));
        QCOMPARE(bench.cell(0, "spread.test/accuracy"), QString("0.02"));
        QCOMPARE(bench.cell(1, "metrics.test/accuracy"), QString("0.92"));
        QVERIFY(bench.panel->table()->isColumnShown("spread.test/accuracy"));
        QVERIFY(!bench.panel->table()->isColumnShown("status"));
        // The spread stands right of the mean; a few groups are all chosen at first.
        auto* header = bench.panel->table()->table()->horizontalHeader();
        const auto place = [&](const char* column) { return header->visualIndex(bench.rows().columnIndex(column)); };
        QCOMPARE(place("spread.test/accuracy"), place("metrics.test/accuracy") + 1);
        QTRY_COMPARE(bench.panel->table()->selectedIds().size(), qsizetype(2));
        // A group is chosen with all its runs; its curve is their mean, with a band.
        bench.clickRow(0);
        const QList<qint64> first{bench.runs[2], bench.runs[1], bench.runs[0]};
        QCOMPARE(bench.session.selection().runs, first);
        QTRY_VERIFY(bench.panel->curves()->plot("loss"));
        auto* plot = bench.panel->curves()->plot("loss");
        QTRY_COMPARE(plot->seriesIds().size(), qsizetype(1));
        QTRY_COMPARE(plot->drawnData(plot->seriesIds()[0]).y.size(), std::size_t(5));
        const auto drawn = plot->drawnData(plot->seriesIds()[0]);
        for (int step = 1; step <= 5; ++step) {
            const std::size_t i = std::size_t(step) - 1;
            QVERIFY(std::abs(drawn.y[i] - (1.0 / step + 0.72)) < 1e-12);
            QVERIFY(std::abs(drawn.high[i] - drawn.y[i] - 0.02) < 1e-12);
            QVERIFY(std::abs(drawn.y[i] - drawn.low[i] - 0.02) < 1e-12);
        }
        // Enter goes into the group.
        QTest::keyClick(bench.panel->table()->table(), Qt::Key_Return);
        QTRY_COMPARE(bench.rows().rowCount(), 3);
        QCOMPARE(bench.panel->query()->text(), QString("model.width = 8"));
        QVERIFY(!bench.panel->table()->isColumnShown("spread.test/accuracy"));
        QVERIFY(bench.panel->table()->isColumnShown("status"));
    }

    void theAxesAreWhatDiffersAmongTheRunsOnShow()
    {
        Bench bench;
        QTRY_COMPARE(bench.rows().rowCount(), 5);
        bench.panel->tabs()->setCurrentWidget(bench.panel->parallel());
        const QStringList all{"model.width", "train.optimizer.lr", "seed", "test/accuracy"};
        QTRY_COMPARE(bench.panel->parallel()->axes(), all);
        bench.panel->query()->edit()->setFocus();
        QTest::keyClicks(bench.panel->query()->edit(), "width = 8");
        QTest::keyClick(bench.panel->query()->edit(), Qt::Key_Return);
        QTRY_COMPARE(bench.rows().rowCount(), 3);
        QTRY_COMPARE(bench.panel->parallel()->axes(), (QStringList{"seed", "test/accuracy"}));
        QTRY_COMPARE(bench.panel->parallel()->view()->axes().size(), std::size_t(2));
    }

    void aStretchOfAnAxisChoosesRuns()
    {
        Bench bench;
        QTRY_COMPARE(bench.rows().rowCount(), 5);
        bench.panel->tabs()->setCurrentWidget(bench.panel->parallel());
        auto* view = bench.panel->parallel()->view();
        QTRY_VERIFY(view->axes().size() >= 3);
        QCOMPARE(view->axes().back().id, QString("test/accuracy"));
        const int last = int(view->axes().size()) - 1;
        const auto dragAlong = [&](int axis, double from, double to) {
            const auto a = view->toPixel(axis, from).toPoint(), b = view->toPixel(axis, to).toPoint();
            QTest::mousePress(view, Qt::LeftButton, {}, a);
            QTest::mouseMove(view, (a + b) / 2);
            QTest::mouseMove(view, b);
            QTest::mouseRelease(view, Qt::LeftButton, {}, b);
        };
        dragAlong(last, 0.73, 0.91);
        const QList<qint64> middle{bench.runs[3], bench.runs[2]};
        QTRY_COMPARE(bench.session.selection().runs, middle);
        const auto marked = view->brush("test/accuracy");
        QVERIFY(marked && std::abs(marked->first - 0.73) < 0.005 && std::abs(marked->second - 0.91) < 0.005);
        // A second stretch narrows further.
        int width = 0;
        while (view->axes()[std::size_t(width)].id != "model.width")
            ++width;
        dragAlong(width, 5, 20);
        QTRY_COMPARE(bench.session.selection().runs, QList<qint64>{bench.runs[2]});
        // A click on a title makes the axis logarithmic: the marked values stay.
        QTest::mouseClick(view, Qt::LeftButton, {}, QPoint(int(view->toPixel(width, 8).x()), 8));
        QTRY_VERIFY(view->axes()[std::size_t(width)].log);
        QCOMPARE(view->brushed(), QList<qint64>{bench.runs[2]});
        // What goes into a report is the picture on this page, and the chosen runs on the others.
        QCOMPARE(bench.panel->reportItem()->title, QString("Parallel coordinates of 5 runs"));
        bench.panel->tabs()->setCurrentIndex(0);
        const auto item = bench.panel->reportItem()->make(*bench.workspace);
        QVERIFY(item.source.at("runs") == core::Json::array({bench.runs[2]}));
        bench.panel->tabs()->setCurrentWidget(bench.panel->parallel());
        // Keys alone: Escape forgets all stretches.
        QTest::keyClick(view, Qt::Key_Escape);
        QVERIFY(!view->hasBrush());
        QCOMPARE(view->brushed().size(), qsizetype(5));
    }

    void linesOfManyRunsAreDrawnPixelByPixel()
    {
        QImage image(40, 30, QImage::Format_RGB32);
        image.fill(qRgb(0, 0, 0));
        blendLine(image, {2, 5}, {30, 5}, qRgb(200, 100, 50), 256);
        QCOMPARE(image.pixel(2, 5), qRgb(200, 100, 50));
        QCOMPARE(image.pixel(30, 5), qRgb(200, 100, 50));
        QCOMPARE(image.pixel(31, 5), qRgb(0, 0, 0));
        QCOMPARE(image.pixel(16, 6), qRgb(0, 0, 0));
        blendLine(image, {2, 5}, {30, 5}, qRgb(0, 0, 0), 128);
        QCOMPARE(image.pixel(16, 5), qRgb(100, 50, 25));
        // As a diagonal in both directions, steep, and half outside: exactly one pixel for each step along the longer side.
        for (const auto& [from, to, count] : {std::tuple(QPointF(0, 0), QPointF(20, 20), 21),
                                              {QPointF(20, 29), QPointF(0, 9), 21},
                                              {QPointF(10, 0), QPointF(14, 29), 30},
                                              {QPointF(30, 10), QPointF(60, 10), 10},
                                              {QPointF(-5, -5), QPointF(5, 5), 6},
                                              {QPointF(NAN, 0), QPointF(5, 5), 0}}) {
            image.fill(qRgb(0, 0, 0));
            blendLine(image, from, to, qRgb(255, 255, 255), 256);
            int lit = 0;
            for (int y = 0; y < image.height(); ++y)
                for (int x = 0; x < image.width(); ++x)
                    lit += image.pixel(x, y) != qRgb(0, 0, 0);
            QCOMPARE(lit, count);
        }
        // Many runs: where a line of the view passes, its colour is seen.
        ParallelView view;
        view.resize(500, 300);
        ParallelAxis left{"a", "a", {}, false, {}}, right{"b", "b", {}, false, {}};
        QList<qint64> runs;
        for (int i = 0; i < 1000; ++i) {
            left.values.push_back(i % 2);
            right.values.push_back(i % 2);
            runs << i;
        }
        view.setData({left, right}, runs);
        const QImage shown = view.grab().toImage();
        const auto colourAt = [&](double value) { return QColor(shown.pixel(((view.toPixel(0, value) + view.toPixel(1, value)) / 2).toPoint())); };
        const QColor low = colourAt(0), high = colourAt(1), between = colourAt(0.5);
        QCOMPARE(between, view.palette().color(QPalette::Base));
        QVERIFY(low.blue() > low.green());    // viridis begins with a dark violet
        QVERIFY(high.green() > high.blue());  // and goes to green
    }

    void anEntryOfAListIsNamedWithItsList()
    {
        Bench bench(false);
        for (const int hidden : {8, 32}) {
            core::Json made = document(8, 0.01, hidden);
            made["model"]["hidden"] = {hidden};
            made["tags"] = {"sweep", "trial:" + std::to_string(hidden)};
            finished(*bench.workspace, made, 0.5);
        }
        QTRY_COMPARE(bench.rows().rowCount(), 2);
        bench.chooseGroup("model.hidden.0");
        QTRY_COMPARE(bench.cell(0, "name"), QString("hidden.0 = 8 (1 run)"));
        // What a run is called and what its document calls it are one thing to group by.
        QStringList offered;
        for (int i = 0; i < bench.panel->groupBox()->count(); ++i)
            offered << bench.panel->groupBox()->itemText(i);
        QCOMPARE(offered.count("by seed"), qsizetype(1));
        QVERIFY(offered.contains("by model.hidden.0") && !offered.contains("by tags.1"));
        QVERIFY(!bench.panel->parallel()->axes().contains("tags.1"));
    }

    void aLegendThatWouldCoverTheCurvesIsLeftOut()
    {
        Bench bench;
        QList<qint64> all(bench.runs.begin(), bench.runs.end());
        for (int i = 0; i < 8; ++i)
            all << finished(*bench.workspace, document(8, 0.01, 10 + i), 0.5);
        QTRY_COMPARE(bench.rows().rowCount(), 13);
        bench.session.selectRuns(all);
        QTRY_VERIFY(bench.panel->curves()->plot("loss") && bench.panel->curves()->plot("loss")->seriesIds().size() == 13);
        QVERIFY(!bench.panel->curves()->plot("loss")->isLegendVisible());
        bench.session.selectRuns(all.mid(0, 2));
        QTRY_COMPARE(bench.panel->curves()->plot("loss")->seriesIds().size(), qsizetype(2));
        QVERIFY(bench.panel->curves()->plot("loss")->isLegendVisible());
    }

    void theLeaderboardIsTheOrderOfTheStore()
    {
        Bench bench;
        QTRY_COMPARE(bench.rows().rowCount(), 5);
        bench.panel->tabs()->setCurrentWidget(bench.panel->leaderboard());
        const auto& rows = bench.panel->leaderboard()->rows();
        QTRY_COMPARE(rows.rowCount(), 5);
        for (int i = 0; i < 5; ++i) {
            QCOMPARE(rows.rowId(i), qint64(bench.runs[std::size_t(4 - i)]));
            QCOMPARE(rows.index(i, rows.columnIndex("rank")).data().toString(), QString::number(i + 1));
        }
        auto* table = bench.panel->leaderboard()->table()->table();
        QTest::mouseClick(table->viewport(), Qt::LeftButton, {}, table->visualRect(rows.index(1, rows.columnIndex("name"))).center());
        QCOMPARE(bench.session.selection().runs, QList<qint64>{bench.runs[3]});
        QCOMPARE(bench.panel->reportItem()->make(*bench.workspace).source,
                 core::Json({{"metric", "test/accuracy"}, {"goal", "maximize"}, {"limit", 10}}));
        // It follows the query.
        QTest::keyClicks(bench.panel->query()->edit(), "width = 8");
        QTRY_COMPARE(rows.rowCount(), 3);
    }

    void reproducingARunSaysBitIdentical()
    {
        Bench bench(false);
        const core::Json small{{"name", "iris"},
                               {"model", {{"id", "mlp"}, {"hidden", {8}}}},
                               {"data", {{"id", "iris"}}},
                               {"train", {{"epochs", 3}, {"threads", 1}, {"optimizer", {{"id", "adamw"}, {"lr", 0.01}}}}}};
        const auto run = train::createRun(*bench.workspace, train::resolveExperiment(small));
        jobs::DirectContext context;
        train::trainRun(bench.workspace, run, context);
        auto* button = bench.panel->findChild<QToolBar*>()->findChild<QWidget*>("reproduce");
        QTRY_VERIFY(button->isEnabled());
        QTest::mouseClick(button, Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(!bench.workspace->analyses({}, train::kReproductionMethod).empty(), 30000);
        const auto stored = bench.workspace->analyses({}, train::kReproductionMethod).front();
        QCOMPARE(stored.run, std::optional<store::RunId>(run + 1));
        QVERIFY(stored.results.at("identical") == true);
        QTRY_VERIFY(bench.panel->findChild<QTextBrowser*>()->toPlainText().contains(QString("Run %1 repeats run %2").arg(run + 1).arg(run)));
        QVERIFY(bench.panel->findChild<QTextBrowser*>()->toPlainText().contains("Bit-identical"));
    }

    void queryGroupAndAxesSurviveARestart()
    {
        Bench bench;
        QTRY_COMPARE(bench.rows().rowCount(), 5);
        QTest::keyClicks(bench.panel->query()->edit(), "test/accuracy > 0.71");
        QTRY_COMPARE(bench.rows().rowCount(), 4);
        bench.chooseGroup("seed");
        bench.panel->parallel()->setAxes({"model.width", "test/accuracy"});
        const auto state = bench.panel->saveState();
        bench.panel = std::make_unique<ExperimentsPanel>(bench.session);
        bench.panel->resize(1100, 900);
        bench.panel->show();
        bench.panel->restoreState(state);
        QTRY_COMPARE(bench.rows().rowCount(), 3);
        QCOMPARE(bench.panel->query()->text(), QString("test/accuracy > 0.71"));
        QCOMPARE(bench.panel->groupBox()->currentData().toString(), QString("seed"));
        QCOMPARE(bench.panel->parallel()->axes(), (QStringList{"model.width", "test/accuracy"}));
        bench.panel->restoreState({{"query", 5}, {"group", nullptr}, {"parallel", {{"axes", "x"}}}, {"leaderboard", {1}}});
    }
};

QTEST_MAIN(ExperimentsViewsTest)
#include "experiments_views_test.moc"
