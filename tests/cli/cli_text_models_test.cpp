// Encoders on the command line: padding and pairs, training that fills masks, vocabularies contrasted.
#include <ATen/ATen.h>

#include <core/explain/attribution.h>
#include <core/generate/generation.h>
#include <core/generate/special_tokens.h>
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

/// A text without what fills it up: the plain model and its tokens, or the pair put together by hand.
std::pair<graph::Model, std::vector<c10::IValue>> aloneInputs(const test::BertFolder& given, const std::string& text, const std::string& pair)
{
    if (!pair.empty())
        return given.pairModel(text, pair);
    auto model = models::openModel(given.folder.string());
    const auto ids = text::requiredTokenizer(model.card)->ids(text, true);
    return {std::move(model), {at::tensor(ids, at::kLong).unsqueeze(0)}};
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

    void severalTextsAreEachAsAlone_data()
    {
        QTest::addColumn<QByteArray>("fixture");
        QTest::addColumn<QStringList>("texts");
        QTest::addColumn<QStringList>("pairs");  // one each, or none
        QTest::newRow("masks") << QByteArray("bert-masked") << QStringList{"god [MASK] the light", "the evening and the [MASK] were the day"}
                               << QStringList{};
        QTest::newRow("pairs") << QByteArray("bert-sequence") << QStringList{"god saw the light", "the evening"}
                               << QStringList{"it was good", "and the morning were the day"};
        QTest::newRow("writing on") << QByteArray("gpt2") << QStringList{"god saw", "the evening and the morning", "day"} << QStringList{};
    }
    /// The oracle is each text alone, put together by hand: what fills a row up must not reach its numbers.
    void severalTextsAreEachAsAlone()
    {
        QFETCH(QByteArray, fixture);
        QFETCH(QStringList, texts);
        QFETCH(QStringList, pairs);
        const test::BertFolder given(fixture.constData());
        const QString folder = asText(given.folder);
        QStringList all;
        for (const QString& text : texts)
            all += {"--text", text};
        for (const QString& pair : pairs)
            all += {"--pair", pair};
        const auto together = m_cli.json(QStringList{"attribute", folder, "--method", "input_x_gradient", "--out", "shares.npy"} + all);
        const auto output = QString::fromStdString(given.outputName());
        QCOMPARE(
            m_cli.compute(QStringList{"debug", folder} + all + QStringList{"--command", "continue", "--command", "save " + output + " logits.npy"})
                .status,
            0);
        const auto changed = m_cli.json(QStringList{"intervene", folder} + all + QStringList{"--at", "blocks.0.attn_out", "--do", "zero"});
        const at::Tensor shares = m_cli.array("shares.npy"), logits = m_cli.array("logits.npy");
        const auto document = intervene::InterventionDocument::fromJson(Json::parse(R"([{"at": "blocks.0.attn_out", "do": "zero"}])"));
        QCOMPARE(shares.size(0), texts.size());
        for (qsizetype i = 0; i < texts.size(); ++i) {
            const auto row = std::size_t(i);
            const auto [model, inputs] = aloneInputs(given, texts[i].toStdString(), pairs.value(i).toStdString());
            const graph::Executor executor(model.graph);
            const at::Tensor tokens = inputs[0].toTensor();
            const auto mask = text::requiredTokenizer(model.card)->idOf("[MASK]").value();
            const auto masked = tokens[0].eq(mask).nonzero();
            const auto position = masked.size(0) ? masked[0].item<std::int64_t>() : tokens.size(1) - 1;
            explain::AttributionRequest request;
            request.inputs = inputs;
            request.parameters = Json::object();
            if (logits.dim() == 3)
                request.positions = {position};
            const auto alone = explain::attribute(executor, model.weights, "input_x_gradient", request);
            QCOMPARE(together.at("target").at(row).get<std::int64_t>(), alone.targets[0]);
            QVERIFY(std::abs(together.at("outputs").at(row).get<double>() - alone.outputs.item<double>()) < 1e-5);
            const at::Tensor own = alone.attribution[0], behind = shares[i].slice(0, own.size(0));
            QVERIFY2((shares[i].slice(0, 0, own.size(0)) - own).abs().max().item<double>() < 1e-5 * std::max(1.0, own.abs().max().item<double>()),
                     qPrintable(texts[i]));
            QVERIFY(behind.numel() == 0 || behind.abs().max().item<double>() == 0);  // padding has no share
            if (logits.dim() == 3)
                QCOMPARE(together.at("position").at(row).get<std::int64_t>(), position);
            intervene::InterventionRequest wanted;
            wanted.inputs = inputs;
            const auto result = intervene::runIntervened(executor, model.weights, model.card, document, wanted);
            const at::Tensor line = result.plain[0], ofLine = logits.dim() == 3 ? logits[i].slice(0, 0, line.size(0)) : logits[i];
            QVERIFY((ofLine - line).abs().max().item<double>() < 1e-5);
            const at::Tensor divergence = result.divergence.dim() == 2 ? result.divergence[0][position] : result.divergence[0];
            QVERIFY(std::abs(changed.at("samples").at(row).at("divergence").get<double>() - divergence.item<double>()) < 1e-5);
        }
    }

    /// The oracle is core's own writing from tokens put together by hand.
    void anAnswerGoesOnFromItsBeginning()
    {
        const test::BertFolder given("t5");
        auto model = models::openModel(given.folder.string());
        const auto tokenizer = text::requiredTokenizer(model.card);
        const auto source = tokenizer->ids("god saw the light", true), more = tokenizer->ids("it was", false);
        std::vector<std::int64_t> answer{generation::specialTokens(model.card).decoderBegin.value()};
        answer.insert(answer.end(), more.begin(), more.end());
        const QStringList call{"generate", asText(given.folder), "--prompt", "god saw the light", "--max-tokens", "4", "--ignore-end"};
        const auto written = m_cli.json(call + QStringList{"--begin", "it was"});
        QCOMPARE(written.at("prompt").get<std::vector<std::int64_t>>(), answer);
        QCOMPARE(written.at("source").get<std::vector<std::int64_t>>(), source);
        generation::Decoder decoder(std::move(model), generation::Decoder::Cache::No, at::tensor(source, at::kLong).unsqueeze(0));
        generation::TextOptions options;
        options.maxNewTokens = 4;
        const auto expected = generation::writeText(decoder, answer, options, nullptr).newTokens();
        for (std::size_t i = 0; i < expected.size(); ++i)
            QCOMPARE(written.at("tokens").at(i).at("token").get<std::int64_t>(), expected[i]);
        const test::BertFolder writer("gpt2");
        VERIFY_REFUSED(m_cli.compute({"generate", asText(writer.folder), "--prompt", "god", "--begin", "saw"}), 2,
                       "no source apart from what it writes");
    }

    /// What it says first, of each text as of that text alone.
    void encoderDecodersAreExplainedAtTheirFirstToken()
    {
        const test::BertFolder given("t5");
        const std::vector<std::string> texts{"god saw", "the evening and the morning"};
        const auto together = m_cli.json({"attribute", asText(given.folder), "--method", "input_x_gradient", "--text",
                                          QString::fromStdString(texts[0]), "--text", QString::fromStdString(texts[1]), "--out", "t5.npy"});
        const at::Tensor shares = m_cli.array("t5.npy");
        for (std::size_t i = 0; i < texts.size(); ++i) {
            const auto [model, inputs] = aloneInputs(given, texts[i], "");
            explain::AttributionRequest request;
            request.inputs = {inputs[0], at::zeros({1, 1}, at::kLong)};  // decoder_start_token_id
            request.parameters = Json::object();
            const auto alone = explain::attribute(graph::Executor(model.graph), model.weights, "input_x_gradient", request);
            QCOMPARE(together.at("target").at(i).get<std::int64_t>(), alone.targets[0]);
            const at::Tensor own = alone.attribution[0];
            QVERIFY((shares[std::int64_t(i)].slice(0, 0, own.size(0)) - own).abs().max().item<double>() <
                    1e-5 * std::max(1.0, own.abs().max().item<double>()));
        }
    }

    void batchesAreProfiledAndCompared()
    {
        const test::BertFolder given;
        const QString folder = asText(given.folder);
        const QStringList two{"--text", "god saw the light", "--text", "day"};
        // A model beside itself differs nowhere; twice the rows are twice the work.
        const auto same = m_cli.json(QStringList{"diff-run", folder, folder} + two);
        QVERIFY2(same.at("same_graph").get<bool>() && same.at("first").is_null(), same.dump().substr(0, 400).c_str());
        const auto flops = [&](const QStringList& texts) {
            return m_cli.json(QStringList{"profile", folder, "--runs", "1", "--no-peaks"} + texts).at("flops").get<std::int64_t>();
        };
        QCOMPARE(flops(two + two), 2 * flops(two));
    }

    void pairsOfBatchesAreCounted()
    {
        const test::BertFolder given("bert-sequence");
        const QString folder = asText(given.folder);
        const QStringList texts{"--text", "god saw the light", "--text", "the evening", "--text", "good"};
        // One pair for all, or one each; an empty one is none.
        const auto shared = m_cli.json(QStringList{"predict", folder} + texts + QStringList{"--pair", "it was good"});
        const auto each =
            m_cli.json(QStringList{"predict", folder} + texts + QStringList{"--pair", "it was good", "--pair", "it was good", "--pair", ""});
        const auto alone = m_cli.json({"predict", folder, "--text", "good"});
        QVERIFY(std::abs(probability(shared, 1) - probability(each, 1)) < 1e-5);
        QVERIFY(std::abs(probability(each, 2) - probability(alone, 0)) < 1e-5);
        VERIFY_REFUSED(m_cli.compute(QStringList{"predict", folder} + texts + QStringList{"--pair", "a", "--pair", "b"}), 2,
                       "--pair: expected one for all 3 texts or one for each, got 2");
    }

    void pairsAreSourcesCleanInputsAndLookedInto()
    {
        const test::BertFolder given("bert-sequence");
        const QString folder = asText(given.folder);
        const auto pair = [&](const char* first, const char* second) {
            const auto [model, inputs] = given.pairModel(first, second);
            graph::RunRequest request;
            request.inputs = inputs;
            return graph::Executor(model.graph).run(model.weights, request).outputs.at(0).toTensor();
        };
        const at::Tensor clean = pair("god saw the light", "it was good"), corrupted = pair("god saw the day", "it was good");
        QVERIFY(!clean.equal(corrupted));
        const QString cleanWord = R"(pair:["god saw the light", "it was good"])", corruptedWord = R"(pair:["god saw the day", "it was good"])";
        // All of a value taken from the source: the source's answer.
        const QStringList what{"--text", "god saw the day", "--pair", "it was good"};
        QCOMPARE(m_cli
                     .compute(QStringList{"intervene", folder} + what +
                              QStringList{"--at", "blocks.0.resid_pre", "--do", "interchange", "--source", "clean=" + cleanWord, "--out", "y.npy"})
                     .status,
                 0);
        QVERIFY((m_cli.array("y.npy") - clean).abs().max().item<double>() < 1e-6);
        VERIFY_REFUSED(m_cli.compute(QStringList{"intervene", folder} + what +
                                     QStringList{"--at", "embed", "--do", "interchange", "--source", "clean=pair:god"}),
                       2, "expected two texts in brackets");
        // The same by a sweep: the metric of both runs by hand.
        const auto swept = m_cli.json({"patch", folder, "--clean", cleanWord, "--corrupted", corruptedWord, "--metric", "probability", "--metric-set",
                                       "answer=0", "--metric-set", "normalised=false", "--positions", "together"});
        const auto probability = [](const at::Tensor& logits) { return logits.to(at::kDouble).softmax(-1)[0][0].item<double>(); };
        QVERIFY2(std::abs(swept.at("clean").get<double>() - probability(clean)) < 1e-6, swept.dump().substr(0, 400).c_str());
        QVERIFY(std::abs(swept.at("corrupted").get<double>() - probability(corrupted)) < 1e-6);
        // Attention between the two texts.
        const auto [model, inputs] = given.pairModel("god saw the light", "it was good");
        graph::RunRequest request;
        request.inputs = inputs;
        request.keep = {model.card.canonicalNames.at("blocks.0.attn.pattern")};
        const auto pattern = graph::Executor(model.graph).run(model.weights, request).value(request.keep[0]);
        const QStringList attention{"lens",    folder, "--kind", "attention", "--text", "god saw the light",
                                    "--layer", "0",    "--head", "0",         "--out",  "p.npy"};
        QCOMPARE(m_cli.compute(attention + QStringList{"--pair", "it was good"}).status, 0);
        QVERIFY((m_cli.array("p.npy").squeeze() - pattern[0][0]).abs().max().item<double>() < 1e-6);
        VERIFY_REFUSED(m_cli.compute({"lens", folder, "--kind", "direct_logit_attribution", "--text", "god", "--pair", "it was good"}), 2,
                       "expected logit_lens or attention");
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
