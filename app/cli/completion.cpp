#include <iostream>

#include <core/base/registry.h>

#include "cli.h"

namespace orrery::cli {
namespace {

std::string optionWords(const Command& command)
{
    CLI::App app;
    command.declare(app);
    std::vector<std::string> words = {"--json", "--quiet", "--threads", "--device", "--dtype", "--seed", "--workspace", "--help"};
    const auto add = [&](const CLI::App& each) {
        for (const auto* option : each.get_options())
            for (const auto& name : option->get_lnames())
                if (name != "help")
                    words.push_back("--" + name);
    };
    add(app);
    for (const auto* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
        words.push_back(sub->get_name());
        add(*sub);
    }
    return core::join(words, " ");
}

std::string idsOf(const char* family)
{
    const auto* registry = core::findFamily(family);
    return registry ? core::join(registry->ids(), " ") : std::string();
}

// Values come from the registries; parameters of `--set` from the chosen method's schema.
Exit printScript()
{
    std::vector<std::string> names, families, components;
    for (const auto& command : commands())
        if (CLI::App app; command.declare(app), !app.get_group().empty())  // hidden ones have none
            names.push_back(command.name);
    for (const auto* family : core::families()) {
        families.push_back(family->family());
        for (const auto& id : family->ids())
            components.push_back(id);
    }
    std::cout << "# bash completion for orrery-cli; load with: source <(orrery-cli completion)\n_orrery_cli()\n{\n"
              << "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} words= method= i\n"
              << "    for ((i = 1; i < COMP_CWORD; ++i)); do [[ ${COMP_WORDS[i]} == --method ]] && method=${COMP_WORDS[i+1]}; done\n"
              << "    if ((COMP_CWORD == 1)); then COMPREPLY=($(compgen -W '" << core::join(names, " ")
              << " --help --version' -- \"$current\")); return; fi\n"
              << "    case $previous in\n"
              << "        --method) COMPREPLY=($(compgen -W '" << idsOf("attribution") << "' -- \"$current\")); return ;;\n"
              << "        --data) COMPREPLY=($(compgen -f -W '" << idsOf("data") << "' -- \"$current\")); return ;;\n"
              << "        --metrics) COMPREPLY=($(compgen -W '" << idsOf("metric") << "' -- \"$current\")); return ;;\n"
              << "        --device) COMPREPLY=($(compgen -W 'auto cpu cuda' -- \"$current\")); return ;;\n"
              << "        --dtype) COMPREPLY=($(compgen -W 'float32 float64 bfloat16 float16' -- \"$current\")); return ;;\n"
              << "        --set) case $method in\n";
    if (const auto* attribution = core::findFamily("attribution"))
        for (const auto& component : attribution->components()) {
            std::vector<std::string> settings;
            for (const auto& parameter : component.schema.parameters())
                settings.push_back(parameter.name + "=");
            std::cout << "            " << component.id << ") compopt -o nospace; COMPREPLY=($(compgen -W '" << core::join(settings, " ")
                      << "' -- \"$current\")); return ;;\n";
        }
    std::cout << "        esac ;;\n    esac\n    case $command in\n";
    for (const auto& command : commands()) {
        std::string extra;
        if (std::string(command.name) == "list")
            extra = " " + core::join(families, " ");
        if (std::string(command.name) == "describe")
            extra = " " + core::join(components, " ");
        std::cout << "        " << command.name << ") words='" << optionWords(command) << extra << "' ;;\n";
    }
    std::cout << "    esac\n    COMPREPLY=($(compgen -f -W \"$words\" -- \"$current\"))\n}\ncomplete -o filenames -F _orrery_cli orrery-cli\n";
    return Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareCompletion(CLI::App&)
{
    return [](Session&) { return printScript(); };
}

}  // namespace orrery::cli
