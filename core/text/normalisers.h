#pragma once
#include <memory>

#include "aligned_text.h"
#include "json_place.h"

namespace orrery::text {

/// Changes a text before it is split into words. Immutable, any thread.
class Normaliser {
public:
    virtual ~Normaliser() = default;
    virtual void apply(AlignedText& text) const = 0;
    /// True if it makes characters of bytes, so that bytes that are no UTF-8 pass.
    virtual bool takesBytes() const { return false; }
};
using NormaliserPtr = std::shared_ptr<const Normaliser>;

/// "normalizer" of a file: NFC, NFD, NFKC, NFKD, Lowercase, Strip, StripAccents, Replace, Prepend, BertNormalizer, Nmt, Precompiled, ByteLevel, Sequence.
/// Null for null. @throws core::FormatError naming the place.
NormaliserPtr normaliserOf(const JsonPlace& json, int depth = 0);

}  // namespace orrery::text
