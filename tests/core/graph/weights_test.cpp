// The reference for initial values is torch::nn::init itself.
#include <torch/torch.h>

#include <core/base/rng.h>
#include <core/base/stop.h>
#include <core/graph/random_operators.h>

#include "sample_graphs.h"

#include <QtTest>

using namespace orrery;
using namespace orrery::graph;

namespace {

struct Start {
    const char* name;
    core::Json init;
    std::vector<std::int64_t> shape;
    std::function<void(torch::Tensor&)> reference;
};

std::vector<Start> starts()
{
    namespace init = torch::nn::init;
    using Kind = torch::enumtype::kFanOut;
    return {
        {"kaiming uniform, linear",
         {{"kind", "kaiming_uniform"}, {"a", std::sqrt(5.0)}},
         {300, 200},
         [](torch::Tensor& t) { init::kaiming_uniform_(t, std::sqrt(5.0)); }},
        {"kaiming uniform, convolution",
         {{"kind", "kaiming_uniform"}, {"a", 0.5}},
         {64, 32, 5, 5},
         [](torch::Tensor& t) { init::kaiming_uniform_(t, 0.5); }},
        {"kaiming normal, fan out",
         {{"kind", "kaiming_normal"}, {"mode", "fan_out"}, {"nonlinearity", "relu"}},
         {64, 32, 3, 3},
         [](torch::Tensor& t) { init::kaiming_normal_(t, 0, Kind(), torch::kReLU); }},
        {"xavier uniform", {{"kind", "xavier_uniform"}}, {300, 200}, [](torch::Tensor& t) { init::xavier_uniform_(t); }},
        {"normal", {{"kind", "normal"}, {"mean", 1.0}, {"std", 0.02}}, {300, 200}, [](torch::Tensor& t) { init::normal_(t, 1.0, 0.02); }},
        {"uniform with bound", {{"kind", "uniform"}, {"bound", 0.3}}, {60000}, [](torch::Tensor& t) { init::uniform_(t, -0.3, 0.3); }},
        {"uniform with fan", {{"kind", "uniform"}, {"fan", 25}}, {60000}, [](torch::Tensor& t) { init::uniform_(t, -0.2, 0.2); }},
        {"zeros", {{"kind", "zeros"}}, {7}, [](torch::Tensor& t) { init::zeros_(t); }},
        {"ones", {{"kind", "ones"}}, {7}, [](torch::Tensor& t) { init::ones_(t); }},
        {"constant", {{"kind", "constant"}, {"value", 0.25}}, {7}, [](torch::Tensor& t) { init::constant_(t, 0.25); }},
        {"arange",
         {{"kind", "arange"}},
         {2, 3},
         [](torch::Tensor& t) {
             t.copy_(torch::arange(6).reshape({2, 3}));
         }},
    };
}

torch::Tensor drawn(const Start& start, std::uint64_t seed)
{
    Maker maker;
    maker.parameter("weight", start.shape);
    maker.data.parameters[0].init = start.init;
    return initialize(Graph(maker.data), seed).at("weight");
}

}  // namespace

class WeightsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initialValuesAreDistributedAsTorchs_data()
    {
        QTest::addColumn<int>("index");
        int index = 0;
        for (const Start& start : starts())
            QTest::newRow(start.name) << index++;
    }
    void initialValuesAreDistributedAsTorchs()
    {
        QFETCH(int, index);
        const Start start = starts()[std::size_t(index)];
        torch::manual_seed(1);
        torch::Tensor expected = torch::empty(start.shape);
        start.reference(expected);
        const torch::Tensor found = drawn(start, 1);
        QCOMPARE(found.sizes().vec(), start.shape);
        if (expected.numel() < 100) {
            QVERIFY(torch::equal(found, expected));
            return;
        }
        // 50,000 numbers: mean within 6 standard errors of each other, deviation and quartiles within 2 %.
        const double deviation = expected.std().item<double>(), error = deviation / std::sqrt(double(expected.numel()));
        QVERIFY(std::abs((found.mean() - expected.mean()).item<double>()) < 6 * 1.5 * error);
        QVERIFY(std::abs(found.std().item<double>() / deviation - 1) < 0.02);
        for (const double quantile : {0.25, 0.75}) {
            const auto rank = std::int64_t(quantile * double(expected.numel()));
            const auto at = [&](const torch::Tensor& tensor) { return std::get<0>(tensor.flatten().sort())[rank].item<double>(); };
            QVERIFY(std::abs(at(found) - at(expected)) < 0.03 * deviation);
        }
        QVERIFY(std::abs(found.max().item<double>() - expected.max().item<double>()) < deviation);
    }

    void truncatedNormalIsCut()
    {
        const torch::Tensor wide = drawn({"", {{"kind", "trunc_normal"}, {"std", 0.02}}, {50000}, {}}, 3);
        QVERIFY(std::abs(wide.std().item<double>() - 0.02) < 0.0005);
        // Cut at two standard deviations a normal has a deviation of 0.8796.
        const torch::Tensor cut = drawn({"", {{"kind", "trunc_normal"}, {"std", 1.0}}, {50000}, {}}, 3);
        QVERIFY(cut.abs().max().item<double>() <= 2.0);
        QVERIFY(std::abs(cut.std().item<double>() - 0.8796) < 0.01);
    }

    /// They are filled in pieces, so that whoever waits can stop; a generator of the same seed gives the same numbers in one call.
    void largeTensorsAreDrawnAsAtOnce()
    {
        const std::int64_t count = 3 * (1 << 20) + 7;
        const auto expected = [&](const std::function<void(torch::Tensor&, const at::Generator&)>& fill) {
            torch::Tensor tensor = torch::empty({count});
            fill(tensor, makeGenerator(c10::kCPU, core::deriveSeed(5, 0, "weight")));
            return tensor;
        };
        QVERIFY(torch::equal(drawn({"", {{"kind", "normal"}, {"mean", 0.5}, {"std", 0.02}}, {count}, {}}, 5),
                             expected([](auto& tensor, const auto& generator) { tensor.normal_(0.5, 0.02, generator); })));
        QVERIFY(torch::equal(drawn({"", {{"kind", "uniform"}, {"bound", 0.3}}, {count}, {}}, 5),
                             expected([](auto& tensor, const auto& generator) { tensor.uniform_(-0.3, 0.3, generator); })));
    }

    void drawingCanBeStopped()
    {
        std::stop_source source;
        const core::StopScope scope(source.get_token());
        QCOMPARE(drawn({"", {{"kind", "zeros"}}, {2}, {}}, 5).numel(), std::int64_t(2));
        {
            const core::StopScope inner{std::stop_token()};
            source.request_stop();
            QVERIFY(!core::isStopped());
        }
        QVERIFY(core::isStopped());
        QVERIFY_EXCEPTION_THROWN(drawn({"", {{"kind", "zeros"}}, {2}, {}}, 5), core::Cancelled);
    }

    void modulesStartAsTorchs()
    {
        Builder builder("modules");
        const auto x = builder.input("x", "float32", {"batch", "8", "20", "20"});
        const auto y = builder.linear("fc", builder.flatten(builder.conv2d("conv", x, 8, 16, 5)), 16 * 256, 50);
        const Model model = withWeights(builder.finish({{"y", y}}));
        // torch.nn: weights and biases of both lie within 1/sqrt(fan in).
        const auto reaches = [&](const std::string& name, double bound) {
            const double largest = model.weights.at(name).abs().max().item<double>();
            return largest <= bound && largest > 0.8 * bound;
        };
        QVERIFY(reaches("conv.weight", 1 / std::sqrt(200.0)) && reaches("conv.bias", 1 / std::sqrt(200.0)));
        QVERIFY(reaches("fc.weight", 1 / 64.0) && reaches("fc.bias", 1 / 64.0));
    }

    void eachTensorHasItsOwnSeed()
    {
        const auto two = [](const std::string& first, const std::string& second, std::uint64_t seed) {
            Maker maker;
            for (const std::string& name : {first, second}) {
                maker.parameter(name, {4});
                maker.data.parameters.back().init = {{"kind", "normal"}, {"std", 1.0}};
            }
            return initialize(Graph(maker.data), seed);
        };
        const Weights a = two("a", "b", 1), b = two("c", "a", 1), c = two("a", "b", 2);
        QVERIFY(torch::equal(a.at("a"), b.at("a")));
        QVERIFY(!torch::equal(a.at("a"), a.at("b")));
        QVERIFY(!torch::equal(a.at("a"), c.at("a")));
    }

    void parametersWithoutAStartAreNamed()
    {
        Maker maker;
        maker.parameter("fc.weight", {2});
        QVERIFY(messageOf([&] { initialize(Graph(maker.data), 0); }).starts_with("parameter fc.weight says nothing about how it starts"));
        maker.data.parameters[0].init = {{"kind", "magic"}};
        QCOMPARE(messageOf([&] { initialize(Graph(maker.data), 0); }), std::string("parameter fc.weight: unknown init kind \"magic\""));
    }

    void wrongWeightsAreListed()
    {
        const Model model = residualModel();
        checkWeights(*model.graph, model.weights);
        Weights wrong = model.weights;
        auto tensors = wrong.tensors();
        tensors.erase("head.bias");
        tensors["head.weight"] = torch::zeros({4, 7});
        tensors["tail.weight"] = torch::zeros({2});
        const std::string message = messageOf([&] { checkWeights(*model.graph, Weights(tensors)); });
        for (const char* const part :
             {"3 faults", "head.bias: missing (expected [4])", "head.weight: expected [4, 6], got [4, 7]", "tail.weight: unexpected [2]"})
            QVERIFY2(message.find(part) != std::string::npos, message.c_str());
    }

    void copiesShareOrDoNotShareAsTheySay()
    {
        const Model model = residualModel();
        const Weights alias = model.weights, clone = model.weights.clone(), same = model.weights.to(c10::kCPU),
                      wide = model.weights.to(c10::kCPU, at::kDouble);
        const auto* data = model.weights.at("head.bias").data_ptr();
        QVERIFY(alias.at("head.bias").data_ptr() == data);
        QVERIFY(same.at("head.bias").data_ptr() == data);
        QVERIFY(clone.at("head.bias").data_ptr() != data);
        QCOMPARE(wide.at("head.bias").scalar_type(), at::kDouble);
        QCOMPARE(wide.bytes(), 2 * model.weights.bytes());
        QCOMPARE(model.weights.bytes(), 4 * parameterCount(*model.graph));
        QCOMPARE(messageOf([&] { model.weights.at("head.bais"); }), std::string("weights hold no tensor \"head.bais\"; did you mean \"head.bias\"?"));
        QVERIFY(!model.weights.find("head.bais"));
    }
};

QTEST_APPLESS_MAIN(WeightsTest)
#include "weights_test.moc"
