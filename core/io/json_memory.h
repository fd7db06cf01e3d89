#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <core/base/json.h>

#include "memory_budget.h"

namespace orrery::io {

/// Counts what the tree of a document takes while it is made: a callback of Json::parse and nlohmann::json::parse. For documents that are changed later or small; large ones are read as a JsonTape.
class JsonMemory {
public:
    /// @param place  For the message.
    JsonMemory(std::string_view place, std::uint64_t limit) : m_place(place), m_budget(limit) {}
    /// @throws core::FormatError with the place beyond the limit, more than 800 levels deep, and for more than 50,000 names in an object that keeps their order: it looks through
    ///         all of them for each.
    template <class Event, class Tree>
    bool operator()(int depth, Event event, Tree& parsed)
    {
        const auto text = parsed.is_string() ? parsed.template get_ref<const std::string&>().size() : 0;
        if (event == Event::object_start || event == Event::array_start)
            holder(depth, event == Event::object_start);
        else if (event == Event::object_end)
            m_members.pop_back();
        else if (event == Event::key)
            member(text, std::is_same_v<Tree, core::Json>);
        else if (event == Event::value)
            value(parsed.is_string(), text);
        return true;
    }

private:
    void holder(int depth, bool isObject);
    void member(std::size_t nameBytes, bool keepsOrder);
    void value(bool isText, std::size_t bytes);
    void take(std::uint64_t bytes);
    std::string_view m_place;
    MemoryBudget m_budget;
    std::vector<std::size_t> m_members;  ///< of the objects that are open
};

/// A document of a file: nested at most 800 deep, its tree within what `fileMemory` allows for the text.
/// @throws core::FormatError with the place, also for what is no JSON.
core::Json parseJson(std::string_view text, std::string_view place);

}  // namespace orrery::io
