// The Model panel's picture, text and comparison, against core's numbers, by mouse and keys.
#include <ATen/ATen.h>

#include <QCheckBox>
#include <QComboBox>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QScrollArea>
#include <QSplitter>
#include <QTreeView>

#include <core/catalogue.h>
#include <core/compare/weight_difference.h>
#include <core/graph/inspect.h>
#include <core/models/model_file.h>
#include <core/models/open_model.h>
#include <core/train/samples.h>
#include <plugins/model/compare_page.h>
#include <plugins/model/graph_page.h>
#include <plugins/model/graph_text.h>
#include <plugins/model/node_text.h>
#include <widgets/plot_view.h>
#include <widgets/table_view.h>

#include "../core/graph/sample_graphs.h"
#include "../widgets/shots.h"
#include "model_bench.h"
#include "model_faults.h"

using namespace orrery;
using namespace orrery::plugins;
using test::kLenet;
using test::WideBench;

class ModelGraphTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { core::registerAll(); }
    void thePictureStandsBesideWhereThereIsRoom();
    void aClickInThePictureChoosesEverywhere();
    void theSelectionIsSeenInPictureAndText();
    void secondCallsOfAModuleStayChosen();
    void theTextChoosesItsNode();
    void coloursCarryCoresNumbers();
    void sharedWeightsCountOnceInTheColours();
    void statisticsOfARunEqualCore();
    void statisticsFollowTheSample();
    void inputsAreDescribedAndShown();
    void nodesAreDescribedWithTheirArguments();
    void searchByKeys();
    void weightsAloneAreABrowser();
    void unknownOperatorsOpenAsStructure();
    void twoModelsAreCompared();
    void aSecondModelThatCannotBeOpenedIsNamed_data() { test::addModelFaults(); }
    void aSecondModelThatCannotBeOpenedIsNamed();
    void weightsThatCannotBeComparedSaySo();
    void checkpointsAreASequence();
    void aComparisonIsCancelled();
    void stateOfThePictureSurvivesARestart();
};

void ModelGraphTest::thePictureStandsBesideWhereThereIsRoom()
{
    WideBench bench(1200);
    bench.open(kLenet);
    auto* split = bench.child<QSplitter>("split");
    QCOMPARE(split->count(), 2);
    QVERIFY(bench.page()->isVisible() && bench.child<QTreeView>("tree")->isVisible());
    takeShots(*bench.panel, "model-graph-wide");
    bench.panel->resize(460, 800);
    QCOMPARE(split->count(), 1);
    QVERIFY(bench.child<QTreeView>("tree")->isVisible());
    bench.showPage("graphPage");
    QVERIFY(bench.page()->isVisible());
    takeShots(*bench.panel, "model-graph-narrow");
    bench.panel->resize(1200, 800);
    QCOMPARE(split->count(), 2);
    QVERIFY(bench.page()->isVisible());
    // The room that it has in a window of 1280 x 800, with a tensor on show: nothing has to be scrolled.
    bench.choose("conv1.weight");
    QTRY_VERIFY(!bench.tensor()->tensor().values.empty());
    for (const QSize size : {QSize(580, 500), QSize(900, 420)}) {
        bench.panel->resize(size);
        QTRY_COMPARE(bench.panel->findChild<QScrollArea*>()->verticalScrollBar()->maximum(), 0);
        QVERIFY(bench.tensor()->isVisible() && bench.tensor()->height() > 80);
    }
}

void ModelGraphTest::aClickInThePictureChoosesEverywhere()
{
    WideBench bench;
    bench.open(kLenet);
    const int item = bench.item("conv1");
    QVERIFY(item > 0);
    const QRectF box = bench.view()->itemRect(item);
    QTest::mouseClick(bench.view(), Qt::LeftButton, {}, (box.topLeft() + QPointF(8, 6)).toPoint());
    QCOMPARE(bench.session.selection().valuePath, QString("conv1"));
    QVERIFY(bench.child<QLabel>("node")->text().contains("conv1"));
    QVERIFY(bench.child<QTreeView>("tree")->currentIndex().data(Qt::ToolTipRole).toString().startsWith("conv1"));
}

void ModelGraphTest::theSelectionIsSeenInPictureAndText()
{
    WideBench bench;
    bench.open("zoo:resnet?depth=20");
    const auto model = models::openModel("zoo:resnet?depth=20");
    const auto& node = *model.graph->allNodes()[model.graph->allNodes().size() / 2];
    bench.choose(node.name);
    QCOMPARE(bench.view()->current(), bench.item(node.name));
    QVERIFY(QRectF(bench.view()->rect()).intersects(bench.view()->itemRect(bench.view()->current())));
    QCOMPARE(bench.child<GraphText>("text")->path().toStdString(), node.name);
    // A parameter is seen at the node that reads it.
    const auto& parameter = model.graph->data().parameters[3];
    bench.choose(parameter.name);
    QCOMPARE(bench.view()->current(), bench.item(model.graph->users(parameter.value).front()->name));
    QCOMPARE(bench.child<GraphText>("text")->path().toStdString(), parameter.name);
}

void ModelGraphTest::secondCallsOfAModuleStayChosen()
{
    WideBench bench;
    graph::Builder builder("twice");
    auto x = builder.input("x", "float32", {"batch", "4"});
    const auto call = [&](graph::Builder::Var v) {
        const auto scope = builder.module("act", "ReLU");
        return builder.relu(v);
    };
    x = builder.linear("fc", call(x), 4, 4);
    auto model = graph::withWeights(builder.finish({{"y", call(x)}}));
    const QString file = bench.folder.filePath("twice.safetensors");
    models::saveModel(file.toStdString(), model);
    bench.open(file);
    const auto& items = bench.view()->content()->tree->items();
    int second = -1;
    for (std::size_t i = 0; i < items.size(); ++i)
        if (items[i].title == "act (2)")
            second = int(i);
    QVERIFY(second > 0);
    bench.view()->setCurrent(second);
    QTRY_VERIFY(bench.panel->isIdle());
    Q_EMIT bench.view()->currentChanged(second);
    QCOMPARE(bench.view()->current(), second);
    QCOMPARE(bench.session.selection().valuePath, QString("act"));
}

void ModelGraphTest::theTextChoosesItsNode()
{
    WideBench bench;
    bench.open(kLenet);
    bench.showPage("text");
    auto* text = bench.child<GraphText>("text");
    text->setFocus();
    QTest::keyClick(text, Qt::Key_End, Qt::ControlModifier);
    for (int i = 0; i < 4; ++i)
        QTest::keyClick(text, Qt::Key_Up);
    const auto model = models::openModel(kLenet);
    QVERIFY(!text->path().isEmpty());
    QCOMPARE(bench.session.selection().valuePath, text->path());
    QVERIFY(model.graph->findValue(text->path().toStdString()));
    QCOMPARE(bench.view()->current(), bench.item(text->path().toStdString()));
}

void ModelGraphTest::coloursCarryCoresNumbers()
{
    WideBench bench;
    bench.open(kLenet);
    const auto model = models::openModel(kLenet);
    const auto inspection = graph::inspect(graph::Executor(model.graph), model.weights, graph::exampleInputs(model));
    bench.chooseColour("parameters");
    const auto& colours = bench.view()->colours();
    QCOMPARE(colours.kind, widgets::GraphColours::Kind::Numbers);
    for (const auto& node : inspection.nodes)
        if (const int item = bench.item(node.name); item > 0)
            QCOMPARE(colours.numbers[std::size_t(item)], double(node.parameters));
    for (const auto& module : inspection.modules)
        if (const int item = bench.item(module.path); item > 0 && !module.path.empty())
            QCOMPARE(colours.numbers[std::size_t(item)], double(module.parameters));
    bench.chooseColour("flops");
    for (const auto& node : inspection.nodes)
        if (const int item = bench.item(node.name); item > 0)
            QCOMPARE(bench.view()->colours().numbers[std::size_t(item)], double(node.flops));
    takeShots(*bench.panel, "model-graph-flops");
    bench.chooseColour("family");
    QCOMPARE(bench.view()->colours().kind, widgets::GraphColours::Kind::Families);
}

// One weight that two nodes read is one weight of every module around them; equal numbers are one colour, not "not known".
void ModelGraphTest::sharedWeightsCountOnceInTheColours()
{
    WideBench bench;
    bench.open(ORRERY_TEST_DATA "/torchscript/twice.pt");
    const auto model = models::openModel(ORRERY_TEST_DATA "/torchscript/twice.pt");
    const auto inspection = graph::inspectStructure(*model.graph, model.weights);
    bench.chooseColour("parameters");
    int compared = 0;
    for (std::size_t i = 1; i < bench.view()->content()->tree->items().size(); ++i) {
        const auto& item = bench.view()->content()->tree->item(int(i));
        if (item.kind != layout::Item::Kind::Module || item.number < 0)
            continue;
        ++compared;
        QCOMPARE(bench.view()->colours().numbers[i], double(inspection.modules[std::size_t(item.number)].parameters));
    }
    QVERIFY(compared >= 1);
    const auto none = widgets::numberColours("zeros", "", {0, 0, 0}, false), unknown = widgets::numberColours("zeros", "", {0, NAN}, false);
    QVERIFY(none.isKnown && !unknown.isKnown);
    QCOMPARE(widgets::boxColour(none, 1, false), widgets::boxColour(widgets::numberColours("zeros", "", {0, 0, 5}, false), 1, false));
}

void ModelGraphTest::statisticsOfARunEqualCore()
{
    WideBench bench;
    const auto run = test::trainedRun(bench.workspace(), {{"id", "mlp"}, {"hidden", {8}}}, "iris", 1);
    bench.session.selectRuns({run});
    bench.session.changeSelection([](widgets::Selection& s) {
        s.split = "test";
        s.samples = {4};
    });
    QTRY_VERIFY(!bench.panel->isShowingEmptyState() && bench.panel->isIdle());
    bench.chooseColour("magnitude");
    QCOMPARE(bench.view()->colours().kind, widgets::GraphColours::Kind::Numbers);
    const auto model = train::modelOfRun(*bench.workspace(), run);
    const auto data = train::dataOfRun(*bench.workspace(), run);
    const std::int64_t index = data->split(data::Split::Test)[4];
    graph::RunRequest request;
    request.inputs = {data->fetch({&index, 1}).inputs[0]};
    request.keep = {"**"};
    const auto result = graph::Executor(model.graph).run(model.weights, request);
    int compared = 0;
    for (const auto* node : model.graph->allNodes()) {
        const int item = bench.item(node->name);
        const auto value = result.values.find(node->name);
        if (item < 0 || value == result.values.end() || !value->second.isTensor())
            continue;
        const double expected = value->second.toTensor().to(at::kDouble).abs().mean().item<double>();
        QVERIFY(std::abs(bench.view()->colours().numbers[std::size_t(item)] - expected) <= 1e-12 * std::max(1.0, expected));
        ++compared;
    }
    QVERIFY(compared >= 3);
}

void ModelGraphTest::statisticsFollowTheSample()
{
    WideBench bench;
    const auto run = test::trainedRun(bench.workspace(), {{"id", "mlp"}, {"hidden", {8}}}, "iris", 1);
    bench.session.selectRuns({run});
    QTRY_VERIFY(!bench.panel->isShowingEmptyState() && bench.panel->isIdle());
    bench.chooseColour("magnitude");
    QVERIFY2(bench.view()->colours().title.contains("example"), qPrintable(bench.view()->colours().title));
    const auto model = train::modelOfRun(*bench.workspace(), run);
    const auto data = train::dataOfRun(*bench.workspace(), run);
    const std::string last = model.graph->nodes().back().name;
    for (const qint64 sample : {4, 7}) {
        bench.session.changeSelection([&](widgets::Selection& s) {
            s.split = "test";
            s.samples = {sample};
        });
        QTRY_VERIFY(bench.panel->isIdle());
        QVERIFY2(bench.view()->colours().title.contains(QString("sample %1 of test").arg(sample)), qPrintable(bench.view()->colours().title));
        const std::int64_t index = data->split(data::Split::Test)[std::size_t(sample)];
        const auto output = graph::Executor(model.graph).forward(model.weights, {data->fetch({&index, 1}).inputs[0]});
        const double expected = output.to(at::kDouble).abs().mean().item<double>();
        QVERIFY(std::abs(bench.view()->colours().numbers[std::size_t(bench.item(last))] - expected) <= 1e-12 * std::max(1.0, expected));
    }
    // Data of another model: the card's example in place of a failure.
    bench.session.changeSelection([](widgets::Selection& s) { s.data = {{"id", "iris"}}; });
    bench.session.openModel(kLenet);
    QTRY_VERIFY2(bench.panel->isIdle() && bench.view()->colours().title.contains("does not take"),
                 qPrintable(bench.view()->colours().title + bench.panel->errorText()));
    QCOMPARE(bench.panel->errorText(), QString());
}

void ModelGraphTest::inputsAreDescribedAndShown()
{
    WideBench bench;
    bench.open(kLenet);
    const auto model = models::openModel(kLenet);
    const auto& input = model.graph->data().inputs.front();
    bench.view()->setCurrent(bench.item(input.name));
    Q_EMIT bench.view()->currentChanged(bench.item(input.name));
    QTRY_VERIFY(bench.panel->isIdle());
    const QString text = bench.child<QLabel>("node")->text();
    QVERIFY2(text.contains(QString::fromStdString(input.name)) && text.contains("float32") && text.contains("[1, 1, 8, 8]") &&
                 text.contains("conv1.conv2d"),
             qPrintable(text));
    for (auto* button : bench.panel->findChildren<QPushButton*>())
        if (button->text().remove('&') == "Value on the sample")
            QTest::mouseClick(button, Qt::LeftButton);
    QTRY_VERIFY(bench.panel->isIdle());
    const auto example = graph::exampleInputs(model).front().toTensor().reshape(-1);
    const auto& values = bench.tensor()->tensor().values;
    QCOMPARE(values.size(), std::size_t(example.numel()));
    for (std::size_t i = 0; i < values.size(); ++i)
        QCOMPARE(values[i], example[std::int64_t(i)].item<float>());
}

void ModelGraphTest::nodesAreDescribedWithTheirArguments()
{
    WideBench bench;
    bench.open(kLenet);
    const auto model = models::openModel(kLenet);
    for (const auto* node : model.graph->allNodes())
        if (node->op == "aten::conv2d" || node->op == "aten::convolution" || node->op == "aten::_convolution") {
            bench.choose(node->name);
            const QString text = bench.child<QLabel>("node")->text();
            QVERIFY2(text.contains("stride = [1, 1]") && text.contains("weight = conv1.weight"), qPrintable(text));
            QVERIFY2(text.contains("[1, 1, 8, 8]") && text.contains("Read by"), qPrintable(text));
            // It reads two weights; the other one is a choice away.
            auto* weight = bench.child<QComboBox>("weight");
            QCOMPARE(weight->count(), 2);
            QCOMPARE(bench.tensor()->tensor().title, QString("conv1.weight"));
            weight->setFocus();
            QTest::keyClick(weight, Qt::Key_Down);
            QTRY_COMPARE(bench.tensor()->tensor().title, QString("conv1.bias"));
            return;
        }
    QFAIL("no convolution");
}

void ModelGraphTest::searchByKeys()
{
    WideBench bench;
    bench.open("zoo:resnet?depth=20");
    auto* search = bench.child<QLineEdit>("graphSearch");
    bench.view()->setFocus();
    QTest::keyClick(bench.view(), Qt::Key_F, Qt::ControlModifier);
    QTRY_VERIFY(search->hasFocus());
    QTest::keyClicks(search, "linear");
    QVERIFY(bench.view()->found() > 0);
    QCOMPARE(bench.child<QLabel>("found")->text(), QString("%1 found").arg(bench.view()->found()));
    QTest::keyClick(search, Qt::Key_Return);
    QTRY_VERIFY(bench.panel->isIdle());
    QVERIFY(bench.view()->current() > 0);
    QCOMPARE(bench.session.selection().valuePath.toStdString(), bench.view()->content()->tree->item(bench.view()->current()).path);
}

void ModelGraphTest::weightsAloneAreABrowser()
{
    auto opened = std::make_shared<OpenedModel>();
    graph::Maker maker;
    maker.parameter("h.0.attn.weight", {4, 4});
    maker.parameter("h.1.attn.weight", {4, 4});
    auto model = maker.finish({});
    model.weights.set("h.0.attn.weight", at::ones({4, 4}));
    model.weights.set("h.1.attn.weight", at::zeros({4, 4}));
    const auto shown = openForPanel("weights", model, {});
    QVERIFY(!shown->executor && shown->whyNotRun.contains("weights alone"));
    widgets::Session session;
    GraphPage page(session);
    page.resize(700, 500);
    page.show();
    QVERIFY(QTest::qWaitForWindowExposed(&page));
    page.setOpened(shown);
    QTRY_VERIFY(page.isIdle() && page.view()->content());
    QVERIFY(page.view()->content()->tree->find("h.1.attn.weight") > 0);
    takeShots(page, "model-weights-alone");
    ValueRequest request;
    request.opened = shown;
    QVERIFY(messageOf([&] { computeValue(request, {}); }).find("weights alone") != std::string::npos);
}

void ModelGraphTest::unknownOperatorsOpenAsStructure()
{
    graph::Maker maker;
    const auto x = maker.input("x");
    const auto weight = maker.parameter("weight", {3});
    const auto y = maker.node(maker.data.body, "y", "mystery::warp", {graph::of(x), graph::of(weight)});
    auto model = maker.finish({{"y", y}});
    model.weights.set("weight", at::ones({3}));
    const auto shown = openForPanel("strange.onnx", model, {});
    QVERIFY(!shown->executor);
    QVERIFY2(shown->whyNotRun.startsWith("Structure only") && shown->whyNotRun.contains("mystery::warp"), qPrintable(shown->whyNotRun));
    QCOMPARE(shown->inspection.nodes.size(), std::size_t(1));
    QCOMPARE(shown->inspection.nodes[0].parameters, std::int64_t(3));
    const auto rows = describedNode(*shown, shown->inspection.nodes[0]);
    QVERIFY(std::any_of(rows.begin(), rows.end(), [](const auto& row) { return row.second.contains("weight [3]"); }));
}

void ModelGraphTest::twoModelsAreCompared()
{
    WideBench bench;
    const auto run = test::trainedRun(bench.workspace(), {{"id", "mlp"}, {"hidden", {8}}}, "iris", 1);
    const auto other = test::trainedRun(bench.workspace(), {{"id", "mlp"}, {"hidden", {8, 6}}}, "iris", 2);
    bench.session.selectRuns({run});
    QTRY_VERIFY(!bench.panel->isShowingEmptyState() && bench.panel->isIdle());
    bench.showPage("compare");
    auto* compare = bench.child<ComparePage>("compare");
    auto* second = bench.child<QComboBox>("second");
    second->setFocus();
    QTest::keyClicks(second, QString("run:%1").arg(other));
    QCOMPARE(bench.panel->commandLine(),
             QString("orrery-cli diff run:%1 run:%2 --weights --workspace %3").arg(run).arg(other).arg(bench.session.workspaceFolder()));
    QTest::mouseClick(compare->findChild<QPushButton*>("run"), Qt::LeftButton);
    QTRY_VERIFY(compare->comparison() && bench.panel->isIdle());
    const auto a = train::modelOfRun(*bench.workspace(), run), b = train::modelOfRun(*bench.workspace(), other);
    const auto difference = compare::compareGraphs(*a.graph, *b.graph);
    QCOMPARE(compare->comparison()->graph.toJson().dump(), difference.toJson().dump());
    const QString summary = bench.child<QLabel>("difference")->text();
    QVERIFY2(summary.contains(QString("%1 added").arg(difference.count(compare::Change::Added))), qPrintable(summary));
    const auto tensors = compare::compareWeights(a.weights, b.weights, difference.parameters);
    const auto tensorsThat = [&](compare::Change change) {
        return std::count_if(tensors.begin(), tensors.end(), [change](const auto& tensor) { return tensor.change == change; });
    };
    QVERIFY2(summary.contains(QString("%1 tensors are the same, %2 changed, %3 added, %4 removed.")
                                  .arg(tensorsThat(compare::Change::Same))
                                  .arg(tensorsThat(compare::Change::Changed))
                                  .arg(tensorsThat(compare::Change::Added))
                                  .arg(tensorsThat(compare::Change::Removed))),
             qPrintable(summary));
    QCOMPARE(compare->comparison()->tensors.size(), tensors.size());
    for (std::size_t i = 0; i < tensors.size(); ++i)
        QCOMPARE(compare->comparison()->tensors[i].relative, tensors[i].relative);
    // The picture holds both, in the colours of the change.
    QCOMPARE(bench.view()->colours().kind, widgets::GraphColours::Kind::Changes);
    int added = 0;
    for (std::size_t i = 1; i < bench.view()->content()->tree->items().size(); ++i)
        added += bench.view()->content()->tree->items()[i].kind == layout::Item::Kind::Node &&
                 bench.view()->colours().families[i] == int(compare::Change::Added);
    QCOMPARE(added, difference.count(compare::Change::Added));
    takeShots(*bench.panel, "model-compare");
    for (auto* box : compare->findChildren<QCheckBox*>())
        if (box->isVisible())
            QTest::mouseClick(box, Qt::LeftButton, {}, {8, box->height() / 2});
    QTRY_VERIFY(bench.panel->isIdle());
    QCOMPARE(bench.view()->colours().kind, widgets::GraphColours::Kind::Families);
    second->setCurrentText("run:999");
    QTest::mouseClick(compare->findChild<QPushButton*>("run"), Qt::LeftButton);
    QTRY_VERIFY(bench.panel->errorText().contains("999"));
    // What failed leaves no older result on show, and its message goes with the next attempt.
    QVERIFY(!compare->comparison());
    QVERIFY2(bench.child<QLabel>("difference")->text().contains("failed"), qPrintable(bench.child<QLabel>("difference")->text()));
    second->setFocus();
    QTest::keyClick(second, Qt::Key_Backspace);
    QCOMPARE(bench.panel->errorText(), QString());
}

/// The opened model stays; the comparison before leaves nothing on show.
void ModelGraphTest::aSecondModelThatCannotBeOpenedIsNamed()
{
    QFETCH(QString, kind);
    QFETCH(QString, message);
    WideBench bench;
    bench.showPage("compare");
    auto* compare = bench.child<ComparePage>("compare");
    auto* run = compare->findChild<QPushButton*>("run");
    QVERIFY(!run->isEnabled());  // without a first one there is nothing to compare
    bench.open("zoo:mlp?features=4&classes=3");
    auto* second = bench.child<QComboBox>("second");
    second->setCurrentText("zoo:mlp?features=4&classes=3&hidden=5");
    QTest::mouseClick(run, Qt::LeftButton);
    QTRY_VERIFY(compare->comparison() && bench.panel->isIdle());
    second->setCurrentText(test::faultyModel(kind, bench.folder.path(), *bench.workspace()));
    QTest::mouseClick(run, Qt::LeftButton);
    QTRY_VERIFY2(bench.panel->errorText().contains(message), qPrintable(bench.panel->errorText()));
    QTRY_VERIFY(bench.panel->isIdle());
    QVERIFY(!compare->comparison() && !bench.panel->isShowingEmptyState());
    QVERIFY2(bench.child<QLabel>("difference")->text().contains(message), qPrintable(bench.child<QLabel>("difference")->text()));
}

void ModelGraphTest::weightsThatCannotBeComparedSaySo()
{
    WideBench bench;
    const QString nan = test::nanModel(bench.folder.path()), file = bench.folder.filePath("sound.safetensors");
    models::saveModel(file.toStdString(), intervene::copyingModel());
    bench.open(nan);
    bench.showPage("compare");
    auto* compare = bench.child<ComparePage>("compare");
    auto* second = bench.child<QComboBox>("second");
    const auto with = [&](const QString& model) {
        second->setCurrentText(model);
        QTest::mouseClick(compare->findChild<QPushButton*>("run"), Qt::LeftButton);
        QTRY_VERIFY(compare->comparison() && compare->comparison()->second == model && bench.panel->isIdle());
    };
    const auto cells = [&](const QString& tensor) {
        QStringList texts;
        const auto* table = bench.child<widgets::TableView>("tensors")->table()->model();
        for (int row = 0; row < table->rowCount(); ++row)
            for (int column = 0; table->index(row, 0).data().toString() == tensor && column < table->columnCount(); ++column)
                texts << table->index(row, column).data().toString();
        return texts;
    };
    with(file);
    QCOMPARE(cells("wte.weight").value(1), QString("changed, 102 not finite"));
    QCOMPARE(cells("wte.weight").value(5), QString("102"));
    with("zoo:gpt?vocabulary=7&block_length=8&layers=1&heads=1&width=16");
    QVERIFY2(cells("wte.weight").last().contains(QString::fromUtf8("\u2192")), qPrintable(cells("wte.weight").join('|')));
    QCOMPARE(cells("wte.weight").mid(1, 5), QStringList({"changed", "", "", "", ""}));
}

void ModelGraphTest::checkpointsAreASequence()
{
    WideBench bench;
    const core::Json document{
        {"name", "steps"},
        {"model", {{"id", "mlp"}, {"hidden", {8}}}},
        {"data", {{"id", "iris"}}},
        {"train", {{"epochs", 3}, {"optimizer", {{"id", "adamw"}, {"lr", 0.01}}}, {"checkpoint", {{"every", 4}, {"keep", 5}}}}}};
    const auto run = train::createRun(*bench.workspace(), train::resolveExperiment(document));
    jobs::DirectContext context;
    train::trainRun(bench.workspace(), run, context);
    bench.workspace()->flush();
    const auto steps = train::checkpointSteps(*bench.workspace(), run);
    QVERIFY(steps.size() >= 2);
    bench.session.selectRuns({run});
    QTRY_VERIFY(!bench.panel->isShowingEmptyState() && bench.panel->isIdle());
    bench.showPage("compare");
    auto* second = bench.child<QComboBox>("second");
    QVERIFY(second->findText("checkpoints") >= 0);
    QVERIFY(second->findText(QString("run:%1@%2").arg(run).arg(steps[0])) >= 0);
    second->setCurrentText("checkpoints");
    QVERIFY(bench.panel->commandLine().contains("--checkpoints"));
    auto* compare = bench.child<ComparePage>("compare");
    QTest::mouseClick(compare->findChild<QPushButton*>("run"), Qt::LeftButton);
    QTRY_VERIFY(compare->comparison() && bench.panel->isIdle());
    QCOMPARE(compare->comparison()->sequence.total.points.size(), steps.size());
    QVERIFY(bench.child<QLabel>("difference")->text().contains(QString("%1 checkpoints").arg(steps.size())));
    takeShots(*bench.panel, "model-checkpoints");
    auto* curveOf = bench.child<QComboBox>("curveOf");
    const auto& tensors = compare->comparison()->sequence.tensors;
    QCOMPARE(curveOf->count(), int(tensors.size()) + 1);
    curveOf->setCurrentIndex(2);
    const auto drawn = bench.child<widgets::PlotView>("distances")->drawnData("first");
    QCOMPARE(drawn.y.size(), steps.size());
    for (std::size_t i = 0; i < steps.size(); ++i)
        QCOMPARE(drawn.y[i], tensors[1].points[i].fromFirst);
}

void ModelGraphTest::aComparisonIsCancelled()
{
    WideBench bench;
    bench.open(kLenet);
    bench.showPage("compare");
    auto* compare = bench.child<ComparePage>("compare");
    bench.child<QComboBox>("second")->setCurrentText("zoo:resnet?layout=imagenet&depth=50&image_size=224&classes=1000");
    QTest::mouseClick(compare->findChild<QPushButton*>("run"), Qt::LeftButton);
    QVERIFY(compare->isRunning() && !bench.panel->isIdle());
    QTest::mouseClick(compare->findChild<QPushButton*>("cancel"), Qt::LeftButton);
    QTRY_VERIFY(!compare->isRunning());
    QVERIFY(bench.panel->isIdle());
    QVERIFY(!compare->comparison());
    QTRY_VERIFY_WITH_TIMEOUT(!bench.session.hasBackgroundWork(), 30000);
}

void ModelGraphTest::stateOfThePictureSurvivesARestart()
{
    WideBench bench;
    bench.open("zoo:resnet?depth=20");
    bench.view()->closeAll();
    QTRY_VERIFY(bench.panel->isIdle());
    const int group = bench.view()->content()->tree->item(0).children[2];
    bench.view()->setOpen(group, true);
    bench.view()->toggleBookmark(group);
    bench.chooseColour("parameters");
    const QStringList opened = bench.view()->openedPaths();
    bench.open(kLenet);  // another one in between
    QVERIFY(bench.view()->bookmarks().empty());
    bench.open("zoo:resnet?depth=20");
    QTRY_COMPARE(bench.view()->bookmarks().size(), std::size_t(1));
    QCOMPARE(bench.view()->openedPaths(), opened);
    const auto state = bench.panel->saveState();
    bench.panel.reset();
    bench.show(state);
    bench.panel->resize(1200, 800);
    QTRY_VERIFY_WITH_TIMEOUT(!bench.panel->isShowingEmptyState() && bench.panel->isIdle(), 30000);
    QCOMPARE(bench.view()->openedPaths(), opened);
    QCOMPARE(bench.view()->bookmarks().size(), std::size_t(1));
    QCOMPARE(bench.view()->colours().title, QString("Parameters"));
    bench.panel->restoreState({{"graph", 3}, {"compare", "x"}, {"split", 5}, {"page", 1}});
}

QTEST_MAIN(ModelGraphTest)
#include "model_graph_test.moc"
