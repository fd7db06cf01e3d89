#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "schema.h"
#include "text.h"

namespace orrery::core {

/// A typed port: what a component takes or gives. Links are checked before a job starts.
/// Source of the idea: Kuchaiev et al. (2019), "NeMo: a toolkit for building AI applications using neural modules", arXiv:1909.09577, section 3.
struct Port {
    std::string name;               ///< "image", "logits"
    std::string kind;               ///< "float", "class_index", "token_id", "logits", "any"
    std::vector<std::string> axes;  ///< {"batch", "channel", "height", "width"}; {"..."} takes any axes
};
/// Nothing if a value from `from` may enter `to`; otherwise a sentence that says why not. "any" and "..." accept all.
std::optional<std::string> whyNotLinked(const Port& from, const Port& to);

/// What every registered thing says of itself.
struct Component {
    std::string id;       ///< `integrated_gradients`
    std::string title;    ///< "Integrated gradients"
    std::string summary;  ///< one sentence
    std::string source;   ///< paper or standard, with arXiv number or DOI
    Schema schema;
    std::vector<Port> inputs, outputs;
};

/// A family of components by id, in the order of registration. Filled once, explicitly, by the family's own list; then read from any thread.
class RegistryBase {
public:
    RegistryBase(std::string family, std::string title) : m_family(std::move(family)), m_title(std::move(title)) {}
    virtual ~RegistryBase() = default;
    const std::string& family() const { return m_family; }
    const std::string& title() const { return m_title; }
    const std::vector<Component>& components() const { return m_components; }
    std::vector<std::string> ids() const;
    const Component* find(std::string_view id) const;
    /// @throws InputError: `unknown optimizer "adamm"; did you mean "adamw"?`
    const Component& at(std::string_view id) const;

protected:
    std::size_t addComponent(Component component);
    std::size_t indexOf(std::string_view id) const;  ///< throws as `at`

private:
    std::string m_family, m_title;
    std::vector<Component> m_components;
};

template <class Factory>
class Registry : public RegistryBase {
public:
    using RegistryBase::RegistryBase;
    void add(Component component, Factory factory)
    {
        addComponent(std::move(component));
        m_factories.push_back(std::move(factory));
    }
    const Factory& factory(std::string_view id) const { return m_factories[indexOf(id)]; }

private:
    std::vector<Factory> m_factories;
};

/// Families known to documents with nested components, by name. `core/catalogue.cpp` holds the one list of all families.
const RegistryBase* findFamily(std::string_view family);
void addFamily(const RegistryBase& registry);
std::vector<const RegistryBase*> families();

}  // namespace orrery::core
