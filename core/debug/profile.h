#pragma once
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <core/base/json.h>
#include <core/graph/executor.h>

#include "machine_peaks.h"

namespace orrery::debug {

/// What one node costs in a run. Nodes inside loops and branches follow the loop or branch, summed over its steps; what a loop or branch itself is charged with is
/// what its nodes leave of its time. Bytes are those that the node has to read and write once each, as if no cache held them:
/// its distinct input tensors and its outputs; views move nothing; look-ups (embedding, gather, index_select) read what they take, not the whole table.
struct NodeCost {
    int line = 0;      ///< the top-level line it belongs to
    int depth = 0;     ///< loops and branches around it
    double calls = 1;  ///< in one run
    std::string name, op, module;
    std::vector<std::string> levels;  ///< module calls around it, outermost first
    std::vector<std::int64_t> shape;  ///< of its first tensor output
    double seconds = 0;               ///< median over the runs
    double quickest = 0;
    double low = 0, high = 0;  ///< quartiles over the runs
    double inclusive = 0;      ///< with the nodes inside it: median over the runs
    double perCall = 0;        ///< likewise, of one call: median over its calls, of that the median over the runs
    double predicted = 0;      ///< by a cost model (see cost_model.h); 0: none
    std::int64_t flops = 0;    ///< multiply-add = 2
    std::int64_t bytesRead = 0, bytesWritten = 0, parameterBytes = 0, allocatedBytes = 0;
    std::int64_t bytes() const { return bytesRead + bytesWritten; }
    /// FLOPs a byte; 0 where nothing is moved.
    double intensity() const { return bytes() > 0 ? double(flops) / double(bytes()) : 0; }
    double gigaflops() const { return seconds > 0 ? double(flops) / seconds * 1e-9 : 0; }
    double bandwidth() const { return seconds > 0 ? double(bytes()) / seconds * 1e-9 : 0; }
    double spread() const { return seconds > 0 ? (high - low) / seconds : 0; }  ///< interquartile range over median
};

/// A loop step by step. A step is one pass through the loop's body; of a loop inside another one its calls stand one behind the other.
struct LoopCost {
    std::string name;
    std::size_t node = 0;             ///< index into Profile::nodes
    std::vector<std::int64_t> calls;  ///< steps of each call in one run: [12], or [3, 3, 2] of a loop that an outer one calls three times
    std::vector<double> seconds;      ///< of each step, with everything that runs in it: median over the runs
    std::vector<std::int64_t> flops;  ///< of each step
    double median = 0, quickest = 0;  ///< of `seconds`
    double slowest = 0, total = 0;    ///< likewise; their sum
    std::size_t slowestStep = 0;      ///< index into `seconds`
    std::size_t steps() const { return seconds.size(); }
};
/// Longer lists of steps are cut in documents.
inline constexpr std::size_t kMostListedSteps = 10'000;

/// Nodes put together: a module with everything below it, or all nodes of one operator.
struct GroupCost {
    std::string name, type;  ///< module path and type; or operator
    int nodes = 0;
    double seconds = 0;        ///< median over the runs of the sum
    double low = 0, high = 0;  ///< its quartiles
    double predicted = 0;      ///< sum of its nodes' predictions
    std::int64_t flops = 0, bytes = 0, parameterBytes = 0;
    double intensity() const { return bytes > 0 ? double(flops) / double(bytes) : 0; }
    double spread() const { return seconds > 0 ? (high - low) / seconds : 0; }
};

struct ProfileOptions {
    int runs = 10, warmUp = 2;
    bool training = false;
    std::uint64_t seed = 0;
    std::optional<MachinePeaks> peaks;                        ///< of this machine (see `machinePeaks`); empty: the profile is without
    std::function<void(double done, double total)> progress;  ///< in runs; may be empty
};

/// Elementwise operators and normalisations behind a product (or behind each other) that one kernel could do: what lies between them need not be written and read.
struct FusionCandidate {
    std::vector<std::string> nodes;  ///< in order
    std::string pattern;             ///< "linear + gelu", "mul + masked_fill + softmax"
    std::int64_t savedBytes = 0;     ///< two for each byte between
    std::int64_t bytes = 0;          ///< moved by the nodes now
    double savedSeconds = 0;         ///< at the measured bandwidth; 0 without it
};

struct Profile {
    std::vector<NodeCost> nodes;          ///< in execution order
    std::vector<GroupCost> modules;       ///< as declared; the first is the whole model
    std::vector<GroupCost> operators;     ///< by falling time
    std::vector<GroupCost> types;         ///< modules of one type together, each node once; by falling time
    std::vector<LoopCost> loops;          ///< those that ran a node, in execution order
    std::vector<FusionCandidate> fusion;  ///< by falling saving
    std::optional<MachinePeaks> peaks;
    int runs = 0, threads = 0;
    double plainSeconds = 0;     ///< median of runs without measuring
    double profiledSeconds = 0;  ///< median of runs with it
    std::string note;            ///< what limits the figures; empty: nothing
    /// What rows of nodes, or of groups, are shares of. Medians of sums and sums of medians differ on a busy machine: each kind of row has its own whole.
    double nodeSeconds() const;
    double groupSeconds() const { return modules.empty() ? nodeSeconds() : modules.front().seconds; }
    double overhead() const { return plainSeconds > 0 ? profiledSeconds / plainSeconds - 1 : 0; }
    std::int64_t flops() const;
    std::int64_t bytes() const;
    /// True if the memory limits a node of that intensity on this machine.
    bool isMemoryBound(double intensity) const { return peaks && intensity < peaks->ridge(); }
    /// GFLOP/s that the roofline allows: min(peak, intensity * bandwidth).
    double attainable(double intensity) const;
    /// Nodes whose quickest run did more FLOPs a second than the measured peak: it was measured on a busier machine. (The memory's peak says less: caches are faster.)
    int nodesAbovePeak() const;
    /// What that means for the reader; empty if there are none.
    std::string peaksNote() const;
    core::Json toJson() const;
};

/// Runs the model `warmUp` + 2 * `runs` times: with and without measuring in turn. @throws what Executor::run throws; core::InputError for fewer than one run.
Profile profileModel(const graph::Executor& executor, const graph::Weights& weights, const std::vector<c10::IValue>& inputs,
                     const ProfileOptions& options, std::stop_token stop = {});

/// The costs of one run without repeated timing: FLOPs, bytes, shapes, and the times of that run. @throws what Executor::run throws.
std::vector<NodeCost> countedNodes(const graph::Executor& executor, const graph::Weights& weights, const std::vector<c10::IValue>& inputs,
                                   std::stop_token stop = {});

/// Chains that could be fused, from the graph and the bytes of its values: what lies between two members has no other reader and is no output.
/// Source of the idea and the bound: Ivanov et al. (2021), "Data Movement Is All You Need", arXiv:2007.00072.
std::vector<FusionCandidate> fusionCandidates(const graph::Graph& graph, const std::vector<NodeCost>& nodes,
                                              const std::optional<MachinePeaks>& peaks = {});

/// Is a module `path` itself or below it?
bool isWithinModule(const std::string& module, const std::string& path);
double medianOf(std::vector<double> values);
/// First and third quartile, between neighbours by their distance (as NumPy does it); zeros of nothing.
std::pair<double, double> quartilesOf(std::vector<double> values);

}  // namespace orrery::debug
