#pragma once
#include <memory>
#include <string_view>
#include <vector>

#include "encoding.h"
#include "json_place.h"

namespace orrery::text {

/// Encodings of one or two texts on their way to one. `originals` are the texts, for offsets.
struct Encodings {
    std::vector<Encoding> parts;
    std::vector<std::string_view> originals;
};

/// Adds special tokens and sets type numbers. Immutable, any thread.
class PostProcessor {
public:
    virtual ~PostProcessor() = default;
    /// Without special tokens only offsets and type numbers change.
    virtual void apply(Encodings& encodings, bool addSpecial) const = 0;
    /// Special tokens that it adds to one text or a pair.
    virtual std::size_t added(bool pair) const { return 0; }
};
using PostProcessorPtr = std::shared_ptr<const PostProcessor>;

/// "post_processor" of a file: TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel, Sequence. Null for null. @throws core::FormatError.
PostProcessorPtr postProcessorOf(const JsonPlace& json, int depth = 0);

}  // namespace orrery::text
