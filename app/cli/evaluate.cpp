#include <iostream>

#include <core/base/text.h>
#include <core/data/dataset.h>
#include <core/models/input_arrays.h>
#include <core/train/evaluate.h>
#include <core/train/samples.h>

#include "arrays.h"
#include "number_checks.h"
#include "sample_argument.h"

namespace orrery::cli {
namespace {

struct EvaluateOptions {
    ModelArgument model;
    std::string data, split = "test";
    std::vector<std::string> metrics, metricSettings;
    std::optional<std::int64_t> limit;
    std::int64_t batchSize = 256;
};

core::Json metricList(const EvaluateOptions& options)
{
    core::Json metrics;
    for (const auto& list : options.metrics)
        for (const auto& id : core::split(list, ','))
            metrics.push_back({{"id", std::string(core::trim(id))}});
    for (const auto& setting : options.metricSettings) {
        const auto dot = setting.find('.');
        const auto metric = std::find_if(metrics.begin(), metrics.end(), [&](const auto& each) { return each["id"] == setting.substr(0, dot); });
        if (dot == std::string::npos || setting.find('=') < dot || metric == metrics.end())
            throw core::InputError(fmt::format("--metric-set {}: expected ID.name=value with ID one of --metrics ({})", setting,
                                               options.metrics.empty() ? "none are given" : core::join(options.metrics, ",")));
        core::setByPath(*metric, setting.substr(dot + 1));
    }
    return metrics;
}

data::DataSetPtr dataOf(Session& session, const EvaluateOptions& options, const std::optional<store::RunId>& run)
{
    if (!options.data.empty())
        return data::openData(data::dataDocument(options.data));
    if (run)
        return train::dataOfRun(*session.workspace(store::OpenMode::ReadOnly), *run);
    throw core::InputError("expected --data ID|PATH, or a model run:ID whose data are meant");
}

Exit evaluate(Session& session, const EvaluateOptions& options)
{
    const auto run = runOf(options.model.text);
    const auto data = dataOf(session, options, run);
    const auto model = options.model.open(session);
    auto shape = data->info().inputShape;
    shape.insert(shape.begin(), std::min(options.batchSize, std::int64_t(data->split(data::splitFromName(options.split)).size())));
    if (model.card.inputs.size() == 1)
        models::checkShape(shape, model.card.inputs[0], "--data " + data->info().id);
    auto metrics = metricList(options);
    train::EvaluateOptions settings;
    // A run is measured as it was trained, so that its numbers come out again.
    if (run) {
        const auto trained = session.workspace(store::OpenMode::ReadOnly)->run(*run).document.value("train", core::Json::object());
        settings.loss = trained.value("loss", core::Json());
        if (metrics.is_null())
            metrics = trained.value("metrics", core::Json());
        if (const core::Json tested = trained.value("test_samples", core::Json());
            options.data.empty() && options.split == "test" && tested.is_number())
            settings.maxSamples = tested.get<std::int64_t>();
    }
    settings.batchSize = options.batchSize;
    settings.maxSamples = options.limit.value_or(settings.maxSamples);
    settings.stop = session.stopToken();
    settings.progress = [&](std::int64_t done, std::int64_t total) { session.showProgress(double(done), double(total), "samples"); };
    const auto result = train::evaluateModel(model, *data, data::splitFromName(options.split), metrics, settings);
    session.endProgress();
    core::Json document = {{"model", options.model.text}, {"data", data->info().id},         {"split", options.split},
                           {"samples", result.samples},   {"metrics", core::Json::object()}, {"details", core::Json::object()}};
    for (const auto& [name, value] : result.values)
        document["metrics"][name] = value;
    for (const auto& [name, detail] : result.details)
        document["details"][name] = detail;
    if (session.json) {
        session.print(document);
        return Exit::Done;
    }
    std::cout << fmt::format("{} samples of {} ({})\n", result.samples, data->info().id, options.split);
    for (const auto& [name, value] : result.values)
        std::cout << fmt::format("  {:<24} {}\n", name, core::formatNumber(value));
    return Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareEvaluate(CLI::App& app)
{
    auto options = std::make_shared<EvaluateOptions>();
    options->model.declare(app);
    app.add_option("--data", options->data, "Registered data set, or a file or folder; default: the data of run:ID.");
    app.add_option("--split", options->split, "train, val or test.");
    app.add_option("--metrics", options->metrics,
                   "Metrics by id, separated by commas (`orrery-cli list metric`); default: those of run:ID, else by the task.");
    app.add_option("--metric-set", options->metricSettings,
                   "Parameter of a metric (`orrery-cli describe metric/ID`): ID.name=value, such as top_k.k=3.");
    app.add_option("--limit", options->limit, "At most so many samples, evenly spread; 0: all. Default: all, or as many as run:ID was tested on.")
        ->check(notNegative());
    app.add_option("--batch-size", options->batchSize, "Samples at a time.")->check(CLI::Range(1, 1000000));
    return [options](Session& session) { return evaluate(session, *options); };
}

}  // namespace orrery::cli
