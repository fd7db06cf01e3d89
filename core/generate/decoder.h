#pragma once
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include <core/graph/executor.h>

#include "cached_graph.h"

namespace orrery::generation {

/// One text being written by a model: tokens go in, logits of the next one come out. Keys and values of earlier tokens are kept (see CachedGraph) where the model can be taken apart; else
/// every step reads the whole text. Both give the same logits within rounding. Not thread-safe; the model is kept.
class Decoder {
public:
    enum class Cache { Use, No };
    /// @param source  What an encoder-decoder's first input takes, of one item: tokens [1, position], features of a sound [1, band, frame]; must be given for such a model.
    /// @throws core::InputError for a model whose last input takes no tokens, or that takes more than a source beside them.
    explicit Decoder(graph::Model model, Cache cache = Cache::Use, const at::Tensor& source = {});
    ~Decoder();
    Decoder(const Decoder&) = delete;
    Decoder& operator=(const Decoder&) = delete;

    /// Appends tokens and gives logits [token] of what comes next.
    /// @throws core::InputError for no tokens, unknown ones, or a text longer than the model reads; core::Error for NaN in the logits; core::Cancelled, after which the text is as before.
    at::Tensor next(std::span<const std::int64_t> tokens, std::stop_token stop = {});
    /// Forgets all tokens but the first `length`: to go on differently. @throws core::InputError if there are fewer.
    void rewind(std::int64_t length);
    const std::vector<std::int64_t>& tokens() const;
    bool isCached() const;
    /// Why nothing is cached; empty if it is.
    const std::string& whyNotCached() const;
    /// Most tokens that the model reads; nothing: no limit is known.
    std::optional<std::int64_t> longest() const;
    bool isEncoderDecoder() const;

private:
    class Path;
    class WholePath;
    class CachedPath;
    graph::Model m_model;
    at::Tensor m_source;
    std::string m_reason;
    std::vector<std::int64_t> m_tokens;
    std::unique_ptr<Path> m_path;
};

}  // namespace orrery::generation
