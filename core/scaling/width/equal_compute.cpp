#include "equal_compute.h"

#include <fmt/format.h>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/train/samples.h>

namespace orrery::scaling {
namespace {

/// The first samples of the training part, as many as a batch has.
std::vector<c10::IValue> oneBatch(const train::Experiment& experiment, const graph::Model& model)
{
    const auto& part = experiment.data->split(data::Split::Train);
    const auto wanted = experiment.document.at("train").at("batch_size").get<std::size_t>();
    return train::sampleInputs(model, *experiment.data, std::span(part).first(std::min(wanted, part.size())));
}

}  // namespace

core::Json EqualCompute::toJson() const
{
    core::Json json{{"model", model},
                    {"parameters", cost.parameters},
                    {"N", cost.parameters - cost.embeddings},
                    {"D", tokens},
                    {"compute", seconds},
                    {"flops", double(cost.training()) * double(steps)},
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
    out.throughput = measureThroughput(model, batch, measureSeconds, stop);
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
    measured.tokens = measured.steps * measured.cost.tokens;
    measured.seconds = double(measured.steps) * measured.throughput.stepSeconds;
    measured.document["train"]["steps"] = measured.steps;
    return measured;
}

}  // namespace orrery::scaling
