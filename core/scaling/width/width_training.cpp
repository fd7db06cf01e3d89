#include "width_training.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <set>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/train/catalogue.h>
#include <core/train/samples.h>
#include <core/zoo/parametrisation.h>

namespace orrery::scaling {
namespace {

using core::Json;

/// The document with what a check needs: no evaluation and no augmentation that would make batches differ, and as many steps as asked.
Json checkedDocument(const CoordinateRequest& request)
{
    Json document = request.document;
    if (!document.is_object())
        throw core::InputError("coordinate check: expected an experiment document");
    Json& train = document["train"];
    if (train.is_null())
        train = Json::object();
    train["steps"] = request.steps;
    train.erase("epochs");
    return document;
}

}  // namespace

void checkRequest(const CoordinateRequest& request)
{
    const std::set<std::int64_t> distinct(request.widths.begin(), request.widths.end());
    if (distinct.size() < 2 || distinct.size() != request.widths.size())
        throw core::InputError(
            fmt::format("widths: expected at least two different ones, got {} ({} different)", request.widths.size(), distinct.size()));
    if (*distinct.begin() < 1 || *distinct.rbegin() > kWidestModel)
        throw core::InputError(fmt::format("widths: expected numbers from 1 to {}, got {}", kWidestModel,
                                           *distinct.begin() < 1 ? *distinct.begin() : *distinct.rbegin()));
    if (request.seeds < 1 || request.seeds > 1000)
        throw core::InputError(fmt::format("seeds: expected 1 to 1000, got {}", request.seeds));
    if (request.steps < 1 || request.steps > 100'000)
        throw core::InputError(fmt::format("steps: expected 1 to 100000, got {}", request.steps));
    if (request.samples < 1)
        throw core::InputError(fmt::format("samples: expected at least 1, got {}", request.samples));
}

double logSlope(const std::vector<std::int64_t>& widths, const std::vector<double>& values)
{
    double meanX = 0, meanY = 0, xx = 0, xy = 0;
    const double n = double(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (!(values[i] > 0) || !std::isfinite(values[i]))
            return std::nan("");
        meanX += std::log(double(widths[i])) / n;
        meanY += std::log(values[i]) / n;
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
        const double x = std::log(double(widths[i])) - meanX;
        xx += x * x;
        xy += x * (std::log(values[i]) - meanY);
    }
    return xx > 0 ? xy / xx : std::nan("");
}

WidthTraining::WidthTraining(const CoordinateRequest& request, std::stop_token stop) : m_request(request), m_stop(stop)
{
    checkRequest(request);
    m_base = train::resolveExperiment(checkedDocument(request), request.folder);
    const Json& model = m_base.document["model"];
    if (!model.is_object())
        throw core::InputError(fmt::format("model: expected an architecture with a width ({}), got {}: trained weights have the width they have",
                                           core::join(zoo::architecturesWithWidth(), ", "), model.dump()));
    m_architecture = model["id"].get<std::string>();
    zoo::atWidth(m_architecture, model, request.widths.front());
    m_parametrisation = request.parametrisation.empty() ? model.value("parametrisation", "standard") : request.parametrisation;
    zoo::parametrisationFromName(m_parametrisation);
    m_baseWidth = request.baseWidth > 0                                             ? request.baseWidth
                  : request.parametrisation.empty() && model.contains("base_width") ? model["base_width"].get<std::int64_t>()
                                                                                    : *std::min_element(request.widths.begin(), request.widths.end());
    chooseSamples(request.samples);
}

void WidthTraining::chooseSamples(std::int64_t count)
{
    const auto& part = m_base.data->split(data::Split::Train);
    m_samples.assign(part.begin(), part.begin() + std::ptrdiff_t(std::min<std::size_t>(std::size_t(count), part.size())));
    if (m_samples.empty())
        throw core::InputError(fmt::format("data: expected samples in the training part of \"{}\", got none", m_base.data->info().id));
}

void WidthTraining::start(std::int64_t width, int seed, double rate)
{
    m_learner.reset();  // it refers to the document
    m_current = m_base;
    m_width = width;
    m_seed = seed;
    Json& document = m_current.document;
    Json model = zoo::atWidth(m_architecture, document["model"], width);
    model["parametrisation"] = m_parametrisation;
    if (m_parametrisation == "standard")
        for (const char* key : {"base_width", "base_heads"})
            model.erase(key);
    else
        model["base_width"] = m_baseWidth;
    document["model"] = std::move(model);
    document["seed"] = document["seed"].get<std::int64_t>() + seed;
    if (rate > 0)
        document["train"]["optimizer"]["lr"] = rate;
    if (auto issues = train::quickCheck(document); !issues.empty())
        throw core::DocumentError(std::move(issues));
    m_learner = train::makeGraphLearner({m_current, m_options, train::trainLength(m_current.document, *m_current.data), m_stop});
    m_executor = std::make_unique<graph::Executor>(m_learner->modelWith(m_learner->evaluated()).graph);
}

void WidthTraining::step(std::int64_t taken)
{
    try {
        m_learner->step(taken);
    } catch (const train::NonFiniteError& error) {
        throw core::Error(fmt::format("width {}, seed {}, step {}: {}; take a smaller learning rate", m_width, m_seed, taken + 1, error.what()));
    }
}

graph::RunResult WidthTraining::measure(graph::RunRequest request) const
{
    const graph::Model model = m_learner->modelWith(m_learner->evaluated());
    request.inputs = train::sampleInputs(model, *m_current.data, m_samples);
    request.stop = m_stop;
    return m_executor->run(model.weights, request);
}

double WidthTraining::loss() const
{
    const at::NoGradGuard noGrad;
    const graph::RunResult result = measure({});
    return train::makeLoss(m_current.document["train"]["loss"]).mean(result.tensor(), m_current.data->fetch(m_samples).targets).item<double>();
}

}  // namespace orrery::scaling
