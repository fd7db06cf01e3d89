// The Model panel's views of one tensor: slices, filters, singular values, tokens of rows, values in loops and branches, saved files.
#include <ATen/ATen.h>

#include <QComboBox>
#include <QLabel>
#include <QPushButton>
#include <QSlider>
#include <QSpinBox>
#include <QTableView>

#include <core/catalogue.h>
#include <core/graph/inspect.h>
#include <core/io/npy.h>
#include <core/io/tensors.h>
#include <core/models/open_model.h>
#include <plugins/model/node_text.h>
#include <plugins/model/tensor_detail.h>
#include <plugins/model/token_rows.h>
#include <widgets/export.h>
#include <widgets/heat_map_view.h>
#include <widgets/image_view.h>
#include <widgets/plot_view.h>
#include <widgets/tensor_table.h>

#include "../core/graph/sample_graphs.h"
#include "../widgets/shots.h"
#include "model_bench.h"

using namespace orrery;
using namespace orrery::plugins;
using test::kLenet;
using test::WideBench;

namespace {

std::string firstParameterOfRank(const graph::Model& model, std::size_t rank)
{
    for (const auto& parameter : model.graph->data().parameters)
        if (parameter.shape.size() == rank)
            return parameter.name;
    return {};
}

ShownTensor shownOf(at::Tensor tensor)
{
    return readTensor("t", tensor);
}

}  // namespace

class ModelTensorsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { core::registerAll(); }
    void ofALoopOrBranchValuesAreShownWhereTheyRan();
    void embeddingsNameTheirTokens();
    void partsOfLargeMatricesAreShown();
    void axesAreChosenFreely();
    void filtersLieInAGrid();
    void singularValuesEqualLibtorch();
    void singularValuesSayWhyNot();
    void valuesAreSavedAsNpy();
};

void ModelTensorsTest::ofALoopOrBranchValuesAreShownWhereTheyRan()
{
    auto branch = graph::branchModel();
    branch.card.inputs = {{"x", "float", "float32", {"3", "4"}, {}}};
    const auto opened = openForPanel("branch", branch, {});
    QVERIFY2(opened->whyNotRun.isEmpty(), qPrintable(opened->whyNotRun));
    const auto infoOf = [&](const std::string& name) {
        return *std::find_if(opened->inspection.nodes.begin(), opened->inspection.nodes.end(), [&](const auto& node) { return node.name == name; });
    };
    QCOMPARE(infoOf("positive").calls, std::int64_t(1));
    QCOMPARE(infoOf("negative").calls, std::int64_t(0));
    QVERIFY(costText(infoOf("positive"), "bytes").contains("FLOPs"));
    QVERIFY(costText(infoOf("negative"), "bytes").startsWith("not run"));
    ValueRequest request;
    request.opened = opened;
    request.path = "positive";
    QVERIFY(computeValue(request, {}).title.startsWith("positive"));
    request.path = "negative";
    QVERIFY(messageOf([&] { computeValue(request, {}); }).find("branch was not taken") != std::string::npos);
    auto loop = graph::loopModel(3);
    loop.card.inputs = {{"x", "float", "float32", {"3", "2"}, {}}, {"h0", "float", "float32", {"2"}, {}}};
    loop.card.example = {{"x", {1, 2, 3, 4, 5, 6}}, {"h0", {0, 0}}};
    request.opened = openForPanel("loop", loop, {});
    QVERIFY(costText(request.opened->inspection.nodes.back(), "bytes").contains("in 3 calls"));
    request.path = "row";  // of the last step, or of the one that is named
    QCOMPARE(computeValue(request, {}).values, (std::vector<float>{5, 6}));
    request.path = "row[1]";
    QCOMPARE(computeValue(request, {}).values, (std::vector<float>{3, 4}));
}

void ModelTensorsTest::embeddingsNameTheirTokens()
{
    WideBench bench;
    const QString gpt = "zoo:gpt?layers=1&width=8&heads=2&vocabulary=256&block_length=256&tied_head=false";
    bench.open(gpt);
    auto model = models::openModel(gpt.toStdString());
    model.card.tokenizer = {{"kind", "bytes"}};
    int tables = 0;
    for (const auto& parameter : model.graph->data().parameters)
        if (const auto tokens = tokensOfRows(model, parameter)) {
            ++tables;
            QCOMPARE(parameter.shape[0], std::int64_t(256));
            QCOMPARE(tokens->tokenText(65), std::string("A"));
            QVERIFY2(parameter.name.find("wpe") == std::string::npos && parameter.name.find("position") == std::string::npos, parameter.name.c_str());
        }
    QVERIFY2(tables >= 1, "no table of tokens");
    ShownTensor shown = shownOf(at::randn({256, 8}));
    shown.rowNames = [](std::int64_t row) { return QString("<%1>").arg(row); };
    TensorDetail detail;
    detail.resize(500, 500);
    detail.show();
    detail.setTensor(shown);
    const auto* table = detail.findChild<widgets::TensorTable*>()->findChild<QTableView*>();
    QCOMPARE(table->model()->headerData(65, Qt::Vertical).toString(), QString("65 <65>"));
    detail.setTensor(shownOf(at::randn({4, 4})));
    QCOMPARE(table->model()->headerData(3, Qt::Vertical).toString(), QString("3"));
}

void ModelTensorsTest::partsOfLargeMatricesAreShown()
{
    TensorDetail detail;
    detail.resize(500, 500);
    detail.show();
    const auto tensor = at::randn({2, 1100, 1900});  // too large to be held as float besides
    const auto shown = shownOf(tensor);
    QVERIFY(shown.values.empty());
    detail.setTensor(shown);
    detail.setTab(TensorDetail::HeatMapTab);
    detail.findChild<QSlider*>("axis0")->setValue(1);
    QCOMPARE(detail.heatMap()->value(3, 5), double(tensor[1][3][5].item<float>()));
    detail.findChild<QSpinBox*>("rowFrom")->setValue(1100);  // at most so that the window is full
    detail.findChild<QSpinBox*>("columnFrom")->setValue(500);
    QCOMPARE(detail.heatMap()->rows(), 1024);
    QCOMPARE(detail.heatMap()->value(3, 5), double(tensor[1][76 + 3][505].item<float>()));
    detail.setTensor(shownOf(at::ones({3, 3})));
    QVERIFY(!detail.findChild<QSpinBox*>("rowFrom")->isVisible());
}

void ModelTensorsTest::axesAreChosenFreely()
{
    TensorDetail detail;
    detail.resize(500, 500);
    detail.show();
    const auto tensor = at::arange(2 * 3 * 4 * 5 * 2, at::kFloat).reshape({2, 3, 4, 5, 2});
    detail.setTensor(shownOf(tensor));
    detail.setTab(TensorDetail::HeatMapTab);
    QCOMPARE(detail.heatMap()->rows(), 5);
    QCOMPARE(detail.heatMap()->columns(), 2);
    auto* rows = detail.findChild<QComboBox*>("rowAxis");
    rows->setFocus();
    QTest::keyClick(rows, Qt::Key_Home);  // axis 0
    QCOMPARE(detail.heatMap()->rows(), 2);
    const auto sliders = [&] {
        QList<QSlider*> found;
        for (auto* slider : detail.findChildren<QSlider*>())
            if (slider->objectName() != "channel")
                found << slider;
        return found;
    };
    QCOMPARE(sliders().size(), 3);
    for (auto* slider : sliders())
        slider->setValue(1);
    for (int r = 0; r < 2; ++r)
        for (int c = 0; c < 2; ++c)
            QCOMPARE(detail.heatMap()->value(r, c), double(tensor[r][1][1][1][c].item<float>()));
    auto* columns = detail.findChild<QComboBox*>("columnAxis");
    columns->setFocus();
    QTest::keyClick(columns, Qt::Key_Home);  // the axis of the rows: they give way
    QVERIFY(rows->currentIndex() != columns->currentIndex());
    QCOMPARE(detail.heatMap()->columns(), 2);
    // An empty tensor has no heat map; the next one is shown as the one before.
    QCOMPARE(detail.tab(), int(TensorDetail::HeatMapTab));
    auto* statistics = detail.findChild<QLabel*>("statistics");
    detail.setTensor(shownOf(at::ones({0, 3})));
    QCOMPARE(statistics->text(), QString("no values"));
    detail.setTensor(shownOf(at::full({2, 2}, std::nan(""))));
    QVERIFY2(statistics->text().startsWith("no finite values: NaN 4"), qPrintable(statistics->text()));
    detail.setTensor(shownOf(at::ones({4, 6})));
    QVERIFY(detail.heatMap()->isVisible());
    for (const auto& odd : {at::ones({}), at::ones({3}), at::ones({0, 3}), at::full({2, 2}, std::nan("")), at::ones({2, 2}, at::kLong)})
        detail.setTensor(shownOf(odd));
    QVERIFY(detail.findChild<QLabel*>("statistics")->text().contains("NaN 0"));
}

void ModelTensorsTest::filtersLieInAGrid()
{
    const auto filters = at::randn({5, 3, 2, 4});
    const auto grid = filterGrid(shownOf(filters), 0);
    QCOMPARE(grid.channels, 3);
    QCOMPARE(grid.width, 3 * 5 - 1);  // five filters in rows of three
    QCOMPARE(grid.height, 2 * 3 - 1);
    for (int f = 0; f < 5; ++f)
        for (int c = 0; c < 3; ++c)
            for (int y = 0; y < 2; ++y)
                for (int x = 0; x < 4; ++x)
                    QCOMPARE(grid.pixels[std::size_t((c * grid.height + f / 3 * 3 + y) * grid.width + f % 3 * 5 + x)],
                             filters[f][c][y][x].item<float>());
    const auto grey = filterGrid(shownOf(at::arange(2 * 4 * 9, at::kFloat).reshape({2, 4, 3, 3})), 2);
    QCOMPARE(grey.channels, 1);
    QCOMPARE(grey.pixels[0], 18.f);
    QCOMPARE(grey.limit, 71.f);
    QVERIFY(filterGrid(shownOf(at::ones({3, 3})), 0).pixels.empty());
    const auto maps = filterGrid(shownOf(at::randn({1, 7, 2, 4})), 0);  // of one sample: its channels
    QCOMPARE(maps.filters, std::int64_t(7));
    QCOMPARE(filterGrid(shownOf(at::randn({1, 3, 2, 4})), 0).channels, 3);
    // Pixel by pixel: which filter, or the line between.
    for (int y = 0; y < grid.height; ++y)
        for (int x = 0; x < grid.width; ++x) {
            const auto place = grid.placeOf(x, y);
            const bool isGap = y == 2 || x == 4 || x == 9 || (y > 2 && x > 9);
            QCOMPARE(place.has_value(), !isGap);
            if (place)
                QCOMPARE(grid.pixels[std::size_t(y * grid.width + x)], filters[place->filter][0][place->row][place->column].item<float>());
        }
    WideBench bench;
    bench.open(kLenet);
    bench.choose(firstParameterOfRank(models::openModel(kLenet), 4));
    bench.tensor()->setTab(TensorDetail::FiltersTab);
    QVERIFY(!bench.tensor()->filters()->image().isNull());
    takeShots(*bench.panel, "model-filters");
}

void ModelTensorsTest::singularValuesEqualLibtorch()
{
    WideBench bench;
    bench.open(kLenet);
    const auto model = models::openModel(kLenet);
    const auto name = firstParameterOfRank(model, 2);
    bench.choose(name);
    bench.tensor()->setTab(TensorDetail::SingularTab);
    QTRY_VERIFY(bench.panel->isIdle());
    const auto expected = std::get<1>(at::svd(model.weights.at(name).to(at::kDouble)));
    const auto drawn = bench.tensor()->singularPlot()->drawnData("values");
    QCOMPARE(std::int64_t(drawn.y.size()), expected.numel());
    for (std::size_t i = 0; i < drawn.y.size(); ++i)
        QVERIFY(std::abs(drawn.y[i] - expected[std::int64_t(i)].item<double>()) < 1e-9);
    takeShots(*bench.panel, "model-singular");
    const auto four = singularValues(shownOf(model.weights.at(firstParameterOfRank(model, 4))));
    const auto matrix = model.weights.at(firstParameterOfRank(model, 4)).to(at::kDouble);
    const auto reference = std::get<1>(at::svd(matrix.reshape({matrix.size(0), -1})));
    QVERIFY(std::abs(four[0] - reference[0].item<double>()) < 1e-9);
    const auto batchOfOne = singularValues(shownOf(model.weights.at(name).unsqueeze(0)));
    QCOMPARE(batchOfOne.size(), drawn.y.size());
    QVERIFY(std::abs(batchOfOne[0] - drawn.y[0]) < 1e-6);
}

void ModelTensorsTest::singularValuesSayWhyNot()
{
    QVERIFY(messageOf([] { singularValues(shownOf(at::ones({4}))); }).find("of a matrix, this is [4]") != std::string::npos);
    QVERIFY(messageOf([] { singularValues(shownOf(at::full({2, 2}, std::nan("")))); }).find("4 values are not finite") != std::string::npos);
}

void ModelTensorsTest::valuesAreSavedAsNpy()
{
    WideBench bench;
    bench.open(kLenet);
    const auto model = models::openModel(kLenet);
    const auto name = firstParameterOfRank(model, 4);
    bench.choose(name);
    const QString file = bench.folder.filePath("weights.npy");
    const auto before = std::exchange(widgets::askSaveFile(), [&](QWidget*, const QString&, const QString&) { return file; });
    QTest::mouseClick(bench.child<QPushButton>("save"), Qt::LeftButton);
    widgets::askSaveFile() = [&](QWidget*, const QString&, const QString&) { return QString("/no/such/folder/w.npy"); };
    QTest::mouseClick(bench.child<QPushButton>("save"), Qt::LeftButton);
    widgets::askSaveFile() = before;
    QVERIFY(at::equal(io::toTensor(io::readNpy(file.toStdString())), model.weights.at(name)));
    QVERIFY(bench.panel->errorText().contains("/no/such/folder"));
}

QTEST_MAIN(ModelTensorsTest)
#include "model_tensors_test.moc"
