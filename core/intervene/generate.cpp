#include "generate.h"

#include <ATen/ATen.h>

#include <core/base/text.h>
#include <core/graph/sequence_limit.h>

namespace orrery::intervene {
namespace {

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
    static const core::Schema kSchema = [] {
        core::Schema schema = generation::samplingSchema();
        schema.add(
            core::integer("stop_token", 0, "Token that ends the text; none: only the number of tokens does.").range(0, 10'000'000).noneByDefault());
        return schema;
    }();
    return kSchema;
}

GenerationOptions generationOptions(const core::Json& document, std::uint64_t seed)
{
    const auto resolved = generationSchema().resolve(document, "generate");
    GenerationOptions options;
    options.seed = seed;
    options.maxNewTokens = resolved.at("max_new_tokens").get<std::int64_t>();
    generation::readSampling(resolved, options);
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
        result.tokens.push_back(generation::describedToken(logits, token, options.alternatives));
        if ((result.stopped = options.stopToken == token))
            break;
        text = at::cat({text, at::full({1, 1}, token, text.options())}, 1);
    }
    control.report(double(result.tokens.size()), double(result.tokens.size()), "tokens");
    return result;
}

}  // namespace orrery::intervene
