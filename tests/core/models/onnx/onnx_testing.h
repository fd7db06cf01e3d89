#pragma once
#include <ATen/ATen.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <core/base/files.h>
#include <core/graph/executor.h>
#include <core/io/onnx_file.h>
#include <core/io/tensors.h>
#include <core/models/onnx/onnx.h>
#include <core/models/onnx/tensors.h>

namespace orrery::tests {

inline at::Tensor tensorOf(const io::OnnxTensor& tensor)
{
    return models::onnx::TensorReader(nullptr, "test").read(tensor);
}

/// What a file of a test case holds: a tensor, a sequence, or an optional of either.
inline c10::IValue readCaseValue(const std::filesystem::path& file, const io::OnnxValueInfo& declared)
{
    using Kind = io::OnnxValueInfo::Kind;
    constexpr int kBfloat16 = 16;
    auto kind = declared.kind;
    const auto bytes = core::readFile(file);
    std::string_view content = bytes;
    if (kind == Kind::Optional) {
        const auto inside = io::parseOnnxOptional(bytes, file.string());
        if (!inside)
            return {};
        content = inside->first;
        kind = inside->second || declared.optionalSequence ? Kind::Sequence : Kind::Tensor;
    }
    if (kind != Kind::Sequence) {
        auto tensor = io::parseOnnxTensor(content, file.string());
        if (declared.elementType == kBfloat16 && tensor.type == io::ElementType::UInt16)  // NumPy has no such type: the bits are written
            tensor.type = io::ElementType::BFloat16;
        return tensorOf(tensor);
    }
    c10::List<at::Tensor> list;
    for (const auto& each : io::parseOnnxSequence(content, file.string()))
        list.push_back(tensorOf(each));
    return list;
}

/// Why two values differ by the rule of ONNX's own test runner (relative 1e-3, absolute 1e-7); empty if they agree.
inline std::string difference(const c10::IValue& found, const c10::IValue& expected, double relative = 1e-3, double absolute = 1e-7)
{
    if (expected.isNone() || found.isNone())
        return expected.isNone() == found.isNone() ? "" : "None on one side";
    if (expected.isTensorList()) {
        if (!found.isTensorList() || found.toTensorVector().size() != expected.toTensorVector().size())
            return "another number of items";
        for (std::size_t i = 0; i < expected.toTensorVector().size(); ++i)
            if (const auto text = difference(found.toTensorVector()[i], expected.toTensorVector()[i], relative, absolute); !text.empty())
                return text;
        return "";
    }
    if (!found.isTensor())
        return "no tensor";
    const auto &a = found.toTensor(), &b = expected.toTensor();
    if (a.scalar_type() != b.scalar_type())
        return std::string("dtype ") + at::toString(a.scalar_type()) + ", expected " + at::toString(b.scalar_type());
    if (a.sizes() != b.sizes())
        return (std::ostringstream() << "shape " << a.sizes() << ", expected " << b.sizes()).str();
    if (!at::allclose(a.to(at::kDouble), b.to(at::kDouble), relative, absolute, true))
        return (std::ostringstream() << "values differ by " << (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>()).str();
    return "";
}

}  // namespace orrery::tests
