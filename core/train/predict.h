#pragma once
#include <stop_token>
#include <vector>

#include <core/graph/executor.h>
#include <core/graph/model.h>
#include <core/graph/output_kind.h>

namespace orrery::train {

/// One row's answer of a classifier: classes by falling probability.
struct ClassScore {
    std::int64_t index = 0;
    std::string name;        ///< empty if the model's card names no classes
    double probability = 0;  ///< of the class among all; of the class by itself where the output says so or the card's task is multi_label
};

/// First output of the model for `inputs` (one a model input, batch first), computed in batches of at most `batchSize` rows. Dtype and device are the
/// weights'. @throws core::ShapeError if the inputs differ in their number of rows; core::Cancelled.
at::Tensor predict(const graph::Model& model, const std::vector<at::Tensor>& inputs, std::int64_t batchSize = 256, std::stop_token stop = {});

/// The `count` most probable classes of each row of an output [batch, class]. A single number a row speaks of the second of two classes.
/// @param kind  What the numbers are: logits, or already probabilities.
std::vector<std::vector<ClassScore>> topClasses(const at::Tensor& output, const graph::ModelCard& card, std::size_t count,
                                                graph::OutputKind kind = graph::OutputKind::Logits);

}  // namespace orrery::train
