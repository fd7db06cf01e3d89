#include <iostream>

#include <core/base/registry.h>

#include "cli.h"

namespace orrery::cli {
namespace {

core::Json portsJson(const std::vector<core::Port>& ports)
{
    core::Json list = core::Json::array();
    for (const auto& port : ports)
        list.push_back({{"name", port.name}, {"kind", port.kind}, {"axes", port.axes}});
    return list;
}

core::Json familyJson(const core::RegistryBase& family)
{
    core::Json components = core::Json::array();
    for (const auto& component : family.components())
        components.push_back({{"id", component.id}, {"title", component.title}, {"summary", component.summary}, {"source", component.source}});
    return {{"family", family.family()}, {"title", family.title()}, {"components", std::move(components)}};
}

const core::RegistryBase& familyNamed(const std::string& name)
{
    if (const auto* family = core::findFamily(name))
        return *family;
    std::vector<std::string> names;
    for (const auto* family : core::families())
        names.push_back(family->family());
    throw core::InputError(fmt::format("unknown family \"{}\"{}; families: {}", name, core::didYouMean(name, names), core::join(names, ", ")));
}

void printFamily(const core::RegistryBase& family)
{
    std::cout << family.title() << " (" << family.family() << ")\n";
    for (const auto& component : family.components())
        std::cout << fmt::format("  {:<28} {}\n", component.id, component.summary);
}

Exit listComponents(Session& session, const std::string& wanted)
{
    std::vector<const core::RegistryBase*> families =
        wanted.empty() ? core::families() : std::vector<const core::RegistryBase*>{&familyNamed(wanted)};
    if (session.json) {
        core::Json document = {{"families", core::Json::array()}};
        for (const auto* family : families)
            document["families"].push_back(familyJson(*family));
        session.print(document);
        return Exit::Done;
    }
    for (std::size_t i = 0; i < families.size(); ++i) {
        if (i > 0)
            std::cout << "\n";
        printFamily(*families[i]);
    }
    return Exit::Done;
}

std::pair<const core::RegistryBase*, const core::Component*> findComponent(const std::string& id)
{
    const auto slash = id.find('/');  // family/id where an id stands in two families
    std::vector<std::string> known;
    for (const auto* family : core::families())
        for (const auto& component : family->components()) {
            if (component.id == id || family->family() + "/" + component.id == id)
                return {family, &component};
            known.push_back(slash == std::string::npos ? component.id : family->family() + "/" + component.id);
        }
    throw core::InputError(fmt::format("unknown component \"{}\"{}", id, core::didYouMean(id, known)));
}

Exit describe(Session& session, const std::string& id)
{
    const auto [family, component] = findComponent(id);
    if (session.json) {
        session.print({{"id", component->id},
                       {"family", family->family()},
                       {"title", component->title},
                       {"summary", component->summary},
                       {"source", component->source},
                       {"parameters", component->schema.toJson()},
                       {"inputs", portsJson(component->inputs)},
                       {"outputs", portsJson(component->outputs)}});
        return Exit::Done;
    }
    std::cout << component->title << " (" << family->family() << "/" << component->id << ")\n"
              << component->summary << "\nSource: " << component->source << "\n";
    const auto showPorts = [](const char* title, const std::vector<core::Port>& ports) {
        for (const auto& port : ports)
            std::cout << fmt::format("{} {}: {} [{}]\n", title, port.name, port.kind, core::join(port.axes, ", "));
    };
    showPorts("Takes", component->inputs);
    showPorts("Gives", component->outputs);
    std::cout << (component->schema.parameters().empty() ? "No parameters.\n" : "Parameters:\n" + component->schema.helpText());
    return Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareList(CLI::App& app)
{
    auto family = std::make_shared<std::string>();
    app.add_option("family", *family, "Only this family.");
    return [family](Session& session) { return listComponents(session, *family); };
}

std::function<Exit(Session&)> declareDescribe(CLI::App& app)
{
    auto id = std::make_shared<std::string>();
    app.add_option("id", *id, "Component, or family/component.")->required();
    return [id](Session& session) { return describe(session, *id); };
}

}  // namespace orrery::cli
