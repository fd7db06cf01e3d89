#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>

#include <core/base/files.h>
#include <core/io/onnx_file.h>

namespace orrery::models::onnx {

/// Makes tensors of what an ONNX file holds. Raw data that lies aligned stays in a private mapping of the file (or of the file of external data); other data is copied.
class TensorReader {
public:
    /// @param file  Mapped as long as any of the tensors lives. Null: everything is copied. @param path  Where the model lies: external data has to lie in its folder.
    TensorReader(std::shared_ptr<core::MappedFile> file, std::filesystem::path path) : m_file(std::move(file)), m_path(std::move(path)) {}
    /// @throws core::FormatError naming the tensor: text, types that libtorch lacks, external data outside the folder, missing, or too short.
    at::Tensor read(const io::OnnxTensor& tensor);

private:
    at::Tensor readExternal(const io::OnnxTensor& tensor);
    at::Tensor view(const io::OnnxTensor& tensor, const std::shared_ptr<core::MappedFile>& file, std::string_view bytes) const;
    std::shared_ptr<core::MappedFile> m_file;
    std::filesystem::path m_path;
    std::map<std::string, std::shared_ptr<core::MappedFile>> m_external;
};

/// libtorch's type for TensorProto.DataType; unsigned 16, 32, 64 bit integers are held in the next wider signed type. Nothing for text and unknown numbers.
std::optional<at::ScalarType> scalarTypeOf(int dataType);

}  // namespace orrery::models::onnx
