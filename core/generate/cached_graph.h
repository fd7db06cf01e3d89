#pragma once
#include <memory>
#include <string>
#include <vector>

#include <core/graph/model.h>

namespace orrery::generation {

/// A decoder's graph taken apart for writing token by token: what depends on the new tokens is one graph, which reads the keys and values of earlier tokens from a cache; tables that
/// depend on the number of positions alone (position embeddings, rotary tables, masks) and what depends on neither (an encoder's memory, transposed weights) are computed once beforehand
/// by the whole graph and come in as inputs.
///
/// It is found by structure: keys and values are the card's canonical `blocks.N.attn.k` and `.v` (or `decoder.N.attn.k`, `.v`), [batch, head, position, feature]; everything else follows from
/// what each node depends on. Any decoder whose tables for fewer positions are the beginnings of its tables for more (checked by CachedDecoder) can be taken apart.
struct CachedGraph {
    graph::GraphPtr
        step;  ///< inputs: the new tokens [batch, new], `cache_past` (int: tokens before them), constants, tables, then buffers; output: logits
    std::string target;                  ///< name of the whole graph's input that new tokens take
    std::vector<std::string> constants;  ///< values of the whole graph that come in as they are
    std::vector<std::string> tables;     ///< values of the whole graph, computed for as many positions as the cache holds; cut to the new ones
    std::vector<std::string> cached;     ///< keys and values, each with a buffer [batch, head, capacity, feature]
    std::string reason;                  ///< empty, or why the graph could not be taken apart (then `step` is null)
};

/// Takes a decoder apart; never throws for one that cannot be: `reason` says in one sentence why. Any thread.
/// @param lastOnly  The logits of the last new token alone, where what follows the last block treats each position for itself.
CachedGraph cachedGraph(const graph::Model& model, bool lastOnly = true);

}  // namespace orrery::generation
