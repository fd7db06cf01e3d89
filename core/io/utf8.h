#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::io {

/// Code points of UTF-8 text; a byte order mark at the start is dropped.
/// @throws core::FormatError with the byte position of the first byte that is no valid UTF-8 (overlong forms and surrogates are not).
/// Source: RFC 3629, section 4.
std::vector<char32_t> decodeUtf8(std::string_view bytes, std::string_view name);
/// Appends one code point (at most U+10FFFF).
void appendUtf8(std::string& out, char32_t codePoint);

}  // namespace orrery::io
