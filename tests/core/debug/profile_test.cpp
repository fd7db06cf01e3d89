// Counted FLOPs and bytes of an encoder layer against closed forms written down here; what a profile adds up to; fusion candidates.
#include <core/base/files.h>
#include <core/debug/flame.h>

#include <ATen/Parallel.h>

#include <QTemporaryDir>
#include <QtTest>

#include <algorithm>

#include "../graph/sample_graphs.h"

using namespace orrery;
using namespace orrery::debug;
using graph::Builder;
using graph::Model;

namespace {

constexpr std::int64_t kBatch = 2, kLength = 16, kWidth = 32, kHeads = 4, kHidden = 64;

/// A post-norm encoder layer as in BERT: q, k, v, scores, scale, mask, softmax, context, projection, residual, norm, feed-forward with GELU, residual, norm.
Model encoderLayer()
{
    Builder builder("encoder");
    const auto x = builder.input("x", "float32", {"batch", "length", std::to_string(kWidth)}, "float");
    const auto mask = builder.input("mask", "float32", {"batch", "1", "1", "length"}, "float");
    const std::int64_t perHead = kWidth / kHeads;
    const auto heads = [&](const char* name) {
        const auto rows = builder.linear(name, x, kWidth, kWidth);
        return builder.transpose(builder.reshape(rows, {kBatch, kLength, kHeads, perHead}), 1, 2);
    };
    Builder::Var attended = [&] {
        const Builder::Scope scope = builder.module("attention", "Attention");
        const auto q = heads("q"), k = heads("k"), v = heads("v");
        const auto scores = builder.op("aten::matmul", {q, builder.transpose(k, 2, 3)}, "scores");
        const auto scaled = builder.op("aten::mul.Scalar", {scores, 1 / std::sqrt(double(perHead))}, "scaled");
        const auto masked = builder.op("aten::add.Tensor", {scaled, mask, 1}, "masked");
        const auto pattern = builder.softmax(masked, -1);
        const auto context = builder.op("aten::matmul", {pattern, v}, "context");
        const auto rows = builder.reshape(builder.transpose(context, 1, 2), {kBatch, kLength, kWidth});
        return builder.linear("out", rows, kWidth, kWidth);
    }();
    const auto first = builder.layerNorm("norm1", builder.add(x, attended), kWidth);
    const auto hidden = builder.gelu(builder.linear("fc1", first, kWidth, kHidden));
    const auto second = builder.linear("fc2", hidden, kHidden, kWidth);
    return graph::withWeights(builder.finish({{"out", builder.layerNorm("norm2", builder.add(first, second), kWidth)}}));
}

Profile profiled(const Model& model, std::vector<c10::IValue> inputs)
{
    ProfileOptions options;
    options.runs = 3;
    options.warmUp = 1;
    return profileModel(graph::Executor(model.graph), model.weights, inputs, options);
}

std::vector<c10::IValue> encoderInputs()
{
    return {at::randn({kBatch, kLength, kWidth}), at::zeros({kBatch, 1, 1, kLength})};
}

const NodeCost& nodeOf(const Profile& profile, const std::string& name)
{
    const auto it = std::find_if(profile.nodes.begin(), profile.nodes.end(), [&](const auto& node) { return node.name == name; });
    if (it == profile.nodes.end())
        throw core::InputError("no node " + name);
    return *it;
}

}  // namespace

class ProfileTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { at::set_num_threads(1); }

    void theEncoderLayerEqualsItsClosedForms()
    {
        const Profile profile = profiled(encoderLayer(), encoderInputs());
        const std::int64_t rows = kBatch * kLength, d = kWidth, h = kHidden, scores = kBatch * kHeads * kLength * kLength;
        const std::int64_t perHead = kWidth / kHeads;
        // FLOPs: a product of [m, k] by [k, n] is 2mkn, a bias n a row; softmax and layer norm 5 an element; other arithmetic 1.
        const std::int64_t projections = 4 * rows * d * (2 * d + 1), products = 2 * (2 * scores * perHead);
        const std::int64_t attention = scores /* scale */ + scores /* mask */ + 5 * scores /* softmax */;
        const std::int64_t feedForward = rows * h * (2 * d + 1) + rows * h /* gelu */ + rows * d * (2 * h + 1);
        const std::int64_t rest = 2 * rows * d /* residuals */ + 2 * 5 * rows * d /* norms */;
        QCOMPARE(profile.flops(), projections + products + attention + feedForward + rest);
        // Bytes, 4 an element: everything read once and written once; views nothing; only the context is copied when heads are joined.
        const std::int64_t activations = rows * d, hidden = rows * h;
        const std::int64_t linears = 4 * (activations + d * d + d + activations);
        const std::int64_t scored = (2 * activations + scores) + (scores + scores) + (scores + kBatch * kLength + scores) + (scores + scores) +
                                    (scores + activations + activations) + 2 * activations;
        const std::int64_t fed = (activations + d * h + h + hidden) + (hidden + hidden) + (hidden + d * h + d + activations);
        const std::int64_t normed = 2 * (3 * activations) + 2 * (2 * activations + 2 * d);
        QCOMPARE(profile.bytes(), 4 * (linears + scored + fed + normed));
        QCOMPARE(nodeOf(profile, "attention.scores").intensity(), double(2 * scores * perHead) / double(4 * (2 * activations + scores)));
        QCOMPARE(nodeOf(profile, "fc1.linear").parameterBytes, 4 * (d * h + h));
        QCOMPARE(nodeOf(profile, "attention.transpose").bytes(), std::int64_t(0));
    }

    void modulesAndOperatorsAreSumsOfTheirNodes()
    {
        const Profile profile = profiled(encoderLayer(), encoderInputs());
        QCOMPARE(profile.modules.front().name, std::string());
        QCOMPARE(profile.modules.front().flops, profile.flops());
        QCOMPARE(profile.modules.front().bytes, profile.bytes());
        QCOMPARE(profile.modules.front().nodes, int(profile.nodes.size()));
        std::int64_t flops = 0, nodes = 0;
        for (const auto& group : profile.operators) {
            flops += group.flops;
            nodes += group.nodes;
        }
        QCOMPARE(flops, profile.flops());
        QCOMPARE(nodes, std::int64_t(profile.nodes.size()));
        for (const auto& node : profile.nodes)
            QVERIFY(node.seconds >= node.quickest && node.quickest > 0);
        QVERIFY(profile.plainSeconds > 0 && profile.profiledSeconds > 0);
    }

    void lookUpsReadWhatTheyTake()
    {
        Builder builder("tokens");
        const auto tokens = builder.input("tokens", "int64", {"batch", "length"}, "tokens");
        const Model model = graph::withWeights(builder.finish({{"out", builder.embedding("wte", tokens, 1000, 8)}}));
        const Profile profile = profiled(model, {at::zeros({1, 5}, at::kLong)});
        QCOMPARE(profile.nodes[0].bytesWritten, std::int64_t(5 * 8 * 4));
        QCOMPARE(profile.nodes[0].bytesRead, std::int64_t(5 * 8 * 4 + 5 * 8));
        QCOMPARE(profile.nodes[0].parameterBytes, std::int64_t(1000 * 8 * 4));
    }

    void whatNoOutputNeedsIsNotListed()
    {
        Builder builder("side");
        const auto x = builder.input("x", "float32", {"n"}, "float");
        builder.op("aten::exp", {x}, "unused");
        const Model model = builder.finish({{"out", builder.op("aten::tanh", {x}, "used")}});
        const Profile profile = profiled(model, {at::zeros({4})});
        QCOMPARE(profile.nodes.size(), std::size_t(1));
        QCOMPARE(profile.nodes[0].name, std::string("used"));
    }

    void nodesInLoopsAreCountedOverTheSteps()
    {
        constexpr std::int64_t kSteps = 7, kRow = 50;
        const Model model = graph::loopModel(kSteps);
        const Profile profile = profiled(model, {at::randn({kSteps, kRow}), at::zeros({kRow})});
        QStringList names;
        for (const auto& node : profile.nodes)
            names << QString::fromStdString(node.name);
        QCOMPARE(names, (QStringList{"last", "row", "sum", "cell"}));
        const NodeCost &loop = profile.nodes[0], &row = profile.nodes[1], &sum = profile.nodes[2];
        QCOMPARE(loop.depth, 0);
        QCOMPARE(sum.depth, 1);
        QCOMPARE(sum.line, 0);
        QCOMPARE(loop.calls, 1.0);
        QCOMPARE(sum.calls, double(kSteps));
        QCOMPARE(sum.flops, kSteps * kRow);
        QCOMPARE(profile.flops(), 2 * kSteps * kRow);  // sum and tanh
        QCOMPARE(row.bytes(), std::int64_t(0));        // a view
        QCOMPARE(sum.bytes(), 4 * kSteps * 3 * kRow);
        QCOMPARE(loop.bytes(), std::int64_t(0));
        double inside = 0, own = 0;
        for (std::size_t i = 1; i < profile.nodes.size(); ++i)
            inside += profile.nodes[i].inclusive;
        for (const auto& node : profile.nodes)
            own += node.seconds;
        QVERIFY(loop.inclusive > inside * 0.5);
        QVERIFY(loop.seconds < loop.inclusive);
        QVERIFY(own < 1.5 * loop.inclusive);
        const auto bars = flameBars(profile, "loop");
        QCOMPARE(bars.size(), std::size_t(5));
        QCOMPARE(bars[1].name, std::string("last"));
        QCOMPARE(bars[1].depth, 1);
        double held = loop.seconds;
        for (std::size_t i = 2; i < bars.size(); ++i) {
            QCOMPARE(bars[i].depth, 2);
            held += bars[i].seconds;
        }
        QVERIFY(std::abs(bars[1].seconds - held) < 1e-12);
        QVERIFY(std::abs(bars[0].seconds - held) < 1e-12);
        std::vector<int> depths;
        for (const auto& bar : flameBars(profiled(graph::loopsInLoopModel(), {at::randn({3, 5})}), "loops"))
            depths.push_back(bar.depth);
        QCOMPARE(depths, (std::vector<int>{0, 1, 2, 3, 2, 2, 3}));  // last: rounds: tanh; late; chosen: positive
    }

    void loopsAreTakenApartIntoSteps()
    {
        const Model model = graph::loopsInLoopModel();
        constexpr std::int64_t kElements = 15;
        ProfileOptions options;
        options.runs = 1;
        const Profile profile = profileModel(graph::Executor(model.graph), model.weights, {at::randn({3, 5})}, options);
        QCOMPARE(profile.loops.size(), std::size_t(2));
        const LoopCost &outer = profile.loops[0], &inner = profile.loops[1];
        QCOMPARE(outer.name, std::string("last"));
        QCOMPARE(outer.calls, (std::vector<std::int64_t>{4}));
        QCOMPARE(inner.name, std::string("rounds"));
        QCOMPARE(inner.calls, (std::vector<std::int64_t>{0, 1, 2, 3}));
        QCOMPARE(inner.flops, std::vector<std::int64_t>(6, kElements));
        // Step i: i times tanh, and relu in the last two.
        QCOMPARE(outer.flops, (std::vector<std::int64_t>{0, kElements, 3 * kElements, 4 * kElements}));
        for (const auto& loop : profile.loops) {
            QCOMPARE(loop.flops.size(), loop.steps());
            // What the steps do not take is the loop's own.
            const NodeCost& node = profile.nodes[loop.node];
            QCOMPARE(node.name, loop.name);
            QVERIFY(loop.total <= node.inclusive);
            QVERIFY(std::abs(loop.total + node.seconds - node.inclusive) < 1e-9);
            double sum = 0;
            for (const double seconds : loop.seconds)
                sum += seconds;
            QVERIFY(std::abs(sum - loop.total) < 1e-12);
            QVERIFY(loop.quickest <= loop.median && loop.median <= loop.slowest && loop.slowest == loop.seconds[loop.slowestStep]);
        }
        const NodeCost& tanh = nodeOf(profile, "tanh");
        QCOMPARE(tanh.calls, 6.0);
        QVERIFY(tanh.perCall > 0 && tanh.perCall < tanh.inclusive);
        const auto json = profile.toJson();
        QCOMPARE(json["loops"].size(), std::size_t(2));
        QCOMPARE(json["loops"][1]["steps_of_calls"].dump(), std::string("[0,1,2,3]"));
        QCOMPARE(json["loops"][0]["seconds_of_steps"].size(), std::size_t(4));
        QVERIFY(profiled(graph::residualModel(), {at::randn({5, 6})}).loops.empty());
        QVERIFY_THROWS_EXCEPTION(core::InputError, drawSteps(profiled(graph::residualModel(), {at::randn({5, 6})})));
    }

    void ofABranchOnlyTheTakenSideIsListed()
    {
        const Model model = graph::branchModel();
        QStringList names;
        for (const auto& node : profiled(model, {at::randn({3, 4})}).nodes)
            names << QString::fromStdString(node.name);
        QCOMPARE(names, (QStringList{"rows", "many", "chosen", "positive"}));
    }

    void modulesOfOneTypeAreSummed()
    {
        const Model model = graph::residualModel();
        const Profile profile = profiled(model, {at::randn({5, 6})});
        const auto block = std::find_if(profile.types.begin(), profile.types.end(), [](const auto& group) { return group.name == "Block"; });
        QVERIFY(block != profile.types.end());
        QCOMPARE(block->type, std::string("3 modules"));
        QCOMPARE(block->nodes, 12);
        std::int64_t flops = 0;
        for (const auto& module : profile.modules)
            if (module.type == "Block")
                flops += module.flops;
        QCOMPARE(block->flops, flops);
    }

    void fusionCandidatesSaveWhatLiesBetween()
    {
        const Profile profile = profiled(encoderLayer(), encoderInputs());
        std::map<std::string, FusionCandidate> byPattern;
        for (const auto& candidate : profile.fusion)
            byPattern[candidate.pattern] = candidate;
        const std::int64_t scores = 4 * kBatch * kHeads * kLength * kLength, hidden = 4 * kBatch * kLength * kHidden,
                           rows = 4 * kBatch * kLength * kWidth;
        QVERIFY(byPattern.count("matmul + mul + add + softmax"));
        QCOMPARE(byPattern["matmul + mul + add + softmax"].savedBytes, 2 * 3 * scores);
        QCOMPARE(byPattern["matmul + mul + add + softmax"].nodes,
                 (std::vector<std::string>{"attention.scores", "attention.scaled", "attention.masked", "attention.softmax"}));
        QCOMPARE(byPattern["linear + gelu"].savedBytes, 2 * hidden);
        QVERIFY(byPattern.count("linear + add + layer_norm"));
        QCOMPARE(byPattern["linear + add + layer_norm"].savedBytes, 2 * 2 * rows);
        for (std::size_t i = 1; i < profile.fusion.size(); ++i)
            QVERIFY(profile.fusion[i - 1].savedBytes >= profile.fusion[i].savedBytes);
    }

    void aValueWithTwoReadersIsNotFusedAway()
    {
        Builder builder("shared");
        const auto x = builder.input("x", "float32", {"n"}, "float");
        const auto a = builder.op("aten::exp", {x}, "a");
        const auto b = builder.op("aten::tanh", {a}, "b");
        const Model model = builder.finish({{"out", builder.op("aten::mul.Tensor", {a, b}, "c")}, {"b", b}});
        QVERIFY(profiled(model, {at::zeros({4})}).fusion.empty());
    }

    void theRooflineSplitsAtTheRidge()
    {
        Profile profile;
        profile.peaks = MachinePeaks{100, 10, {}, 1};
        QCOMPARE(profile.peaks->ridge(), 10.0);
        QVERIFY(profile.isMemoryBound(9.9));
        QVERIFY(!profile.isMemoryBound(10.1));
        QCOMPARE(profile.attainable(2), 20.0);
        QCOMPARE(profile.attainable(50), 100.0);
    }

    void theMachinesPeaksAreMeasured()
    {
        PeaksOptions once;
        once.rounds = 1;
        const MachinePeaks peaks = measurePeaks(once);
        QVERIFY2(peaks.bandwidth > 0.5 && peaks.bandwidth < 5000, std::to_string(peaks.bandwidth).c_str());
        QVERIFY(peaks.gigaflops > 0.5);
    }

    void theBestOfSeveralRoundsCounts()
    {
        // What a machine says on which others work: most rounds are disturbed, each in another way.
        const std::vector<MachinePeaks> rounds = {{64, 12, {}, 1}, {249, 9, {}, 1}, {17, 21, {}, 1}, {120, 3, {}, 1}};
        std::size_t next = 0;
        std::stop_source source;
        PeaksOptions options;
        options.rounds = 4;
        options.once = [&] { return rounds[next++]; };
        const MachinePeaks best = measurePeaks(options);
        QCOMPARE(best.gigaflops, 249.0);
        QCOMPARE(best.bandwidth, 21.0);
        QVERIFY2(best.date.starts_with("20") && best.date.ends_with("Z"), best.date.c_str());
        next = 0;
        options.progress = [&](double done, double) { done == 2 ? void(source.request_stop()) : void(); };
        QVERIFY_THROWS_EXCEPTION(core::Cancelled, measurePeaks(options, source.get_token()));
        QCOMPARE(next, std::size_t(2));
        options.rounds = 0;
        QVERIFY(saidBy([&] { measurePeaks(options); }).contains("expected at least one round, got 0"));
    }

    void peaksAreKeptForEachMachine()
    {
        QTemporaryDir folder;
        qputenv("XDG_CACHE_HOME", folder.path().toUtf8());
        const auto file = machinePeaksFile();
        QCOMPARE(QString::fromStdString(file.string()), folder.filePath("orrery/machine-peaks.json"));
        QVERIFY(!keptPeaks(file));
        int measured = 0;
        PeaksOptions options;
        options.rounds = kEnoughRounds;
        options.once = [&] { return MachinePeaks{100.0 + ++measured, 20, {}, 1}; };
        const MachinePeaks first = machinePeaks(false, options);
        QCOMPARE(first.gigaflops, 120.0);
        QVERIFY(machinePeaks(false, options) == first);  // not measured again
        QCOMPARE(measured, kEnoughRounds);
        QCOMPARE(machinePeaks(true, options).gigaflops, 140.0);  // on demand
        QCOMPARE(keptPeaks(file)->gigaflops, 140.0);
        // Another thread count is another machine; the first one's peaks stay.
        const int threads = at::get_num_threads();
        at::set_num_threads(threads + 1);
        QVERIFY(!keptPeaks(file));
        QCOMPARE(machinePeaks(false, options).gigaflops, 160.0);
        at::set_num_threads(threads);
        QCOMPARE(machinePeaks(false, options).gigaflops, 140.0);
        // A file that is no such list is as good as none.
        for (const char* text :
             {"", "{", "[]", R"({"version": 1, "peaks": 3})", R"({"version": 2, "peaks": []})", R"({"version": 1, "peaks": [7, {}]})"}) {
            core::writeFileAtomically(file, text);
            QVERIFY2(!keptPeaks(file), text);
        }
        QCOMPARE(machinePeaks(false, options).gigaflops, 180.0);
        QCOMPARE(keptPeaks(file)->gigaflops, 180.0);
        // Nowhere to keep them: they are measured and told all the same.
        std::filesystem::remove_all(file.parent_path());
        core::writeFileAtomically(file.parent_path(), "a file where the folder should be");
        QCOMPARE(machinePeaks(false, options).gigaflops, 200.0);
        qunsetenv("XDG_CACHE_HOME");
    }

    void peaksThatWereMeasuredOnABusyMachineRise()
    {
        QTemporaryDir folder;
        qputenv("XDG_CACHE_HOME", folder.path().toUtf8());
        keepPeaks({100, 20, "2001-02-03T04:05:06.000Z", kEnoughRounds - 3}, machinePeaksFile());
        MachinePeaks next{90, 10, {}, 1};
        int measured = 0;
        PeaksOptions options;
        options.once = [&] { return ++measured, next; };
        QVERIFY((machinePeaks(false, options) == MachinePeaks{100, 20, "2001-02-03T04:05:06.000Z", kEnoughRounds - 2}));  // slower: no news
        next.bandwidth = 30;
        const MachinePeaks risen = machinePeaks(false, options);
        QCOMPARE(risen.gigaflops, 100.0);
        QCOMPARE(risen.bandwidth, 30.0);
        QVERIFY(risen.date > "2020");
        next.gigaflops = 1;
        machinePeaks(false, options);
        next.gigaflops = 1000;
        QCOMPARE(machinePeaks(false, options).gigaflops, 100.0);  // enough is enough
        QCOMPARE(measured, 3);
        qunsetenv("XDG_CACHE_HOME");
    }

    void theAgeOfPeaksIsTold()
    {
        const auto age = [](const char* then, const char* now) { return peaksAge({1, 1, then, 1}, now); };
        QCOMPARE(age("2026-02-28T23:59:00.000Z", "2026-02-28T23:59:59.000Z"), std::string("today"));
        QCOMPARE(age("2026-02-28T23:59:00.000Z", "2026-03-01T00:01:00.000Z"), std::string("yesterday"));
        QCOMPARE(age("2024-02-28T12:00:00.000Z", "2024-03-01T12:00:00.000Z"), std::string("2 days ago"));  // a leap year
        QCOMPARE(age("2025-03-01T12:00:00.000Z", "2026-03-01T12:00:00.000Z"), std::string("365 days ago"));
        for (const char* odd : {"", "2026", "2026-13-01", "yesterday!", "2026-02-30T00:00:00Z"})
            QCOMPARE(age(odd, "2026-03-01T12:00:00.000Z"), std::string("at an unknown time"));
    }

    void quartilesAreThoseOfNumpy()
    {
        // numpy.percentile(values, [25, 75])
        QCOMPARE(quartilesOf({4, 1, 3, 2}), (std::pair(1.75, 3.25)));
        QCOMPARE(quartilesOf({7, 1, 10, 5, 2}), (std::pair(2.0, 7.0)));
        QCOMPARE(quartilesOf({3}), (std::pair(3.0, 3.0)));
        QCOMPARE(quartilesOf({}), (std::pair(0.0, 0.0)));
        const Profile profile = profiled(encoderLayer(), encoderInputs());
        for (const auto& node : profile.nodes)
            QVERIFY(node.quickest <= node.low && node.low <= node.seconds && node.seconds <= node.high);
        for (const auto& group : profile.modules)
            QVERIFY(group.low <= group.seconds && group.seconds <= group.high);
    }

    void nodesFasterThanThePeakAreTold()
    {
        Profile profile;
        profile.peaks = MachinePeaks{10, 10, {}, 1};
        NodeCost node;
        node.flops = 1'000'000;
        for (const double seconds : {1e-4, 0.97e-4, 0.5e-4}) {  // 10, 10.3 and 20 GFLOP/s
            node.quickest = seconds;
            profile.nodes.push_back(node);
        }
        QCOMPARE(profile.nodesAbovePeak(), 1);
        QVERIFY(profile.peaksNote().starts_with("1 node ran faster than the measured peak"));
        profile.peaks->gigaflops = 20;
        QCOMPARE(profile.peaksNote(), std::string());
        profile.peaks.reset();
        QCOMPARE(profile.nodesAbovePeak(), 0);
    }

    void flameBarsNestInTime()
    {
        Profile profile = profiled(encoderLayer(), encoderInputs());
        const auto bars = flameBars(profile, "encoder");
        double sum = 0;
        for (const auto& node : profile.nodes)
            sum += node.seconds;
        QVERIFY(std::abs(bars[0].seconds - sum) < 1e-12);
        QCOMPARE(std::count_if(bars.begin(), bars.end(), [](const auto& bar) { return bar.name == "attention"; }), std::ptrdiff_t(1));
        std::vector<FlameBar> open;
        for (const auto& bar : bars) {
            while (!open.empty() && open.back().depth >= bar.depth)
                open.pop_back();
            if (!open.empty()) {
                QCOMPARE(open.back().depth, bar.depth - 1);
                QVERIFY(bar.start >= open.back().start - 1e-12);
                QVERIFY(bar.start + bar.seconds <= open.back().start + open.back().seconds + 1e-9);
            }
            open.push_back(bar);
        }
        profile.peaks = MachinePeaks{100, 10, {}, 1};
        QVERIFY(drawFlame(profile, "encoder").items.size() > 10);
        QVERIFY(drawRoofline(profile).items.size() > 10);
        profile.peaks.reset();
        QVERIFY(saidBy([&] { drawRoofline(profile); }).contains("needs the measured peaks"));
    }

    void wrongCountsAreRefused()
    {
        ProfileOptions options;
        options.runs = 0;
        const Model model = encoderLayer();
        QVERIFY(saidBy([&] { profileModel(graph::Executor(model.graph), model.weights, encoderInputs(), options); }).contains("at least one run"));
    }
};

QTEST_APPLESS_MAIN(ProfileTest)
#include "profile_test.moc"
