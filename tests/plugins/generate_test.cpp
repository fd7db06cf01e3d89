// The Generate panel: what it shows equals what core writes; an alternative is taken with the mouse and with keys; cancel in mid-text; a restart.
#include <QLabel>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QSpinBox>
#include <QTableWidget>

#include <cmath>

#include <ATen/ATen.h>

#include <core/generate/special_tokens.h>
#include <core/models/model_file.h>
#include <core/models/open_model.h>
#include <core/report/analysis_blocks.h>
#include <core/text/card_tokenizer.h>
#include <core/zoo/zoo.h>
#include <plugins/generate/generate_panel.h>
#include <widgets/colour_bar.h>
#include <widgets/lines_edit.h>
#include <widgets/report_item.h>
#include <widgets/schema_form.h>
#include <widgets/token_view.h>

#include "../core/train/bert_folder.h"
#include "model_faults.h"
#include "trained_bench.h"

using namespace orrery;
using namespace orrery::plugins;

namespace {

constexpr int kPatience = 60000;  ///< ms

/// A GPT of bytes with sharp random predictions, as a file.
struct Bench : test::PanelBench<GeneratePanel> {
    QString file;
    explicit Bench(const char* sizes = "layers=2&heads=2&width=32&block_length=128")
    {
        auto model = zoo::openZoo(std::string("zoo:gpt?vocabulary=256&") + sizes, 5);
        for (const auto& [name, tensor] : model.weights.tensors())
            tensor.mul_(3);
        model.card.tokenizer = {{"kind", "bytes"}};
        file = folder.filePath("gpt.safetensors");
        models::saveModel(file.toStdString(), model);
    }
    void open()
    {
        show();
        session.openModel(file);
    }
    void type(const char* prompt)
    {
        auto* text = child<QPlainTextEdit>("prompt");
        text->setFocus();
        QTest::keyClicks(text, prompt);
    }
    void set(const core::Json& settings) { panel->restoreState({{"settings", settings}}); }
    generation::WrittenText expected(const std::vector<std::int64_t>& prompt, const generation::TextOptions& options) const
    {
        generation::Decoder decoder(models::openModel(file.toStdString()));
        return generation::writeText(decoder, prompt, options, nullptr);
    }
    std::vector<std::int64_t> tokens() const
    {
        std::vector<std::int64_t> numbers;
        for (const auto& token : panel->shownTokens())
            numbers.push_back(token.token);
        return numbers;
    }
};

generation::TextOptions firstTokens(std::int64_t count)
{
    generation::TextOptions options;
    options.maxNewTokens = count;
    return options;
}

}  // namespace

class GeneratePanelTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void withoutAModelItSaysWhatToDo()
    {
        test::PanelBench<GeneratePanel> bench;
        bench.show();
        QVERIFY(bench.panel->isShowingEmptyState());
        QVERIFY(bench.panel->commandLine().isEmpty() && !bench.panel->reportItem());
    }

    void textAndProbabilitiesEqualCores()
    {
        Bench bench;
        bench.open();
        QVERIFY(!bench.panel->isShowingEmptyState());
        QVERIFY(!bench.child<QPushButton>("write")->isEnabled());
        bench.type("abc");
        bench.set({{"max_new_tokens", 9}});
        QTest::keyClick(bench.child<QPlainTextEdit>("prompt"), Qt::Key_Return, Qt::ControlModifier);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle() && bench.panel->shownTokens().size() == 12, kPatience);
        QVERIFY2(bench.panel->errorText().isEmpty(), qPrintable(bench.panel->errorText()));
        const auto expected = bench.expected({97, 98, 99}, firstTokens(9));
        auto* view = bench.child<widgets::TokenView>("tokens");
        QCOMPARE(view->count(), 12);
        for (std::size_t i = 0; i < 9; ++i) {
            const auto& token = bench.panel->shownTokens()[3 + i];
            QCOMPARE(token.token, expected.tokens[i].token);
            QVERIFY(std::abs(token.probability - expected.tokens[i].probability) < 1e-6);
        }
        QVERIFY(!view->tokenColor(0).isValid() && view->tokenColor(5).isValid());
        QCOMPARE(view->current(), 11);  // the newest is followed
        QVERIFY(view->text().startsWith("abc"));
        QCOMPARE(bench.child<QPlainTextEdit>("text")->toPlainText(), view->text());
        QCOMPARE(bench.child<widgets::ColourBar>("scale")->labels().last(), QString("100 %"));
        // A click leaves the keys with the text.
        QTest::mouseClick(view->viewport(), Qt::LeftButton, {}, view->tokenRect(4).center().toPoint());
        QCOMPARE(view->current(), 4);
        QTest::keyClick(view, Qt::Key_Left);
        QCOMPARE(view->current(), 3);
        QVERIFY2(bench.child<QLabel>("summary")->text().contains("keys and values kept"), qPrintable(bench.child<QLabel>("summary")->text()));
        QVERIFY(bench.panel->commandLine().contains("--prompt abc") && bench.panel->commandLine().contains("--max-tokens 9"));
        QCOMPARE(bench.panel->shownCommand(), bench.panel->commandLine());
        const auto item = bench.panel->reportItem();
        QVERIFY(item);
        const auto made = item->make(*bench.workspace());
        const auto section = report::analysisSection(*bench.workspace(), bench.workspace()->analysis(made.source.at("analysis").get<std::int64_t>()));
        QCOMPARE(std::get<report::Table>(section.blocks.at(0).content).rows.size(), std::size_t(12));
    }

    void anAlternativeTakesTheTokensPlace_data()
    {
        QTest::addColumn<bool>("byKeys");
        QTest::newRow("double click") << false;
        QTest::newRow("keys") << true;
    }
    void anAlternativeTakesTheTokensPlace()
    {
        QFETCH(bool, byKeys);
        Bench bench;
        bench.open();
        bench.type("abc");
        bench.set({{"max_new_tokens", 6}});
        QTest::mouseClick(bench.child<QPushButton>("write"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle() && bench.panel->shownTokens().size() == 9, kPatience);
        const auto before = bench.panel->shownTokens();
        auto* view = bench.child<widgets::TokenView>("tokens");
        QTest::mouseClick(view->viewport(), Qt::LeftButton, {}, view->tokenRect(4).center().toPoint());
        QCOMPARE(view->current(), 4);
        auto* table = bench.child<QTableWidget>("alternatives");
        QCOMPARE(table->rowCount(), 5);
        QCOMPARE(table->item(2, 1)->text(), QStringLiteral("%1 %").arg(100 * before[4].alternatives[2].probability, 0, 'f', 2));
        if (byKeys) {
            table->setFocus();
            table->setCurrentCell(2, 0);
            QTest::keyClick(table, Qt::Key_Return);
        } else {
            const QPoint place = table->visualItemRect(table->item(2, 0)).center();
            QTest::mouseClick(table->viewport(), Qt::LeftButton, {}, place);
            QTest::mouseDClick(table->viewport(), Qt::LeftButton, {}, place);
        }
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle() && bench.panel->shownTokens().size() == 11, kPatience);
        std::vector<std::int64_t> prompt{97, 98, 99, before[3].token, before[4].alternatives[2].token};
        const auto expected = bench.expected(prompt, firstTokens(6));
        for (const auto& token : expected.tokens)
            prompt.push_back(token.token);
        QCOMPARE(bench.tokens(), prompt);
        QVERIFY(std::abs(bench.panel->shownTokens()[4].probability - before[4].alternatives[2].probability) < 1e-12);
    }

    void drawsFollowTheSeed()
    {
        Bench bench;
        bench.open();
        bench.type("abc");
        bench.set({{"max_new_tokens", 12}, {"do_sample", true}, {"temperature", 5}});
        const auto writtenWith = [&](int seed) {
            bench.child<QSpinBox>("seed")->setValue(seed);
            QTest::mouseClick(bench.child<QPushButton>("write"), Qt::LeftButton);
            if (!QTest::qWaitFor([&] { return bench.panel->isIdle() && bench.panel->shownTokens().size() == 15; }, kPatience))
                return std::vector<std::int64_t>();
            return bench.tokens();
        };
        const auto first = writtenWith(1);
        QCOMPARE(first.size(), std::size_t(15));
        QVERIFY(writtenWith(2) != first);
        QCOMPARE(writtenWith(1), first);
        QVERIFY(bench.panel->commandLine().contains("--seed 1") && bench.panel->commandLine().contains("--temperature 5"));
    }

    void aTextCanBeCancelledInTheMiddleAndStays_data()
    {
        QTest::addColumn<bool>("isClosed");  // it is no job of the queue, so that nobody else can end it
        QTest::newRow("by its button") << false;
        QTest::newRow("panel closed") << true;
    }
    void aTextCanBeCancelledInTheMiddleAndStays()
    {
        QFETCH(bool, isClosed);
        Bench bench("layers=4&heads=4&width=256&block_length=4096");
        bench.open();
        bench.type("abc");
        bench.set({{"max_new_tokens", 4000}});
        QTest::mouseClick(bench.child<QPushButton>("write"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->shownTokens().size() > 5, kPatience);
        QVERIFY(!bench.panel->isIdle() && !bench.child<QPushButton>("write")->isEnabled());
        if (isClosed) {
            bench.panel.reset();
            QTRY_VERIFY_WITH_TIMEOUT(!bench.session.hasBackgroundWork(), kPatience);
            return;
        }
        QTest::mouseClick(bench.child<QPushButton>("cancel"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle(), kPatience);
        const auto count = bench.panel->shownTokens().size();
        QVERIFY(count > 5 && count < 4003);
        QCOMPARE(bench.child<QLabel>("summary")->text(), QString("%1 tokens; ended by: Cancel").arg(count - 3));
        QVERIFY(bench.child<QPushButton>("write")->isEnabled());
        QTest::qWait(50);
        QCOMPARE(bench.panel->shownTokens().size(), count);
    }

    void aModelWithoutATokenizerIsAnErrorInPlace()
    {
        Bench bench;
        bench.open();
        bench.session.openModel("zoo:gpt?vocabulary=40&layers=1&heads=1&width=8&block_length=16");
        bench.type("abc");
        auto* summary = bench.child<QLabel>("summary");
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle() && summary->text().contains("no tokenizer"), kPatience);
        QVERIFY(!bench.child<QPushButton>("write")->isEnabled());
        bench.session.openModel(bench.file);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle() && bench.child<QPushButton>("write")->isEnabled(), kPatience);
        QCOMPARE(summary->text(), QString());
    }

    /// The oracle is core's own writing from the tokens put together by hand: the source's, and the answer's first one with those of its beginning.
    void anEncoderDecoderAnswersToASource()
    {
        const test::BertFolder given("t5");
        test::PanelBench<GeneratePanel> bench;
        bench.show();
        bench.session.openModel(QString::fromStdString(given.folder.string()));
        auto* begin = bench.child<widgets::LinesEdit>("begin");
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle() && begin->isVisible(), kPatience);
        auto* prompt = bench.child<QPlainTextEdit>("prompt");
        prompt->setFocus();
        QTest::keyClicks(prompt, "god saw the light");
        begin->setFocus();
        QTest::keyClicks(begin, "it was");
        bench.panel->restoreState({{"settings", {{"max_new_tokens", 4}}}});
        QTest::keyClick(begin, Qt::Key_Return);
        auto model = models::openModel(given.folder.string());
        const auto tokenizer = text::requiredTokenizer(model.card);
        const auto source = tokenizer->ids("god saw the light", true), more = tokenizer->ids("it was", false);
        std::vector<std::int64_t> answer{generation::specialTokens(model.card).decoderBegin.value()};
        answer.insert(answer.end(), more.begin(), more.end());
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle() && bench.panel->shownTokens().size() > answer.size(), kPatience);
        QVERIFY2(bench.panel->errorText().isEmpty(), qPrintable(bench.panel->errorText()));
        auto options = firstTokens(4);
        options.endTokens = generation::specialTokens(model.card).end;
        generation::Decoder decoder(std::move(model), generation::Decoder::Cache::No, at::tensor(source, at::kLong).unsqueeze(0));
        const auto expected = generation::writeText(decoder, answer, options, nullptr);
        const auto& shown = bench.panel->shownTokens();
        QCOMPARE(shown.size(), answer.size() + expected.tokens.size());
        for (std::size_t i = 0; i < answer.size(); ++i)
            QVERIFY(shown[i].token == answer[i] && std::isnan(shown[i].probability));
        for (std::size_t i = 0; i < expected.tokens.size(); ++i) {
            QCOMPARE(shown[answer.size() + i].token, expected.tokens[i].token);
            QVERIFY(std::abs(shown[answer.size() + i].probability - expected.tokens[i].probability) < 1e-5);
        }
        QCOMPARE(bench.child<widgets::TokenView>("source")->count(), int(source.size()));
        QVERIFY2(bench.panel->commandLine().contains("--begin 'it was'"), qPrintable(bench.panel->commandLine()));
        // The window opened again asks the same; a decoder has no such field.
        const auto state = bench.panel->saveState();
        bench.show(state);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle() && bench.panel->commandLine().contains("--begin 'it was'"), kPatience);
        Bench decoderAlone;
        decoderAlone.open();
        QTRY_VERIFY_WITH_TIMEOUT(decoderAlone.panel->isIdle(), kPatience);
        QVERIFY(!decoderAlone.child<widgets::LinesEdit>("begin")->isVisible());
    }

    void modelsThatCannotBeOpenedAreNamed_data() { test::addModelFaults(); }
    void modelsThatCannotBeOpenedAreNamed()
    {
        QFETCH(QString, kind);
        QFETCH(QString, message);
        Bench bench;
        bench.show();
        bench.session.openModel(test::faultyModel(kind, bench.folder.path(), *bench.workspace()));
        bench.type("abc");
        bench.set({{"max_new_tokens", 3}});
        QTest::mouseClick(bench.child<QPushButton>("write"), Qt::LeftButton);
        QTRY_VERIFY2_WITH_TIMEOUT(bench.panel->errorText().contains(message), qPrintable(bench.panel->errorText()), kPatience);
        QVERIFY(bench.panel->isIdle());
        bench.session.openModel(bench.file);
        QTest::mouseClick(bench.child<QPushButton>("write"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(bench.tokens().size() == 6 && bench.panel->isIdle(), kPatience);
        QCOMPARE(bench.panel->errorText(), QString());
    }

    /// What was written stays, and says that it is old, until the file can be read again.
    void theOldTextStaysWhereTheModelsFileIsGone()
    {
        Bench bench;
        bench.open();
        bench.type("abc");
        bench.set({{"max_new_tokens", 4}});
        QTest::mouseClick(bench.child<QPushButton>("write"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(bench.tokens().size() == 7 && bench.panel->isIdle(), kPatience);
        const auto before = bench.tokens();
        const QString command = bench.panel->shownCommand();
        QVERIFY(QFile::rename(bench.file, bench.file + ".away"));
        bench.type("d");
        QTest::mouseClick(bench.child<QPushButton>("write"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->errorText().contains("no such file") && bench.panel->isIdle(), kPatience);
        QVERIFY2(bench.panel->errorText().endsWith("What is shown below was written before."), qPrintable(bench.panel->errorText()));
        QCOMPARE(bench.tokens(), before);
        QCOMPARE(bench.panel->shownCommand(), command);
        QTRY_VERIFY(bench.panel->isShownOutdated());
        bench.child<widgets::TokenView>("tokens")->setCurrent(4);
        auto* alternatives = bench.child<QTableWidget>("alternatives");
        alternatives->setCurrentCell(1, 0);
        alternatives->setFocus();
        QTest::keyClick(alternatives, Qt::Key_Return);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->errorText().contains("no such file") && bench.panel->isIdle(), kPatience);
        QCOMPARE(bench.tokens(), before);
        QVERIFY(QFile::rename(bench.file + ".away", bench.file));
        QTest::mouseClick(bench.child<QPushButton>("write"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(bench.tokens().size() == 8 && bench.panel->isIdle(), kPatience);
        QCOMPARE(bench.panel->errorText(), QString());
    }

    void weightsThatAreNotFiniteAreNamed()
    {
        Bench bench;
        auto model = models::openModel(bench.file.toStdString());
        model.weights.set("wte.weight", at::full_like(model.weights.at("wte.weight"), std::nan("")));
        const QString file = bench.folder.filePath("nan.safetensors");
        models::saveModel(file.toStdString(), model);
        bench.show();
        bench.session.openModel(file);
        bench.type("abc");
        QTest::mouseClick(bench.child<QPushButton>("write"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->errorText().contains("the logits hold NaN") && bench.panel->isIdle(), kPatience);
    }

    void aRestartBringsBackTheForm()
    {
        Bench bench;
        bench.open();
        bench.type("hello");
        bench.set({{"max_new_tokens", 7}});
        bench.child<QSpinBox>("seed")->setValue(11);
        const auto state = bench.panel->saveState();
        bench.show(state);
        QCOMPARE(bench.child<QPlainTextEdit>("prompt")->toPlainText(), QString("hello"));
        QCOMPARE(bench.child<widgets::SchemaForm>("settings")->resolved().at("max_new_tokens").get<int>(), 7);
        QCOMPARE(bench.child<QSpinBox>("seed")->value(), 11);
        bench.panel->restoreState({{"seed", "many"}, {"prompt", 3}, {"settings", 5}});
        QCOMPARE(bench.child<QSpinBox>("seed")->value(), 11);
    }
};

QTEST_MAIN(GeneratePanelTest)
#include "generate_test.moc"
