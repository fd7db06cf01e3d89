#include "printable.h"

#include <fmt/format.h>

namespace orrery::cli {

std::string printable(std::string_view text, LineBreaks breaks)
{
    std::string shown;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool isPlain = (byte >= 0x20 && byte != 0x7f) || (breaks == LineBreaks::Stay && (c == '\n' || c == '\t'));
        shown += isPlain ? std::string(1, c) : c == '\n' ? "\\n" : fmt::format("\\x{:02x}", byte);
    }
    return shown;
}

std::string tokenCell(std::string_view text)
{
    const bool ends = text.empty() || text.front() == ' ' || text.back() == ' ';
    return ends ? fmt::format("'{}'", text) : std::string(text);
}

}  // namespace orrery::cli
