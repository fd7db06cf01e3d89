// The list of everything that training knows: one line each.

#include "catalogue.h"

namespace orrery::train {
namespace {

template <class Registry>
Registry filled(const char* family, const char* title, std::initializer_list<void (*)(Registry&)> list)
{
    Registry registry(family, title);
    for (const auto add : list)
        add(registry);
    return registry;
}

/// Id and resolved settings of `{"id": "adam", "lr": 0.1}` or `"adam"`.
template <class Factory>
std::pair<const Factory*, core::Json> find(const core::Registry<Factory>& registry, const core::Json& document)
{
    const std::string id = document.is_string() ? document.get<std::string>() : document.at("id").get<std::string>();
    core::Json settings = document.is_object() ? document : core::Json::object();
    settings.erase("id");
    const core::Component& component = registry.at(id);
    return {&registry.factory(id), component.schema.resolve(settings, registry.family())};
}

}  // namespace

const OptimizerRegistry& optimizers()
{
    static const auto registry = filled<OptimizerRegistry>("optimizer", "Optimizers", {addSgd, addAdam, addAdamW, addRmsprop, addSplatAdam});
    return registry;
}

const ScheduleRegistry& schedules()
{
    static const auto registry = filled<ScheduleRegistry>(
        "schedule", "Learning rate schedules", {addConstantSchedule, addStepSchedule, addCosineSchedule, addLinearSchedule, addOneCycleSchedule});
    return registry;
}

const LossRegistry& losses()
{
    static const auto registry = filled<LossRegistry>(
        "loss", "Losses", {addCrossEntropy, addMse, addBinaryCrossEntropy, addMaskedBinaryCrossEntropy, addPhotometric, addL1Ssim});
    return registry;
}

const MetricRegistry& metrics()
{
    static const auto registry = filled<MetricRegistry>("metric", "Metrics",
                                                        {addLossMetric, addAccuracy, addTopK, addSequenceAccuracy, addConfusionMatrix, addF1,
                                                         addRocAuc, addLabelAuc, addRegressionMetrics, addBitsPerCharacter, addPsnr});
    return registry;
}

std::unique_ptr<Optimizer> makeOptimizer(const core::Json& document, std::vector<Trainable> parameters)
{
    const auto [factory, settings] = find(optimizers(), document);
    return (*factory)(std::move(parameters), settings);
}

ScheduleFunction makeSchedule(const core::Json& document)
{
    const auto [factory, settings] = find(schedules(), document);
    return (*factory)(settings);
}

Loss makeLoss(const core::Json& document)
{
    const auto [factory, settings] = find(losses(), document);
    return (*factory)(settings);
}

std::unique_ptr<Metric> makeMetric(const core::Json& document)
{
    const auto [factory, settings] = find(metrics(), document);
    return (*factory)(settings);
}

}  // namespace orrery::train
