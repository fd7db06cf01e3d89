#include <iostream>

#include <core/base/text.h>
#include <core/data/dataset.h>
#include <core/train/evaluate.h>

#include "arrays.h"
#include "model_argument.h"

namespace orrery::cli {
namespace {

struct Options {
    ModelArgument model;
    std::string data, split = "test";
    std::vector<std::string> metrics;
    std::int64_t limit = 0, batchSize = 256;
};

Exit evaluate(Session& session, const Options& options)
{
    const auto model = options.model.open(session);
    const auto data = data::openData(data::dataDocument(options.data));
    auto shape = data->info().inputShape;
    shape.insert(shape.begin(), options.batchSize);
    if (model.card.inputs.size() == 1)
        checkShape(shape, model.card.inputs[0], "--data " + options.data);
    core::Json metrics;
    for (const auto& list : options.metrics)
        for (const auto& id : core::split(list, ','))
            metrics.push_back(id);
    train::EvaluateOptions settings;
    settings.batchSize = options.batchSize;
    settings.maxSamples = options.limit;
    settings.stop = session.stopToken();
    settings.progress = [&](std::int64_t done, std::int64_t total) { session.showProgress(double(done), double(total), "samples"); };
    const auto result = train::evaluateModel(model, *data, data::splitFromName(options.split), metrics, settings);
    session.endProgress();
    core::Json document = {{"model", options.model.text},     {"data", options.data},           {"split", options.split}, {"samples", result.samples},
                           {"metrics", core::Json::object()}, {"details", core::Json::object()}};
    for (const auto& [name, value] : result.values)
        document["metrics"][name] = value;
    for (const auto& [name, detail] : result.details)
        document["details"][name] = detail;
    if (session.json) {
        session.print(document);
        return Exit::Done;
    }
    std::cout << fmt::format("{} samples of {} ({})\n", result.samples, options.data, options.split);
    for (const auto& [name, value] : result.values)
        std::cout << fmt::format("  {:<24} {}\n", name, core::formatNumber(value));
    return Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareEvaluate(CLI::App& app)
{
    auto options = std::make_shared<Options>();
    options->model.declare(app);
    app.add_option("--data", options->data, "Registered data set, or a file or folder.")->required();
    app.add_option("--split", options->split, "train, val or test.");
    app.add_option("--metrics", options->metrics, "Metrics by id, separated by commas; default: by the task.");
    app.add_option("--limit", options->limit, "At most so many samples, evenly spread; 0: all.")->check(CLI::NonNegativeNumber);
    app.add_option("--batch-size", options->batchSize, "Samples at a time.")->check(CLI::Range(1, 1000000));
    return [options](Session& session) { return evaluate(session, *options); };
}

}  // namespace orrery::cli
