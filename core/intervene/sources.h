#pragma once
#include <map>
#include <string>
#include <vector>

#include <core/explain/attribution.h>

namespace orrery::intervene {

/// A value that is needed from a source run.
struct SourceNeed {
    std::string source, value;  ///< value: exact name
    bool mean = false;          ///< only the mean over the samples
};

/// Values of source runs: each source is run once (in batches), and only what was asked for is kept.
class SourceValues {
public:
    /// @throws core::InputError for a source of no samples; what running the model throws; core::Cancelled.
    static SourceValues compute(const graph::Executor& executor, const graph::Weights& weights,
                                const std::map<std::string, std::vector<c10::IValue>>& inputs, const std::vector<SourceNeed>& needs,
                                const explain::Control& control);
    /// @param value  Its name in the run (loop steps included). @throws core::InputError if it holds no tensor or that step was not run.
    at::Tensor at(const std::string& source, const std::string& value, bool mean) const;

private:
    std::map<std::string, std::map<std::string, at::Tensor>> m_kept, m_means;  ///< by source, then by value
};

}  // namespace orrery::intervene
