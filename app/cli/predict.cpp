#include <iostream>

#include <core/base/text.h>
#include <core/data/vocabulary.h>
#include <core/intervene/beam_search.h>
#include <core/io/image.h>
#include <core/train/card_inputs.h>
#include <core/train/predict.h>

#include "arrays.h"
#include "sample_argument.h"

namespace orrery::cli {
namespace {

struct Options {
    ModelArgument model;
    std::vector<std::string> inputs;
    SampleArgument sample;
    std::string text, image, out;
    int top = 5;
    intervene::BeamOptions beam;
    int beams = 0;
};

std::vector<at::Tensor> tensorsFor(Session& session, const Options& options, const graph::Model& model)
{
    const auto device = session.chosenDevice();
    const int given = !options.inputs.empty() + !options.text.empty() + !options.image.empty() + options.sample.given();
    if (given != 1)
        throw core::InputError("predict: expected one of --input, --text, --image, --sample");
    if (!options.text.empty())
        return {train::textInput(model.card, options.text).to(device)};
    if (!options.image.empty())
        return {train::imageInput(model.card, io::readImage(options.image)).to(device)};
    std::vector<at::Tensor> tensors;
    for (const auto& value : inputsFrom(session, options.inputs, options.sample, options.model, model))
        tensors.push_back(value.toTensor());
    return tensors;
}

std::string className(const graph::Model& model, const train::ClassScore& score)
{
    if (!score.name.empty())
        return score.name;
    if (model.card.task == "language_model" && model.card.tokenizer.is_object())
        return data::Vocabulary::fromJson(model.card.tokenizer).tokenText(score.index);
    return std::to_string(score.index);
}

std::string joinedText(const data::Vocabulary& vocabulary, const intervene::Hypothesis& hypothesis)
{
    std::string text;
    for (std::size_t i = 0; i + (hypothesis.ended ? 1 : 0) < hypothesis.tokens.size(); ++i)
        text += vocabulary.tokenText(hypothesis.tokens[i]);
    return text;
}

Exit searchBeams(Session& session, const Options& options, const graph::Model& model)
{
    if (options.text.empty())
        throw core::InputError("predict: --beam goes on from a text; expected --text");
    auto search = options.beam;
    search.beams = options.beams;
    const auto result = intervene::searchText(model, options.text, search, session.stopToken());
    const auto vocabulary = data::Vocabulary::fromJson(model.card.tokenizer);
    if (session.json) {
        auto document = result.toJson([&](std::int64_t token) { return vocabulary.tokenText(token); });
        for (std::size_t i = 0; i < result.hypotheses.size(); ++i)
            document["hypotheses"][i]["text"] = joinedText(vocabulary, result.hypotheses[i]);
        document["model"] = options.model.text;
        session.print(document);
        return Exit::Done;
    }
    std::cout << fmt::format("{:>10} {:>12}  text\n", "score", "log prob");
    for (const auto& hypothesis : result.hypotheses)
        std::cout << fmt::format("{:>10.4f} {:>12.4f}  {}\n", hypothesis.score, hypothesis.logProbability, joinedText(vocabulary, hypothesis));
    return Exit::Done;
}

Exit predict(Session& session, const Options& options)
{
    const auto model = options.model.open(session);
    if (options.beams > 0)
        return searchBeams(session, options, model);
    auto output = train::predict(model, tensorsFor(session, options, model), 256, session.stopToken());
    if (!options.out.empty())
        writeArray(options.out, output);
    core::Json document = {{"model", options.model.text}, {"shape", output.sizes().vec()}, {"predictions", core::Json::array()}};
    if (output.dim() == 3)
        output = output.select(1, output.size(1) - 1);  // a sequence: what comes next
    const bool regression = model.card.task == "regression" || output.dim() != 2;
    if (regression) {
        const auto rows = output.to(at::kCPU, at::kDouble).reshape({output.dim() ? output.size(0) : 1, -1}).contiguous();
        for (std::int64_t i = 0; i < rows.size(0); ++i)
            document["predictions"].push_back(
                {{"values", std::vector<double>(rows.data_ptr<double>() + i * rows.size(1), rows.data_ptr<double>() + (i + 1) * rows.size(1))}});
    } else {
        for (const auto& row : train::topClasses(output, model.card, std::size_t(options.top))) {
            core::Json classes = core::Json::array();
            for (const auto& score : row)
                classes.push_back({{"class", score.index}, {"name", className(model, score)}, {"probability", score.probability}});
            document["predictions"].push_back({{"classes", std::move(classes)}});
        }
    }
    if (session.json) {
        session.print(document);
        return Exit::Done;
    }
    for (std::size_t i = 0; i < document["predictions"].size(); ++i) {
        const auto& prediction = document["predictions"][i];
        std::cout << "sample " << i << "\n";
        if (prediction.contains("values"))
            std::cout << "  " << prediction["values"].dump() << "\n";
        else
            for (const auto& score : prediction["classes"])
                std::cout << fmt::format("  {:<20} {:.4f}\n", score["name"].get<std::string>(), score["probability"].get<double>());
    }
    return Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declarePredict(CLI::App& app)
{
    auto options = std::make_shared<Options>();
    options->model.declare(app);
    app.add_option("--input", options->inputs, "Array file, or NAME=FILE; the first axis is the batch.");
    app.add_option("--text", options->text, "Text, read by the model's tokenizer.");
    app.add_option("--image", options->image, "PNG, JPEG or WebP picture, prepared as the model card says.")->check(CLI::ExistingFile);
    options->sample.declare(app);
    app.add_option("--top", options->top, "Classes shown.")->check(CLI::Range(1, 1000));
    app.add_option("--beam", options->beams,
                   "Beam search from --text with so many beams: whole continuations (or translations) instead of the next token.")
        ->check(CLI::Range(1, 10000));
    app.add_option("--max-length", options->beam.maxLength, "With --beam: new tokens at most.")->check(CLI::Range(1, 100000));
    app.add_option("--length-penalty", options->beam.lengthPenalty, "With --beam: score = log probability / length^penalty.")
        ->check(CLI::Range(0.0, 10.0));
    app.add_option("--out", options->out, "File for the raw output (.npy, .safetensors, .csv, .png).")->check(arrayEndingProblem);
    return [options](Session& session) { return predict(session, *options); };
}

}  // namespace orrery::cli
