#include <iostream>

#include <ATen/Context.h>

#include <core/base/devices.h>
#include <core/base/text.h>
#include <core/debug/operator_rules.h>
#include <core/debug/random_graphs.h>
#include <core/explain/attribution.h>
#include <core/explain/quadrature.h>
#include <core/graph/builder.h>
#include <core/graph/executor.h>
#include <core/intervene/direct_logit_attribution.h>
#include <core/intervene/intervention.h>
#include <core/intervene/lens.h>
#include <core/intervene/patching.h>
#include <core/intervene/pca.h>
#include <core/intervene/similarity.h>
#include <core/intervene/umap.h>
#include <core/scaling/fit.h>
#include <core/symbolic/study.h>
#include <core/train/catalogue.h>
#include <core/zoo/zoo.h>

#include "cli.h"
#include "selftest.h"

namespace orrery::cli {
namespace {

// The product of float matrices against sums in double, relative to the size of the terms.
double gemmError()
{
    const auto a = noise({61, 130}, 1), b = noise({130, 47}, 2);
    const auto exact = at::matmul(a.to(at::kDouble), b.to(at::kDouble)), scale = at::matmul(a.abs().to(at::kDouble), b.abs().to(at::kDouble));
    return largest((at::matmul(a, b).to(at::kDouble) - exact) / scale);
}

graph::Model doubled(graph::Model model)
{
    model.graph = graph::moved(model.graph, c10::kCPU, at::kDouble);
    model.weights = model.weights.to(c10::kCPU, at::kDouble);
    return model;
}

// Gradient of a small network's loss at one weight against central differences in double.
double gradientError()
{
    auto model = doubled(zoo::buildModel("mlp", {{"features", 6}, {"hidden", {5}}, {"classes", 3}}, 7));
    const graph::Executor executor(model.graph);
    const auto x = noise({4, 6}, 3, at::kDouble);
    const auto name = model.graph->data().parameters[0].name;
    const auto loss = [&](const graph::Weights& weights, graph::Gradients gradients) {
        graph::RunRequest request;
        request.inputs = {x};
        request.gradients = gradients;
        return executor.run(weights, request).tensor().log_softmax(1).select(1, 0).sum();
    };
    auto weights = model.weights.clone();
    auto leaf = weights.at(name).clone().requires_grad_(true);
    weights.set(name, leaf);
    loss(weights, graph::Gradients::Parameters).backward();
    double worst = 0;
    for (std::int64_t i = 0; i < leaf.numel(); ++i) {
        const double step = 1e-6;
        double sides[2];
        for (int side = 0; side < 2; ++side) {
            auto moved = model.weights.clone();
            moved.at(name).view(-1)[i] += side ? step : -step;
            sides[side] = loss(moved, graph::Gradients::None).item<double>();
        }
        worst = std::max(worst, std::abs((sides[1] - sides[0]) / (2 * step) - leaf.grad().view(-1)[i].item<double>()));
    }
    return worst;
}

// Two runs with the same seed give the same dropout, another step another one.
double randomError()
{
    graph::Builder builder("random");
    const auto x = builder.input("x", "float32", {"batch", "100"});
    const auto model = builder.finish({{"y", builder.dropout("dropout", x, 0.5)}});
    const graph::Executor executor(model.graph);
    const auto run = [&](std::uint64_t step) {
        graph::RunRequest request;
        request.inputs = {at::ones({8, 100})};
        request.training = true;
        request.seed = 5;
        request.step = step;
        return executor.run(model.weights, request).tensor();
    };
    const auto first = run(1);
    return largest(first - run(1)) + (at::equal(first, run(2)) ? 1 : 0);
}

// Resuming from kept values equals the run from the start.
double resumeError()
{
    const auto model = zoo::buildModel("lenet", core::Json::object(), 3);
    const graph::Executor executor(model.graph);
    graph::RunRequest whole;
    for (const auto& input : model.card.inputs) {
        std::vector<std::int64_t> shape = {2};
        for (std::size_t i = 1; i < input.shape.size(); ++i)
            shape.push_back(std::stoll(input.shape[i]));
        whole.inputs.push_back(noise(shape, 9));
    }
    whole.keep = {"**"};
    const auto kept = executor.run(model.weights, whole);
    const auto* middle = model.graph->allNodes()[model.graph->allNodes().size() / 2];
    graph::RunRequest again;
    again.inputs = whole.inputs;
    again.resumeFrom = &kept.values;
    again.changed[middle->name] = kept.values.at(middle->name);
    return largest(executor.run(model.weights, again).tensor() - kept.tensor());
}

double quadratureError()
{
    const auto rule = explain::quadrature("gausslegendre", 8);
    double worst = 0;
    for (int power = 0; power <= 15; ++power) {
        double sum = 0;
        for (std::size_t i = 0; i < rule.nodes.size(); ++i)
            sum += rule.weights[i] * std::pow(rule.nodes[i], power);
        worst = std::max(worst, std::abs(sum - 1.0 / (power + 1)));
    }
    return worst;
}

double completenessError()
{
    auto model = doubled(zoo::buildModel("mlp", {{"features", 8}, {"hidden", {16}}, {"classes", 4}, {"activation", "gelu"}}, 11));
    const graph::Executor executor(model.graph);
    explain::AttributionRequest request;
    request.inputs = {noise({3, 8}, 12, at::kDouble)};
    request.parameters = {{"n_steps", 64}};
    return largest(explain::attribute(executor, model.weights, "integrated_gradients", request).completenessError);
}

// DeepLIFT's multipliers against summation to delta, layer conductance against the layer's exact share, on networks in double.
double deepLiftError()
{
    const core::Json parameters = {{"image_size", 12}, {"maps", {3, 4}}, {"kernel", 3},         {"padding", 1},
                                   {"pooling", "max"}, {"hidden", {8}},  {"activation", "relu"}};
    const auto model = doubled(zoo::buildModel("lenet", parameters, 5));
    explain::AttributionRequest request;
    request.inputs = {noise({2, 1, 12, 12}, 4, at::kDouble)};
    request.parameters = {{"baseline", 0.25}};
    return largest(explain::attribute(graph::Executor(model.graph), model.weights, "deep_lift", request).completenessError);
}

// Planes that need runways of length 1, 2, 4 and 7: each stretch is paid in equal parts by those who need it (Littlechild & Owen 1973).
double shapleyError()
{
    graph::Builder builder("airport");
    const auto x = builder.input("x", "float64", {"batch", "4"});
    const auto model = builder.finish({{"cost", builder.op("aten::amax", {x, std::vector<std::int64_t>{1}})}});
    explain::AttributionRequest request;
    request.inputs = {at::tensor(std::vector<double>{1, 2, 4, 7}, at::kDouble).unsqueeze(0)};
    const auto shares = at::tensor(std::vector<double>{1.0 / 4, 1.0 / 4 + 1.0 / 3, 1.0 / 4 + 4.0 / 3, 1.0 / 4 + 13.0 / 3}, at::kDouble);
    double worst = 0;
    for (const char* method : {"shapley_values", "kernel_shap"}) {
        request.parameters = core::Json::object();
        if (std::string_view(method) == "kernel_shap")
            request.parameters["n_samples"] = 16;
        worst = std::max(worst, largest(explain::attribute(graph::Executor(model.graph), {}, method, request).attribution[0] - shares));
    }
    return worst;
}

// Relevance of a bias-free network is conserved, merged batch norm and residual sums included.
double relevanceError()
{
    auto model = doubled(zoo::buildModel("resnet", {{"depth", 8}, {"image_size", 8}, {"width", 4}}, 5));
    for (const auto& [name, tensor] : std::map(model.weights.tensors()))
        if (name.ends_with(".bias") || name.ends_with("running_mean"))
            model.weights.set(name, at::zeros_like(tensor));
    explain::AttributionRequest request;
    request.inputs = {noise({2, 3, 8, 8}, 4, at::kDouble)};
    request.parameters = {{"rule", "composite"}};
    const auto result = explain::attribute(graph::Executor(model.graph), model.weights, "lrp", request);
    return largest(result.completenessError) / std::max(1.0, largest(result.attribution));
}

double conductanceError()
{
    const auto model = doubled(zoo::buildModel("mlp", {{"features", 6}, {"hidden", {5}}, {"classes", 3}}, 7));
    const auto x = noise({4, 6}, 3, at::kDouble);
    explain::AttributionRequest request;
    request.inputs = {x};
    request.target = 1;
    request.site = "op:relu";
    request.parameters = {{"method", "riemann_trapezoid"}};
    const auto result = explain::attribute(graph::Executor(model.graph), model.weights, "layer_conductance", request);
    const auto hidden = [&](const at::Tensor& in) { return at::linear(in, model.weights.at("fc1.weight"), model.weights.at("fc1.bias")).relu(); };
    return largest(result.attribution - model.weights.at("out.weight")[1] * (hidden(x) - hidden(at::zeros_like(x))));
}

graph::Model smallTransformer()
{
    return doubled(zoo::buildModel("gpt", {{"vocabulary", 20}, {"block_length", 12}, {"layers", 3}, {"heads", 2}, {"width", 16}}, 3));
}

double logitLensError()
{
    const auto model = smallTransformer();
    const graph::Executor executor(model.graph);
    return intervene::logitLens({executor, model}, at::arange(12, at::kLong).unsqueeze(0), {}).finalDifference;
}

double directLogitError()
{
    const auto model = smallTransformer();
    const graph::Executor executor(model.graph);
    double worst = 0;
    for (const std::int64_t position : {0, 5, 11})
        worst = std::max(
            worst, std::abs(intervene::directLogitAttribution({executor, model}, at::arange(12, at::kLong).unsqueeze(0), {position, 7, 3}).error));
    return worst;
}

// The residual stream of another text gives that text's answer; written back unchanged it gives the own one, to the last bit.
double interchangeError()
{
    const auto model = smallTransformer();
    const graph::Executor executor(model.graph);
    const auto own = at::arange(12, at::kLong).unsqueeze(0), other = own * 7 % 20;
    const auto document =
        intervene::InterventionDocument::fromJson(core::Json::array({{{"at", "blocks.1.resid_pre"}, {"do", "interchange"}, {"source", "other"}}}));
    double worst = 0;
    for (const auto& source : {own, other})
        worst = std::max(
            worst,
            largest(intervene::runIntervened(executor, model.weights, model.card, document, {{own}, {{"other", {source}}}, {}, {}, 0}).intervened -
                    executor.forward(model.weights, {source})));
    return worst;
}

// Patches run as rows of batches from kept values against one whole run a patch.
double patchingError()
{
    const auto model = smallTransformer();
    const graph::Executor executor(model.graph);
    const auto tokens = at::arange(12, at::kLong).unsqueeze(0);
    const intervene::PatchRequest request{
        {tokens}, {tokens * 7 % 20}, {{"components", {"resid_mid"}}, {"metric", {{"id", "kl"}, {"normalised", false}}}}};
    const intervene::Patching patching(executor, model.weights, model.card, request);
    const auto result = patching.sweep();
    double worst = 0;
    for (std::int64_t position = 0; position < 12; ++position) {
        const auto& value = result.maps[0].values[1];
        graph::RunRequest clean, patched;
        clean.inputs = request.clean;
        clean.keep = {value};
        const auto source = executor.run(model.weights, clean).value(value);
        patched.inputs = request.corrupted;
        patched.probes = {graph::Probe::replacing(value, [&](const std::string&, const c10::IValue& content) -> c10::IValue {
            const auto copy = content.toTensor().clone();
            copy[0][position].copy_(source[0][position]);
            return copy;
        })};
        const auto logits = executor.run(model.weights, patched).tensor().select(1, 11);
        worst = std::max(worst, largest(patching.metric()(logits) - result.maps[0].cells[1][0][position]));
    }
    return worst;
}

// AdamW on f(w) = w^2 / 2 against the recurrence written out in double.
double adamwError()
{
    auto w = at::full({1}, 1.0, at::kDouble).requires_grad_(true);
    std::vector<train::Trainable> parameters = {{"w", w, true}};
    const auto optimizer = train::makeOptimizer({{"id", "adamw"}, {"lr", 0.1}, {"weight_decay", 0.01}}, parameters);
    double m = 0, v = 0, x = 1;
    for (int t = 1; t <= 20; ++t) {
        const at::Tensor gradients[] = {w.detach().clone()};
        optimizer->step(gradients, 0.1);
        const double g = x;
        x -= 0.1 * 0.01 * x;
        m = 0.9 * m + 0.1 * g;
        v = 0.999 * v + 0.001 * g * g;
        x -= 0.1 * (m / (1 - std::pow(0.9, t))) / (std::sqrt(v / (1 - std::pow(0.999, t))) + 1e-8);
    }
    return std::abs(w.item<double>() - x);
}

// CKA does not change by rotation, scale and shift; UMAP's curve is the published one; PCA rebuilds what it took apart.
double ckaError()
{
    const auto x = noise({60, 12}, 31, at::kDouble), y = x.slice(1, 0, 5).square() + noise({60, 5}, 32, at::kDouble);
    const auto turned = at::matmul(x, std::get<0>(at::linalg_qr(noise({12, 12}, 33, at::kDouble)))) * 7 + 2;
    return std::abs(intervene::similarity("cka", x, y) - intervene::similarity("cka", turned, y)) +
           std::abs(intervene::similarity("cka", x, turned) - 1);
}

double umapCurveError()
{
    const auto [a, b] = intervene::umapCurve(0.1, 1);
    return std::max(std::abs(a - 1.577), std::abs(b - 0.895));
}

double pcaError()
{
    const auto x = noise({40, 6}, 34, at::kDouble);
    const auto pca = intervene::fitPca(x, 6);
    return largest(pca.inverse(pca.transform(x)) - x);
}

// The constants of Hoffmann et al. (2022) out of the losses they give, relative.
double scalingError()
{
    const std::vector<double> truth = {1.69, 406.4, 410.7, 0.34, 0.28};
    const auto law = scaling::makeLaw("chinchilla");
    scaling::Points points;
    points.inputNames = law->inputs();
    points.inputs.resize(2);
    for (int i = 0; i < 8; ++i)
        for (int k = 0; k < 8; ++k) {
            points.inputs[0].push_back(5e7 * std::pow(2, i));
            points.inputs[1].push_back(5e9 * std::pow(2, k));
            points.places.emplace_back();
        }
    points.loss = law->predict(truth, points.inputs);
    jobs::DirectContext context;
    const auto fit = scaling::fitLaw(*law, points, {}, {true, 100, 0}, context);
    double error = 0;
    for (std::size_t k = 0; k < truth.size(); ++k)
        error = std::max(error, std::abs(fit.parameters[k] / truth[k] - 1));
    return error;
}

// A formula's rewritten gradient against central differences, and its rewritten values against those as typed.
double formulaError()
{
    const auto x = noise({4, 3}, 5, at::kDouble), w = noise({3, 2}, 6, at::kDouble), y = noise({4, 2}, 7, at::kDouble);
    const auto study = symbolic::studyFormula(
        {"mean((log(1 + exp(matmul(x, w))) - y)^2) + sum(w * w) + sum(w * w)", {{"x", x}, {"w", w}, {"y", y}}, {{"w"}, {"x"}}});
    double worst = study.original.difference;
    for (const auto& each : study.derivatives)
        worst = std::max({worst, each.part.difference, each.centralDifference});
    return worst;
}

// Random graphs that do not agree on all ways to run them, and calls that learned rules judge wrongly though they were learned from.
double randomGraphError()
{
    const auto report = debug::checkRandomGraphs(25, 1);
    const auto calls = debug::recordCalls(40, 1);
    const auto quality = debug::judgeRules(debug::OperatorRules::learn(calls), calls);
    return double(report.disagreements.size()) + double(quality.valid - quality.accepted) / double(std::max(quality.valid, 1));
}

std::vector<Check> joined(std::vector<Check> checks, const std::vector<Check>& more)
{
    checks.insert(checks.end(), more.begin(), more.end());
    return checks;
}

const std::vector<Check>& checks()
{
    static const std::vector<Check> kChecks = joined(
        {
            {"gemm", "float product against sums in double, relative", 1e-6, gemmError},
            {"executor.gradient", "gradient against central differences in double", 1e-8, gradientError},
            {"executor.random", "random operators repeat by seed and step", 0, randomError},
            {"executor.resume", "resuming from kept values equals the whole run", 0, resumeError},
            {"explain.quadrature", "Gauss-Legendre with 8 points integrates x^0..x^15", 1e-15, quadratureError},
            {"explain.completeness", "integrated gradients add up to the change of the output", 1e-10, completenessError},
            {"explain.deep_lift", "DeepLIFT through convolutions, relu and max pooling adds up to the change", 1e-11, deepLiftError},
            {"explain.shapley", "exact Shapley values and complete kernel SHAP of the airport game", 1e-12, shapleyError},
            {"explain.relevance", "relevance of a bias-free residual network is conserved by the composite rule", 1e-6, relevanceError},
            {"explain.conductance", "layer conductance under a linear head equals weight times the layer's change", 1e-12, conductanceError},
            {"intervene.logit_lens", "the logit lens at the last layer is the model itself", 0, logitLensError},
            {"intervene.direct_logit", "direct logit attribution adds up to the logit in double", 1e-12, directLogitError},
            {"intervene.interchange", "an interchanged residual stream gives the source's answer", 0, interchangeError},
            {"intervene.patching", "patches in batches against one whole run each", 1e-10, patchingError},
            {"train.adamw", "AdamW against its recurrence in double", 1e-12, adamwError},
            {"intervene.cka", "linear CKA under rotation, scale and shift", 1e-10, ckaError},
            {"intervene.pca", "all principal components rebuild the rows", 1e-12, pcaError},
            {"intervene.umap_curve", "UMAP's a and b for min_dist 0.1 and spread 1", 1e-3, umapCurveError},
            {"symbolic.formula", "a rewritten formula's gradients against central differences, its values against those as typed", 1e-7,
             formulaError},
            {"debug.random_graphs", "random graphs agree on all ways to run them; learned rules accept the calls they come from", 0,
             randomGraphError},
            {"scaling.chinchilla", "all five parameters of Chinchilla's law out of its own losses, relative", 1e-8, scalingError},
        },
        cudaChecks());
    return kChecks;
}

Exit selftest(Session& session, const std::string& pattern)
{
    session.applyThreads();
    core::Json document = {{"checks", core::Json::array()}};
    int failed = 0, passed = 0, skipped = 0;
    for (const auto& check : checks()) {
        if (!pattern.empty() && !core::matchesGlob(pattern, check.name) && std::string(check.name).find(pattern) == std::string::npos)
            continue;
        if (session.stopToken().stop_requested())
            throw core::Cancelled();
        core::Json entry = {{"name", check.name}, {"what", check.what}, {"tolerance", check.tolerance}};
        std::string line;
        try {
            const double error = check.error();
            const bool ok = error <= check.tolerance;
            entry["error"] = error;
            entry["status"] = ok ? "passed" : "failed";
            line = fmt::format("{} (error {:.3g}, tolerance {:.3g})", ok ? "PASS" : "FAIL", error, check.tolerance);
            ok ? ++passed : ++failed;
        } catch (const Skip& skip) {
            entry["status"] = "skipped";
            entry["why"] = skip.why;
            line = "SKIP (" + skip.why + ")";
            ++skipped;
        } catch (const std::exception& error) {
            entry["status"] = "failed";
            entry["why"] = error.what();
            line = std::string("FAIL (") + error.what() + ")";
            ++failed;
        }
        document["checks"].push_back(entry);
        if (!session.json)
            std::cout << fmt::format("{:<24} {}: {}\n", check.name, check.what, line);
    }
    if (passed + failed + skipped == 0)
        throw core::InputError(fmt::format("no check fits \"{}\"", pattern));
    document["passed"] = passed;
    document["failed"] = failed;
    document["skipped"] = skipped;
    if (session.json)
        session.print(document);
    else
        std::cout << fmt::format("{} passed, {} failed, {} skipped\n", passed, failed, skipped);
    return failed ? Exit::Failed : Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareSelftest(CLI::App& app)
{
    auto pattern = std::make_shared<std::string>();
    app.add_option("pattern", *pattern, "Part of a check's name, or a pattern such as cuda.*.");
    return [pattern](Session& session) { return selftest(session, *pattern); };
}

}  // namespace orrery::cli
