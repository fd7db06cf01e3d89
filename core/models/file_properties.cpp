#include "file_properties.h"

#include <fmt/format.h>
#include <map>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/base/text.h>
#include <core/io/gguf.h>
#include <core/io/onnx_file.h>
#include <core/io/safetensors.h>

#include "checkpoint_folder.h"
#include "importer.h"

namespace orrery::models {
namespace {

class Properties {
public:
    /// What Orrery keeps for itself is shown as what it is: graph and card.
    void add(const std::string& name, std::string_view value)
    {
        if (value.empty() || m_list.size() >= kMostProperties || name.find("orrery.graph") != name.npos || name.find("orrery.card") != name.npos)
            return;
        std::string text(value.substr(0, kMostPropertyText));
        if (value.size() > text.size()) {
            while (!text.empty() && (text.back() & 0xC0) == 0x80)
                text.pop_back();
            if (!text.empty() && (text.back() & 0x80))
                text.pop_back();
            text += fmt::format("... ({} bytes)", value.size());
        }
        m_list.push_back({name, std::move(text)});
    }
    std::vector<FileProperty> take() { return std::move(m_list); }

private:
    std::vector<FileProperty> m_list;
};

void addOnnx(Properties& out, const ModelSource& source)
{
    const auto model = io::parseOnnx(source.bytes, source.name());
    out.add("producer", std::string(core::trim(model.producer + " " + model.producerVersion)));
    out.add("IR version", std::to_string(model.irVersion));
    for (const auto& [domain, version] : model.opsets)
        out.add("operator set " + (domain.empty() ? "ai.onnx" : domain), std::to_string(version));
    out.add("graph", model.graph.name);
    if (!model.functions.empty())
        out.add("functions", std::to_string(model.functions.size()));
    for (const auto& [key, value] : model.metadata)
        out.add("metadata " + key, value);
}

void addSafetensors(Properties& out, std::string_view bytes, const std::string& name)
{
    for (const auto& [key, value] : io::parseSafetensors(bytes, name).metadata)
        out.add("metadata " + key, value);
}

void addGguf(Properties& out, const ModelSource& source)
{
    const auto file = io::parseGguf(source.bytes, source.name());
    out.add("GGUF version", std::to_string(file.version));
    std::map<std::string_view, std::pair<std::size_t, std::uint64_t>> stored;  // type: tensors, bytes
    for (const auto& tensor : file.tensors) {
        auto& [count, bytes] = stored[io::ggufTypeName(tensor.type)];
        ++count;
        bytes += tensor.end - tensor.begin;
    }
    std::vector<std::string> types;
    for (const auto& [type, sum] : stored)
        types.push_back(fmt::format("{} as {} ({})", sum.first, type, core::formatBytes(sum.second)));
    out.add("tensors", core::join(types, ", "));
    for (const auto& [key, value] : file.metadata) {
        const auto json = io::toJson(value);
        out.add(std::string(key), json.is_string() ? json.get<std::string>() : json.dump(-1, ' ', false, core::Json::error_handler_t::replace));
    }
}

void addFolder(Properties& out, const ModelSource& source)
{
    const auto folder = readCheckpointFolder(source.folder);
    std::uint64_t bytes = 0;
    std::vector<std::string> names;
    for (const auto& file : folder.weightFiles) {
        std::error_code error;
        const auto size = std::filesystem::file_size(file, error);
        bytes += error ? 0 : size;
        names.push_back(file.filename().string());
    }
    out.add("size", core::formatBytes(bytes));
    out.add("weights", core::join(names, ", "));
    if (folder.config.is_object())
        for (const auto& [key, value] : folder.config.items())
            if (!value.is_null() && !value.is_object())
                out.add("config " + key,
                        value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', false, core::Json::error_handler_t::replace));
}

void addOf(Properties& out, const ModelSource& source)
{
    for (const auto& component : importerRegistry().components()) {
        if (!importerRegistry().factory(component.id).recognises(source))
            continue;
        out.add("format", component.title);
        if (!source.folder.empty())
            return addFolder(out, source);
        out.add("size", core::formatBytes(source.bytes.size()));
        if (component.id == "onnx")
            return addOnnx(out, source);
        if (io::isGguf(source.bytes))
            return addGguf(out, source);
        if (component.id == "orrery" || source.file.extension() == ".safetensors")
            return addSafetensors(out, source.bytes, source.name());
        return;
    }
}

}  // namespace

std::vector<FileProperty> fileProperties(const std::string& argument)
{
    Properties out;
    try {
        const auto file = core::resolvePath(argument);
        std::error_code error;
        if (std::filesystem::is_directory(file, error)) {
            addOf(out, {{}, {}, file});
        } else if (std::filesystem::is_regular_file(file, error)) {
            const core::MappedFile mapped(file);
            addOf(out, {file, mapped.text(), {}});
        }
    } catch (const core::Error&) {
        // What had been read stays.
    }
    return out.take();
}

}  // namespace orrery::models
