#pragma once
#include <memory>
#include <mutex>
#include <optional>

#include <core/graph/executor.h>

namespace orrery::explain {

/// The model as many similar evaluations run it: batch norms folded into convolutions, channels last. The same numbers to rounding. Made when it first pays;
/// any thread. Executor and weights must outlive it.
class FastModel {
public:
    FastModel(const graph::Executor& executor, const graph::Weights& weights);
    /// How a plain run of `rows` samples that starts at the value `from` is best done. Null: as usual.
    struct Form {
        graph::Executor executor;
        graph::Weights weights;
    };
    const Form* form(const std::string& from, std::int64_t rows) const;
    /// The value in the memory layout that the model's operators like best.
    at::Tensor laidOut(const at::Tensor& x) const;

private:
    const graph::Executor& m_executor;
    const graph::Weights& m_weights;
    bool m_allowsChannelsLast;
    mutable std::once_flag m_once;
    mutable std::optional<Form> m_form;  ///< written once, under m_once
};

}  // namespace orrery::explain
