// Differences of two graphs: what was done to them is what is found.
#include <QTest>

#include <core/compare/graph_difference.h>
#include <core/compare/union_items.h>
#include <core/zoo/zoo.h>

#include "../graph/sample_graphs.h"

using namespace orrery;
using namespace orrery::compare;

namespace {

/// Input -> fc1 -> an activation -> fc2, the modules named as asked.
graph::Model network(const std::string& prefix, const char* activation, bool norm = false, std::int64_t out = 3)
{
    graph::Builder builder("network");
    auto x = builder.input("x", "float32", {"batch", "6"}, "table");
    x = builder.linear(prefix + "1", x, 6, 5);
    x = builder.op(activation, {x}, "act");
    if (norm)
        x = builder.layerNorm("norm", x, 5);
    return withWeights(builder.finish({{"logits", builder.linear(prefix + "2", x, 5, out)}}));
}

const NodeDifference& about(const GraphDifference& difference, const std::string& name)
{
    for (const auto& node : difference.nodes)
        if (node.first == name || node.second == name)
            return node;
    throw std::runtime_error("no node " + name);
}

}  // namespace

class GraphDifferenceTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void aGraphEqualsItself_data();
    void aGraphEqualsItself();
    void anotherOperatorIsAChange();
    void anotherLiteralIsAChange();
    void newNodesAreAddedAndTheirReadersChanged();
    void theOtherWayRoundAddedIsRemoved();
    void renamedModulesAreMatchedByStructure();
    void anotherOperatorOfAnotherNameIsAChange();
    void parametersWithoutPartnersAreListed();
    void insideBlocksIsCompared();
    void jsonHoldsTheCounts();
    void theUnionHoldsBoth();
    void aModuleThatIsGoneIsRemoved();
    void theUnionWithItselfIsItself();
};

void GraphDifferenceTest::aGraphEqualsItself_data()
{
    QTest::addColumn<QString>("id");
    for (const char* id : {"mlp", "lenet", "resnet", "vit", "gpt"})
        QTest::newRow(id) << id;
}

void GraphDifferenceTest::aGraphEqualsItself()
{
    QFETCH(QString, id);
    const auto a = zoo::buildModel(id.toStdString(), core::Json::object(), 0), b = zoo::buildModel(id.toStdString(), core::Json::object(), 1);
    const auto difference = compareGraphs(*a.graph, *b.graph);
    QVERIFY(difference.equal());
    QCOMPARE(difference.nodes.size(), a.graph->allNodes().size());
    QCOMPARE(difference.parameters.size(), a.graph->data().parameters.size());
}

void GraphDifferenceTest::anotherOperatorIsAChange()
{
    const auto a = network("fc", "aten::relu"), b = network("fc", "aten::tanh");
    const auto difference = compareGraphs(*a.graph, *b.graph);
    QCOMPARE(difference.count(Change::Changed), 1);
    QCOMPARE(difference.count(Change::Added) + difference.count(Change::Removed), 0);
    QCOMPARE(about(difference, "act").what, (std::vector<std::string>{"operator aten::relu became aten::tanh"}));
    QVERIFY(!difference.equal());
}

void GraphDifferenceTest::anotherLiteralIsAChange()
{
    const auto build = [](double alpha) {
        graph::Builder builder("leaky");
        const auto x = builder.input("x", "float32", {"batch", "6"});
        return builder.finish({{"y", builder.op("aten::leaky_relu", {x, alpha}, "act")}});
    };
    const auto a = build(0.1), b = build(0.2);
    QCOMPARE(about(compareGraphs(*a.graph, *b.graph), "act").what, (std::vector<std::string>{"input 1: 0.1 became 0.2"}));
}

void GraphDifferenceTest::newNodesAreAddedAndTheirReadersChanged()
{
    const auto a = network("fc", "aten::relu"), b = network("fc", "aten::relu", true);
    const auto difference = compareGraphs(*a.graph, *b.graph);
    QCOMPARE(difference.count(Change::Removed), 0);
    QVERIFY(difference.count(Change::Added) >= 1);
    for (const auto& node : difference.nodes)
        if (node.change == Change::Added)
            QVERIFY(node.second.rfind("norm", 0) == 0 && node.first.empty());
    QCOMPARE(difference.count(Change::Changed), 1);
    QCOMPARE(difference.onlySecond, (std::vector<std::string>{"norm.weight", "norm.bias"}));
    QVERIFY(about(difference, b.graph->data().values[std::size_t(b.graph->data().body.outputs[0].value)].name).change == Change::Changed);
}

void GraphDifferenceTest::theOtherWayRoundAddedIsRemoved()
{
    const auto a = zoo::buildModel("resnet", {{"depth", 20}}, 0), b = zoo::buildModel("resnet", {{"depth", 32}}, 0);
    const auto forth = compareGraphs(*a.graph, *b.graph), back = compareGraphs(*b.graph, *a.graph);
    QVERIFY(forth.count(Change::Added) > 0);
    QCOMPARE(forth.count(Change::Added), back.count(Change::Removed));
    QCOMPARE(forth.count(Change::Removed), back.count(Change::Added));
    QCOMPARE(forth.onlySecond, back.onlyFirst);
}

void GraphDifferenceTest::renamedModulesAreMatchedByStructure()
{
    const auto a = network("fc", "aten::relu"), b = network("dense_", "aten::relu");
    const auto difference = compareGraphs(*a.graph, *b.graph);
    QVERIFY2(difference.equal(), difference.toJson().dump(1).c_str());
    QCOMPARE(difference.parameters.at("fc1.weight"), std::string("dense_1.weight"));
    QCOMPARE(difference.parameters.at("fc2.bias"), std::string("dense_2.bias"));
    QVERIFY(about(difference, "fc1.linear").isRenamed() || difference.nodes[0].isRenamed());
}

// The zoo names an activation after its operator: it still stands at the same place.
void GraphDifferenceTest::anotherOperatorOfAnotherNameIsAChange()
{
    const auto a = zoo::buildModel("mlp", {{"hidden", {4, 5}}}, 0), b = zoo::buildModel("mlp", {{"hidden", {4, 5}}, {"activation", "tanh"}}, 0);
    const auto difference = compareGraphs(*a.graph, *b.graph);
    QCOMPARE(difference.count(Change::Changed), 2);
    QCOMPARE(difference.count(Change::Added) + difference.count(Change::Removed), 0);
    for (const auto& node : difference.nodes)
        if (node.change == Change::Changed)
            QVERIFY(node.isRenamed() && node.what == std::vector<std::string>{"operator aten::relu became aten::tanh"});
}

void GraphDifferenceTest::parametersWithoutPartnersAreListed()
{
    const auto a = network("fc", "aten::relu", false, 3), b = network("fc", "aten::relu", false, 7);
    const auto difference = compareGraphs(*a.graph, *b.graph);
    QVERIFY(!difference.equal());
    QCOMPARE(difference.count(Change::Changed), 1);
    QCOMPARE(about(difference, a.graph->nodes().back().name).what,
             (std::vector<std::string>{"fc2.weight: [3, 5] became [7, 5]", "fc2.bias: [3] became [7]"}));
    QCOMPARE(difference.parameters.at("fc2.weight"), std::string("fc2.weight"));
    graph::Maker one, two;
    one.parameter("a", {2});
    one.parameter("b", {2});
    two.parameter("b", {2});
    two.parameter("c", {2});
    const auto weights = compareGraphs(*one.finish({}).graph, *two.finish({}).graph);
    QCOMPARE(weights.onlyFirst, (std::vector<std::string>{"a"}));
    QCOMPARE(weights.onlySecond, (std::vector<std::string>{"c"}));
    QVERIFY(!weights.equal());
}

void GraphDifferenceTest::insideBlocksIsCompared()
{
    const auto a = graph::loopModel(3), b = graph::loopModel(4);
    const auto difference = compareGraphs(*a.graph, *b.graph);
    QCOMPARE(difference.count(Change::Changed), 1);
    QCOMPARE(about(difference, "last").what, (std::vector<std::string>{"input 0: 3 became 4"}));
    QVERIFY(compareGraphs(*a.graph, *graph::loopModel(3).graph).equal());
    QVERIFY(compareGraphs(*graph::branchModel().graph, *graph::branchModel().graph).equal());
}

void GraphDifferenceTest::jsonHoldsTheCounts()
{
    const auto a = network("fc", "aten::relu"), b = network("fc", "aten::tanh", true);
    const auto difference = compareGraphs(*a.graph, *b.graph);
    const auto json = difference.toJson();
    QCOMPARE(json["changed"].get<int>(), difference.count(Change::Changed));
    QCOMPARE(json["added"].get<int>(), difference.count(Change::Added));
    QCOMPARE(json["equal"].get<bool>(), false);
    int listed = 0;
    for (const auto& node : json["nodes"])
        listed += node["change"] != "same";
    QCOMPARE(listed, difference.count(Change::Changed) + difference.count(Change::Added) + difference.count(Change::Removed));
}

void GraphDifferenceTest::theUnionHoldsBoth()
{
    const auto a = network("fc", "aten::relu"), b = network("fc", "aten::relu", true);
    const auto difference = compareGraphs(*a.graph, *b.graph);
    const auto joined = unionItems(*a.graph, *b.graph, difference);
    const auto& tree = *joined.tree;
    QCOMPARE(joined.changes.size(), tree.items().size());
    int added = 0, changed = 0;
    for (std::size_t i = 1; i < tree.items().size(); ++i) {
        const auto& item = tree.items()[i];
        if (item.kind != layout::Item::Kind::Node)
            continue;
        added += joined.changes[i] == Change::Added;
        changed += joined.changes[i] == Change::Changed;
        if (joined.changes[i] == Change::Added) {
            QVERIFY(int(i) >= joined.firstItems);
            QCOMPARE(tree.item(item.parent).path, std::string("norm"));
            QVERIFY(!tree.incoming(int(i)).empty() && !tree.outgoing(int(i)).empty());
        }
    }
    QCOMPARE(added, difference.count(Change::Added));
    QCOMPARE(changed, difference.count(Change::Changed));
    QCOMPARE(joined.changes[std::size_t(tree.find("norm"))], Change::Added);
    QCOMPARE(joined.changes[std::size_t(tree.find("fc2"))], Change::Changed);
    QCOMPARE(joined.changes[std::size_t(tree.find("fc1"))], Change::Same);
}

void GraphDifferenceTest::aModuleThatIsGoneIsRemoved()
{
    const auto a = network("fc", "aten::relu", true), b = network("fc", "aten::relu");
    const auto joined = unionItems(*a.graph, *b.graph, compareGraphs(*a.graph, *b.graph));
    QCOMPARE(joined.changes[std::size_t(joined.tree->find("norm"))], Change::Removed);
    QCOMPARE(joined.changes[std::size_t(joined.tree->find("fc2"))], Change::Changed);
    QCOMPARE(joined.changes[0], Change::Changed);
    // A loop is what it is itself: here its limit differs, in the second pair only what it holds.
    const auto loops =
        unionItems(*graph::loopModel(3).graph, *graph::loopModel(4).graph, compareGraphs(*graph::loopModel(3).graph, *graph::loopModel(4).graph));
    QCOMPARE(loops.changes[std::size_t(loops.tree->find("last"))], Change::Changed);
    QCOMPARE(loops.changes[std::size_t(loops.tree->find("cell"))], Change::Same);
}

void GraphDifferenceTest::theUnionWithItselfIsItself()
{
    const auto model = zoo::buildModel("resnet", {{"depth", 20}}, 0);
    const auto joined = unionItems(*model.graph, *model.graph, compareGraphs(*model.graph, *model.graph));
    const auto tree = layout::itemsOf(*model.graph);
    QCOMPARE(joined.tree->items().size(), tree->items().size());
    QCOMPARE(joined.tree->edges().size(), tree->edges().size());
    QVERIFY(std::all_of(joined.changes.begin(), joined.changes.end(), [](Change change) { return change == Change::Same; }));
}

QTEST_APPLESS_MAIN(GraphDifferenceTest)
#include "graph_difference_test.moc"
