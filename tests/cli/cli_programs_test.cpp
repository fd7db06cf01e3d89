// Programs of PyTorch on the command line: torch.export archives and TorchScript in, TorchScript and C out.
#include <ATen/ATen.h>

#include <core/io/zip.h>
#include <core/models/model_file.h>

#include "cli_runner.h"

using namespace orrery;

namespace {

QString program(const char* name)
{
    return QString(ORRERY_TEST_DATA "/pt2/") + name + ".pt2";
}

}  // namespace

class CliProgramsTest : public QObject {
    Q_OBJECT
    test::Cli m_cli;

private Q_SLOTS:
    void initTestCase() { qputenv("XDG_CACHE_HOME", QByteArray::fromStdString(m_cli.path("cache").string())); }

    void aProgramIsInspectedAndRun()
    {
        const auto expected = models::loadTensors(ORRERY_TEST_DATA "/pt2/gpt.safetensors");
        m_cli.writeArray("ids.npy", expected.at("input.0"));
        const auto json = m_cli.json({"inspect", program("gpt")});
        QCOMPARE(json["name"].get<std::string>(), std::string("Gpt"));
        QCOMPARE(json["card"]["inputs"][0]["name"].get<std::string>(), std::string("ids"));
        QCOMPARE(json["card"]["example"]["ids"]["shape"].dump(), std::string("[2,9]"));
        QVERIFY(json["was_run"].get<bool>() && json["flops"].get<std::int64_t>() > 0);
        const auto answer = m_cli.compute(
            {"forward", program("gpt"), "--input", "ids.npy", "--probe", "blocks.*.attn.softmax", "--out", "y.npy", "--out-dir", "probes"});
        QVERIFY2(answer.status == 0, qPrintable(answer.error));
        QVERIFY((m_cli.array("y.npy") - expected.at("output.0")).abs().max().item<double>() < 5e-6);
        const auto pattern = m_cli.array("probes/blocks.1.attn.softmax.npy");
        QCOMPARE(pattern.sizes().vec(), (std::vector<std::int64_t>{2, 2, 9, 9}));
        QVERIFY((pattern.sum(-1) - 1).abs().max().item<double>() < 1e-6 && pattern.triu(1).abs().max().item<double>() == 0);
    }

    void anUnknownOperatorLeavesTheStructure()
    {
        auto entries = io::parseZip(core::readFile(program("mlp").toStdString()), "mlp", 1 << 24);
        for (auto& entry : entries)
            if (entry.name.ends_with("model.json"))
                entry.content.replace(entry.content.find("aten.gelu"), 9, "aten.wobl");
        m_cli.write("odd.pt2", io::zipBytes(entries));
        const auto answer = m_cli.compute({"inspect", "odd.pt2"});
        QCOMPARE(answer.status, 0);
        QVERIFY2(answer.out.contains("net.1.wobl") && answer.out.contains("structure only, it cannot be run: libtorch has no aten::wobl"),
                 qPrintable(answer.out));
        m_cli.writeArray("x.npy", at::ones({1, 6}));
        VERIFY_REFUSED(m_cli.compute({"forward", "odd.pt2", "--input", "x.npy"}), 2, "libtorch has no operator aten::wobl");
    }

    void modelsAreExported()
    {
        m_cli.writeArray("x.npy", at::arange(12, at::kFloat).reshape({2, 6}) / 7);
        const auto run = [&](const QString& model) {
            const auto answer = m_cli.compute({"forward", model, "--input", "x.npy", "--out", "y.npy"});
            if (answer.status != 0)
                throw std::runtime_error(qPrintable(answer.error));
            return m_cli.array("y.npy");
        };
        const auto first = run(program("mlp"));
        const auto script = m_cli.json({"export", program("mlp"), "--to", "torchscript", "--out", "mlp.pt"});
        QVERIFY(script["bytes"].get<int>() > 0);
        QVERIFY(at::equal(run("mlp.pt"), first));
        const auto c = m_cli.json({"export", program("mlp"), "--to", "c", "--out", "mlp.c", "--set", "batch=2"});
        QVERIFY2(c["notes"].dump().find("as much as lives at one time") != std::string::npos, c["notes"].dump().c_str());
        QVERIFY(m_cli.read("mlp.c").find("#define MODEL_INPUT_SIZE 12") != std::string::npos);
        VERIFY_REFUSED(m_cli.compute({"export", program("gpt"), "--to", "c", "--out", "gpt.c"}), 2, "expected sizes that are known");
        QVERIFY(!m_cli.has("gpt.c"));
    }

    void damagedFilesAreStatusTwo()
    {
        const auto bytes = core::readFile(program("mlp").toStdString());
        m_cli.write("cut.pt2", bytes.substr(0, bytes.size() - 200));
        QCOMPARE(m_cli.compute({"inspect", "cut.pt2"}).status, 2);
        auto entries = io::parseZip(bytes, "mlp", 1 << 24);
        std::erase_if(entries, [](const io::ZipEntry& entry) { return entry.name.ends_with("weight_1"); });
        m_cli.write("lost.pt2", io::zipBytes(entries));
        VERIFY_REFUSED(m_cli.compute({"inspect", "lost.pt2"}), 2, "lost.pt2: expected an entry data/weights/weight_1, found none");
        VERIFY_REFUSED(m_cli.compute({"inspect", ORRERY_TEST_DATA "/torchscript/gpt.pt", "--model-method", "backward"}), 2,
                       "expected a module with a method backward, found class Gpt with forward");
    }

    void theReaderIsNotListed()
    {
        QVERIFY(!m_cli.run({"--help"}).out.contains("read-model"));
        QVERIFY(!m_cli.run({"completion"}).out.contains(" read-model "));
    }
};

QTEST_APPLESS_MAIN(CliProgramsTest)
#include "cli_programs_test.moc"
