#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <core/base/json.h>

#include "memory_budget.h"

namespace orrery::io {

/// Makes the tree of a document and shows each part of it to `guard` as `Tree::parse` shows it to its callback, which costs the square of a list's length: it looks through the whole
/// list for parts that were thrown away after every object in it. Here a guard only watches: it throws, or lets pass.
template <class Tree, class Guard>
class GuardedTree {
public:
    using Event = typename Tree::parse_event_t;
    explicit GuardedTree(Guard& guard) : m_guard(guard) {}
    Tree take() { return std::move(m_root); }

    // What nlohmann's parser calls. The depth is the number of lists and objects around a part.
    bool null() { return value(Tree(nullptr)); }
    bool boolean(bool given) { return value(Tree(given)); }
    bool number_integer(typename Tree::number_integer_t given) { return value(Tree(given)); }
    bool number_unsigned(typename Tree::number_unsigned_t given) { return value(Tree(given)); }
    bool number_float(typename Tree::number_float_t given, const std::string&) { return value(Tree(given)); }
    bool string(std::string& given) { return value(Tree(std::move(given))); }
    bool binary(typename Tree::binary_t&) { return false; }
    bool start_object(std::size_t) { return start(Event::object_start, Tree::object()); }
    bool start_array(std::size_t) { return start(Event::array_start, Tree::array()); }
    bool end_object() { return end(Event::object_end); }
    bool end_array() { return end(Event::array_end); }
    bool key(std::string& name)
    {
        Tree shown(name);
        m_guard(int(m_open.size()), Event::key, shown);
        m_member = &m_open.back()->operator[](name);
        return true;
    }
    template <class Exception>
    bool parse_error(std::size_t, const std::string&, const Exception& error)
    {
        throw error;
    }

private:
    Tree* place(Tree&& part)
    {
        Tree* const at = m_open.empty() ? &m_root : m_open.back()->is_array() ? &m_open.back()->emplace_back() : m_member;
        *at = std::move(part);
        return at;
    }
    bool value(Tree&& part)
    {
        m_guard(int(m_open.size()), Event::value, part);
        place(std::move(part));
        return true;
    }
    bool start(Event event, Tree&& empty)
    {
        m_guard(int(m_open.size()), event, empty);
        m_open.push_back(place(std::move(empty)));
        return true;
    }
    bool end(Event event)
    {
        m_guard(int(m_open.size()) - 1, event, *m_open.back());
        m_open.pop_back();
        return true;
    }

    Guard& m_guard;
    Tree m_root;
    Tree* m_member = nullptr;   ///< what the last name stands for; its object is the last open one
    std::vector<Tree*> m_open;  ///< from the outside in: none grows while one inside it is open
};

/// @throws what `guard` throws; Tree::exception for what is no JSON.
template <class Tree, class Guard>
Tree parseGuarded(std::string_view text, Guard guard)
{
    GuardedTree<Tree, Guard> tree(guard);
    Tree::sax_parse(text, &tree);
    return tree.take();
}

/// Counts what the tree of a document takes while it is made: a guard of the above. For documents that are changed later or small; large ones are read as a JsonTape.
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
