#include "decoder.h"

#include <ATen/ATen.h>

#include <algorithm>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/graph/output_kind.h>
#include <core/graph/sequence_limit.h>
#include <core/train/evaluate.h>

#include "step_inputs.h"

namespace orrery::generation {
namespace {

constexpr std::int64_t kFirstCapacity = 64;
/// Masks grow with the square of the capacity: this one takes 256 MiB.
constexpr std::int64_t kLargestCapacity = 8192;

at::Tensor asRow(std::span<const std::int64_t> tokens, const c10::Device& device)
{
    return at::tensor(at::ArrayRef<std::int64_t>(tokens.data(), tokens.size()), at::kLong).unsqueeze(0).to(device);
}

}  // namespace

/// How logits of the next token are computed.
class Decoder::Path {
public:
    virtual ~Path() = default;
    /// @param text  All tokens; the last `added` are new.
    virtual at::Tensor logits(std::span<const std::int64_t> text, std::size_t added, std::stop_token stop) = 0;
};

/// The whole text, anew for each token. An encoder's memory is kept.
class Decoder::WholePath : public Decoder::Path {
public:
    WholePath(const graph::Model& model, at::Tensor source)
        : m_model(model), m_executor(model.graph), m_source(std::move(source)), m_device(train::optionsOf(model.weights).device())
    {
    }
    at::Tensor logits(std::span<const std::int64_t> text, std::size_t, std::stop_token stop) override
    {
        graph::RunRequest request;
        request.stop = stop;
        if (m_source.defined())
            request.inputs.push_back(m_source);
        request.inputs.push_back(asRow(text, m_device));
        if (const auto memory = m_model.card.canonicalNames.find("memory"); m_source.defined() && memory != m_model.card.canonicalNames.end()) {
            request.resumeFrom = &m_memory;
            request.keep = {memory->second};
        }
        auto result = m_executor.run(m_model.weights, request);
        if (!result.values.empty())
            m_memory = result.values;
        return result.tensor();
    }

private:
    const graph::Model& m_model;
    const graph::Executor m_executor;
    const at::Tensor m_source;
    const c10::Device m_device;
    graph::KeptValues m_memory;
};

class Decoder::CachedPath : public Decoder::Path {
public:
    CachedPath(const graph::Model& model, CachedGraph parts, at::Tensor source)
        : m_model(model), m_step(parts.step), m_parts(std::move(parts)), m_inputs(model, m_parts, std::move(source)),
          m_device(train::optionsOf(model.weights).device())
    {
        for (const auto& entry : m_inputs.computed(m_parts.cached, 1))
            m_buffers.push_back(entry.toTensor().slice(2, 0, 0));
    }

    at::Tensor logits(std::span<const std::int64_t> text, std::size_t added, std::stop_token stop) override
    {
        const auto total = std::int64_t(text.size()), past = total - std::int64_t(added);
        reserve(total);
        graph::RunRequest request;
        request.stop = stop;
        request.inputs = m_inputs.values(asRow(text.subspan(text.size() - added), m_device), past, total);
        request.inputs.insert(request.inputs.end(), m_buffers.begin(), m_buffers.end());
        return m_step.run(m_model.weights, request).tensor();
    }

private:
    /// Room for so many tokens: buffers double, and tables are computed for the new size.
    void reserve(std::int64_t length)
    {
        const std::int64_t room = m_buffers[0].size(2);
        if (length <= room)
            return;
        if (length > kLargestCapacity)
            throw core::InputError(
                fmt::format("a cache of keys and values holds at most {} tokens here, got {} (write without a cache)", kLargestCapacity, length));
        std::int64_t capacity = std::min(std::max({2 * room, length, kFirstCapacity}), kLargestCapacity);
        if (const auto longest = graph::longestSequence(*m_model.graph, m_model.card))
            capacity = std::min(capacity, std::max(*longest, length));
        try {
            m_inputs.makeTables(capacity);
        } catch (const core::Error&) {
            if (capacity == length)
                throw;
            m_inputs.makeTables(capacity = length);  // the model ends somewhere before the room that was wanted, and nothing says where
        }
        for (auto& buffer : m_buffers) {
            at::Tensor larger = at::zeros({buffer.size(0), buffer.size(1), capacity, buffer.size(3)}, buffer.options());
            larger.narrow(2, 0, room).copy_(buffer);
            buffer = larger;
        }
    }

    const graph::Model& m_model;
    const graph::Executor m_step;
    const CachedGraph m_parts;
    StepInputs m_inputs;
    const c10::Device m_device;
    std::vector<at::Tensor> m_buffers;
};

namespace {

/// The last input takes the text's tokens; what an encoder reads before it may be anything.
void checkTextModel(const graph::Model& model, const at::Tensor& source)
{
    const auto& inputs = model.card.inputs;
    const std::size_t expected = source.defined() ? 2 : 1;
    if (inputs.empty() || inputs.back().kind != "tokens" || inputs.size() > 2)
        throw core::InputError("generation needs a model that takes tokens alone, or a source and tokens; the model card says otherwise");
    if (inputs.size() < expected)
        throw core::InputError("expected an encoder-decoder, as a source is given; the model card says that it takes tokens alone");
    if (inputs.size() > expected)
        throw core::InputError(inputs[0].kind == "tokens" ? "an encoder-decoder needs a source text"
                                                          : fmt::format("an encoder-decoder needs a source, here {}", inputs[0].name));
}

/// The tokens must be rows of the table that they are looked up in, where the card names it.
void checkKnown(const graph::Model& model, std::span<const std::int64_t> tokens)
{
    const auto size = graph::vocabularySize(*model.graph, model.card, model.graph->data().inputs.size() - 1);
    for (const std::int64_t token : tokens)
        if (token < 0 || (size && token >= *size))
            throw core::InputError(
                fmt::format("expected tokens from 0 to {}, got {}", size ? std::to_string(*size - 1) : "the vocabulary's end", token));
}

at::Tensor checkedLogits(const graph::Model& model, const at::Tensor& output)
{
    if (output.dim() != 3 || output.size(0) != 1 || output.size(1) == 0)
        throw core::ShapeError(fmt::format("output: expected logits [1, position, token], got {}", core::formatShape(output.sizes())));
    const at::Tensor last = output.select(1, output.size(1) - 1).select(0, 0).detach();
    const at::Tensor logits = graph::classLogits(last, graph::outputKind(*model.graph, model.card, output.dim()));
    if (at::isnan(logits).any().item<bool>())
        throw core::Error("the logits hold NaN: weights or input are broken");
    return logits;
}

}  // namespace

Decoder::Decoder(graph::Model model, Cache cache, const at::Tensor& source) : m_model(std::move(model))
{
    const at::NoGradGuard noGrad;
    checkTextModel(m_model, source);
    if (source.defined())
        m_source = source.to(train::optionsOf(m_model.weights).device());
    if (cache == Cache::No) {
        m_reason = "no cache was asked for";
    } else {
        CachedGraph parts = cachedGraph(m_model);
        m_reason = parts.reason;
        if (m_reason.empty()) {
            try {
                m_path = std::make_unique<CachedPath>(m_model, std::move(parts), m_source);
            } catch (const core::InputError& error) {
                m_reason = error.what();
            }
        }
    }
    if (!m_path)
        m_path = std::make_unique<WholePath>(m_model, m_source);
}

Decoder::~Decoder() = default;

at::Tensor Decoder::next(std::span<const std::int64_t> tokens, std::stop_token stop)
{
    const at::NoGradGuard noGrad;
    if (tokens.empty())
        throw core::InputError("the text is empty; expected at least one token");
    const auto before = m_tokens.size();
    checkKnown(m_model, tokens);
    graph::checkSequenceLength(*m_model.graph, m_model.card, std::int64_t(before + tokens.size()));
    m_tokens.insert(m_tokens.end(), tokens.begin(), tokens.end());
    try {
        return checkedLogits(m_model, m_path->logits(m_tokens, tokens.size(), stop));
    } catch (...) {
        m_tokens.resize(before);  // what the buffers hold behind the text is never read
        throw;
    }
}

void Decoder::rewind(std::int64_t length)
{
    if (length < 0 || std::size_t(length) > m_tokens.size())
        throw core::InputError(fmt::format("cannot go back to {} tokens: there are {}", length, m_tokens.size()));
    m_tokens.resize(std::size_t(length));
}

const std::vector<std::int64_t>& Decoder::tokens() const
{
    return m_tokens;
}

bool Decoder::isCached() const
{
    return m_reason.empty();
}

const std::string& Decoder::whyNotCached() const
{
    return m_reason;
}

std::optional<std::int64_t> Decoder::longest() const
{
    return graph::longestSequence(*m_model.graph, m_model.card);
}

bool Decoder::isEncoderDecoder() const
{
    return m_source.defined();
}

}  // namespace orrery::generation
