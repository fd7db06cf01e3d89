#include "drawing.h"

#include <algorithm>

namespace orrery::report {

namespace {

bool startsCharacter(char byte)
{
    return (static_cast<unsigned char>(byte) & 0xc0) != 0x80;
}

std::size_t characterCount(std::string_view utf8)
{
    return static_cast<std::size_t>(std::ranges::count_if(utf8, startsCharacter));
}

}  // namespace

Rgb paperColour(const Colour& colour)
{
    switch (colour.ink) {
    case Ink::Fixed: return colour.rgb;
    case Ink::Muted: return {0x5a, 0x5f, 0x66};
    case Ink::Grid: return {0xd8, 0xdb, 0xdf};
    case Ink::Background: return {0xff, 0xff, 0xff};
    case Ink::None:
    case Ink::Foreground: break;
    }
    return {0x1a, 0x1c, 0x1f};
}

double estimatedTextWidth(std::string_view utf8, double size)
{
    return 0.55 * size * double(characterCount(utf8));
}

std::string shortened(std::string_view utf8, std::size_t characters)
{
    if (characterCount(utf8) <= characters)
        return std::string(utf8);
    std::size_t end = 0;
    for (std::size_t kept = 0; end < utf8.size(); ++end)
        if (startsCharacter(utf8[end]) && ++kept == characters)
            break;
    return std::string(utf8.substr(0, end)) + "…";
}

}  // namespace orrery::report
