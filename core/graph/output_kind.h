#pragma once
#include <ATen/core/Tensor.h>

#include <string_view>

#include "graph.h"
#include "model.h"

namespace orrery::graph {

/// What the numbers of a model's output say of its classes, which lie along the last axis.
enum class OutputKind {
    Logits,            ///< their softmax (of a single one: its sigmoid) is the probability
    Probabilities,     ///< of classes that exclude each other: rows sum to 1
    LogProbabilities,  ///< their natural logarithms
    EachProbability    ///< of every class by itself (sigmoid); a single one is that of the second of two classes
};

/// From the node that makes the output (softmax and log_softmax over the last axis, sigmoid; exp and log of them), seen through nodes that only rename, reshape,
/// copy or cast, and through branches that all end so. A card whose canonical names call the output's value "logits", "probabilities", "log_probabilities" or
/// "each_probability" has the last word; one whose task is "regression" has no classes. What is not recognised is logits.
/// @param rank    Of the output: which axis is the last one.
/// @param output  Which of the graph's outputs. Any thread. Cost: a walk up a few nodes.
OutputKind outputKind(const Graph& graph, const ModelCard& card, std::int64_t rank, std::size_t output = 0);

/// "logits", "probabilities", "log_probabilities", "each_probability".
std::string_view outputKindName(OutputKind kind);

/// Numbers whose softmax over the last axis (of a single one: whose sigmoid) are the probabilities that the output stands for. Logits and logarithms are handed
/// back as they are; of probabilities the logarithm, in double, -inf for 0.
at::Tensor classLogits(const at::Tensor& output, OutputKind kind);

/// Numbers whose sigmoid is each class's own probability; in double where they are not the output itself, and then from -100 to 100: a probability of exactly 0
/// or 1 is one that was rounded. Source of the bound: torch.nn.BCELoss.
at::Tensor eachLogit(const at::Tensor& output, OutputKind kind);

}  // namespace orrery::graph
