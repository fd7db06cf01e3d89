#include "lens_methods.h"

#include <ATen/ATen.h>

#include <core/base/text.h>
#include <core/io/npy.h>
#include <core/io/tensors.h>
#include <core/train/card_inputs.h>

#include "lens_documents.h"
#include "soft_prompt.h"

namespace orrery::intervene {
namespace {

using core::Json;

constexpr const char* kLogitLensSource = "nostalgebraist (2020), \"interpreting GPT: the logit lens\"; Belrose et al. (2023), arXiv:2303.08112";
constexpr const char* kCircuitsSource = "Elhage et al. (2021), \"A Mathematical Framework for Transformer Circuits\"";
constexpr const char* kInductionSource = "Olsson et al. (2022), \"In-context Learning and Induction Heads\", arXiv:2209.11895";

core::Parameter topParameter()
{
    return core::integer("top", 5, "Tokens kept in each cell, most probable first.").range(1, 100);
}

template <class T>
std::optional<T> given(const Json& parameters, const char* name)
{
    return parameters.at(name).is_null() ? std::nullopt : std::optional<T>(parameters.at(name).get<T>());
}

std::optional<std::int64_t> token(const Json& parameters, const char* name, const graph::ModelCard& card)
{
    const auto text = given<std::string>(parameters, name);
    return text ? std::optional(tokenNumber(card, *text)) : std::nullopt;
}

LensResult runLogitLens(const LensSubject& subject, const LensRequest& request, const Control& control)
{
    LensGrid grid = logitLens(subject, request.tokens, {request.parameters.at("top"), request.parameters.at("middle")}, control);
    return {{}, {}, gridDocument(grid, subject.model.card), gridArray(grid), std::move(grid), {}, {}};
}

LensResult runFuture(const LensSubject& subject, const LensRequest& request, const Control& control)
{
    const Json& parameters = request.parameters;
    if (!request.texts)
        throw core::InputError("future: expected data to fit on: a model run:ID, or --data ID|PATH");
    const FutureLens lens =
        fitFutureLens(subject, request.texts(parameters.at("fit_samples"), false), {parameters.at("offset"), parameters.at("ridge")}, control);
    LensGrid grid = futureLensGrid(subject, lens, request.tokens, parameters.at("top"), control);
    LensResult result{{}, {}, gridDocument(grid, subject.model.card), gridArray(grid), std::move(grid), {}, {}};
    result.document["fitted_on"] = {{"samples", parameters.at("fit_samples")}, {"states", lens.pairs}};
    if (const auto count = parameters.at("held_out_samples").get<std::int64_t>(); count > 0) {
        result.score = scoreFutureLens(subject, lens, request.texts(count, true), control);
        result.document["held_out"] = scoreDocument(*result.score, lens.places);
    }
    return result;
}

/// The context as tokens [1, position]: a text, numbers for a model without a tokenizer, or the text's own first token, which says as little as can be said.
at::Tensor contextTokens(const LensSubject& subject, const at::Tensor& tokens, const std::optional<std::string>& context)
{
    if (!context)
        return tokens.slice(1, 0, 1);
    if (subject.model.card.tokenizer.is_object())
        return train::textInput(subject.model, *context);
    std::vector<std::int64_t> numbers;
    for (const auto& part : core::split(*context, ','))
        numbers.push_back(tokenNumber(subject.model.card, std::string(core::trim(part))));
    return at::tensor(numbers, at::kLong).unsqueeze(0);
}

/// Learned prompts, if asked for.
std::optional<SoftPrompts> promptsFor(const LensSubject& subject, const LensRequest& request, const Control& control)
{
    const Json& parameters = request.parameters;
    const auto length = given<std::int64_t>(parameters, "prompt_length");
    if (!length)
        return {};
    if (given<std::string>(parameters, "context"))
        throw core::InputError("transplant: expected a context or a prompt_length, got both");
    if (!request.texts)
        throw core::InputError("transplant: expected data to learn the prompt on: a model run:ID, or --data ID|PATH");
    SoftPromptSettings settings;
    settings.length = *length;
    settings.offset = parameters.at("offset");
    settings.steps = parameters.at("prompt_steps");
    settings.seed = parameters.at("seed").get<std::uint64_t>();
    return learnPrompts(subject, request.texts(parameters.at("fit_samples"), false), settings, control);
}

LensResult runTransplant(const LensSubject& subject, const LensRequest& request, const Control& control)
{
    const Json& parameters = request.parameters;
    const auto& card = subject.model.card;
    const std::int64_t offset = parameters.at("offset"), count = parameters.at("held_out_samples");
    if (count > 0 && !request.texts)
        throw core::InputError("transplant: expected data to be scored on: a model run:ID, or --data ID|PATH; or held_out_samples=0");
    const auto learned = promptsFor(subject, request, control);
    const TransplantContext context =
        learned ? learned->context : TransplantContext(contextTokens(subject, request.tokens, given<std::string>(parameters, "context")));
    Transplant made = transplant(subject, request.tokens, context, {offset, parameters.at("top")}, control);
    LensResult result{{}, {}, transplantDocument(made, card), gridArray(made.grid), made.grid, {}, {}};
    if (learned) {
        result.document["context"] = result.document["context_names"] = Json::array();
        result.document["learned_prompt"] = promptDocument(*learned, made.grid.places);
    }
    if (count > 0) {
        result.score = scoreTransplant(subject, request.texts(count, true), context, offset, control);
        result.document["held_out"] = scoreDocument(*result.score, made.grid.places);
    }
    result.transplant = std::move(made);
    return result;
}

LensResult runDirect(const LensSubject& subject, const LensRequest& request, const Control& control)
{
    const auto& card = subject.model.card;
    const DirectLogitSettings settings{given<std::int64_t>(request.parameters, "position"), token(request.parameters, "target", card),
                                       token(request.parameters, "contrast", card)};
    DirectLogitAttribution made = directLogitAttribution(subject, request.tokens, settings, control);
    std::vector<double> values;
    for (const Contribution& part : made.parts)
        values.push_back(part.value);
    return {{}, {}, directDocument(made, card), at::tensor(values, at::kDouble), std::move(made), {}, {}};
}

void checkIndex(std::optional<std::int64_t> index, std::int64_t count, const char* name)
{
    if (index && (*index < 0 || *index >= count))
        throw core::InputError(fmt::format("{} {}: expected one from 0 to {}", name, *index, count - 1));
}

LensResult runAttention(const LensSubject& subject, const LensRequest& request, const Control& control)
{
    const auto layer = given<std::int64_t>(request.parameters, "layer"), head = given<std::int64_t>(request.parameters, "head");
    AttentionPatterns made = attentionPatterns(subject, request.tokens, control);
    checkIndex(layer, std::int64_t(made.patterns.size()), "layer");
    at::Tensor array = layer ? made.patterns[std::size_t(*layer)] : at::stack(made.patterns);
    checkIndex(head, array.size(-3), "head");
    if (head)
        array = array.select(array.dim() - 3, *head);
    Json document{{"tokens", nested(made.tokens)},
                  {"token_names", tokenNames(subject.model.card, made.tokens)},
                  {"scores", headsDocument(made.scores)},
                  {"shape", array.sizes().vec()}};
    if (layer && head)
        document["pattern"] = nested(array);
    return {{}, {}, std::move(document), std::move(array), std::move(made), {}, {}};
}

LensResult runInduction(const LensSubject& subject, const LensRequest& request, const Control& control)
{
    const Json& parameters = request.parameters;
    InductionSettings settings;
    settings.sequences = parameters.at("sequences");
    settings.length = given<std::int64_t>(parameters, "length").value_or(0);
    settings.seed = parameters.at("seed").get<std::uint64_t>();
    for (const Json& text : parameters.at("ablate"))
        settings.ablated.push_back(headPlace(text.get<std::string>()));
    InductionScores scores = inductionScores(subject, settings, control);
    return {{}, {}, inductionDocument(scores), headsArray(scores.scores), std::move(scores), {}, {}};
}

LensResult runMemorisation(const LensSubject& subject, const LensRequest& request, const Control& control)
{
    const Json& parameters = request.parameters;
    if (!request.texts)
        throw core::InputError("memorisation: expected the data the model was trained on: a model run:ID, or --data ID|PATH");
    const MemorisationSettings settings{given<std::int64_t>(parameters, "prompt"), given<std::int64_t>(parameters, "continuation")};
    Memorisation made = memorisation(subject, request.texts(parameters.at("samples"), parameters.at("part") == "test"), settings, control);
    at::Tensor array = made.matched.to(at::kDouble);
    return {{}, {}, memorisationDocument(made), std::move(array), std::move(made), {}, {}};
}

void addGrids(core::Registry<LensMethod>& registry)
{
    registry.add({"logit_lens",
                  "Logit lens",
                  "What the model would predict at each layer, by its own final layer norm and head; the array is [place, position, column].",
                  kLogitLensSource,
                  {topParameter(), core::boolean("middle", false, "Also between attention and MLP.")}},
                 runLogitLens);
    registry.add({"future",
                  "Future lens",
                  "Tokens further ahead, read linearly from one hidden state; the map is fitted on the data; the array is [place, position, column].",
                  "Pal et al. (2023), \"Future Lens: Anticipating Subsequent Tokens from a Single Hidden State\", arXiv:2311.04897",
                  {core::integer("offset", 2, "Tokens ahead; 1 is the next token.").range(1, 64),
                   core::real("ridge", 1e-3, "Penalty of the ridge regression, relative to the mean variance of the features.").atLeast(0).log(),
                   core::integer("fit_samples", 200, "Samples of the training part that the map is fitted on.").range(1, 1'000'000),
                   core::integer("held_out_samples", 50, "Samples of the test part that the readout is scored on; 0: none.").range(0, 1'000'000),
                   topParameter()}},
                 runFuture);
    registry.add(
        {"transplant",
         "Transplant lens",
         "Tokens ahead, written on by the model itself from one hidden state that is put into another context (or behind a learned prompt); the "
         "array "
         "is [place, position, column] of the last of them.",
         "Pal et al. (2023), \"Future Lens: Anticipating Subsequent Tokens from a Single Hidden State\", arXiv:2311.04897",
         {core::integer("offset", 4, "Tokens that are read; 1 is the next token alone.").range(1, 64),
          core::text("context", "",
                     "Text at whose last position the state is put (token numbers with commas for a model without a tokenizer); none: the "
                     "first token of the input.")
              .noneByDefault(),
          core::integer("prompt_length", 10, "Learns so many vectors on the data to stand in place of a context; none: the context as it is.")
              .range(1, 1 << 16)
              .noneByDefault(),
          core::integer("prompt_steps", 100, "Steps of Adam for the prompt of each layer.").range(1, 1'000'000),
          core::integer("fit_samples", 200, "Samples of the training part that the prompt is learned on.").range(1, 1'000'000),
          core::integer("seed", 0, "Seed of the states that the prompt is learned on.").atLeast(0),
          core::integer("held_out_samples", 0, "Samples of the test part that the reading is scored on; 0: none.").range(0, 1'000'000),
          topParameter()}},
        runTransplant);
}

void addHeads(core::Registry<LensMethod>& registry)
{
    registry.add({"direct_logit_attribution",
                  "Direct logit attribution",
                  "What embedding, heads and MLPs each add to a logit or a difference of logits; the array is [part].",
                  kCircuitsSource,
                  {core::integer("position", -1, "Position whose prediction is taken apart; negative: from the end; none: the last.").noneByDefault(),
                   core::text("target", "", "Token, as text or number; none: the most probable one.").noneByDefault(),
                   core::text("contrast", "", "The logit difference to this token is taken apart; none: the logit itself.").noneByDefault()}},
                 runDirect);
    registry.add({"attention",
                  "Attention patterns",
                  "The pattern of each head with what it looks at: previous token, duplicate token, induction, entropy; the array is [layer, head, "
                  "query, key].",
                  kCircuitsSource,
                  {core::integer("layer", 0, "This layer alone, from 0; none: all.").atLeast(0).noneByDefault(),
                   core::integer("head", 0, "This head alone, from 0; none: all.").atLeast(0).noneByDefault()}},
                 runAttention);
    registry.add(
        {"induction",
         "Induction heads",
         "How much each head attends to what followed the previous occurrence, on repeated random tokens; the array is [layer, head, score].",
         kInductionSource,
         {core::integer("sequences", 16, "Random sequences.").range(1, 100'000),
          core::integer("length", 50, "Tokens that are repeated; none: 50, or half of what the model takes.")
              .range(2, 1 << 20)
              .withUnit("tokens")
              .noneByDefault(),
          core::integer("seed", 0, "Seed of the tokens.").atLeast(0),
          core::list("ablate", core::text("", "", "Head as LAYER.HEAD."), Json::array(), "Heads whose output is set to zero, as LAYER.HEAD.")}},
        runInduction);
    registry.add({"memorisation",
                  "Memorisation",
                  "Which training sequences the model writes on by heart from their beginnings; the array is [sequence], tokens that came right.",
                  "Carlini et al. (2023), \"Quantifying Memorization Across Neural Language Models\", arXiv:2202.07646",
                  {core::integer("prompt", 32, "Tokens given; none: half of each sequence.").range(1, 1 << 20).withUnit("tokens").noneByDefault(),
                   core::integer("continuation", 32, "Tokens that must follow; none: the rest of each sequence.")
                       .range(1, 1 << 20)
                       .withUnit("tokens")
                       .noneByDefault(),
                   core::integer("samples", 200, "Sequences, spread over the part; 0: all.").range(0, 1'000'000),
                   core::choice("part", {"train", "test"}, "train", "Part of the data: test shows what is right without having been learned.")}},
                 runMemorisation);
}

}  // namespace

const core::Registry<LensMethod>& lensRegistry()
{
    static const core::Registry<LensMethod> registry = [] {
        core::Registry<LensMethod> made("lens", "Lenses");
        addGrids(made);
        addHeads(made);
        return made;
    }();
    return registry;
}

bool needsTokens(std::string_view kind)
{
    return kind != "induction" && kind != "memorisation";
}

const std::vector<std::string>& gridColumns()
{
    static const std::vector<std::string> columns{"top_token", "top_probability", "entropy", "target_rank", "target_probability", "kl"};
    return columns;
}

const std::vector<std::string>& headColumns()
{
    static const std::vector<std::string> columns{"previous_token", "duplicate_token", "induction", "first_token", "entropy"};
    return columns;
}

LensResult runLens(const LensSubject& subject, const std::string& kind, LensRequest request, const Control& control)
{
    request.parameters = lensRegistry().at(kind).schema.resolve(request.parameters, kind);
    if (needsTokens(kind) && !request.tokens.defined())
        throw core::InputError(fmt::format("{}: expected tokens to look at", kind));
    if (!subject.more.empty() && kind != "logit_lens" && kind != "attention")
        throw core::InputError(fmt::format("{}: a pair of texts: expected logit_lens or attention, or one text", kind));
    LensResult result = lensRegistry().factory(kind)(subject, request, control);
    result.kind = kind;
    result.parameters = request.parameters;
    Json document{{"kind", kind}, {"parameters", request.parameters}};
    document.update(result.document);
    result.document = std::move(document);
    return result;
}

std::int64_t storeLens(store::Workspace& workspace, store::RunId run, const Json& inputs, const LensResult& result, double seconds)
{
    store::NewAnalysis analysis;
    analysis.run = run;
    analysis.method = result.kind;
    analysis.inputs = inputs;
    analysis.parameters = result.parameters;
    analysis.results = result.document;
    analysis.results.erase("kind");
    analysis.results.erase("parameters");
    Json topNames = Json::array();
    // The cells are in the artifact; thousands of them would make every list of analyses slow.
    if (const auto rows = analysis.results.find("rows"); rows != analysis.results.end()) {
        Json places = Json::array();
        for (const Json& row : *rows) {
            places.push_back(row.at("place"));
            for (const Json& cell : row.value("cells", Json::array()))
                if (cell.contains("top") && !cell["top"].empty())
                    topNames.push_back(cell["top"][0].at("name"));
        }
        analysis.results["places"] = std::move(places);
        analysis.results["columns"] = gridColumns();
        analysis.results.erase("rows");
    }
    analysis.seconds = seconds;
    const std::int64_t id = workspace.addAnalysis(analysis);
    workspace.addAnalysisArtifact(id, {"lens", "application/x-npy", {}}, io::npyBytes(io::toArray(result.array)));
    if (!topNames.empty())
        workspace.addAnalysisArtifact(id, {"top_names", "application/json", {}}, topNames.dump(-1, ' ', false, Json::error_handler_t::replace));
    return id;
}

}  // namespace orrery::intervene
