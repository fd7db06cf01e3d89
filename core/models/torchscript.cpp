#include "torchscript.h"

#include <torch/csrc/jit/serialization/import.h>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/base/text.h>
#include <core/io/zip.h>

#include "client_document.h"
#include "input_description.h"
#include "script_converter.h"
#include "script_stubs.h"
#include "torch_reason.h"
#include "zip_check.h"

namespace orrery::models {
namespace {

constexpr std::uint64_t kMaxClientDocument = 64 << 20;

constexpr int kMaxUnknownOperators = 100;

std::vector<std::string> sourcesIn(const std::filesystem::path& file)
{
    const core::MappedFile mapped(file);
    std::vector<std::string> sources;
    for (const auto& member : io::zipMembers(mapped.text(), file.string(), std::uint64_t(1) << 50))
        if (member.name.find("/code/") != std::string::npos && member.name.ends_with(".py"))
            sources.push_back(io::unpackZipMember(member, file.string()));
    return sources;
}

// libtorch names one unknown operator a time.
torch::jit::Module load(const std::filesystem::path& file)
{
    std::vector<std::string> sources;
    for (int i = 0;; ++i)
        try {
            return torch::jit::load(file.string(), c10::Device(c10::kCPU));
        } catch (const std::exception& error) {
            const auto op = unknownOperatorIn(torchReason(error));
            if (!op || isStandIn(*op) || i >= kMaxUnknownOperators)
                throw core::FormatError(
                    fmt::format("{}: expected a TorchScript file that this libtorch can read: {}", file.string(), torchReason(error)));
            if (sources.empty())
                sources = sourcesIn(file);
            registerStandIn(*op, callsIn(sources, *op));
        }
}

// Found in the graph: a stand-in may have been registered for another file.
void noteStandIns(ImportedModel& imported)
{
    std::set<std::string> names;
    for (const auto* node : imported.model.graph->allNodes())
        if (isStandIn(node->op))
            names.insert(node->op);
    if (!names.empty())
        imported.notes.push_back(fmt::format("structure only, it cannot be run: libtorch has no {}",
                                             core::join(std::vector<std::string>(names.begin(), names.end()), ", ")));
}

/// The document of orrery_export.py in the archive, or empty.
std::string checkIsTorchScript(const std::filesystem::path& file)
{
    const core::MappedFile mapped(file);
    const auto entries = checkedZipEntries(mapped.text(), file.string());
    const auto has = [&](std::string_view part) {
        return std::any_of(entries.begin(), entries.end(), [&](const std::string& entry) { return entry.find(part) != std::string::npos; });
    };
    if (!has("/code/") || !has("/data.pkl"))
        throw core::FormatError(fmt::format("{}: expected a TorchScript archive with code/ and data.pkl, found a ZIP archive with {}", file.string(),
                                            entries.empty() ? std::string("no entries") : entries.front()));
    for (const auto& member : io::zipMembers(mapped.text(), file.string(), std::uint64_t(1) << 50))
        if (member.name.ends_with("/extra/" + std::string(kClientDocument)) && member.size < kMaxClientDocument)
            return io::unpackZipMember(member, file.string());
    return {};
}

ImportedModel convert(torch::jit::Module module, const std::filesystem::path& file, const TorchScriptOptions& options)
{
    if (!module.find_method(options.method)) {
        std::vector<std::string> names;
        for (const auto& method : module.get_methods())
            names.push_back(method.name());
        throw core::FormatError(fmt::format("{}: expected a module with a method {}, found class {} with {}", file.string(), options.method,
                                            shortTypeName(*module.type()), names.empty() ? "none" : core::join(names, ", ")));
    }
    ScriptConverter converter(module, options);
    auto data = converter.convert();
    if (data.body.outputs.empty())
        throw core::FormatError(fmt::format("{}: {} returns nothing", file.string(), options.method));
    ImportedModel imported;
    const auto tensors = converter.weights();
    for (const auto& parameter : data.parameters)
        imported.model.weights.set(parameter.name, tensors.at(parameter.name));
    imported.notes = converter.notes();
    imported.model.graph = std::make_shared<const graph::Graph>(std::move(data));
    imported.model.card.title = file.stem().string();
    imported.model.card.inputs = describeInputs(*imported.model.graph);
    imported.model.origin = file.string();
    noteStandIns(imported);
    return imported;
}

}  // namespace

ImportedModel importTorchScript(const std::filesystem::path& file, const TorchScriptOptions& options)
{
    const auto document = checkIsTorchScript(file);
    auto module = load(file);
    try {
        auto imported = convert(std::move(module), file, options);
        if (!document.empty() && options.method == "forward")
            applyClientDocument(imported, document);
        return imported;
    } catch (const core::Error& error) {
        const std::string text = error.what();
        throw core::FormatError(text.rfind(file.string(), 0) == 0 ? text : file.string() + ": " + text);
    } catch (const std::exception& error) {
        throw core::FormatError(fmt::format("{}: expected a TorchScript program that can be followed: {}", file.string(), torchReason(error)));
    }
}

}  // namespace orrery::models
