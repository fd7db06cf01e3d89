#include "colour_map.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include <core/base/error.h>
#include <core/base/text.h>
#include <fmt/format.h>

namespace orrery::report {

namespace {

/// 256 colours, six hexadecimal digits each.
constexpr std::string_view kViridis =
    "44015444025645045745055946075a46085c460a5d460b5e470d60470e6147106347116447136548146748166848176948186a481a6c481b6d481c6e481d6f481f70"
    "482071482173482374482475482576482677482878482979472a7a472c7a472d7b472e7c472f7d46307e46327e46337f463480453581453781453882443983443a83"
    "443b84433d84433e85423f854240864241864142874144874045884046883f47883f48893e49893e4a893e4c8a3d4d8a3d4e8a3c4f8a3c508b3b518b3b528b3a538b"
    "3a548c39558c39568c38588c38598c375a8c375b8d365c8d365d8d355e8d355f8d34608d34618d33628d33638d32648e32658e31668e31678e31688e30698e306a8e"
    "2f6b8e2f6c8e2e6d8e2e6e8e2e6f8e2d708e2d718e2c718e2c728e2c738e2b748e2b758e2a768e2a778e2a788e29798e297a8e297b8e287c8e287d8e277e8e277f8e"
    "27808e26818e26828e26828e25838e25848e25858e24868e24878e23888e23898e238a8d228b8d228c8d228d8d218e8d218f8d21908d21918c20928c20928c20938c"
    "1f948c1f958b1f968b1f978b1f988b1f998a1f9a8a1e9b8a1e9c891e9d891f9e891f9f881fa0881fa1881fa1871fa28720a38620a48621a58521a68522a78522a884"
    "23a98324aa8325ab8225ac8226ad8127ad8128ae8029af7f2ab07f2cb17e2db27d2eb37c2fb47c31b57b32b67a34b67935b77937b87838b9773aba763bbb753dbc74"
    "3fbc7340bd7242be7144bf7046c06f48c16e4ac16d4cc26c4ec36b50c46a52c56954c56856c66758c7655ac8645cc8635ec96260ca6063cb5f65cb5e67cc5c69cd5b"
    "6ccd5a6ece5870cf5773d05675d05477d1537ad1517cd2507fd34e81d34d84d44b86d54989d5488bd6468ed64590d74393d74195d84098d83e9bd93c9dd93ba0da39"
    "a2da37a5db36a8db34aadc32addc30b0dd2fb2dd2db5de2bb8de29bade28bddf26c0df25c2df23c5e021c8e020cae11fcde11dd0e11cd2e21bd5e21ad8e219dae319"
    "dde318dfe318e2e418e5e419e7e419eae51aece51befe51cf1e51df4e61ef6e620f8e621fbe723fde725";

struct Vector3 {
    double x = 0, y = 0, z = 0;
};

std::vector<Rgb> tableFromHex(std::string_view hex)
{
    const auto channel = [&](std::size_t at) { return static_cast<std::uint8_t>(std::stoi(std::string(hex.substr(at, 2)), nullptr, 16)); };
    std::vector<Rgb> table;
    for (std::size_t at = 0; at + 6 <= hex.size(); at += 6)
        table.push_back({channel(at), channel(at + 2), channel(at + 4)});
    return table;
}

std::uint8_t toByte(double value)
{
    return static_cast<std::uint8_t>(std::lround(std::clamp(value, 0.0, 1.0) * 255));
}

double linearFromSrgb(double value)
{
    return value <= 0.04045 ? value / 12.92 : std::pow((value + 0.055) / 1.055, 2.4);
}

double srgbFromLinear(double value)
{
    return value <= 0.0031308 ? 12.92 * value : 1.055 * std::pow(value, 1 / 2.4) - 0.055;
}

/// Moreland's polar form of CIELAB: magnitude, saturation angle, hue angle.
Vector3 labFromMsh(Vector3 msh)
{
    return {msh.x * std::cos(msh.y), msh.x * std::sin(msh.y) * std::cos(msh.z), msh.x * std::sin(msh.y) * std::sin(msh.z)};
}

Vector3 xyzFromLab(Vector3 lab)
{
    const auto inverse = [](double t) { return t > 6.0 / 29 ? t * t * t : (t - 16.0 / 116) / 7.787; };
    const double y = (lab.x + 16) / 116;
    return {0.95047 * inverse(y + lab.y / 500), inverse(y), 1.08883 * inverse(y - lab.z / 200)};
}

Rgb rgbFromMsh(Vector3 msh)
{
    const Vector3 c = xyzFromLab(labFromMsh(msh));
    return {toByte(srgbFromLinear(3.2406 * c.x - 1.5372 * c.y - 0.4986 * c.z)), toByte(srgbFromLinear(-0.9689 * c.x + 1.8758 * c.y + 0.0415 * c.z)),
            toByte(srgbFromLinear(0.0557 * c.x - 0.2040 * c.y + 1.0570 * c.z))};
}

/// The hue that the unsaturated end takes so that the path leaves the saturated one evenly (function AdjustHue of the paper).
double adjustedHue(Vector3 saturated, double unsaturatedMagnitude)
{
    if (saturated.x >= unsaturatedMagnitude)
        return saturated.z;
    const double ratio = std::sqrt(unsaturatedMagnitude * unsaturatedMagnitude - saturated.x * saturated.x) / (saturated.x * std::sin(saturated.y));
    const double spin = saturated.y * ratio;
    return saturated.z > -std::numbers::pi / 3 ? saturated.z + spin : saturated.z - spin;
}

Rgb coolwarmAt(double position)
{
    const Vector3 end = position < 0.5 ? Vector3{80, 1.08, -1.1} : Vector3{80, 1.08, 0.5};
    const double whiteMagnitude = 88;
    const double whiteness = 1 - std::abs(2 * position - 1);
    const double hue = adjustedHue(end, whiteMagnitude);
    return rgbFromMsh({std::lerp(end.x, whiteMagnitude, whiteness), std::lerp(end.y, 0.0, whiteness), std::lerp(end.z, hue, whiteness)});
}

/// 257 entries, so that the neutral centre is an entry.
std::vector<Rgb> coolwarmTable()
{
    std::vector<Rgb> table;
    for (int i = 0; i <= 256; ++i)
        table.push_back(coolwarmAt(i / 256.0));
    return table;
}

std::uint8_t mix(std::uint8_t a, std::uint8_t b, double share)
{
    return static_cast<std::uint8_t>(std::lround(std::lerp(double(a), double(b), share)));
}

}  // namespace

std::string hexColour(Rgb colour)
{
    return fmt::format("#{:02x}{:02x}{:02x}", colour.r, colour.g, colour.b);
}

double lightness(Rgb colour)
{
    const double y =
        0.2126 * linearFromSrgb(colour.r / 255.0) + 0.7152 * linearFromSrgb(colour.g / 255.0) + 0.0722 * linearFromSrgb(colour.b / 255.0);
    return y > 216.0 / 24389 ? 116 * std::cbrt(y) - 16 : y * 24389 / 27;
}

Rgb ColourMap::at(double position) const
{
    if (std::isnan(position))
        return kNoValue;
    const double place = std::clamp(position, 0.0, 1.0) * double(m_table.size() - 1);
    const auto index = std::min(static_cast<std::size_t>(place), m_table.size() - 2);
    const Rgb a = m_table[index], b = m_table[index + 1];
    const double share = place - double(index);
    return {mix(a.r, b.r, share), mix(a.g, b.g, share), mix(a.b, b.b, share)};
}

Rgb ColourMap::atSymmetric(double value, double limit) const
{
    return atScaled(value, limit > 0 ? -limit : 0, limit > 0 ? limit : 0);
}

Rgb ColourMap::atScaled(double value, double low, double high) const
{
    if (std::isnan(value))
        return kNoValue;
    return at(low == high ? 0.5 : (value - low) / (high - low));
}

const ColourMap& viridis()
{
    static const ColourMap map("viridis", MapKind::Sequential, tableFromHex(kViridis));
    return map;
}

const ColourMap& coolwarm()
{
    static const ColourMap map("coolwarm", MapKind::Diverging, coolwarmTable());
    return map;
}

const ColourMap& grey()
{
    static const ColourMap map("grey", MapKind::Sequential, {{0, 0, 0}, {255, 255, 255}});
    return map;
}

std::span<const std::string> colourMapNames()
{
    static const std::array<std::string, 3> names{viridis().name(), coolwarm().name(), grey().name()};
    return names;
}

const ColourMap& colourMap(std::string_view name)
{
    for (const ColourMap* map : {&viridis(), &coolwarm(), &grey()})
        if (map->name() == name)
            return *map;
    throw core::InputError(fmt::format("unknown colour map \"{}\"{}", name, core::didYouMean(name, colourMapNames())));
}

std::span<const Rgb> okabeIto()
{
    static constexpr std::array<Rgb, 8> colours{
        {{0, 0, 0}, {230, 159, 0}, {86, 180, 233}, {0, 158, 115}, {240, 228, 66}, {0, 114, 178}, {213, 94, 0}, {204, 121, 167}}};
    return colours;
}

Rgb seriesColour(std::size_t index)
{
    // Blue, vermilion, green, purple, orange, sky blue; yellow last, as it is faint on white.
    static constexpr std::array<std::size_t, 7> order{5, 6, 3, 7, 1, 2, 4};
    return okabeIto()[order[index % order.size()]];
}

}  // namespace orrery::report
