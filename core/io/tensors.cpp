#include "tensors.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include <core/base/error.h>

namespace orrery::io {
namespace {

struct TypePair {
    ElementType element;
    at::ScalarType scalar;
};
constexpr TypePair kPairs[] = {{ElementType::Bool, at::kBool},
                               {ElementType::UInt8, at::kByte},
                               {ElementType::Int8, at::kChar},
                               {ElementType::Int16, at::kShort},
                               {ElementType::Int32, at::kInt},
                               {ElementType::Int64, at::kLong},
                               {ElementType::Float16, at::kHalf},
                               {ElementType::BFloat16, at::kBFloat16},
                               {ElementType::Float32, at::kFloat},
                               {ElementType::Float64, at::kDouble},
                               {ElementType::Complex64, at::kComplexFloat},
                               {ElementType::Complex128, at::kComplexDouble}};

/// Unsigned integers wider than a byte go into the next wider signed type.
template <class From, class To>
at::Tensor widened(const Array& array, at::ScalarType type)
{
    at::Tensor tensor = at::empty(array.shape, at::TensorOptions(type));
    To* const target = tensor.data_ptr<To>();
    for (std::size_t i = 0; i * sizeof(From) < array.bytes.size(); ++i) {
        From value;
        std::memcpy(&value, array.bytes.data() + i * sizeof(From), sizeof(From));
        if (std::uint64_t(value) > std::uint64_t(std::numeric_limits<To>::max()))
            throw core::FormatError(fmt::format("expected unsigned integers below 2^63, got {}", std::uint64_t(value)));
        target[i] = To(value);
    }
    return tensor;
}

}  // namespace

at::ScalarType toScalarType(ElementType type)
{
    for (const TypePair& pair : kPairs)
        if (pair.element == type)
            return pair.scalar;
    throw core::FormatError(fmt::format("this libtorch has no dtype {}", elementName(type)));
}

ElementType toElementType(at::ScalarType type)
{
    for (const TypePair& pair : kPairs)
        if (pair.scalar == type)
            return pair.element;
    throw core::InputError(fmt::format("arrays cannot hold the dtype {}", at::toString(type)));
}

at::Tensor toTensor(const Array& array)
{
    switch (array.type) {
    case ElementType::UInt16: return widened<std::uint16_t, std::int32_t>(array, at::kInt);
    case ElementType::UInt32: return widened<std::uint32_t, std::int64_t>(array, at::kLong);
    case ElementType::UInt64: return widened<std::uint64_t, std::int64_t>(array, at::kLong);
    default: break;
    }
    at::Tensor tensor = at::empty(array.shape, at::TensorOptions(toScalarType(array.type)));
    if (!array.bytes.empty())
        std::memcpy(tensor.data_ptr(), array.bytes.data(), array.bytes.size());
    return tensor;
}

Array toArray(const at::Tensor& tensor)
{
    const at::Tensor flat = tensor.detach().cpu().contiguous();
    Array array{toElementType(flat.scalar_type()), flat.sizes().vec(), {}};
    if (flat.numel() > 0)
        array.bytes.assign(static_cast<const char*>(flat.data_ptr()), std::size_t(flat.nbytes()));
    return array;
}

}  // namespace orrery::io
