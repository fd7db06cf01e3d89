#pragma once
#include <string>
#include <string_view>

/// LZF, the fast compression of PCD's `binary_compressed`.
/// Format: literal runs (a byte 0..31, then that many bytes and one more) and copies (three bits of length, 13 of distance; length 7 adds a byte).
namespace orrery::scene {

/// @param size  What the text was long; memory is taken for it.
/// @throws core::FormatError "NAME: ..." if the bytes do not give exactly that.
std::string lzfDecompress(std::string_view bytes, std::size_t size, std::string_view name);
/// Always succeeds; incompressible text grows by one byte in 32. The same text gives the same bytes.
std::string lzfCompress(std::string_view text);
/// No LZF data of `bytes` bytes stands for more than this.
std::size_t lzfMostBytes(std::size_t bytes);

}  // namespace orrery::scene
