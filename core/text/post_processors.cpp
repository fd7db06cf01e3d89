#include "post_processors.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>

#include <core/base/error.h>

#include "steps_json.h"
#include "unicode.h"

namespace orrery::text {
namespace {

/// The place so many characters further on, or back, in any bytes.
std::uint32_t moved(std::string_view text, std::uint32_t at, std::size_t count, bool backwards)
{
    for (; count > 0 && (backwards ? at > 0 : at < text.size()); --count) {
        if (!backwards) {
            at += sequenceAt(text, at).first;
            continue;
        }
        --at;
        while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80)
            --at;
    }
    return at;
}

bool isSpaceOfToken(char32_t point)
{
    return point == byteCharacter(' ') || isWhiteSpace(point);
}

/// Takes the blanks that a token begins or ends with out of its offsets, but for the one blank that was put before the text; several were not put there.
void trimOffsets(Encoding& encoding, std::string_view original, bool addsPrefix)
{
    for (std::size_t i = 0; i < encoding.size(); ++i) {
        const auto points = pointsOf(encoding.tokens[i]);
        auto leading = std::size_t(std::find_if_not(points.begin(), points.end(), isSpaceOfToken) - points.begin());
        const auto trailing = std::size_t(std::find_if_not(points.rbegin(), points.rend(), isSpaceOfToken) - points.rbegin());
        Span& span = encoding.offsets[i];
        if (leading > 0) {
            if ((i == 0 || span.begin == 0) && addsPrefix && leading == 1)
                leading = 0;
            span.begin = std::min(moved(original, span.begin, leading, false), span.end);
        }
        if (trailing > 0)
            span.end = std::max(moved(original, span.end, trailing, true), span.begin);
    }
}

void trimAll(Encodings& encodings, bool addsPrefix)
{
    for (auto& part : encodings.parts) {
        const auto which = part.sequenceIds.empty() ? 0 : std::max<int>(0, part.sequenceIds[0]);
        trimOffsets(part, encodings.originals[std::min(std::size_t(which), encodings.originals.size() - 1)], addsPrefix);
    }
}

/// A token with its number.
struct Special {
    std::string token;
    std::int64_t id = 0;
};

Encoding encodingOf(const Special& special, std::int64_t typeId)
{
    Encoding encoding;
    encoding.addSpecial(special.id, special.token, typeId);
    return encoding;
}

Special specialOf(const JsonPlace& json)
{
    const auto pair = json.list();
    if (pair.size() != 2)
        json.fail("[token, number]");
    return {pair[0].text(), pair[1].number()};
}

class TrimmedOffsets final : public PostProcessor {
public:
    explicit TrimmedOffsets(const JsonPlace& json) : m_trims(json.flag("trim_offsets", true)), m_addsPrefix(json.flag("add_prefix_space", true)) {}
    void apply(Encodings& encodings, bool) const override
    {
        if (m_trims)
            trimAll(encodings, m_addsPrefix);
    }

private:
    bool m_trims, m_addsPrefix;
};

class BertEnds final : public PostProcessor {
public:
    explicit BertEnds(const JsonPlace& json) : m_begin(specialOf(json.at("cls"))), m_end(specialOf(json.at("sep"))) {}
    std::size_t added(bool pair) const override { return pair ? 3 : 2; }
    void apply(Encodings& encodings, bool addSpecial) const override
    {
        if (!addSpecial)
            return;
        std::vector<Encoding> out;
        for (std::size_t i = 0; i < encodings.parts.size(); ++i) {
            encodings.parts[i].setTypeIds(std::int64_t(i));
            if (i == 0)
                out.push_back(encodingOf(m_begin, 0));
            out.push_back(std::move(encodings.parts[i]));
            out.push_back(encodingOf(m_end, std::int64_t(i)));
        }
        encodings.parts = std::move(out);
    }

private:
    Special m_begin, m_end;
};

/// <s> A </s></s> B </s>, all of type 0.
class RobertaEnds final : public PostProcessor {
public:
    explicit RobertaEnds(const JsonPlace& json)
        : m_begin(specialOf(json.at("cls"))), m_end(specialOf(json.at("sep"))), m_trims(json.flag("trim_offsets", true)),
          m_addsPrefix(json.flag("add_prefix_space", true))
    {
    }
    std::size_t added(bool pair) const override { return pair ? 4 : 2; }
    void apply(Encodings& encodings, bool addSpecial) const override
    {
        if (m_trims)
            trimAll(encodings, m_addsPrefix);
        for (auto& part : encodings.parts)
            part.setTypeIds(0);
        if (!addSpecial)
            return;
        std::vector<Encoding> out;
        for (std::size_t i = 0; i < encodings.parts.size(); ++i) {
            out.push_back(encodingOf(i == 0 ? m_begin : m_end, 0));
            out.push_back(std::move(encodings.parts[i]));
            out.push_back(encodingOf(m_end, 0));
        }
        encodings.parts = std::move(out);
    }

private:
    Special m_begin, m_end;
    bool m_trims, m_addsPrefix;
};

class Template final : public PostProcessor {
public:
    explicit Template(const JsonPlace& json)
    {
        if (json.has("special_tokens"))
            readSpecials(json.at("special_tokens"));
        m_single = itemsOf(json.at("single"));
        m_pair = json.has("pair") ? itemsOf(json.at("pair")) : std::vector<Item>();
    }
    std::size_t added(bool pair) const override
    {
        std::size_t count = 0;
        for (const Item& item : pair ? m_pair : m_single)
            count += item.specials.size();
        return count;
    }
    void apply(Encodings& encodings, bool addSpecial) const override
    {
        const bool pair = encodings.parts.size() == 2;
        std::vector<Encoding> out;
        for (const Item& item : pair ? m_pair : m_single) {
            if (item.sequence >= 0) {
                if (std::size_t(item.sequence) >= encodings.parts.size())
                    throw core::InputError("the tokenizer's template asks for a second text; expected a pair, got one text");
                Encoding part = encodings.parts[std::size_t(item.sequence)];
                part.setTypeIds(item.typeId);
                out.push_back(std::move(part));
            } else if (addSpecial) {
                for (const Special& special : item.specials)
                    out.push_back(encodingOf(special, item.typeId));
            }
        }
        encodings.parts = std::move(out);
    }

private:
    static constexpr std::size_t kMostSpecials = 256;
    struct Item {
        int sequence = -1;  ///< 0 or 1: a text; -1: tokens
        std::vector<Special> specials;
        std::int64_t typeId = 0;
    };

    void readSpecials(const JsonPlace& json)
    {
        if (!json.isObject())
            json.fail("an object of special tokens");
        for (const io::JsonValue value : json.value()) {
            const std::string name(value.key());
            const JsonPlace special(value, json.place() + "." + name);
            const auto ids = special.at("ids").list(), tokens = special.at("tokens").list();
            if (ids.size() != tokens.size())
                special.fail(fmt::format("as many tokens as numbers, {}", ids.size()));
            if (ids.size() > kMostSpecials)  // each place of a template takes them all
                special.fail(fmt::format("at most {} tokens", kMostSpecials));
            auto& list = m_specials[name];
            for (std::size_t i = 0; i < ids.size(); ++i)
                list.push_back({tokens[i].text(), ids[i].number()});
        }
    }

    std::vector<Item> itemsOf(const JsonPlace& json) const
    {
        std::vector<Item> items;
        for (const auto& entry : json.list()) {
            Item item;
            const bool isText = entry.has("Sequence");
            const auto inner = entry.at(isText ? "Sequence" : "SpecialToken");
            item.typeId = inner.number("type_id", 0, 0, 255);
            const auto id = inner.at("id");
            if (isText) {
                if (id.text() != "A" && id.text() != "B")
                    id.fail("\"A\" or \"B\"");
                item.sequence = id.text() == "A" ? 0 : 1;
            } else if (const auto found = m_specials.find(id.text()); found != m_specials.end()) {
                item.specials = found->second;
            } else {
                id.fail("a name of \"special_tokens\"");
            }
            items.push_back(std::move(item));
        }
        return items;
    }

    std::map<std::string, std::vector<Special>> m_specials;
    std::vector<Item> m_single, m_pair;
};

class PostSequence final : public PostProcessor {
public:
    explicit PostSequence(std::vector<PostProcessorPtr> steps) : m_steps(std::move(steps)) {}
    std::size_t added(bool pair) const override
    {
        std::size_t count = 0;
        for (const auto& step : m_steps)
            count += step->added(pair);
        return count;
    }
    void apply(Encodings& encodings, bool addSpecial) const override
    {
        for (const auto& step : m_steps)
            step->apply(encodings, addSpecial);
    }

private:
    std::vector<PostProcessorPtr> m_steps;
};

using PostMaker = std::function<PostProcessorPtr(const JsonPlace&)>;

const std::map<std::string, PostMaker, std::less<>>& postMakers()
{
    static const std::map<std::string, PostMaker, std::less<>> kMakers = {
        {"BertProcessing", [](const JsonPlace& json) { return std::make_shared<BertEnds>(json); }},
        {"ByteLevel", [](const JsonPlace& json) { return std::make_shared<TrimmedOffsets>(json); }},
        {"RobertaProcessing", [](const JsonPlace& json) { return std::make_shared<RobertaEnds>(json); }},
        {"TemplateProcessing", [](const JsonPlace& json) { return std::make_shared<Template>(json); }},
    };
    return kMakers;
}

}  // namespace

PostProcessorPtr postProcessorOf(const JsonPlace& json, int depth)
{
    if (json.isNull())
        return nullptr;
    if (json.at("type").text() == "Sequence")
        return std::make_shared<PostSequence>(stepsIn(json, "processors", depth, postProcessorOf));
    return madeBy(postMakers(), json, "post-processor");
}

}  // namespace orrery::text
