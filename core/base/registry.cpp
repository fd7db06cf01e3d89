#include "registry.h"

#include <algorithm>
#include <fmt/format.h>

namespace orrery::core {
namespace {

std::string axesText(const std::vector<std::string>& axes)
{
    return "[" + join(axes, ", ") + "]";
}

bool isOpen(const std::vector<std::string>& axes)
{
    return std::find(axes.begin(), axes.end(), "...") != axes.end();
}

bool axisFits(const std::string& from, const std::string& to)
{
    return from == to || from == "any" || to == "any";
}

/// Number of axes before `...`.
std::size_t headLength(const std::vector<std::string>& axes)
{
    return std::size_t(std::find(axes.begin(), axes.end(), "...") - axes.begin());
}

/// `axes` may hold one `...`, which takes any number of axes; what stands before and after it must agree as far as both sides are known.
bool axesFit(const std::vector<std::string>& from, const std::vector<std::string>& to)
{
    if (!isOpen(from) && !isOpen(to))
        return from.size() == to.size() && std::equal(from.begin(), from.end(), to.begin(), axisFits);
    const auto tailLength = [](const std::vector<std::string>& axes) { return isOpen(axes) ? axes.size() - headLength(axes) - 1 : axes.size(); };
    if ((!isOpen(from) && from.size() < to.size() - 1) || (!isOpen(to) && to.size() < from.size() - 1))
        return false;
    const std::size_t head = std::min(headLength(from), headLength(to)), tail = std::min(tailLength(from), tailLength(to));
    return std::equal(from.begin(), from.begin() + std::ptrdiff_t(head), to.begin(), axisFits) &&
           std::equal(from.rbegin(), from.rbegin() + std::ptrdiff_t(tail), to.rbegin(), axisFits);
}

}  // namespace

std::optional<std::string> whyNotLinked(const Port& from, const Port& to)
{
    if (from.kind != to.kind && from.kind != "any" && to.kind != "any")
        return fmt::format("\"{}\" gives {}, but \"{}\" takes {}", from.name, from.kind, to.name, to.kind);
    if (!axesFit(from.axes, to.axes))
        return fmt::format("\"{}\" gives axes {}, but \"{}\" takes {}", from.name, axesText(from.axes), to.name, axesText(to.axes));
    return std::nullopt;
}

std::vector<std::string> RegistryBase::ids() const
{
    std::vector<std::string> out;
    out.reserve(m_components.size());
    for (const Component& component : m_components)
        out.push_back(component.id);
    return out;
}

const Component* RegistryBase::find(std::string_view id) const
{
    const auto found = std::find_if(m_components.begin(), m_components.end(), [&](const Component& component) { return component.id == id; });
    return found == m_components.end() ? nullptr : &*found;
}

const Component& RegistryBase::at(std::string_view id) const
{
    return m_components[indexOf(id)];
}

std::size_t RegistryBase::addComponent(Component component)
{
    if (component.id.empty())
        throw InputError(fmt::format("{}: a component needs an id", m_family));
    if (find(component.id))
        throw InputError(fmt::format("{} \"{}\" is registered twice", m_family, component.id));
    m_components.push_back(std::move(component));
    return m_components.size() - 1;
}

std::size_t RegistryBase::indexOf(std::string_view id) const
{
    const Component* const found = find(id);
    if (!found) {
        const auto near = didYouMean(id, ids());
        throw InputError(
            fmt::format("unknown {0} \"{1}\"{2}", m_family, id, near.empty() ? fmt::format("; `orrery-cli list {}` names them", m_family) : near));
    }
    return std::size_t(found - m_components.data());
}

}  // namespace orrery::core
