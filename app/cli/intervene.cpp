#include <iostream>

#include <core/base/files.h>
#include <core/base/plain_zero.h>
#include <core/base/plural.h>
#include <core/base/text.h>
#include <core/intervene/alignment.h>
#include <core/intervene/kinds.h>
#include <core/intervene/results.h>
#include <core/train/document_file.h>
#include <core/train/samples.h>

#include "arrays.h"
#include "number_checks.h"
#include "printable.h"
#include "sample_argument.h"
#include "storing.h"
#include "text_argument.h"

namespace orrery::cli {
namespace {

using core::Json;
using intervene::InterventionDocument;

struct InterveneOptions {
    ModelArgument model;
    std::vector<std::string> inputs, sources, probes, settings, units, sampling;
    SampleArgument sample;
    TextArgument texts;
    std::string spec, at, kind, source, out, outFolder, save, align, outSpec;
    std::optional<std::int64_t> position;
    std::int64_t newTokens = 0;
    int top = 5;
};

/// A document with the folder its files are relative to.
struct Spec {
    InterventionDocument document;
    std::filesystem::path folder;
};

struct Opened {
    graph::Model model;
    std::unique_ptr<graph::Executor> executor;
    std::vector<c10::IValue> inputs;
    intervene::SourceInputs sources;
    Spec spec;
};

Json valueOf(const std::string& text)
{
    const auto json = Json::parse(text, nullptr, false);
    return json.is_discarded() ? Json(text) : json;
}

/// `--unit AXIS=INDEX`, as in a document; an empty object without.
Json unitOf(const InterveneOptions& options)
{
    Json unit = Json::object();
    for (const auto& part : options.units) {
        const auto equals = part.find('=');
        if (equals == std::string::npos)
            throw core::InputError(fmt::format("--unit {}: expected AXIS=INDEX, such as head=3 or position=last", part));
        unit[part.substr(0, equals)] = valueOf(part.substr(equals + 1));
    }
    return unit;
}

/// `--at PLACE --do KIND [--unit axis=index] [--set name=value] [--source NAME=...]`: one intervention without a file.
InterventionDocument shortcut(const InterveneOptions& options)
{
    Json doing = {{"id", options.kind}};
    for (const auto& setting : options.settings)
        core::setByPath(doing, setting);
    const Json unit = unitOf(options);
    Json entry = {{"at", options.at}, {"do", doing}};
    if (!unit.empty())
        entry["unit"] = unit;
    const auto* kind = intervene::interventionRegistry().find(options.kind);
    const bool takesSource = kind && intervene::interventionRegistry().factory(options.kind).usesSource;
    if (options.sources.size() == 1 && takesSource)
        entry["source"] = options.sources[0].substr(0, options.sources[0].find('='));
    return InterventionDocument::fromJson(Json::array({entry}));
}

/// "run:3/steering" -> a document kept with run 3.
std::optional<std::pair<store::RunId, std::string>> keptSpec(const std::string& spec)
{
    const auto slash = spec.find('/');
    const auto run = slash == std::string::npos ? std::nullopt : runOf(spec.substr(0, slash));
    if (!run)
        return std::nullopt;
    return std::pair(*run, spec.substr(slash + 1));
}

Spec readSpec(Session& session, const InterveneOptions& options)
{
    if (options.spec.empty() == (options.at.empty() && options.kind.empty()))
        throw core::InputError("intervene: expected either --spec FILE|run:ID/NAME, or --at PLACE with --do KIND");
    if (options.spec.empty() && (options.at.empty() || options.kind.empty()))
        throw core::InputError("intervene: expected --at PLACE and --do KIND together");
    if (options.spec.empty())
        return {shortcut(options), {}};
    if (const auto kept = keptSpec(options.spec))
        return {intervene::documentOfRun(*session.workspace(store::OpenMode::ReadOnly), kept->first, kept->second), {}};
    if (options.spec.starts_with('{') || options.spec.starts_with('['))
        return {InterventionDocument::fromJson(train::parseJsonDocument(options.spec, "--spec")), {}};
    const auto file = core::resolvePath(options.spec);
    requireFile(file.string(), "--spec");
    return {InterventionDocument::fromJson(train::readDocument(file)), file.parent_path()};
}

std::vector<std::int64_t> sampleNumbers(const std::string& text, const std::string& argument)
{
    std::vector<std::int64_t> numbers;
    for (const auto& part : core::split(text, ',')) {
        const auto dash = part.find('-');
        const auto from = part.substr(0, dash), to = dash == std::string::npos ? from : part.substr(dash + 1);
        const auto isNumber = [](const std::string& digits) {
            return !digits.empty() && digits.size() < 10 && digits.find_first_not_of("0123456789") == std::string::npos;
        };
        if (!isNumber(from) || !isNumber(to) || std::stoll(from) > std::stoll(to))
            throw core::InputError(fmt::format("--source {}: expected sample numbers such as 3, 3,7 or 0-99, got \"{}\"", argument, part));
        for (auto i = std::stoll(from); i <= std::stoll(to); ++i)
            numbers.push_back(i);
    }
    return numbers;
}

std::vector<c10::IValue> sourceInputs(Session& session, const InterveneOptions& options, const graph::Model& model, const std::string& argument)
{
    const auto equals = argument.find('=');
    if (equals == std::string::npos || equals == 0)
        throw core::InputError(
            fmt::format("--source {}: expected NAME=FILE.npy, NAME=text:TEXT, NAME=pair:[\"TEXT\", \"TEXT\"] or NAME=sample:N", argument));
    const auto given = argument.substr(equals + 1);
    const auto device = session.chosenDevice();
    if (const auto text = train::typedText(given))
        return inputsOfTexts(session, model, {&*text, 1});
    if (!given.starts_with("sample:"))
        return readInputs({given}, model, device, fmt::format("--source {}", argument.substr(0, equals)));
    auto sample = options.sample;
    sample.samples = sampleNumbers(given.substr(7), argument);
    return sample.inputs(*sample.open(session, options.model), model);
}

std::vector<c10::IValue> ownInputs(Session& session, const InterveneOptions& options, const graph::Model& model)
{
    if (!options.inputs.empty() + options.sample.given() + options.texts.given() != 1)
        throw core::InputError("intervene: expected one of --input, --sample, --text");
    if (options.texts.given())
        return options.texts.inputs(session, model);
    return inputsFrom(session, options.inputs, options.sample, options.model, model);
}

/// The input's own and those of its sources.
std::vector<train::GivenText> textsWithSources(const InterveneOptions& options)
{
    auto texts = options.texts.givenTexts();
    for (const auto& source : options.sources)
        if (const auto text = train::typedText(source.substr(source.find('=') + 1)); text && text->pair)
            texts.push_back(*text);
    return texts;
}

bool holdsWord(const std::string& text, const std::string& word)
{
    const auto isPart = [&](std::size_t at) { return at < text.size() && (std::isalnum(static_cast<unsigned char>(text[at])) || text[at] == '_'); };
    for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + 1))
        if ((at == 0 || !isPart(at - 1)) && !isPart(at + word.size()))
            return true;
    return false;
}

Opened open(Session& session, const InterveneOptions& options)
{
    Opened opened;
    opened.spec = readSpec(session, options);
    opened.model = openForTexts(session, options.model, textsWithSources(options));
    opened.executor = std::make_unique<graph::Executor>(opened.model.graph);
    opened.inputs = ownInputs(session, options, opened.model);
    const auto document = opened.spec.document.toJson().dump();
    for (const auto& source : options.sources) {
        const auto name = source.substr(0, source.find('='));
        if (options.align.empty() && !holdsWord(document, name))
            throw core::InputError(fmt::format("--source {}: no intervention takes values from \"{}\" (--set source={})", source, name, name));
        opened.sources[name] = sourceInputs(session, options, opened.model, source);
    }
    return opened;
}

void writeValues(const InterveneOptions& options, const intervene::InterventionResult& result)
{
    if (options.outFolder.empty())
        return;
    makeFolder(options.outFolder, "--out-dir");
    for (const auto& [name, pair] : result.values) {
        const auto file = std::filesystem::path(options.outFolder) / fileName(name);
        writeArray(file.string() + ".plain.npy", pair.first);
        writeArray(file.string() + ".intervened.npy", pair.second);
    }
}

Json generatedBothWays(Session& session, const InterveneOptions& options, const Opened& opened, const intervene::Control& control)
{
    Json settings = {{"max_new_tokens", options.newTokens}};
    for (const auto& setting : options.sampling)
        core::setByPath(settings, setting);
    const auto how = intervene::generationOptions(settings, session.seed);
    const auto& model = opened.model;
    const intervene::InterventionProgram program(*opened.executor, model.weights, model.card, opened.spec.document, opened.sources,
                                                 {opened.spec.folder, session.seed}, control);
    const auto prompt = opened.inputs.at(0).toTensor();
    const auto plain = intervene::generate(*opened.executor, model.weights, model.card, prompt, how, nullptr, control);
    const auto changed = intervene::generate(*opened.executor, model.weights, model.card, prompt, how, &program, control);
    return {{"plain", intervene::describeGeneration(plain, model.card)}, {"intervened", intervene::describeGeneration(changed, model.card)}};
}

Json inputDescription(Session& session, const InterveneOptions& options)
{
    Json inputs = {{"model", options.model.text}};
    if (options.sample.given())
        inputs.update(
            {{"data", options.sample.document(session, options.model)}, {"split", options.sample.split}, {"samples", options.sample.samples}});
    else if (options.texts.given())
        inputs.update(options.texts.document());
    else
        inputs["input"] = options.inputs;
    if (!options.sources.empty())
        inputs["sources"] = options.sources;
    return inputs;
}

/// With a workspace and a model from it the result is kept as an analysis of the run; `--save` keeps the document, too.
void store(Session& session, const InterveneOptions& options, const Opened& opened, const intervene::InterventionResult& result, double seconds,
           Json& document)
{
    const auto run = runOf(options.model.text);
    if (!options.save.empty() && !run)
        throw core::InputError("--save: expected a model run:ID that the document is kept with, got " + options.model.text);
    const auto workspace =
        run ? (options.save.empty() ? session.namedWorkspace(store::OpenMode::Open) : session.workspace(store::OpenMode::Open)) : nullptr;
    if (!workspace)
        return;
    const auto whole = intervene::withArraysInside(opened.spec.document, opened.spec.folder);
    if (!options.save.empty()) {
        intervene::saveDocument(*workspace, *run, options.save, whole);
        document["saved"] = fmt::format("run:{}/{}", *run, options.save);
    }
    Json results = document;
    results.erase("document");
    document["analysis"] =
        intervene::storeIntervention(*workspace, *run, whole, inputDescription(session, options), results, result.plain, result.intervened, seconds);
    workspace->flush();
}

/// Of a logit or a probability; not a number (as JSON: null) stays what it is.
double shown(const Json& number)
{
    return number.is_number() ? core::plainZero(number.get<double>(), 4) : std::nan("");
}

void printSample(const Json& sample, std::size_t index, bool several)
{
    if (several)
        std::cout << "sample " << index << "\n";
    if (!sample.contains("changes")) {
        std::cout << fmt::format("  before {}\n  after  {}\n", sample["before"].dump(), sample["after"].dump());
        return;
    }
    const double divergence = sample["divergence"].get<double>();
    std::cout << (std::isnan(divergence)
                      ? "  the changed answer is not finite (NaN or infinity): what is set is too large for the model, or holds such numbers itself\n"
                      : fmt::format("  KL divergence {} nats\n", core::formatNumber(divergence)));
    const bool isLogit = sample["changes"].empty() || sample["changes"][0].contains("logit_before");
    const std::string number = isLogit ? "logit" : "log_probability", title = isLogit ? "logit" : "log p";
    std::cout << fmt::format("  {:<20} {:>10} {:>10} {:>12} {:>12}\n", "class", "before", "after", title + " before", title + " after");
    for (const auto& change : sample["changes"])
        std::cout << fmt::format("  {:<20} {:>10.4f} {:>10.4f} {:>12.4f} {:>12.4f}\n", tokenCell(change["name"].get<std::string>()),
                                 shown(change["before"]), shown(change["after"]), shown(change[number + "_before"]),
                                 shown(change[number + "_after"]));
}

/// The text, or the numbers of its tokens where the model has no tokenizer.
std::string writtenText(const Json& written)
{
    if (!written["text"].is_null())
        return written["text"].dump(-1, ' ', false, Json::error_handler_t::replace);
    std::vector<std::string> tokens;
    for (const auto& token : written["tokens"])
        tokens.push_back(token["token"].dump());
    return core::join(tokens, " ");
}

void printText(const InterveneOptions& options, const Json& document)
{
    const auto changed = document["changed"].get<std::vector<std::string>>();
    std::cout << (changed.empty() ? "nothing is changed\n" : "changed " + core::join(changed, ", ") + "\n");
    for (std::size_t i = 0; i < document["samples"].size(); ++i)
        printSample(document["samples"][i], i, document["samples"].size() > 1);
    for (const auto& value : document["values"])
        std::cout << fmt::format("value {}: largest difference {}, relative {}\n", value["name"].get<std::string>(),
                                 value.value("largest_difference", Json()).dump(), value.value("relative_difference", Json()).dump());
    if (document.contains("generated"))
        for (const char* side : {"plain", "intervened"})
            std::cout << fmt::format("{:<10} {}\n", side, writtenText(document["generated"][side]));
    if (!options.out.empty())
        std::cout << "written to " << options.out << "\n";
    if (document.contains("saved"))
        std::cout << "document kept as " << document["saved"].get<std::string>() << "\n";
    if (document.contains("analysis"))
        std::cout << fmt::format("stored as analysis {} of {}\n", document["analysis"].dump(), options.model.text);
}

/// `--align LABELS.npy`: the subspace of a value whose interchange gives the answers in LABELS, as a document to be used from then on.
Exit align(Session& session, const InterveneOptions& options)
{
    if (options.at.empty() || !options.kind.empty() || !options.spec.empty() || options.sources.size() != 1)
        throw core::InputError("intervene: --align expects --at PLACE, one --source NAME=..., and neither --do nor --spec");
    Json settings = Json::object();
    for (const auto& setting : options.settings)
        core::setByPath(settings, setting);
    settings = intervene::alignmentSchema().resolve(settings, "align");
    const auto model = options.texts.openModel(session, options.model);
    const graph::Executor executor(model.graph);
    const intervene::AlignmentPairs pairs{ownInputs(session, options, model), sourceInputs(session, options, model, options.sources[0]),
                                          readArray(options.align).to(at::kLong)};
    intervene::Control control;
    control.stop = session.stopToken();
    control.progress = [&](double done, double total, const char* unit) { session.showProgress(done, total, unit); };
    const auto unit = unitOf(options);
    const auto found = intervene::findAlignment(executor, model.weights, model.card, pairs, options.at, unit.empty() ? Json() : unit, settings,
                                                session.seed, control);
    session.endProgress();
    if (!options.out.empty())
        writeArray(options.out, found.directions);
    if (!options.outSpec.empty())
        core::writeFileAtomically(options.outSpec, found.document.dump(2) + "\n");
    const Json document = {
        {"model", options.model.text}, {"value", found.value},   {"parameters", settings},    {"accuracy_before", found.accuracyBefore},
        {"accuracy", found.accuracy},  {"losses", found.losses}, {"document", found.document}};
    if (session.json) {
        session.print(document);
        return Exit::Done;
    }
    std::cout << fmt::format("{} in {}: the intervened answer is the label for {:.1f} % of the pairs (before the search {:.1f} %)\n",
                             core::counted(found.directions.size(0), "direction"), found.value, 100 * found.accuracy, 100 * found.accuracyBefore);
    if (!options.outSpec.empty())
        std::cout << fmt::format("document written to {}; its source is called \"source\"\n", options.outSpec);
    return Exit::Done;
}

Exit run(Session& session, const InterveneOptions& options)
{
    if (!options.align.empty())
        return align(session, options);
    const auto opened = open(session, options);
    intervene::Control control;
    control.stop = session.stopToken();
    control.progress = [&](double done, double total, const char* unit) { session.showProgress(done, total, unit); };
    const auto started = std::chrono::steady_clock::now();
    const intervene::InterventionRequest request{opened.inputs, opened.sources, options.probes, opened.spec.folder, session.seed};
    const auto result = intervene::runIntervened(*opened.executor, opened.model.weights, opened.model.card, opened.spec.document, request, control);
    if (options.position && result.plain.dim() != 3)
        throw core::InputError(fmt::format("--position: the output {} has no positions", core::formatShape(result.plain.sizes())));
    Json document = {{"model", options.model.text}, {"document", opened.spec.document.toJson()}};
    document.update(intervene::describeResult(result, opened.model.card, std::size_t(options.top), options.position,
                                              train::answerPositions(*opened.model.graph, opened.model.card, opened.inputs)));
    if (options.newTokens > 0)
        document["generated"] = generatedBothWays(session, options, opened, control);
    session.endProgress();
    if (!options.out.empty()) {
        writeArray(options.out, result.intervened);
        document["file"] = options.out;
    }
    writeValues(options, result);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
    Storing storing;
    storing.attempt([&] { store(session, options, opened, result, seconds.count(), document); });
    storing.describe(document);
    session.json ? session.print(document) : printText(options, document);
    return storing.end();
}

std::string interventionKindsHelp()
{
    std::string text =
        "The document is JSON or YAML:\n"
        "  {\"interventions\": [{\"at\": PLACE, \"unit\": {AXIS: INDEX}, \"do\": {\"id\": KIND, ...}, \"source\": NAME, \"when\": \"always\", "
        "\"enabled\": true}]}\n"
        "PLACE: a value, a module, a glob, op:NAME, or a canonical name such as blocks.2.resid_pre.\n"
        "AXIS: batch, position, head, query, key, channel, height, width, feature, class; INDEX: a number (negative: from the end), \"first\", "
        "\"last\",\n"
        "{\"from\": a, \"to\": b} (both inclusive) or a list. Or {\"axis\": n, \"index\": ...}, or {\"index\": [[...], ...]} for single elements.\n"
        "when (with --generate): always, prompt, new, or a list of steps; step k acts where token k is predicted.\n\n"
        "Kinds and their parameters (more in `orrery-cli describe KIND`):\n";
    for (const auto& kind : intervene::interventionRegistry().components())
        text += fmt::format("\n{}: {}\n{}", kind.id, kind.summary, kind.schema.helpText());
    return text + "\nGenerating (--sampling name=value):\n" + intervene::generationSchema().helpText();
}

void declareInputs(CLI::App& app, InterveneOptions& options)
{
    options.model.declare(app);
    app.add_option("--input", options.inputs, "Array file, or NAME=FILE; the first axis is the batch.");
    options.sample.declare(app);
    options.texts.declare(app, "Text, read by the model's tokenizer.");
    app.add_option(
        "--source", options.sources,
        "Input that values are taken from: NAME=FILE.npy, NAME=text:TEXT, or NAME=sample:N (also N,M or N-M; data and part as for --sample).");
}

}  // namespace

std::function<Exit(Session&)> declareIntervene(CLI::App& app)
{
    auto options = std::make_shared<InterveneOptions>();
    app.footer(interventionKindsHelp);
    declareInputs(app, *options);
    app.add_option("--spec", options->spec, "Interventions: a JSON or YAML file, run:ID/NAME for a document kept with a run, or the JSON itself.");
    app.add_option("--at", options->at, "Place of one intervention, without a file.");
    app.add_option("--do", options->kind, "Its kind; see `orrery-cli list intervention`.");
    app.add_option("--unit", options->units, "Its unit: AXIS=INDEX, such as head=3, position=last or position=[1,2].");
    app.add_option("--set", options->settings, "Its parameters: name=value.");
    app.add_option("--probe", options->probes, "Value compared between both runs: a place as above.");
    app.add_option("--position", options->position,
                   "Position of a sequence output that is shown; default: the first mask of a model that fills masks, else the last token.")
        ->check(notNegative());
    app.add_option("--top", options->top, "Classes shown, by change of probability.")->check(CLI::Range(1, 1000));
    app.add_option("--generate", options->newTokens, "Write on from the text by so many tokens, without and with.")->check(CLI::Range(1, 100000));
    app.add_option("--sampling", options->sampling, "How tokens are chosen: name=value, see below; default: the most probable.");
    app.add_option("--out", options->out, "File for the changed output (.npy, .safetensors, .csv, .png).")->check(outFileProblem);
    app.add_option("--out-dir", options->outFolder, "Folder for NAME.plain.npy and NAME.intervened.npy of each probed value.");
    app.add_option(
        "--align", options->align,
        "Search: class numbers (.npy, one a pair of --input and --source) that the subspace of --at is to give when it comes from the source; "
        "--set dimensions, steps, lr, batch_size.");
    app.add_option("--out-spec", options->outSpec, "With --align: file for the document that was found.");
    app.add_option("--save", options->save, "Keep the document with the run under this name; --spec run:ID/NAME reads it.")
        ->check([](const std::string& name) { return name.empty() ? "expected a name" : ""; });
    return [options](Session& session) { return run(session, *options); };
}

}  // namespace orrery::cli
