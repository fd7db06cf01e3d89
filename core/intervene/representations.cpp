#include "representations.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include <core/base/text.h>
#include <core/io/npy.h>
#include <core/io/tensors.h>
#include <core/train/runs.h>

#include "layout.h"

namespace orrery::intervene {
namespace {

core::Json matrixJson(const at::Tensor& matrix)
{
    core::Json rows = core::Json::array();
    const at::Tensor plain = matrix.contiguous();
    const double* next = plain.data_ptr<double>();
    for (std::int64_t row = 0; row < plain.size(0); ++row) {
        core::Json line = core::Json::array();
        for (std::int64_t column = 0; column < plain.size(1); ++column, ++next)
            line.push_back(std::isfinite(*next) ? core::Json(*next) : core::Json());
        rows.push_back(std::move(line));
    }
    return rows;
}

CollectRequest rowsOf(const std::vector<std::string>& places, const ComparisonStudy& study)
{
    CollectRequest request;
    request.places = places;
    request.pooling = study.pooling;
    request.label = Label::None;
    request.limit = study.limit;
    request.seed = study.seed;
    return request;
}

Activations activationsOf(const ComparedModel& side, const data::DataSet& data, const ComparisonStudy& study, const Control& control)
{
    return collectActivations(*side.model, *side.executor, data, study.part,
                              rowsOf(side.places.empty() ? layerPlaces(*side.model) : side.places, study), control);
}

void checkSameRows(const Activations& a, const Activations& b)
{
    if (a.samples != b.samples || a.positions != b.positions)
        throw core::InputError(fmt::format("\"{}\" and \"{}\" do not give the same rows ({} and {}): choose positions last, mean or flatten",
                                           a.values.front(), b.values.front(), a.rows(), b.rows()));
}

// Partial matrices with their names.
Control withNames(const Control& control, const Comparison& names, const ComparisonReady& ready)
{
    Control out = control;
    out.partial = nullptr;
    if (ready)
        out.partial = [names, ready](const at::Tensor& matrix) {
            Comparison partial = names;
            partial.matrix = matrix;
            ready(partial);
        };
    return out;
}

Comparison checkpointsOfOneValue(const std::vector<Activations>& all, Comparison names, const SimilarityMeasure& measure, const Control& control,
                                 const ComparisonReady& ready)
{
    std::vector<at::Tensor> features;
    for (const auto& activations : all)
        features.push_back(activations.features.front());
    names.rows = names.columns;
    names.matrix = similarityMatrix(measure, features, features, withNames(control, names, ready));
    return names;
}

Comparison checkpointsAgainstTheLast(const std::vector<Activations>& all, Comparison names, const SimilarityMeasure& measure, const Control& control,
                                     const ComparisonReady& ready)
{
    names.rows = all.back().values;
    names.matrix = at::full({std::int64_t(names.rows.size()), std::int64_t(all.size())}, std::nan(""), at::kDouble);
    for (std::size_t value = 0; value < names.rows.size(); ++value) {
        const auto last = measure.prepare(all.back().features[value]);
        for (std::size_t step = 0; step < all.size(); ++step) {
            control.report(double(value * all.size() + step), double(names.rows.size() * all.size()), "steps");
            names.matrix[std::int64_t(value)][std::int64_t(step)] = measure.compare(*measure.prepare(all[step].features[value]), *last);
        }
        if (ready)
            ready(names);
    }
    return names;
}

store::NewAnalysis analysisOf(store::RunId run, const char* method, const StudyOrigin& origin)
{
    store::NewAnalysis analysis;
    analysis.run = run;
    analysis.method = method;
    analysis.seconds = origin.seconds;
    analysis.inputs = {{"model", origin.model}, {"data", origin.data}, {"split", origin.split}};
    return analysis;
}

}  // namespace

std::vector<ProbeResult> probeModel(const graph::Model& model, const graph::Executor& executor, const data::DataSet& data, const ProbeStudy& study,
                                    const Control& control, const std::function<void(const ProbeResult&)>& ready)
{
    if (study.train == study.test)
        throw core::InputError(
            fmt::format("probe: expected two parts, one to fit and one to measure, got {} for both", data::splitName(study.train)));
    const core::Json parameters = probeSchema().resolve(study.parameters, "probe");
    CollectRequest request;
    request.places = study.places;
    request.pooling = study.pooling;
    request.label = study.label;
    request.limit = study.limit;
    request.seed = study.seed;
    request.inputs = parameters.at("control").get<bool>();
    if (study.label == Label::None)
        throw core::InputError("probe: expected the label target, token or previous, got none");
    const Activations train = collectActivations(model, executor, data, study.train, request, control);
    const Activations test = collectActivations(model, executor, data, study.test, request, control);
    const auto described = [&](ProbeResult result) {
        result.probe.pooling = poolingText(study.pooling);
        result.probe.label = std::string(labelName(study.label));
        return result;
    };
    auto results = probeValues(train, test, parameters, study.seed, control, [&](const ProbeResult& result) {
        if (ready)
            ready(described(result));
    });
    for (auto& result : results)
        result = described(std::move(result));
    return results;
}

std::vector<std::string> layerPlaces(const graph::Model& model)
{
    if (blockCount(model.card) > 0)
        return {"blocks.*.resid_post"};
    std::vector<std::string> places;
    for (const auto* node : model.graph->allNodes())
        for (const char* op : {"aten::conv1d", "aten::conv2d", "aten::conv3d", "aten::_convolution", "aten::linear", "aten::addmm"})
            if (node->op == op && !node->outputs.empty())
                places.push_back(model.graph->value(node->outputs.front()).name);
    return places.empty() ? std::vector<std::string>{"**"} : places;
}

core::Json Comparison::toJson() const
{
    return {{"rows", rows}, {"columns", columns}, {"matrix", matrixJson(matrix)}, {"samples", samples}};
}

Comparison compareModels(const ComparedModel& a, const ComparedModel& b, const data::DataSet& data, const ComparisonStudy& study,
                         const Control& control, const ComparisonReady& ready)
{
    const auto measure = makeSimilarity(study.metric, study.parameters);
    const bool same = a.model == b.model && a.places == b.places;
    const Activations first = activationsOf(a, data, study, control);
    const Activations second = same ? first : activationsOf(b, data, study, control);
    checkSameRows(first, second);
    Comparison comparison{first.values, second.values, {}, first.rows()};
    comparison.matrix = similarityMatrix(*measure, first.features, second.features, withNames(control, comparison, ready));
    return comparison;
}

Comparison compareCheckpoints(const store::Workspace& workspace, store::RunId run, const std::vector<std::string>& places, const data::DataSet& data,
                              const ComparisonStudy& study, const Control& control, const ComparisonReady& ready)
{
    const auto measure = makeSimilarity(study.metric, study.parameters);
    const auto steps = train::checkpointSteps(workspace, run);
    if (steps.empty()) {
        workspace.run(run);  // throws if there is none
        throw core::InputError(fmt::format("run {} has no checkpoints: train it with train.checkpoint.every and keep", run));
    }
    std::vector<Activations> all;
    Comparison names;
    const auto add = [&](std::optional<std::int64_t> step) {
        const graph::Model model = train::modelOfRun(workspace, run, step);
        const graph::Executor executor(model.graph);
        all.push_back(activationsOf({&model, &executor, places}, data, study, control));
        names.columns.push_back(step ? std::to_string(*step) : "final");
    };
    for (const std::int64_t step : steps)
        add(step);
    add(std::nullopt);
    names.samples = all.front().rows();
    return all.front().values.size() == 1 ? checkpointsOfOneValue(all, std::move(names), *measure, control, ready)
                                          : checkpointsAgainstTheLast(all, std::move(names), *measure, control, ready);
}

std::int64_t storeProbes(store::Workspace& workspace, store::RunId run, const StudyOrigin& origin, const ProbeStudy& study,
                         const std::vector<ProbeResult>& results)
{
    auto analysis = analysisOf(run, "probe", origin);
    analysis.parameters = probeSchema().resolve(study.parameters, "probe");
    analysis.inputs.update({{"train_split", std::string(data::splitName(study.train))},
                            {"at", study.places},
                            {"position", poolingText(study.pooling)},
                            {"label", std::string(labelName(study.label))},
                            {"limit", study.limit},
                            {"seed", study.seed}});
    analysis.results = {{"probes", core::Json::array()}};
    std::vector<LinearProbe> probes;
    for (const auto& result : results) {
        analysis.results["probes"].push_back(result.toJson());
        probes.push_back(result.probe);
    }
    const auto id = workspace.addAnalysis(analysis);
    workspace.addAnalysisArtifact(id, {"probes", "application/x-safetensors", {}}, probesBytes(probes));
    return id;
}

std::int64_t storeComparison(store::Workspace& workspace, store::RunId run, const StudyOrigin& origin, const std::string& other,
                             const ComparisonStudy& study, const Comparison& comparison)
{
    auto analysis = analysisOf(run, "compare_representations", origin);
    analysis.parameters = similarityRegistry().at(study.metric).schema.resolve(study.parameters, study.metric);
    analysis.parameters["metric"] = study.metric;
    analysis.inputs.update({{"position", poolingText(study.pooling)}, {"limit", study.limit}, {"seed", study.seed}});
    if (!other.empty())
        analysis.inputs["other"] = other;
    analysis.results = {{"rows", comparison.rows}, {"columns", comparison.columns}, {"samples", comparison.samples}};
    const auto id = workspace.addAnalysis(analysis);
    workspace.addAnalysisArtifact(id, {"similarity", "application/x-npy", {}}, io::npyBytes(io::toArray(comparison.matrix)));
    return id;
}

std::int64_t storeProjection(store::Workspace& workspace, store::RunId run, const StudyOrigin& origin, const std::string& value,
                             const std::string& method, const core::Json& parameters, std::uint64_t seed, const Projection& projection,
                             const Activations& activations)
{
    auto analysis = analysisOf(run, "projection", origin);
    analysis.parameters = projectionRegistry().at(method).schema.resolve(parameters, method);
    analysis.parameters["method"] = method;
    analysis.inputs.update({{"at", value}, {"samples", activations.samples}, {"positions", activations.positions}, {"seed", seed}});
    analysis.results = projection.details;
    const auto id = workspace.addAnalysis(analysis);
    workspace.addAnalysisArtifact(id, {"points", "application/x-npy", {}}, io::npyBytes(io::toArray(projection.points)));
    return id;
}

}  // namespace orrery::intervene
