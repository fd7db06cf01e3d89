// TorchScript files of PyTorch 2.11 (tests/data/pt2/generate.py): operators that libtorch 1.13 lacks, and the values PyTorch 2.11 computed.
#include "scripted_models.h"

#include <core/models/model_file.h>

using namespace orrery;
using namespace orrery::tests;

namespace {

std::string newer(const std::string& name)
{
    return std::string(ORRERY_TEST_DATA "/torchscript2/") + name;
}

std::vector<c10::IValue> inputsIn(const graph::Weights& expected)
{
    std::vector<c10::IValue> inputs;
    for (int i = 0; const auto* tensor = expected.find(fmt::format("input.{}", i)); ++i)
        inputs.emplace_back(tensor->clone());
    return inputs;
}

double distance(const at::Tensor& a, const at::Tensor& b)
{
    if (a.sizes() != b.sizes())
        return std::numeric_limits<double>::infinity();
    return a.numel() ? (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>() : 0;
}

}  // namespace

class NewerTorchScriptTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void initTestCase() { torch::jit::setGraphExecutorOptimize(false); }
    void outputsAndGradientsAreThoseOfPyTorch2_data();
    void outputsAndGradientsAreThoseOfPyTorch2();
    void replacedOperatorsEqualTheirParts();
};

void NewerTorchScriptTest::outputsAndGradientsAreThoseOfPyTorch2_data()
{
    QTest::addColumn<QString>("name");
    for (const char* name :
         {"cnn-scripted", "cnn-traced", "counter-scripted", "encoder-scripted", "gpt-scripted", "gpt-traced", "layer-scripted", "layer-traced",
          "masked-scripted", "mlp-scripted", "mlp-traced", "recurrent-scripted", "recurrent-traced", "shapes-scripted", "shapes-traced"})
        QTest::addRow("%s", name) << name;
}

void NewerTorchScriptTest::outputsAndGradientsAreThoseOfPyTorch2()
{
    QFETCH(QString, name);
    const auto key = name.toStdString();
    const auto expected = models::loadTensors(newer(key + ".safetensors"));
    const auto imported = models::importTorchScript(newer(key + ".pt"));
    auto weights = imported.model.weights.clone();
    for (const auto& parameter : imported.model.graph->data().parameters)
        if (parameter.kind == graph::Parameter::Kind::Parameter)
            weights.set(parameter.name, weights.at(parameter.name).detach().requires_grad_());
    graph::RunRequest request;
    request.inputs = inputsIn(expected);
    request.gradients = graph::Gradients::Parameters;
    const auto result = graph::Executor(imported.model.graph).run(weights, request);
    std::size_t outputs = 0;
    for (; const auto* theirs = expected.find(fmt::format("output.{}", outputs)); ++outputs) {
        QVERIFY(outputs < result.outputs.size());
        const double error = distance(result.tensor(outputs).detach(), *theirs);
        QVERIFY2(error < 5e-6, fmt::format("output {} differs by {}\n{}", outputs, error, imported.model.graph->print()).c_str());
    }
    QCOMPARE(result.outputs.size(), outputs);
    const auto first = result.tensor(0);
    if (!first.requires_grad())
        return;
    (first * first).sum().backward();
    for (const auto& [tensor, theirs] : expected.tensors()) {
        if (tensor.rfind("grad.", 0) != 0)
            continue;
        const auto* parameter = imported.model.graph->findParameter(tensor.substr(5));
        QVERIFY2(parameter, tensor.c_str());
        const double scale = std::max(1.0, theirs.abs().max().item<double>());
        QVERIFY2(distance(weights.at(parameter->name).grad(), theirs) < 5e-5 * scale, tensor.c_str());
    }
}

// Each against its definition, written out.
void NewerTorchScriptTest::replacedOperatorsEqualTheirParts()
{
    const auto call = [](const std::string& op, const std::string& overload, torch::jit::Stack stack) {
        torch::jit::findOperatorFor(c10::OperatorName(op, overload))->getOperation()(stack);
        return stack;
    };
    const auto x = numbers({2, 3, 4}, 1), weight = numbers({4}, 2);
    const auto norm = call("aten::rms_norm", "", {x, std::vector<std::int64_t>{4}, weight, 1e-3}).at(0).toTensor();
    QVERIFY(distance(norm, x / (x.square().mean(-1, true) + 1e-3).sqrt() * weight) < 1e-6);
    QCOMPARE(call("aten::squeeze", "dims", {at::zeros({1, 2, 1, 3}), std::vector<std::int64_t>{0, -2}}).at(0).toTensor().sizes().vec(),
             (std::vector<std::int64_t>{2, 3}));
    const auto flags = at::tensor({1, 0, 0, 0}, at::kInt).view({2, 2}).to(at::kBool);
    QVERIFY(call("aten::any", "dims", {flags, std::vector<std::int64_t>{0, 1}, false}).at(0).toTensor().item<bool>());
    QVERIFY(!call("aten::all", "dims", {flags, std::vector<std::int64_t>{0, 1}, false}).at(0).toTensor().item<bool>());
    auto scores = numbers({2, 3}, 3);
    scores[1].fill_(-std::numeric_limits<float>::infinity());
    const auto safe = call("aten::_safe_softmax", "", {scores, std::int64_t(-1), c10::IValue()}).at(0).toTensor();
    QVERIFY(identical(safe[0], at::softmax(scores[0], -1)) && safe[1].eq(0).all().item<bool>());
    const auto mean = numbers({3}, 4), variance = numbers({3}, 5).abs() + 0.5;
    const auto batch = call("aten::_native_batch_norm_legit_functional", "", {x, c10::IValue(), c10::IValue(), mean, variance, true, 0.1, 1e-5});
    QVERIFY(distance(batch.at(3).toTensor(), mean * 0.9 + x.mean(std::vector<std::int64_t>{0, 2}) * 0.1) < 1e-6);
    QVERIFY(distance(batch.at(4).toTensor(), variance * 0.9 + x.transpose(0, 1).reshape({3, 8}).var(1, true) * 0.1) < 1e-6);
    const auto q = numbers({1, 2, 3, 4}, 6), k = numbers({1, 2, 3, 4}, 7), v = numbers({1, 2, 3, 4}, 8);
    const auto mask = at::ones({3, 3}).tril().log();
    const auto written = at::matmul(at::softmax(at::matmul(q, k.transpose(-2, -1)) / 2 + mask, -1), v);
    QVERIFY(distance(call("aten::scaled_dot_product_attention", "", {q, k, v, c10::IValue(), 0.0, true, c10::IValue(), false}).at(0).toTensor(),
                     written) < 1e-6);
    const auto flash = call("aten::_scaled_dot_product_flash_attention_for_cpu", "", {q, k, v, 0.0, true, c10::IValue(), c10::IValue()});
    QVERIFY(distance(flash.at(0).toTensor(), written) < 1e-6);
    QVERIFY(distance(flash.at(1).toTensor(), at::logsumexp(at::matmul(q, k.transpose(-2, -1)) / 2 + mask, {-1})) < 1e-6);
}

QTEST_APPLESS_MAIN(NewerTorchScriptTest)
#include "newer_torchscript_test.moc"
