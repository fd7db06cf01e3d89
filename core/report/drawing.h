#pragma once
#include <string>
#include <variant>
#include <vector>

#include <core/io/image.h>

#include "colour_map.h"

namespace orrery::report {

/// Points (1/72 inch); x to the right, y down.
struct Point {
    double x = 0, y = 0;
    bool operator==(const Point&) const = default;
};

struct Rect {
    double x = 0, y = 0, width = 0, height = 0;
    double right() const { return x + width; }
    double bottom() const { return y + height; }
    Point centre() const { return {x + width / 2, y + height / 2}; }
    bool operator==(const Rect&) const = default;
};

/// What a colour stands for. All but `Fixed` follow the page: light, dark or paper.
enum class Ink { None, Fixed, Foreground, Muted, Grid, Background };

struct Colour {
    Ink ink = Ink::None;
    Rgb rgb;           ///< for `Fixed`
    double alpha = 1;  ///< 0..1

    Colour() = default;
    Colour(Ink role, double opacity = 1) : ink(role), alpha(opacity) {}
    Colour(Rgb fixed, double opacity = 1) : ink(Ink::Fixed), rgb(fixed), alpha(opacity) {}
    bool operator==(const Colour&) const = default;
};
/// The colour on white paper: what a painter that knows no page colours uses.
Rgb paperColour(const Colour& colour);

struct Stroke {
    Colour colour;
    double width = 1;
    std::vector<double> dashes;  ///< lengths of dash, gap, ... in points; empty: solid
};

struct LineItem {
    Point from, to;
    Stroke stroke;
};

/// Joined round. Closed and filled where `fill` is not `Ink::None`: first and last point are then joined without a stroke.
struct PolylineItem {
    std::vector<Point> points;
    Stroke stroke;
    Colour fill;
};

struct RectItem {
    Rect rect;
    Colour fill;
    Stroke stroke;  ///< not drawn where its colour is `Ink::None`
};

enum class Anchor { Start, Middle, End };

/// One line of text. `at` lies on the base line.
struct TextItem {
    Point at;
    std::string text;  ///< UTF-8
    double size = 9;   ///< points
    Anchor anchor = Anchor::Start;
    Colour colour = Ink::Foreground;
    double degrees = 0;  ///< turned about `at`, clockwise
    bool bold = false;
};

/// A picture stretched to a rectangle; enlarged pixels stay sharp squares unless `smooth`.
struct RasterItem {
    Rect rect;
    io::Image image;
    bool smooth = false;
};

/// Everything up to the matching ClipEnd is drawn only inside the rectangle.
struct ClipStart {
    Rect rect;
};
struct ClipEnd {};

using DrawingItem = std::variant<LineItem, PolylineItem, RectItem, TextItem, RasterItem, ClipStart, ClipEnd>;

/// A picture as a list of simple shapes, drawn in order. The HTML writer turns it into SVG, the PDF writer paints it.
struct Drawing {
    double width = 0, height = 0;
    std::vector<DrawingItem> items;

    void line(Point from, Point to, Stroke stroke) { items.push_back(LineItem{from, to, std::move(stroke)}); }
    void rect(Rect rect, Colour fill, Stroke stroke = {}) { items.push_back(RectItem{rect, fill, std::move(stroke)}); }
    void text(TextItem item) { items.push_back(std::move(item)); }
};

/// Width of a text in a common sans-serif font, estimated from the number of its characters (0.55 of the size each): for laying out, not for measuring.
double estimatedTextWidth(std::string_view utf8, double size);
/// At most `characters` code points of the text; one that is longer ends in "…".
std::string shortened(std::string_view utf8, std::size_t characters);

}  // namespace orrery::report
