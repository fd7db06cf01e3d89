// Encoders on the command line: padding and pairs, training that fills masks, vocabularies contrasted.
#include <ATen/ATen.h>

#include <core/graph/executor.h>
#include <core/intervene/intervention.h>

#include "../core/train/bert_folder.h"
#include "cli_runner.h"

using namespace orrery;
using core::Json;

namespace {

QString asText(const std::filesystem::path& path)
{
    return QString::fromStdString(path.string());
}

double probability(const Json& predictions, std::size_t entry)
{
    return predictions.at("predictions").at(entry).at("classes").at(0).at("probability").get<double>();
}

}  // namespace

class CliTextModelsTest : public QObject {
    Q_OBJECT
    test::Cli m_cli;

private Q_SLOTS:
    void theLibrarysLogitsComeOutWithPaddingAndPairs()
    {
        const test::BertFolder pairs("bert-sequence");
        const auto fixture = tests::openCase(tests::checkpointRoot() / "bert-sequence");
        QStringList arguments{"forward", asText(pairs.folder), "--out", "y.npy"};
        for (const char* name : {"attention_mask", "token_type_ids", "input_ids"}) {
            m_cli.writeArray(std::string(name) + ".npy", fixture.expected.at(name));
            arguments += {"--input", QString("%1=%1.npy").arg(name)};
        }
        QVERIFY2(fixture.expected.at("attention_mask").eq(0).any().item<bool>(), "the fixture has padding");
        const auto answer = m_cli.compute(arguments + QStringList{"--keep-input", "attention_mask", "--keep-input", "token_type_ids"});
        QVERIFY2(answer.status == 0, qPrintable(answer.error));
        QVERIFY((m_cli.array("y.npy") - fixture.expected.at("logits")).abs().max().item<double>() < 1e-5);
        VERIFY_REFUSED(m_cli.compute(arguments), 2, "the model has no input \"attention_mask\"");
    }

    void textsOfDifferentLengthsAreOneBatch()
    {
        const test::BertFolder given;
        const QString folder = asText(given.folder), shorter = "god [MASK] the light", longer = "the evening and the [MASK] were the day";
        const auto both = m_cli.json({"predict", folder, "--text", shorter, "--text", longer, "--top", "1"});
        const auto one = m_cli.json({"predict", folder, "--text", shorter, "--top", "1"}),
                   other = m_cli.json({"predict", folder, "--text", longer, "--top", "1"});
        QCOMPARE(both.at("predictions").size(), std::size_t(2));
        QVERIFY(std::abs(probability(both, 0) - probability(one, 0)) < 1e-5 && std::abs(probability(both, 1) - probability(other, 0)) < 1e-5);
        VERIFY_REFUSED(m_cli.compute({"predict", folder, "--pair", "and"}), 2, "--pair requires --text");
    }

    void pairsAreReadByWhatLooksInside()
    {
        const test::BertFolder given("bert-sequence");
        const QString folder = asText(given.folder);
        const QStringList texts{"--text", "god saw the light", "--pair", "it was good"};
        const auto [model, inputs] = given.pairModel("god saw the light", "it was good");
        graph::RunRequest request;
        request.inputs = inputs;
        const auto logits = graph::Executor(model.graph).run(model.weights, request).outputs.at(0).toTensor();
        const auto output = QString::fromStdString(model.graph->value(model.graph->data().body.outputs[0].value).name);
        const QStringList what{folder, texts[0], texts[1], texts[2], texts[3]};
        QCOMPARE(
            m_cli.compute(QStringList{"debug"} + what + QStringList{"--command", "continue", "--command", "save " + output + " debugged.npy"}).status,
            0);
        QVERIFY(m_cli.array("debugged.npy").equal(logits));
        const auto changed = m_cli.json(QStringList{"intervene"} + what + QStringList{"--at", "blocks.0.attn_out", "--do", "zero"});
        const auto document = intervene::InterventionDocument::fromJson(Json::parse(R"([{"at": "blocks.0.attn_out", "do": "zero"}])"));
        intervene::InterventionRequest wanted;
        wanted.inputs = inputs;
        const auto expected = intervene::runIntervened(graph::Executor(model.graph), model.weights, model.card, document, wanted);
        QVERIFY2(std::abs(changed.at("samples").at(0).at("divergence").get<double>() - expected.divergence.item<double>()) < 1e-6,
                 changed.dump().c_str());
        const auto attributed =
            m_cli.json(QStringList{"attribute"} + what + QStringList{"--method", "saliency", "--at", "embed", "--target", "0", "--out", "a.npy"});
        QVERIFY(std::abs(attributed.at("outputs").at(0).get<double>() - logits[0][0].item<double>()) < 1e-5);
        QCOMPARE(m_cli.array("a.npy").size(1), inputs[0].toTensor().size(1));
        QCOMPARE(m_cli.json(QStringList{"diff-run", folder} + what).at("same_graph").get<bool>(), true);
        // A tokenizer that tells texts apart by types needs a model that reads them.
        VERIFY_REFUSED(m_cli.compute({"debug", folder, "--pair", "and"}), 2, "--pair requires --text");
    }

    void aRunFillsMasksAndBecomesAFolder()
    {
        m_cli.write("masked.yaml", "model: {id: bert, layers: 1, heads: 2, width: 16}\n"
                                   "data: {id: kjv, block_length: 24, limit: 100, objective: masked}\n"
                                   "train: {steps: 2, batch_size: 8}\n");
        const auto trained = m_cli.json({"train", "masked.yaml", "--workspace", "w"});
        QVERIFY(trained.at("metrics").contains("test/accuracy"));
        const auto filled = m_cli.json({"predict", "run:1", "--workspace", "w", "--text", "In the [MASK]eginning", "--top", "3"});
        QCOMPARE(filled.at("predictions").at(0).at("position").get<int>(), 7);
        QCOMPARE(filled.at("predictions").at(0).at("token").get<std::string>(), "[MASK]");
        QCOMPARE(filled.at("predictions").at(0).at("classes").size(), std::size_t(3));
        QCOMPARE(m_cli.compute({"export", "run:1", "--workspace", "w", "--to", "checkpoint", "--out", "folder"}).status, 0);
        const auto config = Json::parse(m_cli.read("folder/config.json"));
        QVERIFY(config.at("model_type") == "bert" && config.at("vocab_size") == 257);
    }

    void vocabulariesAreContrasted()
    {
        const test::BertFolder given;
        std::string domain;
        for (int i = 0; i < 200; ++i)
            domain += "the cardiologist examined the myocardial infarction\n";
        m_cli.write("domain.txt", domain);
        const auto made =
            m_cli.json({"tokenize", "contrast", asText(given.folder), "--file", "domain.txt", "--out", "both", "--steps", "10", "--batch", "8"});
        QCOMPARE(made.at("tokens").get<int>(), 10 * 8 * 40);
        const auto& heldOut = made.at("held_out");
        QVERIFY(heldOut.at("own").at("pieces_per_word").get<double>() < heldOut.at("general").at("pieces_per_word").get<double>());
        QVERIFY(m_cli.has("both/scratch.yaml") && m_cli.has("both/continued.yaml") && m_cli.has("both/own/tokenizer.json"));
        VERIFY_REFUSED(m_cli.compute({"tokenize", "contrast", "zoo:mlp", "--file", "domain.txt", "--out", "none"}), 2, "expected a language model");
    }
};

QTEST_GUILESS_MAIN(CliTextModelsTest)
#include "cli_text_models_test.moc"
