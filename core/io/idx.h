#pragma once
#include "array.h"

namespace orrery::io {

/// An IDX file (MNIST and its relatives), plain or gzip: uint8, int8, int16, int32, float32 or float64, big-endian in the file.
/// @throws core::FormatError if the magic number is wrong or the data are shorter or longer than the sizes say.
/// Source: LeCun, Cortes & Burges, "The MNIST database of handwritten digits", section "The IDX file format".
Array parseIdx(std::string_view bytes, std::string_view name);

}  // namespace orrery::io
