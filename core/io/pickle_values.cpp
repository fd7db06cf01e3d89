#include <algorithm>

#include "pickle.h"

namespace orrery::io {

void PickleItems::append(const PickleIndex* first, std::size_t count)
{
    const std::size_t before = size(), after = before + count, room = m_block ? m_block[1] : 0;
    if (count == 0)
        return;
    if (after > room) {
        const std::size_t more = std::max<std::size_t>(after, before + before / 2);
        auto block = std::make_unique<PickleIndex[]>(more + 2);
        std::copy(begin(), end(), block.get() + 2);
        block[1] = PickleIndex(more);
        std::copy(first, first + count, block.get() + 2 + before);  // `first` may lie in the old block
        m_block = std::move(block);
    } else {
        std::copy(first, first + count, m_block.get() + 2 + before);
    }
    m_block[0] = PickleIndex(after);
}

std::optional<PickleIndex> Pickle::findIndex(const PickleNode& dict, std::string_view key) const
{
    std::optional<PickleIndex> found;
    if (dict.kind == PickleKind::Dict)
        for (std::size_t i = 0; i + 1 < dict.items.size(); i += 2)
            if (at(dict.items[i]).kind == PickleKind::Text && at(dict.items[i]).text() == key)
                found = dict.items[i + 1];
    return found;
}

const PickleNode* Pickle::find(const PickleNode& dict, std::string_view key) const
{
    const auto index = findIndex(dict, key);
    return index ? &at(*index) : nullptr;
}

PickleNode PickleNode::number(PickleKind kind, std::int64_t value)
{
    PickleNode made;
    made.kind = kind;
    made.integer = value;
    return made;
}

PickleNode PickleNode::realNumber(double value)
{
    PickleNode made;
    made.kind = PickleKind::Real;
    made.real = value;
    return made;
}

PickleNode PickleNode::text(PickleKind kind, std::string_view content)
{
    PickleNode made;
    made.kind = kind;
    made.first = content.data();
    made.length = std::uint32_t(content.size());
    return made;
}

}  // namespace orrery::io
