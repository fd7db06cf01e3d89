#include "torchscript.h"

#include <torch/csrc/jit/serialization/import.h>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/base/text.h>

#include "script_converter.h"
#include "zip_check.h"

namespace orrery::models {
namespace {

constexpr std::size_t kMaxReasonLength = 600;

// The first lines of libtorch's message; the rest is its own call stack.
std::string reasonOf(const std::exception& error)
{
    const auto* c10Error = dynamic_cast<const c10::Error*>(&error);
    std::string text = c10Error ? c10Error->what_without_backtrace() : error.what();
    for (const char* tail : {"\nException raised from", "Exception raised from"})
        if (const auto at = text.find(tail); at != std::string::npos)
            text.resize(at);
    text = std::string(core::trim(text));
    if (text.size() > kMaxReasonLength)
        text = text.substr(0, kMaxReasonLength) + " ...";
    return text;
}

torch::jit::Module load(const std::filesystem::path& file)
{
    try {
        return torch::jit::load(file.string(), c10::Device(c10::kCPU));
    } catch (const std::exception& error) {
        throw core::FormatError(fmt::format("{}: expected a TorchScript file that this libtorch can read: {}", file.string(), reasonOf(error)));
    }
}

void checkIsTorchScript(const std::filesystem::path& file)
{
    const core::MappedFile mapped(file);
    const auto entries = checkedZipEntries(mapped.text(), file.string());
    const auto has = [&](std::string_view part) {
        return std::any_of(entries.begin(), entries.end(), [&](const std::string& entry) { return entry.find(part) != std::string::npos; });
    };
    if (!has("/code/") || !has("/data.pkl"))
        throw core::FormatError(fmt::format("{}: expected a TorchScript archive with code/ and data.pkl, found a ZIP archive with {}", file.string(),
                                            entries.empty() ? std::string("no entries") : entries.front()));
}

bool feeds(const graph::Node& node, graph::ValueId value, std::initializer_list<const char*> ops, std::size_t argument)
{
    return std::any_of(ops.begin(), ops.end(), [&](const char* op) { return node.op == op; }) && argument < node.inputs.size() &&
           node.inputs[argument].value == value;
}

// What the first operators on an input say about it.
graph::ModelCard::Input describeInput(const graph::Graph& graph, const graph::Input& input)
{
    graph::ModelCard::Input card;
    card.name = input.name;
    card.kind = "float";
    const auto& type = graph.value(input.value).type;
    if (type != "Tensor" && type != "Optional[Tensor]") {
        card.dtype = type;
        return card;
    }
    for (const auto* node : graph.allNodes()) {
        if (feeds(*node, input.value, {"aten::embedding"}, 1)) {
            card.kind = "tokens";
            card.dtype = "int64";
            card.shape = {"batch", "position"};
        } else if (feeds(*node, input.value, {"aten::conv2d", "aten::_convolution", "aten::convolution"}, 0) && !node->inputs[1].isConstant()) {
            const auto* weight = graph.parameterOf(node->inputs[1].value);
            if (weight && weight->shape.size() == 4 && node->op == "aten::conv2d") {
                const bool oneGroup = node->inputs.size() > 6 && node->inputs[6].constant.isInt() && node->inputs[6].constant.toInt() == 1;
                card.kind = "image";
                card.shape = {"batch", oneGroup ? std::to_string(weight->shape[1]) : "channel", "height", "width"};
            }
        } else if (feeds(*node, input.value, {"aten::linear"}, 0) && !node->inputs[1].isConstant()) {
            const auto* weight = graph.parameterOf(node->inputs[1].value);
            if (weight && weight->shape.size() == 2)
                card.shape = {"...", std::to_string(weight->shape[1])};
        }
        if (!card.shape.empty())
            break;
    }
    return card;
}

ImportedModel convert(torch::jit::Module module, const std::filesystem::path& file, const TorchScriptOptions& options)
{
    if (!module.find_method("forward"))
        throw core::FormatError(
            fmt::format("{}: expected a module with a method forward, found class {} without one", file.string(), shortTypeName(*module.type())));
    ScriptConverter converter(module, options);
    auto data = converter.convert();
    if (data.body.outputs.empty())
        throw core::FormatError(fmt::format("{}: forward returns nothing", file.string()));
    ImportedModel imported;
    const auto tensors = converter.weights();
    for (const auto& parameter : data.parameters)
        imported.model.weights.set(parameter.name, tensors.at(parameter.name));
    imported.notes = converter.notes();
    imported.model.graph = std::make_shared<const graph::Graph>(std::move(data));
    imported.model.card.title = file.stem().string();
    for (const auto& input : imported.model.graph->data().inputs)
        imported.model.card.inputs.push_back(describeInput(*imported.model.graph, input));
    imported.model.origin = file.string();
    return imported;
}

}  // namespace

ImportedModel importTorchScript(const std::filesystem::path& file, const TorchScriptOptions& options)
{
    checkIsTorchScript(file);
    auto module = load(file);
    try {
        return convert(std::move(module), file, options);
    } catch (const core::Error& error) {
        const std::string text = error.what();
        throw core::FormatError(text.rfind(file.string(), 0) == 0 ? text : file.string() + ": " + text);
    } catch (const std::exception& error) {
        throw core::FormatError(fmt::format("{}: expected a TorchScript program that can be followed: {}", file.string(), reasonOf(error)));
    }
}

}  // namespace orrery::models
