#include "tensors.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <core/base/error.h>
#include <core/io/tensors.h>

namespace orrery::models::onnx {
namespace {

using io::ElementType;

bool isWidened(ElementType type)
{
    return type == ElementType::UInt16 || type == ElementType::UInt32 || type == ElementType::UInt64;
}

bool isInside(const std::filesystem::path& file, const std::filesystem::path& folder)
{
    const auto relative = file.lexically_relative(folder);
    return !relative.empty() && *relative.begin() != "..";
}

}  // namespace

std::optional<at::ScalarType> scalarTypeOf(int dataType)
{
    const auto type = io::onnxElementType(dataType);
    if (!type)
        return {};
    if (isWidened(*type))
        return *type == ElementType::UInt16 ? at::kInt : at::kLong;
    try {
        return io::toScalarType(*type);
    } catch (const core::Error&) {
        return {};
    }
}

// A byte that is neither 0 nor 1 is no bool for the compiler, so bools are always copied.
at::Tensor TensorReader::view(const io::OnnxTensor& tensor, const std::shared_ptr<core::MappedFile>& file, std::string_view bytes) const
{
    const bool copies = !file || bytes.empty() || isWidened(tensor.type) || tensor.type == ElementType::Bool ||
                        reinterpret_cast<std::uintptr_t>(bytes.data()) % io::elementSize(tensor.type) != 0;
    if (!copies)
        return at::from_blob(
            const_cast<char*>(bytes.data()), tensor.shape, [file](void*) {}, at::TensorOptions(io::toScalarType(tensor.type)));
    std::string copy(bytes);
    if (tensor.type == ElementType::Bool)
        for (auto& byte : copy)
            byte = byte != 0;
    return io::toTensor({tensor.type, tensor.shape, std::move(copy)});
}

at::Tensor TensorReader::readExternal(const io::OnnxTensor& tensor)
{
    const auto place = fmt::format("{}: tensor \"{}\"", m_path.string(), tensor.name);
    const auto& external = *tensor.external;
    const std::filesystem::path location(external.location);
    std::error_code error;
    const auto folder = std::filesystem::weakly_canonical(m_path.has_parent_path() ? m_path.parent_path() : ".", error);
    const auto file = std::filesystem::weakly_canonical(folder / location, error);
    if (external.location.empty() || location.is_absolute() || !isInside(file, folder))
        throw core::FormatError(fmt::format("{}: expected external data inside the model's folder, found \"{}\"", place, external.location));
    if (!std::filesystem::is_regular_file(file, error))
        throw core::FormatError(fmt::format("{}: its external data file \"{}\" is not there", place, external.location));
    auto& mapped = m_external[file.string()];
    if (!mapped)
        mapped = std::make_shared<core::MappedFile>(file);
    const auto size = io::checkedByteSize(tensor.shape, io::elementSize(tensor.type), place);
    const auto all = mapped->text();
    if (external.offset > all.size() || size > all.size() - external.offset || (external.length && *external.length != size))
        throw core::FormatError(fmt::format("{}: expected {} bytes at {} in \"{}\" (declared length {}), which has {}", place, size, external.offset,
                                            external.location, external.length.value_or(size), all.size()));
    return view(tensor, mapped, all.substr(std::size_t(external.offset), std::size_t(size)));
}

at::Tensor TensorReader::read(const io::OnnxTensor& tensor)
{
    if (tensor.isText)
        throw core::FormatError(
            fmt::format("{}: tensor \"{}\": expected numbers, found text (string tensors are not supported)", m_path.string(), tensor.name));
    if (tensor.external)
        return readExternal(tensor);
    return view(tensor, tensor.decoded.empty() ? m_file : nullptr, tensor.data());
}

}  // namespace orrery::models::onnx
