#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <core/graph/model.h>

namespace orrery::debug {

struct Disagreement;
struct RandomGraph;

/// A way that a model can take on its way to a run: written by an exporter and read by an importer, or compiled. It gives what it computes of the inputs.
struct GraphPath {
    std::string name;
    /// @throws core::InputError before anything is written if the path cannot hold the model: that is no disagreement. Everything else that is thrown is one.
    std::function<std::vector<at::Tensor>(const graph::Model& model, const std::vector<c10::IValue>& inputs, const std::filesystem::path& folder)>
        run;
    int every = 1;  ///< takes one graph of so many: paths that compile are slow
    /// The model that the path stands for, when it is to compute something else than the model itself (fewer bits); empty: the model itself.
    std::function<graph::Model(const graph::Model& model)> meant = {};
};

/// Graphs on their ways through files. Source of the idea: Liu et al. (2023), "NNSmith", doi:10.1145/3575693.3575707. Our own file, ONNX and TorchScript (read in this process: the files are our own), written and read again; the C file, compiled by `cc` where there is one.
std::vector<GraphPath> graphPaths(int everyC = 25);

/// Graphs with their weights compressed, written and read again: float16, bfloat16 (our own file), int8, pruned, masked, low-rank (our own file; "int8-onnx", "pruned-onnx" and "low-rank-onnx" as ONNX). Each must compute what
/// its weights stand for, which are worked out apart and may differ from what they were by no more than a stated bound: see weight_compression.h. npz: the weights alone, deflated where that helps.
std::vector<GraphPath> compressedPaths();

/// What became of the graphs on one path.
struct PathCount {
    int taken = 0, refused = 0;
    std::vector<double>
        changes;  ///< by graph, where a path is to compute something else: largest difference to the model itself, relative to its largest output
    std::vector<double> bounds;          ///< of graphs for which a bound is proven (see output_bounds.h): what the change could have been at most
    std::vector<double> bounded;         ///< and what it was
    std::map<std::string, int> reasons;  ///< why models were refused, without their names: sentence -> times
};

/// Takes a graph along a path and compares the outputs with a plain run. A disagreement is shrunk: the model is cut to the first value, in order of execution, whose own
/// model still disagrees. The folder is used for files.
std::vector<Disagreement> checkPath(const RandomGraph& graph, std::uint64_t seed, const GraphPath& path, const std::filesystem::path& folder,
                                    PathCount& count);

}  // namespace orrery::debug
