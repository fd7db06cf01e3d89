#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <core/graph/executor.h>
#include <core/graph/narrow.h>
#include <core/graph/suffix.h>

#include "patch_sites.h"

/// Internal to patching: the base run kept once, and batches of patched rows run from it.
namespace orrery::intervene {

/// What a batch of patched runs needs, made once for a sweep. `executor` and `weights` must outlive it. `logits` may be called from several threads.
class PatchRunner {
public:
    struct Inputs {
        std::vector<c10::IValue> clean, corrupted;  ///< one sample each
        bool baseIsClean = false;                   ///< the base run is the clean one, values come from the corrupted one; or the other way round
        std::size_t output = 0;
        std::int64_t position = -1;  ///< of the output that is read
        std::vector<std::string> values;
    };
    /// Runs the model on both inputs and on the two together.
    /// @throws core::ShapeError, core::InputError and what running the model throws.
    PatchRunner(const graph::Executor& executor, const graph::Weights& weights, Inputs inputs, std::stop_token stop);

    const at::Tensor& baseValue(const std::string& name) const { return m_baseValues.at(name); }
    const at::Tensor& sourceValue(const std::string& name) const { return m_sourceValues.at(name); }
    const at::Tensor& baseLogits() const { return m_baseLogits; }  ///< [class], double, at the position
    const at::Tensor& sourceLogits() const { return m_sourceLogits; }
    /// False if the model does not treat the rows of a batch apart (a trace with a fixed batch size): then each patch is a run of its own.
    bool takesBatches() const { return m_batches; }
    /// Largest number of bytes alive at a time when the part of the model behind a value runs, for each row.
    std::int64_t bytesPerRow(const std::string& value) const;
    /// Tells that patches change some values at single positions, so that in a causal model only what comes at and after a position is run again. Whether the
    /// model is causal is tried once, with noise from the middle on: if anything before it changes, everything is run as before.
    /// @param axes  Values and their axes of positions, of length `length`.
    void usePositions(const std::map<std::string, std::int64_t>& axes, std::int64_t length);
    /// Whether patches of `value` are run from their position on.
    bool runsFromPosition(const std::string& value) const;
    /// Output at the position [row, class] when `value` is `patched` [row, ...]. @throws what running the model throws, core::Cancelled.
    /// @param from  Before this position `patched` equals the base run.
    at::Tensor logits(const std::string& value, const at::Tensor& patched, std::int64_t from, std::stop_token stop) const;

private:
    const std::vector<c10::IValue>& base() const { return m_inputs.baseIsClean ? m_inputs.clean : m_inputs.corrupted; }
    const std::vector<c10::IValue>& source() const { return m_inputs.baseIsClean ? m_inputs.corrupted : m_inputs.clean; }
    at::Tensor runOne(const std::vector<c10::IValue>& inputs, const char* which, graph::Shapes& shapes, std::map<std::string, at::Tensor>& values);
    void runPair();
    void narrow();
    void keepFrontier();
    std::vector<std::string> frontier() const;
    /// The model from one position on, and what stood before it in the base run.
    struct Tail {
        graph::Suffix suffix;
        std::int64_t begin = 0;
        std::unique_ptr<graph::Executor> executor;
        std::vector<std::pair<std::int64_t, at::Tensor>> before;  // number of rows' worth along axis 0, and the values
    };
    struct Rows {
        at::Tensor patched;
        bool copied = false;
        const Tail* tail = nullptr;
    };
    graph::KeptValues keptFor(const Rows& rows) const;
    graph::RunRequest requestFor(const std::string& value, const Rows& rows, const graph::KeptValues& kept) const;
    graph::RunResult runRows(const std::string& value, const Rows& rows, std::stop_token stop) const;
    at::Tensor logitsOf(const graph::RunResult& result) const;
    const Tail* tailFor(const std::string& value, std::int64_t from) const;
    std::unique_ptr<Tail> makeTail(std::int64_t begin) const;
    bool holds(const Tail& tail) const;
    graph::RunResult wholeRun(const std::string& value, const at::Tensor& rows, const graph::Suffix& suffix) const;
    std::map<std::string, at::Tensor> withNoise(std::int64_t begin) const;
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
    bool m_batches = true;
    std::int64_t m_positionInOutput = -1;
    std::int64_t m_outputRank = 0;
    std::stop_token m_stop;                              // of the constructor
    mutable std::atomic<bool> m_copies{false};           // an operator refused repeated rows without memory of their own
    std::map<std::string, std::int64_t> m_positionAxes;  // empty: everything is run again
    std::int64_t m_positions = 0;
    graph::Shapes m_runnerOne, m_runnerTwo;  // of the graph that is run, for one and two rows
    mutable std::mutex m_tailsMutex;
    mutable std::map<std::int64_t, std::unique_ptr<Tail>> m_tails;  // by their first position; guarded by m_tailsMutex
};

}  // namespace orrery::intervene
