// The C exporter: what it writes is compiled by the system's compiler and compared with libtorch.
#include <ATen/CPUGeneratorImpl.h>

#include <QtTest>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/base/process.h>
#include <core/data/dataset.h>
#include <core/graph/builder.h>
#include <core/graph/executor.h>
#include <core/models/c_export/memory_plan.h>
#include <core/models/exporter.h>
#include <core/models/pt2/exported_program.h>
#include <core/zoo/zoo.h>

using namespace orrery;

namespace {

bool hasCompiler()
{
    const auto result = core::runProcess({"cc", "--version"}, std::chrono::seconds(20));
    return result && result->exitStatus == 0;
}

/// Greatest difference between the compiled file and the executor over rows of inputs.
double farthest(const QTemporaryDir& folder, const graph::Model& model, const at::Tensor& rows, const models::ExportOptions& options = {})
{
    const auto path = [&](const char* name) { return folder.path().toStdString() + "/" + name; };
    models::exportModel(path("model.c"), model, "c", options);
    const auto built = core::runProcess({"sh", "-c",
                                         fmt::format("cc -std=c99 -O2 -Wall -Wextra -Werror -pedantic -DMODEL_MAIN {} -o {} -lm 2>{}",
                                                     path("model.c"), path("model"), path("errors"))},
                                        std::chrono::seconds(120));
    if (!built || built->exitStatus != 0)
        throw core::Error("the C file was not compiled: " + core::readFile(path("errors")).substr(0, 2000));
    const auto flat = rows.to(at::kFloat).contiguous();  // tokens are given as floats
    core::writeFileAtomically(path("in"), std::string_view(static_cast<const char*>(flat.data_ptr()), std::size_t(flat.nbytes())));
    const auto ran = core::runProcess({"sh", "-c", fmt::format("{} < {} > {}", path("model"), path("in"), path("out"))}, std::chrono::seconds(60));
    if (!ran || ran->exitStatus != 0)
        throw core::Error("the program failed");
    const auto bytes = core::readFile(path("out"));
    const graph::Executor executor(model.graph);
    std::vector<at::Tensor> theirs;
    for (std::int64_t i = 0; i < rows.size(0); ++i)
        theirs.push_back(executor.forward(model.weights, {rows.slice(0, i, i + 1)}).reshape(-1));
    const auto expected = at::cat(theirs);
    if (bytes.size() != std::size_t(expected.nbytes()))
        throw core::Error(fmt::format("expected {} bytes, got {}", expected.nbytes(), bytes.size()));
    const auto ours = at::from_blob(const_cast<char*>(bytes.data()), expected.sizes(), at::kFloat);
    return (ours - expected).abs().max().item<double>();
}

}  // namespace

class CExportTest : public QObject {
    Q_OBJECT
    QTemporaryDir m_folder;

private Q_SLOTS:
    void digitsAreAnsweredAsByLibtorch_data();
    void digitsAreAnsweredAsByLibtorch();
    void transformersAreAnsweredAsByLibtorch_data();
    void transformersAreAnsweredAsByLibtorch();
    void everyBroadcastAndPermutationIsRight();
    void sequencesAreConvolvedTurnedAndSummed();
    void exportedProgramsAreAnswered();
    void everyPointwiseOperatorIsRight();
    void theArenaIsAsLargeAsWhatLives();
    void plansNeverOverlap();
    void theFileTellsPlanAndCost();
    void whatHasNoKernelIsRefusedByName();
};

void CExportTest::digitsAreAnsweredAsByLibtorch_data()
{
    QTest::addColumn<QString>("reference");
    QTest::addRow("mlp") << "zoo:mlp?features=64&hidden=[48,32]&classes=10";
    QTest::addRow("mlp with normalisation") << "zoo:mlp?features=64&hidden=[48]&classes=10&activation=gelu&batch_norm=true";
    QTest::addRow("lenet") << "zoo:lenet?image_size=8&kernel=3&padding=1";
    QTest::addRow("resnet") << "zoo:resnet?depth=8&image_size=8&channels=1";
}

void CExportTest::digitsAreAnsweredAsByLibtorch()
{
    if (!hasCompiler())
        QSKIP("there is no cc");
    QFETCH(QString, reference);
    auto model = zoo::openZoo(reference.toStdString(), 4);
    for (const auto& parameter : model.graph->data().parameters)  // running statistics that are not the trivial ones
        if (parameter.kind == graph::Parameter::Kind::Buffer && parameter.dtype == at::kFloat)
            model.weights.set(parameter.name, at::linspace(0.5, 1.5, model.weights.at(parameter.name).numel()).reshape(parameter.shape));
    const auto digits = data::openData("digits");
    auto indices = digits->split(data::Split::Test);
    indices.resize(50);
    auto rows = digits->fetch(indices).inputs.at(0);
    if (model.card.inputs.at(0).shape.size() == 2)
        rows = rows.flatten(1);
    const double error = farthest(m_folder, model, rows);
    QVERIFY2(error < 1e-5, std::to_string(error).c_str());
}

void CExportTest::transformersAreAnsweredAsByLibtorch_data()
{
    QTest::addColumn<QString>("reference");
    QTest::addColumn<bool>("tokens");
    QTest::addRow("vit") << "zoo:vit?image_size=8&patch_size=4&width=16&mlp_width=32&layers=2&heads=2&channels=1&classes=10" << false;
    QTest::addRow("gpt") << "zoo:gpt?vocabulary=20&layers=2&heads=2&width=16&block_length=12" << true;
}

void CExportTest::transformersAreAnsweredAsByLibtorch()
{
    if (!hasCompiler())
        QSKIP("there is no cc");
    QFETCH(QString, reference);
    QFETCH(bool, tokens);
    auto model = zoo::openZoo(reference.toStdString(), 4);
    auto generator = at::make_generator<at::CPUGeneratorImpl>(8);
    const auto fresh = model.weights.tensors();
    for (const auto& [name, tensor] : fresh)  // heads and biases start at zero: then nothing would be compared
        if (tensor.is_floating_point() && tensor.abs().max().item<float>() == 0)
            model.weights.set(name, at::randn(tensor.sizes(), generator) * 0.3);
    models::ExportOptions options;
    if (tokens)
        options.parameters = {{"length", 7}};
    const at::Tensor rows = tokens ? at::randint(20, {5, 7}, generator, at::TensorOptions(at::kLong)) : at::randn({5, 1, 8, 8}, generator);
    const double error = farthest(m_folder, model, rows, options);
    QVERIFY2(error < 1e-5, std::to_string(error).c_str());
}

void CExportTest::everyBroadcastAndPermutationIsRight()
{
    if (!hasCompiler())
        QSKIP("there is no cc");
    graph::Builder builder("broadcasts");
    const auto x = builder.input("x", "float32", {"batch", "3", "4"});
    const auto row = builder.op("aten::mean.dim", {x, std::vector<std::int64_t>{-1}, true});  // [batch, 3, 1]
    auto y = builder.op("aten::add.Tensor", {x, row, 0.5});
    y = builder.op("aten::sub.Tensor", {row, y, 2});
    y = builder.op("aten::div.Tensor", {y, builder.op("aten::exp", {row})});
    y = builder.op("aten::mul.Tensor", {y, builder.op("aten::abs", {x})});
    y = builder.op("aten::maximum", {y, builder.op("aten::neg", {row})});
    y = builder.op("aten::minimum", {y, builder.op("aten::rsub.Scalar", {row, 2.0, 3})});
    y = builder.op("aten::permute", {y, std::vector<std::int64_t>{2, 0, 1}});                 // [4, batch, 3]
    y = builder.op("aten::transpose.int", {y, 0, 1});                                         // [batch, 4, 3]
    const auto product = builder.op("aten::bmm", {y, builder.op("aten::sin", {x})});          // [batch, 4, 4]
    const auto parts = builder.unpack(builder.op("aten::split.Tensor", {product, 3, 1}), 2);  // 3 and 1 rows
    y = builder.op("aten::cat", {builder.list({parts[1], parts[0]}), 1});
    y = builder.op("aten::baddbmm", {row, builder.op("aten::pow.Tensor_Scalar", {x, 2.0}), y, 0.5, 2.0});
    y = builder.op("aten::expand", {builder.op("aten::unsqueeze", {y, 1}), std::vector<std::int64_t>{-1, 2, -1, -1}});
    const auto model = builder.finish({{"y", y}});
    auto generator = at::make_generator<at::CPUGeneratorImpl>(9);
    const double error = farthest(m_folder, model, at::randn({10, 3, 4}, generator));
    QVERIFY2(error < 2e-5, std::to_string(error).c_str());
}

void CExportTest::sequencesAreConvolvedTurnedAndSummed()
{
    if (!hasCompiler())
        QSKIP("there is no cc");
    using Axes = std::vector<std::int64_t>;
    graph::Builder builder("sequences");
    const auto x = builder.input("x", "float32", {"batch", "4", "11"});
    const auto weight = builder.parameter("weight", {6, 2, 3}, {}), bias = builder.parameter("bias", {6}, {});
    auto y = builder.op("aten::conv1d", {x, weight, bias, Axes{2}, Axes{3}, Axes{2}, 2});  // [batch, 6, 7]
    const auto convolved = y;
    y = builder.op("aten::flip", {y, Axes{-1}});
    y = builder.op("aten::sub.Tensor", {y, builder.op("aten::flip", {convolved, Axes{1, 2}}), 0.5});
    const auto rows = builder.op("aten::sum.dim_IntList", {y, Axes{1}, false, nullptr});    // [batch, 7]
    const auto columns = builder.op("aten::mean.dim", {y, Axes{-2}, true, nullptr});        // [batch, 1, 7]
    const auto last = builder.op("aten::sum.dim_IntList", {y, Axes{2, 1}, true, nullptr});  // [batch, 1, 1]
    y = builder.op("aten::mul.Tensor", {y, columns});
    y = builder.op("aten::add.Tensor", {y, last, 1});
    y = builder.op("aten::add.Tensor", {y, builder.op("aten::unsqueeze", {rows, 1}), 1});
    y = builder.op("aten::add.Tensor", {y, builder.op("aten::mean", {convolved, nullptr}), 1});  // over everything
    auto model = builder.finish({{"y", y}});
    auto generator = at::make_generator<at::CPUGeneratorImpl>(9);
    model.weights.set("weight", at::randn({6, 2, 3}, generator));
    model.weights.set("bias", at::randn({6}, generator));
    const double error = farthest(m_folder, model, at::randn({8, 4, 11}, generator));
    QVERIFY2(error < 2e-5, std::to_string(error).c_str());
}

void CExportTest::exportedProgramsAreAnswered()
{
    if (!hasCompiler())
        QSKIP("there is no cc");
    auto imported = models::importExportedProgram(ORRERY_TEST_DATA "/pt2/cnn.pt2");
    auto generator = at::make_generator<at::CPUGeneratorImpl>(8);
    QVERIFY(farthest(m_folder, imported.model, at::randn({6, 3, 16, 16}, generator)) < 1e-5);
}

void CExportTest::everyPointwiseOperatorIsRight()
{
    if (!hasCompiler())
        QSKIP("there is no cc");
    graph::Builder builder("pointwise");
    auto x = builder.input("x", "float32", {"batch", "3", "7"});
    const auto first = x;
    x = builder.op("aten::leaky_relu", {x, 0.2});
    x = builder.op("aten::elu", {x, 1.0, 1.0, 1.0});
    x = builder.op("aten::gelu", {x, "tanh"});
    x = builder.op("aten::gelu", {x, "none"});
    x = builder.op("aten::silu", {x});
    x = builder.op("aten::sigmoid", {x});
    x = builder.op("aten::tanh", {x});
    x = builder.op("aten::hardtanh", {x, -0.3, 0.9});
    x = builder.op("aten::mul.Tensor", {x, first});
    x = builder.op("aten::add.Scalar", {x, 0.25, 2});
    x = builder.op("aten::softmax.int", {x, 1});
    x = builder.op("aten::log_softmax.int", {x, -1});
    const auto model = builder.finish({{"y", x}});
    auto generator = at::make_generator<at::CPUGeneratorImpl>(9);
    const double error = farthest(m_folder, model, at::randn({10, 3, 7}, generator) * 3);
    QVERIFY2(error < 1e-5, std::to_string(error).c_str());
}

void CExportTest::theArenaIsAsLargeAsWhatLives()
{
    // A chain of five: two neighbours live at a time.
    const auto chain = models::planMemory({{100, 0, 1}, {40, 1, 2}, {70, 2, 3}, {10, 3, 4}, {200, 4, 5}});
    QCOMPARE(chain.peakLive, std::int64_t(210));
    QCOMPARE(chain.arena, chain.peakLive);
    // Placed in the order of their steps these take 80, but 60 suffice.
    const auto tight = models::planMemory({{20, 0, 1}, {20, 0, 3}, {40, 2, 3}, {20, 1, 1}});
    QCOMPARE(tight.peakLive, std::int64_t(60));
    QCOMPARE(tight.arena, std::int64_t(60));
}

void CExportTest::plansNeverOverlap()
{
    std::uint64_t state = 12345;
    const auto next = [&](std::uint64_t below) {
        return std::int64_t((state = state * 6364136223846793005ULL + 1442695040888963407ULL) >> 33) % std::int64_t(below);
    };
    int exact = 0;
    for (int round = 0; round < 200; ++round) {
        std::vector<models::PlannedBuffer> buffers;
        for (int i = 0; i < 30; ++i)
            buffers.push_back({next(50) + 1, i, i + int(next(6)), 0});
        const auto plan = models::planMemory(buffers);
        QVERIFY(plan.arena >= plan.peakLive);
        exact += plan.arena == plan.peakLive;
        for (const auto& a : plan.buffers)
            for (const auto& b : plan.buffers)
                if (&a != &b && a.first <= b.last && b.first <= a.last)
                    QVERIFY(a.offset + a.size <= b.offset || b.offset + b.size <= a.offset);
    }
    QVERIFY2(exact > 100, std::to_string(exact).c_str());
}

void CExportTest::theFileTellsPlanAndCost()
{
    const auto file = m_folder.path().toStdString() + "/told.c";
    std::string note;
    models::ExportOptions options;
    options.note = [&](const std::string& text) { note = text; };
    models::exportModel(file, zoo::openZoo("zoo:mlp?features=64&hidden=[48,32]&classes=10", 0), "c", options);
    const auto text = core::readFile(file);
    // Two layers side by side: 48 and 32 numbers; the activations are written over what they read.
    QVERIFY2(text.find("memory plan: 3 buffers in an arena of 320 bytes; most that lives at one time: 320 bytes") != std::string::npos,
             text.substr(0, 800).c_str());
    QVERIFY2(text.find(fmt::format("{} FLOPs a run", 2 * (64 * 48 + 48 * 32 + 32 * 10) + (48 + 32 + 10) + (48 + 32))) != std::string::npos,
             text.substr(0, 1500).c_str());
    QCOMPARE(note, std::string("arena of 320 B for 3 buffers, as much as lives at one time"));
}

void CExportTest::whatHasNoKernelIsRefusedByName()
{
    for (const auto& [reference, part] : {std::pair("zoo:gpt", "give its length"), std::pair("zoo:seq2seq", "expected")})
        try {
            models::exportModel(m_folder.path().toStdString() + "/x.c", zoo::openZoo(reference, 0), "c");
            QFAIL(reference);
        } catch (const core::InputError& error) {
            const std::string message = error.what();
            QVERIFY2(message.find(part) != std::string::npos, message.c_str());
        }
}

QTEST_APPLESS_MAIN(CExportTest)
#include "c_export_test.moc"
