#include <fmt/format.h>

#include <core/base/error.h>

#include "pipeline.h"

namespace orrery::text {
namespace {

io::JsonTape parsedTape(std::string_view document, const std::string& name)
{
    if (document.starts_with("\xef\xbb\xbf"))
        document.remove_prefix(3);
    io::MemoryBudget budget(io::fileMemory(document.size()));
    return {document, name, budget};
}

/// A member that may be missing: null then.
JsonPlace memberOf(const JsonPlace& json, const char* key)
{
    return json.has(key) ? json.at(key) : JsonPlace({}, json.place() + "." + key);
}

bool isLeft(const JsonPlace& json)
{
    const auto direction = json.text("direction", "Right");
    if (direction != "Left" && direction != "Right")
        json.at("direction").fail("Left or Right");
    return direction == "Left";
}

PipelineParts::Truncation truncationOf(const JsonPlace& json)
{
    using Strategy = PipelineParts::Truncation::Strategy;
    PipelineParts::Truncation out;
    out.length = std::size_t(json.at("max_length").number());
    out.fromLeft = isLeft(json);
    const auto strategy = json.text("strategy", "LongestFirst");
    if (strategy != "LongestFirst" && strategy != "OnlyFirst" && strategy != "OnlySecond")
        json.at("strategy").fail("LongestFirst, OnlyFirst or OnlySecond");
    out.strategy = strategy == "OnlyFirst" ? Strategy::OnlyFirst : strategy == "OnlySecond" ? Strategy::OnlySecond : Strategy::LongestFirst;
    return out;
}

PipelineParts::Padding paddingOf(const JsonPlace& json)
{
    constexpr std::int64_t kLongest = 1 << 22;
    PipelineParts::Padding out;
    if (json.has("strategy") && json.at("strategy").isObject())
        out.fixed = std::size_t(json.at("strategy").at("Fixed").number(0, kLongest));
    out.multiple = std::size_t(json.number("pad_to_multiple_of", 0, 0, kLongest));
    out.onLeft = isLeft(json);
    out.id = json.number("pad_id", 0);
    out.typeId = json.number("pad_type_id", 0, 0, 255);
    out.token = json.text("pad_token", "[PAD]");
    return out;
}

}  // namespace

TokenizerPtr tokenizerFromJson(std::string_view document, const std::string& name)
{
    const io::JsonTape tape = parsedTape(document, name);
    const JsonPlace json(tape.root(), name);
    PipelineParts parts;
    parts.model = subwordModel(json.at("model"));
    parts.normaliser = normaliserOf(memberOf(json, "normalizer"));
    parts.preTokenizer = preTokenizerOf(memberOf(json, "pre_tokenizer"));
    parts.postProcessor = postProcessorOf(memberOf(json, "post_processor"));
    parts.decoder = decoderOf(memberOf(json, "decoder"));
    if (json.has("added_tokens"))
        parts.added = AddedTokens(json.at("added_tokens"), *parts.model, parts.normaliser.get());
    if (json.has("truncation"))
        parts.truncation = truncationOf(json.at("truncation"));
    if (json.has("padding"))
        parts.padding = paddingOf(json.at("padding"));
    parts.document = std::string(document);
    return std::make_shared<Pipeline>(std::move(parts));
}

}  // namespace orrery::text
