#pragma once
#include <map>
#include <string>
#include <vector>

#include "graph.h"
#include "weights.h"

namespace orrery::graph {

/// What a model expects and how to offer it the right input. Stored with the model, editable.
struct ModelCard {
    struct Input {
        std::string name;  ///< the model's own name of it
        std::string kind;  ///< "image", "tokens", "table", "float"
        std::string dtype = "float32";
        std::vector<std::string> shape;  ///< symbolic: {"batch", "1", "8", "8"}
        core::Json preprocessing;        ///< {"mean": [...], "std": [...], "range": [0, 16]}; null: none
    };
    std::string title, task;  ///< task: "classification", "regression", "language_model", ""
    std::vector<Input> inputs;
    std::vector<std::string> classNames, featureNames;
    core::Json tokenizer;                               ///< {"kind": "bytes"}; null: none
    std::map<std::string, std::string> canonicalNames;  ///< canonical name -> value path
    core::Json example;                                 ///< an example input; null: none
    core::Json toJson() const;
    /// @throws core::FormatError naming the field.
    static ModelCard fromJson(const core::Json& json);
};

/// An opened model. `origin` is the MODEL argument it came from.
struct Model {
    GraphPtr graph;
    Weights weights;
    ModelCard card;
    std::string origin;
};

}  // namespace orrery::graph
