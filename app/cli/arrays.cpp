#include "arrays.h"

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/base/log.h>
#include <core/base/plural.h>
#include <core/base/text.h>
#include <core/graph/runnable.h>
#include <core/graph/sequence_limit.h>
#include <core/io/csv.h>
#include <core/io/image.h>
#include <core/io/npy.h>
#include <core/io/safetensors.h>
#include <core/io/tensors.h>
#include <core/models/input_arrays.h>

namespace orrery::cli {
namespace {

std::string ending(const std::string& file)
{
    return core::lower(std::filesystem::path(file).extension().string());
}

at::Tensor chosen(const std::vector<std::pair<std::string, io::Array>>& arrays, const std::string& entry, const std::string& file)
{
    std::vector<std::string> names;
    for (const auto& [name, array] : arrays) {
        if (name == entry || (entry.empty() && arrays.size() == 1))
            return io::toTensor(array);
        names.push_back(name);
    }
    throw core::InputError(fmt::format("{}: expected one array{}, found {} ({})", file, entry.empty() ? "" : " called " + entry, names.size(),
                                       core::join(names, ", ").substr(0, 200)));
}

at::Tensor fromCsv(const std::string& file)
{
    const auto table = io::parseCsv(core::readFile(file), file);
    auto tensor = at::empty({std::int64_t(table.rows), std::int64_t(table.columns.size())}, at::kDouble);
    for (std::size_t j = 0; j < table.columns.size(); ++j) {
        const auto& column = table.columns[j];
        if (column.numbers.empty() || column.missingCount > 0)
            throw core::FormatError(fmt::format("{}: column \"{}\": expected numbers in every row, got {}", file, column.name,
                                                column.missingCount ? "missing values" : std::string(io::columnTypeName(column.type))));
        for (std::size_t i = 0; i < table.rows; ++i)
            tensor.data_ptr<double>()[i * table.columns.size() + j] = column.numbers[i];
    }
    return tensor;
}

std::vector<std::pair<std::string, io::Array>> safetensorsArrays(const std::string& file)
{
    const core::MappedFile mapped(file);
    const auto header = io::parseSafetensors(mapped.text(), file);
    std::vector<std::pair<std::string, io::Array>> arrays;
    for (const auto& entry : header.entries)
        arrays.emplace_back(entry.name, io::Array{entry.type, entry.shape, std::string(mapped.text().substr(entry.begin, entry.end - entry.begin))});
    return arrays;
}

void writeSafetensorsArray(const std::string& file, const io::Array& array)
{
    io::writeSafetensors(file, {{"tensor", array.type, array.shape, array.bytes}});
}

at::Tensor fromImage(const std::string& file)
{
    const auto image = io::readImage(file);
    auto pixels = at::empty({image.height, image.width, image.channels}, at::kByte);
    std::copy(image.pixels.begin(), image.pixels.end(), pixels.data_ptr<std::uint8_t>());
    return pixels.permute({2, 0, 1}).unsqueeze(0).to(at::kFloat).div(255).contiguous();
}

std::string csvText(const at::Tensor& tensor)
{
    if (tensor.dim() > 2)
        throw core::InputError("a .csv file holds at most two axes, got " + core::formatShape(tensor.sizes()));
    const auto values =
        tensor.to(at::kCPU, at::kDouble).reshape({tensor.dim() == 2 ? tensor.size(0) : -1, tensor.dim() == 2 ? tensor.size(1) : 1}).contiguous();
    std::string text;
    for (std::int64_t i = 0; i < values.size(0); ++i)
        for (std::int64_t j = 0; j < values.size(1); ++j)
            text += core::formatNumber(values.data_ptr<double>()[i * values.size(1) + j]) + (j + 1 < values.size(1) ? "," : "\n");
    return text;
}

void writePng(const std::string& file, at::Tensor tensor)
{
    tensor = tensor.to(at::kCPU, at::kDouble);
    while (tensor.dim() > 2 && tensor.size(0) == 1)
        tensor = tensor.squeeze(0);
    const bool colour = tensor.dim() == 3 && tensor.size(0) == 3;
    if (tensor.dim() != 2 && !colour)
        throw core::InputError("a .png file holds [height, width] or [3, height, width], got " + core::formatShape(tensor.sizes()));
    const auto low = tensor.min(), span = (tensor.max() - low).clamp_min(1e-300);
    const auto bytes = (colour ? tensor.permute({1, 2, 0}) : tensor.unsqueeze(2)).sub(low).div(span).mul(255).round().to(at::kByte).contiguous();
    io::Image image;
    image.height = int(bytes.size(0));
    image.width = int(bytes.size(1));
    image.channels = int(bytes.size(2));
    image.pixels.assign(bytes.data_ptr<std::uint8_t>(), bytes.data_ptr<std::uint8_t>() + bytes.numel());
    io::writePng(file, image);
}

c10::IValue scalarInput(const std::string& given, const std::string& kind, const std::string& input, const std::string& place)
{
    if (auto value = models::scalarFromWord(given, kind))
        return std::move(*value);
    std::error_code error;
    if (std::filesystem::exists(given, error))
        return models::scalarFromArray(readArray(given), kind, place);
    throw core::InputError(fmt::format("{}: expected {} or a file with one element for the model's input \"{}\", got \"{}\"", place,
                                       kind == "int"    ? "a whole number"
                                       : kind == "bool" ? "true, false"
                                                        : "a number",
                                       input, given));
}

/// Files that the command is going to write (see outFileProblem).
std::vector<std::string>& filesToWrite()
{
    static std::vector<std::string> files;
    return files;
}

/// NumPy has no bfloat16: every such number is a float32, too.
at::Tensor asNumpyKnows(const at::Tensor& tensor, const std::string& file)
{
    if (tensor.scalar_type() != at::kBFloat16)
        return tensor;
    core::log().info("{}: written as float32, which holds every bfloat16; NumPy has no such type, .safetensors has", file);
    return tensor.to(at::kFloat);
}

}  // namespace

void refuseToOverwrite(const std::string& input)
{
    std::error_code error;
    for (const auto& file : filesToWrite())
        if (std::filesystem::equivalent(file, input, error) && !error)
            throw core::InputError(fmt::format("--out {}: expected another name than that of {}, which would be lost", file, input));
}

void warnOfOddValues(const at::Tensor& tensor, const std::string& place)
{
    if (const auto odd = models::notFinite(tensor); odd > 0)
        core::log().warn("{}: {} of {} values are NaN or infinite", place, odd, tensor.numel());
}

at::Tensor readArray(const std::string& file, const std::string& entry)
{
    const auto kind = ending(file);
    std::error_code error;
    if (!std::filesystem::exists(file, error) && !error)
        throw core::InputError(fmt::format("{}: no such file", file));
    refuseToOverwrite(file);
    if (kind == ".npy")
        return io::toTensor(io::readNpy(file));
    if (kind == ".npz")
        return chosen(io::readNpz(file), entry, file);
    if (kind == ".safetensors")
        return chosen(safetensorsArrays(file), entry, file);
    if (kind == ".csv")
        return fromCsv(file);
    if (kind == ".png" || kind == ".jpg" || kind == ".jpeg" || kind == ".webp")
        return fromImage(file);
    throw core::InputError(fmt::format("{}: expected a file ending in .npy, .npz, .safetensors, .csv, .png, .jpg or .webp", file));
}

void writeArray(const std::string& file, const at::Tensor& tensor)
{
    const auto kind = ending(file);
    const auto plain = tensor.detach().to(at::kCPU);
    if (kind == ".npy")
        io::writeNpy(file, io::toArray(asNumpyKnows(plain, file)));
    else if (kind == ".safetensors")
        writeSafetensorsArray(file, io::toArray(plain));
    else if (kind == ".csv")
        core::writeFileAtomically(file, csvText(plain));
    else if (kind == ".png")
        writePng(file, plain);
    else
        throw core::InputError(arrayEndingProblem(file));
}

std::string folderProblem(const std::string& file)
{
    const auto folder = std::filesystem::path(file).parent_path();
    std::error_code error;
    return folder.empty() || std::filesystem::is_directory(folder, error) ? "" : fmt::format("{}: there is no folder {}", file, folder.string());
}

std::string outFileProblem(const std::string& file)
{
    const auto problem = arrayEndingProblem(file);
    filesToWrite().push_back(file);
    return problem.empty() ? folderProblem(file) : problem;
}

void requireFile(const std::string& file, const std::string& option)
{
    std::error_code error;
    if (!std::filesystem::exists(file, error))
        throw core::InputError(fmt::format("{} {}: no such file", option, file));
    if (std::filesystem::is_directory(file, error))
        throw core::InputError(fmt::format("{} {}: expected a file, found a folder", option, file));
}

void makeFolder(const std::string& folder, const char* option)
{
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error || !std::filesystem::is_directory(folder, error))
        throw core::InputError(fmt::format("{} {}: expected a folder that can be made: {}", option, folder,
                                           error ? error.message() : std::string("there is a file of that name")));
}

std::string arrayEndingProblem(const std::string& file)
{
    const auto kind = ending(file);
    return kind == ".npy" || kind == ".safetensors" || kind == ".csv" || kind == ".png"
               ? ""
               : fmt::format("{}: expected a file ending in .npy, .safetensors, .csv or .png", file);
}

std::vector<c10::IValue> readInputs(const std::vector<std::string>& arguments, const graph::Model& model, c10::Device device,
                                    const std::string& option)
{
    graph::requireProgram(*model.graph);
    const auto& inputs = model.graph->data().inputs;
    std::vector<std::string> names;
    for (const auto& input : inputs)
        names.push_back(input.name);
    std::vector<c10::IValue> values(inputs.size());
    std::vector<bool> given(inputs.size(), false);
    std::size_t next = 0;
    for (const auto& argument : arguments) {
        const auto equals = argument.find('=');
        const bool named = equals != std::string::npos && std::find(names.begin(), names.end(), argument.substr(0, equals)) != names.end();
        if (equals != std::string::npos && !named && !std::filesystem::exists(argument))
            throw core::InputError(fmt::format("{} {}: the model has no input \"{}\"{}; its inputs are {}", option, argument,
                                               argument.substr(0, equals), core::didYouMean(argument.substr(0, equals), names),
                                               core::join(names, ", ")));
        const auto index = named ? std::size_t(std::find(names.begin(), names.end(), argument.substr(0, equals)) - names.begin()) : next++;
        if (index >= inputs.size())
            throw core::InputError(
                fmt::format("{}: expected {} ({}), got more", option, core::counted(std::int64_t(inputs.size()), "input"), core::join(names, ", ")));
        const auto place = option + " " + argument;
        const auto file = named ? argument.substr(equals + 1) : argument;
        given[index] = true;
        if (const auto kind = models::scalarKind(model, index); !kind.empty()) {
            values[index] = scalarInput(file, kind, names[index], place);
            continue;
        }
        const auto tensor = models::asModelReads(readArray(file), model, index, place);
        warnOfOddValues(tensor, place);
        values[index] = tensor.to(device);
    }
    for (std::size_t i = 0; i < inputs.size(); ++i)
        if (!given[i])
            throw core::InputError(fmt::format("{}: the model's input \"{}\" is missing (inputs: {})", option, names[i], core::join(names, ", ")));
    graph::checkTokenInputs(model, values);
    return values;
}

std::string fileName(const std::string& valueName)
{
    std::string name = valueName;
    for (auto& c : name)
        if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_' && c != '-' && c != '#' && c != '@' && c != ':' && c != '[' &&
            c != ']')
            c = '_';
    return name.empty() || name[0] == '.' ? "_" + name : name;
}

}  // namespace orrery::cli
