#include "scene.h"

namespace orrery::cli {
namespace {

/// The subcommands of `scene`, in the order of the help. The one list: one file and one line each.
const std::vector<Command>& sceneCommands()
{
    static const std::vector<Command> list = {};
    return list;
}

}  // namespace

std::function<Exit(Session&)> declareScene(CLI::App& app)
{
    using Action = std::function<Exit(Session&)>;
    auto actions = std::make_shared<std::vector<std::pair<CLI::App*, Action>>>();
    app.require_subcommand(1);
    for (const auto& command : sceneCommands()) {
        auto* sub = app.add_subcommand(command.name, command.summary);
        actions->emplace_back(sub, command.declare(*sub));
    }
    return [actions](Session& session) {
        for (const auto& [sub, action] : *actions)
            if (sub->parsed())
                return action(session);
        return Exit::BadInput;  // CLI11 has asked for a subcommand before
    };
}

}  // namespace orrery::cli
