// The Data panel: from an empty state to predictions that equal core's, a prediction cancelled in the middle, state after a restart.
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QLabel>
#include <QListView>
#include <QProgressBar>
#include <QPushButton>
#include <QSignalSpy>
#include <QSlider>

#include <atomic>
#include <future>

#include <core/base/error.h>
#include <core/catalogue.h>
#include <core/train/samples.h>
#include <plugins/data/data_panel.h>
#include <widgets/commands.h>

#include "../widgets/shots.h"
#include "trained_bench.h"

using namespace orrery;
using namespace orrery::plugins;
using Bench = test::PanelBench<DataPanel>;

namespace {

const core::Json kSmall{{"id", "mlp"}, {"hidden", {8}}};
const core::Json kPictures{{"id", "lenet"}, {"maps", {4, 8}}, {"kernel", 3}, {"padding", 1}, {"hidden", {16}}};

QComboBox* box(const Bench& bench, const QString& name)
{
    for (auto* found : bench.panel->findChildren<QComboBox*>())
        if (found->accessibleName() == name)
            return found;
    return nullptr;
}

QPushButton* button(const Bench& bench, const QString& text)
{
    for (auto* found : bench.panel->findChildren<QPushButton*>())
        if (found->text().remove('&') == text)
            return found;
    return nullptr;
}

QListView* view(const Bench& bench)
{
    return bench.child<QListView>("samples");
}
QString status(const Bench& bench)
{
    return bench.child<QLabel>("status")->text();
}

/// Chooses an entry of a combo box by keys, as a person does.
void choose(QComboBox* box, int row)
{
    box->setFocus();
    QTest::keyClick(box, Qt::Key_Home);
    for (int i = 0; i < row; ++i)
        QTest::keyClick(box, Qt::Key_Down);
}

}  // namespace

class DataTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { core::registerAll(); }
    void withoutAWorkspaceItSaysWhatToDo();
    void theEmptyStateLeadsToTheDigits();
    void wrongPredictionsOfTheRunEqualTheStore();
    void confidenceSortsAndFilters();
    void selectedSamplesAreSelectedEverywhere();
    void doubleClickAsksForTheAttribution();
    void aPredictionIsCancelledInTheMiddle();
    void predictingAPartEqualsCore();
    void storedPredictionsThatComeLateAreLeftOut();
    void brokenDataAreExplained();
    void onesOwnDataStayWhenAModelIsOpened();
    void stateSurvivesARestart();
    void tableRowsShowValuesAsInTheFile();
};

void DataTest::withoutAWorkspaceItSaysWhatToDo()
{
    Bench bench(false);
    bench.show();
    QVERIFY(bench.panel->isShowingEmptyState());
    QCOMPARE(bench.panel->commandLine(), QString());
}

void DataTest::theEmptyStateLeadsToTheDigits()
{
    Bench bench;
    bench.show();
    QVERIFY(bench.panel->isShowingEmptyState());
    auto* start = button(bench, "Show the digits");
    QVERIFY(start);
    QTest::mouseClick(start, Qt::LeftButton);
    QTRY_VERIFY(!bench.panel->isShowingEmptyState());
    const auto digits = data::openData({{"id", "digits"}});
    QTRY_COMPARE(view(bench)->model()->rowCount(), int(digits->split(data::Split::Test).size()));
    QVERIFY(bench.session.selection().data == core::Json({{"id", "digits"}}));
    QCOMPARE(bench.session.selection().split, QString("test"));
    // The first picture arrives in the background and is the sample's, pixel by pixel.
    const auto index = view(bench)->model()->index(0, 0);
    QTRY_VERIFY(!index.data(DataModel::PictureRole).value<QImage>().isNull());
    const auto picture = index.data(DataModel::PictureRole).value<QImage>();
    const std::int64_t first = digits->split(data::Split::Test)[0];
    const auto bytes = data::toDisplay(digits->info(), digits->fetch({&first, 1}).inputs[0][0]);
    for (int y = 0; y < 8; ++y)
        for (int x = 0; x < 8; ++x)
            QCOMPARE(qGray(picture.pixel(x, y)), int(bytes[y][x][0].item<std::uint8_t>()));
    QTRY_COMPARE(index.data(DataModel::TargetTextRole).toString().toStdString(), digits->targetText(first));
    QTRY_VERIFY(bench.panel->isIdle());
}

void DataTest::wrongPredictionsOfTheRunEqualTheStore()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kPictures, "digits", 1);
    const auto stored = train::predictionsOfRun(*bench.workspace(), run);
    QVERIFY(stored);
    int wrong = 0;
    for (std::size_t i = 0; i < stored->samples.size(); ++i)
        wrong += stored->targets[i] != stored->predicted[i];
    QVERIFY(wrong > 0);
    bench.show();
    bench.session.selectRuns({run});
    QTRY_VERIFY(status(bench).contains(QString("%1 wrong of %2 predicted by run %3").arg(wrong).arg(stored->samples.size()).arg(run)));
    QTRY_VERIFY(bench.panel->isIdle());
    takeShots(*bench.panel, "data-predictions");
    choose(box(bench, "Predictions"), 1);
    QTRY_COMPARE(view(bench)->model()->rowCount(), wrong);
    for (int row = 0; row < wrong; ++row) {
        const auto index = view(bench)->model()->index(row, 0);
        QVERIFY(index.data(DataModel::WrongRole).toBool());
        QVERIFY(index.data(DataModel::TargetTextRole) != index.data(DataModel::PredictedTextRole));
    }
    QVERIFY(view(bench)->model()->index(0, 0).data().toString().contains("taken for"));
    QVERIFY(bench.panel->commandLine().contains(QString("evaluate run:%1").arg(run)));
}

void DataTest::confidenceSortsAndFilters()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kSmall, "iris", 2);
    bench.show();
    bench.session.selectRuns({run});
    QTRY_VERIFY(status(bench).contains("predicted by run"));
    choose(box(bench, "Order"), 1);
    auto* model = view(bench)->model();
    for (int row = 1; row < model->rowCount(); ++row)
        QVERIFY(model->index(row - 1, 0).data(DataModel::ConfidenceRole).toDouble() <=
                model->index(row, 0).data(DataModel::ConfidenceRole).toDouble());
    const auto stored = train::predictionsOfRun(*bench.workspace(), run);
    QCOMPARE(float(model->index(0, 0).data(DataModel::ConfidenceRole).toDouble()),
             float(*std::min_element(stored->confidence.begin(), stored->confidence.end())));
    auto* lowest = bench.panel->findChildren<QDoubleSpinBox*>().value(0);
    lowest->setFocus();
    lowest->selectAll();
    QTest::keyClicks(lowest, "0.5");
    QTest::keyClick(lowest, Qt::Key_Return);
    const auto above = std::count_if(stored->confidence.begin(), stored->confidence.end(), [](double c) { return float(c) >= 0.5F; });
    QTRY_COMPARE(model->rowCount(), int(above));
}

void DataTest::selectedSamplesAreSelectedEverywhere()
{
    Bench bench;
    bench.show();
    bench.session.changeSelection([](widgets::Selection& s) {
        s.data = {{"id", "digits"}};
        s.split = "val";
    });
    QTRY_VERIFY(view(bench)->model()->rowCount() > 0);
    QTRY_VERIFY(bench.panel->isIdle());
    const auto at = [&](int row) { return view(bench)->visualRect(view(bench)->model()->index(row, 0)).center(); };
    QTest::mouseClick(view(bench)->viewport(), Qt::LeftButton, {}, at(2));
    QCOMPARE(bench.session.selection().samples, QList<qint64>{2});
    QTest::mouseClick(view(bench)->viewport(), Qt::LeftButton, Qt::ControlModifier, at(4));
    QCOMPARE(bench.session.selection().samples, (QList<qint64>{2, 4}));
    QCOMPARE(bench.session.selection().split, QString("val"));
    bench.session.changeSelection([](widgets::Selection& s) { s.samples = {7}; });
    QCOMPARE(view(bench)->selectionModel()->selectedIndexes().size(), 1);
    QCOMPARE(view(bench)->currentIndex().row(), 7);
}

void DataTest::doubleClickAsksForTheAttribution()
{
    Bench bench;
    bench.show();
    bench.session.changeSelection([](widgets::Selection& s) { s.data = {{"id", "digits"}}; });
    QTRY_VERIFY(view(bench)->model()->rowCount() > 0);
    QTRY_VERIFY(bench.panel->isIdle());
    QSignalSpy requested(&bench.session, &widgets::Session::panelRequested);
    const auto place = view(bench)->visualRect(view(bench)->model()->index(1, 0)).center();
    QTest::mouseClick(view(bench)->viewport(), Qt::LeftButton, {}, place);
    QTest::mouseDClick(view(bench)->viewport(), Qt::LeftButton, {}, place);
    QCOMPARE(requested.size(), 1);
    QCOMPARE(requested[0][0].toString(), QString("attribution"));
    QTest::keyClick(view(bench), Qt::Key_Return);
    QCOMPARE(requested.size(), 2);
}

void DataTest::aPredictionIsCancelledInTheMiddle()
{
    Bench bench;
    bench.show();
    bench.session.changeSelection([](widgets::Selection& s) {
        s.model = "zoo:resnet?depth=110&width=64&channels=1&image_size=8";
        s.data = {{"id", "digits"}};
        s.split = "train";
    });
    QTRY_VERIFY(view(bench)->model()->rowCount() > 1000);
    QTRY_VERIFY(button(bench, "Predict this part")->isEnabled());
    QTest::mouseClick(button(bench, "Predict this part"), Qt::LeftButton);
    auto* bar = bench.panel->findChild<QProgressBar*>();
    QTRY_VERIFY_WITH_TIMEOUT(bar->isVisible() && bar->value() > 0, 120000);
    QVERIFY(!bench.panel->isIdle());
    QVERIFY(bar->value() < bar->maximum());
    QTest::mouseClick(button(bench, "Cancel"), Qt::LeftButton);
    QVERIFY(!bar->isVisible());
    QTRY_VERIFY(bench.panel->isIdle());
    QTRY_VERIFY(!bench.session.hasBackgroundWork());
    QVERIFY(status(bench).contains("no predictions"));
    QVERIFY(button(bench, "Predict this part")->isEnabled());
}

void DataTest::predictingAPartEqualsCore()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kSmall, "iris", 2);
    bench.show();
    bench.session.selectRuns({run});
    QTRY_VERIFY(status(bench).contains("predicted by run"));
    choose(box(bench, "Part"), 0);
    QTRY_VERIFY(status(bench).contains("no predictions"));
    QTest::mouseClick(button(bench, "Predict this part"), Qt::LeftButton);
    const auto model = train::modelOfRun(*bench.workspace(), run);
    const auto iris = train::dataOfRun(*bench.workspace(), run);
    train::EvaluateOptions options;
    options.predictions = true;
    const auto expected = train::evaluateModel(model, *iris, data::Split::Train, core::Json::array({"accuracy"}), options);
    const auto wrong = std::lround((1 - expected.value("accuracy")) * double(expected.samples));
    QTRY_VERIFY2(status(bench).contains(QString("%1 wrong of %2 predicted").arg(wrong).arg(expected.samples)), qPrintable(status(bench)));
}

/// Stored predictions are read where quick work waits for its turn; what is asked for anew meanwhile is not put aside by them.
void DataTest::storedPredictionsThatComeLateAreLeftOut()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), kSmall, "iris", 2);
    bench.show();
    bench.session.selectRuns({run});
    QTRY_VERIFY(status(bench).contains(QString("predicted by run %1").arg(run)));
    choose(box(bench, "Part"), 0);
    QTRY_VERIFY(status(bench).contains("no predictions") && !bench.session.hasBackgroundWork());
    std::promise<void> gate;
    const std::shared_future<void> open = gate.get_future().share();
    QObject owner;
    std::atomic<int> waiting{0};
    for (int i = 0; i < 2; ++i)
        bench.session.runInBackground(
            &owner,
            [&waiting, open](widgets::BackgroundContext&) {
                ++waiting;
                open.wait();
                return 0;
            },
            [](int) {}, [](const QString&) {});
    QTRY_COMPARE(waiting.load(), 2);
    choose(box(bench, "Part"), 2);  // the stored ones are asked for, and wait
    QTest::mouseClick(button(bench, "Predict this part"), Qt::LeftButton);
    const QString anew = QString("predicted by run:%1").arg(run);
    QTRY_VERIFY2(status(bench).contains(anew), qPrintable(status(bench)));
    gate.set_value();
    QTRY_VERIFY(!bench.session.hasBackgroundWork());
    QVERIFY2(status(bench).contains(anew), qPrintable(status(bench)));
}

void DataTest::brokenDataAreExplained()
{
    Bench bench;
    bench.show();
    bench.session.changeSelection([](widgets::Selection& s) { s.data = {{"id", "csv"}, {"path", "/nowhere/at/all.csv"}}; });
    QTRY_VERIFY(bench.panel->errorText().contains("/nowhere/at/all.csv"));
    QVERIFY(bench.panel->isShowingEmptyState());
    QTRY_VERIFY(bench.panel->isIdle());
    // They are not chosen any more: the next start does not try them again.
    QVERIFY(bench.session.selection().data.is_null());
    bench.session.changeSelection([](widgets::Selection& s) { s.data = {{"id", "digits"}}; });
    QTRY_VERIFY(view(bench)->model()->rowCount() > 0);
    QVERIFY(bench.panel->errorText().isEmpty());
    bench.session.changeSelection([](widgets::Selection& s) { s.data = {{"id", "csv"}, {"path", "/nowhere/at/all.csv"}}; });
    QTRY_VERIFY(bench.panel->errorText().contains("/nowhere/at/all.csv"));
    QCOMPARE(bench.session.selection().data, core::Json({{"id", "digits"}}));
    QVERIFY(view(bench)->model()->rowCount() > 0);
}

void DataTest::onesOwnDataStayWhenAModelIsOpened()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), {{"id", "mlp"}, {"hidden", {4}}}, "iris", 1);
    bench.show();
    bench.session.selectRuns({run});
    QTRY_VERIFY(view(bench)->model()->rowCount() > 0 && bench.panel->isIdle());
    bench.session.changeSelection([](widgets::Selection& s) { s.data = {{"id", "digits"}}; });
    QTRY_COMPARE(box(bench, "Data set")->currentText(), QString("digits"));
    bench.session.openModel("zoo:lenet?image_size=8&kernel=3&padding=1");
    QTRY_VERIFY(bench.panel->isIdle() && !bench.session.hasBackgroundWork());
    QCOMPARE(box(bench, "Data set")->currentText(), QString("digits"));
    QCOMPARE(bench.session.selection().data, core::Json({{"id", "digits"}}));
    // The run is what is meant again.
    bench.session.changeSelection([](widgets::Selection& s) { s.model.clear(); });
    QTRY_COMPARE(box(bench, "Data set")->currentText(), QString("Data of run %1").arg(run));
}

void DataTest::stateSurvivesARestart()
{
    Bench bench;
    core::Json state;
    bench.show();
    bench.session.changeSelection([](widgets::Selection& s) {
        s.data = {{"id", "digits"}};
        s.split = "val";
    });
    QTRY_VERIFY(view(bench)->model()->rowCount() > 0);
    choose(box(bench, "Class"), 4);
    auto* size = bench.panel->findChild<QSlider*>();
    size->setFocus();
    QTest::keyClick(size, Qt::Key_End);
    const int rows = view(bench)->model()->rowCount();
    state = bench.panel->saveState();
    bench.panel.reset();
    bench.session.setSelection({});
    bench.show(state);
    QTRY_COMPARE(view(bench)->model()->rowCount(), rows);
    QTRY_COMPARE(box(bench, "Class")->currentText(), QString("3"));
    QCOMPARE(bench.panel->findChild<QSlider*>()->value(), size ? 160 : 0);
    QCOMPARE(box(bench, "Part")->currentData().toString(), QString("val"));
    for (int row = 0; row < rows; ++row)
        QTRY_COMPARE(view(bench)->model()->index(row, 0).data(DataModel::TargetTextRole).toString(), QString("3"));
    bench.panel->restoreState({{"picture_size", "large"}, {"confidence", 3}, {"class", -7}});  // an older or damaged state changes nothing
}

void DataTest::tableRowsShowValuesAsInTheFile()
{
    Bench bench;
    bench.show();
    bench.session.changeSelection([](widgets::Selection& s) {
        s.data = {{"id", "iris"}};
        s.split = "train";
    });
    QTRY_VERIFY(view(bench)->model()->rowCount() > 0);
    const auto index = view(bench)->model()->index(0, 0);
    QTRY_VERIFY(!index.data(DataModel::RowTextRole).toString().isEmpty());
    const auto iris = data::openData({{"id", "iris"}, {"standardize", false}});
    const std::int64_t first = iris->split(data::Split::Train)[0];
    const double value = double(iris->fetch({&first, 1}).inputs[0][0][0].item<float>());
    const QString expected = QString::fromStdString(iris->info().featureNames[0]) + " " + QString::number(value, 'g', 4);
    QVERIFY2(index.data(DataModel::RowTextRole).toString().startsWith(expected),
             qPrintable(index.data(DataModel::RowTextRole).toString() + " / " + expected));
    takeShots(*bench.panel, "data-table");
}

QTEST_MAIN(DataTest)
#include "data_test.moc"
