#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include <core/data/dataset.h>
#include <core/explain/attribution.h>
#include <core/graph/executor.h>
#include <core/graph/model.h>

namespace orrery::intervene {

using explain::Control;

/// How the positions of a value become rows and features. Values without positions ([batch, feature]) are taken as they are.
struct Pooling {
    enum class Kind {
        Auto,     ///< one label a position: Each; else Mean over positions, Flatten for maps [channel, height, width]
        Last,     ///< the last position
        Mean,     ///< mean over positions, or over the pixels of a map
        Each,     ///< every position is a row of its own
        Flatten,  ///< all positions, or the whole map, side by side as features
        Index     ///< the position `index`
    };
    Kind kind = Kind::Auto;
    std::int64_t index = 0;
    bool operator==(const Pooling&) const = default;
};
/// "auto", "last", "mean", "each", "flatten" or a number. @throws core::InputError for other text.
Pooling poolingFromText(const std::string& text);
std::string poolingText(const Pooling& pooling);

/// What a row is labelled with.
enum class Label {
    Target,    ///< the data's target: class, numbers, or the next token
    Token,     ///< the token at the row's position
    Previous,  ///< the token before it; position 0 has none and is left out
    None       ///< nothing: for comparing and projecting alone
};
/// "target", "token", "previous", "none". @throws core::InputError for other text.
Label labelFromText(const std::string& text);
std::string_view labelName(Label label);

struct CollectRequest {
    std::vector<std::string> places;  ///< values, modules, globs, canonical names (see `resolvePlace`)
    Pooling pooling;
    Label label = Label::Target;
    std::int64_t limit = 1000;  ///< at most so many rows, drawn with `seed`; 0: all
    std::uint64_t seed = 0;
    std::int64_t batchSize = 64;
    bool answers = false;           ///< fill in `predicted` and `confidence`
    bool inputs = false;            ///< fill in `inputs`
    std::uint64_t memoryLimit = 0;  ///< bytes; 0: three quarters of what is free
};

/// Activations of several values for the same rows. CPU tensors, in the order of the values' computation.
struct Activations {
    std::vector<std::string> values;
    std::vector<at::Tensor> features;     ///< one a value, [row, feature] float
    std::vector<std::int64_t> samples;    ///< number within the part, one a row, ascending
    std::vector<std::int64_t> positions;  ///< one a row; -1 where the row is a whole sample
    at::Tensor labels;                    ///< [row] int64 classes or tokens, [row, output] double numbers; undefined: the data have none
    std::vector<std::string> classNames;  ///< of int64 labels; may be empty
    std::int64_t classes = 0;             ///< number of classes; 0 for numbers
    at::Tensor types;                     ///< [row] int64: the token at the row's position; undefined where a row has none
    at::Tensor
        inputs;  ///< [row, input] float: the model's own first input, flattened; where a row is a whole text, its tokens counted by id modulo 512
    at::Tensor predicted, confidence;  ///< [row] double: the model's class and its probability; undefined where it gives no classes
    std::int64_t rows() const { return std::int64_t(samples.size()); }
};

/// Runs the samples of a part in batches, computing no more than the values need, and keeps the values. A glob leaves out values that are no floating
/// tensor with the batch first, or lack the positions asked for; a place without a glob must fit.
/// @throws core::InputError: unknown places, positions a value lacks, a label the data lack, an empty part, more memory than there is (what is needed and
///         what is free); core::Cancelled; what running the model throws. Any thread.
Activations collectActivations(const graph::Model& model, const graph::Executor& executor, const data::DataSet& data, data::Split part,
                               const CollectRequest& request, const Control& control = {});

/// Bytes that can be taken now without swapping, page cache included; the largest number where the system does not say.
std::uint64_t freeMemory();

/// @throws core::InputError naming `what` if any number is not finite: how many rows hold one.
void requireFinite(const at::Tensor& features, const std::string& what);

}  // namespace orrery::intervene
