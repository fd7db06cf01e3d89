#include "json_memory.h"

#include <fmt/format.h>

#include <core/base/error.h>

#include "json_tape.h"

namespace orrery::io {
namespace {

// What the library's tree takes for one of each, with what the allocator adds and the room that lists keep for more.
constexpr std::uint64_t kValue = 52, kMember = 96, kHolder = 48, kText = 48;
constexpr std::size_t kMostMembers = 50'000;
constexpr std::size_t kTextInside = 15;  // characters that a text holds without memory of its own

std::uint64_t outsideMemory(std::size_t bytes)
{
    return bytes > kTextInside ? bytes + 16 : 0;
}

}  // namespace

void JsonMemory::take(std::uint64_t bytes)
{
    if (!m_budget.take(bytes))
        throw core::FormatError(fmt::format("{}: {}", m_place, m_budget.refusal()));
}

void JsonMemory::holder(int depth, bool isObject)
{
    if (depth > JsonTape::kMaxDepth)
        throw core::FormatError(fmt::format("{}: expected at most {} nested levels", m_place, JsonTape::kMaxDepth));
    take(kValue + kHolder);
    if (isObject)
        m_members.push_back(0);
}

void JsonMemory::member(std::size_t nameBytes, bool keepsOrder)
{
    if (++m_members.back() > kMostMembers && keepsOrder)
        throw core::FormatError(fmt::format("{}: expected at most {} names in an object, found more", m_place, kMostMembers));
    take(kMember + outsideMemory(nameBytes));
}

void JsonMemory::value(bool isText, std::size_t bytes)
{
    take(kValue + (isText ? kText + outsideMemory(bytes) : 0));
}

core::Json parseJson(std::string_view text, std::string_view place)
{
    try {
        return parseGuarded<core::Json>(text, JsonMemory(place, fileMemory(text.size())));
    } catch (const nlohmann::json::exception& error) {
        throw core::FormatError(fmt::format("{}: expected JSON: {}", place, error.what()));
    }
}

}  // namespace orrery::io
