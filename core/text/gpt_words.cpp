#include "gpt_words.h"

#include <array>

#include "unicode.h"

namespace orrery::text {
namespace {

enum class Kind : unsigned char { Letter, Number, Space, Other };

Kind kindOfPoint(char32_t point);

const std::array<Kind, 128>& asciiKinds()
{
    static const auto kKinds = [] {
        std::array<Kind, 128> kinds{};
        for (char32_t point = 0; point < 128; ++point)
            kinds[point] = kindOfPoint(point);
        return kinds;
    }();
    return kKinds;
}

Kind kindOfPoint(char32_t point)
{
    if (isLetter(point))
        return Kind::Letter;
    if (isNumeric(point))
        return Kind::Number;
    return isWhiteSpace(point) ? Kind::Space : Kind::Other;
}

/// Finds the matches of `kGptWords`, which cover the whole text.
class GptWords final : public Pattern {
public:
    std::vector<Match> find(std::string_view text) const override
    {
        std::vector<Match> matches;
        matches.reserve(text.size() / 4);
        each(text, [&](const Match& match) { matches.push_back(match); });
        return matches;
    }
    void each(std::string_view text, const std::function<void(const Match&)>& found) const override
    {
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t end = endOf(text, at);
            found({at, end, true});
            at = end;
        }
    }

private:
    struct Next {
        Kind kind;
        std::uint32_t bytes;
    };
    static Next next(std::string_view text, std::size_t at)
    {
        const auto first = static_cast<unsigned char>(text[at]);
        if (first < 128)
            return {asciiKinds()[first], 1};
        const Point point = pointAt(text, at);
        return {kindOfPoint(point.value), point.bytes};
    }

    /// End of the run of one kind.
    static std::size_t run(std::string_view text, std::size_t at, Kind kind)
    {
        while (at < text.size()) {
            const Next point = next(text, at);
            if (point.kind != kind)
                break;
            at += point.bytes;
        }
        return at;
    }

    static std::size_t endOf(std::string_view text, std::size_t at)
    {
        if (text[at] == '\'')
            for (const std::string_view ending : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"})
                if (text.substr(at).starts_with(ending))
                    return at + ending.size();
        const Next first = next(text, at);
        if (text[at] == ' ' && at + 1 < text.size())
            if (const Kind kind = next(text, at + 1).kind; kind != Kind::Space)
                return run(text, at + 1, kind);
        if (first.kind != Kind::Space)
            return run(text, at, first.kind);
        // A run of blanks leaves its last one to the word behind it.
        std::size_t end = at, last = at;
        while (end < text.size()) {
            const Next point = next(text, end);
            if (point.kind != Kind::Space)
                break;
            last = end;
            end += point.bytes;
        }
        return end == text.size() || last == at ? end : last;
    }
};

}  // namespace

PatternPtr knownWordPattern(std::string_view expression)
{
    static const PatternPtr kWords = std::make_shared<GptWords>();
    return expression == kGptWords ? kWords : nullptr;
}

}  // namespace orrery::text
