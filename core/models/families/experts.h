#pragma once
#include "assembly.h"

namespace orrery::models::families {

/// A mixture of experts in place of the MLP.
struct ExpertSettings {
    std::int64_t count = 0, used = 0;  ///< experts in all, and of them for one token; none: no mixture
    std::int64_t features = 0, hidden = 0;
    std::int64_t sharedHidden = 0;  ///< of an expert that every token goes to, behind a gate of its own; 0: none
    bool softmaxFirst = false;      ///< shares are probabilities over all experts, instead of over those that are used
    bool normalised = true;         ///< and add up to one over those that are used
    bool mixtralNames = true;       ///< block_sparse_moe with w1, w2, w3, or mlp with gate_proj, down_proj, up_proj
    std::int64_t step = 1;          ///< every how manieth block has one
    std::set<std::int64_t> plain;   ///< blocks with an ordinary MLP
    std::string activation;
    /// Whether block `number` has a mixture.
    bool isAt(std::int64_t number) const { return count > 0 && !plain.contains(number) && (number + 1) % step == 0; }
};

/// From the config of Mixtral, Qwen2-MoE or Qwen3-MoE; nothing for other types. @throws core::FormatError naming the key.
ExpertSettings expertSettings(const Config& config, const std::string& type);

/// All experts are computed and those that were not chosen count nothing, so that one can see what each would have said.
/// Sources: Jiang et al. (2024), "Mixtral of Experts", section 2, arXiv:2401.04088; Qwen team (2024), arXiv:2407.10671, section 2.2.2.
Var mixtureOfExperts(Assembly& assembly, Var x, const std::string& block, const ExpertSettings& settings);

/// Whether transformers 5 laid the experts of each block into one tensor.
bool hasFusedExperts(const graph::Weights& file);
/// Tensors of a folder in which transformers 5 laid the experts of a block into one: `mlp.experts.gate_up_proj` [expert, gates above ups, in] and `mlp.experts.down_proj` [expert, out, in]. Gives
/// views of their parts under the names of single experts, and the rest as it is. @param mixtralNames  As above.
/// @throws core::FormatError for another shape, naming the tensor.
graph::Weights withSingleExperts(const graph::Weights& file, bool mixtralNames);

}  // namespace orrery::models::families
