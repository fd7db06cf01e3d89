#include <core/catalogue.h>
#include <core/intervene/layout.h>
#include <core/intervene/patch_stored.h>
#include <core/intervene/patching.h>
#include <core/zoo/zoo.h>

#include "hand_built.h"

#include <QTest>

using namespace orrery;
using intervene::PatchCell;
using intervene::PatchControl;
using intervene::Patching;
using intervene::PatchRequest;
using intervene::PatchResult;

namespace {

at::Tensor tokens(std::vector<std::int64_t> ids)
{
    return at::tensor(ids).unsqueeze(0);
}

at::Tensor noise(std::vector<std::int64_t> shape, std::uint64_t seed)
{
    return at::randn(shape, at::detail::createCPUGenerator(seed), at::TensorOptions());
}

at::Tensor randomTokens(std::int64_t count, std::int64_t vocabulary, std::uint64_t seed)
{
    return at::randint(vocabulary, {1, count}, at::detail::createCPUGenerator(seed), at::TensorOptions().dtype(at::kLong));
}

/// A model with what a sweep over it needs.
struct Bench {
    graph::Model model;
    graph::Executor executor;
    PatchRequest request;
    Bench(graph::Model opened, at::Tensor clean, at::Tensor corrupted, core::Json settings = core::Json::object())
        : model(std::move(opened)), executor(model.graph), request{{clean}, {corrupted}, std::move(settings)}
    {
    }
    Patching patching() const { return Patching(executor, model.weights, model.card, request); }
    PatchResult sweep(const PatchControl& control = {}) const { return patching().sweep(control); }
    QString failure() const
    {
        try {
            sweep();
        } catch (const core::Error& error) {
            return QString::fromUtf8(error.what());
        }
        return "nothing was thrown";
    }
};

/// Token 3 or 2 at the start, the rest alike: the copying model answers 3 or 2.
Bench copying(core::Json settings)
{
    return {intervene::copyingModel(), tokens({3, 0, 1, 4, 5}), tokens({2, 0, 1, 4, 5}), std::move(settings)};
}

double cell(const PatchResult& result, std::int64_t site, std::int64_t head, std::int64_t column, std::size_t map = 0)
{
    return result.maps[map].cells[site][head][column].item<double>();
}

/// The output of a whole run with one part of one value replaced by a probe: [class], double.
at::Tensor bruteForce(const Bench& bench, const intervene::PatchMap& map, const PatchCell& cell, bool denoise, std::int64_t position)
{
    const auto& value = map.values[std::size_t(cell.site)];
    graph::RunRequest whole;
    whole.inputs = denoise ? bench.request.clean : bench.request.corrupted;
    whole.keep = {value};
    const auto source = bench.executor.run(bench.model.weights, whole).value(value);
    const auto axes = intervene::axesOf(*bench.model.graph, bench.model.card, value, std::size_t(source.dim()));
    graph::RunRequest patched;
    patched.inputs = denoise ? bench.request.corrupted : bench.request.clean;
    patched.probes = {graph::Probe::replacing(value, [&](const std::string&, const c10::IValue& content) -> c10::IValue {
        const auto copy = content.toTensor().clone();
        auto to = copy, from = source;
        for (std::size_t axis = 0; axis < axes.size(); ++axis) {
            const auto name = std::string(intervene::axisName(axes[axis] == intervene::Axis::Query ? intervene::Axis::Position : axes[axis]));
            const bool isHead = map.byHead && name == "head", isUnit = !map.unit.empty() && name == map.unit;
            if (!isHead && !isUnit)
                continue;
            const auto index = isHead ? cell.head : map.columns[std::size_t(cell.column)];
            to = to.narrow(std::int64_t(axis), index, 1);
            from = from.narrow(std::int64_t(axis), index, 1);
        }
        to.copy_(from);
        return copy;
    })};
    const auto output = bench.executor.run(bench.model.weights, patched).tensor();
    return intervene::logitsAt(output, position)[0].to(at::kDouble);
}

/// Largest difference of any cell from one whole run a patch.
double worstAgainstBruteForce(const Bench& bench)
{
    const auto patching = bench.patching();
    const auto result = patching.sweep();
    const bool denoise = result.settings["direction"] == "denoise";
    double worst = 0;
    for (std::size_t i = 0; i < result.maps.size(); ++i) {
        const auto& map = result.maps[i];
        for (PatchCell each{i, 0, 0, 0, 0}; each.site < map.cells.size(0); ++each.site)
            for (each.head = 0; each.head < map.cells.size(1); ++each.head)
                for (each.column = 0; each.column < map.cells.size(2); ++each.column) {
                    const double value = map.cells[each.site][each.head][each.column].item<double>();
                    if (std::isnan(value))
                        continue;  // channels that a narrower layer lacks
                    const auto logits = bruteForce(bench, map, each, denoise, result.settings["metric"]["position"].get<std::int64_t>());
                    worst = std::max(worst, std::abs(patching.metric()(logits.unsqueeze(0))[0].item<double>() - value));
                }
    }
    return worst;
}

core::Json unscaled(core::Json settings)
{
    settings["metric"] = {{"id", "logit_difference"}, {"answer", 1}, {"wrong", 2}, {"normalised", false}};
    return settings;
}

/// Fresh weights are so small that no patch would show: matrices are enlarged.
graph::Model enlarged(graph::Model model)
{
    for (const auto& [name, tensor] : std::map(model.weights.tensors()))
        if (tensor.dim() >= 2 && tensor.size(0) > 1)
            model.weights.set(name, tensor * 8);
    return model;
}

graph::Model smallGpt()
{
    return enlarged(zoo::buildModel("gpt", {{"layers", 3}, {"heads", 4}, {"width", 32}, {"vocabulary", 20}, {"block_length", 12}}, 3));
}

}  // namespace

class PatchingTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { core::registerAll(); }
    void onlyTheSiteThatCarriesTheAnswerRestoresIt();
    void onlyTheCopyingHeadRestoresIt();
    void noisingThatSiteTakesTheAnswerAway();
    void equalsOneWholeRunAPatch_data();
    void equalsOneWholeRunAPatch();
    void modelsThatFillMasksAreReadAtTheMask();
    void aSweepTakesTheShortWay_data();
    void aSweepTakesTheShortWay();
    void lateLayersRunFewerNodes();
    void batchSizeDoesNotMatter();
    void cellsArriveAsTheyAreFinished();
    void stopKeepsWhatWasHandedOut();
    void outputOfACellIsThatRun();
    void modelsThatGiveProbabilitiesAreReadAsSuch_data();
    void modelsThatGiveProbabilitiesAreReadAsSuch();
    void largestChangesAreOrdered();
    void modelsWithAFixedBatchRunOneByOne();
    void layersAndPositionsCountFromTheEnd();
    void badRequestsAreExplained_data();
    void badRequestsAreExplained();
    void differentLengthsGiveBothShapes();
    void nanInputIsRefused();
};

void PatchingTest::onlyTheSiteThatCarriesTheAnswerRestoresIt()
{
    const auto result = copying({{"components", {"resid_pre", "resid_post", "attn_out", "v"}}}).sweep();
    QCOMPARE(result.patches, 4 * 2 * 5);
    QCOMPARE(result.clean, intervene::kCopyLogit);
    QCOMPARE(result.corrupted, -intervene::kCopyLogit);
    QCOMPARE(result.settings["metric"]["answer"].get<int>(), 3);
    for (std::int64_t position = 0; position < 5; ++position) {
        const double first = position == 0, last = position == 4;
        QCOMPARE(cell(result, 0, 0, position, 0), first);  // before layer 0 the answer stands at the first position,
        QCOMPARE(cell(result, 1, 0, position, 0), last);   // after it at the last one,
        QCOMPARE(cell(result, 0, 0, position, 1), last);
        QCOMPARE(cell(result, 1, 0, position, 1), last);
        QCOMPARE(cell(result, 0, 0, position, 2), last);  // where attention of layer 0 put it,
        QCOMPARE(cell(result, 1, 0, position, 2), 0.0);
        QCOMPARE(cell(result, 0, 0, position, 3), first);  // by the first position's value.
        QCOMPARE(cell(result, 1, 0, position, 3), 0.0);
    }
}

void PatchingTest::onlyTheCopyingHeadRestoresIt()
{
    const auto result = copying({{"components", {"z", "resid_pre"}}, {"by_head", true}, {"by_position", false}}).sweep();
    QCOMPARE(result.maps[0].cells.sizes().vec(), (std::vector<std::int64_t>{2, 2, 1}));
    for (std::int64_t layer = 0; layer < 2; ++layer)
        for (std::int64_t head = 0; head < 2; ++head)
            QCOMPARE(cell(result, layer, head, 0), layer == 0 && head == 0 ? 1.0 : 0.0);
    // A value without heads is one patch a layer then: all of the stream restores all.
    QCOMPARE(result.maps[1].cells.sizes().vec(), (std::vector<std::int64_t>{2, 1, 1}));
    QCOMPARE(cell(result, 1, 0, 0, 1), 1.0);
}

void PatchingTest::noisingThatSiteTakesTheAnswerAway()
{
    const auto result = copying({{"direction", "noise"}}).sweep();
    for (std::int64_t position = 0; position < 5; ++position) {
        QCOMPARE(cell(result, 0, 0, position), position == 0 ? 0.0 : 1.0);
        QCOMPARE(cell(result, 1, 0, position), position == 4 ? 0.0 : 1.0);
    }
}

void PatchingTest::equalsOneWholeRunAPatch_data()
{
    QTest::addColumn<QString>("architecture");
    QTest::addColumn<QString>("settings");
    const auto row = [](const char* name, const char* architecture, const char* settings) {
        QTest::newRow(name) << QString(architecture) << QString(settings);
    };
    row("gpt residual stream", "gpt", R"({"components": ["resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out"]})");
    row("gpt attention", "gpt", R"({"components": ["q", "k", "v", "pattern", "z"], "by_head": true})");
    row("gpt inside the MLP", "gpt", R"({"components": ["mlp.pre", "mlp.post"]})");
    row("gpt noise", "gpt", R"({"components": ["resid_mid", "v"], "direction": "noise"})");
    row("gpt early position", "gpt", R"({"components": ["resid_pre", "pattern"], "metric": {"id": "logit_difference", "answer": 1, "wrong": 2,
                                         "normalised": false, "position": 5}})");
    // So little memory that each patch is a run of its own, from its position on.
    row("gpt residual stream from each position on", "gpt",
        R"({"components": ["resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out"], "memory_limit": 0.001})");
    row("gpt attention from each position on", "gpt", R"({"components": ["q", "k", "v", "pattern", "z"], "by_head": true, "memory_limit": 0.001})");
    row("gpt inside the MLP from each position on", "gpt", R"({"components": ["mlp.pre", "mlp.post"], "memory_limit": 0.01})");
    row("gpt noise from each position on", "gpt", R"({"components": ["resid_mid", "v"], "direction": "noise", "memory_limit": 0.001})");
    row("gpt early position, batches of one", "gpt", R"({"components": ["resid_pre", "pattern"], "memory_limit": 0.001,
        "metric": {"id": "logit_difference", "answer": 1, "wrong": 2, "normalised": false, "position": 5}})");
    row("both directions are read", "bert", R"({"components": ["resid_pre", "resid_mid", "z", "v"], "by_head": true, "memory_limit": 0.001})");
    row("gpt values by path", "gpt", R"({"components": ["blocks.*.ln_2.layer_norm", "embed"]})");
    row("vit", "vit", R"({"components": ["resid_pre", "z", "mlp_out", "pattern"], "by_head": true})");
    row("cnn channels", "resnet", R"({"components": ["layer*.*.conv1.*", "op:relu"]})");
    row("mlp features", "mlp", R"({"components": ["op:relu"]})");
}

static Bench benchFor(const QString& architecture, core::Json settings)
{
    if (architecture == "gpt")
        return {smallGpt(), randomTokens(10, 20, 1), randomTokens(10, 20, 2), std::move(settings)};
    if (architecture == "bert")
        return {enlarged(zoo::buildModel("bert", {{"layers", 2}, {"heads", 4}, {"width", 32}, {"vocabulary", 20}, {"block_length", 12}}, 3)),
                randomTokens(10, 20, 1), randomTokens(10, 20, 2), std::move(settings)};
    if (architecture == "vit") {
        auto model = zoo::buildModel(
            "vit",
            {{"image_size", 8}, {"channels", 1}, {"patch_size", 4}, {"layers", 2}, {"heads", 2}, {"width", 16}, {"mlp_width", 24}, {"classes", 5}},
            4);
        model.weights.set("head.weight", noise({5, 16}, 9));  // it starts as zeros
        for (const char* const layer : {"0", "1"})
            for (const char* const weight : {"attn.qkv", "attn.proj", "mlp.fc", "mlp.proj"})
                if (const auto name = fmt::format("blocks.{}.{}.weight", layer, weight); model.weights.find(name))
                    model.weights.set(name, model.weights.at(name) * 3);
        return {std::move(model), noise({1, 1, 8, 8}, 5), noise({1, 1, 8, 8}, 6), std::move(settings)};
    }
    if (architecture == "mlp")
        return {zoo::buildModel("mlp", {{"features", 6}, {"hidden", {10, 7}}, {"classes", 4}, {"activation", "relu"}}, 8), noise({1, 6}, 5),
                noise({1, 6}, 6), std::move(settings)};
    return {zoo::buildModel("resnet", {{"depth", 8}}, 7), noise({1, 3, 32, 32}, 5), noise({1, 3, 32, 32}, 6), std::move(settings)};
}

void PatchingTest::equalsOneWholeRunAPatch()
{
    QFETCH(QString, architecture);
    QFETCH(QString, settings);
    auto document = core::Json::parse(settings.toStdString());
    if (!document.contains("metric"))
        document = unscaled(document);
    const auto bench = benchFor(architecture, document);
    const double worst = worstAgainstBruteForce(bench);
    QVERIFY2(worst < 1e-5, qPrintable(QString("differs by %1").arg(worst)));
    const auto result = bench.sweep();
    for (const auto& map : result.maps)  // what is compared is not all the same number
        QVERIFY((map.cells - map.cells[0][0][0]).abs().nan_to_num().max().item<double>() > 1e-2);
}

void PatchingTest::modelsThatFillMasksAreReadAtTheMask()
{
    auto bench = benchFor("bert", core::Json::object());
    auto& card = bench.model.card;
    card.task = "masked_language_model";
    card.tokenizer = {{"kind", "characters"}, {"characters", "!\"#$%&'()*+,-./0123"}, {"mask", true}};  // 19 and the mask
    for (auto* inputs : {&bench.request.clean, &bench.request.corrupted}) {
        auto tokens = (*inputs)[0].toTensor();
        tokens.masked_fill_(tokens.eq(19), 3);
        tokens[0][4] = 19;
    }
    const auto sweep = [&](const char* settings) {
        bench.request.settings = core::Json::parse(settings);
        return bench.sweep();
    };
    const auto itself = sweep("{}"), given = sweep(R"({"metric": {"id": "logit_difference", "position": 4}})"),
               last = sweep(R"({"metric": {"id": "logit_difference", "position": -1}})");
    QCOMPARE(itself.settings["metric"]["position"].get<int>(), 4);
    QVERIFY(at::equal(itself.maps[0].cells, given.maps[0].cells) && !at::equal(itself.maps[0].cells, last.maps[0].cells));
    QCOMPARE(intervene::answerName(card, 2), std::string("#"));
    QCOMPARE(intervene::answerNumber(card, "#"), std::int64_t(2));
}

// How many patches are run from their own position on: 10 positions begin at the even ones, and those of the first begin at 0.
void PatchingTest::aSweepTakesTheShortWay_data()
{
    QTest::addColumn<QString>("architecture");
    QTest::addColumn<QString>("settings");
    QTest::addColumn<int>("patches");
    QTest::addColumn<int>("fromPosition");
    const auto row = [](const char* name, const char* architecture, const char* settings, int patches, int fromPosition) {
        QTest::newRow(name) << QString(architecture) << QString(settings) << patches << fromPosition;
    };
    row("decoder", "gpt", R"({"components": ["resid_pre", "resid_mid", "attn_out"]})", 90, 72);
    row("its heads", "gpt", R"({"components": ["z", "v", "pattern"], "by_head": true})", 360, 288);
    row("patches one by one", "gpt", R"({"components": ["resid_pre", "resid_mid", "attn_out"], "memory_limit": 0.001})", 90, 72);
    row("too few patches to prepare for", "gpt", R"({"components": ["resid_pre"]})", 30, 0);
    row("an earlier position is read", "gpt",
        R"({"components": ["resid_pre", "resid_mid", "attn_out"], "metric": {"id": "logit_difference", "answer": 1, "wrong": 2, "normalised": false, "position": 5}})",
        90, 0);
    row("all positions at once", "gpt", R"({"components": ["resid_pre", "resid_mid", "attn_out"], "by_position": false})", 9, 0);
    row("later positions are read by earlier ones", "bert", R"({"components": ["resid_pre", "resid_mid", "z", "v"]})", 80, 0);
    row("features", "mlp", R"({"components": ["op:relu"]})", 17, 0);
}

void PatchingTest::aSweepTakesTheShortWay()
{
    QFETCH(QString, architecture);
    QFETCH(QString, settings);
    QFETCH(int, patches);
    QFETCH(int, fromPosition);
    auto document = core::Json::parse(settings.toStdString());
    if (!document.contains("metric"))
        document = unscaled(document);
    const auto bench = benchFor(architecture, document);
    const auto result = bench.sweep();
    QCOMPARE(result.patches, std::int64_t(patches));
    QCOMPARE(result.fromPosition, std::int64_t(fromPosition));
    QCOMPARE(result.summary().at("from_position").get<int>(), fromPosition);
    QVERIFY(worstAgainstBruteForce(bench) < 1e-5);
}

void PatchingTest::lateLayersRunFewerNodes()
{
    const auto coneOf = [](const Bench& bench, const PatchResult& result) {
        return std::int64_t(bench.executor.dependencyCone({result.maps[0].values[0]}).size());
    };
    std::int64_t before = 0, cone = 0;
    for (const int layer : {0, 1, 2}) {
        // So few patches, each a run of its own, that nothing but the cone of the value decides.
        const auto bench = benchFor("gpt", unscaled({{"components", {"resid_pre"}}, {"layers", {layer}}, {"memory_limit", 1e-6}}));
        const auto result = bench.sweep();
        QCOMPARE(result.runs, 10);
        const auto whole = std::int64_t(bench.model.graph->nodes().size());
        QVERIFY2(result.nodes < result.runs * whole, qPrintable(QString("%1 nodes of %2").arg(result.nodes).arg(result.runs * whole)));
        // By a block less from layer to layer: by what depends on one value and not on the next.
        if (layer > 0)
            QVERIFY2(before - result.nodes >= 10 * (cone - coneOf(bench, result)), qPrintable(QString("%1 after %2").arg(result.nodes).arg(before)));
        cone = coneOf(bench, result);
        before = result.nodes;
    }
    const auto bench = benchFor("gpt", unscaled({{"components", {"resid_pre"}}}));
    QVERIFY(bench.sweep().runs < 10);  // many patches a batch: fewer nodes still
}

void PatchingTest::batchSizeDoesNotMatter()
{
    auto bench = benchFor("gpt", unscaled({{"components", {"resid_pre"}}}));
    const auto many = bench.sweep();
    bench.request.settings["memory_limit"] = 1e-6;
    const auto one = bench.sweep();
    QCOMPARE(one.runs, one.patches);
    QVERIFY(many.runs < many.patches / 4);
    QVERIFY((one.maps[0].cells - many.maps[0].cells).abs().max().item<double>() < 1e-5);
}

void PatchingTest::cellsArriveAsTheyAreFinished()
{
    auto bench = copying({{"components", {"resid_pre", "z"}}, {"by_head", true}, {"memory_limit", 1e-6}});
    std::vector<PatchCell> seen;
    std::vector<double> done;
    PatchControl control;
    control.cells = [&](std::span<const PatchCell> cells) { seen.insert(seen.end(), cells.begin(), cells.end()); };
    control.progress = [&](double finished, double total, const char* unit) {
        QCOMPARE(unit, "patches");
        QCOMPARE(total, 10.0 + 20.0);
        done.push_back(finished);
    };
    const auto result = bench.sweep(control);
    QCOMPARE(std::int64_t(seen.size()), result.patches);
    QCOMPARE(done.back(), 30.0);
    QVERIFY(std::is_sorted(done.begin(), done.end()));
    for (const auto& each : seen)
        QCOMPARE(each.value, cell(result, each.site, each.head, each.column, each.map));
}

void PatchingTest::stopKeepsWhatWasHandedOut()
{
    auto bench = copying({{"memory_limit", 1e-6}});
    std::stop_source source;
    std::size_t seen = 0;
    PatchControl control;
    control.stop = source.get_token();
    control.cells = [&](std::span<const PatchCell> cells) {
        seen += cells.size();
        if (seen == 3)
            source.request_stop();
    };
    QVERIFY_EXCEPTION_THROWN(bench.sweep(control), core::Cancelled);
    QCOMPARE(seen, std::size_t(3));
    QVERIFY_EXCEPTION_THROWN(Patching(bench.executor, bench.model.weights, bench.model.card, bench.request, source.get_token()), core::Cancelled);
}

void PatchingTest::outputOfACellIsThatRun()
{
    const auto bench = benchFor("gpt", unscaled({{"components", {"resid_mid", "z"}}, {"by_head", true}}));
    const auto patching = bench.patching();
    for (const PatchCell& each : {PatchCell{0, 1, 0, 9, 0}, PatchCell{1, 2, 3, 4, 0}}) {
        const auto expected = bruteForce(bench, patching.maps()[each.map], each, true, -1);
        QVERIFY((patching.outputOf(each) - expected).abs().max().item<double>() < 1e-5);
    }
    QVERIFY_EXCEPTION_THROWN(patching.outputOf({0, 1, 1, 0, 0}), core::InputError);
    QVERIFY_EXCEPTION_THROWN(patching.outputOf({2, 0, 0, 0, 0}), core::InputError);
}

void PatchingTest::modelsThatGiveProbabilitiesAreReadAsSuch_data()
{
    QTest::addColumn<QString>("metric");
    for (const char* metric : {"probability", "log_probability", "kl", "logit_difference"})
        QTest::newRow(metric) << metric;
}

// The softmax behind a model is no second one: all metrics are those of the logits.
void PatchingTest::modelsThatGiveProbabilitiesAreReadAsSuch()
{
    QFETCH(QString, metric);
    const core::Json settings = {{"components", {"resid_mid"}}, {"metric", {{"id", metric.toStdString()}, {"normalised", false}}}};
    const auto bench = benchFor("gpt", settings);
    auto ending = bench.model;
    auto data = ending.graph->data();
    const auto made = graph::ValueId(data.values.size());
    data.values.push_back({"share", "Tensor"});
    graph::Node node{"share",
                     "aten::softmax",
                     "int",
                     "",
                     {data.body.outputs[0], graph::Operand::literal(std::int64_t(-1)), graph::Operand::literal({})},
                     {made},
                     {},
                     ""};
    data.body.nodes.push_back(std::move(node));
    data.body.outputs[0] = graph::Operand::of(made);
    ending.graph = std::make_shared<const graph::Graph>(std::move(data));
    const Bench same(ending, bench.request.clean[0].toTensor(), bench.request.corrupted[0].toTensor(), settings);
    const auto expected = bench.sweep().maps[0].cells, got = same.sweep().maps[0].cells;
    QVERIFY(expected.abs().max().item<double>() > 1e-3);
    QVERIFY2((expected - got).abs().max().item<double>() < 1e-4, qPrintable(QString::number((expected - got).abs().max().item<double>())));
}

void PatchingTest::largestChangesAreOrdered()
{
    const auto before = at::tensor({0.0, 0.0, 0.0, 0.0}), after = at::tensor({std::log(6.0), std::log(2.0), std::log(1.0), std::log(1.0)});
    const auto changes = intervene::largestChanges(before, after, 2);
    QCOMPARE(changes.size(), std::size_t(2));
    QCOMPARE(changes[0].index, 0);
    QVERIFY(std::abs(changes[0].reference - 0.25) < 1e-12 && std::abs(changes[0].value - 0.6) < 1e-12);
    QVERIFY(std::abs(changes[1].value - 0.1) < 1e-12);
    const auto top = intervene::mostProbable(before, after, 10);
    QCOMPARE(top.size(), std::size_t(4));
    QCOMPARE(top[1].index, 1);
}

void PatchingTest::modelsWithAFixedBatchRunOneByOne()
{
    // A reshape to one row, as a trace with batch size 1 holds it.
    graph::Builder builder("fixed");
    const auto x = builder.input("x", "float32", {"1", "6"});
    const auto hidden = builder.op("aten::tanh", {builder.linear("fc", x, 6, 8)});
    const auto y = builder.linear("head", builder.reshape(hidden, {1, 8}), 8, 4);
    auto model = builder.finish({{"y", y}});
    model.weights = graph::initialize(*model.graph, 3);
    const Bench bench(model, noise({1, 6}, 1), noise({1, 6}, 2), unscaled({{"components", {"op:tanh"}}}));
    const auto result = bench.sweep();
    QCOMPARE(result.runs, 8);
    QVERIFY(worstAgainstBruteForce(bench) < 1e-5);
}

void PatchingTest::layersAndPositionsCountFromTheEnd()
{
    const auto result = copying({{"layers", {-1}}, {"positions", {0, -1}}}).sweep();
    QCOMPARE(result.maps[0].sites, std::vector<std::string>{"1"});
    QCOMPARE(result.maps[0].columns, (std::vector<std::int64_t>{0, 4}));
    QCOMPARE(cell(result, 0, 0, 0), 0.0);
    QCOMPARE(cell(result, 0, 0, 1), 1.0);
}

void PatchingTest::badRequestsAreExplained_data()
{
    QTest::addColumn<QString>("settings");
    QTest::addColumn<QString>("message");
    QTest::newRow("unknown component") << R"({"components": ["resid_prae"]})"
                                       << "resid_prae";
    QTest::newRow("no component") << R"({"components": []})"
                                  << "expected a list of at least 1 element";
    QTest::newRow("component that is not there") << R"({"components": ["mlp_out"]})"
                                                 << "\"blocks.0.mlp_out\"";
    QTest::newRow("weights alone") << R"({"components": ["blocks.*.attn.*.weight"]})"
                                   << "names weights or sizes alone";
    QTest::newRow("no batch axis") << R"({"components": ["mask.triu"]})"
                                   << "cannot be patched";
    QTest::newRow("layer") << R"({"layers": [2]})"
                           << "layer 2: expected -2..1";
    QTest::newRow("position") << R"({"positions": [5]})"
                              << "position 5 of resid: expected -5..4";
    QTest::newRow("heads of a value without") << R"({"by_head": true})"
                                              << "expected components such as z, q, k, v, pattern";
    QTest::newRow("direction") << R"({"direction": "both"})"
                               << "expected one of \"denoise\", \"noise\"";
    QTest::newRow("metric") << R"({"metric": "accuracy"})"
                            << "accuracy";
    QTest::newRow("position of the metric") << R"({"metric": {"id": "kl", "position": 9}})"
                                            << "position 9: expected -5..4";
    QTest::newRow("memory") << R"({"memory_limit": 0})"
                            << "memory_limit";
    QTest::newRow("output") << R"({"output": 1})"
                            << "expected output 1";
}

void PatchingTest::badRequestsAreExplained()
{
    QFETCH(QString, settings);
    QFETCH(QString, message);
    const auto text = copying(core::Json::parse(settings.toStdString())).failure();
    QVERIFY2(text.contains(message), qPrintable(text));
}

void PatchingTest::differentLengthsGiveBothShapes()
{
    auto bench = copying(nullptr);
    bench.request.corrupted = {tokens({1, 2, 3})};
    QCOMPARE(bench.failure(),
             "input \"tokens\": expected the same shape twice (texts: the same number of tokens), got clean [1, 5] and corrupted [1, 3]");
    bench.request.clean = bench.request.corrupted = {at::zeros({2, 5}, at::kLong)};
    QVERIFY2(bench.failure().contains("expected one sample, [1, ...], got [2, 5]"), qPrintable(bench.failure()));
    bench.request.clean = bench.request.corrupted = {at::zeros({1, 0}, at::kLong)};
    QVERIFY(bench.failure() != "nothing was thrown");
}

void PatchingTest::nanInputIsRefused()
{
    auto bench = benchFor("resnet", {{"components", {"op:relu"}}});
    bench.request.clean = {at::full({1, 3, 32, 32}, std::nan(""))};
    QVERIFY2(bench.failure().contains("clean run holds NaN"), qPrintable(bench.failure()));
}

QTEST_APPLESS_MAIN(PatchingTest)
#include "patching_test.moc"
