#include "added_tokens.h"

#include <fmt/format.h>

#include <core/base/error.h>

#include "unicode.h"

namespace orrery::text {
namespace {

/// The match with the blanks that the token takes with it, not before `earliest`.
std::pair<std::size_t, std::size_t> widened(const AddedToken& token, std::string_view text, std::size_t begin, std::size_t end, std::size_t earliest)
{
    while (token.leftStrip && begin > earliest) {
        const Point before = pointBefore(text, begin);
        if (!isWhiteSpace(before.value))
            break;
        begin -= before.bytes;
    }
    while (token.rightStrip && end < text.size()) {
        const Point next = pointAt(text, end);
        if (!isWhiteSpace(next.value))
            break;
        end += next.bytes;
    }
    return {begin, end};
}

bool standsAlone(std::string_view text, std::size_t begin, std::size_t end)
{
    return (begin == 0 || !isWordPoint(pointBefore(text, begin).value)) && (end == text.size() || !isWordPoint(pointAt(text, end).value));
}

}  // namespace

void AddedTokens::Finder::add(std::string content, std::size_t token)
{
    if (content.empty())
        return;
    auto& most = longest[static_cast<unsigned char>(content[0])];
    most = std::max(most, content.size());
    contents.emplace(std::move(content), token);
}

std::pair<std::size_t, std::size_t> AddedTokens::Finder::at(std::string_view text, std::size_t place) const
{
    const std::size_t most = std::min(longest[static_cast<unsigned char>(text[place])], text.size() - place);
    if (most == 0)
        return {0, 0};
    // The greatest content not greater than the text is the longest one that it begins with, or shares a shorter beginning with it.
    std::string_view rest = text.substr(place, most);
    while (!rest.empty()) {
        auto found = contents.upper_bound(rest);
        if (found == contents.begin())
            return {0, 0};
        --found;
        if (rest.starts_with(found->first))
            return {found->first.size(), found->second};
        std::size_t common = 0;
        while (common < rest.size() && common < found->first.size() && rest[common] == found->first[common])
            ++common;
        rest = rest.substr(0, common);
    }
    return {0, 0};
}

AddedTokens::AddedTokens(const JsonPlace& list, const SubwordModel& model, const Normaliser* normaliser)
{
    for (const auto& entry : list.list()) {
        AddedToken token;
        token.content = entry.at("content").text();
        const auto known = model.pieces().find(token.content);
        token.id = known >= 0 ? known : entry.at("id").number(0, (1 << 24) - 1);
        token.special = entry.flag("special", false);
        if (entry.has("surface"))
            token.surface = entry.at("surface").text();
        token.singleWord = entry.flag("single_word", false);
        token.leftStrip = entry.flag("lstrip", false);
        token.rightStrip = entry.flag("rstrip", false);
        token.normalised = entry.flag("normalized", !token.special);
        if (token.content.empty() || m_byContent.contains(token.content))
            continue;
        m_byContent.emplace(token.content, m_tokens.size());
        m_byId.emplace(token.id, m_tokens.size());
        std::string content = token.content;
        if (token.normalised && normaliser) {
            auto text = AlignedText::ofBytes(content, AlignedText::Invalid::Replace);
            normaliser->apply(text);
            content = text.text();
        }
        (token.normalised ? m_normalised : m_plain).add(std::move(content), m_tokens.size());
        m_tokens.push_back(std::move(token));
    }
}

const AddedToken* AddedTokens::find(std::int64_t id) const
{
    const auto found = m_byId.find(id);
    return found == m_byId.end() ? nullptr : &m_tokens[found->second];
}

const AddedToken* AddedTokens::find(std::string_view content) const
{
    const auto found = m_byContent.find(content);
    return found == m_byContent.end() ? nullptr : &m_tokens[found->second];
}

void AddedTokens::extractWith(const Finder& finder, AlignedText text, std::vector<Stretch>& out) const
{
    const std::string_view bytes = text.text();
    std::size_t done = 0;
    for (std::size_t at = 0; at < bytes.size();) {
        const auto [length, number] = finder.at(bytes, at);
        if (length == 0) {
            ++at;
            continue;
        }
        const AddedToken& token = m_tokens[number];
        const auto matchEnd = at + length;
        if (token.singleWord && !standsAlone(bytes, at, matchEnd)) {
            at = matchEnd;
            continue;
        }
        const auto [begin, end] = widened(token, bytes, at, matchEnd, std::min(done, at));
        if (begin > done)
            out.push_back({text.slice(done, begin)});
        out.push_back({text.slice(begin, end), token.id});
        done = std::max(done, end);
        at = matchEnd;
    }
    if (done < bytes.size())
        out.push_back({text.slice(done, bytes.size())});
}

std::vector<Stretch> AddedTokens::extract(AlignedText text, const Normaliser* normaliser) const
{
    std::vector<Stretch> plain, out;
    extractWith(m_plain, std::move(text), plain);
    for (auto& stretch : plain) {
        if (stretch.token >= 0) {
            out.push_back(std::move(stretch));
            continue;
        }
        if (normaliser)
            normaliser->apply(stretch.text);
        if (!stretch.text.empty())
            extractWith(m_normalised, std::move(stretch.text), out);
    }
    return out;
}

}  // namespace orrery::text
