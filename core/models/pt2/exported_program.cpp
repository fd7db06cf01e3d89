#include "exported_program.h"

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/models/client_document.h>
#include <core/models/input_description.h>
#include <core/models/script_converter.h>
#include <core/models/torch_reason.h>

#include "exported_archive.h"
#include "program_builder.h"

namespace orrery::models {
namespace {

constexpr std::int64_t kMaxExample = 200'000;  ///< numbers of one input

// "Symbol('s77', positive=True, integer=True)" -> "s77"; sums and products stay as they are.
std::string symbolName(const std::string& expression)
{
    const std::string_view prefix = "Symbol('";
    if (!expression.starts_with(prefix))
        return expression;
    const auto end = expression.find('\'', prefix.size());
    return end == std::string::npos ? expression : expression.substr(prefix.size(), end - prefix.size());
}

std::vector<std::string> shapeOf(const io::ExportedTensor& tensor, std::map<std::string, std::string>& symbols)
{
    std::vector<std::string> shape;
    for (std::size_t i = 0; i < tensor.sizes.size(); ++i) {
        if (tensor.sizes[i] >= 0) {
            shape.push_back(std::to_string(tensor.sizes[i]));
            continue;
        }
        auto& word = symbols[symbolName(tensor.symbols[i])];
        if (word.empty())
            word = i == 0 && symbols.size() == 1 ? "batch" : fmt::format("size{}", symbols.size());
        shape.push_back(word);
    }
    return shape;
}

// What the program itself says of its inputs is exact.
void describeSizes(const io::ExportedProgram& program, std::vector<graph::ModelCard::Input>& inputs)
{
    std::map<std::string, std::string> symbols;
    std::size_t next = 0;
    for (std::size_t i = 0; i < program.inputs.size(); ++i) {
        const auto& argument = program.graph.inputs[i];
        if (program.inputs[i].kind != io::ExportedInput::Kind::User || !argument.isValue() || next >= inputs.size())
            continue;
        auto& input = inputs[next++];
        const auto tensor = program.graph.tensors.find(argument.text);
        if (tensor == program.graph.tensors.end())
            continue;
        input.shape = shapeOf(tensor->second, symbols);
        if (tensor->second.type)
            input.dtype = std::string(io::elementName(*tensor->second.type));
    }
}

// {"NAME": {"shape": [...], "values": [...]}}; null if there are too many numbers, or others than plain ones.
core::Json exampleOf(const std::vector<graph::ModelCard::Input>& inputs, const std::vector<at::Tensor>& tensors)
{
    core::Json example = core::Json::object();
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        const auto& tensor = tensors[i];
        if (tensor.numel() > kMaxExample || tensor.is_complex() || !at::isfinite(tensor).all().item<bool>())
            return {};
        const auto flat = tensor.to(at::kDouble).contiguous().reshape(-1);
        example[inputs[i].name] = {{"shape", tensor.sizes().vec()},
                                   {"values", std::vector<double>(flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel())}};
    }
    return example;
}

ImportedModel converted(const ExportedArchive& archive, const std::filesystem::path& file)
{
    ProgramBuilder builder(archive.program, archive.tensors);
    const auto module = builder.build();
    ScriptConverter converter(module, {});
    auto data = converter.convert();
    if (data.outputNames.size() == builder.outputNames().size())
        data.outputNames = builder.outputNames();
    ImportedModel imported;
    const auto tensors = converter.weights();
    for (const auto& parameter : data.parameters)
        imported.model.weights.set(parameter.name, tensors.at(parameter.name));
    imported.notes = converter.notes();
    imported.notes.insert(imported.notes.end(), builder.notes().begin(), builder.notes().end());
    imported.notes.insert(imported.notes.end(), archive.notes.begin(), archive.notes.end());
    if (const auto& unknown = builder.unknownOperators(); !unknown.empty())
        imported.notes.push_back(fmt::format("structure only, it cannot be run: libtorch has no {}",
                                             core::join(std::vector<std::string>(unknown.begin(), unknown.end()), ", ")));
    imported.model.graph = std::make_shared<const graph::Graph>(std::move(data));
    imported.model.card.title = file.stem().string();
    imported.model.card.inputs = describeInputs(*imported.model.graph);
    describeSizes(archive.program, imported.model.card.inputs);
    imported.model.origin = file.string();
    if (imported.model.card.inputs.size() == archive.sampleInputs.size())
        imported.model.card.example = exampleOf(imported.model.card.inputs, archive.sampleInputs);
    if (const auto document = archive.extraFiles.find(std::string(kClientDocument)); document != archive.extraFiles.end())
        applyClientDocument(imported, document->second);
    return imported;
}

}  // namespace

ImportedModel importExportedProgram(const std::filesystem::path& file)
{
    const auto mapping = std::make_shared<core::MappedFile>(file);
    const auto archive = readExportedArchive(mapping, file.string());
    try {
        return converted(archive, file);
    } catch (const core::Error& error) {
        throw core::FormatError(fmt::format("{}: {}", file.string(), error.what()));
    } catch (const std::exception& error) {
        throw core::FormatError(fmt::format("{}: expected a program that can be followed: {}", file.string(), torchReason(error)));
    }
}

}  // namespace orrery::models
