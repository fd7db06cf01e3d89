#include "fast_model.h"

#include <core/graph/fold_norms.h>
#include <core/graph/memory_format.h>

namespace orrery::explain {

// Folding costs about as much as a few rows through the network.
static constexpr std::int64_t kWorthFolding = 16;

FastModel::FastModel(const graph::Executor& executor, const graph::Weights& weights)
    : m_executor(executor), m_weights(weights), m_allowsChannelsLast(graph::allowsChannelsLast(*executor.graph()))
{
}

const FastModel::Form* FastModel::form(const std::string& from, std::int64_t rows) const
{
    if (rows < kWorthFolding)
        return nullptr;
    std::call_once(m_once, [this] {
        auto folded = graph::foldNorms(m_executor.graph(), m_weights);
        if (folded.folded > 0)
            m_form.emplace(Form{graph::Executor(folded.graph), std::move(folded.weights)});
    });
    if (!m_form)
        return nullptr;
    const auto& graph = *m_form->executor.graph();
    const auto& inputs = graph.data().inputs;
    const auto id = graph.findValue(from);
    const bool isThere =
        id && (graph.producer(*id) || std::any_of(inputs.begin(), inputs.end(), [&](const auto& each) { return each.value == *id; }));
    return isThere ? &*m_form : nullptr;
}

at::Tensor FastModel::laidOut(const at::Tensor& x) const
{
    return m_allowsChannelsLast ? graph::withChannelsLast(x) : x;
}

}  // namespace orrery::explain
