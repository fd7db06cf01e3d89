#include "encoding.h"

namespace orrery::text {
namespace {

/// The same change of every list of an encoding.
template <class Change>
void eachList(Encoding& encoding, const Change& change)
{
    change(encoding.ids);
    change(encoding.tokens);
    change(encoding.offsets);
    change(encoding.typeIds);
    change(encoding.wordIds);
    change(encoding.special);
    change(encoding.attention);
    change(encoding.sequenceIds);
}

template <class List>
void appendList(List& list, const List& other)
{
    list.insert(list.end(), other.begin(), other.end());
}

}  // namespace

void Encoding::addSpecial(std::int64_t id, std::string token, std::int64_t typeId)
{
    ids.push_back(id);
    tokens.push_back(std::move(token));
    offsets.push_back({});
    typeIds.push_back(typeId);
    wordIds.push_back(-1);
    special.push_back(1);
    attention.push_back(1);
    sequenceIds.push_back(-1);
}

void Encoding::append(const Encoding& other)
{
    appendList(ids, other.ids);
    appendList(tokens, other.tokens);
    appendList(offsets, other.offsets);
    appendList(typeIds, other.typeIds);
    appendList(wordIds, other.wordIds);
    appendList(special, other.special);
    appendList(attention, other.attention);
    appendList(sequenceIds, other.sequenceIds);
}

void Encoding::setTypeIds(std::int64_t typeId)
{
    typeIds.assign(ids.size(), typeId);
}

void Encoding::truncate(std::size_t length, bool fromLeft)
{
    if (length >= size())
        return;
    eachList(*this, [&](auto& list) {
        if (fromLeft)
            list.erase(list.begin(), list.end() - std::ptrdiff_t(length));
        else
            list.resize(length);
    });
}

void Encoding::pad(std::size_t length, std::int64_t id, const std::string& token, std::int64_t typeId, bool onLeft)
{
    if (length <= size())
        return;
    Encoding filling;
    for (auto i = size(); i < length; ++i)
        filling.addSpecial(id, token, typeId);
    filling.attention.assign(filling.size(), 0);
    if (onLeft) {
        filling.append(*this);
        *this = std::move(filling);
    } else {
        append(filling);
    }
}

}  // namespace orrery::text
