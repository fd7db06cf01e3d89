#include <cmath>
#include <iostream>

#include <core/base/plain_zero.h>
#include <core/base/text.h>
#include <core/intervene/neighbours.h>
#include <core/intervene/probe_text.h>
#include <core/intervene/representations.h>
#include <core/train/card_inputs.h>
#include <core/train/samples.h>

#include "arrays.h"
#include "representation_argument.h"
#include "storing.h"

namespace orrery::cli {
namespace {

struct ProbeOptions {
    ModelArgument model;
    RepresentationArgument rows;
    std::vector<std::string> at, settings;
    std::string trainSplit = "train", label = "target", out, apply, projection, text;
    bool control = false;
};

core::Json parametersOf(const ProbeOptions& options, const core::Schema& schema, const std::string& place)
{
    core::Json parameters = core::Json::object();
    for (const auto& setting : options.settings)
        core::setByPath(parameters, setting);
    if (options.control)
        parameters["control"] = true;
    return schema.resolve(parameters, place);
}

std::string intervalText(double value, const std::optional<intervene::Interval>& interval)
{
    const auto shown = fmt::format("{:.4f}", core::plainZero(value, 4));
    return interval ? fmt::format("{} [{:.4f}, {:.4f}]", shown, core::plainZero(interval->low, 4), core::plainZero(interval->high, 4)) : shown;
}

void printProbes(const std::vector<intervene::ProbeResult>& results)
{
    const bool numbers = !results.empty() && results.front().probe.kind == "ridge";
    std::cout << fmt::format("{:<28} {:>8}  {:<26} {:>8}  {:>8}  {:<26} {:>11}\n", "value", "features", numbers ? "R2" : "accuracy [95 %]",
                             "training", "baseline", "control", "selectivity");
    for (const auto& result : results)
        std::cout << fmt::format("{:<28} {:>8}  {:<26} {:>8.4f}  {:>8}  {:<26} {:>11}{}\n", result.probe.value, result.features,
                                 intervalText(result.test, result.interval), core::plainZero(result.train, 4),
                                 result.baseline ? intervalText(*result.baseline, {}) : "",
                                 result.control ? intervalText(*result.control, result.controlInterval) : "",
                                 result.control ? intervalText(*result.selectivity(), {}) : "",
                                 result.probe.converged ? "" : "  not converged: raise max_iterations or l2");
}

core::Json describe(const ProbeOptions& options, const core::Json& data)
{
    return {
        {"model", options.model.text}, {"data", data}, {"split", options.rows.split}, {"position", options.rows.position}, {"label", options.label}};
}

/// The one way both kinds of results leave the command: JSON, or what was printed and where it went.
Exit finish(Session& session, const ProbeOptions& options, core::Json document, const std::optional<std::int64_t>& analysis,
            const Storing& storing = {})
{
    storing.describe(document);
    if (!options.out.empty())
        document["file"] = options.out;
    if (analysis)
        document["analysis"] = *analysis;
    if (session.json) {
        session.print(document);
        return storing.end();
    }
    if (!options.out.empty())
        std::cout << "written to " << options.out << "\n";
    if (analysis)
        std::cout << fmt::format("stored as analysis {} of {}\n", *analysis, options.model.text);
    return storing.end();
}

Exit fitProbes(Session& session, const ProbeOptions& options, Opened& opened)
{
    if (!options.out.empty() && !options.out.ends_with(".safetensors"))
        throw core::InputError(fmt::format("--out {}: expected a file ending in .safetensors for probes", options.out));
    if (const auto problem = folderProblem(options.out); !problem.empty())
        throw core::InputError("--out " + problem);
    intervene::ProbeStudy study;
    study.places = options.at;
    study.pooling = intervene::poolingFromText(options.rows.position);
    study.label = intervene::labelFromText(options.label);
    study.train = data::splitFromName(options.trainSplit);
    study.test = data::splitFromName(options.rows.split);
    study.limit = options.rows.limit;
    study.parameters = parametersOf(options, intervene::probeSchema(), "probe");
    study.seed = session.seed;
    const auto results = intervene::probeModel(opened.model, opened.executor, *opened.data, study, opened.control);
    session.endProgress();
    if (!options.out.empty()) {
        std::vector<intervene::LinearProbe> probes;
        for (const auto& result : results)
            probes.push_back(result.probe);
        intervene::saveProbes(options.out, probes);
    }
    std::optional<std::int64_t> analysis;
    Storing storing;
    storing.attempt([&] {
        if (const auto workspace = opened.storeIn(session, options.model))
            analysis = intervene::storeProbes(*workspace, *runOf(options.model.text), opened.origin(options.model, options.rows), study, results);
    });
    core::Json document = describe(options, opened.document);
    document.update({{"train_split", options.trainSplit}, {"parameters", study.parameters}, {"probes", core::Json::array()}});
    for (const auto& result : results)
        document["probes"].push_back(result.toJson());
    if (!session.json)
        printProbes(results);
    return finish(session, options, std::move(document), analysis, storing);
}

// Stored probes read the model again: each at its own value, positions and label.
Exit applyProbes(Session& session, const ProbeOptions& options, Opened& opened)
{
    core::Json document = describe(options, opened.document);
    document["probes"] = core::Json::array();
    for (const auto& probe : intervene::loadProbes(options.apply)) {
        intervene::CollectRequest request = options.rows.request(session.seed);
        request.places = {probe.value};
        request.pooling = intervene::poolingFromText(probe.pooling);
        request.label = intervene::labelFromText(probe.label);
        const auto rows = intervene::collectActivations(opened.model, opened.executor, *opened.data, data::splitFromName(options.rows.split), request,
                                                        opened.control);
        if (!rows.labels.defined())
            throw core::InputError("probe: the data have no targets to measure against");
        const bool numbers = probe.kind == "ridge";
        if (numbers != (rows.classes == 0) || (!numbers && rows.classes != probe.weight.size(0)))
            throw core::InputError(fmt::format("probe of \"{}\": it tells {} classes apart, the data have {}", probe.value,
                                               numbers ? 0 : probe.weight.size(0), rows.classes));
        const auto [score, interval] = intervene::scoreProbe(probe, rows.features.front(), rows.labels);
        document["probes"].push_back({{"value", probe.value}, {"kind", probe.kind}, {numbers ? "r2" : "accuracy", score}, {"rows", rows.rows()}});
        if (interval)
            document["probes"].back()["interval"] = {interval->low, interval->high};
        if (!session.json)
            std::cout << fmt::format("{:<28} {} {}, {} rows\n", probe.value, numbers ? "R2" : "accuracy", intervalText(score, interval), rows.rows());
    }
    session.endProgress();
    return finish(session, options, std::move(document), {});
}

void printReading(const core::Json& probe)
{
    std::cout << fmt::format("{} ({} of {})\n", probe["value"].get<std::string>(), probe["kind"].get<std::string>(),
                             probe["label"].get<std::string>());
    for (const auto& row : probe["rows"]) {
        std::cout << (row.contains("position") ? fmt::format("{:>5} {:<8}", row["position"].get<int>(), row["name"].get<std::string>())
                                               : fmt::format("{:>5} {:<8}", "all", ""));
        std::cout << (row.contains("read") ? fmt::format(" {:<12} {:.4f}\n", row["read_name"].get<std::string>(), row["probability"].get<double>())
                                           : fmt::format(" {}\n", row["outputs"].dump()));
    }
}

// Stored probes read a text that was typed: no data are needed.
Exit readTypedText(Session& session, const ProbeOptions& options)
{
    if (!options.rows.data.empty() || !options.at.empty())
        throw core::InputError("--text: expected without --data and --at; the probes say what they read and where");
    const auto model = options.model.open(session);
    const graph::Executor executor(model.graph);
    const at::Tensor tokens = train::textInput(model, options.text).to(session.chosenDevice());
    explain::Control control;
    control.stop = session.stopToken();
    core::Json document{{"model", options.model.text}, {"text", options.text}, {"probes", core::Json::array()}};
    for (const auto& probe : intervene::loadProbes(options.apply)) {
        const auto reading = intervene::readText(model, executor, probe, tokens, control);
        document["probes"].push_back(intervene::readingDocument(reading, probe, model.card, tokens));
        if (!session.json)
            printReading(document["probes"].back());
    }
    return finish(session, options, std::move(document), {});
}

core::Json pointsJson(const at::Tensor& points)
{
    core::Json rows = core::Json::array();
    for (std::int64_t row = 0; row < points.size(0); ++row) {
        const at::Tensor line = points[row].contiguous();
        rows.push_back(std::vector<double>(line.data_ptr<double>(), line.data_ptr<double>() + line.numel()));
    }
    return rows;
}

core::Json labelsJson(const intervene::Activations& rows)
{
    if (!rows.labels.defined() || rows.classes == 0)
        return nullptr;
    const at::Tensor labels = rows.labels.contiguous();
    return std::vector<std::int64_t>(labels.data_ptr<std::int64_t>(), labels.data_ptr<std::int64_t>() + labels.numel());
}

core::Json projectionJson(const ProbeOptions& options, const Opened& opened, const core::Json& parameters, const intervene::Activations& rows,
                          const intervene::Projection& made)
{
    core::Json document = describe(options, opened.document);
    document.update({{"method", options.projection},
                     {"parameters", parameters},
                     {"value", rows.values.front()},
                     {"rows", rows.rows()},
                     {"features", rows.features.front().size(1)},
                     {"details", made.details},
                     {"samples", rows.samples},
                     {"positions", rows.positions},
                     {"labels", labelsJson(rows)},
                     {"trustworthiness", nullptr}});
    // Every pair of rows is looked at: only where that takes a moment.
    if (rows.rows() > 31 && rows.rows() <= 5000)
        document["trustworthiness"] = intervene::trustworthiness(rows.features.front(), made.points, 15, opened.control);
    if (options.out.empty())
        document["points"] = pointsJson(made.points);
    return document;
}

Exit projectValue(Session& session, const ProbeOptions& options, Opened& opened)
{
    if (const auto problem = options.out.empty() ? std::string() : outFileProblem(options.out); !problem.empty())
        throw core::InputError("--out " + problem);
    if (options.control)
        throw core::InputError("--control: expected without --project");
    const auto parameters = parametersOf(options, intervene::projectionRegistry().at(options.projection).schema, options.projection);
    intervene::CollectRequest request = options.rows.request(session.seed);
    request.places = options.at;
    request.label = intervene::labelFromText(options.label);
    const auto rows =
        intervene::collectActivations(opened.model, opened.executor, *opened.data, data::splitFromName(options.rows.split), request, opened.control);
    if (rows.values.size() != 1)
        throw core::InputError(fmt::format("--project: expected --at to name one value, it names {}", rows.values.size()));
    const auto made = intervene::project(options.projection, rows.features.front(), parameters, session.seed, opened.control);
    session.endProgress();
    if (!options.out.empty())
        writeArray(options.out, made.points);
    std::optional<std::int64_t> analysis;
    Storing storing;
    storing.attempt([&] {
        if (const auto workspace = opened.storeIn(session, options.model))
            analysis = intervene::storeProjection(*workspace, *runOf(options.model.text), opened.origin(options.model, options.rows),
                                                  rows.values.front(), options.projection, parameters, session.seed, made, rows);
    });
    const core::Json document = projectionJson(options, opened, parameters, rows, made);
    session.endProgress();
    if (!session.json)
        std::cout << fmt::format(
            "{} of {} {}: {} rows to {} axes, {}{}\n", options.projection, rows.values.front(), core::formatShape(rows.features.front().sizes()),
            rows.rows(), made.points.size(1), made.details.dump(),
            document["trustworthiness"].is_null() ? "" : fmt::format(", trustworthiness {:.4f}", document["trustworthiness"].get<double>()));
    return finish(session, options, document, analysis, storing);
}

Exit probe(Session& session, const ProbeOptions& options)
{
    if (!options.apply.empty() + !options.projection.empty() > 1)
        throw core::InputError("probe: expected at most one of --apply and --project");
    if (options.at.empty() == options.apply.empty())
        throw core::InputError("probe: expected --at VALUE|GLOB, or --apply FILE, which names its values itself");
    if (!options.projection.empty())
        intervene::projectionRegistry().at(options.projection);
    if (!options.text.empty()) {
        if (options.apply.empty())
            throw core::InputError("--text: expected with --apply FILE, whose probes read the text; a probe is fitted on --data");
        return readTypedText(session, options);
    }
    Opened opened(session, options.model, options.rows);
    if (!options.apply.empty())
        return applyProbes(session, options, opened);
    return options.projection.empty() ? fitProbes(session, options, opened) : projectValue(session, options, opened);
}

std::string parametersHelp()
{
    std::string text = "Parameters of a probe (--set name=value):\n" + intervene::probeSchema().helpText();
    for (const auto& method : intervene::projectionRegistry().components())
        text += fmt::format("\nParameters of --project {}: {}\n{}", method.id, method.summary, method.schema.helpText());
    return text;
}

}  // namespace

std::function<Exit(Session&)> declareProbe(CLI::App& app)
{
    auto options = std::make_shared<ProbeOptions>();
    app.footer(parametersHelp);
    options->model.declare(app);
    options->rows.declare(app);
    app.add_option("--train-split", options->trainSplit, "Part the probe is fitted on; --split is the part it is measured on.");
    app.add_option("--at", options->at,
                   "Value, module, glob or canonical name (blocks.*.resid_post); one probe a value. May be given several times.");
    app.add_option("--label", options->label,
                   "What is read off: target (the data's own), token (at the row's position), previous (the token before); none: for --project.");
    app.add_flag(
        "--control", options->control,
        "Also fit a probe to random labels by word (without words: by cluster of inputs) and report selectivity = accuracy - control accuracy.");
    app.add_option("--apply", options->apply, "Measure the probes of a file written by --out instead of fitting new ones.")->check(CLI::ExistingFile);
    app.add_option("--text", options->text, "With --apply: what the probes read at each position of this text, instead of at a part of the data.");
    app.add_option("--project", options->projection, "Instead of a probe: the rows as points, by pca or umap.");
    app.add_option("--set", options->settings, "Parameter of the probe or the projection: name=value; see below.");
    app.add_option("--out", options->out, "File for the probes (.safetensors), or for the points of --project (.npy, .safetensors, .csv).");
    return [options](Session& session) { return probe(session, *options); };
}

}  // namespace orrery::cli
