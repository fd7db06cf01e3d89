#include "normalisers.h"

#include <functional>
#include <map>

#include <core/base/error.h>

#include "charsmap.h"
#include "normal_forms.h"
#include "pattern.h"
#include "steps_json.h"
#include "unicode.h"

namespace orrery::text {
namespace {

/// A normaliser that is one function.
class Step final : public Normaliser {
public:
    explicit Step(std::function<void(AlignedText&)> apply, bool takesBytes = false) : m_apply(std::move(apply)), m_takesBytes(takesBytes) {}
    void apply(AlignedText& text) const override { m_apply(text); }
    bool takesBytes() const override { return m_takesBytes; }

private:
    std::function<void(AlignedText&)> m_apply;
    bool m_takesBytes;
};

class NormaliserSequence final : public Normaliser {
public:
    explicit NormaliserSequence(std::vector<NormaliserPtr> steps) : m_steps(std::move(steps)) {}
    void apply(AlignedText& text) const override
    {
        for (const auto& step : m_steps)
            step->apply(text);
    }
    bool takesBytes() const override
    {
        for (const auto& step : m_steps)
            if (step->takesBytes())
                return true;
        return false;
    }

private:
    std::vector<NormaliserPtr> m_steps;
};

bool isAscii(std::string_view text)
{
    for (const char c : text)
        if (static_cast<unsigned char>(c) >= 0x80)
            return false;
    return true;
}

void applyForm(AlignedText& text, NormalForm form)
{
    if (!isAscii(text.text()))
        text.transform(normalForm(text.text(), form));
}

/// Each character becomes what the function gives; the first of several replaces it.
void mapPoints(AlignedText& text, const std::function<std::u32string(char32_t)>& map)
{
    std::vector<Change> changes;
    bool changed = false;
    for (const char32_t point : pointsOf(text.text())) {
        const auto mapped = map(point);
        changed |= mapped.size() != 1 || mapped[0] != point;
        for (std::size_t i = 0; i < mapped.size(); ++i)
            changes.push_back({mapped[i], i > 0 ? 1 : 0});
    }
    if (changed)
        text.transform(changes);
}

void stripSpace(AlignedText& text, bool left, bool right)
{
    const auto points = pointsOf(text.text());
    std::size_t first = 0, last = points.size();
    while (left && first < last && isWhiteSpace(points[first]))
        ++first;
    while (right && last > first && isWhiteSpace(points[last - 1]))
        --last;
    std::vector<Change> changes;
    for (std::size_t i = first; i < last; ++i)
        changes.push_back({points[i], 0});
    if (changes.size() < points.size())
        text.transform(changes, first);
}

bool isBertControl(char32_t point)
{
    return point != '\t' && point != '\n' && point != '\r' && isOther(point);
}

bool isBertSpace(char32_t point)
{
    return point == '\t' || point == '\n' || point == '\r' || isWhiteSpace(point);
}

struct BertSteps {
    bool clean = true, spaceIdeographs = true, stripAccents = true, lower = true;

    /// Source: Devlin et al. (2019), "BERT" (arXiv:1810.04805) and its released tokenizer: control characters go, ideographs stand alone, accents go.
    void operator()(AlignedText& text) const
    {
        if (clean) {
            text.filter([](char32_t point) { return point != 0 && point != 0xfffd && !isBertControl(point); });
            mapPoints(text, [](char32_t point) { return std::u32string{isBertSpace(point) ? U' ' : point}; });
        }
        if (spaceIdeographs)
            surroundIdeographs(text);
        if (stripAccents) {
            applyForm(text, NormalForm::Nfd);
            text.filter([](char32_t point) { return !isNonSpacingMark(point); });
        }
        if (lower)
            mapPoints(text, lowerCase);
    }

private:
    static void surroundIdeographs(AlignedText& text)
    {
        std::vector<Change> changes;
        bool changed = false;
        for (const char32_t point : pointsOf(text.text())) {
            const bool ideograph = isChineseIdeograph(point);
            changed |= ideograph;
            if (ideograph)
                changes.insert(changes.end(), {{U' ', 0}, {point, 1}, {U' ', 1}});
            else
                changes.push_back({point, 0});
        }
        if (changed)
            text.transform(changes);
    }
};

/// Control characters go, other blanks become spaces, as Google's NMT system does.
void applyNmt(AlignedText& text)
{
    const auto within = [](char32_t point, char32_t first, char32_t last) { return point >= first && point <= last; };
    text.filter([&](char32_t point) {
        return !(within(point, 1, 8) || point == 0xb || within(point, 0xe, 0x1f) || point == 0x7f || point == 0x8f || point == 0x9f);
    });
    mapPoints(text, [&](char32_t point) {
        const bool blank = point == 9 || point == 0xa || point == 0xc || point == 0xd || point == 0x1680 || within(point, 0x200b, 0x200f) ||
                           point == 0x2028 || point == 0x2029 || point == 0x2581 || point == 0xfeff || point == 0xfffd;
        return std::u32string{blank ? U' ' : point};
    });
}

NormaliserPtr bertOf(const JsonPlace& json)
{
    BertSteps steps{json.flag("clean_text", true), json.flag("handle_chinese_chars", true), true, json.flag("lowercase", true)};
    steps.stripAccents = json.flag("strip_accents", steps.lower);
    return std::make_shared<Step>(steps);
}

NormaliserPtr replaceOf(const JsonPlace& json)
{
    const auto pattern = patternOf(json.at("pattern"));
    return std::make_shared<Step>(
        [pattern, content = json.at("content").text()](AlignedText& text) { text.replace(pattern->find(text.text()), content); });
}

using Maker = std::function<NormaliserPtr(const JsonPlace&)>;

Maker form(NormalForm wanted)
{
    return [wanted](const JsonPlace&) { return std::make_shared<Step>([wanted](AlignedText& text) { applyForm(text, wanted); }); };
}

Maker step(void (*apply)(AlignedText&), bool takesBytes = false)
{
    return [apply, takesBytes](const JsonPlace&) { return std::make_shared<Step>(apply, takesBytes); };
}

const std::map<std::string, Maker, std::less<>>& normaliserMakers()
{
    static const std::map<std::string, Maker, std::less<>> kMakers = {
        {"NFC", form(NormalForm::Nfc)},
        {"NFD", form(NormalForm::Nfd)},
        {"NFKC", form(NormalForm::Nfkc)},
        {"NFKD", form(NormalForm::Nfkd)},
        {"Lowercase", step([](AlignedText& text) { mapPoints(text, lowerCase); })},
        {"StripAccents", step([](AlignedText& text) { text.filter([](char32_t point) { return !isMark(point); }); })},
        {"Nmt", step(applyNmt)},
        {"ByteLevel", step([](AlignedText& text) { text.mapBytes(); }, true)},
        {"BertNormalizer", bertOf},
        {"Replace", replaceOf},
        {"Strip",
         [](const JsonPlace& json) {
             return std::make_shared<Step>([left = json.flag("strip_left", true), right = json.flag("strip_right", true)](AlignedText& text) {
                 stripSpace(text, left, right);
             });
         }},
        {"Prepend",
         [](const JsonPlace& json) {
             return std::make_shared<Step>([prefix = json.at("prepend").text()](AlignedText& text) { text.prepend(prefix); });
         }},
        {"Precompiled",
         [](const JsonPlace& json) {
             const auto place = json.at("precompiled_charsmap");
             const auto map = std::make_shared<const Charsmap>(decodeBase64(place.text(), place.place()), place.place());
             return std::make_shared<Step>([map](AlignedText& text) { map->apply(text); });
         }},
    };
    return kMakers;
}

}  // namespace

NormaliserPtr normaliserOf(const JsonPlace& json, int depth)
{
    if (json.isNull())
        return nullptr;
    if (json.at("type").text() == "Sequence")
        return std::make_shared<NormaliserSequence>(stepsIn(json, "normalizers", depth, normaliserOf));
    return madeBy(normaliserMakers(), json, "normalizer");
}

}  // namespace orrery::text
