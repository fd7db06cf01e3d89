// Texts as batches for encoders, and two documents that contrast vocabularies.
#include <ATen/ATen.h>
#include <QTest>

#include <core/base/files.h>
#include <core/explain/metrics/metric.h>
#include <core/text/card_tokenizer.h>
#include <core/text/source_lines.h>
#include <core/text/tokenizer_files.h>
#include <core/train/domain_contrast.h>
#include <core/train/evaluate.h>
#include <core/train/experiment.h>
#include <core/train/samples.h>
#include <core/train/text_batch.h>
#include <core/zoo/zoo.h>

#include "bert_folder.h"
#include "training_fixture.h"

using namespace orrery;
using core::Json;
using train::GivenText;

namespace {

std::vector<c10::IValue> inputsFor(const graph::Model& model, const std::vector<GivenText>& texts)
{
    return train::textInputs(model, texts);
}

at::Tensor outputFor(const graph::Model& model, const std::vector<GivenText>& texts)
{
    graph::RunRequest request;
    request.inputs = inputsFor(model, texts);
    return graph::Executor(model.graph).run(model.weights, request).tensor(0);
}

/// Words that the general text lacks, as a domain has them.
std::string domainText()
{
    std::string text;
    for (int i = 0; i < 240; ++i)
        text += i % 2 ? "the cardiologist examined the myocardial infarction\n" : "thrombolysis of the infarction by the cardiologist\n";
    return text;
}

}  // namespace

class TextInputsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void paddingChangesNothing()
    {
        const test::BertFolder given;
        const graph::Model model = models::openModel(given.folder.string(), {.keepInputs = {"attention_mask", "token_type_ids"}});
        const std::vector<GivenText> texts{{"god saw"}, {"the evening and the morning were the [MASK] day"}, {"light", "that it was good"}};
        const at::Tensor together = outputFor(model, texts);
        for (std::size_t i = 0; i < texts.size(); ++i) {
            const at::Tensor alone = outputFor(model, {texts[i]})[0];
            const at::Tensor padded = together[std::int64_t(i)].slice(0, 0, alone.size(0));
            QVERIFY2((padded - alone).abs().max().item<double>() < 1e-5, texts[i].text.c_str());
        }
        // Opened without these inputs the model gives the same for a text alone.
        const graph::Model plain = models::openModel(given.folder.string());
        QVERIFY((outputFor(plain, {texts[0]}) - outputFor(model, {texts[0]})).abs().max().item<double>() < 1e-5);
    }

    void rowsAreWhatTheTokenizerSays()
    {
        const test::BertFolder given;
        const graph::Model model = models::openModel(given.folder.string(), {.keepInputs = {"attention_mask", "token_type_ids"}});
        const auto inputs = inputsFor(model, {{"god saw", "the light"}, {"day"}});
        const auto tokenizer = text::tokenizerOf(model.card);
        std::map<std::string, at::Tensor> named;
        for (std::size_t i = 0; i < inputs.size(); ++i)
            named[model.graph->data().inputs[i].name] = inputs[i].toTensor();
        const auto token = [&](const char* piece) { return tokenizer->idOf(piece).value(); };
        const std::vector<std::int64_t> pair{token("[CLS]"), token("god"),   token("saw"),  token("[SEP]"),
                                             token("the"),   token("light"), token("[SEP]")};
        std::vector<std::int64_t> single{token("[CLS]"), token("day"), token("[SEP]")};
        single.resize(pair.size(), token("[PAD]"));
        QVERIFY(at::equal(named.at("input_ids"), at::stack({at::tensor(pair), at::tensor(single)})));
        QVERIFY(at::equal(named.at("attention_mask"), at::tensor({1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0}, at::kLong).reshape({2, 7})));
        QVERIFY(at::equal(named.at("token_type_ids"), at::tensor({0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0}, at::kLong).reshape({2, 7})));
    }

    void methodsExplainTextsOfABatchWithoutTheirPadding_data()
    {
        QTest::addColumn<QByteArray>("fixture");
        QTest::addColumn<QString>("method");
        QTest::addColumn<QByteArray>("parameters");
        const auto row = [](const char* fixture, const char* method, const char* parameters = "{}") {
            QTest::addRow("%s, %s %s", fixture, method, parameters) << QByteArray(fixture) << QString(method) << QByteArray(parameters);
        };
        for (const char* fixture : {"bert-masked", "t5"}) {
            row(fixture, "lime");
            row(fixture, "kernel_shap");
            row(fixture, "shapley_value_sampling", R"({"n_samples": 5})");
            row(fixture, "rise", R"({"n_samples": 80})");
        }
        for (const char* method : {"feature_ablation", "occlusion", "integrated_gradients", "lrp"})
            row("bert-masked", method);
        // Arrays as long as the longest text: of 11 tokens, in pairs.
        row("bert-masked", "lime", R"({"feature_mask": [[0],[0],[1],[1],[2],[2],[3],[3],[4],[4],[5]], "baseline": 0.1})");
    }
    /// The oracle is each text alone in the model without its mask; the same seed draws the same.
    void methodsExplainTextsOfABatchWithoutTheirPadding()
    {
        QFETCH(QByteArray, fixture);
        QFETCH(QString, method);
        QFETCH(QByteArray, parameters);
        const test::BertFolder given(fixture.constData());
        const graph::Model model = models::openModel(given.folder.string(), {.keepInputs = {"attention_mask", "token_type_ids"}}),
                           plain = models::openModel(given.folder.string());
        const std::vector<GivenText> texts{{"god saw"}, {"the evening and the morning were the [MASK] day"}, {"light"}};
        const auto explained = [&](const graph::Model& with, std::vector<c10::IValue> inputs, const char* settings) {
            explain::AttributionRequest request;
            request.positions = train::answerPositions(*with.graph, with.card, inputs);
            request.positionsAreUsual = true;
            request.inputs = std::move(inputs);
            request.parameters = Json::parse(settings);
            request.seed = 7;
            return explain::attribute(graph::Executor(with.graph), with.weights, method.toStdString(), request);
        };
        const auto together = explained(model, inputsFor(model, texts), parameters.constData());
        QCOMPARE(together.attribution.sizes().vec().back(), together.value.sizes().vec().back());
        for (std::size_t i = 0; i < texts.size(); ++i) {
            auto own = parameters;
            if (own.contains("feature_mask"))
                own = i == 0   ? R"({"feature_mask": [[0],[0],[1],[1]], "baseline": 0.1})"
                      : i == 2 ? R"({"feature_mask": [[0],[0],[1]], "baseline": 0.1})"
                               : own;
            const auto alone = explained(plain, inputsFor(plain, {texts[i]}), own.constData());
            const auto row = std::int64_t(i);
            QCOMPARE(together.targets[i], alone.targets[0]);
            // The mask adds zeros and the tokens are the same: the same numbers to the last bit.
            const auto in = [&](at::Tensor whole, const at::Tensor& part) {
                for (std::int64_t axis = 1; axis < part.dim(); ++axis)
                    whole = whole.narrow(axis, 0, part.size(axis));
                return whole.narrow(0, row, 1);
            };
            QVERIFY2(in(together.attribution, alone.attribution).equal(alone.attribution), texts[i].text.c_str());
            QCOMPARE(together.attribution[row].count_nonzero().item<std::int64_t>(), alone.attribution.count_nonzero().item<std::int64_t>());
            QCOMPARE(together.standardError.defined(), alone.standardError.defined());
            if (alone.standardError.defined())
                QVERIFY(in(together.standardError, alone.standardError).equal(alone.standardError));
            QVERIFY(together.outputs[row].equal(alone.outputs[0]));
        }
    }

    void metricsOfABatchAreThoseOfEachText()
    {
        const test::BertFolder given;
        const graph::Model model = models::openModel(given.folder.string(), {.keepInputs = {"attention_mask", "token_type_ids"}});
        const graph::Executor executor(model.graph);
        const auto measured = [&](const std::vector<GivenText>& texts) {
            explain::AttributionRequest request;
            request.inputs = inputsFor(model, texts);
            request.positions = train::answerPositions(*model.graph, model.card, request.inputs);
            request.parameters = {{"n_samples", 20}};
            const auto result = explain::attribute(executor, model.weights, "lime", request);
            return explain::measure(executor, model.weights, "lime", request, result, {{"deletion", {{"random_rankings", 3}}}}).at(0);
        };
        const std::vector<GivenText> texts{{"god saw"}, {"the evening and the morning were the [MASK] day"}};
        const auto together = measured(texts);
        const Json document = explain::toJson(together);
        for (std::size_t i = 0; i < texts.size(); ++i) {
            const auto alone = measured({texts[i]});
            QVERIFY(explain::ofSample(together, std::int64_t(i)).result.curveY.equal(alone.result.curveY));
            QCOMPARE(document.at("value").at(i).dump(), explain::toJson(alone).at("value").dump());
            QCOMPARE(document.at("curve").at(i).dump(), explain::toJson(alone).at("curve").dump());
            QCOMPARE(document.at("reference").at(i).dump(), explain::toJson(alone).at("reference").dump());
        }
    }

    void aPositionInThePaddingIsRefused()
    {
        const test::BertFolder given;
        const graph::Model model = models::openModel(given.folder.string(), {.keepInputs = {"attention_mask", "token_type_ids"}});
        explain::AttributionRequest request;
        request.inputs = inputsFor(model, {{"the evening and the morning"}, {"god"}});
        request.positions = {5};
        const auto error = test::errorOf([&] { explain::attribute(graph::Executor(model.graph), model.weights, "saliency", request); });
        QVERIFY2(error.contains("row 1 (3 tokens): position: expected 0..2, got 5"), qPrintable(error));
    }

    void linesOfCodeKeepTheirBlanks()
    {
        const test::BertFolder given;
        const auto words = text::requiredTokenizer(models::openModel(given.folder.string()).card);
        const std::string code = "god:\n    saw\tthe  light\n\n\tday";
        const auto blanks = text::blanksOfLines(*words, code);
        const auto encoding = words->encode(code);
        QCOMPARE(blanks.size(), encoding.size());
        // Put together again they are the text, whatever pieces the words are in.
        std::string whole;
        for (std::size_t i = 0; i < blanks.size(); ++i)
            if (!encoding.special[i])
                whole += blanks[i] + code.substr(encoding.offsets[i].begin, encoding.offsets[i].end - encoding.offsets[i].begin);
        QCOMPARE(whole, code);
        QVERIFY(text::blanksOfLines(*words, "god saw").empty());
        const auto pair = text::blanksOfLines(*words, "god", "saw\nthe light");
        QCOMPARE(std::count(pair.begin(), pair.end(), "\n"), 1);
        // A vocabulary of bytes keeps them itself.
        const auto bytes = text::tokenizerFromCard({{"kind", "bytes"}});
        const auto none = text::blanksOfLines(*bytes, code);
        QVERIFY(none.size() == code.size() && std::all_of(none.begin(), none.end(), [](const auto& each) { return each.empty(); }));
    }

    void whatAModelCannotReadIsRefused()
    {
        const test::BertFolder given;
        const graph::Model plain = models::openModel(given.folder.string());
        QVERIFY(test::errorOf([&] {
                    inputsFor(plain, {{"god"}, {"god saw"}});
                }).contains("texts of 3 to 4 tokens: expected a model with the input attention_mask"));
        QVERIFY(test::errorOf([&] { inputsFor(plain, {{"god", "saw"}}); }).contains("token_type_ids"));
        std::string longText;
        for (int i = 0; i < 50; ++i)
            longText += "god ";
        QVERIFY(test::errorOf([&] { inputsFor(plain, {{longText}}); }).contains("expected at most 40 tokens"));
        QVERIFY(test::errorOf([&] { inputsFor(zoo::openZoo("zoo:mlp", 0), {{"god"}}); }).contains("its card has no tokenizer"));
        // Texts of one length need no mask.
        QCOMPARE(inputsFor(plain, {{"god"}, {"saw"}})[0].toTensor().sizes().vec(), (std::vector<std::int64_t>{2, 3}));
    }

    void tokensOfAnotherVocabularyAreRefused()
    {
        const test::BertFolder given;
        const graph::Model model = models::openModel(given.folder.string());
        const auto file = given.text.string();
        std::string words;
        for (int i = 0; i < 60; ++i)
            words += "god saw the light and it was good ";
        core::writeFileAtomically(file, words);
        const auto dataWith = [&](const Json& more) {
            Json document{{"id", "text_file"}, {"path", file}, {"block_length", 8}};
            document.update(more);
            return data::openData(document);
        };
        const std::vector<std::int64_t> first{0};
        const auto bytes = dataWith(Json::object());
        const auto error = test::errorOf([&] { train::sampleInputs(model, *bytes, first); });
        QVERIFY2(error.contains("another vocabulary (bytes, 256 tokens) than the model's (WordPiece, 97 tokens)"), qPrintable(error));
        QVERIFY(test::errorOf([&] { train::evaluateModel(model, *bytes, data::Split::Train, nullptr, {}); }).contains("another vocabulary"));
        // Read with the model's own tokenizer they are its tokens, also where the document is written differently.
        const auto own = dataWith({{"tokenizer", given.folder.string()}});
        train::checkVocabulary(model.card, *own);
        graph::ModelCard other = model.card;
        other.tokenizer = text::tokenizerFromCard(model.card.tokenizer)->toJson();
        other.tokenizer["note"] = "written by another program";
        train::checkVocabulary(other, *own);
        // Pictures are no tokens, and tokens no pictures.
        const auto digits = data::openData({{"id", "digits"}});
        const auto pictures = test::errorOf([&] { train::sampleInputs(model, *digits, first); });
        QVERIFY2(pictures.contains("the data \"digits\" are numbers [1, 8, 8], the model takes tokens ["), qPrintable(pictures));
        QVERIFY(test::errorOf([&] { train::evaluateModel(model, *digits, data::Split::Train, nullptr, {}); }).contains("the model takes tokens ["));
        QVERIFY(test::errorOf([&] {
                    train::sampleInputs(zoo::openZoo("zoo:lenet", 0), *bytes, first);
                }).contains("are tokens [8], the model takes pictures ["));
        // A model that names no vocabulary takes any numbers.
        other.tokenizer = nullptr;
        train::checkVocabulary(other, *bytes);
    }

    void whatAModelReadsIsKnownBeforehand_data()
    {
        QTest::addColumn<bool>("text");
        QTest::addColumn<bool>("pairs");
        QTest::newRow("bert-masked") << true << true;
        QTest::newRow("bert-sequence") << true << true;
        QTest::newRow("distilbert-sequence") << true << true;
        QTest::newRow("roberta-masked") << true << true;
        QTest::newRow("t5") << true << true;
        QTest::newRow("gpt2") << true << false;
        QTest::newRow("llama") << true << false;
        QTest::newRow("vit") << false << false;
    }
    void whatAModelReadsIsKnownBeforehand()
    {
        QFETCH(bool, text);
        QFETCH(bool, pairs);
        graph::Model model = tests::openCase(tests::checkpointRoot() / QTest::currentDataTag()).model;
        if (text)
            model.card.tokenizer = models::openModel(test::BertFolder().folder.string()).card.tokenizer;
        QCOMPARE(train::readsText(model), text);
        QCOMPARE(train::readsPairs(model), pairs);
    }

    void answersAreAtTheMaskOrTheLastToken()
    {
        const test::BertFolder given, writer("gpt2");
        const std::set<std::string> kept{"attention_mask", "token_type_ids"};
        const auto positions = [&](const test::BertFolder& folder, const std::vector<GivenText>& texts) {
            const auto model = models::openModel(folder.folder.string(), {.keepInputs = kept});
            const auto inputs = inputsFor(model, texts);
            return train::answerPositions(*model.graph, model.card, inputs);
        };
        // [CLS] and [SEP] stand around each text.
        const std::vector<GivenText> texts{{"god [MASK] the [MASK]"}, {"the evening and the morning were"}, {"day"}};
        QCOMPARE(positions(given, texts), (std::vector<std::int64_t>{2, 7, 2}));
        QCOMPARE(positions(writer, texts)[2], std::int64_t(2));
        QCOMPARE(train::answerPositions(*zoo::openZoo("zoo:mlp", 0).graph, {}, {}), std::vector<std::int64_t>());
    }

    void anEncoderDecoderBeginsItsAnswer()
    {
        const test::BertFolder given("t5");
        const auto model = models::openModel(given.folder.string());
        const auto tokens = text::requiredTokenizer(model.card)->ids("god saw the light", true);
        const auto config = Json::parse(core::readFile(given.folder / "config.json"));
        graph::RunRequest request;
        for (const auto& input : model.graph->data().inputs)
            request.inputs.emplace_back(input.name == "input_ids"
                                            ? at::tensor(tokens, at::kLong).unsqueeze(0)
                                            : at::tensor({config.at("decoder_start_token_id").get<std::int64_t>()}, at::kLong).unsqueeze(0));
        const at::Tensor expected = graph::Executor(model.graph).run(model.weights, request).tensor(0);
        QCOMPARE(expected.size(1), std::int64_t(1));
        QVERIFY(outputFor(model, {{"god saw the light"}}).equal(expected));
    }

    void pairsWithoutTypesAreToldApartByTheirSeparators()
    {
        const test::BertFolder given("distilbert-sequence");
        const auto model = models::openModel(given.folder.string(), {.keepInputs = {"attention_mask", "token_type_ids"}});
        const auto inputs = inputsFor(model, {{"god saw", "it was good"}});
        const auto named = given.pairInputs("god saw", "it was good");
        for (std::size_t i = 0; i < inputs.size(); ++i)
            QVERIFY(inputs[i].toTensor().equal(named.at(model.graph->data().inputs[i].name)));
    }

    void typedTextsAreReadBack()
    {
        const GivenText alone{"a \"b\", c"}, pair{"first, [x]", "second: \"y\""};
        QVERIFY(train::typedText(train::typedForm(alone)) == alone && train::typedText(train::typedForm(pair)) == pair);
        QVERIFY(!train::typedText("sample:3") && !train::typedText("x.npy"));
        for (const char* broken : {"pair:", "pair:god", "pair:[\"god\"]", "pair:[\"god\", 3]"})
            QVERIFY2(test::errorOf([&] { train::typedText(broken); }).contains("expected two texts in brackets"), broken);
        const std::vector<GivenText> several{{"a"}, {"b", "c"}}, one{{"a", "b"}};
        QVERIFY(train::textsOfDocument(train::textDocument(several)) == several && train::textsOfDocument(train::textDocument(one)) == one);
        QCOMPARE(QString::fromStdString(train::textDocument(one).dump()), QString(R"({"text":"a","pair":"b"})"));
        QVERIFY(train::textsOfDocument(Json::parse(R"({"text": 5, "pair": []})")).empty() && train::textsOfDocument(nullptr).empty());
    }

    void bothWaysTrainOnAsManyTokens()
    {
        const test::BertFolder given;
        const auto file = given.folder.parent_path() / "domain.txt", folder = given.folder.parent_path() / "contrast";
        core::writeFileAtomically(file, domainText());
        const graph::Model model = models::openModel(given.folder.string());
        train::ContrastOptions options;
        options.text = file;
        options.folder = folder;
        options.steps = 6;
        options.batch = 4;
        options.block = 12;
        const auto made = train::writeContrast(given.folder.string(), model, options);
        QCOMPARE(made.tokens, std::int64_t(6 * 4 * 12));
        // The text's own vocabulary says its words in fewer pieces, on lines that it was not learned from; both are no larger than the model's.
        QVERIFY2(made.own.perWord() < 0.6 * made.general.perWord(),
                 qPrintable(QString("%1 and %2").arg(made.own.perWord()).arg(made.general.perWord())));
        QCOMPARE(made.own.words, made.general.words);
        QVERIFY(made.ownSize <= made.generalSize);
        for (const auto& document : {made.scratch, made.continued}) {
            const auto experiment = train::readExperiment(document);
            test::MemorySink sink;
            jobs::DirectContext context;
            const auto result = train::trainExperiment(experiment, context, sink);
            QCOMPARE(result.steps, std::int64_t(6));
            // What the trainings really read.
            const auto samples = experiment.data->info().inputShape[0] * experiment.document["train"]["batch_size"].get<std::int64_t>();
            QCOMPARE(result.steps * samples, made.tokens);
            QCOMPARE(result.model.card.task, "masked_language_model");
        }
        // One begins with the folder's weights, the other with as large a network of its own.
        const graph::Model own = models::openModel((folder / "own").string());
        QVERIFY(own.graph->findParameter("bert.embeddings.word_embeddings.weight")->shape == (std::vector<std::int64_t>{made.ownSize, 24}));
        QCOMPARE(own.graph->data().parameters.size(), model.graph->data().parameters.size());
        QVERIFY(!at::equal(own.weights.at("bert.encoder.layer.0.output.dense.weight"), model.weights.at("bert.encoder.layer.0.output.dense.weight")));
        const auto config = Json::parse(core::readFile(folder / "own" / "config.json"));
        QCOMPARE(config.at("pad_token_id").get<std::int64_t>(), text::openTokenizer(folder / "own")->idOf("[PAD]").value());
    }

    void aContrastNeedsALanguageModelAndAText()
    {
        const test::BertFolder given, pairs("bert-sequence");
        train::ContrastOptions options;
        options.text = given.text;
        options.folder = given.folder.parent_path() / "contrast";
        QVERIFY(test::errorOf([&] {
                    train::writeContrast("zoo:mlp", zoo::openZoo("zoo:mlp", 0), options);
                }).contains("expected a language model out of a checkpoint folder"));
        QVERIFY(test::errorOf([&] {
                    train::writeContrast("x", models::openModel(pairs.folder.string()), options);
                }).contains("got one for \"classification\""));
        options.block = 41;
        QVERIFY(test::errorOf([&] { train::writeContrast("x", models::openModel(given.folder.string()), options); }).contains("at most 40 tokens"));
        core::writeFileAtomically(given.text, "one");
        QVERIFY(test::errorOf([&] { train::writeContrast("x", models::openModel(given.folder.string()), options); }).contains("several lines"));
        QVERIFY(!std::filesystem::exists(options.folder));
    }
};

QTEST_APPLESS_MAIN(TextInputsTest)
#include "text_inputs_test.moc"
