// The Scaling panel: fits, minima, plans and coordinate checks that equal core's, a cut-off dragged by the mouse, points that select their runs, cancelled in the middle, state
// after a restart.
#include <QCheckBox>
#include <QComboBox>
#include <QFile>
#include <QLabel>
#include <QLineEdit>
#include <QMenu>
#include <QProgressBar>
#include <QPushButton>
#include <QSpinBox>
#include <QTabWidget>
#include <QTableWidget>
#include <QToolButton>
#include <cmath>

#include <core/catalogue.h>
#include <core/search/sweep_document.h>
#include <plugins/scaling/fit_page.h>
#include <plugins/scaling/scaling_panel.h>
#include <widgets/empty_state.h>
#include <widgets/plot_view.h>

#include "../widgets/shots.h"
#include "trained_bench.h"

using namespace orrery;
using namespace orrery::plugins;
using Bench = test::PanelBench<ScalingPanel>;

namespace {

/// Hoffmann's constants with a small, fixed disturbance.
QByteArray chinchillaTable()
{
    QByteArray out("N,D,loss\n");
    int i = 0;
    for (const double n : {1e6, 3e6, 1e7, 3e7, 1e8})
        for (const double d : {1e8, 1e9, 1e10}) {
            const double loss = (1.69 + 406.4 / std::pow(n, 0.34) + 410.7 / std::pow(d, 0.28)) * (1 + 0.002 * std::sin(7.0 * ++i));
            out += QByteArray::number(n, 'g', 17) + "," + QByteArray::number(d, 'g', 17) + "," + QByteArray::number(loss, 'g', 17) + "\n";
        }
    return out;
}

/// loss = 2 + 0.1 ln(N / N*)^2 with N* = 0.1 C^0.5.
QByteArray budgetTable()
{
    QByteArray out("N,C,loss\n");
    for (const double c : {1e12, 1e14, 1e16})
        for (const double factor : {0.2, 0.5, 1.0, 2.0, 5.0}) {
            const double best = 0.1 * std::sqrt(c);
            out += QByteArray::number(best * factor, 'g', 17) + "," + QByteArray::number(c) + "," +
                   QByteArray::number(2 + 0.1 * std::log(factor) * std::log(factor), 'g', 17) + "\n";
        }
    return out;
}

QString written(const Bench& bench, const QByteArray& content)
{
    const QString name = bench.folder.filePath(QStringLiteral("points.csv"));
    QFile file(name);
    if (file.open(QIODevice::WriteOnly))
        file.write(content);
    return name;
}

QWidget* page(const Bench& bench)
{
    return bench.child<QTabWidget>("pages")->currentWidget();
}
QPushButton* runButton(const Bench& bench)
{
    return page(bench)->findChild<QPushButton*>(QStringLiteral("run"));
}
FitPage* fitPage(const Bench& bench)
{
    return bench.panel->findChild<FitPage*>();
}
void show(Bench& bench, int tab, const core::Json& state = core::Json::object())
{
    bench.show(state);
    bench.panel->resize(1000, 800);
    bench.child<QTabWidget>("pages")->setCurrentIndex(tab);
}
/// As a person does: types the file's name and presses Enter.
void read(const Bench& bench, const QString& file)
{
    auto* edit = bench.child<QLineEdit>("file");
    edit->setFocus();
    edit->selectAll();
    QTest::keyClicks(edit, file);
    QTest::keyClick(edit, Qt::Key_Return);
}
QString cell(const QTableWidget* table, int row, int column)
{
    return table->item(row, column) ? table->item(row, column)->text() : QString();
}
/// The plot's canvas gets mouse events.
QWidget* canvas(widgets::PlotView& plot)
{
    return plot.findChildren<QWidget*>().isEmpty() ? static_cast<QWidget*>(&plot) : plot.childAt(plot.rect().center());
}
scaling::FitOutcome coreFit(const QString& file, const core::Json& document)
{
    jobs::DirectContext context;
    return scaling::runFit(scaling::requestFromJson(document), scaling::readTable(file.toStdString()), context);
}

}  // namespace

class ScalingTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { core::registerAll(); }
    void withoutPointsThePageSaysWhatToDo();
    void fitEqualsCore();
    void theCutoffIsDraggedAndTheErrorFollows();
    void aPointSelectsItsRun();
    void minimaEqualCore();
    void plansEqualCore();
    void widthsEqualCore();
    void theBestRateGoesToAWiderRun();
    void aCheckIsCancelledInTheMiddle();
    void errorsStandInThePanel_data();
    void errorsStandInThePanel();
    void storedFitsReopen();
    void stateSurvivesARestart();
    void presetsAreGoodDocuments();
    void fitsANarrowDock();
};

void ScalingTest::withoutPointsThePageSaysWhatToDo()
{
    Bench bench;
    show(bench, 0);
    auto* empty = bench.panel->findChild<widgets::EmptyState*>();
    QTRY_VERIFY(fitPage(bench)->findChild<widgets::EmptyState*>()->isVisible());
    QVERIFY(empty);
    QVERIFY(fitPage(bench)->findChild<widgets::EmptyState*>()->text().contains(QStringLiteral("Read a table")));
    QVERIFY(!runButton(bench)->isEnabled());
    QCOMPARE(runButton(bench)->toolTip(), QStringLiteral("Read points first"));
    takeShots(*bench.panel, QStringLiteral("scaling-empty"));
    QCOMPARE(bench.panel->commandLine(), QString());
}

void ScalingTest::fitEqualsCore()
{
    Bench bench;
    const QString file = written(bench, chinchillaTable());
    show(bench, 0, {{"fit", {{"request", {{"law", "chinchilla"}, {"resamples", 20}}}}}});
    read(bench, file);
    QTRY_VERIFY_WITH_TIMEOUT(fitPage(bench)->outcome(), 60000);
    QTRY_VERIFY(runButton(bench)->isEnabled());
    QTest::mouseClick(runButton(bench), Qt::LeftButton);
    QTRY_VERIFY_WITH_TIMEOUT(fitPage(bench)->analysis(), 120000);
    const scaling::FitOutcome expected = coreFit(file, {{"law", "chinchilla"}, {"resamples", 20}});
    const auto* table = bench.child<QTableWidget>("parameters");
    QCOMPARE(table->rowCount(), 5);
    for (int row = 0; row < 5; ++row) {
        QCOMPARE(cell(table, row, 0).toStdString(), expected.law->parameters()[std::size_t(row)].name);
        QCOMPARE(cell(table, row, 1), shortText(expected.fit.parameters[std::size_t(row)]));
        QCOMPARE(cell(table, row, 2), shortText(expected.bootstrap->intervals[std::size_t(row)].low));
        QCOMPARE(cell(table, row, 3), shortText(expected.bootstrap->intervals[std::size_t(row)].high));
    }
    QVERIFY(bench.child<QLabel>("fitStatus")->text().contains(QStringLiteral("%L1 starts").arg(expected.fit.certificate.starts)));
    takeShots(*bench.panel, QStringLiteral("scaling-law"));
    bench.panel->resize(470, 720);
    takeShots(*bench.panel, QStringLiteral("scaling-law-narrow"));
    // Three curves, for the three values of D, each with a band.
    QCOMPARE(fitPage(bench)->plot().seriesIds().size(), 4);
    QVERIFY(bench.panel->commandLine().startsWith(QStringLiteral("orrery-cli scaling fit ")));
    QVERIFY(bench.panel->commandLine().contains(QStringLiteral("--law chinchilla")));
}

void ScalingTest::theCutoffIsDraggedAndTheErrorFollows()
{
    Bench bench;
    const QString file = written(bench, chinchillaTable());
    show(bench, 0);
    read(bench, file);
    QTRY_VERIFY_WITH_TIMEOUT(fitPage(bench)->outcome(), 60000);
    auto* holdOut = bench.child<QCheckBox>("holdOut");
    QTest::mouseClick(holdOut, Qt::LeftButton, {}, QPoint(8, holdOut->height() / 2));
    QVERIFY(holdOut->isChecked());
    QTRY_VERIFY_WITH_TIMEOUT(fitPage(bench)->outcome()->heldOut, 60000);
    widgets::PlotView& plot = fitPage(bench)->plot();
    QTRY_VERIFY(plot.isIdle());
    const double before = fitPage(bench)->outcome()->heldOut->below;
    // From where the line is to between the last two sizes.
    const double wanted = std::sqrt(3e7 * 1e8);
    const QWidget* area = canvas(plot);
    const double y = plot.rect().center().y();
    const QPoint from = area->mapFrom(&plot, QPoint(int(std::lround(plot.toPixel(before, plot.range(widgets::PlotAxis::Y).second).x())), int(y)));
    const QPoint to = area->mapFrom(&plot, QPoint(int(std::lround(plot.toPixel(wanted, plot.range(widgets::PlotAxis::Y).second).x())), int(y)));
    QTest::mousePress(const_cast<QWidget*>(area), Qt::LeftButton, {}, from);
    QTest::mouseMove(const_cast<QWidget*>(area), (from + to) / 2);
    QTest::mouseMove(const_cast<QWidget*>(area), to);
    QTest::mouseRelease(const_cast<QWidget*>(area), Qt::LeftButton, {}, to);
    QTRY_VERIFY_WITH_TIMEOUT(std::abs(std::log(fitPage(bench)->outcome()->heldOut->below / wanted)) < 0.1, 60000);
    QTRY_COMPARE_WITH_TIMEOUT(fitPage(bench)->outcome()->heldOut->rows.size(), std::size_t(3), 60000);
    const double below = fitPage(bench)->outcome()->heldOut->below;
    const scaling::FitOutcome expected = coreFit(file, {{"hold_out", "N"}, {"below", below}});
    QTRY_COMPARE(bench.child<QLabel>("heldOut")->text(), heldOutText(*expected.heldOut));
    // By the keyboard, too.
    plot.setFocus();
    QTest::keyClick(&plot, Qt::Key_Left, Qt::ControlModifier);
    QTRY_VERIFY_WITH_TIMEOUT(fitPage(bench)->outcome()->heldOut->below < below, 60000);
}

void ScalingTest::aPointSelectsItsRun()
{
    Bench bench;
    QList<qint64> runs;
    for (const int hidden : {2, 4, 8, 16, 32})
        runs << test::trainedRun(bench.workspace(), {{"id", "mlp"}, {"hidden", {hidden}}}, "iris", 2);
    show(bench, 0,
         {{"fit", {{"request", {{"law", "power_law"}}}}},
          {"source", {{"runs", true}, {"query", ""}, {"sources", "x = parameters; loss = val/loss"}}}});
    QTRY_VERIFY_WITH_TIMEOUT(fitPage(bench)->outcome(), 60000);
    QVERIFY2(bench.panel->errorText().isEmpty(), qPrintable(bench.panel->errorText()));
    widgets::PlotView& plot = fitPage(bench)->plot();
    QTRY_VERIFY(plot.isIdle());
    const auto& points = fitPage(bench)->outcome()->points;
    for (const std::size_t row : {std::size_t(1), std::size_t(3)}) {
        QWidget* area = canvas(plot);
        const QPoint at = area->mapFrom(&plot, plot.toPixel(points.inputs[0][row], points.loss[row]).toPoint());
        QTest::mouseClick(area, Qt::LeftButton, {}, at);
        QTRY_COMPARE(bench.session.selection().runs, QList<qint64>{points.runs[row]});
    }
}

void ScalingTest::minimaEqualCore()
{
    Bench bench;
    const QString file = written(bench, budgetTable());
    show(bench, 1);
    read(bench, file);
    QTRY_VERIFY(runButton(bench)->isEnabled());
    QTest::mouseClick(runButton(bench), Qt::LeftButton);
    const auto* table = bench.child<QTableWidget>("budgets");
    QTRY_COMPARE_WITH_TIMEOUT(table->rowCount(), 3, 30000);
    takeShots(*bench.panel, QStringLiteral("scaling-isoflop"));
    bench.panel->resize(470, 720);
    takeShots(*bench.panel, QStringLiteral("scaling-isoflop-narrow"));
    // By hand: the minimum lies at 0.1 sqrt(C) with a loss of 2.
    QCOMPARE(cell(table, 0, 2), QStringLiteral("1e+05"));
    QCOMPARE(cell(table, 1, 2), QStringLiteral("1e+06"));
    QCOMPARE(cell(table, 2, 4), QStringLiteral("2"));
    QVERIFY2(bench.child<QLabel>("isoflopStatus")->text().contains(QStringLiteral("N = 0.1 · C^0.5")),
             qPrintable(bench.child<QLabel>("isoflopStatus")->text()));
}

void ScalingTest::plansEqualCore()
{
    Bench bench;
    const QString file = written(bench, chinchillaTable());
    show(bench, 2);
    QVERIFY(!runButton(bench)->isEnabled());
    QVERIFY(runButton(bench)->toolTip().contains(QStringLiteral("Fit a law of N and D first")));
    read(bench, file);
    QTRY_VERIFY_WITH_TIMEOUT(runButton(bench)->isEnabled(), 60000);
    auto* budgets = bench.child<QLineEdit>("planBudgets");
    budgets->setFocus();
    budgets->selectAll();
    QTest::keyClicks(budgets, QStringLiteral("1e18,5.76e23"));
    QTest::keyClick(budgets, Qt::Key_Return);
    const auto* table = bench.child<QTableWidget>("plans");
    QTRY_COMPARE(table->rowCount(), 2);
    takeShots(*bench.panel, QStringLiteral("scaling-plan"));
    bench.panel->resize(470, 720);
    takeShots(*bench.panel, QStringLiteral("scaling-plan-narrow"));
    const auto& outcome = *fitPage(bench)->outcome();
    const scaling::Plan plan = scaling::planCompute(*outcome.law, outcome.fit.parameters, 5.76e23);
    QCOMPARE(cell(table, 1, 1), shortText(plan.N));
    QCOMPARE(cell(table, 1, 2), shortText(plan.D));
    QCOMPARE(cell(table, 1, 4), shortText(plan.loss));
}

void ScalingTest::widthsEqualCore()
{
    Bench bench;
    show(bench, 3,
         {{"widths",
           {{"model", "zoo:mlp?hidden=16"}, {"widths", "16,32"}, {"seeds", 1}, {"steps", 2}, {"rate", 0.01}, {"parametrisations", {"mup"}}}}});
    QTRY_VERIFY2(runButton(bench)->isEnabled(), qPrintable(runButton(bench)->toolTip()));
    QTest::mouseClick(runButton(bench), Qt::LeftButton);
    const auto* table = bench.child<QTableWidget>("widthsTable");
    QTRY_COMPARE_WITH_TIMEOUT(table->rowCount(), 2, 60000);
    scaling::CoordinateRequest request;
    request.document = scaling::coordinateDocument("zoo:mlp?hidden=16");
    request.document["train"]["optimizer"] = {{"id", "adam"}, {"lr", 0.01}};
    request.widths = {16, 32};
    request.parametrisation = "mup";
    request.seeds = 1;
    request.steps = 2;
    const scaling::CoordinateCheck check = scaling::checkCoordinates(request);
    takeShots(*bench.panel, QStringLiteral("scaling-widths"));
    bench.panel->resize(470, 720);
    takeShots(*bench.panel, QStringLiteral("scaling-widths-narrow"));
    QCOMPARE(cell(table, 0, 0), QStringLiteral("fc1"));
    QCOMPARE(cell(table, 0, 3), shortText(check.mean("fc1", 32, 2, true)));
    QCOMPARE(cell(table, 1, 2), shortText(check.mean("out", 16, 2, true)));
    auto* step = bench.child<QSpinBox>("step");
    step->setFocus();
    QTest::keyClick(step, Qt::Key_Down);
    QCOMPARE(step->value(), 1);
    QCOMPARE(cell(table, 0, 3), shortText(check.mean("fc1", 32, 1, true)));
    QCOMPARE(bench.panel->commandLine(),
             QStringLiteral("orrery-cli scaling coord-check 'zoo:mlp?hidden=16' --widths 16,32 --parametrisation mup --optimizer adam "
                            "--lr 0.01 --steps 2 --seeds 1"));
}

void ScalingTest::theBestRateGoesToAWiderRun()
{
    Bench bench;
    show(
        bench, 3,
        {{"widths",
          {{"model", "zoo:mlp?hidden=16"}, {"widths", "16,32"}, {"seeds", 1}, {"steps", 3}, {"rates", "1e-6,0.01"}, {"parametrisations", {"mup"}}}}});
    QTRY_VERIFY(runButton(bench)->isEnabled());
    auto* use = bench.child<QPushButton>("useBest");
    QVERIFY(!use->isEnabled());
    QTest::mouseClick(runButton(bench), Qt::LeftButton);
    QTRY_VERIFY_WITH_TIMEOUT(use->isEnabled(), 60000);
    QCOMPARE(cell(bench.child<QTableWidget>("widthsTable"), 0, 2), QStringLiteral("0.01"));
    QTest::mouseClick(use, Qt::LeftButton);
    const core::Json resolved = train::resolveExperiment(bench.session.draft()).document;
    QCOMPARE(resolved["model"]["hidden"], core::Json({32}));
    QCOMPARE(resolved["model"]["parametrisation"], core::Json("mup"));
    QCOMPARE(resolved["model"]["base_width"], core::Json(16));
    QCOMPARE(resolved["train"]["optimizer"]["lr"], core::Json(0.01));
}

void ScalingTest::aCheckIsCancelledInTheMiddle()
{
    Bench bench;
    show(bench, 3, {{"widths", {{"model", "zoo:mlp?hidden=64,64"}, {"widths", "64,128"}, {"seeds", 3}, {"steps", 5000}}}});
    QTRY_VERIFY(runButton(bench)->isEnabled());
    QTest::mouseClick(runButton(bench), Qt::LeftButton);
    auto* bar = page(bench)->findChild<QProgressBar*>();
    QTRY_VERIFY_WITH_TIMEOUT(bar->isVisible() && bar->value() > 0, 60000);
    QTest::mouseClick(page(bench)->findChild<QPushButton*>(QStringLiteral("cancel")), Qt::LeftButton);
    QTRY_VERIFY(runButton(bench)->isEnabled());
    QTRY_VERIFY(bench.panel->isIdle());
    QCOMPARE(bench.child<QTableWidget>("widthsTable")->rowCount(), 0);
}

void ScalingTest::errorsStandInThePanel_data()
{
    QTest::addColumn<QByteArray>("content");
    QTest::addColumn<QString>("sentence");
    QTest::newRow("ragged") << QByteArray("N,D,loss\n1,2\n") << QStringLiteral("line 2");
    QTest::newRow("no such column") << QByteArray("N,tokens,loss\n1,2,3\n2,3,4\n") << QStringLiteral("\"D\"");
    QTest::newRow("not a number") << QByteArray("N,D,loss\n1e6,nan,3\n") << QStringLiteral("line 2");
    QTest::newRow("too few rows") << QByteArray("N,D,loss\n1e6,1e9,3\n2e6,1e9,2.9\n") << QStringLiteral("5");
    QTest::newRow("empty") << QByteArray() << QStringLiteral("points.csv");
}

void ScalingTest::errorsStandInThePanel()
{
    QFETCH(QByteArray, content);
    QFETCH(QString, sentence);
    Bench bench;
    const QString file = written(bench, content);
    show(bench, 0);
    read(bench, file);
    QTRY_VERIFY(!bench.panel->errorText().isEmpty());
    QVERIFY2(bench.panel->errorText().contains(sentence), qPrintable(bench.panel->errorText()));
    QTRY_VERIFY(bench.panel->isIdle());
    // Put right, the error goes.
    written(bench, chinchillaTable());
    read(bench, file);
    QTRY_VERIFY_WITH_TIMEOUT(fitPage(bench)->outcome() && bench.panel->errorText().isEmpty(), 60000);
    // Broken again, the law of the other rows goes: it is not theirs.
    written(bench, content);
    read(bench, file);
    QTRY_VERIFY(!bench.panel->errorText().isEmpty() && bench.panel->isIdle());
    QVERIFY(!fitPage(bench)->outcome());
    QCOMPARE(bench.child<QTableWidget>("parameters")->rowCount(), 0);
}

void ScalingTest::storedFitsReopen()
{
    Bench bench;
    const QString file = written(bench, chinchillaTable());
    jobs::DirectContext context;
    const scaling::FitRequest request =
        scaling::requestFromJson({{"law", "chinchilla"}, {"objective", "least_squares"}, {"search", "random"}, {"starts", 40}, {"resamples", 8}});
    const scaling::FitOutcome outcome = scaling::runFit(request, scaling::readTable(file.toStdString()), context);
    const qint64 id = scaling::storeFit(*bench.workspace(), outcome, {{"file", file.toStdString()}}, 1);
    show(bench, 0);
    auto* button = bench.child<QToolButton>("stored");
    QTRY_VERIFY(button->isEnabled());
    QCOMPARE(button->menu()->actions().size(), 1);
    button->menu()->actions().front()->trigger();
    QTRY_VERIFY_WITH_TIMEOUT(fitPage(bench)->outcome(), 60000);
    QTRY_COMPARE(cell(bench.child<QTableWidget>("parameters"), 0, 1), shortText(outcome.fit.parameters[0]));
    QTRY_COMPARE(bench.child<QLineEdit>("file")->text(), file);
    QCOMPARE(fitPage(bench)->requestDocument()["objective"], core::Json("least_squares"));
    // It stays the stored one when its rows are read: with its intervals, and known as an analysis.
    QTRY_VERIFY(bench.panel->isIdle());
    QCOMPARE(fitPage(bench)->analysis(), std::optional(id));
    QCOMPARE(cell(bench.child<QTableWidget>("parameters"), 0, 2), shortText(outcome.bootstrap->intervals[0].low));
    QVERIFY(!bench.child<QTableWidget>("parameters")->isColumnHidden(2));
    // Where the file is gone, the points that were stored with it stay, and the panel says so.
    QFile::remove(file);
    button->menu()->actions().front()->trigger();
    QTRY_VERIFY(bench.panel->errorText().contains("expected a CSV file, found none"));
    QTRY_VERIFY(bench.panel->isIdle());
    QCOMPARE(fitPage(bench)->analysis(), std::optional(id));
    QVERIFY(fitPage(bench)->table() && fitPage(bench)->table()->rows() == outcome.points.rows());
}

void ScalingTest::stateSurvivesARestart()
{
    Bench bench;
    const QString file = written(bench, chinchillaTable());
    show(bench, 0);
    read(bench, file);
    QTRY_VERIFY_WITH_TIMEOUT(fitPage(bench)->outcome(), 60000);
    auto* holdOut = bench.child<QCheckBox>("holdOut");
    QTest::mouseClick(holdOut, Qt::LeftButton, {}, QPoint(8, holdOut->height() / 2));
    QTRY_VERIFY_WITH_TIMEOUT(fitPage(bench)->outcome()->heldOut, 60000);
    const double below = fitPage(bench)->outcome()->heldOut->below;
    const core::Json state = bench.panel->saveState();
    bench.panel.reset();
    bench.show(state);
    QTRY_VERIFY_WITH_TIMEOUT(fitPage(bench)->outcome() && fitPage(bench)->outcome()->heldOut, 60000);
    QCOMPARE(fitPage(bench)->outcome()->heldOut->below, below);
    QCOMPARE(bench.panel->saveState(), state);
}

void ScalingTest::presetsAreGoodDocuments()
{
    const search::Sweep sweep = search::resolveSweep(mlpSweep());
    QCOMPARE(sweep.trials, std::int64_t(32));
    QCOMPARE(search::resolveSweep(fractionSweep()).trials, std::int64_t(7 * 3));  // fractions, seeds
    const core::Json equal = equalComputeDocument("zoo:gpt?layers=1&heads=2&width=16", 8, 12, 60);
    const core::Json resolved = train::resolveExperiment(equal).document;
    QCOMPARE(resolved["train"]["steps"], core::Json(12));
    QCOMPARE(resolved["train"]["batch_size"], core::Json(8));
}

void ScalingTest::fitsANarrowDock()
{
    Bench bench;
    show(bench, 0);
    auto* pages = bench.child<QTabWidget>("pages");
    for (int i = 0; i < pages->count(); ++i)
        QVERIFY2(pages->widget(i)->minimumSizeHint().width() <= 440,
                 qPrintable(QStringLiteral("%1: %2").arg(pages->tabText(i)).arg(pages->widget(i)->minimumSizeHint().width())));
    QVERIFY2(bench.panel->minimumSizeHint().width() <= 470, qPrintable(QString::number(bench.panel->minimumSizeHint().width())));
}

QTEST_MAIN(ScalingTest)
#include "scaling_test.moc"
