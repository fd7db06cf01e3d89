#include "generate.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include <core/base/rng.h>
#include <core/base/text.h>
#include <core/graph/sequence_limit.h>

namespace orrery::intervene {
namespace {

std::vector<double> generatedNumbers(const at::Tensor& tensor)
{
    const auto flat = tensor.to(at::kCPU, at::kDouble).reshape(-1).contiguous();
    return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

/// Token numbers by falling probability; of equals the smaller number first.
std::vector<std::int64_t> ranked(const std::vector<double>& probabilities)
{
    std::vector<std::int64_t> order(probabilities.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return probabilities[std::size_t(a)] > probabilities[std::size_t(b)]; });
    return order;
}

/// The tokens that top_k and top_p leave, by falling probability.
std::vector<std::int64_t> candidates(const std::vector<double>& probabilities, const GenerationOptions& options)
{
    auto order = ranked(probabilities);
    if (options.topK > 0 && std::size_t(options.topK) < order.size())
        order.resize(std::size_t(options.topK));
    double total = 0, sum = 0;
    for (const auto token : order)
        total += probabilities[std::size_t(token)];
    std::size_t kept = 0;
    while (kept < order.size() && (kept == 0 || sum < options.topP * total))
        sum += probabilities[std::size_t(order[kept++])];
    order.resize(kept);
    return order;
}

at::Tensor checkedPrompt(const graph::ModelCard& card, const at::Tensor& prompt)
{
    if (card.inputs.size() != 1 || card.inputs[0].kind != "tokens")
        throw core::InputError("generation needs a model that takes tokens alone; the model card says otherwise");
    if (prompt.dim() != 2 || prompt.size(0) != 1 || prompt.size(1) == 0 || at::isFloatingType(prompt.scalar_type()))
        throw core::InputError(fmt::format("generation goes on from one prompt: expected tokens [1, position], got {} {}",
                                           graph::dtypeName(prompt.scalar_type()), core::formatShape(prompt.sizes())));
    return prompt.to(at::kLong);
}

void checkLength(const graph::Graph& graph, const graph::ModelCard& card, std::int64_t prompt, std::int64_t added)
{
    // The last token is predicted, not read.
    const auto longest = graph::longestSequence(graph, card);
    if (longest && prompt + added - 1 > *longest)
        throw core::InputError(fmt::format("the model reads at most {} tokens; expected a prompt and new tokens within {}, got {} and {}", *longest,
                                           *longest + 1, prompt, added));
}

GeneratedToken described(const at::Tensor& logits, std::int64_t token, std::size_t alternatives)
{
    const auto probabilities = generatedNumbers(at::softmax(logits.to(at::kDouble), -1));
    GeneratedToken result{token, probabilities[std::size_t(token)], {}};
    const auto order = ranked(probabilities);
    for (std::size_t i = 0; i < std::min(alternatives, order.size()); ++i)
        result.alternatives.emplace_back(order[i], probabilities[std::size_t(order[i])]);
    return result;
}

at::Tensor lastLogits(const at::Tensor& output, std::int64_t length, std::int64_t step)
{
    if (output.dim() != 3 || output.size(0) != 1 || output.size(1) != length)
        throw core::ShapeError(fmt::format("output: expected logits [1, {}, token], got {}", length, core::formatShape(output.sizes())));
    const auto logits = output.select(1, length - 1).select(0, 0).detach();
    if (at::isnan(logits).any().item<bool>())
        throw core::Error(fmt::format("step {}: the logits hold NaN; an intervention may have made the values too large or undefined", step));
    return logits;
}

}  // namespace

const core::Schema& generationSchema()
{
    static const core::Schema kSchema = {
        core::integer("max_new_tokens", 20, "Tokens that are written at most.").range(1, 100'000),
        core::boolean("do_sample", false, "Draw the next token by its probability; off takes the most probable."),
        core::real("temperature", 1.0, "Divides the logits: below 1 sharper, above 1 flatter.").above(0).range(1e-6, 1000).when("do_sample", {true}),
        core::integer("top_k", 50, "Draw only among the k most probable tokens; 0: all.").range(0, 10'000'000).when("do_sample", {true}),
        core::real("top_p", 1.0, "Draw only among the most probable tokens that together reach this probability.")
            .range(0, 1)
            .when("do_sample", {true}),
        core::integer("stop_token", 0, "Token that ends the text; none: only the number of tokens does.").range(0, 10'000'000).noneByDefault(),
    };
    return kSchema;
}

GenerationOptions generationOptions(const core::Json& document, std::uint64_t seed)
{
    const auto resolved = generationSchema().resolve(document, "generate");
    GenerationOptions options;
    options.seed = seed;
    options.maxNewTokens = resolved.at("max_new_tokens").get<std::int64_t>();
    options.sample = resolved.at("do_sample").get<bool>();
    options.temperature = resolved.value("temperature", options.temperature);
    options.topK = resolved.value("top_k", options.topK);
    options.topP = resolved.value("top_p", options.topP);
    if (!resolved.at("stop_token").is_null())
        options.stopToken = resolved.at("stop_token").get<std::int64_t>();
    return options;
}

std::vector<std::int64_t> GenerationResult::newTokens() const
{
    std::vector<std::int64_t> numbers;
    for (const auto& token : tokens)
        numbers.push_back(token.token);
    return numbers;
}

std::int64_t chooseToken(const at::Tensor& logits, const GenerationOptions& options, std::int64_t step)
{
    if (!options.sample)
        return logits.argmax(-1).item<std::int64_t>();
    const auto probabilities = generatedNumbers(at::softmax(logits.to(at::kDouble) / options.temperature, -1));
    const auto tokens = candidates(probabilities, options);
    double total = 0;
    for (const auto token : tokens)
        total += probabilities[std::size_t(token)];
    double rest = core::SplitMix64(core::deriveSeed(options.seed, std::uint64_t(step), "generate")).uniform() * total;
    for (const auto token : tokens)
        if ((rest -= probabilities[std::size_t(token)]) < 0)
            return token;
    return tokens.back();
}

GenerationResult generate(const graph::Executor& executor, const graph::Weights& weights, const graph::ModelCard& card, const at::Tensor& prompt,
                          const GenerationOptions& options, const InterventionProgram* program, const Control& control)
{
    auto text = checkedPrompt(card, prompt);
    const auto promptLength = text.size(1);
    checkLength(*executor.graph(), card, promptLength, options.maxNewTokens);
    GenerationResult result;
    const auto numbers = text.to(at::kCPU).contiguous();
    result.prompt.assign(numbers.data_ptr<std::int64_t>(), numbers.data_ptr<std::int64_t>() + promptLength);
    for (std::int64_t step = 0; step < options.maxNewTokens; ++step) {
        control.report(double(step), double(options.maxNewTokens), "tokens");
        graph::RunRequest request;
        request.inputs = {text};
        request.stop = control.stop;
        const auto run = program ? program->run(request, promptLength) : executor.run(weights, request);
        const auto logits = lastLogits(run.tensor(), text.size(1), step);
        const auto token = chooseToken(logits, options, step);
        result.tokens.push_back(described(logits, token, options.alternatives));
        if ((result.stopped = options.stopToken == token))
            break;
        text = at::cat({text, at::full({1, 1}, token, text.options())}, 1);
    }
    control.report(double(result.tokens.size()), double(result.tokens.size()), "tokens");
    return result;
}

}  // namespace orrery::intervene
