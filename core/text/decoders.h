#pragma once
#include <memory>
#include <string>
#include <vector>

#include "json_place.h"

namespace orrery::text {

/// Tokens back to text: each step changes the list, what is left at the end is joined. Immutable, any thread.
class Decoder {
public:
    virtual ~Decoder() = default;
    virtual void apply(std::vector<std::string>& tokens) const = 0;
    /// True if characters stand for bytes, as in byte-level vocabularies.
    virtual bool givesBytes() const { return false; }
};
using DecoderPtr = std::shared_ptr<const Decoder>;

/// "decoder" of a file: ByteLevel, WordPiece, Metaspace, BPEDecoder, ByteFallback, Fuse, Strip, Replace, CTC, Sequence. Null for null.
/// ByteLevel gives the bytes as they are, also where they are no UTF-8. @throws core::FormatError naming the place.
DecoderPtr decoderOf(const JsonPlace& json, int depth = 0);

// The steps by themselves.
DecoderPtr byteLevelDecoder();
DecoderPtr wordPieceDecoder(std::string prefix, bool cleansUp);
DecoderPtr metaspaceDecoder(char32_t replacement, bool dropsFirst);
DecoderPtr suffixDecoder(std::string suffix);
DecoderPtr byteFallbackDecoder();
DecoderPtr fuseDecoder();
DecoderPtr stripDecoder(char32_t content, std::size_t start, std::size_t stop);
DecoderPtr ctcDecoder(std::string padding, std::string delimiter, bool cleansUp);
DecoderPtr decoderSequence(std::vector<DecoderPtr> steps);

/// All of a text with `from` replaced by `to`.
std::string replaced(std::string_view text, std::string_view from, std::string_view to);

}  // namespace orrery::text
