#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <QTemporaryDir>
#include <QtTest>

#include <torch/csrc/autograd/autograd.h>

#include <core/base/files.h>
#include <core/graph/executor.h>
#include <core/graph/runnable.h>
#include <core/io/npy.h>
#include <core/io/tensors.h>
#include <core/models/open_model.h>
#include <core/models/weights/gguf_weights.h>
#include <core/models/weights/weight_file.h>
#include <core/train/predict.h>
#include <core/zoo/zoo.h>

#include "../../message_of.h"

using namespace orrery;

namespace {

std::string data(const std::string& name)
{
    return std::string(ORRERY_TEST_DATA "/weights/") + name;
}

/// What torch or NumPy read out of the file.
std::map<std::string, at::Tensor> expected(const std::string& name)
{
    std::map<std::string, at::Tensor> tensors;
    for (const auto& [key, array] : io::readNpz(data(name)))
        tensors[key] = io::toTensor(array);
    return tensors;
}

at::Tensor eighths(std::vector<std::int64_t> shape)
{
    std::int64_t count = 1;
    for (const auto size : shape)
        count *= size;
    return at::arange(count, at::kFloat).div(8).reshape(shape);
}

/// Some floats as a numpy archive is read: bfloat16 is float32 there.
bool sameValues(const at::Tensor& ours, const at::Tensor& theirs)
{
    return ours.sizes() == theirs.sizes() && (ours.scalar_type() == at::kBFloat16 ? ours.to(at::kFloat) : ours).equal(theirs);
}

template <class T>
std::string little(T value)
{
    return {reinterpret_cast<const char*>(&value), sizeof value};
}

/// A GGUF file of one Q8_0 tensor: each block has the scale 1 and the numbers 0 to 31.
std::string quantisedFile(std::uint64_t rows, std::uint64_t columns)
{
    std::string file = "GGUF" + little(std::uint32_t(3)) + little(std::uint64_t(1)) + little(std::uint64_t(0)) + little(std::uint64_t(1)) + "w" +
                       little(std::uint32_t(2)) + little(columns) + little(rows) + little(std::uint32_t(8)) + little(std::uint64_t(0));
    file.resize((file.size() + 31) / 32 * 32);
    std::string block("\x00\x3c", 2);
    for (int i = 0; i < 32; ++i)
        block += char(i);
    file.reserve(file.size() + rows * columns / 32 * block.size());
    for (std::uint64_t i = 0; i < rows * columns / 32; ++i)
        file += block;
    return file;
}

/// How much the most that a process of its own takes grows by a call, in bytes; -1 if it fails.
template <class Call>
std::int64_t grownBy(const Call& call)
{
    int ends[2];
    if (pipe(ends) != 0)
        return -1;
    const pid_t child = fork();
    if (child == 0) {
        const auto peak = [] {
            rusage usage{};
            getrusage(RUSAGE_SELF, &usage);
            return std::int64_t(usage.ru_maxrss) * 1024;
        };
        const auto before = peak();
        std::int64_t grown = call() ? 0 : -1;
        grown = grown < 0 ? grown : peak() - before;
        [[maybe_unused]] const auto written = write(ends[1], &grown, sizeof grown);
        _exit(0);
    }
    close(ends[1]);
    std::int64_t grown = -1;
    [[maybe_unused]] const auto got = read(ends[0], &grown, sizeof grown);
    close(ends[0]);
    waitpid(child, nullptr, 0);
    return grown;
}

}  // namespace

class WeightFileTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void quantisedWeightsTakeWhatTheirNumbersTake()
    {
        constexpr std::int64_t kRows = 4096, kColumns = 8192, kBytes = kRows * kColumns * 4;
        const QTemporaryDir folder;
        const std::filesystem::path file = folder.filePath("large.gguf").toStdString();
        core::writeFileAtomically(file, quantisedFile(kRows, kColumns));
        const auto grown = grownBy([&] {
            const auto read = models::readWeightFile(file);
            const auto tensor = read.tensors.at("w");
            return tensor.sizes() == at::IntArrayRef({kRows, kColumns}) && tensor[4095][8191].item<float>() == 31 && tensor[1][33].item<float>() == 1;
        });
        QVERIFY2(grown > kBytes / 2 && double(grown) < 1.1 * double(kBytes), qPrintable(QString("%1 of %2 bytes").arg(grown).arg(kBytes)));
    }

    void tensorsAreThoseThatTorchReads_data()
    {
        QTest::addColumn<QString>("reference");
        for (const char* name : {"state", "legacy", "checkpoint", "bf16", "views"})
            QTest::newRow(name) << QString(name) + ".npz";
        QTest::newRow("module") << "state.npz";
        QTest::newRow("module-legacy") << "state.npz";
    }
    void tensorsAreThoseThatTorchReads()
    {
        QFETCH(QString, reference);
        const auto file = models::readWeightFile(data(QTest::currentDataTag() + std::string(".pt")));
        const auto wanted = expected(reference.toStdString());
        QCOMPARE(file.tensors.tensors().size(), wanted.size());
        for (const auto& [name, tensor] : wanted)
            QVERIFY2(sameValues(file.tensors.at(name), tensor), name.c_str());
    }

    void elementTypesAreKept()
    {
        const auto views = models::readWeightFile(data("views.pt")).tensors;
        QVERIFY(views.at("half").scalar_type() == at::kHalf && views.at("bool").scalar_type() == at::kBool &&
                views.at("complex").scalar_type() == at::kComplexFloat);
        QVERIFY(models::readWeightFile(data("bf16.pt")).tensors.tensors().begin()->second.scalar_type() == at::kBFloat16);
    }

    void viewsShareTheirStorage()
    {
        const auto views = models::readWeightFile(data("views.pt")).tensors;
        QCOMPARE(views.at("view").data_ptr(), static_cast<void*>(views.at("whole").data_ptr<float>() + 4));
        QCOMPARE(views.at("transposed").strides().vec(), (std::vector<std::int64_t>{1, 6}));
        const auto tied = models::readWeightFile(data("tied.pt")).tensors;
        QVERIFY(tied.at("every_second").equal(eighths({9}).slice(0, 0, 9, 2)));
        QVERIFY(tied.at("expanded").equal(at::ones({4})));
        // The browser shows one parameter with two names.
        const auto model = models::openModel(data("tied.pt"));
        QCOMPARE(model.graph->data().aliases.at("head.weight"), std::string("embed.weight"));
    }

    void everyKindOfArchiveHoldsTheSame_data()
    {
        QTest::addColumn<int>("unused");
        for (const char* name : {"nested.pt", "unaligned.pt", "deflated_pickle.pt", "big_endian.pt"})
            QTest::newRow(name) << 0;
    }
    void everyKindOfArchiveHoldsTheSame()
    {
        const auto tensors = models::readWeightFile(data(QTest::currentDataTag())).tensors;
        QVERIFY(tensors.at("encoder.weight").equal(eighths({2, 3})));
        QVERIFY(tensors.at("encoder.bias").equal(eighths({2})));
        QVERIFY(tensors.at("decoder.weight").equal(eighths({3, 2})));
    }

    void olderFilesAreRead()
    {
        QVERIFY(models::readWeightFile(data("old.pt")).tensors.at("old").equal(eighths({4}).to(at::kDouble)));
        QVERIFY(models::readWeightFile(data("lone.pt")).tensors.at("tensor").equal(eighths({2, 2})));
    }

    void ggufTypesAreUnpackedAsNumPyDoes()
    {
        const auto file = models::readWeightFile(data("types.gguf"));
        const auto wanted = expected("types_gguf.npz");
        QCOMPARE(file.tensors.tensors().size(), wanted.size());
        for (const auto& [name, tensor] : wanted)
            QVERIFY2(file.tensors.at(name).to(at::kFloat).equal(tensor) && file.tensors.at(name).sizes() == tensor.sizes(), name.c_str());
        QVERIFY(file.tensors.at("bf16").scalar_type() == at::kBFloat16 && file.tensors.at("q8").scalar_type() == at::kFloat);
        QCOMPARE(file.about.at("a.text").get<std::string>(), std::string("Grüße"));
        QVERIFY(
            std::any_of(file.notes.begin(), file.notes.end(), [](const auto& note) { return note == "1 tensor of type Q8_0 unpacked to float32"; }));
    }

    void ggufNamesAreThoseOfTheCheckpoint()
    {
        QCOMPARE(models::ggufToHuggingFace("llama", "blk.11.attn_q.weight"), std::optional<std::string>("model.layers.11.self_attn.q_proj.weight"));
        QCOMPARE(models::ggufToHuggingFace("qwen3", "blk.0.attn_k_norm.weight"),
                 std::optional<std::string>("model.layers.0.self_attn.k_norm.weight"));
        QCOMPARE(models::ggufToHuggingFace("gpt2", "position_embd.weight"), std::optional<std::string>("transformer.wpe.weight"));
        QCOMPARE(models::ggufToHuggingFace("gpt2", "blk.3.ffn_down.bias"), std::optional<std::string>("transformer.h.3.mlp.c_proj.bias"));
        for (const char* name : {"blk.x.attn_q.weight", "blk.1", "blk..attn_q.weight", "blk.1.attn_q.scale", "nothing", ""})
            QVERIFY(!models::ggufToHuggingFace("llama", name));
        QVERIFY(!models::ggufToHuggingFace("mamba", "output.weight"));
    }

    void weightsOpenForAnArchitecture()
    {
        // Lightning's prefix "module." is taken off by the same rule as for other files.
        QTemporaryDir folder;
        const auto said = messageOf([&] { models::openModel(data("lightning.pt"), {.architecture = "mlp"}); });
        QVERIFY2(said.find("expected all parameters of mlp, missing") != std::string::npos, said.c_str());
    }

    void damagedFilesNameThemselves()
    {
        QTemporaryDir folder;
        const auto file = folder.filePath("cut.pt").toStdString();
        const auto whole = core::readFile(data("legacy.pt"));
        core::writeFileAtomically(file, std::string_view(whole).substr(0, whole.size() - 100));
        const auto said = messageOf([&] { models::openModel(file); });
        QVERIFY2(said.find("cut.pt") != std::string::npos && said.find("storage") != std::string::npos, said.c_str());
        const auto other = messageOf([&] { models::readWeightFile(data("make_weights.py")); });
        QVERIFY2(other.find("expected a file of weights") != std::string::npos, other.c_str());
    }

    /// Row b58: a classifier's file as TorchXRayVision and torchvision name its tensors, against python3-torch.
    void aDensenetOpensByItsNames_data()
    {
        QTest::addColumn<QString>("file");
        QTest::newRow("names of today") << "densenet.pt";
        QTest::newRow("names before torchvision 0.3") << "densenet-old.pt";
    }
    void aDensenetOpensByItsNames()
    {
        QFETCH(QString, file);
        std::vector<std::string> notes;
        const auto model = models::openModel(
            data(file.toStdString()), {.architecture = "densenet?blocks=2,3&growth=4&width=8&classes=18&channels=1&image_size=40&labels=chest_x_ray",
                                       .note = [&](const std::string& note) { notes.push_back(note); }});
        QVERIFY(std::find(notes.begin(), notes.end(), "not used: op_threshs") != notes.end());
        QCOMPARE(model.card.task, std::string("multi_label"));
        QCOMPARE(model.card.classNames[7], std::string("Effusion"));
        const auto reference = expected("densenet.npz");
        graph::RunRequest request;
        at::Tensor input = reference.at("input").clone().requires_grad_();
        request.inputs = {input};
        request.gradients = graph::Gradients::Inputs;
        const at::AutoGradMode gradMode(true);
        const at::Tensor output = graph::Executor(model.graph).run(model.weights, request).tensor();
        // One build of libtorch sums in another order than the other.
        QVERIFY(at::allclose(output, reference.at("output"), 1e-4, 1e-5));
        const at::Tensor gradient = torch::autograd::grad({output.select(1, 3).sum()}, {input})[0], wanted = reference.at("gradient");
        QVERIFY((gradient - wanted).abs().max().item<double>() < 1e-4 * wanted.abs().max().item<double>());
    }

    void answersOfSeveralLabelsAreProbabilitiesOfTheirOwn()
    {
        graph::ModelCard card;
        card.task = "multi_label";
        card.classNames = {"Mass", "Nodule", "Hernia"};
        const auto row = train::topClasses(at::tensor({0.0, 2.0, -1.0}).view({1, 3}), card, 3)[0];
        QCOMPARE(row[0].name, std::string("Nodule"));
        for (const auto& [score, logit] : {std::pair{row[0], 2.0}, {row[1], 0.0}, {row[2], -1.0}})
            QVERIFY(std::abs(score.probability - 1 / (1 + std::exp(-logit))) < 1e-6);
        QCOMPARE(train::topClasses(at::zeros({1, 1}), card, 3)[0].size(), std::size_t(1));
    }
};

QTEST_APPLESS_MAIN(WeightFileTest)
#include "weight_file_test.moc"
