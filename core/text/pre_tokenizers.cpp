#include "pre_tokenizers.h"

#include <functional>
#include <map>

#include "gpt_words.h"
#include "steps_json.h"
#include "unicode.h"

namespace orrery::text {
namespace {

using Words = std::vector<AlignedText>;

void addParts(const AlignedText& text, const std::vector<std::pair<std::size_t, std::size_t>>& parts, Words& out)
{
    for (const auto& [first, last] : parts)
        out.push_back(text.slice(first, last));
}

/// Splits at a pattern.
class SplitWords final : public PreTokenizer {
public:
    SplitWords(PatternPtr pattern, SplitBehaviour behaviour, bool inverted = false)
        : m_pattern(std::move(pattern)), m_behaviour(behaviour), m_inverted(inverted)
    {
    }
    void split(AlignedText text, Words& out) const override
    {
        auto matches = m_pattern->find(text.text());
        if (m_inverted)
            for (auto& match : matches)
                match.isMatch = !match.isMatch;
        addParts(text, splitAt(matches, m_behaviour), out);
    }
    bool streams() const override { return true; }
    void eachWord(std::string_view text, const std::function<void(std::string_view)>& found) const override
    {
        if (m_behaviour == SplitBehaviour::Isolated) {  // then the parts are what is found and what lies between
            m_pattern->each(text, [&](const Match& match) {
                if (match.end > match.begin)
                    found(text.substr(match.begin, match.end - match.begin));
            });
            return;
        }
        auto matches = m_pattern->find(text);
        if (m_inverted)
            for (auto& match : matches)
                match.isMatch = !match.isMatch;
        for (const auto& [first, last] : splitAt(matches, m_behaviour))
            found(text.substr(first, last - first));
    }

private:
    PatternPtr m_pattern;
    SplitBehaviour m_behaviour;
    bool m_inverted;
};

class ByteLevelWords final : public PreTokenizer {
public:
    explicit ByteLevelWords(const JsonPlace& json)
        : m_addSpace(json.flag("add_prefix_space", true)), m_words(json.flag("use_regex", true) ? knownWordPattern(kGptWords) : nullptr)
    {
    }
    void split(AlignedText text, Words& out) const override
    {
        if (m_addSpace && !text.text().starts_with(' '))
            text.prepend(" ");
        const auto first = std::ptrdiff_t(out.size());
        if (m_words)
            addParts(text, splitAt(m_words->find(text.text()), SplitBehaviour::Isolated), out);
        else
            out.push_back(std::move(text));
        for (auto word = out.begin() + first; word != out.end(); ++word)
            word->mapBytes();
    }
    bool streams() const override { return true; }
    void eachWord(std::string_view text, const std::function<void(std::string_view)>& found) const override
    {
        std::string prefixed;
        if (m_addSpace && !text.empty() && !text.starts_with(' '))
            text = prefixed = " " + std::string(text);
        if (m_words)
            m_words->each(text, [&](const Match& match) { found(text.substr(match.begin, match.end - match.begin)); });
        else if (!text.empty())
            found(text);
    }
    std::string wordOf(std::string_view found) const override { return mappedBytes(found); }
    bool takesBytes() const override { return true; }

private:
    bool m_addSpace;
    PatternPtr m_words;
};

class MetaspaceWords final : public PreTokenizer {
public:
    explicit MetaspaceWords(const JsonPlace& json)
        : m_character(json.has("replacement") ? json.at("replacement").character() : 0x2581), m_replacement(utf8Of(m_character)),
          m_scheme(json.text("prepend_scheme", json.flag("add_prefix_space", true) ? "always" : "never")), m_split(json.flag("split", true))
    {
        if (m_scheme != "always" && m_scheme != "first" && m_scheme != "never")
            json.at("prepend_scheme").fail("always, first or never");
    }
    void split(AlignedText text, Words& out) const override
    {
        text.replace(character(U' ')->find(text.text()), m_replacement);
        const bool wanted = m_scheme == "always" || (m_scheme == "first" && text.begin() == 0);
        if (wanted && !text.text().starts_with(m_replacement))
            text.prepend(m_replacement);
        if (m_split)
            addParts(text, splitAt(character(m_character)->find(text.text()), SplitBehaviour::MergedWithNext), out);
        else
            out.push_back(std::move(text));
    }

private:
    char32_t m_character;
    std::string m_replacement, m_scheme;
    bool m_split;
};

/// Where the script changes. Kana count as Han, blanks and unassigned characters belong to what stands before them.
class ScriptWords final : public PreTokenizer {
public:
    void split(AlignedText text, Words& out) const override
    {
        static const int kHan = scriptOf(U'\u4e00'), kKana = scriptOf(U'\u3042'), kKatakana = scriptOf(U'\u30ab');
        const auto scriptAt = [&](char32_t point) {
            const int script = scriptOf(point);
            if (point == ' ' || isUnknownScript(script))
                return -1;
            return point == 0x30fc || script == kKana || script == kKatakana ? kHan : script;
        };
        std::vector<std::size_t> begins;
        int last = -2;  // no character yet
        for (std::size_t at = 0; at < text.text().size();) {
            const Point point = pointAt(text.text(), at);
            const int script = scriptAt(point.value);
            if (script != -1 && last != script)
                begins.push_back(at);
            if (script != -1)
                last = script;
            at += point.bytes;
        }
        begins.push_back(text.text().size());
        for (std::size_t i = 0; i + 1 < begins.size(); ++i)
            out.push_back(text.slice(begins[i], begins[i + 1]));
    }
};

class FixedLengthWords final : public PreTokenizer {
public:
    explicit FixedLengthWords(std::size_t length) : m_length(length) {}
    void split(AlignedText text, Words& out) const override
    {
        std::size_t begin = 0, count = 0;
        for (std::size_t at = 0; at < text.text().size();) {
            at += pointAt(text.text(), at).bytes;
            if (++count == m_length || at == text.text().size()) {
                out.push_back(text.slice(begin, at));
                begin = at;
                count = 0;
            }
        }
    }

private:
    std::size_t m_length;
};

class WordSequence final : public PreTokenizer {
public:
    explicit WordSequence(std::vector<PreTokenizerPtr> steps) : m_steps(std::move(steps)) {}
    void split(AlignedText text, Words& out) const override
    {
        Words words;
        words.push_back(std::move(text));
        for (const auto& step : m_steps) {
            Words parts;
            parts.reserve(words.size());
            for (auto& word : words)
                step->split(std::move(word), parts);
            std::erase_if(parts, [](const AlignedText& part) { return part.empty(); });
            words = std::move(parts);
        }
        std::move(words.begin(), words.end(), std::back_inserter(out));
    }
    bool streams() const override
    {
        for (std::size_t i = 0; i < m_steps.size(); ++i)
            if (!m_steps[i]->streams() || (i + 1 < m_steps.size() && m_steps[i]->takesBytes()))
                return false;
        return !m_steps.empty();
    }
    void eachWord(std::string_view text, const std::function<void(std::string_view)>& found) const override { eachWordFrom(0, text, found); }
    std::string wordOf(std::string_view found) const override { return m_steps.back()->wordOf(found); }
    bool takesBytes() const override
    {
        for (const auto& step : m_steps)
            if (step->takesBytes())
                return true;
        return false;
    }

private:
    void eachWordFrom(std::size_t step, std::string_view text, const std::function<void(std::string_view)>& found) const
    {
        if (step + 1 == m_steps.size())
            m_steps[step]->eachWord(text, found);
        else
            m_steps[step]->eachWord(text, [&](std::string_view part) { eachWordFrom(step + 1, part, found); });
    }
    std::vector<PreTokenizerPtr> m_steps;
};

SplitBehaviour behaviourOf(const JsonPlace& json, std::string_view otherwise)
{
    static const std::map<std::string, SplitBehaviour, std::less<>> kBehaviours = {
        {"Removed", SplitBehaviour::Removed},
        {"Isolated", SplitBehaviour::Isolated},
        {"MergedWithPrevious", SplitBehaviour::MergedWithPrevious},
        {"MergedWithNext", SplitBehaviour::MergedWithNext},
        {"Contiguous", SplitBehaviour::Contiguous},
    };
    const auto found = kBehaviours.find(json.text("behavior", otherwise));
    if (found == kBehaviours.end())
        json.at("behavior").fail(namesOf(kBehaviours));
    return found->second;
}

using WordMaker = std::function<PreTokenizerPtr(const JsonPlace&)>;

PreTokenizerPtr splitting(PatternPtr pattern, SplitBehaviour behaviour, bool inverted = false)
{
    return std::make_shared<SplitWords>(std::move(pattern), behaviour, inverted);
}

const std::map<std::string, WordMaker, std::less<>>& wordMakers()
{
    static const std::map<std::string, WordMaker, std::less<>> kMakers = {
        {"ByteLevel", [](const JsonPlace& json) { return std::make_shared<ByteLevelWords>(json); }},
        {"Metaspace", [](const JsonPlace& json) { return std::make_shared<MetaspaceWords>(json); }},
        {"UnicodeScripts", [](const JsonPlace&) { return std::make_shared<ScriptWords>(); }},
        {"FixedLength", [](const JsonPlace& json) { return std::make_shared<FixedLengthWords>(std::size_t(json.number("length", 5, 1))); }},
        {"BertPreTokenizer",
         [](const JsonPlace&) {
             return std::make_shared<WordSequence>(std::vector{splitting(characters(isWhiteSpace), SplitBehaviour::Removed),
                                                               splitting(characters(isPunctuation), SplitBehaviour::Isolated)});
         }},
        {"Whitespace",
         [](const JsonPlace& json) { return splitting(regularExpression(R"(\w+|[^\w\s]+)", json.place()), SplitBehaviour::Removed, true); }},
        {"WhitespaceSplit", [](const JsonPlace&) { return splitting(characters(isWhiteSpace), SplitBehaviour::Removed); }},
        {"Punctuation", [](const JsonPlace& json) { return splitting(characters(isPunctuation), behaviourOf(json, "Isolated")); }},
        {"Digits",
         [](const JsonPlace& json) {
             return splitting(characters(isNumeric), json.flag("individual_digits", false) ? SplitBehaviour::Isolated : SplitBehaviour::Contiguous);
         }},
        {"Split", [](const JsonPlace& json) { return splitting(patternOf(json.at("pattern")), behaviourOf(json, ""), json.flag("invert", false)); }},
        {"CharDelimiterSplit", [](const JsonPlace& json) { return splitting(character(json.at("delimiter").character()), SplitBehaviour::Removed); }},
    };
    return kMakers;
}

}  // namespace

PreTokenizerPtr preTokenizerOf(const JsonPlace& json, int depth)
{
    if (json.isNull())
        return nullptr;
    if (json.at("type").text() == "Sequence")
        return std::make_shared<WordSequence>(stepsIn(json, "pretokenizers", depth, preTokenizerOf));
    return madeBy(wordMakers(), json, "pre-tokenizer");
}

}  // namespace orrery::text
