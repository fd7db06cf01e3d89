#include "sweep_document.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include <core/base/text.h>
#include <core/train/catalogue.h>
#include <core/train/document_file.h>
#include <core/train/leaderboard.h>

#include "parameter_path.h"

namespace orrery::search {
namespace {

using core::Issue;
using core::Json;
using core::Parameter;

constexpr const char* kSection = "sweep";

/// What one parameter of a sweep says: `{"range": [1e-4, 1e-1], "log": true}` or `{"choices": [64, 128]}`.
const core::Schema& dimensionSchema()
{
    using namespace core;
    static const Schema schema{list("range", any("", nullptr, ""), nullptr, "Lowest and highest value").noneByDefault(),
                               boolean("log", false, "Even steps of the range multiply, and do not add"),
                               integer("points", 3, "Values a grid takes of the range").range(1, 10'000).noneByDefault(),
                               list("choices", any("", nullptr, ""), nullptr, "Values, of any kind").noneByDefault()};
    return schema;
}

class DimensionReader {
public:
    DimensionReader(const Json& experiment, std::vector<Issue>& issues) : m_experiment(experiment), m_issues(issues) {}

    void read(const std::string& path, const Json& given, Space& space)
    {
        m_place = fmt::format("{}.parameters.{}", kSection, path);
        const std::size_t before = m_issues.size();
        const Json settings = dimensionSchema().check(given, m_place, m_issues);
        if (m_issues.size() > before)
            return;
        if (settings["range"].is_null() == settings["choices"].is_null())
            return issue("", "expected a \"range\" or \"choices\"");
        try {
            const Parameter parameter = parameterAt(m_experiment, path);
            Dimension dimension;
            dimension.path = path;
            settings["range"].is_null() ? readChoices(parameter, settings["choices"], dimension) : readRange(parameter, settings, dimension);
            if (m_issues.size() == before)
                space.push_back(std::move(dimension));
        } catch (const core::InputError& error) {
            issue("", error.what());
        }
    }

private:
    void issue(const std::string& end, const std::string& message) { m_issues.push_back({m_place + end, message}); }

    /// The value as the parameter's own schema takes it.
    Json checked(Parameter parameter, const std::string& name, const Json& value)
    {
        parameter.name = name;
        parameter.shownIf.clear();
        return core::Schema{parameter}.check({{name, value}}, m_place, m_issues)[name];
    }

    void readChoices(const Parameter& parameter, const Json& choices, Dimension& dimension)
    {
        if (choices.empty())
            return issue(".choices", "expected at least one value, got none");
        for (std::size_t i = 0; i < choices.size(); ++i) {
            const std::string name = fmt::format("choices[{}]", i);
            checked(parameter, name, choices[i]);
            if (std::find(dimension.choices.begin(), dimension.choices.end(), choices[i]) != dimension.choices.end())
                issue("." + name, "is given twice");
            dimension.choices.push_back(choices[i]);
        }
    }

    void readRange(const Parameter& parameter, const Json& settings, Dimension& dimension)
    {
        const Json& range = settings["range"];
        if (parameter.type != core::ParameterType::Int && parameter.type != core::ParameterType::Float)
            return issue(".range", "expected \"choices\": the parameter is no number");
        if (range.size() != 2)
            return issue(".range", fmt::format("expected two numbers, the lowest and the highest, got {}", range.size()));
        const std::size_t before = m_issues.size();
        const Json low = checked(parameter, "range[0]", range[0]), high = checked(parameter, "range[1]", range[1]);
        if (m_issues.size() > before)
            return;
        if (!low.is_number() || !high.is_number())
            return issue(".range", "expected two numbers, got null");
        dimension.low = low.get<double>();
        dimension.high = high.get<double>();
        dimension.isLog = settings["log"];
        dimension.isInteger = parameter.type == core::ParameterType::Int;
        dimension.points = settings["points"].is_null() ? 0 : settings["points"].get<std::int64_t>();
        if (dimension.low > dimension.high)
            issue(".range", fmt::format("expected the lowest value first, got {} and {}", low.dump(), high.dump()));
        if (dimension.isLog && dimension.low <= 0)
            issue(".range[0]", fmt::format("expected a number > 0 for a logarithmic range, got {}", low.dump()));
    }

    const Json& m_experiment;
    std::vector<Issue>& m_issues;
    std::string m_place;
};

/// A parameter inside another one would be set twice.
void checkNesting(const Space& space, std::vector<Issue>& issues)
{
    for (const Dimension& outer : space)
        for (const Dimension& inner : space)
            if (inner.path.starts_with(outer.path + "."))
                issues.push_back({fmt::format("{}.parameters.{}", kSection, inner.path),
                                  fmt::format("lies inside {}, which is a parameter of the sweep, too", outer.path)});
}

/// Names of the numbers that a training of the document records.
std::vector<std::string> metricsOf(const Json& experiment)
{
    std::vector<std::string> names{"train/loss"};
    for (const Json& metric : experiment["train"]["metrics"])
        for (const auto& [name, value] : train::makeMetric(metric)->values())
            for (const char* part : {"val/", "test/"})
                names.push_back(part + name);
    return names;
}

void checkMetric(const Sweep& sweep, std::vector<Issue>& issues)
{
    const std::vector<std::string> names = metricsOf(sweep.base.document);
    const std::string place = fmt::format("{}.metric", kSection);
    if (std::find(names.begin(), names.end(), sweep.metric) == names.end())
        issues.push_back({place, fmt::format("expected a metric of this experiment ({}), got \"{}\"{}", core::join(names, ", "), sweep.metric,
                                             core::didYouMean(sweep.metric, names))});
    else if (sweep.rungs.size() > 1 && sweep.metric.starts_with("test/"))
        issues.push_back(
            {place, fmt::format("expected a metric of the training or the validation part: trials that are stopped early are not tested; got \"{}\"",
                                sweep.metric)});
}

void makeSampling(Sweep& sweep, std::vector<Issue>& issues)
{
    try {
        sweep.sampler = makeSampler(sweep.space, sweep.settings["sampler"], sweep.seed);
    } catch (const core::InputError& error) {
        issues.push_back({fmt::format("{}.sampler", kSection), error.what()});
        return;
    }
    const Json& asked = sweep.settings["trials"];
    sweep.trials = sweep.sampler->trials(asked.is_null() ? std::nullopt : std::optional(asked.get<std::int64_t>()));
    sweep.rungs = sweep.sampler->rungs(sweep.trials, train::trainLength(sweep.base.document, *sweep.base.data).steps);
}

/// What a document as given has to hold where a path leads through what it leaves out, or gives in short (`optimizer: sgd`).
Json opened(const Json& given, const Json& resolved)
{
    if (given.is_structured())
        return given;
    const bool isShort = resolved.is_object() && resolved.contains("id") && (given.is_null() || given == resolved["id"]);
    if (isShort)
        return {{"id", resolved["id"]}};
    // A group that is left out keeps being left out, but for what is set; a list, or a component with settings in one text, is needed whole.
    return resolved.is_object() && !resolved.contains("id") ? Json::object() : resolved;
}

void openPath(Json& document, const Json& resolved, const std::string& path)
{
    Json* at = &document;
    const Json* known = &resolved;
    const std::vector<std::string> names = core::split(path, '.');
    for (std::size_t i = 0; i + 1 < names.size(); ++i) {
        known = known->is_array() ? &(*known)[std::stoul(names[i])] : &(*known)[names[i]];
        at = at->is_array() ? &(*at)[std::stoul(names[i])] : &(*at)[names[i]];
        *at = opened(*at, *known);
    }
}

void throwIfAny(std::vector<Issue> issues)
{
    if (!issues.empty())
        throw core::DocumentError(std::move(issues));
}

std::int64_t evaluationInterval(const Json& train, const train::TrainLength& length)
{
    const Json& every = train["evaluate_every"];
    if (!every.is_null())
        return every.get<std::int64_t>();
    return train["steps"].is_null() ? length.perEpoch : std::max<std::int64_t>(1, length.steps / 10);
}

}  // namespace

const core::Schema& sweepSchema()
{
    using namespace core;
    addFamily(samplers());
    static const Schema schema{component("sampler", "sampler", "random", "How trials are chosen"),
                               required(any("parameters", nullptr, "What changes: a path into the document with a range or choices, for each")),
                               text("metric", "val/loss", "What is compared: the last value of this metric"),
                               choice("goal", {"auto", "minimize", "maximize"}, "auto",
                                      "Which values of it are good; auto: small ones of losses and errors, large ones of all else"),
                               integer("trials", 20, "Number of trials; null: 20, or the whole grid").range(1, 100'000).noneByDefault(),
                               integer("seed", 0, "Decides what is drawn; the same seed draws the same").range(0, 9007199254740991.0)};
    return schema;
}

Sweep resolveSweep(const Json& document, const std::filesystem::path& folder)
{
    if (!document.is_object() || !document.contains(kSection))
        throw core::DocumentError(std::vector<Issue>{{kSection, "is required: expected an object with parameters"}});
    Sweep sweep;
    sweep.document = document;
    sweep.folder = folder;
    Json experiment = document;
    experiment.erase(kSection);
    sweep.base = train::resolveExperiment(experiment, folder);
    std::vector<Issue> issues;
    sweep.settings = sweepSchema().check(document[kSection], kSection, issues);
    throwIfAny(issues);
    const Json& parameters = sweep.settings["parameters"];
    if (!parameters.is_object() || parameters.empty())
        throw core::DocumentError(std::vector<Issue>{{fmt::format("{}.parameters", kSection), "expected an object with at least one parameter"}});
    for (const auto& [path, given] : parameters.items())
        DimensionReader(sweep.base.document, issues).read(path, given, sweep.space);
    checkNesting(sweep.space, issues);
    throwIfAny(issues);
    sweep.metric = sweep.settings["metric"];
    if (sweep.settings["goal"] == "auto")
        sweep.settings["goal"] = train::isLowerBetter(sweep.metric) ? "minimize" : "maximize";
    sweep.isMaximized = sweep.settings["goal"] == "maximize";
    sweep.seed = sweep.settings["seed"];
    makeSampling(sweep, issues);
    checkMetric(sweep, issues);
    throwIfAny(issues);
    return sweep;
}

Sweep readSweep(const std::filesystem::path& file, const std::vector<std::string>& assignments)
{
    Json document = train::readDocument(file);
    for (const std::string& assignment : assignments)
        core::setByPath(document, assignment);
    try {
        return resolveSweep(document, std::filesystem::absolute(file).parent_path());
    } catch (const core::DocumentError& error) {
        std::vector<Issue> issues = error.issues();
        for (Issue& issue : issues)
            issue.path = fmt::format("{}: {}", file.filename().string(), issue.path);
        throw core::DocumentError(std::move(issues));
    }
}

Json experimentAt(const Sweep& sweep, const Place& place)
{
    Json document = sweep.document;
    document.erase(kSection);
    const bool changesData = std::any_of(sweep.space.begin(), sweep.space.end(), [](const Dimension& d) { return d.path.starts_with("data"); });
    if (changesData)
        document.erase("data_hash");
    else
        document["data_hash"] = sweep.base.document["data_hash"];
    for (const Dimension& dimension : sweep.space)
        openPath(document, sweep.base.document, dimension.path);
    return documentAt(std::move(document), sweep.space, place);
}

std::optional<std::int64_t> lastStepIn(const Sweep& sweep, const Rung& rung, const train::Experiment& trial)
{
    const train::TrainLength length = train::trainLength(trial.document, *trial.data);
    auto steps = std::max<std::int64_t>(1, std::llround(rung.part * double(length.steps)));
    if (!sweep.metric.starts_with("train/")) {
        const std::int64_t every = evaluationInterval(trial.document["train"], length);
        steps = (steps + every - 1) / every * every;
    }
    return steps < length.steps ? std::optional(steps) : std::nullopt;
}

}  // namespace orrery::search
