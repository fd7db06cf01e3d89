#pragma once
#include <string>

#include "array.h"

namespace orrery::io {

/// Turns every element round, between big-endian and little-endian. Complex numbers are two numbers: each half is swapped on its own.
void swapBytes(std::string& bytes, ElementType type);

}  // namespace orrery::io
