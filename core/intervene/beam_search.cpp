#include "beam_search.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <core/base/error.h>
#include <core/data/vocabulary.h>
#include <core/generate/generation.h>
#include <core/generate/special_tokens.h>
#include <core/graph/executor.h>
#include <core/graph/output_kind.h>
#include <core/graph/sequence_limit.h>
#include <core/train/card_inputs.h>
#include <core/train/evaluate.h>

#include "generate.h"

namespace orrery::intervene {
namespace {

using Tokens = std::vector<std::int64_t>;

struct Candidate {
    int parent = 0;
    std::int64_t token = 0;
    double logProbability = 0;
};

double scoreOf(double logProbability, std::size_t length, double penalty)
{
    return logProbability / std::pow(double(length), penalty);
}

/// The most probable extensions, by falling log probability; equal ones in the order of prefix and token.
std::vector<Candidate> bestExtensions(const at::Tensor& rows, const std::vector<double>& so, const BeamOptions& options)
{
    const std::int64_t tokens = rows.size(1);
    std::vector<Candidate> all;
    all.reserve(std::size_t(rows.numel()));
    const double* value = rows.data_ptr<double>();
    for (std::int64_t row = 0; row < rows.size(0); ++row)
        for (std::int64_t token = 0; token < tokens; ++token, ++value)
            if (std::find(options.excluded.begin(), options.excluded.end(), token) == options.excluded.end() && *value > -HUGE_VAL)
                all.push_back({int(row), token, so[std::size_t(row)] + *value});
    const std::size_t kept = std::min(all.size(), std::size_t(options.beams));
    std::partial_sort(all.begin(), all.begin() + std::ptrdiff_t(kept), all.end(), [](const Candidate& a, const Candidate& b) {
        return std::tuple(-a.logProbability, a.parent, a.token) < std::tuple(-b.logProbability, b.parent, b.token);
    });
    all.resize(kept);
    return all;
}

void keepBest(std::vector<Hypothesis>& hypotheses, int beams)
{
    std::stable_sort(hypotheses.begin(), hypotheses.end(), [](const Hypothesis& a, const Hypothesis& b) { return a.score > b.score; });
    if (hypotheses.size() > std::size_t(beams))
        hypotheses.resize(std::size_t(beams));
}

at::Tensor asRows(const std::vector<Tokens>& prefixes, const Tokens& before)
{
    const auto length = std::int64_t(before.size() + prefixes[0].size());
    at::Tensor rows = at::empty({std::int64_t(prefixes.size()), length}, at::kLong);
    for (std::size_t i = 0; i < prefixes.size(); ++i) {
        auto* row = rows.data_ptr<std::int64_t>() + std::int64_t(i) * length;
        std::copy(prefixes[i].begin(), prefixes[i].end(), std::copy(before.begin(), before.end(), row));
    }
    return rows;
}

/// Log probabilities at the last position, [row, token] double on the CPU.
at::Tensor lastLogProbabilities(const graph::Model& model, const at::Tensor& output)
{
    const at::Tensor last = output.select(1, output.size(1) - 1).to(at::kCPU, at::kDouble);
    const at::Tensor rows = graph::classLogits(last, graph::outputKind(*model.graph, model.card, output.dim())).log_softmax(-1).contiguous();
    if (rows.isnan().any().item<bool>())
        throw core::InputError("beam search: the model's logits hold NaN: its weights are broken (a training that diverged?)");
    return rows;
}

/// The encoder's result is kept: each step runs the decoder alone.
class Translator {
public:
    /// @param begin  The token that every target begins with.
    Translator(const graph::Model& model, at::Tensor source, std::int64_t begin, std::stop_token stop)
        : m_model(model), m_executor(model.graph), m_begin(begin), m_stop(std::move(stop))
    {
        m_source = train::moved(source, train::optionsOf(model.weights));
        const auto memory = model.card.canonicalNames.find("memory");
        if (memory == model.card.canonicalNames.end())
            return;
        m_memoryName = memory->second;
        graph::RunRequest request;
        request.inputs = {m_source, m_source};
        request.targets = {m_memoryName};
        request.stop = m_stop;
        m_memory = m_executor.run(model.weights, request).tensor();
    }
    at::Tensor operator()(const std::vector<Tokens>& prefixes) const
    {
        const at::Tensor target = asRows(prefixes, {m_begin});
        graph::RunRequest request;
        request.inputs = {m_source.expand({target.size(0), -1}), target.to(m_source.device())};
        if (m_memory.defined())
            request.changed[m_memoryName] = m_memory.expand({target.size(0), -1, -1});
        request.stop = m_stop;
        return lastLogProbabilities(m_model, m_executor.run(m_model.weights, request).tensor());
    }

private:
    const graph::Model& m_model;
    graph::Executor m_executor;
    const std::int64_t m_begin;
    std::stop_token m_stop;
    at::Tensor m_source, m_memory;
    std::string m_memoryName;
};

}  // namespace

BeamResult beamSearch(const NextLogProbabilities& next, const BeamOptions& options, std::stop_token stop)
{
    if (options.beams < 1 || options.maxLength < 1)
        throw core::InputError(fmt::format("beam search: expected at least 1 beam and 1 token, got {} and {}", options.beams, options.maxLength));
    BeamResult result;
    std::vector<Tokens> prefixes(1);
    std::vector<double> so{0.0};
    std::vector<int> nodeOf{-1};  // of each prefix in the step before
    for (std::int64_t step = 0; step < options.maxLength && !prefixes.empty(); ++step) {
        if (stop.stop_requested())
            throw core::Cancelled();
        if (options.progress)
            options.progress(double(step), double(options.maxLength));
        const bool last = step + 1 == options.maxLength;
        std::vector<Tokens> longer;
        std::vector<double> longerSo;
        std::vector<int> longerNodes;
        std::vector<BeamNode> nodes;
        for (const Candidate& candidate : bestExtensions(next(prefixes), so, options)) {
            const auto parent = std::size_t(candidate.parent);
            const bool ended = options.end && candidate.token == *options.end;
            nodes.push_back({nodeOf[parent], candidate.token, candidate.logProbability, ended});
            Tokens tokens = prefixes[parent];
            tokens.push_back(candidate.token);
            if (ended || last) {
                const double score = scoreOf(candidate.logProbability, tokens.size(), options.lengthPenalty);
                result.hypotheses.push_back({std::move(tokens), candidate.logProbability, score, ended, int(step), int(nodes.size()) - 1});
                continue;
            }
            longerNodes.push_back(int(nodes.size()) - 1);
            longerSo.push_back(candidate.logProbability);
            longer.push_back(std::move(tokens));
        }
        result.steps.push_back(std::move(nodes));
        keepBest(result.hypotheses, options.beams);
        prefixes = std::move(longer);
        so = std::move(longerSo);
        nodeOf = std::move(longerNodes);
        // Without a length penalty no prefix can gain: the search is over once enough hypotheses are better than all of them.
        if (options.lengthPenalty == 0 && result.hypotheses.size() == std::size_t(options.beams) && !so.empty() &&
            result.hypotheses.back().score >= *std::max_element(so.begin(), so.end()))
            break;
    }
    return result;
}

std::vector<int> BeamResult::pathOf(const Hypothesis& hypothesis) const
{
    std::vector<int> path(std::size_t(hypothesis.step) + 1);
    int node = hypothesis.node;
    for (int step = hypothesis.step; step >= 0; --step) {
        path[std::size_t(step)] = node;
        node = steps[std::size_t(step)][std::size_t(node)].parent;
    }
    return path;
}

core::Json BeamResult::toJson(const std::function<std::string(std::int64_t)>& tokenText) const
{
    core::Json out = {{"hypotheses", core::Json::array()}, {"steps", core::Json::array()}};
    for (const Hypothesis& hypothesis : hypotheses) {
        core::Json tokens = core::Json::array();
        for (const auto token : hypothesis.tokens)
            tokens.push_back(tokenText(token));
        out["hypotheses"].push_back({{"tokens", std::move(tokens)},
                                     {"log_probability", hypothesis.logProbability},
                                     {"score", hypothesis.score},
                                     {"ended", hypothesis.ended}});
    }
    for (const auto& nodes : steps) {
        core::Json step = core::Json::array();
        for (const BeamNode& node : nodes)
            step.push_back(
                {{"parent", node.parent}, {"token", tokenText(node.token)}, {"log_probability", node.logProbability}, {"ended", node.ended}});
        out["steps"].push_back(std::move(step));
    }
    return out;
}

BeamResult searchText(const graph::Model& model, std::string_view text, BeamOptions options, std::stop_token stop)
{
    const at::NoGradGuard noGrad;
    generation::checkWritesOn(model.card);
    const at::Tensor tokens = train::textInput(model, text);
    const auto inputs = model.graph->data().inputs.size();
    // An encoder-decoder's target begins anew, a language model goes on behind the text; the last new token is not read any more.
    const std::int64_t before = inputs == 2 ? 1 : tokens.numel();
    if (const auto longest = graph::longestSequence(*model.graph, model.card)) {
        options.maxLength = std::min(options.maxLength, *longest - before + 1);
    }
    if (inputs == 2) {
        const auto special = generation::specialTokens(model.card);
        if (!special.decoderBegin)
            throw core::InputError("the model card does not say with which token an answer begins (decoder_start_token_id)");
        if (!special.end.empty())
            options.end = special.end[0];
        options.excluded = {special.padding.value_or(*special.decoderBegin), *special.decoderBegin};
        const Translator translate(model, tokens, *special.decoderBegin, stop);
        return beamSearch([&](const std::vector<Tokens>& prefixes) { return translate(prefixes); }, options, stop);
    }
    if (inputs != 1)
        throw core::InputError(fmt::format("beam search: expected a model of one or two token inputs, got {}", inputs));
    const graph::Executor executor(model.graph);
    const Tokens beginning(tokens.data_ptr<std::int64_t>(), tokens.data_ptr<std::int64_t>() + tokens.numel());
    const auto next = [&](const std::vector<Tokens>& prefixes) {
        graph::RunRequest request;
        request.inputs = {train::moved(asRows(prefixes, beginning), train::optionsOf(model.weights))};
        request.stop = stop;
        return lastLogProbabilities(model, executor.run(model.weights, request).tensor());
    };
    return beamSearch(next, options, stop);
}

}  // namespace orrery::intervene
