#include "optimizer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <core/base/text.h>
#include <core/kernels/parallel.h>

namespace orrery::train {
namespace {

constexpr std::int64_t kChunk = 16384;

std::string slotKey(const std::string& slot, const std::string& parameter)
{
    return slot + "/" + parameter;
}

}  // namespace

bool hasAvx2()
{
#if defined(__x86_64__)
    static const bool answer = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    return answer;
#else
    return false;
#endif
}

struct SlotOptimizer::Job {
    std::size_t index;
    at::Tensor gradient;
    Coefficients coefficients;
};

SlotOptimizer::SlotOptimizer(std::vector<Trainable> parameters, std::vector<std::string> slotNames)
    : m_parameters(std::move(parameters)), m_slotNames(std::move(slotNames)), m_slots(m_parameters.size()), m_counts(m_parameters.size(), 0)
{
}

void SlotOptimizer::ensureSlots(std::size_t index)
{
    if (!m_slots[index].empty() || m_slotNames.empty())
        return;
    for (std::size_t slot = 0; slot < m_slotNames.size(); ++slot)
        m_slots[index].push_back(at::zeros_like(m_parameters[index].tensor.detach(), at::MemoryFormat::Contiguous));
}

bool SlotOptimizer::fusable(std::size_t index, const at::Tensor& gradient) const
{
    const at::Tensor& value = m_parameters[index].tensor;
    const auto type = value.scalar_type();
    return m_fused && (type == at::kFloat || type == at::kDouble) && value.device().is_cpu() && gradient.device().is_cpu() && value.is_contiguous() &&
           gradient.scalar_type() == type;
}

void SlotOptimizer::step(std::span<const at::Tensor> gradients, double learningRate, double gradientScale)
{
    if (gradients.size() != m_parameters.size())
        throw core::ShapeError(fmt::format("optimizer: expected {} gradients, got {}", m_parameters.size(), gradients.size()));
    const at::NoGradGuard noGrad;
    std::vector<Job> floats, doubles;
    for (std::size_t i = 0; i < gradients.size(); ++i) {
        if (!gradients[i].defined())
            continue;
        Trainable& parameter = m_parameters[i];
        if (gradients[i].sizes() != parameter.tensor.sizes())
            throw core::ShapeError(fmt::format("optimizer: gradient of {}: expected {}, got {}", parameter.name,
                                               core::formatShape(parameter.tensor.sizes()), core::formatShape(gradients[i].sizes())));
        ensureSlots(i);
        Coefficients c = coefficients(++m_counts[i], learningRate * parameter.rate, parameter.decay ? 1 / parameter.rate : 0);
        c[0] = gradientScale;
        if (fusable(i, gradients[i]))
            (parameter.tensor.scalar_type() == at::kFloat ? floats : doubles).push_back({i, gradients[i].contiguous(), c});
        else
            updateByOperators(parameter.tensor, gradientScale == 1.0 ? gradients[i] : gradients[i].mul(gradientScale), m_slots[i], c);
    }
    runFused<float>(floats);
    runFused<double>(doubles);
}

// All parameters are cut into chunks of one size and the chunks are shared out: small tensors cost no parallel region of their own. What an element becomes
// does not depend on the cut, so the result is the same for any number of threads.
template <class T>
void SlotOptimizer::runFused(std::span<const Job> jobs) const
{
    struct Chunk {
        const Job* job;
        std::int64_t begin, count;
    };
    std::vector<Chunk> chunks;
    for (const Job& job : jobs)
        for (std::int64_t begin = 0, size = job.gradient.numel(); begin < size; begin += kChunk)
            chunks.push_back({&job, begin, std::min(kChunk, size - begin)});
    const auto run = [&](std::int64_t from, std::int64_t to) {
        for (std::int64_t i = from; i < to; ++i) {
            const Chunk& chunk = chunks[std::size_t(i)];
            const std::size_t index = chunk.job->index;
            Span<T> span{m_parameters[index].tensor.template data_ptr<T>() + chunk.begin,
                         chunk.job->gradient.template data_ptr<T>() + chunk.begin,
                         {},
                         chunk.count};
            for (std::size_t slot = 0; slot < m_slots[index].size(); ++slot)
                span.slots[slot] = m_slots[index][slot].template data_ptr<T>() + chunk.begin;
            update(span, chunk.job->coefficients);
        }
    };
    if (chunks.size() < 2 * std::size_t(at::get_num_threads()) && jobs.size() < 64)
        run(0, std::int64_t(chunks.size()));
    else
        kernels::parallelFor(0, std::int64_t(chunks.size()), 2, run);
}

std::map<std::string, at::Tensor> SlotOptimizer::state() const
{
    std::map<std::string, at::Tensor> out;
    out["step"] = at::tensor(at::ArrayRef<std::int64_t>(m_counts), at::kLong);
    for (std::size_t i = 0; i < m_parameters.size(); ++i)
        for (std::size_t slot = 0; slot < m_slots[i].size(); ++slot)
            out[slotKey(m_slotNames[slot], m_parameters[i].name)] = m_slots[i][slot];
    return out;
}

void SlotOptimizer::restore(const std::map<std::string, at::Tensor>& state)
{
    const auto counts = state.find("step");
    if (counts == state.end() || counts->second.scalar_type() != at::kLong || counts->second.numel() != std::int64_t(m_parameters.size()))
        throw core::FormatError(fmt::format("optimizer state: expected \"step\" with {} whole numbers", m_parameters.size()));
    std::size_t used = 1;
    const at::Tensor steps = counts->second.cpu().contiguous();
    for (std::size_t i = 0; i < m_parameters.size(); ++i) {
        m_counts[i] = steps.data_ptr<std::int64_t>()[i];
        m_slots[i].clear();
        if (m_counts[i] == 0)
            continue;
        ensureSlots(i);
        for (std::size_t slot = 0; slot < m_slots[i].size(); ++slot) {
            const std::string key = slotKey(m_slotNames[slot], m_parameters[i].name);
            const auto found = state.find(key);
            if (found == state.end() || found->second.sizes() != m_slots[i][slot].sizes())
                throw core::FormatError(fmt::format("optimizer state: expected \"{}\" {}, got {}", key, core::formatShape(m_slots[i][slot].sizes()),
                                                    found == state.end() ? "nothing" : core::formatShape(found->second.sizes())));
            m_slots[i][slot].copy_(found->second);
            ++used;
        }
    }
    if (used != state.size())
        throw core::FormatError(fmt::format("optimizer state: expected {} tensors, got {}: it belongs to another optimizer", used, state.size()));
}

}  // namespace orrery::train
