#include "sample_graphs.h"

#include <ATen/Parallel.h>

#include <QtTest>

using namespace orrery;
using namespace orrery::graph;

namespace {

using Names = std::vector<std::string>;

at::Tensor sampleInput()
{
    at::manual_seed(4);
    return at::randn({3, 6});
}

RunRequest withProbes(std::vector<Probe> probes, Gradients gradients = Gradients::None)
{
    RunRequest request;
    request.probes = std::move(probes);
    request.gradients = gradients;
    return request;
}

/// What one run with probes shows: all observed values, gradients, the output.
struct Seen {
    std::map<std::string, at::Tensor> values, gradients;
    at::Tensor output;
    bool operator==(const Seen& other) const
    {
        const auto same = [](const auto& a, const auto& b) {
            return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](const auto& x, const auto& y) {
                       return x.first == y.first && at::equal(x.second, y.second);
                   });
        };
        return same(values, other.values) && same(gradients, other.gradients) && at::equal(output, other.output);
    }
};

/// Every kind at one value: order in the request must not matter.
std::vector<Probe> everyKind(Seen& seen, const std::string& path)
{
    at::manual_seed(6);
    return {
        Probe::replacing(path, [](const std::string&, const c10::IValue& value) { return value.toTensor() * 1.7; }),
        Probe::adding(path, at::randn({3, 6}), "b"),
        Probe::adding(path, at::randn({3, 6}), "a"),
        Probe::onValue(path, [&seen](const std::string& name, const c10::IValue& value) { seen.values[name] = value.toTensor().detach().clone(); }),
        Probe::onGradient(path, [&seen](const std::string& name, const c10::IValue& value) { seen.gradients[name] = value.toTensor().clone(); }),
        Probe::replacingGradient(path, [](const std::string&, const c10::IValue& value) { return value.toTensor() * 3; }),
    };
}

Model deepModel(int blocks)
{
    Builder builder("deep");
    auto x = builder.input("x", "float32", {"batch", "6"});
    for (int i = 0; i < blocks; ++i) {
        const Builder::Scope scope = builder.module("blocks." + std::to_string(i), "Block");
        x = builder.add(x, builder.op("aten::tanh", {builder.linear("fc", x, 6, 6)}));
    }
    const auto side = builder.op("aten::sigmoid", {x}, "side");  // depends on all, no output depends on it
    return withWeights(builder.finish({{"logits", builder.linear("head", x, 6, 4)}, {"side", side}}));
}

KeptValues everything(const Model& model, const at::Tensor& x)
{
    RunRequest request;
    request.keep = {"**"};
    return runOn(model, {x}, request).values;
}

}  // namespace

class ProbeTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { at::set_num_threads(1); }

    void observersSeeValuesByPathGlobAndOperator_data()
    {
        QTest::addColumn<QString>("pattern");
        QTest::addColumn<int>("count");
        QTest::newRow("path") << "blocks.1.tanh" << 1;
        QTest::newRow("module") << "blocks.1" << 1;
        QTest::newRow("glob") << "blocks.*.tanh" << 3;
        QTest::newRow("operator") << "op:tanh" << 3;
        QTest::newRow("input") << "x" << 1;
        QTest::newRow("parameter") << "head.weight" << 1;
    }
    void observersSeeValuesByPathGlobAndOperator()
    {
        QFETCH(QString, pattern);
        QFETCH(int, count);
        const Model model = residualModel();
        const at::Tensor x = sampleInput();
        const KeptValues expected = everything(model, x);
        int calls = 0;
        const RunResult run =
            runOn(model, {x}, withProbes({Probe::onValue(pattern.toStdString(), [&](const std::string& name, const c10::IValue& value) {
                      ++calls;
                      QVERIFY2(at::equal(value.toTensor(), expected.at(name).toTensor()), name.c_str());
                  })}));
        QCOMPARE(calls, count);
        QVERIFY(at::equal(run.tensor(), runOn(model, {x}).tensor()));
    }

    void replacingSettingAndAddingChangeWhatFollows()
    {
        const Model model = residualModel();
        const at::Tensor x = sampleInput(), other = at::randn({3, 6});
        const KeptValues base = everything(model, x);
        const auto outputWith = [&](Probe probe) { return runOn(model, {x}, withProbes({std::move(probe)})).tensor(); };
        const at::Tensor set = outputWith(Probe::setting("blocks.2.tanh", other));
        const at::Tensor before = base.at("blocks.1.add").toTensor();
        const auto rest = [&](const at::Tensor& active) {
            const at::Tensor h = before + at::linear(active, model.weights.at("blocks.2.fc.weight"), model.weights.at("blocks.2.fc.bias"));
            return at::linear(h, model.weights.at("head.weight"), model.weights.at("head.bias"));
        };
        const at::Tensor active = base.at("blocks.2.tanh").toTensor();
        QVERIFY(at::equal(set, rest(other)));
        QVERIFY(at::equal(outputWith(Probe::adding("blocks.2.tanh", other)), rest(active + other)));
        QVERIFY(
            at::equal(outputWith(Probe::replacing("blocks.2.tanh", [](const std::string&, const c10::IValue& value) { return -value.toTensor(); })),
                      rest(-active)));
        QVERIFY(at::equal(outputWith(Probe::replacing("op:tanh", [](const std::string&, const c10::IValue& value) { return value; })),
                          runOn(model, {x}).tensor()));
    }

    void inputsAndParametersCanBeChanged()
    {
        const Model model = residualModel();
        const at::Tensor x = sampleInput(), other = at::randn({3, 6});
        QVERIFY(at::equal(runOn(model, {x}, withProbes({Probe::setting("x", other)})).tensor(), runOn(model, {other}).tensor()));
        Model edited = model;
        edited.weights.set("head.bias", at::ones({4}));
        QVERIFY(at::equal(runOn(model, {x}, withProbes({Probe::setting("head.bias", at::ones({4}))})).tensor(), runOn(edited, {x}).tensor()));
    }

    void aSetValueNeedsNoComputation()
    {
        const Model model = residualModel();
        const RunResult run = runOn(model, {sampleInput()}, withProbes({Probe::setting("blocks.1.add", at::zeros({3, 6}))}));
        QCOMPARE(run.nodesRun, std::int64_t(5));  // the last block and the head
    }

    void loopStepsAreChangedOneByOne()
    {
        const Model model = loopModel(4);
        const at::Tensor x = at::randn({4, 3}), h0 = at::zeros({3}), other = at::ones({3});
        at::Tensor h = h0;
        for (std::int64_t i = 0; i < 4; ++i)
            h = i == 1 ? other : at::tanh(x[i] + h);
        QVERIFY(at::equal(runOn(model, {x, h0}, withProbes({Probe::setting("cell[1]", other)})).tensor(), h));
        Names names;
        runOn(model, {x, h0}, withProbes({Probe::onValue("cell[*]", [&](const std::string& name, const c10::IValue&) { names.push_back(name); })}));
        QCOMPARE(names, (Names{"cell[0]", "cell[1]", "cell[2]", "cell[3]"}));
        names.clear();
        runOn(model, {x, h0}, withProbes({Probe::onValue("cell", [&](const std::string& name, const c10::IValue&) { names.push_back(name); })}));
        QCOMPARE(names.size(), std::size_t(4));
        const RunResult stopped = runOn(model, {x, h0}, withProbes({Probe::stopAfter("cell[2]")}));
        QVERIFY(stopped.stoppedByProbe);
    }

    void gradientsAreSeenAndReplaced()
    {
        const Model model = residualModel();
        const at::Tensor x = sampleInput();
        std::map<std::string, at::Tensor> seen;
        const RunResult run = runOn(
            model, {x},
            withProbes({Probe::onGradient("blocks.2", [&](const std::string& name, const c10::IValue& value) { seen[name] = value.toTensor(); })},
                       Gradients::Inputs));
        QVERIFY(seen.empty());  // not before the caller runs backward
        run.tensor().sum().backward();
        QVERIFY(at::allclose(seen.at("blocks.2.add"), model.weights.at("head.weight").sum(0).expand({3, 6})));
        const RunResult cut = runOn(
            model, {x},
            withProbes(
                {Probe::replacingGradient("blocks.2", [](const std::string&, const c10::IValue& value) { return at::zeros_like(value.toTensor()); })},
                Gradients::Inputs));
        cut.tensor().sum().backward();
        QCOMPARE(cut.value("x").grad().abs().max().item<double>(), 0.0);
        QVERIFY(run.value("x").grad().abs().max().item<double>() > 0);
        const std::string message =
            messageOf([&] { runOn(model, {x}, withProbes({Probe::onGradient("blocks.2", [](const std::string&, const c10::IValue&) {})})); });
        QVERIFY2(message.find("blocks.2.add") != std::string::npos && message.find("gradient") != std::string::npos, message.c_str());
    }

    void leavesGiveGradientsAtInnerValues()
    {
        const Model model = residualModel();
        const at::Tensor x = sampleInput();
        const RunResult run = runOn(model, {x}, withProbes({Probe::leaf("blocks.2.add")}, Gradients::Inputs));
        run.tensor().sum().backward();
        QVERIFY(at::allclose(run.value("blocks.2.add").grad(), model.weights.at("head.weight").sum(0).expand({3, 6})));
        QVERIFY(!run.value("x").grad().defined());  // the leaf is cut from what came before
        QVERIFY(messageOf([&] { runOn(model, {x}, withProbes({Probe::leaf("blocks.2.add")})); }).find("a leaf probe needs a run with gradients") !=
                std::string::npos);
    }

    void theOrderOfProbesDoesNotMatter()
    {
        const Model model = residualModel();
        const at::Tensor x = sampleInput();
        std::vector<std::size_t> order{0, 1, 2, 3, 4, 5};
        std::optional<Seen> first;
        int permutations = 0;
        do {
            Seen seen;
            const std::vector<Probe> all = everyKind(seen, "blocks.1.tanh");
            std::vector<Probe> permuted;
            for (const std::size_t i : order)
                permuted.push_back(all[i]);
            const RunResult run = runOn(model, {x}, withProbes(permuted, Gradients::Inputs));
            seen.output = run.tensor().detach();
            run.tensor().sum().backward();
            if (!first)
                first = seen;
            QVERIFY2(*first == seen, qPrintable(QString("permutation %1").arg(permutations)));
            ++permutations;
        } while (std::next_permutation(order.begin(), order.end()));
        QCOMPARE(permutations, 720);
        QCOMPARE(first->gradients.size(), std::size_t(1));
    }

    void addsOfOneLabelDoNotDependOnTheirOrder()
    {
        const Model model = residualModel();
        const at::Tensor x = sampleInput(), big = at::full({3, 6}, 1e8), small = at::randn({3, 6});
        std::vector<Probe> probes{Probe::adding("blocks.1.tanh", big), Probe::adding("blocks.1.tanh", small), Probe::adding("blocks.1.tanh", -big)};
        const at::Tensor forwards = runOn(model, {x}, withProbes(probes)).tensor();
        for (const std::vector<int>& order : std::vector<std::vector<int>>{{0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}) {
            std::vector<Probe> permuted;
            for (const int i : order)
                permuted.push_back(probes[std::size_t(i)]);
            QVERIFY(at::equal(runOn(model, {x}, withProbes(permuted)).tensor(), forwards));
        }
    }

    void twoWritersOfOneValueAreRefused_data()
    {
        QTest::addColumn<QString>("first");
        QTest::addColumn<QString>("second");
        QTest::addColumn<bool>("backward");
        QTest::newRow("same path") << "blocks.1.tanh"
                                   << "blocks.1.tanh" << false;
        QTest::newRow("glob and path") << "blocks.*.tanh"
                                       << "blocks.1.tanh" << false;
        QTest::newRow("operator and module") << "op:tanh"
                                             << "blocks.*.tanh" << false;
        QTest::newRow("gradient") << "blocks.1.tanh"
                                  << "op:tanh" << true;
    }
    void twoWritersOfOneValueAreRefused()
    {
        QFETCH(QString, first);
        QFETCH(QString, second);
        QFETCH(bool, backward);
        const Model model = residualModel();
        const auto same = [](const std::string&, const c10::IValue& value) { return value; };
        const auto probe = [&](const QString& path) {
            return backward ? Probe::replacingGradient(path.toStdString(), same) : Probe::replacing(path.toStdString(), same);
        };
        const std::string message = messageOf([&] { runOn(model, {sampleInput()}, withProbes({probe(first), probe(second)}, Gradients::Inputs)); });
        QVERIFY2(message.find(".tanh: two probes replace") != std::string::npos, message.c_str());
        if (!backward)
            QVERIFY(messageOf([&] {
                        runOn(model, {sampleInput()}, withProbes({probe(first), Probe::setting(second.toStdString(), at::zeros({3, 6}))}));
                    }).find("two probes replace it") != std::string::npos);
    }

    void twoWritersOfOneLoopStepAreRefused()
    {
        const Model model = loopModel(4);
        const auto run = [&](const std::string& first, const std::string& second) {
            return messageOf([&] {
                runOn(model, {at::randn({4, 3}), at::zeros({3})},
                      withProbes({Probe::setting(first, at::ones({3})), Probe::setting(second, at::zeros({3}))}));
            });
        };
        QVERIFY(run("cell[1]", "cell[1]").find("two probes replace it") != std::string::npos);
        QVERIFY(run("cell[1]", "cell[*]").find("two probes replace it") != std::string::npos);
        QCOMPARE(run("cell[1]", "cell[2]"), std::string("no error"));
    }

    void stoppingEndsTheRunAfterTheValue()
    {
        const Model model = residualModel();
        RunRequest request = withProbes({Probe::stopAfter("blocks.1.tanh")});
        request.keep = {"blocks.0.add", "blocks.1.tanh"};
        const RunResult run = runOn(model, {sampleInput()}, request);
        QVERIFY(run.stoppedByProbe);
        QVERIFY(run.outputs.empty());
        QCOMPARE(run.nodesRun, std::int64_t(6));
        QCOMPARE(run.values.size(), std::size_t(2));
        QVERIFY(!runOn(model, {sampleInput()}).stoppedByProbe);
    }

    void resumingEqualsAFullRun()
    {
        const Model model = deepModel(6);
        const at::Tensor x = sampleInput(), other = at::randn({3, 6});
        const KeptValues kept = everything(model, x);
        for (int block = 0; block < 6; ++block) {
            const std::string name = fmt::format("blocks.{}.tanh", block);
            const at::Tensor full = runOn(model, {x}, withProbes({Probe::setting(name, other)})).tensor();
            RunRequest changed;
            changed.resumeFrom = &kept;
            changed.changed[name] = other;
            const RunResult resumed = runOn(model, {x}, changed);
            QVERIFY(at::equal(resumed.tensor(), full));
            // add, then linear, tanh, add of each later block, head and side: what depends on the change and nothing else.
            QCOMPARE(resumed.nodesRun, std::int64_t(1 + 3 * (5 - block) + 2));
            QCOMPARE(std::size_t(resumed.nodesRun), Executor(model.graph).dependencyCone({name}).size());
            RunRequest probed = withProbes({Probe::adding(name, other)});
            probed.resumeFrom = &kept;
            const RunResult added = runOn(model, {x}, probed);
            QVERIFY(at::equal(added.tensor(), runOn(model, {x}, withProbes({Probe::adding(name, other)})).tensor()));
            QCOMPARE(added.nodesRun, resumed.nodesRun);
        }
    }

    void resumingWithoutAChangeRunsNothing()
    {
        const Model model = deepModel(3);
        const at::Tensor x = sampleInput();
        const KeptValues kept = everything(model, x);
        RunRequest request;
        request.resumeFrom = &kept;
        const RunResult run = runOn(model, {x}, request);
        QCOMPARE(run.nodesRun, std::int64_t(0));
        QVERIFY(at::equal(run.tensor(), kept.at("head.linear").toTensor()));
    }

    void resumingFromFewValuesComputesTheRest()
    {
        const Model model = deepModel(6);
        const at::Tensor x = sampleInput(), other = at::randn({3, 6});
        KeptValues kept;
        kept["blocks.2.add"] = everything(model, x).at("blocks.2.add");
        RunRequest request = withProbes({Probe::setting("blocks.4.tanh", other)});
        request.resumeFrom = &kept;
        const RunResult run = runOn(model, {x}, request);
        QVERIFY(at::equal(run.tensor(), runOn(model, {x}, withProbes({Probe::setting("blocks.4.tanh", other)})).tensor()));
        QCOMPARE(run.nodesRun, std::int64_t(3 + 1 + 3 + 2));  // block 3, the sum of block 4, block 5, head and side
    }

    void resumingWithAnotherInputRecomputesWhatDependsOnIt()
    {
        Builder builder("two inputs");
        const auto a = builder.input("a", "float32", {"n"}), b = builder.input("b", "float32", {"n"});
        const auto left = builder.op("aten::tanh", {a}, "left"), right = builder.op("aten::tanh", {b}, "right");
        const Model model = builder.finish({{"sum", builder.add(left, right)}});
        const at::Tensor x = at::randn({4}), y = at::randn({4}), z = at::randn({4});
        RunRequest first;
        first.keep = {"**"};
        const KeptValues kept = runOn(model, {x, y}, first).values;
        RunRequest request;
        request.resumeFrom = &kept;
        request.changed["b"] = z;
        const RunResult run = runOn(model, {x, y}, request);
        QVERIFY(at::equal(run.tensor(), at::tanh(x) + at::tanh(z)));
        QCOMPARE(run.nodesRun, std::int64_t(2));
    }

    void resumingKeepsInPlaceGraphsRight()
    {
        Builder builder("in place");
        const auto x = builder.input("x", "float32", {"n"});
        const auto y = builder.op("aten::neg", {x}, "y");
        const auto z = builder.op("aten::mul_.Scalar", {y, 2});
        const auto w = builder.op("aten::tanh", {z}, "w");
        const Model model = builder.finish({{"w", w}, {"z", z}});
        const at::Tensor input = at::randn({4});
        RunRequest keep;
        keep.keep = {"**"};
        const KeptValues kept = runOn(model, {input}, keep).values;
        RunRequest request = withProbes({Probe::adding("w", at::ones({4}))});
        request.resumeFrom = &kept;
        for (int repeat = 0; repeat < 2; ++repeat) {
            const RunResult run = runOn(model, {input}, request);
            QVERIFY(at::equal(run.tensor(0), at::tanh(-2 * input) + 1));
            QVERIFY(at::equal(run.tensor(1), -2 * input));
        }
        QVERIFY(at::equal(kept.at("y").toTensor(), -input));
    }

    void theConeIsOfDependenceNotOfPosition()
    {
        Builder builder("branches");
        const auto x = builder.input("x", "float32", {"n"});
        const auto a = builder.op("aten::tanh", {x}, "a"), b = builder.op("aten::sigmoid", {x}, "b"), c = builder.op("aten::neg", {a}, "c"),
                   d = builder.op("aten::neg", {b}, "d");
        const Model model = builder.finish({{"c", c}, {"d", d}});
        const Executor executor(model.graph);
        QCOMPARE(executor.dependencyCone({"a"}), (Names{"c"}));
        QCOMPARE(executor.dependencyCone({"b"}), (Names{"d"}));
        QCOMPARE(executor.dependencyCone({"x"}), (Names{"a", "b", "c", "d"}));
        QCOMPARE(executor.dependencyCone({"a", "b"}), (Names{"c", "d"}));
    }
};

QTEST_APPLESS_MAIN(ProbeTest)
#include "probe_test.moc"
