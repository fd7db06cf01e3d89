#include <functional>
#include <map>

#include "decoders.h"
#include "steps_json.h"

namespace orrery::text {
namespace {

/// Replaces what a pattern finds in each token.
class ReplacingDecoder final : public Decoder {
public:
    ReplacingDecoder(PatternPtr pattern, std::string content) : m_pattern(std::move(pattern)), m_content(std::move(content)) {}
    void apply(std::vector<std::string>& tokens) const override
    {
        for (auto& token : tokens) {
            std::string out;
            for (const Match& match : m_pattern->find(token))
                out += match.isMatch ? m_content : token.substr(match.begin, match.end - match.begin);
            token = std::move(out);
        }
    }

private:
    PatternPtr m_pattern;
    std::string m_content;
};

using DecoderMaker = std::function<DecoderPtr(const JsonPlace&)>;

DecoderPtr metaspaceOf(const JsonPlace& json)
{
    const auto scheme = json.text("prepend_scheme", json.flag("add_prefix_space", true) ? "always" : "never");
    return metaspaceDecoder(json.has("replacement") ? json.at("replacement").character() : 0x2581, scheme != "never");
}

const std::map<std::string, DecoderMaker, std::less<>>& decoderMakers()
{
    static const std::map<std::string, DecoderMaker, std::less<>> kMakers = {
        {"ByteLevel", [](const JsonPlace&) { return byteLevelDecoder(); }},
        {"ByteFallback", [](const JsonPlace&) { return byteFallbackDecoder(); }},
        {"Fuse", [](const JsonPlace&) { return fuseDecoder(); }},
        {"Metaspace", metaspaceOf},
        {"BPEDecoder", [](const JsonPlace& json) { return suffixDecoder(json.text("suffix", "</w>")); }},
        {"WordPiece", [](const JsonPlace& json) { return wordPieceDecoder(json.text("prefix", "##"), json.flag("cleanup", true)); }},
        {"CTC",
         [](const JsonPlace& json) {
             return ctcDecoder(json.text("pad_token", "<pad>"), json.text("word_delimiter_token", "|"), json.flag("cleanup", true));
         }},
        {"Strip",
         [](const JsonPlace& json) {
             return stripDecoder(json.has("content") ? json.at("content").character() : U' ', std::size_t(json.number("start", 0)),
                                 std::size_t(json.number("stop", 0)));
         }},
        {"Replace",
         [](const JsonPlace& json) { return std::make_shared<ReplacingDecoder>(patternOf(json.at("pattern")), json.at("content").text()); }},
    };
    return kMakers;
}

}  // namespace

DecoderPtr decoderOf(const JsonPlace& json, int depth)
{
    if (json.isNull())
        return nullptr;
    if (json.at("type").text() == "Sequence")
        return decoderSequence(stepsIn(json, "decoders", depth, decoderOf));
    return madeBy(decoderMakers(), json, "decoder");
}

}  // namespace orrery::text
