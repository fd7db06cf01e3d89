#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// Reports: colour maps, drawing lists, plots, the tree of blocks and its HTML. Knows neither Qt nor libtorch.
namespace orrery::report {

/// A colour in sRGB, 8 bits a channel.
struct Rgb {
    std::uint8_t r = 0, g = 0, b = 0;
    bool operator==(const Rgb&) const = default;
};
/// "#0072b2".
std::string hexColour(Rgb colour);
/// CIELAB lightness L* (0 black .. 100 white, white point D65) of an sRGB colour. Source: CIE 15:2004 with the sRGB matrix of IEC 61966-2-1.
double lightness(Rgb colour);

enum class MapKind { Sequential, Diverging };

/// A continuous colour map over 0..1. Immutable; any thread.
class ColourMap {
public:
    ColourMap(std::string name, MapKind kind, std::vector<Rgb> table) : m_name(std::move(name)), m_kind(kind), m_table(std::move(table)) {}
    const std::string& name() const { return m_name; }
    MapKind kind() const { return m_kind; }
    /// The colour at a position; positions outside 0..1 are clamped, NaN gives `kNoValue`. Linear between the entries of the table.
    Rgb at(double position) const;
    /// The colour of `value` on a scale symmetric about zero: -limit at 0, zero at 0.5, limit at 1. A limit that is not positive gives the centre.
    Rgb atSymmetric(double value, double limit) const;
    /// The colour of `value` on the scale low..high. If low == high it gives the centre.
    Rgb atScaled(double value, double low, double high) const;

private:
    std::string m_name;
    MapKind m_kind;
    std::vector<Rgb> m_table;
};

/// What stands for NaN in every map.
inline constexpr Rgb kNoValue{128, 128, 128};

/// `viridis`: sequential, lightness rises evenly. Source: the table of van der Walt & Smith (2015), matplotlib's `_cm_listed.py` (CC0), in 8 bits.
const ColourMap& viridis();
/// `coolwarm`: diverging, blue through a neutral grey to red, safe for the common colour-vision deficiencies.
/// Source: Moreland (2009), "Diverging Color Maps for Scientific Visualization (Expanded)", doi:10.1007/978-3-642-10520-3_9: interpolation in Msh
/// with control points (80, 1.08, -1.1), (88, 0, 0) and (80, 1.08, 0.5).
const ColourMap& coolwarm();
/// `grey`: sequential, black to white, even in sRGB values: pictures of one channel look as they are.
const ColourMap& grey();

/// The names of all maps, in the order of a menu.
std::span<const std::string> colourMapNames();
/// @throws core::InputError for an unknown name, with the nearest one.
const ColourMap& colourMap(std::string_view name);

/// Eight colours that people with any common colour vision tell apart, in the published order (black first).
/// Source: Okabe & Ito (2008), "Color Universal Design", jfly.uni-koeln.de/color.
std::span<const Rgb> okabeIto();
/// The colour of data series `index`: Okabe-Ito without black, those with most contrast on white and on black first; repeats after seven.
Rgb seriesColour(std::size_t index);

}  // namespace orrery::report
