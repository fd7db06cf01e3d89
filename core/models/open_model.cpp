#include "open_model.h"

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/base/stop.h>
#include <core/base/text.h>
#include <core/zoo/zoo.h>

#include "importer.h"
#include "zip_check.h"

namespace orrery::models {
namespace {

constexpr std::string_view kRunPrefix = "run:";
constexpr std::size_t kShownBytes = 8, kShownEntries = 4;

std::string firstBytes(std::string_view bytes)
{
    std::string text;
    for (const char c : bytes.substr(0, kShownBytes))
        text += fmt::format("{}{:02x}", text.empty() ? "" : " ", std::uint8_t(c));
    return text.empty() ? "an empty file" : "first bytes " + text;
}

std::string whatWasFound(const ModelSource& source)
{
    if (source.bytes.substr(0, 2) != "PK")
        return firstBytes(source.bytes);
    auto names = zipEntryNames(source.bytes);
    names.resize(std::min(names.size(), kShownEntries));
    return fmt::format("a ZIP archive with {}", names.empty() ? "no readable entries" : core::join(names, ", "));
}

std::string knownFormats()
{
    std::vector<std::string> titles;
    for (const auto& component : importerRegistry().components())
        titles.push_back(component.title);
    return core::join(titles, "; ");
}

graph::Model openSource(const ModelSource& source, const std::string& argument, const OpenOptions& options)
{
    for (const auto& component : importerRegistry().components()) {
        const auto& importer = importerRegistry().factory(component.id);
        if (!importer.recognises(source))
            continue;
        core::throwIfStopped();
        auto model = importer.open(source, options);
        model.origin = argument;
        return model;
    }
    throw core::InputError(fmt::format("model {}: expected one of: {}; found {}", argument, knownFormats(),
                                       source.folder.empty() ? whatWasFound(source) : "a folder with neither config.json nor one file of weights"));
}

graph::Model openFile(const std::string& argument, const OpenOptions& options)
{
    const auto file = core::resolvePath(argument);
    std::error_code error;
    if (std::filesystem::is_directory(file, error))
        return openSource({{}, {}, file}, argument, options);
    if (!std::filesystem::exists(file, error))
        throw core::InputError(fmt::format("model {}: no such file; expected a file, a checkpoint folder, zoo:NAME or run:ID", argument));
    if (!std::filesystem::is_regular_file(file, error))
        throw core::InputError(fmt::format("model {}: expected a file or a folder, found a pipe or a device", argument));
    const core::MappedFile mapped(file);
    return openSource({file, mapped.text(), {}}, argument, options);
}

}  // namespace

graph::Model openModel(const std::string& argument, const OpenOptions& options)
{
    if (zoo::isZooReference(argument))
        return zoo::openZoo(argument, options.seed);
    if (argument.rfind(kRunPrefix, 0) != 0)
        return openFile(argument, options);
    if (!options.openRun)
        throw core::InputError(fmt::format("model {}: runs live in a workspace, and none is open (--workspace DIR)", argument));
    auto model = options.openRun(argument.substr(kRunPrefix.size()));
    model.origin = argument;
    return model;
}

}  // namespace orrery::models
