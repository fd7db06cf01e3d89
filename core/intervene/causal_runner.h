#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include <core/generate/step_inputs.h>
#include <core/graph/narrow.h>

/// Internal to patching: patched runs of a decoder that begin where something is patched.
namespace orrery::intervene {

/// In a decoder no position reads a later one. Where values from position `first` on are patched, earlier positions hold what they hold in the base run: their keys and values are
/// taken from there, as in writing with a cache, and only later positions are computed. `run` may be called from several threads.
class CausalRunner {
public:
    struct Base {
        const graph::Executor* executor = nullptr;  ///< of the model's graph; used only while this is made
        graph::Model model;
        at::Tensor tokens;                ///< of the base run, [1, position]
        std::vector<std::string> values;  ///< that will be patched
        std::size_t output = 0;
    };
    /// Null where the model cannot be taken apart (see generation::CachedGraph). That no position reads a later one is the caller's to try.
    static std::unique_ptr<CausalRunner> make(Base base, std::stop_token stop);

    /// Whether `value` can be patched in this way.
    bool holds(const std::string& value) const { return m_bufferUsed.contains(value); }
    /// The round position from which a run for patches from `first` on computes; 0: all is computed, and nothing is saved.
    std::int64_t begin(std::int64_t first) const;
    struct Run {
        at::Tensor logits;  ///< [row, class] at the last position
        std::int64_t nodes = 0;
    };
    /// The output at the last position when `value` is `patched` [row, ...] from `first` (below the number of positions) on, which is along `axis`. Computed from a round position at or before `first`.
    /// @param copied  Rows of kept values have memory of their own, which some operators want. @throws what running the model throws, core::Cancelled.
    Run run(const std::string& value, const at::Tensor& patched, std::int64_t axis, std::int64_t first, bool copied, std::stop_token stop);

private:
    /// What patched runs from one position on read and do not compute: values with and without a batch axis.
    struct Tail {
        std::int64_t first = 0;
        std::map<std::string, at::Tensor> rowed, shared;
    };
    CausalRunner(Base base, generation::CachedGraph parts, std::stop_token stop);
    std::vector<c10::IValue> inputs(std::int64_t first, std::int64_t rows, const std::vector<bool>& used) const;
    graph::RunResult runTail(std::int64_t first, const graph::Executor& executor, std::int64_t rows, graph::RunRequest request) const;
    const Tail& tailFrom(std::int64_t first);
    void narrow();
    void findKept(const std::vector<std::string>& patched);
    void findUsedBuffers(const std::vector<std::string>& patched);
    std::vector<std::string> patchedValues() const;

    const Base m_base;
    const generation::CachedGraph m_parts;
    generation::StepInputs m_inputs;
    std::vector<at::Tensor> m_cached;  // keys and values of the base run, [1, head, position, feature]
    std::stop_token m_stop;            // of whoever made it
    // One graph serves tails of any length: what it cuts, it counts from the end.
    std::unique_ptr<graph::Executor> m_executor;
    std::map<std::string, graph::Range> m_partsOf;          // values of which the end needs a part alone
    std::vector<std::string> m_rowedNames, m_sharedNames;   // of a tail's values
    std::map<std::string, std::vector<bool>> m_bufferUsed;  // by patched value
    std::mutex m_mutex;                                     // guards m_tails; a tail does not change any more
    std::map<std::int64_t, std::unique_ptr<Tail>> m_tails;
};

}  // namespace orrery::intervene
