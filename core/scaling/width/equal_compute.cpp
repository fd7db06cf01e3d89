#include "equal_compute.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <map>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/train/learner.h>
#include <core/train/samples.h>
#include <core/train/splat_learner.h>

namespace orrery::scaling {
namespace {

/// The first samples of the training part, as many as a batch has.
std::vector<c10::IValue> oneBatch(const train::Experiment& experiment, const graph::Model& model)
{
    const auto& part = experiment.data->split(data::Split::Train);
    const auto wanted = experiment.document.at("train").at("batch_size").get<std::size_t>();
    return train::sampleInputs(model, *experiment.data, std::span(part).first(std::min(wanted, part.size())));
}

/// Steps of the training itself, the first one not counted.
Throughput measureTraining(const train::Experiment& experiment, double budgetSeconds, double measureSeconds, std::stop_token stop)
{
    using Clock = std::chrono::steady_clock;
    constexpr std::size_t kFew = 3;
    constexpr double kPatience = 2;  // seconds
    const auto since = [](Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); };
    train::Experiment endless = experiment;
    endless.document["train"]["epochs"] = nullptr;
    endless.document["train"]["steps"] = 1'000'000'000;
    const train::TrainOptions options;
    const train::LearnerInput input{endless, options, train::trainLength(endless.document, *endless.data), stop};
    const auto learner = train::trainsSplats(endless.document) ? train::makeSplatLearner(input) : train::makeGraphLearner(input);
    std::vector<double> times;
    const auto step = [&](std::int64_t taken) {
        if (stop.stop_requested())
            throw core::Cancelled();
        const auto start = Clock::now();
        learner->step(taken);
        return since(start);
    };
    // The first step also finds memory: only one that is far too long says that no other will fit.
    if (const double first = step(0); first > std::max(1.0, 4 * budgetSeconds))
        return {first, 1, 0, 0};
    const auto begin = Clock::now();
    do
        times.push_back(step(std::int64_t(times.size()) + 1));
    while (times.back() <= budgetSeconds && (since(begin) < measureSeconds || (times.size() < kFew && since(begin) < kPatience)));
    std::nth_element(times.begin(), times.begin() + std::ptrdiff_t(times.size() / 2), times.end());
    return {times[times.size() / 2], int(times.size()), 0, 0};
}

}  // namespace

core::Json EqualCompute::toJson() const
{
    core::Json json{{"model", model},
                    {"parameters", cost.parameters},
                    {"N", cost.parameters - cost.embeddings},
                    {"D", tokens},
                    {"compute", seconds},
                    {"flops", double(cost.training()) * double(batches) * double(steps)},
                    {"steps", steps},
                    {"step_seconds", throughput.stepSeconds}};
    if (loss)
        json["loss"] = *loss;
    return json;
}

EqualCompute equalCompute(const train::Experiment& experiment, double budgetSeconds, double measureSeconds, std::stop_token stop)
{
    const graph::Model model = train::buildExperimentModel(experiment);
    const std::vector<c10::IValue> batch = oneBatch(experiment, model);
    EqualCompute out;
    const core::Json& named = experiment.document.at("model");
    out.model = named.is_object() ? named.at("id").get<std::string>() : named.get<std::string>();
    out.cost = countCost(model, batch, stop);
    out.batches = experiment.document.at("train").at("accumulate").get<std::int64_t>();
    out.throughput = measureTraining(experiment, budgetSeconds, measureSeconds, stop);
    out.throughput.samples = out.cost.samples * out.batches;
    out.throughput.tokens = out.cost.tokens * out.batches;
    out.document = experiment.document;
    out.document["train"]["epochs"] = nullptr;
    return cutTo(std::move(out), budgetSeconds);
}

EqualCompute cutTo(EqualCompute measured, double budgetSeconds)
{
    measured.steps = measured.throughput.stepsWithin(budgetSeconds);
    if (measured.steps < 1)
        throw core::InputError(fmt::format("{}: expected a budget of at least one training step ({:.3g} s here), got {} s", measured.model,
                                           measured.throughput.stepSeconds, core::formatNumber(budgetSeconds)));
    measured.tokens = measured.steps * measured.throughput.tokens;
    measured.seconds = double(measured.steps) * measured.throughput.stepSeconds;
    measured.document["train"]["steps"] = measured.steps;
    return measured;
}

std::int64_t shortenEvaluation(std::vector<EqualCompute>& rows, const data::DataSet& data)
{
    const std::size_t heldOut = data.split(data::Split::Test).empty() ? data.split(data::Split::Val).size() : data.split(data::Split::Test).size();
    if (heldOut == 0)
        throw core::InputError(fmt::format("the data \"{}\": expected a test or validation part to measure a loss on, found none", data.info().id));
    constexpr std::int64_t kFewest = 64;
    std::map<std::string, std::int64_t> seen;  // by the longest training of each model
    for (const EqualCompute& row : rows)
        seen[row.model] = std::max(seen[row.model], row.steps * row.throughput.samples);
    std::int64_t samples = std::int64_t(heldOut);
    for (const auto& [model, count] : seen)
        samples = std::min(samples, std::max(kFewest, count));
    for (EqualCompute& row : rows) {
        core::Json& train = row.document["train"];
        for (const auto& [key, value] : {std::pair{"evaluate_every", row.steps}, {"evaluate_samples", samples}, {"test_samples", samples}})
            if (train[key].is_null())
                train[key] = value;
    }
    return samples;
}

}  // namespace orrery::scaling
