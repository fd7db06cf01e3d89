// Graphs as trees of boxes, and folding them.
#include <QTest>
#include <algorithm>

#include <core/layout/fold_layout.h>
#include <core/zoo/zoo.h>

#include "../graph/sample_graphs.h"

using namespace orrery;
using namespace orrery::layout;

namespace {

FoldedGraph folded(const graph::Graph& graph, const ItemOptions& options = {})
{
    const auto tree = itemsOf(graph, options);
    return FoldedGraph(tree, std::make_shared<const std::vector<Size>>(tree->items().size(), Size{90, 30}));
}

QString overlapIn(const Picture& picture, const ItemTree& tree)
{
    for (std::size_t a = 0; a < picture.items.size(); ++a)
        for (std::size_t b = a + 1; b < picture.items.size(); ++b) {
            const auto &p = picture.items[a], &q = picture.items[b];
            const bool apart = p.left + p.width <= q.left + 1e-6 || q.left + q.width <= p.left + 1e-6 || p.top + p.height <= q.top + 1e-6 ||
                               q.top + q.height <= p.top + 1e-6;
            const bool nested = tree.isInside(q.item, p.item) && q.left >= p.left && q.top >= p.top && q.left + q.width <= p.left + p.width + 1e-6 &&
                                q.top + q.height <= p.top + p.height + 1e-6;
            if (!apart && !nested)
                return QString("%1 and %2").arg(QString::fromStdString(tree.item(p.item).path), QString::fromStdString(tree.item(q.item).path));
        }
    return {};
}

void openAll(FoldedGraph& graph)
{
    for (std::size_t i = 0; i < graph.tree()->items().size(); ++i)
        graph.setOpen(int(i), true);
}

/// The paths that lead from one item to another, as a search along the edges finds them; brute force for small trees.
bool isBetween(const ItemTree& tree, int item, int from, int to)
{
    const std::function<bool(int, int)> leads = [&](int a, int b) {
        if (a == b)
            return true;
        for (const int edge : tree.outgoing(a))
            if (leads(tree.edges()[std::size_t(edge)].to, b))
                return true;
        return false;
    };
    return leads(from, item) && leads(item, to);
}

}  // namespace

class GraphItemsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void everyTensorNodeIsALeafOfItsModule();
    void arithmeticIsShownOnlyWhenAsked();
    void whatDecidesABranchLeadsToIt();
    void anOpenFrameHasRoomForItsTitle();
    void aModuleCalledTwiceIsTwoBoxes();
    void aModuleWhosePartsRunApartIsOneBox();
    void branchesAndLoopsHoldTheirBlocks();
    void carriedValuesLeadBack();
    void weightsWithoutNodesStandInTheirModules();
    void firstOpenedGroupsShowAboutAsManyBoxesAsWanted();
    void pathsAreThoseOfBruteForce();
    void foldedGraphsDoNotOverlap();
    void unfoldingLaysOutOnlyWhatChanged();
    void foldingBackGivesTheSamePicture();
    void routesJoinAtTheFrames();
    void revealOpensWhatIsAround();
};

void GraphItemsTest::everyTensorNodeIsALeafOfItsModule()
{
    const auto model = zoo::buildModel("resnet", {{"depth", 20}}, 0);
    const auto tree = itemsOf(*model.graph, {true});
    for (std::size_t i = 0; i < model.graph->allNodes().size(); ++i) {
        const auto& node = *model.graph->allNodes()[i];
        const int item = tree->find(node.name);
        QVERIFY2(item >= 0, node.name.c_str());
        QCOMPARE(tree->item(item).number, int(i));
        QCOMPARE(tree->item(tree->item(item).parent).path, node.module);
    }
    // Every read of a node's output is an edge, and nothing else is.
    std::size_t reads = model.graph->data().body.outputs.size();
    for (const auto* node : model.graph->allNodes()) {
        std::set<graph::ValueId> read;
        for (const auto& input : node->inputs)
            if (!input.isConstant() && !model.graph->parameterOf(input.value) && input.value != model.graph->data().training)
                read.insert(input.value);
        reads += read.size();
    }
    QCOMPARE(tree->edges().size(), reads);
}

void GraphItemsTest::arithmeticIsShownOnlyWhenAsked()
{
    const auto model = graph::branchModel();
    QCOMPARE(itemsOf(*model.graph)->find("rows"), -1);
    QVERIFY(itemsOf(*model.graph, {true})->find("rows") > 0);
}

// x -> relu (module) -> fc -> relu again: one box would make a cycle.
// The number between the tensor and the branch is no box, its way is: else the picture would say that nothing reads the comparison.
void GraphItemsTest::whatDecidesABranchLeadsToIt()
{
    using graph::literal;
    using graph::of;
    graph::Maker maker;
    const auto x = maker.input("x");
    auto& body = maker.data.body;
    const auto sum = maker.node(body, "sum", "aten::sum", {of(x), literal(c10::IValue())});
    const auto flag = maker.node(body, "flag", "aten::Bool.Tensor", {of(sum)}, "bool");
    const auto rows = maker.node(body, "rows", "aten::size.int", {of(x), literal(std::int64_t(0))}, "int");
    const auto wide = maker.node(body, "wide", "aten::full", {of(rows), literal(1.0)});
    const auto out = maker.value("chosen");
    graph::Block yes, no;
    yes.outputs = {of(maker.node(yes, "positive", "aten::relu", {of(x)}))};
    no.outputs = {of(wide)};
    maker.append(body, "chosen", "prim::If", {of(flag)}, {out}).blocks = {std::move(yes), std::move(no)};
    const auto tree = itemsOf(*maker.finish({{"chosen", out}}).graph);
    QCOMPARE(tree->find("flag"), -1);
    const auto leads = [&](const char* from, const char* to) {
        return std::any_of(tree->edges().begin(), tree->edges().end(),
                           [&](const auto& edge) { return edge.from == tree->find(from) && edge.to == tree->find(to); });
    };
    QVERIFY(leads("x", "sum"));
    QVERIFY(leads("sum", "chosen"));
    QVERIFY(!leads("x", "wide"));  // of a size nothing is read but the shape
    QVERIFY(!leads("x", "chosen"));
}

void GraphItemsTest::anOpenFrameHasRoomForItsTitle()
{
    const auto model = zoo::buildModel("lenet", {}, 0);
    const auto tree = itemsOf(*model.graph);
    const int conv = tree->findGroup("conv1");
    auto sizes = std::vector<Size>(tree->items().size(), Size{90, 30});
    sizes[std::size_t(conv)].frame = 400;
    FoldedGraph graph(tree, std::make_shared<const std::vector<Size>>(sizes));
    graph.setOpen(conv, true);
    graph.arrange();
    const auto& placed = graph.picture().items[std::size_t(graph.picture().placeOf[std::size_t(conv)])];
    QVERIFY2(placed.open && std::abs(placed.width - 400) < 1e-9, qPrintable(QString::number(placed.width)));
}

void GraphItemsTest::aModuleCalledTwiceIsTwoBoxes()
{
    graph::Builder builder("twice");
    auto x = builder.input("x", "float32", {"batch", "4"});
    const auto call = [&](graph::Builder::Var v) {
        const auto scope = builder.module("act", "ReLU");
        return builder.relu(v);
    };
    x = call(x);
    x = builder.linear("fc", x, 4, 4);
    const auto model = builder.finish({{"y", call(x)}});
    const auto tree = itemsOf(*model.graph);
    std::vector<std::string> titles;
    for (const auto& item : tree->items())
        if (item.kind == Item::Kind::Module && item.path == "act")
            titles.push_back(item.title);
    QCOMPARE(titles, (std::vector<std::string>{"act", "act (2)"}));
    auto graph = folded(*model.graph);
    graph.arrange();
    for (const auto& route : graph.picture().routes)
        QVERIFY(!route.upward);
}

// Two chains written alternately: each is one box, because nothing comes back.
void GraphItemsTest::aModuleWhosePartsRunApartIsOneBox()
{
    graph::Maker maker;
    auto a = maker.input("a"), b = maker.input("b");
    for (int i = 0; i < 4; ++i) {
        a = maker.node(maker.data.body, "left.n" + std::to_string(i), "aten::tanh", {graph::of(a)});
        maker.data.body.nodes.back().module = "left";
        b = maker.node(maker.data.body, "right.n" + std::to_string(i), "aten::tanh", {graph::of(b)});
        maker.data.body.nodes.back().module = "right";
    }
    maker.data.modules = {{"", "Two"}, {"left", "Chain"}, {"right", "Chain"}};
    const auto model = maker.finish({{"a", a}, {"b", b}});
    const auto tree = itemsOf(*model.graph);
    QCOMPARE(std::count_if(tree->items().begin(), tree->items().end(), [](const auto& item) { return item.kind == Item::Kind::Module; }),
             std::ptrdiff_t(2));
    QCOMPARE(tree->item(tree->find("left")).leaves, 4);
}

void GraphItemsTest::branchesAndLoopsHoldTheirBlocks()
{
    const auto model = graph::branchModel();
    const auto tree = itemsOf(*model.graph);
    const int branch = tree->find("chosen");
    QCOMPARE(tree->item(branch).children.size(), std::size_t(2));
    QCOMPARE(tree->item(tree->item(branch).children[0]).title, std::string("then"));
    QCOMPARE(tree->item(tree->item(branch).children[1]).title, std::string("else"));
    QCOMPARE(tree->item(tree->find("positive")).parent, tree->item(branch).children[0]);
    auto graph = folded(*model.graph);
    openAll(graph);
    graph.arrange();
    QCOMPARE(overlapIn(graph.picture(), *tree), QString());
    // What the branches give goes on to the output.
    std::set<std::string> makers;
    for (const auto& edge : tree->edges())
        if (tree->item(edge.to).kind == Item::Kind::Output)
            makers.insert(tree->item(edge.from).path);
    QCOMPARE(makers, (std::set<std::string>{"negative", "positive"}));
}

void GraphItemsTest::carriedValuesLeadBack()
{
    const auto model = graph::loopModel(3);
    const auto tree = itemsOf(*model.graph);
    int backward = 0;
    for (const auto& edge : tree->edges())
        if (edge.backward) {
            ++backward;
            QCOMPARE(tree->item(edge.from).path, std::string("cell"));
            QCOMPARE(tree->item(edge.to).path, std::string("sum"));
        }
    QCOMPARE(backward, 1);
    auto graph = folded(*model.graph);
    openAll(graph);
    graph.arrange();
    for (const auto& route : graph.picture().routes)
        QCOMPARE(route.upward, route.from == tree->find("cell") && route.to == tree->find("sum"));
}

void GraphItemsTest::weightsWithoutNodesStandInTheirModules()
{
    graph::Maker maker;
    for (const char* name : {"h.0.attn.weight", "h.0.attn.bias", "h.1.attn.weight", "wte"})
        maker.parameter(name, {4, 4});
    const auto model = maker.finish({});
    const auto tree = itemsOf(*model.graph);
    QCOMPARE(tree->item(0).children.size(), std::size_t(2));  // h, wte
    QCOMPARE(tree->item(tree->item(tree->find("h.0.attn.bias")).parent).path, std::string("h.0.attn"));
    auto graph = folded(*model.graph);
    openAll(graph);
    graph.arrange();
    QCOMPARE(overlapIn(graph.picture(), *tree), QString());
    QCOMPARE(graph.picture().items.size(), tree->items().size() - 1);
}

void GraphItemsTest::firstOpenedGroupsShowAboutAsManyBoxesAsWanted()
{
    const auto model = zoo::buildModel("resnet", {{"depth", 56}}, 0);
    for (const int wanted : {1, 20, 40, 100}) {
        auto graph = folded(*model.graph);
        for (const int group : openedAtFirst(*graph.tree(), wanted))
            graph.setOpen(group, true);
        graph.arrange();
        const auto shown = std::count_if(graph.picture().items.begin(), graph.picture().items.end(), [](const auto& item) { return !item.open; });
        QVERIFY(shown <= std::max<std::ptrdiff_t>(wanted, std::ptrdiff_t(graph.tree()->item(0).children.size())));
        QVERIFY(wanted < 100 || shown > 40);
    }
}

void GraphItemsTest::pathsAreThoseOfBruteForce()
{
    const auto model = graph::residualModel();
    const auto tree = itemsOf(*model.graph);
    for (const auto& [from, to] : {std::pair("blocks.0.fc", "blocks.1.add"),
                                   {"x", "logits"},
                                   {"blocks.1.tanh", "blocks.1.tanh"},
                                   {"head", "x"},
                                   {"blocks.2.fc", "blocks.0.fc"}}) {
        int a = tree->find(from), b = tree->find(to);
        while (tree->item(a).isGroup())
            a = tree->item(a).children.front();
        while (tree->item(b).isGroup())
            b = tree->item(b).children.front();
        const auto between = itemsBetween(*tree, a, b);
        for (std::size_t i = 0; i < tree->items().size(); ++i)
            QCOMPARE(bool(between[i]), !tree->items()[i].isGroup() && isBetween(*tree, int(i), a, b));
    }
}

void GraphItemsTest::foldedGraphsDoNotOverlap()
{
    const auto model = zoo::buildModel("gpt", {{"layers", 3}, {"width", 16}, {"heads", 2}, {"block_length", 8}, {"vocabulary", 20}}, 0);
    auto graph = folded(*model.graph, {true});
    graph.arrange();
    QCOMPARE(overlapIn(graph.picture(), *graph.tree()), QString());
    for (std::size_t i = 1; i < graph.tree()->items().size(); i += 3) {
        graph.setOpen(int(i), true);
        graph.arrange();
        QCOMPARE(overlapIn(graph.picture(), *graph.tree()), QString());
    }
    openAll(graph);
    graph.arrange();
    QCOMPARE(overlapIn(graph.picture(), *graph.tree()), QString());
    for (const auto& route : graph.picture().routes)
        QVERIFY(!route.upward);
}

void GraphItemsTest::unfoldingLaysOutOnlyWhatChanged()
{
    const auto model = zoo::buildModel("resnet", {{"depth", 20}}, 0);
    auto graph = folded(*model.graph);
    openAll(graph);
    graph.arrange();
    int groups = 1;
    for (const auto& item : graph.tree()->items())
        groups += item.isGroup() && item.kind != Item::Kind::Root;
    QCOMPARE(graph.groupsLaidOut(), groups);
    int deepest = 0, depth = 0;
    for (std::size_t i = 1; i < graph.tree()->items().size(); ++i) {
        int levels = 0;
        for (int at = int(i); at > 0; at = graph.tree()->item(at).parent)
            ++levels;
        if (graph.tree()->items()[i].isGroup() && levels > depth) {
            deepest = int(i);
            depth = levels;
        }
    }
    const auto before = graph.sharedPicture();
    graph.setOpen(deepest, false);
    graph.arrange();
    QCOMPARE(graph.groupsLaidOut(), depth);  // those around it
    QVERIFY(graph.picture().items.size() < before->items.size());
}

void GraphItemsTest::foldingBackGivesTheSamePicture()
{
    const auto model = graph::residualModel();
    auto graph = folded(*model.graph);
    graph.arrange();
    const auto before = graph.sharedPicture();
    auto other = graph;  // a copy goes its own way
    openAll(other);
    other.arrange();
    QCOMPARE(graph.sharedPicture(), before);
    QVERIFY(other.picture().items.size() > before->items.size());
    for (std::size_t i = other.tree()->items().size(); i-- > 1;)
        other.setOpen(int(i), false);
    other.arrange();
    QCOMPARE(other.picture().items.size(), before->items.size());
    for (std::size_t i = 0; i < before->items.size(); ++i)
        QVERIFY(other.picture().items[i].left == before->items[i].left && other.picture().items[i].top == before->items[i].top);
}

// A value that enters a frame arrives at the frame's edge where the route inside starts.
void GraphItemsTest::routesJoinAtTheFrames()
{
    const auto model = graph::residualModel();
    auto graph = folded(*model.graph);
    openAll(graph);
    graph.arrange();
    int joined = 0;
    for (const auto& inner : graph.picture().routes) {
        if (inner.from >= 0)
            continue;
        bool found = false;
        for (const auto& outer : graph.picture().routes)
            found |= outer.value == inner.value && std::abs(outer.points.back().x - inner.points.front().x) < 0.01 &&
                     std::abs(outer.points.back().y - inner.points.front().y) < 0.01;
        QVERIFY(found);
        ++joined;
    }
    QVERIFY(joined > 3);
}

void GraphItemsTest::revealOpensWhatIsAround()
{
    const auto model = graph::residualModel();
    auto graph = folded(*model.graph);
    const int node = graph.tree()->find(model.graph->nodes()[1].name);
    QVERIFY(graph.visible(node) != node);
    graph.reveal(node);
    graph.arrange();
    QCOMPARE(graph.visible(node), node);
    QVERIFY(graph.picture().placeOf[std::size_t(node)] >= 0);
}

QTEST_APPLESS_MAIN(GraphItemsTest)
#include "graph_items_test.moc"
