#include <core/graph/inspect.h>

#include <QtTest>

#include "sample_graphs.h"

using namespace orrery;
using namespace orrery::graph;

namespace {

std::vector<std::string> namesOf(const Graph& graph, std::string_view pattern)
{
    std::vector<std::string> names;
    for (const ValueId id : graph.resolve(pattern))
        names.push_back(graph.value(id).name);
    return names;
}

using Names = std::vector<std::string>;

Model namesModel()
{
    Builder builder("names");
    const auto x = builder.input("x", "float32", {"batch", "4"});
    auto y = builder.relu(builder.linear("fc", x, 4, 4));
    y = builder.relu(builder.linear("fc", y, 4, 4));
    const auto both = builder.ops("aten::max.dim", {y, 1, true}, "largest");
    const auto written = builder.op("aten::mul_.Scalar", {builder.op("aten::neg", {both[0]}), 2});
    const auto again = builder.op("aten::add_.Scalar", {written, 1});
    return withWeights(builder.finish({{"out", again}, {"index", both[1]}}));
}

struct Broken {
    const char* name;
    const char* message;
    std::function<void(GraphData&)> damage;
};

GraphData soundData()
{
    Maker maker;
    const ValueId x = maker.input("x");
    const ValueId a = maker.node(maker.data.body, "a", "aten::relu", {of(x)});
    const ValueId b = maker.node(maker.data.body, "b", "aten::neg", {of(a)});
    maker.data.body.outputs = {of(b)};
    maker.data.outputNames = {"b"};
    return maker.data;
}

GraphData loopData()
{
    return loopModel(2).graph->data();
}
GraphData branchData()
{
    return branchModel().graph->data();
}

std::vector<Broken> brokenGraphs()
{
    return {
        {"used before defined", "node a: value \"b\" is used before it is defined", [](GraphData& data) { data.body.nodes[0].inputs[0] = of(2); }},
        {"defined twice", "value \"a\" is defined twice", [](GraphData& data) { data.body.nodes[1].outputs[0] = 1; }},
        {"node defines an input", "value \"x\" is defined twice", [](GraphData& data) { data.body.nodes[1].outputs[0] = 0; }},
        {"input out of range", "node b: value 99 is out of range (expected 0..2)", [](GraphData& data) { data.body.nodes[1].inputs[0] = of(99); }},
        {"output out of range", "node b: value -5 is out of range (expected 0..2)", [](GraphData& data) { data.body.nodes[1].outputs[0] = -5; }},
        {"two values of one name", "two values are named \"a\"", [](GraphData& data) { data.values[2].name = "a"; }},
        {"two nodes of one name", "two nodes are named \"a\"", [](GraphData& data) { data.body.nodes[1].name = "a"; }},
        {"value without a name", "a value has no name", [](GraphData& data) { data.values[2].name.clear(); }},
        {"node without a name", "a aten::neg node has no name", [](GraphData& data) { data.body.nodes[1].name.clear(); }},
        {"output names differ in number", "expected 1 output names, got 2", [](GraphData& data) { data.outputNames.push_back("c"); }},
        {"output never made", "is used before it is defined",
         [](GraphData& data) {
             data.values.push_back({"ghost", "Tensor"});
             data.body.outputs[0] = of(3);
         }},
        {"buffer update out of range", "update of buffer count: value 7 is out of range",
         [](GraphData& data) {
             data.bufferUpdates.push_back({"count", 7});
         }},
        {"alias of nothing", "alias head.weight names no parameter: \"wte.weight\"",
         [](GraphData& data) { data.aliases["head.weight"] = "wte.weight"; }},
        {"loop without its block", "node last: prim::Loop has 0 blocks",
         [](GraphData& data) {
             data = loopData();
             data.body.nodes[0].blocks.clear();
         }},
        {"loop carries too little", "node last: a loop's carried values differ in number",
         [](GraphData& data) {
             data = loopData();
             data.body.nodes[0].blocks[0].outputs.pop_back();
         }},
        {"branch with one side", "node chosen: prim::If has 1 block",
         [](GraphData& data) {
             data = branchData();
             data.body.nodes[2].blocks.pop_back();
         }},
        {"branches differ in outputs", "node chosen: expected 1 outputs of each branch, got 0",
         [](GraphData& data) {
             data = branchData();
             data.body.nodes[2].blocks[1].outputs.clear();
         }},
        {"inner value used outside", "is used before it is defined",
         [](GraphData& data) {
             data = branchData();
             data.body.outputs[0] = of(data.body.nodes[2].blocks[0].nodes[0].outputs[0]);
         }},
    };
}

}  // namespace

class GraphTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void namesFollowTheRules()
    {
        const Model model = namesModel();
        Names nodes;
        for (const Node* node : model.graph->allNodes())
            nodes.push_back(node->name);
        QCOMPARE(nodes, (Names{"fc.linear", "relu", "fc.linear#2", "relu#2", "largest", "neg", "neg@2", "neg@3"}));
        QVERIFY(model.graph->findValue("largest:1"));
        QCOMPARE(model.graph->data().parameters.size(), std::size_t(2));  // both calls of fc share its weights
        QCOMPARE(model.graph->nodes()[0].module, std::string("fc"));
    }

    void stepsAreCutOffNames_data()
    {
        QTest::addColumn<QString>("name");
        QTest::addColumn<QString>("base");
        QTest::addColumn<QString>("steps");
        QTest::newRow("no step") << "cell"
                                 << "cell"
                                 << "";
        QTest::newRow("one step") << "cell[3]"
                                  << "cell"
                                  << "[3]";
        QTest::newRow("all steps") << "cell[*]"
                                   << "cell"
                                   << "[*]";
        QTest::newRow("nested loops") << "rnn.cell[3][10]"
                                      << "rnn.cell"
                                      << "[3][10]";
        QTest::newRow("second call") << "relu#2[0]"
                                     << "relu#2"
                                     << "[0]";
        QTest::newRow("no number") << "cell[a]"
                                   << "cell[a]"
                                   << "";
        QTest::newRow("in the middle") << "a[1].b"
                                       << "a[1].b"
                                       << "";
        QTest::newRow("only a step") << "[3]"
                                     << "[3]"
                                     << "";
        QTest::newRow("empty") << ""
                               << ""
                               << "";
    }
    void stepsAreCutOffNames()
    {
        QFETCH(QString, name);
        QFETCH(QString, base);
        QFETCH(QString, steps);
        const std::string text = name.toStdString();
        const auto [first, second] = splitStep(text);
        QCOMPARE(QString::fromStdString(std::string(first)), base);
        QCOMPARE(QString::fromStdString(std::string(second)), steps);
    }

    void patternsNameValues()
    {
        const Model model = residualModel();
        const Graph& graph = *model.graph;
        QCOMPARE(namesOf(graph, "blocks.1.tanh"), (Names{"blocks.1.tanh"}));
        QCOMPARE(namesOf(graph, "blocks.*.tanh"), (Names{"blocks.0.tanh", "blocks.1.tanh", "blocks.2.tanh"}));
        QCOMPARE(namesOf(graph, "blocks.?.add"), (Names{"blocks.0.add", "blocks.1.add", "blocks.2.add"}));
        QCOMPARE(namesOf(graph, "blocks.0.**").size(), std::size_t(8));  // two modules of two parameters, four nodes
        QCOMPARE(namesOf(graph, "op:tanh"), namesOf(graph, "blocks.*.tanh"));
        QCOMPARE(namesOf(graph, "op:aten::tanh"), namesOf(graph, "op:tanh"));
        QCOMPARE(namesOf(graph, "op:aten::add.Tensor"), namesOf(graph, "op:add"));
        QCOMPARE(namesOf(graph, "blocks.1"), (Names{"blocks.1.add"}));  // a module stands for what it gives
        QCOMPARE(namesOf(graph, "blocks.1.fc"), (Names{"blocks.1.fc.linear"}));
        QCOMPARE(namesOf(graph, "blocks.*.norm"), (Names{"blocks.0.norm.layer_norm", "blocks.1.norm.layer_norm", "blocks.2.norm.layer_norm"}));
        QCOMPARE(namesOf(graph, "head.weight"), (Names{"head.weight"}));
        QCOMPARE(namesOf(graph, "x"), (Names{"x"}));
        QVERIFY(graph.moduleOutputs("nothing").empty());
        QCOMPARE(graph.moduleOutputs(""), (std::vector<ValueId>{graph.data().body.outputs.at(0).value}));  // the root is the whole model
    }

    void unknownPatternsNameTheNearest_data()
    {
        QTest::addColumn<QString>("pattern");
        QTest::addColumn<QString>("message");
        QTest::newRow("value") << "blocks.1.tan"
                               << "no value fits \"blocks.1.tan\"; did you mean \"blocks.1.tanh\"?";
        QTest::newRow("module") << "haed"
                                << "no value fits \"haed\"; did you mean \"head\"?";
        QTest::newRow("operator") << "op:tahn"
                                  << "no node runs operator \"tahn\"; did you mean \"tanh\"?";
        QTest::newRow("glob") << "layers.*.tanh"
                              << "no value fits \"layers.*.tanh\"";
        QTest::newRow("empty") << ""
                               << "an empty pattern names no value";
    }
    void unknownPatternsNameTheNearest()
    {
        QFETCH(QString, pattern);
        QFETCH(QString, message);
        const Model model = residualModel();
        const std::string found = messageOf([&] { model.graph->resolve(pattern.toStdString()); });
        QVERIFY2(QString::fromStdString(found).startsWith(message), found.c_str());
    }

    void linksGoBothWays()
    {
        const Model model = residualModel();
        const Graph& graph = *model.graph;
        const ValueId sum = graph.resolve("blocks.0.add")[0];
        QCOMPARE(graph.producer(sum)->name, std::string("blocks.0.add"));
        Names users;
        for (const Node* node : graph.users(sum))
            users.push_back(node->name);
        QCOMPARE(users, (Names{"blocks.1.norm.layer_norm", "blocks.1.add"}));
        QVERIFY(!graph.producer(graph.resolve("x")[0]));
        QVERIFY(!graph.producer(graph.resolve("head.weight")[0]));
        QCOMPARE(graph.findParameter("head.weight")->shape, (std::vector<std::int64_t>{4, 6}));
    }

    void tiedNamesAreFollowed()
    {
        Builder builder("tied");
        const auto tokens = builder.input("tokens", "int64", {"batch"});
        const auto table = builder.parameter("wte.weight", {5, 3}, {{"kind", "ones"}});
        const auto head = builder.tied("head.weight", table);
        const auto logits = builder.op("aten::linear", {builder.op("aten::embedding", {table, tokens}), head, nullptr});
        const Model model = withWeights(builder.finish({{"logits", logits}}));
        QCOMPARE(model.graph->findParameter("head.weight")->name, std::string("wte.weight"));
        QCOMPARE(namesOf(*model.graph, "head.weight"), (Names{"wte.weight"}));
        QCOMPARE(parameterCount(*model.graph), std::int64_t(15));
        QCOMPARE(model.weights.tensors().size(), std::size_t(1));
        QCOMPARE(runOn(model, {at::zeros({2}, at::kLong)}).tensor().sum().item<double>(), 30.0);
    }

    void brokenGraphsAreRefused_data()
    {
        QTest::addColumn<int>("index");
        int index = 0;
        for (const Broken& broken : brokenGraphs())
            QTest::newRow(broken.name) << index++;
    }
    void brokenGraphsAreRefused()
    {
        QFETCH(int, index);
        const Broken broken = brokenGraphs()[std::size_t(index)];
        GraphData data = soundData();
        QCOMPARE(Graph(data).allNodes().size(), std::size_t(2));
        broken.damage(data);
        try {
            const Graph graph(data);
            QFAIL("expected a FormatError");
        } catch (const core::FormatError& error) {
            QVERIFY2(std::string(error.what()).find(broken.message) != std::string::npos, error.what());
        }
    }

    void hashIsOfStructureNamesAndLiterals()
    {
        const std::string hash = residualModel().graph->hash();
        QCOMPARE(hash.size(), std::size_t(32));
        QCOMPARE(residualModel().graph->hash(), hash);
        GraphData renamed = residualModel().graph->data(), literals = renamed, operators = renamed;
        renamed.values[0].name = "y";
        literals.body.nodes[0].inputs[4] = literal(1e-6);
        operators.body.nodes[1].op = "aten::relu";
        for (const GraphData& data : {renamed, literals, operators})
            QVERIFY(Graph(data).hash() != hash);
    }

    void differencesAreSentences()
    {
        const Model model = residualModel();
        QVERIFY(structuralDifferences(*model.graph, *residualModel().graph).empty());
        GraphData data = model.graph->data();
        data.body.nodes[0].inputs[4] = literal(0.5);
        data.body.nodes[1].op = "aten::relu";
        data.parameters[0].shape = {7};
        const Names found = structuralDifferences(*model.graph, Graph(data));
        QCOMPARE(found.size(), std::size_t(3));
        QCOMPARE(found[0], std::string("node blocks.0.norm.layer_norm: input 4 1e-05 became 0.5"));
        QCOMPARE(found[1], std::string("node blocks.0.tanh: aten::tanh became aten::relu"));
        QVERIFY(found[2].find("[6]") != std::string::npos && found[2].find("[7]") != std::string::npos);
        QCOMPARE(structuralDifferences(*model.graph, *namesModel().graph, 5).size(), std::size_t(5));
    }

    void printingGivesOneLineANode()
    {
        const std::string text = branchModel().graph->print();
        QCOMPARE(text, std::string("graph (%x):\n"
                                   "  %rows = aten::size.int(%x, 0)\n"
                                   "  %many = aten::gt.int(%rows, 2)\n"
                                   "  %chosen = prim::If(%many)\n"
                                   "    block0():\n"
                                   "      %positive = aten::relu(%x)\n"
                                   "      -> %positive\n"
                                   "    block1():\n"
                                   "      %negative = aten::neg(%x)\n"
                                   "      -> %negative\n"
                                   "  return chosen=%chosen\n"));
    }

    void jsonKeepsGraphAndOutputs()
    {
        for (const Model& model : {residualModel(), namesModel(), loopModel(3), branchModel()}) {
            const core::Json json = core::Json::parse(toJson(*model.graph).dump());
            Model read = model;
            read.graph = fromJson(json, "test");
            QCOMPARE(read.graph->hash(), model.graph->hash());
            QVERIFY(structuralDifferences(*model.graph, *read.graph).empty());
            QCOMPARE(read.graph->print(), model.graph->print());
            at::manual_seed(3);
            std::vector<c10::IValue> inputs;
            for (const Input& input : model.graph->data().inputs)
                inputs.push_back(input.name == "h0" ? at::randn({4}) : at::randn({3, model.graph->data().name == "residual" ? 6 : 4}));
            QVERIFY(at::equal(runOn(model, inputs).tensor(), runOn(read, inputs).tensor()));
        }
    }

    void olderVersionsMigrate()
    {
        core::Json json = toJson(*residualModel().graph);
        json.erase("buffer_updates");
        json.erase("output_names");
        json["version"] = 0;
        const GraphPtr read = fromJson(json, "old");
        QCOMPARE(read->data().outputNames, (Names{"output"}));
        Model model = residualModel();
        const at::Tensor x = at::randn({2, 6}), expected = runOn(model, {x}).tensor();
        model.graph = read;
        QVERIFY(at::equal(runOn(model, {x}).tensor(), expected));
    }

    void damagedJsonIsRefused_data()
    {
        QTest::addColumn<QString>("pointer");
        QTest::addColumn<QString>("value");
        QTest::addColumn<QString>("message");
        QTest::newRow("future version") << "/version"
                                        << "99"
                                        << "version 99";
        QTest::newRow("values no list") << "/values"
                                        << "3"
                                        << "file.safetensors: the graph is damaged";
        QTest::newRow("operand no value") << "/body/nodes/0/inputs/0"
                                          << "900"
                                          << "value 900 is out of range";
        QTest::newRow("dtype") << "/parameters/0/dtype"
                               << "\"float33\""
                               << "float33";
        QTest::newRow("nodes missing") << "/body"
                                       << "{}"
                                       << "key 'inputs' not found";
    }
    void damagedJsonIsRefused()
    {
        QFETCH(QString, pointer);
        QFETCH(QString, value);
        QFETCH(QString, message);
        core::Json json = toJson(*residualModel().graph);
        json[core::Json::json_pointer(pointer.toStdString())] = core::Json::parse(value.toStdString());
        try {
            fromJson(json, "file.safetensors");
            QFAIL("expected a FormatError");
        } catch (const core::FormatError& error) {
            QVERIFY2(QString(error.what()).contains(message), error.what());
        }
    }

    void literalsReadBack()
    {
        const std::vector<c10::IValue> literals{c10::IValue(),
                                                true,
                                                std::int64_t(-3),
                                                0.1,
                                                std::nan(""),
                                                INFINITY,
                                                -INFINITY,
                                                "text",
                                                c10::Device(c10::kCPU),
                                                std::vector<std::int64_t>{1, 2},
                                                std::vector<double>{0.5, INFINITY},
                                                std::vector<bool>{true, false},
                                                std::vector<std::int64_t>{},
                                                c10::ivalue::Tuple::create({std::int64_t(1), "a"})};
        for (const c10::IValue& value : literals) {
            const core::Json json = constantToJson(value);
            const c10::IValue read = constantFromJson(core::Json::parse(json.dump()));
            QCOMPARE(read.tagKind(), value.tagKind());
            QCOMPARE(constantToJson(read).dump(), json.dump());
        }
        QVERIFY(constantFromJson(constantToJson(2.0)).isDouble());  // a whole number stays a float
        QVERIFY_EXCEPTION_THROWN(constantToJson(at::ones({2})), core::FormatError);
    }

    void cardReadsBack()
    {
        ModelCard card;
        card.title = "Digits";
        card.task = "classification";
        card.inputs = {{"image", "image", "float32", {"batch", "1", "8", "8"}, {{"range", {0, 16}}}}};
        card.classNames = {"zero", "one"};
        card.featureNames = {"pixel"};
        card.tokenizer = {{"kind", "bytes"}};
        card.canonicalNames = {{"embed", "wte.embedding"}};
        card.example = {1, 2};
        const core::Json json = card.toJson();
        QCOMPARE(ModelCard::fromJson(core::Json::parse(json.dump())).toJson().dump(), json.dump());
        QCOMPARE(ModelCard::fromJson(core::Json::object()).toJson().dump(), ModelCard().toJson().dump());
        QVERIFY_EXCEPTION_THROWN(ModelCard::fromJson({{"inputs", {{{"kind", "image"}}}}}), core::FormatError);
        QVERIFY_EXCEPTION_THROWN(ModelCard::fromJson({{"title", 3}}), core::FormatError);
    }

    void movingRewritesDtypeLiterals()
    {
        Builder builder("moving");
        const auto x = builder.input("x", "float32", {"n"});
        const auto ones =
            builder.op("aten::ones", {std::vector<std::int64_t>{2}, std::int64_t(at::kFloat), nullptr, c10::IValue(c10::Device(c10::kCPU)), nullptr});
        const Model model = builder.finish({{"sum", builder.add(x, ones)}});
        Model other = model;
        other.graph = moved(model.graph, c10::Device(c10::kCPU), at::kDouble);
        QVERIFY(other.graph->hash() != model.graph->hash());
        QCOMPARE(runOn(other, {at::zeros({2}, at::kDouble)}, {}).tensor().scalar_type(), at::kDouble);
        const GraphPtr cuda = moved(model.graph, c10::Device("cuda:1"));
        QCOMPARE(cuda->nodes()[0].inputs[3].constant.toDevice().str(), std::string("cuda:1"));
        QCOMPARE(cuda->nodes()[0].inputs[1].constant.toInt(), std::int64_t(at::kFloat));
    }

    void movingSaysWhereTensorsAreMade()
    {
        Builder builder("making");
        const auto x = builder.input("x", "float32", {"n"});
        const auto places = builder.op("aten::arange", {3});
        const auto copy = builder.op("aten::ones_like", {x});
        const Model model = builder.finish({{"places", places}, {"copy", copy}});
        const auto deviceOf = [](const GraphPtr& graph, std::size_t node) -> c10::IValue {
            const auto& inputs = graph->nodes()[node].inputs;
            return inputs[inputs.size() - (node == 0 ? 2 : 3)].constant;  // arange ends with device, pin_memory; ones_like with a memory format, too
        };
        QVERIFY(deviceOf(model.graph, 0).isNone());
        QCOMPARE(deviceOf(moved(model.graph, c10::Device("cuda:1")), 0).toDevice().str(), std::string("cuda:1"));
        QVERIFY(deviceOf(moved(model.graph, c10::Device("cuda:1")), 1).isNone());  // it follows its input
        QCOMPARE(moved(model.graph, c10::Device(c10::kCPU))->hash(), model.graph->hash());
    }

    // Zeros would make networks without biases look alike, and masks hide everything.
    void examplesAreDrawnWhereTheCardHasNone()
    {
        Builder builder("examples");
        const auto tokens = builder.input("tokens", "int64", {"batch", "position"}, "tokens");
        const auto x = builder.input("x", "float32", {"batch", "position", "16"}, "float");
        const auto mask = builder.input("attention_mask", "int64", {"batch", "position"}, "float");
        const auto shown = builder.input("shown", "bool", {"batch", "position"}, "float");
        const auto number = builder.input("number", "int64", {"1"}, "float");
        const auto given = builder.input("given", "float32", {"2"}, "float");
        const auto sum = builder.add(builder.embedding("embed", tokens, 5, 16), x);
        Model model = builder.finish({{"out", sum}, {"mask", mask}, {"shown", shown}, {"number", number}, {"given", given}});
        model.card.example = {{"given", {3, 4}}};
        const auto example = exampleInputs(model), again = exampleInputs(model);
        QCOMPARE(example.size(), std::size_t(6));
        for (std::size_t i = 0; i < example.size(); ++i)
            QVERIFY(example[i].toTensor().equal(again[i].toTensor()));
        const at::Tensor drawn = example[0].toTensor();
        QCOMPARE(drawn.sizes().vec(), (std::vector<std::int64_t>{1, 8}));
        QVERIFY(drawn.min().item<std::int64_t>() >= 0 && drawn.max().item<std::int64_t>() < 5);
        QVERIFY(std::get<0>(at::_unique(drawn)).numel() > 2);
        QVERIFY(example[1].toTensor().std().item<double>() > 0.5);
        QVERIFY(example[2].toTensor().eq(1).all().item<bool>());
        const at::Tensor seen = example[3].toTensor();
        QVERIFY(seen.any().item<bool>() && !seen.all().item<bool>());  // hides something, and not all, whatever true means
        QCOMPARE(example[4].toTensor().item<std::int64_t>(), std::int64_t(0));
        QVERIFY(example[5].toTensor().equal(at::tensor({3.0f, 4.0f})));
        // As many samples as the input of fixed size has.
        model.card.inputs[1].shape[0] = "3";
        QCOMPARE(exampleInputs(model)[0].toTensor().size(0), std::int64_t(3));
    }
};

QTEST_APPLESS_MAIN(GraphTest)
#include "graph_test.moc"
