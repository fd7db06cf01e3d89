#include "byte_order.h"

#include <algorithm>

namespace orrery::io {

void swapBytes(std::string& bytes, ElementType type)
{
    const bool isComplex = type == ElementType::Complex64 || type == ElementType::Complex128;
    const std::size_t size = elementSize(type) / (isComplex ? 2 : 1);
    for (std::size_t at = 0; size > 1 && at + size <= bytes.size(); at += size)
        std::reverse(bytes.data() + at, bytes.data() + at + size);
}

}  // namespace orrery::io
