#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <core/graph/executor.h>
#include <core/graph/narrow.h>

#include "causal_runner.h"
#include "patch_sites.h"

/// Internal to patching: the base run kept once, and batches of patched rows run from it.
namespace orrery::intervene {

/// What a batch of patched runs needs, made once for a sweep. `executor` and `weights` must outlive it. `run` may be called from several threads.
class PatchRunner {
public:
    struct Inputs {
        std::vector<c10::IValue> clean, corrupted;  ///< one sample each
        bool baseIsClean = false;                   ///< the base run is the clean one, values come from the corrupted one; or the other way round
        std::size_t output = 0;
        std::int64_t position = -1;  ///< of the output that is read
        std::vector<std::string> values;
    };
    /// Runs the model on both inputs and on the two together. Values and logits of the runs are there then.
    /// @throws core::ShapeError, core::InputError and what running the model throws.
    PatchRunner(const graph::Executor& executor, const graph::Weights& weights, Inputs inputs, std::stop_token stop);

    const at::Tensor& baseValue(const std::string& name) const { return m_baseValues.at(name); }
    const at::Tensor& sourceValue(const std::string& name) const { return m_sourceValues.at(name); }
    const at::Tensor& baseLogits() const { return m_baseLogits; }  ///< [class], double, at the position
    const at::Tensor& sourceLogits() const { return m_sourceLogits; }
    std::int64_t outputRank() const { return m_outputRank; }
    /// False if the model does not treat the rows of a batch apart (a trace with a fixed batch size): then each patch is a run of its own.
    bool takesBatches() const { return m_batches; }
    /// Makes patched runs ready: to be called once before all that follows. For a decoder whose last position is read, batches that are patched from some position on will be run
    /// from there on (see CausalRunner), if that gives the same output where one of `positionValues` is patched in its second half; empty: it is not tried.
    void prepare(const graph::ModelCard& card, const std::vector<std::string>& positionValues);
    /// Largest number of bytes alive at a time when the part of the model behind a value runs, for each row.
    std::int64_t bytesPerRow(const std::string& value) const;
    /// The position from which a batch is run whose first patch of `value` is at position `first`; batches are best made of patches for which this is the same. 0: from the beginning.
    std::int64_t begin(const std::string& value, std::int64_t first) const;
    /// Where a batch begins to differ from the base run: at index `first` of `axis`, which runs over positions.
    struct Beginning {
        std::int64_t axis = 0, first = 0;
    };
    /// A batch of patched runs.
    struct Batch {
        at::Tensor logits;          ///< [row, class] at the position
        std::int64_t nodes = 0;     ///< computed, for all rows at once
        bool fromPosition = false;  ///< only positions from the first patched one on were computed
    };
    /// When `value` is `patched` [row, ...]. @throws what running the model throws, core::Cancelled.
    Batch run(const std::string& value, const at::Tensor& patched, std::stop_token stop, std::optional<Beginning> from = {}) const;

private:
    const std::vector<c10::IValue>& base() const { return m_inputs.baseIsClean ? m_inputs.clean : m_inputs.corrupted; }
    const std::vector<c10::IValue>& source() const { return m_inputs.baseIsClean ? m_inputs.corrupted : m_inputs.clean; }
    at::Tensor runOne(const std::vector<c10::IValue>& inputs, const char* which, graph::Shapes* shapes, std::map<std::string, at::Tensor>& values);
    at::Tensor runPair();
    void narrow();
    void keepFrontier();
    graph::KeptValues keptFor(std::int64_t rows, bool copied) const;
    graph::RunResult runRows(const std::string& value, const at::Tensor& patched, bool copied, std::stop_token stop) const;
    bool readsLastPosition() const;
    std::unique_ptr<CausalRunner> causalRunner(const graph::ModelCard& card) const;
    void tryCausality(const graph::ModelCard& card, std::unique_ptr<CausalRunner> causal, const std::vector<std::string>& values);
    bool agrees(CausalRunner& causal, const std::string& value, std::int64_t axis) const;
    Batch runWhole(const std::string& value, const at::Tensor& patched, std::stop_token stop) const;
    const graph::Executor& runner() const { return m_narrowed ? *m_narrowed : *m_executor; }

    const graph::Executor* m_executor;
    const graph::Weights* m_weights;
    std::unique_ptr<graph::Executor> m_narrowed;  // computes only what the position needs
    std::map<std::string, graph::Range> m_parts;
    Inputs m_inputs;
    std::map<std::string, at::Tensor> m_baseValues, m_sourceValues;
    at::Tensor m_baseLogits, m_sourceLogits;
    graph::Shapes m_one, m_two;                           // of the base run and of the pair
    std::map<std::string, at::Tensor> m_rowed, m_shared;  // kept values with and without a batch axis
    std::map<std::string, std::int64_t> m_bytes;          // of each node's outputs, for one row
    std::unique_ptr<CausalRunner> m_causal;               // null: whole sequences are run
    bool m_batches = true;
    std::int64_t m_positionInOutput = -1;
    std::int64_t m_outputRank = 0;
    std::stop_token m_stop;                         // of the constructor
    mutable std::atomic<bool> m_copies{false};      // an operator refused repeated rows without memory of their own
    mutable std::atomic<bool> m_tailCopies{false};  // the same where runs begin at a position
};

}  // namespace orrery::intervene
