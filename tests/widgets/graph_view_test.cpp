// The picture of a graph: mouse, keys, opening and closing, search, ways, export.
#include <QContextMenuEvent>
#include <QFile>
#include <QHelpEvent>
#include <QMenu>
#include <QSignalSpy>
#include <QSvgRenderer>
#include <QTemporaryDir>
#include <QTest>
#include <QToolTip>
#include <QWheelEvent>
#include <cmath>

#include <core/base/error.h>
#include <core/graph/builder.h>
#include <core/graph/inspect.h>
#include <widgets/graph_painter.h>
#include <widgets/graph_view.h>
#include <widgets/session.h>
#include <widgets/theme.h>

#include "../core/graph/sample_graphs.h"
#include "shots.h"

using namespace orrery;
using namespace orrery::widgets;

namespace {

/// A view that shows a model, laid out.
struct ViewBench {
    Session session;
    GraphView view{session};
    graph::Model model;
    GraphContentPtr content;

    explicit ViewBench(graph::Model shown, std::optional<QStringList> opened = {}) : model(std::move(shown))
    {
        view.resize(800, 600);
        view.show();
        view.activateWindow();  // shortcuts belong to the active window
        QVERIFY(QTest::qWaitForWindowActive(&view));
        graph::Inspection inspection;
        try {
            const graph::Executor executor(model.graph);
            inspection = graph::inspect(executor, model.weights, graph::exampleInputs(model));
        } catch (const core::Error&) {
            inspection = graph::inspectStructure(*model.graph, model.weights);
        }
        content = makeGraphContent(*model.graph, inspection, view.font());
        view.setContent(content, std::move(opened));
        view.setColours(familyColours(*content->tree));
        QTRY_VERIFY(view.isIdle());
    }
    int item(const char* path) const { return content->tree->find(path); }
    void wait() { QTRY_VERIFY(view.isIdle()); }
    void click(int item) { QTest::mouseClick(&view, Qt::LeftButton, {}, place(item)); }
    void doubleClick(int item)
    {
        QTest::mouseDClick(&view, Qt::LeftButton, {}, place(item));
        wait();
    }
    /// Where an item can be clicked: its upper left corner, where a frame has its title.
    QPoint place(int item) const { return (view.itemRect(item).topLeft() + QPointF(8, 6)).toPoint(); }
};

void wheel(QWidget& widget, QPointF at, int steps)
{
    QWheelEvent event(at, widget.mapToGlobal(at), {}, {0, 120 * steps}, Qt::NoButton, Qt::NoModifier, Qt::NoScrollPhase, false);
    QApplication::sendEvent(&widget, &event);
}

}  // namespace

class GraphViewTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase()
    {
        QApplication::setStyle("Fusion");
        QApplication::setPalette(Theme::palette(false));
    }
    void doubleClickOpensAndCloses();
    void clicksChooseAndTell();
    void keysWalkAlongTheLines();
    void keysOpenAndClose();
    void closingChoosesTheGroup();
    void theWheelZoomsAboutThePointer();
    void draggingMoves();
    void draggedPicturesEqualFreshOnes_data();
    void draggedPicturesEqualFreshOnes();
    void theSmallMapLeadsThere();
    void searchFindsNamesOperatorsAndShapes();
    void settingTheCurrentOpensWhatIsAround();
    void waysAreShownAndEnded();
    void bookmarksAreWalked();
    void tooltipsNameBoxesAndLines();
    void branchesOpenIntoTheirBlocks();
    void boxesHaveTheColourOfTheirFamily();
    void numbersColourBySize();
    void groupsGatherNumbers();
    void linesOfTheChosenBoxStandOut();
    void exportsEveryFormat();
    void stateIsKept();
    void weightsAloneAreShown();
    void anEmptyGraphSaysSo();
    void pictures();
};

void GraphViewTest::doubleClickOpensAndCloses()
{
    ViewBench bench(graph::residualModel(), QStringList());
    const int block = bench.item("blocks.1");
    QVERIFY(!bench.view.isOpen(block));
    QVERIFY(bench.view.itemRect(bench.item("blocks.1.add")).isNull());
    const QPointF before = bench.view.itemRect(block).topLeft();
    bench.doubleClick(block);
    QVERIFY(bench.view.isOpen(block));
    QVERIFY(bench.view.itemRect(block).contains(bench.view.itemRect(bench.item("blocks.1.add"))));
    // What was clicked stays under the pointer, as far as the picture's edges let it.
    QVERIFY(std::abs(bench.view.itemRect(block).top() - before.y()) < 60);
    bench.doubleClick(block);
    QVERIFY(!bench.view.isOpen(block));
}

void GraphViewTest::clicksChooseAndTell()
{
    ViewBench bench(graph::residualModel(), QStringList());
    QSignalSpy spy(&bench.view, &GraphView::currentChanged);
    bench.click(bench.item("blocks.0"));
    QCOMPARE(spy.size(), 1);
    QCOMPARE(bench.view.current(), bench.item("blocks.0"));
    bench.click(bench.item("blocks.0"));
    QCOMPARE(spy.size(), 1);
    bench.view.setCurrent(bench.item("head"));
    QCOMPARE(spy.size(), 1);  // set from outside: nothing is emitted
    QCOMPARE(bench.view.accessibleDescription(), QString("head"));
}

void GraphViewTest::keysWalkAlongTheLines()
{
    ViewBench bench(graph::residualModel(), QStringList());
    bench.view.setFocus();
    QTest::keyClick(&bench.view, Qt::Key_Down);
    QCOMPARE(bench.view.current(), bench.item("x"));
    for (const char* path : {"blocks.0", "blocks.1", "blocks.2", "head", "logits"}) {
        QTest::keyClick(&bench.view, Qt::Key_Down);
        QCOMPARE(QString::fromStdString(bench.content->tree->item(bench.view.current()).path), QString(path));
    }
    QTest::keyClick(&bench.view, Qt::Key_Up);
    QCOMPARE(bench.view.current(), bench.item("head"));
    QTest::keyClick(&bench.view, Qt::Key_Home);
    QCOMPARE(bench.view.current(), bench.item("x"));
    // Side by side: two branches from one value.
    graph::Builder builder("fork");
    const auto x = builder.input("x", "float32", {"batch", "4"});
    auto left = builder.relu(x), right = builder.op("aten::tanh", {x});
    ViewBench fork(builder.finish({{"y", builder.add(left, right)}}));
    fork.view.setFocus();
    const int a = fork.item("relu"), b = fork.item("tanh");
    const bool inOrder = fork.view.itemRect(a).left() < fork.view.itemRect(b).left();
    fork.view.setCurrent(a);
    QTest::keyClick(&fork.view, inOrder ? Qt::Key_Right : Qt::Key_Left);
    QCOMPARE(fork.view.current(), b);
}

void GraphViewTest::keysOpenAndClose()
{
    ViewBench bench(graph::residualModel(), QStringList());
    bench.view.setFocus();
    const int block = bench.item("blocks.0");
    bench.view.setCurrent(block);
    for (const auto& [open, close] : {std::pair(Qt::Key_Return, Qt::Key_Return), {Qt::Key_Plus, Qt::Key_Minus}, {Qt::Key_Space, Qt::Key_Space}}) {
        QTest::keyClick(&bench.view, open);
        QVERIFY(bench.view.isOpen(block));
        bench.wait();
        QTest::keyClick(&bench.view, close);
        QVERIFY(!bench.view.isOpen(block));
        bench.wait();
    }
    const double before = bench.view.zoom();
    QTest::keyClick(&bench.view, Qt::Key_Plus, Qt::ControlModifier);
    QVERIFY(bench.view.zoom() > before);
    QTest::keyClick(&bench.view, Qt::Key_0, Qt::ControlModifier);
    QVERIFY(QRectF(bench.view.rect()).contains(bench.view.itemRect(bench.item("x"))));
    QVERIFY(QRectF(bench.view.rect()).contains(bench.view.itemRect(bench.item("logits"))));
}

void GraphViewTest::closingChoosesTheGroup()
{
    ViewBench bench(graph::residualModel(), QStringList{"blocks.0"});
    bench.view.setFocus();
    bench.view.setCurrent(bench.item("blocks.0.add"));
    QSignalSpy spy(&bench.view, &GraphView::currentChanged);
    QTest::keyClick(&bench.view, Qt::Key_Minus);  // a leaf: its frame closes
    bench.wait();
    QVERIFY(!bench.view.isOpen(bench.item("blocks.0")));
    QCOMPARE(bench.view.current(), bench.item("blocks.0"));
    QCOMPARE(spy.size(), 1);
}

void GraphViewTest::theWheelZoomsAboutThePointer()
{
    ViewBench bench(graph::residualModel());
    const int item = bench.item("blocks.1");
    const QPointF at = bench.view.itemRect(item).center();
    wheel(bench.view, at, 2);
    QVERIFY(std::abs(bench.view.itemRect(item).center().x() - at.x()) < 1.5 && std::abs(bench.view.itemRect(item).center().y() - at.y()) < 1.5);
    const double near = bench.view.zoom();
    for (int i = 0; i < 40; ++i)
        wheel(bench.view, at, -1);
    QVERIFY(bench.view.zoom() < near && bench.view.zoom() > 0);
    for (int i = 0; i < 60; ++i)
        wheel(bench.view, at, 1);
    QCOMPARE(bench.view.zoom(), 4.0);
}

void GraphViewTest::draggingMoves()
{
    ViewBench bench(graph::residualModel());
    const int item = bench.item("head");
    for (int i = 0; i < 3; ++i)
        wheel(bench.view, {400, 300}, 1);
    const QPointF before = bench.view.itemRect(item).center();
    QTest::mousePress(&bench.view, Qt::LeftButton, {}, {20, 20});
    QTest::mouseMove(&bench.view, {60, 50});
    QTest::mouseMove(&bench.view, {80, 60});
    QTest::mouseRelease(&bench.view, Qt::LeftButton, {}, {80, 60});
    const QPointF moved = bench.view.itemRect(item).center() - before;
    QVERIFY2(std::abs(moved.x() - 60) < 1.5 && std::abs(moved.y() - 40) < 1.5, qPrintable(QString("%1 %2").arg(moved.x()).arg(moved.y())));
}

void GraphViewTest::draggedPicturesEqualFreshOnes_data()
{
    QTest::addColumn<double>("zoom");
    QTest::newRow("hairs and plain boxes") << 0.15;
    QTest::newRow("curves without texts") << 0.4;
    QTest::newRow("texts and shapes") << 1.3;
    QTest::newRow("nearest") << 4.0;
}

// What is dragged is shifted, and only its new edges are painted: nothing may tell it from a picture painted as a whole.
void GraphViewTest::draggedPicturesEqualFreshOnes()
{
    QFETCH(double, zoom);
    ViewBench bench(graph::residualModel(), QStringList{"blocks.0", "blocks.1", "blocks.2"});
    bench.view.resize(300, 220);  // no small map: it would have to be painted anew
    bench.view.search("tanh");
    bench.view.toggleBookmark(bench.item("blocks.1.add"));
    bench.view.setCurrent(bench.item("blocks.1"));
    bench.view.zoomBy(zoom / bench.view.zoom(), {150, 110});
    bench.view.grab();
    QPoint at(150, 110);
    QTest::mousePress(&bench.view, Qt::MiddleButton, {}, at);
    const QPointF before = bench.view.itemRect(bench.item("blocks.1")).topLeft();
    QImage dragged;
    for (const QPoint step : {QPoint(9, 4), {-21, 3}, {0, -17}, {5, 0}, {-3, -2}, {14, 11}}) {
        at += step;
        QMouseEvent move(QEvent::MouseMove, at, bench.view.mapToGlobal(at), Qt::NoButton, Qt::MiddleButton, {});
        QApplication::sendEvent(&bench.view, &move);
        dragged = bench.view.grab().toImage();
    }
    QTest::mouseRelease(&bench.view, Qt::MiddleButton, {}, at);
    QVERIFY(zoom < 0.5 || bench.view.itemRect(bench.item("blocks.1")).topLeft() != before);
    bench.view.setColours(familyColours(*bench.content->tree));  // paints everything
    const QImage fresh = bench.view.grab().toImage();
    QCOMPARE(dragged, fresh);
}

void GraphViewTest::theSmallMapLeadsThere()
{
    ViewBench bench(graph::residualModel(), QStringList{"blocks.0", "blocks.1", "blocks.2"});
    bench.view.showAll();
    QVERIFY(bench.view.mapRect().isNull());  // everything is seen
    while (bench.view.zoom() < 2)
        wheel(bench.view, {400, 300}, 1);
    const QRectF map = bench.view.mapRect();
    QVERIFY(!map.isNull());
    QTest::mouseClick(&bench.view, Qt::LeftButton, {}, QPointF(map.center().x(), map.bottom() - 3).toPoint());
    QVERIFY(QRectF(bench.view.rect()).intersects(bench.view.itemRect(bench.item("logits"))));
    QVERIFY(!QRectF(bench.view.rect()).intersects(bench.view.itemRect(bench.item("x"))));
    QTest::mouseClick(&bench.view, Qt::LeftButton, {}, QPointF(map.center().x(), map.top() + 3).toPoint());
    QVERIFY(QRectF(bench.view.rect()).intersects(bench.view.itemRect(bench.item("x"))));
}

void GraphViewTest::searchFindsNamesOperatorsAndShapes()
{
    ViewBench bench(graph::residualModel(), QStringList());
    int tanh = 0;
    for (const auto* node : bench.model.graph->allNodes())
        tanh += node->op == "aten::tanh";
    QCOMPARE(bench.view.search("TANH"), tanh);
    QVERIFY(bench.view.search("blocks.1.") >= 4);
    QVERIFY(bench.view.search("[1, 4]") >= 1);
    QCOMPARE(bench.view.search("no such thing"), 0);
    QCOMPARE(bench.view.search("tanh"), 3);
    bench.view.setFocus();
    QSignalSpy spy(&bench.view, &GraphView::currentChanged);
    std::set<int> seen;
    for (int i = 0; i < 3; ++i) {
        QTest::keyClick(&bench.view, Qt::Key_F3);
        bench.wait();
        seen.insert(bench.view.current());
        QVERIFY(QRectF(bench.view.rect()).contains(bench.view.itemRect(bench.view.current())));
    }
    QCOMPARE(seen.size(), std::size_t(3));
    QCOMPARE(spy.size(), 3);
    const int last = bench.view.current();
    QTest::keyClick(&bench.view, Qt::Key_F3);
    QTest::keyClick(&bench.view, Qt::Key_F3, Qt::ShiftModifier);
    QCOMPARE(bench.view.current(), last);
    QTest::keyClick(&bench.view, Qt::Key_Escape);
    QCOMPARE(bench.view.found(), 0);
}

void GraphViewTest::settingTheCurrentOpensWhatIsAround()
{
    ViewBench bench(graph::residualModel(), QStringList());
    const int item = bench.item("blocks.2.tanh");
    bench.view.setCurrent(item);
    bench.wait();
    QVERIFY(bench.view.isOpen(bench.item("blocks.2")));
    QVERIFY(QRectF(bench.view.rect()).contains(bench.view.itemRect(item)));
}

void GraphViewTest::waysAreShownAndEnded()
{
    ViewBench bench(graph::residualModel(), QStringList{"blocks.0", "blocks.1", "blocks.2"});
    QSignalSpy spy(&bench.view, &GraphView::message);
    bench.view.setFocus();
    bench.view.setCurrent(bench.item("blocks.0.tanh"));
    QTest::keyClick(&bench.view, Qt::Key_P, Qt::ControlModifier);
    bench.view.setCurrent(bench.item("blocks.1.add"));
    QTest::keyClick(&bench.view, Qt::Key_T, Qt::ControlModifier);
    QVERIFY(bench.view.isShowingWay());
    QVERIFY(spy.last()[0].toString().contains("blocks.0.tanh"));
    const QImage dimmed = bench.view.grab().toImage();
    QTest::keyClick(&bench.view, Qt::Key_Escape);
    QVERIFY(!bench.view.isShowingWay());
    // What lies off the way is paler while it is shown.
    const QPoint off = bench.view.itemRect(bench.item("blocks.2.tanh")).center().toPoint() - QPoint(0, 12);
    if (bench.view.rect().contains(off)) {
        const QImage plain = bench.view.grab().toImage();
        QVERIFY(dimmed.pixelColor(off).lightness() >= plain.pixelColor(off).lightness());
    }
    QVERIFY(bench.view.showWay(bench.item("logits"), bench.item("x")));  // the other way round leads there, too
    graph::Builder builder("apart");
    const auto a = builder.input("a", "float32", {"1"}), b = builder.input("b", "float32", {"1"});
    const auto p = builder.relu(a), q = builder.op("aten::tanh", {b});
    ViewBench apart(builder.finish({{"p", p}, {"q", q}}));
    QVERIFY(!apart.view.showWay(apart.item("relu"), apart.item("tanh")));
    QVERIFY(!apart.view.isShowingWay());
}

void GraphViewTest::bookmarksAreWalked()
{
    ViewBench bench(graph::residualModel(), QStringList());
    bench.view.setFocus();
    for (const char* path : {"blocks.0", "head"}) {
        bench.click(bench.item(path));
        QTest::keyClick(&bench.view, Qt::Key_B, Qt::ControlModifier);
    }
    QCOMPARE(bench.view.bookmarks().size(), std::size_t(2));
    QTest::keyClick(&bench.view, Qt::Key_F4);
    QCOMPARE(bench.view.current(), bench.item("blocks.0"));
    QTest::keyClick(&bench.view, Qt::Key_F4);
    QCOMPARE(bench.view.current(), bench.item("head"));
    QTest::keyClick(&bench.view, Qt::Key_B, Qt::ControlModifier);
    QCOMPARE(bench.view.bookmarks().size(), std::size_t(1));
}

void GraphViewTest::tooltipsNameBoxesAndLines()
{
    ViewBench bench(graph::residualModel(), QStringList());
    bench.view.setToolTipText([](int item) { return QString("item %1").arg(item); });
    const auto ask = [&](QPointF at) {
        QHelpEvent event(QEvent::ToolTip, at.toPoint(), bench.view.mapToGlobal(at.toPoint()));
        QApplication::sendEvent(&bench.view, &event);
        return QToolTip::text();
    };
    QCOMPARE(ask(bench.view.itemRect(bench.item("head")).center()), QString("item %1").arg(bench.item("head")));
    QToolTip::hideText();
    const QRectF from = bench.view.itemRect(bench.item("head")), to = bench.view.itemRect(bench.item("logits"));
    const QString line = ask({from.center().x(), (from.bottom() + to.top()) / 2});
    QVERIFY2(line.contains("head") && line.contains("[1, 4]"), qPrintable(line));
}

void GraphViewTest::branchesOpenIntoTheirBlocks()
{
    ViewBench bench(graph::branchModel(), QStringList());
    const int branch = bench.item("chosen");
    bench.doubleClick(branch);
    QVERIFY(bench.view.isOpen(branch));
    for (const int block : bench.content->tree->item(branch).children)
        bench.doubleClick(block);
    QVERIFY(!bench.view.itemRect(bench.item("positive")).isNull() && !bench.view.itemRect(bench.item("negative")).isNull());
    ViewBench loop(graph::loopModel(3), QStringList());
    loop.view.openAll();
    loop.wait();
    QVERIFY(loop.view.itemRect(loop.item("last")).contains(loop.view.itemRect(loop.item("cell"))));
    takeShots(loop.view, "graph-loop");
}

void GraphViewTest::boxesHaveTheColourOfTheirFamily()
{
    for (const auto& [op, family] : {std::pair("aten::conv2d", 0),
                                     {"aten::linear", 0},
                                     {"aten::relu_", 1},
                                     {"aten::gelu", 1},
                                     {"aten::layer_norm", 2},
                                     {"aten::batch_norm", 2},
                                     {"aten::softmax.int", 3},
                                     {"aten::scaled_dot_product_attention", 3},
                                     {"aten::max_pool2d", 4},
                                     {"aten::mean.dim", 4},
                                     {"aten::view", 5},
                                     {"prim::ListConstruct", 5},
                                     {"aten::add.Tensor", 6},
                                     {"aten::mul", 6},
                                     {"onnx::Conv", 0},
                                     {"onnx::LayerNormalization", 2},
                                     {"mystery::thing", -1}})
        QVERIFY2(operatorFamily(op) == family, op);
    ViewBench bench(graph::residualModel(), QStringList{"blocks.0"});
    while (bench.view.zoom() < 1)
        wheel(bench.view, {400, 100}, 1);
    bench.view.setCurrent(bench.item("blocks.0.tanh"));
    const QRectF box = bench.view.itemRect(bench.item("blocks.0.tanh"));
    const QColor strip = bench.view.grab().toImage().pixelColor(QPointF(box.left() + 3 * bench.view.zoom(), box.center().y()).toPoint());
    QCOMPARE(strip, legendColour(bench.view.colours(), 1, false));
}

void GraphViewTest::numbersColourBySize()
{
    const auto colours = numberColours("Parameters", "", {0, 1, 10, 100, std::nan("")}, true);
    QCOMPARE(colours.low, 1.0);
    QCOMPARE(colours.high, 100.0);
    QVERIFY(!boxColour(colours, 0, false).isValid() && !boxColour(colours, 4, false).isValid());
    QCOMPARE(boxColour(colours, 1, false), toQColor(report::viridis().at(0)));
    QCOMPARE(boxColour(colours, 2, false), toQColor(report::viridis().at(0.5)));
    QCOMPARE(boxColour(colours, 3, false), toQColor(report::viridis().at(1)));
    const auto none = numberColours("Time", "s", {0, std::nan("")}, false);
    QCOMPARE(none.high, 0.0);
}

void GraphViewTest::groupsGatherNumbers()
{
    ViewBench bench(graph::residualModel());
    std::vector<double> ones(bench.model.graph->allNodes().size(), 1);
    const auto sums = gathered(*bench.content->tree, ones, Gather::Sum), largest = gathered(*bench.content->tree, ones, Gather::Largest);
    const int block = bench.item("blocks.1");
    QCOMPARE(sums[std::size_t(block)], double(bench.content->tree->item(block).leaves));
    QCOMPARE(largest[std::size_t(block)], 1.0);
    QCOMPARE(sums[0], double(ones.size()));
    QVERIFY(std::isnan(sums[std::size_t(bench.item("x"))]));
}

void GraphViewTest::linesOfTheChosenBoxStandOut()
{
    ViewBench bench(graph::residualModel(), QStringList{"blocks.1"});
    layout::FoldedGraph graph(bench.content->tree, bench.content->sizes);
    graph.setOpen(bench.item("blocks.1"), true);
    graph.arrange();
    const int item = bench.item("blocks.1.tanh");
    const auto lit = routesOf(*bench.content->tree, graph.picture(), item);
    for (std::size_t i = 0; i < lit.size(); ++i) {
        const auto& route = graph.picture().routes[i];
        QCOMPARE(bool(lit[i]), route.from == item || route.to == item);  // both neighbours are in the same frame
    }
    // From a frame's inside to the outside: every stretch of the way.
    const auto out = routesOf(*bench.content->tree, graph.picture(), bench.item("blocks.1.add"));
    bool leaves = false, arrives = false;
    for (std::size_t i = 0; i < out.size(); ++i) {
        leaves |= out[i] && graph.picture().routes[i].to < 0;
        arrives |= out[i] && graph.picture().routes[i].to == bench.item("blocks.2");
    }
    QVERIFY(leaves && arrives);
}

void GraphViewTest::exportsEveryFormat()
{
    ViewBench bench(graph::residualModel(), QStringList{"blocks.0"});
    QTemporaryDir folder;
    for (const char* ending : {"png", "svg", "pdf", "csv"}) {
        const QString file = folder.filePath(QString("graph.") + ending);
        bench.view.exportTo(file);
        QVERIFY(QFile(file).size() > 200);
    }
    QVERIFY(!QImage(folder.filePath("graph.png")).isNull());
    QSvgRenderer svg(folder.filePath("graph.svg"));
    QVERIFY(svg.isValid());
    QFile text(folder.filePath("graph.svg"));
    QVERIFY(text.open(QIODevice::ReadOnly));
    QVERIFY(text.readAll().contains("tanh"));
    const QString csv = bench.view.toCsv();
    QCOMPARE(csv.count('\n'),
             1 + int(bench.content->tree->item(0).children.size() + bench.content->tree->item(bench.item("blocks.0")).children.size()));
    QVERIFY(csv.contains("\"blocks.0.tanh\""));
    QVERIFY_EXCEPTION_THROWN(bench.view.exportTo(folder.filePath("graph.bmp")), core::InputError);
}

void GraphViewTest::stateIsKept()
{
    ViewBench bench(graph::residualModel(), QStringList{"blocks.0"});
    bench.view.toggleBookmark(bench.item("head"));
    bench.view.zoomBy(1.7, {300, 200});
    const auto state = bench.view.saveState();
    const double zoom = bench.view.zoom();
    const QRectF place = bench.view.itemRect(bench.item("blocks.0.tanh"));
    ViewBench other(graph::residualModel(), QStringList());
    other.view.restoreState(state);
    other.wait();
    QVERIFY(other.view.isOpen(other.item("blocks.0")));
    QCOMPARE(other.view.bookmarks(), std::set<int>{other.item("head")});
    QCOMPARE(other.view.zoom(), zoom);
    QVERIFY((other.view.itemRect(other.item("blocks.0.tanh")).topLeft() - place.topLeft()).manhattanLength() < 1);
    for (const auto& odd : {core::Json(), core::Json(3), core::Json{{"opened", 3}},
                            core::Json{{"opened", {1, "no such"}}, {"view", {"a", 1, 2}}, {"bookmarks", {{"x", 1}}}}})
        other.view.restoreState(odd);
    other.wait();
}

void GraphViewTest::weightsAloneAreShown()
{
    graph::Maker maker;
    for (int layer = 0; layer < 6; ++layer)
        for (const char* name : {"attn.weight", "attn.bias", "mlp.weight"})
            maker.parameter("h." + std::to_string(layer) + "." + name, {4, 4});
    ViewBench bench(maker.finish({}));
    QVERIFY(!bench.view.itemRect(bench.item("h")).isNull());
    bench.view.openAll();
    bench.wait();
    QVERIFY(!bench.view.itemRect(bench.item("h.3.attn.bias")).isNull());
    takeShots(bench.view, "graph-weights");
}

void GraphViewTest::anEmptyGraphSaysSo()
{
    ViewBench bench(graph::Maker().finish({}));
    QCOMPARE(bench.view.itemAt({10, 10}), -1);
    QTest::keyClick(&bench.view, Qt::Key_Down);
    QTest::keyClick(&bench.view, Qt::Key_Return);
    wheel(bench.view, {10, 10}, 3);
    bench.view.showAll();
    QCOMPARE(bench.view.current(), -1);
    GraphView bare(bench.session);
    bare.show();
    QVERIFY(QTest::qWaitForWindowExposed(&bare));
    QTest::keyClick(&bare, Qt::Key_Down);
    QTest::mouseDClick(&bare, Qt::LeftButton, {}, {20, 20});
    bare.openAll();
    QVERIFY(bare.toCsv().startsWith("path,"));
}

void GraphViewTest::pictures()
{
    ViewBench bench(graph::residualModel(), QStringList{"blocks.1"});
    bench.view.setCurrent(bench.item("blocks.1.tanh"));
    takeShots(bench.view, "graph-view");
    bench.view.search("norm");
    takeShots(bench.view, "graph-search");
}

QTEST_MAIN(GraphViewTest)
#include "graph_view_test.moc"
