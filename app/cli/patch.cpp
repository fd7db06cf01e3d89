#include <charconv>
#include <iostream>

#include <core/base/plain_zero.h>
#include <core/base/text.h>
#include <core/intervene/lens_documents.h>
#include <core/intervene/patch_stored.h>
#include <core/intervene/patching.h>
#include <core/io/image.h>
#include <core/train/card_inputs.h>

#include "arrays.h"
#include "number_checks.h"
#include "sample_argument.h"
#include "storing.h"
#include "text_argument.h"

namespace orrery::cli {
namespace {

struct PatchOptions {
    ModelArgument model;
    std::string clean, corrupted, answer, wrong, direction, metric = "logit_difference", out;
    SampleArgument sample;
    std::vector<std::string> components, metricSettings, settings;
    std::string layers, positions;
    bool heads = false;
    std::optional<double> memory;
    std::size_t top = 5;
};

/// One of the two inputs, and how it was given.
struct Given {
    std::vector<c10::IValue> inputs;
    core::Json origin;
};

Given sampleInput(Session& session, const PatchOptions& options, const graph::Model& model, const std::string& number, const char* option)
{
    std::int64_t index = 0;
    const auto end = std::from_chars(number.data(), number.data() + number.size(), index);
    if (number.empty() || end.ec != std::errc() || end.ptr != number.data() + number.size() || index < 0)
        throw core::InputError(fmt::format("{} sample:{}: expected a sample's number, from 0", option, number));
    auto sample = options.sample;
    sample.samples = {index};
    const auto set = sample.open(session, options.model);
    return {sample.inputs(*set, model), {{"sample", index}, {"split", sample.split}, {"data", sample.document(session, options.model)}}};
}

Given givenInput(Session& session, const PatchOptions& options, const graph::Model& model, const std::string& text, const char* option)
{
    const auto device = session.chosenDevice();
    if (const auto typed = train::typedText(text))
        return {inputsOfTexts(session, model, {&*typed, 1}), train::textDocument({&*typed, 1})};
    if (text.starts_with("image:"))
        requireFile(text.substr(6), option);
    if (text.starts_with("image:"))
        return {{train::imageInput(model.card, io::readImage(text.substr(6))).to(device)}, {{"image", text.substr(6)}}};
    if (text.starts_with("sample:"))
        return sampleInput(session, options, model, text.substr(7), option);
    return {readInputs({text}, model, device, option), {{"input", text}}};
}

/// "0,3,-1" as numbers.
core::Json numbersOf(const std::string& text, const char* option)
{
    auto list = core::Json::array();
    for (const auto& part : core::split(text, ',')) {
        const auto word = core::trim(part);
        std::int64_t number = 0;
        const auto end = std::from_chars(word.data(), word.data() + word.size(), number);
        if (word.empty() || end.ec != std::errc() || end.ptr != word.data() + word.size())
            throw core::InputError(fmt::format("{} {}: expected whole numbers with commas between them, got \"{}\"", option, text, part));
        list.push_back(number);
    }
    return list;
}

core::Json settingsOf(const PatchOptions& options, const graph::ModelCard& card)
{
    core::Json metric = {{"id", options.metric}}, settings = core::Json::object();
    for (const auto& setting : options.metricSettings)
        core::setByPath(metric, setting);
    if (!options.answer.empty())
        metric["answer"] = intervene::answerNumber(card, options.answer);
    if (!options.wrong.empty())
        metric["wrong"] = intervene::answerNumber(card, options.wrong);
    settings["metric"] = metric;
    auto components = core::Json::array();
    for (const auto& list : options.components)
        for (const auto& component : core::split(list, ','))
            components.push_back(std::string(core::trim(component)));
    if (!components.empty())
        settings["components"] = components;
    if (!options.layers.empty())
        settings["layers"] = numbersOf(options.layers, "--layers");
    if (options.positions == "together")
        settings["by_position"] = false;
    else if (!options.positions.empty())
        settings["positions"] = numbersOf(options.positions, "--positions");
    settings["by_head"] = options.heads;
    if (!options.direction.empty())
        settings["direction"] = options.direction;
    if (options.memory)
        settings["memory_limit"] = *options.memory;
    for (const auto& setting : options.settings)
        core::setByPath(settings, setting);
    return settings;
}

/// The maps as one array: a single map without the axes it does not use, several of one shape stacked.
at::Tensor asArray(const intervene::PatchResult& result)
{
    std::vector<at::Tensor> parts;
    for (const auto& map : result.maps)
        parts.push_back(map.byHead ? map.cells : map.cells.squeeze(1));
    for (const auto& part : parts)
        if (part.sizes() != parts[0].sizes())
            throw core::InputError(fmt::format("--out: the maps of {} and another component differ in shape, {} and {}; run one component at a time",
                                               result.maps[0].component, core::formatShape(parts[0].sizes()), core::formatShape(part.sizes())));
    return parts.size() == 1 ? parts[0] : at::stack(parts);
}

std::string cellText(const intervene::PatchMap& map, std::int64_t site, std::int64_t head, std::int64_t column)
{
    const double value = map.cells[site][head][column].item<double>();
    return std::isnan(value) ? "" : fmt::format("{:.3f}", core::plainZero(value, 3));
}

std::string rowLabel(const intervene::PatchMap& map, const std::vector<std::string>& labels, std::int64_t head, std::int64_t column)
{
    const auto index = map.columns[std::size_t(column)];
    std::string text = map.byHead ? fmt::format("head {} ", head) : std::string();
    if (index < 0)
        return map.byHead ? text : "all";
    text += fmt::format("{} {}", map.unit, index);
    const auto& label = labels[std::size_t(column)];
    return label == std::to_string(index) ? text : text + " " + label;
}

// One line a position (and head), one column a layer. Values with long names are numbered and named above.
void printMap(const intervene::PatchMap& map, const std::vector<std::string>& labels)
{
    std::cout << fmt::format("\n{}{}\n", map.component, map.unit.empty() ? "" : " by " + map.unit);
    const bool isLong = std::any_of(map.sites.begin(), map.sites.end(), [](const std::string& site) { return site.size() > 6; });
    std::string header = fmt::format("{:<24}", "");
    for (std::size_t i = 0; i < map.sites.size(); ++i) {
        if (isLong)
            std::cout << fmt::format("  [{}] {}\n", i, map.sites[i]);
        header += fmt::format(" {:>8}", isLong ? fmt::format("[{}]", i) : "layer " + map.sites[i]);
    }
    std::cout << header << "\n";
    for (std::int64_t column = 0; column < map.cells.size(2); ++column)
        for (std::int64_t head = 0; head < map.heads; ++head) {
            std::string line = fmt::format("{:<24}", rowLabel(map, labels, head, column));
            for (std::int64_t site = 0; site < map.cells.size(0); ++site)
                line += fmt::format(" {:>8}", cellText(map, site, head, column));
            std::cout << line << "\n";
        }
}

core::Json changesJson(const std::vector<intervene::AnswerChange>& changes, const graph::ModelCard& card, const char* reference)
{
    auto list = core::Json::array();
    for (const auto& change : changes)
        list.push_back({{"class", change.index},
                        {"name", intervene::answerName(card, change.index)},
                        {"probability", change.value},
                        {reference, change.reference}});
    return list;
}

/// The cell with the largest effect (denoise: the largest metric; noise: the smallest).
std::optional<intervene::PatchCell> strongestCell(const intervene::PatchResult& result)
{
    const bool denoise = result.settings["direction"] == "denoise",
               rises = result.clean > result.corrupted || result.settings["metric"]["normalised"];
    std::optional<intervene::PatchCell> best;
    for (std::size_t i = 0; i < result.maps.size(); ++i) {
        const auto& cells = result.maps[i].cells;
        const at::Tensor flat = cells.nan_to_num(denoise == rises ? -1e300 : 1e300).reshape(-1);
        const auto at = (denoise == rises ? flat.argmax() : flat.argmin()).item<std::int64_t>();
        const double value = flat[at].item<double>();
        if (!best || (denoise == rises ? value > best->value : value < best->value))
            best = intervene::PatchCell{i, at / (cells.size(1) * cells.size(2)), at / cells.size(2) % cells.size(1), at % cells.size(2), value};
    }
    return best;
}

core::Json documentOf(const intervene::PatchResult& result, const intervene::PatchRequest& request, const graph::ModelCard& card)
{
    auto document = result.summary();
    for (std::size_t i = 0; i < result.maps.size(); ++i) {
        const auto& map = result.maps[i];
        document["maps"][i]["labels"] = intervene::columnLabels(card, request, map);
        document["maps"][i]["cells"] = intervene::nested(map.byHead ? map.cells : map.cells.squeeze(1));
    }
    return document;
}

void printText(const PatchOptions& options, const intervene::PatchResult& result, const intervene::PatchRequest& request, const graph::Model& model,
               const core::Json& document)
{
    const auto& metric = result.settings["metric"];
    std::cout << fmt::format("{} of {} ({}): clean {}, corrupted {}{}\n", metric["id"].get<std::string>(), options.model.text,
                             result.settings["direction"].get<std::string>(), core::formatNumber(result.clean), core::formatNumber(result.corrupted),
                             metric["normalised"].get<bool>() ? "; shown with clean = 1 and corrupted = 0" : "");
    for (const char* const name : {"answer", "wrong"})
        if (metric.contains(name))
            std::cout << fmt::format("{:<8}{} \"{}\"\n", name, metric[name].get<std::int64_t>(),
                                     intervene::answerName(model.card, metric[name].get<std::int64_t>()));
    for (const auto& map : result.maps)
        printMap(map, intervene::columnLabels(model.card, request, map));
    const auto& strongest = document["strongest"];
    std::cout << fmt::format("\nstrongest: {} {} {}\n", strongest["value"].get<std::string>(), strongest["place"].get<std::string>(),
                             core::formatNumber(strongest["metric"].get<double>()));
    for (const auto& each : strongest["output"])
        std::cout << fmt::format("  {:<12} {:.4f} (clean {:.4f})\n", each["name"].get<std::string>(), each["probability"].get<double>(),
                                 each["clean_probability"].get<double>());
    std::cout << fmt::format("{} patches in {} runs{}, {:.2f} s\n", result.patches, result.runs,
                             result.fromPosition > 0 ? fmt::format(" ({} from their own position on)", result.fromPosition) : "", result.seconds);
    if (!options.out.empty())
        std::cout << "written to " << options.out << "\n";
    if (document.contains("analysis"))
        std::cout << fmt::format("stored as analysis {} of {}\n", document["analysis"].dump(), options.model.text);
}

void addStrongest(core::Json& document, const PatchOptions& options, const intervene::Patching& patching, const intervene::PatchResult& result,
                  const intervene::PatchRequest& request, const graph::ModelCard& card, std::stop_token stop)
{
    const auto best = strongestCell(result);
    if (!best)
        return;
    const auto& map = result.maps[best->map];
    document["strongest"] = {
        {"component", map.component},
        {"value", map.values[std::size_t(best->site)]},
        {"place", rowLabel(map, intervene::columnLabels(card, request, map), best->head, best->column)},
        {"metric", best->value},
        {"output", changesJson(intervene::mostProbable(result.cleanLogits, patching.outputOf(*best, stop), options.top), card, "clean_probability")}};
}

Exit patch(Session& session, const PatchOptions& options)
{
    session.applyThreads();
    std::vector<train::GivenText> pairs;
    for (const auto& given : {options.clean, options.corrupted})
        if (const auto typed = train::typedText(given); typed && typed->pair)
            pairs.push_back(*typed);
    const auto model = openForTexts(session, options.model, pairs);
    const graph::Executor executor(model.graph);
    const auto clean = givenInput(session, options, model, options.clean, "--clean");
    const auto corrupted = givenInput(session, options, model, options.corrupted, "--corrupted");
    const intervene::PatchRequest request{clean.inputs, corrupted.inputs, settingsOf(options, model.card)};
    const intervene::Patching patching(executor, model.weights, model.card, request, session.stopToken());
    intervene::PatchControl control;
    control.stop = session.stopToken();
    control.progress = [&](double done, double total, const char* unit) { session.showProgress(done, total, unit); };
    const auto result = patching.sweep(control);
    session.endProgress();
    if (!options.out.empty())
        writeArray(options.out, asArray(result));
    auto document = documentOf(result, request, model.card);
    addStrongest(document, options, patching, result, request, model.card, session.stopToken());
    Storing storing;
    storing.attempt([&] {
        const auto run = runOf(options.model.text);
        if (const auto workspace = run ? session.namedWorkspace(store::OpenMode::Open) : nullptr)
            document["analysis"] = intervene::storePatching(*workspace, *run, {options.model.text, clean.origin, corrupted.origin}, result);
    });
    storing.describe(document);
    if (!options.out.empty())
        document["file"] = options.out;
    if (session.json)
        session.print(document);
    else
        printText(options, result, request, model, document);
    return storing.end();
}

std::string help()
{
    std::string text = "The sweep's parameters (--set name=value):\n" + intervene::patchingComponent().schema.helpText();
    text += "\nMetrics and their parameters (--metric-set name=value):\n";
    for (const auto& metric : intervene::outputMetrics().components())
        text += fmt::format("\n{}: {}\n{}", metric.id, metric.summary, metric.schema.helpText());
    return text;
}

}  // namespace

std::function<Exit(Session&)> declarePatch(CLI::App& app)
{
    auto options = std::make_shared<PatchOptions>();
    app.footer(help);
    options->model.declare(app);
    const std::string forms = "array file, text:TEXT, pair:[\"TEXT\", \"TEXT\"], image:FILE or sample:NUMBER";
    app.add_option("--clean", options->clean, "Input that gives the right answer: " + forms + ".")->required();
    app.add_option("--corrupted", options->corrupted, "Input of the same shape that does not: " + forms + ".")->required();
    app.add_option("--data", options->sample.data, "Data set that sample:NUMBER is taken from; default: the data of run:ID.");
    app.add_option("--split", options->sample.split, "Part of the data: train, val or test.");
    app.add_option(
        "--components", options->components,
        "What is patched, with commas: resid_pre, attn_out, resid_mid, mlp_out, resid_post, q, k, v, pattern, z, mlp.pre, mlp.post, or paths and "
        "patterns of values; default: resid_pre.");
    app.add_option("--layers", options->layers, "Blocks, with commas; -1 is the last; default: all.");
    app.add_option("--positions", options->positions,
                   "Positions (channels, features), with commas; -1 is the last; default: each by itself; \"together\": all at once.")
        ->check([](const std::string& given) { return given.empty() ? "expected positions with commas between them, or together" : ""; });
    app.add_flag("--heads", options->heads, "Each attention head by itself.");
    app.add_option("--direction", options->direction, "denoise (restore clean values in the corrupted run; default) or noise (the other way round).");
    app.add_option("--metric", options->metric, "What an output is worth; see `orrery-cli list output_metric`.");
    app.add_option("--metric-set", options->metricSettings, "Parameter of the metric: name=value; see below.");
    app.add_option("--answer", options->answer, "The right answer as token, class name or number; default: what the clean run says.");
    app.add_option("--wrong", options->wrong, "The wrong answer of logit_difference, in the same way.");
    app.add_option("--memory", options->memory, "Most memory for a batch of patched runs, in MiB; default: see below (memory_limit).")
        ->check(positive());
    app.add_option("--set", options->settings, "Parameter of the sweep: name=value; see below.");
    app.add_option("--top", options->top, "Classes shown of the strongest patch.")->check(CLI::Range(1, 1000));
    app.add_option("--out", options->out, "File for the map, [layer, position] or [layer, head, position] (.npy, .safetensors, .csv, .png).")
        ->check(outFileProblem);
    return [options](Session& session) { return patch(session, *options); };
}

}  // namespace orrery::cli
