#include "tokenizer.h"

#include <fmt/format.h>

#include <core/base/error.h>

#include "unicode.h"

namespace orrery::text {

std::vector<std::int64_t> Tokenizer::ids(std::string_view text, bool addSpecialTokens) const
{
    EncodeOptions options;
    options.addSpecialTokens = addSpecialTokens;
    return encode(text, options).ids;
}

std::string Tokenizer::tokenText(std::int64_t id) const
{
    return id >= 0 && id < size() && pieceOf(id) ? escaped(textOf(id)) : std::to_string(id);
}

void Tokenizer::checkIds(std::span<const std::int64_t> ids) const
{
    for (const auto id : ids)
        if (id < 0 || id >= size())
            throw core::InputError(fmt::format("expected tokens from 0 to {}, got {}", size() - 1, id));
}

std::string escaped(std::string_view bytes)
{
    std::string out;
    for (std::size_t at = 0; at < bytes.size();) {
        const auto [length, whole] = sequenceAt(bytes, at);
        const auto byte = static_cast<unsigned char>(bytes[at]);
        if (bytes[at] == '\n' || bytes[at] == '\t') {
            out += bytes[at] == '\n' ? "\\n" : "\\t";
        } else if (whole && byte >= 0x20 && byte != 0x7f) {
            out += bytes.substr(at, length);
        } else {
            for (std::uint32_t i = 0; i < length; ++i)
                out += fmt::format("\\x{:02x}", static_cast<unsigned char>(bytes[at + i]));
        }
        at += length;
    }
    return out;
}

}  // namespace orrery::text
