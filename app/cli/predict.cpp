#include <cstdio>
#include <iostream>
#include <map>

#include <core/base/text.h>
#include <core/explain/attribution.h>
#include <core/explain/leave_out.h>
#include <core/intervene/beam_search.h>
#include <core/intervene/results.h>
#include <core/io/image.h>
#include <core/text/card_tokenizer.h>
#include <core/train/card_inputs.h>
#include <core/train/predict.h>

#include "arrays.h"
#include "number_checks.h"
#include "printable.h"
#include "sample_argument.h"
#include "text_argument.h"
#include "token_predictions.h"

namespace orrery::cli {
namespace {

struct PredictOptions {
    ModelArgument model;
    std::vector<std::string> inputs;
    SampleArgument sample;
    TextArgument texts;
    std::string image, out;
    int top = 5;
    intervene::BeamOptions beam;
    int beams = 0;
    std::string leaveOut;
    double setTo = 0;
    std::optional<std::int64_t> position;
};

std::vector<at::Tensor> tensorsFor(Session& session, const PredictOptions& options, const graph::Model& model)
{
    const auto device = session.chosenDevice();
    const int given = !options.inputs.empty() + options.texts.given() + !options.image.empty() + options.sample.given();
    if (given != 1)
        throw core::InputError("predict: expected one of --input, --text, --image, --sample");
    if (options.texts.given()) {
        std::vector<at::Tensor> tensors;
        for (const auto& value : options.texts.inputs(session, model))
            tensors.push_back(value.toTensor());
        return tensors;
    }
    if (!options.image.empty())
        return {train::imageInput(model.card, io::readImage(options.image)).to(device)};
    std::vector<at::Tensor> tensors;
    for (const auto& value : inputsFrom(session, options.inputs, options.sample, options.model, model)) {
        if (!value.isTensor())
            throw core::InputError("predict: expected a model that takes arrays alone; forward runs one that takes single numbers");
        tensors.push_back(value.toTensor());
    }
    return tensors;
}

std::string className(const graph::Model& model, const train::ClassScore& score)
{
    if (!score.name.empty())
        return score.name;
    const auto tokenizer = intervene::answersAreTokens(model.card) ? text::tokenizerOf(model.card) : nullptr;
    return tokenizer ? tokenizer->tokenText(score.index) : std::to_string(score.index);
}

// "19,27-29": numbers and ranges, the ends included.
std::vector<std::int64_t> elementsIn(const std::string& text)
{
    std::vector<std::int64_t> elements;
    for (const auto& part : core::split(text, ',')) {
        std::int64_t first = 0, last = 0;
        int used = 0;
        const bool isRange = std::sscanf(part.c_str(), "%ld-%ld%n", &first, &last, &used) == 2 && used == int(part.size());
        const bool isNumber = !isRange && std::sscanf(part.c_str(), "%ld%n", &first, &used) == 1 && used == int(part.size());
        last = isNumber ? first : last;
        if ((!isRange && !isNumber) || first < 0 || last < first || last - first > 100'000'000)
            throw core::InputError(fmt::format("--leave-out {}: expected numbers and ranges from 0, such as 3,10-14, got \"{}\"", text, part));
        for (auto i = first; i <= last; ++i)
            elements.push_back(i);
    }
    return elements;
}

std::string joinedText(const text::Tokenizer& tokenizer, const intervene::Hypothesis& hypothesis)
{
    const auto& tokens = hypothesis.tokens;
    return text::escaped(tokenizer.decode({tokens.data(), tokens.size() - (hypothesis.ended && !tokens.empty() ? 1 : 0)}));
}

Exit searchBeams(Session& session, const PredictOptions& options, const graph::Model& model)
{
    if (options.texts.texts.size() != 1 || !options.texts.pairs.empty())
        throw core::InputError("predict: --beam goes on from a text; expected one --text");
    auto search = options.beam;
    search.beams = options.beams;
    const auto result = intervene::searchText(model, options.texts.texts[0], search, session.stopToken());
    const auto tokenizer = text::requiredTokenizer(model.card);
    if (session.json) {
        auto document = result.toJson([&](std::int64_t token) { return tokenizer->tokenText(token); });
        for (std::size_t i = 0; i < result.hypotheses.size(); ++i)
            document["hypotheses"][i]["text"] = joinedText(*tokenizer, result.hypotheses[i]);
        document["model"] = options.model.text;
        session.print(document);
        return Exit::Done;
    }
    std::cout << fmt::format("{:>10} {:>12}  text\n", "score", "log prob");
    for (const auto& hypothesis : result.hypotheses)
        std::cout << fmt::format("{:>10.4f} {:>12.4f}  {}\n", hypothesis.score, hypothesis.logProbability, joinedText(*tokenizer, hypothesis));
    return Exit::Done;
}

// The last axis of a sequence where each sample is answered (a mask, else the last token), or of the output itself.
at::Tensor answerRows(const PredictOptions& options, const graph::Model& model, const std::vector<at::Tensor>& inputs, const at::Tensor& output)
{
    if (options.position) {
        if (output.dim() != 3 || *options.position >= output.size(1))
            throw core::InputError(output.dim() != 3 ? "--position: the output " + core::formatShape(output.sizes()) + " has no positions"
                                                     : fmt::format("--position: expected 0..{}, got {}", output.size(1) - 1, *options.position));
        return output.select(1, *options.position);
    }
    const std::vector<c10::IValue> values(inputs.begin(), inputs.end());
    auto positions = train::answerPositions(*model.graph, model.card, values);
    if (output.dim() == 3 && std::any_of(positions.begin(), positions.end(), [&](std::int64_t each) { return each >= output.size(1); }))
        positions.clear();
    return explain::atPositions(output, positions);
}

core::Json valuesJson(const at::Tensor& output)
{
    auto list = core::Json::array();
    const auto rows = output.to(at::kCPU, at::kDouble).reshape({output.dim() ? output.size(0) : 1, -1}).contiguous();
    for (std::int64_t i = 0; i < rows.size(0); ++i)
        list.push_back(
            {{"values", std::vector<double>(rows.data_ptr<double>() + i * rows.size(1), rows.data_ptr<double>() + (i + 1) * rows.size(1))}});
    return list;
}

/// @param rank  Of the whole output, of which `answers` are rows.
core::Json predictionsJson(const graph::Model& model, const at::Tensor& answers, std::size_t top, std::int64_t rank)
{
    if (model.card.task == "regression" || answers.dim() != 2)
        return valuesJson(answers);
    auto list = core::Json::array();
    for (const auto& row : train::topClasses(answers, model.card, top, graph::outputKind(*model.graph, model.card, rank))) {
        core::Json classes = core::Json::array();
        for (const auto& score : row)
            classes.push_back({{"class", score.index}, {"name", className(model, score)}, {"probability", score.probability}});
        list.push_back({{"classes", std::move(classes)}});
    }
    return list;
}

/// Puts "before" and "change" beside each number of `after`; `before` holds every class.
void addChanges(core::Json& after, const core::Json& before)
{
    for (std::size_t i = 0; i < after.size(); ++i) {
        if (after[i].contains("values")) {
            after[i]["before"] = before[i]["values"];
            continue;
        }
        std::map<std::int64_t, double> probabilities;
        for (const auto& score : before[i]["classes"])
            probabilities[score["class"].get<std::int64_t>()] = score["probability"].get<double>();
        for (auto& score : after[i]["classes"]) {
            const double was = probabilities.at(score["class"].get<std::int64_t>());
            score["before"] = was;
            score["change"] = score["probability"].get<double>() - was;
        }
    }
}

void printPredictions(const core::Json& predictions)
{
    for (std::size_t i = 0; i < predictions.size(); ++i) {
        const auto& prediction = predictions[i];
        std::cout << "sample " << i << "\n";
        if (prediction.contains("values")) {
            std::cout << "  " << prediction["values"].dump() << (prediction.contains("before") ? " before " + prediction["before"].dump() : "")
                      << "\n";
            continue;
        }
        for (const auto& score : prediction["classes"]) {
            std::cout << fmt::format("  {:<20} {:.4f}", tokenCell(score["name"].get<std::string>()), score["probability"].get<double>());
            if (score.contains("before"))
                std::cout << fmt::format("  before {:.4f}  change {:+.4f}", score["before"].get<double>(), score["change"].get<double>());
            std::cout << "\n";
        }
    }
}

/// The answer to the input without some of its elements, as `orrery` gives it to the brush.
at::Tensor answerWithout(Session& session, const PredictOptions& options, const graph::Model& model, const std::vector<at::Tensor>& inputs,
                         core::Json& document)
{
    const graph::Executor executor(model.graph);
    const std::vector<c10::IValue> values(inputs.begin(), inputs.end());
    explain::LeaveOut what;
    what.elements = elementsIn(options.leaveOut);
    what.baseline = options.setTo;
    what.site = explain::defaultSite(executor, model.weights, values, session.stopToken());
    document["left_out"] = {{"site", what.site}, {"elements", what.elements}, {"set_to", what.baseline}};
    return explain::outputWithout(executor, model.weights, values, what, session.stopToken());
}

/// The tokens that the model read, -1 where an attention mask says padding.
at::Tensor tokensRead(const graph::Model& model, const std::vector<at::Tensor>& inputs)
{
    for (std::size_t i = 0; i < inputs.size(); ++i)
        if (model.graph->data().inputs[i].name == "attention_mask" && inputs[i].sizes() == inputs[0].sizes())
            return inputs[0].masked_fill(inputs[i].eq(0), -1);
    return inputs[0];
}

Exit predict(Session& session, const PredictOptions& options)
{
    const auto model = options.texts.openModel(session, options.model);
    if (options.beams > 0)
        return searchBeams(session, options, model);
    const auto inputs = tensorsFor(session, options, model);
    if (!inputs.empty() && inputs[0].dim() > 0 && inputs[0].size(0) == 0)
        throw core::InputError("expected at least one sample, got " + core::formatShape(inputs[0].sizes()));
    auto output = train::predict(model, inputs, 256, session.stopToken());
    warnOfOddValues(output, "the model's answer");
    core::Json document = {{"model", options.model.text}, {"shape", output.sizes().vec()}};
    const auto tokenAnswers =
        options.leaveOut.empty() ? tokenPredictions(model, tokensRead(model, inputs), output, std::size_t(options.top)) : std::nullopt;
    if (tokenAnswers) {
        document["predictions"] = *tokenAnswers;
    } else if (options.leaveOut.empty()) {
        document["predictions"] = predictionsJson(model, answerRows(options, model, inputs, output), std::size_t(options.top), output.dim());
    } else {
        const auto answers = answerRows(options, model, inputs, output);
        const auto before = predictionsJson(model, answers, std::size_t(answers.numel()), output.dim());
        output = answerWithout(session, options, model, inputs, document);
        document["predictions"] = predictionsJson(model, answerRows(options, model, inputs, output), std::size_t(options.top), output.dim());
        addChanges(document["predictions"], before);
    }
    if (!options.out.empty())
        writeArray(options.out, output);
    if (session.json)
        session.print(document);
    else
        tokenAnswers ? printTokenPredictions(document["predictions"]) : printPredictions(document["predictions"]);
    return Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declarePredict(CLI::App& app)
{
    auto options = std::make_shared<PredictOptions>();
    options->model.declare(app);
    app.add_option("--input", options->inputs, "Array file, or NAME=FILE; the first axis is the batch.");
    declareKeepInput(app, options->model);
    options->texts.declare(app, "Text, read by the model's tokenizer.");
    app.add_option("--image", options->image,
                   "PNG, JPEG or WebP picture, prepared as the model card says (of a checkpoint folder: its preprocessor_config.json).")
        ->check(CLI::ExistingFile);
    options->sample.declare(app);
    app.add_option("--top", options->top, "Classes shown.")->check(CLI::Range(1, 1000));
    auto* const beam = app.add_option("--beam", options->beams,
                                      "Beam search from --text with so many beams: whole continuations (or translations) instead of the next token.")
                           ->check(CLI::Range(1, 10000));
    app.add_option("--max-length", options->beam.maxLength, "With --beam: new tokens at most.")->check(CLI::Range(1, 100000))->needs(beam);
    app.add_option("--length-penalty", options->beam.lengthPenalty, "With --beam: score = log probability / length^penalty.")
        ->check(between(0, 10))
        ->needs(beam);
    auto* without =
        app.add_option("--leave-out", options->leaveOut,
                       "Elements of the input to leave out (pixels row * width + column, features, positions): 3,10-14; what changes is shown.")
            ->excludes(beam)
            ->check([](const std::string& text) { return text.empty() ? "expected numbers and ranges from 0, such as 3,10-14" : ""; });
    app.add_option("--set-to", options->setTo, "With --leave-out: what they are set to, in the numbers the model sees (a token: its embedding).")
        ->check(finite())
        ->needs(without);
    app.add_option("--position", options->position,
                   "With --leave-out: position in a sequence whose answer is shown; default: the first mask of a model that fills masks, else the "
                   "last token.")
        ->check(CLI::NonNegativeNumber)
        ->needs(without);
    app.add_option("--out", options->out, "File for the raw output (.npy, .safetensors, .csv, .png).")->check(outFileProblem);
    return [options](Session& session) { return predict(session, *options); };
}

}  // namespace orrery::cli
