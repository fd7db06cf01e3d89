#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "intervention.h"

namespace orrery::intervene {

/// Pairs of inputs with the answer that is expected when the sought variable is taken from the source: [batch] class numbers.
struct AlignmentPairs {
    std::vector<c10::IValue> base, source;  ///< the model's inputs, as many samples each
    at::Tensor labels;                      ///< [batch] int64
};

struct AlignmentResult {
    at::Tensor directions;                    ///< [dimensions, features], orthonormal rows, double, CPU: what `subspace_interchange` takes
    std::string value;                        ///< exact name of the value they live in
    double accuracyBefore = 0, accuracy = 0;  ///< share of pairs whose most probable class is the label: with the random start, with what was found
    std::vector<double> losses;               ///< of each step
    core::Json document;                      ///< interventions with these directions and a source called "source"
};

/// Parameters of the search: dimensions, steps, lr, batch_size.
const core::Schema& alignmentSchema();

/// Distributed alignment search: learns the subspace of a value whose interchange makes the model answer as a causal variable from the source would: gradient
/// descent (Adam) on the cross-entropy of the intervened answers, over orthonormal directions written as the Q of a QR decomposition.
/// @param at    One floating value. @param unit  As in documents, without the last axis; null: all positions.
/// @throws core::InputError for pairs that do not fit, labels outside the classes, more dimensions than features; core::ShapeError; core::Cancelled.
/// Source: Geiger et al. (2023), "Finding Alignments Between Interpretable Causal Variables and Distributed Neural Representations", arXiv:2303.02536, section 3.
/// We learn the k directions alone rather than a whole rotation: the interchange depends on nothing else. Any thread.
AlignmentResult findAlignment(const graph::Executor& executor, const graph::Weights& weights, const graph::ModelCard& card,
                              const AlignmentPairs& pairs, const std::string& at, const core::Json& unit, const core::Json& parameters,
                              std::uint64_t seed, const Control& control = {});

}  // namespace orrery::intervene
