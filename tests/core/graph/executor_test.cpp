#include "sample_graphs.h"

#include <thread>

#include <ATen/Context.h>

#include <QtTest>

using namespace orrery;
using namespace orrery::graph;

namespace {

/// linear, batch norm, dropout: everything that reads the mode.
Model modeModel(double dropout)
{
    Builder builder("mode");
    const auto x = builder.input("x", "float32", {"batch", "5"});
    const auto y = builder.dropout("drop", builder.batchNorm("bn", builder.linear("fc", x, 5, 8), 8), dropout);
    return withWeights(builder.finish({{"y", y}}));
}

/// y = -x, then y is multiplied by 2 and 3 in place; a view of z is overwritten.
Model inPlaceModel()
{
    Builder builder("in place");
    const auto x = builder.input("x", "float32", {"n"});
    const auto y = builder.op("aten::neg", {x}, "y");
    const auto twice = builder.op("aten::mul_.Scalar", {y, 2});
    const auto z = builder.op("aten::add.Scalar", {twice, 1}, "z");
    const auto view = builder.op("aten::slice.Tensor", {z, 0, 0, 1, 1}, "view");
    builder.op("aten::zero_", {view});
    const auto six = builder.op("aten::mul_.Scalar", {twice, 3});
    return builder.finish({{"six", six}, {"z", z}});
}

at::Tensor defaultGeneratorState()
{
    return at::globalContext().defaultGenerator(c10::kCPU).get_state();
}

struct RandomOperator {
    const char* op;
    std::vector<Builder::Arg> rest;
};

std::vector<RandomOperator> randomOperators()
{
    return {
        {"aten::dropout", {0.5, true}},
        {"aten::feature_dropout", {0.5, true}},
        {"aten::alpha_dropout", {0.5, true}},
        {"aten::feature_alpha_dropout", {0.5, true}},
        {"aten::native_dropout", {0.5, true}},
        {"aten::rand_like", {}},
        {"aten::randn_like", {}},
        {"aten::randint_like", {1000}},
        {"aten::bernoulli.p", {0.5}},
        {"aten::multinomial", {3}},
        {"aten::rrelu", {0.1, 0.9, true}},
        {"aten::normal.Tensor_float", {1.0}},
        {"aten::poisson", {}},
    };
}

Model randomModel(const RandomOperator& random)
{
    Builder builder("random");
    std::vector<Builder::Arg> args{builder.input("x", "float32", {"batch", "6"})};
    args.insert(args.end(), random.rest.begin(), random.rest.end());
    return builder.finish({{"y", builder.op(random.op, args)}});
}

RunRequest seeded(std::uint64_t seed, std::uint64_t step)
{
    RunRequest request;
    request.seed = seed;
    request.step = step;
    request.training = true;
    return request;
}

at::Tensor positiveInput()
{
    return at::arange(1, 25, at::kFloat).reshape({4, 6});
}

}  // namespace

class ExecutorTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    /// Whoever looks at all values needs no more memory than a run that nobody looks at.
    void valuesThatAreLookedAtAreFreedAfterTheirLastUse()
    {
        Builder builder("chain");
        const auto x = builder.input("x", "float32", {"n"});
        const auto a = builder.op("aten::exp", {x}, "a"), b = builder.op("aten::neg", {a}, "b"), c = builder.op("aten::sin", {b}, "c");
        const Model model = builder.finish({{"y", builder.op("aten::cos", {c}, "y")}});
        std::map<std::string, c10::weak_intrusive_ptr<c10::TensorImpl>> seen;
        std::vector<std::string> gone;
        RunRequest request;
        request.inputs = {at::ones({4})};
        request.probes = {Probe::onValue("**", [&](const std::string& name, const c10::IValue& value) {
            if (name == "c" && seen.at("a").expired())
                gone.push_back("a");
            if (name == "y" && seen.at("b").expired())
                gone.push_back("b");
            seen.emplace(name, c10::weak_intrusive_ptr<c10::TensorImpl>(value.toTensor().getIntrusivePtr()));
        })};
        request.keep = {"c"};
        for (const bool profiles : {false, true}) {
            seen.clear();
            gone.clear();
            request.profile = profiles;
            const auto result = Executor(model.graph).run(model.weights, request);
            QCOMPARE(gone, (std::vector<std::string>{"a", "b"}));
            QVERIFY(at::equal(result.value("c"), at::sin(-at::exp(at::ones({4})))));
            QVERIFY(at::equal(result.tensor(), at::cos(result.value("c"))));
        }
    }

    void structureIsApartFromWeights()
    {
        const Model model = residualModel();
        const Executor executor(model.graph);
        const Weights other = initialize(*model.graph, 2), before = model.weights.clone();
        const at::Tensor x = at::randn({3, 6});
        const at::Tensor first = executor.forward(model.weights, {x}), second = executor.forward(other, {x});
        QVERIFY(!at::allclose(first, second));
        QVERIFY(at::equal(first, executor.forward(model.weights, {x})));
        for (const auto& [name, tensor] : before.tensors())
            QVERIFY2(at::equal(tensor, model.weights.at(name)), name.c_str());
    }

    void trainingIsOneBoolean()
    {
        const Model model = modeModel(0.5);
        const Graph& graph = *model.graph;
        QVERIFY(graph.data().training.has_value());
        std::vector<std::string> readers;
        for (const Node* node : graph.users(*graph.data().training))
            readers.push_back(node->name);
        QCOMPARE(readers, (std::vector<std::string>{"bn.batch_norm", "drop.dropout"}));
        const at::Tensor x = at::randn({16, 5});
        const at::Tensor quiet = runOn(model, {x}).tensor(), noisy = runOn(model, {x}, seeded(1, 1)).tensor();
        const auto zeros = [](const at::Tensor& tensor) { return (tensor == 0).sum().item<std::int64_t>(); };
        QCOMPARE(zeros(quiet), std::int64_t(0));
        QVERIFY(zeros(noisy) > 30 && zeros(noisy) < 98);  // 128 values, half of them dropped
    }

    void bufferUpdatesAreHandedOutAndNotWritten()
    {
        const Model model = modeModel(0);
        const at::Tensor x = at::randn({16, 5});
        QVERIFY(runOn(model, {x}).bufferUpdates.empty());
        const RunResult run = runOn(model, {x}, seeded(1, 1));
        QCOMPARE(run.bufferUpdates.size(), std::size_t(2));
        const at::Tensor hidden = at::linear(x, model.weights.at("fc.weight"), model.weights.at("fc.bias"));
        QVERIFY(at::allclose(run.bufferUpdates.at("bn.running_mean"), 0.1 * hidden.mean(0), 1e-5, 1e-6));
        QVERIFY(at::allclose(run.bufferUpdates.at("bn.running_var"), 0.9 + 0.1 * hidden.var(0, true), 1e-5, 1e-6));
        QCOMPARE(model.weights.at("bn.running_mean").abs().max().item<double>(), 0.0);
    }

    void aSecondCallOfBatchNormGoesOnFromTheFirst()
    {
        Builder builder("twice");
        const auto x = builder.input("x", "float32", {"batch", "2"});
        const Model model = withWeights(builder.finish({{"y", builder.batchNorm("bn", builder.batchNorm("bn", x, 2), 2)}}));
        const at::Tensor input = at::randn({8, 2}) + 3;
        const RunResult run = runOn(model, {input}, seeded(0, 0));
        // The second call sees a mean of 0: what the first wrote shrinks by 0.9.
        QVERIFY(at::allclose(run.bufferUpdates.at("bn.running_mean"), 0.09 * input.mean(0), 1e-4, 1e-5));
    }

    void importedBufferUpdatesComeInTrainingOnly()
    {
        Maker maker;
        const ValueId x = maker.input("x"), count = maker.parameter("count", {1});
        maker.data.parameters[0].kind = Parameter::Kind::Buffer;
        const ValueId next = maker.node(maker.data.body, "next", "aten::add.Scalar", {of(count), literal(1.0), literal(1.0)});
        const ValueId y = maker.node(maker.data.body, "y", "aten::relu", {of(x)});
        maker.data.bufferUpdates = {{"count", next}};
        Model model = maker.finish({{"y", y}});
        model.weights.set("count", at::full({1}, 4.0));
        QVERIFY(runOn(model, {at::ones({1})}).bufferUpdates.empty());
        QCOMPARE(runOn(model, {at::ones({1})}, seeded(0, 0)).bufferUpdates.at("count").item<double>(), 5.0);
        QCOMPARE(model.weights.at("count").item<double>(), 4.0);
    }

    void randomOperatorsDrawFromSeedStepAndName_data()
    {
        QTest::addColumn<int>("index");
        int index = 0;
        for (const RandomOperator& random : randomOperators())
            QTest::newRow(random.op) << index++;
    }
    void randomOperatorsDrawFromSeedStepAndName()
    {
        QFETCH(int, index);
        const RandomOperator random = randomOperators()[std::size_t(index)];
        const Model model = randomModel(random);
        // rrelu draws for negative numbers only.
        const at::Tensor before = defaultGeneratorState(), x = std::string(random.op) == "aten::rrelu" ? -positiveInput() : positiveInput();
        const auto draw = [&](std::uint64_t seed, std::uint64_t step) { return runOn(model, {x}, seeded(seed, step)).tensor(); };
        const at::Tensor first = draw(1, 1);
        QVERIFY(at::equal(first, draw(1, 1)));
        bool stepMatters = false, seedMatters = false;
        for (std::uint64_t other = 2; other < 6; ++other) {
            stepMatters = stepMatters || !at::equal(first, draw(1, other));
            seedMatters = seedMatters || !at::equal(first, draw(other, 1));
        }
        QVERIFY(stepMatters);
        QVERIFY(seedMatters);
        QVERIFY2(at::equal(before, defaultGeneratorState()), "libtorch's default generator was drawn from");
    }

    void factoriesDrawFromTheSeed()
    {
        Builder builder("factories");
        const std::vector<std::int64_t> sizes{50};
        const auto normal = builder.op("aten::randn", {sizes}), uniform = builder.op("aten::rand", {sizes});
        const auto order = builder.op("aten::randperm", {50}), whole = builder.op("aten::randint.low", {0, 1000, sizes});
        const Model model = builder.finish({{"normal", normal}, {"uniform", uniform}, {"order", order}, {"whole", whole}});
        const at::Tensor before = defaultGeneratorState();
        const RunResult a = runOn(model, {}, seeded(1, 1)), b = runOn(model, {}, seeded(1, 1)), c = runOn(model, {}, seeded(1, 2));
        for (std::size_t i = 0; i < 4; ++i) {
            QVERIFY(at::equal(a.tensor(i), b.tensor(i)));
            QVERIFY(!at::equal(a.tensor(i), c.tensor(i)));
        }
        QCOMPARE(std::get<0>(a.tensor(2).sort()).sum().item<std::int64_t>(), std::int64_t(49 * 25));
        QVERIFY(at::equal(before, defaultGeneratorState()));
    }

    void nodesOfOneRunDrawDifferentNumbers()
    {
        Builder builder("two");
        const auto x = builder.input("x", "float32", {"batch", "6"});
        const Model model = builder.finish({{"a", builder.dropout("one", x, 0.5)}, {"b", builder.dropout("two", x, 0.5)}});
        const RunResult run = runOn(model, {at::ones({20, 6})}, seeded(1, 1));
        QVERIFY(!at::equal(run.tensor(0), run.tensor(1)));
    }

    void dropoutEqualsLibtorchsWithTheSameGeneratorState()
    {
        const Model model = randomModel({"aten::dropout", {0.3, true}});
        const at::Tensor x = at::randn({40, 6}), y = runOn(model, {x}, seeded(9, 2)).tensor();
        const at::Tensor kept = y != 0;
        QVERIFY(at::equal(y.masked_select(kept), (x * (1 / at::full({}, 0.7))).masked_select(kept)));
        const double share = kept.to(at::kDouble).mean().item<double>();
        QVERIFY2(std::abs(share - 0.7) < 0.1, qPrintable(QString::number(share)));
    }

    void parallelRunsGiveTheSameNumbers()
    {
        const Model model = modeModel(0.5);
        const Executor executor(model.graph);
        const at::Tensor x = at::randn({8, 5});
        const auto run = [&](std::uint64_t step) {
            RunRequest request = seeded(3, step);
            request.inputs = {x};
            return executor.run(model.weights, request).tensor();
        };
        std::vector<at::Tensor> expected, found(40);
        for (std::uint64_t step = 0; step < found.size(); ++step)
            expected.push_back(run(step));
        {
            std::vector<std::jthread> threads;
            for (std::size_t worker = 0; worker < 2; ++worker)
                threads.emplace_back([&, worker] {
                    for (std::size_t step = worker; step < found.size(); step += 2)
                        found[step] = run(step);
                });
        }
        for (std::size_t step = 0; step < found.size(); ++step)
            QVERIFY(at::equal(found[step], expected[step]));
    }

    void inPlaceOperatorsNeverReachKeptValues()
    {
        const Model model = inPlaceModel();
        const at::Tensor x = at::ones({3});
        RunRequest request;
        request.keep = {"y", "y@2", "y@3", "z", "view"};
        std::map<std::string, at::Tensor> seen;
        request.probes = {Probe::onValue("y", [&](const std::string& name, const c10::IValue& value) { seen[name] = value.toTensor(); })};
        const RunResult run = runOn(model, {x}, request);
        const auto is = [](const at::Tensor& tensor, double value) { return at::equal(tensor, at::full_like(tensor, value)); };
        QVERIFY(is(run.value("y"), -1));
        QVERIFY(is(seen.at("y"), -1));
        QVERIFY(is(run.value("y@2"), -2));
        QVERIFY(is(run.value("y@3"), -6));
        QVERIFY(is(run.tensor(0), -6));
        QVERIFY(is(run.value("z"), -1));  // as it was when it was made
        QVERIFY(at::equal(run.tensor(1), at::tensor({0.f, -1.f, -1.f})));
        QVERIFY(is(x, 1));
    }

    void inPlaceOperatorsReachNeitherInputsNorWeights()
    {
        Builder builder("writes");
        const auto x = builder.input("x", "float32", {"n"});
        const auto weight = builder.parameter("weight", {3}, {{"kind", "ones"}});
        const auto view = builder.op("aten::view", {weight, std::vector<std::int64_t>{3, 1}});
        const auto a = builder.op("aten::add_.Scalar", {x, 1}), b = builder.op("aten::mul_.Scalar", {view, 5});
        const Model model = withWeights(builder.finish({{"a", a}, {"b", b}, {"weight", weight}}));
        const at::Tensor input = at::zeros({3});
        for (int repeat = 0; repeat < 2; ++repeat) {
            const RunResult run = runOn(model, {input});
            QVERIFY(at::equal(run.tensor(0), at::ones({3})));
            QVERIFY(at::equal(run.tensor(1), at::full({3, 1}, 5.0)));
            QVERIFY(at::equal(run.tensor(2), at::full({3}, 5.0)));
            QVERIFY(at::equal(input, at::zeros({3})));
            QVERIFY(at::equal(model.weights.at("weight"), at::ones({3})));
        }
    }

    void branchesAndSizesFollowTheInput()
    {
        const Model model = branchModel();
        for (const std::int64_t rows : {0, 1, 2, 3, 9}) {
            const at::Tensor x = at::randn({rows, 2});
            QVERIFY(at::equal(runOn(model, {x}).tensor(), rows > 2 ? at::relu(x) : -x));
        }
        RunRequest request;
        request.keep = {"positive", "negative"};
        const RunResult run = runOn(model, {at::ones({1, 2})}, request);
        QVERIFY(run.values.count("negative") && !run.values.count("positive"));
    }

    void loopStepsHaveNames()
    {
        const Model model = loopModel(4);
        const at::Tensor x = at::randn({4, 3}), h0 = at::zeros({3});
        std::vector<at::Tensor> expected{h0};
        for (std::int64_t i = 0; i < 4; ++i)
            expected.push_back(at::tanh(x[i] + expected.back()));
        RunRequest request;
        request.keep = {"cell[*]", "sum[2]"};
        const RunResult run = runOn(model, {x, h0}, request);
        QVERIFY(at::equal(run.tensor(), expected[4]));
        QCOMPARE(run.values.size(), std::size_t(5));
        for (std::int64_t i = 0; i < 4; ++i)
            QVERIFY(at::equal(run.value("cell[" + std::to_string(i) + "]"), expected[std::size_t(i) + 1]));
        QVERIFY(at::equal(run.value("sum[2]"), x[2] + expected[2]));
        QVERIFY(at::equal(runOn(loopModel(0), {x, h0}).tensor(), h0));
    }

    void loopsEndWhenTheirConditionFails()
    {
        Model model = loopModel(4);
        GraphData data = model.graph->data();
        Block& step = data.body.nodes[0].blocks[0];
        data.values.push_back({"more", "bool"});
        Node node;
        node.name = "more";
        node.op = "aten::lt";
        node.overload = "int";
        node.inputs = {of(step.inputs[0]), literal(std::int64_t(1))};
        node.outputs = {ValueId(data.values.size() - 1)};
        step.nodes.push_back(node);
        step.outputs[0] = of(node.outputs[0]);
        model.graph = std::make_shared<const Graph>(data);
        const at::Tensor x = at::randn({4, 3}), h0 = at::zeros({3});
        QVERIFY(at::equal(runOn(model, {x, h0}).tensor(), at::tanh(x[1] + at::tanh(x[0]))));
    }

    void listsTuplesAndDictsAreMadeAndTakenApart()
    {
        Maker maker;
        Block& body = maker.data.body;
        const ValueId x = maker.input("x");
        const ValueId a = maker.node(body, "a", "aten::relu", {of(x)}), b = maker.node(body, "b", "aten::neg", {of(x)});
        const ValueId list = maker.node(body, "list", "prim::ListConstruct", {of(a), of(b)}, "List[Tensor]");
        const ValueId joined = maker.node(body, "cat", "aten::cat", {of(list), literal(std::int64_t(0))});
        const ValueId second = maker.node(body, "second", "aten::__getitem__.t", {of(list), literal(std::int64_t(1))});
        const ValueId parts =
            maker.node(body, "split", "aten::split.Tensor", {of(joined), literal(std::int64_t(2)), literal(std::int64_t(0))}, "List[Tensor]");
        const ValueId first = maker.value("first"), last = maker.value("last");
        maker.append(body, "first", "prim::ListUnpack", {of(parts)}, {first, last});
        const ValueId tuple = maker.node(body, "tuple", "prim::TupleConstruct", {of(first), of(second)}, "Tuple[Tensor, Tensor]");
        const ValueId p = maker.value("p"), q = maker.value("q");
        maker.append(body, "p", "prim::TupleUnpack", {of(tuple)}, {p, q});
        const ValueId indexed = maker.node(body, "indexed", "prim::TupleIndex", {of(tuple), literal(std::int64_t(-1))});
        const ValueId dict = maker.node(body, "dict", "prim::DictConstruct", {literal("p"), of(p), literal("q"), of(q)}, "Dict[str, Tensor]");
        const ValueId found = maker.node(body, "found", "aten::__getitem__.Dict_str", {of(dict), literal("p")});
        const Model model = maker.finish({{"found", found}, {"indexed", indexed}, {"last", last}, {"q", q}});
        const at::Tensor input = at::randn({2, 3});
        const RunResult run = runOn(model, {input});
        QVERIFY(at::equal(run.tensor(0), at::relu(input)));
        for (std::size_t i = 1; i < 4; ++i)
            QVERIFY(at::equal(run.tensor(i), -input));
        RunRequest request;
        request.keep = {"dict", "tuple"};
        QVERIFY(runOn(model, {input}, request).values.at("dict").isGenericDict());
    }

    void outputsMayBeLiteralsAndLists()
    {
        Maker maker;
        const ValueId x = maker.input("x");
        const ValueId parts = maker.node(maker.data.body, "parts", "aten::unbind.int", {of(x), literal(std::int64_t(0))}, "List[Tensor]");
        Model model = maker.finish({{"parts", parts}});
        const RunResult run = runOn(model, {at::randn({3, 2})});
        QCOMPARE(run.outputs[0].toTensorVector().size(), std::size_t(3));
        QVERIFY_EXCEPTION_THROWN(run.tensor(), core::ShapeError);
        QVERIFY_EXCEPTION_THROWN(run.tensor(1), core::ShapeError);
    }
};

QTEST_APPLESS_MAIN(ExecutorTest)
#include "executor_test.moc"
