// A debugging session on small graphs whose values are known by other means: whole runs of the executor, autograd, closed forms.
#include <core/debug/stepper.h>

#include <ATen/Parallel.h>

#include <QtTest>

#include "../graph/sample_graphs.h"

using namespace orrery;
using namespace orrery::debug;
using graph::Builder;
using graph::Model;

namespace {

at::Tensor numbers(std::vector<std::int64_t> shape, std::uint64_t seed = 4)
{
    return at::randn(shape, at::detail::createCPUGenerator(seed), at::TensorOptions());
}

Stepper stepperOf(const Model& model, std::vector<c10::IValue> inputs, StepperOptions options = {})
{
    options.inputs = std::move(inputs);
    return Stepper(std::make_shared<graph::Executor>(model.graph), model.weights, std::move(options));
}

/// x -> dropout -> fc -> dropout -> sum of both.
Model droppingModel()
{
    Builder builder("dropping");
    auto x = builder.input("x", "float32", {"batch", "8"}, "table");
    const auto first = builder.dropout("first", x, 0.5);
    const auto middle = builder.linear("fc", first, 8, 8);
    const auto second = builder.dropout("second", middle, 0.5);
    return graph::withWeights(builder.finish({{"out", builder.add(second, first)}}));
}

/// log(x - 1): NaN at `log` for numbers below 1.
Model logModel()
{
    Builder builder("log");
    auto x = builder.input("x", "float32", {"batch", "4"}, "table");
    const auto shifted = builder.op("aten::sub.Scalar", {x, 1.0}, "shifted");
    const auto log = builder.op("aten::log", {shifted}, "log");
    return builder.finish({{"out", builder.op("aten::mul.Scalar", {log, 2.0}, "twice")}});
}

/// Doubles h until it is at least 100.
Model doublingModel()
{
    graph::Maker maker;
    const auto h0 = maker.input("h0");
    const auto last = maker.value("last");
    graph::Block step;
    const auto i = maker.value("i", "int"), h = maker.value("h");
    step.inputs = {i, h};
    const auto doubled = maker.node(step, "doubled", "aten::mul.Scalar", {graph::of(h), graph::literal(2.0)});
    const auto small = maker.node(step, "small", "aten::lt.Scalar", {graph::of(doubled), graph::literal(100.0)});
    const auto more = maker.node(step, "more", "aten::Bool.Tensor", {graph::of(small)}, "bool");
    step.outputs = {graph::of(more), graph::of(doubled)};
    graph::Node& loop = maker.append(maker.data.body, "last", "prim::Loop",
                                     {graph::literal(std::numeric_limits<std::int64_t>::max()), graph::literal(true), graph::of(h0)}, {last});
    loop.blocks.push_back(std::move(step));
    return maker.finish({{"last", last}});
}

QString placeOf(const Stepper& stepper)
{
    return QString::fromStdString(stepper.placeName());
}

at::Tensor tensorOf(Stepper& stepper, const std::string& name)
{
    return stepper.value(name).toTensor();
}

}  // namespace

class StepperTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { at::set_num_threads(1); }

    void everyNodeRunsOnceAndTheOutputIsThatOfARun()
    {
        const Model model = graph::residualModel();
        const at::Tensor x = numbers({3, 6});
        Stepper stepper = stepperOf(model, {x});
        int steps = 0;
        while (stepper.stepNode().reason == StopReason::Step)
            ++steps;
        QVERIFY(stepper.atEnd());
        QCOMPARE(stepper.lastStop().reason, StopReason::End);
        QCOMPARE(steps + 1, stepper.lines().count());
        QCOMPARE(stepper.nodesRun(), std::int64_t(stepper.lines().count()));
        const std::string output = model.graph->value(model.graph->data().body.outputs[0].value).name;
        QVERIFY(at::equal(tensorOf(stepper, output), graph::runOn(model, {x}).tensor()));
        const auto all = graph::runOn(model, {x},
                                      [] {
                                          graph::RunRequest request;
                                          request.keep = {"blocks.**"};
                                          return request;
                                      }())
                             .values;
        for (const auto& [name, value] : all)
            QVERIFY2(at::equal(tensorOf(stepper, name), value.toTensor()), name.c_str());
        QCOMPARE(stepper.nodesRun(), std::int64_t(stepper.lines().count()));
    }

    void overIntoAndOutFollowModules()
    {
        const Model model = graph::residualModel();
        Stepper stepper = stepperOf(model, {numbers({3, 6})});
        QCOMPARE(stepper.frame(), std::size_t(0));
        stepper.stepOver();  // the whole first block
        QCOMPARE(stepper.levels().front(), std::string("blocks.1"));
        QCOMPARE(stepper.position().line, stepper.lines().entries("blocks.1").front());
        stepper.stepInto();  // enters the second block, runs nothing
        QCOMPARE(stepper.frame(), std::size_t(1));
        QCOMPARE(stepper.position().line, stepper.lines().entries("blocks.1").front());
        stepper.stepOver();  // its norm
        QCOMPARE(placeOf(stepper), QString("blocks.1.tanh"));
        stepper.stepInto();  // a plain node: runs it
        QCOMPARE(stepper.levels().back(), std::string("blocks.1.fc"));
        stepper.stepInto();
        QCOMPARE(stepper.frame(), std::size_t(2));
        stepper.stepOut();  // of fc
        QCOMPARE(placeOf(stepper), QString("blocks.1.add"));
        QCOMPARE(stepper.frame(), std::size_t(1));
        stepper.stepOut();  // of blocks.1
        QCOMPARE(stepper.levels().front(), std::string("blocks.2"));
        QCOMPARE(stepper.frame(), std::size_t(0));
        QCOMPARE(stepper.stepOut().reason, StopReason::End);
    }

    void breakpointsStopInFrontOfWhatTheyName_data()
    {
        QTest::addColumn<QString>("pattern");
        QTest::addColumn<QStringList>("places");
        QTest::newRow("value") << "blocks.1.tanh" << QStringList{"blocks.1.tanh"};
        QTest::newRow("glob") << "blocks.*.add" << QStringList{"blocks.0.add", "blocks.1.add", "blocks.2.add"};
        QTest::newRow("operator") << "op:tanh" << QStringList{"blocks.0.tanh", "blocks.1.tanh", "blocks.2.tanh"};
        QTest::newRow("module") << "blocks.2" << QStringList{"blocks.2.norm.layer_norm"};
        QTest::newRow("modules") << "blocks.*.norm"
                                 << QStringList{"blocks.1.norm.layer_norm", "blocks.2.norm.layer_norm"};  // the run stands at the first
    }
    void breakpointsStopInFrontOfWhatTheyName()
    {
        QFETCH(QString, pattern);
        QFETCH(QStringList, places);
        const Model model = graph::residualModel();
        Stepper stepper = stepperOf(model, {numbers({3, 6})});
        const int id = stepper.addBreakpoint(pattern.toStdString());
        QStringList found;
        for (Stop stop = stepper.resume(); stop.reason != StopReason::End; stop = stepper.resume()) {
            QCOMPARE(stop.reason, StopReason::Breakpoint);
            QCOMPARE(*stop.breakpoint, id);
            found << placeOf(stepper);
        }
        QCOMPARE(found, places);
        QCOMPARE(stepper.breakpoints()[0].hits, int(places.size()));
        // Backwards the same places are met in the other order.
        QStringList backwards;
        for (Stop stop = stepper.reverse(); stop.reason != StopReason::Start; stop = stepper.reverse())
            backwards.prepend(placeOf(stepper));
        if (pattern == "blocks.*.norm")
            backwards.removeFirst();  // the beginning counts when it is come back to
        QCOMPARE(backwards, places);
    }

    void conditionsStopBehindTheNodeThatFulfilsThem_data()
    {
        QTest::addColumn<QString>("condition");
        QTest::addColumn<QString>("value");
        QTest::addColumn<QString>("text");
        QTest::newRow("nan") << "nan"
                             << "log"
                             << "1 NaN in 4 elements";
        QTest::newRow("inf") << "inf"
                             << "log"
                             << "1 infinite in 4 elements";
        QTest::newRow("nonfinite") << "nonfinite"
                                   << "log"
                                   << "2 not finite in 4 elements";
        QTest::newRow("max") << "max > 4"
                             << "shifted"
                             << "max 6 > 4";
        QTest::newRow("min") << "min < -1.5"
                             << "shifted"
                             << "min -2 < -1.5";
        QTest::newRow("norm") << "norm >= 6.4"
                              << "shifted"
                              << "norm 6.40312 >= 6.4";  // sqrt(36 + 4 + 1)
    }
    void conditionsStopBehindTheNodeThatFulfilsThem()
    {
        QFETCH(QString, condition);
        QFETCH(QString, value);
        QFETCH(QString, text);
        Stepper stepper = stepperOf(logModel(), {at::tensor({7.f, -1.f, 1.f, 2.f}).reshape({1, 4})});
        stepper.addBreakpoint("", parseCondition(condition.toStdString()));
        const Stop stop = stepper.resume();
        QCOMPARE(stop.reason, StopReason::Condition);
        QCOMPARE(QString::fromStdString(stop.value), value);
        QCOMPARE(QString::fromStdString(stop.text), text);
        QVERIFY(stepper.isKnown(stop.value));
        QCOMPARE(stepper.position().line, stepper.lines().lineOf(*stepper.graph()->findValue(stop.value)) + 1);
    }

    void shapesAreComparedWithTheRunBefore()
    {
        const Model model = graph::residualModel();
        Stepper stepper = stepperOf(model, {numbers({3, 6})});
        stepper.addBreakpoint("blocks.1.tanh", parseCondition("shape"));
        QCOMPARE(stepper.resume().reason, StopReason::End);
        stepper.restart({numbers({5, 6})});
        const Stop stop = stepper.resume();
        QCOMPARE(stop.reason, StopReason::Condition);
        QCOMPARE(stop.text, std::string("shape [5, 6], before [3, 6]"));
        QCOMPARE(stop.value, std::string("blocks.1.tanh"));
    }

    void goingBackComputesNothingAndGoingOnNothingTwice()
    {
        const Model model = graph::residualModel();
        Stepper stepper = stepperOf(model, {numbers({3, 6})});
        stepper.resume();
        const auto before = stepper.nodesRun();
        const at::Tensor late = tensorOf(stepper, "blocks.2.add");
        stepper.back(4);
        QVERIFY(!stepper.isKnown("head.linear"));
        QVERIFY(saidBy([&] { tensorOf(stepper, "head.linear"); }).contains("\"head.linear\" is not computed yet"));
        stepper.resume();
        QCOMPARE(stepper.nodesRun(), before);
        QVERIFY(late.is_same(tensorOf(stepper, "blocks.2.add")));
        stepper.back(1000);
        QCOMPARE(stepper.position(), Position{});
        QCOMPARE(stepper.lastStop().reason, StopReason::Start);
    }

    void droppedValuesComeBackToTheBit()
    {
        const Model model = droppingModel();
        StepperOptions options;
        options.training = true;
        options.seed = 7;
        options.keepBytes = 0;
        const at::Tensor x = numbers({16, 8});
        Stepper scarce = stepperOf(model, {x}, options);
        options.keepBytes = 1 << 20;
        Stepper ample = stepperOf(model, {x}, options);
        QCOMPARE(scarce.resume().reason, StopReason::End);
        ample.resume();
        QVERIFY(!scarce.keptValue("first.dropout"));
        const at::Tensor dropped = tensorOf(ample, "first.dropout");
        QVERIFY(dropped.eq(0).sum().item<std::int64_t>() > 20);
        QVERIFY(at::equal(tensorOf(scarce, "first.dropout"), dropped));
        scarce.back(1);
        QVERIFY(at::equal(tensorOf(scarce, "second.dropout"), tensorOf(ample, "second.dropout")));
        scarce.back(2);
        scarce.resume();
        const auto output = model.graph->value(model.graph->data().body.outputs[0].value).name;
        QVERIFY(at::equal(tensorOf(scarce, output), tensorOf(ample, output)));
        QVERIFY(scarce.nodesRun() > ample.nodesRun());
    }

    void whatIsKeptStaysWithinTheLimit()
    {
        Builder builder("chain");
        auto x = builder.input("x", "float32", {"n"}, "table");
        auto h = x;
        for (int i = 0; i < 200; ++i)
            h = builder.op("aten::tanh", {h});
        const Model model = builder.finish({{"out", h}});
        StepperOptions options;
        options.keepBytes = 10 * 4000;
        const at::Tensor input = numbers({1000});
        Stepper stepper = stepperOf(model, {input}, options);
        stepper.resume();
        QVERIFY2(stepper.keptBytes() <= options.keepBytes, std::to_string(stepper.keptBytes()).c_str());
        QVERIFY(stepper.keptBytes() >= 9 * 4000);
        at::Tensor expected = input;
        for (int i = 0; i < 50; ++i)
            expected = expected.tanh();
        QVERIFY(at::equal(tensorOf(stepper, "tanh#50"), expected));
    }

    void anEditChangesWhatFollowsAndOnlyThat()
    {
        const Model model = graph::residualModel();
        const at::Tensor x = numbers({3, 6}), other = numbers({3, 6}, 9);
        Stepper stepper = stepperOf(model, {x});
        stepper.resume();
        const auto before = stepper.nodesRun();
        stepper.setValue("blocks.1.add", other);
        graph::RunRequest request;
        request.probes = {graph::Probe::setting("blocks.1.add", other)};
        const at::Tensor expected = graph::runOn(model, {x}, request).tensor();
        QVERIFY(at::equal(tensorOf(stepper, "head.linear"), expected));
        QCOMPARE(stepper.nodesRun() - before, std::int64_t(5));  // the last block and the head
        stepper.back(100);
        stepper.resume();
        QVERIFY(at::equal(tensorOf(stepper, "blocks.1.add"), other));
        QVERIFY(at::equal(tensorOf(stepper, "head.linear"), expected));
        QVERIFY(stepper.unsetValue("blocks.1.add"));
        QVERIFY(!stepper.unsetValue("blocks.1.add"));
        QVERIFY(at::equal(tensorOf(stepper, "head.linear"), graph::runOn(model, {x}).tensor()));
    }

    void inputsAndParametersAreEditedToo()
    {
        const Model model = graph::residualModel();
        const at::Tensor x = numbers({3, 6}), other = numbers({3, 6}, 9), bias = numbers({4}, 3);
        Stepper stepper = stepperOf(model, {x});
        stepper.resume();
        stepper.setValue("x", other);
        stepper.setValue("head.bias", bias);
        Model edited = model;
        edited.weights.set("head.bias", bias);
        QVERIFY(at::equal(tensorOf(stepper, "head.linear"), graph::runOn(edited, {other}).tensor()));
        stepper.unsetValue("head.bias");
        stepper.unsetValue("x");
        QVERIFY(at::equal(tensorOf(stepper, "head.linear"), graph::runOn(model, {x}).tensor()));
        QVERIFY(at::equal(model.weights.at("head.bias"), graph::residualModel().weights.at("head.bias")));
    }

    void editsThatDoNotFitAreRefused()
    {
        Stepper stepper = stepperOf(graph::residualModel(), {numbers({3, 6})});
        stepper.stepNode();
        QCOMPARE(saidBy([&] {
                     stepper.setValue("blocks.0.norm.layer_norm", at::zeros({3, 5}));
                 }),
                 QString("value \"blocks.0.norm.layer_norm\": expected float32 [3, 6], got float32 [3, 5]"));
        QVERIFY(saidBy([&] { stepper.setValue("blocks.0.add", at::zeros({3, 6})); }).contains("is not computed yet"));
        QVERIFY(saidBy([&] { stepper.setValue("blocks.0.ad", at::zeros({3, 6})); }).contains("did you mean \"blocks.0.add\"?"));
    }

    void loopStepsAreShownOneByOne()
    {
        const Model model = graph::loopModel(3);
        const at::Tensor x = numbers({3, 5}), h0 = numbers({5}, 2);
        Stepper stepper = stepperOf(model, {x, h0});
        stepper.stepNode();
        QCOMPARE(stepper.position().inner, 0);
        QCOMPARE(stepper.visits().size(), std::size_t(12));  // begin, row, sum, cell; three times
        QCOMPARE(placeOf(stepper), QString("last[0]"));
        const auto run = stepper.nodesRun();
        QStringList places;
        while (stepper.position().inner >= 0) {
            places << placeOf(stepper);
            stepper.stepNode();
        }
        QCOMPARE(places.mid(0, 5), QStringList({"last[0]", "row[0]", "sum[0]", "cell[0]", "last[1]"}));
        QCOMPARE(stepper.nodesRun(), run);
        QVERIFY(stepper.atEnd());
        at::Tensor h = h0;
        for (int i = 0; i < 3; ++i) {
            h = at::tanh(x[i] + h);
            QVERIFY(at::equal(tensorOf(stepper, "cell[" + std::to_string(i) + "]"), h));
        }
        QVERIFY(at::equal(tensorOf(stepper, "last"), h));
        QVERIFY(saidBy([&] { tensorOf(stepper, "cell[9]"); }).contains("there is no value \"cell[9]\" in this run"));
        stepper.back(2);
        QCOMPARE(stepper.position().inner, -1);
        stepper.stepOver();
        QVERIFY(stepper.atEnd());
    }

    void overRunsALoopStepAndOutLeavesTheLoop()
    {
        Stepper stepper = stepperOf(graph::loopModel(3), {numbers({3, 5}), numbers({5}, 2)});
        stepper.stepInto();
        QCOMPARE(placeOf(stepper), QString("last[0]"));
        stepper.stepOver();
        QCOMPARE(placeOf(stepper), QString("last[1]"));
        stepper.stepInto();
        stepper.stepOver();
        QCOMPARE(placeOf(stepper), QString("row[1]"));
        stepper.stepOut();
        QCOMPARE(placeOf(stepper), QString("last[2]"));
        stepper.stepOut();
        QVERIFY(stepper.atEnd());
    }

    void breakpointsAndConditionsReachIntoLoops()
    {
        const Model model = graph::loopModel(4);
        at::Tensor x = numbers({4, 5});
        Stepper stepper = stepperOf(model, {x, numbers({5}, 2)});
        stepper.addBreakpoint("cell[2]");
        QCOMPARE(stepper.resume().reason, StopReason::Breakpoint);
        QCOMPARE(placeOf(stepper), QString("cell[2]"));
        QVERIFY(stepper.isKnown("sum[2]"));
        QVERIFY(!stepper.isKnown("cell[2]"));
        QCOMPARE(stepper.resume().reason, StopReason::End);

        x = x.clone();
        x[3][1] = std::nan("");
        Stepper broken = stepperOf(model, {x, numbers({5}, 2)});
        broken.addBreakpoint("", parseCondition("nan"));
        const Stop stop = broken.resume();
        QCOMPARE(stop.reason, StopReason::Condition);
        QCOMPARE(stop.value, std::string("row[3]"));
    }

    void aStepOfALoopCanBeEdited()
    {
        const Model model = graph::loopModel(3);
        const at::Tensor x = numbers({3, 5}), h0 = numbers({5}, 2), other = numbers({5}, 8);
        Stepper stepper = stepperOf(model, {x, h0});
        stepper.addBreakpoint("sum[2]");
        stepper.resume();
        const int inner = stepper.position().inner;
        stepper.setValue("cell[1]", other);
        QCOMPARE(stepper.position().inner, inner);
        QVERIFY(at::equal(tensorOf(stepper, "cell[1]"), other));
        stepper.resume();
        QVERIFY(at::equal(tensorOf(stepper, "last"), at::tanh(x[2] + other)));
        stepper.back(1000);
        stepper.resume();  // to the breakpoint
        stepper.resume();
        QVERIFY(at::equal(tensorOf(stepper, "last"), at::tanh(x[2] + other)));
        stepper.unsetValue("cell[1]");
        QVERIFY(at::equal(tensorOf(stepper, "last"), graph::runOn(model, {x, h0}).tensor()));
    }

    void onlyTheBranchThatIsTakenIsShown()
    {
        Stepper stepper = stepperOf(graph::branchModel(), {numbers({5, 2})});
        stepper.runTo("chosen");
        stepper.stepInto();
        QCOMPARE(stepper.visits().size(), std::size_t(1));
        QCOMPARE(placeOf(stepper), QString("positive"));
        stepper.stepOut();
        QVERIFY(at::equal(tensorOf(stepper, "chosen"), at::relu(numbers({5, 2}))));
    }

    void aNodeThatFailsIsAStopInFrontOfIt()
    {
        Builder builder("failing");
        auto x = builder.input("x", "float32", {"batch", "6"}, "table");
        const auto h = builder.op("aten::tanh", {x}, "before");
        const Model model = graph::withWeights(builder.finish({{"out", builder.linear("fc", h, 7, 2)}}));
        Stepper stepper = stepperOf(model, {numbers({3, 6})});
        const Stop stop = stepper.resume();
        QCOMPARE(stop.reason, StopReason::Failed);
        QVERIFY2(stop.text.find("fc.linear (aten::linear) failed on float32 [3, 6], float32 [2, 7]") == 0, stop.text.c_str());
        QCOMPARE(placeOf(stepper), QString("fc.linear"));
        QVERIFY(at::equal(tensorOf(stepper, "before"), numbers({3, 6}).tanh()));
        QCOMPARE(stepper.resume().reason, StopReason::Failed);
        stepper.back(1);
        QCOMPARE(placeOf(stepper), QString("before"));
    }

    void normsDoNotHinderTheBackwardPass()
    {
        Builder builder("normed");
        auto x = builder.input("x", "float32", {"batch", "3", "5", "5"}, "image");
        const Model model = graph::withWeights(builder.finish({{"out", builder.batchNorm("bn", builder.conv2d("conv", x, 3, 4, 3), 4)}}));
        const at::Tensor image = numbers({2, 3, 5, 5});
        Stepper stepper = stepperOf(model, {image});
        stepper.resume();
        const Stop stop =
            stepper.backward({"bn.batch_norm"}, [](const graph::RunResult& result) { return result.value("bn.batch_norm").square().sum(); });
        QVERIFY2(stop.reason != StopReason::Failed, stop.text.c_str());
        const at::Tensor leaf = image.clone().requires_grad_(true);
        const auto& weights = model.weights;
        at::batch_norm(at::conv2d(leaf, weights.at("conv.weight"), weights.at("conv.bias")), weights.at("bn.weight"), weights.at("bn.bias"),
                       weights.at("bn.running_mean"), weights.at("bn.running_var"), false, 0.1, 1e-5, false)
            .square()
            .sum()
            .backward();
        QVERIFY(at::allclose(stepper.gradient("x"), leaf.grad(), 1e-5, 1e-6));
        QVERIFY(stepper.gradient("bn.weight").defined());
    }

    void anEditEndsTheConditionThatHeld()
    {
        Stepper stepper = stepperOf(logModel(), {at::tensor({0.5f, 2.f, 3.f, 4.f}).reshape({1, 4})});
        stepper.addBreakpoint("", parseCondition("nan"));
        QVERIFY(stepper.resume().reason == StopReason::Condition);
        stepper.setValue("log", at::zeros({1, 4}));
        QVERIFY(stepper.lastStop().reason == StopReason::Step);
        QVERIFY(messageOf([] { parseCondition("max > nan"); }).find("expected a number behind") != std::string::npos);
    }

    void anEditThatShortensALoopEndsIt_data()
    {
        QTest::addColumn<int>("move");
        for (const auto& [name, move] : {std::pair{"node", 0}, {"over", 1}, {"into", 2}, {"out", 3}, {"continue", 4}, {"cursor", 5}})
            QTest::newRow(name) << move;
    }
    void anEditThatShortensALoopEndsIt()
    {
        QFETCH(int, move);
        Stepper stepper = stepperOf(doublingModel(), {at::tensor(1.0)});
        stepper.runTo("doubled[5]");
        QCOMPARE(placeOf(stepper), QString("doubled[5]"));
        stepper.setValue("doubled[0]", at::tensor(60.0));  // 60, 120: two steps instead of seven
        QVERIFY(stepper.isKnown("doubled[1]"));
        QVERIFY(!stepper.isKnown("doubled[2]"));
        QCOMPARE(tensorOf(stepper, "doubled[1]").item<double>(), 120.0);
        switch (move) {
        case 0: stepper.stepNode(); break;
        case 1: stepper.stepOver(); break;
        case 2: stepper.stepInto(); break;
        case 3: stepper.stepOut(); break;
        case 4: stepper.resume(); break;
        default: stepper.runToLine(1); break;
        }
        QVERIFY(stepper.atEnd());
        QCOMPARE(tensorOf(stepper, "last").item<double>(), 120.0);
        stepper.back();
        stepper.stepInto();
        stepper.unsetValue("doubled[0]");
        stepper.resume();
        QCOMPARE(tensorOf(stepper, "last").item<double>(), 128.0);
    }

    void stepsOfALoopFollowAnEditOfWhatTheyRead()
    {
        Stepper stepper = stepperOf(doublingModel(), {at::tensor(1.0)});
        stepper.runTo("doubled[2]");
        stepper.setValue("h0", at::tensor(30.0));
        QCOMPARE(tensorOf(stepper, "doubled[1]").item<double>(), 120.0);
        while (stepper.position().inner >= 0)
            stepper.back();
        stepper.stepInto();
        stepper.stepNode();
        stepper.stepNode();
        QCOMPARE(tensorOf(stepper, "doubled[0]").item<double>(), 60.0);
    }

    void aStepOfALoopIsRunToAndBack()
    {
        Stepper stepper = stepperOf(doublingModel(), {at::tensor(1.0)});
        QVERIFY(messageOf([&] { stepper.runToStep(0); }).find("expected a step of the loop") == 0);
        stepper.runTo("doubled[1]");
        const int here = stepper.position().inner;
        stepper.addBreakpoint("more[3]");
        int wanted = here;
        while (stepper.visits()[std::size_t(wanted)].name != "doubled[3]")
            ++wanted;
        QVERIFY(stepper.runToStep(wanted).reason == StopReason::Cursor);
        QCOMPARE(placeOf(stepper), QString("doubled[3]"));
        QVERIFY(stepper.runToStep(wanted + 6).reason == StopReason::Breakpoint);
        QCOMPARE(placeOf(stepper), QString("more[3]"));
        QCOMPARE(stepper.breakpointSteps(), std::vector<int>{stepper.position().inner});
        stepper.runToStep(here);
        QCOMPARE(placeOf(stepper), QString("doubled[1]"));
        QVERIFY(!stepper.isKnown("doubled[1]"));
    }

    void aFailureInsideALoopIsReached()
    {
        const Model model = graph::loopModel(5);
        Stepper stepper = stepperOf(model, {numbers({3, 5}), numbers({5}, 2)});  // three rows only
        stepper.stepInto();
        const Stop stop = stepper.resume();
        QCOMPARE(stop.reason, StopReason::Failed);
        QVERIFY2(stop.text.find("row[3]") == 0, stop.text.c_str());
        QVERIFY(stepper.isKnown("cell[2]"));
    }

    void aModelWithoutNodesIsAtItsEnd()
    {
        graph::Maker maker;
        const auto x = maker.input("x");
        const Model model = maker.finish({{"out", x}});
        Stepper stepper = stepperOf(model, {numbers({2})});
        QVERIFY(stepper.atEnd());
        QCOMPARE(stepper.stepNode().reason, StopReason::End);
        QCOMPARE(stepper.resume().reason, StopReason::End);
        QVERIFY(at::equal(tensorOf(stepper, "x"), numbers({2})));
    }

    void cancellingLeavesTheSessionUsable()
    {
        const Model model = graph::residualModel();
        const at::Tensor x = numbers({3, 6});
        Stepper stepper = stepperOf(model, {x});
        stepper.stepNode();
        std::stop_source source;
        source.request_stop();
        bool cancelled = false;
        try {
            stepper.resume(source.get_token());
        } catch (const core::Cancelled&) {
            cancelled = true;
        }
        QVERIFY(cancelled);
        QCOMPARE(stepper.position().line, 1);
        QCOMPARE(stepper.resume().reason, StopReason::End);
        QVERIFY(at::equal(tensorOf(stepper, "head.linear"), graph::runOn(model, {x}).tensor()));
    }

    void patternsThatFitNothingNameTheNearest()
    {
        Stepper stepper = stepperOf(graph::residualModel(), {numbers({3, 6})});
        QVERIFY(saidBy([&] { stepper.addBreakpoint("blocks.1.tan"); }).contains("did you mean \"blocks.1.tanh\"?"));
        QVERIFY(saidBy([&] { stepper.addBreakpoint("op:tan"); }).contains("did you mean \"tanh\"?"));
        QVERIFY(saidBy([&] { stepper.addBreakpoint("head.bias"); }).contains("names inputs or parameters"));
        QVERIFY(saidBy([&] { stepper.addBreakpoint(""); }).contains("needs a place"));
        QVERIFY(stepper.breakpoints().empty());
        stepper.runTo("blocks.2");
        QVERIFY(saidBy([&] { stepper.runTo("blocks.1"); }).contains("is not ahead"));
        QVERIFY(stepper.breakpoints().empty());
        QCOMPARE(stepper.addBreakpoint("op:tanh"), 1);  // going somewhere takes no numbers
    }

    void gradientsAreThoseOfAutograd()
    {
        const Model model = graph::residualModel();
        const at::Tensor x = numbers({3, 6});
        Stepper stepper = stepperOf(model, {x});
        const auto scalar = [](const graph::RunResult& result) { return result.value("head.linear")[1][2]; };
        QCOMPARE(stepper.backward({"head.linear"}, scalar).reason, StopReason::Start);
        QVERIFY(stepper.isBackward());
        // The oracle: the same network in libtorch's functions.
        at::Tensor leaf = x.clone().requires_grad_(true);
        const auto weight = [&](const std::string& name) { return model.weights.at(name).detach(); };
        at::Tensor h = leaf, inner;
        for (int i = 0; i < 3; ++i) {
            const std::string block = "blocks." + std::to_string(i) + ".";
            const at::Tensor normed = at::layer_norm(h, {6}, weight(block + "norm.weight"), weight(block + "norm.bias"), 1e-5);
            h = h + at::linear(normed.tanh(), weight(block + "fc.weight"), weight(block + "fc.bias"));
            if (i == 1)
                (inner = h).retain_grad();
        }
        at::linear(h, weight("head.weight"), weight("head.bias"))[1][2].backward();
        QVERIFY(at::equal(stepper.gradient("x"), leaf.grad()));
        QVERIFY(at::equal(stepper.gradient("blocks.1.add"), inner.grad()));
        at::Tensor bias = at::zeros({4});
        bias[2] = 1;
        QVERIFY(at::equal(stepper.gradient("head.bias"), bias));
        // Reverse order: the head is reached before the blocks, the last block before the first.
        const auto placeInTrace = [&](const std::string& name) {
            const auto& all = stepper.gradients();
            return std::find_if(all.begin(), all.end(), [&](const auto& each) { return each.name == name; }) - all.begin();
        };
        QVERIFY(placeInTrace("head.linear") < placeInTrace("blocks.2.tanh"));
        QVERIFY(placeInTrace("blocks.2.tanh") < placeInTrace("blocks.0.tanh"));
        const auto id = stepper.addBreakpoint("blocks.0.tanh", parseCondition("grad.norm > 0"));
        const Stop stop = stepper.resumeBackward();
        QCOMPARE(*stop.breakpoint, id);
        QCOMPARE(stepper.gradients()[stepper.gradientPosition() - 1].name, std::string("blocks.0.tanh"));
        stepper.back(1);
        stepper.leaveBackward();
        QCOMPARE(stepper.position().line, 0);
        QCOMPARE(stepper.lastStop().reason, StopReason::Start);
    }

    void afterTheBackwardPassTheForwardStopIsTold()
    {
        Stepper stepper = stepperOf(graph::residualModel(), {numbers({3, 6})});
        const int place = stepper.addBreakpoint("blocks.1.tanh"), norm = stepper.addBreakpoint("", parseCondition("grad.norm > 0"));
        QCOMPARE(*stepper.resume().breakpoint, place);
        const auto scalar = [](const graph::RunResult& result) { return result.value("head.linear").sum(); };
        stepper.backward({"head.linear"}, scalar);
        QCOMPARE(*stepper.resumeBackward().breakpoint, norm);
        stepper.backward({"head.linear"}, scalar);  // from within: the forward stop is still the one before
        stepper.resumeBackward();
        stepper.leaveBackward();
        QCOMPARE(stepper.lastStop().reason, StopReason::Breakpoint);
        QCOMPARE(*stepper.lastStop().breakpoint, place);
        QVERIFY(stepper.lastStop().value.empty());
    }

    void gradientsBeyondTheLimitAreComputedAgain()
    {
        const Model model = graph::residualModel();
        StepperOptions options;
        options.keepBytes = 100;
        Stepper scarce = stepperOf(model, {numbers({3, 6})}, options), ample = stepperOf(model, {numbers({3, 6})});
        const auto scalar = [](const graph::RunResult& result) { return result.value("head.linear"); };
        scarce.backward({"head.linear"}, scalar);
        ample.backward({"head.linear"}, scalar);
        QVERIFY(!scarce.gradients().back().gradient.defined());
        QCOMPARE(scarce.gradients().size(), ample.gradients().size());
        QVERIFY(at::equal(scarce.gradient("x"), ample.gradient("x")));
        QVERIFY(saidBy([&] { scarce.gradient("y"); }).contains("there is no gradient at \"y\""));
    }

    void anEditedValueIsAConstantOfTheBackwardPass()
    {
        const Model model = graph::residualModel();
        Stepper stepper = stepperOf(model, {numbers({3, 6})});
        stepper.resume();
        stepper.setValue("blocks.1.add", numbers({3, 6}, 9));
        stepper.backward({"head.linear"}, [](const graph::RunResult& result) { return result.value("head.linear"); });
        QVERIFY(stepper.gradient("blocks.1.add").abs().sum().item<double>() > 0);
        QVERIFY(saidBy([&] { stepper.gradient("blocks.0.tanh"); }).contains("there is no gradient"));
    }
};

QTEST_APPLESS_MAIN(StepperTest)
#include "stepper_test.moc"
