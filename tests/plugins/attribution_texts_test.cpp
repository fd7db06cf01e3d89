// Texts in the Attribution panel: their tokens, the place that is explained, a tagger's labels, tokens that are left out by hand.
#include <QTabWidget>
#include <QToolButton>

#include <core/explain/metrics/metric.h>
#include <core/io/image.h>
#include <core/io/npy.h>
#include <core/jobs/queue.h>
#include <core/models/open_model.h>
#include <core/train/card_inputs.h>
#include <core/train/samples.h>
#include <plugins/attribution/channels_view.h>
#include <plugins/attribution/compare_results.h>
#include <plugins/attribution/method_table.h>
#include <widgets/commands.h>
#include <widgets/export.h>
#include <widgets/image_view.h>
#include <widgets/lines_edit.h>
#include <widgets/numbers.h>
#include <widgets/schema_form.h>
#include <widgets/theme.h>
#include <widgets/token_view.h>

#include "../core/train/bert_folder.h"
#include "../widgets/shots.h"
#include "attribution_bench.h"

using namespace orrery;
using namespace orrery::plugins;
using namespace orrery::test::attribution;

namespace {

QString asText(const std::filesystem::path& path)
{
    return QString::fromStdString(path.string());
}

}  // namespace

class AttributionTextsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { core::registerAll(); }
    void textsShowTheirTokens();
    void aTextOfOnesOwnIsExplainedAtItsMask();
    void aModelThatWritesReadsOneText();
    void aTaggersLabelsAreNamed();
    void tokensAreLeftOutByHand();
};

void AttributionTextsTest::textsShowTheirTokens()
{
    Bench bench;
    bench.show();
    bench.session.changeSelection([](widgets::Selection& s) {
        s.model = "zoo:gpt?vocabulary=256&block_length=16&layers=1&heads=2&width=16";
        s.data = {{"id", "kjv"}, {"block_length", 16}};
    });
    QTRY_VERIFY2_WITH_TIMEOUT(explainButton(bench)->isEnabled() || !bench.panel->errorText().isEmpty(), "never ready", 60000);
    if (!bench.panel->errorText().isEmpty())
        QFAIL(qPrintable(bench.panel->errorText()));
    auto* table = bench.child<QTableWidget>("features");
    QTRY_COMPARE(table->rowCount(), 16);
    chooseMethod(bench, "input_x_gradient");
    QTest::mouseClick(explainButton(bench), Qt::LeftButton);
    QTRY_VERIFY(!table->item(0, 2)->text().isEmpty());
    double sum = 0;
    for (int row = 0; row < 16; ++row)
        sum += table->item(row, 2)->text().toDouble();
    QVERIFY(std::abs(sum) > 0);
    takeShots(*bench.panel, "attribution-text");
    // The coloured tokens carry the same numbers, and what is written on them can be read.
    auto* tokens = bench.child<widgets::TokenView>("tokens");
    for (int i = 0; i < 16; ++i) {
        QVERIFY(tokens->tooltip(i).contains(QString::number(table->item(i, 2)->text().toDouble(), 'g', 6)));
        QVERIFY(widgets::contrast(tokens->tokenColor(i), widgets::textColorOn(tokens->tokenColor(i))) >= 4.5);
    }
    bench.panel->findChild<QTabWidget*>()->setCurrentIndex(1);
    takeShots(*bench.panel, "attribution-text-side-by-side");
}

void AttributionTextsTest::aTextOfOnesOwnIsExplainedAtItsMask()
{
    const test::BertFolder given;
    const std::string first = "god [MASK] the light", second = "it was good";
    const auto [model, inputs] = given.pairModel(first, second);
    const graph::Executor executor(model.graph);
    const auto tokens = inputs[0].toTensor()[0];
    const auto mask = *text::requiredTokenizer(model.card)->idOf("[MASK]");
    const auto position = tokens.eq(mask).nonzero().item<std::int64_t>();
    QVERIFY(position > 0 && position + 1 < tokens.size(0));
    // The logit at the mask, and what its gradient says of each token, by hand.
    explain::AttributionRequest request;
    request.inputs = inputs;
    request.positions = {position};
    request.parameters = core::Json::object();
    const auto expected = explain::attribute(executor, model.weights, "input_x_gradient", request);
    graph::RunRequest run;
    run.inputs = inputs;
    const at::Tensor logits = executor.run(model.weights, run).outputs.at(0).toTensor()[0][position];
    QCOMPARE(expected.outputs.item<float>(), logits.max().item<float>());

    Bench bench;
    bench.show();
    bench.session.openModel(asText(given.folder));
    auto *text = bench.child<widgets::LinesEdit>("text"), *pair = bench.child<widgets::LinesEdit>("pair");
    QTRY_VERIFY2_WITH_TIMEOUT(text->isVisible() && pair->isVisible() && bench.panel->isIdle(), qPrintable(bench.panel->errorText()), 60000);
    QVERIFY(subject(bench).contains("Type a text") && !explainButton(bench)->isEnabled());
    text->setFocus();
    QTest::keyClicks(text, QString::fromStdString(first));
    QTest::keyClicks(pair, QString::fromStdString(second));
    QTest::keyClick(pair, Qt::Key_Return);
    waitUntilReady(bench);
    QVERIFY2(bench.child<QComboBox>("position")->currentText().contains(QString("%1: [MASK]").arg(position)),
             qPrintable(bench.child<QComboBox>("position")->currentText()));
    QVERIFY2(subject(bench).contains("god [MASK] the light") && subject(bench).contains("it was good"), qPrintable(subject(bench)));
    chooseMethod(bench, "input_x_gradient");
    QTest::mouseClick(explainButton(bench), Qt::LeftButton);
    auto* table = bench.child<QTableWidget>("features");
    QTRY_VERIFY2(table->rowCount() > 0 && !table->item(0, 2)->text().isEmpty() && bench.panel->isIdle(), qPrintable(bench.panel->errorText()));
    QCOMPARE(table->rowCount(), int(tokens.size(0)));
    const at::Tensor shares = expected.attribution[0].to(at::kDouble).sum(-1);
    for (int row = 0; row < table->rowCount(); ++row)
        QCOMPARE(table->item(row, 2)->toolTip(), plugins::fullNumber(shares[row].item<double>()));
    QVERIFY2(numbers(bench).contains(widgets::shownNumber(expected.outputs.item<double>())), qPrintable(numbers(bench)));
    const QString command = bench.panel->commandLine();
    QVERIFY2(command.contains("--text 'god [MASK] the light' --pair 'it was good'") && !command.contains("--position"), qPrintable(command));
    takeShots(*bench.panel, "attribution-own-text");

    // Another token's answer; by hand the answer is that token's, too.
    auto* positions = bench.child<QComboBox>("position");
    positions->setFocus();
    QTest::keyClick(positions, Qt::Key_End);
    Q_EMIT positions->activated(positions->currentIndex());
    waitUntilReady(bench);
    QTRY_VERIFY2(bench.panel->commandLine().contains(QString("--position %1").arg(tokens.size(0) - 1)), qPrintable(bench.panel->commandLine()));
    const auto state = bench.panel->saveState();

    // The window opened again explains the same.
    bench.show(state);
    waitUntilReady(bench);
    QTRY_VERIFY2(bench.panel->commandLine().contains("--pair 'it was good'") && bench.panel->commandLine().contains("--position"),
                 qPrintable(bench.panel->commandLine()));
    QTest::mouseClick(bench.child<QToolButton>("back"), Qt::LeftButton);
    QTRY_VERIFY(bench.panel->isIdle() && subject(bench).contains("Type a text"));
}

void AttributionTextsTest::aModelThatWritesReadsOneText()
{
    const test::BertFolder given("gpt2");
    Bench bench;
    bench.show();
    bench.session.openModel(asText(given.folder));
    auto* text = bench.child<widgets::LinesEdit>("text");
    QTRY_VERIFY2_WITH_TIMEOUT(bench.panel->isIdle() && (text->isVisible() || !bench.panel->errorText().isEmpty()), "never ready", 60000);
    QVERIFY(!bench.child<widgets::LinesEdit>("pair")->isVisible());
    // What it cannot read is said in place, and can be typed again.
    text->setFocus();
    QTest::keyClicks(text, QString("god ").repeated(40));
    QTest::keyClick(text, Qt::Key_Return);
    QTRY_VERIFY2(bench.panel->errorText().contains("expected at most"), qPrintable(bench.panel->errorText()));
    QVERIFY(text->isVisible() && !explainButton(bench)->isEnabled());
    text->clear();
    QTest::keyClicks(text, "god saw");
    QTest::keyClick(text, Qt::Key_Return);
    QTRY_VERIFY(bench.panel->errorText().isEmpty());
    waitUntilReady(bench);
    // The last token goes on.
    const auto tokens = train::textInput(models::openModel(given.folder.string()), "god saw");
    QVERIFY2(bench.child<QComboBox>("position")->currentText().contains(QString("%1: [SEP]").arg(tokens.size(1) - 1)),
             qPrintable(bench.child<QComboBox>("position")->currentText()));
    // A sample chosen elsewhere takes its place.
    bench.session.changeSelection([](widgets::Selection& s) { s.samples = {0}; });
    QTRY_VERIFY(bench.panel->isIdle() && text->text().isEmpty());
}

/// The oracle is the model's own answer at each token. The text has two lines, as source code does.
void AttributionTextsTest::aTaggersLabelsAreNamed()
{
    const test::BertFolder given("bert-tokens");
    // The library's placeholders (LABEL_0) are no names.
    auto config = core::Json::parse(core::readFile(given.folder / "config.json"));
    const QStringList labelNames{"O", "B-PER", "I-PER", "B-LOC", "I-LOC"};
    for (int label = 0; label < labelNames.size(); ++label)
        config["id2label"][std::to_string(label)] = labelNames[label].toStdString();
    core::writeFileAtomically(given.folder / "config.json", config.dump());
    const auto model = models::openModel(given.folder.string());
    const graph::Executor executor(model.graph);
    const QString code = QStringLiteral("god saw\n    the light");
    explain::AttributionRequest request;
    request.inputs = {train::textInput(model, code.toStdString())};
    const at::Tensor labels = executor.forward(model.weights, request.inputs)[0].argmax(-1);  // [position]
    Bench bench;
    bench.show();
    bench.session.openModel(asText(given.folder));
    auto* text = bench.child<widgets::LinesEdit>("text");
    QTRY_VERIFY2_WITH_TIMEOUT(text->isVisible() && bench.panel->isIdle(), qPrintable(bench.panel->errorText()), 60000);
    text->setFocus();
    text->setText(code);
    QTest::keyClick(text, Qt::Key_Return);
    waitUntilReady(bench);
    auto* positions = bench.child<QComboBox>("position");
    QCOMPARE(positions->count(), int(labels.numel()) + 1);
    const auto named = [&](std::int64_t position) { return labelNames[labels[position].item<std::int64_t>()]; };
    for (std::int64_t position = 0; position < labels.numel(); ++position)
        QVERIFY2(positions->itemText(int(position) + 1).endsWith("→ " + named(position)), qPrintable(positions->itemText(int(position) + 1)));
    auto* view = bench.child<widgets::TokenView>("tokens");
    QVERIFY2(view->tooltip(1).contains("tagged " + named(1)), qPrintable(view->tooltip(1)));
    // The second line stands below the first, indented.
    int second = 1;
    while (second < view->count() && view->tokenRect(second).top() == view->tokenRect(0).top())
        ++second;
    QVERIFY(second < view->count() && view->tokenRect(second).left() > view->tokenRect(0).left() + 10);
    QCOMPARE(view->text(), code);
    takeShots(*bench.panel, "attribution-tagger");
}

void AttributionTextsTest::tokensAreLeftOutByHand()
{
    const QString argument = "zoo:gpt?vocabulary=256&block_length=16&layers=1&heads=2&width=16";
    Bench bench;
    bench.show({{"tab", 2}});
    bench.session.changeSelection([&](widgets::Selection& s) {
        s.model = argument;
        s.data = {{"id", "kjv"}, {"block_length", 16}};
    });
    waitUntilReady(bench);
    auto* tokens = bench.child<widgets::TokenView>("brush_tokens");
    QTRY_VERIFY(tokens->isVisible() && tokens->count() == 16);
    QTest::mouseClick(tokens->viewport(), Qt::LeftButton, {}, tokens->tokenRect(4).center().toPoint());
    QCOMPARE(tokens->marked(), QSet<int>{4});
    // By hand: the same value set by a probe.
    const auto model = models::openModel(argument.toStdString());
    const auto data = data::openData({{"id", "kjv"}, {"block_length", 16}});
    const std::int64_t index = data->split(data::Split::Test)[0];
    const auto input = data->fetch({&index, 1}).inputs[0];
    const graph::Executor executor(model.graph);
    orrery::explain::AttributionRequest asked;
    asked.inputs = {input};
    const auto site = orrery::explain::attribute(executor, model.weights, "saliency", asked);
    auto value = site.value.clone();
    value[0][4].zero_();
    graph::RunRequest request;
    request.inputs = {input};
    request.probes = {graph::Probe::setting(site.site, value)};
    const auto after = probabilities(model, executor.run(model.weights, request).tensor());
    auto* table = bench.child<QTableWidget>("answer");
    std::set<QString> expectedTexts;
    for (const auto& [name, text] : after)
        expectedTexts.insert(text);
    QTRY_VERIFY(table->rowCount() > 0 && table->item(0, 1)->toolTip() != table->item(0, 2)->toolTip());
    for (int row = 0; row < table->rowCount(); ++row)
        QVERIFY2(expectedTexts.contains(table->item(row, 2)->toolTip()), qPrintable(table->item(row, 2)->toolTip()));
    takeShots(*bench.panel, "attribution-brush-text");
    tokens->setFocus();
    QTest::keyClick(tokens, Qt::Key_Space);
    QVERIFY(tokens->marked().isEmpty());
    QTRY_VERIFY(table->item(0, 1)->toolTip() == table->item(0, 2)->toolTip());
}

QTEST_MAIN(AttributionTextsTest)
#include "attribution_texts_test.moc"
