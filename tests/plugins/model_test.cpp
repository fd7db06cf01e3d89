// The Model panel: from an empty state to statistics and values that equal core's, a run cancelled in the middle, state after a restart.
#include <QLabel>
#include <QLineEdit>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QSlider>
#include <QTabWidget>
#include <QTreeView>

#include <core/catalogue.h>
#include <core/graph/inspect.h>
#include <core/models/open_model.h>
#include <core/train/samples.h>
#include <plugins/model/model_panel.h>
#include <plugins/model/tensor_detail.h>
#include <widgets/heat_map_view.h>

#include "../widgets/shots.h"
#include "model_faults.h"
#include "trained_bench.h"

using namespace orrery;
using namespace orrery::plugins;
using Bench = test::PanelBench<ModelPanel>;

namespace {

const char* const kLenet = "zoo:lenet?image_size=8&kernel=3&padding=1";

QPushButton* button(const Bench& bench, const QString& text)
{
    for (auto* found : bench.panel->findChildren<QPushButton*>())
        if (found->text().remove('&') == text)
            return found;
    return nullptr;
}

QTreeView* tree(const Bench& bench)
{
    return bench.child<QTreeView>("tree");
}
TensorDetail* tensor(const Bench& bench)
{
    return bench.panel->findChild<TensorDetail*>();
}
QString summary(const Bench& bench)
{
    return bench.child<QLabel>("summary")->text();
}
int leaves(const QAbstractItemModel& model, const QModelIndex& parent = {})
{
    int count = 0;
    for (int row = 0; row < model.rowCount(parent); ++row)
        count += model.rowCount(model.index(row, 0, parent)) ? leaves(model, model.index(row, 0, parent)) : 1;
    return count;
}

}  // namespace

class ModelTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { core::registerAll(); }
    void emptyStatesSayWhatToDo();
    void theTreeHoldsEveryNodeAndParameter();
    void theFileSaysWhatItIs();
    void countsEqualCore();
    void weightsShowTheirStatistics();
    void slidersChooseTheSlice();
    void theSelectionGoesBothWays();
    void valuesOnTheSampleEqualCore();
    void runsOfTheWorkspaceAreOpened();
    void theFilterKeepsWhatMatches();
    void aDamagedFileIsExplained_data() { test::addModelFaults(); }
    void aDamagedFileIsExplained();
    void aFileIsOpenedAgainWhenItHasChanged();
    void aFileCutWhileItIsOpenIsNamed();
    void weightsThatAreNotFiniteAreCounted();
    void aModelThatGivesNothingBackIsNotRun();
    void aRunOnTheSampleIsCancelledInTheMiddle_data()
    {
        QTest::addColumn<bool>("isClosed");  // it is no job of the queue, so that nobody else can end it
        QTest::newRow("by its button") << false;
        QTest::newRow("panel closed") << true;
    }
    void aRunOnTheSampleIsCancelledInTheMiddle();
    void stateSurvivesARestart();
};

void ModelTest::emptyStatesSayWhatToDo()
{
    Bench without(false);
    without.show();
    QVERIFY(without.panel->isShowingEmptyState());
    Bench bench;
    bench.show();
    QVERIFY(bench.panel->isShowingEmptyState());
    QCOMPARE(bench.panel->commandLine(), QString());
}

void ModelTest::theTreeHoldsEveryNodeAndParameter()
{
    Bench bench;
    bench.show();
    bench.session.openModel(kLenet);
    QTRY_VERIFY(!bench.panel->isShowingEmptyState());
    const auto model = models::openModel(kLenet);
    QCOMPARE(leaves(*tree(bench)->model()),
             int(model.graph->allNodes().size() + model.graph->data().parameters.size() + model.graph->data().inputs.size()));
    QCOMPARE(bench.panel->findChild<QPlainTextEdit*>()->toPlainText().trimmed(), QString::fromStdString(model.graph->print()).trimmed());
    QCOMPARE(bench.panel->commandLine(), QString("orrery-cli inspect '%1'").arg(kLenet));
}

void ModelTest::theFileSaysWhatItIs()
{
    Bench bench;
    bench.show();
    bench.session.openModel(ORRERY_TEST_DATA "/onnx/cnn-1.13.onnx");
    QTRY_VERIFY(tree(bench)->currentIndex().isValid() && bench.panel->isIdle());
    const auto labels = tensor(bench)->findChildren<QLabel*>();
    QVERIFY(std::any_of(labels.begin(), labels.end(), [](const QLabel* label) {
        return label->isVisible() && label->text().contains("producer") && label->text().contains("pytorch 1.13") &&
               label->text().contains("operator set ai.onnx");
    }));
    takeShots(*bench.panel, "model-file");
}

void ModelTest::countsEqualCore()
{
    Bench bench;
    bench.show();
    bench.session.openModel(kLenet);
    QTRY_VERIFY(!bench.panel->isShowingEmptyState());
    const auto model = models::openModel(kLenet);
    const auto found = graph::inspect(graph::Executor(model.graph), model.weights, graph::exampleInputs(model));
    QVERIFY(found.wasRun);
    QVERIFY2(summary(bench).contains(shortCount(found.parameters) + " parameters"), qPrintable(summary(bench)));
    QVERIFY2(summary(bench).contains(shortCount(found.flops) + " FLOPs"), qPrintable(summary(bench)));
    const auto root = tree(bench)->model()->index(0, 0);
    QCOMPARE(root.siblingAtColumn(ModelTree::ParametersColumn).data().toString(), shortCount(found.parameters));
    QCOMPARE(root.siblingAtColumn(ModelTree::FlopsColumn).data().toString(), shortCount(found.flops));
}

void ModelTest::weightsShowTheirStatistics()
{
    Bench bench;
    bench.show();
    bench.session.openModel(kLenet);
    QTRY_VERIFY(!bench.panel->isShowingEmptyState());
    const auto model = models::openModel(kLenet);
    const auto& first = model.graph->data().parameters[0];
    bench.session.changeSelection([&](widgets::Selection& s) { s.valuePath = QString::fromStdString(first.name); });
    QTRY_COMPARE(tensor(bench)->tensor().title.toStdString(), first.name);
    const auto statistics = graph::statistics(model.weights.at(first.name));
    QVERIFY(bench.child<QLabel>("statistics")->text().contains("mean " + QString::number(statistics.mean, 'g', 6)));
    QCOMPARE(tensor(bench)->tensor().statistics.histogram, statistics.histogram);
    QTRY_VERIFY(bench.panel->isIdle());
    takeShots(*bench.panel, "model-weights");
}

void ModelTest::slidersChooseTheSlice()
{
    Bench bench;
    bench.show();
    bench.session.openModel(kLenet);
    QTRY_VERIFY(!bench.panel->isShowingEmptyState());
    const auto model = models::openModel(kLenet);
    std::string name;
    for (const auto& parameter : model.graph->data().parameters)
        if (parameter.shape.size() == 4 && name.empty())
            name = parameter.name;
    bench.session.changeSelection([&](widgets::Selection& s) { s.valuePath = QString::fromStdString(name); });
    QTRY_COMPARE(tensor(bench)->tensor().title.toStdString(), name);
    tensor(bench)->setTab(1);
    auto* slider = tensor(bench)->findChild<QSlider*>("axis0");
    QVERIFY(slider);
    slider->setFocus();
    QTest::keyClick(slider, Qt::Key_Right);
    QTest::keyClick(slider, Qt::Key_Right);
    QCOMPARE(slider->value(), 2);
    const auto weights = model.weights.at(name);
    QCOMPARE(tensor(bench)->heatMap()->value(1, 2), double(weights[2][0][1][2].item<float>()));
    takeShots(*bench.panel, "model-heat-map");
}

void ModelTest::theSelectionGoesBothWays()
{
    Bench bench;
    bench.show();
    bench.session.openModel(kLenet);
    QTRY_VERIFY(!bench.panel->isShowingEmptyState());
    auto* view = tree(bench);
    view->expandAll();
    const auto third = view->model()->index(2, 0, view->model()->index(0, 0));
    view->scrollTo(third);
    QTest::mouseClick(view->viewport(), Qt::LeftButton, {}, view->visualRect(third).center());
    QVERIFY(!bench.session.selection().valuePath.isEmpty());
    QVERIFY(third.data(Qt::ToolTipRole).toString().startsWith(bench.session.selection().valuePath));
    const auto model = models::openModel(kLenet);
    const QString last = QString::fromStdString(model.graph->nodes().back().name);
    bench.session.changeSelection([&](widgets::Selection& s) { s.valuePath = last; });
    QVERIFY(view->currentIndex().data(Qt::ToolTipRole).toString().startsWith(last));
    QVERIFY(bench.child<QLabel>("node")->text().contains(QString::fromStdString(model.graph->nodes().back().op)));
}

void ModelTest::valuesOnTheSampleEqualCore()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), {{"id", "mlp"}, {"hidden", {8}}}, "iris", 1);
    bench.show();
    bench.session.selectRuns({run});
    bench.session.changeSelection([](widgets::Selection& s) {
        s.split = "test";
        s.samples = {4};
    });
    QTRY_VERIFY(!bench.panel->isShowingEmptyState());
    const auto model = train::modelOfRun(*bench.workspace(), run);
    const QString last = QString::fromStdString(model.graph->nodes().back().name);
    bench.session.changeSelection([&](widgets::Selection& s) { s.valuePath = last; });
    QTRY_VERIFY(bench.panel->isIdle());
    QTest::mouseClick(button(bench, "Value on the sample"), Qt::LeftButton);
    QTRY_VERIFY(tensor(bench)->tensor().title.startsWith(last + " on sample 4"));
    const auto data = train::dataOfRun(*bench.workspace(), run);
    const std::int64_t index = data->split(data::Split::Test)[4];
    const auto output = graph::Executor(model.graph).forward(model.weights, {data->fetch({&index, 1}).inputs[0]});
    const auto& values = tensor(bench)->tensor().values;
    QCOMPARE(values.size(), std::size_t(output.numel()));
    for (std::size_t i = 0; i < values.size(); ++i)
        QCOMPARE(values[i], output.reshape(-1)[std::int64_t(i)].item<float>());
}

void ModelTest::runsOfTheWorkspaceAreOpened()
{
    Bench bench;
    const auto run = test::trainedRun(bench.workspace(), {{"id", "mlp"}, {"hidden", {8}}}, "iris", 1);
    bench.show();
    bench.session.selectRuns({run});
    QTRY_VERIFY(!bench.panel->isShowingEmptyState());
    QVERIFY(summary(bench).startsWith(QString("run:%1: ").arg(run)));
    bench.session.changeSelection([](widgets::Selection& s) {
        s.weightsRun = 1;
        s.checkpointStep = 987654;
    });
    QTRY_VERIFY(bench.panel->errorText().contains("987654"));
    QVERIFY(bench.panel->isShowingEmptyState());
}

void ModelTest::theFilterKeepsWhatMatches()
{
    Bench bench;
    bench.show();
    bench.session.openModel(kLenet);
    QTRY_VERIFY(!bench.panel->isShowingEmptyState());
    const int all = leaves(*tree(bench)->model());
    auto* search = bench.child<QLineEdit>("filter");
    search->setFocus();
    QTest::keyClicks(search, "weight");
    const int kept = leaves(*tree(bench)->model());
    QVERIFY(kept > 0 && kept < all);
    QTest::keyClick(search, Qt::Key_A, Qt::ControlModifier);
    QTest::keyClick(search, Qt::Key_Delete);
    QCOMPARE(leaves(*tree(bench)->model()), all);
    // What is chosen stays chosen, be its row hidden.
    const QString chosen = "conv1.weight";
    bench.session.changeSelection([&](widgets::Selection& s) { s.valuePath = chosen; });
    QTRY_COMPARE(tensor(bench)->tensor().title, chosen);
    search->setFocus();
    QTest::keyClicks(search, "conv2");
    QTRY_VERIFY(bench.panel->isIdle());
    QCOMPARE(bench.session.selection().valuePath, chosen);
    QCOMPARE(tensor(bench)->tensor().title, chosen);
    QTest::keyClicks(search, "xyz");
    QVERIFY(bench.child<QLabel>("noMatch")->isVisible());
    QTest::keyClick(search, Qt::Key_A, Qt::ControlModifier);
    QTest::keyClick(search, Qt::Key_Delete);
    QVERIFY(!bench.child<QLabel>("noMatch")->isVisible());
    QVERIFY(tree(bench)->currentIndex().data(Qt::ToolTipRole).toString().startsWith(chosen));
}

void ModelTest::aDamagedFileIsExplained()
{
    QFETCH(QString, kind);
    QFETCH(QString, message);
    Bench bench;
    bench.show();
    bench.session.openModel(test::faultyModel(kind, bench.folder.path(), *bench.workspace()));
    QTRY_VERIFY2(bench.panel->errorText().contains(message), qPrintable(bench.panel->errorText()));
    QVERIFY(bench.panel->isShowingEmptyState() && bench.panel->isIdle());
    bench.session.openModel(kLenet);
    QTRY_VERIFY(!bench.panel->isShowingEmptyState());
    QCOMPARE(bench.panel->errorText(), QString());
}

/// Opened in vain, mended, opened again; then another model of the same name.
void ModelTest::aFileIsOpenedAgainWhenItHasChanged()
{
    Bench bench;
    const QString file = bench.folder.filePath("model.safetensors");
    core::writeFileAtomically(file.toStdString(), "hello");
    bench.show();
    bench.session.openModel(file);
    QTRY_VERIFY(bench.panel->errorText().contains("model.safetensors"));
    models::saveModel(file.toStdString(), models::openModel("zoo:mlp?features=4&classes=3"));
    bench.session.openModel(file);
    QTRY_VERIFY(!bench.panel->isShowingEmptyState() && bench.panel->isIdle());
    QCOMPARE(bench.panel->errorText(), QString());
    const QString before = summary(bench);
    bench.session.openModel(file);  // as it is: nothing happens
    QVERIFY(!bench.panel->isShowingEmptyState() && bench.panel->isIdle());
    models::saveModel(file.toStdString(), models::openModel("zoo:mlp?features=5&classes=3"));
    bench.session.openModel(file);
    QTRY_VERIFY(!bench.panel->isShowingEmptyState() && bench.panel->isIdle());
    QVERIFY2(summary(bench) != before, qPrintable(summary(bench)));
}

void ModelTest::aFileCutWhileItIsOpenIsNamed()
{
    Bench bench;
    const QString file = bench.folder.filePath("model.safetensors");
    const auto model = models::openModel("zoo:mlp?features=64&hidden=256&classes=3");
    models::saveModel(file.toStdString(), model);
    bench.show();
    bench.session.openModel(file);
    QTRY_VERIFY(!bench.panel->isShowingEmptyState() && bench.panel->isIdle());
    bench.session.changeSelection([](widgets::Selection& s) { s.valuePath = "fc1.bias"; });
    QTRY_COMPARE(tensor(bench)->tensor().title, QString("fc1.bias"));
    test::cutInPlace(file);
    bench.session.changeSelection([](widgets::Selection& s) { s.valuePath = "fc1.weight"; });
    QTRY_VERIFY2(bench.panel->errorText().contains("the file was cut short while it was open here"), qPrintable(bench.panel->errorText()));
    bench.session.changeSelection([](widgets::Selection& s) { s.valuePath = "fc1.linear"; });
    QTRY_VERIFY(bench.panel->isIdle());
    bench.panel->showError({});
    QTest::mouseClick(button(bench, "Value on the sample"), Qt::LeftButton);
    QTRY_VERIFY2(bench.panel->errorText().contains("open it again"), qPrintable(bench.panel->errorText()));
    models::saveModel(file.toStdString(), model);
    bench.session.openModel(file);
    QTRY_VERIFY(!bench.panel->isShowingEmptyState() && bench.panel->isIdle());
    QCOMPARE(bench.panel->errorText(), QString());
}

void ModelTest::weightsThatAreNotFiniteAreCounted()
{
    Bench bench;
    bench.show();
    bench.session.openModel(test::nanModel(bench.folder.path()));
    QTRY_VERIFY(!bench.panel->isShowingEmptyState() && bench.panel->isIdle());
    bench.session.changeSelection([](widgets::Selection& s) { s.valuePath = "wte.weight"; });
    QTRY_COMPARE(tensor(bench)->tensor().title, QString("wte.weight"));
    QCOMPARE(tensor(bench)->tensor().statistics.nans, std::int64_t(6 * 17));
    const auto text = tensor(bench)->findChild<QLabel*>("statistics")->text();
    QVERIFY2(text.contains("102") && text.contains("NaN"), qPrintable(text));
}

void ModelTest::aModelThatGivesNothingBackIsNotRun()
{
    Bench bench;
    auto model = models::openModel("zoo:mlp?features=4&classes=3");
    auto data = model.graph->data();
    data.body.outputs.clear();
    data.outputNames.clear();
    model.graph = std::make_shared<const graph::Graph>(std::move(data));
    const QString file = bench.folder.filePath("model.safetensors");
    models::saveModel(file.toStdString(), model);
    bench.show();
    bench.session.openModel(file);
    QTRY_VERIFY(!bench.panel->isShowingEmptyState() && bench.panel->isIdle());
    QTest::mouseClick(button(bench, "Value on the sample"), Qt::LeftButton);
    QTRY_VERIFY2(bench.panel->errorText().contains("choose one of its nodes"), qPrintable(bench.panel->errorText()));
}

void ModelTest::aRunOnTheSampleIsCancelledInTheMiddle()
{
    Bench bench;
    bench.show();
    bench.session.openModel("zoo:resnet?layout=imagenet&depth=18&image_size=224&classes=10");
    QTRY_VERIFY_WITH_TIMEOUT(!bench.panel->isShowingEmptyState(), 60000);
    QTRY_VERIFY(bench.panel->isIdle());
    const QString before = tensor(bench)->tensor().title;
    QTest::mouseClick(button(bench, "Value on the sample"), Qt::LeftButton);
    QVERIFY(button(bench, "Cancel")->isVisible());
    QVERIFY(!bench.panel->isIdle());
    QTRY_VERIFY(bench.session.hasBackgroundWork());
    QFETCH(bool, isClosed);
    if (isClosed) {
        bench.panel.reset();
        QTRY_VERIFY(!bench.session.hasBackgroundWork());
        return;
    }
    QTest::mouseClick(button(bench, "Cancel"), Qt::LeftButton);
    QTRY_VERIFY(bench.panel->isIdle());
    QVERIFY(button(bench, "Value on the sample")->isVisible());
    QTRY_VERIFY(!bench.session.hasBackgroundWork());
    QCOMPARE(tensor(bench)->tensor().title, before);
}

void ModelTest::stateSurvivesARestart()
{
    Bench bench;
    bench.show();
    bench.session.openModel(kLenet);
    QTRY_VERIFY(!bench.panel->isShowingEmptyState());
    const auto model = models::openModel(kLenet);
    const QString name = QString::fromStdString(model.graph->data().parameters[2].name);
    bench.session.changeSelection([&](widgets::Selection& s) { s.valuePath = name; });
    tensor(bench)->setTab(2);
    const auto state = bench.panel->saveState();
    bench.panel.reset();
    bench.session.changeSelection([](widgets::Selection& s) { s.valuePath.clear(); });
    bench.show(state);
    QTRY_COMPARE(tensor(bench)->tensor().title, name);
    QCOMPARE(tensor(bench)->tab(), 2);
    bench.panel->restoreState({{"tab", "first"}, {"path", 3}});
}

QTEST_MAIN(ModelTest)
#include "model_test.moc"
