#pragma once
#include <optional>

#include <core/base/json.h>

#include <core/models/open_model.h>

#include "mapped_tensors.h"
#include "packed_weights.h"
#include "weight_file.h"

/// GGUF files as sources of weights.
namespace orrery::models {

/// All tensors under the file's own names ("blk.0.attn_q.weight"): mapped where they are plain numbers, float32 where they were quantised (Q8_0, Q4_0). `about` is the metadata, long lists told by their length.
/// @throws core::FormatError as io::parseGguf. Any thread.
WeightFile readGgufWeights(const Mapping& file, const std::string& name);

/// A GGUF file as the checkpoint that it was made of.
struct GgufCheckpoint {
    core::Json config;                           ///< as `config.json` says it: model_type, hidden_size, ...
    graph::Weights tensors;                      ///< under the names of that checkpoint, in its layout
    std::map<std::string, PackedTensor> packed;  ///< matrices that stay quantised; `tensors` holds zeros without memory in their place
    core::Json tokenizer;                        ///< as a model card keeps it; null: none in the file, or one that is not read (a note says why)
    std::vector<std::string> notes;
};

/// `model_type` of the checkpoint that a GGUF file was made of ("llama", "gpt2", "qwen2", "qwen3"); empty for other files and architectures. Never throws.
std::string ggufModelType(std::string_view bytes);

/// Turns names, layout and metadata back: `general.architecture` llama (and Mistral), qwen2, qwen3, gpt2. Rows of the query and key projections of llama are put back into the order that they had
/// before they were written; gpt2's weights are transposed to [in, out].
/// @throws core::FormatError as io::parseGguf, or naming the key of the metadata that is missing, or the tensor whose name or shape is unknown. Any thread.
/// Source: llama.cpp, convert_hf_to_gguf.py and gguf-py/gguf/tensor_mapping.py.
GgufCheckpoint readGgufCheckpoint(const Mapping& file, const std::string& name, OpenOptions::Quantised quantised = OpenOptions::Quantised::Unpack);

/// One name: "blk.0.attn_q.weight" of llama -> "model.layers.0.self_attn.q_proj.weight". Nothing for a name that the architecture does not have.
std::optional<std::string> ggufToHuggingFace(const std::string& modelType, std::string_view name);

}  // namespace orrery::models
